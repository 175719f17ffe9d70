/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include "anchor.h"
#include "ground/err.h"
#include "ground/lines.h"
#include "persist.h"
#include "place.h"
#include "ground/port.h"
#include "sasregion.h"
#include "segment.h"
#include "ground/xattr.h"

char *sas_segment_name(char name[SAS_SEGMENT_NAME], uint64_t number)
{
	static const char digits[] = "0123456789ABCDEF";
	char text[16], *p = name;
	unsigned n = 0;

	do {
		text[n++] = digits[number & 15];
		number >>= 4;
	} while (number || n < 5);
	*p++ = 'S';
	*p++ = 'A';
	*p++ = 'S';
	while (n > 0)
		*p++ = text[--n];
	memcpy(p, ".DAT", 5);
	return name;
}

int64_t sas_segment_number(const char *name)
{
	size_t length = strlen(name);
	char again[SAS_SEGMENT_NAME], *end;
	uint64_t n;

	if (length < 12 || length >= SAS_SEGMENT_NAME || strncmp(name, "SAS", 3) != 0)
		return -1;
	n = strtoull(name + 3, &end, 16);
	if (strcmp(end, ".DAT") != 0 || n >= SAS_M_MAX_SEGMENTS || strcmp(sas_segment_name(again, n), name) != 0)
		return -1;
	return (int64_t)n;
}

