/* SPDX-License-Identifier: MIT */
/*
 * sassim.h - the classic calls: the life of the process's default region, and its blocks.
 *
 * Sizes and addresses are bytes. All calls are thread-safe. None may be called from a signal
 * handler but getSASFinder(); a call from a handler that interrupted another one fails with
 * EDEADLK. A call that fails sets errno and leaves a sentence: SASLastErrorMessage(3).
 * <sasregion.h> has the same for many regions by handle. Pages: sasphere(7), SASJoinRegion(3).
 */
#ifndef SASPHERE_SASSIM_H
#define SASPHERE_SASSIM_H

#include <stdlib.h>
#include "sasconf.h"
#include "sastype.h"

typedef unsigned long sasseg_t;

/* Join the region in the directory SASSTOREPATH, else in the working directory; create it if
 * there is none. 0, or 1 and errno. Joining the default region again is counted and gives 0. */
extern __C__ int SASJoinRegion (void);
/* The same for a named, existing directory. Also 2: no memory, 3: NULL. */
extern __C__ int SASJoinRegionByName (const char *store_name);
/* Undo one join; the last one unmaps the region. */
extern __C__ void SASCleanUp (void);
/* Delete the default region's files, and leave it. */
extern __C__ void SASRemove (void);
/* Empty the default region: all blocks and the finder are gone, peers get ESTALE. */
extern __C__ void SASReset (void);

/* The region's root pointer: NULL in a new region. getSASFinder is async-signal-safe. */
extern __C__ void setSASFinder (void *finder);
extern __C__ void *getSASFinder (void);

/* A block of 4 KiB * 2^n bytes, aligned to its size, its first 4 KiB zero. NULL and errno. */
extern __C__ void *SASBlockAlloc (unsigned long blockSize);
/* Give it back, with the size it was asked with. */
extern __C__ void SASBlockDealloc (void *blockAddr, unsigned long blockSize);

/* Size class: 4 KiB is 0, 8 KiB is 1, and so on; 0 for all that is no block size. */
extern __C__ unsigned int SASS2Log2 (unsigned long size);
/* First and one past the last address of the default region; 0 before a join. */
extern __C__ unsigned long getMemLow (void);
extern __C__ unsigned long getMemHigh (void);
/* Let SASFindHeader() accept [low, high), in a program that need not have joined. */
extern __C__ void setSASmemrange (unsigned long low, unsigned long high);

/* How SASListInUseMem() shows blocks: 1 neighbours merged (default), 0 each for itself. */
extern __C__ int getSASUseListFlag (void);
extern __C__ void setSASLinearUseList (void);
extern __C__ void setSASCompactUseList (void);

/* Fill the caller's arrays, which must be large enough: SASRegionListBlocks(3) is bounded. */
extern __C__ void SASListFreeRegion (void **blockAddr, unsigned long *blockSize, int *count);
extern __C__ void SASListAllocatedRegion (void **blockAddr, unsigned long *blockSize, int *count);
extern __C__ void SASListInUseMem (void **blockAddr, unsigned long *blockSize, int *count);
extern __C__ void SASListFreeMem (void **blockAddr, unsigned long *blockSize, int *count);
extern __C__ void SASListUncommittedMem (void **blockAddr, unsigned long *blockSize, int *count);
/* The same, bounded: at most `capacity` entries are stored; *count is how many there are.
 * 0, or -1 and errno. */
extern __C__ int SASListFreeRegionN (void **blockAddr, unsigned long *blockSize, int capacity, int *count);
extern __C__ int SASListAllocatedRegionN (void **blockAddr, unsigned long *blockSize, int capacity, int *count);
extern __C__ int SASListInUseMemN (void **blockAddr, unsigned long *blockSize, int capacity, int *count);
extern __C__ int SASListFreeMemN (void **blockAddr, unsigned long *blockSize, int capacity, int *count);
extern __C__ int SASListUncommittedMemN (void **blockAddr, unsigned long *blockSize, int capacity, int *count);

/* Depth that a balanced tree over the segments, or the blocks in use, would have. */
extern __C__ int SASMaxDepthAllocatedRegion (void);
extern __C__ int SASMaxDepthUseMem (void);
/* Bytes of the anchor block that its lists leave free. */
extern __C__ unsigned int SASAnchorFreeSpace (void);

/* Hold, release and repair the lock that all block calls of the region take. */
extern __C__ void SASSeize (void);
extern __C__ void SASRelease (void);
extern __C__ void SASResetSem (void);

/* Give the calling thread its place in the region now, or give it up; never needed. */
extern __C__ void SASThreadSetUp (void);
extern __C__ void SASThreadCleanUp (void);

#endif
