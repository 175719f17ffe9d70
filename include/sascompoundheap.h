/* SPDX-License-Identifier: MIT */
/*
 * sascompoundheap.h - a heap of pages of one size, each of which is a simple heap.
 *
 * Sizes are bytes. A heap's block is a power of two, its pages are 512 to 65536 bytes, a power of two. The first max(4096, page
 * size) bytes are header. An expanding heap takes further blocks of the same size from its region.
 *
 * Calls that fail set errno and leave a sentence. Page calls work beside each other, in any number of threads and processes; they wait
 * for who holds the heap's address lock, the NoLock forms do not. Not async-signal-safe. Killed at any instruction, a
 * process leaves a page in use or free, a block in the heap or in the region. Pages: SASCompoundHeapCreate(3),
 * SASCompoundHeapAlloc(3), SASCompoundHeapWriteAll(3).
 */
#ifndef SASPHERE_SASCOMPOUNDHEAP_H
#define SASPHERE_SASCOMPOUNDHEAP_H

#include "sassimpleheap.h"

typedef void *SASCompoundHeap_t;

/* Format memory as a heap: a block of a region, or other memory, aligned to 16; where SASFindHeader() is to find its pages,
 * to heap_size. Its first 4096 bytes become 0 first, so a death leaves no heap. The heap, or NULL: EINVAL; EROFS, ESTALE. */
extern __C__ SASCompoundHeap_t SASCompoundHeapInit (void *heap_block, block_size_t heap_size,
						     block_size_t page_size, int expanding);
/* The same in a new block of the default region: expanding, and, Fixed, not expanding; pages of 4096 bytes, or page_size.
 * NULL: EINVAL, or errno of SASBlockAlloc(). */
extern __C__ SASCompoundHeap_t SASCompoundHeapCreate (block_size_t heap_size);
extern __C__ SASCompoundHeap_t SASCompoundHeapCreatePageSize (block_size_t heap_size, block_size_t page_size);
extern __C__ SASCompoundHeap_t SASCompoundFixedHeapCreate (block_size_t heap_size);
/* One more block, now: it is the heap's, and given for looking at. NULL: EINVAL, a heap that does not expand; ENOSPC. */
extern __C__ SASCompoundHeap_t SASCompoundHeapExpandCreate (SASCompoundHeap_t heap);
/* Give back all blocks of the heap. One outside every region is no heap any more, its memory stays the program's. Nobody uses it
 * meanwhile, or after. errno: EINVAL. A death leaves a heap, maybe with fewer blocks: destroy it again. */
extern __C__ void SASCompoundHeapDestroy (SASCompoundHeap_t heap);
extern __C__ void SASCompoundHeapDestroyNoLock (SASCompoundHeap_t heap);

/* How full, in percent, a block of an expanding heap becomes before the next one is used: 1 to 100, 75 at first. The
 * handle itself is passed, whatever the type says. -1: EINVAL. */
extern __C__ void SASCompoundHeapSetLoadFactor (SASCompoundHeap_t *heap, int load);
extern __C__ int SASCompoundHeapGetLoadFactor (SASCompoundHeap_t *heap);

/* Bytes of a page; of all free pages; of all blocks. 0: EINVAL, EUCLEAN. */
extern __C__ block_size_t SASCompoundHeapAllocSize (SASCompoundHeap_t heap);
extern __C__ block_size_t SASCompoundHeapFreeSpace (SASCompoundHeap_t heap);
extern __C__ block_size_t SASCompoundHeapFreeSpaceNoLock (SASCompoundHeap_t heap);
extern __C__ block_size_t SASCompoundHeapAllocSpace (SASCompoundHeap_t heap);

/* A page as a simple heap, whose baseBlock is the block that it lies in; the lowest free one of the last block, or of the first one
 * that is not full by the load factor, or of a new block. NULL: ENOSPC; EINVAL. */
extern __C__ SASSimpleHeap_t SASCompoundHeapAlloc (SASCompoundHeap_t heap);
extern __C__ SASSimpleHeap_t SASCompoundHeapAllocNoLock (SASCompoundHeap_t heap);
/* The same, from the block that an address lies in, as long as it has free pages. The address: the heap itself, or any in it. */
extern __C__ SASSimpleHeap_t SASCompoundHeapNearAlloc (void *nearObj);
extern __C__ SASSimpleHeap_t SASCompoundHeapNearAllocNoLock (void *nearObj);
/* Give a page back; it becomes all zero, but for 8 bytes at offset 72. errno, and nothing is changed: EINVAL, not a page in
 * use of this heap. */
extern __C__ void SASCompoundHeapFree (SASCompoundHeap_t heap, SASSimpleHeap_t free_block);
extern __C__ void SASCompoundHeapFreeNoLock (SASCompoundHeap_t heap, SASSimpleHeap_t free_block);
/* Give back the page that an address lies in. */
extern __C__ void SASCompoundHeapNearDealloc (void *memAddr);
extern __C__ void SASCompoundHeapNearDeallocNoLock (void *memAddr);

/* The calls of sasmsync.h on each block. Bytes of the blocks for which it succeeded: all, or errno is set. */
extern __C__ block_size_t SASCompoundHeapWriteAll (SASCompoundHeap_t heap, int asyncBool);
extern __C__ block_size_t SASCompoundHeapPurgeAll (SASCompoundHeap_t heap, int asyncBool);
extern __C__ block_size_t SASCompoundHeapReleaseAll (SASCompoundHeap_t heap);
extern __C__ block_size_t SASCompoundHeapBringAll (SASCompoundHeap_t heap);
extern __C__ block_size_t SASCompoundHeapSeqAccessAll (SASCompoundHeap_t heap);
extern __C__ block_size_t SASCompoundHeapRandomAccessAll (SASCompoundHeap_t heap);

#endif
