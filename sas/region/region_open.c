/* SPDX-License-Identifier: MIT */
/*
 * region_open.c - from a directory to a region that is mapped and registered.
 *
 * Open the anchor, or create it; take its file lock (shared); validate; reserve the address range; map the
 * anchor segment; open SAS.run; recover the dead; register. A join that meets a creation finds the anchor whole or
 * absent, as it is linked into place; one that meets a removal finds the region stamped dead, completes the
 * removal, and starts again.
 *
 * Locks: process lock held; takes the anchor file lock, then table_lock inside.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#ifdef HAVE_VALGRIND_MEMCHECK_H
#include <valgrind/memcheck.h>
#else
#define VALGRIND_MAKE_MEM_DEFINED(address, size) 0
#endif
#include "media/anchor.h"
#include "epoch/epoch_defer.h"
#include "ground/err.h"
#include "block/index.h"
#include "media/persist.h"
#include "media/place.h"
#include "ground/port.h"
#include "runtime.h"
#include "sasregion.h"
#include "media/segment.h"

/* --- the address range */

static int overlaps(uintptr_t memory, uint64_t size, const struct sas_region **other)
{
	for (unsigned i = 0; i < SAS_REGIONS_MAX; i++) {
		const struct sas_region *o = sas_load_acquire_ptr(&sas_regions[i].region);

		*other = o;
		if (o && memory < o->memory + (o->end - o->base) && o->memory < memory + size)
			return 1;
	}
	return 0;
}

/* Two copies of the library in a process know nothing of each other: they find each other's mappings. */
static int is_own_file(const struct sas_region *r, const char *occupant)
{
	const char *name = strchr(occupant, '/');
	size_t length = strlen(r->path);

	return name && strncmp(name, r->path, length) == 0 && strncmp(name + length, "/SAS", 4) == 0;
}

static int address_in_use(struct sas_region *r)
{
	uint64_t size = r->end - r->base;
	const struct sas_region *other;
	char occupant[PATH_MAX + 64];

	if (overlaps(r->base, size, &other))
		return sas_fail(EADDRINUSE, "%s: its addresses %#lx-%#lx overlap those of %s, which this process has joined",
				r->path, (unsigned long)r->base, (unsigned long)r->end, other->path);
	sas_port_occupant(r->base, size, occupant, sizeof occupant);
	if (is_own_file(r, occupant))
		return sas_fail(EADDRINUSE, "%s: another copy of this library in this process has joined it (%s)", r->path,
				occupant);
	return sas_fail(EADDRINUSE, "%s: its addresses %#lx-%#lx are taken in this process by %s", r->path,
			(unsigned long)r->base, (unsigned long)r->end, occupant[0] ? occupant : "somebody");
}

static void *reserve_at(uintptr_t address, uint64_t size, int fixed)
{
	void *p = sas_port->mmap((void *)address, size, PROT_NONE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | fixed, -1, 0);

	if (!SAS_MAP_FAILED(p) && fixed && p != (void *)address) {      /* a kernel without MAP_FIXED_NOREPLACE */
		sas_port->munmap(p, size);
		p = (void *)(intptr_t)-EEXIST;
	}
	return p;
}

/* Under ulimit -v, or where all memory is to be locked and that is limited, there may be no room for the whole range: then
 * each segment is mapped where nothing is. */
