/* SPDX-License-Identifier: MIT */
/*
 * compound_heap.c - heaps of pages, each a simple heap. Layer 5.
 *
 * Locks: none; page calls are updates (sas/service.h) and work beside each other (pages.h). Destroying excludes.
 * Crash: a page is formatted in transit, and in use by one store; it goes back the same way. No page in transit is reached by
 *   anybody, so those of the dead are free: they are counted so, and given back when they are needed: those of the last block before
 *   there is a new one, all when there can be no new one, or when the heap has become twice as large.
 */
#include <config.h>

#include <errno.h>
#include <string.h>

#include "sph/pages/pages.h"
#include "sascompoundheap.h"
#include "sasmsync.h"
#include "sassim.h"
#include "sph/racy.h"
#include "sph/word.h"

#define DEFAULT_PAGE 4096U
#define INNER_HEADERS (65536 / 512)     /* a page holds no more of them */

/* --- what a handle is */

static int is_compound(const SASBlockHeader *block)
{
	return SOMSASCheckBlockSigAndType(block, SAS_RUNTIME_COMPOUNDHEAP);
}

enum { ANY, OWN };              /* trees as well; compound heaps alone */

static int check_heap(const SASBlockHeader *heap, int whose)
{
	if (!is_compound(heap) ||
	    (whose == OWN && !SOMSASCheckBlockSigAndTypeAndSubtype(heap, SAS_RUNTIME_COMPOUNDHEAP)))
		return sas_service_fail(EINVAL, "%p is no compound heap", (const void *)heap);
	return sph_pages_sound(heap);
}

static int begin(struct sas_use *u, SASBlockHeader *heap, enum sas_use_kind kind, int whose)
{
	int error;

	if (!heap)
		return sas_service_fail(EINVAL, "NULL is no compound heap");
	error = sas_use_begin(u, heap, kind);
	if (error)
		return error;
	error = sas_use_reach(u, heap);
	if (!error)
		error = check_heap(heap, whose);
	return error ? sas_use_result(u, error) : 0;
}

/* What a read-only look at the header gives: 0, or -errno. */
static int look(SASBlockHeader *heap, int (*read)(SASBlockHeader *heap, void *found), void *found)
{
	struct sas_look l;
	int error;

	if (!heap)
		return sas_service_fail(EINVAL, "NULL is no compound heap");
	error = sas_look_begin(&l, heap);
	if (error)
		return error;
	do {
		error = sas_look_reach(&l, heap);
		if (!error)
			error = check_heap(heap, ANY);
		if (!error)
			error = read(heap, found);
	} while (!sas_look_ok(&l, heap));
	return error;
}

/* The public edge of calls whose failure only errno tells: one that succeeds leaves it as it was. 0, or -1. */
static int edge(int error, int before)
{
	if (error == 0)
		errno = before;
	return sas_service_errno(error);
}

/* --- making and destroying */

static SASCompoundHeap_t init(void *block, size_t size, size_t page_size, int expanding)
{
	struct sas_use use;
	int error;

	if (!block)
		error = sas_service_fail(EINVAL, "NULL is no block");
	else
		error = sas_use_begin(&use, block, SAS_USE_UNLOCKED);
	if (!error) {
		error = sph_pages_map(&use, block, size);
		if (!error)
			error = sph_pages_format(block, size, page_size, expanding, SAS_RUNTIME_COMPOUNDHEAP, 0);
		error = sas_use_result(&use, error);
	}
	return sas_service_errno(error) == 0 ? block : NULL;
}

SASCompoundHeap_t SASCompoundHeapInit(void *heap_block, block_size_t heap_size, block_size_t page_size, int expanding)
{
	return init(heap_block, heap_size, page_size, expanding);
}

