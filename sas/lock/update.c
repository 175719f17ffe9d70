/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <errno.h>
#include <limits.h>
#include <string.h>
#include "ground/err.h"
#include "ground/port.h"
#include "lock_newest.h"
#include "update.h"

/* No lock has such a word: the key of the address is nowhere, and so many were changed in its bucket. */
static uint64_t no_place(uint64_t keyed)
{
	return keyed << 16 | SAS_LOCK_WRITE | SAS_LOCK_INTENT;
}

/* The table has file space, and the bucket's line is of this era. */
static inline const struct sas_run_line *line_of(const struct sas_run *run, uint64_t address)
{
	const struct sas_run_header *h = run->header;
	const struct sas_run_line *line = &run->lines[sas_lock_bucket(address)];

	return LIKELY(sas_load_acquire_u32(&h->line_top) >= SAS_RUN_BUCKETS &&
		      sas_lock_line_is_ready(line, sas_load_relaxed_u32(&h->line_era))) ? line : NULL;
}

/* The place of an address, also of one that is being made. 1: there; *word and *marks are its. */
static int find(const struct sas_run *run, const struct sas_run_line *line, uint64_t address, uint64_t *word, uint8_t *marks)
{
	uint32_t number = sas_lock_bucket(address), next;

	for (;;) {
		for (uint32_t i = 0; i < SAS_LOCKS_PER_LINE; i++) {
			if (LIKELY(sas_load_acquire_u64(&line->lock[i].key) != address))
				continue;
			*word = sas_load_acquire_u64(&line->lock[i].word);
			*marks = __atomic_load_n(&line->marks[i], __ATOMIC_ACQUIRE);
			return *word != 0;
		}
		next = sas_load_acquire_u32(&line->next);
		/* Chains ascend (lock_table.c). */
		if (LIKELY(next <= number || next >= SAS_RUN_LINES))
			return 0;
		number = next;
		line = &run->lines[number];
	}
}

/* --- who updates */

/* Pairs with sas_update_await(). */
static void publish(struct sas_region *r, sas_u64_t *place, uint64_t key)
{
	if (LIKELY(sas_load_relaxed_u32(&r->epoch_fences) == SAS_FENCES_LIGHT)) {
		sas_store_relaxed_u64(place, key);
		__atomic_signal_fence(__ATOMIC_SEQ_CST);
		return;
	}
	sas_exchange_seq_cst_u64(place, key);
}

/* Nobody else holds the lock; and who takes it from here on looks for us. */
static int is_open(const struct sas_run *run, uint32_t slot, uint64_t address)
{
	const struct sas_run_line *line = line_of(run, address);
	uint64_t word = 0;
	uint8_t marks = 0;

	if (!LIKELY(line != NULL))
		return 0;
	if (LIKELY(!find(run, line, address, &word, &marks)))
		return 1;
	if (sas_lock_rekeying(word) || !(marks & SAS_LOCK_UPDATED))
		return 0;
	return !(word & SAS_LOCK_HELD) || ((word & SAS_LOCK_WRITE) && sas_lock_slot(word) == slot);
}

static void set_bit(struct sas_run *run, uint64_t address)
{
	uint32_t bit = (uint32_t)(address * 0x9E3779B97F4A7C15ULL >> 48);

	__atomic_fetch_or(&run->updated[bit / 64].word, 1ULL << bit % 64, __ATOMIC_SEQ_CST);
}

unsigned sas_update_announce(struct sas_region *r, struct sas_membership *m, uint64_t address)
{
	struct sas_run_thread *slot = m->place;
	unsigned i = 0;

	if (!LIKELY(sas_lock_is_updated(m->run, address))) {
		sas_epoch_choose(r);
		set_bit(m->run, address);
		return 0;
	}
	while (sas_load_relaxed_u64(&slot->updates[i]))
		if (++i == SAS_RUN_UPDATES)
			return 0;
	if (!LIKELY(sas_load_relaxed_u32(&r->epoch_fences) != SAS_FENCES_UNKNOWN))
		sas_epoch_choose(r);
	publish(r, &slot->updates[i], sas_update_key(address));
	if (LIKELY(is_open(m->run, m->slot, address)))
		return i + 1;
	sas_update_withdraw(slot, i + 1);
	return 0;
}

