/* SPDX-License-Identifier: MIT */
/*
 * check.c - is a region consistent? All of layout.h's rules, by reading its files. Layer 3.
 *
 * The order: anchor, state page, files and trailers, segment table, block maps and what they say of
 * the bytes (M1-M4), blocks of the runtime, intent logs. An intent that waits for recovery is no
 * problem: M4 holds at every point of a change. While others live in the region a look may meet a change half
 * way, so a table or map that looks broken is read again before it is reported.
 *
 * Locks, signals, fork, crash: as inspect.h.
 */
#include <config.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "err.h"
#include "hash.h"
#include "inspect.h"
#include "port.h"
#include "runtime.h"
#include "segment.h"
#include "tiles.h"

#define BUFFER (64UL << 10)
#define MAP_PROBLEMS 50 /* told of one map; then the rest of it is left */
#define FIXED_BLOCKS (SAS_M_LOG_CHUNKS + 3)

/* A block of the runtime that the region cannot do without. */
struct fixed_block {
	uint64_t offset, size;
	const char *what;
	int seen;
};

struct check {
	struct sas_inspect *in;
	SASProblem problem;
	void *arg;
	long problems;
	int quiet;                      /* a first look: count, tell nobody */
	int structure;                  /* leave out the bytes of free space */
	uint32_t intents;
	struct fixed_block fixed[FIXED_BLOCKS];
	unsigned fixed_count;
	uint32_t entries[SAS_INSPECT_WINDOW];
	uint8_t buffer[BUFFER];
};

static void report_file(struct check *c, const char *file, uint64_t offset, const char *format, va_list args)
{
	char text[256];

	c->problems++;
	if (c->quiet || !c->problem)
		return;
	vsnprintf(text, sizeof(text), format, args);
	c->problem(file, offset, text, c->arg);
}

