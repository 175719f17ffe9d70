/* SPDX-License-Identifier: MIT */
/*
 * tree_model.h - a tree (sph/tree/tree.h) beside what it has to be: all keys that may be in it, in order, and for each whether it is
 * there, and with which value.
 */
#ifndef TREE_MODEL_H
#define TREE_MODEL_H

#include "fixture.h"
#include "sph/tree/tree.h"

enum tree_keys {
	TREE_ROW,               /* consecutive numbers, highest byte first */
	TREE_NUMBERS,           /* numbers spread over 64 bits */
	TREE_TEXTS,
	TREE_BYTES,             /* few values, many zeros, lengths from 0 to the limit, mostly short */
	TREE_PREFIXES,          /* long common beginnings, of which one key is the end */
	TREE_LIMIT,             /* as long as may be, and different in the last bytes alone */
	TREE_KINDS
};

struct tree_key {
	struct sph_key key;
	uint64_t value;
	int there;
};

struct tree_model {
	SASBlockHeader *tree;
	void *memory;                   /* malloc'd; NULL: a block of the region */
	struct sas_use use;             /* for as long as the model lives */
	struct sas_look look;
	struct tree_key *keys;          /* in order */
	unsigned count, there;
	size_t free_bytes;              /* of the empty tree */
	uint64_t random, next_value;
};

/* An empty tree in the region of the fixture, or in memory of the test's own, and up to `count` keys. */
struct tree_model *tree_model_make(enum tree_keys kind, size_t page, size_t size, int expanding, int in_region, unsigned count, uint64_t seed);
void tree_model_free(struct tree_model *m);
/* In a new process, which has joined the region. */
void tree_model_begin(struct tree_model *m);
void tree_model_end(struct tree_model *m);

/* A key that was drawn is inserted, removed, replaced or looked up: the tree answers as the model does. */
void tree_model_step(struct tree_model *m, unsigned insert_percent);
/* So much is in order that it is said at once. */
void tree_model_insert(struct tree_model *m, struct tree_key *k);
void tree_model_remove(struct tree_model *m, struct tree_key *k);
/* No problem in the tree; all keys, both ways, from everywhere; no page in transit. */
void tree_model_compare(struct tree_model *m);
/* All keys that are there go, in some order; then all pages are free. */
enum tree_order { TREE_UP, TREE_DOWN, TREE_ANY };
void tree_model_empty(struct tree_model *m, enum tree_order order);
/* Into the empty tree: those that one of so many drawn would be. */
void tree_model_load(struct tree_model *m, unsigned one_in);

/* What sph_tree_check() tells is printed; how many. */
long tree_problems(struct sas_use *u, SASBlockHeader *tree);

#endif
