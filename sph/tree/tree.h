/* SPDX-License-Identifier: MIT */
/*
 * tree.h - the B-tree under indexes and string trees: byte strings in order, each with a word.
 *
 * Keys are compared as memcmp(3) does, a prefix before what it is the beginning of. The faces (index.c, strings.c)
 * turn their keys into such strings. A key is 0 to sph_tree_longest() bytes long.
 *
 * The tree is made of pages (pages.h). Leaves hold keys and values, inner nodes hold separators, the shortest
 * strings that tell their children apart. All leaves lie equally deep.
 *
 * A leaf is changed in place. Its entries stand in slots in no order. A bit per slot says whether the entry counts: one
 * store of a word of 64 of them publishes an insertion or a removal. A byte per slot, of a hash of the key, finds the
 * slot: FPTree's fingerprints (Oukid and others, SIGMOD 2016). The hash also says where an entry is best put, so that
 * the lines that a lookup needs are on their way before it has seen the leaf. A scan puts a leaf in order for itself.
 * What all keys of a node begin with is stored once.
 *
 * An inner node does not change, but for its pointers to children. All that changes more than one leaf, or its form
 * (a split, a merge, a leaf packed anew), builds new pages, from the leaf up to the first node whose only change is
 * one pointer, or to the root: the store of that pointer publishes all of it, as in shadow paging (Gray and others,
 * 1981; LMDB). The old pages are marked as outdated and given back.
 *
 * Readers take no lock and store nothing: optimistic lock coupling (Leis and others, ICDE 2013 and DaMoN 2016). A
 * node's word is its version, even, or says who is changing it, odd. A reader reads the child's word before it makes
 * sure that the parent's has stayed the same, and believes what it has read in a node only if the node's word has
 * stayed as it was. Pages are only ever nodes of this tree, and their versions go on when they are used again, so a
 * reader that has been overtaken reads bytes, within the page, and starts again.
 *
 * Writers lock nodes: a leaf alone, or the nodes that are about to be replaced and the one that points to them, from
 * the words that they have read, without ever waiting while they hold one: who fails lets go of all and starts
 * again. So there is no deadlock.
 *
 * Crash. A word that is odd names its owner; who meets it and finds the owner dead takes the node over:
 *   a leaf         entries whose bits are set count, the others do not; there is nothing else to mend; its version goes on.
 *   an inner node  one pointer has been stored, or not.
 * New pages that were never published, and old ones that were not yet given back, are in transit, and belong to
 * nobody whom the tree does not reach from the root: the next change of nodes sees to them, and a check.
 *
 * Locks: the words of nodes. Under them the page calls may grow the tree, and the runtime's block lock be taken; who
 * holds that never waits for a node. Multi-host: the object's address lock covers all.
 */
#ifndef SPH_TREE_H
#define SPH_TREE_H

#include <stddef.h>
#include <stdint.h>
#include "sph/pages/pages.h"
#include "sastree.h"

struct sph_key {
	const unsigned char *bytes;
	size_t size;
};

#define SPH_KEY_LONGEST 16384U          /* of any tree: a quarter of the largest page */

/* Formats the block as a tree of this type and of nodes of page_size bytes. 0; -EINVAL. */
int sph_tree_format(void *block, size_t size, size_t page_size, int expanding, sas_type_t tree_type, sas_type_t node_type, int clean);
/* All that the tree has taken but its main block. */
int sph_tree_destroy(struct sas_use *u, SASBlockHeader *tree);
/* The longest key, in bytes: a quarter of a page, of the default page 1024. */
size_t sph_tree_longest(const SASBlockHeader *tree);

/* --- readers. 0; -ENOENT; -EUCLEAN, with a sentence, where a pointer leads nowhere. */
int sph_tree_get(struct sas_look *l, const SASBlockHeader *tree, struct sph_key key, uint64_t *value);
/* The smallest (or last != 0: the largest) key: its bytes go to `bytes`, which has room for sph_tree_longest(). */
int sph_tree_edge(struct sas_look *l, const SASBlockHeader *tree, int last, unsigned char *bytes, size_t *size, uint64_t *value);
/* How many keys; walks all leaves. */
int sph_tree_count(struct sas_look *l, const SASBlockHeader *tree, uint64_t *count);
/* How many changes there have been: to see whether there was one. */
uint64_t sph_tree_changes(const SASBlockHeader *tree);
/* 1, 0, -errno. */
int sph_tree_is_empty(struct sas_look *l, const SASBlockHeader *tree);

/* --- writers: under any use. -ENOSPC, and -ENOMEM (of the region: no addresses; of this process: no memory), leave
 * the tree as it was. */