static SASCompoundHeap_t create(size_t size, size_t page_size, int expanding)
{
	int error = sph_pages_check_shape(size, page_size);
	void *block;

	if (sas_service_errno(error) != 0)
		return NULL;
	block = SASBlockAlloc(size);
	if (block && !init(block, size, page_size, expanding)) {
		error = errno;
		SASBlockDealloc(block, size);
		errno = error;
		block = NULL;
	}
	return block;
}

SASCompoundHeap_t SASCompoundHeapCreate(block_size_t heap_size)
{
	return create(heap_size, DEFAULT_PAGE, 1);
}

SASCompoundHeap_t SASCompoundHeapCreatePageSize(block_size_t heap_size, block_size_t page_size)
{
	return create(heap_size, page_size, 1);
}

SASCompoundHeap_t SASCompoundFixedHeapCreate(block_size_t heap_size)
{
	return create(heap_size, DEFAULT_PAGE, 0);
}

SASCompoundHeap_t SASCompoundHeapExpandCreate(SASCompoundHeap_t heap)
{
	struct sas_use use;
	SASBlockHeader *block = NULL;
	int error = begin(&use, heap, SAS_USE_UPDATE, OWN);

	if (!error) {
		block = sph_pages_expand(&use, heap, &error);
		error = sas_use_result(&use, error);
	}
	return sas_service_errno(error) == 0 ? block : NULL;
}

static int destroy_blocks(struct sas_use *u, SASBlockHeader *heap)
{
	int error;

	if (heap->baseBlock != heap)
		return sas_service_fail(EINVAL, "%p is a further block of the heap at %p", (void *)heap,
					(void *)heap->baseBlock);
	error = sph_pages_destroy(u, heap);
	if (!error && !u->region)
		memset(heap, 0, sizeof *heap);
	return error;
}

/* The main block stays a heap until the region has it back, so that it can be destroyed by somebody else if we die. */
static void destroy(SASBlockHeader *heap, enum sas_use_kind kind)
{
	struct sas_use use;
	size_t size = 0;
	int before = errno, error = begin(&use, heap, kind, OWN);

	if (!error) {
		error = destroy_blocks(&use, heap);
		if (!error && use.region)
			size = heap->blockSize;
		error = sas_use_result(&use, error);
	}
	if (edge(error, before) == 0 && size > 0)
		SASBlockDealloc(heap, size);
}

void SASCompoundHeapDestroy(SASCompoundHeap_t heap)
{
	destroy(heap, SAS_USE_EXCLUSIVE);
}

void SASCompoundHeapDestroyNoLock(SASCompoundHeap_t heap)
{
	destroy(heap, SAS_USE_UNLOCKED);
}

/* --- load factor, sizes */

void SASCompoundHeapSetLoadFactor(SASCompoundHeap_t *heap, int load)
{
	SASBlockHeader *block = (SASBlockHeader *)(void *)heap;
	struct sas_use use;
	int before = errno, error = begin(&use, block, SAS_USE_UNLOCKED, ANY);

	if (!error) {
		if (load < 1 || load > 100)
			error = sas_service_fail(EINVAL, "a load factor of %d: it is a percentage, 1 to 100", load);
		else
			__atomic_store_n(&sph_pages(block)->load_factor, load, __ATOMIC_RELAXED);
		error = sas_use_result(&use, error);
	}
	edge(error, before);
}

static int read_load(SASBlockHeader *heap, void *found)
{
	*(int *)found = __atomic_load_n(&sph_pages(heap)->load_factor, __ATOMIC_RELAXED);
	return 0;
}

int SASCompoundHeapGetLoadFactor(SASCompoundHeap_t *heap)
{
	int load = -1;
	int error = look((SASBlockHeader *)(void *)heap, read_load, &load);

	return sas_service_errno(error) == 0 ? load : -1;
}

static int read_page_size(SASBlockHeader *heap, void *found)
{
	*(size_t *)found = sph_pages(heap)->page_size;
	return 0;
}

