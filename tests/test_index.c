/* SPDX-License-Identifier: MIT */
/*
 * test_index.c - the calls of sasindex.h, sasindexkey.h and sasindexnode.h: arguments, keys and their order, what is given back, views, a
 * model. What the tree does under load and deaths is tested where the tree is.
 */
#include <config.h>

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <saslock.h>
#include <sassim.h>
#include "tree_help.h"

static SASIndex_t idx;

static void set_up(void)
{
	tree_begin();
	idx = SASIndexCreate(64 * KIB);
	ck_assert_msg(idx != NULL, "%s", SASLastErrorMessage());
}

static void tear_down(void)
{
	if (idx)
		index_clean(idx);
	tree_end();
}

/* --- bad arguments */

START_TEST(create_refuses_sizes)
{
	uint64_t before = help_info(region).blocksInUse;

	gives(SASIndexCreate(0), NULL, EINVAL);
	gives(SASIndexCreate(5000), NULL, EINVAL);
	gives(SASIndexCreatePageSize(64 * KIB, 256), NULL, EINVAL);
	gives(SASIndexCreatePageSize(64 * KIB, 3000), NULL, EINVAL);
	gives(SASIndexCreatePageSize(1 * MIB, 128 * KIB), NULL, EINVAL);
	gives(SASIndexFixedCreate(4 * KIB), NULL, EINVAL);
	gives(SASIndexInit(NULL, 64 * KIB, 4096, 1), NULL, EINVAL);
	gives(SASIndexInit(idx, 5000, 4096, 1), NULL, EINVAL);
	ck_assert_uint_eq(help_info(region).blocksInUse, before);
}
END_TEST

static void refuse_handle(SASIndex_t handle)
{
	SASTreeInfo info = { .structSize = sizeof info };
	SASIndexKey_t k = number(1);

	gives(SASIndexPut(handle, &k, NULL), 0, EINVAL);
	gives(SASIndexPut_nolock(handle, &k, NULL), 0, EINVAL);
	gives(SASIndexReplace(handle, &k, NULL), NULL, EINVAL);
	gives(SASIndexReplace_nolock(handle, &k, NULL), NULL, EINVAL);
	gives(SASIndexRemove(handle, &k), NULL, EINVAL);
	gives(SASIndexRemove_nolock(handle, &k), NULL, EINVAL);
	gives(SASIndexGet(handle, &k), NULL, EINVAL);
	gives(SASIndexGet_nolock(handle, &k), NULL, EINVAL);
	gives(SASIndexContainsKey(handle, &k), 0, EINVAL);
	gives(SASIndexContainsKey_nolock(handle, &k), 0, EINVAL);
	gives(SASIndexGetMaxKey(handle), NULL, EINVAL);
	gives(SASIndexGetMaxKey_nolock(handle), NULL, EINVAL);
	gives(SASIndexGetMinKey(handle), NULL, EINVAL);
	gives(SASIndexGetMinKey_nolock(handle), NULL, EINVAL);
	gives(SASIndexIsEmpty(handle), -1, EINVAL);
	gives(SASIndexIsEmpty_nolock(handle), -1, EINVAL);
	gives(SASIndexGetCurCount(handle), -1, EINVAL);
	gives(SASIndexGetModCount(handle), 0, EINVAL);
	gives(SASIndexGetModCount_nolock(handle), 0, EINVAL);
	gives(SASIndexGetRootNode(handle), NULL, EINVAL);
	gives(SASIndexGetRootNode_nolock(handle), NULL, EINVAL);
	gives(SASIndexAllocSize(handle), 0, EINVAL);
	gives(SASIndexFreeSpace(handle), 0, EINVAL);
	gives(SASIndexExpandCreate(handle), NULL, EINVAL);
	gives(SASIndexGetInfo(handle, &info), -1, EINVAL);
	gives(SASIndexCheck(handle, NULL, NULL), -1, EINVAL);
	errno = 0;
	SASIndexDestroy(handle);
	ck_assert_int_eq(errno, EINVAL);
}

START_TEST(calls_refuse_what_is_no_index)
{
	SASStringBTree_t strings = SASStringBTreeCreate(64 * KIB);
	void *plain = take(4 * KIB);

	ck_assert_ptr_nonnull(strings);
	refuse_handle(NULL);
	refuse_handle(plain);
	refuse_handle(strings);
	ck_assert_int_eq(SASStringBTreeIsEmpty(strings), 1);
}
END_TEST

