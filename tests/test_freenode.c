/* SPDX-License-Identifier: MIT */
/*
 * test_freenode.c - free lists: first fit, joining, bad arguments, and a model that knows better.
 */
#include <config.h>

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <freenode.h>
#include "help.h"

#define ARENA 4096UL

static _Alignas(16) char arena[ARENA];
static FreeNode *head;

static FreeNode *at(size_t offset)
{
	return (FreeNode *)(void *)(arena + offset);
}

static size_t offset_of(const void *address)
{
	return (size_t)((const char *)address - arena);
}

static FreeNode *take(node_size_t size)
{
	return freeNode_allocSpace(head, &head, size);
}

static void give(size_t offset, node_size_t size)
{
	errno = 0;
	freeNode_deallocSpace(at(offset), &head, size);
}

static void set_up(void)
{
	memset(arena, 0, sizeof arena);
	head = at(0);
	freeNode_init(head, ARENA);
	errno = 0;
}

START_TEST(init_refuses_bad_arguments)
{
	freeNode_init(NULL, 64);
	ck_assert_int_eq(errno, EINVAL);
	errno = 0;
	freeNode_init(at(0), 15);
	ck_assert_int_eq(errno, EINVAL);
	errno = 0;
	freeNode_init((FreeNode *)(void *)(arena + 4), 64);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_uint_eq(head->nodeSize, ARENA);
}
END_TEST

START_TEST(init_stores_size_unrounded)
{
	freeNode_init(at(0), 100);
	ck_assert_uint_eq(at(0)->nodeSize, 100);
	ck_assert_ptr_null(at(0)->nextNode);
	ck_assert_int_eq(errno, 0);
}
END_TEST

START_TEST(alloc_refuses_bad_arguments)
{
	ck_assert_ptr_null(freeNode_allocSpace(head, NULL, 16));
	ck_assert_int_eq(errno, EINVAL);
	errno = 0;
	ck_assert_ptr_null(take(0));
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_uint_eq(freeNode_freeSpaceTotal(head), ARENA);
}
END_TEST

START_TEST(alloc_without_fit_gives_enospc)
{
	ck_assert_ptr_null(take(ARENA + 1));
	ck_assert_int_eq(errno, ENOSPC);
	errno = 0;
	ck_assert_ptr_null(take(ULONG_MAX));
	ck_assert_int_eq(errno, ENOSPC);
	head = NULL;
	errno = 0;
	ck_assert_ptr_null(take(16));
	ck_assert_int_eq(errno, ENOSPC);
}
END_TEST

START_TEST(alloc_rounds_up_and_takes_front)
{
	ck_assert_uint_eq(offset_of(take(1)), 0);
	ck_assert_uint_eq(offset_of(take(17)), 16);
	ck_assert_uint_eq(offset_of(take(16)), 48);
	ck_assert_uint_eq(offset_of(head), 64);
	ck_assert_uint_eq(freeNode_freeSpaceTotal(head), ARENA - 64);
}
END_TEST

START_TEST(alloc_ignores_first_argument)
{
	ck_assert_uint_eq(offset_of(freeNode_allocSpace(NULL, &head, 16)), 0);
	ck_assert_uint_eq(offset_of(freeNode_allocSpace(at(2048), &head, 16)), 16);
}
END_TEST

START_TEST(alloc_of_exact_fit_empties_list)
{
	ck_assert_ptr_nonnull(take(ARENA));
	ck_assert_ptr_null(head);
}
END_TEST

START_TEST(alloc_takes_lowest_that_fits)
{
	ck_assert_ptr_nonnull(take(ARENA));
	give(1024, 64);
	give(256, 32);
	give(512, 64);
	ck_assert_uint_eq(offset_of(take(48)), 512);
	ck_assert_uint_eq(offset_of(take(32)), 256);
	ck_assert_uint_eq(offset_of(take(64)), 1024);
	ck_assert_uint_eq(offset_of(head), 560);
}
END_TEST

START_TEST(alloc_from_odd_size_stays_inside)
{
	freeNode_init(head, 100);
	memset(arena + 100, 0x55, 16);
	ck_assert_uint_eq(offset_of(take(80)), 0);
	ck_assert_ptr_null(take(32));
	ck_assert_uint_eq(freeNode_freeSpaceTotal(head), 20);
	ck_assert_uint_eq(offset_of(take(16)), 80);
	ck_assert_ptr_null(head);
	for (size_t i = 100; i < 116; i++)
		ck_assert_int_eq(arena[i], 0x55);
}
END_TEST

