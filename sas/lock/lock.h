/* SPDX-License-Identifier: MIT */
/*
 * lock.h - address locks: what a thread holds, taking, nesting, giving back. Layer 3.
 *
 * The words and their survival are hold.h's; here is what the living know: a hash table per thread and region of what it
 * holds, how often, and where the record is, and outside these the thread's newest lock, so that lock and unlock in turn touch
 * no table. Locking nests: what is taken under a stronger mode counts for that mode, a
 * stronger one is an upgrade, and giving back undoes the last. So counts per mode are enough, and the word shows the strongest.
 *
 * Compatible: READ with READ and INTENT; UPDATE, which has no word (update.h), with itself alone. A thread that waits for INTENT or WRITE keeps new readers out, but not those that
 * hold READ already.
 *
 * Waiting (lock_wait.c): spin, then sleep on the low half of the word, 5 ms at most: then somebody looks for the dead, and
 * for circles (lock_circle.c). No wake-up is relied on alone, as the woken thread may be killed.
 *
 * Locks: none of the runtime's, but for grow_lock inside lock_table.c, and table_lock when the dead are recovered.
 * Crash: hold.h. Fork: the child holds nothing. Thread end: what it holds is given back as if it had been killed.
 */
#ifndef SAS_LOCK_H
#define SAS_LOCK_H

#include "hold.h"
#include "region/runtime.h"

/* A lock that the thread holds. */
struct sas_held {
	uint64_t address;
	struct sas_lock *at;
	sas_u32_t *record;
	sas_lock_t lock;
	uint32_t mode;                  /* the strongest; SAS_HOLD_NONE: nothing is held here */
	uint32_t count[3];              /* how often, by mode - 1 */
	uint32_t nested;                /* the sum of these */
};

/* What a thread holds in a region, in process memory. */
struct sas_locks {
	struct sas_run_thread *thread;  /* its slot, and the slot's number */
	struct sas_run *run;
	sas_u32_t **free;               /* records that are free, a stack */
	uint32_t free_count, slot;
	uint32_t count, mask;           /* entries in `held` that are in use; entries - 1 */
	struct sas_held *held;          /* all but the newest: open addressing, linear probing (Knuth, TAOCP 3, 6.4, algorithms L and R) */
	uint32_t records;               /* that there are: in the slot, then in pages of SAS.run */
};

/*
 * The lock that the thread took last, held or given back, and all that taking and giving it needs, next to each other: between
 * two atomic operations it is the chain of dependent loads that costs.
 *
 * word: what the thread has stored in the lock's word, the last change of its slot. As no word comes back, one compare-and-swap
 * from it tells that the lock is as the thread left it: its key, its mark of death, its holders. While there is a word, `nested` says how
 * often the lock is held beyond the first time, all in one mode, and there are no counts. 0: somebody else has to look; sas_newest_settle().
 */
struct sas_newest {
	struct sas_held held;
	uint64_t word;
	struct sas_locks *locks;        /* whose lock it is; NULL: none's */
	struct sas_run_thread *thread;
	uint32_t slot, era;             /* lock_table.h */
	/* The region of `locks`: it holds as long as the stamp is sas_stamp(), and until the thread's books are freed: at
	 * SASThreadCleanUp(), and at its end, after which destructors of other libraries may still call. */
	uint32_t stamp;
	const uint32_t *life;           /* others may remove it */
	uint64_t base, size;
	struct sas_run_line *lines;
};
extern __thread struct sas_newest sas_newest __attribute__((visibility("hidden"), tls_model("initial-exec")));

/* May a thread that holds `from` have `to`, from this word? Who has waited long passes waiting writers that are not there. */
static inline int sas_lock_may(uint64_t word, unsigned from, unsigned to, int pass)
{
	uint64_t others = word - (from == SAS_HOLD_READ) - (from == SAS_HOLD_INTENT ? SAS_LOCK_INTENT : 0);

	/* While the key is changed WRITE and INTENT are set. */
	switch (to) {
	case SAS_HOLD_READ:
		return !(others & SAS_LOCK_WRITE) && (pass || !(others & SAS_LOCK_CHANGE_WAITS)) &&
		       (others & SAS_LOCK_READERS) < SAS_LOCK_READERS;
	case SAS_HOLD_INTENT:
		return !(others & (SAS_LOCK_WRITE | SAS_LOCK_INTENT));
	default:
		return !(others & SAS_LOCK_HELD);
	}
}

#define SAS_LOCK_FOREVER UINT64_MAX
#define SAS_LOCK_TELL 1U        /* -EOWNERDEAD, and the lock, when a holder of WRITE has died */
#define SAS_LOCK_PATIENT 2U     /* waits on in a circle, which is reported once */

