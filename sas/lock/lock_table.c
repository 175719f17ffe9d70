/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <errno.h>
#include <string.h>
#include "ground/err.h"
#include "hold.h"
#include "lock_table.h"
#include "ground/pause.h"
#include "ground/port.h"

#define LATCH_WAITED 0x80000000U
#define LATCH_SPINS 200
#define LATCH_WAIT_NS 5000000
#define CHAIN_SHORT 4U          /* lines */
#define LINE_STEP 512U          /* lines that the file grows by */

/* --- looking */

/* Chains ascend, as each line comes to its chain from the top: so none goes round. 0: it ends. */
static uint32_t next_line(const struct sas_run_line *line, uint32_t number)
{
	uint32_t next = sas_load_acquire_u32(&line->next);

	return next > number && next < SAS_RUN_LINES ? next : 0;
}

int sas_lock_find(const struct sas_run *run, uint64_t address, sas_lock_t *lock, uint64_t *word)
{
	uint32_t number = sas_lock_bucket(address);

	do {
		struct sas_run_line *line = &run->lines[number];

		if (sas_lock_in_line(line, number, address, lock, word) == 0)
			return 0;
		number = next_line(line, number);
	} while (number);
	return 1;
}

/* --- the latch of a bucket */

/* 0; 1: not had in LATCH_WAIT_NS, its holder may be dead. */
static int take_latch(struct sas_run *run, uint32_t slot, uint32_t bucket)
{
	sas_u32_t *latch = &run->lines[bucket].latch;
	uint64_t now, until;
	uint32_t seen = 0;

	/* Before it is taken, so that recovery knows where to look. */
	sas_store_relaxed_u32(&run->threads[slot].lock_latch, bucket + 1);
	for (int i = 0; i < LATCH_SPINS; i++, seen = 0) {
		if (sas_cas_acq_rel_u32(latch, &seen, slot + 1))
			return 0;
		sas_pause();
	}
	/* Who has waited does not know of the others that do. Signals may end each wait early. */
	until = sas_port->now_ns() + LATCH_WAIT_NS;
	while ((now = sas_port->now_ns()) < until) {
		seen = 0;
		if (sas_cas_acq_rel_u32(latch, &seen, (slot + 1) | LATCH_WAITED))
			return 0;
		if (!(seen & LATCH_WAITED) && !sas_cas_acq_rel_u32(latch, &seen, seen | LATCH_WAITED))
			continue;
		sas_port->futex_wait(&latch->word, seen | LATCH_WAITED, until - now);
	}
	sas_store_release_u32(&run->threads[slot].lock_latch, 0);
	return 1;
}

static void give_latch(struct sas_run *run, uint32_t slot, uint32_t bucket)
{
	sas_u32_t *latch = &run->lines[bucket].latch;

	if (sas_exchange_acq_rel_u32(latch, 0) & LATCH_WAITED)
		sas_port->futex_wake(&latch->word, 1);
	sas_store_release_u32(&run->threads[slot].lock_latch, 0);
}

void sas_lock_unlatch_dead(struct sas_run *run, uint32_t slot)
{
	uint32_t bucket = sas_load_acquire_u32(&run->threads[slot].lock_latch) - 1;

	if (bucket < SAS_RUN_BUCKETS &&
	    (sas_load_acquire_u32(&run->lines[bucket].latch) & ~LATCH_WAITED) == slot + 1)
		give_latch(run, slot, bucket);
	else
		sas_store_release_u32(&run->threads[slot].lock_latch, 0);
}

/* --- room: grow_lock held */

static int make_space(struct sas_region *r, uint32_t lines)
{
	struct sas_run_header *h = r->run->header;
	uint32_t space = sas_load_relaxed_u32(&h->line_space);
	int error;

	if (space + lines > SAS_RUN_LINES)
		return sas_fail(EAGAIN, "%s: too many locks are held at once", r->path);
	error = sas_run_reserve(r, r->run, SAS_RUN_LOCK_OFFSET + space * SAS_RUN_LINE, lines * SAS_RUN_LINE);
	if (error)
		return sas_fail(-error, "%s/" SAS_RUN_NAME ": no room for more locks: %s", r->path, strerror(-error));
	if (r->anchor.incompat & SAS_M_INCOMPAT_PREALLOCATED)   /* its file is formatted without being emptied */
		memset(&r->run->lines[space], 0, lines * SAS_RUN_LINE);
	sas_store_release_u32(&h->line_space, space + lines);
	return 0;
}

