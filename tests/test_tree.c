/* SPDX-License-Identifier: MIT */
/*
 * test_tree.c - trees (sph/tree/tree.h) by one thread: each call, each kind of keys, each size of pages, in a region and in memory of the
 * program's own.
 */
#include <config.h>

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tree_model.h"

#define PAGES 8                 /* sizes: 512 .. 64 KiB */
#define KEY(text) ((struct sph_key){ (const unsigned char *)(text), sizeof(text) - 1 })

static struct tree_model *small(size_t page)
{
	return tree_model_make(TREE_NUMBERS, page, 256 * KIB, 0, 1, 1000, 1);
}

/* --- each call */

START_TEST(format_refuses_bad_shapes)
{
	static const struct { size_t size, page; } wrong[] = {
		{ 64 * KIB, 0 }, { 64 * KIB, 256 }, { 64 * KIB, 768 }, { 64 * KIB, 128 * KIB }, { 4096, 512 }, { 96 * KIB, 512 }, { 0, 512 },
	};
	unsigned char *block = take(256 * KIB);

	for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++)
		ck_assert_int_eq(sph_tree_format(block, wrong[i].size, wrong[i].page, 0, SAS_RUNTIME_INDEX, SAS_RUNTIME_INDEXNODE, 1), -EINVAL);
	ck_assert(all_zero(block, 256 * KIB));
	give(block, 256 * KIB);
}
END_TEST

START_TEST(format_gives_an_empty_tree)
{
	struct tree_model *m = small(4096);
	struct sph_tree_info info;
	uint64_t value = 7;
	char copy[4096];

	ck_assert_uint_eq(m->tree->blockType, SAS_RUNTIME_INDEX);
	ck_assert_uint_eq(sph_tree_longest(m->tree), 1024);
	ck_assert_ptr_null(sph_tree_root(m->tree));
	ck_assert_uint_eq(sph_tree_changes(m->tree), 0);
	ck_assert_int_eq(sph_tree_get(&m->look, m->tree, KEY("a"), &value), -ENOENT);
	ck_assert_int_eq(sph_tree_remove(&m->use, m->tree, KEY("a"), &value), -ENOENT);
	ck_assert_int_eq(sph_tree_replace(&m->use, m->tree, KEY("a"), 1, &value), -ENOENT);
	ck_assert_int_eq(sph_tree_copy_node(&m->look, m->tree, NULL, copy), -ENOENT);
	ck_assert_uint_eq(value, 7);
	ck_assert_int_eq(sph_tree_info(&m->look, m->tree, &info), 0);
	ck_assert_uint_eq(info.depth + info.leaves + info.inner + info.keys + info.used_bytes, 0);
	tree_model_compare(m);
	tree_model_free(m);
}
END_TEST

START_TEST(insert_keeps_what_is_there)
{
	struct tree_model *m = small(512);
	uint64_t value;

	ck_assert_int_eq(sph_tree_insert(&m->use, m->tree, KEY("one"), 1), 0);
	ck_assert_int_eq(sph_tree_insert(&m->use, m->tree, KEY("one"), 2), -EEXIST);
	ck_assert_int_eq(sph_tree_get(&m->look, m->tree, KEY("one"), &value), 0);
	ck_assert_uint_eq(value, 1);
	ck_assert_int_eq(sph_tree_replace(&m->use, m->tree, KEY("one"), UINT64_MAX, &value), 0);
	ck_assert_uint_eq(value, 1);
	ck_assert_int_eq(sph_tree_replace(&m->use, m->tree, KEY("on"), 3, &value), -ENOENT);
	ck_assert_int_eq(sph_tree_get(&m->look, m->tree, KEY("one"), &value), 0);
	ck_assert_uint_eq(value, UINT64_MAX);
	ck_assert_uint_eq(sph_tree_changes(m->tree), 2);
	tree_model_free(m);
}
END_TEST

