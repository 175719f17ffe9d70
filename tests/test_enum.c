/* SPDX-License-Identifier: MIT */
/* test_enum.c - enumerators of indexes and string trees: every place that they can stand at, and trees that change meanwhile. */
#include <config.h>

#include <stdio.h>
#include <string.h>

#include <sasindexenum.h>
#include <sasstringbtreeenum.h>
#include "tree_help.h"

static SASIndex_t idx;
static SASStringBTree_t tree;

static void set_up(void)
{
	tree_begin();
	idx = SASIndexCreate(64 * KIB);
	tree = SASStringBTreeCreate(64 * KIB);
	ck_assert_msg(idx && tree, "%s", SASLastErrorMessage());
}

static void put(uint64_t n)
{
	SASIndexKey_t k = number(n);

	ck_assert_int_eq(SASIndexPut(idx, &k, value_of(n)), 1);
}

static void drop(uint64_t n)
{
	SASIndexKey_t k = number(n);

	ck_assert_ptr_eq(SASIndexRemove(idx, &k), value_of(n));
}

static void put_numbers(uint64_t count)
{
	for (uint64_t i = 1; i <= count; i++)
		put(i * 10);
}

static SASIndexEnum_t start(void)
{
	SASIndexEnum_t e = SASIndexEnumCreate(idx);

	ck_assert_msg(e != NULL, "%s", SASLastErrorMessage());
	return e;
}

static void seek(SASIndexEnum_t e, uint64_t n, int after)
{
	SASIndexKey_t k = number(n);

	ck_assert_int_eq(SASIndexEnumSeek(e, &k, after), 0);
}

#define next_is(e, n) gives_value(SASIndexEnumNext(e), value_of(n))
#define previous_is(e, n) gives_value(SASIndexEnumPrevious(e), value_of(n))
#define ends_above(e) gives(SASIndexEnumNext(e), NULL, ENOENT)
#define ends_below(e) gives(SASIndexEnumPrevious(e), NULL, ENOENT)

/* --- bad arguments */

START_TEST(calls_refuse_bad_arguments)
{
	SASIndexKey_t bad = number(1);
	SASIndexEnum_t e = start();
	char *none = NULL;

	bad.compare_size = 121;
	gives(SASIndexEnumCreate(NULL), NULL, EINVAL);
	gives(SASIndexEnumCreate(tree), NULL, EINVAL);
	gives(SASIndexEnumCreateStartAt(idx, NULL), NULL, EINVAL);
	gives(SASIndexEnumCreateStartAt(idx, &bad), NULL, EINVAL);
	gives(SASIndexEnumHasMore(NULL), 0, EINVAL);
	gives(SASIndexEnumCount(NULL), -1, EINVAL);
	gives(SASIndexEnumNext(NULL), NULL, EINVAL);
	gives(SASIndexEnumPrevious_nolock(NULL), NULL, EINVAL);
	gives(SASIndexEnumCurrent(NULL), NULL, EINVAL);
	gives(SASIndexEnumSeek(NULL, NULL, 0), -1, EINVAL);
	gives(SASIndexEnumSeek(e, &bad, 0), -1, EINVAL);
	SASIndexEnumDestroy(NULL);
	SASIndexEnumDestroy(e);
	gives(SASStringBTreeEnumCreate(idx), NULL, EINVAL);
	gives(SASStringBTreeEnumCreateStartAt(tree, none), NULL, EINVAL);
	gives(SASStringBTreeEnumNext(NULL), NULL, EINVAL);
	gives(SASStringBTreeEnumCurrent(NULL), NULL, EINVAL);
	gives(SASStringBTreeEnumSeek(NULL, "", 0), -1, EINVAL);
	SASStringBTreeEnumDestroy(NULL);
}
END_TEST

/* --- standing and going */

START_TEST(empty_tree_has_no_next)
{
	SASIndexEnum_t e = start();

	gives_value(SASIndexEnumHasMore(e), 0);
	gives_value(SASIndexEnumCount(e), 0);
	gives_value(SASIndexEnumCurrent(e), NULL);
	ends_above(e);
	ends_below(e);
	put(7);
	gives_value(SASIndexEnumHasMore(e), 1);
	next_is(e, 7);
	gives_value(SASIndexEnumHasMore(e), 0);
	SASIndexEnumDestroy(e);
}
END_TEST

