/* SPDX-License-Identifier: MIT */
/*
 * sasindexenum.h - going through an index in order.
 *
 * An enumerator is memory of this process, for one thread at a time. It stands on a key, or between two. The index may
 * be changed meanwhile: what is there from beginning to end is met once. Page: SASIndexEnumCreate(3).
 */
#ifndef SASPHERE_SASINDEXENUM_H
#define SASPHERE_SASINDEXENUM_H

#include "sasindex.h"

typedef void *SASIndexEnum_t;

/* Before the first key. NULL: EINVAL, ENOMEM. */
extern __C__ SASIndexEnum_t SASIndexEnumCreate (SASIndex_t btree);
/* Before start_key: the next one is the first at or above it. NULL and ENOENT: there is none. */
extern __C__ SASIndexEnum_t SASIndexEnumCreateStartAt (SASIndex_t btree, const SASIndexKey_t *start_key);
extern __C__ void SASIndexEnumDestroy (SASIndexEnum_t indexenum);

/* 1: there is a key above; 0. */
extern __C__ int SASIndexEnumHasMore (SASIndexEnum_t indexenum);
/* How many there are above; counts them. -1 and errno. */
extern __C__ long SASIndexEnumCount (SASIndexEnum_t indexenum);
/* Go to the next key, or the one before, and give its value; NULL and ENOENT: there is none, and it stays where it is. */
extern __C__ void *SASIndexEnumNext (SASIndexEnum_t indexenum);
extern __C__ void *SASIndexEnumNext_nolock (SASIndexEnum_t indexenum);
extern __C__ void *SASIndexEnumPrevious (SASIndexEnum_t indexenum);
extern __C__ void *SASIndexEnumPrevious_nolock (SASIndexEnum_t indexenum);
/* The key that it stands on, or was set to, in memory of the thread as of SASIndexGetMinKey(). NULL: it stands before
 * all, or after all. */
extern __C__ SASIndexKey_t *SASIndexEnumCurrent (SASIndexEnum_t indexenum);
/* Stand directly before the key, or (after != 0) directly behind it, whether it is there or not. key NULL: before all,
 * or after all keys. 0; -1 and EINVAL. */
extern __C__ int SASIndexEnumSeek (SASIndexEnum_t indexenum, const SASIndexKey_t *key, int after);

#endif
