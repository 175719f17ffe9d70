/* SPDX-License-Identifier: MIT */
/*
 * face_node.c - nodes as views: copies of them, and searching below one. Layer 5.
 *
 * A view looks at no lock: what it tells is a node as it was at one moment.
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "face.h"

/* The tree whose node it is: the node names its block, or the tree's first one, and the block that. */
static int find_tree(const struct sas_look *l, const struct sph_face *f, const void *node, const SASBlockHeader **tree)
{
	const SASBlockHeader *h = node, *base;
	sas_type_t type = f->node;

	for (int step = 0; h && sas_look_reach(l, h) == 0 && SOMSASCheckBlockSigAndTypeAndSubtype(h, type); step++) {
		base = h->baseBlock;
		if (base == h || step == 2) {
			*tree = h;
			return step ? 0 : sas_service_fail(EUCLEAN, "the node at %p is in no block of a tree", node);
		}
		type = f->tree;
		h = base;
	}
	return sas_service_fail(EINVAL, "%p is no %s node", node, f->what);
}

static int begin(struct sas_look *l, const struct sph_face *f, const void *node)
{
	return node ? sas_look_begin_unlocked(l, node) : sas_service_fail(EINVAL, "NULL is no %s node", f->what);
}

int sph_face_node(const struct sph_face *f, const void *node, const void **copy)
{
	const SASBlockHeader *tree;
	struct sas_look l;
	void *page = sph_keep_page();
	int error = page ? begin(&l, f, node) : -ENOMEM;

	*copy = page;
	if (error)
		return error;
	do {
		error = find_tree(&l, f, node, &tree);
		if (!error)
			error = sph_tree_copy_node(&l, tree, node, page);
	} while (!sas_look_ok(&l, node));
	return error;
}

int sph_face_node_at(const struct sph_face *f, const void *node, int position, const void **copy)
{
	int error = sph_face_node(f, node, copy), count;

	if (error)
		return error;
	count = (int)sph_view_count(*copy);
	if (position >= 0 && position <= count)
		return position == 0 ? -ENOENT : 0;
	return sas_service_fail(EINVAL, "the node at %p has %d keys: there is no position %d", node, count, position);
}

int sph_face_node_count(const struct sph_face *f, const void *node)
{
	const void *copy;
	int error = sph_face_node(f, node, &copy);

	return (int)sph_face_number(error ? error : (int)sph_view_count(copy));
}

int sph_face_node_key(const struct sph_face *f, const void *node, int position, struct sph_key *key)
{
	const void *copy;
	unsigned char *bytes;
	int error = sph_face_node_at(f, node, position, &copy);

	if (error)
		return error;
	bytes = (unsigned char *)(uintptr_t)copy + SPH_KEPT_PAGE;
	key->bytes = bytes;
	return sph_view_key(copy, (unsigned)position - 1, bytes, &key->size);
}

/* Position 0, where there is nothing, is no mistake: programs go from 0 to count. */
void *sph_face_node_branch(const struct sph_face *f, const void *node, int position)
{
	const void *copy;
	int error = sph_face_node_at(f, node, position, &copy);

	if (error == -ENOENT)
		error = 0;
	if (!error && sph_view_level(copy) == 0)
		return NULL;
	return sph_face_pointer(error, error ? 0 : (uintptr_t)sph_view_child(copy, (unsigned)position));
}

void *sph_face_node_value(const struct sph_face *f, const void *node, int position)
{
	const void *copy;
	int error = sph_face_node_at(f, node, position, &copy);

	if (error == -ENOENT || (!error && sph_view_level(copy) != 0))
		return NULL;
	return sph_face_pointer(error, error ? 0 : sph_view_value(copy, (unsigned)position - 1));
}

/* --- searching below a node */

struct search {
	struct sas_look look;
	const SASBlockHeader *tree;
	struct sph_key key;
	enum sph_seek how;
	const void *node;               /* found */
	unsigned place;
	unsigned char *bytes;           /* of one of a node's keys */
};

static int compare(struct search *s, const void *copy, unsigned place, int *order)
{
	size_t size, least;
	int error = sph_view_key(copy, place, s->bytes, &size);

	if (error)
		return error;
	least = size < s->key.size ? size : s->key.size;
	*order = memcmp(s->bytes, s->key.bytes, least);
	if (*order == 0)
		*order = size < s->key.size ? -1 : size > s->key.size;
	return 0;
}

/* How many keys of the node are below, or (GT, LE) at or below, the key: what is looked for lies at that place or before it. */
static int find_place(struct search *s, const void *copy, unsigned *place)
{
	int beyond = s->how == SPH_SEEK_GT || s->how == SPH_SEEK_LE, order, error;
	unsigned low = 0, high = sph_view_count(copy), middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		error = compare(s, copy, middle, &order);
		if (error)
			return error;
		if (order < beyond)
			low = middle + 1;
		else
			high = middle;
	}
	*place = low;
	return 0;
}

static int is_downward(const struct search *s)
{
	return s->how == SPH_SEEK_LT || s->how == SPH_SEEK_LE;
}

static int search_leaf(struct search *s, const void *node, const void *copy, unsigned place)
{
	int order = 0, error = 0;

	if (is_downward(s) ? place == 0 : place == sph_view_count(copy))
		return -ENOENT;
	if (s->how == SPH_SEEK_EQ)
		error = compare(s, copy, place, &order);
	if (error || order)
		return error ? error : -ENOENT;
	s->node = node;
	s->place = is_downward(s) ? place - 1 : place;
	return 0;
}

/* Levels go down, so it ends. level: what is expected; the first node's is found. */
static int search_node(struct search *s, const void *node, int level)
{
	unsigned place = 0, count;
	void *copy = malloc(SPH_KEPT_PAGE);
	int error, down = is_downward(s);

	if (!copy)
		return sas_service_fail(ENOMEM, "no memory for the copy of a node");
	error = sph_tree_copy_node(&s->look, s->tree, node, copy);
	if (!error && level >= 0 && (int)sph_view_level(copy) != level)
		error = sas_service_fail(EUCLEAN, "the node at %p is of another level: it was changed meanwhile, or is damaged", node);
	if (!error)
		error = find_place(s, copy, &place);
	if (error)
		goto out;
	level = (int)sph_view_level(copy);
	if (level == 0) {
		error = search_leaf(s, node, copy, place);
		goto out;
	}
	/* A branch may have nothing on the side that is wanted: then its neighbour has. */
	count = sph_view_count(copy);
	do
		error = search_node(s, sph_view_child(copy, place), level - 1);
	while (error == -ENOENT && (down ? place-- > 0 : place++ < count));
out:
	free(copy);
	return error;
}

int sph_face_search(const struct sph_face *f, const void *node, struct sph_key key, enum sph_seek how, void **found, short *position)
{
	struct search s;
	int error;

	s.key = key;
	s.how = how;
	s.bytes = sph_keep_page();
	error = s.bytes ? begin(&s.look, f, node) : -ENOMEM;
	if (error)
		return sph_face_done(error);
	do {
		error = find_tree(&s.look, f, node, &s.tree);
		if (!error)
			error = search_node(&s, node, -1);
	} while (!sas_look_ok(&s.look, node));
	if (!error) {
		*found = (void *)(uintptr_t)s.node;
		*position = (short)(s.place + 1);
	}
	return error == -ENOENT ? 0 : sph_face_done(error);
}