START_TEST(dealloc_refuses_bad_arguments)
{
	ck_assert_ptr_nonnull(take(64));
	freeNode_deallocSpace(NULL, &head, 16);
	ck_assert_int_eq(errno, EINVAL);
	errno = 0;
	freeNode_deallocSpace(at(0), NULL, 16);
	ck_assert_int_eq(errno, EINVAL);
	give(0, 0);
	ck_assert_int_eq(errno, EINVAL);
	give(4, 16);
	ck_assert_int_eq(errno, EINVAL);
	give(0, ULONG_MAX);
	ck_assert_int_eq(errno, EINVAL);
	give(0, ULONG_MAX - 4095);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_uint_eq(freeNode_freeSpaceTotal(head), ARENA - 64);
}
END_TEST

START_TEST(dealloc_to_empty_list_becomes_head)
{
	ck_assert_ptr_nonnull(take(ARENA));
	give(128, 20);
	ck_assert_int_eq(errno, 0);
	ck_assert_uint_eq(offset_of(head), 128);
	ck_assert_uint_eq(head->nodeSize, 32);
	ck_assert_ptr_null(head->nextNode);
}
END_TEST

START_TEST(dealloc_joins_neighbours)
{
	ck_assert_ptr_nonnull(take(ARENA));
	give(0, 64);
	give(128, 64);
	give(256, 64);
	ck_assert_uint_eq(freeNode_freeFragmentsTotal(head), 3);
	give(64, 32);   /* the one below */
	ck_assert_uint_eq(freeNode_freeFragmentsTotal(head), 3);
	ck_assert_uint_eq(head->nodeSize, 96);
	give(240, 16);  /* the one above */
	ck_assert_uint_eq(freeNode_freeFragmentsTotal(head), 3);
	give(96, 32);   /* both */
	ck_assert_uint_eq(freeNode_freeFragmentsTotal(head), 2);
	ck_assert_uint_eq(head->nodeSize, 192);
	give(192, 48);
	ck_assert_uint_eq(freeNode_freeFragmentsTotal(head), 1);
	ck_assert_uint_eq(freeNode_freeSpaceTotal(head), 320);
	ck_assert_int_eq(errno, 0);
}
END_TEST

START_TEST(dealloc_twice_changes_nothing)
{
	ck_assert_ptr_nonnull(take(ARENA));
	give(128, 64);
	give(512, 64);
	give(128, 64);
	ck_assert_int_eq(errno, EINVAL);
	give(512, 64);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_uint_eq(freeNode_freeFragmentsTotal(head), 2);
	ck_assert_uint_eq(freeNode_freeSpaceTotal(head), 128);
}
END_TEST

START_TEST(dealloc_of_overlap_changes_nothing)
{
	static const struct { size_t offset; node_size_t size; } overlaps[] = {
		{ 112, 32 }, { 176, 32 }, { 144, 16 }, { 64, 512 }, { 496, 32 }, { 128, 128 }, { 112, 464 },
	};

	ck_assert_ptr_nonnull(take(ARENA));
	give(128, 64);
	give(512, 64);
	for (size_t i = 0; i < sizeof overlaps / sizeof overlaps[0]; i++) {
		give(overlaps[i].offset, overlaps[i].size);
		ck_assert_int_eq(errno, EINVAL);
		ck_assert_uint_eq(freeNode_freeFragmentsTotal(head), 2);
		ck_assert_uint_eq(freeNode_freeSpaceTotal(head), 128);
	}
}
END_TEST

START_TEST(totals_of_empty_list_are_zero)
{
	ck_assert_uint_eq(freeNode_freeSpaceTotal(NULL), 0);
	ck_assert_uint_eq(freeNode_freeFragmentsTotal(NULL), 0);
	ck_assert_uint_eq(freeNode_maxFragment(NULL), 0);
	ck_assert_int_eq(errno, 0);
}
END_TEST

START_TEST(totals_count_bytes_nodes_and_largest)
{
	ck_assert_ptr_nonnull(take(ARENA));
	give(0, 64);
	give(128, 256);
	give(1024, 96);
	ck_assert_uint_eq(freeNode_freeSpaceTotal(head), 416);
	ck_assert_uint_eq(freeNode_freeFragmentsTotal(head), 3);
	ck_assert_uint_eq(freeNode_maxFragment(head), 256);
}
END_TEST

/* Each of these made the walks of older lists run for ever, or astray. */
START_TEST(calls_on_broken_list_give_euclean)
{
	static const struct { size_t next; node_size_t size; } broken[] = {
		{ 128, 64 }, { 0, 64 }, { 144, 64 }, { 512, 8 }, { 512, ULONG_MAX - 64 }, { 512, 0 }, { 516, 64 },
	};

	for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
		at(128)->nextNode = at(broken[i].next);
		at(128)->nodeSize = broken[i].size;
		at(0)->nextNode = at(128);
		at(0)->nodeSize = 32;
		head = at(0);
		errno = 0;
		ck_assert_ptr_null(take(ARENA / 2));
		ck_assert_int_eq(errno, EUCLEAN);
		give(1024, 16);
		ck_assert_int_eq(errno, EUCLEAN);
		errno = 0;
		ck_assert_uint_eq(freeNode_freeSpaceTotal(head), 0);
		ck_assert_int_eq(errno, EUCLEAN);
	}
}
END_TEST