static void refuse_key(SASIndexKey_t *k)
{
	IDXnodePosRef ref;

	gives(SASIndexPut(idx, k, NULL), 0, EINVAL);
	gives(SASIndexReplace(idx, k, NULL), NULL, EINVAL);
	gives(SASIndexRemove(idx, k), NULL, EINVAL);
	gives(SASIndexGet(idx, k), NULL, EINVAL);
	gives(SASIndexContainsKey(idx, k), 0, EINVAL);
	gives(SASIndexNodeSearch(SASIndexGetRootNode(idx), k, &ref), 0, EINVAL);
}

START_TEST(calls_refuse_keys_whose_sizes_cannot_be)
{
	SASIndexKey_t good = number(1), k = good;

	ck_assert_int_eq(SASIndexPut(idx, &good, NULL), 1);
	refuse_key(NULL);
	k.compare_size = 121;
	k.copy_size = 128;
	refuse_key(&k);
	k.compare_size = 120;
	k.copy_size = 129;
	refuse_key(&k);
	k.copy_size = 127;
	refuse_key(&k);
	k.compare_size = 8;
	k.copy_size = 15;
	refuse_key(&k);
	k.compare_size = 0xffffffff;
	refuse_key(&k);
	ck_assert_int_eq(SASIndexGetCurCount(idx), 1);
}
END_TEST

START_TEST(info_refuses_bad_arguments)
{
	SASTreeInfo info = { .structSize = 1 };

	gives(SASIndexGetInfo(idx, NULL), -1, EINVAL);
	gives(SASIndexGetInfo(idx, &info), -1, EINVAL);
	gives(SASIndexLoad(idx, NULL, NULL), -1, EINVAL);
}
END_TEST

/* --- what the calls do */

START_TEST(put_get_replace_remove_give_what_they_say)
{
	SASIndexKey_t one = number(1), two = number(2);

	gives(SASIndexGet(idx, &one), NULL, ENOENT);
	gives(SASIndexReplace(idx, &one, value_of(9)), NULL, ENOENT);
	gives(SASIndexRemove(idx, &one), NULL, ENOENT);
	gives_value(SASIndexContainsKey(idx, &one), 0);
	gives_value(SASIndexPut(idx, &one, value_of(10)), 1);
	gives(SASIndexPut(idx, &one, value_of(11)), 0, EEXIST);
	gives_value(SASIndexGet(idx, &one), value_of(10));
	gives_value(SASIndexGet_nolock(idx, &one), value_of(10));
	gives_value(SASIndexContainsKey(idx, &one), 1);
	gives_value(SASIndexContainsKey_nolock(idx, &one), 1);
	gives_value(SASIndexReplace(idx, &one, value_of(12)), value_of(10));
	gives_value(SASIndexReplace_nolock(idx, &one, value_of(13)), value_of(12));
	gives_value(SASIndexPut_nolock(idx, &two, value_of(20)), 1);
	ck_assert_int_eq(SASIndexGetCurCount(idx), 2);
	gives_value(SASIndexRemove(idx, &one), value_of(13));
	gives(SASIndexGet(idx, &one), NULL, ENOENT);
	gives_value(SASIndexRemove_nolock(idx, &two), value_of(20));
	gives_value(SASIndexIsEmpty(idx), 1);
	gives_value(SASIndexIsEmpty_nolock(idx), 1);
}
END_TEST

START_TEST(null_is_a_value)
{
	SASIndexKey_t k = number(1);

	gives_value(SASIndexPut(idx, &k, NULL), 1);
	gives_value(SASIndexGet(idx, &k), NULL);
	gives_value(SASIndexContainsKey(idx, &k), 1);
	gives_value(SASIndexReplace(idx, &k, NULL), NULL);
	gives_value(SASIndexRemove(idx, &k), NULL);
	gives(SASIndexRemove(idx, &k), NULL, ENOENT);
}
END_TEST

