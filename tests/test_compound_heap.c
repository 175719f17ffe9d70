/* SPDX-License-Identifier: MIT */
/*
 * test_compound_heap.c - compound heaps by public calls: bad arguments, the numbers that programs rely on, a model, memory outside
 * regions, and many threads and processes at once.
 */
#include <config.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "fixture.h"
#include "sascompoundheap.h"
#include "sasmsync.h"
#include "sassim.h"

#define HEAP (64 * KIB)
#define PAGE 4096UL
#define PAGES 15U               /* of such a heap */
#define KEPT 72                 /* 8 bytes of a page that no free makes zero */

static SASCompoundHeap_t make(size_t size, size_t page, int expanding)
{
	SASCompoundHeap_t heap = SASCompoundHeapInit(take(size), size, page, expanding);

	ck_assert_ptr_nonnull(heap);
	return heap;
}

/* The parameter of the two calls is the handle, whatever its type says. */
static int load_of(SASCompoundHeap_t heap)
{
	return SASCompoundHeapGetLoadFactor((SASCompoundHeap_t *)heap);
}

static void set_load(SASCompoundHeap_t heap, int load)
{
	SASCompoundHeapSetLoadFactor((SASCompoundHeap_t *)heap, load);
}

static char *page_at(SASCompoundHeap_t heap, size_t page, unsigned i)
{
	return (char *)heap + (page > PAGE ? page : PAGE) + i * page;
}

#define refused(call, error, ...) help_fails(((void)(call), errno != 0), error, ##__VA_ARGS__)

START_TEST(all_calls_refuse_what_is_no_heap)
{
	unsigned char *block = take(HEAP);
	void *wrong[] = { NULL, block };

	for (unsigned i = 0; i < 2; i++) {
		SASCompoundHeap_t heap = wrong[i];

		help_fails(SASCompoundHeapExpandCreate(heap) == NULL, EINVAL, "compound heap");
		refused(SASCompoundHeapDestroy(heap), EINVAL, "compound heap");
		refused(SASCompoundHeapDestroyNoLock(heap), EINVAL, "compound heap");
		refused(set_load(heap, 50), EINVAL, "compound heap");
		help_fails(load_of(heap) == -1, EINVAL, "compound heap");
		help_fails(SASCompoundHeapAllocSize(heap) == 0, EINVAL, "compound heap");
		help_fails(SASCompoundHeapFreeSpace(heap) == 0, EINVAL, "compound heap");
		help_fails(SASCompoundHeapFreeSpaceNoLock(heap) == 0, EINVAL, "compound heap");
		help_fails(SASCompoundHeapAllocSpace(heap) == 0, EINVAL, "compound heap");
		help_fails(SASCompoundHeapWriteAll(heap, SAS_SYNC) == 0, EINVAL, "compound heap");
		help_fails(SASCompoundHeapPurgeAll(heap, SAS_SYNC) == 0, EINVAL, "compound heap");
		help_fails(SASCompoundHeapReleaseAll(heap) == 0, EINVAL, "compound heap");
		help_fails(SASCompoundHeapBringAll(heap) == 0, EINVAL, "compound heap");
		help_fails(SASCompoundHeapSeqAccessAll(heap) == 0, EINVAL, "compound heap");
		help_fails(SASCompoundHeapRandomAccessAll(heap) == 0, EINVAL, "compound heap");
		help_fails(SASCompoundHeapAlloc(heap) == NULL, EINVAL, "compound heap");
		help_fails(SASCompoundHeapAllocNoLock(heap) == NULL, EINVAL, "compound heap");
		refused(SASCompoundHeapFree(heap, block + PAGE), EINVAL, "compound heap");
		refused(SASCompoundHeapFreeNoLock(heap, block + PAGE), EINVAL, "compound heap");
		help_fails(SASCompoundHeapNearAlloc(heap) == NULL, EINVAL, "compound heap");
		help_fails(SASCompoundHeapNearAllocNoLock(heap) == NULL, EINVAL, "compound heap");
		refused(SASCompoundHeapNearDealloc(heap), EINVAL, "compound heap");
		refused(SASCompoundHeapNearDeallocNoLock(heap), EINVAL, "compound heap");
	}
	ck_assert(all_zero(block, HEAP));
	give(block, HEAP);
}
END_TEST