START_TEST(loop_on_has_more_meets_each_key_once_in_order)
{
	uint64_t count = (uint64_t)help_size(2000, 20000, 200000), met = 0;
	SASIndexEnum_t e;

	put_numbers(count);
	e = start();
	while (SASIndexEnumHasMore(e)) {
		ck_assert_int_eq(SASIndexEnumHasMore(e), 1);
		next_is(e, ++met * 10);
		ck_assert_uint_eq(SASIndexKeyReturn1stUInt64(SASIndexEnumCurrent(e)), met * 10);
	}
	ck_assert_uint_eq(met, count);
	ends_above(e);
	ck_assert_uint_eq(SASIndexKeyReturn1stUInt64(SASIndexEnumCurrent(e)), count * 10);
	while (met > 1)
		previous_is(e, --met * 10);
	ends_below(e);
	SASIndexEnumDestroy(e);
}
END_TEST

START_TEST(nolock_calls_go_the_same_way)
{
	SASIndexEnum_t e;

	put_numbers(3);
	e = start();
	gives_value(SASIndexEnumNext_nolock(e), value_of(10));
	gives_value(SASIndexEnumNext_nolock(e), value_of(20));
	gives_value(SASIndexEnumPrevious_nolock(e), value_of(10));
	gives(SASIndexEnumPrevious_nolock(e), NULL, ENOENT);
	gives_value(SASIndexEnumNext_nolock(e), value_of(20));
	SASIndexEnumDestroy(e);
}
END_TEST

START_TEST(null_values_are_met)
{
	SASIndexKey_t k;
	SASIndexEnum_t e = start();

	for (uint64_t i = 0; i < 3; i++) {
		k = number(i);
		ck_assert_int_eq(SASIndexPut(idx, &k, NULL), 1);
	}
	for (uint64_t i = 0; i < 3; i++) {
		gives_value(SASIndexEnumHasMore(e), 1);
		next_is(e, 0);
		ck_assert_uint_eq(SASIndexKeyReturn1stUInt64(SASIndexEnumCurrent(e)), i);
	}
	gives_value(SASIndexEnumHasMore(e), 0);
	SASIndexEnumDestroy(e);
}
END_TEST

START_TEST(seek_stands_before_or_behind_the_key)
{
	SASIndexEnum_t e;

	put_numbers(3);
	e = start();
	seek(e, 20, 0);
	ck_assert_uint_eq(SASIndexKeyReturn1stUInt64(SASIndexEnumCurrent(e)), 20);
	next_is(e, 20);
	seek(e, 20, 0);
	previous_is(e, 10);
	seek(e, 20, 1);
	next_is(e, 30);
	seek(e, 20, 1);
	previous_is(e, 20);
	next_is(e, 30);
	seek(e, 15, 0);
	next_is(e, 20);
	seek(e, 15, 1);
	previous_is(e, 10);
	seek(e, 31, 0);
	gives_value(SASIndexEnumHasMore(e), 0);
	ends_above(e);
	previous_is(e, 30);
	seek(e, 9, 1);
	ends_below(e);
	next_is(e, 10);
	ck_assert_int_eq(SASIndexEnumSeek(e, NULL, 1), 0);
	gives_value(SASIndexEnumCurrent(e), NULL);
	gives_value(SASIndexEnumHasMore(e), 0);
	ends_above(e);
	previous_is(e, 30);
	ck_assert_int_eq(SASIndexEnumSeek(e, NULL, 0), 0);
	ends_below(e);
	next_is(e, 10);
	SASIndexEnumDestroy(e);
}
END_TEST