static int reserve(struct sas_region *r)
{
	uint64_t size = r->end - r->base;
	void *p = reserve_at(r->base, size, MAP_FIXED_NOREPLACE);

	r->memory = 0;
	if (p == (void *)(intptr_t)-EEXIST) {
		if (!(r->flags & SAS_JOIN_RELOCATED))
			return address_in_use(r);
		p = reserve_at(0, size, 0);
		if (SAS_MAP_FAILED(p))
			return sas_fail((int)-(intptr_t)p, "%s: no %llu bytes of addresses are free", r->path,
					(unsigned long long)size);
	}
	r->reserved = !SAS_MAP_FAILED(p);
	r->memory = r->reserved ? (uintptr_t)p : r->base;
	if (!r->reserved)
		return 0;
	(void)VALGRIND_MAKE_MEM_DEFINED(p, size);       /* a first touch is for the fault handler, and no error to report */
	sas_port->madvise(p, size, MADV_DONTDUMP);
	/* After mlockall(MCL_FUTURE) it would count as locked; what is mapped over it is locked all the same. */
	sas_port->munlock(p, size);
	return 0;
}

static void unmap_all(struct sas_region *r)
{
	if (r->reserved) {
		sas_port->munmap((void *)r->memory, r->end - r->base);
	} else {
		for (uint64_t n = 0; r->mapped && n < r->segments; n++)
			if (r->mapped[n])
				sas_port->munmap(sas_at(r, n << r->segment_shift), r->segment_size);
	}
}

/* --- the anchor */

static int open_anchor(const struct sas_region *r, int *fd)
{
	int access = r->flags & SAS_JOIN_READONLY ? O_RDONLY : O_RDWR;

	*fd = sas_port->openat(r->dir, SAS_ANCHOR_NAME, access | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0);
	if (*fd >= 0 || *fd == -ENOENT)
		return *fd < 0 ? *fd : 0;
	if (*fd == -EACCES || *fd == -EROFS || *fd == -EPERM)
		return sas_fail(*fd == -EPERM ? EACCES : -*fd, "%s/" SAS_ANCHOR_NAME ": no permission to %s%s", r->path,
				access == O_RDWR ? "write" : "read",
				access == O_RDWR ? "; SAS_JOIN_READONLY joins for reading" : "");
	if (*fd == -ELOOP)
		return sas_fail(ELOOP, "%s/" SAS_ANCHOR_NAME ": is a symbolic link", r->path);
	return sas_fail(-*fd, "%s/" SAS_ANCHOR_NAME ": %s", r->path, strerror(-*fd));
}

static int read_anchor(struct sas_region *r, int fd)
{
	union { struct sas_m_anchor anchor; char page[SAS_M_PAGE]; } u;
	char name[PATH_MAX + 16];
	uint64_t size;
	struct stat st;
	int error = sas_port->fstat(fd, &st);

	snprintf(name, sizeof name, "%s/" SAS_ANCHOR_NAME, r->path);
	if (error)
		return sas_fail(-error, "%s: %s", name, strerror(-error));
	if (!S_ISREG(st.st_mode))
		return sas_fail(EUCLEAN, "%s: is not a regular file", name);
	error = sas_port_pread_all(fd, &u, sizeof u, 0);
	if (error)
		return sas_fail(error == -EIO ? EUCLEAN : -error, "%s: has no whole first page", name);
	error = sas_anchor_validate(&u.anchor, name);
	if (error)
		return error;
	r->anchor = u.anchor;
	if ((r->anchor.ro_compat & ~SAS_M_RO_COMPAT_KNOWN) && !(r->flags & SAS_JOIN_READONLY))
		return sas_fail(EPROTONOSUPPORT, "%s: made by a newer version; this one may only read it", name);
	size = r->anchor.segment_size + (r->anchor.incompat & SAS_M_INCOMPAT_PREALLOCATED ? 0 : SAS_M_PAGE);
	if ((uint64_t)st.st_size < size)
		return sas_fail(EUCLEAN, "%s: is cut short: it has %llu bytes, not %llu", name,
				(unsigned long long)st.st_size, (unsigned long long)size);
	if ((st.st_mode & 07777) != r->anchor.mode)
		return sas_fail(EPERM, "%s: its mode is %o, but the region was made with %o", name,
				(unsigned)st.st_mode & 07777, r->anchor.mode);
	r->uid = st.st_uid;
	r->gid = st.st_gid;
	return 0;
}

