/* SPDX-License-Identifier: MIT */
/*
 * test_tree_space.c - trees (sph/tree/tree.h) that have no page left: at each page that a change needs, and that the region cannot give. What
 * fails has changed nothing, and to remove is always possible.
 */
#include <config.h>

#include <stdlib.h>
#include "tree_model.h"

#define BLOCK (128 * KIB)
#define PAGE 512UL
#define MOST 256U               /* pages of such a block */

/* Pages that the test keeps from the tree: all but `free` of those that are free. */
static struct {
	void *page[MOST];
	unsigned count;
} kept;

static void leave_free(struct tree_model *m, unsigned free)
{
	int error = 0;

	while (kept.count)
		sph_pages_give(m->tree, kept.page[--kept.count]);
	for (void *page; (page = sph_pages_take(&m->use, m->tree, NULL, &error)) != NULL;)
		kept.page[kept.count++] = page;
	ck_assert_int_eq(error, -ENOSPC);
	for (; free && kept.count; free--)
		sph_pages_give(m->tree, kept.page[--kept.count]);
}

static void free_all(struct tree_model *m)
{
	while (kept.count)
		sph_pages_give(m->tree, kept.page[--kept.count]);
}

static struct tree_model *make(enum tree_keys kind, size_t block, unsigned count)
{
	return tree_model_make(kind, PAGE, block, 0, 1, count, help_seed("tree_space"));
}

/* With no page free, with one, with two, until it succeeds. How many it took. */
static unsigned insert_by_pages(struct tree_model *m, struct tree_key *k)
{
	uint64_t changes = sph_tree_changes(m->tree), value = ++m->next_value;

	for (unsigned pages = 0;; pages++) {
		int error;

		leave_free(m, pages);
		error = sph_tree_insert(&m->use, m->tree, k->key, value);
		free_all(m);
		if (!error) {
			k->there = 1;
			k->value = value;
			m->there++;
			return pages;
		}
		ck_assert_int_eq(error, -ENOSPC);
		ck_assert_uint_eq(sph_tree_changes(m->tree), changes);
		tree_model_compare(m);
	}
}

START_TEST(insert_without_a_page_changes_nothing)
{
	const unsigned all = (unsigned)help_size(60, 300, 600);
	unsigned taken[8] = { 0 }, inserted = 0, failed = 0;
	struct tree_model *m = make(_i, BLOCK, 4 * all);

	while (inserted < all && inserted < m->count) {
		struct tree_key *k = &m->keys[help_below(&m->random, m->count)];
		unsigned pages;

		if (k->there)
			continue;
		pages = insert_by_pages(m, k);
		taken[pages < 8 ? pages : 7]++;
		failed += pages;
		inserted++;
	}
	/* In place; the first leaf, or one packed anew; two leaves and the node above. */
	ck_assert_uint_gt(taken[0], 0);
	ck_assert_uint_gt(taken[1], 0);
	ck_assert_uint_gt(taken[3], 0);
	ck_assert_uint_gt(failed, 0);
	tree_model_compare(m);
	tree_model_empty(m, TREE_ANY);
	tree_model_free(m);
}
END_TEST

START_TEST(remove_needs_no_page)
{
	struct tree_model *m = make(_i, BLOCK, 600);

	while (m->there < m->count / 2)
		tree_model_step(m, 70);
	for (unsigned i = 0; i < m->count; i++) {
		leave_free(m, (unsigned)help_below(&m->random, 4));
		tree_model_remove(m, &m->keys[i * 7919UL % m->count]);
		free_all(m);
		if (i % 50 == 0)
			tree_model_compare(m);
	}
	for (unsigned i = 0; i < m->count; i++)
		tree_model_remove(m, &m->keys[i]);
	ck_assert_uint_eq(m->there, 0);
	tree_model_compare(m);
	tree_model_free(m);
}
END_TEST

struct loading {
	struct tree_model *m;
	unsigned at;
};

static int next_key(struct sph_key *key, uint64_t *value, void *arg)
{
	struct loading *l = arg;

	if (l->at == l->m->count)
		return 0;
	*key = l->m->keys[l->at].key;
	*value = l->m->keys[l->at++].value;
	return 1;
}

