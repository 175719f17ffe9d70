/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <errno.h>
#include "ground/atomic.h"
#include "tiles.h"

static uint32_t *slot(const struct sas_map *map, uint64_t unit)
{
	return map->entries + unit * map->stride;
}

static uint32_t load(const struct sas_map *map, uint64_t unit)
{
	return sas_m_load_acquire_u32(slot(map, unit));
}

static void store(const struct sas_map *map, uint64_t unit, uint32_t entry)
{
	sas_m_store_release_u32(slot(map, unit), entry);
}

static int fits(const struct sas_map *map, uint64_t unit, uint32_t entry)
{
	uint64_t units = sas_entry_units(entry);

	if (sas_entry_carved(entry))
		return map->stride != 1;
	if (sas_entry_order(entry) > map->top)
		return 0;
	return (unit & (units - 1)) == 0 && unit + units <= map->units;
}

static void describe(struct sas_tile *tile, uint64_t head, uint32_t entry)
{
	tile->head = head;
	tile->entry = entry;
	tile->order = sas_entry_carved(entry) ? 0 : sas_entry_order(entry);
	tile->state = sas_entry_state(entry);
}

/*
 * From the largest order down: unit 0 is a head; and where no tile of more than 2^k units covers
 * the unit, the multiple of 2^k below it is a head. So a stale entry is never taken for a head.
 */
int sas_tile_find(const struct sas_map *map, uint64_t unit, struct sas_tile *tile)
{
	for (uint32_t k = map->top + 1; k-- > 0;) {
		uint64_t head = unit >> k << k;
		uint32_t entry = load(map, head);

		if (head + sas_entry_units(entry) <= unit)
			continue;
		if (!fits(map, head, entry))
			return -EUCLEAN;
		describe(tile, head, entry);
		return 0;
	}
	return -EUCLEAN;
}

int sas_tile_next(const struct sas_map *map, uint64_t *unit, struct sas_tile *tile)
{
	uint32_t entry;

	if (*unit >= map->units)
		return 0;
	entry = load(map, *unit);
	if (!fits(map, *unit, entry))
		return -EUCLEAN;
	describe(tile, *unit, entry);
	*unit += sas_entry_units(entry);
	return 1;
}

/*
 * Cut the free tile t so that [unit, +2^order) is a tile. The pieces are first written inside t, where
 * entries mean nothing yet; then the store at t's head cuts it, all at once.
 */
static void cut(const struct sas_map *map, const struct sas_tile *t, uint64_t unit, uint32_t order)
{
	uint64_t head = t->head;
	uint32_t first = order;         /* the order of the piece that remains at t's head */

	for (uint32_t k = t->order; k-- > order;) {
		uint64_t half = head + (1ULL << k);

		if (unit >= half) {
			if (head == t->head)
				first = k;
			else
				store(map, head, sas_entry(SAS_M_DIRTY, k, 0));
			head = half;
		} else {
			store(map, half, sas_entry(SAS_M_DIRTY, k, 0));
		}
	}
	if (head != t->head)
		store(map, head, sas_entry(SAS_M_DIRTY, order, 0));
	store(map, t->head, sas_entry(t->state, first, 0));
}

int sas_tile_isolate(const struct sas_map *map, uint64_t unit, uint32_t order)
{
	struct sas_tile t;
	int error = sas_tile_find(map, unit, &t);

	if (error)
		return error;
	if (t.state == SAS_M_USED)
		return -EUCLEAN;
	if (t.order > order)
		cut(map, &t, unit, order);
	return t.head == unit ? (int)t.state : (int)SAS_M_DIRTY;
}

void sas_tile_use(const struct sas_map *map, uint64_t unit, uint32_t order, uint32_t generation)
{
	store(map, unit, sas_entry(SAS_M_USED, order, generation));
}

void sas_tile_free(const struct sas_map *map, uint64_t unit, uint32_t order, uint32_t state)
{
	store(map, unit, sas_entry(state, order, 0));
}

void sas_tile_lease(const struct sas_map *map, uint64_t unit, uint32_t order, uint32_t state, uint32_t tag)
{
	store(map, unit, sas_entry(state, order, tag));
}

/* The entries inside a tile that is NEVER are 0 (nobody stores there): they are its units again. */
void sas_tile_unlease(const struct sas_map *map, uint64_t unit, uint32_t order, uint32_t state)
{
	store(map, unit, state == SAS_M_NEVER ? 0 : sas_entry(state, order, 0));
}

int sas_tile_retire(const struct sas_map *map, uint64_t unit, uint32_t used, uint32_t tag)
{
	return sas_m_cas_acq_rel_u32(slot(map, unit), used, sas_entry(SAS_M_DIRTY, sas_entry_order(used), tag));
}

int sas_tile_is_never(const struct sas_map *map, uint64_t unit, uint64_t count)
{
	while (count > 0 && load(map, unit + count - 1) == 0)
		count--;
	return count == 0;
}

/* From the end: an entry is cleared before the head that hides it, so each store leaves whole tiles. */
void sas_tile_forget(const struct sas_map *map, uint64_t unit, uint64_t count)
{
	while (count-- > 0)
		if (load(map, unit + count))
			store(map, unit + count, 0);
}