int sas_region_in_place(struct sas_region *r, int fd)
{
	struct stat opened, named;
	int error = sas_port->fstat(fd, &opened);

	if (!error)
		error = sas_port->fstatat(sas_region_dir(r), SAS_ANCHOR_NAME, &named, AT_SYMLINK_NOFOLLOW);
	if (error == -ENOENT)
		return 0;
	if (error)
		return sas_fail(-error, "%s/" SAS_ANCHOR_NAME ": cannot be looked at: %s", r->path, strerror(-error));
	return opened.st_ino == named.st_ino && opened.st_dev == named.st_dev;
}

/* -ERESTART: it is not, so begin again. */
static int still_in_place(struct sas_region *r, int fd)
{
	int in_place = sas_region_in_place(r, fd);

	return in_place > 0 ? 0 : in_place < 0 ? in_place : -ERESTART;
}

/* --- mapping and registering */

static int set_geometry(struct sas_region *r)
{
	r->base = r->anchor.base;
	r->end = r->base + r->anchor.region_size;
	r->segment_size = r->anchor.segment_size;
	r->segment_shift = (unsigned)__builtin_ctzll(r->segment_size);
	r->segments = sas_segments_of(&r->anchor);
	sas_index_plan(r);
	r->mapped = calloc(r->segments, 1);
	return r->mapped ? 0 : sas_fail(ENOMEM, "no memory to join %s", r->path);
}

static int map_anchor(struct sas_region *r)
{
	int error = sas_segment_need(r, 0);

	if (error)
		return error;
	sas_place_tell(r);
	r->live = sas_at(r, 0);
	r->state = sas_at(r, SAS_M_PAGE);
	r->table = sas_at(r, r->anchor.table_offset);
	return 0;
}

static uint64_t directory_time(const struct stat *st)
{
	return (uint64_t)st->st_mtim.tv_sec * 1000000000U + (uint64_t)st->st_mtim.tv_nsec;
}

/* All files are there; looked at again when names in the directory have changed since. */
static int look_at_files(struct sas_region *r)
{
	sas_u64_t *seen = &r->run->header->directory_time;
	struct stat st;
	int error = sas_port->fstat(r->dir, &st);

	if (error || directory_time(&st) == sas_load_relaxed_u64(seen))
		return 0;
	error = sas_segment_verify_all(r);
	if (!error && !(r->flags & SAS_JOIN_READONLY))
		sas_file_sweep(r->dir, NULL, NULL);
	if (!error && sas_port->fstat(r->dir, &st) == 0)
		sas_store_relaxed_u64(seen, directory_time(&st));
	return error;
}

/*
 * In another boot than the last one in which the region was used, not even a clean end says that its pages reached
 * the disk together. In the same one only logs of those that died can be left.
 */
static int recover_media(struct sas_region *r)
{
	uint8_t boot[16];

	sas_port_boot_id(boot);
	if (memcmp(boot, r->state->boot_id, 16) != 0)
		return sas_recover_boot(r);
	return sas_m_load_acquire_u32(&r->state->clean) ? 0 : sas_recover_all_logs(r);
}

/* Deferred frees of those that have gone: by their pages; or by the maps, where the run file is another one. */
static int recover_retired(struct sas_region *r, const struct sas_living *living)
{
	sas_u32_t *begun = &r->run->header->epoch_begun;
	int error = 0;

	if (!sas_load_acquire_u32(begun) && !sas_m_load_acquire_u32(&r->state->clean))
		error = sas_recover_retired(r);
	if (!error)
		sas_store_release_u32(begun, 1);
	sas_store_relaxed_u64(&r->run->header->epoch_limit_bytes, 0);
	sas_store_relaxed_u64(&r->run->header->epoch_limit_count, 0);
	if (!error && living->readers == 0)
		error = sas_epoch_reap(r);
	return error;
}

