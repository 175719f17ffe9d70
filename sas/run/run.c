/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <time.h>
#include "ground/err.h"
#include "ground/hash.h"
#include "block/index.h"
#include "media/place.h"
#include "ground/port.h"
#include "ground/rank.h"
#include "run.h"
#include "run_check.h"
#include "region/region.h"
#include "media/segment.h"

uint64_t sas_run_layout(void)
{
	struct { uint64_t version, mutex, thread, header; char libc[32]; } key;

	memset(&key, 0, sizeof key);
	key.version = 3;        /* of what the sizes do not tell */
	key.mutex = sizeof(pthread_mutex_t);
	key.thread = sizeof(struct sas_run_thread);
	key.header = sizeof(struct sas_run_header);
	/* The layout of robust mutexes is part of glibc's ABI; the name tells glibc from others. */
	memcpy(key.libc, "glibc", 6);
	return sas_hash64(&key, sizeof key);
}

int sas_run_make_lock(pthread_mutex_t *lock)
{
	pthread_mutexattr_t a;
	int error = pthread_mutexattr_init(&a);

	if (error)
		return -error;
	pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
	memset(lock, 0, sizeof *lock);
	error = pthread_mutex_init(lock, &a);
	pthread_mutexattr_destroy(&a);
	return -error;
}

/*
 * When a thread dies, the kernel marks the locks in its list, and the one that it was just taking or giving back, if the word has
 * its number: which may be that of a living holder in another pid namespace. (Each container has a process 1.) So who finds a lock
 * held does not call pthread_mutex_..., but waits for the word to change; and who gives it back wakes others afterwards. What is left is
 * a thread that is killed while pthread_mutex_trylock() finds that somebody was faster: where it can be known that the holder lives, nobody
 * takes a lock that is marked so, and the holder puts its number back before it gives the lock back.
 */
static uint32_t *word_of(const pthread_mutex_t *lock)
{
	return (uint32_t *)(uintptr_t)&lock->__data.__lock;
}

int sas_run_is_held(const pthread_mutex_t *lock)
{
	uint32_t word = __atomic_load_n(word_of(lock), __ATOMIC_ACQUIRE);

	return (word & FUTEX_TID_MASK) && !(word & FUTEX_OWNER_DIED);
}

static int is_marked_by_mistake(const pthread_mutex_t *lock, const struct sas_run_holder *holder)
{
	return (__atomic_load_n(word_of(lock), __ATOMIC_ACQUIRE) & FUTEX_OWNER_DIED) && holder->lives(holder->arg);
}

int sas_run_trylock_of(pthread_mutex_t *lock, const struct sas_run_holder *holder, int *died)
{
	int error = sas_run_is_held(lock) || is_marked_by_mistake(lock, holder) ? EBUSY : pthread_mutex_trylock(lock);

	*died = error == EOWNERDEAD;
	return *died ? -pthread_mutex_consistent(lock) : -error;
}

/*
 * No wait is without an end. Who is woken takes the lock without the mark that others wait, and may be killed before it sets
 * that; then the next give-back wakes nobody. So each waiter looks again every few milliseconds.
 */
#define LOOK_AGAIN_NS 5000000
#define LOOK_AT_MARK_NS 200000          /* a dead thread's mutexes are marked one after the other */

