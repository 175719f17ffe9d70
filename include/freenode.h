/* SPDX-License-Identifier: MIT */
/*
 * freenode.h - a list of free ranges in ascending order of address; first fit. The heaps are built on it.
 *
 * The caller keeps the head and the lock: calls on one list exclude each other. Ranges are whole
 * multiples of nodeAlign bytes: sizes are rounded up. Each free range begins with its node, so a list
 * needs no memory of its own; the nodes of lists in a region are part of the media format.
 * A call that fails changes nothing, sets errno and leaves a sentence. EINVAL: a bad argument.
 * EUCLEAN: the list is not in ascending order, so something has written into its free ranges.
 * Each call is one store: a death in it leaves the list of before, or that of after it.
 */
#ifndef SASPHERE_FREENODE_H
#define SASPHERE_FREENODE_H

#include "sastype.h"

#define nodeAlign 16
#define nodeRound 15

typedef unsigned long node_size_t;

typedef struct freeNode {
	struct freeNode *nextNode;      /* the free range above this one, or NULL */
	node_size_t nodeSize;           /* bytes of this range, the node included */
} FreeNode;

/* Make [freeNode, freeNode + size) a list of one range. size is stored as it is; what is over a
 * multiple of nodeAlign is counted as free and never given out. */
extern __C__ void freeNode_init (FreeNode *freeNode, node_size_t size);
/* Take the front of the lowest range that is large enough. The first argument is ignored.
 * NULL and ENOSPC: there is none, or the list is empty. EINVAL: head is NULL, or size is 0. */
extern __C__ FreeNode *freeNode_allocSpace (FreeNode *freeNode, FreeNode **head, node_size_t size);
/* Give back [freeNode, freeNode + size), joined with the free ranges that touch it. EINVAL: some of
 * it is free already (the list is unchanged), NULL, not aligned to 8, or size is 0. */
extern __C__ void freeNode_deallocSpace (FreeNode *freeNode, FreeNode **head, node_size_t size);
/* Bytes in the list, ranges in it, and bytes of its largest range. NULL is the empty list: 0. */
extern __C__ node_size_t freeNode_freeSpaceTotal (const FreeNode *freeNode);
extern __C__ node_size_t freeNode_freeFragmentsTotal (const FreeNode *freeNode);
extern __C__ node_size_t freeNode_maxFragment (const FreeNode *freeNode);

#endif
