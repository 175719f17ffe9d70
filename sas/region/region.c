/* SPDX-License-Identifier: MIT */
/*
 * region.c - the regions of this process: joining one, counting, leaving.
 *
 * Locks: process lock over all of it. Fork: it is held over fork, so that no child sees half a join.
 * Signals: a region is published to the fault handler when it is whole, and withdrawn before it is unmapped.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "block/block.h"
#include "epoch/epoch_defer.h"
#include "ground/err.h"
#include "fault.h"
#include "block/index.h"
#include "block/lease.h"
#include "media/persist.h"
#include "ground/port.h"
#include "ground/rank.h"
#include "runtime.h"
#include "sasregion.h"
#include "media/segment.h"

#define MAP_AT_ONCE 64          /* segments that a classic join maps: programs hand addresses to system calls */

struct sas_region_slot sas_regions[SAS_REGIONS_MAX];
sas_u32_t sas_regions_top;
struct sas_region *sas_classic_region;
static uint32_t classic_joins;          /* of its joins, those by classic calls */
static pthread_mutex_t process_lock = PTHREAD_MUTEX_INITIALIZER;
static uintptr_t range_low, range_high;
static uint64_t serials;

void sas_process_lock(void)
{
	sas_rank_take(SAS_RANK_PROCESS);
	pthread_mutex_lock(&process_lock);
}

void sas_process_unlock(void)
{
	pthread_mutex_unlock(&process_lock);
	sas_rank_give(SAS_RANK_PROCESS);
}

void sas_memrange(uintptr_t *low, uintptr_t *high)
{
	*low = __atomic_load_n(&range_low, __ATOMIC_RELAXED);
	*high = __atomic_load_n(&range_high, __ATOMIC_RELAXED);
}

void sas_memrange_set(uintptr_t low, uintptr_t high)
{
	__atomic_store_n(&range_low, low, __ATOMIC_RELAXED);
	__atomic_store_n(&range_high, high, __ATOMIC_RELAXED);
}

int sas_region_known(const struct sas_region *r)
{
	for (unsigned i = 0; r && i < SAS_REGIONS_MAX; i++)
		if (sas_load_acquire_ptr(&sas_regions[i].region) == r)
			return 0;
	return sas_fail(EINVAL, r ? "not the handle of a region that this process has joined" : "no region is joined");
}

/* --- the frame of calls that make and end regions */

int sas_change_begin(struct sas_thread **t)
{
	int error = sas_frame_begin(t);

	if (error)
		return error;
	sas_err_defer();
	sas_process_lock();
	return 0;
}

void sas_change_end(struct sas_thread *t)
{
	sas_process_unlock();
	sas_err_flush();
	sas_call_end(t);
}

/* --- join */

static int open_directory(struct sas_region *r, const char *path)
{
	struct stat st;
	int error;

	r->dir = sas_port->openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (r->dir < 0)
		return sas_fail(-r->dir, "%s: %s", path[0] ? path : "\"\"", strerror(-r->dir));
	error = sas_port->fstat(r->dir, &st);
	if (error)
		return sas_fail(-error, "%s: %s", path, strerror(-error));
	r->dir_dev = st.st_dev;
	r->dir_ino = st.st_ino;
	return 0;
}

static struct sas_region *joined_already(const struct sas_region *r)
{
	for (unsigned i = 0; i < SAS_REGIONS_MAX; i++) {
		struct sas_region *o = sas_load_acquire_ptr(&sas_regions[i].region);

		if (o && o->dir_dev == r->dir_dev && o->dir_ino == r->dir_ino)
			return o;
	}
	return NULL;
}

static int find_number(struct sas_region *r)
{
	for (unsigned i = 0; i < SAS_REGIONS_MAX; i++)
		if (!sas_load_acquire_ptr(&sas_regions[i].region)) {
			r->number = i;
			return 0;
		}
	return sas_fail(EMFILE, "this process has joined %d regions, which is the limit", SAS_REGIONS_MAX);
}

static void discard(struct sas_region *r)
{
	sas_port_close_own(r->dir, r->dir_dev, r->dir_ino);
	sas_port_close_own((int)sas_load_relaxed_u32(&r->spare) - 1, r->dir_dev, r->dir_ino);
	free(r);
}

static int map_first(struct sas_region *r, uint64_t limit)
{
	for (uint64_t n = 0; n < r->segments && limit; n++) {
		int error;

		if (!sas_segment_present(r, n))
			continue;
		error = sas_segment_need(r, n);
		if (error)
			return error;
		limit--;
	}
	return 0;
}

