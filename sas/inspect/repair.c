/* SPDX-License-Identifier: MIT */
/*
 * repair.c - repairing the files of an idle region: the order of it all, and the anchor, trailers, state and the
 * files beside the segments. repair.h says by which rule, and under which lock.
 *
 * A damaged anchor is made again from the trailer of segment 0, a trailer from the anchor, and each counts as right only when the
 * checksum that was stored with it confirms it, or what else is known of the file. What recovery does is done by recovery: the
 * last step is a join and a leave.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "ground/err.h"
#include "ground/port.h"
#include "repair.h"
#include "region/runtime.h"
#include "media/segment.h"
#include "block/tiles.h"
#include "ground/uuid.h"
#include "ground/xattr.h"

void sas_repair_tell(struct sas_repair *p, uint64_t n, uint64_t offset, const char *format, ...)
{
	char name[SAS_SEGMENT_NAME], text[256];
	va_list args;

	if (!p->told)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	p->told(sas_segment_name(name, n), offset, text, 1, p->arg);
}

/* --- writing */

static int stop_writing(struct sas_repair *p)
{
	char name[SAS_SEGMENT_NAME];
	int error = p->fd >= 0 ? sas_port->fsync(p->fd) : 0;

	if (p->fd >= 0)
		sas_port->close(p->fd);
	p->fd = -1;
	if (error)
		return sas_fail(-error, "%s/%s: cannot be synced: %s", p->in->path, sas_segment_name(name, p->writing),
				strerror(-error));
	return 0;
}

static int write_to(struct sas_repair *p, uint64_t n)
{
	char name[SAS_SEGMENT_NAME];
	struct stat st;
	int error = 0;

	if (p->fd >= 0 && p->writing == n)
		return 0;
	error = stop_writing(p);
	if (error)
		return error;
	p->writing = n;
	p->fd = sas_port->openat(p->in->dir, sas_segment_name(name, n), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0);
	error = p->fd < 0 ? p->fd : sas_port->fstat(p->fd, &st);
	if (!error && !S_ISREG(st.st_mode))
		error = -EUCLEAN;
	/* The file that we have locked. */
	if (!error && n == 0 && (st.st_ino != p->in->stat.st_ino || st.st_dev != p->in->stat.st_dev))
		error = -ESTALE;
	if (!error)
		return 0;
	if (p->fd >= 0)
		sas_port->close(p->fd);
	p->fd = -1;
	return sas_fail(-error, "%s/%s: cannot be opened for writing: %s", p->in->path, name, strerror(-error));
}

int sas_repair_store(struct sas_repair *p, uint64_t n, uint64_t offset, const void *bytes, uint64_t size)
{
	char name[SAS_SEGMENT_NAME];
	int error = write_to(p, n);

	if (error)
		return error;
	error = sas_port_pwrite_all(p->fd, bytes, size, offset);
	if (error)
		return sas_fail(-error, "%s/%s: cannot be written: %s", p->in->path, sas_segment_name(name, n),
				strerror(-error));
	return 0;
}

/* --- the anchor page */

static int trailer_at(const struct sas_inspect *in, uint64_t tail, struct sas_m_trailer *t)
{
	uint64_t size = (uint64_t)in->stat.st_size - tail;

	return (uint64_t)in->stat.st_size > tail && sas_port_pread_all(in->anchor_fd, t, sizeof(*t), size) == 0 &&
	       t->magic == SAS_M_MAGIC_TRAILER && t->format == SAS_M_FORMAT && t->header_size == sizeof(*t) &&
	       t->checksum == sas_trailer_checksum(t) && t->number == 0 && t->segment_size == size &&
	       sas_geometry_check(t->base, t->region_size, t->segment_size) == 0;
}

/* The trailer of segment 0 by itself: the file's size says where it lies. */
static int own_trailer(const struct sas_inspect *in, struct sas_m_trailer *t)
{
	return trailer_at(in, SAS_M_PAGE, t) || trailer_at(in, SAS_M_LARGE_TAIL, t);
}

/* All that follows from the trailer and the file. */
static void derive_anchor(const struct sas_inspect *in, const struct sas_m_trailer *t, struct sas_m_anchor *a)
{
	memset(&a->block_header, 0, sizeof(a->block_header));
	a->magic = SAS_M_MAGIC_ANCHOR;
	a->format = t->format;
	a->endian = SAS_M_ENDIAN;
	a->page_size = SAS_M_PAGE;
	a->incompat = a->ro_compat = 0;
	a->mode = in->stat.st_mode & 07777;
	memcpy(a->uuid, t->uuid, sizeof(a->uuid));
	a->base = t->base;
	a->region_size = t->region_size;
	a->segment_size = t->segment_size;
	a->generation = t->generation;
	sas_anchor_compute(a);
	sas_anchor_set_header(a);
}

