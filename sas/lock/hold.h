/* SPDX-License-Identifier: MIT */
/*
 * hold.h - who holds which lock: changes of a lock's word that survive the death of who makes them. Layer 2.
 *
 * A thread's holds are records in its slot of SAS.run: {lock, mode}. To change one takes three stores:
 *
 *      1. lock_pending of the slot: {lock, from mode, to mode, number}, number one more than the last;
 *      2. the lock's word, by compare-and-swap: holders and {slot, number};
 *      3. the record.
 *
 * After a death recovery looks whether 2 has happened, does 3 if so, and then gives back what the records say, in the dead
 * slot's name and by the same three stores, so that a recoverer that dies leaves the same picture again. lock_pending stays as it is
 * until the next change: to do 3 once more changes nothing.
 *
 * Has 2 happened? Where WRITE is left or reached, the word tells: while a slot holds WRITE nobody else changes the word
 * (but for the waiting bits). Else: yes, if the word still names {slot, number}; and who changes such a word next first
 * saves the evidence: it looks whether the slot that the word names has still this change pending, and sets that slot's lock_saved to the
 * number. So recovery reads the word, then lock_saved.
 *   pairs: (1) is stored before (2), a release; who reads the word by acquire sees (1) or what followed it. lock_saved is
 *   set before the next (2); recovery, reading that word by acquire, sees it.
 * A slow saver does not undo a later one: it changes lock_saved from what that was before it saw the change pending. (Numbers
 * are not compared by size: a slot makes 2^30 changes within a minute, and may need no evidence meanwhile.)
 *
 * Who may call: the slot's thread; or who recovers it, which holds its life mutex.
 */
#ifndef SAS_HOLD_H
#define SAS_HOLD_H

#include "lock_table.h"

#define SAS_HOLD_NONE 0U
#define SAS_HOLD_READ 1U
#define SAS_HOLD_INTENT 2U
#define SAS_HOLD_WRITE 3U

/* A record: lock << 2 | mode; 0: none. */
static inline uint32_t sas_hold_record(sas_lock_t lock, unsigned mode) { return lock << 2 | mode; }
static inline sas_lock_t sas_hold_lock(uint32_t record) { return record >> 2; }
static inline unsigned sas_hold_mode(uint32_t record) { return record & 3U; }

/* lock_pending: number << 33 | lock << 4 | from << 2 | to. The lock's key is changed: WRITE to WRITE; 0 to 0: no change. */
static inline uint64_t sas_pending(sas_lock_t lock, unsigned from, unsigned to, uint32_t number)
{
	return (uint64_t)number << 33 | (uint64_t)lock << 4 | from << 2 | to;
}
static inline uint32_t sas_pending_number(uint64_t pending) { return (uint32_t)(pending >> 33); }
static inline sas_lock_t sas_pending_lock(uint64_t pending) { return (sas_lock_t)(pending >> 4) & 0xfffffffU; }
static inline int sas_pending_is_idle(uint64_t pending) { return (pending & 15U) == 0; }

/* The slot whose change the word shows may not have got to its record. */
static inline int sas_hold_needs_evidence(uint64_t word, uint32_t slot)
{
	return !(word & SAS_LOCK_EXCLUSIVE) && sas_lock_slot(word) != slot && word != 0;
}
void sas_hold_save_evidence(struct sas_run *run, uint64_t word);

/* The number of the slot's next change; the same, from the word that its last one made. */
static inline uint32_t sas_hold_next_number(const struct sas_run_thread *thread)
{
	return (sas_pending_number(sas_load_relaxed_u64(&thread->lock_pending)) + 1) & 0x7fffffffU;
}
static inline uint32_t sas_hold_number_after(uint64_t made) { return (sas_lock_number(made) + 1) & 0x7fffffffU; }

/*
 * Steps 1 and 2: change the lock from *word, which has been read by acquire and needs no evidence, to holders and waiting bits
 * `state`. 1: done, and *made is its word, and the caller does step 3; 0: the word has changed, and *word is what it is now.
 */
static inline int sas_hold_change_to(struct sas_run_thread *thread, uint32_t slot, struct sas_lock *at, sas_lock_t lock, unsigned from,
				     unsigned to, uint64_t *word, uint32_t state, uint32_t number, uint64_t *made)
{
	int exclusive = from == SAS_HOLD_WRITE || to == SAS_HOLD_WRITE;

	sas_store_relaxed_u64(&thread->lock_pending, sas_pending(lock, from, to, number));
	*made = sas_lock_word(state, slot, number, exclusive);
	/* Release: pending goes first. */
	return sas_cas_acq_rel_u64(&at->word, word, *made);
}
/* The same, with the evidence that *word may need. */
static inline int sas_hold_change(struct sas_run *run, uint32_t slot, sas_lock_t lock, unsigned from, unsigned to,
				  uint64_t *word, uint32_t state)
{
	struct sas_run_thread *thread = &run->threads[slot];
	uint64_t made;

	if (sas_hold_needs_evidence(*word, slot))
		sas_hold_save_evidence(run, *word);
	return sas_hold_change_to(thread, slot, sas_lock_at(run, lock), lock, from, to, word, state, sas_hold_next_number(thread), &made);
}

/* Records in a page. */
#define SAS_HOLDS_PER_PAGE ((uint32_t)(sizeof(((struct sas_run_page *)0)->bytes) / sizeof(sas_u32_t)))

/* Calls `visit` for each record of a slot. Racy beside its living owner, as whoever looks at others must expect. */
typedef void (*sas_hold_visit)(sas_u32_t *record, void *arg);
void sas_hold_each(const struct sas_run *run, uint32_t slot, sas_hold_visit visit, void *arg);

/* What mode `mode` adds to the state of a word. */
static inline uint32_t sas_hold_share(unsigned mode)
{
	return mode == SAS_HOLD_WRITE ? SAS_LOCK_WRITE : mode == SAS_HOLD_INTENT ? SAS_LOCK_INTENT : mode;
}
/* The word's holders without mode `from` and with mode `to`; waiting bits as they are. */
static inline uint32_t sas_hold_state(uint64_t word, unsigned from, unsigned to)
{
	return ((uint32_t)word & (SAS_LOCK_HELD | SAS_LOCK_WAITS)) - sas_hold_share(from) + sas_hold_share(to);
}
/* What giving back does to the waiting bits of `state`, which has some, and how many waiters are to be woken: 0, 1, INT_MAX. */
uint32_t sas_hold_given(uint32_t state, unsigned from, unsigned to, int *wake);
void sas_hold_wake(struct sas_run *run, sas_lock_t lock, int count);

/* Its thread has died: complete what is pending, give back all. The caller holds its life mutex. */
void sas_hold_recover(struct sas_run *run, uint32_t slot);

#endif
