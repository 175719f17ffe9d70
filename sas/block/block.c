/* SPDX-License-Identifier: MIT */
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

/* --- what a request may be */

static int check_size(const struct sas_region *r, uint64_t size)
{
	if (size < SAS_M_UNIT || (size & (size - 1)))
		return sas_fail(EINVAL, "a block has 4096 * 2^n bytes, not %llu", (unsigned long long)size);
	if (size > r->anchor.region_size)
		return sas_fail(ENOMEM, "%s: a block of %llu bytes is larger than the region", r->path,
				(unsigned long long)size);
	/* Blocks are aligned in addresses as well as in the region. */
	if (r->anchor.base & (size - 1))
		return sas_fail(ENOMEM, "%s: the region's base is not aligned for a block of %llu bytes", r->path,
				(unsigned long long)size);
	return 0;
}

static int no_space(const struct sas_region *r, uint64_t size)
{
	return sas_fail(ENOMEM, "%s: no free range of %llu bytes is left in the region", r->path,
			(unsigned long long)size);
}

/* A block to be allocated. */
struct request {
	uint64_t size;
	uint32_t generation;            /* 0: the runtime's own */
	int undoable;                   /* the intent, undone, frees it */
	struct sas_lease *lease;        /* from the tiles in hand there; NULL: not */
};

/* --- common to both levels */

int sas_block_clear_head(struct sas_region *r, uint64_t offset)
{
	int error = sas_segment_need(r, sas_segment_of(r, offset));

	if (error)
		return error;
	memset(sas_at(r, offset), 0, SAS_M_UNIT);
	return sas_persist(r, sas_at(r, offset), SAS_M_UNIT);
}

/*
 * Isolate the run, make its head zero, and publish. The space is free until the last store but one of these,
 * and whole: a death at any of them leaves free tiles only.
 */
static int publish(struct sas_region *r, const struct sas_map *map, uint64_t unit, uint32_t order,
		   uint32_t generation, uint64_t offset)
{
	uint32_t *entry = map->entries + unit * map->stride;
	int state = sas_tile_isolate(map, unit, order);
	int error = state < 0 ? sas_fail(EUCLEAN, "%s: the map is broken at %#llx; run sasphere check", r->path,
					 (unsigned long long)offset) : 0;

	if (!error && state == SAS_M_DIRTY)
		error = sas_block_clear_head(r, offset);
	if (error)
		return error;
	sas_tile_use(map, unit, order, generation);
	error = sas_persist(r, entry, sizeof *entry);
	if (error)
		sas_tile_free(map, unit, order, SAS_M_DIRTY);
	return error;
}

/* --- blocks of segments */

/* Carved segments that hold no block any more are given back to the table. */
static void uncarve_empty(struct sas_region *r, struct sas_buddy *table)
{
	struct sas_map map;
	struct sas_tile tile;

	sas_map_segments(r, &map);
	for (uint64_t unit = 0; sas_tile_next(&map, &unit, &tile) > 0;) {
		uint64_t n = tile.head, own = n < r->anchor.maps ? 0 : sas_map_bytes(r->segment_size) >> SAS_M_UNIT_SHIFT;
		struct sas_buddy *b;

		if (n == 0 || !sas_entry_carved(tile.entry) || sas_index_segment(r, n, &b) != 0 ||
		    b->free_units + own != b->units)
			continue;
		sas_index_forget(r, n);
		/* Publish: nothing of it is in use. Its map is written anew before it is carved again. Durable before a block
		 * covers it (M2); what fails here fails when that is published. */
		sas_tile_free(&map, n, 0, SAS_M_DIRTY);
		sas_persist(r, &r->table[n], sizeof r->table[n]);
		sas_buddy_give(table, n, 0);
	}
}

static int make_files(struct sas_region *r, uint64_t first, uint64_t count)
{
	int error = 0;

	for (uint64_t n = first; n < first + count && !error; n++)
		error = sas_segment_make(r, n);
	return error;
}

static int take_segments(struct sas_intent *intent, uint32_t order, uint32_t *from, uint64_t *first)
{
	struct sas_region *r = intent->region;
	struct sas_buddy *b;
	int64_t n;
	int error = sas_intent_note(intent, SAS_M_RECORD_REINDEX, 0, NULL, 0);

	if (!error)
		error = sas_index_region(r, &b);
	if (error)
		return error;
	n = sas_buddy_take(b, order, from);
	if (n < 0) {
		uncarve_empty(r, b);
		n = sas_buddy_take(b, order, from);
	}
	if (n < 0)
		return -ENOENT;
	*first = (uint64_t)n;
	error = make_files(r, *first, 1ULL << order);
	if (error)
		sas_buddy_give(b, *first, order);
	return error;
}