/* The i-th possibility of one field; what is left of i chooses those of the others. */
static uint32_t choose(unsigned *i, uint32_t values)
{
	uint32_t value = *i % values;

	*i /= values;
	return value;
}

/* What does not follow is what was stored, or one of a few values: the stored checksum decides. */
static int confirm_anchor(struct sas_m_anchor *a)
{
	struct sas_fault fault;
	const struct sas_m_anchor stored = *a;
	unsigned i, number = 0;

	do {
		i = number++;
		a->header_size = choose(&i, 2) ? sizeof(*a) : stored.header_size;
		a->compat = choose(&i, 2) ? SAS_M_COMPAT_SPARSE : 0;
		a->durability = choose(&i, 3);
		a->numa_policy = choose(&i, 4);
		a->numa_spread = (uint16_t)choose(&i, 2);
		a->huge = (uint16_t)choose(&i, 3);
		memcpy(a->numa_nodes, stored.numa_nodes, sizeof(a->numa_nodes));
		if (choose(&i, 2))
			memset(a->numa_nodes, 0, sizeof(a->numa_nodes));
		if (a->checksum == sas_anchor_checksum(a) && sas_anchor_examine(a, &fault) == 0)
			return 1;
	} while (i == 0);
	return 0;
}

/* -EUCLEAN: nothing confirms how it was. */
static int repair_anchor(struct sas_repair *p)
{
	union { struct sas_m_anchor anchor; uint8_t page[SAS_M_PAGE]; } u;
	struct sas_inspect *in = p->in;
	struct sas_m_trailer t;
	int error;

	memcpy(&u, in->page, sizeof(u));
	if (!own_trailer(in, &t))
		return -EUCLEAN;
	derive_anchor(in, &t, &u.anchor);
	if (!confirm_anchor(&u.anchor))
		return -EUCLEAN;
	/* Who lives can be told by its UUID alone. */
	memcpy(in->page, u.page, sizeof(u.page));
	error = sas_inspect_claim(in);
	if (!error)
		error = sas_repair_store(p, 0, 0, &u, sizeof(u));
	if (!error)
		sas_repair_tell(p, 0, in->fault.offset, "the anchor was made again from the trailer; its checksum fits");
	return error ? error : stop_writing(p);
}

/* --- state page */

static int repair_state(struct sas_repair *p)
{
	static const uint32_t zero;
	const struct sas_m_state *state = &p->in->state;
	const uint64_t clean = SAS_M_PAGE + offsetof(struct sas_m_state, clean);
	const uint64_t list_mode = SAS_M_PAGE + offsetof(struct sas_m_state, list_mode);
	int error = 0;

	if (state->clean > 1) {
		error = sas_repair_store(p, 0, clean, &zero, sizeof(zero));
		if (!error)
			sas_repair_tell(p, 0, clean, "the region counts as not left cleanly");
	}
	if (!error && state->list_mode > SAS_M_LIST_LINEAR) {
		error = sas_repair_store(p, 0, list_mode, &zero, sizeof(zero));
		if (!error)
			sas_repair_tell(p, 0, list_mode, "the use list is shown compact");
	}
	return error;
}

/* --- trailers and attributes */

/* SAS_XATTR_...; -errno. */
static int compare_attributes(const struct sas_repair *p, int fd, const struct sas_m_trailer *t)
{
	char said[SAS_XATTR_SAID];

	return sas_xattr_compare(fd, t, &p->in->anchor, said);
}

/* Is what is in the trailer's place its ruin? All of it but its checksum is right, or that alone, or the attributes say so. */
static int was_trailer(const struct sas_repair *p, int fd, const struct sas_m_trailer *stored, const struct sas_m_trailer *right)
{
	struct sas_m_trailer t = *stored;

	if (stored->checksum == right->checksum)
		return 1;
	t.checksum = right->checksum;
	return memcmp(&t, right, sizeof(t)) == 0 || compare_attributes(p, fd, right) == SAS_XATTR_FIT;
}

