/* SPDX-License-Identifier: MIT */
/*
 * test_simple_heap.c - simple heaps: every call, wrong arguments, a model, several processes, and deaths among them.
 */
#include <config.h>

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <sasalloc.h>
#include <saslock.h>
#include <sassim.h>
#include <sassimpleheap.h>
#include "fixture.h"

#define HEAP (64 * KIB)
#define ROOM (HEAP - 128)

static SASSimpleHeap_t heap;

static void set_up(void)
{
	default_begin();
	heap = SASSimpleHeapCreate(HEAP);
	help_succeeds(heap != NULL);
}

static size_t offset_of(const void *p)
{
	return (size_t)((const char *)p - (char *)heap);
}

static char *inside(size_t offset)
{
	return (char *)heap + offset;
}

/* A block that is an object of another kind. */
static void *other_object(sas_type_t type)
{
	unsigned char *block = take(4 * KIB);

	initSOMSASBlock((SASBlockHeader *)(void *)block, type, 4096, NULL);
	return block;
}

/* --- wrong arguments */

START_TEST(init_refuses_bad_arguments)
{
	_Alignas(16) char memory[256];

	help_fails(SASSimpleHeapInit(NULL, SAS_RUNTIME_SIMPLEHEAP, 4096) == NULL, EINVAL);
	help_fails(SASSimpleHeapInit(memory, SAS_RUNTIME_SIMPLEHEAP, 143) == NULL, EINVAL, "143");
	help_fails(SASSimpleHeapInit(memory, SAS_RUNTIME_SIMPLEHEAP, 0) == NULL, EINVAL);
	help_fails(SASSimpleHeapInit(memory, SAS_RUNTIME_SIMPLEHEAP, ULONG_MAX) == NULL, EINVAL);
	help_fails(SASSimpleHeapInit(memory + 4, SAS_RUNTIME_SIMPLEHEAP, 200) == NULL, EINVAL);
}
END_TEST

START_TEST(create_refuses_sizes)
{
	static const size_t sizes[] = { 0, 1, 4095, 4097, 12288, ULONG_MAX };

	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
		help_fails(SASSimpleHeapCreate(sizes[i]) == NULL, EINVAL);
	help_fails(SASSimpleHeapCreate(GIB) == NULL, errno, "1073741824");
}
END_TEST

START_TEST(calls_on_what_is_no_heap_fail)
{
	_Alignas(16) char bytes[256] = { 0 };
	void *wrong[] = { NULL, bytes, bytes + 1, inside(HEAP / 2), other_object(SAS_RUNTIME_COMPOUNDHEAP),
			  other_object(SAS_RUNTIME_SIMPLESTACK), other_object(SAS_RUNTIME_INDEXNODE),
			  other_object(SAS_RUNTIME_STRINGBTREENODE),
			  other_object(SAS_USERDEFINED_GROUP | SAS_SIMPLEHEAP_TYPE) };

	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		help_fails(SASSimpleHeapDestroy(wrong[i]) == -1, EINVAL, "simple heap");
		help_fails(SASSimpleHeapDestroyNoLock(wrong[i]) == -1, EINVAL);
		help_fails(SASSimpleHeapFreeSpace(wrong[i]) == 0, EINVAL);
		help_fails(SASSimpleHeapFreeSpaceNoLock(wrong[i]) == 0, EINVAL);
		help_fails(SASSimpleHeapEmpty(wrong[i]) == 0, EINVAL);
		help_fails(SASSimpleHeapEmptyNoLock(wrong[i]) == 0, EINVAL);
		help_fails(SASSimpleHeapAlloc(wrong[i], 16) == NULL, EINVAL);
		help_fails(SASSimpleHeapAllocNoLock(wrong[i], 16) == NULL, EINVAL);
		help_fails(SASSimpleHeapFree(wrong[i], bytes, 16) == -1, EINVAL);
		help_fails(SASSimpleHeapFreeNoLock(wrong[i], bytes, 16) == -1, EINVAL);
	}
	ck_assert(all_zero(bytes, sizeof bytes));
	ck_assert_uint_eq(SASSimpleHeapFreeSpace(heap), ROOM);
}
END_TEST

