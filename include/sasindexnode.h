/* SPDX-License-Identifier: MIT */
/*
 * sasindexnode.h - looking at the nodes of an index.
 *
 * A node is known by its address. Each call works on a copy of the node as it was at one moment, so a node that is
 * changed or given back meanwhile harms nobody; the next call may see another state. Positions count from 1. Values lie
 * in leaves alone; the keys of an inner node are the shortest that tell its branches apart, and need not be in the
 * index: branch i holds what is at or above key i and below key i + 1.
 *
 * There are no calls that format, fill or change single nodes. Thread-safe. Page: SASIndexNodeGetCount(3).
 */
#ifndef SASPHERE_SASINDEXNODE_H
#define SASPHERE_SASINDEXNODE_H

#include "sasindexkey.h"
#include "sastree.h"

typedef void *SASIndexNode_t;

typedef struct IDXnodePosRef {
	SASIndexNode_t node;
	short pos;
} IDXnodePosRef;

typedef struct __IDXnodeKeyRef {
	SASIndexNode_t node;
	SASIndexKey_t *key;
	void *val;
	int dupKey;
} __IDXnodeKeyRef;

/* How many keys. -1: ESTALE: the node has been replaced; EINVAL: no node of an index. */
extern __C__ int SASIndexNodeGetCount (SASIndexNode_t header);
/* The key at 1 to count, in memory of this thread until its eighth further such call (SASIndexGetMinKey(3)). NULL:
 * position 0, or EINVAL. */
extern __C__ SASIndexKey_t *SASIndexNodeGetKeyIndexed (SASIndexNode_t header, short pos);
/* The child at 0 to count; NULL in leaves, or EINVAL. */
extern __C__ SASIndexNode_t SASIndexNodeGetBranchIndexed (SASIndexNode_t header, short pos);
/* The value at 1 to count of a leaf; NULL in inner nodes and at position 0, or EINVAL. */
extern __C__ void *SASIndexNodeGetValIndexed (SASIndexNode_t header, short pos);

/* At or below this node: the key, the first one above it, at or above it, the last one below it, at or below it. 1, and
 * where it stands; 0: there is none; 0 and errno: EINVAL, ENOMEM, ESTALE, EUCLEAN. */
extern __C__ int SASIndexNodeSearch (SASIndexNode_t header, const SASIndexKey_t *target, IDXnodePosRef *ref);
extern __C__ int SASIndexNodeSearchGT (SASIndexNode_t header, const SASIndexKey_t *target, IDXnodePosRef *ref);
extern __C__ int SASIndexNodeSearchGE (SASIndexNode_t header, const SASIndexKey_t *target, IDXnodePosRef *ref);
extern __C__ int SASIndexNodeSearchLT (SASIndexNode_t header, const SASIndexKey_t *target, IDXnodePosRef *ref);
extern __C__ int SASIndexNodeSearchLE (SASIndexNode_t header, const SASIndexKey_t *target, IDXnodePosRef *ref);

#endif
