/* SPDX-License-Identifier: MIT */
/*
 * test_tiles.c - the block map, on plain memory: each call, broken maps, a model, and where the processor can
 * step, the map after each single store (M1-M4 of layout.h).
 */
#include <config.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../sas/block/tiles.h"
#include "help.h"

#define UNITS 64U
#define TOP 6U

static uint32_t words[UNITS * 8];
static struct sas_map map;

static void set_up(void)
{
	memset(words, 0, sizeof words);
	map = (struct sas_map){ words, UNITS, 1, TOP };
}

static void is_tile(uint64_t unit, uint64_t head, uint32_t order, uint32_t state)
{
	struct sas_tile tile;

	ck_assert_int_eq(sas_tile_find(&map, unit, &tile), 0);
	ck_assert_uint_eq(tile.head, head);
	ck_assert_uint_eq(tile.order, order);
	ck_assert_uint_eq(tile.state, state);
}

START_TEST(find_in_zero_map_gives_single_units)
{
	uint64_t unit = 0;
	struct sas_tile tile;

	for (uint64_t u = 0; u < UNITS; u++)
		is_tile(u, u, 0, SAS_M_NEVER);
	for (uint64_t u = 0; u < UNITS; u++) {
		ck_assert_int_eq(sas_tile_next(&map, &unit, &tile), 1);
		ck_assert_uint_eq(tile.head, u);
		ck_assert_uint_eq(unit, u + 1);
	}
	ck_assert_int_eq(sas_tile_next(&map, &unit, &tile), 0);
}
END_TEST

START_TEST(entry_holds_order_state_and_generation)
{
	for (uint32_t state = 0; state < 4; state++)
		for (uint32_t order = 0; order < 64; order++) {
			uint32_t e = sas_entry(state, order, 0xabcdef);

			ck_assert_uint_eq(sas_entry_state(e), state);
			ck_assert_uint_eq(sas_entry_order(e), order);
			ck_assert_uint_eq(sas_entry_generation(e), 0xabcdef);
			ck_assert_int_eq(sas_entry_carved(e), state == SAS_M_USED && order == 63);
		}
	ck_assert_uint_eq(sas_entry(SAS_M_NEVER, 0, 0), 0);
}
END_TEST

START_TEST(use_and_free_change_one_tile)
{
	ck_assert_int_eq(sas_tile_isolate(&map, 16, 4), SAS_M_NEVER);
	sas_tile_use(&map, 16, 4, 7);
	for (uint64_t u = 16; u < 32; u++)
		is_tile(u, 16, 4, SAS_M_USED);
	is_tile(15, 15, 0, SAS_M_NEVER);
	is_tile(32, 32, 0, SAS_M_NEVER);
	sas_tile_free(&map, 16, 4, SAS_M_FREED);
	is_tile(31, 16, 4, SAS_M_FREED);
	ck_assert_int_eq(sas_tile_isolate(&map, 16, 4), SAS_M_FREED);
	ck_assert_int_eq(sas_tile_isolate(&map, 20, 2), SAS_M_DIRTY);
	is_tile(20, 20, 2, SAS_M_DIRTY);
	is_tile(16, 16, 2, SAS_M_FREED);
	is_tile(24, 24, 3, SAS_M_DIRTY);
}
END_TEST

/* Its head is that of the tile: what is known of that stays known. */
START_TEST(isolate_at_head_keeps_state)
{
	sas_tile_free(&map, 0, TOP, SAS_M_FREED);
	ck_assert_int_eq(sas_tile_isolate(&map, 0, 2), SAS_M_FREED);
	is_tile(0, 0, 2, SAS_M_FREED);
	is_tile(4, 4, 2, SAS_M_DIRTY);
	is_tile(8, 8, 3, SAS_M_DIRTY);
	is_tile(63, 32, 5, SAS_M_DIRTY);
	sas_tile_free(&map, 0, TOP, SAS_M_DIRTY);
	ck_assert_int_eq(sas_tile_isolate(&map, 0, 0), SAS_M_DIRTY);
}
END_TEST

START_TEST(isolate_of_used_tile_gives_euclean)
{
	sas_tile_use(&map, 8, 3, 5);
	ck_assert_int_eq(sas_tile_isolate(&map, 8, 3), -EUCLEAN);
	ck_assert_int_eq(sas_tile_isolate(&map, 10, 1), -EUCLEAN);
	is_tile(10, 8, 3, SAS_M_USED);
}
END_TEST

