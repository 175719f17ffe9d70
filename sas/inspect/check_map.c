/* SPDX-License-Identifier: MIT */
/*
 * check_map.c - the check of maps: tiles (M1, M2), the blocks that the runtime needs, and the bytes of
 * free space (M3).
 */
#include <config.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "check.h"
#include "ground/port.h"
#include "block/tiles.h"

#define MAP_PROBLEMS 50         /* told of one map; then the rest of it is left */

/* --- the bytes of free space */

/* The next data in [*from, end) of a file: *from and *to; 0 when there is none. Where the file system
 * does not tell, all is data. */
static int next_data(int fd, uint64_t *from, uint64_t *to, uint64_t end)
{
	int64_t data = sas_port->lseek(fd, (int64_t)*from, SEEK_DATA), hole;

	if (data == -ENXIO || (data >= 0 && (uint64_t)data >= end))
		return 0;
	if (data < 0) {
		*to = end;
		return 1;
	}
	hole = sas_port->lseek(fd, data, SEEK_HOLE);
	*from = (uint64_t)data;
	*to = hole < 0 || (uint64_t)hole > end ? end : (uint64_t)hole;
	return 1;
}

/* Bytes [from, to) of segment n's file, read in pieces: *at is the first that is not zero, or `to`. */
static int find_nonzero(struct sas_check *c, uint64_t n, uint64_t from, uint64_t to, uint64_t *at)
{
	uint64_t start = n * c->in->anchor.segment_size;

	for (*at = from; *at < to;) {
		uint64_t piece = to - *at < SAS_CHECK_BUFFER ? to - *at : SAS_CHECK_BUFFER;
		int error = sas_inspect_read(c->in, start + *at, c->buffer, piece);

		if (error)
			return error;
		if (!sas_check_zero(c->buffer, piece)) {
			for (uint64_t i = 0; !c->buffer[i]; i++)
				++*at;
			return 0;
		}
		*at += piece;
	}
	return 0;
}

/* M3: these bytes are zero. */
static int look_for_zeros(struct sas_check *c, uint64_t n, uint64_t from, uint64_t size, const char *what)
{
	uint64_t end = from + size, to, at;
	int fd, error = sas_inspect_file(c->in, n, &fd);

	while (!error && from < end && next_data(fd, &from, &to, end)) {
		error = find_nonzero(c, n, from, to, &at);
		if (!error && at < to) {
			if (c->doubtful)
				c->doubtful[n] = 1;
			sas_check_report(c, n, at, "%s holds a byte that is not zero", what);
			return 0;
		}
		from = to;
	}
	return error ? sas_check_unreadable(c, n, error) : 0;
}

static int check_free_bytes(struct sas_check *c, uint64_t n, uint64_t from, uint64_t size, uint32_t state)
{
	if (c->structure)
		return 0;
	if (state == SAS_M_NEVER)
		return look_for_zeros(c, n, from, size, "space that was never used");
	if (state == SAS_M_FREED)
		return look_for_zeros(c, n, from, SAS_M_UNIT, "the first page of free space");
	return 0;
}

/* --- blocks of the runtime */

static void expect_block(struct sas_check *c, uint64_t offset, uint64_t size, const char *what)
{
	c->fixed[c->fixed_count++] = (struct sas_fixed_block){ .offset = offset, .size = size, .what = what };
}

static void expect_fixed_blocks(struct sas_check *c)
{
	const struct sas_m_anchor *a = &c->in->anchor;

	c->fixed_count = 0;
	expect_block(c, 0, a->anchor_size, "the anchor block");
	expect_block(c, a->map_offset, a->map_size, "the map area");
	for (unsigned i = 0; i < SAS_M_LOG_CHUNKS; i++)
		if (c->in->state.log_chunk[i])
			expect_block(c, c->in->state.log_chunk[i], a->log_chunk_size,
				     "a chunk of intent logs");
}

static void check_runtime_block(struct sas_check *c, uint64_t n, uint64_t offset, uint64_t size,
				uint64_t entry_at)
{
	const struct sas_m_anchor *a = &c->in->anchor;

	for (unsigned i = 0; i < c->fixed_count; i++) {
		if (c->fixed[i].offset == offset && c->fixed[i].size == size) {
			c->fixed[i].seen = 1;
			return;
		}
	}
	if (n >= a->maps && offset == n * a->segment_size && size == sas_map_bytes(a->segment_size))
		return;
	/* A change that is not finished may hold one. */
	if (!c->in->alive && !c->intents)
		sas_check_report(c, entry_at / a->segment_size, entry_at % a->segment_size,
				 "a block of the runtime at offset %llu of the region that nothing names",
				 (unsigned long long)offset);
}