static void release_line(struct sas_run_line *line)
{
	sas_store_relaxed_u32(&line->latch, 0);
	for (uint32_t i = 0; i < SAS_LOCKS_PER_LINE; i++) {
		uint64_t word = sas_load_relaxed_u64(&line->lock[i].word);

		if (word & (SAS_LOCK_HELD | SAS_LOCK_WAITS))
			sas_store_relaxed_u64(&line->lock[i].word, word & ~(uint64_t)(SAS_LOCK_HELD | SAS_LOCK_WAITS));
	}
}

/*
 * Nobody has used a lock of this bucket since the last of those who lived before us went, and the dead have been recovered: so nobody holds
 * one, waits for one, or has the latch, and what says otherwise is damage, which would be waited for without an end. A line that is in a chain
 * already, or in none yet, ends this one. The bucket's own line is marked last: a death before has it done again. grow_lock held.
 */
static void release_chain(struct sas_run *run, uint32_t bucket)
{
	uint32_t era = sas_load_relaxed_u32(&run->header->line_era), top = sas_load_relaxed_u32(&run->header->line_top);
	uint32_t number = bucket, next;

	do {
		struct sas_run_line *line = &run->lines[number];

		release_line(line);
		if (number != bucket)
			sas_store_relaxed_u32(&line->era, era);
		next = next_line(line, number);
		if (next < SAS_RUN_BUCKETS || next >= top || sas_load_relaxed_u32(&run->lines[next].era) == era) {
			sas_store_relaxed_u32(&line->next, 0);
			next = 0;
		}
		number = next;
	} while (number);
	/* Pairs with the acquire in sas_lock_line_is_ready(). */
	sas_store_release_u32(&run->lines[bucket].era, era);
}

int sas_lock_bucket_ready(struct sas_region *r, uint64_t address)
{
	struct sas_run_header *h = r->run->header;
	uint32_t bucket = sas_lock_bucket(address);
	int error;

	if (sas_load_acquire_u32(&h->line_top) >= SAS_RUN_BUCKETS &&
	    sas_lock_line_is_ready(&r->run->lines[bucket], sas_load_relaxed_u32(&h->line_era)))
		return 0;
	error = sas_run_grow_lock(r);
	if (error)
		return error;
	if (sas_load_relaxed_u32(&h->line_space) == 0)
		error = make_space(r, SAS_RUN_BUCKETS);
	if (!error && sas_load_relaxed_u32(&h->line_top) == 0)
		sas_store_release_u32(&h->line_top, SAS_RUN_BUCKETS);
	if (!error && !sas_lock_line_is_ready(&r->run->lines[bucket], sas_load_relaxed_u32(&h->line_era)))
		release_chain(r->run, bucket);
	sas_run_grow_unlock(r);
	return error;
}

/*
 * The line at line_top becomes the last one of a chain: line_link first, so that who comes after a death knows whether
 * the line is in its chain already.
 */
static int chain(struct sas_region *r, uint32_t last)
{
	struct sas_run_header *h = r->run->header;
	struct sas_run_line *lines = r->run->lines;
	uint32_t top = sas_load_relaxed_u32(&h->line_top), link = sas_load_relaxed_u32(&h->line_link);
	int error = 0;

	if (link && sas_load_relaxed_u32(&lines[link - 1].next) == top)
		sas_store_release_u32(&h->line_top, ++top);
	sas_store_release_u32(&h->line_link, 0);
	/* The dead one may have done it for this very bucket. */
	if (sas_load_relaxed_u32(&lines[last].next))
		return 0;
	if (top == sas_load_relaxed_u32(&h->line_space))
		error = make_space(r, LINE_STEP);
	if (error)
		return error;
	/* In no chain: nothing in it counts. */
	memset(&lines[top], 0, sizeof lines[top]);
	sas_store_relaxed_u32(&lines[top].era, sas_load_relaxed_u32(&h->line_era));
	sas_store_release_u32(&h->line_link, last + 1);
	sas_store_release_u32(&lines[last].next, top);
	sas_store_release_u32(&h->line_top, top + 1);
	sas_store_release_u32(&h->line_link, 0);
	return 0;
}

