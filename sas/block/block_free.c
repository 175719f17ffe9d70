/* SPDX-License-Identifier: MIT */
/* block_free.c - freeing blocks: at once, after all readers have left, and for the dead. Layer 3. */
#include <config.h>

#include <errno.h>
#include <string.h>
#include "media/anchor.h"
#include "block.h"
#include "ground/err.h"
#include "index.h"
#include "lease.h"
#include "media/persist.h"
#include "region/runtime.h"
#include "sasregion.h"
#include "media/segment.h"

static int not_in_use(const struct sas_region *r, uint64_t offset)
{
	return sas_fail(ENOENT, "no block in use begins at %#llx: freed already, or never allocated",
			(unsigned long long)(r->base + offset));
}

/*
 * A block becomes free. DIRTY is the store that frees it; then its head is cleared, and only when that is
 * safe FREED may say so: what fails after the first store leaves a free block of which nothing is known.
 */
static int retire(struct sas_region *r, const struct sas_map *map, uint64_t unit, uint32_t order, uint64_t offset)
{
	uint32_t *entry = map->entries + unit * map->stride, used = sas_m_load_acquire_u32(entry);
	int error = sas_segment_need(r, sas_segment_of(r, offset));

	if (!error)
		error = sas_refuse_poisoned(r);
	if (error)
		return error;
	/* Another thread may just have freed it by mistake, without a lock. */
	if (sas_entry_state(used) != SAS_M_USED || sas_entry_order(used) != order || !sas_tile_retire(map, unit, used, 0))
		return not_in_use(r, offset);
	error = sas_persist(r, entry, sizeof *entry);
	if (error) {
		sas_tile_use(map, unit, order, sas_entry_generation(used));
		return error;
	}
	if (sas_block_clear_head(r, offset) == 0)
		sas_tile_free(map, unit, order, SAS_M_FREED);
	return 0;
}

int sas_block_check_in_use(struct sas_region *r, uint64_t offset, uint64_t size)
{
	uint64_t start, found;
	uint32_t generation;
	unsigned long long address = r->base + offset;

	if (sas_map_look(r, offset, &start, &found, &generation) != 0)
		return not_in_use(r, offset);
	if (start != offset)
		return sas_fail(ENOENT, "%#llx lies inside the block at %#llx", address, (unsigned long long)(r->base + start));
	if (generation == SAS_M_GENERATION_RETIRED)
		return sas_fail(ENOENT, "the block at %#llx is freed already: SASEpochFree() has deferred that", address);
	if (generation == 0)
		return sas_fail(EPERM, "the block at %#llx is the runtime's own", address);
	if (found != size)
		return sas_fail(EINVAL, "the block at %#llx has %llu bytes, not %llu", address,
				(unsigned long long)found, (unsigned long long)size);
	return 0;
}

static int free_large(struct sas_region *r, uint64_t offset, uint64_t size)
{
	uint32_t order = sas_order_of(size, r->segment_shift);
	uint64_t n = sas_segment_of(r, offset);
	struct sas_buddy *b;
	struct sas_map map;
	int error = sas_index_region(r, &b);

	sas_map_segments(r, &map);
	if (!error)
		error = retire(r, &map, n, order, offset);
	if (!error)
		sas_buddy_give(b, n, order);
	return error;
}

/* Where there is no room for an index (a full file system), the map alone learns of it: whoever is out of space can free. */
static int free_small(struct sas_region *r, uint64_t offset, uint64_t size)
{
	uint64_t n = sas_segment_of(r, offset), unit = (offset & (r->segment_size - 1)) >> SAS_M_UNIT_SHIFT;
	uint32_t order = sas_order_of(size, SAS_M_UNIT_SHIFT);
	struct sas_buddy *b;
	struct sas_map map;
	int error, indexed = sas_index_region(r, &b) == 0 && sas_index_segment(r, n, &b) == 0;

	error = sas_map_units(r, n, &map);
	if (!error)
		error = retire(r, &map, unit, order, offset);
	if (error)
		return error;
	if (indexed) {
		sas_buddy_give(b, unit, order);
		sas_index_update(r, n);
	} else if (sas_index_region(r, &b) == 0) {
		sas_index_carved(r, n);
	}
	return 0;
}

