/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <limits.h>
#include "hold.h"
#include "ground/port.h"
#include "run/run_page.h"

void sas_hold_save_evidence(struct sas_run *run, uint64_t word)
{
	struct sas_run_thread *other = &run->threads[sas_lock_slot(word)];
	uint32_t number = sas_lock_number(word), saved = sas_load_acquire_u32(&other->lock_saved);
	uint64_t pending;

	do {
		/* After lock_saved: who saves a later change does so when this one is not pending any more, and changes it. */
		pending = sas_load_acquire_u64(&other->lock_pending);
		if (sas_pending_number(pending) != number || saved == number)
			return;
	} while (!sas_cas_acq_rel_u32(&other->lock_saved, &saved, number));
}

/*
 * Who has slept and gets INTENT or WRITE sets the bit again, as it does not know of others: so waking one is enough where
 * only such threads wait. READ given back concerns nobody before the last one, or the last but one, who may upgrade.
 */
uint32_t sas_hold_given(uint32_t state, unsigned from, unsigned to, int *wake)
{
	*wake = 0;
	if (from == SAS_HOLD_READ && (state & SAS_LOCK_READERS) > 1)
		return state;
	*wake = from == SAS_HOLD_WRITE && to == SAS_HOLD_NONE && !(state & SAS_LOCK_READ_WAITS) ? 1 : INT_MAX;
	return state & ~SAS_LOCK_WAITS;
}

void sas_hold_wake(struct sas_run *run, sas_lock_t lock, int count)
{
	sas_port->futex_wake((uint32_t *)(void *)&sas_lock_at(run, lock)->word, count);
}

void sas_hold_each(const struct sas_run *run, uint32_t slot, sas_hold_visit visit, void *arg)
{
	for (uint32_t i = 0; i < SAS_RUN_HOLDS; i++)
		visit(&run->threads[slot].holds[i], arg);
	for (int64_t page = -1; (page = sas_run_page_next(run, slot + 1, SAS_RUN_PAGE_HOLDS, (uint32_t)(page + 1))) >= 0; )
		for (uint32_t i = 0; i < SAS_HOLDS_PER_PAGE; i++)
			visit(&((sas_u32_t *)(void *)run->pages[page].bytes)[i], arg);
}

/* --- for the dead */

struct search { sas_lock_t lock; sas_u32_t *record, *empty; };

static void search_record(sas_u32_t *record, void *arg)
{
	struct search *s = arg;
	uint32_t value = sas_load_relaxed_u32(record);

	if (value == 0)
		s->empty = s->empty ? s->empty : record;
	else if (sas_hold_lock(value) == s->lock)
		s->record = record;
}

/* Has the change been made, of which the slot died before it had recorded it? */
static int was_made(struct sas_run *run, uint32_t slot, uint64_t pending, uint64_t word)
{
	unsigned from = pending >> 2 & 3U, to = pending & 3U;
	int writes = (word & (SAS_LOCK_WRITE | SAS_LOCK_INTENT)) == SAS_LOCK_WRITE && sas_lock_slot(word) == slot;

	if (from == SAS_HOLD_WRITE)
		return !writes;
	if (to == SAS_HOLD_WRITE)
		return writes;
	return (sas_lock_slot(word) == slot && sas_lock_number(word) == sas_pending_number(pending)) ||
	       sas_load_acquire_u32(&run->threads[slot].lock_saved) == sas_pending_number(pending);
}

/*
 * The key was being changed: it is the old one or the new one, and either is good while the lock is idle. The second word of
 * that change has a number of its own, and may be there already: it must not be the slot's next one again.
 */
static void finish_key(struct sas_run *run, uint32_t slot, sas_lock_t lock, uint64_t pending)
{
	uint64_t word = sas_load_acquire_u64(&sas_lock_at(run, lock)->word);
	uint32_t number = (sas_pending_number(pending) + 1) & 0x7fffffffU;

	if (sas_lock_rekeying(word) && sas_lock_slot(word) == slot)
		sas_store_release_u64(&sas_lock_at(run, lock)->word, sas_lock_word(0, slot, number, 1));
	sas_store_release_u64(&run->threads[slot].lock_pending, (uint64_t)number << 33);
}

static void complete(struct sas_run *run, uint32_t slot)
{
	struct sas_run_thread *thread = &run->threads[slot];
	uint64_t pending = sas_load_acquire_u64(&thread->lock_pending), word;
	sas_lock_t lock = sas_pending_lock(pending);
	unsigned from = pending >> 2 & 3U, to = pending & 3U;
	struct search s = { .lock = lock };

	if (sas_pending_is_idle(pending))
		return;
	if (from == to) {
		finish_key(run, slot, lock, pending);
	} else {
		word = sas_load_acquire_u64(&sas_lock_at(run, lock)->word);     /* before lock_saved */
		sas_hold_each(run, slot, search_record, &s);
		if (was_made(run, slot, pending, word) && (s.record || s.empty))
			sas_store_release_u32(s.record ? s.record : s.empty,
					      to == SAS_HOLD_NONE ? 0 : sas_hold_record(lock, to));
	}
}

struct giving { struct sas_run *run; uint32_t slot; };

static void give_back(sas_u32_t *record, void *arg)
{
	struct giving *g = arg;
	uint32_t value = sas_load_relaxed_u32(record), state;
	sas_lock_t lock = sas_hold_lock(value);
	unsigned mode = sas_hold_mode(value);
	uint64_t word;
	int wake;

	if (value == 0)
		return;
	if (mode == SAS_HOLD_WRITE)
		__atomic_fetch_or(sas_lock_marks(sas_lock_line(g->run, lock), lock), SAS_LOCK_DIED, __ATOMIC_RELEASE);
	word = sas_load_acquire_u64(&sas_lock_at(g->run, lock)->word);
	do {
		wake = 0;
		state = sas_hold_state(word, mode, SAS_HOLD_NONE);
		if (state & SAS_LOCK_WAITS)
			state = sas_hold_given(state, mode, SAS_HOLD_NONE, &wake);
	} while (!sas_hold_change(g->run, g->slot, lock, mode, SAS_HOLD_NONE, &word, state));
	sas_store_release_u32(record, 0);
	if (wake)
		sas_hold_wake(g->run, lock, wake);
}

void sas_hold_recover(struct sas_run *run, uint32_t slot)
{
	struct giving g = { run, slot };

	complete(run, slot);
	sas_lock_unlatch_dead(run, slot);
	sas_hold_each(run, slot, give_back, &g);
	/* A slot that cannot be freed is recovered again later, when the locks are others': nothing is pending then. */
	sas_store_release_u64(&run->threads[slot].lock_pending,
			      sas_pending(0, SAS_HOLD_NONE, SAS_HOLD_NONE,
					  sas_pending_number(sas_load_relaxed_u64(&run->threads[slot].lock_pending))));
	/* It waits for nothing, and the count of waits goes on: lock_circle.c. */
	sas_store_release_u64(&run->threads[slot].lock_wait, sas_load_relaxed_u64(&run->threads[slot].lock_wait) >> 32 << 32);
	for (unsigned i = 0; i < SAS_RUN_UPDATES; i++)
		sas_store_release_u64(&run->threads[slot].updates[i], 0);
}
