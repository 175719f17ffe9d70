/* SPDX-License-Identifier: MIT */
/*
 * test_block.c - blocks by the public calls: sizes, content, refusals, lists, space, fragmentation, and a
 * model that knows better. Long, as they share their region and its lists; test_block_lock.c has the calls of
 * many at once.
 */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <sasalloc.h>
#include <sassim.h>
#include "block_help.h"

#define SMALL (64 * MIB)        /* 32 segments */

static SASRegion_t region;

static void set_up(void)
{
	store_begin();
	region = store_create(SMALL, SEGMENT, 0);
}

static void tear_down(void)
{
	if (region)
		ck_assert_int_eq(SASRegionLeave(region), 0);
	store_end();
}

static unsigned char *take(size_t size)
{
	unsigned char *block = SASRegionBlockAlloc(region, size);

	ck_assert_msg(block != NULL, "%zu bytes: %s", size, SASLastErrorMessage());
	ck_assert_uint_eq((uintptr_t)block % size, 0);
	return block;
}

static void give(void *block, size_t size)
{
	ck_assert_msg(SASBlockFree(block, size) == 0, "%s", SASLastErrorMessage());
}

/* All bytes of the region are in exactly one list. */
static void lists_add_up(void)
{
	SASRegionInfo info = info_of(region);
	uint64_t used = sum_of(region, SASBlock__IN_USE);

	ck_assert_uint_eq(used, sum_of(region, SASBlock__IN_USE_MERGED));
	ck_assert_uint_eq(used + sum_of(region, SASBlock__FREE) + sum_of(region, SASBlock__UNCOMMITTED),
			  sum_of(region, SASBlock__SEGMENT));
	ck_assert_uint_eq(sum_of(region, SASBlock__SEGMENT) + sum_of(region, SASBlock__FREE_REGION),
			  info.regionSize);
	ck_assert_uint_eq(sum_of(region, SASBlock__SEGMENT), info.segmentsPresent * info.segmentSize);
	ck_assert_uint_eq(info.bytesFree,
			  sum_of(region, SASBlock__FREE) + sum_of(region, SASBlock__UNCOMMITTED));
}

/* --- sizes and content */

START_TEST(alloc_of_each_size_is_aligned_with_zero_head)
{
	for (size_t size = 4096; size <= SMALL / 2; size *= 2) {
		unsigned char *block = take(size);

		ck_assert(all_zero(block, 4096));
		memset(block, 0xa5, size);
		lists_add_up();
		give(block, size);
		ck_assert(all_zero(block, 4096));
	}
	ck_assert_uint_eq(info_of(region).blocksInUse, 0);
	ck_assert_uint_eq(info_of(region).bytesInUse, 0);
}
END_TEST

START_TEST(alloc_of_never_used_space_is_all_zero)
{
	for (size_t size = 4096; size <= SMALL / 4; size *= 2) {
		unsigned char *block = take(size);

		ck_assert_msg(all_zero(block, size), "a new block of %zu bytes is not zero", size);
		memset(block, 0xa5, size);
	}
}
END_TEST

/* Space that was used in all sizes is used again in all sizes. */
START_TEST(alloc_over_dirty_space_has_zero_head)
{
	for (size_t dirty = 4096; dirty <= SMALL / 2; dirty *= 4)
		for (size_t size = 4096; size <= SMALL / 2; size *= 8) {
			unsigned char *block = take(dirty), *again;

			memset(block, 0xa5, dirty);
			give(block, dirty);
			again = take(size);
			ck_assert(all_zero(again, 4096));
			memset(again, 0x5a, size);
			give(again, size);
		}
}
END_TEST

START_TEST(alloc_of_all_space_has_zero_heads)
{
	static unsigned char *blocks[SMALL / 4096];
	size_t count = 0, in_use;
	SASBlockInfo *list;

	for (size_t size = SMALL / 2; size >= 4096; size /= 2)
		while ((blocks[0] = SASRegionBlockAlloc(region, size)) != NULL)
			memset(blocks[0], 0xcc, size);
	ck_assert_int_eq(errno, ENOMEM);
	/* All of it free, all of it dirty but the heads. */
	list = list_of(region, SASBlock__IN_USE, &in_use);
	for (size_t i = 0; i < in_use; i++)
		if (list[i].generation)
			give(list[i].address, list[i].size);
	free(list);
	store_is_clean(store);
	while ((blocks[count] = SASRegionBlockAlloc(region, 4096)) != NULL) {
		ck_assert(all_zero(blocks[count], 4096));
		count++;
	}
	ck_assert_uint_gt(count, 16000);
	for (size_t i = 0; i < count; i++)
		give(blocks[i], 4096);
}
END_TEST

/* By the process that freed it, as programs do. */
START_TEST(freed_block_stays_readable)
{
	for (size_t size = 4096; size <= 8 * SEGMENT; size *= 4) {
		unsigned char *block = take(size);

		memset(block, 0x77, size);
		give(block, size);
		ck_assert(all_zero(block, 4096));
		for (size_t i = 4096; i < size; i += 4096)
			ck_assert_uint_eq(load_byte(block + i), 0x77);
	}
}
END_TEST