/* All that differ in nothing but zeros, or in length. */
START_TEST(keys_are_bytes)
{
	static const struct sph_key keys[] = {
		KEY(""), KEY("\0"), KEY("\0\0"), KEY("\0\0\0\0\0\0\0\0"), KEY("\0\0\0\0\0\0\0\0\0"), KEY("\0\1"), KEY("\1"), KEY("a"), KEY("a\0"),
		KEY("a\0b"), KEY("ab"), KEY("aba"), KEY("\177"), KEY("\200"), KEY("\377"), KEY("\377\0"), KEY("\377\377\377\377\377\377\377\377"),
	};
	const unsigned count = sizeof keys / sizeof *keys;
	struct tree_model *m = small(512);
	struct sph_cursor *c = sph_cursor_make(m->tree);
	struct sph_key key;
	uint64_t value;

	for (unsigned i = 0; i < count; i++)
		ck_assert_int_eq(sph_tree_insert(&m->use, m->tree, keys[i * 7 % count], i * 7 % count), 0);
	for (unsigned i = 0; i < count; i++) {
		ck_assert_int_eq(sph_tree_get(&m->look, m->tree, keys[i], &value), 0);
		ck_assert_uint_eq(value, i);
		ck_assert_int_eq(sph_cursor_next(&m->look, c, &key, &value), 0);
		ck_assert_uint_eq(value, i);
		ck_assert_uint_eq(key.size, keys[i].size);
		ck_assert_int_eq(memcmp(key.bytes, keys[i].bytes, key.size), 0);
	}
	ck_assert_int_eq(sph_cursor_next(&m->look, c, &key, &value), -ENOENT);
	ck_assert_int_eq(tree_problems(&m->use, m->tree), 0);
	for (unsigned i = 0; i < count; i++) {
		ck_assert_int_eq(sph_tree_remove(&m->use, m->tree, keys[i * 5 % count], &value), 0);
		ck_assert_uint_eq(value, i * 5 % count);
		ck_assert_int_eq(sph_tree_get(&m->look, m->tree, keys[i * 5 % count], &value), -ENOENT);
	}
	ck_assert_ptr_null(sph_tree_root(m->tree));
	sph_cursor_free(c);
	tree_model_free(m);
}
END_TEST

/* Kinds of keys that a leaf has trouble to tell apart: with 8 bytes alike again and again, that end anywhere in zeros, that differ in the
 * highest and in the lowest bits of a number. */
static size_t hard_key(unsigned char *bytes, unsigned kind, unsigned n)
{
	static const struct sph_key pieces[] = {
		KEY("articles"), KEY("article"), KEY("\0\0\0\0\0\0\0"), KEY("\0\0\0\0\0\0\0\0"), KEY("\0\0\0\0\0\0\0\0\0"), KEY("\377"),
	};
	const unsigned different = sizeof pieces / sizeof *pieces;
	uint64_t number = n % 3 << 8 | (uint64_t)(n / 3 % 16) << 60 | n / 48;
	size_t size = 0;

	switch (kind) {
	case 0:
		number = htobe64(number);
		memcpy(bytes, &number, sizeof number);
		return sizeof number;
	case 1:
		memset(bytes, 0, n);
		return n;
	default:
		for (; n; n /= different) {
			memcpy(bytes + size, pieces[n % different].bytes, pieces[n % different].size);
			size += pieces[n % different].size;
		}
		return size;
	}
}

#define HARD 250U               /* all in one leaf of the largest page */

START_TEST(a_leaf_is_put_in_order)
{
	struct tree_model *m = tree_model_make(TREE_ROW, 64 * KIB, MIB, 0, 1, 1, 1);
	struct sph_cursor *c = sph_cursor_make(m->tree);
	unsigned char bytes[HARD + 64], before[HARD + 64];
	size_t size = 0;
	struct sph_key key;
	uint64_t value;
	unsigned inserted = 0, met = 0;

	/* 7 and 250 have no divisor in common. */
	for (unsigned i = 0; i < HARD; i++) {
		key = (struct sph_key){ bytes, hard_key(bytes, (unsigned)_i, i * 7 % HARD) };
		inserted += sph_tree_insert(&m->use, m->tree, key, key.size) == 0;
	}
	ck_assert_uint_gt(inserted, HARD / 2);
	for (; sph_cursor_next(&m->look, c, &key, &value) == 0; met++) {
		int compared = met ? memcmp(before, key.bytes, size < key.size ? size : key.size) : -1;

		ck_assert(compared < 0 || (compared == 0 && size < key.size));
		ck_assert_uint_eq(value, key.size);
		memcpy(before, key.bytes, key.size);
		size = key.size;
	}
	ck_assert_uint_eq(met, inserted);
	ck_assert_int_eq(tree_problems(&m->use, m->tree), 0);
	sph_cursor_free(c);
	tree_model_free(m);
}
END_TEST

static int one_key(struct sph_key *key, uint64_t *value, void *arg)
{
	struct sph_key **next = arg;

	*value = 1;
	*key = *(*next)++;
	return key->bytes != NULL;
}

