/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "ground/err.h"
#include "ground/lines.h"
#include "persist.h"
#include "ground/port.h"
#include "ground/rank.h"
#include "sasregion.h"
#include "segment.h"

#define METADATA "a change of its metadata"

/* --- failures */

static int is_poisoned(const struct sas_region *r)
{
	return r->run && sas_load_acquire_u32(&r->run->header->poisoned);
}

static int refuse_sync(struct sas_region *r)
{
	return is_poisoned(r) ? sas_fail(EIO, "%s: an earlier sync failed; all must leave the region and join it again",
					 r->path) : 0;
}

int sas_refuse_poisoned(struct sas_region *r)
{
	return r->anchor.durability == SASDurability__PROCESS ? 0 : refuse_sync(r);
}

/* Without SAS.run nobody writes. */
static int lock(struct sas_region *r)
{
	int died, error;

	if (!r->run)
		return 0;
	sas_rank_take(SAS_RANK_SYNC);
	error = sas_run_lock(&r->run->header->sync_lock, &died);
	if (error) {
		sas_rank_give(SAS_RANK_SYNC);
		return sas_fail(-error, "%s/" SAS_RUN_NAME ": the lock of syncs cannot be taken: %s", r->path, strerror(-error));
	}
	return 0;
}

static void unlock(struct sas_region *r)
{
	if (!r->run)
		return;
	sas_run_unlock(&r->run->header->sync_lock);
	sas_rank_give(SAS_RANK_SYNC);
}

/* From here until end_sync() nobody else is told of an error. */
static int begin_sync(struct sas_region *r)
{
	int error = lock(r);

	if (error || !is_poisoned(r))
		return error;
	unlock(r);
	return refuse_sync(r);
}

static int end_sync(struct sas_region *r, int error, const char *what)
{
	if (error && r->run)
		sas_store_release_u32(&r->run->header->poisoned, 1);
	unlock(r);
	return error ? sas_fail(EIO, "%s: %s could not be synced (%s); what was stored since the last sync may not be safe; "
				"all must leave the region and join it again", r->path, what, strerror(-error)) : 0;
}

/* The pages of [from, to), which are mapped for writing: msync passes over other mappings. */
static int sync_mapped(struct sas_region *r, uintptr_t from, uintptr_t to, const char *what)
{
	int error = begin_sync(r);

	if (error)
		return error;
	return end_sync(r, sas_port_write_back((const void *)from, to - from), what);
}

int sas_sync_file(struct sas_region *r, int fd, const char *what)
{
	int error = begin_sync(r);

	return error ? error : end_sync(r, sas_port->fsync(fd), what);
}

/* --- the three durabilities */

static int write_nothing(struct sas_region *r, uintptr_t from, uintptr_t to)
{
	(void)r;
	(void)from;
	(void)to;
	return 0;
}

static void wait_for_nothing(void)
{
}

static int write_pages(struct sas_region *r, uintptr_t from, uintptr_t to)
{
	return sync_mapped(r, from, to, METADATA);
}

static int write_lines(struct sas_region *r, uintptr_t from, uintptr_t to)
{
	int error = refuse_sync(r);

	if (!error)
		sas_lines->write_back(from, to);
	return error;
}

static void wait_for_lines(void)
{
	sas_lines->fence();
}

static const struct way {
	int (*write_back)(struct sas_region *r, uintptr_t from, uintptr_t to);
	void (*fence)(void);
} ways[] = {
	[SASDurability__PROCESS] = { write_nothing, wait_for_nothing },
	[SASDurability__DISK] = { write_pages, wait_for_nothing },
	[SASDurability__PMEM] = { write_lines, wait_for_lines },
};

int sas_write_back(struct sas_region *r, const void *address, size_t size)
{
	return ways[r->anchor.durability].write_back(r, (uintptr_t)address, (uintptr_t)address + size);
}

void sas_fence(struct sas_region *r)
{
	ways[r->anchor.durability].fence();
}

int sas_persist(struct sas_region *r, const void *address, size_t size)
{
	int error = sas_write_back(r, address, size);

	sas_fence(r);
	return error;
}

/* --- files and ranges */

static int open_segment(struct sas_region *r, uint64_t n, int *fd)
{
	char name[SAS_SEGMENT_NAME];
	int error = sas_segment_open(r, n, fd);

	return error ? sas_fail(-error, "%s/%s: cannot be opened to be synced: %s", r->path, sas_segment_name(name, n),
				strerror(-error)) : 0;
}

static int can_msync(const struct sas_region *r, uint64_t n)
{
	return !(r->flags & SAS_JOIN_READONLY) && sas_segment_mapped(r, n);
}

/* All that any process stored there: the page cache is one. */
static int sync_in_segment(struct sas_region *r, uint64_t offset, uint64_t size)
{
	uint64_t n = sas_segment_of(r, offset);
	char name[SAS_SEGMENT_NAME];
	uintptr_t from = (uintptr_t)sas_at(r, offset);
	int fd, error;

	sas_segment_name(name, n);
	if (can_msync(r, n))
		return sync_mapped(r, from, from + size, name);
	error = open_segment(r, n, &fd);
	if (error)
		return error;
	error = sas_sync_file(r, fd, name);
	sas_port->close(fd);
	return error;
}

