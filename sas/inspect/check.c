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
#include "check.h"
#include "ground/err.h"
#include "ground/hash.h"
#include "ground/port.h"
#include "region/runtime.h"
#include "media/segment.h"
#include "block/tiles.h"

void sas_check_report(struct sas_check *c, uint64_t n, uint64_t offset, const char *format, ...)
{
	char name[SAS_SEGMENT_NAME], text[256];
	va_list args;

	c->problems++;
	if (c->quiet || !c->problem)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	c->problem(sas_segment_name(name, n), offset, text, c->arg);
}

int sas_check_unreadable(struct sas_check *c, uint64_t n, int error)
{
	char name[SAS_SEGMENT_NAME];

	if (error == -ENOENT || error == -EUCLEAN || error == -ELOOP || error == -ENXIO)
		return 0;
	return sas_fail(-error, "%s/%s: %s", c->in->path, sas_segment_name(name, n), strerror(-error));
}

int sas_check_carved(const struct sas_check *c, uint64_t n)
{
	return sas_inspect_present(c->in, n) && sas_entry_carved(c->in->table[n].block);
}

/* --- files */

/* A file that ends before it has none, and that is its fault; where the system cannot read it, nothing is known. */
static int check_trailer(struct sas_check *c, uint64_t n, int fd, const struct stat *st)
{
	const struct sas_m_anchor *a = &c->in->anchor;
	struct sas_m_trailer trailer;
	struct sas_fault fault;
	int error;

	if (a->incompat & SAS_M_INCOMPAT_PREALLOCATED)
		return 0;
	error = sas_port_pread_all(fd, &trailer, sizeof(trailer), a->segment_size);
	if (error && (uint64_t)st->st_size >= a->segment_size + sizeof(trailer))
		return sas_check_unreadable(c, n, error);
	if (error)
		sas_check_report(c, n, a->segment_size, "the trailer cannot be read");
	else if (sas_trailer_examine(&trailer, a, n, &fault))
		sas_check_report(c, n, fault.offset, "%s", fault.text);
	return 0;
}

static void check_owner(struct sas_check *c, uint64_t n, const struct stat *st)
{
	const struct sas_m_anchor *a = &c->in->anchor;

	if ((st->st_mode & 07777) != a->mode)
		sas_check_report(c, n, 0, "the file has mode %04o, the region's files have %04o",
				 st->st_mode & 07777, a->mode);
	if (st->st_gid != c->in->stat.st_gid)
		sas_check_report(c, n, 0, "the file belongs to group %u, the anchor to %u", st->st_gid,
				 c->in->stat.st_gid);
	if (st->st_uid != c->in->stat.st_uid && !(a->mode & 0020))
		sas_check_report(c, n, 0, "the file belongs to user %u, the anchor to %u", st->st_uid,
				 c->in->stat.st_uid);
}

static void check_size(struct sas_check *c, uint64_t n, const struct stat *st)
{
	const struct sas_m_anchor *a = &c->in->anchor;
	int preallocated = (a->incompat & SAS_M_INCOMPAT_PREALLOCATED) != 0;
	uint64_t size = (uint64_t)st->st_size, wanted = a->segment_size + (preallocated ? 0 : SAS_M_PAGE);

	if (!sas_file_size_fits(a, size))
		sas_check_report(c, n, size, "the file has %llu bytes, a segment has %llu",
				 (unsigned long long)size, (unsigned long long)wanted);
}

/* They repeat what the file says, so that they are no fault of the region: told at the end, as a warning. */
static void check_attributes(struct sas_check *c, uint64_t n)
{
	char name[SAS_SEGMENT_NAME], said[SAS_XATTR_SAID];
	int found = sas_inspect_attributes(c->in, n, said);

	if (found != SAS_XATTR_MISSING && found != SAS_XATTR_DIFFER)
		return;
	if (c->attributes++ == 0)
		snprintf(c->said, sizeof(c->said), "%s: %s", sas_segment_name(name, n), said);
}

static int check_segment_file(struct sas_check *c, uint64_t n)
{
	struct stat st;
	int fd, error = sas_inspect_stat(c->in, n, &st);

	if (error == -ENOENT) {
		sas_check_report(c, n, 0, "the file is missing: the segment table lists it");
		return 0;
	}
	if (error)
		return sas_check_unreadable(c, n, error);
	if (!S_ISREG(st.st_mode)) {
		sas_check_report(c, n, 0, "this is not a regular file");
		return 0;
	}
	check_owner(c, n, &st);
	check_size(c, n, &st);
	error = sas_inspect_file(c->in, n, &fd);
	if (error)
		return sas_check_unreadable(c, n, error);
	error = check_trailer(c, n, fd, &st);
	if (!error && !c->structure)
		check_attributes(c, n);
	return error;
}

/* A name in the directory: is it a segment that the table does not list? One that a dead creator
 * left is whole, and waits for the next creator. */
static int check_name(int dir, const char *name, void *arg)
{
	struct sas_check *c = arg;
	int64_t number = sas_segment_number(name);
	uint64_t n = (uint64_t)number;

	(void)dir;
	if (number < 0 || sas_inspect_present(c->in, n))
		return 0;
	if (n < c->in->segments)
		return check_segment_file(c, n);
	sas_check_report(c, n, 0, "there is no such segment: the region has %llu",
			 (unsigned long long)c->in->segments);
	return 0;
}