START_TEST(alloc_refuses_sizes)
{
	help_fails(SASSimpleHeapAlloc(heap, 0) == NULL, EINVAL);
	help_fails(SASSimpleHeapAllocNoLock(heap, 0) == NULL, EINVAL);
	help_fails(SASSimpleHeapAlloc(heap, ROOM + 1) == NULL, ENOSPC);
	help_fails(SASSimpleHeapAlloc(heap, ULONG_MAX) == NULL, ENOSPC);
	help_fails(SASSimpleHeapAlloc(heap, ULONG_MAX - 15) == NULL, ENOSPC);
	ck_assert_int_eq(SASSimpleHeapEmpty(heap), 1);
}
END_TEST

/* Nothing is written by a call that fails, neither into what is given nor outside of the heap. */
START_TEST(free_refuses_what_is_not_taken)
{
	char *taken = SASSimpleHeapAlloc(heap, 256), *before = malloc(HEAP), *outside = malloc(64);
	const struct { char *at; size_t size; } wrong[] = {
		{ NULL, 16 }, { heap, 16 }, { inside(64), 16 }, { inside(112), 32 }, { outside, 16 }, { inside(HEAP), 16 },
		{ inside(HEAP) - 16, 32 }, { taken, 0 }, { taken, ULONG_MAX }, { taken, 272 }, { taken + 8, 16 },
		{ taken + 1, 16 }, { taken + 256, 16 }, { taken + 128, 256 }, { inside(HEAP / 2), 64 }, { taken, ROOM + 1 },
	};

	memset(taken, 0x5A, 256);
	memset(outside, 0x5A, 64);
	memcpy(before, heap, HEAP);
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		help_fails(SASSimpleHeapFree(heap, wrong[i].at, wrong[i].size) == -2, EINVAL);
		help_fails(SASSimpleHeapFreeNoLock(heap, wrong[i].at, wrong[i].size) == -2, EINVAL);
	}
	ck_assert_int_eq(memcmp(heap, before, HEAP), 0);
	ck_assert_int_eq(outside[0], 0x5A);
	ck_assert_int_eq(SASSimpleHeapFree(heap, taken, 256), 0);
	help_fails(SASSimpleHeapFree(heap, taken, 256) == -2, EINVAL);
	free(before);
	free(outside);
}
END_TEST

START_TEST(broken_list_gives_euclean)
{
	char *a = SASSimpleHeapAlloc(heap, 64), *b = SASSimpleHeapAlloc(heap, 64);
	void *wrong[] = { &a, a, heap, inside(HEAP), inside(HEAP) - 8, inside(1001), (void *)8, (void *)ULONG_MAX };

	ck_assert_int_eq(SASSimpleHeapFree(heap, a, 64), 0);
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		*(void **)(void *)a = wrong[i];
		help_fails(SASSimpleHeapAlloc(heap, 128) == NULL, EUCLEAN, "written into");
		help_fails(SASSimpleHeapFree(heap, b, 64) == -1, EUCLEAN);
		help_fails(SASSimpleHeapFreeSpace(heap) == 0, EUCLEAN);
		help_fails(SASSimpleHeapEmptyNoLock(heap) == 0, EUCLEAN);
	}
}
END_TEST

START_TEST(destroy_refuses_what_is_no_block_of_its_own)
{
	_Alignas(16) char memory[1024];
	SASSimpleHeap_t table = SASSimpleHeapInit(take(8 * KIB), SAS_RUNTIME_LOCKTABLE, 8 * KIB);
	SASSimpleHeap_t mine = SASSimpleHeapInit(memory, SAS_RUNTIME_SIMPLEHEAP, sizeof memory);
	SASBlockHeader *page = (void *)inside(1024);

	help_fails(SASSimpleHeapDestroy(table) == -1, EINVAL, "no simple heap");
	help_fails(SASSimpleHeapDestroy(mine) == -1, EINVAL, "not a block");
	ck_assert_ptr_eq(SASSimpleHeapInit(page, SAS_RUNTIME_SIMPLEHEAP, 512), page);
	help_fails(SASSimpleHeapDestroy(page) == -1, EINVAL);
	page->baseBlock = heap;
	help_fails(SASSimpleHeapDestroy(page) == -1, EINVAL, "part of");
	help_fails(SASSimpleHeapDestroyNoLock(page) == -1, EINVAL, "part of");
}
END_TEST

