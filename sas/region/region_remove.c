/* SPDX-License-Identifier: MIT */
/*
 * region_remove.c - the end of a region: remove and reset.
 *
 * Order: the anchor file's lock, exclusively, so that nobody is joining; the region is stamped dead in its state
 * page, which every participant has mapped, so that their next call gives ESTALE; segments, SAS.run and
 * temporary files go, and the anchor last. A death after the stamp leaves a dead region, which the next join (or
 * remove) finishes. Files stay as they are under the mappings of others: unlinked, never truncated.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include "media/anchor.h"
#include "epoch/epoch_defer.h"
#include "ground/err.h"
#include "inspect/inspect.h"
#include "media/persist.h"
#include "ground/numa.h"
#include "ground/port.h"
#include "runtime.h"
#include "sasregion.h"
#include "media/segment.h"

struct killing {
	const struct sas_m_anchor *anchor;
	int error;
};

/* Is it a segment of this region, by its trailer? 1, 0, or -errno: what cannot be read must not be passed over, as the
 * anchor that names it goes next. */
static int is_segment_of(int dir, const char *name, uint64_t n, const struct sas_m_anchor *anchor)
{
	struct sas_m_trailer t;
	struct stat st;
	int error, fd = sas_port->openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0);

	if (fd == -ENOENT || fd == -ELOOP)
		return 0;
	if (fd < 0)
		return fd;
	error = sas_port->fstat(fd, &st);
	if (!error && (!S_ISREG(st.st_mode) || (uint64_t)st.st_size < anchor->segment_size + sizeof t)) {
		sas_port->close(fd);
		return 0;
	}
	if (!error)
		error = sas_port_pread_all(fd, &t, sizeof t, anchor->segment_size);
	sas_port->close(fd);
	return error ? error : sas_trailer_fits(&t, anchor, n);
}

/* Only what we recognise, by content or by our own names. */
static int delete_one(int dir, const char *name, void *arg)
{
	struct killing *k = arg;
	int64_t n = sas_segment_number(name);
	int ours = strcmp(name, SAS_RUN_NAME) == 0;

	if (n > 0)
		ours = is_segment_of(dir, name, (uint64_t)n, k->anchor);
	if (ours > 0)
		k->error = sas_port->unlinkat(dir, name, 0);
	else
		k->error = ours;
	return k->error == -ENOENT ? 0 : k->error;
}

static int delete_files(int dir, const char *path, const struct sas_m_anchor *anchor)
{
	struct killing k = { anchor, 0 };
	int error = sas_directory_each(dir, delete_one, &k);

	if (!error)
		error = sas_file_sweep(dir, NULL, NULL);
	/* Segments whose anchor is gone would be taken for half a copy: they go first, also for a power cut. */
	if (!error)
		error = sas_port->fsync(dir);
	if (!error)
		error = sas_port->unlinkat(dir, SAS_ANCHOR_NAME, 0);
	return error && error != -ENOENT ? sas_fail(-error, "%s: not all files could be deleted: %s", path,
						    strerror(-error)) : 0;
}

/* The anchor's page loses its magic and keeps its generation, from which the next region counts on. */
static int unformat(const char *path, int anchor_fd)
{
	static const uint64_t none;
	int error = sas_port_pwrite_all(anchor_fd, &none, sizeof none, offsetof(struct sas_m_anchor, magic));

	return error ? sas_fail(-error, "%s/" SAS_ANCHOR_NAME ": cannot be written: %s", path, strerror(-error)) : 0;
}

/* Preallocated files are somebody else's: they stay. */
static int destroy(int dir, const char *path, int anchor_fd, const struct sas_m_anchor *anchor)
{
	if (anchor->incompat & SAS_M_INCOMPAT_PREALLOCATED)
		return unformat(path, anchor_fd);
	return delete_files(dir, path, anchor);
}