/* About byte `offset` of segment n's file. */
static void report(struct check *c, uint64_t n, uint64_t offset, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

static void report(struct check *c, uint64_t n, uint64_t offset, const char *format, ...)
{
	char name[SAS_SEGMENT_NAME];
	va_list args;

	va_start(args, format);
	report_file(c, sas_segment_name(name, n), offset, format, args);
	va_end(args);
}

/* Errors that say something of the file, and not of the machine: the file's own check reports them. */
static int is_about_file(int error)
{
	return error == -ENOENT || error == -EUCLEAN || error == -ELOOP || error == -ENXIO;
}

static int cannot_read(struct check *c, uint64_t n, int error)
{
	char name[SAS_SEGMENT_NAME];

	return sas_fail(-error, "%s/%s: %s", c->in->path, sas_segment_name(name, n), strerror(-error));
}

static int is_carved(const struct check *c, uint64_t n)
{
	return sas_inspect_present(c->in, n) && sas_entry_carved(c->in->table[n].block);
}

/* Free space and carved segments belong to no generation. */
static int has_stray_generation(uint32_t entry)
{
	return sas_entry_generation(entry) && (sas_entry_state(entry) != SAS_M_USED || sas_entry_carved(entry));
}

static int is_zero(const uint8_t *bytes, uint64_t size)
{
	return bytes[0] == 0 && !memcmp(bytes, bytes + 1, size - 1);
}

/* --- files */

static void check_trailer(struct check *c, uint64_t n, int fd)
{
	const struct sas_m_anchor *a = &c->in->anchor;
	struct sas_m_trailer trailer;
	struct sas_fault fault;

	if (a->incompat & SAS_M_INCOMPAT_PREALLOCATED)
		return;
	if (sas_port_pread_all(fd, &trailer, sizeof(trailer), a->segment_size))
		report(c, n, a->segment_size, "the trailer cannot be read");
	else if (sas_trailer_examine(&trailer, a, n, &fault))
		report(c, n, fault.offset, "%s", fault.text);
}

static void check_owner(struct check *c, uint64_t n, const struct stat *st)
{
	const struct sas_m_anchor *a = &c->in->anchor;

	if ((st->st_mode & 07777) != a->mode)
		report(c, n, 0, "the file has mode %04o, the region's files have %04o", st->st_mode & 07777,
		       a->mode);
	if (st->st_gid != c->in->stat.st_gid)
		report(c, n, 0, "the file belongs to group %u, the anchor to %u", st->st_gid,
		       c->in->stat.st_gid);
	if (st->st_uid != c->in->stat.st_uid && !(a->mode & 0020))
		report(c, n, 0, "the file belongs to user %u, the anchor to %u", st->st_uid,
		       c->in->stat.st_uid);
}

static void check_size(struct check *c, uint64_t n, const struct stat *st)
{
	const struct sas_m_anchor *a = &c->in->anchor;
	int preallocated = (a->incompat & SAS_M_INCOMPAT_PREALLOCATED) != 0;
	uint64_t size = (uint64_t)st->st_size, wanted = a->segment_size + (preallocated ? 0 : SAS_M_PAGE);

	if (preallocated ? size < wanted : size != wanted)
		report(c, n, size, "the file has %llu bytes, a segment has %llu", (unsigned long long)size,
		       (unsigned long long)wanted);
}

static int check_segment_file(struct check *c, uint64_t n)
{
	struct stat st;
	int fd, error = sas_inspect_stat(c->in, n, &st);

	if (error == -ENOENT) {
		report(c, n, 0, "the file is missing: the segment table lists it");
		return 0;
	}
	if (error)
		return cannot_read(c, n, error);
	if (!S_ISREG(st.st_mode)) {
		report(c, n, 0, "this is not a regular file");
		return 0;
	}
	check_owner(c, n, &st);
	check_size(c, n, &st);
	error = sas_inspect_file(c->in, n, &fd);
	if (error)
		return is_about_file(error) ? 0 : cannot_read(c, n, error);
	check_trailer(c, n, fd);
	return 0;
}

/* A name in the directory: is it a segment that the table does not list? One that a dead creator
 * left is whole, and waits for the next creator. */
static int check_name(int dir, const char *name, void *arg)
{
	struct check *c = arg;
	int64_t number = sas_segment_number(name);
	uint64_t n = (uint64_t)number;

	(void)dir;
	if (number < 0 || sas_inspect_present(c->in, n))
		return 0;
	if (n < c->in->segments)
		return check_segment_file(c, n);
	report(c, n, 0, "there is no such segment: the region has %llu", (unsigned long long)c->in->segments);
	return 0;
}

static int check_files(struct check *c)
{
	int error = 0;

	for (uint64_t n = 0; n < c->in->segments && !error; n++)
		if (sas_inspect_present(c->in, n))
			error = check_segment_file(c, n);
	if (!error)
		error = sas_directory_each(c->in->dir, check_name, c);
	if (error < 0)
		return sas_fail(-error, "%s: cannot be looked through: %s", c->in->path, strerror(-error));
	return 0;
}

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
static int find_nonzero(struct check *c, uint64_t n, uint64_t from, uint64_t to, uint64_t *at)
{
	uint64_t start = n * c->in->anchor.segment_size;

	for (*at = from; *at < to;) {
		uint64_t piece = to - *at < BUFFER ? to - *at : BUFFER;
		int error = sas_inspect_read(c->in, start + *at, c->buffer, piece);

		if (error)
			return error;
		if (!is_zero(c->buffer, piece)) {
			for (uint64_t i = 0; !c->buffer[i]; i++)
				++*at;
			return 0;
		}
		*at += piece;
	}
	return 0;
}

/* M3: these bytes are zero. */
static int check_zero(struct check *c, uint64_t n, uint64_t from, uint64_t size, const char *what)
{
	uint64_t end = from + size, to, at;
	int fd, error = sas_inspect_file(c->in, n, &fd);

	while (!error && from < end && next_data(fd, &from, &to, end)) {
		error = find_nonzero(c, n, from, to, &at);
		if (!error && at < to) {
			report(c, n, at, "%s holds a byte that is not zero", what);
			return 0;
		}
		from = to;
	}
	return error && !is_about_file(error) ? cannot_read(c, n, error) : 0;
}

static int check_free_bytes(struct check *c, uint64_t n, uint64_t from, uint64_t size, uint32_t state)
{
	if (c->structure)
		return 0;
	if (state == SAS_M_NEVER)
		return check_zero(c, n, from, size, "space that was never used");
	if (state == SAS_M_FREED)
		return check_zero(c, n, from, SAS_M_UNIT, "the first page of free space");
	return 0;
}

/* --- blocks of the runtime */

static void expect_block(struct check *c, uint64_t offset, uint64_t size, const char *what)
{
	c->fixed[c->fixed_count++] = (struct fixed_block){ .offset = offset, .size = size, .what = what };
}

static void expect_fixed_blocks(struct check *c)
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

static void check_runtime_block(struct check *c, uint64_t n, uint64_t offset, uint64_t size,
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
		report(c, entry_at / a->segment_size, entry_at % a->segment_size,
		       "a block of the runtime at offset %llu of the region that nothing names",
		       (unsigned long long)offset);
}

static void check_fixed_seen(struct check *c, uint64_t n)
{
	const struct sas_m_anchor *a = &c->in->anchor;

	for (unsigned i = 0; i < c->fixed_count; i++) {
		const struct fixed_block *block = &c->fixed[i];

		if (block->offset / a->segment_size == n && !block->seen)
			report(c, n, block->offset % a->segment_size,
			       "%s, %llu bytes here, is not a block of the runtime in the block map",
			       block->what, (unsigned long long)block->size);
	}
}

/* --- one block map */

struct map_walk {
	uint64_t n;    /* the segment */
	uint64_t head; /* the next head of a tile */
	int own_map;   /* its own map was seen in it */
};

static uint64_t entry_offset(const struct check *c, uint64_t n, uint64_t unit)
{
	return sas_map_of(&c->in->anchor, n) + unit * sizeof(uint32_t);
}

static void report_entry(struct check *c, uint64_t n, uint64_t unit, const char *what, uint32_t entry)
{
	uint64_t at = entry_offset(c, n, unit), size = c->in->anchor.segment_size;

	report(c, at / size, at % size, "unit %llu of segment %llu: %s: entry 0x%08x",
	       (unsigned long long)unit, (unsigned long long)n, what, entry);
}

static int check_head(struct check *c, struct map_walk *walk, uint64_t unit, uint32_t entry)
{
	uint64_t size = c->in->anchor.segment_size;
	uint64_t from = unit * SAS_M_UNIT, bytes;

	if (!sas_inspect_fits(unit, size / SAS_M_UNIT, entry)) {
		report_entry(c, walk->n, unit, "no tile can begin so", entry);
		walk->head = unit + 1;
		return 0;
	}
	if (has_stray_generation(entry))
		report_entry(c, walk->n, unit, "free space of a generation", entry);
	walk->head = unit + sas_entry_units(entry);
	bytes = sas_entry_units(entry) * SAS_M_UNIT;
	if (sas_entry_state(entry) != SAS_M_USED)
		return check_free_bytes(c, walk->n, from, bytes, sas_entry_state(entry));
	if (sas_entry_generation(entry))
		return 0;
	walk->own_map |= unit == 0 && bytes == sas_map_bytes(size);
	check_runtime_block(c, walk->n, walk->n * size + from, bytes, entry_offset(c, walk->n, unit));
	return 0;
}

static int check_window(struct check *c, struct map_walk *walk, uint64_t first, uint64_t count)
{
	int error = 0;

	for (uint64_t i = 0; i < count && !error; i++) {
		uint32_t entry = c->entries[i];

		if (first + i == walk->head)
			error = check_head(c, walk, first + i, entry);
		else if (sas_entry_state(entry) == SAS_M_USED)
			report_entry(c, walk->n, first + i, "a block inside of another tile", entry);
	}
	return error;
}

static int check_map(struct check *c, uint64_t n)
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
			return is_about_file(error) ? 0 : cannot_read(c, n, error);
		error = check_window(c, &walk, first, count);
		if (c->problems - before >= MAP_PROBLEMS) {
			report_entry(c, n, first + count - 1,
				     "so much is wrong that the rest of the map is left", 0);
			return error;
		}
	}
	if (n >= c->in->anchor.maps && !walk.own_map && !error)
		report(c, n, 0, "the segment's own block map is not a block of the runtime");
	check_fixed_seen(c, n);
	return error;
}

