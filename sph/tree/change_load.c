/* SPDX-License-Identifier: MIT */
/*
 * change_load.c - a tree from keys in order: leaves are filled one after the other, then the nodes above them. The
 * root's pointer publishes all of it; a death before leaves pages in transit, as that of any change does (change.c).
 */
#include <config.h>

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include "change.h"

#define FULL 95         /* percent */

/* Nodes of one level, with what separates each from the one before. */
struct level {
	struct sph_entry *entries;
	size_t count, room;
};

struct load {
	struct sph_change c;
	int (*next)(struct sph_key *key, uint64_t *value, void *arg);
	void *arg;
	struct level leaves;
	struct sph_entry entries[SPH_SLOTS + 1];        /* of the leaf that is being filled */
	unsigned count;
	size_t sizes;                   /* of the keys in it */
	struct sph_change_mark mark;
	unsigned char last[SPH_KEY_LONGEST], carried[SPH_KEY_LONGEST];
	size_t last_size;
};

static int append(struct level *l, struct sph_key separator, uint64_t node)
{
	if (l->count == l->room) {
		size_t room = l->room ? 2 * l->room : 1024;
		struct sph_entry *more = realloc(l->entries, room * sizeof *more);

		if (!more)
			return sph_change_no_memory();
		l->entries = more;
		l->room = room;
	}
	l->entries[l->count++] = (struct sph_entry){ .key = separator, .value = node };
	return 0;
}

static int take_in(struct load *l, struct sph_key key, uint64_t value)
{
	struct sph_key mine = sph_change_join(&l->c, key.bytes, key.size, (struct sph_key){ NULL, 0 });

	if (!mine.bytes)
		return sph_change_no_memory();
	l->entries[l->count++] = (struct sph_entry){ .head = sph_head8(mine.bytes, mine.size), .key = mine, .value = value };
	l->sizes += mine.size;
	return 0;
}

/* What separates it from the leaf before is kept until the nodes above are made. */
static int finish_leaf(struct load *l, unsigned count)
{
	struct sph_key separator = { NULL, 0 };
	uint64_t node;
	int error = sph_change_make_leaf(&l->c, l->entries, count, &node);

	if (error)
		return error;
	if (l->leaves.count) {
		struct sph_key shortest = sph_separator_between((struct sph_key){ l->last, l->last_size }, l->entries[0].key);
		unsigned char *kept = malloc(shortest.size);

		if (!kept)
			return sph_change_no_memory();
		memcpy(kept, shortest.bytes, shortest.size);
		separator = (struct sph_key){ kept, shortest.size };
	}
	l->last_size = l->entries[count - 1].key.size;
	memcpy(l->last, l->entries[count - 1].key.bytes, l->last_size);
	return append(&l->leaves, separator, node);
}

/* The last entry is one too many: it begins the next leaf. */
static int begin_next(struct load *l)
{
	struct sph_entry carried = l->entries[l->count - 1];
	int error = finish_leaf(l, l->count - 1);

	if (error)
		return error;
	memcpy(l->carried, carried.key.bytes, carried.key.size);
	sph_change_release(&l->c, l->mark);
	l->count = 0;
	l->sizes = 0;
	return take_in(l, (struct sph_key){ l->carried, carried.key.size }, carried.value);
}

/* The whole size is worked out only when it may be too much: it looks at all keys. An entry takes 13 bytes beside its
 * key at most. */
static int is_full(const struct load *l)
{
	if (l->count <= 1)
		return 0;
	return l->count > SPH_SLOTS || (l->sizes + l->count * 13 > l->c.page / 2 &&
					!sph_change_fits(&l->c, sph_leaf_size(l->entries, l->count), FULL));
}

static int fill_leaves(struct load *l)
{
	struct sph_key key;
	uint64_t value;
	int more, error;

	l->mark = sph_change_mark(&l->c);
	while ((more = l->next(&key, &value, l->arg)) > 0) {
		if (key.size > l->c.page / 4)
			return sas_service_fail(ENAMETOOLONG, "a key of %zu bytes: this tree's keys have %zu at most", key.size, l->c.page / 4);
		if (l->count && sph_key_compare(l->entries[l->count - 1].key, key) >= 0)
			return sas_service_fail(EEXIST, "keys to be loaded are out of order, or one is there twice");
		error = take_in(l, key, value);
		if (!error && is_full(l))
			error = begin_next(l);
		if (error)
			return error;
	}
	return more < 0 || !l->count ? more : finish_leaf(l, l->count);
}

/* As many as go into one node; the separator before the next one goes up. */
static int build_above(struct load *l, unsigned level, const struct level *below, struct level *above)
{
	int error = 0;

	for (size_t first = 0; first < below->count && !error;) {
		const struct sph_entry *e = &below->entries[first];
		struct sph_change_mark mark = sph_change_mark(&l->c);
		unsigned count = 1;
		uint64_t node;

		for (size_t sum = 0; first + count < below->count; count++) {
			size_t common = count > 1 ? sph_key_common(e[1].key, e[count].key) : 0;

			sum += e[count].key.size;
			if (!sph_change_fits(&l->c, sph_inner_bytes(count, common, sum), FULL))
				break;
		}
		error = sph_change_make_inner(&l->c, level, e->value, e + 1, count - 1, &node);
		sph_change_release(&l->c, mark);
		if (!error)
			error = append(above, e->key, node);
		first += count;
	}
	return error;
}

static int build(struct load *l, uint64_t *root)
{
	struct level below = l->leaves, above;
	int error = 0;

	for (unsigned level = 1; below.count > 1 && !error; level++) {
		above = (struct level){ NULL, 0, 0 };
		error = build_above(l, level, &below, &above);
		if (below.entries != l->leaves.entries)
			free(below.entries);
		below = above;
	}
	if (!error)
		*root = below.entries[0].value;
	if (below.entries != l->leaves.entries)
		free(below.entries);
	return error;
}

static void forget(struct load *l)
{
	for (size_t i = 0; i < l->leaves.count; i++)
		free((void *)(uintptr_t)l->leaves.entries[i].key.bytes);
	free(l->leaves.entries);
	free(l);
}

static int not_empty(const struct load *l)
{
	return sas_service_fail(ENOTEMPTY, "the tree %p is not empty, or has not stayed so", (void *)l->c.tree);
}

static int load(struct load *l)
{
	struct sph_m_tree *t = l->c.t;
	uint64_t was = sph_word_read(&l->c.look, &t->word), root = 0;
	int error = sph_tree_root(l->c.tree) ? not_empty(l) : fill_leaves(l);

	if (!error && l->leaves.count)
		error = build(l, &root);
	if (error || !root)
		return sph_change_undo(&l->c, error);
	if (!was || !sph_hold_take(&l->c.holds[0], l->c.u, &t->word, &t->version, was))
		return sph_change_undo(&l->c, not_empty(l));
	l->c.hold_count = 1;
	return sph_change_publish(&l->c, &t->root, root);
}

int sph_tree_load(struct sas_use *u, SASBlockHeader *tree, int (*next)(struct sph_key *key, uint64_t *value, void *arg), void *arg)
{
	static const struct sph_path nowhere = { .depth = 0 };
	struct load *l;
	int error = 0;

	l = calloc(1, sizeof *l);
	if (!l)
		return sph_change_no_memory();
	l->next = next;
	l->arg = arg;
	while (!error && sph_change_begin(&l->c, u, tree, &nowhere)) {
		error = sph_change_recover(u, tree);
		sched_yield();
	}
	error = error ? error : load(l);
	forget(l);
	return error;
}
