/* SPDX-License-Identifier: MIT */
/*
 * sassimplestack.h - one block that is filled upwards, in units of 16 bytes, and emptied back to any point. Its first 4096
 * bytes are a header.
 *
 * A handle is the address of the block. The plain calls take the address lock of the stack, WRITE; the NoLock ones
 * leave it to the program that calls on one stack exclude each other. Calls that fail change nothing, set errno and
 * leave a sentence. EINVAL: a bad argument, or no simple stack; EUCLEAN: its header was written into; errors of
 * SASLockTake() where the lock is taken.
 */
#ifndef SASPHERE_SASSIMPLESTACK_H
#define SASPHERE_SASSIMPLESTACK_H

#include "sasalloc.h"

typedef void *SASSimpleStack_t;

/* Make heap_block, block_size bytes (4112 and more), aligned to 8, anywhere in memory, an empty stack. heap_block, or NULL. */
extern __C__ SASSimpleStack_t SASSimpleStackInit (void *heap_block, block_size_t block_size);
/* In a new block of the default region, of this size. NULL: also errno of SASBlockAlloc(). */
extern __C__ SASSimpleStack_t SASSimpleStackCreate (block_size_t stack_size);
/* Give its block back. 0, or -1: also where it is no whole block of a region. */
extern __C__ int SASSimpleStackDestroy (SASSimpleStack_t stack);
/* Bytes that are free. 0 and errno: no stack. */
extern __C__ block_size_t SASSimpleStackFreeSpace (SASSimpleStack_t stack);
/* The next bytes, aligned to 16 as the block is; alloc_size is rounded up to 16, 0 takes nothing and tells where the
 * next ones begin. NULL, ENOSPC: there is no room. */
extern __C__ void *SASSimpleStackAlloc (SASSimpleStack_t stack, block_size_t alloc_size);
/* The same in the stack that SASFindHeader() finds around an address; NULL, EFAULT or ENOENT: it finds nothing. */
extern __C__ void *SASSimpleStackNearAlloc (void *near_stack, block_size_t alloc_size);
/* Give back what begins at stack_pointer, and all that was taken after it. 0; -1 no stack, or the lock was
 * refused; -2 outside of what is taken; -3 not a multiple of 16 from the block's beginning. */
extern __C__ int SASSimpleStackDealloc (SASSimpleStack_t stack, void *stack_pointer);
extern __C__ int SASSimpleStackDestroyNoLock (SASSimpleStack_t stack);
extern __C__ block_size_t SASSimpleStackFreeSpaceNoLock (SASSimpleStack_t stack);
extern __C__ void *SASSimpleStackAllocNoLock (SASSimpleStack_t stack, block_size_t alloc_size);
extern __C__ void *SASSimpleStackNearAllocNoLock (void *near_stack, block_size_t alloc_size);
extern __C__ int SASSimpleStackDeallocNoLock (SASSimpleStack_t stack, void *stack_pointer);

#endif