START_TEST(block_over_segments_is_one_range)
{
	size_t size = 16 * SEGMENT;
	unsigned char *block = take(size);
	SASBlockInfo info;

	for (size_t i = 0; i < size; i += 4096)
		block[i] = (unsigned char)(i >> 12);
	ck_assert_int_eq(SASBlockFind(block + 11 * SEGMENT + 1, &info), 0);
	ck_assert_ptr_eq(info.address, block);
	ck_assert_uint_eq(info.size, size);
	ck_assert_int_eq(SASRegionLeave(region), 0);
	region = store_join(0);
	for (size_t i = 0; i < size; i += 4096)
		ck_assert_uint_eq(load_byte(block + i), (unsigned char)(i >> 12));
	give(block, size);
}
END_TEST

START_TEST(blocks_keep_content_over_leave)
{
	unsigned char *blocks[100];

	for (unsigned i = 0; i < 100; i++) {
		blocks[i] = take(8192);
		memset(blocks[i], (int)i + 1, 8192);
	}
	ck_assert_int_eq(SASRegionLeave(region), 0);
	region = store_join(0);
	ck_assert_uint_eq(info_of(region).blocksInUse, 100);
	for (unsigned i = 0; i < 100; i++) {
		ck_assert_uint_eq(load_byte(blocks[i]), i + 1);
		ck_assert_uint_eq(load_byte(blocks[i] + 8191), i + 1);
		give(blocks[i], 8192);
	}
}
END_TEST

/* --- refusals */

struct state {
	uint64_t used, count, sum;
};

static struct state state_now(void)
{
	SASRegionInfo info = info_of(region);

	return (struct state){ info.bytesInUse, info.blocksInUse, info.bytesFree };
}

static void is_unharmed(const struct state *before)
{
	struct state now = state_now();

	ck_assert_mem_eq(&now, before, sizeof now);
	store_is_clean(store);
}

static void alloc_fails(size_t size, int error)
{
	errno = 0;
	ck_assert_ptr_null(SASRegionBlockAlloc(region, size));
	ck_assert_msg(errno == error, "%zu bytes: errno %d, not %d: %s", size, errno, error,
		      SASLastErrorMessage());
	ck_assert_uint_gt(strlen(SASLastErrorMessage()), 10);
}

static void free_fails(void *block, size_t size, int error)
{
	errno = 0;
	ck_assert_int_eq(SASBlockFree(block, size), -1);
	ck_assert_msg(errno == error, "%p, %zu bytes: errno %d, not %d: %s", block, size, errno, error,
		      SASLastErrorMessage());
	ck_assert_uint_gt(strlen(SASLastErrorMessage()), 10);
}

START_TEST(alloc_refuses_sizes)
{
	static const size_t odd[] = { 0, 1, 512, 4095, 4097, 8191, 12288, 3 << 20, SMALL - 4096,
				      SMALL + 4096, SIZE_MAX, (1UL << 63) + 4096, 3UL << 62 };
	struct state before = state_now();

	for (unsigned i = 0; i < sizeof odd / sizeof odd[0]; i++)
		alloc_fails(odd[i], EINVAL);
	alloc_fails(SMALL, ENOMEM);
	alloc_fails(2 * SMALL, ENOMEM);
	alloc_fails(1UL << 63, ENOMEM);
	is_unharmed(&before);
}
END_TEST

START_TEST(alloc_refuses_handles)
{
	struct { char bytes[64]; } no_region;

	memset(&no_region, 0, sizeof no_region);
	errno = 0;
	ck_assert_ptr_null(SASRegionBlockAlloc(NULL, 4096));
	ck_assert_int_eq(errno, EINVAL);
	errno = 0;
	ck_assert_ptr_null(SASRegionBlockAlloc((SASRegion_t)(void *)&no_region, 4096));
	ck_assert_int_eq(errno, EINVAL);
}
END_TEST

START_TEST(free_refuses_what_is_no_block)
{
	unsigned char *block = take(64 * KIB), *large = take(4 * SEGMENT);
	uintptr_t base = (uintptr_t)info_of(region).base;
	struct state before = state_now();
	char local;

	free_fails(block, 0, EINVAL);
	free_fails(block, 4095, EINVAL);
	free_fails(block, 3 * 4096, EINVAL);
	free_fails(block, SIZE_MAX, EINVAL);
	free_fails(block, 32 * KIB, EINVAL);
	free_fails(block, 128 * KIB, EINVAL);
	free_fails(block + 1, 64 * KIB, EINVAL);
	free_fails(block + 4096, 64 * KIB, EINVAL);
	free_fails(block + 4096, 4096, ENOENT);
	free_fails(block + 32 * KIB, 32 * KIB, ENOENT);
	free_fails(large + SEGMENT, SEGMENT, ENOENT);
	free_fails(large, SEGMENT, EINVAL);
	free_fails(large + 4096, 4096, ENOENT);
	free_fails(NULL, 4096, EFAULT);
	free_fails(&local, 4096, EFAULT);
	free_fails((void *)(base - 4096), 4096, EFAULT);
	free_fails((void *)(base + SMALL), 4096, EFAULT);
	free_fails((void *)UINTPTR_MAX, 4096, EFAULT);
	free_fails((void *)(base + SMALL - 4096), 4096, ENOENT);
	is_unharmed(&before);
	give(block, 64 * KIB);
	give(large, 4 * SEGMENT);
	before = state_now();
	free_fails(block, 64 * KIB, ENOENT);
	free_fails(large, 4 * SEGMENT, ENOENT);
	is_unharmed(&before);
}
END_TEST

