/* SPDX-License-Identifier: MIT */
/*
 * lock_newest.h - the thread's newest lock, taken again and given back in line. Layer 3.
 *
 * Most programs lock an address, unlock it, and come back to it, or hold one lock at a time. This is that case, without a call, a
 * table or a search: one compare-and-swap from the word that the thread left (struct sas_newest). Whatever else is the case, nothing
 * is done, and lock.c finds out.
 *
 * Measured: of a pair of taking and giving back, 26 of 35 ns are two atomic operations that wait for all stores and dependent loads
 * before them; so what counts is how few of these there are.
 */
#ifndef SAS_LOCK_NEWEST_H
#define SAS_LOCK_NEWEST_H

#include "lock.h"

#define LIKELY(condition) __builtin_expect(!!(condition), 1)

static inline void sas_newest_end(void)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	sas_here.depth = 0;
}

/* The frame of the fast path; NULL: the slow one finds out what to do. Nothing is believed that was read before: a signal handler
 * may have locked meanwhile. */
static inline struct sas_newest *sas_newest_begin(uint64_t address)
{
	struct sas_newest *n = &sas_newest;

	if (!LIKELY(!sas_here.depth))
		return NULL;
	sas_here.depth = 1;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (LIKELY(address - n->base < n->size && n->stamp == sas_stamp()))
		return n;
	sas_newest_end();
	return NULL;
}

/* Nobody has removed its region. What is held there is given back all the same. */
static inline int sas_newest_lives(const struct sas_newest *n)
{
	return sas_m_load_relaxed_u32(n->life) == SAS_M_LIFE_ACTIVE;
}

/* The newest lock, from `word`, which needs no evidence. 0: the lock's word is another one. */
static inline __attribute__((always_inline)) int sas_newest_change(struct sas_newest *n, struct sas_lock *at, sas_lock_t lock, unsigned from,
								unsigned to, uint64_t word, uint32_t number)
{
	uint64_t made;

	if (!LIKELY(sas_hold_change_to(n->thread, n->slot, at, lock, from, to, &word, sas_hold_state(word, from, to), number, &made)))
		return 0;
	sas_store_release_u32(n->held.record, to ? sas_hold_record(lock, to) : 0);
	n->held.mode = to;
	n->word = made;
	return 1;
}

/* Its word is the one that we left, as it is when nobody else has been there. 1: taken; 0: nothing has been done. */
static inline __attribute__((always_inline)) int sas_newest_take(uint64_t address, unsigned mode)
{
	struct sas_newest *n = sas_newest_begin(address);
	uint64_t word;
	int done;

	if (!LIKELY(n != NULL))
		return 0;
	word = n->word;
	done = LIKELY(n->held.address == address && word && !n->held.mode && sas_lock_may(word, SAS_HOLD_NONE, mode, 0) &&
		      sas_newest_lives(n)) &&
	       sas_newest_change(n, n->held.at, n->held.lock, SAS_HOLD_NONE, mode, word, sas_hold_number_after(word));
	sas_newest_end();
	return done;
}

/* Held once, and its word is what we have made it: so nobody waits, and the evidence would be our own. 1: given back; 0: nothing has been
 * done. */
static inline __attribute__((always_inline)) int sas_newest_give(uint64_t address)
{
	struct sas_newest *n = sas_newest_begin(address);
	uint64_t word;
	unsigned from;
	int done = 0;

	if (!LIKELY(n != NULL))
		return 0;
	word = n->word;
	from = n->held.mode;
	if (LIKELY(n->held.address == address && word && from && !n->held.nested))
		done = from == SAS_HOLD_WRITE ? sas_newest_change(n, n->held.at, n->held.lock, SAS_HOLD_WRITE, SAS_HOLD_NONE, word,
								  sas_hold_number_after(word)) :
						sas_newest_change(n, n->held.at, n->held.lock, from, SAS_HOLD_NONE, word,
								  sas_hold_number_after(word));
	sas_newest_end();
	return done;
}

#endif