START_TEST(making_refuses_bad_sizes)
{
	unsigned char *block = take(HEAP);
	uint64_t used = help_sum(region, SASBlock__IN_USE);

	help_fails(SASCompoundHeapInit(NULL, HEAP, PAGE, 1) == NULL, EINVAL);
	help_fails(SASCompoundHeapInit(block, HEAP - 1, PAGE, 1) == NULL, EINVAL, "65535");
	help_fails(SASCompoundHeapInit(block, HEAP, 256, 1) == NULL, EINVAL, "256");
	help_fails(SASCompoundHeapInit(block, HEAP, 1000, 1) == NULL, EINVAL, "1000");
	help_fails(SASCompoundHeapInit(block, HEAP, HEAP, 1) == NULL, EINVAL, "65536");
	help_fails(SASCompoundHeapInit(block, 4096, 512, 1) == NULL, EINVAL, "4096");
	help_fails(SASCompoundHeapCreate(0) == NULL, EINVAL);
	help_fails(SASCompoundHeapCreate(4096) == NULL, EINVAL);
	help_fails(SASCompoundHeapCreate(3 * PAGE) == NULL, EINVAL);
	help_fails(SASCompoundFixedHeapCreate(PAGE) == NULL, EINVAL);
	help_fails(SASCompoundHeapCreatePageSize(HEAP, 128 * KIB) == NULL, EINVAL);
	ck_assert(all_zero(block, HEAP));
	ck_assert_uint_eq(help_sum(region, SASBlock__IN_USE), used);
	give(block, HEAP);
}
END_TEST

static void check_identities(size_t size, size_t page, int expanding)
{
	size_t header = page > PAGE ? page : PAGE, count = (size - header) / page;
	SASCompoundHeap_t heap = make(size, page, expanding);

	set_load(heap, 100);
	ck_assert_uint_eq(SASCompoundHeapAllocSize(heap), page);
	ck_assert_uint_eq(SASCompoundHeapAllocSpace(heap), size);
	for (unsigned round = 0; round < 2; round++) {
		ck_assert_uint_eq(SASCompoundHeapFreeSpace(heap) + header, size);
		for (unsigned i = 0; i < count; i++) {
			SASBlockHeader *h = SASCompoundHeapAlloc(heap);

			ck_assert_ptr_eq(h, page_at(heap, page, i));
			ck_assert_ptr_eq(h->baseBlock, heap);
			ck_assert_uint_eq(h->blockType, SAS_RUNTIME_SIMPLEHEAP);
			ck_assert_uint_eq(h->blockSize, page);
			ck_assert_uint_eq(freeNode_freeSpaceTotal(h->blockFreeSpace), page - heap_offset);
			ck_assert_uint_eq(SASCompoundHeapFreeSpace(heap), (count - i - 1) * page);
			memset((char *)h + heap_offset, 0xA5, page - heap_offset);
		}
		for (unsigned i = 0; i < count; i++) {
			SASCompoundHeapFree(heap, page_at(heap, page, i));
			ck_assert(all_zero(page_at(heap, page, i), KEPT));
			ck_assert(all_zero(page_at(heap, page, i) + KEPT + 8, page - KEPT - 8));
		}
	}
	SASCompoundHeapDestroy(heap);
}

START_TEST(numbers_of_all_shapes)
{
	for (size_t page = 512; page <= 65536; page *= 2)
		for (size_t size = 8192; size <= 256 * KIB; size *= 2)
			if (size >= (page > PAGE ? page : PAGE) + page) {
				check_identities(size, page, 0);
				check_identities(size, page, 1);
			}
}
END_TEST

