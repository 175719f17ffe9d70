/* SPDX-License-Identifier: MIT */
/*
 * buddy.h - an index of free space: which aligned power-of-two runs of units are free. Layer 2.
 *
 * Knuth's buddy system (TAOCP 1, 2.5) on bitmaps: per order a bit for each run that is free and
 * whose buddy is not, and above it a summary bit per word, so that the lowest free run is found
 * by looking at a few words however fragmented the space is. It lives in SAS.run, is derived from a
 * block map and holds no pointer; all its numbers are masked or bounded by the caller's `units`.
 *
 * Locks: the caller holds the region's block lock.
 * Crash: a death inside any call leaves garbage; the intent record REINDEX, written before, makes
 * recovery build the index anew.
 */
#ifndef SAS_BUDDY_H
#define SAS_BUDDY_H

#include <stddef.h>
#include <stdint.h>

#define SAS_BUDDY_ORDERS 32

struct sas_buddy {
	uint32_t epoch;                 /* the owner's: which building of the index this is */
	uint32_t orders;                /* 0 .. orders - 1 */
	uint64_t units;
	uint64_t free_units;
	uint32_t count[SAS_BUDDY_ORDERS];       /* free runs */
	uint32_t bits[SAS_BUDDY_ORDERS];        /* where the order's bitmap starts, in words */
	uint32_t summary[SAS_BUDDY_ORDERS];
	uint64_t words[];
};

/* Bytes that an index over so many units takes. */
size_t sas_buddy_size(uint64_t units);
/* Nothing is free. */
void sas_buddy_format(struct sas_buddy *b, uint64_t units);
/* [unit, unit + 2^order) becomes free and merges with its buddies; gives the order of the run it is now in. */
uint32_t sas_buddy_give(struct sas_buddy *b, uint64_t unit, uint32_t order);
/* The same for any range, in the largest aligned pieces. */
void sas_buddy_give_range(struct sas_buddy *b, uint64_t from, uint64_t to);
/* Take 2^order units: from the smallest run that holds them, the lowest of these; its order in *from.
 * -1: there is none. */
int64_t sas_buddy_take(struct sas_buddy *b, uint32_t order, uint32_t *from);
/* The lowest run of exactly this order at or after `unit`: for walks over the free runs. -1: none. */
int64_t sas_buddy_next(const struct sas_buddy *b, uint32_t order, uint64_t unit);

#endif