START_TEST(free_refuses_blocks_of_runtime)
{
	size_t count, own = 0;
	SASBlockInfo *list = list_of(region, SASBlock__IN_USE, &count);

	for (size_t i = 0; i < count; i++)
		if (list[i].generation == 0) {
			free_fails(list[i].address, list[i].size, EPERM);
			own++;
		}
	ck_assert_uint_ge(own, 1);
	free(list);
	take(4096);
}
END_TEST

START_TEST(free_with_other_size_of_same_start_is_refused)
{
	unsigned char *block = take(4096);

	/* Size 2^n of whatever begins there. */
	for (size_t size = 8192; size <= SMALL; size *= 2)
		if ((uintptr_t)block % size == 0)
			free_fails(block, size, EINVAL);
	give(block, 4096);
}
END_TEST

START_TEST(changes_in_readonly_region_give_erofs)
{
	unsigned char *block = take(4096);

	ck_assert_int_eq(SASRegionLeave(region), 0);
	region = store_join(SAS_JOIN_READONLY);
	alloc_fails(4096, EROFS);
	free_fails(block, 4096, EROFS);
	errno = 0;
	ck_assert_int_eq(SASRegionTrim(region), -1);
	ck_assert_int_eq(errno, EROFS);
	ck_assert_uint_eq(info_of(region).blocksInUse, 1);
}
END_TEST

/* --- classic calls */

START_TEST(classic_calls_without_join_fail)
{
	ck_assert_int_eq(SASRegionLeave(region), 0);
	region = NULL;
	errno = 0;
	ck_assert_ptr_null(SASBlockAlloc(4096));
	ck_assert_int_eq(errno, EINVAL);
	errno = 0;
	SASBlockDealloc(store, 4096);
	ck_assert_int_eq(errno, EFAULT);
	errno = 0;
	SASSeize();
	ck_assert_int_eq(errno, EINVAL);
}
END_TEST

START_TEST(classic_alloc_and_dealloc_work)
{
	void *block;

	ck_assert_int_eq(SASJoinRegionByName(store), 0);
	block = SASBlockAlloc(block__Size64K);
	ck_assert_ptr_nonnull(block);
	errno = 0;
	SASBlockDealloc(block, block__Size16K);
	ck_assert_int_eq(errno, EINVAL);
	SASBlockDealloc(block, block__Size64K);
	errno = 0;
	SASBlockDealloc(block, block__Size64K);
	ck_assert_int_eq(errno, ENOENT);
	SASCleanUp();
}
END_TEST

/* --- lists */

static void is_sorted_and_apart(sas_block_kind_t kind)
{
	size_t count;
	SASBlockInfo *list = list_of(region, kind, &count);

	for (size_t i = 0; i < count; i++) {
		ck_assert_uint_eq(list[i].kind, kind);
		ck_assert_uint_eq(list[i].size & (list[i].size - 1), 0);
		ck_assert_uint_eq(((uintptr_t)list[i].address - info_of(region).base) % list[i].size, 0);
		if (i)
			ck_assert((char *)list[i].address >= (char *)list[i - 1].address + list[i - 1].size);
	}
	free(list);
}

static void make_mixture(void)
{
	void *blocks[64];

	for (unsigned i = 0; i < 64; i++)
		blocks[i] = take(4096UL << i % 8);
	take(4 * SEGMENT);
	give(take(8 * SEGMENT), 8 * SEGMENT);
	for (unsigned i = 0; i < 64; i += 3)
		give(blocks[i], 4096UL << i % 8);
}

START_TEST(lists_are_ascending_and_add_up)
{
	lists_add_up();
	make_mixture();
	lists_add_up();
	for (int kind = SASBlock__IN_USE; kind <= SASBlock__IN_USE_MERGED; kind++)
		is_sorted_and_apart((sas_block_kind_t)kind);
	ck_assert_uint_gt(sum_of(region, SASBlock__FREE), 8 * SEGMENT);
	ck_assert_uint_gt(sum_of(region, SASBlock__UNCOMMITTED), 0);
}
END_TEST

