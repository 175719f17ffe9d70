/* SPDX-License-Identifier: MIT */
/*
 * epoch_defer.h - what threads have deferred, and running it when nobody can see it any more. Layer 3.
 *
 * A limbo belongs to a thread and a region. Calls wait in it in bags, process memory: the open one is being filled;
 * when it is full it is sealed: tagged with the epoch then, which is the tag of all in it. So a call that defers costs
 * no fence and writes no line that processes share. Frees of blocks wait in pages of SAS.run (epoch_free.c); the limbo
 * knows them by number.
 *
 * Limbos are in one list of the process and never freed, only used again. A thread that ends leaves its limbo to the
 * others, which empty it.
 *
 * Locks: a limbo's `lock`, for a few stores at a time; any lock of runtime.h may be held. Calls are run outside of all
 *   locks and frames: they may use the library.
 * Fork: the child's limbos are emptied without running anything: the calls are the parent's.
 */
#ifndef SAS_EPOCH_DEFER_H
#define SAS_EPOCH_DEFER_H

#include <stddef.h>
#include "epoch.h"
#include "region/runtime.h"

#define SAS_BAG_CALLS 1024U

struct sas_bag {
	struct sas_bag *next;
	struct sas_limbo *limbo;        /* that it comes from, while it is run */
	uint64_t tag, bytes;
	uint32_t count;
	struct { void (*call)(void *arg); void *arg; } calls[SAS_BAG_CALLS];
};

#define SAS_LIMBO_FREE 0U
#define SAS_LIMBO_USED 1U       /* by a thread */
#define SAS_LIMBO_LEFT 2U       /* its thread has ended; it holds calls */

struct sas_limbo {
	struct sas_limbo *next;
	sas_u32_t state;
	sas_u32_t lock;
	sas_u64_t serial;               /* of the region; 0: none */
	/* Under the lock. */
	struct sas_run *run;
	struct sas_run_thread *slot;    /* NULL: left */
	uint32_t process;               /* slot */
	uint32_t detached;              /* bags that are being run */
	struct sas_bag *open, *first, *last, *spare;
	uint64_t calls, bytes;          /* held back, as the slot shows them */
	uint64_t credit_calls, credit_bytes;    /* may be deferred before the limit is looked at again */
	uint64_t since;                 /* calls deferred since it was last reclaimed */
	/* The thread's own. */
	uint32_t *pages, page_count, page_room;
	uint32_t fill;                  /* in the last page: the next entry */
	uint32_t frees_since;
};

static inline int sas_limbo_trylock(struct sas_limbo *l)
{
	return sas_exchange_acq_rel_u32(&l->lock, 1) == 0;
}

static inline void sas_limbo_unlock(struct sas_limbo *l)
{
	sas_store_release_u32(&l->lock, 0);
}

/* Lock held. 0: there is no room, or no credit. */
static inline int sas_limbo_push(struct sas_limbo *l, void (*call)(void *arg), void *arg, uint64_t bytes)
{
	struct sas_bag *bag = l->open;

	if (!bag || bag->count == SAS_BAG_CALLS || l->credit_calls == 0 || l->credit_bytes < bytes)
		return 0;
	bag->calls[bag->count].call = call;
	bag->calls[bag->count].arg = arg;
	bag->count++;
	bag->bytes += bytes;
	l->credit_calls--;
	l->credit_bytes -= bytes;
	l->since++;
	l->calls++;
	l->bytes += bytes;
	sas_store_relaxed_u64(&l->slot->epoch_calls, l->calls);
	sas_store_relaxed_u64(&l->slot->epoch_bytes, l->bytes);
	return 1;
}

/* --- epoch_defer.c */
#define SAS_RECLAIM_ALL 1U      /* of all threads of this process, not of this one and those that have ended */
#define SAS_RECLAIM_LOOK 2U     /* look for readers even if something may be run without */
int sas_epoch_defer(struct sas_region *r, void (*call)(void *arg), void *arg, uint64_t bytes);
/* Outside of a frame. How many calls and frees it ran, or -errno. */
long sas_epoch_reclaim(struct sas_region *r, unsigned how);
int sas_epoch_synchronize(struct sas_region *r, long milliseconds);
int sas_epoch_set_limit(struct sas_region *r, uint64_t bytes, uint64_t count);
/* This thread's limbo in r, in which it has a slot. NULL: no memory, with a sentence. */
struct sas_limbo *sas_limbo_of(struct sas_thread *t, const struct sas_region *r);
void sas_limbo_lock(struct sas_limbo *l);
/* `bytes` more may be held back: takes the credit for it. 1: the limit is reached; *due: it is time to reclaim. */
int sas_limbo_admit(struct sas_region *r, struct sas_limbo *l, uint64_t bytes, int *due);
/* EAGAIN, with a sentence that names the reader that is farthest behind. */
int sas_epoch_refuse(struct sas_region *r);
/* Its thread gives up its slot. */
void sas_limbo_leave(struct sas_limbo *l);
/* The same for one that ends inside of a call or a lock: nothing waits here. */
void sas_limbo_abandon(struct sas_limbo *l);
/* This process has deferred calls that have not run. */
int sas_epoch_holds(const struct sas_region *r);
/* This process leaves the region, or begins anew in it: what has not run is dropped. */
void sas_epoch_drop(const struct sas_region *r);
/* In a fork's child. */
void sas_epoch_forget(void);

/* --- epoch_free.c */
int sas_epoch_free(struct sas_region *r, uint64_t offset, uint64_t size);
/* Free what may be freed of this thread's and of the dead's. In a call; takes block_lock. How many. */
long sas_limbo_free_ready(struct sas_region *r, struct sas_thread *t, struct sas_limbo *l);
/* The oldest tag of its frees; UINT64_MAX: there is none. */
uint64_t sas_limbo_oldest_free(const struct sas_limbo *l);
/* What the dead left, and nobody has taken over yet. */
void sas_epoch_orphans(const struct sas_run *run, uint64_t *frees, uint64_t *bytes);
/* Nobody lives: free what the dead, and those that have left, did not. table_lock held; _locked: block_lock too. */
int sas_epoch_reap(struct sas_region *r);
int sas_epoch_reap_locked(struct sas_region *r);
/* There may be something to be freed so. */
int sas_epoch_left(const struct sas_run *run);

/* --- epoch_helper.c */
int sas_helper_start(struct sas_region *r, long milliseconds);
/* 1: there was one. EDEADLK: from a call that it runs. */
int sas_helper_stop(const struct sas_region *r);
/* The same for who is about to end the region; 0 where there is none. */
int sas_helper_end(const struct sas_region *r);
void sas_helper_forget(void);

#endif