/* A sync failed while others wrote, who have left. Pages that never reached the disk may count as written: they
 * are made dirty again, or the next sync would pass them over. */
static int forgive(struct sas_region *r)
{
	sas_u32_t *poisoned = &r->run->header->poisoned;
	int error;

	if (!sas_load_acquire_u32(poisoned))
		return 0;
	sas_note(SAS_ERR_WARNING, "%s: a sync failed earlier; all data are written again", r->path);
	error = sas_rewrite(r);
	if (!error)
		sas_store_release_u32(poisoned, 0);
	return error;
}

int sas_region_begin_use(struct sas_region *r, const struct sas_living *living)
{
	int error = 0;

	if (living->readers + living->writers == 0)
		error = look_at_files(r);
	if (error || living->writers || (r->flags & SAS_JOIN_READONLY))
		return error;
	/* Whatever happened to the files while nobody wrote does not matter: every index is built again. */
	sas_fetch_add_relaxed_u32(&r->run->header->index_epoch, 1);
	error = forgive(r);
	if (!error)
		error = recover_media(r);
	if (!error)
		error = recover_retired(r, living);
	/* Recovery may have built some, before all was freed that it frees. */
	sas_fetch_add_relaxed_u32(&r->run->header->index_epoch, 1);
	return error;
}

/* Without SAS.run nobody knows that we read: the region must be at rest. */
static int join_unseen(struct sas_region *r, int error)
{
	if (!(r->flags & SAS_JOIN_READONLY))
		return error;
	if (!sas_m_load_acquire_u32(&r->state->clean))
		return sas_fail(EROFS, "%s: " SAS_RUN_NAME " cannot be written, and the region was not left cleanly", r->path);
	return sas_segment_verify_all(r);
}

void sas_region_detach(struct sas_region *r)
{
	if (r->run)
		sas_run_drop(r->run);
	r->run = NULL;
	if (r->mapped && r->memory)
		unmap_all(r);
	r->memory = 0;
	free(r->mapped);
	r->mapped = NULL;
}

/* The anchor block and the map area are in use by the runtime: a file that says otherwise would have them handed out. */
static int check_own_blocks(struct sas_region *r)
{
	const struct sas_m_anchor *a = &r->anchor;
	const uint32_t *map = sas_at(r, a->map_offset);
	uint32_t anchor = sas_entry(SAS_M_USED, (uint32_t)__builtin_ctzll(a->anchor_size) - SAS_M_UNIT_SHIFT, 0);
	uint32_t area = sas_entry(SAS_M_USED, (uint32_t)__builtin_ctzll(a->map_size) - SAS_M_UNIT_SHIFT, 0);

	if (!sas_segment_present(r, 0) || !sas_entry_carved(r->table[0].block) || map[0] != anchor ||
	    map[a->map_offset >> SAS_M_UNIT_SHIFT] != area)
		return sas_fail(EUCLEAN, "%s/" SAS_ANCHOR_NAME ": the segment table (offset %llu) or the block map (offset %llu) does "
				"not keep the anchor's own blocks; run sasphere check", r->path,
				(unsigned long long)a->table_offset, (unsigned long long)a->map_offset);
	return 0;
}

/* -EIDRM: stamped dead, and nothing else, as its files will be deleted for it. */
static int check_life(const struct sas_region *r)
{
	uint32_t life = sas_m_load_acquire_u32(&r->state->life);

	if (life == SAS_M_LIFE_ACTIVE)
		return 0;
	if (life == SAS_M_LIFE_DEAD)
		return -EIDRM;
	return sas_fail(EUCLEAN, "%s/" SAS_ANCHOR_NAME ", offset %lu: the life word is %u", r->path, SAS_M_PAGE, life);
}