START_TEST(fixed_heap_ends)
{
	SASCompoundHeap_t heap = make(HEAP, PAGE, 0);

	ck_assert_int_eq(load_of(heap), 100);
	help_fails(SASCompoundHeapExpandCreate(heap) == NULL, EINVAL, "expand");
	for (unsigned i = 0; i < PAGES; i++)
		ck_assert_ptr_nonnull(SASCompoundHeapAlloc(heap));
	help_fails(SASCompoundHeapAlloc(heap) == NULL, ENOSPC, "15 pages");
	help_fails(SASCompoundHeapNearAlloc(heap) == NULL, ENOSPC);
	SASCompoundHeapFree(heap, page_at(heap, PAGE, 7));
	ck_assert_ptr_eq(SASCompoundHeapAlloc(heap), page_at(heap, PAGE, 7));
	SASCompoundHeapDestroy(heap);
}
END_TEST

START_TEST(load_factor_says_when_a_block_is_full)
{
	uint64_t used = help_sum(region, SASBlock__IN_USE);
	SASCompoundHeap_t heap = make(HEAP, PAGE, 1);
	char *page = NULL;

	ck_assert_int_eq(load_of(heap), 75);
	refused(set_load(heap, 0), EINVAL, "load factor");
	refused(set_load(heap, 101), EINVAL, "load factor");
	ck_assert_int_eq(load_of(heap), 75);
	for (unsigned i = 0; i < 11; i++)       /* 12 of 16 with the header */
		ck_assert_ptr_eq(SASCompoundHeapAlloc(heap), page_at(heap, PAGE, i));
	ck_assert_uint_eq(SASCompoundHeapAllocSpace(heap), HEAP);
	page = SASCompoundHeapAlloc(heap);
	ck_assert_uint_eq(SASCompoundHeapAllocSpace(heap), 2 * HEAP);
	ck_assert_ptr_ne(((SASBlockHeader *)(void *)page)->baseBlock, heap);
	ck_assert_ptr_eq(((SASBlockHeader *)(void *)page)->baseBlock->baseBlock, heap);
	set_load(heap, 6);      /* an empty block has reached it */
	for (unsigned i = 3; i < 6; i++) {
		ck_assert_ptr_nonnull(SASCompoundHeapAlloc(heap));
		ck_assert_uint_eq(SASCompoundHeapAllocSpace(heap), i * HEAP);
	}
	ck_assert_uint_eq(SASCompoundHeapFreeSpace(heap), (5 * PAGES - 15) * PAGE);
	SASCompoundHeapDestroy(heap);
	ck_assert_uint_eq(help_sum(region, SASBlock__IN_USE), used);
}
END_TEST

/* An expansion that a program asked for is the last block; as a handle it is a heap of its own pages. */
START_TEST(expansions_can_be_asked_for)
{
	SASCompoundHeap_t heap = make(HEAP, PAGE, 1), further = SASCompoundHeapExpandCreate(heap);

	ck_assert_ptr_nonnull(further);
	ck_assert_uint_eq(SASCompoundHeapAllocSpace(heap), 2 * HEAP);
	ck_assert_uint_eq(SASCompoundHeapFreeSpace(heap), 2 * PAGES * PAGE);
	ck_assert_ptr_eq(SASCompoundHeapAlloc(heap), page_at(further, PAGE, 0));
	ck_assert_uint_eq(SASCompoundHeapFreeSpace(further), (PAGES - 1) * PAGE);
	SASCompoundHeapFree(heap, page_at(further, PAGE, 0));
	ck_assert_uint_eq(SASCompoundHeapFreeSpace(further), PAGES * PAGE);
	refused(SASCompoundHeapDestroy(further), EINVAL, "further block");
	SASCompoundHeapDestroy(heap);
}
END_TEST

