/* SPDX-License-Identifier: MIT */
/*
 * test_buddy.c - the index of free runs, on plain memory: splitting, merging, and a model that counts units.
 */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "../sas/block/buddy.h"
#include "help.h"

static struct sas_buddy *buddy;
static unsigned char *guard;

static void make(uint64_t units)
{
	size_t size = sas_buddy_size(units);

	free(buddy);
	buddy = malloc(size + 64);
	ck_assert_ptr_nonnull(buddy);
	memset(buddy, 0xa5, size + 64);
	guard = (unsigned char *)buddy + size;
	sas_buddy_format(buddy, units);
}

static void guard_stands(void)
{
	for (int i = 0; i < 64; i++)
		ck_assert_uint_eq(guard[i], 0xa5);
}

static void tear_down(void)
{
	guard_stands();
	free(buddy);
	buddy = NULL;
}

static int64_t take(uint32_t order)
{
	uint32_t from = 99;
	int64_t unit = sas_buddy_take(buddy, order, &from);

	if (unit >= 0) {
		ck_assert_uint_ge(from, order);
		ck_assert_int_eq(unit % (1 << order), 0);
		ck_assert_uint_le((uint64_t)unit + (1UL << order), buddy->units);
	}
	return unit;
}

START_TEST(format_leaves_nothing_free)
{
	static const uint64_t units[] = { 1, 2, 3, 63, 64, 65, 512, 4095, 4096, 65536, 1 << 20 };

	for (unsigned i = 0; i < sizeof units / sizeof units[0]; i++) {
		make(units[i]);
		ck_assert_uint_eq(buddy->free_units, 0);
		for (uint32_t k = 0; k < SAS_BUDDY_ORDERS; k++) {
			ck_assert_int_eq(take(k), -1);
			ck_assert_int_eq(sas_buddy_next(buddy, k, 0), -1);
		}
		guard_stands();
	}
}
END_TEST

START_TEST(give_merges_with_buddies_alone)
{
	make(64);
	ck_assert_uint_eq(sas_buddy_give(buddy, 1, 0), 0);
	ck_assert_uint_eq(sas_buddy_give(buddy, 2, 0), 0);      /* a neighbour, no buddy */
	ck_assert_uint_eq(sas_buddy_give(buddy, 3, 0), 1);
	ck_assert_uint_eq(sas_buddy_give(buddy, 0, 0), 2);
	ck_assert_uint_eq(buddy->free_units, 4);
	ck_assert_uint_eq(buddy->count[2], 1);
	ck_assert_uint_eq(buddy->count[0] + buddy->count[1], 0);
	ck_assert_uint_eq(sas_buddy_give(buddy, 8, 3), 3);
	ck_assert_uint_eq(sas_buddy_give(buddy, 4, 2), 4);
	ck_assert_int_eq(take(4), 0);
	ck_assert_uint_eq(buddy->free_units, 0);
}
END_TEST

START_TEST(give_of_last_run_has_no_buddy_beyond_end)
{
	make(5);
	ck_assert_uint_eq(sas_buddy_give(buddy, 4, 0), 0);
	ck_assert_int_eq(take(0), 4);
	sas_buddy_give_range(buddy, 0, 5);
	ck_assert_uint_eq(buddy->free_units, 5);
	ck_assert_int_eq(take(2), 0);
	ck_assert_int_eq(take(1), -1);
	ck_assert_int_eq(take(0), 4);
	ck_assert_int_eq(take(0), -1);
}
END_TEST

START_TEST(take_prefers_smallest_run_then_lowest)
{
	make(256);
	sas_buddy_give(buddy, 0, 6);
	sas_buddy_give(buddy, 128, 3);
	sas_buddy_give(buddy, 160, 3);
	sas_buddy_give(buddy, 200, 1);
	ck_assert_int_eq(take(0), 200);
	ck_assert_int_eq(take(3), 128);
	ck_assert_int_eq(take(2), 160);
	ck_assert_int_eq(take(2), 164);
	ck_assert_int_eq(take(0), 201);
	ck_assert_int_eq(take(1), 0);
	ck_assert_uint_eq(buddy->free_units, 62);
	ck_assert_int_eq(take(6), -1);
	ck_assert_int_eq(take(5), 32);
}
END_TEST

START_TEST(take_of_more_than_there_is_gives_minus_one)
{
	make(64);
	sas_buddy_give_range(buddy, 0, 64);
	ck_assert_int_eq(take(7), -1);
	ck_assert_int_eq(take(31), -1);
	ck_assert_uint_eq(buddy->free_units, 64);
	ck_assert_int_eq(take(6), 0);
}
END_TEST

START_TEST(give_range_takes_largest_pieces)
{
	make(1024);
	sas_buddy_give_range(buddy, 3, 3);
	ck_assert_uint_eq(buddy->free_units, 0);
	sas_buddy_give_range(buddy, 3, 517);
	ck_assert_uint_eq(buddy->free_units, 514);
	ck_assert_int_eq(sas_buddy_next(buddy, 0, 0), 3);
	ck_assert_int_eq(sas_buddy_next(buddy, 2, 0), 4);
	ck_assert_int_eq(sas_buddy_next(buddy, 8, 0), 256);
	ck_assert_int_eq(sas_buddy_next(buddy, 2, 5), 512);
	ck_assert_int_eq(sas_buddy_next(buddy, 0, 4), 516);
	ck_assert_int_eq(sas_buddy_next(buddy, 0, 517), -1);
}
END_TEST

