/* SPDX-License-Identifier: MIT */
/*
 * tiles.h - the block map: reading it, and the single stores that change it. Layer 2.
 *
 * A map is an array of entries, one per unit; layout.h says what they mean. The same code serves
 * the 4 KiB units of a segment (stride 1) and the segments of a region (stride 8: an entry is a
 * word of struct sas_m_segment).
 *
 * Locks: every change is made under the region's block lock, but for those between a block and a leased free tile of
 * the same size (lease.h). Reading needs none: sas_tile_find() gives a tile that was there at some moment of the call.
 * Signals: all are async-signal-safe.
 * Crash: M4 of layout.h. Each function below says which of its stores publishes.
 */
#ifndef SAS_TILES_H
#define SAS_TILES_H

#include <stdint.h>
#include "media/layout.h"

struct sas_map {
	uint32_t *entries;      /* the entry of unit 0 */
	uint64_t units;         /* a power of two for segments; any number for a region */
	uint32_t stride;        /* in entries */
	uint32_t top;           /* largest order that a tile may have */
};

static inline uint32_t sas_entry(uint32_t state, uint32_t order, uint32_t generation)
{
	return order | state << 6 | generation << 8;
}
static inline uint32_t sas_entry_order(uint32_t e) { return e & 63U; }
static inline uint32_t sas_entry_state(uint32_t e) { return e >> 6 & 3U; }
static inline uint32_t sas_entry_generation(uint32_t e) { return e >> 8; }
static inline int sas_entry_carved(uint32_t e)
{
	return sas_entry_state(e) == SAS_M_USED && sas_entry_order(e) == SAS_M_ORDER_CARVED;
}
/* Units that a tile with this entry takes: 1 for NEVER and CARVED. */
static inline uint64_t sas_entry_units(uint32_t e)
{
	uint32_t order = sas_entry_order(e);
	return e == 0 || order == SAS_M_ORDER_CARVED ? 1 : 1ULL << order;
}

struct sas_tile {
	uint64_t head;          /* its first unit */
	uint32_t order;
	uint32_t state;         /* SAS_M_NEVER .. SAS_M_USED */
	uint32_t entry;
};

/* The tile that covers `unit`. -EUCLEAN where the map breaks M1. */
int sas_tile_find(const struct sas_map *map, uint64_t unit, struct sas_tile *tile);

/* Make [unit, unit + 2^order), which is free, a tile of its own: no used block changes, and the free space
 * stays covered at each store. Gives the state of the bytes: NEVER or FREED when the first
 * 4 KiB are known to be zero, else DIRTY. -EUCLEAN as above. */
int sas_tile_isolate(const struct sas_map *map, uint64_t unit, uint32_t order);
/* One store: the isolated tile is a block. Publishes it. */
void sas_tile_use(const struct sas_map *map, uint64_t unit, uint32_t order, uint32_t generation);
/* One store: the block at `unit` is free, with the given state. Publishes that. */
void sas_tile_free(const struct sas_map *map, uint64_t unit, uint32_t order, uint32_t state);
/* One store: the isolated free tile is leased to `tag` (run_lease.h). NEVER: each of its units must be. */
void sas_tile_lease(const struct sas_map *map, uint64_t unit, uint32_t order, uint32_t state, uint32_t tag);
/* One store: the lease is over. */
void sas_tile_unlease(const struct sas_map *map, uint64_t unit, uint32_t order, uint32_t state);
/* The block whose entry was `used` is free: DIRTY, leased to `tag` or (0) to nobody. Publishes that. 0: somebody was
 * faster. */
int sas_tile_retire(const struct sas_map *map, uint64_t unit, uint32_t used, uint32_t tag);
/* All of the units are tiles of their own that are NEVER, and nobody's. */
int sas_tile_is_never(const struct sas_map *map, uint64_t unit, uint64_t count);
/* All of the free tiles in [unit, unit + count) are NEVER; their bytes are zero. Aligned as a tile. */
void sas_tile_forget(const struct sas_map *map, uint64_t unit, uint64_t count);

/* Steps over the map: *unit is moved to the next tile. 0 at the end; -EUCLEAN where M1 is broken; else 1. */
int sas_tile_next(const struct sas_map *map, uint64_t *unit, struct sas_tile *tile);

#endif
