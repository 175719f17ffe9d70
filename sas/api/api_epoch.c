/* SPDX-License-Identifier: MIT */
/* api_epoch.c - the public edge of sasepoch.h: the ways that take nanoseconds, and the others. Layer 4. */
#include <config.h>

#include <errno.h>
#include "epoch/epoch_defer.h"
#include "ground/err.h"
#include "ground/port.h"
#include "sasepoch.h"

#define LIKELY(condition) __builtin_expect(!!(condition), 1)

/* A signal handler that comes in between is refused, as in every call. */
static inline void mark_inside(void)
{
	sas_here.depth = 1;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static struct sas_region *region_of(SASRegion_t region)
{
	return region ? region : sas_region_default();
}

/* The slow ways: with the frame, which says what is wrong. */
static int begin_slow(struct sas_region *r, struct sas_thread **t)
{
	int error = sas_region_known(r);

	return error ? error : sas_call_begin(r, SAS_CALL_SLOT, t);
}

/* --- critical sections */

static __attribute__((noinline)) int enter_slowly(struct sas_region *r, const struct sas_note *n)
{
	struct sas_thread *t;
	int error;

	if (n && sas_load_relaxed_u32(&r->epoch_fences) == SAS_FENCES_FULL) {
		mark_inside();
		sas_epoch_enter(r, n->member);
		sas_thread_done();
		return 0;
	}
	error = begin_slow(r, &t);
	if (error)
		return sas_err_edge(error);
	sas_epoch_choose(r);
	sas_epoch_enter(r, &t->member[r->number]);
	if (sas_load_relaxed_u32(&r->epoch_fences) == SAS_FENCES_LIGHT)
		sas_note_of(r)->epoch = &r->run->header->epoch;
	sas_call_end(t);
	return 0;
}

int SASEpochEnter(SASRegion_t region)
{
	struct sas_region *r = region_of(region);
	struct sas_note *n = sas_noted(r);

	if (!LIKELY(n && n->epoch))
		return enter_slowly(r, n);
	mark_inside();
	sas_epoch_enter_light(n->member, n->epoch);
	sas_thread_done();
	return 0;
}

static int refuse_exit(void)
{
	return sas_fail(EPERM, "this thread is in no critical section of the region");
}

static __attribute__((noinline)) int exit_slowly(struct sas_region *r)
{
	struct sas_thread *t;
	int error = begin_slow(r, &t);

	if (error)
		return sas_err_edge(error);
	if (sas_epoch_exit(&t->member[r->number]) != 0)
		error = refuse_exit();
	sas_call_end(t);
	return sas_err_edge(error);
}

int SASEpochExit(SASRegion_t region)
{
	struct sas_region *r = region_of(region);
	struct sas_note *n = sas_noted(r);

	if (!LIKELY(n != NULL))
		return exit_slowly(r);
	/* Signal handlers may come between its stores: their sections end before this one goes on. */
	return LIKELY(sas_epoch_exit(n->member) == 0) ? 0 : sas_err_edge(refuse_exit());
}

/* --- deferring */

static int push_fast(const struct sas_note *n, SASEpochCall call, void *arg, size_t bytes)
{
	struct sas_limbo *l = n->member->limbo;
	int pushed = 0;

	if (!l)
		return 0;
	mark_inside();
	if (sas_limbo_trylock(l)) {
		pushed = sas_limbo_push(l, call, arg, bytes);
		sas_limbo_unlock(l);
	}
	sas_thread_done();
	return pushed;
}

int SASEpochDefer(SASRegion_t region, SASEpochCall call, void *arg, size_t bytes)
{
	struct sas_region *r = region_of(region);
	const struct sas_note *n = sas_noted(r);
	int error = 0;

	if (!call)
		return sas_err_edge(sas_fail(EINVAL, "the deferred call is NULL"));
	if (n && push_fast(n, call, arg, bytes))
		return 0;
	error = sas_region_known(r);
	if (!error)
		error = sas_epoch_defer(r, call, arg, bytes);
	return sas_err_edge(error);
}

int SASEpochFree(void *block, size_t size)
{
	struct sas_region *r = sas_region_of((uintptr_t)block);

	if (!r)
		return sas_err_edge(sas_fail(EFAULT, "%p lies in no region that this process has joined", block));
	return sas_err_edge(sas_epoch_free(r, (uintptr_t)block - r->base, size));
}

/* --- reclaiming */

long SASEpochReclaim(SASRegion_t region)
{
	struct sas_region *r = region_of(region);
	long count = sas_region_known(r);

	if (!count)
		count = sas_epoch_reclaim(r, SAS_RECLAIM_ALL | SAS_RECLAIM_LOOK);
	return count < 0 ? sas_err_edge((int)count) : count;
}

int SASEpochSynchronize(SASRegion_t region, long milliseconds)
{
	struct sas_region *r = region_of(region);
	int error = sas_region_known(r);

	return sas_err_edge(error ? error : sas_epoch_synchronize(r, milliseconds));
}

int SASEpochSetLimit(SASRegion_t region, uint64_t bytes, uint64_t count)
{
	struct sas_region *r = region_of(region);
	int error = sas_region_known(r);

	return sas_err_edge(error ? error : sas_epoch_set_limit(r, bytes, count));
}

int SASEpochHelperStart(SASRegion_t region, long milliseconds)
{
	struct sas_region *r = region_of(region);
	int error = sas_region_known(r);

	if (!error && milliseconds < 1)
		error = sas_fail(EINVAL, "a helper cannot come every %ld ms", milliseconds);
	return sas_err_edge(error ? error : sas_helper_start(r, milliseconds));
}

int SASEpochHelperStop(SASRegion_t region)
{
	struct sas_region *r = region_of(region);
	int error = sas_region_known(r);

	if (!error) {
		error = sas_helper_stop(r);
		error = error == 0 ? sas_fail(EPERM, "%s: this process has no helper for it", r->path) : error < 0 ? error : 0;
	}
	return sas_err_edge(error);
}

/* --- information */

static void describe_slowest(const struct sas_region *r, const struct sas_epoch_view *view, SASEpochInfo *info)
{
	const struct sas_run_thread *slot;
	uint64_t now, seconds;

	info->slowSlot = (int32_t)view->slowest;
	if (view->slowest < 0)
		return;
	slot = &r->run->threads[view->slowest];
	info->slowTid = slot->tid;
	info->slowPid = sas_epoch_pid(r->run, slot);
	info->slowEpoch = view->slowest_epoch;
	info->slowFor = sas_port->now_ns() - view->slowest_since;
	now = sas_port->now_s();
	seconds = info->slowFor / 1000000000U;
	info->slowSince = now > seconds ? now - seconds : 0;    /* the clock of the day may have been set back */
}

static void describe(struct sas_region *r, SASEpochInfo *info)
{
	struct sas_epoch_view view;
	uint64_t frees, bytes;

	sas_epoch_look(r, &view);
	sas_epoch_orphans(r->run, &frees, &bytes);
	info->epoch = view.epoch;
	info->safe = view.safe;
	info->heldCalls = view.calls;
	info->heldFrees = view.frees + frees;
	info->heldBytes = view.bytes + bytes;
	sas_epoch_limits(r, &info->limitBytes, &info->limitCount);
	info->deferred = view.deferred;
	info->reclaimed = view.reclaimed;
	info->readers = view.readers;
	describe_slowest(r, &view, info);
	info->asymmetric = sas_load_acquire_u32(&r->epoch_fences) == SAS_FENCES_LIGHT;
	info->refused = sas_load_relaxed_u32(&r->epoch_refused);
}

int SASEpochGetInfo(SASRegion_t region, SASEpochInfo *info)
{
	SASEpochInfo found = { .structSize = sizeof found };
	struct sas_region *r = region_of(region);
	struct sas_thread *t;
	int error = sas_region_known(r);

	if (!error && (!info || info->structSize != sizeof *info))
		error = sas_fail(EINVAL, "SASEpochInfo.structSize is not set to the structure's size");
	if (!error)
		error = sas_call_begin(r, 0, &t);
	if (error)
		return sas_err_edge(error);
	if (r->run)
		describe(r, &found);
	else
		error = sas_fail(EROFS, "%s: joined without SAS.run", r->path);
	sas_call_end(t);
	if (!error)
		*info = found;
	return sas_err_edge(error);
}
