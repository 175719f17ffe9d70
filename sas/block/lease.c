/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <errno.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include "media/anchor.h"
#include "block.h"
#include "ground/err.h"
#include "index.h"
#include "lease.h"
#include "ground/port.h"
#include "run/run_lease.h"
#include "sasregion.h"

/* Of one thread in one region. Memory of the process: what others must know is in the slot and in the maps. */
struct sas_lease {
	struct sas_run_thread *slot;    /* NULL: none, in a fork's child */
	uint32_t tag;
	uint32_t generation;            /* of the blocks that it allocates */
	int fenced;                     /* no membarrier: we have fences of our own */
	unsigned next;                  /* of lease_of: the one to leave when all are in use */
	struct stack {
		unsigned count, room;
		unsigned batch;         /* to fetch next: doubles up to half of room */
		uint64_t *tiles;        /* offsets in the region */
	} stack[SAS_LEASE_ORDERS];
	uint64_t tiles[2 * SAS_LEASE_TILES];
};

/* Entries of two lines of the processor's cache: the tile that a thread uses again and again, the lowest of its batch, is
 * so far from that of another one. */
#define FIRST_BATCH 32U

static unsigned room_for(const struct sas_region *r, uint32_t order)
{
	uint64_t bytes = r->segment_size / 64 < SAS_LEASE_BYTES ? r->segment_size / 64 : SAS_LEASE_BYTES;

	return (unsigned)(bytes >> SAS_M_UNIT_SHIFT >> order);
}

static uint32_t order_of(uint64_t size)
{
	return (uint32_t)__builtin_ctzll(size) - SAS_M_UNIT_SHIFT;
}

int sas_lease_fits(uint64_t size)
{
	return size >= SAS_M_UNIT && size <= SAS_M_UNIT << (SAS_LEASE_ORDERS - 1) && !(size & (size - 1));
}

static void *entry_at(const struct sas_region *r, uint64_t offset)
{
	uint64_t unit = (offset & (r->segment_size - 1)) >> SAS_M_UNIT_SHIFT;

	return sas_at(r, sas_map_of(&r->anchor, sas_segment_of(r, offset)) + unit * sizeof(uint32_t));
}

/* A map of one entry, for the stores of tiles.h. */
static struct sas_map map_at(const struct sas_region *r, uint64_t offset)
{
	return (struct sas_map){ .entries = entry_at(r, offset), .units = 1, .stride = 1 };
}

/* --- without a lock */

/* Pairs with sas_lease_seize(). */
static int begin_busy(struct sas_region *r, const struct sas_lease *l)
{
	if (l->fenced)
		sas_store_seq_cst_u32(&l->slot->lease_busy, 1);
	else
		sas_store_relaxed_u32(&l->slot->lease_busy, 1);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (!sas_load_seq_cst_u32(&r->run->header->seized))
		return 1;
	sas_store_release_u32(&l->slot->lease_busy, 0);
	return 0;
}

static void end_busy(const struct sas_lease *l)
{
	sas_store_release_u32(&l->slot->lease_busy, 0);
}

struct sas_lease *sas_lease_own(const struct sas_thread *t, const struct sas_region *r)
{
	struct sas_lease *l = sas_thread_slot(t, r) < 0 ? NULL : t->member[r->number].lease;

	return l && l->slot ? l : NULL;
}

/* The tile is ours until the store that publishes: a death before it leaves a free tile. */
uint64_t sas_lease_take(struct sas_region *r, struct sas_lease *l, uint32_t order)
{
	struct stack *s = &l->stack[order];
	uint64_t offset = s->tiles[--s->count];
	struct sas_map map = map_at(r, offset);

	if (sas_entry_state(sas_m_load_relaxed_u32(map.entries)) == SAS_M_DIRTY)
		memset(sas_at(r, offset), 0, SAS_M_UNIT);
	sas_tile_use(&map, 0, order, l->generation);
	sas_run_count(&l->slot->counters.allocations);
	return offset;
}

static void push(struct stack *s, uint64_t offset)
{
	s->tiles[s->count++] = offset;
}

