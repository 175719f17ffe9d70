/* SPDX-License-Identifier: MIT */
/*
 * sasstringbtreeenum.h - going through a string tree in order.
 *
 * An enumerator is memory of this process, for one thread at a time. It stands on a key, or between two. The tree may be
 * changed meanwhile: what is there from beginning to end is met once. Page: SASIndexEnumCreate(3).
 */
#ifndef SASPHERE_SASSTRINGBTREEENUM_H
#define SASPHERE_SASSTRINGBTREEENUM_H

#include "sasstringbtree.h"

typedef void *SASStringBTreeEnum_t;

/* Before the first key. NULL: EINVAL, ENOMEM. */
extern __C__ SASStringBTreeEnum_t SASStringBTreeEnumCreate (SASStringBTree_t btree);
/* Before start_key: the next one is the first at or above it. NULL and ENOENT: there is none. */
extern __C__ SASStringBTreeEnum_t SASStringBTreeEnumCreateStartAt (SASStringBTree_t btree, char *start_key);
extern __C__ void SASStringBTreeEnumDestroy (SASStringBTreeEnum_t sbtenum);

/* 1: there is a key above; 0. */
extern __C__ int SASStringBTreeEnumHasMore (SASStringBTreeEnum_t sbtenum);
/* How many there are above; counts them. -1 and errno. */
extern __C__ long SASStringBTreeEnumCount (SASStringBTreeEnum_t sbtenum);
/* Go to the next key, or the one before, and give its value; NULL and ENOENT: there is none, and it stays where it is. */
extern __C__ void *SASStringBTreeEnumNext (SASStringBTreeEnum_t sbtenum);
extern __C__ void *SASStringBTreeEnumNext_nolock (SASStringBTreeEnum_t sbtenum);
extern __C__ void *SASStringBTreeEnumPrevious (SASStringBTreeEnum_t sbtenum);
extern __C__ void *SASStringBTreeEnumPrevious_nolock (SASStringBTreeEnum_t sbtenum);
/* The key that it stands on, or was set to, "" before all and after all; valid until the next call on it. */
extern __C__ char *SASStringBTreeEnumCurrent (SASStringBTreeEnum_t sbtenum);
/* Stand directly before the key, or (after != 0) directly behind it, whether it is there or not. key NULL: before all, or
 * after all keys. 0; -1: EINVAL, ENAMETOOLONG. */
extern __C__ int SASStringBTreeEnumSeek (SASStringBTreeEnum_t sbtenum, const char *key, int after);

#endif
