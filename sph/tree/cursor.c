/* SPDX-License-Identifier: MIT */
/*
 * cursor.c - going through the keys in order, both ways, beside writers.
 *
 * A cursor keeps a copy of the leaf that it is in, put in order, and the bounds of that leaf, which are separators above it. As long as the
 * leaf's word is what it was, the copy is the leaf. When it is not, the place is found again by the key that was met last. A leaf's
 * bounds change only when the leaf is replaced, which changes its word; the next leaf is the one that holds the upper bound.
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
	struct sph_path path;           /* to it */
	struct sph_node *copy;
	struct bound low, high;
	/* Its entries in order; those below `below` are below the place, those from `above` on are above it. */
	unsigned count, below, above;
	struct sph_entry entries[SPH_SLOTS];
};

struct sph_cursor *sph_cursor_make(const SASBlockHeader *tree)
{
	size_t page = sph_tree_of(tree)->page_size, longest = sph_tree_longest(tree);
	struct sph_cursor *c = malloc(sizeof *c);
	unsigned char *bytes;

	if (!c)
		return NULL;
	/* The copy as aligned as a page's fields need. */
	bytes = aligned_alloc(64, page + (4 * (longest + 8) + 63) / 64 * 64);
	if (!bytes) {
		free(c);
		return NULL;
	}
	c->tree = tree;
	c->page = page;
	c->copy = (struct sph_node *)(void *)bytes;
	c->key = bytes + page;
	c->low.bytes = c->key + longest + 8;
	c->high.bytes = c->low.bytes + longest + 8;
	c->beside = c->high.bytes + longest + 8;
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

static int copy_bound(const struct sph_cursor *c, const struct sph_step *s, unsigned separator, struct bound *b)
{
	size_t prefix = sph_node_prefix_size(s->node, c->page);
	struct sph_key suffix = sph_inner_suffix(s->node, c->page, separator);

	if (!suffix.bytes || prefix + suffix.size > c->page / 4)
		return 0;
	sph_racy_copy(b->bytes, sph_node_prefix(s->node, c->page, prefix), prefix);
	sph_racy_copy(b->bytes + prefix, suffix.bytes, suffix.size);
	b->size = prefix + suffix.size;
	b->is = 1;
	return 1;
}

/* The nearest separators on both sides of the way. 0: they were torn. */
static int copy_bounds(struct sph_cursor *c, const struct sph_path *path)
{
	c->low.is = c->high.is = 0;
	for (unsigned i = path->depth - 1; i-- > 0;) {
		const struct sph_step *s = &path->step[i];

		if (!c->high.is && s->child < sph_inner_last(s->node, c->page) && !copy_bound(c, s, s->child, &c->high))
			return 0;
		if (!c->low.is && s->child > 0 && !copy_bound(c, s, s->child - 1, &c->low))
			return 0;
	}
	return 1;
}

static int is_unchanged(const struct sph_path *path)
{
	for (unsigned i = 0; i < path->depth; i++)
		if (!sph_word_is(sph_node_word(path->step[i].node), path->step[i].word))
			return 0;
	return 1;
}

/* The leaf that holds the key. 0; -ENOENT: the tree is empty; -errno. */
static int load(const struct sas_look *l, struct sph_cursor *c, struct sph_key key, enum sph_side side)
{
	const struct sph_step *s;
	int error;

	do {
		c->leaf = NULL;
		error = sph_walk(l, c->tree, key, side, 0, &c->path);
		if (error)
			return error;
		if (!c->path.depth)
			return -ENOENT;
		s = &c->path.step[c->path.depth - 1];
		sph_racy_copy(c->copy, s->node, c->page);
	} while (!copy_bounds(c, &c->path) || !is_unchanged(&c->path));
	c->leaf = s->node;
	c->word = s->word;
	return 0;
}

static void put_in_order(struct sph_cursor *c)
{
	c->count = sph_leaf_order(c->copy, c->page, c->entries);
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
		int compared = sph_key_compare(c->entries[middle].key, key);

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
	int error = load(l, c, key, c->place == LAST ? SPH_LAST : c->place == ON && !forwards ? SPH_BELOW : SPH_AT);

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
	error = load(l, c, key, forwards ? SPH_AT : SPH_BELOW);
	if (error)
		return error;
	put_in_order(c);
	/* By now it may hold keys on this side of the bound as well: it was joined with the leaf that we come from. */
	c->below = c->above = entries_below(c, key, 0);
	return 0;
}

static void stand_on(struct sph_cursor *c, unsigned i, struct sph_key *key, uint64_t *value)
{
	size_t prefix = sph_node_prefix_size(c->copy, c->page);
	const struct sph_entry *e = &c->entries[i];

	memcpy(c->key, sph_node_prefix(c->copy, c->page, prefix), prefix);
	memcpy(c->key + prefix, e->key.bytes, e->key.size);
	c->key_size = prefix + e->key.size;
	c->place = ON;
	c->below = i;
	c->above = i + 1;
	*key = (struct sph_key){ c->key, c->key_size };
	*value = e->value;
}

static int go(struct sas_look *l, struct sph_cursor *c, int forwards, struct sph_key *key, uint64_t *value)
{
	int error;

	for (;;) {
		if (!c->leaf || !sph_word_is(sph_node_word((struct sph_node *)(uintptr_t)c->leaf), c->word))
			error = find_place(l, c, forwards);
		else if (forwards ? c->above >= c->count : c->below == 0)
			error = go_beside(l, c, forwards);
		else
			break;
		if (error)
			return error;
	}
	stand_on(c, forwards ? c->above : c->below - 1, key, value);
	return 0;
}

int sph_cursor_next(struct sas_look *l, struct sph_cursor *c, struct sph_key *key, uint64_t *value)
{
	return go(l, c, 1, key, value);
}

int sph_cursor_previous(struct sas_look *l, struct sph_cursor *c, struct sph_key *key, uint64_t *value)
{
	return go(l, c, 0, key, value);
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

int sph_tree_is_empty(struct sas_look *l, const SASBlockHeader *tree)
{
	struct sph_cursor *c;
	struct sph_key key;
	uint64_t value;
	int error;

	if (!sph_tree_root(tree))
		return 1;
	c = sph_cursor_make(tree);
	if (!c)
		return no_memory();
	error = go(l, c, 1, &key, &value);
	sph_cursor_free(c);
	return error == -ENOENT ? 1 : error;
}

/* To the first leaf, and then from each to the one after it, for who looks at all of them. -ENOENT: there is none. */
static int load_next(const struct sas_look *l, struct sph_cursor *c)
{
	if (c->leaf && !c->high.is)
		return -ENOENT;
	if (c->leaf) {
		memcpy(c->key, c->high.bytes, c->high.size);
		c->key_size = c->high.size;
	}
	return load(l, c, (struct sph_key){ c->key, c->key_size }, SPH_AT);
}

int sph_tree_count(struct sas_look *l, const SASBlockHeader *tree, uint64_t *count)
{
	struct sph_cursor *c = sph_cursor_make(tree);
	int error;

	*count = 0;
	if (!c)
		return no_memory();
	while ((error = load_next(l, c)) == 0)
		*count += sph_leaf_count(c->copy);
	sph_cursor_free(c);
	return error == -ENOENT ? 0 : error;
}

int sph_cursor_passes(const struct sas_look *l, const SASBlockHeader *tree, const struct sph_node *node)
{
	struct sph_cursor *c = sph_cursor_make(tree);
	int error = 0, passes = 0;

	if (!c)
		return no_memory();
	while (!passes && (error = load_next(l, c)) == 0)
		passes = sph_path_has(&c->path, node);
	sph_cursor_free(c);
	return error && error != -ENOENT ? error : passes;
}