START_TEST(start_at_gives_first_at_or_above)
{
	static const struct { uint64_t at, first; } starts[] = { { 0, 10 }, { 10, 10 }, { 11, 20 }, { 20, 20 }, { 29, 30 }, { 30, 30 } };
	SASIndexKey_t k = number(1);
	SASIndexEnum_t e;

	gives(SASIndexEnumCreateStartAt(idx, &k), NULL, ENOENT);
	put_numbers(3);
	for (unsigned i = 0; i < sizeof starts / sizeof *starts; i++) {
		k = number(starts[i].at);
		e = SASIndexEnumCreateStartAt(idx, &k);
		ck_assert_ptr_nonnull(e);
		ck_assert_uint_eq(SASIndexKeyReturn1stUInt64(SASIndexEnumCurrent(e)), starts[i].at);
		gives_value(SASIndexEnumHasMore(e), 1);
		next_is(e, starts[i].first);
		SASIndexEnumDestroy(e);
	}
	k = number(31);
	gives(SASIndexEnumCreateStartAt(idx, &k), NULL, ENOENT);
}
END_TEST

START_TEST(count_is_what_is_above)
{
	SASIndexEnum_t e;

	put_numbers(1000);
	e = start();
	ck_assert_int_eq(SASIndexEnumCount(e), 1000);
	next_is(e, 10);
	ck_assert_int_eq(SASIndexEnumCount(e), 999);
	seek(e, 9985, 0);
	ck_assert_int_eq(SASIndexEnumCount(e), 2);
	previous_is(e, 9980);
	ck_assert_int_eq(SASIndexEnumCount(e), 2);
	previous_is(e, 9970);
	ck_assert_int_eq(SASIndexEnumCount(e), 3);
	drop(9990);
	ck_assert_int_eq(SASIndexEnumCount(e), 2);
	next_is(e, 9980);
	next_is(e, 10000);
	ck_assert_int_eq(SASIndexEnumCount(e), 0);
	ends_above(e);
	ck_assert_int_eq(SASIndexEnumCount(e), 0);
	SASIndexEnumDestroy(e);
}
END_TEST

/* --- trees that change */

START_TEST(keys_may_be_removed_as_they_are_met)
{
	uint64_t met = 0;
	SASIndexEnum_t e;

	put_numbers(2000);
	e = start();
	while (SASIndexEnumHasMore(e)) {
		next_is(e, ++met * 10);
		drop(met * 10);
	}
	ck_assert_uint_eq(met, 2000);
	ck_assert_int_eq(SASIndexIsEmpty(idx), 1);
	SASIndexEnumDestroy(e);
}
END_TEST

START_TEST(changes_ahead_are_seen)
{
	SASIndexKey_t k = number(40);
	SASIndexEnum_t e;

	put_numbers(5);
	e = start();
	next_is(e, 10);
	ck_assert_int_eq(SASIndexEnumHasMore(e), 1);    /* has looked at 20 */
	drop(20);
	next_is(e, 30);
	put(35);
	put(5);
	next_is(e, 35);
	ck_assert_int_eq(SASIndexEnumHasMore(e), 1);
	ck_assert_ptr_eq(SASIndexReplace(idx, &k, value_of(41)), value_of(40));
	next_is(e, 41);
	drop(50);
	ck_assert_int_eq(SASIndexEnumHasMore(e), 0);
	put(60);
	ck_assert_int_eq(SASIndexEnumHasMore(e), 1);
	next_is(e, 60);
	drop(60);                       /* it stands on a key that is gone */
	ck_assert_uint_eq(SASIndexKeyReturn1stUInt64(SASIndexEnumCurrent(e)), 60);
	previous_is(e, 41);
	ends_above(e);
	SASIndexEnumDestroy(e);
}
END_TEST

START_TEST(enumerator_of_a_destroyed_tree_is_refused)
{
	SASIndexEnum_t e;

	put_numbers(5);
	e = start();
	next_is(e, 10);
	SASIndexDestroy(idx);
	gives(SASIndexEnumNext(e), NULL, EINVAL);
	SASIndexEnumDestroy(e);
}
END_TEST

/* --- strings */