static void wait_for(const pthread_mutex_t *lock, const struct sas_run_holder *holder)
{
	uint32_t *word = word_of(lock), seen = __atomic_load_n(word, __ATOMIC_RELAXED), marked = seen | FUTEX_WAITERS;

	if (is_marked_by_mistake(lock, holder))
		sas_port->futex_wait(word, seen, LOOK_AT_MARK_NS);
	if (!(seen & FUTEX_TID_MASK) || (seen & FUTEX_OWNER_DIED))
		return;
	if (seen == marked || __atomic_compare_exchange_n(word, &seen, marked, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		sas_port->futex_wait(word, marked, LOOK_AGAIN_NS);
}

int sas_run_lock_of(pthread_mutex_t *lock, const struct sas_run_holder *holder, int *died)
{
	int error = sas_run_trylock_of(lock, holder, died), waited = error == -EBUSY;

	while (error == -EBUSY) {
		wait_for(lock, holder);
		error = sas_run_trylock_of(lock, holder, died);
	}
	if (!error && waited)   /* others may wait as well */
		__atomic_fetch_or(word_of(lock), FUTEX_WAITERS, __ATOMIC_RELAXED);
	return error;
}

static int nobody_knows(void *arg)
{
	(void)arg;
	return 0;
}

static const struct sas_run_holder unknown = { nobody_knows, NULL };

int sas_run_lock(pthread_mutex_t *lock, int *died)
{
	return sas_run_lock_of(lock, &unknown, died);
}

int sas_run_trylock(pthread_mutex_t *lock, int *died)
{
	return sas_run_trylock_of(lock, &unknown, died);
}

void sas_run_unlock(pthread_mutex_t *lock)
{
	uint32_t *word = word_of(lock), seen = __atomic_load_n(word, __ATOMIC_RELAXED);
	int waited = (seen & FUTEX_WAITERS) != 0;

	if (waited)
		__atomic_fetch_and(word, ~(uint32_t)FUTEX_WAITERS, __ATOMIC_RELAXED);
	seen = __atomic_load_n(word, __ATOMIC_RELAXED);
	while ((seen & FUTEX_OWNER_DIED) &&
	       !__atomic_compare_exchange_n(word, &seen, (seen & FUTEX_WAITERS) | (uint32_t)lock->__data.__owner, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		continue;
	pthread_mutex_unlock(lock);
	if (waited)
		sas_port->futex_wake(word, 1);
}

int sas_run_grow_lock(struct sas_region *r)
{
	int died, error;

	sas_rank_take(SAS_RANK_GROW);
	error = sas_run_lock(&r->run->header->grow_lock, &died);
	if (error) {
		sas_rank_give(SAS_RANK_GROW);
		return sas_fail(-error, "%s/" SAS_RUN_NAME ": the lock of its space cannot be taken: %s", r->path,
				strerror(-error));
	}
	return 0;
}

void sas_run_grow_unlock(struct sas_region *r)
{
	sas_run_unlock(&r->run->header->grow_lock);
	sas_rank_give(SAS_RANK_GROW);
}

int sas_run_fd(struct sas_region *r, struct sas_run *run)
{
	int dir, fd;

	if (sas_port_is(run->fd, run->device, run->inode))
		return run->fd;
	dir = sas_region_dir(r);
	if (dir < 0)
		return dir;
	fd = sas_port->openat(dir, SAS_RUN_NAME, O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	if (!sas_port_is(fd, run->device, run->inode)) {
		sas_port->close(fd);
		return -ESTALE;
	}
	run->fd = fd;
	/* The lock went with the old descriptor. */
	if (r->process)
		sas_port->ofd_lock(fd, F_WRLCK, sas_run_lock_byte(r->process - 1), 1);
	return fd;
}

int sas_run_show(struct sas_region *r, int on)
{
	int fd = sas_run_fd(r, r->run);

	return fd < 0 ? fd : sas_port->ofd_lock(fd, on ? F_RDLCK : F_UNLCK, 0, 1);
}

int sas_run_is_deserted(struct sas_region *r, struct sas_run *run)
{
	int fd = sas_run_fd(r, run);

	return fd >= 0 && sas_port->ofd_test(fd, F_WRLCK, SAS_RUN_PROCESS_OFFSET, 0) == 0;
}

/* Where there is no fallocate, writing the bytes takes their space; bytes that are there stay. The caller's lock keeps others
 * from using the range meanwhile. */
static int fill(int fd, uint64_t offset, uint64_t size)
{
	char page[4096];
	struct stat st;
	int error = sas_port->fstat(fd, &st);

	for (uint64_t at = offset, end = offset + size; !error && at < end; at = (at | 4095) + 1) {
		uint64_t length = 4096 - (at & 4095);
		uint64_t there = at >= (uint64_t)st.st_size ? 0 : (uint64_t)st.st_size - at;

		if (length > end - at)
			length = end - at;
		memset(page, 0, sizeof page);
		if (there)
			error = sas_port_pread_all(fd, page, there < length ? there : length, at);
		if (!error)
			error = sas_port_pwrite_all(fd, page, length, at);
	}
	return error;
}

/* On hugetlbfs sizes are those of whole pages: of the file, of its space and of the mapping. */
static uint64_t whole(const struct sas_region *r, uint64_t size)
{
	return r->file_system == SAS_FS_HUGETLB ? (size + SAS_CHUNK - 1) & ~(SAS_CHUNK - 1) : size;
}

int sas_run_reserve(struct sas_region *r, struct sas_run *run, uint64_t offset, uint64_t size)
{
	uint64_t from = offset, to = offset + size;
	int fd = sas_run_fd(r, run), error = fd < 0 ? fd : 0;

	/* A store into the mapping wants space for all of the kernel's page. */
	sas_port_widen(&from, &to);
	if (!error)
		error = sas_port->fallocate(fd, 0, from, whole(r, to) - from);
	return error == -EOPNOTSUPP ? fill(fd, offset, size) : error;
}

static int map_run(struct sas_run *run)
{
	void *p = sas_port->mmap(NULL, run->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, run->fd, 0);

	if (SAS_MAP_FAILED(p))
		return (int)(intptr_t)p;
	sas_port->madvise(p, run->size, MADV_DONTDUMP);
	run->header = p;
	run->updated = (void *)((char *)p + SAS_RUN_UPDATED_OFFSET);
	run->processes = (void *)((char *)p + SAS_RUN_PROCESS_OFFSET);
	run->threads = (void *)((char *)p + SAS_RUN_THREAD_OFFSET);
	run->pages = (void *)((char *)p + SAS_RUN_PAGE_OFFSET);
	run->lines = (void *)((char *)p + SAS_RUN_LOCK_OFFSET);
	run->index = (char *)p + SAS_RUN_INDEX_OFFSET;
	return 0;
}

void sas_run_drop(struct sas_run *run)
{
	if (sas_fetch_add_seq_cst_u32(&run->references, (uint32_t)-1) != 1)
		return;
	if (run->header)
		sas_port->munmap(run->header, run->size);
	sas_port_close_own(run->fd, run->device, run->inode);
	free(run);
}

/*
 * What a mutex must look like, but for its owner: the file may be damaged. Somebody waits only while somebody has it, or nobody
 * would ever end that wait; and it was never given up for ever, which the C library knows by this owner.
 */
#define NOT_RECOVERABLE (INT_MAX - 1)

static int is_sound(const pthread_mutex_t *lock)
{
	uint32_t word = __atomic_load_n(word_of(lock), __ATOMIC_ACQUIRE);
	pthread_mutex_t made;
	int sound = sas_run_make_lock(&made) == 0 && made.__data.__kind == lock->__data.__kind;

	pthread_mutex_destroy(&made);
	return sound && word != FUTEX_WAITERS && __atomic_load_n(&lock->__data.__owner, __ATOMIC_RELAXED) != NOT_RECOVERABLE;
}

static int slots_sound(const struct sas_run *run, uint64_t file_size)
{
	uint64_t threads = sas_load_relaxed_u32(&run->header->thread_top);

	if (sas_load_relaxed_u32(&run->header->page_top) > SAS_RUN_PAGES)
		return 0;
	if (threads > SAS_RUN_THREADS || SAS_RUN_THREAD_OFFSET + threads * sizeof run->threads[0] > file_size ||
	    sas_load_relaxed_u32(&run->header->process_top) > SAS_RUN_PROCESSES)
		return 0;
	for (uint64_t i = 0; i < threads; i++)
		if (!is_sound(&run->threads[i].life))
			return 0;
	return 1;
}

/* Is the mapped file one that this process can work with? */
static int usable(const struct sas_region *r, const struct sas_run *run, uint64_t file_size)
{
	static const uint8_t unknown[16];
	const struct sas_run_header *h = run->header;
	uint8_t boot[16];

	sas_port_boot_id(boot);
	/* Where the boot has no name, only a living participant tells that the file is of this one. */
	if (memcmp(boot, unknown, sizeof boot) == 0 && sas_port->ofd_test(run->fd, F_WRLCK, 0, 0) <= 0)
		return 0;
	return sas_m_load_acquire_u64(&h->magic) == SAS_RUN_MAGIC && h->layout == sas_run_layout() &&
	       memcmp(h->boot_id, boot, 16) == 0 && memcmp(h->uuid, r->anchor.uuid, 16) == 0 &&
	       h->generation == r->anchor.generation && h->device == run->device && h->inode == run->inode &&
	       is_sound(&h->table_lock) && is_sound(&h->block_lock) && is_sound(&h->grow_lock) &&
	       is_sound(&h->sync_lock) && slots_sound(run, file_size);
}

static int is_locked(const struct sas_run_header *h)
{
	return sas_run_is_held(&h->table_lock) || sas_run_is_held(&h->block_lock) || sas_run_is_held(&h->grow_lock) ||
	       sas_run_is_held(&h->sync_lock);
}

/* Nor is anybody on the way to a slot. */
static int nobody_shows(const struct sas_run *run)
{
	return sas_port->ofd_test(run->fd, F_WRLCK, 0, 0) == 0;
}

/*
 * What the dead left is taken over if it is sound. 0; 1: it is not, and is formatted. A lock that is held in a file in which
 * nobody lives would never be given back, and a thread that lives in one that is damaged is not to lose it: the two
 * disagree, so nothing is touched.
 */
static int examine(struct sas_region *r, const struct sas_run *run)
{
	int locked = is_locked(run->header);

	if (!nobody_shows(run))
		return 0;
	if (!(locked && is_locked(run->header))) {      /* its holder may just have left */
		/* Somebody may have joined meanwhile, and have it in motion. */
		if (sas_run_is_sound(r, run) || !nobody_shows(run))
			return 0;
		if (!sas_run_claims_life(run))
			return 1;
	}
	return sas_fail(EBUSY, "%s/" SAS_RUN_NAME ": is locked, but no process has joined: it is damaged, or its owner has "
			"closed our descriptors; delete it when nobody uses the region", r->path);
}

static int make_header(struct sas_region *r, struct sas_run *run)
{
	struct sas_run_header *h = run->header;
	int error;

	sas_m_store_release_u64(&h->magic, 0);
	memset((char *)h + sizeof h->magic, 0, sizeof *h - sizeof h->magic);
	h->layout = sas_run_layout();
	sas_port_boot_id(h->boot_id);
	memcpy(h->uuid, r->anchor.uuid, 16);
	h->generation = r->anchor.generation;
	h->device = run->device;
	h->inode = run->inode;
	error = sas_run_make_lock(&h->table_lock);
	if (!error)
		error = sas_run_make_lock(&h->block_lock);
	if (!error)
		error = sas_run_make_lock(&h->grow_lock);
	if (!error)
		error = sas_run_make_lock(&h->sync_lock);
	sas_store_relaxed_u32(&h->index_epoch, 1);
	if (!error)
		sas_m_store_release_u64(&h->magic, SAS_RUN_MAGIC);
	return error;
}

/*
 * Format the file. The caller holds the anchor file's lock exclusively, so nobody is joining; and a
 * process that has joined holds a file lock in it, whatever the layout that it was made with.
 */
static int format(struct sas_region *r, struct sas_run *run)
{
	int error = sas_port->ofd_test(run->fd, F_WRLCK, 0, 0);

	if (error > 0)
		return sas_fail(EBUSY, "%s/" SAS_RUN_NAME ": in use on another host, or by a program with another C "
				"library; the region can be joined here when that has left", r->path);
	if (!error && !(r->anchor.incompat & SAS_M_INCOMPAT_PREALLOCATED))
		error = sas_port->ftruncate(run->fd, 0);
	if (!error)
		error = sas_run_reserve(r, run, 0, SAS_RUN_PROCESS_OFFSET);
	if (!error)
		error = sas_run_reserve(r, run, SAS_RUN_INDEX_OFFSET, sas_index_fixed_size(r));
	if (!error)
		error = map_run(run);
	if (!error) {
		memset(run->index, 0, sas_index_fixed_size(r));
		error = make_header(r, run);
	}
	return error < 0 ? sas_fail(-error, "%s/" SAS_RUN_NAME ": cannot be formatted: %s", r->path, strerror(-error)) : 0;
}

static int leave_empty(int fd, void *arg)
{
	(void)fd;
	(void)arg;
	return 0;
}

/* An empty file with the region's mode and owner: nobody sees it with others. */
static int make_file(struct sas_region *r)
{
	int fd;

	if (!(r->anchor.incompat & SAS_M_INCOMPAT_PREALLOCATED))
		return sas_file_publish(r->dir, r->path, SAS_RUN_NAME, r->anchor.mode, r->uid, r->gid, leave_empty, NULL);
	fd = sas_port->openat(r->dir, SAS_RUN_NAME, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, r->anchor.mode);
	if (fd < 0)
		return fd;
	sas_port->fchmod(fd, r->anchor.mode);
	sas_port->close(fd);
	return 0;
}

static int open_file(struct sas_region *r, struct sas_run *run)
{
	const int flags = O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
	int fd = sas_port->openat(r->dir, SAS_RUN_NAME, flags, 0), error = 0;
	struct stat st;

	if (fd == -ENOENT) {
		error = make_file(r);
		fd = error && error != -EEXIST ? error : sas_port->openat(r->dir, SAS_RUN_NAME, flags, 0);
	}
	if (fd < 0)
		return fd;
	error = sas_port->fstat(fd, &st);
	if (!error && (!S_ISREG(st.st_mode) || st.st_gid != r->gid || (st.st_mode & 07777) != r->anchor.mode ||
		       (st.st_uid != r->uid && !(r->anchor.mode & 0020))))
		error = -EPERM;         /* another owner, group or mode than the anchor's */
	if (error) {
		sas_port->close(fd);
		return error;
	}
	run->device = st.st_dev;
	run->inode = st.st_ino;
	return fd;
}

/* One try: map what is there if it is usable. 0; 1: it must be formatted; -errno. */
static int try_open(struct sas_region *r, struct sas_run *run)
{
	struct stat st;
	int error = sas_port->fstat(run->fd, &st);

	if (error)
		return error;
	if ((uint64_t)st.st_size < SAS_RUN_INDEX_OFFSET + sas_index_fixed_size(r))
		return 1;
	error = map_run(run);
	if (error)
		return error;
	error = usable(r, run, (uint64_t)st.st_size) ? examine(r, run) : 1;
	if (error <= 0)
		return error;
	sas_port->munmap(run->header, run->size);
	run->header = NULL;
	return error;
}

int sas_run_open(struct sas_region *r, int anchor_fd, int *let_go)
{
	struct sas_run *run = calloc(1, sizeof *run);
	int error;

	*let_go = 0;
	if (!run)
		return sas_fail(ENOMEM, "no memory to join %s", r->path);
	run->size = whole(r, SAS_RUN_INDEX_OFFSET + sas_index_size(r));
	sas_store_relaxed_u32(&run->references, 1);
	run->fd = open_file(r, run);
	if (run->fd < 0) {
		error = sas_fail(-run->fd, "%s/" SAS_RUN_NAME ": cannot be opened for writing: %s", r->path,
				 run->fd == -EPERM ? "its owner, group or mode differ from those of " SAS_ANCHOR_NAME
				 : strerror(-run->fd));
		goto failed;
	}
	error = try_open(r, run);
	if (error > 0) {
		/* The change of the lock is not atomic: look again, somebody may have formatted it meanwhile. */
		*let_go = 1;
		sas_port->flock(anchor_fd, LOCK_UN);
		error = sas_file_lock_anchor(r->path, anchor_fd, LOCK_EX);
		if (!error)
			error = try_open(r, run);
		if (error > 0)
			error = format(r, run);
		if (!error)
			error = sas_file_lock_anchor(r->path, anchor_fd, LOCK_SH);
	}
	if (error < 0) {
		if (error != -EBUSY)
			sas_fail(-error, "%s/" SAS_RUN_NAME ": cannot be used: %s", r->path, strerror(-error));
		goto failed;
	}
	r->run = run;
	return 0;
failed:
	sas_run_drop(run);
	return error;
}