/* Is the open file the anchor of r, still in its place? */
static int is_anchor_of(struct sas_region *r, int fd)
{
	struct sas_m_anchor a;

	return sas_region_in_place(r, fd) > 0 && sas_port_pread_all(fd, &a, sizeof a, 0) == 0 &&
	       memcmp(a.uuid, r->anchor.uuid, sizeof a.uuid) == 0 && a.generation == r->anchor.generation;
}

/* The anchor's descriptor, locked exclusively, of the region that r has joined. */
static int open_and_lock(struct sas_region *r, int *fd)
{
	int dir = sas_region_dir(r), error;

	*fd = dir < 0 ? dir : sas_port->openat(dir, SAS_ANCHOR_NAME, O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0);
	if (*fd < 0)
		return sas_fail(*fd == -ENOENT ? ESTALE : -*fd, "%s/" SAS_ANCHOR_NAME ": %s", r->path, strerror(-*fd));
	error = sas_file_lock_anchor(r->path, *fd, LOCK_EX);
	if (!error && (sas_m_load_acquire_u32(&r->state->life) != SAS_M_LIFE_ACTIVE || !is_anchor_of(r, *fd)))
		error = sas_fail(ESTALE, "%s: was reset or removed by somebody else", r->path);
	if (error)
		sas_port->close(*fd);
	return error;
}

/* Before a file goes: what a power cut leaves then is a dead region, and no damaged one. A disk that fails keeps nobody from
 * removing a region from it. */
static void stamp_dead(struct sas_region *r)
{
	sas_m_store_release_u32(&r->state->life, SAS_M_LIFE_DEAD);
	sas_port_write_back(r->state, sizeof *r->state);
}

static int remove_locked(struct sas_region *r)
{
	int fd, error = open_and_lock(r, &fd);

	if (error)
		return error;
	stamp_dead(r);
	error = destroy(sas_region_dir(r), r->path, fd, &r->anchor);
	sas_port->close(fd);
	return error;
}

static int may_end(const struct sas_region *r)
{
	int error = sas_region_known(r);

	if (!error && (r->flags & SAS_JOIN_READONLY))
		error = sas_fail(EROFS, "%s: joined read-only", r->path);
	return error;
}

int sas_region_remove(struct sas_region *r)
{
	struct sas_thread *t;
	int error = sas_helper_end(r);

	if (!error)
		error = sas_change_begin(&t);
	if (error)
		return error;
	error = may_end(r);
	if (!error)
		error = remove_locked(r);
	if (!error)
		sas_region_leave_locked(r, 0, 1);
	sas_change_end(t);
	return error;
}

/* With the lock: who has joined is looked at now. The stamp is written to the file, which all mappings show. */
static int remove_inspected(struct sas_inspect *in, int fd, int force)
{
	static const uint32_t dead = SAS_M_LIFE_DEAD;
	struct stat st;
	int error = sas_port->fstat(fd, &st);

	if (!error && (st.st_ino != in->stat.st_ino || st.st_dev != in->stat.st_dev))
		return sas_fail(ESTALE, "%s: was removed by somebody else", in->path);
	if (!error && in->alive && !force)
		return sas_fail(EBUSY, "%s: %u processes have joined it", in->path, in->alive);
	if (!error)
		error = sas_port_pwrite_all(fd, &dead, sizeof dead, SAS_M_PAGE + offsetof(struct sas_m_state, life));
	if (!error)
		error = sas_port->fsync(fd);
	if (error)
		return sas_fail(-error, "%s/" SAS_ANCHOR_NAME ": cannot be written: %s", in->path, strerror(-error));
	return destroy(in->dir, in->path, fd, &in->anchor);
}