START_TEST(strings_are_met_in_order_both_ways)
{
	static const char *const sorted[] = { "", "apple", "apples", "b", "pear", "\xc3\xa4" };
	unsigned count = sizeof sorted / sizeof *sorted;
	SASStringBTreeEnum_t e;
	char key[] = "pear";

	for (unsigned i = 0; i < count; i++)
		ck_assert_int_eq(SASStringBTreePut(tree, sorted[i], value_of(i + 1)), 1);
	e = SASStringBTreeEnumCreate(tree);
	ck_assert_str_eq(SASStringBTreeEnumCurrent(e), "");
	ck_assert_int_eq(SASStringBTreeEnumCount(e), (long)count);
	for (unsigned i = 0; i < count; i++) {
		ck_assert_int_eq(SASStringBTreeEnumHasMore(e), 1);
		gives_value(i % 2 ? SASStringBTreeEnumNext(e) : SASStringBTreeEnumNext_nolock(e), value_of(i + 1));
		ck_assert_str_eq(SASStringBTreeEnumCurrent(e), sorted[i]);
	}
	ck_assert_int_eq(SASStringBTreeEnumHasMore(e), 0);
	ck_assert_int_eq(SASStringBTreeEnumSeek(e, NULL, 1), 0);
	ck_assert_str_eq(SASStringBTreeEnumCurrent(e), "");
	for (unsigned i = count; i-- > 0;) {
		gives_value(i % 2 ? SASStringBTreeEnumPrevious(e) : SASStringBTreeEnumPrevious_nolock(e), value_of(i + 1));
		ck_assert_str_eq(SASStringBTreeEnumCurrent(e), sorted[i]);
	}
	gives(SASStringBTreeEnumPrevious(e), NULL, ENOENT);
	ck_assert_int_eq(SASStringBTreeEnumSeek(e, "applez", 0), 0);
	gives_value(SASStringBTreeEnumNext(e), value_of(4));
	SASStringBTreeEnumDestroy(e);
	e = SASStringBTreeEnumCreateStartAt(tree, key);
	ck_assert_str_eq(SASStringBTreeEnumCurrent(e), "pear");
	gives_value(SASStringBTreeEnumNext(e), value_of(5));
	SASStringBTreeEnumDestroy(e);
	memcpy(key, "\xff\xff", 3);
	gives(SASStringBTreeEnumCreateStartAt(tree, key), NULL, ENOENT);
}
END_TEST

START_TEST(start_at_the_largest_string_works)
{
	char key[] = "z";
	SASStringBTreeEnum_t e;

	ck_assert_int_eq(SASStringBTreePut(tree, "a", value_of(1)), 1);
	ck_assert_int_eq(SASStringBTreePut(tree, "z", value_of(2)), 1);
	e = SASStringBTreeEnumCreateStartAt(tree, key);
	ck_assert_ptr_nonnull(e);
	gives_value(SASStringBTreeEnumNext(e), value_of(2));
	SASStringBTreeEnumDestroy(e);
}
END_TEST

START_TEST(seek_of_a_string_that_no_tree_has_room_for_is_refused)
{
	static char key[1100];
	SASStringBTreeEnum_t e = SASStringBTreeEnumCreate(tree);

	memset(key, 'x', 1025);
	gives(SASStringBTreeEnumSeek(e, key, 0), -1, ENAMETOOLONG);
	key[1024] = 0;
	gives_value(SASStringBTreeEnumSeek(e, key, 0), 0);
	ck_assert_str_eq(SASStringBTreeEnumCurrent(e), key);
	SASStringBTreeEnumDestroy(e);
}
END_TEST

/* The key it stands on has gone, and is none of those above it when it goes back. */
START_TEST(count_leaves_out_a_removed_key)
{
	SASIndexEnum_t e = start();
	SASIndexKey_t k = number(20);

	for (unsigned n = 10; n <= 40; n += 10) {
		SASIndexKey_t at = number(n);

		ck_assert_int_eq(SASIndexPut(idx, &at, value_of(n)), 1);
	}
	gives(SASIndexEnumNext(e), value_of(10), 0);
	gives(SASIndexEnumNext(e), value_of(20), 0);
	gives(SASIndexRemove(idx, &k), value_of(20), 0);
	ck_assert_int_eq(SASIndexEnumCount(e), 2);
	gives(SASIndexEnumPrevious(e), value_of(10), 0);
	ck_assert_int_eq(SASIndexEnumCount(e), 2);
	gives(SASIndexEnumNext(e), value_of(30), 0);
	ck_assert_int_eq(SASIndexEnumCount(e), 1);
	gives(SASIndexEnumPrevious(e), value_of(10), 0);
	ck_assert_int_eq(SASIndexEnumCount(e), 2);
	SASIndexEnumDestroy(e);
}
END_TEST