static int read_space(SASBlockHeader *heap, void *found)
{
	*(size_t *)found = (sph_load_acquire(&sph_pages(heap)->expansions) + 1) * heap->blockSize;
	return 0;
}

static size_t looked_size(SASBlockHeader *heap, int (*read)(SASBlockHeader *heap, void *found))
{
	size_t found = 0;
	int before = errno;

	return edge(look(heap, read, &found), before) == 0 ? found : 0;
}

block_size_t SASCompoundHeapAllocSize(SASCompoundHeap_t heap)
{
	return looked_size(heap, read_page_size);
}

block_size_t SASCompoundHeapAllocSpace(SASCompoundHeap_t heap)
{
	return looked_size(heap, read_space);
}

static size_t free_space(SASBlockHeader *heap, enum sas_use_kind kind)
{
	struct sas_use use;
	size_t size = 0;
	int before = errno, error = begin(&use, heap, kind, ANY);

	if (!error) {
		size = sph_pages_free_bytes(&use, heap);
		error = sas_use_result(&use, 0);
	}
	return edge(error, before) == 0 ? size : 0;
}

block_size_t SASCompoundHeapFreeSpace(SASCompoundHeap_t heap)
{
	return free_space(heap, SAS_USE_READ);
}

block_size_t SASCompoundHeapFreeSpaceNoLock(SASCompoundHeap_t heap)
{
	return free_space(heap, SAS_USE_UNLOCKED);
}

/* --- pages */

/* The heap has become twice as large since this was last so: looking at all its pages is cheap beside that. */
static int has_doubled(uint64_t before, uint64_t now)
{
	return now != before && (now & (now - 1)) == 0;
}

/* All but the header, which goes last, and the version. */
static void clear_page(const SASBlockHeader *heap, void *page)
{
	const size_t kept = sizeof(SASBlockHeader) + offsetof(struct sph_m_page, object);

	memset((char *)page + kept, 0, sph_pages(heap)->page_size - kept);
}

/* What was in transit by a dead thread: it was taking the page, or giving it, and may not have come to clear it. */
static int clear_lost(void *page, void *heap)
{
	clear_page(heap, page);
	return 0;
}

static void *take_page(struct sas_use *u, SASBlockHeader *heap, const void *near, int *error)
{
	uint64_t before = sph_load_acquire(&sph_pages(heap)->expansions);
	void *page = sph_pages_find(u, heap, near, error);

	if (!page && !*error && sph_pages_reclaim_last(u, heap, clear_lost, heap) > 0)
		page = sph_pages_find(u, heap, near, error);
	if (!page && !*error)
		page = sph_pages_take(u, heap, near, error);
	if (!page && *error == -ENOSPC && sph_pages_reclaim(u, heap, clear_lost, heap) > 0)
		page = sph_pages_take(u, heap, near, error);
	if (page && has_doubled(before, sph_load_acquire(&sph_pages(heap)->expansions)))
		sph_pages_reclaim(u, heap, clear_lost, heap);
	return page;
}

static SASBlockHeader *make_simple(struct sas_use *u, SASBlockHeader *heap, const void *near, int *error)
{
	SASBlockHeader *page = take_page(u, heap, near, error);

	if (!page)
		return NULL;
	/* As SASSimpleHeapInit() does, which has a frame of its own. */
	initSOMSASBlock(page, SAS_RUNTIME_SIMPLEHEAP, (long)sph_pages(heap)->page_size, (char *)page + heap_offset);
	page->baseBlock = sph_pages_block_of(u, heap, page);
	sph_pages_settle(page);
	return page;
}

static SASSimpleHeap_t alloc(SASBlockHeader *heap, const void *near, enum sas_use_kind kind)
{
	SASBlockHeader *page = NULL;
	struct sas_use use;
	int error = begin(&use, heap, kind, OWN);

	if (!error) {
		page = make_simple(&use, heap, near, &error);
		error = sas_use_result(&use, page ? 0 : error);
	}
	return sas_service_errno(error) == 0 ? page : NULL;
}

