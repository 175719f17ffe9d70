/* SPDX-License-Identifier: MIT */
/*
 * sassimpleheap.h - a heap inside one block: first fit, lowest address first, in units of 16 bytes. Its first 128
 * bytes are a header.
 *
 * A handle is the address of the block. The plain calls take the address lock of the heap: WRITE, queries READ; the NoLock
 * ones leave it to the program that calls on one heap exclude each other. Blocks of the type SAS_SIMPLEHEAP_TYPE are heaps,
 * whatever their subtype, but for the nodes of trees and contexts. Calls that fail change nothing, set errno and leave a sentence. EINVAL: a
 * bad argument, or no simple heap; EUCLEAN: its free ranges were written into; errors of SASLockTake() where the lock is taken.
 */
#ifndef SASPHERE_SASSIMPLEHEAP_H
#define SASPHERE_SASSIMPLEHEAP_H

#include "sasalloc.h"

typedef void *SASSimpleHeap_t;

/* Make heap_block, heap_size bytes (144 and more, rounded down to 16), aligned to 8, anywhere in memory, an empty heap
 * of this type. Bytes 64 to 127 are left alone. heap_block, or NULL. */
extern __C__ SASSimpleHeap_t SASSimpleHeapInit (void *heap_block, sas_type_t sasType, block_size_t heap_size);
/* In a new block of the default region, of this size, of type SAS_RUNTIME_SIMPLEHEAP. NULL: also errno of SASBlockAlloc(). */
extern __C__ SASSimpleHeap_t SASSimpleHeapCreate (block_size_t heap_size);
/* Give its block back. 0, or -1: also where it is of another subtype, or no whole block of a region (a page of a
 * compound heap). */
extern __C__ int SASSimpleHeapDestroy (SASSimpleHeap_t heap);
/* Bytes that are free, all in all. 0 and errno: no heap. */
extern __C__ block_size_t SASSimpleHeapFreeSpace (SASSimpleHeap_t heap);
/* 1: nothing is taken. */
extern __C__ int SASSimpleHeapEmpty (SASSimpleHeap_t heap);
/* alloc_size bytes, rounded up to 16, aligned to 16 as the block is, not zeroed. NULL, ENOSPC: no free range is
 * large enough. */
extern __C__ void *SASSimpleHeapAlloc (SASSimpleHeap_t heap, block_size_t alloc_size);
/* Give them back, with the size they were asked with; any part of what is taken may be given back. 0; -1 no heap, or the
 * lock was refused; -2 not inside the heap, or free already. */
extern __C__ int SASSimpleHeapFree (SASSimpleHeap_t heap, void *free_block, block_size_t alloc_size);
/* The heap around an address; NULL: the innermost object there is none. */
extern __C__ SASSimpleHeap_t SASSimpleHeapNearFind (void *nearObj);
/* SASNearAlloc() and SASNearDealloc() of sasalloc.h. */
extern __C__ void *SASSimpleHeapNearAlloc (void *nearObj, long allocSize);
extern __C__ void SASSimpleHeapNearDealloc (void *memAddr, long allocSize);
extern __C__ int SASSimpleHeapDestroyNoLock (SASSimpleHeap_t heap);
extern __C__ block_size_t SASSimpleHeapFreeSpaceNoLock (SASSimpleHeap_t heap);
extern __C__ void *SASSimpleHeapAllocNoLock (SASSimpleHeap_t heap, block_size_t alloc_size);
extern __C__ int SASSimpleHeapFreeNoLock (SASSimpleHeap_t heap, void *free_block, block_size_t alloc_size);
extern __C__ void *SASSimpleHeapNearAllocNoLock (void *nearObj, long allocSize);
extern __C__ void SASSimpleHeapNearDeallocNoLock (void *memAddr, long allocSize);
extern __C__ int SASSimpleHeapEmptyNoLock (SASSimpleHeap_t heap);

#endif