START_TEST(free_refuses_what_is_no_page_in_use)
{
	SASCompoundHeap_t heap = make(HEAP, PAGE, 1), other = make(HEAP, PAGE, 1);
	char *page = SASCompoundHeapAlloc(heap);
	uint64_t before;

	ck_assert_ptr_nonnull(SASCompoundHeapAlloc(heap));
	before = SASCompoundHeapFreeSpace(heap);
	refused(SASCompoundHeapFree(heap, NULL), EINVAL, "page");
	refused(SASCompoundHeapFree(heap, heap), EINVAL, "page");
	refused(SASCompoundHeapFree(heap, page + 512), EINVAL, "page");
	refused(SASCompoundHeapFree(heap, &before), EINVAL, "page");
	refused(SASCompoundHeapFree(heap, page_at(heap, PAGE, 2)), EINVAL, "page");
	refused(SASCompoundHeapFree(other, page), EINVAL, "page");
	refused(SASCompoundHeapFree(heap, (char *)heap + HEAP), EINVAL, "page");
	ck_assert_uint_eq(SASCompoundHeapFreeSpace(heap), before);
	ck_assert_ptr_eq(SASFindHeader(page + 100), page);
	SASCompoundHeapFreeNoLock(heap, page);
	ck_assert_ptr_eq(SASFindHeader(page + 100), heap);
	refused(SASCompoundHeapFree(heap, page), EINVAL, "page");
	refused(SASCompoundHeapNearDealloc(page + 9), EINVAL, "page");
	ck_assert_uint_eq(SASCompoundHeapFreeSpace(heap), before + PAGE);
	SASCompoundHeapDestroy(heap);
	SASCompoundHeapDestroy(other);
}
END_TEST

START_TEST(near_calls_know_the_block)
{
	SASCompoundHeap_t heap = make(HEAP, PAGE, 1);
	char *first, *further, *page, *inner;

	ck_assert_ptr_eq(SASCompoundHeapNearAlloc(heap), page_at(heap, PAGE, 0));
	first = page_at(heap, PAGE, 0);
	ck_assert_ptr_eq(SASCompoundHeapNearAllocNoLock(first + 1000), page_at(heap, PAGE, 1));
	ck_assert_ptr_eq(SASCompoundHeapNearAlloc(first + PAGE - 1), page_at(heap, PAGE, 2));
	SASCompoundHeapNearDealloc(first + PAGE + 77);
	ck_assert_ptr_eq(SASCompoundHeapNearAlloc(first + PAGE + 77), page_at(heap, PAGE, 1));
	further = SASCompoundHeapExpandCreate(heap);
	page = SASCompoundHeapNearAlloc(further + 5 * PAGE);
	ck_assert_ptr_eq(page, page_at(further, PAGE, 0));
	/* In spite of the load factor, and then by it. */
	for (unsigned i = 3; i < PAGES; i++)
		ck_assert_ptr_eq(SASCompoundHeapNearAlloc(first), page_at(heap, PAGE, i));
	ck_assert_ptr_eq(SASCompoundHeapNearAlloc(first), page_at(further, PAGE, 1));
	/* An object of the program in a page has a header that leads nowhere. */
	inner = page_at(heap, PAGE, 4) + 1024;
	initSOMSASBlock((SASBlockHeader *)(void *)inner, SAS_USERDEFINED_GROUP, 512, NULL);
	SASCompoundHeapNearDeallocNoLock(inner + 100);
	ck_assert_uint_eq(SASCompoundHeapFreeSpace(heap), (PAGES - 1) * PAGE);
	ck_assert_ptr_eq(SASCompoundHeapNearAlloc(first), page_at(heap, PAGE, 4));
	SASCompoundHeapDestroy(heap);
}
END_TEST

