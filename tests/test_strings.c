/* SPDX-License-Identifier: MIT */
/*
 * test_strings.c - the calls of sasstringbtree.h and sasstringbtreenode.h: arguments, keys and their order, what is given back, views, a
 * model. Where both faces do the same in the same place, test_index.c looks closer.
 */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sassim.h>
#include "tree_help.h"

#define LONGEST 1024U

static SASStringBTree_t tree;

static void set_up(void)
{
	tree_begin();
	tree = SASStringBTreeCreate(64 * KIB);
	ck_assert_msg(tree != NULL, "%s", SASLastErrorMessage());
}

static void tear_down(void)
{
	if (tree)
		strings_clean(tree);
	tree_end();
}

/* A string of so many characters; valid until the next one. */
static char *long_key(size_t size)
{
	static char key[70000];

	memset(key, 'k', size);
	key[size] = 0;
	return key;
}

/* --- bad arguments */

static void refuse_handle(SASStringBTree_t handle)
{
	SASTreeInfo info = { .structSize = sizeof info };

	gives(SASStringBTreePut(handle, "k", NULL), 0, EINVAL);
	gives(SASStringBTreePut_nolock(handle, "k", NULL), 0, EINVAL);
	gives(SASStringBTreeReplace(handle, "k", NULL), NULL, EINVAL);
	gives(SASStringBTreeReplace_nolock(handle, "k", NULL), NULL, EINVAL);
	gives(SASStringBTreeRemove(handle, "k"), NULL, EINVAL);
	gives(SASStringBTreeRemove_nolock(handle, "k"), NULL, EINVAL);
	gives(SASStringBTreeGet(handle, "k"), NULL, EINVAL);
	gives(SASStringBTreeGet_nolock(handle, "k"), NULL, EINVAL);
	gives(SASStringBTreeContainsKey(handle, "k"), 0, EINVAL);
	gives(SASStringBTreeContainsKey_nolock(handle, "k"), 0, EINVAL);
	gives(SASStringBTreeGetMaxKey(handle), NULL, EINVAL);
	gives(SASStringBTreeGetMaxKey_nolock(handle), NULL, EINVAL);
	gives(SASStringBTreeGetMinKey(handle), NULL, EINVAL);
	gives(SASStringBTreeGetMinKey_nolock(handle), NULL, EINVAL);
	gives(SASStringBTreeIsEmpty(handle), -1, EINVAL);
	gives(SASStringBTreeIsEmpty_nolock(handle), -1, EINVAL);
	gives(SASStringBTreeGetCurCount(handle), -1, EINVAL);
	gives(SASStringBTreeGetModCount(handle), 0, EINVAL);
	gives(SASStringBTreeGetModCount_nolock(handle), 0, EINVAL);
	gives(SASStringBTreeGetRootNode(handle), NULL, EINVAL);
	gives(SASStringBTreeGetRootNodeNoLock(handle), NULL, EINVAL);
	gives(SASStringBTreeAllocSize(handle), 0, EINVAL);
	gives(SASStringBTreeFreeSpace(handle), 0, EINVAL);
	gives(SASStringBTreeFreeSpaceNoLock(handle), 0, EINVAL);
	gives(SASStringBTreeExpandCreate(handle), NULL, EINVAL);
	gives(SASStringBTreeGetInfo(handle, &info), -1, EINVAL);
	gives(SASStringBTreeCheck(handle, NULL, NULL), -1, EINVAL);
	errno = 0;
	SASStringBTreeDestroy(handle);
	ck_assert_int_eq(errno, EINVAL);
	errno = 0;
	SASStringBTreeDestroyNoLock(handle);
	ck_assert_int_eq(errno, EINVAL);
}

START_TEST(calls_refuse_what_is_no_string_tree)
{
	SASIndex_t idx = SASIndexCreate(64 * KIB);

	ck_assert_ptr_nonnull(idx);
	refuse_handle(NULL);
	refuse_handle(idx);
	ck_assert_int_eq(SASIndexIsEmpty(idx), 1);
}
END_TEST

START_TEST(create_refuses_sizes)
{
	gives(SASStringBTreeCreate(0), NULL, EINVAL);
	gives(SASStringBTreeFixedCreate(5000), NULL, EINVAL);
	gives(SASStringBTreeCreatePageSize(64 * KIB, 100), NULL, EINVAL);
	gives(SASStringBTreeInit(NULL, 64 * KIB, 4096, 1), NULL, EINVAL);
}
END_TEST