START_TEST(list_stores_no_more_than_capacity)
{
	SASBlockInfo buffer[8], *all;
	size_t count;

	make_mixture();
	all = list_of(region, SASBlock__IN_USE, &count);
	ck_assert_uint_gt(count, 8);
	memset(buffer, 0xee, sizeof buffer);
	ck_assert_int_eq(SASRegionListBlocks(region, SASBlock__IN_USE, buffer, 5), (long)count);
	ck_assert_mem_eq(buffer, all, 5 * sizeof buffer[0]);
	for (unsigned char *p = (unsigned char *)(buffer + 5); p < (unsigned char *)(buffer + 8); p++)
		ck_assert_uint_eq(*p, 0xee);
	free(all);
	errno = 0;
	ck_assert_int_eq(SASRegionListBlocks(region, SASBlock__IN_USE, NULL, 5), -1);
	ck_assert_int_eq(errno, EINVAL);
	errno = 0;
	ck_assert_int_eq(SASRegionListBlocks(region, (sas_block_kind_t)6, buffer, 5), -1);
	ck_assert_int_eq(errno, EINVAL);
	errno = 0;
	ck_assert_int_eq(SASRegionListBlocks(NULL, SASBlock__FREE, buffer, 5), -1);
	ck_assert_int_eq(errno, EINVAL);
}
END_TEST

START_TEST(merged_list_joins_buddies)
{
	unsigned char *first = take(64 * KIB);
	size_t count, plain;
	SASBlockInfo *list;

	give(first, 64 * KIB);
	for (unsigned i = 0; i < 16; i++)
		ck_assert_ptr_nonnull(SASRegionBlockAlloc(region, 4096));
	list = list_of(region, SASBlock__IN_USE_MERGED, &count);
	free(list);
	list = list_of(region, SASBlock__IN_USE, &plain);
	free(list);
	ck_assert_uint_lt(count, plain);
	is_sorted_and_apart(SASBlock__IN_USE_MERGED);
}
END_TEST

#define ROOM 4096

static void classic_is(int (*bounded)(void **, unsigned long *, int, int *),
		       void (*plain)(void **, unsigned long *, int *), sas_block_kind_t kind)
{
	static void *address[ROOM], *again[ROOM];
	static unsigned long size[ROOM], size_again[ROOM];
	uint64_t sum = 0;
	int count = -1, same = -1;

	ck_assert_int_eq(bounded(address, size, ROOM, &count), 0);
	ck_assert_int_lt(count, ROOM);
	for (int i = 0; i < count; i++) {
		sum += size[i];
		if (i)
			ck_assert(size[i - 1] < size[i] ||
				  (size[i - 1] == size[i] && address[i - 1] < address[i]));
	}
	ck_assert_uint_eq(sum, sum_of(region, kind));
	plain(again, size_again, &same);
	ck_assert_int_eq(same, count);
	ck_assert_mem_eq(address, again, (size_t)count * sizeof address[0]);
	ck_assert_mem_eq(size, size_again, (size_t)count * sizeof size[0]);
	address[1] = (void *)4711;
	ck_assert_int_eq(bounded(address, size, 1, &same), 0);
	ck_assert_int_eq(same, count);
	ck_assert_ptr_eq(address[1], (void *)4711);
	ck_assert_int_eq(bounded(NULL, NULL, 0, &same), 0);
	ck_assert_int_eq(same, count);
	ck_assert_int_eq(bounded(NULL, NULL, -1, &same), 0);
	ck_assert_int_eq(same, count);
}

START_TEST(classic_lists_are_the_same_by_size)
{
	make_mixture();
	ck_assert_int_eq(SASJoinRegionByName(store), 0);
	ck_assert_ptr_eq(SASRegionDefault(), region);
	classic_is(SASListFreeRegionN, SASListFreeRegion, SASBlock__FREE_REGION);
	classic_is(SASListAllocatedRegionN, SASListAllocatedRegion, SASBlock__SEGMENT);
	classic_is(SASListFreeMemN, SASListFreeMem, SASBlock__FREE);
	classic_is(SASListUncommittedMemN, SASListUncommittedMem, SASBlock__UNCOMMITTED);
	ck_assert_int_eq(getSASUseListFlag(), 1);
	classic_is(SASListInUseMemN, SASListInUseMem, SASBlock__IN_USE_MERGED);
	setSASLinearUseList();
	ck_assert_int_eq(getSASUseListFlag(), 0);
	classic_is(SASListInUseMemN, SASListInUseMem, SASBlock__IN_USE);
	setSASCompactUseList();
	ck_assert_int_eq(getSASUseListFlag(), 1);
	SASCleanUp();
}
END_TEST

/* --- generations, find */

static void allocate_in_child(void *arg)
{
	SASBlockInfo info;
	void *block = SASRegionBlockAlloc(region, 16 * KIB);

	must(block != NULL);
	must(SASBlockFind(block, &info) == 0);
	must(info.generation == info_of(region).generation);
	must(info.generation != *(uint32_t *)arg);
}

