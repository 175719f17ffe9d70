/* SPDX-License-Identifier: MIT */
/*
 * tree.c - trees: making one, looking up, inserting, replacing, removing. See tree.h.
 */
#include <config.h>

#include <errno.h>
#include "node.h"

/* --- the tree */

int sph_tree_format(void *block, size_t size, size_t page_size, int expanding, sas_type_t tree_type, sas_type_t node_type, int clean)
{
	struct sph_m_tree *t = sph_tree_of(block);
	int error = sph_pages_format(block, size, page_size, expanding, tree_type, clean);

	if (error)
		return error;
	t->version = 1;
	t->node_type = node_type;
	t->page_size = (uint32_t)page_size;
	__atomic_store_n(&t->word, 2, __ATOMIC_RELEASE);
	return 0;
}

int sph_tree_destroy(struct sas_use *u, SASBlockHeader *tree)
{
	return sph_pages_destroy(u, tree);
}

size_t sph_tree_longest(const SASBlockHeader *tree)
{
	return sph_tree_of(tree)->page_size / 4;
}

const void *sph_tree_root(const SASBlockHeader *tree)
{
	return sph_node_at(__atomic_load_n(&sph_tree_of(tree)->root, __ATOMIC_ACQUIRE));
}

uint64_t sph_tree_changes(const SASBlockHeader *tree)
{
	const struct sph_m_tree *t = sph_tree_of(tree);
	uint64_t sum = 0;

	for (unsigned i = 0; i < sizeof t->stripe / sizeof *t->stripe; i++)
		sum += __atomic_load_n(&t->stripe[i].changes, __ATOMIC_RELAXED);
	return sum;
}

/* In a line that few others write. */
static void count_change(const struct sas_use *u, SASBlockHeader *tree)
{
	struct sph_m_tree *t = sph_tree_of(tree);

	__atomic_fetch_add(&t->stripe[u->token % (sizeof t->stripe / sizeof *t->stripe)].changes, 1, __ATOMIC_RELAXED);
}

/* --- looking up */

int sph_tree_get(struct sas_look *l, const SASBlockHeader *tree, struct sph_key key, uint64_t *value)
{
	const size_t page = sph_tree_of(tree)->page_size;
	const uint64_t hash = sph_key_hash(key);
	struct sph_leaf_place place;
	struct sph_path path;
	int error, found;

	for (;;) {
		const struct sph_step *s;

		error = sph_walk(l, tree, key, SPH_AT, hash, &path);
		if (error)
			return error;
		if (!path.depth)
			return -ENOENT;
		s = &path.step[path.depth - 1];
		found = sph_leaf_find(s->node, page, key, hash, &place);
		if (sph_word_is(sph_node_word(s->node), s->word))
			break;
	}
	if (!found)
		return -ENOENT;
	*value = place.value;
	return 0;
}

/* --- changing */

/* The leaf of a key, and the key's place in it. 1: it is there; 0; -errno. */
static int find(const struct sas_look *l, const SASBlockHeader *tree, struct sph_key key, uint64_t hash, struct sph_path *path,
		struct sph_leaf_place *place)
{
	int error = sph_walk(l, tree, key, SPH_AT, hash, path);

	if (error || !path->depth)
		return error;
	return sph_leaf_find(path->step[path->depth - 1].node, sph_tree_of(tree)->page_size, key, hash, place);
}

static int is_as_read(const struct sph_path *path)
{
	const struct sph_step *s = &path->step[path->depth - 1];

	return sph_word_is(sph_node_word(s->node), s->word);
}

/* From here on the leaf is as it was read. 0: somebody was faster. */
static int hold_leaf(const struct sas_use *u, const struct sph_path *path, struct sph_hold *h)
{
	const struct sph_step *s = &path->step[path->depth - 1];

	return sph_hold_take(h, u, sph_node_word(s->node), &s->node->version, s->word);
}

static int is_too_long(const SASBlockHeader *tree, struct sph_key key)
{
	size_t longest = sph_tree_longest(tree);

	if (key.size <= longest)
		return 0;
	return sas_service_fail(ENAMETOOLONG, "a key of %zu bytes: this tree's keys have %zu at most, a quarter of its nodes", key.size, longest);
}

/* 1: again. */
static int try_insert(struct sas_use *u, const struct sas_look *look, SASBlockHeader *tree, const struct sph_entry *entry, uint64_t hash)
{
	const size_t page = sph_tree_of(tree)->page_size;
	struct sph_leaf_place place;
	struct sph_path path;
	struct sph_node *leaf;
	struct sph_hold h;
	int found = find(look, tree, entry->key, hash, &path, &place), slot;

	if (found < 0)
		return found;
	if (!path.depth)
		return sph_change_insert(u, tree, &path, NULL, entry);
	if (found)
		return is_as_read(&path) ? -EEXIST : 1;
	if (!hold_leaf(u, &path, &h))
		return 1;
	leaf = path.step[path.depth - 1].node;
	slot = sph_leaf_room(leaf, page, entry->key, hash);
	if (slot < 0)
		return sph_change_insert(u, tree, &path, &h, entry);
	sph_leaf_add(leaf, page, (unsigned)slot, entry->key, hash, entry->value);
	sph_hold_end(&h);
	return 0;
}

int sph_tree_insert(struct sas_use *u, SASBlockHeader *tree, struct sph_key key, uint64_t value)
{
	const struct sph_entry entry = { .head = sph_head8(key.bytes, key.size), .key = key, .value = value };
	struct sas_look look;
	const uint64_t hash = sph_key_hash(key);
	int result = is_too_long(tree, key);

	if (result)
		return result;
	sph_look_in(&look, u);
	do
		result = try_insert(u, &look, tree, &entry, hash);
	while (result > 0);
	if (!result)
		count_change(u, tree);
	return result;
}

int sph_tree_replace(struct sas_use *u, SASBlockHeader *tree, struct sph_key key, uint64_t value, uint64_t *old)
{
	struct sas_look look;
	const uint64_t hash = sph_key_hash(key);
	struct sph_leaf_place place;
	struct sph_path path;
	struct sph_hold h;
	int found;

	sph_look_in(&look, u);
	do {
		found = find(&look, tree, key, hash, &path, &place);
		if (found < 0 || !path.depth)
			return found < 0 ? found : -ENOENT;
		if (!found && is_as_read(&path))
			return -ENOENT;
	} while (!found || !hold_leaf(u, &path, &h));
	*old = sph_leaf_swap(path.step[path.depth - 1].node, sph_tree_of(tree)->page_size, place.slot, value);
	sph_hold_end(&h);
	count_change(u, tree);
	return 0;
}

int sph_tree_remove(struct sas_use *u, SASBlockHeader *tree, struct sph_key key, uint64_t *old)
{
	struct sas_look look;
	const uint64_t hash = sph_key_hash(key);
	struct sph_leaf_place place;
	struct sph_path path;
	struct sph_hold h;
	int found, small;

	sph_look_in(&look, u);
	do {
		found = find(&look, tree, key, hash, &path, &place);
		if (found < 0 || !path.depth)
			return found < 0 ? found : -ENOENT;
		if (!found && is_as_read(&path))
			return -ENOENT;
	} while (!found || !hold_leaf(u, &path, &h));
	*old = place.value;
	sph_leaf_drop(path.step[path.depth - 1].node, place.slot);
	small = sph_leaf_is_small(path.step[path.depth - 1].node);
	sph_hold_end(&h);
	count_change(u, tree);
	if (small)
		sph_change_shrink(u, tree, key);
	return 0;
}