/* Programs that close all descriptors close ours too, and may get another file under its number. */
int sas_region_dir(struct sas_region *r)
{
	int fd;

	if (sas_port_is(r->dir, r->dir_dev, r->dir_ino))
		return r->dir;
	fd = sas_port->openat(AT_FDCWD, r->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	if (!sas_port_is(fd, r->dir_dev, r->dir_ino)) {
		sas_port->close(fd);
		return -ESTALE;
	}
	/* The old number is not closed: it is somebody else's now. */
	r->dir = fd;
	return fd;
}

/* When the descriptors have run out, the spare one makes room. */
static int open_or_spare(struct sas_region *r, const char *name)
{
	int access = r->flags & SAS_JOIN_READONLY ? O_RDONLY : O_RDWR;
	int flags = access | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
	int dir = sas_region_dir(r), fd;

	if (dir < 0)
		return dir;
	fd = sas_port->openat(dir, name, flags, 0);
	if (fd != -EMFILE && fd != -ENFILE)
		return fd;
	sas_port_close_own((int)sas_exchange_acq_rel_u32(&r->spare, 0) - 1, r->dir_dev, r->dir_ino);
	return sas_port->openat(dir, name, flags, 0);
}

/* Any descriptor would do; one of the directory can be told from the program's. */
void sas_region_keep_spare(struct sas_region *r)
{
	uint32_t none = 0;
	int fd;

	if (sas_load_relaxed_u32(&r->spare))
		return;
	fd = sas_port->openat(r->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (fd >= 0 && !sas_cas_acq_rel_u32(&r->spare, &none, (uint32_t)fd + 1))
		sas_port->close(fd);
}

static void close_and_keep_spare(struct sas_region *r, int fd)
{
	sas_port->close(fd);
	sas_region_keep_spare(r);
}

static int examine(const struct sas_region *r, uint64_t n, int fd)
{
	struct sas_m_trailer trailer;
	struct stat st;
	int error = sas_port->fstat(fd, &st);

	if (error)
		return error;
	if (!S_ISREG(st.st_mode))
		return -EUCLEAN;
	if ((st.st_mode & 07777) != r->anchor.mode || st.st_gid != r->gid ||
	    (st.st_uid != r->uid && !(r->anchor.mode & 0020)))
		return -EPERM;
	if (!sas_file_size_fits(&r->anchor, (uint64_t)st.st_size))
		return -EUCLEAN;
	if (r->anchor.incompat & SAS_M_INCOMPAT_PREALLOCATED)
		return 0;
	error = sas_port_pread_all(fd, &trailer, sizeof trailer, r->segment_size);
	if (error)
		return error;
	return sas_trailer_fits(&trailer, &r->anchor, n) ? 0 : -EUCLEAN;
}

int sas_segment_open(struct sas_region *r, uint64_t n, int *fd)
{
	char name[SAS_SEGMENT_NAME];
	int error;

	*fd = open_or_spare(r, sas_segment_name(name, n));
	if (*fd < 0)
		return *fd;
	error = examine(r, n, *fd);
	if (error)
		close_and_keep_spare(r, *fd);
	return error;
}

static int map_fd(struct sas_region *r, uint64_t n, int fd)
{
	int protection = r->flags & SAS_JOIN_READONLY ? PROT_READ : PROT_READ | PROT_WRITE;
	void *want = sas_at(r, n << r->segment_shift), *got;
	int kind = r->anchor.durability == SASDurability__PMEM ? MAP_SHARED_VALIDATE | MAP_SYNC : MAP_SHARED;

	if (r->anchor.durability == SASDurability__PMEM && !sas_lines)
		return -EOPNOTSUPP;
	/* Its huge pages are taken with the file space: none are set aside for what nobody uses. */
	if (r->file_system == SAS_FS_HUGETLB)
		kind |= MAP_NORESERVE;
	/* Over our own reservation, or where nothing may be. */
	got = sas_port->mmap(want, r->segment_size, protection,
			     kind | (r->reserved ? MAP_FIXED : MAP_FIXED_NOREPLACE), fd, 0);
	if (got == (void *)(intptr_t)-EEXIST)
		return sas_segment_mapped(r, n) ? 0 : -EADDRINUSE;
	if (SAS_MAP_FAILED(got))
		return (int)(intptr_t)got;
	if (got != want) {
		sas_port->munmap(got, r->segment_size);
		return -EADDRINUSE;
	}
	/* A wish: the join says once whether it can be had. */
	sas_place_segment(r, n);
	__atomic_store_n(&r->mapped[n], 1, __ATOMIC_RELEASE);
	sas_fetch_add_seq_cst_u32(&r->maps, 1);
	return 0;
}

/* Two threads may both map it: the second mapping replaces the first by the same file, in one step. */
int sas_segment_map_quiet(struct sas_region *r, uint64_t n)
{
	int fd, error = sas_segment_open(r, n, &fd);

	if (error)
		return error;
	error = map_fd(r, n, fd);
	close_and_keep_spare(r, fd);
	return error;
}

/* A stray or misplaced file says by its trailer what it is. */
static const char *misfit(struct sas_region *r, uint64_t n, struct sas_fault *fault)
{
	char name[SAS_SEGMENT_NAME];
	struct sas_m_trailer t;
	int dir = sas_region_dir(r), fd, told = 0;

	fd = dir < 0 ? dir : sas_port->openat(dir, sas_segment_name(name, n), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0);
	if (fd >= 0) {
		told = sas_port_pread_all(fd, &t, sizeof t, r->segment_size) == 0 &&
		       sas_trailer_examine(&t, &r->anchor, n, fault) != 0;
		sas_port->close(fd);
	}
	return told ? fault->text : "the file is not this segment of this region, or is cut short";
}

static const char *cause(struct sas_region *r, uint64_t n, int error, struct sas_fault *fault)
{
	switch (error) {
	case -ENOENT: return "the file is missing";
	case -EUCLEAN: return misfit(r, n, fault);
	case -EPERM: return "its owner, group or mode differ from those of " SAS_ANCHOR_NAME;
	case -ELOOP: return "it is a symbolic link";
	case -ESTALE: return "the region's directory has gone";
	case -EOPNOTSUPP: return "it cannot be mapped as persistent memory (MAP_SYNC)";
	case -EAGAIN: return "the process locks all of its memory (mlockall), and RLIMIT_MEMLOCK is too small for a segment";
	default: return strerror(-error);
	}
}

int sas_segment_need(struct sas_region *r, uint64_t n)
{
	char name[SAS_SEGMENT_NAME];
	struct sas_fault fault;
	int error;

	if (sas_segment_mapped(r, n))
		return 0;
	error = sas_segment_map_quiet(r, n);
	/* Without a reservation another thread's mapping is in the way until it says so. */
	for (int tries = 0; error == -EADDRINUSE && !r->reserved && tries < 1000; tries++) {
		sched_yield();
		error = sas_segment_mapped(r, n) ? 0 : -EADDRINUSE;
	}
	if (error)
		return sas_fail(-error, "%s/%s: cannot be mapped: %s", r->path, sas_segment_name(name, n),
				cause(r, n, error, &fault));
	return 0;
}

int sas_segment_need_range(struct sas_region *r, uint64_t offset, uint64_t size)
{
	for (uint64_t n = sas_segment_of(r, offset); n <= sas_segment_of(r, offset + size - 1); n++) {
		int error = sas_segment_need(r, n);

		if (error)
			return error;
	}
	return 0;
}

int sas_segment_set_size(int fd, uint64_t segment_size)
{
	int error = sas_port->ftruncate(fd, segment_size + SAS_M_PAGE);

	return error == -EINVAL ? sas_port->ftruncate(fd, segment_size + SAS_M_LARGE_TAIL) : error;
}

struct making { struct sas_region *r; uint64_t n; };

void sas_segment_trailer(struct sas_m_trailer *t, const struct sas_m_anchor *a, uint64_t n)
{
	memset(t, 0, sizeof *t);
	t->magic = SAS_M_MAGIC_TRAILER;
	t->format = SAS_M_FORMAT;
	t->header_size = sizeof *t;
	memcpy(t->uuid, a->uuid, 16);
	t->number = n;
	t->base = a->base;
	t->region_size = a->region_size;
	t->segment_size = a->segment_size;
	t->generation = a->generation;
	t->checksum = sas_trailer_checksum(t);
}

int sas_segment_write_trailer(int fd, const struct sas_m_anchor *a, uint64_t n)
{
	struct sas_m_trailer t;
	int error;

	sas_segment_trailer(&t, a, n);
	error = sas_port->fallocate(fd, 0, a->segment_size, SAS_M_PAGE);
	if (!error || error == -EOPNOTSUPP)
		error = sas_port_pwrite_all(fd, &t, sizeof t, a->segment_size);
	if (!error)
		sas_xattr_describe(fd, &t, a);
	return error;
}

static int fill_segment(int fd, void *arg)
{
	const struct making *m = arg;
	int error = sas_segment_set_size(fd, m->r->segment_size);

	return error ? error : sas_segment_write_trailer(fd, &m->r->anchor, m->n);
}

/* A file that is in place without its table entry: a creator died in between, or it is foreign. */
static int take_over(struct sas_region *r, uint64_t n)
{
	char name[SAS_SEGMENT_NAME];
	struct sas_fault fault;
	int fd, error = sas_segment_open(r, n, &fd);

	if (error)
		return sas_fail(-error, "%s/%s: is in the way of a new segment: %s", r->path,
				sas_segment_name(name, n), cause(r, n, error, &fault));
	close_and_keep_spare(r, fd);
	/* Nothing is known of what it holds. */
	if (sas_m_load_acquire_u32(&r->table[n].block) == 0)
		sas_m_store_release_u32(&r->table[n].block, sas_entry(SAS_M_DIRTY, 0, 0));
	return sas_persist(r, &r->table[n], sizeof r->table[n]);
}

/*
 * The anchor file's lock, shared, from the look at the life word until the file has its name: a remover stamps the
 * region dead under the exclusive lock before it looks for files to delete, so it finds this one, or we find its stamp.
 * (Taken under block_lock, against the order: who holds it exclusively waits for no other lock.)
 */
static int make_while_alive(struct sas_region *r, uint64_t n, int dir)
{
	struct making m = { r, n };
	char name[SAS_SEGMENT_NAME];
	int error, fd = sas_port->openat(dir, SAS_ANCHOR_NAME, O_RDONLY | O_NOFOLLOW | O_CLOEXEC, 0);

	if (fd < 0)
		return sas_fail(fd == -ENOENT ? ESTALE : -fd, "%s/" SAS_ANCHOR_NAME ": %s", r->path, strerror(-fd));
	error = sas_file_lock_anchor(r->path, fd, LOCK_SH);
	if (!error && sas_m_load_acquire_u32(&r->state->life) != SAS_M_LIFE_ACTIVE)
		error = sas_fail(ESTALE, "%s: the region was reset or removed", r->path);
	if (!error)
		error = sas_file_publish(dir, r->path, sas_segment_name(name, n), r->anchor.mode, r->uid, r->gid,
					 fill_segment, &m);
	if (error == -EEXIST)
		error = take_over(r, n);
	sas_port->close(fd);
	return error;
}

int sas_segment_make(struct sas_region *r, uint64_t n)
{
	char name[SAS_SEGMENT_NAME];
	int dir, error;

	if (sas_segment_present(r, n))
		return 0;
	if (r->anchor.incompat & SAS_M_INCOMPAT_PREALLOCATED)
		return sas_fail(ENOSPC, "%s: all preallocated segment files are full; %s does not exist", r->path,
				sas_segment_name(name, n));
	dir = sas_region_dir(r);
	if (dir < 0)
		return sas_fail(-dir, "%s: the directory cannot be opened: %s", r->path, strerror(-dir));
	error = make_while_alive(r, n, dir);
	if (error)
		return error;
	/* The name must be on the disk before the table says that it is there, whatever the durability: a region that
	 * misses a file cannot be opened. */
	error = sas_sync_file(r, dir, "the directory");
	if (error)
		return error;
	/* Publish: a death before leaves a whole file that take_over() accepts. Pairs with the
	 * acquire in sas_segment_present(). */
	sas_m_store_release_u32(&r->table[n].file, SAS_M_SEGMENT_PRESENT);
	return sas_persist(r, &r->table[n], sizeof r->table[n]);
}

int sas_segment_verify_all(struct sas_region *r)
{
	char name[SAS_SEGMENT_NAME];
	struct stat st;

	for (uint64_t n = 0; n < r->segments; n++) {
		int error;

		if (!sas_segment_present(r, n))
			continue;
		error = sas_port->fstatat(r->dir, sas_segment_name(name, n), &st, AT_SYMLINK_NOFOLLOW);
		if (error == -ENOENT)
			return sas_fail(ENOENT, "%s/%s: the file is missing: the segment table of " SAS_ANCHOR_NAME
					" (offset %llu) lists it; half a copy?", r->path, name,
					(unsigned long long)(r->anchor.table_offset + n * sizeof(struct sas_m_segment)));
		if (error)
			return sas_fail(-error, "%s/%s: %s", r->path, name, strerror(-error));
		if (!S_ISREG(st.st_mode))
			return sas_fail(EUCLEAN, "%s/%s: is not a regular file", r->path, name);
	}
	return 0;
}
