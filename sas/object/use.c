/* SPDX-License-Identifier: MIT */
/*
 * use.c - the frame around a call on an object, and who is kept out of it meanwhile. Layer 3.
 *
 * Most uses take the fast frame of runtime.h, and store nothing but the thread's own. The lock of EXCLUSIVE and READ is taken before the frame
 * and given back after it where the paths of lock_newest.h do it, which have a frame of their own; else inside.
 */
#include <config.h>

#include <errno.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "block/block.h"
#include "ground/err.h"
#include "lock/lock_newest.h"
#include "lock/update.h"
#include "media/segment.h"
#include "sasregion.h"
#include "service.h"
#include "use.h"

static const unsigned modes[] = { SAS_HOLD_NONE, SAS_HOLD_NONE, SAS_HOLD_WRITE, SAS_HOLD_READ };

static inline unsigned needs_of(enum sas_use_kind kind)
{
	return kind == SAS_USE_READ ? SAS_CALL_SLOT : SAS_CALL_SLOT | SAS_CALL_WRITE;
}

static inline void describe(struct sas_use *u, struct sas_region *r, struct sas_thread *t, const void *object, enum sas_use_kind kind)
{
	u->region = r;
	u->thread = t;
	u->object = object;
	u->token = t->member[r->number].token;
	u->base = r->base;
	u->size = r->end - r->base;
	u->mapped = r->mapped;
	u->shift = r->segment_shift;
	u->kind = kind;
	u->locked = 0;
	u->announced = 0;
	u->nested = 0;
}

/* A frame without a region's slot, or after the fast one was refused: the slow one finds out why. Cancellation as it was: it is
 * looked at again where a use does more than load and store. */
static int frame_slowly(struct sas_region *r, enum sas_use_kind kind, struct sas_thread **t)
{
	int error = r ? sas_call_begin(r, needs_of(kind), t) : sas_frame_begin(t);

	if (!error)
		pthread_setcancelstate((*t)->cancel, NULL);
	return error;
}

/* --- outside all regions */

static uint64_t plain_token(void)
{
	static __thread uint32_t tid, stamp;

	if (stamp != sas_stamp()) {
		tid = (uint32_t)syscall(SYS_gettid);
		stamp = sas_stamp();
	}
	return SAS_TOKEN_PLAIN | tid;
}

static void describe_plain(struct sas_use *u, struct sas_thread *t, const void *object, enum sas_use_kind kind)
{
	*u = (struct sas_use){ .thread = t, .object = object, .token = plain_token(), .kind = kind };
}

static int begin_plain(struct sas_use *u, const void *object, enum sas_use_kind kind)
{
	struct sas_thread *t = sas_self;
	int error = 0;

	if (t && !sas_here.depth && sas_stamp() != 0) {
		sas_here.depth = 1;
		__atomic_signal_fence(__ATOMIC_SEQ_CST);
	} else {
		error = frame_slowly(NULL, kind, &t);
	}
	if (error)
		return error;
	describe_plain(u, t, object, kind);
	sas_here.depth = SAS_IN_USE;
	return 0;
}

/* --- in a region */

static int check(const struct sas_region *r, const void *object, enum sas_use_kind kind)
{
	if (r->memory != r->base)
		return sas_fail(ENOTSUP, "%s: is mapped elsewhere than at its addresses, where objects cannot be used: %p", r->path, object);
	if ((r->flags & SAS_JOIN_READONLY) && kind != SAS_USE_READ)
		return sas_fail(EROFS, "%s: joined read-only", r->path);
	return 0;
}

/* The lock itself, inside the frame. */
static __attribute__((noinline)) int lock(struct sas_use *u, unsigned mode)
{
	struct sas_membership *m = &u->thread->member[u->region->number];
	struct sas_inner inner = sas_inner_begin();
	int error;

	error = sas_lock_take_inside(u->region, u->thread, (uintptr_t)u->object, mode, 0, SAS_LOCK_FOREVER);
	if (!error && u->kind == SAS_USE_UPDATE)
		sas_update_mark(m->run, m->locks, (uintptr_t)u->object);
	sas_inner_end(inner);
	u->locked = !error;
	return error;
}

static inline int keep_others_out(struct sas_use *u)
{
	if (u->kind == SAS_USE_UNLOCKED)
		return 0;
	if (u->kind != SAS_USE_UPDATE)
		return lock(u, modes[u->kind]);
	u->announced = sas_update_announce(u->region, &u->thread->member[u->region->number], (uintptr_t)u->object);
	return LIKELY(u->announced) ? 0 : lock(u, SAS_HOLD_WRITE);
}

