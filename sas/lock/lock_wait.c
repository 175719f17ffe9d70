/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <errno.h>
#include <limits.h>
#include "ground/err.h"
#include "lock.h"
#include "ground/pause.h"
#include "ground/port.h"
#include "update.h"

/* Looks before a sleep, each after twice the pause of the one before, some 20 us in all: no more than twice a sleep and its wake-up. Between
 * them the holder has the line of the cache to itself. */
#define SPINS 9U
#define LOOK_NS 5000000U        /* the longest sleep */
#define LOOK_APART_NS 4000000U  /* one waiter of all looks for the dead in such a time */

static int is_power_of_two(unsigned n) { return (n & (n - 1)) == 0; }

static int waits_open(const struct sas_wait *w)
{
	return (sas_load_relaxed_u64(&w->region->run->threads[w->slot].lock_wait) & SAS_WAIT_OPEN) != 0;
}

/* --- what others see */

/* Since when the lock has been seen to be held; the waiting bits do not make it another hold. */
static void note_seen(struct sas_run *run, sas_lock_t lock, uint64_t word)
{
	struct sas_run_line *line = sas_lock_line(run, lock);

	word &= ~(uint64_t)SAS_LOCK_WAITS;
	if (sas_load_relaxed_u64(&line->seen_word[lock & 3U]) == word)
		return;
	sas_store_relaxed_u64(&line->seen_at[lock & 3U], sas_port->now_real_ns());
	sas_store_release_u64(&line->seen_word[lock & 3U], word);
}

static void announce(struct sas_wait *w, sas_lock_t lock, uint64_t word, uint64_t what)
{
	struct sas_run_thread *slot = &w->region->run->threads[w->slot];
	uint64_t count = (sas_load_relaxed_u64(&slot->lock_wait) >> 32) + 1;
	uint64_t patient = w->flags & SAS_LOCK_PATIENT ? SAS_WAIT_PATIENT : 0;

	note_seen(w->region->run, lock, word);
	if (!waits_open(w)) {
		sas_run_count(&slot->counters.lock_waits);
		sas_store_relaxed_u64(&slot->lock_wait_since, sas_port->now_real_ns());
	} else if (sas_wait_lock(sas_load_relaxed_u64(&slot->lock_wait)) == lock) {
		return;
	}
	sas_store_release_u64(&slot->lock_wait, count << 32 | what | (uint64_t)lock << 4 | patient | SAS_WAIT_OPEN | w->to);
}

void sas_lock_wait_over(struct sas_wait *w)
{
	struct sas_run_thread *slot = &w->region->run->threads[w->slot];

	if (waits_open(w))
		sas_store_release_u64(&slot->lock_wait, sas_load_relaxed_u64(&slot->lock_wait) >> 32 << 32);
}

/* --- looking around, every few milliseconds */

/* One of all waiters recovers the dead; now and then also those whose death the kernel did not mark. How many. */
static int look_for_dead(struct sas_wait *w, uint64_t now)
{
	struct sas_region *r = w->region;
	sas_u64_t *looked = &r->run->header->lock_looked;
	uint64_t last = sas_load_relaxed_u64(looked);
	struct sas_living living;
	int count = 0;

	if (now - last < LOOK_APART_NS || !sas_cas_acq_rel_u64(looked, &last, now))
		return 0;
	if (sas_any_dead(r)) {
		count = sas_recover(r);
		if (count < 0)
			count = sas_recover_holds(r);
	} else if (w->looks % 64 == 8 && sas_table_lock(r) == 0) {
		sas_err_defer();
		sas_living_locked(r, &living);
		sas_table_unlock(r);
		sas_err_flush();
	}
	return count > 0 ? count : 0;
}

/* A reader keeps behind waiting writers; the mark of one that has died or given up stays until somebody looks. */
static int writer_waits(const struct sas_wait *w, sas_lock_t lock)
{
	const struct sas_run *run = w->region->run;
	uint32_t top = sas_load_acquire_u32(&run->header->thread_top);

	for (uint32_t i = 0; i < top; i++) {
		uint64_t wait = sas_load_acquire_u64(&run->threads[i].lock_wait);

		if (sas_load_acquire_u32(&run->threads[i].state) == SAS_RUN_USED && (wait & SAS_WAIT_OPEN) &&
		    sas_wait_lock(wait) == lock && sas_wait_changes(wait))
			return 1;
	}
	return 0;
}

static int look_for_circle(struct sas_wait *w)
{
	unsigned threads = sas_lock_circle(w->region, w->slot);

	if (!threads)
		return 0;
	if (!(w->flags & SAS_LOCK_PATIENT))
		return sas_fail(EDEADLK, "to wait for the lock %#llx would never end: %u threads wait for each other's locks",
				(unsigned long long)w->address, threads);
	if (!w->reported)
		sas_note(SAS_ERR_ERROR, "the lock %#llx is waited for in a circle of %u threads, none of which can give way: "
			 "they hang until one of them ends", (unsigned long long)w->address, threads);
	w->reported = 1;
	return 0;
}