/* --- what they do */

START_TEST(new_heap_has_its_size_but_the_header)
{
	const SASBlockHeader *header = heap;

	ck_assert_uint_eq((uintptr_t)heap % HEAP, 0);
	ck_assert_uint_eq(SASSimpleHeapFreeSpace(heap), 65536 - 128);
	ck_assert_uint_eq(SASSimpleHeapFreeSpaceNoLock(heap), 65536 - 128);
	ck_assert_int_eq(SASSimpleHeapEmpty(heap), 1);
	ck_assert_int_eq(SASSimpleHeapEmptyNoLock(heap), 1);
	ck_assert_uint_eq(header->blockType, SAS_RUNTIME_SIMPLEHEAP);
	ck_assert_uint_eq(header->blockSize, HEAP);
	ck_assert_ptr_eq(header->baseBlock, heap);
	ck_assert_ptr_eq(header->blockFreeSpace, inside(128));
}
END_TEST

START_TEST(alloc_takes_lowest_units_of_sixteen)
{
	ck_assert_uint_eq(offset_of(SASSimpleHeapAlloc(heap, 1)), 128);
	ck_assert_uint_eq(offset_of(SASSimpleHeapAllocNoLock(heap, 17)), 144);
	ck_assert_uint_eq(offset_of(SASSimpleHeapAlloc(heap, 16)), 176);
	ck_assert_uint_eq(SASSimpleHeapFreeSpace(heap), ROOM - 64);
	ck_assert_int_eq(SASSimpleHeapEmpty(heap), 0);
	ck_assert_int_eq(SASSimpleHeapFree(heap, inside(144), 17), 0);
	ck_assert_uint_eq(SASSimpleHeapFreeSpaceNoLock(heap), ROOM - 32);
	ck_assert_uint_eq(offset_of(SASSimpleHeapAlloc(heap, 48)), 192);
	ck_assert_uint_eq(offset_of(SASSimpleHeapAlloc(heap, 32)), 144);
}
END_TEST

START_TEST(all_that_is_free_can_be_taken)
{
	void *all = SASSimpleHeapAlloc(heap, ROOM), *part, *rest;
	size_t space;

	ck_assert_uint_eq(offset_of(all), 128);
	errno = 0;
	ck_assert_uint_eq(SASSimpleHeapFreeSpace(heap), 0);
	ck_assert_int_eq(errno, 0);
	ck_assert_int_eq(SASSimpleHeapEmpty(heap), 0);
	help_fails(SASSimpleHeapAlloc(heap, 1) == NULL, ENOSPC);
	ck_assert_int_eq(SASSimpleHeapFree(heap, all, ROOM), 0);
	part = SASSimpleHeapAlloc(heap, 1000);
	space = SASSimpleHeapFreeSpace(heap);
	rest = SASSimpleHeapAlloc(heap, space);
	ck_assert_ptr_nonnull(rest);
	ck_assert_uint_eq(SASSimpleHeapFreeSpace(heap), 0);
	ck_assert_int_eq(SASSimpleHeapFree(heap, part, 1000), 0);
	ck_assert_int_eq(SASSimpleHeapFree(heap, rest, space), 0);
	ck_assert_int_eq(SASSimpleHeapEmpty(heap), 1);
}
END_TEST