/* Trees are made of pages as well, and theirs are not for anybody. */
START_TEST(trees_are_looked_at_alone)
{
	SASCompoundHeap_t heap = make(HEAP, PAGE, 1);
	char *page = SASCompoundHeapAlloc(heap);

	((SASBlockHeader *)heap)->blockType = SAS_RUNTIME_INDEX;
	ck_assert_uint_eq(SASCompoundHeapAllocSize(heap), PAGE);
	ck_assert_uint_eq(SASCompoundHeapAllocSpace(heap), HEAP);
	ck_assert_uint_eq(SASCompoundHeapFreeSpace(heap), (PAGES - 1) * PAGE);
	ck_assert_uint_eq(SASCompoundHeapWriteAll(heap, SAS_SYNC), HEAP);
	ck_assert_int_eq(load_of(heap), 75);
	help_fails(SASCompoundHeapAlloc(heap) == NULL, EINVAL, "compound heap");
	help_fails(SASCompoundHeapNearAlloc(page) == NULL, EINVAL, "compound heap");
	help_fails(SASCompoundHeapExpandCreate(heap) == NULL, EINVAL, "compound heap");
	refused(SASCompoundHeapFree(heap, page), EINVAL, "compound heap");
	refused(SASCompoundHeapNearDealloc(page), EINVAL, "compound heap");
	refused(SASCompoundHeapDestroy(heap), EINVAL, "compound heap");
	((SASBlockHeader *)heap)->blockType = SAS_RUNTIME_COMPOUNDHEAP;
	SASCompoundHeapDestroy(heap);
}
END_TEST

START_TEST(damage_is_told)
{
	SASCompoundHeap_t heap = make(HEAP, PAGE, 1);

	*(uint32_t *)(void *)((char *)heap + 64) = 0;           /* the page size */
	help_fails(SASCompoundHeapAlloc(heap) == NULL, EUCLEAN, "written into");
	help_fails(SASCompoundHeapFreeSpace(heap) == 0, EUCLEAN, "written into");
	give(heap, HEAP);
}
END_TEST

START_TEST(advice_reaches_all_blocks)
{
	SASCompoundHeap_t heap = make(HEAP, PAGE, 1);

	ck_assert_ptr_nonnull(SASCompoundHeapExpandCreate(heap));
	ck_assert_ptr_nonnull(SASCompoundHeapExpandCreate(heap));
	memset(page_at(heap, PAGE, 3), 0x5A, PAGE);
	ck_assert_uint_eq(SASCompoundHeapWriteAll(heap, SAS_SYNC), 3 * HEAP);
	ck_assert_uint_eq(SASCompoundHeapWriteAll(heap, SAS_ASYNC), 3 * HEAP);
	ck_assert_uint_eq(SASCompoundHeapPurgeAll(heap, SAS_SYNC), 3 * HEAP);
	ck_assert_uint_eq(SASCompoundHeapReleaseAll(heap), 3 * HEAP);
	ck_assert_uint_eq(SASCompoundHeapBringAll(heap), 3 * HEAP);
	ck_assert_uint_eq(SASCompoundHeapSeqAccessAll(heap), 3 * HEAP);
	ck_assert_uint_eq(SASCompoundHeapRandomAccessAll(heap), 3 * HEAP);
	ck_assert_int_eq(load_byte(page_at(heap, PAGE, 3) + 99), 0x5A);
	SASCompoundHeapDestroy(heap);
}
END_TEST

