/* SPDX-License-Identifier: MIT */
/*
 * sastree.h - what indexes (sasindex.h) and string trees (sasstringbtree.h) have in common.
 *
 * Both are B-trees in blocks of a region, with a pointer per key, that any number of threads and processes read and
 * change at the same time. A reader takes no lock, stores nothing and is never in a writer's way; a writer excludes
 * others from the nodes that it changes alone. Who holds the tree's address (SASLock) with READ keeps writers out, with
 * WRITE readers as well. The calls that end in _nolock, or NoLock, do not look at that lock: for who holds it, or needs
 * nobody kept out; beside each other and beside the plain ones they are as safe as those.
 *
 * A death at any instruction leaves each call done or not done, keeps nobody waiting and loses no page. errno tells why
 * a call failed, and there is a sentence, SASLastErrorMessage(), except where a key is absent (ENOENT) or there already
 * (EEXIST).
 *
 * A tree also works in any other memory that its Init call has formatted. Such memory has no locks, so the program
 * excludes; and no deaths are noticed there.
 */
#ifndef SASPHERE_SASTREE_H
#define SASPHERE_SASTREE_H

#include <stddef.h>
#include <stdint.h>
#include "sastype.h"

typedef struct SASTreeInfo {
	size_t structSize;              /* set by the caller: sizeof(SASTreeInfo) */
	uint64_t keys;
	uint64_t depth;                 /* nodes from the root to a leaf, both counted */
	uint64_t leaves, inner;         /* nodes */
	uint64_t keyBytes;              /* of all keys, as they were put */
	uint64_t usedBytes;             /* in nodes */
	uint64_t freePages, inTransit;  /* nodes that are not in the tree, and of those the ones that somebody is working on */
	uint64_t pageSize, longestKey;  /* bytes */
	uint64_t leafPercent;           /* how full leaves are, on average */
} SASTreeInfo;

/* A problem that a check found: at a node, or NULL, and what it is. It must not call the library. */
typedef void (*SASTreeProblem_t) (const void *node, const char *what, void *arg);

/* For programs that hand it to calls on single nodes, which are not offered here. */
#ifndef LOCK_ON_T
#define LOCK_ON_T
typedef int lock_on_t;
static const lock_on_t LOCK_ON = 1;
static const lock_on_t LOCK_OFF = 0;
#endif

#endif