START_TEST(load_without_a_page_changes_nothing)
{
	struct tree_model *m = make(_i, BLOCK, 200);

	for (unsigned pages = 0;; pages++) {
		struct loading l = { m, 0 };
		int error;

		leave_free(m, pages);
		error = sph_tree_load(&m->use, m->tree, next_key, &l);
		free_all(m);
		if (!error)
			break;
		ck_assert_int_eq(error, -ENOSPC);
		ck_assert_uint_eq(sph_pages_free_bytes(&m->use, m->tree), m->free_bytes);
		tree_model_compare(m);
	}
	for (unsigned i = 0; i < m->count; i++)
		m->keys[i].there = 1;
	m->there = m->count;
	tree_model_compare(m);
	tree_model_free(m);
}
END_TEST

/* All keys that go in, in any order. How many did not. */
static unsigned fill(struct tree_model *m, int refusal)
{
	unsigned refused = 0;

	for (unsigned i = 0; i < m->count; i++) {
		struct tree_key *k = &m->keys[i * 7919UL % m->count];
		int error;

		if (k->there)
			continue;
		error = sph_tree_insert(&m->use, m->tree, k->key, i);
		if (error) {
			ck_assert_int_eq(error, refusal);
			refused++;
			continue;
		}
		k->there = 1;
		k->value = i;
		m->there++;
	}
	return refused;
}

START_TEST(full_trees_are_whole)
{
	struct tree_model *m = make(_i, BLOCK / 4, 3000);
	unsigned there;

	ck_assert_uint_gt(fill(m, -ENOSPC), 0);
	tree_model_compare(m);
	/* Half of them go, and as many others come. */
	there = m->there;
	for (unsigned i = 0; i < m->count; i += 2)
		tree_model_remove(m, &m->keys[i]);
	tree_model_compare(m);
	fill(m, -ENOSPC);
	ck_assert_uint_gt(m->there, there * 3 / 4);
	tree_model_compare(m);
	tree_model_empty(m, TREE_ANY);
	tree_model_free(m);
}
END_TEST

/* All of the region but what the tree has. */
static unsigned take_all(void *blocks[], unsigned most)
{
	unsigned count = 0;

	for (size_t size = MIB; size >= 4096; size /= 2)
		while (count < most && (blocks[count] = SASRegionBlockAlloc(region, size)) != NULL)
			((size_t *)blocks[count++])[0] = size;
	return count;
}

START_TEST(full_regions_refuse)
{
	struct tree_model *m = tree_model_make(TREE_NUMBERS, PAGE, 64 * KIB, 1, 1, 24000, 1);
	static void *blocks[4096];
	unsigned count;

	for (unsigned i = 0; i < 10000; i++)
		tree_model_insert(m, &m->keys[i * 2UL]);
	ck_assert_uint_gt(sph_pages(m->tree)->expansions, 1);
	tree_model_end(m);
	count = take_all(blocks, 4096);
	ck_assert_uint_lt(count, 4096);
	tree_model_begin(m);
	/* Of addresses, of which the region has no more. */
	ck_assert_uint_gt(fill(m, -ENOMEM), 0);
	ck_assert_uint_lt(sph_pages_free_bytes(&m->use, m->tree), 8 * PAGE);
	tree_model_compare(m);
	for (unsigned i = 0; i < m->count; i += 3)
		tree_model_remove(m, &m->keys[i]);
	tree_model_compare(m);
	tree_model_end(m);
	while (count--)
		give(blocks[count], *(size_t *)blocks[count]);
	tree_model_begin(m);
	ck_assert_uint_eq(fill(m, 0), 0);
	tree_model_compare(m);
	tree_model_empty(m, TREE_UP);
	tree_model_free(m);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("trees without space");
	TCase *c = help_case(suite, "space");

	tcase_add_checked_fixture(c, region_begin, region_end);
	tcase_add_loop_test(c, insert_without_a_page_changes_nothing, 0, TREE_KINDS);
	tcase_add_loop_test(c, remove_needs_no_page, 0, TREE_KINDS);
	tcase_add_loop_test(c, load_without_a_page_changes_nothing, 0, TREE_KINDS);
	tcase_add_loop_test(c, full_trees_are_whole, 0, TREE_KINDS);
	tcase_add_test(c, full_regions_refuse);
	return help_main(suite);
}