int sas_update_is_announced(const struct sas_run_thread *slot, uint64_t address)
{
	for (unsigned i = 0; i < SAS_RUN_UPDATES; i++)
		if (sas_load_relaxed_u64(&slot->updates[i]) == sas_update_key(address))
			return 1;
	return 0;
}

static __attribute__((noinline)) void wake(struct sas_run_thread *slot, unsigned i)
{
	__atomic_fetch_and(&slot->update_awaited.word, ~(1U << i), __ATOMIC_ACQ_REL);
	sas_port->futex_wake((uint32_t *)(void *)&slot->updates[i], INT_MAX);
}

void sas_update_withdraw(struct sas_run_thread *slot, unsigned announced)
{
	/* All that the update has stored goes first. Pairs with the acquire of who waits. */
	sas_store_release_u64(&slot->updates[announced - 1], 0);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (!LIKELY(!sas_load_relaxed_u32(&slot->update_awaited)) && (sas_load_relaxed_u32(&slot->update_awaited) >> (announced - 1) & 1U))
		wake(slot, announced - 1);
}

void sas_update_mark(struct sas_run *run, struct sas_locks *locks, uint64_t address)
{
	const struct sas_held *held = sas_held_find(locks, address);
	uint8_t *marks = sas_lock_marks(sas_lock_line(run, held->lock), held->lock);

	if (!(__atomic_load_n(marks, __ATOMIC_RELAXED) & SAS_LOCK_UPDATED))
		__atomic_fetch_or(marks, SAS_LOCK_UPDATED, __ATOMIC_RELEASE);
}

/* --- who locks */

static sas_u64_t *announcement(struct sas_run *run, uint32_t slot, uint64_t key)
{
	for (unsigned i = 0; i < SAS_RUN_UPDATES; i++)
		if (sas_load_acquire_u64(&run->threads[slot].updates[i]) == key)
			return &run->threads[slot].updates[i];
	return NULL;
}

void sas_update_mark_awaited(const struct sas_run *run, struct sas_run_thread *slot, const sas_u64_t *announced)
{
	__atomic_fetch_or(&slot->update_awaited.word, 1U << (announced - slot->updates), __ATOMIC_SEQ_CST);
	/* Who ends it meanwhile sees the bit. If the kernel refuses that, nothing but a wake-up is lost. */
	sas_epoch_order(run);
}

int sas_update_await(struct sas_wait *w, sas_lock_t lock)
{
	struct sas_run *run = w->region->run;
	uint64_t key = sas_update_key(w->address);
	int error = sas_epoch_order(run);
	/* Read after that: who has a slot above it looks at the word later. */
	uint32_t top = sas_load_acquire_u32(&run->header->thread_top);
	sas_u64_t *announced;

	if (error)
		return sas_fail(ENOSYS, "%s: this process may not call membarrier(2), and others that update %#llx rely on it: %s",
				w->region->path, (unsigned long long)w->address, strerror(-error));
	w->spins = 0;
	for (uint32_t i = 0; i < top && !error; i++)
		while (i != w->slot && !error && (announced = announcement(run, i, key)) != NULL && sas_epoch_is_living(run, i))
			error = sas_lock_wait_update(w, lock, &run->threads[i], announced);
	sas_lock_wait_over(w);
	return error;
}

/* --- who looks */

uint64_t sas_update_look(const struct sas_run *run, uint64_t address)
{
	const struct sas_run_line *line = line_of(run, address);
	uint64_t word, keyed;
	uint8_t marks;

	if (!line)
		return 0;
	keyed = sas_load_acquire_u64(&line->keyed);
	if (LIKELY(!find(run, line, address, &word, &marks)))
		return no_place(keyed);
	/* Waiting is not holding. A key that is being changed is no holder either. */
	return sas_lock_rekeying(word) ? no_place(keyed) : word & ~(uint64_t)SAS_LOCK_WAITS;
}