/* The region is whole: the fault handler and the program may see it. */
static void publish(struct sas_region *r)
{
	struct sas_region_slot *slot = &sas_regions[r->number];

	sas_store_relaxed_u64(&slot->base, r->base);
	sas_store_relaxed_u64(&slot->size, r->end - r->base);
	sas_store_relaxed_u64(&slot->memory, r->memory);
	if (sas_load_relaxed_u32(&sas_regions_top) <= r->number)
		sas_store_release_u32(&sas_regions_top, r->number + 1);
	sas_store_seq_cst_ptr(&slot->region, r);
	sas_threads_look_again();
	sas_fault_install();
}

/* Now the segments that the flags ask for. */
static int map_wanted(struct sas_region *r)
{
	if (r->flags & SAS_JOIN_EAGER)
		return map_first(r, r->segments);
	return r->flags & SAS_JOIN_MAP64 ? map_first(r, MAP_AT_ONCE) : 0;
}

static int join_new(struct sas_region *r, const SASRegionOptions *o, int classic)
{
	int error = find_number(r);

	if (!error) {
		r->flags = o->flags & (SAS_JOIN_READONLY | SAS_JOIN_EAGER | SAS_JOIN_MAP64 | SAS_JOIN_RELOCATED);
		if (r->flags & SAS_JOIN_RELOCATED)
			r->flags |= SAS_JOIN_READONLY;
		sas_region_keep_spare(r);
		error = sas_region_open(r, o, classic);
	}
	if (error)
		return error;
	r->serial = ++serials;
	r->count = 1;
	publish(r);
	error = map_wanted(r);
	if (error)
		sas_region_release(r);
	return error;
}

static int join_again(struct sas_region *o, const SASRegionOptions *options)
{
	if (options->flags & SAS_JOIN_EXCLUSIVE)
		return sas_fail(EEXIST, "%s: is a region already, and joined", o->path);
	if ((o->flags & SAS_JOIN_READONLY) && !(options->flags & (SAS_JOIN_READONLY | SAS_JOIN_RELOCATED)))
		return sas_fail(EROFS, "%s: this process has joined it read-only; leave it first", o->path);
	o->count++;
	return 0;
}

static int join_locked(const char *path, const SASRegionOptions *o, int classic, struct sas_region **out)
{
	struct sas_region *r = calloc(1, sizeof *r), *other;
	int error;

	if (!r)
		return sas_fail(ENOMEM, "no memory to join %s", path);
	r->dir = -1;
	if (!realpath(path, r->path))
		snprintf(r->path, sizeof r->path, "%s", path);
	error = open_directory(r, path);
	if (error)
		goto failed;
	other = joined_already(r);
	if (classic && sas_classic_region && other != sas_classic_region) {
		error = sas_fail(EBUSY, "the classic calls work on %s, which is joined; SASRegionJoin() joins %s beside it",
				 sas_classic_region->path, r->path);
		goto failed;
	}
	if (other) {
		error = join_again(other, o);
		if (!error)
			*out = other;
		discard(r);
		r = NULL;
	} else {
		error = join_new(r, o, classic);
		if (!error)
			*out = r;
	}
	if (!error && classic) {
		classic_joins = sas_classic_region == *out ? classic_joins + 1 : 1;
		__atomic_store_n(&sas_classic_region, *out, __ATOMIC_RELEASE);
	}
failed:
	if (error && r)
		discard(r);
	return error;
}

int sas_region_join(const char *path, const SASRegionOptions *options, int classic, struct sas_region **out)
{
	struct sas_thread *t;
	int error = sas_change_begin(&t);

	if (error)
		return error;
	error = join_locked(path, options, classic, out);
	sas_change_end(t);
	return error;
}

/* --- leave */

/* Withdraw it from the fault handler, and wait for the handlers that are inside. */
static void withdraw(struct sas_region *r)
{
	struct sas_region_slot *slot = &sas_regions[r->number];

	sas_store_seq_cst_ptr(&slot->region, NULL);
	sas_threads_look_again();
	while (sas_load_seq_cst_u32(&slot->handlers))
		sched_yield();
	sas_fault_restore();
	if (sas_classic_region == r)
		__atomic_store_n(&sas_classic_region, NULL, __ATOMIC_RELEASE);
}

/* What waits for readers: all of it, unless one is still inside, such as a thread of this process, which exits. */
static void free_deferred(struct sas_region *r, const struct sas_living *left)
{
	struct sas_epoch_view view;

	if (left->readers == 0 && sas_epoch_left(r->run) && sas_epoch_advance(r, &view) == 0 && view.readers == 0)
		sas_epoch_reap_locked(r);
}