/* The model: a byte per unit, and a search for the lowest run. */
#define UNITS (ARENA / nodeAlign)
static char is_used[UNITS];

static long model_find(size_t units)
{
	size_t run = 0;

	for (size_t i = 0; i < UNITS; i++) {
		run = is_used[i] ? 0 : run + 1;
		if (run < units)
			continue;
		return (long)(i + 1 - units);
	}
	return -1;
}

/* Assertions are slow, so there is one for all of the list. */
static int agrees_with_model(void)
{
	const FreeNode *node = head;
	size_t total = 0, count = 0, largest = 0;

	for (size_t i = 0, run; i < UNITS; i += run + 1) {
		for (run = 0; i + run < UNITS && !is_used[i + run];)
			run++;
		if (run == 0)
			continue;
		if (node == NULL || offset_of(node) != i * nodeAlign || node->nodeSize != run * nodeAlign)
			return 0;
		node = node->nextNode;
		total += run;
		count++;
		largest = run > largest ? run : largest;
	}
	return node == NULL && freeNode_freeSpaceTotal(head) == total * nodeAlign &&
	       freeNode_freeFragmentsTotal(head) == count &&
	       freeNode_maxFragment(head) == largest * nodeAlign;
}

static void random_take(unsigned *seed)
{
	node_size_t size = (node_size_t)rand_r(seed) % 200 + 1;
	size_t units = (size + nodeRound) / nodeAlign;
	long expected = model_find(units);
	FreeNode *node = take(size);

	if (expected < 0) {
		ck_assert_ptr_null(node);
		return;
	}
	ck_assert_ptr_nonnull(node);
	ck_assert_int_eq((long)(offset_of(node) / nodeAlign), expected);
	memset(node, 0xee, units * nodeAlign);
	memset(is_used + expected, 1, units);
}

/* Any range at all: refused unless all of it is in use. */
static void random_give(unsigned *seed)
{
	size_t first = (size_t)rand_r(seed) % UNITS;
	size_t units = (size_t)rand_r(seed) % 12 + 1;
	int all_used = 1;

	if (units > UNITS - first)
		units = UNITS - first;
	for (size_t i = first; i < first + units; i++)
		all_used = all_used && is_used[i];
	give(first * nodeAlign, units * nodeAlign - (size_t)rand_r(seed) % nodeAlign);
	ck_assert_int_eq(errno, all_used ? 0 : EINVAL);
	if (all_used)
		memset(is_used + first, 0, units);
}

START_TEST(random_calls_agree_with_model)
{
	unsigned seed = (unsigned)_i + 1;

	memset(is_used, 0, sizeof is_used);
	for (int step = 0; step < 2000; step++) {
		if (rand_r(&seed) % 3 == 0)
			random_take(&seed);
		else
			random_give(&seed);
		ck_assert_msg(agrees_with_model(), "step %d", step);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("freenode");
	TCase *tests = help_case(suite, "calls");

	tcase_add_checked_fixture(tests, set_up, NULL);
	tcase_add_test(tests, init_refuses_bad_arguments);
	tcase_add_test(tests, init_stores_size_unrounded);
	tcase_add_test(tests, alloc_refuses_bad_arguments);
	tcase_add_test(tests, alloc_without_fit_gives_enospc);
	tcase_add_test(tests, alloc_rounds_up_and_takes_front);
	tcase_add_test(tests, alloc_ignores_first_argument);
	tcase_add_test(tests, alloc_of_exact_fit_empties_list);
	tcase_add_test(tests, alloc_takes_lowest_that_fits);
	tcase_add_test(tests, alloc_from_odd_size_stays_inside);
	tcase_add_test(tests, dealloc_refuses_bad_arguments);
	tcase_add_test(tests, dealloc_to_empty_list_becomes_head);
	tcase_add_test(tests, dealloc_joins_neighbours);
	tcase_add_test(tests, dealloc_twice_changes_nothing);
	tcase_add_test(tests, dealloc_of_overlap_changes_nothing);
	tcase_add_test(tests, totals_of_empty_list_are_zero);
	tcase_add_test(tests, totals_count_bytes_nodes_and_largest);
	tcase_add_test(tests, calls_on_broken_list_give_euclean);
	tcase_add_loop_test(tests, random_calls_agree_with_model, 0, 8);
	return help_main(suite);
}
