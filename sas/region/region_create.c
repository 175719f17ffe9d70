/* SPDX-License-Identifier: MIT */
/*
 * region_create.c - making a region: its geometry, its address, and the anchor segment.
 *
 * Crash: the anchor segment is written whole into a file without a name, synced, and linked into place: before the
 * link there is no region, after it there is one. In preallocated files the anchor page goes last.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include "media/anchor.h"
#include "ground/err.h"
#include "ground/numa.h"
#include "media/persist.h"
#include "ground/port.h"
#include "runtime.h"
#include "sasconf.h"
#include "sasregion.h"
#include "media/segment.h"
#include "block/tiles.h"
#include "ground/uuid.h"

/* Regions by handle lie in slots of twice their size, so that the range that a classic region leaves to programs
 * (__SAS_TEMP_ADDRESS) stays free. */
#define SLOTS_END 0x500000000000UL

/* --- geometry */

static int size_from_env(const char *name, uint64_t *value)
{
	const char *text = secure_getenv(name);
	static const char suffixes[] = "KMGT";
	const char *suffix;
	char *end;

	if (!text || !*text)
		return 0;
	errno = 0;
	*value = strtoull(text, &end, 0);
	suffix = *end ? strchr(suffixes, *end) : NULL;
	if (errno || text[0] < '0' || text[0] > '9' || (*end && (!suffix || end[1])) || (suffix && *value >> (54 - 10 * (suffix - suffixes))))
		return sas_fail(EINVAL, "%s=%s: is not a size in bytes, with K, M, G or T", name, text);
	if (suffix)
		*value <<= 10 * (suffix - suffixes + 1);
	return 0;
}