/* The compare and swap frees the block: a death after it leaves a tile of which nothing is known, of a listed segment. */
int sas_lease_give(struct sas_region *r, struct sas_lease *l, uint64_t offset, uint32_t order, int retired)
{
	struct sas_map map = map_at(r, offset);
	uint32_t used = sas_m_load_acquire_u32(map.entries);

	if (sas_entry_state(used) != SAS_M_USED || sas_entry_order(used) != order || sas_entry_generation(used) == 0 ||
	    (sas_entry_generation(used) == SAS_M_GENERATION_RETIRED) != retired ||
	    !sas_tile_retire(&map, 0, used, l->tag))
		return 0;
	memset(sas_at(r, offset), 0, SAS_M_UNIT);
	sas_tile_lease(&map, 0, order, SAS_M_FREED, l->tag);
	push(&l->stack[order], offset);
	sas_run_count(&l->slot->counters.frees);
	return 1;
}

int sas_lease_alloc(struct sas_region *r, uint64_t size, uint64_t *offset)
{
	struct sas_thread *t = sas_lease_fits(size) ? sas_thread_fast(r) : NULL;
	struct sas_lease *l;
	int done = 0;

	if (!t)
		return 0;
	l = t->member[r->number].lease;
	if (l && l->slot && l->stack[order_of(size)].count && begin_busy(r, l)) {
		*offset = sas_lease_take(r, l, order_of(size));
		end_busy(l);
		done = 1;
	}
	sas_thread_done();
	return done;
}

/*
 * That the segment is listed tells that it and its map are mapped. It may have been given back to the table since, and be
 * part of a large block: then its map is nothing. While a block is in use in it, it stays carved.
 */
int sas_lease_free(struct sas_region *r, uint64_t offset, uint64_t size)
{
	struct sas_thread *t = sas_lease_fits(size) ? sas_thread_fast(r) : NULL;
	uint64_t n = sas_segment_of(r, offset);
	const struct stack *s;
	struct sas_lease *l;
	int done = 0;

	if (!t)
		return 0;
	l = t->member[r->number].lease;
	s = l && l->slot ? &l->stack[order_of(size)] : NULL;
	if (s && s->count < s->room && sas_lease_lists(l->slot, n) && begin_busy(r, l)) {
		done = sas_entry_carved(sas_m_load_acquire_u32(&r->table[n].block)) &&
		       sas_lease_give(r, l, offset, order_of(size), 0);
		end_busy(l);
	}
	sas_thread_done();
	return done;
}

/* --- getting tiles, under block_lock */

int sas_lease_has(const struct sas_lease *l, uint64_t size)
{
	return sas_lease_fits(size) && l->stack[order_of(size)].count > 0;
}

static void set_up(struct sas_region *r, struct sas_lease *l, struct sas_run_thread *slot, uint32_t tag)
{
	uint64_t *tiles = l->tiles;

	memset(l, 0, sizeof *l);
	for (uint32_t k = 0; k < SAS_LEASE_ORDERS; k++) {
		struct stack *s = &l->stack[k];

		s->tiles = tiles;
		s->room = room_for(r, k);
		s->batch = FIRST_BATCH >> k;
		tiles += SAS_LEASE_TILES >> k;
	}
	/* Its running threads execute a fence when somebody seizes. */
	l->fenced = sas_port->membarrier(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED) != 0;
	/* Who seizes looks at it after its store to `seized`, we at that after this: one of us sees the other. */
	if (!l->fenced)
		sas_store_seq_cst_u32(&r->run->header->unfenced, 1);
	l->tag = tag;
	l->generation = r->generation;
	l->slot = slot;
}

struct sas_lease *sas_lease_get(struct sas_region *r, struct sas_thread *t, uint64_t size)
{
	struct sas_membership *m = &t->member[r->number];
	struct sas_run_thread *slot = &r->run->threads[m->slot];
	uint32_t tag = sas_lease_tag(m->slot, slot->lives);

	if (!sas_lease_fits(size) || r->anchor.durability != SASDurability__PROCESS || room_for(r, order_of(size)) == 0)
		return NULL;
	if (!m->lease) {
		m->lease = malloc(sizeof *m->lease);
		if (!m->lease)
			return NULL;    /* then without */
		m->lease->slot = NULL;
	}
	if (m->lease->slot != slot)
		set_up(r, m->lease, slot, tag);
	return m->lease;
}