static int check_maps(struct check *c)
{
	int error = 0;

	for (uint64_t n = 0; n < c->in->segments && !error; n++) {
		long before = c->problems;

		if (!is_carved(c, n))
			continue;
		c->quiet = 1;
		error = check_map(c, n);
		c->quiet = 0;
		if (c->problems == before || error)
			continue;
		c->problems = before;
		error = sas_inspect_reload(c->in);
		if (!error && is_carved(c, n))
			error = check_map(c, n);
	}
	return error;
}

/* --- the segment table */

static void report_segment(struct check *c, uint64_t n, const char *what)
{
	report(c, 0, c->in->anchor.table_offset + n * sizeof(struct sas_m_segment),
	       "segment %llu in the segment table: %s: file %u, entry 0x%08x", (unsigned long long)n, what,
	       c->in->table[n].file, c->in->table[n].block);
}

static int check_table_head(struct check *c, uint64_t n, uint64_t *next)
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

static int check_table(struct check *c)
{
	uint64_t next;
	int error = 0;

	expect_fixed_blocks(c);
	if (!sas_entry_carved(c->in->table[0].block))
		report_segment(c, 0, "the anchor's segment is not carved into blocks");
	for (uint64_t n = 0; n < c->in->segments; n++)
		if (c->in->table[n].file & ~SAS_M_SEGMENT_PRESENT ||
		    !is_zero((const uint8_t *)c->in->table[n].reserved, sizeof(c->in->table[n].reserved)))
			report_segment(c, n, "unknown bits");
	for (uint64_t n = 0; n < c->in->segments && !error; n = next)
		error = check_table_head(c, n, &next);
	return error;
}