static void give_segments(struct sas_region *r, uint64_t first, uint32_t order)
{
	struct sas_buddy *b;

	if (sas_index_region(r, &b) == 0)
		sas_buddy_give(b, first, order);
}

static int alloc_large(struct sas_intent *intent, const struct request *q, uint64_t *offset)
{
	struct sas_region *r = intent->region;
	uint64_t size = q->size;
	uint32_t order = sas_order_of(size, r->segment_shift), from = 0;
	struct sas_map map;
	uint64_t n = 0;
	int error = take_segments(intent, order, &from, &n);

	if (error)
		return error == -ENOENT ? no_space(r, size) : error;
	*offset = n << r->segment_shift;
	error = sas_space_take(r, *offset, size);
	if (!error && q->undoable)
		error = sas_intent_note(intent, SAS_M_RECORD_ALLOC, *offset, &order, sizeof order);
	if (!error) {
		sas_map_segments(r, &map);
		error = publish(r, &map, n, order, q->generation, *offset);
	}
	if (error) {
		sas_space_drop(r, *offset, size);
		give_segments(r, n, order);
	}
	return error;
}

/* --- blocks in carved segments */

/* Of the block that the map of a segment is in that segment itself. */
static uint32_t own_order(const struct sas_region *r)
{
	return sas_order_of(sas_map_bytes(r->segment_size), SAS_M_UNIT_SHIFT);
}

/*
 * The map of a segment that is about to be carved: all free. It means nothing before the table says CARVED.
 * A segment that was never used has a map of zeros already: then a page of it is written at most.
 */
static int write_map(struct sas_region *r, uint64_t n, int state)
{
	struct sas_map map;
	uint32_t own, top;
	int error = sas_space_take(r, sas_map_of(&r->anchor, n), sas_map_bytes(r->segment_size));

	if (!error)
		error = sas_map_units(r, n, &map);
	if (error)
		return error;
	top = map.top;
	if (n < r->anchor.maps) {
		if (state != SAS_M_NEVER)
			sas_tile_free(&map, 0, top, SAS_M_DIRTY);
		return sas_persist(r, map.entries, sizeof map.entries[0]);
	}
	own = own_order(r);
	if (state != SAS_M_NEVER)
		memset(map.entries, 0, sas_map_bytes(r->segment_size));
	for (uint32_t k = own; state != SAS_M_NEVER && k < top; k++)
		sas_tile_free(&map, 1ULL << k, k, SAS_M_DIRTY);
	sas_tile_use(&map, 0, own, 0);
	return sas_persist(r, map.entries, sas_map_bytes(r->segment_size));
}

/* Carve one more segment. */
static int carve(struct sas_intent *intent, uint64_t size, uint64_t *segment)
{
	struct sas_region *r = intent->region;
	struct sas_map map;
	uint32_t from;
	int state, error = take_segments(intent, 0, &from, segment);

	if (error)
		return error == -ENOENT ? no_space(r, size) : error;
	sas_map_segments(r, &map);
	state = sas_tile_isolate(&map, *segment, 0);
	error = state < 0 ? sas_fail(EUCLEAN, "%s: the segment table is broken; run sasphere check", r->path) : 0;
	/* A map in the segment itself: it is not all zero any more from the first byte of the map. */
	if (!error && state == SAS_M_NEVER && *segment >= r->anchor.maps) {
		sas_tile_free(&map, *segment, 0, SAS_M_DIRTY);
		error = sas_persist(r, &r->table[*segment], sizeof r->table[0]);
	}
	if (!error)
		error = write_map(r, *segment, state);
	if (error) {
		give_segments(r, *segment, 0);
		return error;
	}
	/* Publish: the map is whole. A death before leaves a free segment. */
	sas_tile_use(&map, *segment, SAS_M_ORDER_CARVED, 0);
	sas_index_carved(r, *segment);
	if (state == SAS_M_NEVER)
		sas_index_fresh(r, *segment, *segment < r->anchor.maps ? 0 : 1ULL << own_order(r));
	return sas_persist(r, &r->table[*segment], sizeof r->table[0]);
}

static void give_units(struct sas_region *r, uint64_t n, uint64_t unit, uint32_t order)
{
	struct sas_buddy *b;

	if (sas_index_segment(r, n, &b) == 0) {
		sas_buddy_give(b, unit, order);
		sas_index_update(r, n);
	}
}

static int take_units(struct sas_intent *intent, uint64_t size, uint32_t order, uint64_t *segment, uint64_t *unit)
{
	struct sas_region *r = intent->region;
	struct sas_buddy *b;
	uint32_t from;
	int64_t u;
	int error = sas_index_find(r, order, segment);

	if (error == -ENOENT)
		error = carve(intent, size, segment);
	if (error)
		return error;
	error = sas_intent_note(intent, SAS_M_RECORD_REINDEX, *segment << r->segment_shift, NULL, 0);
	if (error)
		return error;
	error = sas_index_segment(r, *segment, &b);
	if (error)
		return error;
	u = sas_buddy_take(b, order, &from);
	if (u < 0)
		return no_space(r, size);
	sas_index_update(r, *segment);
	*unit = (uint64_t)u;
	return 0;
}