START_TEST(mod_count_starts_at_1_and_counts_changes)
{
	SASIndexKey_t k = number(1), other = number(2);

	ck_assert_int_eq(SASIndexGetModCount(idx), 1);
	SASIndexPut(idx, &k, NULL);
	ck_assert_int_eq(SASIndexGetModCount(idx), 2);
	SASIndexPut(idx, &k, NULL);
	SASIndexGet(idx, &k);
	SASIndexReplace(idx, &other, NULL);
	SASIndexRemove(idx, &other);
	ck_assert_int_eq(SASIndexGetModCount(idx), 2);
	SASIndexReplace(idx, &k, &k);
	ck_assert_int_eq(SASIndexGetModCount_nolock(idx), 3);
	SASIndexRemove(idx, &k);
	ck_assert_int_eq(SASIndexGetModCount(idx), 4);
}
END_TEST

START_TEST(min_and_max_are_copies_that_last)
{
	SASIndexKey_t k, *kept[8];

	gives(SASIndexGetMinKey(idx), NULL, ENOENT);
	gives(SASIndexGetMaxKey(idx), NULL, ENOENT);
	for (unsigned i = 0; i < 8; i++) {
		k = number(100 + i);
		ck_assert_int_eq(SASIndexPut(idx, &k, NULL), 1);
		kept[i] = i % 2 ? SASIndexGetMaxKey(idx) : SASIndexGetMaxKey_nolock(idx);
		k = number(99 - i);
		ck_assert_int_eq(SASIndexPut(idx, &k, NULL), 1);
	}
	for (unsigned i = 0; i < 8; i++) {
		ck_assert_uint_eq(SASIndexKeyReturn1stUInt64(kept[i]), 100 + i);
		ck_assert_uint_eq(kept[i]->copy_size, 16);
		ck_assert_uint_eq(SASIndexKeySize(kept[i]), 16);
	}
	ck_assert_uint_eq(SASIndexKeyReturn1stUInt64(SASIndexGetMinKey(idx)), 92);
	ck_assert_uint_eq(SASIndexKeyReturn1stUInt64(SASIndexGetMinKey_nolock(idx)), 92);
}
END_TEST

static void *ask_for_max(void *arg)
{
	for (int i = 0; i < 100; i++)
		must(SASIndexKeyReturn1stUInt64(SASIndexGetMaxKey(idx)) == 7);
	return arg;
}