/* malloc'ed memory: no region, no expansions; near calls where the program has named the range. */
START_TEST(heaps_live_outside_regions)
{
	char *memory = memset(aligned_alloc(HEAP, HEAP), 0xa5, HEAP), *odd = (char *)calloc(1, HEAP + 16) + 16;
	SASCompoundHeap_t heap = SASCompoundHeapInit(memory, HEAP, PAGE, 1);

	ck_assert_ptr_eq(heap, memory);
	ck_assert_ptr_eq(SASCompoundHeapAlloc(heap), page_at(heap, PAGE, 0));
	help_fails(SASCompoundHeapNearAlloc(memory) == NULL, EINVAL);
	setSASmemrange((unsigned long)memory, (unsigned long)(memory + HEAP));
	ck_assert_ptr_eq(SASCompoundHeapNearAlloc(memory + 5000), page_at(heap, PAGE, 1));
	SASCompoundHeapNearDealloc(memory + 4097);
	ck_assert_uint_eq(SASCompoundHeapFreeSpace(heap), (PAGES - 1) * PAGE);
	help_fails(SASCompoundHeapExpandCreate(heap) == NULL, ENOSPC, "no region");
	for (unsigned i = 1; i < PAGES; i++)
		ck_assert_ptr_nonnull(SASCompoundHeapAlloc(heap));
	help_fails(SASCompoundHeapAlloc(heap) == NULL, ENOSPC);
	SASCompoundHeapDestroy(heap);
	help_fails(SASCompoundHeapAlloc(heap) == NULL, EINVAL);
	/* Not aligned to its size: all but the near calls. */
	heap = SASCompoundHeapInit(odd, HEAP, PAGE, 0);
	ck_assert_ptr_eq(heap, odd);
	for (unsigned i = 0; i < PAGES; i++)
		ck_assert_ptr_eq(SASCompoundHeapAlloc(heap), page_at(heap, PAGE, i));
	for (unsigned i = 0; i < PAGES; i++)
		SASCompoundHeapFree(heap, page_at(heap, PAGE, i));
	ck_assert_uint_eq(SASCompoundHeapFreeSpace(heap), PAGES * PAGE);
	free(odd - 16);
	free(memory);
}
END_TEST

/* By the default region, as programs of old do. */
START_TEST(creates_in_the_default_region)
{
	SASCompoundHeap_t heap;

	region_leave();
	ck_assert_int_eq(SASRegionRemovePath(store, 0), 0);
	help_classic(store);
	ck_assert_int_eq(SASJoinRegion(), 0);
	heap = SASCompoundHeapCreate(HEAP);
	ck_assert_ptr_nonnull(heap);
	ck_assert_uint_eq(SASCompoundHeapAllocSize(heap), PAGE);
	ck_assert_int_eq(load_of(heap), 75);
	SASCompoundHeapDestroy(heap);
	heap = SASCompoundFixedHeapCreate(HEAP);
	ck_assert_int_eq(load_of(heap), 100);
	SASCompoundHeapDestroyNoLock(heap);
	heap = SASCompoundHeapCreatePageSize(HEAP, 16 * KIB);
	ck_assert_uint_eq(SASCompoundHeapFreeSpaceNoLock(heap), HEAP - 16 * KIB);
	ck_assert_ptr_eq(SASCompoundHeapAllocNoLock(heap), page_at(heap, 16 * KIB, 0));
	SASCompoundHeapDestroy(heap);
	SASCleanUp();
}
END_TEST

/* A block of several segments, none of which is mapped here. */
START_TEST(heaps_span_segments)
{
	size_t size = 4 * HELP_SEGMENT;
	SASCompoundHeap_t heap = make(size, 64 * KIB, 0);
	unsigned count = (unsigned)(size / (64 * KIB)) - 1;

	for (unsigned i = 0; i < count; i++)
		ck_assert_ptr_eq(SASCompoundHeapAlloc(heap), page_at(heap, 64 * KIB, i));
	region_leave();
	region_join(0);
	ck_assert_uint_eq(SASCompoundHeapFreeSpace(heap), 0);
	SASCompoundHeapFree(heap, page_at(heap, 64 * KIB, count - 1));
	ck_assert_ptr_eq(SASCompoundHeapNearAlloc(heap), page_at(heap, 64 * KIB, count - 1));
	SASCompoundHeapDestroy(heap);
}
END_TEST

/* --- a model */

#define MODEL 600U