START_TEST(calls_refuse_null_as_key)
{
	SBTnodePosRef ref;

	ck_assert_int_eq(SASStringBTreePut(tree, "k", NULL), 1);
	gives(SASStringBTreePut(tree, NULL, NULL), 0, EINVAL);
	gives(SASStringBTreeReplace(tree, NULL, NULL), NULL, EINVAL);
	gives(SASStringBTreeRemove(tree, NULL), NULL, EINVAL);
	gives(SASStringBTreeGet(tree, NULL), NULL, EINVAL);
	gives(SASStringBTreeContainsKey(tree, NULL), 0, EINVAL);
	gives(SASStringBTreeNodeSearch(SASStringBTreeGetRootNode(tree), NULL, &ref), 0, EINVAL);
}
END_TEST

START_TEST(calls_on_single_nodes_are_refused)
{
	ck_assert_int_eq(SASStringBTreePut(tree, "k", NULL), 1);
	gives(SASStringBTreeAlloc(tree), NULL, ENOTSUP);
	gives(SASStringBTreeAllocNoLock(tree), NULL, ENOTSUP);
	gives(SASStringBTreeNearAlloc(tree), NULL, ENOTSUP);
	gives(SASStringBTreeNearAllocNoLock(tree), NULL, ENOTSUP);
	errno = 0;
	SASStringBTreeFree(tree, SASStringBTreeGetRootNode(tree));
	ck_assert_int_eq(errno, ENOTSUP);
	SASStringBTreeFreeNoLock(tree, SASStringBTreeGetRootNode(tree));
	SASStringBTreeNearDealloc(SASStringBTreeGetRootNode(tree));
	SASStringBTreeNearDeallocNoLock(SASStringBTreeGetRootNode(tree));
	ck_assert_int_eq(SASStringBTreeContainsKey(tree, "k"), 1);
}
END_TEST

/* --- what the calls do */

START_TEST(put_get_replace_remove_give_what_they_say)
{
	gives(SASStringBTreeGet(tree, "one"), NULL, ENOENT);
	gives(SASStringBTreeReplace(tree, "one", value_of(9)), NULL, ENOENT);
	gives(SASStringBTreeRemove(tree, "one"), NULL, ENOENT);
	gives_value(SASStringBTreePut(tree, "one", value_of(10)), 1);
	gives(SASStringBTreePut(tree, "one", value_of(11)), 0, EEXIST);
	gives(SASStringBTreePut_nolock(tree, "one", value_of(11)), 0, EEXIST);
	gives_value(SASStringBTreeGet(tree, "one"), value_of(10));
	gives_value(SASStringBTreeGet_nolock(tree, "one"), value_of(10));
	gives_value(SASStringBTreeContainsKey(tree, "one"), 1);
	gives_value(SASStringBTreeContainsKey_nolock(tree, "on"), 0);
	gives_value(SASStringBTreeReplace(tree, "one", value_of(12)), value_of(10));
	gives_value(SASStringBTreeReplace_nolock(tree, "one", NULL), value_of(12));
	gives_value(SASStringBTreeGet(tree, "one"), NULL);
	ck_assert_int_eq(SASStringBTreeGetCurCount(tree), 1);
	ck_assert_int_eq(SASStringBTreeGetModCount(tree), 4);
	ck_assert_int_eq(SASStringBTreeGetModCount_nolock(tree), 4);
	gives_value(SASStringBTreeRemove_nolock(tree, "one"), NULL);
	gives_value(SASStringBTreeIsEmpty(tree), 1);
	gives_value(SASStringBTreeIsEmpty_nolock(tree), 1);
	gives(SASStringBTreeGetMaxKey(tree), NULL, ENOENT);
	gives(SASStringBTreeGetMinKey_nolock(tree), NULL, ENOENT);
}
END_TEST

