/* SPDX-License-Identifier: MIT */
/*
 * index.c - the derived index of free space in SAS.run: layout, building, and the search across segments.
 *
 *   fixed part:   epoch | has[order] bitmaps | unknown | spaced | buddy index over the segments
 *   per segment:  backed_epoch | backed bits | buddy index over the units
 *
 * has[k] bit n: segment n has a free run of exactly order k. unknown bit n: carved, but its index has
 * not been built in this epoch. spaced bit n: the file has space for n's index; nothing there is
 * touched before. All of it is valid only where the epoch is the header's.
 *
 * Locks: block_lock held by every caller. Crash: see buddy.h.
 */
#include <config.h>

#include <errno.h>
#include <string.h>
#include "media/anchor.h"
#include "ground/err.h"
#include "index.h"
#include "run/run_lease.h"
#include "media/segment.h"

struct fixed {
	uint32_t epoch;
	uint32_t reserved;
	uint32_t count[SAS_BUDDY_ORDERS];       /* bits set in has[order] */
	uint64_t bits[];
};

struct segment_index {
	uint32_t backed_epoch;
	uint32_t reserved;
	uint64_t backed[];      /* then the buddy index */
};

static uint64_t round_page(uint64_t n)
{
	return (n + 4095) & ~4095UL;
}

static uint64_t bitmap_words(const struct sas_region *r)
{
	return (r->segments + 63) / 64;
}

static uint64_t orders(const struct sas_region *r)
{
	return sas_unit_top(r) + 1;
}

static uint64_t backed_words(const struct sas_region *r)
{
	return ((r->segment_size >> SAS_CHUNK_SHIFT) + 63) / 64;
}

void sas_index_plan(struct sas_region *r)
{
	r->index_fixed = round_page(sizeof(struct fixed) + (orders(r) + 2) * bitmap_words(r) * 8 +
				    sas_buddy_size(r->segments));
	r->index_stride = round_page(sizeof(struct segment_index) + backed_words(r) * 8 +
				     sas_buddy_size(r->segment_size >> SAS_M_UNIT_SHIFT));
}

uint64_t sas_index_fixed_size(const struct sas_region *r)
{
	return r->index_fixed;
}

uint64_t sas_index_size(const struct sas_region *r)
{
	return r->index_fixed + r->segments * r->index_stride;
}

static struct fixed *fixed_of(const struct sas_region *r)
{
	return (void *)r->run->index;
}

static uint64_t *has(const struct sas_region *r, uint64_t order)
{
	return fixed_of(r)->bits + order * bitmap_words(r);
}

static uint64_t *unknown(const struct sas_region *r)
{
	return has(r, orders(r));
}

static uint64_t *spaced(const struct sas_region *r)
{
	return has(r, orders(r) + 1);
}

static struct sas_buddy *region_buddy(const struct sas_region *r)
{
	return (void *)has(r, orders(r) + 2);
}

static uint64_t segment_at(const struct sas_region *r, uint64_t n)
{
	return r->index_fixed + n * r->index_stride;
}

static struct segment_index *segment_of(const struct sas_region *r, uint64_t n)
{
	return (void *)(r->run->index + segment_at(r, n));
}

static struct sas_buddy *segment_buddy(const struct sas_region *r, uint64_t n)
{
	return (void *)(segment_of(r, n)->backed + backed_words(r));
}

static int get_bit(const uint64_t *bits, uint64_t n)
{
	return (int)(bits[n / 64] >> (n % 64) & 1);
}

static void put_bit(uint64_t *bits, uint64_t n, int on)
{
	if (on)
		bits[n / 64] |= 1ULL << (n % 64);
	else
		bits[n / 64] &= ~(1ULL << (n % 64));
}

static int64_t first_bit(const uint64_t *bits, uint64_t words)
{
	for (uint64_t i = 0; i < words; i++)
		if (bits[i])
			return (int64_t)(i * 64 + (uint64_t)__builtin_ctzll(bits[i]));
	return -1;
}

static uint32_t epoch(const struct sas_region *r)
{
	return sas_load_relaxed_u32(&r->run->header->index_epoch);
}

void sas_index_reset(struct sas_region *r)
{
	memset(r->run->index, 0, r->index_fixed);
	sas_store_relaxed_u32(&r->run->header->index_epoch, 1);
}

void sas_map_segments(struct sas_region *r, struct sas_map *map)
{
	map->entries = &r->table[0].block;
	map->stride = sizeof(struct sas_m_segment) / sizeof(uint32_t);
	map->units = r->segments;
	map->top = 63U - (uint32_t)__builtin_clzll(r->segments);
}

