/* SPDX-License-Identifier: MIT */
/*
 * change.h - replacing nodes of a tree: what the parts of it share. change.c says how, and why a death anywhere is
 * survived.
 *
 *   change_make.c     beginning, holding, new nodes, publishing, undoing
 *   change.c          splits, merges, leaves packed anew
 *   change_load.c     a tree from keys in order
 *   change_recover.c  pages that the dead have left
 */
#ifndef SPH_CHANGE_H
#define SPH_CHANGE_H

#include "node.h"

#define SPH_CHANGE_HOLDS (2 * SPH_DEPTH)

struct sph_chunk;
struct sph_change {
	struct sas_use *u;
	struct sas_look look;
	SASBlockHeader *tree;
	struct sph_m_tree *t;
	size_t page;
	const struct sph_path *path;
	uint64_t *cell;                         /* in `changing` */
	struct sph_chunk *memory;
	struct sph_node **made;                 /* new nodes */
	size_t made_count, made_room;
	unsigned hold_count, old_count;
	struct sph_hold holds[SPH_CHANGE_HOLDS];        /* of old nodes, and last the holder's */
	struct sph_node *old[SPH_CHANGE_HOLDS];
};

/* Memory until the change ends; NULL. */
void *sph_change_grab(struct sph_change *c, size_t size);
/* What was grabbed since then goes. */
struct sph_change_mark {
	struct sph_chunk *chunk;
	size_t used;
};
struct sph_change_mark sph_change_mark(const struct sph_change *c);
void sph_change_release(struct sph_change *c, struct sph_change_mark mark);
int sph_change_no_memory(void);
void sph_change_free(struct sph_change *c);
/* 0; 1: as many as may are changing nodes, or one of them is dead: sph_change_recover(), and begin again. */
int sph_change_begin(struct sph_change *c, struct sas_use *u, SASBlockHeader *tree, const struct sph_path *path);
/* What a node's word was on the way down: 0; 1: begin again. */
int sph_change_hold(struct sph_change *c, struct sph_node *node, uint64_t was);
/* Nothing has been published: all is as it was. Gives `result`. */
int sph_change_undo(struct sph_change *c, int result);
/* `at` is in the holder, whose hold is the last one; the others are of the old nodes. 0; 1: begin again. */
int sph_change_publish(struct sph_change *c, uint64_t *at, uint64_t node);

/* Entries out of nodes that are held, with whole keys. How many; -errno. */
int sph_change_take_leaf(struct sph_change *c, const struct sph_node *leaf, struct sph_entry *entries);
int sph_change_take_inner(struct sph_change *c, const struct sph_node *inner, struct sph_entry *separators);
/* The prefix and the suffix of a key; NULL bytes: no memory. */
struct sph_key sph_change_join(struct sph_change *c, const unsigned char *prefix, size_t size, struct sph_key suffix);
/* A separator of a node, whole. */
struct sph_key sph_change_separator(struct sph_change *c, const struct sph_node *inner, unsigned i);

/* So much goes into a page, so many percent full. */
static inline int sph_change_fits(const struct sph_change *c, size_t size, unsigned percent)
{
	return size <= c->page - 8 && size <= c->page * percent / 100;
}
/* A separator between two neighbours: the shortest. */
static inline struct sph_key sph_separator_between(struct sph_key below, struct sph_key above)
{
	return (struct sph_key){ above.bytes, sph_key_common(below, above) + 1 };
}
/* New nodes. 0, -errno. */
int sph_change_make_leaf(struct sph_change *c, const struct sph_entry *entries, unsigned count, uint64_t *made);
int sph_change_make_inner(struct sph_change *c, unsigned level, uint64_t leftmost, const struct sph_entry *separators, unsigned count,
			  uint64_t *made);

#endif