START_TEST(empty_string_is_a_key)
{
	gives_value(SASStringBTreePut(tree, "a", value_of(2)), 1);
	gives_value(SASStringBTreePut(tree, "", value_of(1)), 1);
	gives_value(SASStringBTreeGet(tree, ""), value_of(1));
	ck_assert_str_eq(SASStringBTreeGetMinKey(tree), "");
	ck_assert_str_eq(SASStringBTreeGetMaxKey(tree), "a");
	gives_value(SASStringBTreeRemove(tree, ""), value_of(1));
	ck_assert_str_eq(SASStringBTreeGetMinKey(tree), "a");
}
END_TEST

START_TEST(longest_key_fits_and_a_longer_one_is_refused)
{
	for (size_t size = 1; size <= LONGEST; size = size * 2 < LONGEST ? size * 2 : size + 1 > LONGEST ? size + 1 : LONGEST) {
		gives_value(SASStringBTreePut(tree, long_key(size), value_of(size)), 1);
		gives_value(SASStringBTreeGet(tree, long_key(size)), value_of(size));
		ck_assert_uint_eq(strlen(SASStringBTreeGetMaxKey(tree)), size);
	}
	for (size_t size = LONGEST + 1; size < 70000; size *= 2) {
		gives(SASStringBTreePut(tree, long_key(size), NULL), 0, ENAMETOOLONG);
		gives(SASStringBTreeGet(tree, long_key(size)), NULL, ENOENT);
		gives(SASStringBTreeReplace(tree, long_key(size), NULL), NULL, ENOENT);
		gives(SASStringBTreeRemove(tree, long_key(size)), NULL, ENOENT);
		gives_value(SASStringBTreeContainsKey(tree, long_key(size)), 0);
	}
	ck_assert_uint_eq(strlen(SASStringBTreeGetMaxKey(tree)), LONGEST);
}
END_TEST

START_TEST(node_size_sets_the_longest_key)
{
	SASStringBTree_t large = SASStringBTreeCreatePageSize(1 * MIB, 64 * KIB);

	gives_value(SASStringBTreePut(large, long_key(16384), value_of(1)), 1);
	gives(SASStringBTreePut(large, long_key(16385), value_of(1)), 0, ENAMETOOLONG);
	ck_assert_uint_eq(strlen(SASStringBTreeGetMinKey(large)), 16384);
	ck_assert_uint_eq(SASStringBTreeAllocSize(large), 64 * KIB);
	strings_clean(large);
	SASStringBTreeDestroyNoLock(large);
}
END_TEST

START_TEST(bytes_are_unsigned)
{
	static const char *const sorted[] = { "", "\x01", " ", "A", "Z", "a", "a\x01", "a b", "aa", "ab", "b", "\x7f", "\x80",
					      "\xff", "\xff\xff" };
	unsigned count = sizeof sorted / sizeof *sorted;

	for (unsigned i = 0; i < count; i++)
		ck_assert_int_eq(SASStringBTreePut(tree, sorted[(i * 7) % count], value_of((i * 7) % count + 1)), 1);
	for (unsigned i = 0; i < count; i++) {
		ck_assert_str_eq(SASStringBTreeGetMinKey(tree), sorted[i]);
		gives_value(SASStringBTreeRemove(tree, sorted[i]), value_of(i + 1));
	}
}
END_TEST

START_TEST(kept_keys_last_through_longer_ones)
{
	char *first, *kept[7];

	ck_assert_int_eq(SASStringBTreePut(tree, "k", NULL), 1);
	first = SASStringBTreeGetMaxKey(tree);
	for (unsigned i = 0; i < 7; i++) {
		ck_assert_int_eq(SASStringBTreePut(tree, long_key(100 * (i + 1)), NULL), 1);
		kept[i] = SASStringBTreeGetMaxKey(tree);
	}
	ck_assert_str_eq(first, "k");
	for (unsigned i = 0; i < 7; i++)
		ck_assert_str_eq(kept[i], long_key(100 * (i + 1)));
}
END_TEST