static int alloc_small(struct sas_intent *intent, const struct request *q, uint64_t *offset)
{
	struct sas_region *r = intent->region;
	uint64_t size = q->size;
	uint32_t order = sas_order_of(size, SAS_M_UNIT_SHIFT);
	uint64_t n = 0, unit = 0;
	struct sas_map map;
	int error = take_units(intent, size, order, &n, &unit);

	if (error)
		return error;
	*offset = (n << r->segment_shift) + (unit << SAS_M_UNIT_SHIFT);
	error = sas_space_take(r, *offset, size);
	if (!error && q->undoable)
		error = sas_intent_note(intent, SAS_M_RECORD_ALLOC, *offset, &order, sizeof order);
	if (!error)
		error = sas_segment_need(r, n);
	if (!error)
		error = sas_map_units(r, n, &map);
	if (!error)
		error = publish(r, &map, unit, order, q->generation, *offset);
	if (error) {
		sas_space_drop(r, *offset, size);
		give_units(r, n, unit, order);
	}
	return error;
}

/* --- blocks from the tiles in hand */

/* The bytes whose entries lie in one line of the processor's cache. */
static uint64_t line_of(uint64_t offset)
{
	return offset >> (SAS_M_UNIT_SHIFT + 4);
}

/*
 * Which of the ascending tiles to use first, and so again and again: the first one of a line of entries that no other thread is
 * likely to store in, as it neither begins before these tiles nor ends after them.
 */
static unsigned find_own_line(const uint64_t *got, unsigned count)
{
	for (unsigned i = 0; i < count && line_of(got[i]) != line_of(got[count - 1]); i++)
		if (i ? line_of(got[i]) != line_of(got[i - 1]) : line_of(got[0]) != line_of(got[0] - 1))
			return i;
	return 0;
}

/* Leased so that they are used from got[first] upwards, then from the lowest. */
static int lease_all(struct sas_region *r, struct sas_lease *l, const struct sas_map *map, uint32_t order, const uint64_t *got,
		     unsigned count)
{
	unsigned first = find_own_line(got, count);
	int error = 0;

	for (unsigned i = first; i > 0 && !error; i--)
		error = sas_lease_add(r, l, map, got[i - 1], order);
	for (unsigned i = count; i > first && !error; i--)
		error = sas_lease_add(r, l, map, got[i - 1], order);
	return error;
}

/* More tiles of segment n, beside the one at `offset`: as many as are wanted, and have their space already. */
static int lease_more(struct sas_region *r, struct sas_lease *l, uint32_t order, unsigned wanted, uint64_t offset)
{
	uint64_t n = sas_segment_of(r, offset), origin = n << r->segment_shift, got[SAS_LEASE_TILES];
	struct sas_buddy *b;
	struct sas_map map;
	uint32_t from;
	unsigned count = 1;
	int64_t unit;
	int error = sas_index_segment(r, n, &b);

	if (!error)
		error = sas_map_units(r, n, &map);
	if (error)
		return error;
	got[0] = offset;
	while (count < wanted && (unit = sas_buddy_take(b, order, &from)) >= 0) {
		got[count] = origin + ((uint64_t)unit << SAS_M_UNIT_SHIFT);
		if (!sas_space_has(r, got[count])) {
			sas_buddy_give(b, (uint64_t)unit, order);
			break;
		}
		count++;
	}
	sas_index_update(r, n);
	error = lease_all(r, l, &map, order, got, count);
	if (error)
		sas_index_stale(r, n);
	return error;
}

/* The segment is listed before its first tile is leased; REINDEX covers it until then. */
static int lease_units(struct sas_intent *intent, const struct request *q, unsigned wanted)
{
	struct sas_region *r = intent->region;
	uint32_t order = sas_order_of(q->size, SAS_M_UNIT_SHIFT);
	uint64_t n = 0, unit = 0, offset;
	int error = take_units(intent, q->size, order, &n, &unit);

	if (error)
		return error;
	offset = (n << r->segment_shift) + (unit << SAS_M_UNIT_SHIFT);
	error = sas_space_take(r, offset, q->size);
	if (!error)
		error = sas_segment_need(r, n);
	if (error) {
		give_units(r, n, unit, order);
		return error;
	}
	sas_lease_list(r, q->lease, n);
	return lease_more(r, q->lease, order, wanted, offset);
}

