/* SPDX-License-Identifier: MIT */
/*
 * lock_table.h - where the address locks are: a hash table in SAS.run, and the word of a lock. Layer 2.
 *
 * A bucket is a line of three locks with a chain of further lines. A lock is {key, word}; the key is the address. Lines
 * are never taken out of a chain, and a lock stays where it is while somebody holds it or waits for it; an idle lock
 * gives its place to another address.
 *
 * The word (64 bits) says who holds the lock, and who changed it last:
 *
 *      0-13  threads that hold READ
 *     14     WRITE is held, by the thread that changed the word last
 *     15     INTENT is held
 *     14+15  the key is being changed
 *     16     somebody waits for READ
 *     17     somebody waits for INTENT or WRITE
 *     18-31  slot of the thread that changed it last
 *     32     that was to WRITE or from WRITE: needs no evidence (hold.h)
 *     33-63  that change's number, counted per slot
 *
 * The low half is the futex. As each change has its own {slot, number}, a word never comes back: who changes it from what
 * it has read knows that the key, read in between, was still the lock's. (The two waiting bits are set without a new
 * number, and only cleared with one.)
 *
 * Locks: the bucket's latch for whoever gives an address its place, so that no address has two; looking takes none.
 * Crash: the latch names the slot that holds it; a slot says which latch it may hold before it takes it (lock_latch). The
 *   change of a key is a change in hold.h's sense, recorded before it begins.
 *   What a file at rest says of holders, waiters, latches and chains counts for nothing: the first participant draws another `line_era`,
 *   and who first comes to a bucket in it puts the bucket's chain in order.
 * Multi-host: not meaningful; a store between hosts brings its own locks.
 */
#ifndef SAS_LOCK_TABLE_H
#define SAS_LOCK_TABLE_H

#include <stdint.h>
#include "region/region.h"

#define SAS_LOCKS_PER_LINE 3U

struct sas_lock { sas_u64_t key, word; };

struct sas_run_line {
	sas_u32_t latch;                /* of the bucket, in its first line: slot + 1, and LATCH_WAITED */
	sas_u32_t next;                 /* line number; 0: the chain ends */
	uint8_t marks[SAS_LOCKS_PER_LINE];      /* SAS_LOCK_DIED, SAS_LOCK_UPDATED; 0: the fast path may be taken */
	uint8_t reserved_1;
	sas_u32_t era;                  /* the lives in which it was last used: of the header, else see to it first */
	struct sas_lock lock[SAS_LOCKS_PER_LINE];
	/* Written by those who wait: since when somebody has been seen to hold the lock, and the word then. */
	sas_u64_t seen_word[SAS_LOCKS_PER_LINE], seen_at[SAS_LOCKS_PER_LINE];
	sas_u64_t keyed;                /* of the bucket, in its first line: counts the keys that were changed */
	uint8_t reserved_2[8];
};
_Static_assert(sizeof(struct sas_run_line) == SAS_RUN_LINE, "lock line");

#define SAS_LOCK_DIED 1U        /* a holder of WRITE died, and nobody has been told */
#define SAS_LOCK_UPDATED 2U     /* an update of the address was announced: who takes the lock waits for such (update.h) */

/* A lock's number: line * 4 + its place in the line. 0 is a lock as well. */
typedef uint32_t sas_lock_t;

/* --- the word */
#define SAS_LOCK_READERS 0x3fffU
#define SAS_LOCK_WRITE 0x4000U
#define SAS_LOCK_INTENT 0x8000U
#define SAS_LOCK_HELD (SAS_LOCK_READERS | SAS_LOCK_WRITE | SAS_LOCK_INTENT)
#define SAS_LOCK_READ_WAITS 0x10000U
#define SAS_LOCK_CHANGE_WAITS 0x20000U
#define SAS_LOCK_WAITS (SAS_LOCK_READ_WAITS | SAS_LOCK_CHANGE_WAITS)
#define SAS_LOCK_EXCLUSIVE 0x100000000ULL

static inline uint32_t sas_lock_slot(uint64_t word) { return (uint32_t)(word >> 18) & 0x3fffU; }
static inline uint32_t sas_lock_number(uint64_t word) { return (uint32_t)(word >> 33); }
/* `state`: bits 0-17. */
static inline uint64_t sas_lock_word(uint32_t state, uint32_t slot, uint32_t number, int exclusive)
{
	return state | (uint64_t)slot << 18 | (exclusive ? SAS_LOCK_EXCLUSIVE : 0) | (uint64_t)number << 33;
}
static inline int sas_lock_rekeying(uint64_t word)
{
	return (word & (SAS_LOCK_WRITE | SAS_LOCK_INTENT)) == (SAS_LOCK_WRITE | SAS_LOCK_INTENT);
}

/* --- the table */
static inline uint8_t *sas_lock_marks(struct sas_run_line *line, sas_lock_t lock) { return &line->marks[lock & 3U]; }
static inline struct sas_run_line *sas_lock_line(const struct sas_run *run, sas_lock_t lock)
{
	return &run->lines[lock >> 2];
}
static inline struct sas_lock *sas_lock_at(const struct sas_run *run, sas_lock_t lock)
{
	return &sas_lock_line(run, lock)->lock[lock & 3U];
}
/* Fibonacci hashing (Knuth, TAOCP 3, 6.4): neighbours go to distant buckets. */
static inline uint32_t sas_lock_bucket(uint64_t address)
{
	return (uint32_t)(address * 0x9E3779B97F4A7C15ULL >> 49);
}
/* Was an update of this address, or of another one of the same hash, ever announced? Pairs with update.c. */
static inline int sas_lock_is_updated(const struct sas_run *run, uint64_t address)
{
	uint32_t bit = (uint32_t)(address * 0x9E3779B97F4A7C15ULL >> 48);

	return sas_load_seq_cst_u64(&run->updated[bit / 64]) >> bit % 64 & 1U;
}

/* Is it in this line? 0: found. */
static inline int sas_lock_in_line(struct sas_run_line *line, uint32_t number, uint64_t address, sas_lock_t *lock, uint64_t *word)
{
	for (uint32_t i = 0; i < SAS_LOCKS_PER_LINE; i++) {
		uint64_t w = sas_load_acquire_u64(&line->lock[i].word);

		if (sas_load_relaxed_u64(&line->lock[i].key) != address || w == 0 || sas_lock_rekeying(w))
			continue;
		*lock = number << 2 | i;
		*word = w;
		return 0;
	}
	return 1;
}
/* The lock of an address, and the word that was there with it. 0: found; 1: it has no place. */
int sas_lock_find(const struct sas_run *run, uint64_t address, sas_lock_t *lock, uint64_t *word);
/* The same; gives it a place if it has none. The caller's slot acts. -ENOSPC, -EAGAIN, with a sentence. */
int sas_lock_place(struct sas_region *r, uint32_t slot, uint64_t address, sas_lock_t *lock, uint64_t *word);
/* Before an address is looked for: the table has file space, and its bucket is of this era. */
int sas_lock_bucket_ready(struct sas_region *r, uint64_t address);
static inline int sas_lock_line_is_ready(const struct sas_run_line *line, uint32_t era)
{
	return sas_load_acquire_u32(&line->era) == era;
}
/* For who is the slot of a dead thread: let go of the latch that it may hold. */
void sas_lock_unlatch_dead(struct sas_run *run, uint32_t slot);

#endif