/* --- a model: numbers below MODEL, and a place between them */

#define MODEL 300U

START_TEST(random_steps_agree_with_model)
{
	uint64_t state = help_seed("enum") + (uint64_t)_i;
	unsigned char there[MODEL] = { 0 };
	long steps = help_size(5000, 50000, 1000000);
	int low = -1, high = 0, to;             /* next: the first at or above high; previous: the last at or below low */
	SASIndexEnum_t e = start();
	SASIndexKey_t k;

	for (long step = 0; step < steps; step++) {
		unsigned n = (unsigned)help_below(&state, MODEL);

		k = number(n);
		switch (help_below(&state, 8)) {
		case 0:
			ck_assert_int_eq(SASIndexPut(idx, &k, value_of(n)), !there[n]);
			there[n] = 1;
			break;
		case 1:
			gives(SASIndexRemove(idx, &k), value_of(there[n] ? n : 0), there[n] ? 0 : ENOENT);
			there[n] = 0;
			break;
		case 2:
			seek(e, n, 0);
			high = (int)n;
			low = high - 1;
			break;
		case 3:
			if (help_below(&state, 8))
				break;
			seek(e, n, 1);
			low = (int)n;
			high = low + 1;
			break;
		case 4:
			for (to = high; to < (int)MODEL && !there[to]; to++)
				;
			ck_assert_int_eq(SASIndexEnumHasMore(e), to < (int)MODEL);
			break;
		case 5:
			for (to = low; to >= 0 && !there[to]; to--)
				;
			gives(SASIndexEnumPrevious(e), value_of(to < 0 ? 0 : (unsigned)to), to < 0 ? ENOENT : 0);
			if (to < 0)
				break;
			low = to - 1;
			high = to + 1;
			break;
		default:
			for (to = high; to < (int)MODEL && !there[to]; to++)
				;
			gives(SASIndexEnumNext(e), value_of(to < (int)MODEL ? (unsigned)to : 0), to < (int)MODEL ? 0 : ENOENT);
			if (to == (int)MODEL)
				break;
			low = to - 1;
			high = to + 1;
			break;
		}
		if (help_below(&state, 100) == 0) {
			long above = 0;

			for (to = high; to < (int)MODEL; to++)
				above += there[to];
			ck_assert_int_eq(SASIndexEnumCount(e), above);
		}
	}
	SASIndexEnumDestroy(e);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("enum");
	TCase *c = help_case(suite, "enum");

	tcase_add_checked_fixture(c, set_up, tree_end);
	tcase_add_test(c, calls_refuse_bad_arguments);
	tcase_add_test(c, empty_tree_has_no_next);
	tcase_add_test(c, loop_on_has_more_meets_each_key_once_in_order);
	tcase_add_test(c, nolock_calls_go_the_same_way);
	tcase_add_test(c, null_values_are_met);
	tcase_add_test(c, count_leaves_out_a_removed_key);
	tcase_add_test(c, seek_stands_before_or_behind_the_key);
	tcase_add_test(c, start_at_gives_first_at_or_above);
	tcase_add_test(c, count_is_what_is_above);
	tcase_add_test(c, keys_may_be_removed_as_they_are_met);
	tcase_add_test(c, changes_ahead_are_seen);
	tcase_add_test(c, enumerator_of_a_destroyed_tree_is_refused);
	tcase_add_test(c, strings_are_met_in_order_both_ways);
	tcase_add_test(c, start_at_the_largest_string_works);
	tcase_add_test(c, seek_of_a_string_that_no_tree_has_room_for_is_refused);
	tcase_add_loop_test(c, random_steps_agree_with_model, 0, 4);
	return help_main(suite);
}
