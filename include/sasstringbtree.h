/* SPDX-License-Identifier: MIT */
/*
 * sasstringbtree.h - a tree of strings in the order of strcmp(3) (bytes, unsigned), each with a pointer.
 *
 * sastree.h says how trees are shared. A key is copied; it has up to a quarter of a node's bytes, its NUL not counted:
 * 1024, where nodes are pages of 4096. A longer one is refused with ENAMETOOLONG, never cut. The empty string is a key.
 * Values are the program's: any pointer, NULL too. Where NULL also means that there is no such key, errno tells
 * (ENOENT), and is not changed otherwise. EINVAL: no string tree, or no key. All calls are thread-safe; none is
 * async-signal-safe. Pages: SASStringBTreeCreate(3), SASStringBTreePut(3).
 */
#ifndef SASPHERE_SASSTRINGBTREE_H
#define SASPHERE_SASSTRINGBTREE_H

#include "sasstringbtreenode.h"
#include "sastree.h"

typedef void *SASStringBTree_t;

/* A tree in a block of the default region, of block_size bytes, a power of two; nodes are pages of 4096 bytes, or
 * page_size, a power of two from 512 to 65536; the first page is a header. It grows by further blocks of that size, but
 * a fixed one does not. NULL: EINVAL, or errno of SASBlockAlloc(3). */
extern __C__ SASStringBTree_t SASStringBTreeCreate (block_size_t block_size);
extern __C__ SASStringBTree_t SASStringBTreeCreatePageSize (block_size_t block_size, block_size_t page_size);
extern __C__ SASStringBTree_t SASStringBTreeFixedCreate (block_size_t block_size);
/* The same in memory of the caller's, whatever it holds. Gives block. */
extern __C__ SASStringBTree_t SASStringBTreeInit (void *block, block_size_t block_size, block_size_t page_size,
						    int expanding);
/* One more block now. It belongs to the tree. NULL: ENOSPC, EINVAL. */
extern __C__ SASStringBTree_t SASStringBTreeExpandCreate (SASStringBTree_t btree);
/* Its blocks go back to the region; memory outside of regions stays the program's. Waits for all others, whose next calls
 * fail with EINVAL. */
extern __C__ void SASStringBTreeDestroy (SASStringBTree_t btree);
extern __C__ void SASStringBTreeDestroyNoLock (SASStringBTree_t btree);

/* 1; 0: errno: EEXIST (the old value stays), ENAMETOOLONG, ENOSPC, EINVAL. */
extern __C__ int SASStringBTreePut (SASStringBTree_t btree, const char *key, void *value);
extern __C__ int SASStringBTreePut_nolock (SASStringBTree_t btree, const char *key, void *value);
/* The value before; NULL and ENOENT: there is no such key, and nothing was changed. */
extern __C__ void *SASStringBTreeReplace (SASStringBTree_t btree, const char *key, void *value);
extern __C__ void *SASStringBTreeReplace_nolock (SASStringBTree_t btree, const char *key, void *value);
extern __C__ void *SASStringBTreeRemove (SASStringBTree_t btree, const char *key);
extern __C__ void *SASStringBTreeRemove_nolock (SASStringBTree_t btree, const char *key);
/* An empty tree from keys in ascending order. next() gives 1 and the next key and value, 0 at the end, or less to give
 * up (ECANCELED); it must not call the library. All or nothing. How many, or -1: EEXIST (out of order, or twice),
 * ENOTEMPTY, ENAMETOOLONG, ENOSPC, EINVAL. */
typedef int (*SASStringBTreeSource_t) (const char **key, void **value, void *arg);
extern __C__ long SASStringBTreeLoad (SASStringBTree_t btree, SASStringBTreeSource_t next, void *arg);
/* visit() for each key and value in order, from the first at or above start_key (NULL: from the first) until it does not
 * give 0; the key is for the call alone. Faster than an enumerator: the keys of a node are met as they were at one
 * moment. visit() may call the library. How many it was called for, or -1. */
