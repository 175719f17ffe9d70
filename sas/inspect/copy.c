/* SPDX-License-Identifier: MIT */
/*
 * copy.c - copying an idle region's files: holes, modes, owners and attributes kept. Layer 3.
 *
 * The segments are copied first, each under its own name; the anchor is made last, and gets its name
 * when everything before it is on the disk.
 *
 * Locks: the anchor file of the source exclusively (sas_inspect_claim()), so that nobody joins, resets or removes it.
 * Signals: not async-signal-safe. Fork: not to be called between fork and exec in a child.
 * Crash: before that the target has no anchor, and every reader refuses it; the source is never
 *   written.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef HAVE_LIBATTR
#include <attr/libattr.h>
#endif
#include "ground/err.h"
#include "inspect.h"
#include "ground/port.h"
#include "region/region.h"
#include "media/segment.h"
#include "ground/xattr.h"

#define BUFFER (1UL << 20)

struct copy {
	struct sas_inspect *from;
	const char *to;
	int dir;                /* of the target */
	int made;               /* we made that directory */
	uint64_t copied;                /* the present segments 1 .. copied - 1 have been made */
	int anchored;           /* segment 0 is in place */
	uint8_t *buffer;
};

static int failed(const struct copy *c, const char *name, const char *what, int error)
{
	return sas_fail(-error, "%s/%s: %s: %s", c->to, name, what, strerror(-error));
}

/* --- the target directory */

