/* SPDX-License-Identifier: MIT */
/*
 * test_block.c - a block by the public calls: sizes, content, refusals, whose it is, and the header in it.
 * test_block_space.c is about all blocks of a region together, test_block_lock.c about the calls of many at once.
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sasalloc.h>
#include <sassim.h>
#include "fixture.h"

/* --- sizes and content */

START_TEST(alloc_of_each_size_is_aligned_with_zero_head)
{
	for (size_t size = 4096; size <= HELP_REGION / 2; size *= 2) {
		unsigned char *block = take(size);

		ck_assert(all_zero(block, 4096));
		memset(block, 0xa5, size);
		lists_add_up();
		give(block, size);
		ck_assert(all_zero(block, 4096));
	}
	ck_assert_uint_eq(help_info(region).blocksInUse, 0);
	ck_assert_uint_eq(help_info(region).bytesInUse, 0);
}
END_TEST

START_TEST(alloc_of_never_used_space_is_all_zero)
{
	for (size_t size = 4096; size <= HELP_REGION / 4; size *= 2) {
		unsigned char *block = take(size);

		ck_assert_msg(all_zero(block, size), "a new block of %zu bytes is not zero", size);
		memset(block, 0xa5, size);
	}
}
END_TEST

/* Space that was used in all sizes is used again in all sizes. */
START_TEST(alloc_over_dirty_space_has_zero_head)
{
	for (size_t dirty = 4096; dirty <= HELP_REGION / 2; dirty *= 4)
		for (size_t size = 4096; size <= HELP_REGION / 2; size *= 8) {
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
	static unsigned char *blocks[HELP_REGION / 4096];
	size_t count = 0, in_use;
	SASBlockInfo *list;

	for (size_t size = HELP_REGION / 2; size >= 4096; size /= 2)
		while ((blocks[0] = SASRegionBlockAlloc(region, size)) != NULL)
			memset(blocks[0], 0xcc, size);
	ck_assert_int_eq(errno, ENOMEM);
	/* All of it free, all of it dirty but the heads. */
	list = help_list(region, SASBlock__IN_USE, &in_use);
	for (size_t i = 0; i < in_use; i++)
		if (list[i].generation)
			give(list[i].address, list[i].size);
	free(list);
	help_clean(store);
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
	for (size_t size = 4096; size <= 8 * HELP_SEGMENT; size *= 4) {
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
	size_t size = 16 * HELP_SEGMENT;
	unsigned char *block = take(size);
	SASBlockInfo info;

	for (size_t i = 0; i < size; i += 4096)
		block[i] = (unsigned char)(i >> 12);
	ck_assert_int_eq(SASBlockFind(block + 11 * HELP_SEGMENT + 1, &info), 0);
	ck_assert_ptr_eq(info.address, block);
	ck_assert_uint_eq(info.size, size);
	region_leave();
	region_join(0);
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
	region_leave();
	region_join(0);
	ck_assert_uint_eq(help_info(region).blocksInUse, 100);
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
	SASRegionInfo info = help_info(region);

	return (struct state){ info.bytesInUse, info.blocksInUse, info.bytesFree };
}

static void is_unharmed(const struct state *before)
{
	struct state now = state_now();

	ck_assert_mem_eq(&now, before, sizeof now);
	help_clean(store);
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
	static const size_t odd[] = { 0, 1, 512, 4095, 4097, 8191, 12288, 3 << 20, HELP_REGION - 4096,
				      HELP_REGION + 4096, SIZE_MAX, (1UL << 63) + 4096, 3UL << 62 };
	struct state before = state_now();

	for (unsigned i = 0; i < sizeof odd / sizeof odd[0]; i++)
		alloc_fails(odd[i], EINVAL);
	alloc_fails(HELP_REGION, ENOMEM);
	alloc_fails(2 * HELP_REGION, ENOMEM);
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
	unsigned char *block = take(64 * KIB), *large = take(4 * HELP_SEGMENT);
	uintptr_t base = (uintptr_t)help_info(region).base;
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
	free_fails(large + HELP_SEGMENT, HELP_SEGMENT, ENOENT);
	free_fails(large, HELP_SEGMENT, EINVAL);
	free_fails(large + 4096, 4096, ENOENT);
	free_fails(NULL, 4096, EFAULT);
	free_fails(&local, 4096, EFAULT);
	free_fails((void *)(base - 4096), 4096, EFAULT);
	free_fails((void *)(base + HELP_REGION), 4096, EFAULT);
	free_fails((void *)UINTPTR_MAX, 4096, EFAULT);
	free_fails((void *)(base + HELP_REGION - 4096), 4096, ENOENT);
	is_unharmed(&before);
	give(block, 64 * KIB);
	give(large, 4 * HELP_SEGMENT);
	before = state_now();
	free_fails(block, 64 * KIB, ENOENT);
	free_fails(large, 4 * HELP_SEGMENT, ENOENT);
	is_unharmed(&before);
}
END_TEST

START_TEST(free_refuses_blocks_of_runtime)
{
	size_t count, own = 0;
	SASBlockInfo *list = help_list(region, SASBlock__IN_USE, &count);

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
	for (size_t size = 8192; size <= HELP_REGION; size *= 2)
		if ((uintptr_t)block % size == 0)
			free_fails(block, size, EINVAL);
	give(block, 4096);
}
END_TEST

START_TEST(changes_in_readonly_region_give_erofs)
{
	unsigned char *block = take(4096);

	region_leave();
	region_join(SAS_JOIN_READONLY);
	alloc_fails(4096, EROFS);
	free_fails(block, 4096, EROFS);
	errno = 0;
	ck_assert_int_eq(SASRegionTrim(region), -1);
	ck_assert_int_eq(errno, EROFS);
	ck_assert_uint_eq(help_info(region).blocksInUse, 1);
}
END_TEST

/* --- classic calls */

START_TEST(classic_calls_without_join_fail)
{
	region_leave();
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

/* --- generations, find */

static void allocate_in_child(void *arg)
{
	SASBlockInfo info;
	void *block = SASRegionBlockAlloc(region, 16 * KIB);

	must(block != NULL);
	must(SASBlockFind(block, &info) == 0);
	must(info.generation == help_info(region).generation);
	must(info.generation != *(uint32_t *)arg);
}

START_TEST(blocks_carry_generation_of_process)
{
	uint32_t own = help_info(region).generation, others = 0;
	size_t count;
	SASBlockInfo *list, info;
	void *block = take(4096);

	ck_assert_int_eq(SASBlockFind(block, &info), 0);
	ck_assert_uint_eq(info.generation, own);
	help_in_child(allocate_in_child, &own);
	help_in_child(allocate_in_child, &own);
	list = help_list(region, SASBlock__IN_USE, &count);
	for (size_t i = 0; i < count; i++)
		if (list[i].generation && list[i].generation != own) {
			ck_assert_uint_eq(list[i].size, 16 * KIB);
			ck_assert_uint_ne(list[i].generation, others);
			others = list[i].generation;
			give(list[i].address, 16 * KIB);
		}
	ck_assert_uint_ne(others, 0);
	ck_assert_uint_eq(help_info(region).blocksInUse, 1);
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
	for (size_t size = 4096; size <= 4 * HELP_SEGMENT; size *= 2) {
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
	find_fails((void *)(uintptr_t)(help_info(region).base + HELP_REGION), EFAULT);
	find_fails((void *)(uintptr_t)(help_info(region).base + HELP_REGION - 1), ENOENT);
}
END_TEST

/* --- headers */

START_TEST(header_of_each_size_is_found_from_anywhere_in_it)
{
	for (size_t size = 4096; size <= 8 * HELP_SEGMENT; size *= 2) {
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

int main(void)
{
	Suite *suite = suite_create("block");
	TCase *c = tcase_create("block");

	tcase_add_checked_fixture(c, region_begin, region_end);
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
	tcase_add_test(c, blocks_carry_generation_of_process);
	tcase_add_test(c, find_gives_block_of_any_address_in_it);
	tcase_add_test(c, header_of_each_size_is_found_from_anywhere_in_it);
	tcase_add_test(c, innermost_header_is_found_first);
	tcase_add_test(c, header_search_stays_inside_block);
	return help_main(suite);
}