static int is_occupied(uint64_t base, uint64_t size)
{
	void *p = sas_port->mmap((void *)base, size, PROT_NONE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

	if (p == (void *)(intptr_t)-EEXIST)
		return 1;
	if (SAS_MAP_FAILED(p))
		return 0;               /* no room to try it: the join will tell */
	sas_port->munmap(p, size);
	return p != (void *)base;
}

/* A slot hashed from the UUID; the next ones where it is taken. Slot 0 is the classic region's. */
static uint64_t choose_slot(const struct sas_m_anchor *a)
{
	uint64_t stride = 4 * (uint64_t)SegmentSize, slots, start, hash;

	while (stride < 2 * a->region_size)
		stride *= 2;
	slots = (SLOTS_END - __SAS_BASE_ADDRESS) / stride;
	memcpy(&hash, a->uuid, sizeof hash);
	start = slots > 1 ? hash % (slots - 1) : 0;
	for (uint64_t i = 0; i + 1 < slots && i < 64; i++) {
		uint64_t base = (uint64_t)__SAS_BASE_ADDRESS + (1 + (start + i) % (slots - 1)) * stride;

		if (!is_occupied(base, a->region_size))
			return base;
	}
	return (uint64_t)__SAS_BASE_ADDRESS;
}

static int set_geometry(struct sas_m_anchor *a, const SASRegionOptions *o, int classic)
{
	uint64_t base = 0;
	int error;

	a->region_size = RegionSize;
	a->segment_size = SegmentSize;
	error = size_from_env("SAS_REGION_SIZE", &a->region_size);
	if (!error)
		error = size_from_env("SAS_SEGMENT_SIZE", &a->segment_size);
	if (!error)
		error = size_from_env("SAS_BASE", &base);
	if (error)
		return error;
	if (o->regionSize)
		a->region_size = o->regionSize;
	if (o->segmentSize)
		a->segment_size = o->segmentSize;
	if (o->base)
		a->base = o->base;
	else if (base)
		a->base = base;
	else
		a->base = classic ? (uint64_t)__SAS_BASE_ADDRESS : choose_slot(a);
	error = sas_geometry_check(a->base, a->region_size, a->segment_size);
	if (!error)
		sas_anchor_compute(a);
	return error;
}

static int set_durability(struct sas_m_anchor *a, int dir, const char *path, const SASRegionOptions *o)
{
	int error;

	if ((unsigned)o->durability > SASDurability__PMEM || (unsigned)o->numaPolicy > SASNuma__INTERLEAVE_SEGMENTS)
		return sas_fail(EINVAL, "%s: no such durability or NUMA policy", path);
	a->durability = o->durability;
	if (o->durability == SASDurability__PMEM) {
		error = sas_pmem_probe(dir);
		if (error)
			return sas_fail(EOPNOTSUPP, "%s: persistent memory cannot be mapped here (MAP_SYNC: %s)", path,
					strerror(-error));
	}
	if ((unsigned)o->hugePages > SASHuge__HUGETLB)
		return sas_fail(EINVAL, "%s: no such kind of huge pages", path);
	a->huge = (uint16_t)o->hugePages;
	a->numa_policy = o->numaPolicy;
	if (o->numaPolicy == SASNuma__INTERLEAVE_SEGMENTS) {
		a->numa_policy = SAS_M_NUMA_INTERLEAVE;
		a->numa_spread = SAS_M_SPREAD_SEGMENTS;
	}
	return sas_numa_parse(o->numaNodes, a->numa_nodes);
}

static int describe(struct sas_m_anchor *a, int dir, const char *path, const SASRegionOptions *o, int classic)
{
	int error = sas_uuid_new(a->uuid);

	if (error)
		return sas_fail(-error, "%s: no random numbers for the region's UUID", path);
	if (o->mode && ((o->mode & 0600) != 0600 || (o->mode & ~0777U)))
		return sas_fail(EINVAL, "%s: a region's mode lets its owner read and write, and has no other bits than 0777", path);
	if ((o->flags & SAS_JOIN_PREALLOCATED) && o->durability != SASDurability__PROCESS)
		return sas_fail(EINVAL, "%s: a preallocated region has the durability of processes", path);
	a->format = SAS_M_FORMAT;
	a->endian = SAS_M_ENDIAN;
	a->header_size = sizeof *a;
	a->page_size = SAS_M_PAGE;
	a->mode = o->mode & 07777;
	a->created_at = sas_port->now_s();
	if (o->flags & SAS_JOIN_SPARSE)
		a->compat |= SAS_M_COMPAT_SPARSE;
	if (o->flags & SAS_JOIN_PREALLOCATED)
		a->incompat |= SAS_M_INCOMPAT_PREALLOCATED;
	error = set_geometry(a, o, classic);
	return error ? error : set_durability(a, dir, path, o);
}

/* --- writing it */

static int write_anchor_page(int fd, struct sas_m_anchor *a)
{
	union { struct sas_m_anchor anchor; char page[SAS_M_PAGE]; } u;

	sas_anchor_set_header(a);
	a->magic = SAS_M_MAGIC_ANCHOR;
	memset(&u, 0, sizeof u);
	u.anchor = *a;
	a->checksum = u.anchor.checksum = sas_anchor_checksum(&u.anchor);
	return sas_port_pwrite_all(fd, &u, sizeof u, 0);
}

static int write_state(int fd)
{
	union { struct sas_m_state state; char page[SAS_M_PAGE]; } u;

	memset(&u, 0, sizeof u);
	u.state.life = SAS_M_LIFE_ACTIVE;
	u.state.clean = 1;
	sas_port_boot_id(u.state.boot_id);
	return sas_port_pwrite_all(fd, &u, sizeof u, SAS_M_PAGE);
}

static uint32_t order_of(uint64_t bytes)
{
	return (uint32_t)__builtin_ctzll(bytes) - SAS_M_UNIT_SHIFT;
}

static int write_entry(int fd, const struct sas_m_anchor *a, uint64_t offset, uint32_t entry)
{
	return sas_port_pwrite_all(fd, &entry, sizeof entry, a->map_offset + (offset >> SAS_M_UNIT_SHIFT) * sizeof entry);
}

/* Free tiles from `from` to `to`, where nothing is known of the bytes. */
static int write_free(int fd, const struct sas_m_anchor *a, uint64_t from, uint64_t to)
{
	int error = 0;

	while (from < to && !error) {
		uint64_t size = from & -from;

		while (from + size > to)
			size /= 2;
		error = write_entry(fd, a, from, sas_entry(SAS_M_DIRTY, order_of(size), 0));
		from += size;
	}
	return error;
}

/* The block map of segment 0: the anchor block and the map area are in use by the runtime. */
static int write_map(int fd, const struct sas_m_anchor *a)
{
	int dirty = (a->incompat & SAS_M_INCOMPAT_PREALLOCATED) != 0;
	int error = write_entry(fd, a, 0, sas_entry(SAS_M_USED, order_of(a->anchor_size), 0));

	if (!error)
		error = write_entry(fd, a, a->map_offset, sas_entry(SAS_M_USED, order_of(a->map_size), 0));
	if (!error && dirty)
		error = write_free(fd, a, a->anchor_size, a->map_offset);
	if (!error && dirty)
		error = write_free(fd, a, a->map_offset + a->map_size, a->segment_size);
	return error;
}

static int write_table_entry(int fd, const struct sas_m_anchor *a, uint64_t n, uint32_t block)
{
	struct sas_m_segment s;

	memset(&s, 0, sizeof s);
	s.file = SAS_M_SEGMENT_PRESENT;
	s.block = block;
	return sas_port_pwrite_all(fd, &s, sizeof s, a->table_offset + n * sizeof s);
}

static int take_space(int fd, uint64_t offset, uint64_t size)
{
	int error = sas_port->fallocate(fd, FALLOC_FL_KEEP_SIZE, offset, size);

	return error == -EOPNOTSUPP ? 0 : error;
}

static int fill_anchor(int fd, void *arg)
{
	struct sas_m_anchor *a = arg;
	struct stat st;
	int error = sas_segment_set_size(fd, a->segment_size);

	if (!error)
		error = sas_port->fstat(fd, &st);
	if (error)
		return error;
	a->mode = (unsigned)st.st_mode & 07777;
	error = take_space(fd, 0, a->anchor_size);
	if (!error)
		error = take_space(fd, a->map_offset, sas_round_space(sas_map_bytes(a->segment_size)));
	if (!error)
		error = write_state(fd);
	if (!error)
		error = write_table_entry(fd, a, 0, sas_entry(SAS_M_USED, SAS_M_ORDER_CARVED, 0));
	if (!error)
		error = write_map(fd, a);
	if (!error)
		error = sas_segment_write_trailer(fd, a, 0);
	return error ? error : write_anchor_page(fd, a);
}

/* Is there a trailer at that distance from the end? */
static int has_trailer(int fd, const struct stat *st, uint64_t tail)
{
	struct sas_m_trailer t;

	return (uint64_t)st->st_size > tail && sas_port_pread_all(fd, &t, sizeof t, (uint64_t)st->st_size - tail) == 0 &&
	       t.magic == SAS_M_MAGIC_TRAILER && t.checksum == sas_trailer_checksum(&t);
}

/* A file that is some region's segment, by its trailer, is remembered. */
static int see_segment(int dir, const char *name, void *arg)
{
	char *found = arg;
	struct stat st;
	int fd;

	if (sas_segment_number(name) < 1)
		return 0;
	fd = sas_port->openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0);
	if (fd < 0)
		return 0;
	if (sas_port->fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    (has_trailer(fd, &st, SAS_M_PAGE) || has_trailer(fd, &st, SAS_M_LARGE_TAIL)))
		strcpy(found, name);    /* shorter than SAS_SEGMENT_NAME: it has a number */
	sas_port->close(fd);
	return found[0] != 0;
}