START_TEST(destroy_gives_block_back)
{
	uint64_t in_use = help_info(region).bytesInUse;
	SASSimpleHeap_t second = SASSimpleHeapCreate(HEAP);

	ck_assert_int_eq(SASSimpleHeapDestroy(second), 0);
	help_fails(SASSimpleHeapDestroy(second) == -1, EINVAL);
	help_fails(SASSimpleHeapAlloc(second, 16) == NULL, EINVAL);
	ck_assert_uint_eq(help_info(region).bytesInUse, in_use);
	ck_assert_int_eq(SASSimpleHeapDestroyNoLock(heap), 0);
	ck_assert_uint_eq(help_info(region).bytesInUse, in_use - HEAP);
}
END_TEST

START_TEST(heap_outside_regions_works)
{
	_Alignas(16) char memory[1024 + 24];
	SASSimpleHeap_t mine;

	memset(memory, 0x77, sizeof memory);
	mine = SASSimpleHeapInit(memory, SAS_RUNTIME_SIMPLEHEAP, 1000);
	ck_assert_ptr_eq(mine, memory);
	ck_assert_uint_eq(SASSimpleHeapFreeSpace(mine), 992 - 128);
	for (unsigned i = 64; i < 128; i++)
		ck_assert_int_eq(memory[i], 0x77);
	ck_assert_ptr_eq(SASSimpleHeapAlloc(mine, 992 - 128), memory + 128);
	ck_assert_int_eq(SASSimpleHeapFree(mine, memory + 128, 16), 0);
	ck_assert_uint_eq(SASSimpleHeapFreeSpace(mine), 16);
	for (unsigned i = 992; i < sizeof memory; i++)
		ck_assert_int_eq(memory[i], 0x77);
}
END_TEST

START_TEST(heap_of_any_type_of_heaps_works)
{
	SASSimpleHeap_t table = SASSimpleHeapInit(take(8 * KIB), SAS_RUNTIME_LOCKTABLE, 8 * KIB);

	ck_assert_uint_eq(((SASBlockHeader *)table)->blockType, SAS_RUNTIME_LOCKTABLE);
	ck_assert_ptr_nonnull(SASSimpleHeapAlloc(table, 100));
	ck_assert_ptr_eq(SASSimpleHeapNearFind((char *)table + 5000), table);
}
END_TEST

/* A block over several segments, in a process that has mapped none of them. */
static void use_large(void *arg)
{
	SASSimpleHeap_t large = *(void **)arg;
	size_t size = 8 * MIB, room = size - 128;
	char *p;

	signal(SIGSEGV, SIG_DFL);
	must(SASSimpleHeapFreeSpace(large) == room - MIB);
	p = SASSimpleHeapAlloc(large, 5 * MIB);
	must(p == (char *)large + 128 + MIB);
	must(SASSimpleHeapFree(large, p, 5 * MIB) == 0);
	must(SASSimpleHeapFreeSpaceNoLock(large) == room - MIB);
	SASCleanUp();
}

START_TEST(heap_over_segments_works)
{
	SASSimpleHeap_t large = SASSimpleHeapCreate(8 * MIB);

	help_succeeds(large != NULL);
	ck_assert_ptr_nonnull(SASSimpleHeapAlloc(large, MIB));
	help_in_child(use_large, &large);
	ck_assert_uint_eq(SASSimpleHeapFreeSpace(large), 7 * MIB - 128);
	ck_assert_int_eq(SASSimpleHeapDestroy(large), 0);
}
END_TEST

START_TEST(near_calls_find_the_heap)
{
	char *a = SASSimpleHeapAlloc(heap, 3000), *b;

	ck_assert_ptr_eq(SASSimpleHeapNearFind(a + 2999), heap);
	ck_assert_ptr_eq(SASSimpleHeapNearFind(heap), heap);
	ck_assert_ptr_eq(SASSimpleHeapNearFind(inside(HEAP - 1)), heap);
	help_fails(SASSimpleHeapNearFind(inside(HEAP)) == NULL, ENOENT);
	help_fails(SASSimpleHeapNearFind(other_object(SAS_RUNTIME_SIMPLESPACE)) == NULL, EINVAL);
	help_fails(SASSimpleHeapNearFind(&a) == NULL, EFAULT);
	b = SASSimpleHeapNearAlloc(a, 100);
	ck_assert_ptr_eq(b, a + 3008);
	ck_assert_ptr_eq(SASSimpleHeapNearAllocNoLock(a, 16), b + 112);
	SASSimpleHeapNearDealloc(b, 100);
	SASSimpleHeapNearDeallocNoLock(b + 112, 16);
	SASSimpleHeapNearDealloc(a, 3000);
	ck_assert_int_eq(SASSimpleHeapEmpty(heap), 1);
}
END_TEST

