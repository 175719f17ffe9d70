/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tree_model.h"

#define WINDOW 64U              /* neighbours, among which half of the keys are drawn for a while */

/* --- keys */

static size_t make_key(enum tree_keys kind, unsigned i, size_t longest, uint64_t *random, unsigned char *bytes)
{
	uint64_t number = htobe64(kind == TREE_ROW ? i : help_random(random));
	size_t size;

	switch (kind) {
	case TREE_ROW:
	case TREE_NUMBERS:
		memcpy(bytes, &number, 8);
		return 8;
	case TREE_TEXTS:
		return (size_t)sprintf((char *)bytes, "key-%lu", help_below(random, 1000000));
	case TREE_BYTES:
		size = help_below(random, 8) ? help_below(random, 12) : help_below(random, longest + 1);
		for (size_t n = 0; n < size; n++)
			bytes[n] = help_below(random, 4) ? 0 : (unsigned char)(help_below(random, 2) ? 0xff : help_random(random));
		return size;
	case TREE_PREFIXES:
		size = help_below(random, 3) * (longest / 4) + 1;
		memset(bytes, 'p', size);
		return size + (size_t)sprintf((char *)bytes + size, "%.0lu", help_below(random, 50000));
	default:
		memset(bytes, (int)help_below(random, 2), longest);
		memcpy(bytes + longest - 4, (char *)&number, 4);
		return longest;
	}
}

static int in_order(const void *a, const void *b)
{
	const struct sph_key *x = &((const struct tree_key *)a)->key, *y = &((const struct tree_key *)b)->key;
	int c = memcmp(x->bytes, y->bytes, x->size < y->size ? x->size : y->size);

	return c ? c : x->size < y->size ? -1 : x->size > y->size;
}

/* What is drawn twice is one key. */
static void make_keys(struct tree_model *m, enum tree_keys kind, unsigned count)
{
	size_t longest = sph_tree_longest(m->tree);
	unsigned char *bytes = malloc(longest + 32);
	unsigned kept = 0;

	m->keys = calloc(count, sizeof *m->keys);
	for (unsigned i = 0; i < count; i++) {
		size_t size = make_key(kind, i, longest, &m->random, bytes);

		/* Of their own size, so that a sanitizer sees who reads beyond. */
		m->keys[i].key = (struct sph_key){ memcpy(malloc(size + !size), bytes, size), size };
	}
	free(bytes);
	qsort(m->keys, count, sizeof *m->keys, in_order);
	for (unsigned i = 0; i < count; i++) {
		if (kept && in_order(&m->keys[kept - 1], &m->keys[i]) == 0)
			free((void *)(uintptr_t)m->keys[i].key.bytes);
		else
			m->keys[kept++] = m->keys[i];
	}
	m->count = kept;
}

/* --- making */

void tree_model_begin(struct tree_model *m)
{
	ck_assert_int_eq(sas_use_begin(&m->use, m->tree, SAS_USE_UPDATE), 0);
	ck_assert_int_eq(sas_look_begin_unlocked(&m->look, m->tree), 0);
}

void tree_model_end(struct tree_model *m)
{
	ck_assert(sas_look_ok(&m->look, m->tree));
	sas_use_end(&m->use);
}

struct tree_model *tree_model_make(enum tree_keys kind, size_t page, size_t size, int expanding, int in_region, unsigned count, uint64_t seed)
{
	struct tree_model *m = calloc(1, sizeof *m);

	m->memory = in_region ? NULL : aligned_alloc(size, size);
	m->tree = in_region ? (void *)take(size) : m->memory;
	m->random = seed;
	if (!in_region)
		memset(m->memory, 0xa5, size);
	ck_assert_int_eq(sph_tree_format(m->tree, size, page, expanding, SAS_RUNTIME_INDEX, SAS_RUNTIME_INDEXNODE, 0), 0);
	make_keys(m, kind, count);
	tree_model_begin(m);
	m->free_bytes = sph_pages_free_bytes(&m->use, m->tree);
	return m;
}

void tree_model_free(struct tree_model *m)
{
	size_t size = m->tree->blockSize;

	ck_assert_int_eq(m->memory ? 0 : sph_tree_destroy(&m->use, m->tree), 0);
	tree_model_end(m);
	if (!m->memory)
		give(m->tree, size);
	free(m->memory);
	for (unsigned i = 0; i < m->count; i++)
		free((void *)(uintptr_t)m->keys[i].key.bytes);
	free(m->keys);
	free(m);
}

