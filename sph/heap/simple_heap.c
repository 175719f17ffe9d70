/* SPDX-License-Identifier: MIT */
/*
 * simple_heap.c - a heap inside one block: first fit, in units of 16 bytes. Layer 5.
 *
 *   0    SASBlockHeader; blockFreeSpace: the list of free ranges
 *   64   left alone: of a page of a compound heap it is the page's (pages.h)
 *   128  what is handed out
 *
 * Locks: calls that change it, the heap's address lock, WRITE; queries, READ.
 * Crash: taking and giving back are one store each (freenode.c). A heap is one when its signatures stand, the last stores of
 *   SASSimpleHeapInit(). What a dead process had taken and told nobody of stays taken, as memory does.
 */
#include <config.h>

#include <errno.h>
#include <limits.h>
#include <stdint.h>

#include "block_list.h"
#include "object.h"
#include "sassimpleheap.h"

static const struct sph_kind heap_kind = { SAS_RUNTIME_SIMPLEHEAP, "simple heap" };

#define SMALLEST ((size_t)heap_offset + SPH_GRANULE)

static size_t capacity(const SASBlockHeader *header)
{
	return header->blockSize - heap_offset;
}

static int check_size(size_t size)
{
	if (size >= SMALLEST && size <= LONG_MAX)
		return 0;
	return sas_service_fail(EINVAL, "a simple heap of %zu bytes: %zu are the least", size, SMALLEST);
}

SASSimpleHeap_t SASSimpleHeapInit(void *heap_block, sas_type_t sasType, block_size_t heap_size)
{
	int error = check_size(heap_size);

	if (error == 0)
		error = sph_object_reach(heap_block, &heap_kind);
	if (error != 0)
		return sph_null(error);
	heap_size &= ~(size_t)(SPH_GRANULE - 1);
	initSOMSASBlock(heap_block, sasType, (long)heap_size, (char *)heap_block + heap_offset);
	return heap_block;
}

SASSimpleHeap_t SASSimpleHeapCreate(block_size_t heap_size)
{
	void *block = sph_object_take(heap_size);

	return block != NULL ? SASSimpleHeapInit(block, SAS_RUNTIME_SIMPLEHEAP, heap_size) : NULL;
}

int SASSimpleHeapDestroy(SASSimpleHeap_t heap)
{
	return sph_object_destroy(heap, &heap_kind, 1);
}

int SASSimpleHeapDestroyNoLock(SASSimpleHeap_t heap)
{
	return sph_object_destroy(heap, &heap_kind, 0);
}

/* --- taking and giving back */

static void *take(SASSimpleHeap_t heap, size_t size, enum sas_use_kind kind)
{
	void *range = NULL;
	struct sas_use use;
	int error = sph_object_begin(&use, heap, &heap_kind, kind);

	if (error == 0)
		error = sas_use_result(&use, sph_block_take(&use, heap, size, &range));
	return error == 0 ? range : sph_null(error);
}

void *SASSimpleHeapAlloc(SASSimpleHeap_t heap, block_size_t alloc_size)
{
	return take(heap, alloc_size, SAS_USE_EXCLUSIVE);
}

void *SASSimpleHeapAllocNoLock(SASSimpleHeap_t heap, block_size_t alloc_size)
{
	return take(heap, alloc_size, SAS_USE_UNLOCKED);
}

static int give(const struct sas_use *u, SASBlockHeader *header, void *range, size_t size)
{
	if (((uintptr_t)range - (uintptr_t)header) % SPH_GRANULE != 0)
		return sas_service_fail(EINVAL, "nothing that was taken from the simple heap at %p begins at %p",
					(void *)header, range);
	return sph_block_give(u, header, range, size);
}

static int free_range(SASSimpleHeap_t heap, void *range, size_t size, enum sas_use_kind kind)
{
	struct sas_use use;
	int error = sph_object_begin(&use, heap, &heap_kind, kind);

	if (error != 0)
		return sas_service_errno(error);
	error = sas_use_result(&use, give(&use, heap, range, size));
	if (error == 0)
		return 0;
	sas_service_errno(error);
	return error == -EINVAL ? -2 : -1;
}

int SASSimpleHeapFree(SASSimpleHeap_t heap, void *free_block, block_size_t alloc_size)
{
	return free_range(heap, free_block, alloc_size, SAS_USE_EXCLUSIVE);
}

int SASSimpleHeapFreeNoLock(SASSimpleHeap_t heap, void *free_block, block_size_t alloc_size)
{
	return free_range(heap, free_block, alloc_size, SAS_USE_UNLOCKED);
}

/* --- queries */

static int count_locked(SASSimpleHeap_t heap, struct sph_free_totals *totals)
{
	struct sas_use use;
	int error = sph_object_begin(&use, heap, &heap_kind, SAS_USE_READ);

	return error != 0 ? error : sas_use_result(&use, sph_block_total(&use, heap, totals));
}

/* Also where nothing may be changed: no use, but what maps. */
static int count_unlocked(SASSimpleHeap_t heap, struct sph_free_totals *totals)
{
	struct sas_look look;
	struct sas_use view = { .object = heap };
	int error = sph_object_check(heap, &heap_kind);

	if (error == 0)
		error = sas_look_begin_unlocked(&look, heap);
	if (error != 0)
		return error;
	view.region = look.region;
	view.base = look.base;
	view.size = look.size;
	view.mapped = look.mapped;
	view.shift = look.shift;
	return sph_block_total(&view, heap, totals);
}

static size_t free_space(SASSimpleHeap_t heap, int (*count)(SASSimpleHeap_t, struct sph_free_totals *))
{
	struct sph_free_totals totals;
	int error = count(heap, &totals);

	if (error == 0)
		return totals.bytes;
	sas_service_errno(error);
	return 0;
}

block_size_t SASSimpleHeapFreeSpace(SASSimpleHeap_t heap)
{
	return free_space(heap, count_locked);
}

block_size_t SASSimpleHeapFreeSpaceNoLock(SASSimpleHeap_t heap)
{
	return free_space(heap, count_unlocked);
}

/* A heap has room for one range at least, so 0 free bytes are not all of it. */
int SASSimpleHeapEmpty(SASSimpleHeap_t heap)
{
	size_t space = free_space(heap, count_locked);

	return space != 0 && space == capacity(heap);
}

int SASSimpleHeapEmptyNoLock(SASSimpleHeap_t heap)
{
	size_t space = free_space(heap, count_unlocked);

	return space != 0 && space == capacity(heap);
}

/* --- near */

SASSimpleHeap_t SASSimpleHeapNearFind(void *nearObj)
{
	SASBlockHeader *header = SASFindHeader(nearObj);

	if (header == NULL || sph_object_is(header, &heap_kind))
		return header;
	return sph_null(sas_service_fail(EINVAL, "%p lies in no simple heap", nearObj));
}

void *SASSimpleHeapNearAlloc(void *nearObj, long allocSize)
{
	return sph_near_alloc(nearObj, allocSize, SAS_USE_EXCLUSIVE);
}

void *SASSimpleHeapNearAllocNoLock(void *nearObj, long allocSize)
{
	return sph_near_alloc(nearObj, allocSize, SAS_USE_UNLOCKED);
}

void SASSimpleHeapNearDealloc(void *memAddr, long allocSize)
{
	sph_near_dealloc(memAddr, allocSize, SAS_USE_EXCLUSIVE);
}

void SASSimpleHeapNearDeallocNoLock(void *memAddr, long allocSize)
{
	sph_near_dealloc(memAddr, allocSize, SAS_USE_UNLOCKED);
}