static int check_table_twice(struct check *c)
{
	long before = c->problems;
	int error;

	c->quiet = 1;
	error = check_table(c);
	c->quiet = 0;
	if (error || c->problems == before)
		return error;
	c->problems = before;
	error = sas_inspect_reload(c->in);
	return error ? error : check_table(c);
}

/* --- state page and logs */

#define STATE_AT(field) (SAS_M_PAGE + offsetof(struct sas_m_state, field))

/* 0: the region is dead, and what its files hold means nothing. */
static int check_state(struct check *c)
{
	const struct sas_m_state *state = &c->in->state;
	const struct sas_m_anchor *a = &c->in->anchor;

	if (state->life == SAS_M_LIFE_DEAD) {
		report(c, 0, STATE_AT(life), "a reset or removal was cut short; the next join completes it");
		return 0;
	}
	if (state->life != SAS_M_LIFE_ACTIVE)
		report(c, 0, STATE_AT(life), "the life word is %u", state->life);
	if (state->clean > 1)
		report(c, 0, STATE_AT(clean), "the word that says whether it was left cleanly is %u",
		       state->clean);
	if (state->list_mode > SAS_M_LIST_LINEAR)
		report(c, 0, STATE_AT(list_mode), "the list mode is %u", state->list_mode);
	for (unsigned i = 0; i < SAS_M_LOG_CHUNKS; i++) {
		uint64_t chunk = state->log_chunk[i];

		if (chunk % a->log_chunk_size || (chunk && !is_carved(c, chunk / a->segment_size)))
			report(c, 0, STATE_AT(log_chunk) + i * sizeof(chunk),
			       "no chunk of intent logs can be at %llu", (unsigned long long)chunk);
	}
	if (!is_zero((const uint8_t *)state->reserved, sizeof(state->reserved)))
		report(c, 0, STATE_AT(reserved), "reserved words are not zero");
	return 1;
}

static const char *record_fault(const struct check *c, const struct sas_m_log *log,
				const struct sas_m_record *record, uint32_t left)
{
	uint64_t size = c->in->anchor.region_size;

	if (left < sizeof(*record) || record->length > left - sizeof(*record))
		return "a record goes beyond the end of the log";
	if (record->type < SAS_M_RECORD_UNDO || record->type > SAS_M_RECORD_ALLOC)
		return "a record of an unknown type";
	if (record->sequence != log->sequence)
		return "a record of another intent";
	if (record->where >= size || record->length > size - record->where)
		return "a record about a place outside the region";
	return NULL;
}

