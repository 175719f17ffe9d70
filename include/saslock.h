/* SPDX-License-Identifier: MIT */
/*
 * saslock.h - locks keyed by address, between the threads of all processes that have joined a region.
 *
 * Any address is a lock, nothing has to be made or freed, and what it points to is not looked at. An address inside a
 * joined region is a lock of that region; any other one is a lock of the default region (SASRegionDefault()).
 *
 * READ is shared; WRITE excludes all; INTENT excludes INTENT and WRITE, but lets READ in, and is what to take before deciding
 * whether to write. Who waits for INTENT or WRITE keeps new readers out. Locks belong to threads and nest: each taking is undone by one
 * SASUnlock(), the last first. READ then INTENT or WRITE, and INTENT then WRITE, is an upgrade, undone by its own unlock.
 *
 * When a thread dies, however it dies, the others have its locks within milliseconds. A thread that ends with a lock counts as dead;
 * one that leaves the region gives its locks back, while those of its process's other threads stay until they end.
 *
 * All calls are thread-safe, not async-signal-safe (EDEADLK inside an interrupted library call), and no cancellation
 * points. int calls give 0, or -1 and errno, and leave a sentence: SASLastErrorMessage(). Page: saslock(3).
 */
#ifndef SASPHERE_SASLOCK_H
#define SASPHERE_SASLOCK_H

#include <stddef.h>
#include <stdint.h>
#include "sasregion.h"
#include "sastype.h"

typedef void *vm_address_t;

typedef enum {
	SasUserLock__READ = 0,
	SasUserLock__WRITE = 1,
	SasUserLock__INTENT = 2
} sas_userlock_request_t;

/* Wait until the calling thread has the lock. Never returns without it, but for EINVAL: no region is joined or no such mode,
 * ESTALE: the region has gone, EROFS: it has no locks here, and EDEADLK: inside an interrupted call. A circle of threads that
 * wait for each other is reported once, through the sink. */
extern __C__ void SASLock (vm_address_t addr, sas_userlock_request_t lockT);
/* Undo the calling thread's last taking of the lock. EPERM: it does not hold it, and nothing has changed. */
extern __C__ void SASUnlock (vm_address_t addr);

/* --- the same with answers */
#define SAS_LOCK_OWNERDEAD 1U   /* tell when a thread that held it for writing has died */
#define SAS_LOCK_WAIT_FOREVER (-1L)

/* Take the lock, waiting at most so long: 0 does not wait. EBUSY, ETIMEDOUT; EDEADLK: the wait would never end;
 * EOWNERDEAD (asked for by the flag): the lock IS held now, what it guards may be half changed; EINVAL, ENOMEM, ENOSPC,
 * EAGAIN, EROFS, ESTALE. */
extern __C__ int SASLockTake (vm_address_t addr, sas_userlock_request_t mode, unsigned flags, long milliseconds);
/* SASLockTake(addr, mode, 0, 0). */
extern __C__ int SASLockTry (vm_address_t addr, sas_userlock_request_t mode);
/* SASUnlock() with an answer: EPERM. */
extern __C__ int SASLockGive (vm_address_t addr);
/* The strongest mode in which the calling thread holds it, a sas_userlock_request_t; -1: it does not. */
extern __C__ int SASLockHeld (vm_address_t addr);

/* --- who holds, who waits */
typedef enum {
	SASLock__HOLDS = 0,
	SASLock__WAITS = 1,
	SASLock__UPDATES = 2            /* changes the object at the address, beside others who do; no lock is held */
} sas_lock_state_t;

typedef struct SASLockInfo {
	void *address;
	sas_userlock_request_t mode;    /* nothing with UPDATES */
	sas_lock_state_t state;
	uint32_t slot, pid, tid;        /* the thread: its slot; pid and tid as in its own pid namespace */
	uint32_t alive;                 /* 1 yes, 0 dead and not yet recovered */
	uint32_t ownerDied;             /* 1: a holder of WRITE has died, and nobody has been told */
	uint64_t since;                 /* ns since 1970: a waiter's begin; a holder has held it at least since then; 0 unknown */
} SASLockInfo;

/* Stores up to capacity entries, by address, holders before waiters; gives how many there are, or -1. A picture of moving things. */
extern __C__ long SASLockList (SASRegion_t region, SASLockInfo *buffer, size_t capacity);

/* --- calls of the older runtime */
/* Give back the locks of the dead, now. Never touches what a living thread holds. */
extern __C__ void SASLockReset (void);
/* The locks are ready with the join, and go with the leave: these three change nothing. */
extern __C__ void SASLockInit (void);
extern __C__ void SASLockDetach (void);
extern __C__ void SASLockRemove (void);
/* To standard output: size and fill of the table; and each lock that is held or waited for. */
extern __C__ void SASLockPrintHighLevelStats (void);
extern __C__ void SASLockPrintDetailedStats (void);

#endif
