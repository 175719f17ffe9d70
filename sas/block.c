/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <errno.h>
#include <sched.h>
#include <string.h>
#include "anchor.h"
#include "block.h"
#include "err.h"
#include "index.h"
#include "lease.h"
#include "persist.h"
#include "rank.h"
#include "runtime.h"
#include "sasregion.h"
#include "segment.h"

/* --- the lock */

/* Who changes something under the lock: a thread slot, and which life of it. -1 or no slots: nobody. */
static void set_owner(struct sas_run_header *h, const struct sas_run_thread *threads, int slot)
{
	uint64_t owner = threads && slot >= 0 ? (uint64_t)threads[slot].lives << 32 | (uint32_t)(slot + 1) : 0;

	sas_store_release_u64(&h->block_owner, owner);
}

/* A recoverer that dies has no owner: the first one's stays. */
static void mark_dirty(struct sas_run_header *h)
{
	uint64_t owner = sas_load_acquire_u64(&h->block_owner);

	if (owner)
		sas_store_relaxed_u64(&h->dirty_owner, owner);
	sas_store_release_u32(&h->seized, 0);   /* if it had */
	sas_store_release_u32(&h->block_dirty, 1);
}

void sas_block_release_seized(struct sas_thread *t)
{
	struct sas_run *run = t->seized;

	t->seized = NULL;
	t->seizes = 0;
	sas_store_release_u32(&run->header->seized, 0);
	set_owner(run->header, NULL, 0);
	sas_run_unlock(&run->header->block_lock);
}

int sas_block_lock_raw(struct sas_region *r)
{
	struct sas_run_header *h = r->run->header;
	int died, error;

	sas_rank_take(SAS_RANK_BLOCK);
	error = sas_run_lock(&h->block_lock, &died);
	if (error)
		sas_rank_give(SAS_RANK_BLOCK);
	if (error)
		return sas_fail(-error, "%s: the block lock cannot be taken: %s", r->path, strerror(-error));
	if (died)
		mark_dirty(h);
	return 0;
}

int sas_block_trylock_raw(struct sas_region *r)
{
	struct sas_run_header *h = r->run->header;
	int error = pthread_mutex_trylock(&h->block_lock);

	if (error == EOWNERDEAD) {
		error = pthread_mutex_consistent(&h->block_lock);
		mark_dirty(h);
	}
	if (!error)
		sas_rank_take(SAS_RANK_BLOCK);
	return -error;
}

void sas_block_unlock_raw(struct sas_region *r)
{
	sas_run_unlock(&r->run->header->block_lock);
	sas_rank_give(SAS_RANK_BLOCK);
}

int sas_block_lock_unseized(struct sas_region *r, int slot)
{
	struct sas_run_header *h = r->run->header;
	int error;

	while ((error = sas_block_trylock_raw(r)) == -EBUSY && !sas_load_acquire_u32(&h->seized))
		sched_yield();
	if (error)
		return error;
	if (sas_load_acquire_u32(&h->block_dirty)) {
		sas_block_unlock_raw(r);
		return -EAGAIN;
	}
	set_owner(h, r->run->threads, slot);
	return 0;
}

void sas_block_unlock_unseized(struct sas_region *r)
{
	set_owner(r->run->header, NULL, 0);
	sas_block_unlock_raw(r);
}

/* A holder that died is recovered first, under the locks in their order: recover is sas_recover, or its form
 * for who holds table_lock. */
static int lock_clean(struct sas_region *r, int (*recover)(struct sas_region *))
{
	int error;

	for (;;) {
		error = sas_block_lock_raw(r);
		/* Who only reads looks at the maps, which are whole. */
		if (error || !sas_load_acquire_u32(&r->run->header->block_dirty) || (r->flags & SAS_JOIN_READONLY))
			return error;
		sas_block_unlock_raw(r);
		error = recover(r);
		if (error < 0)
			return error;
	}
}

int sas_block_lock(struct sas_region *r, struct sas_thread *t)
{
	int error = sas_has_seized(t, r) ? 0 : lock_clean(r, sas_recover);

	if (!error)
		set_owner(r->run->header, r->run->threads, sas_thread_slot(t, r));
	return error;
}

void sas_block_unlock(struct sas_region *r, struct sas_thread *t)
{
	if (sas_has_seized(t, r))
		return;
	set_owner(r->run->header, NULL, 0);
	sas_block_unlock_raw(r);
}

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