START_TEST(free_space_and_blocks_come_back)
{
	uint64_t before = help_info(region).blocksInUse;
	SASStringBTree_t other = SASStringBTreeFixedCreate(64 * KIB);
	size_t space = SASStringBTreeFreeSpace(other);
	char key[40];

	ck_assert_uint_eq(space % 4096, 0);
	ck_assert_uint_ge(space, 56 * KIB);
	ck_assert_uint_eq(SASStringBTreeFreeSpaceNoLock(other), space);
	for (unsigned i = 0; i < 100000; i++) {
		snprintf(key, sizeof key, "key number %u", i * 2654435761U);
		errno = 0;
		if (!SASStringBTreePut(other, key, value_of(i))) {
			ck_assert_int_eq(errno, ENOSPC);
			ck_assert_uint_ge(i, 500);
			break;
		}
	}
	ck_assert_int_eq(errno, ENOSPC);
	ck_assert_uint_lt(SASStringBTreeFreeSpace(other), space);
	strings_clean(other);
	gives(SASStringBTreeExpandCreate(other), NULL, EINVAL);
	SASStringBTreeDestroy(other);
	ck_assert_uint_eq(help_info(region).blocksInUse, before);
	refuse_handle(other);
}
END_TEST

/* --- loading, views */

struct words { unsigned next, end; char key[2000]; size_t pad; };

static int next_word(const char **key, void **value, void *arg)
{
	struct words *w = arg;

	if (w->next == w->end)
		return 0;
	memset(w->key, 'x', sizeof w->key);
	snprintf(w->key + w->pad, 20, "%08u", w->next);
	*key = w->key;
	*value = value_of(w->next++);
	return 1;
}

START_TEST(load_makes_a_tree_of_all_or_nothing)
{
	struct words good = { .end = 4000, .pad = 50 }, too_long = { .end = 1, .pad = LONGEST - 7 };
	SASTreeInfo info = { .structSize = sizeof info };

	gives(SASStringBTreeLoad(tree, NULL, NULL), -1, EINVAL);
	gives(SASStringBTreeLoad(tree, next_word, &too_long), -1, ENAMETOOLONG);
	gives_value(SASStringBTreeLoad(tree, next_word, &good), 4000);
	ck_assert_int_eq(SASStringBTreeGetCurCount(tree), 4000);
	ck_assert_uint_eq(strlen(SASStringBTreeGetMinKey(tree)), 58);
	ck_assert_str_eq(SASStringBTreeGetMinKey(tree) + 50, "00000000");
	ck_assert_str_eq(SASStringBTreeGetMaxKey(tree) + 50, "00003999");
	gives(SASStringBTreeLoad(tree, next_word, &good), -1, ENOTEMPTY);
	ck_assert_int_eq(SASStringBTreeGetInfo(tree, &info), 0);
	ck_assert_uint_eq(info.keys, 4000);
	ck_assert_uint_eq(info.keyBytes, 4000 * 58);
}
END_TEST

static long walk(SASStringBTreeNode_t node, char *last)
{
	int count = SASStringBTreeNodeGetCount(node);
	SASStringBTreeNode_t branch;
	long found = 0;
	char *key;

	ck_assert_int_ge(count, 0);
	for (short i = 0; i <= count; i++) {
		key = SASStringBTreeNodeGetKeyIndexed(node, i);
		branch = SASStringBTreeNodeGetBranchIndexed(node, i);
		ck_assert_int_eq(key == NULL, i == 0);
		if (branch) {
			found += walk(branch, last);
		} else if (key) {
			ck_assert_int_gt(strcmp(key, last), 0);
			strcpy(last, key);
			ck_assert_ptr_eq(SASStringBTreeNodeGetValIndexed(node, i), SASStringBTreeGet(tree, key));
			found++;
		}
	}
	return found;
}