static int check_files(struct sas_check *c)
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

/* --- state page and logs */

#define STATE_AT(field) (SAS_M_PAGE + offsetof(struct sas_m_state, field))

/* 0: the region is dead, and what its files hold means nothing. */
static int check_state(struct sas_check *c)
{
	const struct sas_m_state *state = &c->in->state;
	const struct sas_m_anchor *a = &c->in->anchor;

	if (state->life == SAS_M_LIFE_DEAD) {
		sas_check_report(c, 0, STATE_AT(life),
				 "a reset or removal was cut short; the next join completes it");
		return 0;
	}
	if (state->life != SAS_M_LIFE_ACTIVE)
		sas_check_report(c, 0, STATE_AT(life), "the life word is %u", state->life);
	if (state->clean > 1)
		sas_check_report(c, 0, STATE_AT(clean),
				 "the word that says whether it was left cleanly is %u", state->clean);
	if (state->list_mode > SAS_M_LIST_LINEAR)
		sas_check_report(c, 0, STATE_AT(list_mode), "the list mode is %u", state->list_mode);
	for (unsigned i = 0; i < SAS_M_LOG_CHUNKS; i++) {
		uint64_t chunk = state->log_chunk[i];

		if (chunk % a->log_chunk_size || (chunk && !sas_check_carved(c, chunk / a->segment_size)))
			sas_check_report(c, 0, STATE_AT(log_chunk) + i * sizeof(chunk),
					 "no chunk of intent logs can be at %llu", (unsigned long long)chunk);
	}
	if (!sas_check_zero(state->reserved, sizeof(state->reserved)))
		sas_check_report(c, 0, STATE_AT(reserved), "reserved words are not zero");
	return 1;
}

static const char *record_fault(const struct sas_check *c, const struct sas_m_log *log,
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
static void check_records(struct sas_check *c, uint64_t offset, const uint8_t *page)
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
			sas_check_report(c, offset / size, offset % size + at,
					 "an intent waits for recovery, but: %s", fault);
			return;
		}
		length = (record->length + 7U) & ~7U;
		at += (uint32_t)sizeof(*record) + length;
	}
}

static int is_this_boot(const struct sas_check *c)
{
	uint8_t boot[16];

	sas_port_boot_id(boot);
	return !memcmp(boot, c->in->state.boot_id, sizeof(boot));
}

static int check_log(uint64_t offset, void *arg)
{
	struct sas_check *c = arg;
	uint64_t size = c->in->anchor.segment_size;
	_Alignas(8) uint8_t page[SAS_M_LOG_SIZE];
	const struct sas_m_log *log = (const void *)page;
	int error = sas_inspect_read(c->in, offset, page, sizeof(page));

	if (error)
		return sas_check_unreadable(c, offset / size, error);
	if (!log->magic && !log->state && !log->used)
		return 0;
	if (log->magic != SAS_M_MAGIC_LOG)
		sas_check_report(c, offset / size, offset % size,
				 "no intent log: its magic number is 0x%016llx",
				 (unsigned long long)log->magic);
	else if (log->state > SAS_M_LOG_COMMITTED || log->used % 8 || log->used > sizeof(page) - sizeof(*log))
		sas_check_report(c, offset / size, offset % size,
				 "an intent log with state %u and %u bytes of records", log->state,
				 log->used);
	else if (log->state != SAS_M_LOG_IDLE && is_this_boot(c))
		check_records(c, offset, page);
	return 0;
}

/* --- all */

static int check_all(struct sas_check *c)
{
	int error;

	if (!check_state(c))
		return 0;
	error = sas_inspect_intents(c->in, &c->intents);
	if (!error)
		error = check_files(c);
	if (!error)
		error = sas_check_table(c);
	if (!error)
		error = sas_check_maps(c);
	/* Those who live write their logs all the time. */
	if (!error && !c->in->alive)
		error = sas_inspect_each_log(c->in, check_log, c);
	return error;
}

static long check_region(const char *path, SASProblem problem, void *arg, int structure, uint8_t *doubtful)
{
	struct sas_check *c = calloc(1, sizeof(*c));
	long result;

	if (!c)
		return sas_fail(ENOMEM, "no memory to check %s", path ? path : "a region");
	c->problem = problem;
	c->arg = arg;
	c->structure = structure;
	c->doubtful = doubtful;
	result = sas_inspect_open(path, &c->in);
	if (result == -EUCLEAN && c->in && c->in->fault.text[0]) {
		sas_check_report(c, 0, c->in->fault.offset, "%s", c->in->fault.text);
		result = 0;
	} else if (!result) {
		result = check_all(c);
	}
	if (!result)
		result = c->problems;
	if (c->attributes)
		sas_note(SAS_ERR_WARNING, "%s: the extended attributes of %u file%s do not say what they are: %s", c->in->path,
			 c->attributes, c->attributes == 1 ? "" : "s", c->said);
	sas_inspect_close(c->in);
	free(c);
	return result;
}

long sas_check(const char *path, SASProblem problem, void *arg)
{
	return check_region(path, problem, arg, 0, NULL);
}

long sas_check_doubt(const char *path, uint8_t *doubtful)
{
	return check_region(path, NULL, NULL, 0, doubtful);
}

long sas_check_structure(const char *path, SASProblem problem, void *arg)
{
	return check_region(path, problem, arg, 1, NULL);
}