START_TEST(blocks_carry_generation_of_process)
{
	uint32_t own = info_of(region).generation, others = 0;
	size_t count;
	SASBlockInfo *list, info;
	void *block = take(4096);

	ck_assert_int_eq(SASBlockFind(block, &info), 0);
	ck_assert_uint_eq(info.generation, own);
	child_passes(allocate_in_child, &own);
	child_passes(allocate_in_child, &own);
	list = list_of(region, SASBlock__IN_USE, &count);
	for (size_t i = 0; i < count; i++)
		if (list[i].generation && list[i].generation != own) {
			ck_assert_uint_eq(list[i].size, 16 * KIB);
			ck_assert_uint_ne(list[i].generation, others);
			others = list[i].generation;
			give(list[i].address, 16 * KIB);
		}
	ck_assert_uint_ne(others, 0);
	ck_assert_uint_eq(info_of(region).blocksInUse, 1);
	free(list);
}
END_TEST

static void find_fails(const void *address, int error)
{
	SASBlockInfo info;

	errno = 0;
	ck_assert_int_eq(SASBlockFind(address, &info), -1);
	ck_assert_int_eq(errno, error);
}

START_TEST(find_gives_block_of_any_address_in_it)
{
	for (size_t size = 4096; size <= 4 * SEGMENT; size *= 2) {
		unsigned char *block = take(size);
		size_t places[] = { 0, 1, size / 2, size - 1 };
		SASBlockInfo info;

		for (unsigned i = 0; i < 4; i++) {
			ck_assert_int_eq(SASBlockFind(block + places[i], &info), 0);
			ck_assert_ptr_eq(info.address, block);
			ck_assert_uint_eq(info.size, size);
		}
		give(block, size);
		find_fails(block, ENOENT);
	}
	find_fails(NULL, EFAULT);
	find_fails(store, EFAULT);
	find_fails((void *)(uintptr_t)(info_of(region).base + SMALL), EFAULT);
	find_fails((void *)(uintptr_t)(info_of(region).base + SMALL - 1), ENOENT);
}
END_TEST

/* --- headers */

START_TEST(header_of_each_size_is_found_from_anywhere_in_it)
{
	for (size_t size = 4096; size <= 8 * SEGMENT; size *= 2) {
		unsigned char *block = take(size);

		initSOMSASBlock((SASBlockHeader *)(void *)block, SAS_RUNTIME_SIMPLEHEAP, (long)size, NULL);
		for (size_t at = 0; at < size; at += size / 16 + 7)
			ck_assert_ptr_eq(SASFindHeader(block + at), block);
		ck_assert_ptr_eq(SASFindHeader(block + size - 1), block);
		give(block, size);
		errno = 0;
		ck_assert_ptr_null(SASFindHeader(block + size - 1));
		ck_assert_int_eq(errno, ENOENT);
	}
}
END_TEST

START_TEST(innermost_header_is_found_first)
{
	size_t size = 512 * KIB;
	unsigned char *block = take(size);

	initSOMSASBlock((SASBlockHeader *)(void *)block, SAS_RUNTIME_COMPOUNDHEAP, (long)size, NULL);
	for (size_t inner = 512; inner < size; inner *= 2) {
		unsigned char *page = block + inner;    /* aligned to its size */

		initSOMSASBlock((SASBlockHeader *)(void *)page, SAS_RUNTIME_SIMPLEHEAP, (long)inner, NULL);
		ck_assert_ptr_eq(SASFindHeader(page), page);
		ck_assert_ptr_eq(SASFindHeader(page + inner - 1), page);
		memset(page, 0, sizeof(SASBlockHeader));
		ck_assert_ptr_eq(SASFindHeader(page), block);
		ck_assert_ptr_eq(SASFindHeader(page + inner - 1), block);
	}
	give(block, size);
}
END_TEST

/* A header outside of the block is not the block's, whatever stands there. */
START_TEST(header_search_stays_inside_block)
{
	unsigned char *first = take(64 * KIB), *second;

	give(first, 64 * KIB);
	first = take(32 * KIB);
	second = take(32 * KIB);
	ck_assert_ptr_eq(second, first + 32 * KIB);
	initSOMSASBlock((SASBlockHeader *)(void *)first, SAS_RUNTIME_SIMPLEHEAP, (long)(32 * KIB), NULL);
	errno = 0;
	ck_assert_ptr_null(SASFindHeader(second + 100));
	ck_assert_int_eq(errno, ENOENT);
	ck_assert_ptr_eq(SASFindHeader(first + 100), first);
}
END_TEST

/* --- file space */

static uint64_t space_of_store(void)
{
	char name[300];
	struct stat st;
	uint64_t blocks = 0;

	for (unsigned n = 0; n < SMALL / SEGMENT; n++) {
		snprintf(name, sizeof name, "%s/SAS%05X.DAT", store, n);
		if (stat(name, &st) == 0)
			blocks += (uint64_t)st.st_blocks;
	}
	return blocks * 512;
}