static int look_around(struct sas_wait *w, sas_lock_t lock, uint64_t now)
{
	int error = sas_region_alive(w->region);

	if (error)
		return error;
	w->looks++;
	look_for_dead(w, now);
	if (w->looks < 2)
		return 0;
	w->pass = w->to == SAS_HOLD_READ && !writer_waits(w, lock);
	return is_power_of_two(w->looks) || w->looks % 64 == 0 ? look_for_circle(w) : 0;
}

/* --- waiting */

static uint64_t time_left(const struct sas_wait *w, uint64_t now)
{
	if (w->until == SAS_LOCK_FOREVER || w->until - now > LOOK_NS)
		return LOOK_NS;
	return w->until - now;
}

static int is_late(const struct sas_wait *w, uint64_t now)
{
	return w->until != SAS_LOCK_FOREVER && now >= w->until;
}

static int too_late(struct sas_wait *w, sas_lock_t lock)
{
	if (!w->until)
		return sas_fail(EBUSY, "the lock %#llx is held", (unsigned long long)w->address);
	/* A wake-up that was meant for us is another waiter's now. */
	if (w->slept)
		sas_hold_wake(w->region->run, lock, 1);
	return sas_fail(ETIMEDOUT, "the lock %#llx could not be had in time", (unsigned long long)w->address);
}

static void spin(struct sas_wait *w)
{
	for (unsigned i = 0; i < 1U << w->spins; i++)
		sas_pause();
	w->spins += w->spins < SPINS;
}

int sas_lock_wait(struct sas_wait *w, sas_lock_t lock, uint64_t word)
{
	sas_u64_t *shared = &sas_lock_at(w->region->run, lock)->word;
	uint64_t bit = w->to == SAS_HOLD_READ ? SAS_LOCK_READ_WAITS : SAS_LOCK_CHANGE_WAITS, now;
	int error;

	/* Who tries again and again is nobody's waiter, and may be alone: it looks as well. */
	if (!w->until)
		return w->looks++ == 0 && look_for_dead(w, sas_port->now_ns()) ? 0 : too_late(w, lock);
	if (sas_lock_rekeying(word) || w->spins < SPINS) {
		spin(w);
		return 0;
	}
	now = sas_port->now_ns();
	if (is_late(w, now))
		return too_late(w, lock);
	announce(w, lock, word, 0);
	/* A reader that passes waiting writers sleeps only for a holder of WRITE. */
	if (!(word & bit) && !sas_cas_acq_rel_u64(shared, &word, word | bit))
		return 0;
	if (!w->look_at)
		w->look_at = now + LOOK_NS;
	error = sas_port->futex_wait((uint32_t *)(void *)shared, (uint32_t)(word | bit), time_left(w, now));
	w->slept = 1;
	now = sas_port->now_ns();
	/* Who is woken again and again, by other waiters or by signals, looks as well. */
	if (error != -ETIMEDOUT && now < w->look_at)
		return 0;
	w->look_at = now + LOOK_NS;
	return look_around(w, lock, now);
}

/* Who ends an update wakes us; where that is missed, or it dies, LOOK_NS are the end. */
int sas_lock_wait_update(struct sas_wait *w, sas_lock_t lock, struct sas_run_thread *thread, sas_u64_t *announced)
{
	struct sas_run *run = w->region->run;
	uint64_t seen = sas_load_acquire_u64(announced), now;

	if (!w->until)
		return sas_fail(EBUSY, "%#llx is being updated", (unsigned long long)w->address);
	if (w->spins < SPINS) {
		spin(w);
		return 0;
	}
	now = sas_port->now_ns();
	if (is_late(w, now))
		return too_late(w, lock);
	announce(w, lock, sas_load_acquire_u64(&sas_lock_at(run, lock)->word), SAS_WAIT_UPDATES);
	sas_update_mark_awaited(run, thread, announced);
	if (!w->look_at)
		w->look_at = now + LOOK_NS;
	if (seen == sas_update_key(w->address) && sas_load_acquire_u64(announced) == seen)
		sas_port->futex_wait((uint32_t *)(void *)announced, (uint32_t)seen, time_left(w, now));
	now = sas_port->now_ns();
	if (now < w->look_at)
		return 0;
	w->look_at = now + LOOK_NS;
	return look_around(w, lock, now);
}

int sas_lock_wait_latch(struct sas_wait *w)
{
	uint64_t now = sas_port->now_ns();
	int error = sas_region_alive(w->region);

	if (error)
		return error;
	w->looks++;
	look_for_dead(w, now);
	/* A try is not refused because of a latch: its holder lives, or has just been recovered. */
	return w->until && is_late(w, now) ? too_late(w, 0) : 1;
}
