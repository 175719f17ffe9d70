/* SPDX-License-Identifier: MIT */
/*
 * index.h - where free space is: the derived index in SAS.run, and file space under it. Layer 2.
 *
 * The maps are the truth and lie in the media; the index (buddy.h: one over the segments and one
 * per carved segment, and per order a bitmap of the segments that have such a run) and the bits of the
 * chunks that have file space are derived from them. An index is valid when its epoch is the header's; the first
 * participant of a region makes all of them stale, so that what happened to the files meanwhile does not matter.
 *
 * Locks: block_lock held in every call, but for the sizes and the maps.
 * Crash: the REINDEX intent of who changes it; what is built without one is marked valid by its last store.
 */
#ifndef SAS_INDEX_H
#define SAS_INDEX_H

#include <stdint.h>
#include "buddy.h"
#include "region/region.h"
#include "tiles.h"

#define SAS_CHUNK_SHIFT 21              /* file space is taken and returned in chunks of 2 MiB */
#define SAS_CHUNK (1UL << SAS_CHUNK_SHIFT)

void sas_index_plan(struct sas_region *r);              /* from the geometry: where the parts lie */
uint64_t sas_index_fixed_size(const struct sas_region *r);      /* bytes that formatting takes */
uint64_t sas_index_size(const struct sas_region *r);            /* bytes at most */
/* Nothing that the file says of indexes counts any more: not even which have file space. */
void sas_index_reset(struct sas_region *r);
/* The index over the segments, and over carved segment n. -ENOSPC: there is no room for it in SAS.run. */
int sas_index_region(struct sas_region *r, struct sas_buddy **index);
int sas_index_segment(struct sas_region *r, uint64_t n, struct sas_buddy **index);
int sas_index_known(struct sas_region *r, uint64_t n);
/* Which segments have a free run of this order: keeps the bitmaps true after a change of n's index. */
void sas_index_update(struct sas_region *r, uint64_t n);
/* The lowest segment that has a run of the smallest order from `order` up; builds the indexes that are not
 * built yet when none has. 0; -ENOENT: none; -EUCLEAN with a sentence. */
int sas_index_find(struct sas_region *r, uint32_t order, uint64_t *segment);
void sas_index_forget(struct sas_region *r, uint64_t n);        /* n is not carved any more */
void sas_index_carved(struct sas_region *r, uint64_t n);        /* n has been carved */
/* It had never been used, and only its first `own` units are now: its index is made without a look at the map. */
void sas_index_fresh(struct sas_region *r, uint64_t n, uint64_t own);
void sas_index_stale(struct sas_region *r, uint64_t n);         /* a thread died while it changed n's */
uint64_t *sas_index_backed(struct sas_region *r, uint64_t n);   /* bit per chunk: it has file space */

/* --- maps */
void sas_map_segments(struct sas_region *r, struct sas_map *map);
/* The block in use that covers an offset. -ENOENT. Async-signal-safe, no lock. */
int sas_map_look(struct sas_region *r, uint64_t offset, uint64_t *start, uint64_t *size, uint32_t *generation);
int sas_map_units(struct sas_region *r, uint64_t n, struct sas_map *map);       /* maps what the map lies in */

/* --- space.c: file space */
/* File space under [offset, offset + size) of the region. -ENOSPC. */
int sas_space_take(struct sas_region *r, uint64_t offset, uint64_t size);
/* Return that of free runs of whole chunks. all: of every segment, not only of those whose index is built. */
int sas_space_return(struct sas_region *r, int all, uint64_t *bytes);
/* After a failure: give back what a free run took. Its first 4 KiB, if cleared, stay zero. */
void sas_space_drop(struct sas_region *r, uint64_t offset, uint64_t size);
/* The chunk at offset is known to have its space. */
int sas_space_has(struct sas_region *r, uint64_t offset);
/* Enough was taken since the last return to look again. */
int sas_space_due(struct sas_region *r);

static inline uint32_t sas_unit_top(const struct sas_region *r)
{
	return (uint32_t)(r->segment_shift - SAS_M_UNIT_SHIFT);
}

#endif
