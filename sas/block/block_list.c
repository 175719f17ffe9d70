/* SPDX-License-Identifier: MIT */
/*
 * block_list.c - the state of a region as lists: blocks in use, free, never used; segments; ranges without files.
 *
 * A list is made under block_lock in memory of our own, and copied to the caller's after it.
 * Neighbours that are buddies of one kind are merged, but for the list of blocks in use.
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "block.h"
#include "ground/err.h"
#include "index.h"
#include "sasregion.h"
#include "media/segment.h"

struct list {
	SASBlockInfo *entries;
	size_t count, room;
	int kind, merge, failed;
	uint64_t base;
};

static void push(struct list *l, uint64_t offset, uint64_t size, uint32_t generation)
{
	/* The top of the list and the new entry are buddies: one entry of twice the size. */
	while (l->merge && l->count) {
		SASBlockInfo *top = &l->entries[l->count - 1];
		uint64_t at = (uint64_t)(uintptr_t)top->address - l->base;

		if (top->size != size || at + size != offset || (at & size))
			break;
		offset = at;
		size *= 2;
		l->count--;
	}
	if (l->count == l->room) {
		size_t room = l->room ? 2 * l->room : 256;
		SASBlockInfo *more = realloc(l->entries, room * sizeof *more);

		if (!more) {
			l->failed = 1;
			return;
		}
		l->entries = more;
		l->room = room;
	}
	l->entries[l->count++] = (SASBlockInfo){ (void *)(l->base + offset), size, generation, (uint32_t)l->kind };
}

/* A range in aligned powers of two. */
static void push_range(struct list *l, uint64_t from, uint64_t to)
{
	while (from < to) {
		uint64_t size = from ? from & -from : 1ULL << 62;

		while (from + size > to)
			size /= 2;
		push(l, from, size, 0);
		from += size;
	}
}

static int wanted(const struct list *l, const struct sas_tile *t)
{
	switch (l->kind) {
	case SASBlock__IN_USE:
	case SASBlock__IN_USE_MERGED:
		return t->state == SAS_M_USED;
	case SASBlock__FREE:
		return t->state == SAS_M_FREED || t->state == SAS_M_DIRTY;
	default:
		return t->state == SAS_M_NEVER;
	}
}

static int list_carved(struct sas_region *r, uint64_t n, struct list *l)
{
	struct sas_map map;
	struct sas_tile t;
	uint64_t unit = 0, from = 0, origin = n << r->segment_shift;
	int more, error = sas_map_units(r, n, &map);

	while (!error) {
		uint64_t at = unit;

		more = sas_tile_next(&map, &unit, &t);
		if (more < 0)
			return sas_fail(EUCLEAN, "%s: the block map of segment %llu is broken; run sasphere check", r->path,
					(unsigned long long)n);
		/* Units that were never used come one by one: gather them. */
		if (more && wanted(l, &t) && t.state == SAS_M_NEVER)
			continue;
		if (l->kind == SASBlock__UNCOMMITTED)
			push_range(l, origin + (from << SAS_M_UNIT_SHIFT), origin + (at << SAS_M_UNIT_SHIFT));
		from = unit;
		if (!more)
			break;
		if (wanted(l, &t))
			push(l, origin + (at << SAS_M_UNIT_SHIFT), SAS_M_UNIT << t.order,
			     t.state == SAS_M_USED ? sas_entry_generation(t.entry) : 0);
	}
	return error;
}

static void list_whole(struct sas_region *r, const struct sas_tile *t, struct list *l)
{
	uint64_t size = r->segment_size;

	if (t->state == SAS_M_USED) {
		push(l, t->head << r->segment_shift, size << t->order, sas_entry_generation(t->entry));
		return;
	}
	for (uint64_t n = t->head; n < t->head + (1ULL << t->order); n++)
		if (sas_segment_present(r, n))
			push(l, n << r->segment_shift, size, 0);
}

static int list_blocks(struct sas_region *r, struct list *l)
{
	struct sas_map map;
	struct sas_tile t;
	uint64_t unit = 0;
	int more, error = 0;

	sas_map_segments(r, &map);
	while (!error && (more = sas_tile_next(&map, &unit, &t)) != 0) {
		if (more < 0)
			return sas_fail(EUCLEAN, "%s: the segment table is broken; run sasphere check", r->path);
		if (sas_entry_carved(t.entry))
			error = list_carved(r, t.head, l);
		else if (wanted(l, &t))
			list_whole(r, &t, l);
	}
	return error;
}

static void list_segments(struct sas_region *r, struct list *l)
{
	uint64_t from = 0;

	for (uint64_t n = 0; n <= r->segments; n++) {
		int there = n == r->segments || sas_segment_present(r, n);

		if (!there)
			continue;
		if (l->kind == SASBlock__SEGMENT && n < r->segments)
			push(l, n << r->segment_shift, r->segment_size, 0);
		if (l->kind == SASBlock__FREE_REGION)
			push_range(l, from << r->segment_shift, n << r->segment_shift);
		from = n + 1;
	}
}

static int list_locked(struct sas_region *r, struct list *l)
{
	int error = 0;

	if (l->kind == SASBlock__SEGMENT || l->kind == SASBlock__FREE_REGION)
		list_segments(r, l);
	else
		error = list_blocks(r, l);
	if (!error && l->failed)
		error = sas_fail(ENOMEM, "no memory for a list of blocks");
	return error;
}

int sas_block_list(struct sas_region *r, int kind, SASBlockInfo **entries, size_t *count)
{
	struct list l = { .kind = kind, .base = r->base };
	struct sas_thread *t;
	int error;

	l.merge = kind == SASBlock__IN_USE_MERGED || kind == SASBlock__FREE || kind == SASBlock__UNCOMMITTED;
	error = sas_call_begin(r, 0, &t);
	if (error)
		return error;
	/* A reader without SAS.run is alone with files at rest. */
	error = r->run ? sas_block_lock(r, t) : 0;
	if (!error) {
		sas_err_defer();
		error = list_locked(r, &l);
		if (r->run)
			sas_block_unlock(r, t);
		sas_err_flush();
	}
	*entries = l.entries;
	*count = l.count;
	return sas_call_result(t, r, error);
}