START_TEST(keys_end_at_the_limit)
{
	size_t page = 512UL << _i, limit = page / 4;
	struct tree_model *m = tree_model_make(TREE_ROW, page, MIB, 0, 1, 1, 1);
	unsigned char *bytes = malloc(limit + 1);
	struct sph_key too_long = { bytes, limit + 1 }, longest = { bytes, limit }, load[] = { longest, too_long, { NULL, 0 } }, *next = load;
	struct sph_cursor *c = sph_cursor_make(m->tree);
	uint64_t value;

	memset(bytes, 'x', limit + 1);
	ck_assert_uint_eq(sph_tree_longest(m->tree), limit);
	ck_assert_int_eq(sph_tree_load(&m->use, m->tree, one_key, &next), -ENAMETOOLONG);
	ck_assert_int_eq(sph_tree_insert(&m->use, m->tree, too_long, 1), -ENAMETOOLONG);
	ck_assert_ptr_null(sph_tree_root(m->tree));
	ck_assert_int_eq(sph_tree_insert(&m->use, m->tree, longest, 2), 0);
	ck_assert_int_eq(sph_tree_get(&m->look, m->tree, too_long, &value), -ENOENT);
	ck_assert_int_eq(sph_tree_remove(&m->use, m->tree, too_long, &value), -ENOENT);
	ck_assert_int_eq(sph_tree_replace(&m->use, m->tree, too_long, 3, &value), -ENOENT);
	ck_assert_int_eq(sph_cursor_set(c, too_long, 0), -ENAMETOOLONG);
	ck_assert_int_eq(sph_tree_get(&m->look, m->tree, longest, &value), 0);
	ck_assert_uint_eq(value, 2);
	sph_cursor_free(c);
	free(bytes);
	tree_model_free(m);
}
END_TEST

START_TEST(load_refuses_disorder)
{
	struct sph_key twice[] = { KEY("a"), KEY("b"), KEY("b"), { NULL, 0 } }, falling[] = { KEY("b"), KEY("a"), { NULL, 0 } };
	struct sph_key two[] = { KEY(""), KEY("a"), { NULL, 0 } }, *next = twice;
	struct tree_model *m = small(512);
	uint64_t value;

	ck_assert_int_eq(sph_tree_load(&m->use, m->tree, one_key, &next), -EEXIST);
	next = falling;
	ck_assert_int_eq(sph_tree_load(&m->use, m->tree, one_key, &next), -EEXIST);
	ck_assert_uint_eq(sph_pages_free_bytes(&m->use, m->tree), m->free_bytes);
	next = two + 2;
	ck_assert_int_eq(sph_tree_load(&m->use, m->tree, one_key, &next), 0);
	ck_assert_ptr_null(sph_tree_root(m->tree));
	next = two;
	ck_assert_int_eq(sph_tree_load(&m->use, m->tree, one_key, &next), 0);
	next = two;
	ck_assert_int_eq(sph_tree_load(&m->use, m->tree, one_key, &next), -ENOTEMPTY);
	ck_assert_int_eq(sph_tree_get(&m->look, m->tree, KEY(""), &value), 0);
	ck_assert_int_eq(tree_problems(&m->use, m->tree), 0);
	tree_model_free(m);
}
END_TEST

static int fails_later(struct sph_key *key, uint64_t *value, void *arg)
{
	struct tree_model *m = arg;

	if (m->next_value == 900)
		return -EIO;
	*key = m->keys[m->next_value++].key;
	*value = 1;
	return 1;
}

START_TEST(load_is_all_or_nothing)
{
	struct tree_model *m = small(512);

	ck_assert_int_eq(sph_tree_load(&m->use, m->tree, fails_later, m), -EIO);
	ck_assert_uint_eq(m->next_value, 900);
	ck_assert_uint_eq(sph_pages_free_bytes(&m->use, m->tree), m->free_bytes);
	tree_model_compare(m);
	tree_model_free(m);
}
END_TEST

/* --- copies of nodes */