unsigned sas_lease_wants(struct sas_lease *l, uint32_t order)
{
	struct stack *s = &l->stack[order];
	unsigned half = (s->room + 1) / 2, now = s->batch < half ? s->batch : half;

	if (s->count)
		return 0;
	s->batch = 2 * now;
	return now;
}

int sas_lease_add(struct sas_region *r, struct sas_lease *l, const struct sas_map *map, uint64_t offset, uint32_t order)
{
	uint64_t unit = (offset & (r->segment_size - 1)) >> SAS_M_UNIT_SHIFT;
	int state = sas_tile_isolate(map, unit, order);

	if (state < 0)
		return sas_fail(EUCLEAN, "%s: the map is broken at %#llx; run sasphere check", r->path,
				(unsigned long long)offset);
	/* What was never used stays so in the lists, until it is used. */
	if (state == SAS_M_NEVER && !sas_tile_is_never(map, unit, 1ULL << order))
		state = SAS_M_FREED;
	sas_tile_lease(map, unit, order, (uint32_t)state, l->tag);
	push(&l->stack[order], offset);
	return 0;
}

/* --- under block_lock: giving them back */

/* One goes to b, the index of its segment; NULL: it cannot be had, and is built from the map later. */
static void give_back(struct sas_region *r, struct sas_buddy *b, uint64_t offset, uint32_t order)
{
	struct sas_map map = map_at(r, offset);

	sas_tile_unlease(&map, 0, order, sas_entry_state(sas_m_load_relaxed_u32(map.entries)));
	if (b)
		sas_buddy_give(b, (offset & (r->segment_size - 1)) >> SAS_M_UNIT_SHIFT, order);
}

/* The index is there before the tags go: built after that, it would have the tiles already. */
static struct sas_buddy *index_of(struct sas_region *r, uint64_t n)
{
	struct sas_buddy *b;

	if (sas_index_segment(r, n, &b) == 0)
		return b;
	if (sas_index_region(r, &b) == 0)
		sas_index_carved(r, n);
	return NULL;
}

/* Of the `count` lowest of the stack those of segment n, or (-1) all. How many. */
static unsigned flush_stack(struct sas_region *r, struct stack *s, uint32_t order, unsigned count, int64_t n)
{
	struct sas_buddy *b = NULL;
	int64_t at = -1;
	unsigned kept = 0;

	for (unsigned i = 0; i < s->count; i++) {
		int64_t segment = (int64_t)sas_segment_of(r, s->tiles[i]);

		if (i >= count || (n >= 0 && segment != n)) {
			s->tiles[kept++] = s->tiles[i];
			continue;
		}
		if (segment != at) {
			if (b)
				sas_index_update(r, (uint64_t)at);
			b = index_of(r, (uint64_t)segment);
			at = segment;
		}
		give_back(r, b, s->tiles[i], order);
	}
	if (b)
		sas_index_update(r, (uint64_t)at);
	count = s->count - kept;
	s->count = kept;
	return count;
}

void sas_lease_make_room(struct sas_region *r, struct sas_lease *l, uint32_t order)
{
	struct stack *s = &l->stack[order];

	if (s->count == s->room)
		flush_stack(r, s, order, (s->room + 1) / 2, -1);
}

static void unlist(struct sas_run_thread *slot, unsigned i)
{
	sas_store_release_u32(&slot->lease_of[i], 0);
}

unsigned sas_lease_flush(struct sas_region *r, struct sas_lease *l)
{
	unsigned count = 0;

	for (uint32_t k = 0; k < SAS_LEASE_ORDERS; k++)
		count += flush_stack(r, &l->stack[k], k, l->stack[k].count, -1);
	for (unsigned i = 0; i < SAS_RUN_LEASES; i++)
		unlist(l->slot, i);
	return count;
}