int sas_map_units(struct sas_region *r, uint64_t n, struct sas_map *map)
{
	uint64_t offset = sas_map_of(&r->anchor, n);
	int error = sas_segment_need(r, sas_segment_of(r, offset));

	map->entries = sas_at(r, offset);
	map->stride = 1;
	map->units = r->segment_size >> SAS_M_UNIT_SHIFT;
	map->top = sas_unit_top(r);
	return error;
}

int sas_map_look(struct sas_region *r, uint64_t offset, uint64_t *start, uint64_t *size, uint32_t *generation)
{
	struct sas_map map;
	struct sas_tile tile;
	uint64_t n = sas_segment_of(r, offset), origin;

	sas_map_segments(r, &map);
	*start = *size = 0;
	if (sas_tile_find(&map, n, &tile) != 0)
		return -ENOENT;
	if (sas_entry_carved(tile.entry)) {
		/* Without the sentence of sas_map_units(): this runs in signal handlers. */
		uint64_t at = sas_map_of(&r->anchor, n);

		if (!sas_segment_mapped(r, sas_segment_of(r, at)) && sas_segment_map_quiet(r, sas_segment_of(r, at)) != 0)
			return -ENOENT;
		map.entries = sas_at(r, at);
		map.stride = 1;
		map.units = r->segment_size >> SAS_M_UNIT_SHIFT;
		map.top = sas_unit_top(r);
		origin = n << r->segment_shift;
		if (sas_tile_find(&map, (offset - origin) >> SAS_M_UNIT_SHIFT, &tile) != 0)
			return -ENOENT;
		*start = origin + (tile.head << SAS_M_UNIT_SHIFT);
		*size = SAS_M_UNIT << tile.order;
	} else {
		*start = tile.head << r->segment_shift;
		*size = r->segment_size << tile.order;
	}
	*generation = sas_entry_generation(tile.entry);
	return tile.state == SAS_M_USED ? 0 : -ENOENT;
}

static int broken(struct sas_region *r, const char *what, uint64_t unit)
{
	return sas_fail(EUCLEAN, "%s: the %s is broken at entry %llu; run sasphere check", r->path, what,
			(unsigned long long)unit);
}

/*
 * A free tile that a living thread leases is as good as taken. A tag that means nothing any more goes: so it cannot
 * come to mean something when the slot has another life with the same tag (run_lease.h).
 */
static int is_leased(struct sas_region *r, uint64_t n, const struct sas_map *map, const struct sas_tile *tile)
{
	uint32_t tag = sas_entry_generation(tile->entry);

	if (tag == 0)
		return 0;
	if (sas_lease_lives(r, n, tag))
		return 1;
	sas_tile_unlease(map, tile->head, tile->order, tile->state);
	return 0;
}

/* Give the free runs of a map, that of segment n or (-1) of the segments, to an index. */
static int build(struct sas_region *r, int64_t n, const struct sas_map *map, struct sas_buddy *b, const char *what)
{
	uint64_t unit = 0, from = 0, at;
	struct sas_tile tile;
	int more;

	sas_buddy_format(b, map->units);
	for (;;) {
		at = unit;
		more = sas_tile_next(map, &unit, &tile);
		if (more < 0)
			return broken(r, what, at);
		if (more == 0 || tile.state == SAS_M_USED || (n >= 0 && is_leased(r, (uint64_t)n, map, &tile))) {
			sas_buddy_give_range(b, from, at);
			from = unit;
		}
		if (more == 0)
			break;
	}
	b->epoch = epoch(r);
	return 0;
}

static int build_fixed(struct sas_region *r)
{
	uint64_t words = bitmap_words(r), unit = 0;
	struct sas_map map;
	struct sas_tile tile;
	int error;

	memset(fixed_of(r)->count, 0, sizeof fixed_of(r)->count);
	memset(fixed_of(r)->bits, 0, (orders(r) + 1) * words * 8);
	sas_map_segments(r, &map);
	error = build(r, -1, &map, region_buddy(r), "segment table");
	while (!error && sas_tile_next(&map, &unit, &tile) > 0)
		if (sas_entry_carved(tile.entry))
			put_bit(unknown(r), tile.head, 1);
	if (!error)
		fixed_of(r)->epoch = epoch(r);
	return error;
}

int sas_index_region(struct sas_region *r, struct sas_buddy **index)
{
	*index = region_buddy(r);
	return fixed_of(r)->epoch == epoch(r) ? 0 : build_fixed(r);
}

int sas_index_known(struct sas_region *r, uint64_t n)
{
	return fixed_of(r)->epoch == epoch(r) && get_bit(spaced(r), n) && segment_buddy(r, n)->epoch == epoch(r);
}

static int make_space(struct sas_region *r, uint64_t n)
{
	int error;

	if (get_bit(spaced(r), n))
		return 0;
	error = sas_run_reserve(r, r->run, SAS_RUN_INDEX_OFFSET + segment_at(r, n), r->index_stride);
	if (error)
		return sas_fail(-error, "%s/" SAS_RUN_NAME ": no room for the index of segment %llu: %s", r->path,
				(unsigned long long)n, strerror(-error));
	segment_of(r, n)->backed_epoch = 0;
	segment_buddy(r, n)->epoch = 0;
	put_bit(spaced(r), n, 1);
	return 0;
}