int sas_region_remove_path(const char *path, int force)
{
	struct sas_inspect *in = NULL;
	int fd = -1, error = sas_inspect_open(path, &in);

	if (!error) {
		fd = sas_port->openat(in->dir, SAS_ANCHOR_NAME, O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0);
		error = fd < 0 ? sas_fail(-fd, "%s/" SAS_ANCHOR_NAME ": %s", path, strerror(-fd)) : sas_file_lock_anchor(path, fd, LOCK_EX);
	}
	sas_inspect_close(in);
	in = NULL;
	if (!error)
		error = sas_inspect_open(path, &in);
	if (!error)
		error = remove_inspected(in, fd, force);
	sas_inspect_close(in);
	if (fd >= 0)
		sas_port->close(fd);
	return error;
}

static int is_dead(int anchor_fd)
{
	uint32_t life;

	return sas_port_pread_all(anchor_fd, &life, sizeof life, SAS_M_PAGE + offsetof(struct sas_m_state, life)) == 0 &&
	       life == SAS_M_LIFE_DEAD;
}

int sas_region_complete_removal(struct sas_region *r, int anchor_fd)
{
	int error;

	sas_port->flock(anchor_fd, LOCK_UN);
	error = sas_file_lock_anchor(r->path, anchor_fd, LOCK_EX);
	/* The remover lives, and was faster; what has the name now may be a new region. */
	if (!error && (!is_anchor_of(r, anchor_fd) || !is_dead(anchor_fd)))
		return 0;
	return error ? error : destroy(r->dir, r->path, anchor_fd, &r->anchor);
}

/* --- reset */

static void options_of(const struct sas_region *r, SASRegionOptions *o, char *nodes, size_t size)
{
	SASRegionOptionsInit(o);
	o->flags = SAS_JOIN_CREATE | (r->flags & (SAS_JOIN_EAGER | SAS_JOIN_MAP64));
	if (r->anchor.compat & SAS_M_COMPAT_SPARSE)
		o->flags |= SAS_JOIN_SPARSE;
	if (r->anchor.incompat & SAS_M_INCOMPAT_PREALLOCATED)
		o->flags |= SAS_JOIN_PREALLOCATED;
	o->mode = r->anchor.mode;
	o->base = r->anchor.base;
	o->regionSize = r->anchor.region_size;
	o->segmentSize = r->anchor.segment_size;
	o->durability = (sas_durability_t)r->anchor.durability;
	o->hugePages = (sas_huge_t)(r->anchor.huge < SASHuge__HUGETLB ? r->anchor.huge : SASHuge__HUGETLB);
	o->numaPolicy = (sas_numa_t)sas_anchor_numa(&r->anchor);
	o->numaNodes = *sas_numa_text(r->anchor.numa_nodes, nodes, size) ? nodes : NULL;
}

/* In place, peers would see the new region under the old one's addresses. */
static int refuse_peers(struct sas_region *r)
{
	struct sas_living living;
	int error;

	if (!(r->anchor.incompat & SAS_M_INCOMPAT_PREALLOCATED))
		return 0;
	error = sas_table_lock(r);
	if (error)
		return error;
	sas_living_locked(r, &living);
	sas_table_unlock(r);
	return living.readers + living.writers > 1 ? sas_fail(EBUSY, "%s: others have joined it; preallocated files are reset by who is alone",
				     r->path) : 0;
}

/*
 * The process keeps its handle: everything mapped is dropped, the files are deleted, and the region is made and
 * attached anew. A peer that joins in between makes the new region, or finds it.
 */
int sas_region_reset(struct sas_region *r)
{
	SASRegionOptions o;
	struct sas_thread *t;
	char nodes[SAS_NUMA_TEXT];
	int error = sas_helper_end(r);

	if (!error)
		error = sas_change_begin(&t);
	if (error)
		return error;
	error = may_end(r);
	if (!error)
		error = refuse_peers(r);
	if (!error)
		error = remove_locked(r);
	if (!error) {
		options_of(r, &o, nodes, sizeof nodes);
		error = sas_region_rejoin(r, &o);
	}
	sas_change_end(t);
	return error;
}
