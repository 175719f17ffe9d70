/* SPDX-License-Identifier: MIT */
/*
 * sassimplespace.h - one block as one range of bytes: a header page of 4096 bytes, and the bytes behind it.
 *
 * A handle is the address of the block; a pointer to it is good in every process that joins the region, in every later run.
 * Calls that fail set errno and leave a sentence. EINVAL: a bad argument, or no simple space; errors of SASLockTake() where the
 * address lock of the space is taken.
 */
#ifndef SASPHERE_SASSIMPLESPACE_H
#define SASPHERE_SASSIMPLESPACE_H

#include "sasalloc.h"

typedef void *SASSimpleSpace_t;

/* Make heap_block, block_size bytes, aligned to 8, anywhere in memory, a space of space_size bytes; they are not
 * changed. heap_block, or NULL. */
extern __C__ SASSimpleSpace_t SASSimpleSpaceInit (void *heap_block, block_size_t block_size, block_size_t space_size);
/* In a new block of the default region, the smallest with room for it, 8 KiB at least. NULL: also errno of SASBlockAlloc(). */
extern __C__ SASSimpleSpace_t SASSimpleSpaceCreate (block_size_t space_size);
/* The first byte behind the header, aligned to 4096 in a region. */
extern __C__ void *SASSimpleSpaceToAddr (SASSimpleSpace_t space);
/* The inverse, of that address alone. */
extern __C__ SASSimpleSpace_t SASSimpleSpaceFromAddr (void *space);
/* Give its block back. 0, or -1: also where it is no whole block of a region. */
extern __C__ int SASSimpleSpaceDestroy (SASSimpleSpace_t space);
/* Bytes of its block behind the space. 0 and errno: no space. */
extern __C__ block_size_t SASSimpleSpaceFreeSpace (SASSimpleSpace_t space);
/* Without the lock. */
extern __C__ int SASSimpleSpaceDestroyNoLock (SASSimpleSpace_t space);

#endif