/* The last one that writes returns space, and says that there is nothing to recover. table_lock held. */
static void end_use(struct sas_region *r, const struct sas_living *left)
{
	uint64_t returned = 0;

	if ((r->flags & SAS_JOIN_READONLY) || sas_m_load_acquire_u32(&r->state->life) != SAS_M_LIFE_ACTIVE)
		return;
	/* A thread that has seized it may be asleep: then the space stays. */
	if (sas_block_trylock_raw(r) == 0) {
		int dirty = sas_load_acquire_u32(&r->run->header->block_dirty) != 0;

		if (!dirty) {
			free_deferred(r, left);
			sas_space_return(r, 0, &returned);
		}
		sas_block_unlock_raw(r);
	}
	/* Retired blocks are left, which a join without this run file has to look for. */
	if (sas_epoch_left(r->run))
		return;
	/* What was not written is not clean. */
	if (sas_load_acquire_u32(&r->run->header->poisoned) || sas_persist(r, sas_at(r, 0), r->anchor.anchor_size) != 0)
		return;
	sas_m_store_release_u32(&r->state->clean, 1);
	sas_persist(r, r->state, sizeof *r->state);
}

static void unregister_locked(struct sas_region *r)
{
	struct sas_living left;

	/* Clean only when the dead are recovered as well: their slots are in use until then. */
	if (sas_recover_locked(r) < 0)
		return;
	sas_process_unregister(r, &left);
	if (left.writers == 0 && !sas_intents_pending(r))
		end_use(r, &left);
}

static void unregister(struct sas_region *r, int unmapped)
{
	sas_thread_release(r);
	if (!r->run || !r->process)
		return;
	sas_run_show(r, 1);
	if (sas_table_lock(r) == 0) {
		/* Threads that cannot reach it any more: at exit they still run. */
		if (unmapped)
			sas_lease_abandon(r);
		unregister_locked(r);
		sas_table_unlock(r);
	}
	sas_run_show(r, 0);
}

/* Process lock held. Drops everything that this process has of it. */
void sas_region_release(struct sas_region *r)
{
	withdraw(r);
	sas_thread_release(r);
	sas_epoch_drop(r);
	unregister(r, 1);
	sas_region_detach(r);
}

/* Undo one join, or all of them. Process lock held. */
void sas_region_leave_locked(struct sas_region *r, int classic, int all)
{
	if (classic && --classic_joins == 0)
		__atomic_store_n(&sas_classic_region, NULL, __ATOMIC_RELEASE);
	if (--r->count == 0 || all) {
		sas_region_release(r);
		discard(r);
	}
}

/* Before the last join is undone, outside of all locks: calls that may run now. */
static int settle(struct sas_region *r)
{
	struct sas_thread *t;
	int last, error = sas_change_begin(&t);

	if (error)
		return error;
	error = sas_region_known(r);
	last = !error && r->count == 1;
	sas_change_end(t);
	if (!last)
		return error;
	error = sas_helper_stop(r);
	if (error >= 0 && sas_epoch_holds(r))
		sas_epoch_reclaim(r, SAS_RECLAIM_ALL | SAS_RECLAIM_LOOK);
	return error < 0 ? error : 0;
}

int sas_region_leave(struct sas_region *r, int classic)
{
	struct sas_thread *t;
	int error = settle(r);

	if (!error)
		error = sas_change_begin(&t);
	if (error)
		return error;
	error = sas_region_known(r);
	if (!error && !classic && sas_classic_region == r && r->count == classic_joins)
		error = sas_fail(EINVAL, "%s: joined by the classic call alone: SASCleanUp() leaves it", r->path);
	if (!error)
		sas_region_leave_locked(r, classic, 0);
	sas_change_end(t);
	return error;
}

/* After a reset: the same handle and count, on the region that is there now. Process lock held. */
int sas_region_rejoin(struct sas_region *r, const SASRegionOptions *o)
{
	int error, classic = sas_classic_region == r;

	r->next_generation = r->anchor.generation + 1;
	sas_region_release(r);
	error = sas_region_open(r, o, classic);
	if (error) {
		discard(r);
		return error;
	}
	r->serial = ++serials;
	publish(r);
	if (classic)
		__atomic_store_n(&sas_classic_region, r, __ATOMIC_RELEASE);
	return map_wanted(r);
}

/* A process that exits without leaving says goodbye, so that its regions are clean. Nothing is unmapped: other
 * threads and later destructors may still look. */
__attribute__((destructor)) static void leave_at_exit(void)
{
	if (pthread_mutex_trylock(&process_lock) != 0)
		return;
	for (unsigned i = 0; i < SAS_REGIONS_MAX; i++) {
		struct sas_region *r = sas_load_acquire_ptr(&sas_regions[i].region);

		if (r && r->process)
			unregister(r, 0);
	}
	pthread_mutex_unlock(&process_lock);
}