/* Into the thread's hand: 1; 0: not so. */
static int free_leased(struct sas_region *r, struct sas_lease *l, uint64_t offset, uint64_t size, int retired)
{
	uint32_t order = sas_order_of(size, SAS_M_UNIT_SHIFT);
	uint64_t n = sas_segment_of(r, offset);
	struct sas_buddy *b;
	struct sas_map map;

	if (!l || sas_index_segment(r, n, &b) != 0 || sas_map_units(r, n, &map) != 0)
		return 0;
	sas_lease_list(r, l, n);
	sas_lease_make_room(r, l, order);
	return sas_lease_give(r, l, offset, order, retired);
}

/* A block in use that may be freed, or (retired) one whose free was deferred. */
static int free_checked(struct sas_region *r, struct sas_thread *t, struct sas_lease *l, uint64_t offset, uint64_t size, int retired)
{
	struct sas_intent intent;
	int error = sas_segment_need(r, sas_segment_of(r, offset));

	if (!error && free_leased(r, l, offset, size, retired))
		return 0;
	if (!error)
		error = sas_intent_begin(r, (uint64_t)sas_thread_slot(t, r), &intent);
	if (error)
		return error;
	error = sas_intent_note(&intent, SAS_M_RECORD_REINDEX, offset, NULL, 0);
	if (!error)
		error = size < r->segment_size ? free_small(r, offset, size) : free_large(r, offset, size);
	if (error)      /* between the map and the index: the map is right */
		sas_index_stale(r, sas_segment_of(r, offset));
	sas_intent_commit(&intent);
	if (!error)
		sas_run_count(&r->run->threads[sas_thread_slot(t, r)].counters.frees);
	return error;
}

int sas_block_check_shape(const struct sas_region *r, uint64_t offset, uint64_t size)
{
	if (size < SAS_M_UNIT || (size & (size - 1)) || size > r->anchor.region_size)
		return sas_fail(EINVAL, "no block has %llu bytes", (unsigned long long)size);
	if (offset & (size - 1))
		return sas_fail(EINVAL, "%#llx is not aligned as a block of %llu bytes is",
				(unsigned long long)(r->base + offset), (unsigned long long)size);
	return 0;
}

static int free_locked(struct sas_region *r, struct sas_thread *t, struct sas_lease *l, uint64_t offset, uint64_t size)
{
	int error = sas_block_check_in_use(r, offset, size);

	return error ? error : free_checked(r, t, l, offset, size, 0);
}

int sas_block_free(struct sas_region *r, uint64_t offset, uint64_t size)
{
	struct sas_thread *t;
	struct sas_lease *l;
	int error = 0;

	if (!(offset & (size - 1)) && sas_lease_free(r, offset, size))
		return 0;
	error = sas_block_check_shape(r, offset, size);
	if (!error)
		error = sas_call_begin(r, SAS_CALL_WRITE | SAS_CALL_SLOT, &t);
	if (error)
		return error;
	l = sas_lease_get(r, t, size);
	error = sas_block_lock(r, t);
	if (!error) {
		sas_err_defer();
		error = free_locked(r, t, l, offset, size);
		sas_block_unlock(r, t);
		sas_err_flush();
	}
	return sas_call_result(t, r, error);
}

/* --- frees that are deferred */

int sas_block_map_of(struct sas_region *r, uint64_t offset, uint64_t size, struct sas_map *map, uint64_t *unit)
{
	if (size >= r->segment_size) {
		sas_map_segments(r, map);
		*unit = sas_segment_of(r, offset);
		return 0;
	}
	*unit = (offset & (r->segment_size - 1)) >> SAS_M_UNIT_SHIFT;
	return sas_map_units(r, sas_segment_of(r, offset), map);
}