START_TEST(heap_is_there_in_the_next_run)
{
	void *a = SASSimpleHeapAlloc(heap, 5000);

	SASCleanUp();
	help_succeeds(SASJoinRegion() == 0);
	region = SASRegionDefault();
	ck_assert_uint_eq(SASSimpleHeapFreeSpace(heap), ROOM - 5008);
	ck_assert_int_eq(SASSimpleHeapFree(heap, a, 5000), 0);
	ck_assert_int_eq(SASSimpleHeapEmpty(heap), 1);
}
END_TEST

/* --- locks */

START_TEST(calls_work_under_the_callers_lock)
{
	void *p;

	SASLock(heap, SasUserLock__WRITE);
	p = SASSimpleHeapAlloc(heap, 100);
	ck_assert_ptr_nonnull(p);
	ck_assert_uint_eq(SASSimpleHeapFreeSpace(heap), ROOM - 112);
	ck_assert_int_eq(SASSimpleHeapFree(heap, p, 100), 0);
	SASUnlock(heap);
	ck_assert_int_eq(SASLockHeld(heap), -1);
	SASLock(heap, SasUserLock__READ);
	ck_assert_int_eq(SASSimpleHeapDestroy(heap), 0);
	SASUnlock(heap);
}
END_TEST

START_TEST(calls_leave_no_lock)
{
	void *p = SASSimpleHeapAlloc(heap, 100);

	SASSimpleHeapAlloc(heap, MIB);
	SASSimpleHeapFree(heap, p, MIB);
	SASSimpleHeapFree(heap, p, 100);
	SASSimpleHeapEmpty(heap);
	ck_assert_int_eq(SASLockHeld(heap), -1);
	SASSimpleHeapDestroy(heap);
	ck_assert_int_eq(SASLockHeld(heap), -1);
	SASLock(heap, SasUserLock__WRITE);
	SASUnlock(heap);
}
END_TEST

/* Somebody waits for the heap's lock. */
static int is_waited_for(void)
{
	SASLockInfo list[8];
	long count = SASLockList(region, list, 8);

	for (long i = 0; i < count && i < 8; i++)
		if (list[i].address == heap && list[i].state == SASLock__WAITS)
			return 1;
	return 0;
}

static void hold_and_change(void *arg)
{
	struct help_peer *peer = arg;

	must(SASJoinRegion() == 0);
	region = SASRegionDefault();
	SASLock(heap, SasUserLock__WRITE);
	help_peer_turn(peer);
	must(until(is_waited_for(), PATIENCE));
	must(SASSimpleHeapAllocNoLock(heap, 1024) != NULL);
	SASUnlock(heap);
	help_peer_turn(peer);
	SASLock(heap, SasUserLock__READ);
	help_peer_turn(peer);
	must(until(is_waited_for(), PATIENCE));
	must(SASSimpleHeapAllocNoLock(heap, 1024) != NULL);
	SASUnlock(heap);
	SASCleanUp();
}

/* Readers wait for WRITE, writers for READ as well. */
START_TEST(calls_wait_for_holders)
{
	struct help_peer peer;

	SASCleanUp();
	help_peer_start(&peer, hold_and_change);
	help_succeeds(SASJoinRegion() == 0);
	region = SASRegionDefault();
	help_gate_open(&peer.back);
	ck_assert_uint_eq(SASSimpleHeapFreeSpace(heap), ROOM - 1024);
	help_gate_await(&peer.there);
	help_peer_go_on(&peer);
	help_gate_open(&peer.back);
	ck_assert_ptr_eq(SASSimpleHeapAlloc(heap, 16), inside(128 + 2048));
	help_done(peer.pid);
}
END_TEST

