/* SPDX-License-Identifier: MIT */
/*
 * space.c - file space under blocks: taken before a block is published, returned in batches.
 *
 * Space is taken in chunks of 2 MiB; the index keeps a bit per chunk that is known to have it. A bit that is
 * missing costs a fallocate that finds nothing to do. Space is returned when a free run covers whole chunks:
 * its bits are cleared, the hole is punched, and its tiles become NEVER, in this order, so that a death
 * leaves less known than true, never more.
 *
 * Locks: block_lock held. Sparse regions take space at first touch; preallocated ones have all of it.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include "ground/err.h"
#include "index.h"
#include "media/persist.h"
#include "media/place.h"
#include "ground/port.h"
#include "sasregion.h"
#include "media/segment.h"

#ifndef FALLOC_FL_KEEP_SIZE
#include <linux/falloc.h>
#endif

#define RETURN_AFTER 64         /* chunks taken between two looks for space to return */

static int keeps_space(const struct sas_region *r)
{
	return (r->anchor.incompat & SAS_M_INCOMPAT_PREALLOCATED) || (r->anchor.compat & SAS_M_COMPAT_SPARSE);
}

static int is_set(const uint64_t *bits, uint64_t n)
{
	return (int)(bits[n / 64] >> (n % 64) & 1);
}

/* The first run of chunks in [from, to) without space. 0: all have it. */
static int next_gap(const uint64_t *backed, uint64_t *from, uint64_t to, uint64_t *end)
{
	while (*from < to && is_set(backed, *from))
		++*from;
	*end = *from;
	while (*end < to && !is_set(backed, *end))
		++*end;
	return *from < to;
}

static int full(struct sas_region *r, uint64_t n, int error)
{
	char name[SAS_SEGMENT_NAME];

	if (error == -ENOSPC || error == -EDQUOT)
		return sas_fail(ENOSPC, "%s/%s: no file space for the block: %s", r->path, sas_segment_name(name, n),
				strerror(-error));
	return sas_fail(-error, "%s/%s: file space cannot be taken: %s", r->path, sas_segment_name(name, n),
			strerror(-error));
}

static int take_in(struct sas_region *r, uint64_t n, uint64_t first, uint64_t last)
{
	uint64_t *backed = sas_index_backed(r, n), end = first;
	int fd = -1, error = backed ? 0 : -ENOSPC;

	/* On which nodes and in which pages it lies is asked for by who maps it: before the file gets memory. */
	if (!error && sas_place_needs_map(r))
		error = sas_segment_need(r, n);
	while (!error && next_gap(backed, &first, last, &end)) {
		if (fd < 0)
			error = sas_segment_open(r, n, &fd);
		if (!error) {
			sas_place_collapse(r, fd, (n << r->segment_shift) + (first << SAS_CHUNK_SHIFT),
					   (end - first) << SAS_CHUNK_SHIFT);
			error = sas_port->fallocate(fd, FALLOC_FL_KEEP_SIZE, first << SAS_CHUNK_SHIFT,
						    (end - first) << SAS_CHUNK_SHIFT);
		}
		if (error == -EOPNOTSUPP)       /* this file system takes space at first touch, as it must */
			error = 0;
		if (error) {
			error = full(r, n, error);
			break;
		}
		sas_fetch_add_relaxed_u32(&r->run->header->taken, (uint32_t)(end - first));
		for (; first < end; first++)
			backed[first / 64] |= 1ULL << (first % 64);
	}
	/* After a power cut as well, a block in use has its space. */
	if (fd >= 0 && !error && r->anchor.durability != SASDurability__PROCESS)
		error = sas_sync_file(r, fd, "file space");
	if (fd >= 0)
		sas_port->close(fd);
	return error;
}

int sas_space_take(struct sas_region *r, uint64_t offset, uint64_t size)
{
	uint64_t end = offset + size;
	int error = 0;

	if (keeps_space(r))
		return 0;
	while (offset < end && !error) {
		uint64_t n = sas_segment_of(r, offset), origin = n << r->segment_shift;
		uint64_t stop = end < origin + r->segment_size ? end : origin + r->segment_size;

		error = take_in(r, n, (offset - origin) >> SAS_CHUNK_SHIFT,
				(stop - origin + SAS_CHUNK - 1) >> SAS_CHUNK_SHIFT);
		offset = stop;
	}
	return error;
}

int sas_space_has(struct sas_region *r, uint64_t offset)
{
	uint64_t n = sas_segment_of(r, offset);
	const uint64_t *backed = keeps_space(r) ? NULL : sas_index_backed(r, n);

	return keeps_space(r) || (backed && is_set(backed, (offset & (r->segment_size - 1)) >> SAS_CHUNK_SHIFT));
}

/* Punch [offset, +size) of a segment's file; *bytes grows by what the file gave back. */
static int punch(struct sas_region *r, uint64_t n, int fd, uint64_t offset, uint64_t size, uint64_t *bytes)
{
	uint64_t *backed = sas_index_backed(r, n);
	struct stat before, after;
	int error;

	for (uint64_t c = offset >> SAS_CHUNK_SHIFT; backed && c < (offset + size) >> SAS_CHUNK_SHIFT; c++)
		backed[c / 64] &= ~(1ULL << (c % 64));
	error = sas_port->fstat(fd, &before);
	if (!error)
		error = sas_port->fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, size);
	if (!error)
		error = sas_port->fstat(fd, &after);
	if (!error && before.st_blocks > after.st_blocks)
		*bytes += (uint64_t)(before.st_blocks - after.st_blocks) * 512;
	return error;
}