static void check_fixed_seen(struct sas_check *c, uint64_t n)
{
	const struct sas_m_anchor *a = &c->in->anchor;

	for (unsigned i = 0; i < c->fixed_count; i++) {
		const struct sas_fixed_block *block = &c->fixed[i];

		if (block->offset / a->segment_size == n && !block->seen)
			sas_check_report(
				c, n, block->offset % a->segment_size,
				"%s, %llu bytes here, is not a block of the runtime in the block map",
				block->what, (unsigned long long)block->size);
	}
}

/* --- one block map */

struct map_walk {
	uint64_t n;             /* the segment */
	uint64_t head;          /* the next head of a tile */
	int hollow;             /* the tile was never used: its other entries are 0 */
	int own_map;            /* its own map was seen in it */
	uint64_t never, never_end;      /* bytes never used that are still to be looked at */
};

static uint64_t entry_offset(const struct sas_check *c, uint64_t n, uint64_t unit)
{
	return sas_map_of(&c->in->anchor, n) + unit * sizeof(uint32_t);
}

/* Free and carved segments belong to no generation. (In block maps the field of a free entry tells who leases it.) */
static int has_stray_generation(uint32_t entry)
{
	return sas_entry_generation(entry) &&
	       (sas_entry_state(entry) != SAS_M_USED || sas_entry_carved(entry));
}

static void report_entry(struct sas_check *c, uint64_t n, uint64_t unit, const char *what, uint32_t entry)
{
	uint64_t at = entry_offset(c, n, unit), size = c->in->anchor.segment_size;

	sas_check_report(c, at / size, at % size, "unit %llu of segment %llu: %s: entry 0x%08x",
			 (unsigned long long)unit, (unsigned long long)n, what, entry);
}

/* Units that were never used come one by one: their bytes are looked at together. */
static int check_never(struct sas_check *c, struct map_walk *walk)
{
	uint64_t from = walk->never, size = walk->never_end - from;

	walk->never = walk->never_end = 0;
	return size ? check_free_bytes(c, walk->n, from, size, SAS_M_NEVER) : 0;
}

static int add_never(struct sas_check *c, struct map_walk *walk, uint64_t from, uint64_t size)
{
	int error = 0;

	if (walk->never_end != from) {
		error = check_never(c, walk);
		walk->never = from;
	}
	walk->never_end = from + size;
	return error;
}

static int check_head(struct sas_check *c, struct map_walk *walk, uint64_t unit, uint32_t entry)
{
	uint64_t size = c->in->anchor.segment_size;
	uint64_t from = unit * SAS_M_UNIT, bytes;

	if (!sas_inspect_fits(unit, size / SAS_M_UNIT, entry)) {
		report_entry(c, walk->n, unit, "no tile can begin so", entry);
		walk->head = unit + 1;
		walk->hollow = 0;
		return 0;
	}
	walk->head = unit + sas_entry_units(entry);
	walk->hollow = sas_entry_state(entry) == SAS_M_NEVER;
	bytes = sas_entry_units(entry) * SAS_M_UNIT;
	if (sas_entry_state(entry) == SAS_M_NEVER)
		return add_never(c, walk, from, bytes);
	if (sas_entry_state(entry) != SAS_M_USED)
		return check_free_bytes(c, walk->n, from, bytes, sas_entry_state(entry));
	if (sas_entry_generation(entry))
		return 0;
	walk->own_map |= unit == 0 && bytes == sas_map_bytes(size);
	check_runtime_block(c, walk->n, walk->n * size + from, bytes, entry_offset(c, walk->n, unit));
	return 0;
}

static int check_window(struct sas_check *c, struct map_walk *walk, uint64_t first, uint64_t count)
{
	int error = 0;

	for (uint64_t i = 0; i < count && !error; i++) {
		uint32_t entry = c->entries[i];

		if (first + i == walk->head)
			error = check_head(c, walk, first + i, entry);
		else if (sas_entry_state(entry) == SAS_M_USED)
			report_entry(c, walk->n, first + i, "a block inside of another tile", entry);
		else if (walk->hollow && entry)
			report_entry(c, walk->n, first + i, "inside of space that was never used", entry);
	}
	return error;
}