/* --- a model: a byte for each unit */

#define UNITS (ROOM / 16)
#define LIVE 64
struct range { size_t first, count; };

static size_t lowest(const char *used, size_t count)
{
	for (size_t first = 0, run = 0; first + run < UNITS;) {
		if (used[first + run]) {
			first += run + 1;
			run = 0;
		} else if (++run == count)
			return first;
	}
	return UNITS;
}

static void model_take(char *used, struct range *ranges, unsigned *live, size_t count)
{
	size_t expected = lowest(used, count);
	char *p = SASSimpleHeapAlloc(heap, count * 16);

	if (expected == UNITS) {
		ck_assert_ptr_null(p);
		return;
	}
	ck_assert_ptr_eq(p, inside(128 + 16 * expected));
	memset(p, 0xA5, count * 16);
	memset(used + expected, 1, count);
	ranges[(*live)++] = (struct range){ expected, count };
}

/* All of a range, or its beginning. */
static void model_give(char *used, struct range *ranges, unsigned *live, uint64_t *random)
{
	struct range *r = &ranges[help_below(random, *live)];
	size_t count = help_below(random, 4) ? r->count : 1 + help_below(random, r->count);

	ck_assert_int_eq(SASSimpleHeapFree(heap, inside(128 + 16 * r->first), count * 16), 0);
	memset(used + r->first, 0, count);
	r->first += count;
	r->count -= count;
	if (r->count == 0)
		*r = ranges[--*live];
}

START_TEST(random_calls_agree_with_model)
{
	static char used[UNITS];
	struct range ranges[LIVE];
	uint64_t random = help_seed("heap") + (uint64_t)_i;
	unsigned live = 0;

	memset(used, 0, sizeof used);
	for (long step = help_size(500, 4000, 400000); step > 0; step--) {
		size_t free_units = 0;

		if (live < LIVE && help_below(&random, 5) < 3)
			model_take(used, ranges, &live, 1 + help_below(&random, help_below(&random, 8) ? 20 : 1000));
		else if (live > 0)
			model_give(used, ranges, &live, &random);
		for (size_t i = 0; i < UNITS; i++)
			free_units += !used[i];
		ck_assert_uint_eq(SASSimpleHeapFreeSpace(heap), 16 * free_units);
	}
	while (live > 0)
		model_give(used, ranges, &live, &random);
	ck_assert_int_eq(SASSimpleHeapEmpty(heap), 1);
}
END_TEST

/* --- threads */

static void *churn(void *arg)
{
	uint64_t random = (uintptr_t)arg;

	for (long i = help_size(300, 5000, 200000); i > 0; i--) {
		size_t size = 1 + help_below(&random, 400);
		char *p = SASSimpleHeapAlloc(heap, size);

		if (p == NULL || SASSimpleHeapFreeSpace(heap) > ROOM - 16)
			return "no range";
		memset(p, (int)random, size);
		if (p[0] != p[size - 1] || SASSimpleHeapFree(heap, p, size) != 0)
			return "not its own";
	}
	return NULL;
}

START_TEST(threads_share_a_heap)
{
	pthread_t threads[4];
	void *wrong;

	for (uintptr_t i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, churn, (void *)(i + 1)), 0);
	for (unsigned i = 0; i < 4; i++) {
		ck_assert_int_eq(pthread_join(threads[i], &wrong), 0);
		ck_assert_msg(wrong == NULL, "%s", (const char *)wrong);
	}
	ck_assert_int_eq(SASSimpleHeapEmpty(heap), 1);
}
END_TEST

/* --- processes and deaths among them */

#define WORKERS 6
#define HELD 24