/* --- a place for an address: the bucket's latch held */

/*
 * A lock that nobody uses. One that never had a key is best; a short chain grows rather than forget an address that may
 * be wanted again; else any, by chance, so that no two addresses drive each other out for ever. full: nothing grows any more:
 * then in a short chain as well, and rather than none one whose holder's death nobody has been told of.
 */
static int find_idle(const struct sas_run *run, uint32_t bucket, uint32_t chance, int full, sas_lock_t *lock,
		     uint64_t *word, uint32_t *last)
{
	uint32_t number = bucket, lines = 0, idle = 0, died = 0;

	do {
		struct sas_run_line *line = &run->lines[number];

		for (uint32_t i = 0; i < SAS_LOCKS_PER_LINE; i++) {
			uint64_t w = sas_load_acquire_u64(&line->lock[i].word);

			if (w & (SAS_LOCK_HELD | SAS_LOCK_WAITS))
				continue;
			if (line->marks[i] & SAS_LOCK_DIED ? idle || died++ : w && chance % ++idle != 0)
				continue;
			*lock = number << 2 | i;
			*word = w;
			if (w == 0)
				return 1;
		}
		*last = number;
		lines++;
		number = next_line(line, number);
	} while (number);
	return full ? idle || died : idle && lines >= CHAIN_SHORT;
}

/* 1: done; 0: somebody has begun to use the lock. */
static int change_key(struct sas_run *run, uint32_t slot, sas_lock_t lock, uint64_t *word, uint64_t address)
{
	struct sas_run_thread *thread = &run->threads[slot];
	struct sas_run_line *line = sas_lock_line(run, lock), *first = &run->lines[sas_lock_bucket(address)];
	uint32_t number;

	if (!sas_hold_change(run, slot, lock, SAS_HOLD_WRITE, SAS_HOLD_WRITE, word, SAS_LOCK_WRITE | SAS_LOCK_INTENT))
		return 0;
	/* Nobody changes the word while it says so. */
	sas_store_relaxed_u64(&first->keyed, sas_load_relaxed_u64(&first->keyed) + 1);
	/* Who announces an update sets the bit and then looks for the key: one of us sees the other. */
	sas_exchange_seq_cst_u64(&line->lock[lock & 3U].key, address);
	sas_store_relaxed_u64(&line->seen_word[lock & 3U], 0);
	__atomic_store_n(sas_lock_marks(line, lock), sas_lock_is_updated(run, address) ? SAS_LOCK_UPDATED : 0, __ATOMIC_RELAXED);
	number = sas_pending_number(sas_load_relaxed_u64(&thread->lock_pending)) + 1;
	*word = sas_lock_word(0, slot, number, 1);
	sas_store_release_u64(&line->lock[lock & 3U].word, *word);
	sas_store_release_u64(&thread->lock_pending, (uint64_t)number << 33);
	return 1;
}

static int place(struct sas_region *r, uint32_t slot, uint32_t bucket, uint64_t address, sas_lock_t *lock, uint64_t *word)
{
	uint32_t last = bucket, chance = sas_pending_number(sas_load_relaxed_u64(&r->run->threads[slot].lock_pending));
	int full = 0;

	while (sas_lock_find(r->run, address, lock, word) != 0) {
		if (find_idle(r->run, bucket, chance, full != 0, lock, word, &last)) {
			if (change_key(r->run, slot, *lock, word, address))
				return 0;
			continue;
		}
		if (full)
			return full;
		full = sas_run_grow_lock(r);
		if (full)
			return full;
		full = chain(r, last);
		sas_run_grow_unlock(r);
	}
	return 0;
}

int sas_lock_place(struct sas_region *r, uint32_t slot, uint64_t address, sas_lock_t *lock, uint64_t *word)
{
	uint32_t bucket = sas_lock_bucket(address);
	int error;

	if (take_latch(r->run, slot, bucket) != 0)
		return 1;
	error = place(r, slot, bucket, address, lock, word);
	give_latch(r->run, slot, bucket);
	return error;
}