/* -EEXIST; -ENAMETOOLONG; -ENOSPC. */
int sph_tree_insert(struct sas_use *u, SASBlockHeader *tree, struct sph_key key, uint64_t value);
/* -ENOENT. */
int sph_tree_replace(struct sas_use *u, SASBlockHeader *tree, struct sph_key key, uint64_t value, uint64_t *old);
int sph_tree_remove(struct sas_use *u, SASBlockHeader *tree, struct sph_key key, uint64_t *old);
/* An empty tree from keys in ascending order: next() gives 1 and the next one, 0 at the end, or -errno. -EEXIST: out
 * of order, or twice; -ENOTEMPTY. All or nothing. */
int sph_tree_load(struct sas_use *u, SASBlockHeader *tree, int (*next)(struct sph_key *key, uint64_t *value, void *arg), void *arg);

/* --- cursors: a place in the order of keys, in process memory. What was there before it began and until it ended is
 * met once, whatever happens beside it. Not for two threads at once. */
struct sph_cursor;
/* NULL: ENOMEM. It stands before all keys. */
struct sph_cursor *sph_cursor_make(const SASBlockHeader *tree);
void sph_cursor_free(struct sph_cursor *c);
/* So that the next one is the first at or above (above: `after`) the key, or, backwards, the last at or below (below:
 * `after`). */
int sph_cursor_set(struct sph_cursor *c, struct sph_key key, int after);
/* Before all keys, or (last) after all. */
void sph_cursor_reset(struct sph_cursor *c, int last);
/* 0: *key, valid until the next call of this cursor, and *value; -ENOENT: there is no further one. */
int sph_cursor_next(struct sas_look *l, struct sph_cursor *c, struct sph_key *key, uint64_t *value);
int sph_cursor_previous(struct sas_look *l, struct sph_cursor *c, struct sph_key *key, uint64_t *value);

/* Many at once: load() brings a leaf with keys above the place, 0, or -ENOENT: there are none. Then, if what was read
 * counts, drain() calls each() for these, in order, as they were at that moment, until it does not give 0, and gives
 * that; the place is behind the leaf in any case. The byte behind the key is each()'s as well. */
int sph_cursor_load(struct sas_look *l, struct sph_cursor *c);
int sph_cursor_drain(struct sph_cursor *c, int (*each)(struct sph_key key, uint64_t value, void *arg), void *arg);

/* --- for views, statistics and checks */
/* A node as it was at one moment, copied to `copy`, which has room for a page. NULL as node: the root. */
struct sph_node_view;
int sph_tree_copy_node(struct sas_look *l, const SASBlockHeader *tree, const void *node, void *copy);
const void *sph_tree_root(const SASBlockHeader *tree);
/* Of a copy: 0 for a leaf; how many keys; the key, value (leaf) or child (inner; 0..count) at a place in the order of
 * keys, from 0. */
unsigned sph_view_level(const void *copy);
unsigned sph_view_count(const void *copy);
int sph_view_key(const void *copy, unsigned place, unsigned char *bytes, size_t *size);
uint64_t sph_view_value(const void *copy, unsigned place);
const void *sph_view_child(const void *copy, unsigned place);
/* What the tree is made of. */
struct sph_tree_info {
	uint64_t keys, depth, leaves, inner, key_bytes, used_bytes, free_pages, in_transit;
	uint64_t leaf_percent;          /* how full leaves are, on average */
};
int sph_tree_info(struct sas_look *l, const SASBlockHeader *tree, struct sph_tree_info *info);
/* As programs are told. */
void sph_tree_describe(const struct sph_tree_info *found, size_t page, SASTreeInfo *info);
/* All of it: order, bounds, depth, fingerprints, each page reached once or free. How many problems, each told to
 * `problem` with the node's address; -errno. Nobody changes the tree meanwhile. */
long sph_tree_check(struct sas_use *u, SASBlockHeader *tree, void (*problem)(const void *node, const char *what, void *arg), void *arg);

/* The same of a tree that is read from anywhere: of memory, or of files. */
#define SPH_NO_NODE 1
struct sph_tree_source {
	const void *root;               /* NULL: the tree is empty */
	size_t page;
	/* To `copy`, which has room for a page, at a multiple of 64. 0; SPH_NO_NODE; -errno. */
	int (*node)(void *arg, const void *node, void *copy);
	/* Block n of the tree, from 0: the first of its pages, and how many. 1; 0: there is none; -errno. */
	int (*block)(void *arg, uint64_t n, uint64_t *first, uint32_t *count);
	/* The owner word of a page. 0, -errno. */
	int (*owner)(void *arg, uint64_t page, uint64_t *owner);
	void *arg;
};
/* However damaged it is, it ends, after as many nodes as there are pages. How many problems; -errno. */
long sph_tree_survey(const struct sph_tree_source *from, struct sph_tree_info *info,
		     void (*problem)(const void *node, const char *what, void *arg), void *arg);

#endif