/* With the anchor locked: all that maps, and the registration. -EIDRM: stamped dead. */
static int attach(struct sas_region *r, int anchor_fd)
{
	int let_go, error = set_geometry(r);

	if (!error)
		error = reserve(r);
	if (!error)
		error = map_anchor(r);
	if (!error)
		error = check_life(r);
	if (!error)
		error = check_own_blocks(r);
	if (error)
		goto failed;
	error = sas_run_open(r, anchor_fd, &let_go);
	if (let_go && check_life(r) != 0)
		error = -ERESTART;
	else if (let_go && !error)
		error = still_in_place(r, anchor_fd);
	if (error == -ERESTART)
		goto failed;
	error = error ? join_unseen(r, error) : sas_process_register(r);
	if (error)
		goto failed;
	return 0;
failed:
	sas_region_detach(r);
	return error;
}

static int refuse_network(const struct sas_region *r, unsigned flags)
{
	static const struct { unsigned long type; const char *name; } refused[] = {
		{ 0x6969, "NFS" }, { 0xff534d42, "CIFS" }, { 0xfe534d42, "SMB" }, { 0x517b, "SMB" },
		{ 0x01021997, "9p" }, { 0x65735546, "FUSE" },
	};
	struct statfs fs;

	if ((flags & SAS_JOIN_SINGLE_HOST) || sas_port->fstatfs(r->dir, &fs) != 0)
		return 0;
	for (unsigned i = 0; i < sizeof refused / sizeof refused[0]; i++)
		if ((unsigned long)fs.f_type == refused[i].type)
			return sas_fail(EOPNOTSUPP, "%s: is on %s, whose mappings are not coherent between hosts; "
					"SAS_JOIN_SINGLE_HOST promises that one host alone uses it", r->path,
					refused[i].name);
	return 0;
}

/* --- the whole way */

/* One try. -ERESTART: it was being created or removed; look again. */
static int try_join(struct sas_region *r, const SASRegionOptions *o, int classic)
{
	int fd, error = open_anchor(r, &fd);

	if (error == -ENOENT) {
		if (!(o->flags & SAS_JOIN_CREATE))
			return sas_fail(ENOENT, "%s: holds no region (there is no " SAS_ANCHOR_NAME ")", r->path);
		error = sas_region_create(r, o, classic);
		if (error == -EEXIST && (o->flags & SAS_JOIN_EXCLUSIVE))
			return sas_fail(EEXIST, "%s: somebody else has just created a region here", r->path);
		return error && error != -EEXIST ? error : -ERESTART;
	}
	if (error)
		return error;
	error = sas_file_lock_anchor(r->path, fd, LOCK_SH);
	if (!error)
		error = still_in_place(r, fd);
	if (!error && (o->flags & SAS_JOIN_PREALLOCATED) && (o->flags & SAS_JOIN_CREATE))
		error = sas_region_create_preallocated(r, fd, o);
	if (!error)
		error = read_anchor(r, fd);
	if (!error && (o->flags & SAS_JOIN_EXCLUSIVE) && memcmp(r->created, r->anchor.uuid, 16) != 0)
		error = sas_fail(EEXIST, "%s: holds a region already", r->path);
	if (!error)
		error = attach(r, fd);
	if (error == -EIDRM && (r->flags & SAS_JOIN_READONLY)) {
		error = sas_fail(ESTALE, "%s: is being removed", r->path);
	} else if (error == -EIDRM) {  /* stamped dead: its remover died; complete it */
		error = sas_region_complete_removal(r, fd);
		if (!error)
			error = -ERESTART;
	}
	sas_port->close(fd);
	return error;
}

int sas_region_open(struct sas_region *r, const SASRegionOptions *o, int classic)
{
	int error = refuse_network(r, o->flags);

	if (!error) {
		error = sas_place_file_system(r->dir, r->path);
		if (error >= 0) {
			r->file_system = (uint32_t)error;
			error = 0;
		}
	}
	while (!error) {
		error = try_join(r, o, classic);
		if (error != -ERESTART)
			break;
		error = 0;
	}
	return error;
}