static uint32_t order_of(uint64_t size, unsigned shift)
{
	return (uint32_t)__builtin_ctzll(size) - shift;
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

static int not_in_use(const struct sas_region *r, uint64_t offset)
{
	return sas_fail(ENOENT, "no block in use begins at %#llx: freed already, or never allocated",
			(unsigned long long)(r->base + offset));
}

/* --- common to both levels */

/* The first 4 KiB of a block are zero when it is handed out. */
static int zero_head(struct sas_region *r, uint64_t offset)
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
		error = zero_head(r, offset);
	if (error)
		return error;
	sas_fence(r);
	sas_tile_use(map, unit, order, generation);
	error = sas_persist(r, entry, sizeof *entry);
	if (error)
		sas_tile_free(map, unit, order, SAS_M_DIRTY);
	return error;
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
	if (zero_head(r, offset) == 0) {
		sas_fence(r);
		sas_tile_free(map, unit, order, SAS_M_FREED);
	}
	return 0;
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
		/* Publish: nothing of it is in use. Its map is written anew before it is carved again. */
		sas_tile_free(&map, n, 0, SAS_M_DIRTY);
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
	uint32_t order = order_of(size, r->segment_shift), from = 0;
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
	return order_of(sas_map_bytes(r->segment_size), SAS_M_UNIT_SHIFT);
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
		sas_fence(r);
	}
	if (!error)
		error = write_map(r, *segment, state);
	if (error) {
		give_segments(r, *segment, 0);
		return error;
	}
	sas_fence(r);
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
	uint32_t order = order_of(size, SAS_M_UNIT_SHIFT);
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
	uint32_t order = order_of(q->size, SAS_M_UNIT_SHIFT);
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
	uint32_t order = order_of(q->size, SAS_M_UNIT_SHIFT);
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
	int error = lock_clean(r, sas_recover_locked);

	if (error)
		return error;
	set_owner(r->run->header, r->run->threads, (int)slot);
	error = take_locked(intent, &q, offset);
	set_owner(r->run->header, NULL, 0);
	sas_block_unlock_raw(r);
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
	    sas_index_find(r, order_of(q->size, SAS_M_UNIT_SHIFT), &n) == -ENOENT)
		sas_lease_flush(r, own);
	error = take_locked(intent, q, offset);
	if (is_out_of_space(error) && own && sas_lease_flush(r, own))
		error = take_locked(intent, q, offset);
	return error;
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

/* --- free */

static int check_block(struct sas_region *r, uint64_t offset, uint64_t size)
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
	uint32_t order = order_of(size, r->segment_shift);
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
	uint32_t order = order_of(size, SAS_M_UNIT_SHIFT);
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
	uint32_t order = order_of(size, SAS_M_UNIT_SHIFT);
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
	int error = check_block(r, offset, size);

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

/* The map that holds the block's entry, and where. */
static int map_of_block(struct sas_region *r, uint64_t offset, uint64_t size, struct sas_map *map, uint64_t *unit)
{
	if (size >= r->segment_size) {
		sas_map_segments(r, map);
		*unit = sas_segment_of(r, offset);
		return 0;
	}
	*unit = (offset & (r->segment_size - 1)) >> SAS_M_UNIT_SHIFT;
	return sas_map_units(r, sas_segment_of(r, offset), map);
}

static uint32_t order_of_block(const struct sas_region *r, uint64_t size)
{
	return order_of(size, size < r->segment_size ? SAS_M_UNIT_SHIFT : r->segment_shift);
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
	uint32_t order = order_of_block(r, size), *entry, used, retired = sas_entry(SAS_M_USED, order, SAS_M_GENERATION_RETIRED);
	struct sas_map map;
	uint64_t unit;
	int error = check_block(r, offset, size);

	if (!error)
		error = map_of_block(r, offset, size, &map, &unit);
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
	int error = map_of_block(r, offset, size, &map, &unit);

	if (!error)
		error = retire(r, &map, unit, order_of_block(r, size), offset);
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
					       order_of(size, SAS_M_UNIT_SHIFT), where);
		} else {
			sas_map_segments(r, &map);
			error = retire(r, &map, sas_segment_of(r, where), order_of(size, r->segment_shift), where);
		}
		sas_index_stale(r, sas_segment_of(r, where));
	}
	sas_block_unlock_raw(r);
	return error;
}
