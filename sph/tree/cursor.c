/* SPDX-License-Identifier: MIT */
/*
 * cursor.c - going through the keys in order, both ways, beside writers.
 *
 * A cursor keeps a copy of the leaf that it is in, put in order, and the bounds of that leaf, which are separators
 * above it. As long as the leaf's word is what it was, the copy is the leaf. When it is not, the place is found
 * again by the key that was met last. The next leaf is the one that holds the upper bound. That may be the same one:
 * when an empty leaf is taken out, the one beside it, which does not change, holds its keys from then on. So the
 * bounds of a leaf that is not replaced move outwards, and the place in the next leaf is that of the bound.
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include "node.h"

struct bound {
	unsigned char *bytes;
	size_t size;
	int is;                         /* 0: there is none on this side */
};

struct sph_cursor {
	const SASBlockHeader *tree;
	size_t page;
	enum { FIRST, LAST, ON, AROUND } place;         /* before all, behind all, on `key`, or anywhere where `key` would be */
	unsigned char *key, *beside;
	size_t key_size;
	/* The leaf: NULL where there is none, or it is not known. */
	const struct sph_node *leaf;
	uint64_t word;
	struct sph_node *copy;
	struct bound low, high;
	/* The slots of its entries in order; those below `below` are below the place, those from `above` on are above
	 * it. */
	unsigned count, below, above;
	uint8_t slots[SPH_SLOTS];
};

struct sph_cursor *sph_cursor_make(const SASBlockHeader *tree)
{
	size_t page = sph_tree_of(tree)->page_size, room = sph_tree_longest(tree) + SPH_EACH_SLACK;
	struct sph_cursor *c = malloc(sizeof *c);
	unsigned char *bytes;

	if (!c)
		return NULL;
	/* The copy as aligned as a page's fields need. */
	bytes = aligned_alloc(64, page + (4 * room + 63) / 64 * 64);
	if (!bytes) {
		free(c);
		return NULL;
	}
	c->tree = tree;
	c->page = page;
	c->copy = (struct sph_node *)(void *)bytes;
	c->key = bytes + page;
	c->low.bytes = c->key + room;
	c->high.bytes = c->low.bytes + room;
	c->beside = c->high.bytes + room;
	sph_cursor_reset(c, 0);
	return c;
}

void sph_cursor_free(struct sph_cursor *c)
{
	if (!c)
		return;
	free(c->copy);
	free(c);
}

void sph_cursor_reset(struct sph_cursor *c, int last)
{
	c->place = last ? LAST : FIRST;
	c->key_size = 0;
	c->leaf = NULL;
}

int sph_cursor_set(struct sph_cursor *c, struct sph_key key, int after)
{
	if (key.size > sph_tree_longest(c->tree))
		return sas_service_fail(ENAMETOOLONG, "a key of %zu bytes: this tree's keys have %zu at most", key.size, sph_tree_longest(c->tree));
	memcpy(c->key, key.bytes, key.size);
	c->key_size = key.size;
	c->place = after ? ON : AROUND;
	c->leaf = NULL;
	return 0;
}

/* --- the leaf */

/* The nearest separators on both sides of the way. 0: they were torn. */
static int copy_bounds(struct sph_cursor *c, const struct sph_path *path)
{
	c->low.is = sph_path_bound(path, c->page, path->depth - 1, 0, c->low.bytes, &c->low.size);
	c->high.is = sph_path_bound(path, c->page, path->depth - 1, 1, c->high.bytes, &c->high.size);
	return c->low.is >= 0 && c->high.is >= 0;
}

/* While this leaf is sorted and looked at, the next one is brought. What is read here need not be true. */
static void prefetch_next(const struct sph_path *path, size_t page)
{
	const struct sph_step *above;
	const char *next;

	if (path->depth < 2)
		return;
	above = &path->step[path->depth - 2];
	next = (const char *)sph_node_at(sph_inner_child(above->node, page, above->child + 1));
	for (size_t at = 0; next && at < page; at += 64)
		__builtin_prefetch(next + at);
}