SASSimpleHeap_t SASCompoundHeapAlloc(SASCompoundHeap_t heap)
{
	return alloc(heap, NULL, SAS_USE_UPDATE);
}

SASSimpleHeap_t SASCompoundHeapAllocNoLock(SASCompoundHeap_t heap)
{
	return alloc(heap, NULL, SAS_USE_UNLOCKED);
}

/* 0: a page of the heap begins there. */
static int check_page(struct sas_use *u, SASBlockHeader *heap, const SASBlockHeader *page)
{
	SASBlockHeader *block = sph_pages_block_of(u, heap, page);
	size_t at = (size_t)((const char *)page - (const char *)block), first = sph_pages(heap)->first;
	SASBlockHeader seen;
	int error;

	if (!block || at < first || (at - first) % sph_pages(heap)->page_size != 0)
		return sas_service_fail(EINVAL, "no page of the heap at %p begins at %p", (void *)heap, (const void *)page);
	error = sas_use_reach(u, page);
	if (error)
		return error;
	/* Another may be freeing it. */
	sph_racy_copy(&seen, page, sizeof seen);
	if (!SOMSASCheckBlockSigAndType(&seen, SAS_RUNTIME_SIMPLEHEAP))
		return sas_service_fail(EINVAL, "the page at %p is no simple heap", (const void *)page);
	return 0;
}

static int give_page(struct sas_use *u, SASBlockHeader *heap, SASBlockHeader *page)
{
	int error = check_page(u, heap, page);

	/* Of two who free it at once, one comes through. */
	if (!error && sph_pages_withdraw(u, page) != 0)
		error = sas_service_fail(EINVAL, "the page at %p is not in use", (void *)page);
	if (error)
		return error;
	clear_page(heap, page);
	sph_pages_give(heap, page);
	return 0;
}

static void give(SASBlockHeader *heap, SASBlockHeader *page, enum sas_use_kind kind)
{
	struct sas_use use;
	int before = errno, error = begin(&use, heap, kind, OWN);

	if (!error)
		error = sas_use_result(&use, give_page(&use, heap, page));
	edge(error, before);
}

void SASCompoundHeapFree(SASCompoundHeap_t heap, SASSimpleHeap_t free_block)
{
	give(heap, free_block, SAS_USE_UPDATE);
}

void SASCompoundHeapFreeNoLock(SASCompoundHeap_t heap, SASSimpleHeap_t free_block)
{
	give(heap, free_block, SAS_USE_UNLOCKED);
}

/* --- by an address */

/* A compound block of which the address is a part. */
static int is_around(const SASBlockHeader *block, const void *address)
{
	return is_compound(block) && (uintptr_t)address - (uintptr_t)block < block->blockSize && sph_pages_sound(block) == 0;
}

/* The block around an address: its own header is found, or that of a page, which leads to it, or of some object in a page, below
 * which there is one of the two. A pointer in a header is followed when a header is found there. */
static SASBlockHeader *block_around(const void *address)
{
	SASBlockHeader *header = SASFindHeader(address);

	for (unsigned i = 0; header && i <= INNER_HEADERS; i++) {
		SASBlockHeader *base = header->baseBlock;

		if (is_around(header, address))
			return header;
		if (base != header && base && SASFindHeader(base) == base && is_around(base, address))
			return base;
		header = SASFindHeader((char *)header - 1);
	}
	return NULL;
}

static SASBlockHeader *heap_around(const void *address, SASBlockHeader **block)
{
	SASBlockHeader *main;

	*block = block_around(address);
	main = *block ? (*block)->baseBlock : NULL;
	if (main && (main == *block || (SASFindHeader(main) == main && is_compound(main))))
		return main;
	sas_service_errno(sas_service_fail(EINVAL, "%p lies in no compound heap", address));
	return NULL;
}