/* --- changing */

void tree_model_insert(struct tree_model *m, struct tree_key *k)
{
	uint64_t value = ++m->next_value, before = sph_tree_changes(m->tree);

	ck_assert_int_eq(sph_tree_insert(&m->use, m->tree, k->key, value), k->there ? -EEXIST : 0);
	ck_assert_uint_eq(sph_tree_changes(m->tree), before + !k->there);
	if (k->there)
		return;
	k->there = 1;
	k->value = value;
	m->there++;
}

void tree_model_remove(struct tree_model *m, struct tree_key *k)
{
	uint64_t before = sph_tree_changes(m->tree), old = 0;

	ck_assert_int_eq(sph_tree_remove(&m->use, m->tree, k->key, &old), k->there ? 0 : -ENOENT);
	ck_assert_uint_eq(sph_tree_changes(m->tree), before + (uint64_t)k->there);
	if (!k->there)
		return;
	ck_assert_uint_eq(old, k->value);
	k->there = 0;
	m->there--;
}

static void replace(struct tree_model *m, struct tree_key *k)
{
	uint64_t value = ++m->next_value, old = 0;

	ck_assert_int_eq(sph_tree_replace(&m->use, m->tree, k->key, value, &old), k->there ? 0 : -ENOENT);
	if (!k->there)
		return;
	ck_assert_uint_eq(old, k->value);
	k->value = value;
}

static void look_up(struct tree_model *m, const struct tree_key *k)
{
	uint64_t value = 0;

	ck_assert_int_eq(sph_tree_get(&m->look, m->tree, k->key, &value), k->there ? 0 : -ENOENT);
	if (k->there)
		ck_assert_uint_eq(value, k->value);
}

static struct tree_key *draw(struct tree_model *m)
{
	uint64_t window = m->next_value / 512 * 0x9E3779B97F4A7C15UL % m->count;

	if (help_below(&m->random, 2))
		return &m->keys[help_below(&m->random, m->count)];
	return &m->keys[(window + help_below(&m->random, WINDOW)) % m->count];
}

void tree_model_step(struct tree_model *m, unsigned insert_percent)
{
	struct tree_key *k = draw(m);
	uint64_t what = help_below(&m->random, 100);

	if (what < insert_percent)
		tree_model_insert(m, k);
	else if (what < 80)
		tree_model_remove(m, k);
	else if (what < 90)
		replace(m, k);
	else
		look_up(m, k);
}

void tree_model_empty(struct tree_model *m, enum tree_order order)
{
	unsigned first = (unsigned)help_below(&m->random, m->count), k;

	for (unsigned i = 0; i < m->count; i++) {
		k = order == TREE_UP ? i : order == TREE_DOWN ? m->count - 1 - i : (unsigned)((first + i * 2654435761UL) % m->count);
		tree_model_remove(m, &m->keys[k]);
	}
	/* What the stride has left out. */
	for (k = 0; k < m->count; k++)
		tree_model_remove(m, &m->keys[k]);
	ck_assert_ptr_null(sph_tree_root(m->tree));
	ck_assert_int_eq(sph_tree_is_empty(&m->look, m->tree), 1);
	ck_assert_uint_eq(sph_pages_free_bytes(&m->use, m->tree) % sph_pages(m->tree)->page_size, 0);
	if (!sph_pages(m->tree)->expansions)
		ck_assert_uint_eq(sph_pages_free_bytes(&m->use, m->tree), m->free_bytes);
	else
		ck_assert_uint_eq(sph_pages_free_bytes(&m->use, m->tree), m->free_bytes * (1 + sph_pages(m->tree)->expansions));
	tree_model_compare(m);
}

struct loading {
	struct tree_model *m;
	unsigned at;
};

static int next_there(struct sph_key *key, uint64_t *value, void *arg)
{
	struct loading *l = arg;

	while (l->at < l->m->count && !l->m->keys[l->at].there)
		l->at++;
	if (l->at == l->m->count)
		return 0;
	*key = l->m->keys[l->at].key;
	*value = l->m->keys[l->at++].value;
	return 1;
}

void tree_model_load(struct tree_model *m, unsigned one_in)
{
	struct loading l = { m, 0 };

	for (unsigned i = 0; i < m->count; i++)
		if (help_below(&m->random, one_in) == 0) {
			m->keys[i].there = 1;
			m->keys[i].value = ++m->next_value;
			m->there++;
		}
	ck_assert_int_eq(sph_tree_load(&m->use, m->tree, next_there, &l), 0);
}