static int alloc_leased(struct sas_intent *intent, const struct request *q, uint64_t *offset)
{
	uint32_t order = sas_order_of(q->size, SAS_M_UNIT_SHIFT);
	unsigned wanted = sas_lease_wants(q->lease, order);
	int error = wanted ? lease_units(intent, q, wanted) : 0;

	if (!error)
		*offset = sas_lease_take(intent->region, q->lease, order);
	return error;
}

/* --- allocate */

static int take_locked(struct sas_intent *intent, const struct request *q, uint64_t *offset)
{
	int error, (*alloc)(struct sas_intent *, const struct request *, uint64_t *) =
		q->lease ? alloc_leased : q->size < intent->region->segment_size ? alloc_small : alloc_large;
	uint64_t returned = 0;

	/* Never in the freeing call: the one that needs new space pays for the batch. */
	if (sas_space_due(intent->region))
		sas_space_return(intent->region, 0, &returned);
	error = alloc(intent, q, offset);
	/* The file system is full: what free blocks hold of it may be enough. */
	if (error == -ENOSPC) {
		sas_space_return(intent->region, 1, &returned);
		if (returned)
			error = alloc(intent, q, offset);
	}
	return error;
}

int sas_block_take(struct sas_intent *intent, uint64_t slot, uint64_t size, uint64_t *offset)
{
	struct request q = { .size = size, .undoable = 1 };
	struct sas_region *r = intent->region;
	int error = sas_block_lock_beside_table(r, (int)slot);

	if (error)
		return error;
	error = take_locked(intent, &q, offset);
	sas_block_unlock_unseized(r);
	return error;
}

static int is_out_of_space(int error)
{
	return error == -ENOMEM || error == -ENOSPC;
}

/* What the thread has in hand goes back when it is in the way: before a segment is carved, and before an error. */
static int take_or_flush(struct sas_intent *intent, const struct request *q, struct sas_thread *t, uint64_t *offset)
{
	struct sas_region *r = intent->region;
	struct sas_lease *own = sas_lease_own(t, r);
	uint64_t n;
	int error;

	if (own && !sas_lease_has(own, q->size) && q->size < r->segment_size &&
	    sas_index_find(r, sas_order_of(q->size, SAS_M_UNIT_SHIFT), &n) == -ENOENT)
		sas_lease_flush(r, own);
	error = take_locked(intent, q, offset);
	if (is_out_of_space(error) && own && sas_lease_flush(r, own))
		error = take_locked(intent, q, offset);
	return error;
}

int sas_block_take_undoable(struct sas_intent *intent, struct sas_thread *t, uint64_t size, uint64_t *offset)
{
	struct request q = { .size = size, .undoable = 1 };
	int error = check_size(intent->region, size);

	return error ? error : take_or_flush(intent, &q, t, offset);
}

static int alloc_once(struct sas_region *r, struct sas_thread *t, uint64_t size, uint64_t *offset)
{
	struct request q = { .size = size, .generation = r->generation, .lease = sas_lease_get(r, t, size) };
	struct sas_intent intent;
	int error = sas_block_lock(r, t);

	if (error)
		return error;
	sas_err_defer();
	error = sas_intent_begin(r, (uint64_t)sas_thread_slot(t, r), &intent);
	if (!error) {
		error = take_or_flush(&intent, &q, t, offset);
		sas_intent_commit(&intent);
	}
	sas_block_unlock(r, t);
	sas_err_flush();
	if (!error && !q.lease)
		sas_run_count(&r->run->threads[sas_thread_slot(t, r)].counters.allocations);
	return error;
}

static int alloc_in_call(struct sas_region *r, struct sas_thread *t, uint64_t size, uint64_t *offset)
{
	int error = alloc_once(r, t, size, offset);

	/* What the dead had in hand is free when they are recovered. */
	if (is_out_of_space(error) && !sas_has_seized(t, r) && sas_recover(r) > 0)
		error = alloc_once(r, t, size, offset);
	return error;
}

int sas_block_alloc(struct sas_region *r, uint64_t size, uint64_t *offset)
{
	struct sas_thread *t;
	int error;

	if (sas_lease_alloc(r, size, offset))
		return 0;
	error = check_size(r, size);
	if (!error)
		error = sas_call_begin(r, SAS_CALL_WRITE | SAS_CALL_SLOT, &t);
	if (error)
		return error;
	return sas_call_result(t, r, alloc_in_call(r, t, size, offset));
}

/* --- find */

int sas_block_find(const void *address, uint64_t *start, uint64_t *size)
{
	struct sas_region *r = sas_region_of((uintptr_t)address);
	uint32_t generation;
	int error;

	*start = *size = 0;
	if (!r || r->memory != r->base)
		return -EFAULT;
	error = sas_map_look(r, (uintptr_t)address - r->base, start, size, &generation);
	*start += r->base;
	return error;
}