/* The keys below a node, in order, are those of the model from *at on. */
static void view(struct tree_model *m, const void *node, unsigned level, unsigned *at)
{
	size_t page = sph_pages(m->tree)->page_size, size;
	char *copy = aligned_alloc(64, page);
	unsigned char *bytes = malloc(page);
	unsigned count;

	ck_assert_int_eq(sph_tree_copy_node(&m->look, m->tree, node, copy), 0);
	count = sph_view_count(copy);
	if (level != ~0U)
		ck_assert_uint_eq(sph_view_level(copy), level);
	for (unsigned i = 0; i < count; i++) {
		ck_assert_int_eq(sph_view_key(copy, i, bytes, &size), 0);
		if (sph_view_level(copy)) {
			view(m, sph_view_child(copy, i), sph_view_level(copy) - 1, at);
			/* What comes now is not below the separator. */
			while (!m->keys[*at].there)
				++*at;
			ck_assert_int_le(memcmp(bytes, m->keys[*at].key.bytes, size < 8 ? size : 8), 0);
			continue;
		}
		while (!m->keys[*at].there)
			++*at;
		ck_assert_uint_eq(size, m->keys[*at].key.size);
		ck_assert_int_eq(memcmp(bytes, m->keys[*at].key.bytes, size), 0);
		ck_assert_uint_eq(sph_view_value(copy, i), m->keys[(*at)++].value);
	}
	if (sph_view_level(copy))
		view(m, sph_view_child(copy, count), sph_view_level(copy) - 1, at);
	ck_assert_int_eq(sph_view_key(copy, count, bytes, &size), -ENOENT);
	ck_assert_ptr_null(sph_view_child(copy, count + 1));
	free(bytes);
	free(copy);
}

START_TEST(views_show_all_keys)
{
	struct tree_model *m = small(512);
	struct sph_tree_info info;
	unsigned at = 0, copy[128];

	for (unsigned i = 0; i < 3000; i++)
		tree_model_step(m, 60);
	view(m, NULL, ~0U, &at);
	while (at < m->count)
		ck_assert(!m->keys[at++].there);
	ck_assert_int_eq(sph_tree_info(&m->look, m->tree, &info), 0);
	ck_assert_uint_ge(info.depth, 3);
	ck_assert_uint_eq(info.used_bytes, (info.leaves + info.inner) * 512);
	ck_assert_uint_eq(info.used_bytes + info.free_pages * 512, m->free_bytes);
	ck_assert_int_eq(sph_tree_copy_node(&m->look, m->tree, (char *)m->tree + 100, copy), -EUCLEAN);
	ck_assert_int_eq(sph_tree_copy_node(&m->look, m->tree, &at, copy), -EUCLEAN);
	tree_model_free(m);
}
END_TEST

/* --- damage is told */

static long problems_told;

static void count_problem(const void *node, const char *what, void *arg)
{
	(void)node, (void)arg;
	problems_told += what[0] != 0;
}

/* One byte of each page that is a node is another one: who reads gets an answer or -EUCLEAN, and ends; and the check tells of most of it. */
START_TEST(damage_leads_nowhere)
{
	struct tree_model *m = tree_model_make(TREE_TEXTS, 512, 64 * KIB, 0, 1, 300, 1);
	char *pages = (char *)m->tree + sph_pages(m->tree)->first, *before = malloc(64 * KIB);
	uint64_t random = help_seed("damage_leads_nowhere"), value;
	long told = 0, tried = 0, rounds = help_size(300, 3000, 100000);

	for (unsigned i = 0; i < 1500; i++)
		tree_model_step(m, 60);
	memcpy(before, m->tree, 64 * KIB);
	for (long i = 0; i < rounds; i++) {
		char *page = pages + help_below(&random, sph_pages(m->tree)->count) * 512;
		size_t at = 80 + help_below(&random, 512 - 80);
		long found;

		if (sph_page(page)->owner == 0)
			continue;
		tried++;
		page[at] = (char)help_random(&random);
		for (unsigned k = 0; k < m->count; k += 7) {
			int error = sph_tree_get(&m->look, m->tree, m->keys[k].key, &value);

			ck_assert(error == 0 || error == -ENOENT || error == -EUCLEAN);
		}
		problems_told = 0;
		found = sph_tree_check(&m->use, m->tree, count_problem, NULL);
		ck_assert(found < 0 || found == problems_told);
		told += found != 0;
		memcpy(m->tree, before, 64 * KIB);
	}
	ck_assert_int_gt(told, tried / 10);
	ck_assert_int_gt(tried, 0);
	free(before);
	tree_model_compare(m);
	tree_model_free(m);
}
END_TEST