START_TEST(trim_returns_file_space)
{
	unsigned char *small = take(SEGMENT / 2), *large = take(8 * SEGMENT), *kept = take(4096);
	uint64_t before, after;
	long bytes;

	memset(small, 0xab, SEGMENT / 2);
	memset(large, 0xab, 8 * SEGMENT);
	memset(kept, 0xab, 4096);
	ck_assert_uint_ge(space_of_store(), 8 * SEGMENT);
	give(small, SEGMENT / 2);
	give(large, 8 * SEGMENT);
	before = space_of_store();
	bytes = SASRegionTrim(region);
	ck_assert_int_ge(bytes, (long)(8 * SEGMENT));
	after = space_of_store();
	ck_assert_uint_eq(after, before - (uint64_t)bytes);
	store_is_clean(store);
	ck_assert_uint_eq(load_byte(kept + 4095), 0xab);
	ck_assert_uint_eq(load_byte(large + SEGMENT), 0);       /* still readable */
	ck_assert_int_eq(SASRegionTrim(region), 0);
	/* What is taken again is backed, and zero. */
	large = take(8 * SEGMENT);
	ck_assert(all_zero(large, 8 * SEGMENT));
	ck_assert_uint_ge(space_of_store(), after + 8 * SEGMENT);
	small = take(SEGMENT / 2);
	ck_assert(all_zero(small, 4096));
	memset(small, 1, SEGMENT / 2);
	lists_add_up();
}
END_TEST

START_TEST(trim_after_each_kind_of_use_keeps_content_rules)
{
	uint64_t state = random_seed("trim");
	struct { unsigned char *at; size_t size; } live[64];
	unsigned count = 0;

	for (long i = 0; i < size_of_test(100, 600, 5000); i++) {
		size_t size = 4096UL << random_below(&state, 12);

		if (count == 64 || (count && random_below(&state, 2))) {
			unsigned k = (unsigned)random_below(&state, count);

			ck_assert_uint_eq(load_byte(live[k].at + live[k].size - 1), 0xbd);
			give(live[k].at, live[k].size);
			live[k] = live[--count];
		} else if ((live[count].at = SASRegionBlockAlloc(region, size)) != NULL) {
			ck_assert(all_zero(live[count].at, 4096));
			memset(live[count].at, 0xbd, size);
			live[count++].size = size;
		}
		if (i % 16 == 0)
			ck_assert_int_ge(SASRegionTrim(region), 0);
		if (i % 100 == 0)
			store_is_clean(store);
	}
	lists_add_up();
}
END_TEST

START_TEST(sparse_region_takes_space_at_first_touch)
{
	uint64_t before;
	unsigned char *block;

	ck_assert_int_eq(SASRegionRemove(region), 0);
	region = store_create(SMALL, SEGMENT, SAS_JOIN_SPARSE);
	take(4096);
	before = space_of_store();
	block = take(8 * SEGMENT);
	ck_assert_uint_lt(space_of_store(), before + SEGMENT);
	memset(block, 1, 8 * SEGMENT);
	ck_assert_uint_ge(space_of_store(), before + 8 * SEGMENT - SEGMENT);
	give(block, 8 * SEGMENT);
	lists_add_up();
}
END_TEST

START_TEST(block_of_plain_region_is_backed)
{
	uint64_t before;

	take(4096);
	before = space_of_store();
	take(8 * SEGMENT);
	ck_assert_uint_ge(space_of_store(), before + 8 * SEGMENT);
}
END_TEST

/* --- exhaustion */

START_TEST(exhausted_region_gives_enomem_and_works_again)
{
	static void *blocks[SMALL / 4096];
	size_t count = 0;
	uint64_t own;

	own = sum_of(region, SASBlock__IN_USE);
	for (int round = 0; round < 2; round++) {
		count = 0;
		while ((blocks[count] = SASRegionBlockAlloc(region, 4096)) != NULL)
			count++;
		ck_assert_int_eq(errno, ENOMEM);
		ck_assert_uint_eq(info_of(region).bytesInUse, count * 4096);
		ck_assert_uint_eq(sum_of(region, SASBlock__IN_USE), SMALL);
		ck_assert_uint_eq(sum_of(region, SASBlock__FREE) + sum_of(region, SASBlock__UNCOMMITTED) +
				  sum_of(region, SASBlock__FREE_REGION), 0);
		alloc_fails(8192, ENOMEM);
		alloc_fails(SEGMENT, ENOMEM);
		give(blocks[count - 1], 4096);
		ck_assert_ptr_eq(take(4096), blocks[count - 1]);
		for (size_t i = 0; i < count; i++)
			give(blocks[round ? count - 1 - i : i], 4096);
	}
	/* Carved segments are given back for what needs whole ones. */
	give(take(SMALL / 2), SMALL / 2);
	ck_assert_uint_eq(sum_of(region, SASBlock__IN_USE), own);
}
END_TEST

/* --- fragmentation */