static inline int lock_at_once(const void *object, unsigned mode)
{
	return sas_newest_take((uintptr_t)object, mode) || sas_lock_take_at_once((uintptr_t)object, mode);
}

static void unlock(const void *object)
{
	if (!LIKELY(sas_newest_give((uintptr_t)object)))
		sas_lock_give((uintptr_t)object);
}

int sas_use_begin(struct sas_use *u, const void *object, enum sas_use_kind kind)
{
	struct sas_region *r = sas_region_of((uintptr_t)object);
	struct sas_thread *t;
	int locked, error;

	if (!r)
		return begin_plain(u, object, kind);
	error = check(r, object, kind);
	if (error)
		return error;
	locked = modes[kind] && lock_at_once(object, modes[kind]);
	t = sas_thread_fast(r);
	error = LIKELY(t != NULL) ? 0 : frame_slowly(r, kind, &t);
	if (error) {
		if (locked)
			unlock(object);
		return error;
	}
	describe(u, r, t, object, kind);
	u->locked = locked;
	error = locked ? 0 : keep_others_out(u);
	if (LIKELY(!error))
		sas_here.depth = SAS_IN_USE;
	else
		sas_thread_done();
	return error;
}

static int enter_nested(struct sas_region *r, struct sas_thread *t, enum sas_use_kind kind)
{
	struct sas_inner inner;
	int error;

	if (LIKELY(t->member[r->number].serial == r->serial && sas_region_is_alive(r)))
		return 0;
	inner = sas_inner_begin();
	error = sas_call_enter(r, needs_of(kind), t);
	sas_inner_end(inner);
	return error;
}

int sas_use_nested(struct sas_use *inner, const struct sas_use *outer, const void *object, enum sas_use_kind kind)
{
	struct sas_region *r = sas_region_of((uintptr_t)object);
	struct sas_thread *t = outer->thread;
	int error = r ? check(r, object, kind) : 0;

	if (r && !error)
		error = enter_nested(r, t, kind);
	if (error)
		return error;
	if (r)
		describe(inner, r, t, object, kind);
	else
		describe_plain(inner, t, object, kind);
	inner->nested = 1;
	if (!r || (kind == SAS_USE_UPDATE && sas_update_is_announced(t->member[r->number].place, (uintptr_t)object)))
		return 0;
	return keep_others_out(inner);
}

void sas_use_end(struct sas_use *u)
{
	if (u->announced)
		sas_update_withdraw(u->thread->member[u->region->number].place, u->announced);
	if (u->nested) {
		if (u->locked)
			sas_lock_give_inside(u->region, u->thread, (uintptr_t)u->object);
		return;
	}
	sas_thread_done();
	if (u->locked)
		unlock(u->object);
}

int sas_use_result(struct sas_use *u, int error)
{
	if (error < 0 && u->region)
		error = sas_region_why(u->region, error);
	sas_use_end(u);
	return error;
}

int sas_reach(struct sas_region *r, uintptr_t address)
{
	uint64_t n = sas_segment_of(r, (uint64_t)address - r->base);
	struct sas_inner inner;
	int error;

	if (address - r->base >= r->end - r->base)
		return 0;
	if (sas_here.depth == SAS_IN_CALL)      /* in a signal handler that interrupted a call: no sentence can be made here */
		return sas_segment_present(r, n) ? sas_segment_map_quiet(r, n) : -EUCLEAN;
	inner = sas_inner_begin();
	error = sas_segment_present(r, n) ? sas_segment_need(r, n) :
		sas_fail(EUCLEAN, "%s: a pointer leads to %#llx, where there is no segment", r->path, (unsigned long long)address);
	sas_inner_end(inner);
	return error;
}

/* --- blocks */

static int change_block(struct sas_use *u, size_t size, uint64_t *where,
			int (*change)(struct sas_region *, struct sas_thread *, uint64_t, uint64_t *))
{
	struct sas_inner inner;
	int error;

	if (!u->region)
		return sas_fail(EINVAL, "%p is in no region, which could give it blocks", u->object);
	if (((uintptr_t)where & 7U) || (uintptr_t)where - u->base >= u->size)
		return sas_fail(EINVAL, "the word at %p cannot name a block of %s", (void *)where, u->region->path);
	error = sas_use_reach(u, where);
	if (error)
		return error;
	inner = sas_inner_begin();
	error = change(u->region, u->thread, size, where);
	sas_inner_end(inner);
	return error;
}

int sas_use_take_block(struct sas_use *u, size_t size, uint64_t *where)
{
	return change_block(u, size, where, sas_block_take_word);
}

int sas_use_give_block(struct sas_use *u, size_t size, uint64_t *where)
{
	return change_block(u, size, where, sas_block_give_word);
}
