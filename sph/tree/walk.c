/* SPDX-License-Identifier: MIT */
/*
 * walk.c - from the root to a leaf, beside writers: optimistic lock coupling, see tree.h.
 *
 * A pointer is followed after its holder's word has told that it was one; and the child's word, once read, is the
 * one of the node that the holder points to, as the holder's word has not changed until after that.
 */
#include <config.h>

#include <errno.h>
#include "node.h"

static int leads_nowhere(const SASBlockHeader *tree, uint64_t address)
{
	return sas_service_fail(EUCLEAN, "the tree %p: a pointer leads to %#llx, where no node of it can be", (const void *)tree,
				(unsigned long long)address);
}

static inline int reach(const struct sas_look *l, const SASBlockHeader *tree, uint64_t address)
{
	uint64_t offset = address - l->base;

	if (__builtin_expect((l->size && offset >= l->size) || !address, 0))
		return leads_nowhere(tree, address);
	return sas_look_reach(l, (const void *)address);
}

static inline void prefetch_inner(uint64_t address)
{
	__builtin_prefetch((const char *)address + 64);
	__builtin_prefetch((const char *)address + 128);
}

/* There was no word to go by. Where the holder has stayed as it was, it leads to a page that is no node of the tree
 * any more. */
static int lost_the_way(const SASBlockHeader *tree, const uint64_t *holder, uint64_t was, struct sph_node *node)
{
	uint64_t word = __atomic_load_n(sph_node_word(node), __ATOMIC_ACQUIRE);

	return (word == 0 || word == SPH_WORD_OUTDATED) && sph_word_is(holder, was) ? leads_nowhere(tree, (uintptr_t)node) : 1;
}

/* One attempt. 0; 1: somebody was faster; -errno. */
static inline int walk(const struct sas_look *l, const SASBlockHeader *tree, struct sph_key key, enum sph_side side, uint64_t hash,
		       struct sph_path *path)
{
	struct sph_m_tree *t = sph_tree_of(tree);
	const size_t page = t->page_size;
	const uint64_t *holder = &t->word;
	uint64_t was = sph_word_read(l, holder), pointer, word;
	int error;

	if (!was)
		return 1;
	path->word = was;
	path->depth = 0;
	pointer = __atomic_load_n(&t->root, __ATOMIC_RELAXED);
	if (!pointer)
		return !sph_word_is(holder, was);
	for (unsigned depth = 0; depth < SPH_DEPTH; depth++) {
		struct sph_step *s = &path->step[depth];
		unsigned level;

		if (!sph_word_is(holder, was))
			return 1;
		s->node = sph_node_at(pointer);
		error = reach(l, tree, (uintptr_t)s->node);
		if (error)
			return error;
		word = sph_word_read(l, sph_node_word(s->node));
		if (!word)
			return lost_the_way(tree, holder, was, s->node);
		if (!sph_word_is(holder, was))
			return 1;
		s->word = word;
		level = __atomic_load_n(&s->node->n.level, __ATOMIC_RELAXED);
		if (level == 0) {
			path->depth = depth + 1;
			return 0;
		}
		if (side == SPH_LAST) {
			s->child = sph_inner_last(s->node, page);
			pointer = sph_inner_child(s->node, page, s->child);
		} else
			s->child = sph_inner_find(s->node, page, key, side == SPH_BELOW, &pointer);
		if (level == 1)
			sph_leaf_prefetch(t, pointer, hash);
		else
			prefetch_inner(pointer);
		holder = sph_node_word(s->node);
		was = word;
	}
	return leads_nowhere(tree, pointer);
}

int sph_walk(const struct sas_look *l, const SASBlockHeader *tree, struct sph_key key, enum sph_side side, uint64_t hash,
		       struct sph_path *path)
{
	int again;

	do
		again = walk(l, tree, key, side, hash, path);
	while (again > 0);
	return again;
}

int sph_path_is_unchanged(const struct sph_path *path)
{
	for (unsigned i = 0; i < path->depth; i++)
		if (!sph_word_is(sph_node_word(path->step[i].node), path->step[i].word))
			return 0;
	return 1;
}

int sph_path_is_broken(const SASBlockHeader *tree)
{
	return sas_service_fail(EUCLEAN, "the tree %p: a separator is longer than a key", (const void *)tree);
}

int sph_path_bound(const struct sph_path *path, size_t page, unsigned depth, int upper, unsigned char *bytes, size_t *size)
{
	while (depth-- > 0) {
		const struct sph_step *s = &path->step[depth];
		size_t prefix = sph_node_prefix_size(s->node, page);
		struct sph_key suffix;

		if (upper ? s->child >= sph_inner_last(s->node, page) : s->child == 0)
			continue;
		suffix = sph_inner_suffix(s->node, page, upper ? s->child : s->child - 1);
		if (!suffix.bytes || prefix + suffix.size > page / 4)
			return -1;
		sph_racy_copy(bytes, sph_node_prefix(s->node, page, prefix), prefix);
		sph_racy_copy(bytes + prefix, suffix.bytes, suffix.size);
		*size = prefix + suffix.size;
		return 1;
	}
	return 0;
}