int sas_sync(struct sas_region *r)
{
	int dir, error = refuse_sync(r);

	for (uint64_t n = 0; n < r->segments && !error; n++)
		if (sas_segment_present(r, n))
			error = sync_in_segment(r, n << r->segment_shift, r->segment_size);
	if (error)
		return error;
	dir = sas_region_dir(r);
	return dir < 0 ? sas_fail(-dir, "%s: cannot be opened to be synced: %s", r->path, strerror(-dir))
		       : sas_sync_file(r, dir, "the directory");
}

static int start_in_segment(struct sas_region *r, uint64_t offset, uint64_t size)
{
	uint64_t n = sas_segment_of(r, offset);
	char name[SAS_SEGMENT_NAME];
	int fd, error = open_segment(r, n, &fd);

	if (error)
		return error;
	error = begin_sync(r);
	if (!error)
		error = end_sync(r, sas_port->sync_file_range(fd, offset & (r->segment_size - 1), size),
				 sas_segment_name(name, n));
	sas_port->close(fd);
	return error;
}

/* Lines are written back for all threads: caches are coherent. */
static int sync_piece(struct sas_region *r, uint64_t offset, uint64_t size, int wait)
{
	uint64_t n = sas_segment_of(r, offset);

	if (!sas_segment_present(r, n))
		return sas_fail(EFAULT, "%s: segment %llu, of the range to be synced, does not exist", r->path, (unsigned long long)n);
	if (r->anchor.durability == SASDurability__PMEM && can_msync(r, n))
		return sas_write_back(r, sas_at(r, offset), size);
	return wait ? sync_in_segment(r, offset, size) : start_in_segment(r, offset, size);
}

int sas_sync_range(struct sas_region *r, uint64_t offset, uint64_t size, int wait)
{
	uint64_t end = offset + size;
	int error = refuse_sync(r);

	while (offset < end && !error) {
		uint64_t stop = (sas_segment_of(r, offset) + 1) << r->segment_shift;

		if (stop > end)
			stop = end;
		error = sync_piece(r, offset, stop - offset, wait);
		offset = stop;
	}
	if (wait)
		sas_fence(r);
	return error;
}

/* --- after a failure */

#define BUFFER (1UL << 20)

/* Holes stay holes: what was punched has no bytes to lose. */
static int rewrite_file(int fd, void *buffer)
{
	int64_t at = sas_port->lseek(fd, 0, SEEK_DATA), hole;
	int error = 0;

	while (at >= 0 && !error) {
		hole = sas_port->lseek(fd, at, SEEK_HOLE);
		if (hole < 0)
			return (int)hole;
		while (at < hole && !error) {
			uint64_t size = (uint64_t)(hole - at) < BUFFER ? (uint64_t)(hole - at) : BUFFER;

			error = sas_port_pread_all(fd, buffer, size, (uint64_t)at);
			if (!error)
				error = sas_port_pwrite_all(fd, buffer, size, (uint64_t)at);
			at += (int64_t)size;
		}
		if (!error)
			at = sas_port->lseek(fd, hole, SEEK_DATA);
	}
	if (!error && at < 0 && at != -ENXIO)
		error = (int)at;
	return error ? error : sas_port->fsync(fd);
}

int sas_rewrite(struct sas_region *r)
{
	char name[SAS_SEGMENT_NAME];
	void *buffer = malloc(BUFFER);
	int error = buffer ? 0 : sas_fail(ENOMEM, "no memory to write %s again", r->path);

	for (uint64_t n = 0; n < r->segments && !error; n++) {
		int fd;

		if (!sas_segment_present(r, n))
			continue;
		error = open_segment(r, n, &fd);
		if (error)
			break;
		error = rewrite_file(fd, buffer);
		if (error)
			error = sas_fail(EIO, "%s/%s: a sync failed earlier, and the data cannot be written again: %s", r->path,
					 sas_segment_name(name, n), strerror(-error));
		sas_port->close(fd);
	}
	free(buffer);
	return error;
}

/* --- persistent memory */

int sas_pmem_probe(int dir)
{
	int error, fd = sas_lines ? sas_port->openat(dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600) : -EOPNOTSUPP;
	void *p;

	if (fd < 0)
		return fd;
	error = sas_port->ftruncate(fd, SAS_M_MIN_SEGMENT);
	if (!error) {
		p = sas_port->mmap(NULL, SAS_M_MIN_SEGMENT, PROT_READ | PROT_WRITE, MAP_SHARED_VALIDATE | MAP_SYNC, fd, 0);
		error = SAS_MAP_FAILED(p) ? (int)(intptr_t)p : sas_port->munmap(p, SAS_M_MIN_SEGMENT);
	}
	sas_port->close(fd);
	return error;
}