/* --- comparing */

static void print_problem(const void *node, const char *what, void *arg)
{
	fprintf(stderr, "node %p of tree %p: %s\n", node, arg, what);
}

long tree_problems(struct sas_use *u, SASBlockHeader *tree)
{
	return sph_tree_check(u, tree, print_problem, tree);
}

/* The first key from `i` on, or the last one from there downwards, that is there; -1. */
static long there_from(const struct tree_model *m, long i, int step)
{
	while (i >= 0 && i < (long)m->count && !m->keys[i].there)
		i += step;
	return i >= 0 && i < (long)m->count ? i : -1;
}

static void expect(const struct tree_model *m, long i, int error, struct sph_key key, uint64_t value)
{
	ck_assert_int_eq(error, i < 0 ? -ENOENT : 0);
	if (i < 0)
		return;
	ck_assert_uint_eq(key.size, m->keys[i].key.size);
	ck_assert_int_eq(memcmp(key.bytes, m->keys[i].key.bytes, key.size), 0);
	ck_assert_uint_eq(value, m->keys[i].value);
}

static void go(struct tree_model *m, struct sph_cursor *c, long i, int step)
{
	struct sph_key key = { NULL, 0 };
	uint64_t value = 0;
	int error = step > 0 ? sph_cursor_next(&m->look, c, &key, &value) : sph_cursor_previous(&m->look, c, &key, &value);

	expect(m, i, error, key, value);
}

static void go_through(struct tree_model *m, struct sph_cursor *c, int step)
{
	sph_cursor_reset(c, step < 0);
	for (long i = there_from(m, step > 0 ? 0 : (long)m->count - 1, step); i >= 0; i = there_from(m, i + step, step))
		go(m, c, i, step);
	go(m, c, -1, step);
	go(m, c, -1, step);
}

/* From a key on, which may be there or not, and back again. */
static void go_from(struct tree_model *m, struct sph_cursor *c, long at, int after, int step)
{
	long i = there_from(m, after ? at + step : at, step);

	ck_assert_int_eq(sph_cursor_set(c, m->keys[at].key, after), 0);
	go(m, c, i, step);
	if (i >= 0)
		go(m, c, there_from(m, i - step, -step), -step);
}

static void look_at_edges(struct tree_model *m)
{
	unsigned char *bytes = malloc(sph_tree_longest(m->tree));

	for (int last = 0; last < 2; last++) {
		struct sph_key key = { bytes, 0 };
		uint64_t value = 0;
		int error = sph_tree_edge(&m->look, m->tree, last, bytes, &key.size, &value);

		expect(m, there_from(m, last ? (long)m->count - 1 : 0, last ? -1 : 1), error, key, value);
	}
	free(bytes);
}

void tree_model_compare(struct tree_model *m)
{
	struct sph_cursor *c = sph_cursor_make(m->tree);
	struct sph_tree_info info;
	uint64_t count = 0, bytes = 0;

	ck_assert_int_eq(tree_problems(&m->use, m->tree), 0);
	ck_assert_int_eq(sph_tree_info(&m->look, m->tree, &info), 0);
	ck_assert_int_eq(sph_tree_count(&m->look, m->tree, &count), 0);
	for (unsigned i = 0; i < m->count; i++)
		bytes += m->keys[i].there ? m->keys[i].key.size : 0;
	ck_assert_uint_eq(info.keys, m->there);
	ck_assert_uint_eq(count, m->there);
	ck_assert_uint_eq(info.key_bytes, bytes);
	ck_assert_uint_eq(info.in_transit, 0);
	ck_assert_uint_eq(info.free_pages * sph_pages(m->tree)->page_size, sph_pages_free_bytes(&m->use, m->tree));
	ck_assert_int_eq(sph_tree_is_empty(&m->look, m->tree), m->there == 0);
	look_at_edges(m);
	ck_assert_ptr_nonnull(c);
	go_through(m, c, 1);
	go_through(m, c, -1);
	for (unsigned i = 0; i < 100; i++) {
		long at = (long)help_below(&m->random, m->count);

		look_up(m, &m->keys[at]);
		go_from(m, c, at, i & 1, i & 2 ? 1 : -1);
	}
	sph_cursor_free(c);
}