static int check_map(struct sas_check *c, uint64_t n)
{
	uint64_t units = c->in->anchor.segment_size / SAS_M_UNIT;
	struct map_walk walk = { .n = n };
	long before = c->problems;
	int error = 0;

	expect_fixed_blocks(c);
	for (uint64_t first = 0; first < units && !error; first += SAS_INSPECT_WINDOW) {
		uint64_t count = units - first < SAS_INSPECT_WINDOW ? units - first : SAS_INSPECT_WINDOW;

		error = sas_inspect_entries(c->in, n, first, count, c->entries);
		if (error)
			return sas_check_unreadable(c, n, error);
		error = check_window(c, &walk, first, count);
		if (c->problems - before >= MAP_PROBLEMS) {
			report_entry(c, n, first + count - 1,
				     "so much is wrong that the rest of the map is left", 0);
			return error;
		}
	}
	if (!error)
		error = check_never(c, &walk);
	if (n >= c->in->anchor.maps && !walk.own_map && !error)
		sas_check_report(c, n, 0, "the segment's own block map is not a block of the runtime");
	check_fixed_seen(c, n);
	return error;
}

int sas_check_maps(struct sas_check *c)
{
	int error = 0;

	for (uint64_t n = 0; n < c->in->segments && !error; n++) {
		long before = c->problems;

		if (!sas_check_carved(c, n))
			continue;
		c->quiet = 1;
		error = check_map(c, n);
		c->quiet = 0;
		if (c->problems == before || error)
			continue;
		c->problems = before;
		error = sas_inspect_reload(c->in);
		if (!error && sas_check_carved(c, n))
			error = check_map(c, n);
	}
	return error;
}

/* --- the segment table */

static void report_segment(struct sas_check *c, uint64_t n, const char *what)
{
	sas_check_report(c, 0, c->in->anchor.table_offset + n * sizeof(struct sas_m_segment),
			 "segment %llu in the segment table: %s: file %u, entry 0x%08x",
			 (unsigned long long)n, what, c->in->table[n].file, c->in->table[n].block);
}

static int check_table_head(struct sas_check *c, uint64_t n, uint64_t *next)
{
	uint32_t entry = c->in->table[n].block, state = sas_entry_state(entry);
	uint64_t size = c->in->anchor.segment_size;
	int error = 0;

	*next = n + 1;
	if (has_stray_generation(entry))
		report_segment(c, n, "not a block, but of a generation");
	if (sas_entry_carved(entry)) {
		if (!sas_inspect_present(c->in, n))
			report_segment(c, n, "carved into blocks, but it has no file");
		return 0;
	}
	if (!sas_inspect_fits(n, c->in->segments, entry)) {
		report_segment(c, n, "no tile can begin so");
		return 0;
	}
	*next = n + sas_entry_units(entry);
	if (state == SAS_M_USED && !sas_entry_generation(entry))
		check_runtime_block(c, n, n * size, size << sas_entry_order(entry),
				    c->in->anchor.table_offset + n * sizeof(struct sas_m_segment));
	for (uint64_t i = n; i < *next && !error; i++) {
		if (i > n && sas_entry_state(c->in->table[i].block) == SAS_M_USED)
			report_segment(c, i, "a block inside of another tile");
		if (state == SAS_M_USED && !sas_inspect_present(c->in, i))
			report_segment(c, i, "part of a block, but it has no file");
		if (state != SAS_M_USED && sas_inspect_present(c->in, i) && (i == n || state == SAS_M_NEVER))
			error = check_free_bytes(c, i, 0, size, state);
	}
	return error;
}

static int look_at_table(struct sas_check *c)
{
	uint64_t next;
	int error = 0;

	expect_fixed_blocks(c);
	if (!sas_entry_carved(c->in->table[0].block))
		report_segment(c, 0, "the anchor's segment is not carved into blocks");
	for (uint64_t n = 0; n < c->in->segments; n++)
		if (c->in->table[n].file & ~SAS_M_SEGMENT_PRESENT ||
		    !sas_check_zero(c->in->table[n].reserved, sizeof(c->in->table[n].reserved)))
			report_segment(c, n, "unknown bits");
	for (uint64_t n = 0; n < c->in->segments && !error; n = next)
		error = check_table_head(c, n, &next);
	return error;
}

int sas_check_table(struct sas_check *c)
{
	long before = c->problems;
	int error;

	c->quiet = 1;
	error = look_at_table(c);
	c->quiet = 0;
	if (error || c->problems == before)
		return error;
	c->problems = before;
	error = sas_inspect_reload(c->in);
	return error ? error : look_at_table(c);
}
