/* SPDX-License-Identifier: MIT */
/*
 * sasstringbtreenode.h - looking at the nodes of a string tree. As sasindexnode.h, which says what a view is.
 *
 * Thread-safe. Page: SASIndexNodeGetCount(3).
 */
#ifndef SASPHERE_SASSTRINGBTREENODE_H
#define SASPHERE_SASSTRINGBTREENODE_H

#include "sastree.h"

typedef void *SASStringBTreeNode_t;

typedef struct SBTnodePosRef {
	SASStringBTreeNode_t node;
	short pos;
} SBTnodePosRef;

/* How many keys. -1: ESTALE: the node has been replaced; EINVAL: no node of a string tree. */
extern __C__ int SASStringBTreeNodeGetCount (SASStringBTreeNode_t header);
/* The key at 1 to count, in memory of this thread until its eighth further such call. NULL: position 0, or EINVAL. */
extern __C__ char *SASStringBTreeNodeGetKeyIndexed (SASStringBTreeNode_t header, short pos);
/* The child at 0 to count; NULL in leaves, or EINVAL. */
extern __C__ SASStringBTreeNode_t SASStringBTreeNodeGetBranchIndexed (SASStringBTreeNode_t header, short pos);
/* The value at 1 to count of a leaf; NULL in inner nodes and at position 0, or EINVAL. */
extern __C__ void *SASStringBTreeNodeGetValIndexed (SASStringBTreeNode_t header, short pos);

/* At or below this node: the key, the first one above it, at or above it, the last one below it, at or below it. 1, and
 * where it stands; 0: there is none; 0 and errno: EINVAL, ENOMEM, ESTALE, EUCLEAN. */
extern __C__ int SASStringBTreeNodeSearch (SASStringBTreeNode_t header, const char *target, SBTnodePosRef *ref);
extern __C__ int SASStringBTreeNodeSearchGT (SASStringBTreeNode_t header, const char *target, SBTnodePosRef *ref);
extern __C__ int SASStringBTreeNodeSearchGE (SASStringBTreeNode_t header, const char *target, SBTnodePosRef *ref);
extern __C__ int SASStringBTreeNodeSearchLT (SASStringBTreeNode_t header, const char *target, SBTnodePosRef *ref);
extern __C__ int SASStringBTreeNodeSearchLE (SASStringBTreeNode_t header, const char *target, SBTnodePosRef *ref);

#endif