typedef int (*SASStringBTreeVisit_t) (const char *key, void *value, void *arg);
extern __C__ long SASStringBTreeScan (SASStringBTree_t btree, const char *start_key, SASStringBTreeVisit_t visit,
				      void *arg);

/* The value; NULL and ENOENT. */
extern __C__ void *SASStringBTreeGet (SASStringBTree_t btree, const char *key);
extern __C__ void *SASStringBTreeGet_nolock (SASStringBTree_t btree, const char *key);
/* 1, 0; 0 and errno: EINVAL, EUCLEAN. */
extern __C__ int SASStringBTreeContainsKey (SASStringBTree_t btree, const char *key);
extern __C__ int SASStringBTreeContainsKey_nolock (SASStringBTree_t btree, const char *key);
/* A copy of the largest, or smallest, key, in memory of this thread: valid until its eighth further call of these, of
 * the same of an index, or of those that give the keys of nodes. NULL: empty, ENOENT; EINVAL, ENOMEM, EUCLEAN. */
extern __C__ char *SASStringBTreeGetMaxKey (SASStringBTree_t btree);
extern __C__ char *SASStringBTreeGetMaxKey_nolock (SASStringBTree_t btree);
extern __C__ char *SASStringBTreeGetMinKey (SASStringBTree_t btree);
extern __C__ char *SASStringBTreeGetMinKey_nolock (SASStringBTree_t btree);
/* 1: no key; 0; -1 and errno. */
extern __C__ int SASStringBTreeIsEmpty (SASStringBTree_t btree);
extern __C__ int SASStringBTreeIsEmpty_nolock (SASStringBTree_t btree);
/* How many keys: walks all leaves. -1 and errno. */
extern __C__ long SASStringBTreeGetCurCount (SASStringBTree_t btree);
/* 1, and one more for each key that was put, replaced or removed. 0 and EINVAL. */
extern __C__ long SASStringBTreeGetModCount (SASStringBTree_t btree);
extern __C__ long SASStringBTreeGetModCount_nolock (SASStringBTree_t btree);

/* The root as a view (sasstringbtreenode.h); NULL: no key, or errno. */
extern __C__ SASStringBTreeNode_t SASStringBTreeGetRootNode (SASStringBTree_t btree);
extern __C__ SASStringBTreeNode_t SASStringBTreeGetRootNodeNoLock (SASStringBTree_t btree);
/* Bytes of a node; bytes of nodes that are not in use, in all blocks. 0 and EINVAL. */
extern __C__ block_size_t SASStringBTreeAllocSize (SASStringBTree_t btree);
extern __C__ block_size_t SASStringBTreeFreeSpace (SASStringBTree_t btree);
extern __C__ block_size_t SASStringBTreeFreeSpaceNoLock (SASStringBTree_t btree);
/* What it is made of: walks all nodes. 0; -1: EINVAL, EUCLEAN. */
extern __C__ int SASStringBTreeGetInfo (SASStringBTree_t btree, SASTreeInfo *info);
/* All of it, while nobody else uses it; problem may be NULL. How many problems, each told; -1 and errno. */
extern __C__ long SASStringBTreeCheck (SASStringBTree_t btree, SASTreeProblem_t problem, void *arg);

/* Nodes are the tree's own: a program can neither take nor give one. For programs that link these: NULL, or nothing,
 * and ENOTSUP. */
extern __C__ SASStringBTreeNode_t SASStringBTreeAlloc (SASStringBTree_t btree);
extern __C__ SASStringBTreeNode_t SASStringBTreeAllocNoLock (SASStringBTree_t btree);
extern __C__ SASStringBTreeNode_t SASStringBTreeNearAlloc (void *nearObj);
extern __C__ SASStringBTreeNode_t SASStringBTreeNearAllocNoLock (void *nearObj);
extern __C__ void SASStringBTreeFree (SASStringBTree_t btree, SASStringBTreeNode_t free_block);
extern __C__ void SASStringBTreeFreeNoLock (SASStringBTree_t btree, SASStringBTreeNode_t free_block);
extern __C__ void SASStringBTreeNearDealloc (void *memAddr);
extern __C__ void SASStringBTreeNearDeallocNoLock (void *memAddr);

#endif