struct timing {
	uint64_t *alloc, *free;
	size_t count;
};

/* The thread's own time: what the machine does meanwhile does not count. */
static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static struct timing time_pairs(size_t size, size_t count)
{
	struct timing t = { malloc(count * 8), malloc(count * 8), count };

	ck_assert(t.alloc && t.free);
	for (size_t i = 0; i < count; i++) {
		uint64_t before = cpu_ns(), between;
		void *block = SASRegionBlockAlloc(region, size);

		between = cpu_ns();
		ck_assert_ptr_nonnull(block);
		t.alloc[i] = between - before;
		before = cpu_ns();
		ck_assert_int_eq(SASBlockFree(block, size), 0);
		t.free[i] = cpu_ns() - before;
	}
	return t;
}

static void release(struct timing *t)
{
	free(t->alloc);
	free(t->free);
}

static void compare(const char *what, const uint64_t *compact, const uint64_t *fragmented, size_t count)
{
	uint64_t m0 = percentile(compact, count, 500), m1 = percentile(fragmented, count, 500);
	uint64_t p0 = percentile(compact, count, 990), p1 = percentile(fragmented, count, 990);

	printf("%s: compact median %lu ns, p99 %lu ns; fragmented median %lu ns, p99 %lu ns\n", what,
	       (unsigned long)m0, (unsigned long)p0, (unsigned long)m1, (unsigned long)p1);
	/* A list that is walked would cost milliseconds here. */
	ck_assert_msg(m1 <= 2 * m0 + 1000, "%s: the median is %lu ns instead of %lu ns", what,
		      (unsigned long)m1, (unsigned long)m0);
	ck_assert_msg(p1 <= 4 * p0 + 20000, "%s: p99 is %lu ns instead of %lu ns", what, (unsigned long)p1,
		      (unsigned long)p0);
}

static void compare_pairs(const char *what, const struct timing *compact, const struct timing *fragmented)
{
	char name[80];

	snprintf(name, sizeof name, "%s alloc", what);
	compare(name, compact->alloc, fragmented->alloc, compact->count);
	snprintf(name, sizeof name, "%s free", what);
	compare(name, compact->free, fragmented->free, compact->count);
}

START_TEST(fragmented_region_is_as_fast_as_compact)
{
	size_t blocks = (size_t)size_of_test(6000, 60000, 60000);
	size_t pairs = (size_t)size_of_test(500, 10000, 100000);
	struct timing compact4, compact8, compact64, fragmented4, fragmented8, fragmented64;
	void **all = malloc(blocks * sizeof *all);

	ck_assert_ptr_nonnull(all);
	ck_assert_int_eq(SASRegionRemove(region), 0);
	region = store_create(2 * GIB, 256 * MIB, 0);
	compact4 = time_pairs(4096, 100);
	release(&compact4);
	compact4 = time_pairs(4096, pairs);
	compact8 = time_pairs(8192, pairs);
	compact64 = time_pairs(64 * KIB, pairs);
	for (size_t i = 0; i < blocks; i++)
		ck_assert_ptr_nonnull(all[i] = SASRegionBlockAlloc(region, 4096));
	for (size_t i = 0; i < blocks; i += 2)
		give(all[i], 4096);
	fragmented4 = time_pairs(4096, pairs);
	fragmented8 = time_pairs(8192, pairs);
	fragmented64 = time_pairs(64 * KIB, pairs);
	compare_pairs("4 KiB", &compact4, &fragmented4);
	compare_pairs("8 KiB", &compact8, &fragmented8);
	compare_pairs("64 KiB", &compact64, &fragmented64);
	lists_add_up();
	release(&compact4);
	release(&compact8);
	release(&compact64);
	release(&fragmented4);
	release(&fragmented8);
	release(&fragmented64);
	for (size_t i = 1; i < blocks; i += 2)
		give(all[i], 4096);
	ck_assert_uint_eq(info_of(region).blocksInUse, 0);
	free(all);
}
END_TEST

/* --- the model */

#define LIVE 512
static struct { unsigned char *at; size_t size; uint64_t stamp; } live[LIVE];
static unsigned live_count;
static unsigned char owner[SMALL / 4096];       /* of each unit: 1 in use */

static void mark(const unsigned char *block, size_t size, unsigned char from, unsigned char to)
{
	size_t first = ((uintptr_t)block - info_of(region).base) / 4096;

	for (size_t i = first; i < first + size / 4096; i++) {
		ck_assert_uint_eq(owner[i], from);
		owner[i] = to;
	}
}

static void model_alloc(uint64_t *state)
{
	size_t size = 4096UL << random_below(state, random_below(state, 8) ? 7 : 13);
	unsigned char *block = SASRegionBlockAlloc(region, size);

	if (!block) {
		ck_assert_int_eq(errno, ENOMEM);
		return;
	}
	ck_assert_uint_eq((uintptr_t)block % size, 0);
	ck_assert(all_zero(block, 4096));
	live[live_count].at = block;
	live[live_count].size = size;
	live[live_count].stamp = random_next(state);
	memcpy(block, &live[live_count].stamp, 8);
	memcpy(block + size - 8, &live[live_count].stamp, 8);
	live_count++;
}