START_TEST(forget_makes_tiles_never)
{
	sas_tile_free(&map, 0, TOP, SAS_M_DIRTY);
	sas_tile_isolate(&map, 12, 1);
	sas_tile_forget(&map, 0, 32);
	for (uint64_t u = 0; u < 32; u++)
		is_tile(u, u, 0, SAS_M_NEVER);
	is_tile(40, 32, 5, SAS_M_DIRTY);
}
END_TEST

START_TEST(find_in_broken_map_gives_euclean)
{
	struct sas_tile tile;
	uint64_t unit;

	words[4] = sas_entry(SAS_M_USED, 3, 1);         /* not aligned */
	ck_assert_int_eq(sas_tile_find(&map, 4, &tile), -EUCLEAN);
	unit = 4;
	ck_assert_int_eq(sas_tile_next(&map, &unit, &tile), -EUCLEAN);
	ck_assert_uint_eq(unit, 4);
	words[4] = 0;
	words[0] = sas_entry(SAS_M_FREED, TOP + 1, 0);  /* larger than the map */
	ck_assert_int_eq(sas_tile_find(&map, 0, &tile), -EUCLEAN);
	words[0] = sas_entry(SAS_M_FREED, 62, 0);
	ck_assert_int_eq(sas_tile_find(&map, 63, &tile), -EUCLEAN);
	words[0] = sas_entry(SAS_M_USED, SAS_M_ORDER_CARVED, 0);
	ck_assert_int_eq(sas_tile_find(&map, 0, &tile), -EUCLEAN);
	unit = 0;
	ck_assert_int_eq(sas_tile_next(&map, &unit, &tile), -EUCLEAN);
	ck_assert_int_eq(sas_tile_isolate(&map, 0, 0), -EUCLEAN);
}
END_TEST

/* Whatever stands in a map, nothing reads or loops outside of it. */
START_TEST(find_in_random_map_stays_inside)
{
	uint64_t state = help_seed("tiles");

	for (long i = 0; i < help_size(1000, 100000, 1000000); i++) {
		struct sas_tile tile;
		uint64_t unit = 0;
		int more, steps = 0;

		for (unsigned u = 0; u < UNITS; u++)
			words[u] = help_below(&state, 2) ? (uint32_t)help_random(&state)
				   : sas_entry((uint32_t)help_below(&state, 4),
					       (uint32_t)help_below(&state, 8), 1);
		while ((more = sas_tile_next(&map, &unit, &tile)) > 0) {
			ck_assert_uint_le(tile.head + (1UL << tile.order), UNITS);
			ck_assert_int_le(++steps, (int)UNITS);
		}
		ck_assert(more == 0 || more == -EUCLEAN);
		for (uint64_t u = 0; u < UNITS; u++)
			if (sas_tile_find(&map, u, &tile) == 0) {
				ck_assert_uint_le(tile.head, u);
				ck_assert_uint_gt(tile.head + (1UL << tile.order), u);
				ck_assert_uint_le(tile.head + (1UL << tile.order), UNITS);
			}
	}
}
END_TEST

/* --- the segment table: a word in a larger structure, any number of units, carved ones */

START_TEST(map_with_stride_and_odd_count_works)
{
	uint64_t unit = 0, covered = 0;
	struct sas_tile tile;

	map = (struct sas_map){ words + 1, 37, 8, 5 };
	memset(words, 0, sizeof words);
	ck_assert_int_eq(sas_tile_isolate(&map, 32, 2), SAS_M_NEVER);
	sas_tile_use(&map, 32, 2, 3);
	sas_tile_use(&map, 5, SAS_M_ORDER_CARVED, 0);
	is_tile(35, 32, 2, SAS_M_USED);
	is_tile(36, 36, 0, SAS_M_NEVER);
	is_tile(5, 5, 0, SAS_M_USED);
	ck_assert_uint_eq(words[1 + 8 * 32], sas_entry(SAS_M_USED, 2, 3));
	for (unsigned i = 0; i < UNITS * 8; i++)
		ck_assert(i % 8 == 1 || words[i] == 0);
	while (sas_tile_next(&map, &unit, &tile) > 0)
		covered += 1UL << tile.order;
	ck_assert_uint_eq(covered, 37);
	words[1 + 8 * 32] = sas_entry(SAS_M_FREED, 3, 0);       /* beyond the end */
	ck_assert_int_eq(sas_tile_find(&map, 33, &tile), -EUCLEAN);
}
END_TEST

