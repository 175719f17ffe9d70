/* SPDX-License-Identifier: MIT */
/*
 * tree_help.h - what the tests of indexes, string trees and their enumerators share. Words that tests are made of: no prefix.
 */
#ifndef TREE_HELP_H
#define TREE_HELP_H

#include "sasindex.h"
#include "sasstringbtree.h"
#include "fixture.h"

/* For checked fixtures: the default region, in a store of this test. */
void tree_begin(void);
void tree_end(void);

/* The call gives what it gives where there is no value, and errno. */
#define gives(call, what, error)                        \
	do {                                            \
		errno = 0;                              \
		ck_assert((call) == (what));            \
		ck_assert_int_eq(errno, error);         \
	} while (0)
/* A NULL that is a value: errno is as it was. */
#define gives_value(call, what) gives(call, what, 0)

static inline void *value_of(uint64_t n) { return (void *)(uintptr_t)n; }
static inline SASIndexKey_t number(uint64_t n)
{
	SASIndexKey_t key = { 0 };

	SASIndexKeyInitUInt64(&key, n);
	return key;
}
/* A key of these bytes, or of the first so many of an incomplete last word. */
SASIndexKey_t key_of(const void *bytes, size_t size);

/* No problem, which would be printed. */
void index_clean(SASIndex_t index);
void strings_clean(SASStringBTree_t tree);

#endif