/* Segments without an anchor are half a copy of a region: not a place for a new one. */
static int refuse_orphans(int dir, const char *path)
{
	char found[SAS_SEGMENT_NAME] = "";
	struct stat st;
	int error = sas_directory_each(dir, see_segment, found);

	if (error < 0)
		return sas_fail(-error, "%s: cannot be read: %s", path, strerror(-error));
	if (!found[0])
		return 0;
	/* Or somebody has made a region here since we found none. */
	if (sas_port->fstatat(dir, SAS_ANCHOR_NAME, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return -EEXIST;
	return sas_fail(EUCLEAN, "%s/%s: is a segment of a region, but " SAS_ANCHOR_NAME " is missing: half a copy?",
			path, found);
}

int sas_region_create(struct sas_region *r, const SASRegionOptions *options, int classic)
{
	const char *path = r->path;
	int dir = r->dir;
	union { struct sas_m_anchor anchor; char page[SAS_M_PAGE]; } u;
	int error;

	memset(&u, 0, sizeof u);
	if (options->flags & SAS_JOIN_PREALLOCATED)
		return sas_fail(ENOENT, "%s: no preallocated " SAS_ANCHOR_NAME " is there", path);
	u.anchor.generation = r->next_generation;
	error = describe(&u.anchor, dir, path, options, classic);
	if (!error)
		error = refuse_orphans(dir, path);
	if (!error)
		error = sas_file_publish(dir, path, SAS_ANCHOR_NAME, options->mode, (uid_t)-1, (gid_t)-1, fill_anchor,
					 &u.anchor);
	if (!error) {
		memcpy(r->created, u.anchor.uuid, sizeof r->created);
		error = sas_port->fsync(dir);
		if (error)
			error = sas_fail(-error, "%s: cannot be synced: %s", path, strerror(-error));
	}
	return error;
}

/* --- in files that exist */

static int file_fits(const struct sas_m_anchor *a, const struct stat *st)
{
	return S_ISREG(st->st_mode) && (uint64_t)st->st_size >= a->segment_size && (st->st_mode & 07777) == a->mode;
}

/* The preallocated files, from segment 1: each that is there must fit. write: their table entries. */
static int each_file(struct sas_region *r, int fd, const struct sas_m_anchor *a, int write)
{
	char name[SAS_SEGMENT_NAME];
	uint64_t count = sas_segments_of(a);
	struct stat st;
	int error = 0;

	for (uint64_t n = 1; n < count && !error; n++) {
		if (sas_port->fstatat(r->dir, sas_segment_name(name, n), &st, AT_SYMLINK_NOFOLLOW) != 0)
			continue;
		if (!file_fits(a, &st))
			return sas_fail(EINVAL, "%s/%s: is not a preallocated segment: it must be a regular file of at least "
					"%llu bytes and mode %o", r->path, name, (unsigned long long)a->segment_size, a->mode);
		if (write)
			error = write_table_entry(fd, a, n, sas_entry(SAS_M_DIRTY, 0, 0));
	}
	return error;
}

/* Those of a region that was removed may not have left yet: the new one would lie under their mappings. */
static int refuse_stale_peers(struct sas_region *r)
{
	int held, fd = sas_port->openat(r->dir, SAS_RUN_NAME, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0);

	if (fd < 0)
		return fd == -ENOENT ? 0 : sas_fail(-fd, "%s/" SAS_RUN_NAME ": %s", r->path, strerror(-fd));
	held = sas_port->ofd_test(fd, F_WRLCK, 0, 0);
	sas_port->close(fd);
	return held > 0 ? sas_fail(EBUSY, "%s: participants of a region that was removed here have not left yet", r->path) : 0;
}

static int clear(int fd, uint64_t offset, uint64_t size)
{
	static const char zero[65536];
	int error = 0;

	for (uint64_t done = 0; done < size && !error; done += sizeof zero)
		error = sas_port_pwrite_all(fd, zero, size - done < sizeof zero ? (size_t)(size - done) : sizeof zero,
					    offset + done);
	return error;
}

static int write_all(struct sas_region *r, int fd, struct sas_m_anchor *a)
{
	int error = clear(fd, 0, a->anchor_size);

	if (!error)
		error = clear(fd, a->map_offset, a->map_size);
	if (!error)
		error = write_table_entry(fd, a, 0, sas_entry(SAS_M_USED, SAS_M_ORDER_CARVED, 0));
	if (!error)
		error = each_file(r, fd, a, 1);
	if (!error)
		error = write_map(fd, a);
	if (!error)
		error = write_state(fd);
	if (!error)
		error = sas_port->fsync(fd);
	if (!error)
		error = write_anchor_page(fd, a);
	return error ? error : sas_port->fsync(fd);
}

/* Everything is looked at before anything is written. Anchor lock held exclusively. */
static int write_preallocated(struct sas_region *r, int fd, struct sas_m_anchor *a)
{
	struct stat st;
	int error = sas_port->fstat(fd, &st);

	if (error)
		return sas_fail(-error, "%s/" SAS_ANCHOR_NAME ": %s", r->path, strerror(-error));
	a->mode = (unsigned)st.st_mode & 07777;
	if (!file_fits(a, &st) || (a->mode & ~0777U))
		return sas_fail(EINVAL, "%s/" SAS_ANCHOR_NAME ": has %llu bytes and mode %o; a segment has %llu bytes, and no "
				"mode bits other than 0777", r->path, (unsigned long long)st.st_size, a->mode,
				(unsigned long long)a->segment_size);
	error = each_file(r, fd, a, 0);
	if (!error)
		error = refuse_stale_peers(r);
	if (error)
		return error;
	error = write_all(r, fd, a);
	return error ? sas_fail(-error, "%s: no region can be made in the preallocated files: %s", r->path,
				strerror(-error)) : 0;
}

/* Is there a region already? And the generation to count on from. */
static int has_anchor(struct sas_region *r, int fd, int *found, uint32_t *generation)
{
	struct sas_m_anchor a;
	int error = sas_port_pread_all(fd, &a, sizeof a, 0);

	if (error)
		return sas_fail(-error, "%s/" SAS_ANCHOR_NAME ": cannot be read: %s", r->path, strerror(-error));
	*found = a.magic == SAS_M_MAGIC_ANCHOR;
	*generation = a.generation;
	return 0;
}

static int create_locked(struct sas_region *r, int fd, const SASRegionOptions *options)
{
	union { struct sas_m_anchor anchor; char page[SAS_M_PAGE]; } u;
	int found, error;

	memset(&u, 0, sizeof u);
	error = has_anchor(r, fd, &found, &u.anchor.generation);
	if (error || found)
		return error;
	u.anchor.generation++;          /* participants of an older one see that it has gone */
	error = describe(&u.anchor, r->dir, r->path, options, 0);
	if (!error)
		error = write_preallocated(r, fd, &u.anchor);
	if (!error)
		memcpy(r->created, u.anchor.uuid, sizeof r->created);
	return error;
}

int sas_region_create_preallocated(struct sas_region *r, int anchor_fd, const SASRegionOptions *options)
{
	uint32_t generation;
	int found, error = has_anchor(r, anchor_fd, &found, &generation);

	if (error || found)
		return error;
	sas_port->flock(anchor_fd, LOCK_UN);
	error = sas_file_lock_anchor(r->path, anchor_fd, LOCK_EX);
	if (error)
		return error;
	error = create_locked(r, anchor_fd, options);
	return error ? error : sas_file_lock_anchor(r->path, anchor_fd, LOCK_SH);
}
