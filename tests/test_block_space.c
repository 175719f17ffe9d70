/* SPDX-License-Identifier: MIT */
/*
 * test_block_space.c - where the bytes of a region are: lists, file space, exhaustion, fragmentation, and random
 * calls beside a model that knows better.
 */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <sassim.h>
#include "fixture.h"

/* --- lists */

static void is_sorted_and_apart(sas_block_kind_t kind)
{
	size_t count;
	SASBlockInfo *list = help_list(region, kind, &count);

	for (size_t i = 0; i < count; i++) {
		ck_assert_uint_eq(list[i].kind, kind);
		ck_assert_uint_eq(list[i].size & (list[i].size - 1), 0);
		ck_assert_uint_eq(((uintptr_t)list[i].address - help_info(region).base) % list[i].size, 0);
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
	take(4 * HELP_SEGMENT);
	give(take(8 * HELP_SEGMENT), 8 * HELP_SEGMENT);
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
	ck_assert_uint_gt(help_sum(region, SASBlock__FREE), 8 * HELP_SEGMENT);
	ck_assert_uint_gt(help_sum(region, SASBlock__UNCOMMITTED), 0);
}
END_TEST

START_TEST(list_stores_no_more_than_capacity)
{
	SASBlockInfo buffer[8], *all;
	size_t count;

	make_mixture();
	all = help_list(region, SASBlock__IN_USE, &count);
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
	list = help_list(region, SASBlock__IN_USE_MERGED, &count);
	free(list);
	list = help_list(region, SASBlock__IN_USE, &plain);
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
	ck_assert_uint_eq(sum, help_sum(region, kind));
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

/* --- file space */

static uint64_t space_of_store(void)
{
	char name[300];
	struct stat st;
	uint64_t blocks = 0;

	for (unsigned n = 0; n < HELP_REGION / HELP_SEGMENT; n++) {
		snprintf(name, sizeof name, "%s/SAS%05X.DAT", store, n);
		if (stat(name, &st) == 0)
			blocks += (uint64_t)st.st_blocks;
	}
	return blocks * 512;
}

START_TEST(trim_returns_file_space)
{
	unsigned char *small = take(HELP_SEGMENT / 2), *large = take(8 * HELP_SEGMENT), *kept = take(4096);
	uint64_t before, after;
	long bytes;

	memset(small, 0xab, HELP_SEGMENT / 2);
	memset(large, 0xab, 8 * HELP_SEGMENT);
	memset(kept, 0xab, 4096);
	ck_assert_uint_ge(space_of_store(), 8 * HELP_SEGMENT);
	give(small, HELP_SEGMENT / 2);
	give(large, 8 * HELP_SEGMENT);
	before = space_of_store();
	bytes = SASRegionTrim(region);
	ck_assert_int_ge(bytes, (long)(8 * HELP_SEGMENT));
	after = space_of_store();
	ck_assert_uint_eq(after, before - (uint64_t)bytes);
	help_clean(store);
	ck_assert_uint_eq(load_byte(kept + 4095), 0xab);
	ck_assert_uint_eq(load_byte(large + HELP_SEGMENT), 0);       /* still readable */
	ck_assert_int_eq(SASRegionTrim(region), 0);
	/* What is taken again is backed, and zero. */
	large = take(8 * HELP_SEGMENT);
	ck_assert(all_zero(large, 8 * HELP_SEGMENT));
	ck_assert_uint_ge(space_of_store(), after + 8 * HELP_SEGMENT);
	small = take(HELP_SEGMENT / 2);
	ck_assert(all_zero(small, 4096));
	memset(small, 1, HELP_SEGMENT / 2);
	lists_add_up();
}
END_TEST

START_TEST(trim_after_each_kind_of_use_keeps_content_rules)
{
	uint64_t state = help_seed("trim");
	struct { unsigned char *at; size_t size; } live[64];
	unsigned count = 0;

	for (long i = 0; i < help_size(100, 600, 5000); i++) {
		size_t size = 4096UL << help_below(&state, 12);

		if (count == 64 || (count && help_below(&state, 2))) {
			unsigned k = (unsigned)help_below(&state, count);

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
			help_clean(store);
	}
	lists_add_up();
}
END_TEST

START_TEST(sparse_region_takes_space_at_first_touch)
{
	uint64_t before;
	unsigned char *block;

	ck_assert_int_eq(SASRegionRemove(region), 0);
	region_create(HELP_REGION, HELP_SEGMENT, SAS_JOIN_SPARSE);
	take(4096);
	before = space_of_store();
	block = take(8 * HELP_SEGMENT);
	ck_assert_uint_lt(space_of_store(), before + HELP_SEGMENT);
	memset(block, 1, 8 * HELP_SEGMENT);
	ck_assert_uint_ge(space_of_store(), before + 8 * HELP_SEGMENT - HELP_SEGMENT);
	give(block, 8 * HELP_SEGMENT);
	lists_add_up();
}
END_TEST

START_TEST(block_of_plain_region_is_backed)
{
	uint64_t before;

	take(4096);
	before = space_of_store();
	take(8 * HELP_SEGMENT);
	ck_assert_uint_ge(space_of_store(), before + 8 * HELP_SEGMENT);
}
END_TEST

/* --- exhaustion */

START_TEST(exhausted_region_gives_enomem_and_works_again)
{
	static void *blocks[HELP_REGION / 4096];
	size_t count = 0;
	uint64_t own;

	own = help_sum(region, SASBlock__IN_USE);
	for (int round = 0; round < 2; round++) {
		count = 0;
		while ((blocks[count] = SASRegionBlockAlloc(region, 4096)) != NULL)
			count++;
		ck_assert_int_eq(errno, ENOMEM);
		ck_assert_uint_eq(help_info(region).bytesInUse, count * 4096);
		ck_assert_uint_eq(help_sum(region, SASBlock__IN_USE), HELP_REGION);
		ck_assert_uint_eq(help_sum(region, SASBlock__FREE) + help_sum(region, SASBlock__UNCOMMITTED) +
				  help_sum(region, SASBlock__FREE_REGION), 0);
		help_fails(SASRegionBlockAlloc(region, 8192) == NULL, ENOMEM, store);
		help_fails(SASRegionBlockAlloc(region, HELP_SEGMENT) == NULL, ENOMEM, store);
		give(blocks[count - 1], 4096);
		ck_assert_ptr_eq(take(4096), blocks[count - 1]);
		for (size_t i = 0; i < count; i++)
			give(blocks[round ? count - 1 - i : i], 4096);
	}
	/* Carved segments are given back for what needs whole ones. */
	give(take(HELP_REGION / 2), HELP_REGION / 2);
	ck_assert_uint_eq(help_sum(region, SASBlock__IN_USE), own);
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
	uint64_t m0 = help_percentile(compact, count, 500), m1 = help_percentile(fragmented, count, 500);
	uint64_t p0 = help_percentile(compact, count, 990), p1 = help_percentile(fragmented, count, 990);

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
	size_t blocks = (size_t)help_size(6000, 60000, 60000);
	size_t pairs = (size_t)help_size(500, 10000, 100000);
	struct timing compact4, compact8, compact64, fragmented4, fragmented8, fragmented64;
	void **all = malloc(blocks * sizeof *all);

	ck_assert_ptr_nonnull(all);
	ck_assert_int_eq(SASRegionRemove(region), 0);
	region_create(2 * GIB, 256 * MIB, 0);
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
	ck_assert_uint_eq(help_info(region).blocksInUse, 0);
	free(all);
}
END_TEST

/* --- the model */

#define LIVE 512
static struct { unsigned char *at; size_t size; uint64_t stamp; } live[LIVE];
static unsigned live_count;
static unsigned char owner[HELP_REGION / 4096];       /* of each unit: 1 in use */

static void mark(const unsigned char *block, size_t size, unsigned char from, unsigned char to)
{
	size_t first = ((uintptr_t)block - help_info(region).base) / 4096;

	for (size_t i = first; i < first + size / 4096; i++) {
		ck_assert_uint_eq(owner[i], from);
		owner[i] = to;
	}
}

static void model_alloc(uint64_t *state)
{
	size_t size = 4096UL << help_below(state, help_below(state, 8) ? 7 : 13);
	unsigned char *block = SASRegionBlockAlloc(region, size);

	if (!block) {
		ck_assert_int_eq(errno, ENOMEM);
		return;
	}
	ck_assert_uint_eq((uintptr_t)block % size, 0);
	ck_assert(all_zero(block, 4096));
	live[live_count].at = block;
	live[live_count].size = size;
	live[live_count].stamp = help_random(state);
	memcpy(block, &live[live_count].stamp, 8);
	memcpy(block + size - 8, &live[live_count].stamp, 8);
	live_count++;
}

static void model_free(uint64_t *state)
{
	unsigned k = (unsigned)help_below(state, live_count);

	ck_assert_mem_eq(live[k].at, &live[k].stamp, 8);
	ck_assert_mem_eq(live[k].at + live[k].size - 8, &live[k].stamp, 8);
	give(live[k].at, live[k].size);
	live[k] = live[--live_count];
}

static void model_refuses(uint64_t *state)
{
	unsigned k = (unsigned)help_below(state, live_count);

	ck_assert_int_eq(SASBlockFree(live[k].at, live[k].size * 2), -1);
	ck_assert_int_eq(SASBlockFree(live[k].at + 1, live[k].size), -1);
	if (live[k].size > 4096)
		ck_assert_int_eq(SASBlockFree(live[k].at + live[k].size / 2, live[k].size / 2), -1);
}

/* No two live blocks overlap, and the list says the same. */
static void model_agrees(void)
{
	size_t count, ours = 0;
	SASBlockInfo *list = help_list(region, SASBlock__IN_USE, &count);

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
	uint64_t state = help_seed("model");
	long operations = help_size(5000, 100000, 1000000);

	for (long i = 0; i < operations; i++) {
		uint64_t what = help_below(&state, 100);

		if (what < 2 && live_count)
			model_refuses(&state);
		else if (live_count && (what < 50 || live_count == LIVE))
			model_free(&state);
		else
			model_alloc(&state);
		if (i % (operations / 20) == 0) {
			model_agrees();
			help_clean(store);
		}
		if (help_below(&state, 5000) == 0)
			ck_assert_int_ge(SASRegionTrim(region), 0);
		if (help_below(&state, 20000) == 0) {
			region_leave();
			region_join(0);
		}
	}
	while (live_count)
		model_free(&state);
	ck_assert_uint_eq(help_info(region).bytesInUse, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("block_space");
	TCase *c = tcase_create("block_space");

	tcase_add_checked_fixture(c, region_begin, region_end);
	tcase_set_timeout(c, 240);
	suite_add_tcase(suite, c);
	tcase_add_test(c, lists_are_ascending_and_add_up);
	tcase_add_test(c, list_stores_no_more_than_capacity);
	tcase_add_test(c, merged_list_joins_buddies);
	tcase_add_test(c, classic_lists_are_the_same_by_size);
	tcase_add_test(c, trim_returns_file_space);
	tcase_add_test(c, trim_after_each_kind_of_use_keeps_content_rules);
	tcase_add_test(c, sparse_region_takes_space_at_first_touch);
	tcase_add_test(c, block_of_plain_region_is_backed);
	tcase_add_test(c, exhausted_region_gives_enomem_and_works_again);
	tcase_add_test(c, fragmented_region_is_as_fast_as_compact);
	tcase_add_test(c, random_operations_agree_with_model);
	return help_main(suite);
}