/* What a worker says it has: nobody else writes there. A range that is being taken or given back when the worker dies may be either. */
static struct board {
	uint32_t stop;
	struct place {
		uint64_t calls;
		struct { char *at; uint32_t size, giving; } held[HELD];
		uint32_t taking;        /* bytes */
	} places[WORKERS];
} *board;

static void take_one(struct place *p, unsigned k, uint64_t *random)
{
	uint32_t size = 16 * (1 + (uint32_t)help_below(random, 40));
	char *at;

	__atomic_store_n(&p->taking, size, __ATOMIC_SEQ_CST);
	at = SASSimpleHeapAlloc(heap, size);
	if (at != NULL) {
		memset(at, (int)(size ^ k), size);
		p->held[k].size = size;
		p->held[k].giving = 0;
		__atomic_store_n(&p->held[k].at, at, __ATOMIC_SEQ_CST);
	} else
		must(errno == ENOSPC);
	__atomic_store_n(&p->taking, 0, __ATOMIC_SEQ_CST);
}

static void give_one(struct place *p, unsigned k)
{
	for (uint32_t i = 0; i < p->held[k].size; i++)
		must(p->held[k].at[i] == (char)(p->held[k].size ^ k));
	__atomic_store_n(&p->held[k].giving, 1, __ATOMIC_SEQ_CST);
	must(SASSimpleHeapFree(heap, p->held[k].at, p->held[k].size) == 0);
	__atomic_store_n(&p->held[k].at, NULL, __ATOMIC_SEQ_CST);
}

/* What the one that died here had, is given back. What it was just giving back may be another one's by now. How many bytes may be lost. */
static uint64_t inherit(struct place *p)
{
	uint64_t lost = p->taking;

	for (unsigned k = 0; k < HELD; k++) {
		if (p->held[k].at == NULL)
			continue;
		if (p->held[k].giving)
			lost += p->held[k].size;
		else
			must(SASSimpleHeapFree(heap, p->held[k].at, p->held[k].size) == 0);
		p->held[k].at = NULL;
	}
	p->taking = 0;
	return lost;
}

static void work(void *arg)
{
	struct place *p = arg;
	uint64_t random = help_now() ^ (uint64_t)getpid() << 32;

	must(SASJoinRegion() == 0);
	while (!__atomic_load_n(&board->stop, __ATOMIC_ACQUIRE)) {
		unsigned k = (unsigned)help_below(&random, HELD);

		if (p->held[k].at == NULL)
			take_one(p, k, &random);
		else
			give_one(p, k);
		if (help_below(&random, 16) == 0)
			must(SASSimpleHeapFreeSpace(heap) < MIB);
		__atomic_fetch_add(&p->calls, 1, __ATOMIC_RELAXED);
	}
	SASCleanUp();
}

static uint64_t all_calls(void)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < WORKERS; i++)
		sum += __atomic_load_n(&board->places[i].calls, __ATOMIC_RELAXED);
	return sum;
}

static void board_begin(void)
{
	board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert(board != MAP_FAILED);
	ck_assert_int_eq(SASSimpleHeapDestroy(heap), 0);
	heap = SASSimpleHeapCreate(MIB);
	help_succeeds(heap != NULL);
	SASCleanUp();
	region = NULL;
}

/* Everything that was said to be held can be given back, and then all is free but what the dead had just taken. */
static void settle(uint64_t lost, long kills)
{
	help_succeeds(SASJoinRegion() == 0);
	region = SASRegionDefault();
	for (unsigned i = 0; i < WORKERS; i++)
		lost += inherit(&board->places[i]);
	errno = 0;
	ck_assert_uint_ge(SASSimpleHeapFreeSpace(heap) + lost, MIB - 128);
	ck_assert_uint_le(SASSimpleHeapFreeSpace(heap), MIB - 128);
	ck_assert_int_eq(errno, 0);
	if (kills == 0)
		ck_assert_int_eq(SASSimpleHeapEmpty(heap), 1);
	munmap(board, sizeof *board);
}