static void model_free(uint64_t *state)
{
	unsigned k = (unsigned)random_below(state, live_count);

	ck_assert_mem_eq(live[k].at, &live[k].stamp, 8);
	ck_assert_mem_eq(live[k].at + live[k].size - 8, &live[k].stamp, 8);
	give(live[k].at, live[k].size);
	live[k] = live[--live_count];
}

static void model_refuses(uint64_t *state)
{
	unsigned k = (unsigned)random_below(state, live_count);

	ck_assert_int_eq(SASBlockFree(live[k].at, live[k].size * 2), -1);
	ck_assert_int_eq(SASBlockFree(live[k].at + 1, live[k].size), -1);
	if (live[k].size > 4096)
		ck_assert_int_eq(SASBlockFree(live[k].at + live[k].size / 2, live[k].size / 2), -1);
}

/* No two live blocks overlap, and the list says the same. */
static void model_agrees(void)
{
	size_t count, ours = 0;
	SASBlockInfo *list = list_of(region, SASBlock__IN_USE, &count);

	memset(owner, 0, sizeof owner);
	for (unsigned i = 0; i < live_count; i++)
		mark(live[i].at, live[i].size, 0, 1);
	for (size_t i = 0; i < count; i++)
		if (list[i].generation) {
			mark(list[i].address, list[i].size, 1, 2);
			ours++;
		}
	ck_assert_uint_eq(ours, live_count);
	free(list);
	lists_add_up();
}

START_TEST(random_operations_agree_with_model)
{
	uint64_t state = random_seed("model");
	long operations = size_of_test(5000, 100000, 1000000);

	for (long i = 0; i < operations; i++) {
		uint64_t what = random_below(&state, 100);

		if (what < 2 && live_count)
			model_refuses(&state);
		else if (live_count && (what < 50 || live_count == LIVE))
			model_free(&state);
		else
			model_alloc(&state);
		if (i % (operations / 20) == 0) {
			model_agrees();
			store_is_clean(store);
		}
		if (random_below(&state, 5000) == 0)
			ck_assert_int_ge(SASRegionTrim(region), 0);
		if (random_below(&state, 20000) == 0) {
			ck_assert_int_eq(SASRegionLeave(region), 0);
			region = store_join(0);
		}
	}
	while (live_count)
		model_free(&state);
	ck_assert_uint_eq(info_of(region).bytesInUse, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("block");
	TCase *c = tcase_create("block");

	tcase_add_checked_fixture(c, set_up, tear_down);
	tcase_set_timeout(c, 240);
	suite_add_tcase(suite, c);
	tcase_add_test(c, alloc_of_each_size_is_aligned_with_zero_head);
	tcase_add_test(c, alloc_of_never_used_space_is_all_zero);
	tcase_add_test(c, alloc_over_dirty_space_has_zero_head);
	tcase_add_test(c, alloc_of_all_space_has_zero_heads);
	tcase_add_test(c, freed_block_stays_readable);
	tcase_add_test(c, block_over_segments_is_one_range);
	tcase_add_test(c, blocks_keep_content_over_leave);
	tcase_add_test(c, alloc_refuses_sizes);
	tcase_add_test(c, alloc_refuses_handles);
	tcase_add_test(c, free_refuses_what_is_no_block);
	tcase_add_test(c, free_refuses_blocks_of_runtime);
	tcase_add_test(c, free_with_other_size_of_same_start_is_refused);
	tcase_add_test(c, changes_in_readonly_region_give_erofs);
	tcase_add_test(c, classic_calls_without_join_fail);
	tcase_add_test(c, classic_alloc_and_dealloc_work);
	tcase_add_test(c, lists_are_ascending_and_add_up);
	tcase_add_test(c, list_stores_no_more_than_capacity);
	tcase_add_test(c, merged_list_joins_buddies);
	tcase_add_test(c, classic_lists_are_the_same_by_size);
	tcase_add_test(c, blocks_carry_generation_of_process);
	tcase_add_test(c, find_gives_block_of_any_address_in_it);
	tcase_add_test(c, header_of_each_size_is_found_from_anywhere_in_it);
	tcase_add_test(c, innermost_header_is_found_first);
	tcase_add_test(c, header_search_stays_inside_block);
	tcase_add_test(c, trim_returns_file_space);
	tcase_add_test(c, trim_after_each_kind_of_use_keeps_content_rules);
	tcase_add_test(c, sparse_region_takes_space_at_first_touch);
	tcase_add_test(c, block_of_plain_region_is_backed);
	tcase_add_test(c, exhausted_region_gives_enomem_and_works_again);
	tcase_add_test(c, fragmented_region_is_as_fast_as_compact);
	tcase_add_test(c, random_operations_agree_with_model);
	return run_suite(suite);
}