/* --- the model: what is used, and what is known of bytes */

struct model {
	unsigned char label[UNITS];     /* 0 free, else head + 1 of the block */
};
static struct model before, after;
static unsigned char zero[UNITS];       /* 1 all zero, 2 the first 4 KiB of what begins there */
static volatile int broken;

static int tile_agrees(const struct sas_tile *t, const struct model *m)
{
	for (uint64_t u = t->head; u < t->head + (1UL << t->order); u++) {
		if (m->label[u] != (t->state == SAS_M_USED ? t->head + 1 : 0))
			return 0;
		if (t->state == SAS_M_NEVER && zero[u] != 1)
			return 0;
	}
	return t->state != SAS_M_FREED || zero[t->head];
}

/* The map is whole, and shows what is used before or after the call: nothing else. */
static int is_whole(void)
{
	int old = 1, new = 1, more;
	uint64_t unit = 0;
	struct sas_tile t, found;

	while ((more = sas_tile_next(&map, &unit, &t)) > 0) {
		old &= tile_agrees(&t, &before);
		new &= tile_agrees(&t, &after);
		if (sas_tile_find(&map, unit - 1, &found) != 0 || found.head != t.head ||
		    found.entry != t.entry)
			return 0;
	}
	/* M2: what says USED is the head of a block. */
	for (unsigned u = 0; u < UNITS; u++)
		if (sas_entry_state(words[u]) == SAS_M_USED && before.label[u] != u + 1 &&
		    after.label[u] != u + 1)
			return 0;
	return more == 0 && (old || new);
}

static struct { uint64_t unit, count; uint32_t order, state; int what; } call;
static volatile int result;

static void cut_wrongly(void)
{
	sas_tile_free(&map, 0, TOP - 1, SAS_M_DIRTY);
	sas_tile_free(&map, UNITS / 2, TOP - 1, SAS_M_DIRTY);
}

__attribute__((noinline)) static void make_call(void)
{
	switch (call.what) {
	case 0: result = sas_tile_isolate(&map, call.unit, call.order); break;
	case 1: sas_tile_use(&map, call.unit, call.order, 9); break;
	case 2: sas_tile_free(&map, call.unit, call.order, call.state); break;
	case 3: sas_tile_forget(&map, call.unit, call.count); break;
	case 4: cut_wrongly(); break;
	}
}

#if defined(__x86_64__)
static unsigned long stores_seen, steps_seen;
static uint32_t last_words[UNITS];

static void after_instruction(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)info;
	(void)context;
	steps_seen++;
	if (memcmp(words, last_words, sizeof last_words) == 0)
		return;
	memcpy(last_words, words, sizeof last_words);
	stores_seen++;
	if (!is_whole())
		broken = 1;
}

/* The kernel clears the flag in the handler, and puts it back on return. */
static void step_call(void)
{
	memcpy(last_words, words, sizeof last_words);
	__asm__ volatile("subq $128, %%rsp; pushfq; orq $0x100, (%%rsp); popfq; addq $128, %%rsp"
			 ::: "memory", "cc");
	make_call();
	__asm__ volatile("subq $128, %%rsp; pushfq; andq $~0x100, (%%rsp); popfq; addq $128, %%rsp"
			 ::: "memory", "cc");
}
#else
static void step_call(void)
{
	make_call();
}
#endif

static void set_label(struct model *m, uint64_t head, uint32_t order, unsigned label)
{
	for (uint64_t u = head; u < head + (1UL << order); u++)
		m->label[u] = (unsigned char)label;
}

static void do_call(int what, uint64_t unit, uint32_t order, uint32_t state, int step)
{
	call.what = what;
	call.unit = unit;
	call.order = order;
	call.state = state;
	call.count = 1UL << order;
	if (step)
		step_call();
	else
		make_call();
	ck_assert_msg(!broken, "call %d of unit %lu, order %u: the map was broken at a store", what,
		      (unsigned long)unit, order);
	ck_assert(is_whole());
	before = after;
	ck_assert(is_whole());
}

