/* SPDX-License-Identifier: MIT */
/*
 * sasepoch.h - epochs: readers without locks, and frees that wait for them.
 *
 * A thread that walks a shared structure without a lock does so in a critical section, between SASEpochEnter() and
 * SASEpochExit(). A thread that takes something out of the structure unlinks it first, and then defers what ends it: a
 * block to SASEpochFree(), anything else to a call. That runs when every section that was open at that
 * time, in any thread of any process, has ended. Readers wait for nobody and write no memory that others write.
 *
 * What may run is run in batches by the threads that defer; SASEpochReclaim() and a helper thread do the same at
 * other times, and neither is needed. A reader that does not leave its section holds back what was deferred since
 * it entered: that is counted, and limited. A reader that died is not waited for; one that is stopped is named.
 *
 * A region that is NULL is the default one (SASRegionDefault()). All calls are thread-safe; none may be called from
 * a signal handler that interrupted another. int calls give 0, or -1 and errno, and a sentence: SASLastErrorMessage().
 * Page: SASEpochEnter(3).
 */
#ifndef SASPHERE_SASEPOCH_H
#define SASPHERE_SASEPOCH_H

#include <stddef.h>
#include <stdint.h>
#include "sasregion.h"

/* A critical section of the calling thread. They nest: the outermost pair counts. */
extern __C__ int SASEpochEnter (SASRegion_t region);
/* EPERM: the thread is in none. */
extern __C__ int SASEpochExit (SASRegion_t region);

/* It may use the library, and defer more. It must return. */
typedef void (*SASEpochCall) (void *arg);
/* Call it when all who could see its object have left, in some thread of this process. What a process has deferred
 * dies with it. bytes: what it holds back, counted against the limit. EAGAIN: the limit is reached. */
extern __C__ int SASEpochDefer (SASRegion_t region, SASEpochCall call, void *arg, size_t bytes);
/* SASBlockFree() when all who could see the block have left, whoever lives then. The block is in use until that, of
 * SAS_GENERATION_RETIRED. EAGAIN, and the errors of SASBlockFree(). */
extern __C__ int SASEpochFree (void *block, size_t size);

/* Run what may run now, of all threads of this process, and free what dead ones left. How many, or -1. */
extern __C__ long SASEpochReclaim (SASRegion_t region);
/* Wait until all sections that are open now have ended; milliseconds: -1 for ever. EDEADLK: in a section of this
 * thread; ETIMEDOUT: the sentence names the reader that stalls. Runs nothing. */
extern __C__ int SASEpochSynchronize (SASRegion_t region, long milliseconds);
/* What may be held back in the whole region, by all its participants together; 0: the default. */
extern __C__ int SASEpochSetLimit (SASRegion_t region, uint64_t bytes, uint64_t count);

typedef struct SASEpochInfo {
	size_t structSize;              /* set by the caller: sizeof(SASEpochInfo) */
	uint64_t epoch;                 /* the present one; it goes on by 2 */
	uint64_t safe;                  /* what was deferred in an epoch below may run */
	uint64_t heldCalls, heldFrees;  /* that wait, in all of the region */
	uint64_t heldBytes;
	uint64_t limitBytes, limitCount;        /* of heldBytes, and of heldCalls + heldFrees */
	uint64_t deferred, reclaimed;   /* calls and frees since the run file was made, as batches were counted */
	uint32_t readers;               /* threads that are in a critical section */
	int32_t slowSlot;               /* the reader that is farthest behind: its thread slot; -1: none is behind */
	uint32_t slowPid, slowTid;
	uint64_t slowEpoch;             /* that it entered in */
	uint64_t slowSince;             /* when it was first seen to be behind, seconds since 1970 */
	uint64_t slowFor;               /* the same as nanoseconds until now */
	uint32_t asymmetric;            /* 1: sections of this process cost no fence (membarrier(2)) */
	uint32_t refused;               /* 1: this process may not use membarrier(2), which others' sections need */
} SASEpochInfo;
extern __C__ int SASEpochGetInfo (SASRegion_t region, SASEpochInfo *info);

/* A thread of this process that reclaims every so many milliseconds (1 or more). EALREADY: there is one. It ends when the
 * region is left, reset or removed. */
extern __C__ int SASEpochHelperStart (SASRegion_t region, long milliseconds);
/* EPERM: there is none. */
extern __C__ int SASEpochHelperStop (SASRegion_t region);

#endif