START_TEST(views_show_all_of_the_tree)
{
	char last[LONGEST + 1] = "", key[40];
	SBTnodePosRef ref;

	gives_value(SASStringBTreeGetRootNode(tree), NULL);
	for (unsigned i = 0; i < 4000; i++) {
		snprintf(key, sizeof key, "word-%06u", i * 2);
		ck_assert_int_eq(SASStringBTreePut(tree, key, value_of(i + 1)), 1);
	}
	ck_assert_ptr_eq(SASStringBTreeGetRootNode(tree), SASStringBTreeGetRootNodeNoLock(tree));
	ck_assert_int_eq(walk(SASStringBTreeGetRootNode(tree), last), 4000);
	ck_assert_str_eq(last, "word-007998");
	gives(SASStringBTreeNodeGetCount(tree), -1, EINVAL);
	for (unsigned i = 1; i < 4000; i += 37) {
		SASStringBTreeNode_t root = SASStringBTreeGetRootNode(tree);
		char at[40], below[40], above[40];

		snprintf(at, sizeof at, "word-%06u", i * 2 - 1);
		snprintf(below, sizeof below, "word-%06u", i * 2 - 2);
		snprintf(above, sizeof above, "word-%06u", i * 2);
		gives_value(SASStringBTreeNodeSearch(root, at, &ref), 0);
		ck_assert_int_eq(SASStringBTreeNodeSearch(root, above, &ref), 1);
		ck_assert_str_eq(SASStringBTreeNodeGetKeyIndexed(ref.node, ref.pos), above);
		ck_assert_int_eq(SASStringBTreeNodeSearchGT(root, at, &ref), 1);
		ck_assert_str_eq(SASStringBTreeNodeGetKeyIndexed(ref.node, ref.pos), above);
		ck_assert_int_eq(SASStringBTreeNodeSearchGE(root, above, &ref), 1);
		ck_assert_str_eq(SASStringBTreeNodeGetKeyIndexed(ref.node, ref.pos), above);
		ck_assert_int_eq(SASStringBTreeNodeSearchLT(root, above, &ref), 1);
		ck_assert_str_eq(SASStringBTreeNodeGetKeyIndexed(ref.node, ref.pos), below);
		ck_assert_int_eq(SASStringBTreeNodeSearchLE(root, at, &ref), 1);
		ck_assert_str_eq(SASStringBTreeNodeGetKeyIndexed(ref.node, ref.pos), below);
	}
}
END_TEST

/* --- all of it against a model */

#define MODEL 512U

START_TEST(random_calls_agree_with_model)
{
	uint64_t state = help_seed("model") + (uint64_t)_i, count = 0, there[MODEL] = { 0 };
	static char keys[MODEL][LONGEST + 1];
	long steps = help_size(3000, 30000, 1000000);

	for (unsigned i = 0; i < MODEL; i++) {
		size_t pad = _i % 2 ? help_below(&state, LONGEST - 20) : help_below(&state, 12);

		memset(keys[i], 'a' + (int)help_below(&state, 2), pad);
		snprintf(keys[i] + pad, 20, "%u", i);
	}
	for (long step = 0; step < steps; step++) {
		unsigned i = (unsigned)help_below(&state, MODEL);
		uint64_t value = 1 + help_below(&state, 1000000);

		switch (help_below(&state, 4)) {
		case 0:
			ck_assert_int_eq(SASStringBTreePut(tree, keys[i], value_of(value)), !there[i]);
			count += !there[i];
			there[i] = there[i] ? there[i] : value;
			break;
		case 1:
			ck_assert_ptr_eq(SASStringBTreeRemove(tree, keys[i]), value_of(there[i]));
			count -= !!there[i];
			there[i] = 0;
			break;
		case 2:
			ck_assert_ptr_eq(SASStringBTreeReplace(tree, keys[i], value_of(value)), value_of(there[i]));
			there[i] = there[i] ? value : 0;
			break;
		default:
			ck_assert_ptr_eq(SASStringBTreeGet(tree, keys[i]), value_of(there[i]));
			break;
		}
	}
	ck_assert_int_eq(SASStringBTreeGetCurCount(tree), (long)count);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("strings");
	TCase *c = help_case(suite, "strings");

	tcase_add_checked_fixture(c, set_up, tear_down);
	tcase_add_test(c, calls_refuse_what_is_no_string_tree);
	tcase_add_test(c, create_refuses_sizes);
	tcase_add_test(c, calls_refuse_null_as_key);
	tcase_add_test(c, calls_on_single_nodes_are_refused);
	tcase_add_test(c, put_get_replace_remove_give_what_they_say);
	tcase_add_test(c, empty_string_is_a_key);
	tcase_add_test(c, longest_key_fits_and_a_longer_one_is_refused);
	tcase_add_test(c, node_size_sets_the_longest_key);
	tcase_add_test(c, bytes_are_unsigned);
	tcase_add_test(c, kept_keys_last_through_longer_ones);
	tcase_add_test(c, free_space_and_blocks_come_back);
	tcase_add_test(c, load_makes_a_tree_of_all_or_nothing);
	tcase_add_test(c, views_show_all_of_the_tree);
	tcase_add_loop_test(c, random_calls_agree_with_model, 0, 4);
	return help_main(suite);
}