/* The leaf that holds the key; `onwards`: and the one behind it will be asked for. 0; -ENOENT: the tree is empty; -errno. */
static int load(const struct sas_look *l, struct sph_cursor *c, struct sph_key key, enum sph_side side, int onwards)
{
	const struct sph_step *s;
	struct sph_path path;
	int error, are;

	do {
		c->leaf = NULL;
		error = sph_walk(l, c->tree, key, side, 0, &path);
		if (error)
			return error;
		if (!path.depth)
			return -ENOENT;
		s = &path.step[path.depth - 1];
		sph_racy_copy(c->copy, s->node, c->page);
		are = copy_bounds(c, &path);
	} while (!sph_path_is_unchanged(&path));
	if (!are)
		return sph_path_is_broken(c->tree);
	c->leaf = s->node;
	c->word = s->word;
	if (onwards)
		prefetch_next(&path, c->page);
	return 0;
}

static void put_in_order(struct sph_cursor *c)
{
	c->count = sph_leaf_slots(c->copy, c->page, c->slots);
}

/* How many entries are below the key, or (`too`) not above it. */
static unsigned entries_below(const struct sph_cursor *c, struct sph_key key, int too)
{
	size_t prefix = sph_node_prefix_size(c->copy, c->page), least = key.size < prefix ? key.size : prefix;
	int side = memcmp(key.bytes, sph_node_prefix(c->copy, c->page, prefix), least);
	unsigned low = 0, high = c->count;

	if (side || key.size < prefix)
		return side > 0 ? c->count : 0;
	key = (struct sph_key){ key.bytes + prefix, key.size - prefix };
	while (low < high) {
		unsigned middle = (low + high) / 2;
		int compared = sph_key_compare(sph_leaf_suffix(c->copy, c->page, c->slots[middle]), key);

		if (compared < 0 || (too && compared == 0))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The leaf of the place, and where in it. */
static int find_place(const struct sas_look *l, struct sph_cursor *c, int forwards)
{
	struct sph_key key = { c->key, c->key_size };
	int error = load(l, c, key, c->place == LAST ? SPH_LAST : c->place == ON && !forwards ? SPH_BELOW : SPH_AT, 0);

	if (error)
		return error;
	put_in_order(c);
	if (c->place == FIRST || c->place == LAST) {
		c->below = c->above = c->place == FIRST ? 0 : c->count;
		return 0;
	}
	c->below = entries_below(c, key, c->place == AROUND);
	c->above = entries_below(c, key, c->place == ON);
	return 0;
}

/* From one leaf to the one beside it, by the bound between them. -ENOENT: there is none. */
static int go_beside(const struct sas_look *l, struct sph_cursor *c, int forwards)
{
	const struct bound *b = forwards ? &c->high : &c->low;
	struct sph_key key = { c->beside, b->size };
	int error;

	if (!b->is)
		return -ENOENT;
	memcpy(c->beside, b->bytes, b->size);
	error = load(l, c, key, forwards ? SPH_AT : SPH_BELOW, forwards);
	if (error)
		return error;
	put_in_order(c);
	c->below = c->above = entries_below(c, key, 0);
	return 0;
}

static void stand_on(struct sph_cursor *c, unsigned i, struct sph_key *key, uint64_t *value)
{
	size_t prefix = sph_node_prefix_size(c->copy, c->page);
	struct sph_key suffix = sph_leaf_suffix(c->copy, c->page, c->slots[i]);

	memcpy(c->key, sph_node_prefix(c->copy, c->page, prefix), prefix);
	memcpy(c->key + prefix, suffix.bytes, suffix.size);
	c->key_size = prefix + suffix.size;
	c->place = ON;
	c->below = i;
	c->above = i + 1;
	*key = (struct sph_key){ c->key, c->key_size };
	*value = sph_leaf_value(c->copy, c->page, c->slots[i]);
}

/* The leaf of the place, or, where that has nothing further, the next one that has. Without one the place is still
 * that of `key`. */
static int find_leaf(const struct sas_look *l, struct sph_cursor *c, int forwards)
{
	int error = 0;

	while (!error) {
		if (!c->leaf || !sph_word_is(sph_node_word((struct sph_node *)(uintptr_t)c->leaf), c->word))
			error = find_place(l, c, forwards);
		else if (forwards ? c->above >= c->count : c->below == 0)
			error = go_beside(l, c, forwards);
		else
			return 0;
	}
	c->leaf = NULL;
	return error;
}

static int go(struct sas_look *l, struct sph_cursor *c, int forwards, struct sph_key *key, uint64_t *value)
{
	int error = find_leaf(l, c, forwards);

	if (!error)
		stand_on(c, forwards ? c->above : c->below - 1, key, value);
	return error;
}

int sph_cursor_next(struct sas_look *l, struct sph_cursor *c, struct sph_key *key, uint64_t *value)
{
	return go(l, c, 1, key, value);
}

int sph_cursor_previous(struct sas_look *l, struct sph_cursor *c, struct sph_key *key, uint64_t *value)
{
	return go(l, c, 0, key, value);
}

int sph_cursor_load(struct sas_look *l, struct sph_cursor *c)
{
	return find_leaf(l, c, 1);
}

int sph_cursor_drain(struct sph_cursor *c, int (*each)(struct sph_key key, uint64_t value, void *arg), void *arg)
{
	unsigned from = c->above;
	struct sph_key key;
	uint64_t value;

	stand_on(c, c->count - 1, &key, &value);
	return sph_leaf_each(c->copy, c->page, c->slots + from, c->count - from, c->beside, each, arg);
}

/* --- what needs no more than a cursor */

static int no_memory(void)
{
	return sas_service_fail(ENOMEM, "no memory of this process to read a tree with");
}

int sph_tree_edge(struct sas_look *l, const SASBlockHeader *tree, int last, unsigned char *bytes, size_t *size, uint64_t *value)
{
	struct sph_cursor *c = sph_cursor_make(tree);
	struct sph_key key;
	int error;

	if (!c)
		return no_memory();
	sph_cursor_reset(c, last);
	error = go(l, c, !last, &key, value);
	if (!error) {
		memcpy(bytes, key.bytes, key.size);
		*size = key.size;
	}
	sph_cursor_free(c);
	return error;
}

/* Leaves that are empty go; there may be one until its last change has ended, or a dead one's is found. */
int sph_tree_is_empty(struct sas_look *l, const SASBlockHeader *tree)
{
	struct sph_key first = { (const unsigned char *)"", 0 };
	const struct sph_step *s;
	struct sph_path path;
	uint64_t count;
	unsigned here;
	int error;

	do {
		error = sph_walk(l, tree, first, SPH_AT, 0, &path);
		if (error || !path.depth)
			return error ? error : 1;
		s = &path.step[path.depth - 1];
		here = sph_leaf_count(s->node);
	} while (!sph_word_is(sph_node_word(s->node), s->word));
	if (here)
		return 0;
	error = sph_tree_count(l, tree, &count);
	return error ? error : count == 0;
}

/* In the copy, from the key on, which is its lower bound unless the leaf has grown downwards. */
static unsigned count_from(struct sph_cursor *c, struct sph_key key)
{
	if (!key.size || (c->low.is && sph_key_compare(key, (struct sph_key){ c->low.bytes, c->low.size }) == 0))
		return sph_leaf_count(c->copy);
	put_in_order(c);
	return c->count - entries_below(c, key, 0);
}

int sph_tree_count(struct sas_look *l, const SASBlockHeader *tree, uint64_t *count)
{
	struct sph_cursor *c = sph_cursor_make(tree);
	struct sph_key key = { (const unsigned char *)"", 0 };
	int error;

	*count = 0;
	if (!c)
		return no_memory();
	for (error = load(l, c, key, SPH_AT, 1); !error;) {
		*count += count_from(c, key);
		if (!c->high.is)
			break;
		memcpy(c->key, c->high.bytes, c->high.size);
		key = (struct sph_key){ c->key, c->high.size };
		error = load(l, c, key, SPH_AT, 1);
	}
	sph_cursor_free(c);
	return error == -ENOENT ? 0 : error;
}