static SASSimpleHeap_t near_alloc(const void *address, enum sas_use_kind kind)
{
	SASBlockHeader *block, *heap = heap_around(address, &block);

	return heap ? alloc(heap, block, kind) : NULL;
}

SASSimpleHeap_t SASCompoundHeapNearAlloc(void *nearObj)
{
	return near_alloc(nearObj, SAS_USE_UPDATE);
}

SASSimpleHeap_t SASCompoundHeapNearAllocNoLock(void *nearObj)
{
	return near_alloc(nearObj, SAS_USE_UNLOCKED);
}

static void near_dealloc(const char *address, enum sas_use_kind kind)
{
	int before = errno;
	SASBlockHeader *block, *heap = heap_around(address, &block);
	size_t page_size, inside;

	if (!heap)
		return;
	errno = before;
	/* Pages begin at multiples of their size, and so does the first one. */
	page_size = sph_pages(block)->page_size;
	inside = (size_t)(address - (char *)block);
	give(heap, (SASBlockHeader *)(void *)((char *)block + inside / page_size * page_size), kind);
}

void SASCompoundHeapNearDealloc(void *memAddr)
{
	near_dealloc(memAddr, SAS_USE_UPDATE);
}

void SASCompoundHeapNearDeallocNoLock(void *memAddr)
{
	near_dealloc(memAddr, SAS_USE_UNLOCKED);
}

/* --- write-back and advice */

struct block_sought { uint64_t n; SASBlockHeader *block; };

static int read_block(SASBlockHeader *heap, void *found)
{
	struct block_sought *sought = found;

	sought->block = sph_pages_block(heap, sought->n);
	return 0;
}

/* The calls of sasmsync.h have frames of their own, so they are made between looks. */
static size_t each_block(SASBlockHeader *heap, int (*call)(void *start, size_t size, int asyncBool), int asyncBool)
{
	struct block_sought sought = { 0 };
	size_t done = 0, size = looked_size(heap, read_page_size) ? heap->blockSize : 0;
	int failed = errno;

	if (!size)
		return 0;
	for (;; sought.n++) {
		if (sas_service_errno(look(heap, read_block, &sought)) != 0)
			return done;
		if (!sought.block)
			break;
		if (call(sought.block, size, asyncBool) == 0)
			done += size;
		else
			failed = errno;
	}
	errno = failed;
	return done;
}

static int release_block(void *start, size_t size, int asyncBool)
{
	(void)asyncBool;
	return sasMsyncRelease(start, size);
}

static int bring_block(void *start, size_t size, int asyncBool)
{
	(void)asyncBool;
	return sasMsyncBring(start, size);
}

static int advise_sequential(void *start, size_t size, int asyncBool)
{
	(void)asyncBool;
	return sasMsyncSequential(start, size);
}

static int advise_random(void *start, size_t size, int asyncBool)
{
	(void)asyncBool;
	return sasMsyncRandom(start, size);
}

block_size_t SASCompoundHeapWriteAll(SASCompoundHeap_t heap, int asyncBool)
{
	return each_block(heap, sasMsyncWrite, asyncBool);
}

block_size_t SASCompoundHeapPurgeAll(SASCompoundHeap_t heap, int asyncBool)
{
	return each_block(heap, sasMsyncPurge, asyncBool);
}

block_size_t SASCompoundHeapReleaseAll(SASCompoundHeap_t heap)
{
	return each_block(heap, release_block, 0);
}

block_size_t SASCompoundHeapBringAll(SASCompoundHeap_t heap)
{
	return each_block(heap, bring_block, 0);
}

block_size_t SASCompoundHeapSeqAccessAll(SASCompoundHeap_t heap)
{
	return each_block(heap, advise_sequential, 0);
}

block_size_t SASCompoundHeapRandomAccessAll(SASCompoundHeap_t heap)
{
	return each_block(heap, advise_random, 0);
}
