/* SPDX-License-Identifier: MIT */
/*
 * update.h - UPDATE, the mode of locks that plain changes of an object hold. Layer 3.
 *
 * It is compatible with itself alone, and has no word: many threads change an object at a time, and none of them is to store
 * where the others do. A thread announces the object in its slot (`updates`) and looks whether somebody holds the lock of its
 * address. Who takes the lock waits, when it has the word, until nobody else announces the object. One of the two
 * sees the other, by the fences of epoch.h: the announcing store and the look are in order where the other one has a barrier executed.
 *
 * Locks of addresses that are no objects must not pay for this. So SAS.run has a bit for the hash of each address that was ever
 * announced, and the lock's place in the table a mark, by which the fast paths leave it to the slow one:
 *
 *   The first update of an address sets the bit, takes the lock for WRITE, and, holding it, marks its place. No word that a thread
 *     remembers is the lock's then (lock_newest.h), and whoever reads the word later sees the mark.
 *   Who gives an address a place stores the key, then looks at the bit; who announces has set or seen the bit, and then looks for
 *     the key (both seq_cst). So an address whose bit an announcer has met has no place, and gets a marked one; or it has
 *     one, marked or not, and he sees it. Not marked, or of another era: he takes the lock for real, and marks it.
 *
 * Waiting. Who announces waits for nothing while he looks: where the lock is held he withdraws, and takes it for real. But he may wait for the
 * lock of another object while he announces one (a context changes two trees), and the holder of that may wait for him:
 * lock_circle.c takes announcements for holds, and one of them is refused.
 *
 * Locks: none. Signals: within the caller's frame. Crash: a dead thread's announcements do not count, and recovery clears them.
 * Multi-host: as lock_table.h.
 */
#ifndef SAS_UPDATE_H
#define SAS_UPDATE_H

#include "epoch/epoch.h"
#include "lock.h"

/* What stands in `updates`. Its lower half, the futex, is never 0. */
static inline uint64_t sas_update_key(uint64_t address) { return address << 1 | 1; }
static inline uint64_t sas_update_address(uint64_t key) { return key >> 1; }

/* Announce it in the caller's slot. Place + 1; 0: the lock is to be taken for real (it is held, this is the first update, or there is no
 * place left). */
unsigned sas_update_announce(struct sas_region *r, struct sas_membership *m, uint64_t address);
/* The caller's thread announces it already. */
int sas_update_is_announced(const struct sas_run_thread *slot, uint64_t address);
void sas_update_withdraw(struct sas_run_thread *slot, unsigned announced);
/* The caller has taken the lock for WRITE in place of announcing: from now on others can announce. */
void sas_update_mark(struct sas_run *run, struct sas_locks *locks, uint64_t address);

/* The caller has just got the lock: no other living thread announces an update. -errno as taking the lock; -ENOSYS. */
int sas_update_await(struct sas_wait *w, sas_lock_t lock);
/* Its end is to wake somebody. */
void sas_update_mark_awaited(const struct sas_run *run, struct sas_run_thread *slot, const sas_u64_t *announced);

/* What the lock of an address is, for who only looks: no store. Another value whenever somebody else may have held it meanwhile. */
uint64_t sas_update_look(const struct sas_run *run, uint64_t address);
/* That says that a thread other than the one of this slot (-1: any) holds WRITE. */
static inline int sas_update_is_shut(uint64_t word, int slot)
{
	return !sas_lock_rekeying(word) && (word & SAS_LOCK_WRITE) && (int)sas_lock_slot(word) != slot;
}

#endif