uint64_t *sas_index_backed(struct sas_region *r, uint64_t n)
{
	struct segment_index *s;

	if (make_space(r, n) != 0)
		return NULL;
	s = segment_of(r, n);
	if (s->backed_epoch != epoch(r)) {
		memset(s->backed, 0, backed_words(r) * 8);
		s->backed_epoch = epoch(r);
	}
	return s->backed;
}

int sas_index_segment(struct sas_region *r, uint64_t n, struct sas_buddy **index)
{
	struct sas_map map;
	int error = sas_index_region(r, index);

	*index = segment_buddy(r, n);
	/* unknown is cleared last: a death before that builds it again. */
	if (error || (sas_index_known(r, n) && !get_bit(unknown(r), n)))
		return error;
	error = make_space(r, n);
	if (!error)     /* the map's pages need file space as well: in a copy they may be holes */
		error = sas_space_take(r, sas_map_of(&r->anchor, n), sas_map_bytes(r->segment_size));
	if (!error)
		error = sas_map_units(r, n, &map);
	if (!error)
		error = build(r, (int64_t)n, &map, *index, "block map");
	if (error)
		return error;
	sas_index_update(r, n);
	put_bit(unknown(r), n, 0);
	return 0;
}

static void put_has(struct sas_region *r, uint32_t order, uint64_t n, int on)
{
	uint64_t *bits = has(r, order);

	if (get_bit(bits, n) == on)
		return;
	put_bit(bits, n, on);
	fixed_of(r)->count[order] += on ? 1U : -1U;
}

void sas_index_update(struct sas_region *r, uint64_t n)
{
	const struct sas_buddy *b = segment_buddy(r, n);

	for (uint32_t k = 0; k < b->orders; k++)
		put_has(r, k, n, b->count[k] != 0);
}

static void clear_has(struct sas_region *r, uint64_t n)
{
	for (uint32_t k = 0; k < orders(r); k++)
		put_has(r, k, n, 0);
}

void sas_index_forget(struct sas_region *r, uint64_t n)
{
	clear_has(r, n);
	put_bit(unknown(r), n, 0);
	if (get_bit(spaced(r), n))
		segment_buddy(r, n)->epoch = 0;
}

void sas_index_carved(struct sas_region *r, uint64_t n)
{
	sas_index_forget(r, n);
	put_bit(unknown(r), n, 1);
}

/* Where there is no room for it, it stays unknown, and whoever needs it finds out. */
void sas_index_fresh(struct sas_region *r, uint64_t n, uint64_t own)
{
	struct sas_buddy *b = segment_buddy(r, n);

	if (make_space(r, n) != 0)
		return;
	sas_buddy_format(b, r->segment_size >> SAS_M_UNIT_SHIFT);
	sas_buddy_give_range(b, own, b->units);
	b->epoch = epoch(r);
	sas_index_update(r, n);
	put_bit(unknown(r), n, 0);
}

/* After a death: n's index is built again at its next use. */
void sas_index_stale(struct sas_region *r, uint64_t n)
{
	struct sas_map map;
	struct sas_tile tile;

	/* The bitmaps and the region's index may be half-changed as well; they are cheap to build. */
	if (build_fixed(r) != 0) {
		fixed_of(r)->epoch = 0;
		return;
	}
	sas_map_segments(r, &map);
	for (uint64_t unit = 0; sas_tile_next(&map, &unit, &tile) > 0;) {
		uint64_t s = tile.head;

		if (!sas_entry_carved(tile.entry) || !get_bit(spaced(r), s))
			continue;
		if (s == n)
			segment_buddy(r, s)->epoch = 0;
		else if (segment_buddy(r, s)->epoch == epoch(r)) {
			put_bit(unknown(r), s, 0);
			sas_index_update(r, s);
		}
	}
}

/* 0: *segment; -ENOENT: no carved segment has such a run; -errno with a sentence. */
int sas_index_find(struct sas_region *r, uint32_t order, uint64_t *segment)
{
	uint64_t words = bitmap_words(r);
	struct sas_buddy *b;
	int64_t n;
	int error = sas_index_region(r, &b);

	while (!error) {
		for (uint32_t k = order; k < orders(r); k++) {
			n = fixed_of(r)->count[k] ? first_bit(has(r, k), words) : -1;
			if (n >= 0) {
				*segment = (uint64_t)n;
				return 0;
			}
		}
		n = first_bit(unknown(r), words);
		error = n < 0 ? -ENOENT : sas_index_segment(r, (uint64_t)n, &b);
	}
	return error;
}
