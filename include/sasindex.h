/* SPDX-License-Identifier: MIT */
/*
 * sasindex.h - an index: binary keys of up to 120 bytes (sasindexkey.h) in order, each with a pointer.
 *
 * sastree.h says how indexes are shared. The keys' bytes are copied into the index, values are the program's: any
 * pointer, NULL too. Where NULL also means that there is no such key, errno tells (ENOENT), and is not changed
 * otherwise. EINVAL: no index, or a key whose sizes cannot be. All calls are thread-safe; none is async-signal-safe.
 * Pages: SASIndexCreate(3), SASIndexPut(3).
 */
#ifndef SASPHERE_SASINDEX_H
#define SASPHERE_SASINDEX_H

#include "sasindexkey.h"
#include "sasindexnode.h"
#include "sastree.h"

typedef void *SASIndex_t;

/* An index in a block of the default region, of block_size bytes, a power of two; nodes are pages of 4096 bytes, or
 * page_size, a power of two from 512 to 65536; the first page is a header. It grows by further blocks of that size, but
 * a fixed one does not. NULL: EINVAL, or errno of SASBlockAlloc(3). */
extern __C__ SASIndex_t SASIndexCreate (block_size_t block_size);
extern __C__ SASIndex_t SASIndexCreatePageSize (block_size_t block_size, block_size_t page_size);
extern __C__ SASIndex_t SASIndexFixedCreate (block_size_t block_size);
/* The same in memory of the caller's, whatever it holds. Gives btree_block. */
extern __C__ SASIndex_t SASIndexInit (void *btree_block, block_size_t btree_size, block_size_t page_size, int expanding);
/* One more block now. It belongs to the index. NULL: ENOSPC, EINVAL. */
extern __C__ SASIndex_t SASIndexExpandCreate (SASIndex_t btree);
/* Its blocks go back to the region; memory outside of regions stays the program's. Waits for all others, whose next
 * calls fail with EINVAL. */
extern __C__ void SASIndexDestroy (SASIndex_t btree);

/* 1; 0: errno: EEXIST (the old value stays), ENOSPC, EINVAL. */
extern __C__ int SASIndexPut (SASIndex_t btree, SASIndexKey_t *key, void *value);
extern __C__ int SASIndexPut_nolock (SASIndex_t btree, SASIndexKey_t *key, void *value);
/* The value before; NULL and ENOENT: there is no such key, and nothing was changed. */
extern __C__ void *SASIndexReplace (SASIndex_t btree, SASIndexKey_t *key, void *value);
extern __C__ void *SASIndexReplace_nolock (SASIndex_t btree, SASIndexKey_t *key, void *value);
extern __C__ void *SASIndexRemove (SASIndex_t btree, SASIndexKey_t *key);
extern __C__ void *SASIndexRemove_nolock (SASIndex_t btree, SASIndexKey_t *key);
/* An empty index from keys in ascending order. next() gives 1 and the next key and value, 0 at the end, or less to give
 * up (ECANCELED); it must not call the library. All or nothing. How many, or -1: EEXIST (out of order, or twice),
 * ENOTEMPTY, ENOSPC, EINVAL. */
typedef int (*SASIndexSource_t) (SASIndexKey_t *key, void **value, void *arg);
extern __C__ long SASIndexLoad (SASIndex_t btree, SASIndexSource_t next, void *arg);
/* visit() for each key and value in order, from the first at or above start_key (NULL: from the first) until it does not
 * give 0; the key is for the call alone. Faster than an enumerator: the keys of a node are met as they were at one
 * moment. visit() may call the library. How many it was called for, or -1. */
typedef int (*SASIndexVisit_t) (const SASIndexKey_t *key, void *value, void *arg);
extern __C__ long SASIndexScan (SASIndex_t btree, const SASIndexKey_t *start_key, SASIndexVisit_t visit, void *arg);

/* The value; NULL and ENOENT. */
extern __C__ void *SASIndexGet (SASIndex_t btree, const SASIndexKey_t *key);
extern __C__ void *SASIndexGet_nolock (SASIndex_t btree, const SASIndexKey_t *key);
/* 1, 0; 0 and errno: EINVAL, EUCLEAN. */
extern __C__ int SASIndexContainsKey (SASIndex_t btree, SASIndexKey_t *key);
extern __C__ int SASIndexContainsKey_nolock (SASIndex_t btree, const SASIndexKey_t *key);
/* A copy of the largest, or smallest, key, in memory of this thread: valid until its eighth further call of these, of
 * the same of a string tree, or of those that give the keys of nodes. NULL: empty, ENOENT; EINVAL, ENOMEM, EUCLEAN. */
extern __C__ SASIndexKey_t *SASIndexGetMaxKey (SASIndex_t btree);
extern __C__ SASIndexKey_t *SASIndexGetMaxKey_nolock (SASIndex_t btree);
extern __C__ SASIndexKey_t *SASIndexGetMinKey (SASIndex_t btree);
extern __C__ SASIndexKey_t *SASIndexGetMinKey_nolock (SASIndex_t btree);
/* 1: no key; 0; -1 and errno. */
extern __C__ int SASIndexIsEmpty (SASIndex_t btree);
extern __C__ int SASIndexIsEmpty_nolock (SASIndex_t btree);
/* How many keys: walks all leaves. -1 and errno. */
extern __C__ long SASIndexGetCurCount (SASIndex_t btree);
/* 1, and one more for each key that was put, replaced or removed. 0 and EINVAL. */
extern __C__ long SASIndexGetModCount (SASIndex_t btree);
extern __C__ long SASIndexGetModCount_nolock (SASIndex_t btree);

/* The root as a view (sasindexnode.h); NULL: no key, or errno. */
extern __C__ SASIndexNode_t SASIndexGetRootNode (SASIndex_t btree);
extern __C__ SASIndexNode_t SASIndexGetRootNode_nolock (SASIndex_t btree);
/* Bytes of a node; bytes of nodes that are not in use, in all blocks. 0 and EINVAL. */
extern __C__ block_size_t SASIndexAllocSize (SASIndex_t btree);
extern __C__ block_size_t SASIndexFreeSpace (SASIndex_t btree);
/* What it is made of: walks all nodes. 0; -1: EINVAL, EUCLEAN. */
extern __C__ int SASIndexGetInfo (SASIndex_t btree, SASTreeInfo *info);
/* All of it, while nobody else uses it; problem may be NULL. How many problems, each told; -1 and errno. */
extern __C__ long SASIndexCheck (SASIndex_t btree, SASTreeProblem_t problem, void *arg);

#endif