/* --- lock.c */
/* nanoseconds: 0 does not wait. -EINVAL, -EBUSY, -ETIMEDOUT, -EDEADLK, -EOWNERDEAD, -EAGAIN, -ENOMEM, -ENOSPC, -EROFS, -ESTALE. */
int sas_lock_take(uint64_t address, unsigned mode, unsigned flags, uint64_t nanoseconds);
/* What is to be tried first, and before that lock_newest.h. 1: taken; 0: nothing has been done, sas_lock_take() finds out why. */
int sas_lock_take_at_once(uint64_t address, unsigned mode);
/* -EPERM: the thread does not hold it. */
int sas_lock_give(uint64_t address);
/* The same in a frame of the caller's, whose thread has a slot in r, which is the region of the address. */
int sas_lock_take_inside(struct sas_region *r, struct sas_thread *t, uint64_t address, unsigned mode, unsigned flags,
			 uint64_t nanoseconds);
int sas_lock_give_inside(const struct sas_region *r, struct sas_thread *t, uint64_t address);
/* The strongest mode in which the calling thread holds it. */
unsigned sas_lock_held(uint64_t address);

/* --- lock_held.c: the bookkeeping of a thread */
/* Its counts hold after sas_newest_settle(). */
struct sas_held *sas_held_find(struct sas_locks *locks, uint64_t address);
/* The newest lock as the others are, with counts; its word is forgotten. Only inside a call: a signal handler that locks must
 * not come between its stores, nor it between those of an interrupted call. */
void sas_newest_settle(void);
/* There is room for one more lock: sas_held_room() has nothing to do. */
int sas_held_has_room(const struct sas_locks *locks);
/* An entry for one more lock: the newest, whose content goes to its table. */
struct sas_held *sas_held_push(struct sas_locks *locks, uint64_t address);
/* It is not held any more. */
void sas_held_drop(struct sas_locks *locks, struct sas_held *held);
/* Room for one more, in process memory and in SAS.run. -ENOMEM, -EAGAIN, -ENOSPC. */
int sas_held_room(struct sas_region *r, struct sas_membership *m);
/* Any lock that is held; NULL: none is. */
struct sas_held *sas_held_any(struct sas_locks *locks);
/* Give back all that the thread holds; how many. */
uint32_t sas_locks_give_all(struct sas_locks *locks);
/* Forget it: a fork's child. */
void sas_locks_forget(struct sas_locks *locks);
void sas_locks_free(struct sas_locks *locks);

/* --- lock_wait.c */
struct sas_wait {
	struct sas_region *region;
	uint32_t slot;
	uint64_t address;
	unsigned from, to, flags;
	uint64_t until;                 /* CLOCK_MONOTONIC, ns; 0: does not wait */
	unsigned spins, looks;
	uint64_t look_at;               /* CLOCK_MONOTONIC, ns: when to look around next */
	int slept, reported, pass;
};
/* The lock cannot be had from `word`. 0: look again; -errno. */
int sas_lock_wait(struct sas_wait *w, sas_lock_t lock, uint64_t word);
/* Nobody says for how long: the latch of the bucket is not to be had. */
int sas_lock_wait_latch(struct sas_wait *w);
void sas_lock_wait_over(struct sas_wait *w);
/* The lock is held, and another thread still announces an update: `announced`, one of `thread`'s. 0: look again; -errno. */
int sas_lock_wait_update(struct sas_wait *w, sas_lock_t lock, struct sas_run_thread *thread, sas_u64_t *announced);

/* lock_wait of a slot: a count << 32 | for updates << 31 | lock << 4 | patient << 3 | waits << 2 | mode. */
#define SAS_WAIT_UPDATES 0x80000000U    /* it holds the lock, and waits for those who announce updates */
#define SAS_WAIT_PATIENT 8U
#define SAS_WAIT_OPEN 4U
static inline unsigned sas_wait_mode(uint64_t wait) { return wait & 3U; }
static inline sas_lock_t sas_wait_lock(uint64_t wait) { return ((sas_lock_t)wait & ~SAS_WAIT_UPDATES) >> 4; }
/* It waits until it may change the lock: new readers keep behind it. */
static inline int sas_wait_changes(uint64_t wait) { return !(wait & SAS_WAIT_UPDATES) && sas_wait_mode(wait) != SAS_HOLD_READ; }

/* --- lock_circle.c */
/* Is the calling thread's wait part of a circle, and it the one to give way, or where nobody does, to report? How many threads are in it,
 * else 0. */
unsigned sas_lock_circle(const struct sas_region *r, uint32_t slot);

#endif