START_TEST(kept_keys_are_the_threads_own)
{
	SASIndexKey_t k = number(7), *kept;
	pthread_t thread;

	SASIndexPut(idx, &k, NULL);
	kept = SASIndexGetMaxKey(idx);
	memset(kept->data, 0, sizeof kept->data);       /* it is ours to write */
	ck_assert_int_eq(pthread_create(&thread, NULL, ask_for_max, NULL), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_uint_eq(kept->data[0], 0);
}
END_TEST

/* --- keys */

START_TEST(keys_of_all_sizes_come_back)
{
	unsigned char bytes[120];
	SASIndexKey_t k, *min;

	for (unsigned i = 0; i < sizeof bytes; i++)
		bytes[i] = (unsigned char)(200 - i);
	for (unsigned size = 0; size <= sizeof bytes; size++) {
		k = key_of(bytes, size);
		gives_value(SASIndexPut(idx, &k, value_of(size)), 1);
		min = SASIndexGetMinKey(idx);
		ck_assert_uint_eq(min->compare_size, size);
		ck_assert_mem_eq(min, &k, k.copy_size);
		gives_value(SASIndexRemove(idx, min), value_of(size));
	}
}
END_TEST

START_TEST(what_lies_behind_the_key_does_not_count)
{
	SASIndexKey_t a = key_of("abc", 3), b = a;

	memset((char *)a.data + 3, 0xff, 5);
	b.copy_size = 128;
	memset((char *)b.data + 3, 0x11, 117);
	ck_assert_int_eq(SASIndexKeyCompare(&a, &b), 0);
	gives_value(SASIndexPut(idx, &a, value_of(1)), 1);
	gives_value(SASIndexGet(idx, &b), value_of(1));
}
END_TEST

START_TEST(zeros_in_keys_count)
{
	static const char zeros[24];
	SASIndexKey_t k;

	for (unsigned size = 0; size <= 24; size++) {
		k = key_of(zeros, size);
		gives_value(SASIndexPut(idx, &k, value_of(size + 1)), 1);
	}
	for (unsigned size = 0; size <= 24; size++) {
		k = key_of(zeros, size);
		gives_value(SASIndexGet(idx, &k), value_of(size + 1));
	}
	ck_assert_uint_eq(SASIndexGetMinKey(idx)->compare_size, 0);
	ck_assert_uint_eq(SASIndexGetMaxKey(idx)->compare_size, 24);
}
END_TEST

static int sign(int n) { return (n > 0) - (n < 0); }

/* What the header's order says, straight from words and numbers. */
static int compare_slowly(const SASIndexKey_t *a, const SASIndexKey_t *b)
{
	size_t least = a->compare_size < b->compare_size ? a->compare_size : b->compare_size;
	unsigned char x, y;

	for (size_t i = 0; i < least; i++) {
		/* The i-th byte of the key by weight: in a word from the top, in an incomplete one from the top of what there is. */
		size_t first = i / 8 * 8, na = a->compare_size - first, nb = b->compare_size - first;

		na = na < 8 ? na : 8;
		nb = nb < 8 ? nb : 8;
		x = (unsigned char)(a->data[first / 8] >> (8 * (na - 1 - (i - first))));
		y = (unsigned char)(b->data[first / 8] >> (8 * (nb - 1 - (i - first))));
		if (x != y)
			return x < y ? -1 : 1;
	}
	return a->compare_size < b->compare_size ? -1 : a->compare_size > b->compare_size;
}

static SASIndexKey_t random_key(uint64_t *state)
{
	unsigned char bytes[120];
	size_t size = help_below(state, 4) ? help_below(state, 20) : help_below(state, 121);

	for (size_t i = 0; i < size; i++)
		bytes[i] = (unsigned char)(help_below(state, 3) ? help_below(state, 2) : help_random(state));
	return key_of(bytes, size);
}

START_TEST(order_is_that_of_words_and_shorter_ones_first)
{
	uint64_t state = help_seed("order");
	SASIndexKey_t a, b;
	long rounds = help_size(1000, 20000, 1000000);
	int order;

	for (long i = 0; i < rounds; i++) {
		a = random_key(&state);
		b = help_below(&state, 8) ? random_key(&state) : a;
		order = SASIndexKeyCompare(&a, &b);
		ck_assert_int_eq(sign(order), __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? compare_slowly(&a, &b) : sign(order));
		ck_assert_int_eq(sign(SASIndexKeyCompare(&b, &a)), -sign(order));
		SASIndexPut(idx, &a, value_of(1));
		SASIndexPut(idx, &b, value_of(1));
		if (order) {
			ck_assert_int_le(SASIndexKeyCompare(SASIndexGetMinKey(idx), order < 0 ? &a : &b), 0);
			ck_assert_int_ge(SASIndexKeyCompare(SASIndexGetMaxKey(idx), order < 0 ? &b : &a), 0);
		}
		gives_value(SASIndexRemove(idx, &a), value_of(1));
		if (order)
			gives_value(SASIndexRemove(idx, &b), value_of(1));
	}
}
END_TEST

START_TEST(numbers_keep_their_order)
{
	static const long long numbers[] = { INT64_MIN, INT64_MIN + 1, -1000, -1, 0, 1, 1000, INT64_MAX };
	SASIndexKey_t a, b;

	for (unsigned i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		SASIndexKeyInitInt64(&a, numbers[i]);
		ck_assert_int_eq(SASIndexKeyReturn1stInt64(&a), numbers[i]);
		ck_assert_uint_eq(a.copy_size, 16);
		ck_assert_uint_eq(a.compare_size, 8);
		for (unsigned j = 0; j < i; j++) {
			SASIndexKeyInitInt64(&b, numbers[j]);
			ck_assert_int_lt(SASIndexKeyCompare(&b, &a), 0);
		}
	}
	SASIndexKeyInitRef(&a, &b);
	ck_assert_uint_eq(SASIndexKeyReturn1stUInt64(&a), (uintptr_t)&b);
	memset(&b, 0x55, sizeof b);
	SASIndexKeyCopy(&b, &a);
	ck_assert_int_eq(SASIndexKeyCompare(&a, &b), 0);
	ck_assert_uint_eq(b.data[1], 0x5555555555555555);
}
END_TEST

START_TEST(doubles_keep_their_order)
{
	static const double numbers[] = { -INFINITY, -1e300, -1.5, -1e-320, 0.0, 5e-324, 1.0, 1e300, INFINITY, NAN };
	SASIndexKey_t a, b;

	for (unsigned i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		SASIndexKeyInitDouble(&a, numbers[i]);
		if (isnan(numbers[i]))
			ck_assert(isnan(SASIndexKeyReturn1stDouble(&a)));
		else
			ck_assert(SASIndexKeyReturn1stDouble(&a) == numbers[i]);
		for (unsigned j = 0; j < i; j++) {
			SASIndexKeyInitDouble(&b, numbers[j]);
			ck_assert_int_lt(SASIndexKeyCompare(&b, &a), 0);
		}
	}
	SASIndexKeyInitDouble(&a, -0.0);
	SASIndexKeyInitDouble(&b, 0.0);
	ck_assert_int_eq(SASIndexKeyCompare(&a, &b), 0);
	ck_assert(!signbit(SASIndexKeyReturn1stDouble(&a)));
	SASIndexKeyInitDouble(&a, -NAN);
	SASIndexKeyInitDouble(&b, NAN);
	ck_assert_int_eq(SASIndexKeyCompare(&a, &b), 0);
}
END_TEST

/* --- space */

/* Puts keys from here on, until there is no space. */
static uint64_t fill(SASIndex_t index, uint64_t from)
{
	SASIndexKey_t k;

	for (uint64_t i = from;; i++) {
		k = number(i * 0x9e3779b97f4a7c15);
		errno = 0;
		if (SASIndexPut(index, &k, value_of(i + 1)))
			continue;
		ck_assert_int_eq(errno, ENOSPC);
		return i;
	}
}

START_TEST(fixed_index_fills_and_keeps_what_it_has)
{
	SASIndex_t fixed = SASIndexFixedCreate(64 * KIB);
	uint64_t count = fill(fixed, 0);
	SASIndexKey_t k;

	ck_assert_uint_ge(count, 1000);
	ck_assert_int_eq(SASIndexGetCurCount(fixed), (long)count);
	index_clean(fixed);
	for (uint64_t i = 0; i < count; i++) {
		k = number(i * 0x9e3779b97f4a7c15);
		gives_value(SASIndexGet(fixed, &k), value_of(i + 1));
		gives_value(SASIndexRemove(fixed, &k), value_of(i + 1));
	}
	ck_assert_int_eq(SASIndexIsEmpty(fixed), 1);
	index_clean(fixed);
	ck_assert_uint_ge(fill(fixed, 0), count * 9 / 10);
	SASIndexDestroy(fixed);
}
END_TEST

START_TEST(space_and_blocks_come_back)
{
	uint64_t before = help_info(region).blocksInUse;
	SASIndex_t other = SASIndexCreatePageSize(64 * KIB, 1024);
	size_t space = SASIndexFreeSpace(other);
	SASIndexKey_t k = number(1);

	ck_assert_uint_eq(SASIndexAllocSize(other), 1024);
	ck_assert_uint_eq(SASIndexAllocSize(idx), 4096);
	ck_assert_uint_eq(space % 1024, 0);
	ck_assert_uint_le(space, 60 * KIB);
	ck_assert_uint_ge(space, 58 * KIB);
	ck_assert_ptr_nonnull(SASIndexExpandCreate(other));
	ck_assert_uint_eq(SASIndexFreeSpace(other), space + 60 * KIB);
	for (uint64_t i = 0; i < 20000; i++) {
		k = number(i);
		ck_assert_int_eq(SASIndexPut(other, &k, NULL), 1);
	}
	ck_assert_uint_gt(help_info(region).blocksInUse, before + 2);
	index_clean(other);
	SASIndexDestroy(other);
	ck_assert_uint_eq(help_info(region).blocksInUse, before);
}
END_TEST

START_TEST(destroyed_index_is_none)
{
	SASIndex_t was = idx;

	SASIndexDestroy(idx);
	idx = NULL;
	refuse_handle(was);
}
END_TEST

START_TEST(index_in_memory_of_the_program_works)
{
	void *memory = aligned_alloc(4096, 64 * KIB);
	SASIndex_t own;
	SASIndexKey_t k;

	memset(memory, 0x5a, 64 * KIB);
	own = SASIndexInit(memory, 64 * KIB, 4096, 0);
	ck_assert_ptr_eq(own, memory);
	for (uint64_t i = 0; i < 1000; i++) {
		k = number(i);
		ck_assert_int_eq(SASIndexPut(own, &k, value_of(i)), 1);
	}
	ck_assert_uint_eq(SASIndexKeyReturn1stUInt64(SASIndexGetMaxKey(own)), 999);
	index_clean(own);
	SASIndexDestroy(own);
	gives(SASIndexIsEmpty(own), -1, EINVAL);
	free(memory);
}
END_TEST

/* --- loading */

struct numbers { uint64_t next, end, odd_one; int step; int result; };

static int next_number(SASIndexKey_t *key, void **value, void *arg)
{
	struct numbers *n = arg;

	if (n->next == n->end)
		return n->result;
	*key = number(n->next == n->odd_one ? 0 : n->next);
	*value = value_of(n->next++ * 2);
	return 1;
}

START_TEST(load_makes_an_index_of_all_or_nothing)
{
	struct numbers refused = { .next = 1, .end = 5000, .odd_one = 4000 };
	struct numbers cancelled = { .next = 1, .end = 5000, .result = -1 };
	struct numbers good = { .next = 1, .end = 5001 };
	SASIndexKey_t k;

	gives(SASIndexLoad(idx, next_number, &refused), -1, EEXIST);
	ck_assert_int_eq(SASIndexIsEmpty(idx), 1);
	index_clean(idx);
	gives(SASIndexLoad(idx, next_number, &cancelled), -1, ECANCELED);
	ck_assert_int_eq(SASIndexIsEmpty(idx), 1);
	gives_value(SASIndexLoad(idx, next_number, &good), 5000);
	ck_assert_int_eq(SASIndexGetCurCount(idx), 5000);
	for (uint64_t i = 1; i <= 5000; i++) {
		k = number(i);
		gives_value(SASIndexGet(idx, &k), value_of(i * 2));
	}
	good.next = 1;
	gives(SASIndexLoad(idx, next_number, &good), -1, ENOTEMPTY);
}
END_TEST

START_TEST(load_of_nothing_is_an_empty_index)
{
	struct numbers none = { .next = 1, .end = 1 };

	gives_value(SASIndexLoad(idx, next_number, &none), 0);
	ck_assert_int_eq(SASIndexIsEmpty(idx), 1);
}
END_TEST

/* --- information and views */

START_TEST(info_tells_what_the_index_is_made_of)
{
	SASTreeInfo info = { .structSize = sizeof info };
	SASIndexKey_t k;

	for (uint64_t i = 0; i < 3000; i++) {
		k = number(i * 7);
		ck_assert_int_eq(SASIndexPut(idx, &k, NULL), 1);
	}
	ck_assert_int_eq(SASIndexGetInfo(idx, &info), 0);
	ck_assert_uint_eq(info.keys, 3000);
	ck_assert_uint_eq(info.keyBytes, 3000 * 8);
	ck_assert_uint_ge(info.depth, 2);
	ck_assert_uint_ge(info.leaves, 3000 * 16 / 4096);
	ck_assert_uint_ge(info.inner, 1);
	ck_assert_uint_le(info.usedBytes, (info.leaves + info.inner) * 4096);
	ck_assert_uint_eq(info.pageSize, 4096);
	ck_assert_uint_eq(info.longestKey, 1024);
}
END_TEST

/* As programs walk: 0 to count, branches first. How many values lie below, in order. */
static long walk(SASIndexNode_t node, uint64_t *last)
{
	int count = SASIndexNodeGetCount(node);
	SASIndexNode_t branch;
	SASIndexKey_t *k;
	long found = 0;

	ck_assert_int_ge(count, 0);
	for (short i = 0; i <= count; i++) {
		k = SASIndexNodeGetKeyIndexed(node, i);
		branch = SASIndexNodeGetBranchIndexed(node, i);
		ck_assert_int_eq(k == NULL, i == 0);
		if (branch) {
			ck_assert_ptr_null(SASIndexNodeGetValIndexed(node, i));
			found += walk(branch, last);
		} else if (k) {
			ck_assert_uint_gt(SASIndexKeyReturn1stUInt64(k), *last);
			*last = SASIndexKeyReturn1stUInt64(k);
			ck_assert_ptr_eq(SASIndexNodeGetValIndexed(node, i), value_of(*last + 1));
			found++;
		}
	}
	return found;
}

START_TEST(views_show_all_of_the_index)
{
	uint64_t last = 0;
	SASIndexKey_t k;

	gives_value(SASIndexGetRootNode(idx), NULL);
	for (uint64_t i = 1; i <= 5000; i++) {
		k = number(i * 10);
		ck_assert_int_eq(SASIndexPut(idx, &k, value_of(i * 10 + 1)), 1);
	}
	ck_assert_ptr_nonnull(SASIndexGetRootNode(idx));
	ck_assert_ptr_eq(SASIndexGetRootNode(idx), SASIndexGetRootNode_nolock(idx));
	ck_assert_int_eq(walk(SASIndexGetRootNode(idx), &last), 5000);
	ck_assert_uint_eq(last, 50000);
}
END_TEST

START_TEST(views_refuse_bad_arguments)
{
	SASIndexKey_t k = number(1);
	SASIndexNode_t root;
	IDXnodePosRef ref;

	SASIndexPut(idx, &k, value_of(1));
	root = SASIndexGetRootNode(idx);
	gives(SASIndexNodeGetCount(NULL), -1, EINVAL);
	gives(SASIndexNodeGetCount(idx), -1, EINVAL);
	gives(SASIndexNodeGetKeyIndexed(root, -1), NULL, EINVAL);
	gives(SASIndexNodeGetKeyIndexed(root, 2), NULL, EINVAL);
	gives_value(SASIndexNodeGetKeyIndexed(root, 0), NULL);
	gives(SASIndexNodeGetBranchIndexed(root, 2), NULL, EINVAL);
	gives_value(SASIndexNodeGetBranchIndexed(root, 0), NULL);
	gives(SASIndexNodeGetValIndexed(root, 2), NULL, EINVAL);
	gives_value(SASIndexNodeGetValIndexed(root, 0), NULL);
	gives(SASIndexNodeSearch(root, &k, NULL), 0, EINVAL);
	gives(SASIndexNodeSearch(NULL, &k, &ref), 0, EINVAL);
	gives(SASIndexNodeSearchGE(idx, &k, &ref), 0, EINVAL);
}
END_TEST

/* The number that a search finds; 0: none. */
static uint64_t found(int (*search)(SASIndexNode_t, const SASIndexKey_t *, IDXnodePosRef *), uint64_t n)
{
	SASIndexKey_t k = number(n);
	IDXnodePosRef ref;

	errno = 0;
	if (!search(SASIndexGetRootNode(idx), &k, &ref)) {
		ck_assert_int_eq(errno, 0);
		return 0;
	}
	return SASIndexKeyReturn1stUInt64(SASIndexNodeGetKeyIndexed(ref.node, ref.pos));
}

START_TEST(searches_below_the_root_find_neighbours)
{
	uint64_t count = (uint64_t)help_size(600, 3000, 30000), last = count * 10;
	SASIndexKey_t k;

	for (uint64_t i = 1; i <= count; i++) {
		k = number(i * 10);
		ck_assert_int_eq(SASIndexPut(idx, &k, value_of(1)), 1);
	}
	for (uint64_t n = 0; n <= last + 10; n += 5) {
		uint64_t below = n / 10 * 10, above = (n + 9) / 10 * 10;

		ck_assert_uint_eq(found(SASIndexNodeSearch, n), n % 10 == 0 && n <= last ? n : 0);
		ck_assert_uint_eq(found(SASIndexNodeSearchGE, n), above < 10 ? 10 : above > last ? 0 : above);
		ck_assert_uint_eq(found(SASIndexNodeSearchGT, n), n / 10 * 10 + 10 > last ? 0 : n / 10 * 10 + 10);
		ck_assert_uint_eq(found(SASIndexNodeSearchLE, n), below > last ? last : below);
		ck_assert_uint_eq(found(SASIndexNodeSearchLT, n), n == 0 ? 0 : (n - 1) / 10 * 10 > last ? last : (n - 1) / 10 * 10);
	}
}
END_TEST

/* --- locks */

static int done;

static void *put_plainly(void *arg)
{
	SASIndexKey_t k = number(5);

	must(SASIndexPut(idx, &k, value_of(5)) == 1);
	__atomic_store_n(&done, 1, __ATOMIC_SEQ_CST);
	return arg;
}

START_TEST(a_holder_of_write_keeps_plain_calls_out)
{
	SASIndexKey_t k = number(5), own = number(6);
	pthread_t thread;

	SASLock(idx, SasUserLock__WRITE);
	ck_assert_int_eq(pthread_create(&thread, NULL, put_plainly, NULL), 0);
	help_spin(20000000);
	ck_assert_int_eq(__atomic_load_n(&done, __ATOMIC_SEQ_CST), 0);
	gives(SASIndexGet(idx, &k), NULL, ENOENT);
	gives_value(SASIndexPut(idx, &own, value_of(6)), 1);
	gives_value(SASIndexGet_nolock(idx, &own), value_of(6));
	SASUnlock(idx);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	gives_value(SASIndexGet(idx, &k), value_of(5));
}
END_TEST

/* --- all of it against a model */

#define MODEL 512U

START_TEST(random_calls_agree_with_model)
{
	uint64_t state = help_seed("model") + (uint64_t)_i, count = 0;
	uint64_t there[MODEL] = { 0 };
	SASIndexKey_t keys[MODEL];
	long steps = help_size(3000, 30000, 1000000);

	/* Keys of one face of the die per run: numbers, or bytes of all lengths. */
	for (unsigned i = 0; i < MODEL; i++) {
		keys[i] = _i % 2 ? number(i * 1000003) : random_key(&state);
		for (unsigned j = 0; j < i; j++) {
			if (SASIndexKeyCompare(&keys[i], &keys[j]) == 0) {
				keys[i] = number(0x8000000000000000 + i);
				break;
			}
		}
	}
	for (long step = 0; step < steps; step++) {
		unsigned i = (unsigned)help_below(&state, MODEL);
		uint64_t value = 1 + help_below(&state, 1000000);

		switch (help_below(&state, 4)) {
		case 0:
			ck_assert_int_eq(SASIndexPut(idx, &keys[i], value_of(value)), !there[i]);
			count += !there[i];
			there[i] = there[i] ? there[i] : value;
			break;
		case 1:
			ck_assert_ptr_eq(SASIndexRemove(idx, &keys[i]), value_of(there[i]));
			count -= !!there[i];
			there[i] = 0;
			break;
		case 2:
			ck_assert_ptr_eq(SASIndexReplace(idx, &keys[i], value_of(value)), value_of(there[i]));
			there[i] = there[i] ? value : 0;
			break;
		default:
			ck_assert_ptr_eq(SASIndexGet(idx, &keys[i]), value_of(there[i]));
			break;
		}
	}
	ck_assert_int_eq(SASIndexGetCurCount(idx), (long)count);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("index");
	TCase *c = help_case(suite, "index");

	tcase_add_checked_fixture(c, set_up, tear_down);
	tcase_add_test(c, create_refuses_sizes);
	tcase_add_test(c, calls_refuse_what_is_no_index);
	tcase_add_test(c, calls_refuse_keys_whose_sizes_cannot_be);
	tcase_add_test(c, info_refuses_bad_arguments);
	tcase_add_test(c, put_get_replace_remove_give_what_they_say);
	tcase_add_test(c, null_is_a_value);
	tcase_add_test(c, mod_count_starts_at_1_and_counts_changes);
	tcase_add_test(c, min_and_max_are_copies_that_last);
	tcase_add_test(c, kept_keys_are_the_threads_own);
	tcase_add_test(c, keys_of_all_sizes_come_back);
	tcase_add_test(c, what_lies_behind_the_key_does_not_count);
	tcase_add_test(c, zeros_in_keys_count);
	tcase_add_test(c, order_is_that_of_words_and_shorter_ones_first);
	tcase_add_test(c, numbers_keep_their_order);
	tcase_add_test(c, doubles_keep_their_order);
	tcase_add_test(c, fixed_index_fills_and_keeps_what_it_has);
	tcase_add_test(c, space_and_blocks_come_back);
	tcase_add_test(c, destroyed_index_is_none);
	tcase_add_test(c, index_in_memory_of_the_program_works);
	tcase_add_test(c, load_makes_an_index_of_all_or_nothing);
	tcase_add_test(c, load_of_nothing_is_an_empty_index);
	tcase_add_test(c, info_tells_what_the_index_is_made_of);
	tcase_add_test(c, views_show_all_of_the_index);
	tcase_add_test(c, views_refuse_bad_arguments);
	tcase_add_test(c, searches_below_the_root_find_neighbours);
	tcase_add_test(c, a_holder_of_write_keeps_plain_calls_out);
	tcase_add_loop_test(c, random_calls_agree_with_model, 0, 4);
	return help_main(suite);
}