/* 1: the trailer of the file is right, now at least; 0: it may be another segment's; -errno. */
static int repair_trailer(struct sas_repair *p, uint64_t n, int fd, const struct sas_m_trailer *right)
{
	const struct sas_m_anchor *a = &p->in->anchor;
	struct sas_m_trailer stored;
	struct stat st;
	int error = sas_port->fstat(fd, &st);

	if (error || ((uint64_t)st.st_size != a->segment_size && !sas_file_size_fits(a, (uint64_t)st.st_size)))
		return 0;
	if (sas_port_pread_all(fd, &stored, sizeof(stored), a->segment_size) != 0)
		memset(&stored, 0, sizeof(stored));
	if (sas_trailer_fits(&stored, a, n))
		return 1;
	if (!was_trailer(p, fd, &stored, right))
		return 0;
	error = write_to(p, n);
	if (!error && (uint64_t)st.st_size == a->segment_size)
		error = sas_segment_set_size(p->fd, a->segment_size);
	if (!error)
		error = sas_repair_store(p, n, a->segment_size, right, sizeof(*right));
	if (error)
		return error;
	sas_repair_tell(p, n, a->segment_size, "the trailer was made again from the anchor");
	return 1;
}

static int repair_attributes(struct sas_repair *p, uint64_t n, int fd, const struct sas_m_trailer *right)
{
	int error = compare_attributes(p, fd, right);

	if (error < 0 || error == SAS_XATTR_NONE || error == SAS_XATTR_FIT)
		return error < 0 ? error : 0;
	error = write_to(p, n);
	if (!error)
		error = sas_xattr_describe(p->fd, right, &p->in->anchor);
	if (!error)
		sas_repair_tell(p, n, 0, "the extended attributes " SAS_XATTR_PREFIX "* were set again");
	return error == -EOPNOTSUPP ? 0 : error;
}

/* A segment in use whose file is there, by its trailer, is there. */
static int repair_presence(struct sas_repair *p, uint64_t n)
{
	static const uint32_t present = SAS_M_SEGMENT_PRESENT;
	uint64_t at = p->in->anchor.table_offset + n * sizeof(struct sas_m_segment) + offsetof(struct sas_m_segment, file);
	int error = sas_repair_store(p, 0, at, &present, sizeof(present));

	if (!error)
		sas_repair_tell(p, 0, at, "the segment table lists segment %llu again, whose file is there",
				(unsigned long long)n);
	return error;
}

static int repair_file(struct sas_repair *p, uint64_t n)
{
	struct sas_m_trailer right;
	int fd, result = sas_inspect_file(p->in, n, &fd);

	if (result)                     /* the check tells */
		return 0;
	sas_segment_trailer(&right, &p->in->anchor, n);
	result = repair_trailer(p, n, fd, &right);
	if (result > 0) {
		result = repair_attributes(p, n, fd, &right);
		if (!result && !sas_inspect_present(p->in, n) && p->in->use[n] && p->in->table[n].file == 0)
			result = repair_presence(p, n);
	}
	return result;
}

static int repair_files(struct sas_repair *p)
{
	int error = 0;

	if (p->in->anchor.incompat & SAS_M_INCOMPAT_PREALLOCATED)
		return 0;
	for (uint64_t n = 0; n < p->in->segments && !error; n++)
		if (sas_inspect_present(p->in, n) || p->in->use[n])
			error = repair_file(p, n);
	return error ? error : sas_inspect_reload(p->in);
}

/* --- the files beside the segments */

static void tell_temporary(const char *name, void *arg)
{
	struct sas_repair *p = arg;

	if (p->told)
		p->told(name, 0, "the file of a creation that was cut short was deleted", 1, p->arg);
}

/* What a join refuses in SAS.run; NULL: nothing. Who has just left may hold its locks for a moment. */
static const char *run_fault(struct sas_repair *p, const struct stat *st)
{
	const struct sas_m_anchor *a = &p->in->anchor;
	uint64_t until = sas_port->now_ns() + 100000000U;
	int held;

	if ((st->st_mode & 07777) != a->mode || st->st_gid != p->in->stat.st_gid ||
	    (st->st_uid != p->in->stat.st_uid && !(a->mode & 0020)))
		return "its owner, group or mode was not the region's";
	while ((held = sas_inspect_run_held(p->in)) > 0 && sas_port->now_ns() < until)
		sched_yield();
	return held > 0 ? "its locks were held by nobody" : NULL;
}