static int record_is_whole(const struct sas_m_record *record)
{
	struct sas_m_record head = *record;

	head.check = 0;
	return record->check == sas_hash32(record + 1, record->length, sas_hash32(&head, sizeof(head), 0));
}

/* After a power cut the last records may be torn, and recovery leaves them out; but no process can
 * leave them so. */
static void check_records(struct check *c, uint64_t offset, const uint8_t *page)
{
	const struct sas_m_log *log = (const void *)page;
	uint64_t size = c->in->anchor.segment_size;
	uint32_t at = sizeof(*log), end = at + log->used;

	while (at < end) {
		const struct sas_m_record *record = (const void *)(page + at);
		const char *fault = record_fault(c, log, record, end - at);
		uint32_t length;

		if (!fault && !record_is_whole(record))
			fault = "a record's checksum does not fit";
		if (fault) {
			report(c, offset / size, offset % size + at, "an intent waits for recovery, but: %s",
			       fault);
			return;
		}
		length = (record->length + 7U) & ~7U;
		at += (uint32_t)sizeof(*record) + length;
	}
}

static int is_this_boot(const struct check *c)
{
	uint8_t boot[16];

	sas_port_boot_id(boot);
	return !memcmp(boot, c->in->state.boot_id, sizeof(boot));
}

static int check_log(uint64_t offset, void *arg)
{
	struct check *c = arg;
	uint64_t size = c->in->anchor.segment_size;
	_Alignas(8) uint8_t page[SAS_M_LOG_SIZE];
	const struct sas_m_log *log = (const void *)page;
	int error = sas_inspect_read(c->in, offset, page, sizeof(page));

	if (error)
		return is_about_file(error) ? 0 : cannot_read(c, offset / size, error);
	if (!log->magic && !log->state && !log->used)
		return 0;
	if (log->magic != SAS_M_MAGIC_LOG)
		report(c, offset / size, offset % size, "no intent log: its magic number is 0x%016llx",
		       (unsigned long long)log->magic);
	else if (log->state > SAS_M_LOG_COMMITTED || log->used % 8 || log->used > sizeof(page) - sizeof(*log))
		report(c, offset / size, offset % size, "an intent log with state %u and %u bytes of records",
		       log->state, log->used);
	else if (log->state != SAS_M_LOG_IDLE && is_this_boot(c))
		check_records(c, offset, page);
	return 0;
}

/* --- all */

static int check_all(struct check *c)
{
	int error;

	if (!check_state(c))
		return 0;
	error = sas_inspect_intents(c->in, &c->intents);
	if (!error)
		error = check_files(c);
	if (!error)
		error = check_table_twice(c);
	if (!error)
		error = check_maps(c);
	/* Those who live write their logs all the time. */
	if (!error && !c->in->alive)
		error = sas_inspect_each_log(c->in, check_log, c);
	return error;
}

static long check_region(const char *path, SASProblem problem, void *arg, int structure)
{
	struct check *c = calloc(1, sizeof(*c));
	long result;

	if (!c)
		return sas_fail(ENOMEM, "no memory to check %s", path ? path : "a region");
	c->problem = problem;
	c->arg = arg;
	c->structure = structure;
	result = sas_inspect_open(path, &c->in);
	if (result == -EUCLEAN && c->in && c->in->fault.text[0]) {
		report(c, 0, c->in->fault.offset, "%s", c->in->fault.text);
		result = 0;
	} else if (!result) {
		result = check_all(c);
	}
	if (!result)
		result = c->problems;
	sas_inspect_close(c->in);
	free(c);
	return result;
}

long sas_check(const char *path, SASProblem problem, void *arg)
{
	return check_region(path, problem, arg, 0);
}

long sas_check_structure(const char *path, SASProblem problem, void *arg)
{
	return check_region(path, problem, arg, 1);
}