uint32_t sas_block_order(const struct sas_region *r, uint64_t size)
{
	return sas_order_of(size, size < r->segment_size ? SAS_M_UNIT_SHIFT : r->segment_shift);
}

int sas_block_is_retired(struct sas_region *r, uint64_t offset, uint64_t size)
{
	uint64_t start, found;
	uint32_t generation;

	/* It comes from SAS.run, which may be damaged. */
	if (size < SAS_M_UNIT || size > r->anchor.region_size || offset > r->anchor.region_size - size)
		return 0;
	return sas_map_look(r, offset, &start, &found, &generation) == 0 && start == offset && found == size &&
	       generation == SAS_M_GENERATION_RETIRED;
}

/* One store changes the generation of a block in use, so M1 to M4 do not notice. It is made without block_lock: of all
 * who free the same block, which only a broken program does, one wins. */
int sas_block_retire(struct sas_region *r, uint64_t offset, uint64_t size)
{
	uint32_t order = sas_block_order(r, size), *entry, used, retired = sas_entry(SAS_M_USED, order, SAS_M_GENERATION_RETIRED);
	struct sas_map map;
	uint64_t unit;
	int error = sas_block_check_in_use(r, offset, size);

	if (!error)
		error = sas_block_map_of(r, offset, size, &map, &unit);
	if (!error)
		error = sas_refuse_poisoned(r);
	if (error)
		return error;
	entry = map.entries + unit * map.stride;
	used = sas_m_load_acquire_u32(entry);
	/* Publish: from here on it is condemned. A death before leaves it in use. */
	if (sas_entry_state(used) != SAS_M_USED || sas_entry_order(used) != order || used == retired ||
	    !sas_m_cas_acq_rel_u32(entry, used, retired))
		return sas_fail(ENOENT, "another thread frees the block at %#llx", (unsigned long long)(r->base + offset));
	error = sas_persist(r, entry, sizeof *entry);
	if (error)
		sas_m_cas_acq_rel_u32(entry, retired, used);
	return error;
}

int sas_block_free_retired(struct sas_region *r, struct sas_thread *t, uint64_t offset, uint64_t size)
{
	return free_checked(r, t, sas_lease_fits(size) ? sas_lease_own(t, r) : NULL, offset, size, 1);
}

int sas_block_reap(struct sas_region *r, uint64_t offset, uint64_t size)
{
	struct sas_map map;
	uint64_t unit;
	int error = sas_block_map_of(r, offset, size, &map, &unit);

	if (!error)
		error = retire(r, &map, unit, sas_block_order(r, size), offset);
	sas_index_stale(r, sas_segment_of(r, offset));
	return error;
}

/* --- recovery of typed records: table_lock held */

int sas_block_reindex(struct sas_region *r, uint64_t where)
{
	int error = sas_block_lock_raw(r);

	if (error)
		return error;
	sas_index_stale(r, sas_segment_of(r, where));
	sas_block_unlock_raw(r);
	return 0;
}

/* The intent that allocated the block did not happen. */
int sas_block_unalloc(struct sas_region *r, uint64_t where, uint32_t order)
{
	uint64_t start, size;
	uint32_t generation;
	struct sas_map map;
	int error = sas_block_lock_raw(r);

	if (error)
		return error;
	/* Not published: nothing to undo. */
	if (sas_map_look(r, where, &start, &size, &generation) == 0 && start == where && generation == 0 &&
	    size == (size < r->segment_size ? SAS_M_UNIT : r->segment_size) << order) {
		if (size < r->segment_size) {
			error = sas_map_units(r, sas_segment_of(r, where), &map);
			if (!error)
				error = retire(r, &map, (where & (r->segment_size - 1)) >> SAS_M_UNIT_SHIFT,
					       sas_order_of(size, SAS_M_UNIT_SHIFT), where);
		} else {
			sas_map_segments(r, &map);
			error = retire(r, &map, sas_segment_of(r, where), sas_order_of(size, r->segment_shift), where);
		}
		sas_index_stale(r, sas_segment_of(r, where));
	}
	sas_block_unlock_raw(r);
	return error;
}
