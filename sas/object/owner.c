/* SPDX-License-Identifier: MIT */
/*
 * owner.c - may the thread that a word in an object names still act? Layer 3.
 *
 * A token is the thread's slot and its ticket (region.h). Tickets are drawn from a count in the anchor file, so none is drawn twice: not by
 * a later life of the slot, not when SAS.run has been made anew, not in a copy by who joins it. Who lives has its ticket in its slot, and
 * the slot's life mutex.
 *
 * Before a thread is said to be dead its intent log is recovered: the log may have words of the object that the asker is about to mend.
 */
#include <config.h>

#include "block/block.h"
#include "ground/err.h"
#include "ground/port.h"
#include "run/log.h"
#include "sasregion.h"
#include "service.h"
#include "use.h"

#define LOOK_FOR_DEAD_NS 200000000U     /* between two looks for deaths that the kernel did not mark */

enum life { LIVES, DIED, GONE };

static enum life look(const struct sas_run *run, uint32_t number, uint64_t ticket)
{
	const struct sas_run_thread *slot = &run->threads[number];

	if (sas_load_acquire_u32(&slot->state) != SAS_RUN_USED || sas_m_load_relaxed_u64(&slot->ticket) != ticket)
		return GONE;
	if (sas_run_is_held(&slot->life))
		return LIVES;
	/* It may have gone in order, and another one have come, since the first line. */
	return sas_load_acquire_u32(&slot->state) == SAS_RUN_USED && sas_m_load_relaxed_u64(&slot->ticket) == ticket ? DIED : GONE;
}

/* Who asks for long may ask for one whose death nobody has marked: recover.c. */
static void look_for_unmarked(struct sas_region *r)
{
	uint64_t now = sas_port->now_ns(), last = sas_load_relaxed_u64(&r->epoch_looked);
	struct sas_living living;

	if (now - last < LOOK_FOR_DEAD_NS || !sas_cas_acq_rel_u64(&r->epoch_looked, &last, now) || sas_table_lock(r) != 0)
		return;
	sas_err_defer();
	sas_living_locked(r, &living);
	sas_table_unlock(r);
	sas_err_flush();
}

static int is_ours(const struct sas_region *r, uint32_t number)
{
	return sas_own_slot(r) == &r->run->threads[number];
}

/* 1: its log is being recovered, or cannot be: ask again. */
static int recover(struct sas_region *r, uint32_t number, uint64_t ticket)
{
	const struct sas_m_log *log;

	/* Who has the block lock took it after all logs of the dead that held it had been recovered. */
	if ((r->flags & SAS_JOIN_READONLY) || (sas_self && sas_has_seized(sas_self, r)))
		return 0;
	if (sas_recover(r) >= 0 && look(r->run, number, ticket) == GONE)
		return 0;
	log = sas_log_at(r, number);
	return !log || (log->magic == SAS_M_MAGIC_LOG && sas_m_load_acquire_u32(&log->state) != SAS_M_LOG_IDLE);
}

int sas_owner_lives(struct sas_region *r, uint64_t token)
{
	uint32_t number = token & SAS_TOKEN_SLOT;
	struct sas_inner inner;
	enum life life;
	int lives;

	if (!r)
		return 1;
	if ((token & SAS_TOKEN_PLAIN) || !r->run || number >= sas_load_acquire_u32(&r->run->header->thread_top))
		return 0;
	life = look(r->run, number, token >> 14);
	/* A handler that interrupted a call only reads, and may lock nothing. */
	if (life == GONE || is_ours(r, number) || sas_here.depth == SAS_IN_CALL)
		return life == LIVES;
	inner = sas_inner_begin();
	if (life == LIVES && !(sas_self && sas_has_seized(sas_self, r))) {
		look_for_unmarked(r);
		life = look(r->run, number, token >> 14);
	}
	lives = life == DIED ? recover(r, number, token >> 14) : life == LIVES;
	sas_inner_end(inner);
	return lives;
}