START_TEST(processes_share_a_heap)
{
	pid_t pids[WORKERS];
	uint64_t enough = (uint64_t)help_size(2000, 40000, 2000000);

	board_begin();
	for (unsigned i = 0; i < WORKERS; i++)
		pids[i] = help_fork(work, &board->places[i]);
	ck_assert(until(all_calls() >= enough, 10 * PATIENCE));
	__atomic_store_n(&board->stop, 1, __ATOMIC_RELEASE);
	for (unsigned i = 0; i < WORKERS; i++)
		help_done(pids[i]);
	settle(0, 0);
}
END_TEST

static void inherit_in_child(void *arg)
{
	uint64_t *lost = arg;
	struct place *p = &board->places[*lost];

	must(SASJoinRegion() == 0);
	*lost = inherit(p);
	SASCleanUp();
}

/* One is killed, its successor gives back what it had; the others go on all the time. */
START_TEST(heap_survives_kills)
{
	uint64_t random = help_seed("kills"), lost = 0, *word;
	long kills = help_size(10, 80, 5000);
	pid_t pids[WORKERS];

	word = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert(word != MAP_FAILED);
	board_begin();
	for (unsigned i = 0; i < WORKERS; i++)
		pids[i] = help_fork(work, &board->places[i]);
	for (long n = 0; n < kills; n++) {
		unsigned k = (unsigned)help_below(&random, WORKERS);
		uint64_t before = __atomic_load_n(&board->places[k].calls, __ATOMIC_RELAXED);

		ck_assert(until(__atomic_load_n(&board->places[k].calls, __ATOMIC_RELAXED) > before, PATIENCE));
		help_spin(help_below(&random, 100000));
		ck_assert_int_eq(kill(pids[k], SIGKILL), 0);
		ck_assert_int_eq(help_wait(pids[k], PATIENCE), 128 + SIGKILL);
		*word = k;
		help_in_child(inherit_in_child, word);
		lost += *word;
		pids[k] = help_fork(work, &board->places[k]);
	}
	__atomic_store_n(&board->stop, 1, __ATOMIC_RELEASE);
	for (unsigned i = 0; i < WORKERS; i++)
		help_done(pids[i]);
	printf("%ld kills, %lu calls, %lu bytes of the dead that nobody had been told of\n", kills,
	       (unsigned long)all_calls(), (unsigned long)lost);
	settle(lost, kills);
	munmap(word, 4096);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("simple_heap");
	TCase *c = help_case(suite, "heap");

	tcase_add_checked_fixture(c, set_up, default_end);
	tcase_add_test(c, init_refuses_bad_arguments);
	tcase_add_test(c, create_refuses_sizes);
	tcase_add_test(c, calls_on_what_is_no_heap_fail);
	tcase_add_test(c, alloc_refuses_sizes);
	tcase_add_test(c, free_refuses_what_is_not_taken);
	tcase_add_test(c, broken_list_gives_euclean);
	tcase_add_test(c, destroy_refuses_what_is_no_block_of_its_own);
	tcase_add_test(c, new_heap_has_its_size_but_the_header);
	tcase_add_test(c, alloc_takes_lowest_units_of_sixteen);
	tcase_add_test(c, all_that_is_free_can_be_taken);
	tcase_add_test(c, destroy_gives_block_back);
	tcase_add_test(c, heap_outside_regions_works);
	tcase_add_test(c, heap_of_any_type_of_heaps_works);
	tcase_add_test(c, heap_over_segments_works);
	tcase_add_test(c, near_calls_find_the_heap);
	tcase_add_test(c, heap_is_there_in_the_next_run);
	tcase_add_test(c, calls_work_under_the_callers_lock);
	tcase_add_test(c, calls_leave_no_lock);
	tcase_add_test(c, calls_wait_for_holders);
	tcase_add_loop_test(c, random_calls_agree_with_model, 0, 4);
	tcase_add_test(c, threads_share_a_heap);
	tcase_add_test(c, processes_share_a_heap);
	help_add_death(c, heap_survives_kills);
	return help_main(suite);
}