static void allocate(uint64_t unit, uint32_t order, int step)
{
	after = before;
	do_call(0, unit, order, 0, step);
	ck_assert_int_ge(result, 0);
	if (result == SAS_M_NEVER || result == SAS_M_FREED)
		ck_assert_uint_ne(zero[unit], 0);
	set_label(&after, unit, order, (unsigned)unit + 1);
	do_call(1, unit, order, 0, step);
	memset(zero + unit, 0, 1UL << order);
}

static void release(uint64_t unit, uint32_t order, int step)
{
	set_label(&after, unit, order, 0);
	do_call(2, unit, order, SAS_M_DIRTY, step);
	zero[unit] = 2;
	do_call(2, unit, order, SAS_M_FREED, step);
}

static int is_free(uint64_t unit, uint64_t count)
{
	for (uint64_t u = unit; u < unit + count; u++)
		if (before.label[u])
			return 0;
	return 1;
}

/* A run that is free as a whole may be of several tiles: the allocator merges them, and so do we. */
static void run_model(long operations, int step)
{
	uint64_t state = help_seed("tiles");

	memset(&before, 0, sizeof before);
	after = before;
	memset(zero, 1, sizeof zero);
	for (long i = 0; i < operations; i++) {
		uint32_t order = (uint32_t)help_below(&state, TOP);
		uint64_t unit = help_below(&state, UNITS) >> order << order;
		struct sas_tile t;

		ck_assert_int_eq(sas_tile_find(&map, unit, &t), 0);
		if (t.state == SAS_M_USED) {
			release(t.head, t.order, step);
		} else if (is_free(unit, 1UL << order)) {
			if (help_below(&state, 8) == 0) {
				after = before;
				memset(zero + unit, 1, 1UL << order);
				if (t.order > order)
					do_call(0, unit, order, 0, step);
				do_call(3, unit, order, 0, step);
				continue;
			}
			allocate(unit, order, step);
		}
	}
}

START_TEST(random_calls_agree_with_model)
{
	run_model(help_size(2000, 50000, 1000000), 0);
}
END_TEST

#if defined(__x86_64__)
START_TEST(map_is_whole_after_each_store)
{
	help_handle(SIGTRAP, after_instruction, 0);
	run_model(help_size(200, 3000, 100000), 1);
	printf("tiles: %lu instructions stepped, %lu stores, the map whole after each\n", steps_seen,
	       stores_seen);
	ck_assert_uint_gt(stores_seen, 100);
}
END_TEST

/* With a fault planted: the head is cut before the piece behind it is written. */
START_TEST(stepping_notices_store_in_wrong_order)
{
	help_handle(SIGTRAP, after_instruction, 0);
	memset(&before, 0, sizeof before);
	after = before;
	memset(zero, 0, sizeof zero);
	sas_tile_free(&map, 0, TOP, SAS_M_DIRTY);
	call.what = 4;
	step_call();
	ck_assert_int_eq(broken, 1);
	ck_assert_uint_eq(stores_seen, 2);
	ck_assert(is_whole());
}
END_TEST
#endif

int main(void)
{
	Suite *suite = suite_create("tiles");
	TCase *c = tcase_create("tiles");

	tcase_add_checked_fixture(c, set_up, NULL);
	tcase_set_timeout(c, 120);
	suite_add_tcase(suite, c);
	tcase_add_test(c, find_in_zero_map_gives_single_units);
	tcase_add_test(c, entry_holds_order_state_and_generation);
	tcase_add_test(c, use_and_free_change_one_tile);
	tcase_add_test(c, isolate_at_head_keeps_state);
	tcase_add_test(c, isolate_of_used_tile_gives_euclean);
	tcase_add_test(c, forget_makes_tiles_never);
	tcase_add_test(c, find_in_broken_map_gives_euclean);
	tcase_add_test(c, find_in_random_map_stays_inside);
	tcase_add_test(c, map_with_stride_and_odd_count_works);
	tcase_add_test(c, random_calls_agree_with_model);
#if defined(__x86_64__)
	if (!help_instrumented()) {
		tcase_add_test(c, map_is_whole_after_each_store);
		tcase_add_test(c, stepping_notices_store_in_wrong_order);
	}
#endif
	return help_main(suite);
}