static int any_backed(struct sas_region *r, uint64_t n, uint64_t offset, uint64_t size)
{
	const uint64_t *backed = sas_index_backed(r, n);

	for (uint64_t c = offset >> SAS_CHUNK_SHIFT; backed && c < (offset + size) >> SAS_CHUNK_SHIFT; c++)
		if (is_set(backed, c))
			return 1;
	return 0;
}

static int kept(struct sas_region *r, uint64_t n, int error)
{
	char name[SAS_SEGMENT_NAME];

	if (error && error != -EOPNOTSUPP)
		sas_fail(-error, "%s/%s: file space cannot be given back: %s", r->path, sas_segment_name(name, n),
			 strerror(-error));
	return error;
}

/* The free runs of whole chunks in a carved segment. */
static int return_from(struct sas_region *r, uint64_t n, int all, uint64_t *bytes)
{
	struct sas_buddy *b;
	struct sas_map map;
	int fd, error = sas_index_segment(r, n, &b);

	if (!error)
		error = sas_map_units(r, n, &map);
	if (!error)
		error = sas_segment_open(r, n, &fd);
	if (error)
		return error;
	for (uint32_t k = SAS_CHUNK_SHIFT - SAS_M_UNIT_SHIFT; k < b->orders && !error; k++)
		for (int64_t u = sas_buddy_next(b, k, 0); u >= 0 && !error; u = sas_buddy_next(b, k, (uint64_t)u + 1)) {
			uint64_t offset = (uint64_t)u << SAS_M_UNIT_SHIFT, size = SAS_M_UNIT << k;

			if (!all && !any_backed(r, n, offset, size))
				continue;
			error = punch(r, n, fd, offset, size, bytes);
			if (!error && r->anchor.durability != SASDurability__PROCESS)
				error = sas_sync_file(r, fd, "a hole"); /* before NEVER says zero */
			if (!error)
				sas_tile_forget(&map, (uint64_t)u, 1ULL << k);
		}
	sas_port->close(fd);
	return error;
}

/* A whole free segment. Its entry stays FREED, not NEVER: its block map may hold what it was. */
static int return_segment(struct sas_region *r, uint64_t n, uint64_t *bytes)
{
	int fd, error = sas_segment_open(r, n, &fd);

	if (error)
		return error;
	error = punch(r, n, fd, 0, r->segment_size, bytes);
	sas_port->close(fd);
	return error;
}

static int return_segments(struct sas_region *r, const struct sas_tile *tile, int all, uint64_t *bytes)
{
	int error = 0;

	for (uint64_t n = tile->head; n < tile->head + (1ULL << tile->order) && !error; n++)
		if (sas_segment_present(r, n) && (all || any_backed(r, n, 0, r->segment_size)))
			error = return_segment(r, n, bytes);
	return error;
}

int sas_space_return(struct sas_region *r, int all, uint64_t *bytes)
{
	struct sas_map map;
	struct sas_tile tile;
	uint64_t unit = 0;
	int error = 0, one;

	sas_store_relaxed_u32(&r->run->header->taken, 0);
	if (keeps_space(r))
		return 0;
	sas_map_segments(r, &map);
	/* What fails in one segment (no room for its index) does not keep the others from giving. */
	while (sas_tile_next(&map, &unit, &tile) > 0) {
		one = 0;
		if (sas_entry_carved(tile.entry)) {
			if (all || sas_index_known(r, tile.head))
				one = kept(r, tile.head, return_from(r, tile.head, all, bytes));
		} else if (tile.state == SAS_M_FREED || tile.state == SAS_M_DIRTY) {
			one = kept(r, tile.head, return_segments(r, &tile, all, bytes));
		}
		if (one && !error)
			error = one;
	}
	return error == -EOPNOTSUPP ? 0 : error;
}

/* An allocation failed: whole chunks of the run that it took, and which is free, go back. */
void sas_space_drop(struct sas_region *r, uint64_t offset, uint64_t size)
{
	uint64_t at = (offset + SAS_CHUNK - 1) & ~(SAS_CHUNK - 1), end = (offset + size) & ~(SAS_CHUNK - 1), bytes = 0;
	int fd;

	if (keeps_space(r))
		return;
	while (at < end) {
		uint64_t n = sas_segment_of(r, at), origin = n << r->segment_shift;
		uint64_t stop = end < origin + r->segment_size ? end : origin + r->segment_size;

		if (sas_segment_present(r, n) && sas_segment_open(r, n, &fd) == 0) {
			punch(r, n, fd, at - origin, stop - at, &bytes);
			sas_port->close(fd);
		}
		at = stop;
	}
}

int sas_space_due(struct sas_region *r)
{
	return sas_load_relaxed_u32(&r->run->header->taken) >= RETURN_AFTER;
}
