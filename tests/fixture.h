/* SPDX-License-Identifier: MIT */
/*
 * fixture.h - the store and the region that each test of a program begins and ends with, joined by public
 * calls. A test may leave its region, and join or make another one in its store; the end takes what there is,
 * and its check finds nothing.
 *
 * These are words that tests are made of: no prefix.
 */
#ifndef FIXTURE_H
#define FIXTURE_H

#include "help.h"

extern char *store;             /* the directory of this test */
extern SASRegion_t region;      /* NULL: left */

/* For checked fixtures: a store alone, or one with a region of HELP_REGION. */
void store_begin(void);
void region_begin(void);
void region_end(void);

/* The default region, joined as classic programs do, of 64 MiB. */
void default_begin(void);
void default_end(void);

/* In this store. */
void region_create(uint64_t region_size, uint64_t segment_size, unsigned flags);
void region_join(unsigned flags);
void region_leave(void);

/* The block is aligned to its size. */
unsigned char *take(size_t size);
void give(void *block, size_t size);
/* All bytes of the region are in exactly one list. */
void lists_add_up(void);

/* The same with a region of 1 GiB and blocks of a segment each, none of which is mapped here. */
#define LAZY 8U
#define LAZY_REGION GIB
void lazy_begin(void);
extern unsigned char *at[LAZY]; /* at[i][k] is value(i) */
extern unsigned char *nowhere;  /* in the region, in no segment */
static inline unsigned char value(unsigned i) { return (unsigned char)(0x40 + i); }

#endif