/* A page of which nothing is left, as holes of a file are. */
START_TEST(a_lost_page_is_told)
{
	struct tree_model *m = small(512);
	unsigned lost = 0, found = 0;
	struct sph_tree_info info;
	uint64_t value;
	char *copy = aligned_alloc(64, 512), *before = malloc(512), *leaf;

	for (unsigned i = 0; i < 2000; i++)
		tree_model_step(m, 60);
	ck_assert_int_eq(sph_tree_copy_node(&m->look, m->tree, NULL, copy), 0);
	leaf = (char *)(uintptr_t)sph_view_child(copy, 0);
	memcpy(before, leaf, 512);
	memset(leaf, 0, 512);
	for (unsigned i = 0; i < m->count; i++) {
		int error = sph_tree_get(&m->look, m->tree, m->keys[i].key, &value);

		ck_assert(error == (m->keys[i].there ? 0 : -ENOENT) || error == -EUCLEAN);
		lost += error == -EUCLEAN;
		found += error == 0;
	}
	ck_assert_uint_gt(lost, 0);
	ck_assert_uint_gt(found, 0);
	ck_assert_int_eq(sph_tree_insert(&m->use, m->tree, KEY(""), 1), -EUCLEAN);
	ck_assert_int_eq(sph_tree_remove(&m->use, m->tree, KEY(""), &value), -EUCLEAN);
	ck_assert_int_eq(sph_tree_count(&m->look, m->tree, &value), -EUCLEAN);
	ck_assert_int_eq(sph_tree_is_empty(&m->look, m->tree), -EUCLEAN);
	ck_assert_int_gt(sph_tree_check(&m->use, m->tree, NULL, NULL), 0);
	memcpy(leaf, before, 512);
	ck_assert_int_eq(sph_tree_info(&m->look, m->tree, &info), 0);
	free(before);
	free(copy);
	tree_model_compare(m);
	tree_model_free(m);
}
END_TEST

/* --- beside a model */

/* Filled, drained, filled, emptied in each order, loaded, changed, and emptied. */
static void live(enum tree_keys kind, size_t page, int in_region)
{
	const unsigned steps = (unsigned)help_size(100000, 1000000, 10000000) / (TREE_KINDS * PAGES * 2);
	size_t longest = page / 4 > 64 ? page / 4 : 64;
	unsigned most = (unsigned)(2 * MIB / (kind <= TREE_TEXTS ? 64 : longest)), count = steps / 2 < most ? steps / 2 : most;
	struct tree_model *m;

	m = tree_model_make(kind, page, in_region ? 512 * KIB : 16 * MIB, in_region, in_region, count, (uint64_t)kind * 97 + page);
	for (unsigned i = 0; i < steps; i++) {
		tree_model_step(m, i * 4 / steps % 2 ? 20 : 60);
		if (i % (steps / 4) == steps / 4 - 1)
			tree_model_compare(m);
	}
	tree_model_empty(m, kind % 3);
	tree_model_load(m, 2);
	tree_model_compare(m);
	for (unsigned i = 0; i < steps / 4; i++)
		tree_model_step(m, 40);
	tree_model_compare(m);
	tree_model_empty(m, (kind + 1) % 3);
	tree_model_load(m, 1);
	tree_model_compare(m);
	tree_model_empty(m, (kind + 2) % 3);
	tree_model_free(m);
}

START_TEST(random_changes_in_a_region)
{
	live(_i % TREE_KINDS, 512UL << _i / TREE_KINDS, 1);
}
END_TEST

START_TEST(random_changes_in_plain_memory)
{
	live(_i % TREE_KINDS, 512UL << _i / TREE_KINDS, 0);
}
END_TEST

/* Under valgrind, and under ThreadSanitizer, which has nothing to tell of one thread. */
static int takes_minutes(void)
{
#ifdef __SANITIZE_THREAD__
	return 1;
#else
	return help_valgrind();
#endif
}

int main(void)
{
	Suite *suite = suite_create("trees");
	TCase *c = help_case(suite, "calls");

	tcase_add_checked_fixture(c, region_begin, region_end);
	tcase_add_test(c, format_refuses_bad_shapes);
	tcase_add_test(c, format_gives_an_empty_tree);
	tcase_add_test(c, insert_keeps_what_is_there);
	tcase_add_test(c, keys_are_bytes);
	tcase_add_loop_test(c, a_leaf_is_put_in_order, 0, 3);
	tcase_add_loop_test(c, keys_end_at_the_limit, 0, PAGES);
	tcase_add_test(c, load_refuses_disorder);
	tcase_add_test(c, load_is_all_or_nothing);
	tcase_add_test(c, views_show_all_keys);
	tcase_add_test(c, damage_leads_nowhere);
	tcase_add_test(c, a_lost_page_is_told);
	if (takes_minutes())
		return help_main(suite);
	c = help_case(suite, "model");
	tcase_add_checked_fixture(c, region_begin, region_end);
	tcase_add_loop_test(c, random_changes_in_a_region, 0, TREE_KINDS * PAGES);
	c = help_case(suite, "model in plain memory");
	tcase_add_loop_test(c, random_changes_in_plain_memory, 0, TREE_KINDS * PAGES);
	return help_main(suite);
}