/* A place in the list: a free one, else the one whose turn it is, when its tiles have been given back. */
static unsigned find_place(struct sas_region *r, struct sas_lease *l)
{
	unsigned i;
	uint32_t n;

	for (i = 0; i < SAS_RUN_LEASES; i++)
		if (sas_load_relaxed_u32(&l->slot->lease_of[i]) == 0)
			return i;
	i = l->next++ % SAS_RUN_LEASES;
	n = sas_load_relaxed_u32(&l->slot->lease_of[i]) - 1;
	for (uint32_t k = 0; k < SAS_LEASE_ORDERS; k++)
		flush_stack(r, &l->stack[k], k, l->stack[k].count, n);
	return i;
}

void sas_lease_list(struct sas_region *r, struct sas_lease *l, uint64_t n)
{
	if (!sas_lease_lists(l->slot, n))
		sas_store_release_u32(&l->slot->lease_of[find_place(r, l)], (uint32_t)n + 1);
}

/* --- seizing */

static int is_dead(const struct sas_run_thread *slot)
{
	return (uint32_t)__atomic_load_n(&slot->life.__data.__lock, __ATOMIC_ACQUIRE) & FUTEX_OWNER_DIED;
}

int sas_lease_seize(struct sas_region *r, const struct sas_thread *t)
{
	struct sas_run_header *h = r->run->header;
	uint32_t top = sas_load_acquire_u32(&h->thread_top);
	int error;

	sas_store_seq_cst_u32(&h->seized, 1);
	error = sas_port->membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED);
	if (error && sas_load_seq_cst_u32(&h->unfenced)) {
		sas_store_release_u32(&h->seized, 0);
		return sas_fail(ENOSYS, "%s: this process may not call membarrier(2), and others that have joined rely on it: %s",
				r->path, strerror(-error));
	}
	for (uint32_t i = 0; i < top; i++) {
		const struct sas_run_thread *slot = &r->run->threads[i];

		/* A slot that is taken from here on, or by another life, meets `seized`. */
		while ((int)i != sas_thread_slot(t, r) && sas_load_seq_cst_u32(&slot->lease_busy) &&
		       sas_load_acquire_u32(&slot->state) == SAS_RUN_USED && !is_dead(slot))
			sched_yield();
	}
	return 0;
}

/* --- ends */

static void mark_stale(struct sas_region *r, struct sas_run_thread *slot)
{
	for (unsigned i = 0; i < SAS_RUN_LEASES; i++) {
		uint32_t n = sas_load_relaxed_u32(&slot->lease_of[i]);

		if (n && n <= r->segments)
			sas_index_stale(r, n - 1);
		unlist(slot, i);
	}
}

void sas_lease_end(struct sas_region *r, struct sas_thread *t)
{
	struct sas_lease *l = sas_lease_own(t, r);

	if (!l || !sas_lease_lists_any(l->slot) || sas_block_lock_unseized(r, sas_thread_slot(t, r)) != 0)
		return;
	sas_lease_flush(r, l);
	sas_block_unlock_unseized(r);
}

void sas_lease_abandon(struct sas_region *r)
{
	uint32_t top = sas_load_acquire_u32(&r->run->header->thread_top);

	for (uint32_t i = 0; i < top && sas_m_load_acquire_u32(&r->state->life) == SAS_M_LIFE_ACTIVE; i++) {
		struct sas_run_thread *slot = &r->run->threads[i];

		if (sas_load_acquire_u32(&slot->state) != SAS_RUN_USED || slot->token != r->token ||
		    !sas_lease_lists_any(slot) || sas_block_lock_unseized(r, -1) != 0)
			continue;
		mark_stale(r, slot);
		sas_block_unlock_unseized(r);
	}
}

int sas_lease_recover(struct sas_region *r, uint32_t number)
{
	struct sas_run_thread *slot = &r->run->threads[number];
	int error;

	if (!sas_lease_lists_any(slot))
		return 0;
	error = sas_block_lock_raw(r);
	if (error)
		return error;
	mark_stale(r, slot);
	sas_block_unlock_raw(r);
	return 0;
}

void sas_lease_forget(struct sas_lease *l)
{
	if (l)
		l->slot = NULL;
}

void sas_lease_drop(struct sas_lease *l)
{
	free(l);
}