START_TEST(model_agrees)
{
	uint64_t random = help_seed("model_agrees");
	long steps = help_size(1000, 5000, 500000);
	SASCompoundHeap_t heap = make(16 * KIB, 512, 1);
	char *held[MODEL];
	unsigned count = 0;

	for (long i = 0; i < steps; i++) {
		size_t free_space = SASCompoundHeapFreeSpace(heap), space = SASCompoundHeapAllocSpace(heap);

		if (count < MODEL && help_below(&random, 2 * MODEL) >= count) {
			char *page = count > 0 && help_below(&random, 2) ?
				SASCompoundHeapNearAlloc(held[help_below(&random, count)] + help_below(&random, 512)) :
				SASCompoundHeapAlloc(heap);

			ck_assert_ptr_nonnull(page);
			ck_assert(all_zero(page + 200, 512 - 200));
			memset(page + heap_offset, 0xEE, 512 - heap_offset);
			held[count++] = page;
			free_space -= 512;
		} else {
			unsigned k = (unsigned)help_below(&random, count);

			if (help_below(&random, 2))
				SASCompoundHeapFree(heap, held[k]);
			else
				SASCompoundHeapNearDealloc(held[k] + help_below(&random, 512));
			held[k] = held[--count];
			free_space += 512;
		}
		free_space += (SASCompoundHeapAllocSpace(heap) - space) / (16 * KIB) * 24 * 512;
		ck_assert_uint_eq(SASCompoundHeapFreeSpace(heap), free_space);
		ck_assert_uint_eq(count * 512 + free_space, SASCompoundHeapAllocSpace(heap) / 4 * 3);
	}
	while (count > 0)
		SASCompoundHeapFree(heap, held[--count]);
	ck_assert_uint_eq(SASCompoundHeapFreeSpace(heap), SASCompoundHeapAllocSpace(heap) / 4 * 3);
	SASCompoundHeapDestroy(heap);
}
END_TEST

/* --- at once */

#define AT_ONCE 4U
#define HOLD 24U

static struct shared {
	SASCompoundHeap_t heap;
	long rounds;
} *shared;

/* Pages that it holds bear its stamp: nobody else has them. */
static void take_and_give(uint64_t state)
{
	uint64_t *held[HOLD], stamp = help_random(&state);
	unsigned count = 0;

	for (long i = 0; i < shared->rounds || count > 0; i++) {
		if (i < shared->rounds && count < HOLD && help_below(&state, 2)) {
			char *page = help_below(&state, 8) ? SASCompoundHeapAlloc(shared->heap) :
				SASCompoundHeapNearAlloc(shared->heap);

			must(page != NULL);
			held[count] = (uint64_t *)(void *)(page + 256);
			must(*held[count] == 0);
			*held[count++] = stamp;
		} else if (count > 0) {
			unsigned k = (unsigned)help_below(&state, count);

			must(*held[k] == stamp);
			SASCompoundHeapFree(shared->heap, (char *)held[k] - 256);
			held[k] = held[--count];
		}
	}
}

static void *thread_body(void *arg)
{
	take_and_give((uintptr_t)arg);
	return NULL;
}

static void process_body(void *arg)
{
	pthread_t threads[2];

	region_join(0);
	for (uintptr_t i = 0; i < 2; i++)
		must(pthread_create(&threads[i], NULL, thread_body, (void *)((uintptr_t)arg * 2 + i)) == 0);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	must(SASRegionLeave(region) == 0);
}

static void share(SASCompoundHeap_t heap)
{
	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(shared, MAP_FAILED);
	shared->heap = heap;
	shared->rounds = help_size(2000, 20000, 500000);
}