static int is_other(int dir, const char *name, void *arg)
{
	(void)dir;
	(void)arg;
	return strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static int check_empty(const struct copy *c)
{
	int result = sas_directory_each(c->dir, is_other, NULL);

	if (result > 0)
		return sas_fail(ENOTEMPTY, "%s: the directory is not empty", c->to);
	return result ? sas_fail(-result, "%s: %s", c->to, strerror(-result)) : 0;
}

/* A directory like the source's: a group that shares the one shares the other. */
static int make_like_source(struct copy *c)
{
	struct stat st;
	int error = sas_port->fstat(c->from->dir, &st);

	/* Who may not give it away keeps it. */
	if (!error)
		sas_port->fchown(c->dir, st.st_uid, st.st_gid);
	if (!error)
		error = sas_port->fchmod(c->dir, st.st_mode & 07777);
	return error ? sas_fail(-error, "%s: %s", c->to, strerror(-error)) : 0;
}

static int open_target(struct copy *c)
{
	int error = sas_port->mkdirat(AT_FDCWD, c->to, 0700);

	if (error && error != -EEXIST)
		return sas_fail(-error, "%s: cannot make the directory: %s", c->to, strerror(-error));
	c->made = !error;
	c->dir = sas_port->openat(AT_FDCWD, c->to, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (c->dir < 0)
		return sas_fail(-c->dir, "%s: %s", c->to, strerror(-c->dir));
	return c->made ? make_like_source(c) : check_empty(c);
}

static void remove_target(struct copy *c)
{
	char name[SAS_SEGMENT_NAME];

	for (uint64_t n = 1; n < c->copied; n++)
		if (sas_inspect_present(c->from, n))
			sas_port->unlinkat(c->dir, sas_segment_name(name, n), 0);
	if (c->anchored)
		sas_port->unlinkat(c->dir, SAS_ANCHOR_NAME, 0);
	if (c->made)
		sas_port->unlinkat(AT_FDCWD, c->to, AT_REMOVEDIR);
}

/* --- one file */

static int is_zero(const uint8_t *bytes, uint64_t size)
{
	return bytes[0] == 0 && !memcmp(bytes, bytes + 1, size - 1);
}

/* [from, from + size), at most BUFFER; pages of zeros stay holes. */
static int copy_piece(struct copy *c, int in, int out, uint64_t from, uint64_t size)
{
	int error = sas_port_pread_all(in, c->buffer, size, from);
	uint64_t start = 0, at = 0;

	while (!error && at < size) {
		uint64_t page = size - at < SAS_M_PAGE ? size - at : SAS_M_PAGE;

		if (is_zero(c->buffer + at, page)) {
			if (at > start)
				error = sas_port_pwrite_all(out, c->buffer + start, at - start, from + start);
			start = at + page;
		}
		at += page;
	}
	if (!error && at > start)
		error = sas_port_pwrite_all(out, c->buffer + start, at - start, from + start);
	return error;
}

/* Where the file system does not know holes, all is data. */
static int copy_data(struct copy *c, int in, int out, uint64_t size)
{
	uint64_t at = 0;
	int error = 0;

	while (!error && at < size) {
		int64_t data = sas_port->lseek(in, (int64_t)at, SEEK_DATA);
		int64_t hole = data < 0 ? data : sas_port->lseek(in, data, SEEK_HOLE);
		uint64_t end = hole < 0 || (uint64_t)hole > size ? size : (uint64_t)hole;

		if (data == -ENXIO)
			break;
		if (data >= 0)
			at = (uint64_t)data;
		while (!error && at < end) {
			uint64_t piece = end - at < BUFFER ? end - at : BUFFER;

			error = copy_piece(c, in, out, at, piece);
			at += piece;
		}
	}
	return error;
}

#ifdef HAVE_LIBATTR
static int is_wanted(const char *name, struct error_context *context)
{
	(void)context;
	return !strncmp(name, "user.", 5);
}

/* Attributes serve people and tools: where they cannot be set the copy is whole all the same. */
static void copy_attributes(const char *name, int in, int out)
{
	if (attr_copy_fd(name, in, name, out, is_wanted, NULL))
		sas_note(SAS_ERR_WARNING, "%s: extended attributes could not be copied: %s", name,
			 strerror(errno));
}
#else
static void copy_attributes(const char *name, int in, int out)
{
	(void)name;
	for (size_t i = 0; sas_xattr_keys[i]; i++) {
		char value[512];
		ssize_t size = sas_xattr_get(in, sas_xattr_keys[i], value, sizeof(value));

		if (size >= 0)
			sas_xattr_set(out, sas_xattr_keys[i], value, (size_t)size);
	}
}
#endif

/* --- file space: what a block's owner was promised in the source is there in the copy */

struct backing {
	struct copy *c;
	int fd;
	uint64_t from, to;              /* not taken yet */
	int unsupported;
};

static int take_space(struct backing *b)
{
	uint64_t size = b->to - b->from;
	int error = size && !b->unsupported ? sas_port->fallocate(b->fd, 0, b->from, size) : 0;

	b->unsupported |= error == -EOPNOTSUPP;
	b->from = b->to = 0;
	return error == -EOPNOTSUPP ? 0 : error;
}

static int back_range(struct backing *b, uint64_t from, uint64_t size)
{
	uint64_t to = sas_round_space(from + size);
	int error = 0;

	from &= ~(SAS_M_PAGE_MAX - 1);
	if (from < b->from || from > b->to) {
		error = take_space(b);
		b->from = from;
	}
	if (to > b->to)
		b->to = to;
	return error;
}

/* The map area is the runtime's own; only the maps that are in use need space. */
static int back_tile(const struct sas_inspect_tile *tile, void *arg)
{
	struct backing *b = arg;
	const struct sas_m_anchor *a = &b->c->from->anchor;

	if (tile->state != SAS_M_USED || tile->offset == a->map_offset)
		return 0;
	return back_range(b, tile->offset % a->segment_size, tile->size);
}

static int back_segment(struct copy *c, uint64_t n, int fd)
{
	const struct sas_m_anchor *a = &c->from->anchor;
	struct backing b = { .c = c, .fd = fd };
	int error = 0;

	if (a->compat & SAS_M_COMPAT_SPARSE)
		return 0;
	if (c->from->use[n] == 2)
		error = back_range(&b, 0, a->segment_size);
	else if (c->from->use[n] == 1)
		error = sas_inspect_each_in(c->from, n, back_tile, &b);
	for (uint64_t i = 0; n == 0 && i < a->maps && i < c->from->segments && !error; i++)
		if (c->from->use[i] == 1)
			error = back_range(&b, sas_map_of(a, i), sas_map_bytes(a->segment_size));
	return error ? error : take_space(&b);
}

/* --- one segment */

/* Who may not give files away gets a region of their own. */
static int copy_owner(struct copy *c, const char *name, const struct stat *st, int out)
{
	int error = sas_port->fchown(out, st->st_uid, st->st_gid);

	if (error == -EPERM || error == -EINVAL)
		error = 0;
	if (!error)
		error = sas_port->fchmod(out, st->st_mode & 0777);
	return error ? failed(c, name, "cannot get its owner and mode", error) : 0;
}

/* The file keeps the name under which messages show it. */
static int copy_content(struct copy *c, uint64_t n, int out)
{
	const struct sas_m_anchor *a = &c->from->anchor;
	int preallocated = (a->incompat & SAS_M_INCOMPAT_PREALLOCATED) != 0;
	char name[SAS_SEGMENT_NAME];
	struct stat st;
	int in, error = sas_inspect_file(c->from, n, &in);

	sas_segment_name(name, n);
	if (error)
		return sas_fail(-error, "%s/%s: cannot be copied: %s", c->from->path, name, strerror(-error));
	error = sas_port->fstat(in, &st);
	/* A copy may lie on hugetlbfs, or its original: each has the size that its file system likes. */
	if (!error)
		error = preallocated ? sas_port->ftruncate(out, (uint64_t)st.st_size) :
				       sas_segment_set_size(out, a->segment_size);
	if (!error)
		error = copy_data(c, in, out, preallocated ? (uint64_t)st.st_size : a->segment_size + SAS_M_PAGE);
	if (!error)
		error = back_segment(c, n, out);
	if (error)
		return failed(c, name, "cannot be copied", error);
	copy_attributes(name, in, out);
	error = copy_owner(c, name, &st, out);
	if (error)
		return error;
	error = sas_port->fsync(out);
	return error ? failed(c, name, "cannot be synced", error) : 0;
}

static int copy_segment(struct copy *c, uint64_t n)
{
	char name[SAS_SEGMENT_NAME];
	int out, error;

	sas_segment_name(name, n);
	out = sas_port->openat(c->dir, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (out < 0)
		return failed(c, name, "cannot be made", out);
	c->copied = n + 1;
	error = copy_content(c, n, out);
	sas_port->close(out);
	return error;
}

static int fill_anchor(int fd, void *arg)
{
	return copy_content(arg, 0, fd);
}

/* Of the directory that we made. Who may not open the parent relies on its file system. */
static int sync_parent(const struct copy *c)
{
	int error, fd = sas_port->openat(c->dir, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);

	if (fd < 0)
		return fd == -EACCES ? 0 : fd;
	error = sas_port->fsync(fd);
	sas_port->close(fd);
	return error;
}

/* The copy is a region when the anchor has its name. */
static int copy_anchor(struct copy *c)
{
	int error = sas_port->fsync(c->dir);

	if (error)
		return sas_fail(-error, "%s: cannot be synced: %s", c->to, strerror(-error));
	error = sas_file_publish(c->dir, c->to, SAS_ANCHOR_NAME, 0600, (uid_t)-1, (gid_t)-1, fill_anchor, c);
	if (error == -EEXIST)
		return failed(c, SAS_ANCHOR_NAME, "cannot be put in place", error);
	if (error)
		return error;
	c->anchored = 1;
	error = sas_port->fsync(c->dir);
	if (!error && c->made)
		error = sync_parent(c);
	return error ? sas_fail(-error, "%s: cannot be synced: %s", c->to, strerror(-error)) : 0;
}

static int copy_all(struct copy *c)
{
	int error = 0;

	for (uint64_t n = 1; n < c->from->segments && !error; n++)
		if (sas_inspect_present(c->from, n))
			error = copy_segment(c, n);
	return error ? error : copy_anchor(c);
}

/* --- the source */

static int claim_source(struct sas_inspect *in)
{
	int error = sas_inspect_claim(in);

	if (!error && in->state.life != SAS_M_LIFE_ACTIVE)
		error = sas_fail(ESTALE, "%s: the region was being reset or removed; a join completes that",
				 in->path);
	return error;
}

int sas_copy(const char *from, const char *to)
{
	struct copy c = { .to = to, .dir = -1 };
	int error;

	if (!to || !*to)
		return sas_fail(EINVAL, "no directory is named for the copy");
	error = sas_inspect_open(from, &c.from);
	if (!error)
		error = claim_source(c.from);
	if (!error) {
		c.buffer = malloc(BUFFER);
		error = c.buffer ? open_target(&c) : sas_fail(ENOMEM, "no memory to copy %s", from);
	}
	if (!error)
		error = copy_all(&c);
	if (error && (c.made || c.copied || c.anchored))
		remove_target(&c);
	if (c.dir >= 0)
		sas_port->close(c.dir);
	free(c.buffer);
	sas_inspect_close(c.from);
	return error;
}