START_TEST(next_walks_over_runs_of_order)
{
	uint64_t units = 1 << 17;
	int64_t at = 0;
	uint64_t count = 0;

	make(units);
	for (uint64_t u = 0; u < units; u += 2)
		sas_buddy_give(buddy, u, 0);
	for (at = sas_buddy_next(buddy, 0, 0); at >= 0; at = sas_buddy_next(buddy, 0, (uint64_t)at + 1)) {
		ck_assert_uint_eq((uint64_t)at, 2 * count);
		count++;
	}
	ck_assert_uint_eq(count, units / 2);
	ck_assert_uint_eq(buddy->count[0], units / 2);
	ck_assert_int_eq(sas_buddy_next(buddy, 0, units - 2), (int64_t)units - 2);
	ck_assert_int_eq(sas_buddy_next(buddy, 0, units - 1), -1);
	ck_assert_int_eq(sas_buddy_next(buddy, 0, units), -1);
}
END_TEST

START_TEST(take_finds_last_run_over_empty_words)
{
	uint64_t units = 1 << 20;

	make(units);
	sas_buddy_give(buddy, units - 1, 0);
	ck_assert_int_eq(take(0), (int64_t)units - 1);
	sas_buddy_give(buddy, 64 * 64 + 63, 0);
	ck_assert_int_eq(take(0), 64 * 64 + 63);
}
END_TEST

/* Runs of the index: each free unit lies in one, and no two that are buddies are free. */
static void agrees(const unsigned char *is_free)
{
	uint64_t total = 0;

	for (uint32_t k = 0; k < buddy->orders; k++) {
		uint64_t runs = 0, last = UINT64_MAX;

		int64_t u = sas_buddy_next(buddy, k, 0);

		for (; u >= 0; u = sas_buddy_next(buddy, k, (uint64_t)u + 1)) {
			for (uint64_t i = 0; i < 1UL << k; i++)
				ck_assert_uint_eq(is_free[(uint64_t)u + i], 1);
			ck_assert(last == UINT64_MAX || last >> (k + 1) != (uint64_t)u >> (k + 1) ||
				  k + 1 == buddy->orders);
			last = (uint64_t)u;
			runs++;
		}
		ck_assert_uint_eq(runs, buddy->count[k]);
		total += runs << k;
	}
	ck_assert_uint_eq(total, buddy->free_units);
	for (uint64_t i = 0; i < buddy->units; i++)
		total -= is_free[i];
	ck_assert_uint_eq(total, 0);
}

static void run_model(uint64_t units, uint64_t *state)
{
	static unsigned char is_free[5000];
	static struct { uint64_t at; uint32_t order; } taken[5000];
	size_t count = 0;

	make(units);
	memset(is_free, 1, units);
	sas_buddy_give_range(buddy, 0, units);
	for (long i = 0; i < help_size(2000, 20000, 500000); i++) {
		if (count && help_below(state, 2)) {
			size_t k = help_below(state, count);

			memset(is_free + taken[k].at, 1, 1UL << taken[k].order);
			ck_assert_uint_ge(sas_buddy_give(buddy, taken[k].at, taken[k].order), taken[k].order);
			taken[k] = taken[--count];
		} else {
			uint32_t order = (uint32_t)help_below(state, 7);
			int64_t unit = take(order);

			if (unit < 0)
				continue;
			for (uint64_t u = 0; u < 1UL << order; u++)
				ck_assert_uint_eq(is_free[(uint64_t)unit + u], 1);
			memset(is_free + unit, 0, 1UL << order);
			taken[count].at = (uint64_t)unit;
			taken[count++].order = order;
		}
		if (i % 500 == 0)
			agrees(is_free);
	}
	while (count--)
		sas_buddy_give(buddy, taken[count].at, taken[count].order);
	ck_assert_uint_eq(buddy->free_units, units);
	/* All merged: as if given in one range. */
	for (uint32_t k = 0; k < buddy->orders; k++)
		ck_assert_uint_eq(buddy->count[k], k + 1 == buddy->orders ? units >> k : units >> k & 1);
	guard_stands();
}

START_TEST(random_takes_and_gives_agree_with_model)
{
	static const uint64_t units[] = { 1, 64, 100, 511, 512, 1000, 4096, 4999 };
	uint64_t state = help_seed("buddy");

	for (unsigned i = 0; i < sizeof units / sizeof units[0]; i++)
		run_model(units[i], &state);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("buddy");
	TCase *c = tcase_create("buddy");

	tcase_add_checked_fixture(c, NULL, tear_down);
	tcase_set_timeout(c, 120);
	suite_add_tcase(suite, c);
	tcase_add_test(c, format_leaves_nothing_free);
	tcase_add_test(c, give_merges_with_buddies_alone);
	tcase_add_test(c, give_of_last_run_has_no_buddy_beyond_end);
	tcase_add_test(c, take_prefers_smallest_run_then_lowest);
	tcase_add_test(c, take_of_more_than_there_is_gives_minus_one);
	tcase_add_test(c, give_range_takes_largest_pieces);
	tcase_add_test(c, next_walks_over_runs_of_order);
	tcase_add_test(c, take_finds_last_run_over_empty_words);
	tcase_add_test(c, random_takes_and_gives_agree_with_model);
	return help_main(suite);
}