/* After all are done: all pages are free, and each can be had once. */
static void all_is_free(SASCompoundHeap_t heap, size_t page)
{
	size_t space = SASCompoundHeapAllocSpace(heap), size = ((SASBlockHeader *)heap)->blockSize;
	size_t whole = space / size * (size - PAGE);

	ck_assert_uint_eq(SASCompoundHeapFreeSpace(heap), whole);
	set_load(heap, 100);
	for (size_t i = 0; i < whole / page; i++)
		ck_assert_ptr_nonnull(SASCompoundHeapAlloc(heap));
	ck_assert_uint_eq(SASCompoundHeapFreeSpace(heap), 0);
	ck_assert_uint_eq(SASCompoundHeapAllocSpace(heap), space);
}

START_TEST(threads_never_share_a_page)
{
	pthread_t threads[AT_ONCE];

	share(make(16 * KIB, 1024, 1));
	for (uintptr_t i = 0; i < AT_ONCE; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, thread_body, (void *)(i + 1)), 0);
	for (unsigned i = 0; i < AT_ONCE; i++)
		pthread_join(threads[i], NULL);
	all_is_free(shared->heap, 1024);
	SASCompoundHeapDestroy(shared->heap);
}
END_TEST

START_TEST(processes_never_share_a_page)
{
	SASCompoundHeap_t heap = make(16 * KIB, 512, 1);
	pid_t children[AT_ONCE];

	share(heap);
	region_leave();
	for (uintptr_t i = 0; i < AT_ONCE; i++)
		children[i] = help_fork(process_body, (void *)(i + 1));
	for (unsigned i = 0; i < AT_ONCE; i++)
		help_done(children[i]);
	region_join(0);
	all_is_free(heap, 512);
	SASCompoundHeapDestroy(heap);
}
END_TEST

static void *free_one(void *arg)
{
	errno = 0;
	SASCompoundHeapFree(shared->heap, arg);
	return (void *)(intptr_t)errno;
}

/* Of two that free a page, one does it, and the other is told. */
START_TEST(a_page_is_freed_once)
{
	long rounds = help_size(100, 1000, 20000);

	share(make(HEAP, PAGE, 0));
	for (long i = 0; i < rounds; i++) {
		void *page = SASCompoundHeapAlloc(shared->heap), *a, *b;
		pthread_t other;

		ck_assert_int_eq(pthread_create(&other, NULL, free_one, page), 0);
		a = free_one(page);
		pthread_join(other, &b);
		ck_assert_int_eq((a == NULL) + (b == NULL), 1);
		ck_assert_int_eq((intptr_t)a + (intptr_t)b, EINVAL);
		ck_assert_uint_eq(SASCompoundHeapFreeSpace(shared->heap), PAGES * PAGE);
	}
	SASCompoundHeapDestroy(shared->heap);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("compound heap");
	TCase *c = help_case(suite, "compound heap");

	tcase_add_checked_fixture(c, region_begin, region_end);
	tcase_add_test(c, all_calls_refuse_what_is_no_heap);
	tcase_add_test(c, making_refuses_bad_sizes);
	tcase_add_test(c, numbers_of_all_shapes);
	tcase_add_test(c, fixed_heap_ends);
	tcase_add_test(c, load_factor_says_when_a_block_is_full);
	tcase_add_test(c, expansions_can_be_asked_for);
	tcase_add_test(c, free_refuses_what_is_no_page_in_use);
	tcase_add_test(c, near_calls_know_the_block);
	tcase_add_test(c, trees_are_looked_at_alone);
	tcase_add_test(c, damage_is_told);
	tcase_add_test(c, advice_reaches_all_blocks);
	tcase_add_test(c, heaps_live_outside_regions);
	tcase_add_test(c, creates_in_the_default_region);
	tcase_add_test(c, heaps_span_segments);
	tcase_add_test(c, model_agrees);
	c = help_case(suite, "at once");
	tcase_add_checked_fixture(c, region_begin, region_end);
	tcase_add_test(c, threads_never_share_a_page);
	tcase_add_test(c, processes_never_share_a_page);
	tcase_add_test(c, a_page_is_freed_once);
	return help_main(suite);
}