/* Nobody has joined: the next join makes it anew. */
static int repair_run(struct sas_repair *p)
{
	const char *fault;
	char text[128];
	struct stat st;
	int error = sas_port->fstatat(p->in->dir, SAS_RUN_NAME, &st, AT_SYMLINK_NOFOLLOW);

	if (error || (p->in->anchor.incompat & SAS_M_INCOMPAT_PREALLOCATED))
		return 0;
	fault = S_ISREG(st.st_mode) ? run_fault(p, &st) : NULL;
	if (!fault)
		return 0;
	error = sas_port->unlinkat(p->in->dir, SAS_RUN_NAME, 0);
	if (error)
		return sas_fail(-error, "%s/" SAS_RUN_NAME ": cannot be deleted: %s", p->in->path, strerror(-error));
	snprintf(text, sizeof(text), "was deleted, as %s", fault);
	if (p->told)
		p->told(SAS_RUN_NAME, 0, text, 1, p->arg);
	return 0;
}

static int repair_beside(struct sas_repair *p)
{
	int error = sas_file_sweep(p->in->dir, tell_temporary, p);

	if (error)
		return sas_fail(-error, "%s: cannot be looked through: %s", p->in->path, strerror(-error));
	return repair_run(p);
}

/* --- all */

/* What free space promises is looked at when the maps are whole. */
static int repair_bytes(struct sas_repair *p)
{
	long problems;
	int error = stop_writing(p);

	if (error)
		return error;
	p->doubtful = calloc(p->in->segments, 1);
	if (!p->doubtful)
		return sas_fail(ENOMEM, "no memory to repair %s", p->in->path);
	problems = sas_check_doubt(p->in->path, p->doubtful);
	error = problems < 0 ? (int)problems : sas_repair_promises(p);
	free(p->doubtful);
	return error ? error : stop_writing(p);
}

/* The region can be read; nobody has joined. */
static int repair_all(struct sas_repair *p)
{
	int error = 0;

	if (p->in->state.life != SAS_M_LIFE_ACTIVE)     /* not ours to bring back */
		return 0;
	error = repair_state(p);
	if (!error)
		error = repair_files(p);
	if (!error)
		error = sas_repair_tiles(p);
	if (!error)
		error = repair_bytes(p);
	return error ? error : repair_beside(p);
}

/* Is the anchor locked, and everything but recovery done? 0, -EUCLEAN without a sentence: it cannot be read. */
static int repair_offline(struct sas_repair *p, const char *path, int *unclean)
{
	int error = sas_inspect_open(path, &p->in);

	if (error == -EUCLEAN && p->in && p->in->anchor_fd >= 0) {
		error = sas_inspect_lock(p->in);
		if (!error)
			error = repair_anchor(p);
		if (error)
			return error;
		sas_inspect_close(p->in);
		error = sas_inspect_open(path, &p->in);
	}
	if (error)
		return error;
	error = sas_inspect_claim(p->in);
	if (!error)
		error = repair_all(p);
	if (!error)
		error = sas_inspect_reload(p->in);
	*unclean = !error && p->in->state.life == SAS_M_LIFE_ACTIVE && p->in->state.clean != 1;
	return error;
}

/* What a join does for those that died, it does here. */
static int recover(const char *path, SASRepaired told, void *arg)
{
	SASRegionOptions options = { .structSize = sizeof(options) };
	struct sas_region *r;
	int error = sas_region_join(path, &options, 0, &r);

	if (!error)
		error = sas_region_leave(r, 0);
	if (!error && told)
		told(SAS_ANCHOR_NAME, SAS_M_PAGE, "the region was not left cleanly: it has been recovered", 1, arg);
	return error;
}

struct left { SASRepaired told; void *arg; };

static void tell_left(const char *file, uint64_t offset, const char *sentence, void *arg)
{
	const struct left *left = arg;

	if (left->told)
		left->told(file, offset, sentence, 0, left->arg);
}

long sas_repair(const char *path, SASRepaired told, void *arg)
{
	struct sas_repair p = { .told = told, .arg = arg, .fd = -1 };
	struct left left = { told, arg };
	int unclean = 0, error = repair_offline(&p, path, &unclean);
	int synced = p.in ? stop_writing(&p) : 0;
	long problems;

	sas_inspect_close(p.in);
	if (!error)
		error = synced;
	/* A region with problems is left as it is. */
	if (!error && unclean && sas_check(path, NULL, NULL) == 0)
		error = recover(path, told, arg);
	if (error && error != -EUCLEAN)
		return error;
	problems = sas_check(path, tell_left, &left);
	return problems ? problems : error;
}
