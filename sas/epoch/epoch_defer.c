/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "block/block.h"
#include "epoch_defer.h"
#include "ground/err.h"
#include "ground/port.h"
#include "sasregion.h"

#define SPARE_BAGS 4U           /* that a limbo keeps */
#define BATCH 2048U             /* calls between two looks for readers, at least: a look passes all slots, */
#define BATCH_PER_SLOT 4U       /* so with many of them there are more */
#define YIELDS 64               /* SASEpochSynchronize() gives up the processor so often before it sleeps */
#define LOOK_FOR_DEAD_NS 1000000000U

static sas_ptr_t limbos;        /* all of this process; only ever added to */

static struct sas_limbo *first_limbo(void)
{
	return sas_load_acquire_ptr(&limbos);
}

void sas_limbo_lock(struct sas_limbo *l)
{
	while (!sas_limbo_trylock(l))
		sched_yield();
}

/* --- limbos */

static struct sas_limbo *take_limbo(void)
{
	struct sas_limbo *l;
	void *head;

	for (l = first_limbo(); l; l = l->next) {
		uint32_t none = SAS_LIMBO_FREE;

		if (sas_load_relaxed_u32(&l->state) == SAS_LIMBO_FREE && sas_cas_acq_rel_u32(&l->state, &none, SAS_LIMBO_USED))
			return l;
	}
	l = calloc(1, sizeof *l);
	if (!l)
		return NULL;
	sas_store_relaxed_u32(&l->state, SAS_LIMBO_USED);
	head = first_limbo();
	do
		l->next = head;
	while (!sas_cas_acq_rel_ptr(&limbos, &head, l));
	return l;
}

struct sas_limbo *sas_limbo_of(struct sas_thread *t, const struct sas_region *r)
{
	struct sas_membership *m = &t->member[r->number];
	struct sas_limbo *l = m->limbo;

	if (l)
		return l;
	l = take_limbo();
	if (!l) {
		sas_fail(ENOMEM, "no memory for what this thread defers");
		return NULL;
	}
	sas_limbo_lock(l);
	sas_store_relaxed_u64(&l->serial, r->serial);
	l->run = m->run;
	l->slot = &m->run->threads[m->slot];
	l->process = r->process - 1;
	l->credit_calls = l->credit_bytes = l->since = 0;
	l->page_count = l->fill = l->frees_since = 0;
	sas_limbo_unlock(l);
	m->limbo = l;
	return l;
}

/* What a limbo holds back, for others to see. Lock held. */
static void show(struct sas_limbo *l, int64_t calls, int64_t bytes)
{
	struct sas_run_process *p = &l->run->processes[l->process];

	l->calls += (uint64_t)calls;
	l->bytes += (uint64_t)bytes;
	if (l->slot) {
		sas_store_relaxed_u64(&l->slot->epoch_calls, l->calls);
		sas_store_relaxed_u64(&l->slot->epoch_bytes, l->bytes);
	} else {
		sas_fetch_add_relaxed_u64(&p->epoch_calls, (uint64_t)calls);
		sas_fetch_add_relaxed_u64(&p->epoch_bytes, (uint64_t)bytes);
	}
}

/* Lock held. */
static void seal(struct sas_limbo *l)
{
	struct sas_bag *bag = l->open;

	if (!bag || bag->count == 0)
		return;
	bag->tag = sas_epoch_tag(l->run);
	if (l->slot)
		sas_fetch_add_relaxed_u64(&l->slot->counters.deferred, bag->count);
	bag->next = NULL;
	if (l->first)
		l->last->next = bag;
	else
		l->first = bag;
	l->last = bag;
	l->open = NULL;
}

/* Lock held. */
static void keep_bag(struct sas_limbo *l, struct sas_bag *bag)
{
	unsigned spares = 0;

	for (const struct sas_bag *b = l->spare; b; b = b->next)
		spares++;
	if (spares >= SPARE_BAGS) {
		free(bag);
		return;
	}
	bag->count = 0;
	bag->bytes = 0;
	bag->next = l->spare;
	l->spare = bag;
}

/* Lock held. An open bag with room; 0: no memory. */
static int make_room(struct sas_limbo *l)
{
	struct sas_bag *bag = l->spare;

	if (l->open && l->open->count == SAS_BAG_CALLS)
		seal(l);
	if (l->open)
		return 1;
	if (bag)
		l->spare = bag->next;
	else
		bag = malloc(sizeof *bag);
	if (!bag)
		return 0;
	bag->count = 0;
	bag->bytes = 0;
	l->open = bag;
	return 1;
}

/* Lock held. */
static void free_if_empty(struct sas_limbo *l)
{
	if (sas_load_relaxed_u32(&l->state) == SAS_LIMBO_LEFT && !l->first && l->detached == 0)
		sas_store_release_u32(&l->state, SAS_LIMBO_FREE);
}

/* Lock held; it is given back. */
static void leave_locked(struct sas_limbo *l)
{
	seal(l);
	l->slot = NULL;
	if (l->calls || l->bytes) {
		uint64_t calls = l->calls, bytes = l->bytes;

		l->calls = l->bytes = 0;
		show(l, (int64_t)calls, (int64_t)bytes);
	}
	l->page_count = 0;
	sas_store_relaxed_u32(&l->state, SAS_LIMBO_LEFT);
	free_if_empty(l);
	sas_limbo_unlock(l);
}

void sas_limbo_leave(struct sas_limbo *l)
{
	sas_limbo_lock(l);
	leave_locked(l);
}

void sas_limbo_abandon(struct sas_limbo *l)
{
	if (sas_limbo_trylock(l))
		leave_locked(l);
}

static void drop_bags(struct sas_limbo *l)
{
	struct sas_bag *bag;

	seal(l);
	while ((bag = l->first)) {
		l->first = bag->next;
		if (l->calls >= bag->count)
			show(l, -(int64_t)bag->count, -(int64_t)bag->bytes);
		keep_bag(l, bag);
	}
}

int sas_epoch_holds(const struct sas_region *r)
{
	int holds = 0;

	for (struct sas_limbo *l = first_limbo(); l && !holds; l = l->next) {
		sas_limbo_lock(l);
		holds = sas_load_relaxed_u64(&l->serial) == r->serial && l->calls > 0;
		sas_limbo_unlock(l);
	}
	return holds;
}

void sas_epoch_drop(const struct sas_region *r)
{
	uint64_t dropped = 0;

	for (struct sas_limbo *l = first_limbo(); l; l = l->next) {
		sas_limbo_lock(l);
		if (sas_load_relaxed_u64(&l->serial) == r->serial && sas_load_relaxed_u32(&l->state) != SAS_LIMBO_FREE) {
			dropped += l->calls;
			drop_bags(l);
			free_if_empty(l);
		}
		sas_limbo_unlock(l);
	}
	if (dropped)
		sas_note(SAS_ERR_WARNING, "%s: left while %llu deferred calls could not run yet: they never will", r->path,
			 (unsigned long long)dropped);
}

/* One thread lives here, and the locks are those of others. */
void sas_epoch_forget(void)
{
	for (struct sas_limbo *l = first_limbo(); l; l = l->next) {
		struct sas_bag *bag = l->open;

		if (bag)
			bag->next = l->spare;
		if (bag)
			l->spare = bag;
		while ((bag = l->first)) {
			l->first = bag->next;
			bag->next = l->spare;
			l->spare = bag;
		}
		l->open = NULL;
		l->calls = l->bytes = 0;
		sas_store_relaxed_u64(&l->serial, 0);
		l->detached = 0;
		sas_store_relaxed_u32(&l->state, SAS_LIMBO_FREE);
		sas_limbo_unlock(l);
	}
	sas_helper_forget();
}

/* --- the limit */

static uint64_t batch_of(const struct sas_run *run)
{
	uint64_t slots = sas_load_relaxed_u32(&run->header->thread_top);

	return BATCH + BATCH_PER_SLOT * slots;
}

static int take_credit(struct sas_limbo *l, uint64_t bytes)
{
	int there;

	sas_limbo_lock(l);
	there = l->credit_calls && l->credit_bytes >= bytes;
	if (there) {
		l->credit_calls--;
		l->credit_bytes -= bytes;
	}
	sas_limbo_unlock(l);
	return there;
}

/*
 * Credit for this thread, so that the sum over all threads is made once for many calls. All that the others may take in
 * the same way meanwhile is less than what is left to the limit; one of many bytes may pass alone.
 */
static int grant(struct sas_region *r, struct sas_limbo *l, uint64_t bytes, int *due)
{
	uint64_t most, limit_bytes, limit_count, left_bytes, left_count, share;
	struct sas_epoch_view view;

	sas_epoch_look(r, &view);
	sas_epoch_limits(r, &limit_bytes, &limit_count);
	left_bytes = limit_bytes > view.bytes ? limit_bytes - view.bytes : 0;
	left_count = limit_count > view.calls + view.frees ? limit_count - view.calls - view.frees : 0;
	*due = left_bytes < limit_bytes / 2 || left_count < limit_count / 2;
	if (left_count == 0 || (bytes > left_bytes && view.bytes))
		return 1;
	share = 2UL * (view.threads ? view.threads : 1);
	most = batch_of(r->run);
	left_count /= share;
	left_bytes /= share;
	sas_limbo_lock(l);
	l->credit_calls = left_count > most ? most : left_count ? left_count : 1;
	l->credit_bytes = left_bytes > bytes ? left_bytes : bytes;
	sas_limbo_unlock(l);
	return 0;
}

int sas_limbo_admit(struct sas_region *r, struct sas_limbo *l, uint64_t bytes, int *due)
{
	*due = 0;
	while (!take_credit(l, bytes))
		if (grant(r, l, bytes, due))
			return 1;
	return 0;
}

int sas_epoch_set_limit(struct sas_region *r, uint64_t bytes, uint64_t count)
{
	struct sas_thread *t;
	int error = sas_call_begin(r, SAS_CALL_SLOT, &t);

	if (error)
		return error;
	sas_store_relaxed_u64(&r->run->header->epoch_limit_bytes, bytes);
	sas_store_relaxed_u64(&r->run->header->epoch_limit_count, count);
	for (struct sas_limbo *l = first_limbo(); l; l = l->next) {
		sas_limbo_lock(l);
		l->credit_calls = l->credit_bytes = 0;
		sas_limbo_unlock(l);
	}
	return sas_call_result(t, r, 0);
}

/* " ..., thread 12 of process 10 has been inside for 3 ms". */
static const char *name_reader(const struct sas_region *r, const struct sas_epoch_view *view, char *text, size_t size)
{
	const struct sas_run_thread *slot;

	if (view->slowest < 0) {
		snprintf(text, size, "no reader is behind");
		return text;
	}
	slot = &r->run->threads[view->slowest];
	snprintf(text, size, "thread %u of process %u (slot %lld) is in a critical section, and has been behind for %llu ms",
		 slot->tid, sas_epoch_pid(r->run, slot), (long long)view->slowest,
		 (unsigned long long)(sas_port->now_ns() - view->slowest_since) / 1000000);
	return text;
}

int sas_epoch_refuse(struct sas_region *r)
{
	uint64_t limit_bytes, limit_count;
	struct sas_epoch_view view;
	char reader[160];

	sas_epoch_look(r, &view);
	sas_epoch_limits(r, &limit_bytes, &limit_count);
	return sas_fail(EAGAIN, "%s: %llu calls and frees of %llu bytes are held back, the limit is %llu and %llu: %s%s", r->path,
			(unsigned long long)(view.calls + view.frees), (unsigned long long)view.bytes,
			(unsigned long long)limit_count, (unsigned long long)limit_bytes,
			sas_load_relaxed_u32(&r->epoch_refused) ? "the kernel refuses this process membarrier(2); " : "",
			name_reader(r, &view, reader, sizeof reader));
}

/* --- deferring */

/* 1: the limit is reached. */
static int defer_in_call(struct sas_region *r, struct sas_thread *t, void (*call)(void *), void *arg, uint64_t bytes, int *due)
{
	struct sas_limbo *l = sas_limbo_of(t, r);
	int pushed = 0, soon;

	if (!l)
		return -ENOMEM;
	while (!pushed) {
		sas_limbo_lock(l);
		if (!make_room(l)) {
			sas_limbo_unlock(l);
			return sas_fail(ENOMEM, "no memory for what this thread defers");
		}
		pushed = sas_limbo_push(l, call, arg, bytes);
		*due |= l->since >= batch_of(r->run);
		sas_limbo_unlock(l);
		if (!pushed && grant(r, l, bytes, &soon))
			return 1;
		*due |= !pushed && soon;
	}
	return 0;
}

static int defer_once(struct sas_region *r, void (*call)(void *), void *arg, uint64_t bytes, int *due, int *nested)
{
	struct sas_thread *t;
	int error = sas_call_begin(r, SAS_CALL_SLOT, &t);

	if (error)
		return error;
	*nested = t->reclaiming;
	error = defer_in_call(r, t, call, arg, bytes, due);
	return sas_call_result(t, r, error);
}

int sas_epoch_defer(struct sas_region *r, void (*call)(void *), void *arg, uint64_t bytes)
{
	int due = 0, nested = 0, error = defer_once(r, call, arg, bytes, &due, &nested);

	if (error > 0 && !nested) {
		sas_epoch_reclaim(r, SAS_RECLAIM_ALL | SAS_RECLAIM_LOOK);
		error = defer_once(r, call, arg, bytes, &due, &nested);
	}
	if (error > 0)
		return sas_epoch_refuse(r);
	if (!error && due && !nested)
		sas_epoch_reclaim(r, 0);
	return error;
}

/* --- reclaiming */

/* Whose calls this thread may run now. */
static int is_ours(const struct sas_limbo *l, const struct sas_region *r, const struct sas_limbo *own, unsigned how)
{
	return sas_load_relaxed_u64(&l->serial) == r->serial && (l == own || (how & SAS_RECLAIM_ALL) ||
					  sas_load_relaxed_u32(&l->state) == SAS_LIMBO_LEFT);
}

/* Something waits here, and is not known to be seen by nobody. */
static int needs_look(struct sas_region *r, struct sas_limbo *own, unsigned how)
{
	uint64_t safe = sas_epoch_safe(r->run), oldest = sas_limbo_oldest_free(own);
	int needs = oldest != UINT64_MAX && oldest >= safe;

	for (struct sas_limbo *l = first_limbo(); l; l = l->next) {
		if (!is_ours(l, r, own, how))
			continue;
		sas_limbo_lock(l);
		if (is_ours(l, r, own, how)) {
			seal(l);
			needs |= l->first && l->first->tag >= safe;
		}
		sas_limbo_unlock(l);
	}
	return needs;
}

/* What may be run, taken out of the limbos. */
static struct sas_bag *collect(struct sas_region *r, struct sas_limbo *own, unsigned how)
{
	uint64_t safe = sas_epoch_safe(r->run);
	struct sas_bag *ready = NULL, **end = &ready;

	for (struct sas_limbo *l = first_limbo(); l; l = l->next) {
		if (!is_ours(l, r, own, how))
			continue;
		sas_limbo_lock(l);
		while (is_ours(l, r, own, how) && l->first && l->first->tag < safe) {
			*end = l->first;
			l->first = l->first->next;
			(*end)->limbo = l;
			end = &(*end)->next;
			l->detached++;
		}
		sas_limbo_unlock(l);
	}
	*end = NULL;
	own->since = 0;
	return ready;
}

/* A call may fork: the child, whose record is wiped, goes on here too, and the others are not its own. */
static int run_bag(const struct sas_thread *t, const struct sas_bag *bag)
{
	for (uint32_t i = 0; i < bag->count && t->reclaiming; i++)
		bag->calls[i].call(bag->calls[i].arg);
	return t->reclaiming;
}

static long run_bags(const struct sas_thread *t, struct sas_bag *bag)
{
	long count = 0;

	while (bag) {
		struct sas_bag *next = bag->next;
		struct sas_limbo *l = bag->limbo;

		if (!run_bag(t, bag))
			return 0;
		count += bag->count;
		sas_limbo_lock(l);
		if (l->calls >= bag->count)
			show(l, -(int64_t)bag->count, -(int64_t)bag->bytes);
		l->detached--;
		keep_bag(l, bag);
		free_if_empty(l);
		sas_limbo_unlock(l);
		bag = next;
	}
	return count;
}

/* A reader that has been behind for long may be one whose death the kernel could not mark: sas_living_locked(). */
static int is_suspect(struct sas_region *r, const struct sas_epoch_view *view)
{
	uint64_t now = sas_port->now_ns(), last = sas_load_relaxed_u64(&r->epoch_looked);

	return view->slowest >= 0 && now - view->slowest_since > LOOK_FOR_DEAD_NS && now - last > LOOK_FOR_DEAD_NS &&
	       sas_cas_acq_rel_u64(&r->epoch_looked, &last, now);
}

/* What the dead had deferred becomes everybody's when they are recovered. processes: look who of them is dead, too. */
static void bury(struct sas_region *r, const struct sas_thread *t, int processes)
{
	struct sas_living living;

	if (sas_has_seized(t, r) || sas_table_lock(r) != 0)
		return;
	sas_err_defer();
	sas_recover_locked(r);
	if (processes)
		sas_living_locked(r, &living);
	sas_table_unlock(r);
	sas_err_flush();
}

/* In a call. */
static int advance(struct sas_region *r, const struct sas_thread *t, struct sas_epoch_view *view)
{
	int suspect, error = sas_epoch_advance(r, view);

	/* Those that need what the kernel refuses us may have died. */
	if (error) {
		bury(r, t, 1);
		error = sas_epoch_advance(r, view);
	}
	sas_store_relaxed_u32(&r->epoch_refused, error != 0);
	if (error)
		return sas_fail(EOPNOTSUPP, "%s: the kernel refuses membarrier(2) (%s), which readers of other processes need: "
				"those have to reclaim", r->path, strerror(-error));
	suspect = is_suspect(r, view);
	if (view->dead || suspect)
		bury(r, t, suspect);
	return 0;
}

static int reclaim_in_call(struct sas_region *r, struct sas_thread *t, unsigned how, long *frees, struct sas_bag **ready)
{
	struct sas_limbo *own = sas_limbo_of(t, r);
	struct sas_epoch_view view;
	int needs, error = 0;

	if (!own)
		return -ENOMEM;
	needs = needs_look(r, own, how);
	if (needs || (how & SAS_RECLAIM_LOOK))
		error = advance(r, t, &view);
	*ready = collect(r, own, how);
	if (!(r->flags & SAS_JOIN_READONLY))
		*frees = sas_limbo_free_ready(r, t, own);
	return error;
}

/* The calls that one thread runs are counted in its slot, also others'. */
static void count_reclaimed(struct sas_region *r, long count)
{
	const struct sas_note *n = sas_noted(r);

	if (n && count > 0) {
		sas_u64_t *counter = &n->member->place->counters.reclaimed;

		sas_store_relaxed_u64(counter, sas_load_relaxed_u64(counter) + (uint64_t)count);
	}
}

long sas_epoch_reclaim(struct sas_region *r, unsigned how)
{
	struct sas_bag *ready = NULL;
	struct sas_thread *t;
	long frees = 0, calls = 0;
	int error = sas_call_begin(r, SAS_CALL_SLOT, &t);

	if (error)
		return error;
	/* A deferred call that asks for this: the one that runs it is at it. */
	if (!t->reclaiming)
		error = reclaim_in_call(r, t, how, &frees, &ready);
	error = sas_call_result(t, r, error);
	if (ready) {
		t->reclaiming = 1;
		calls = run_bags(t, ready);
		t->reclaiming = 0;
		count_reclaimed(r, calls);
	}
	if (frees < 0)
		return calls ? calls : frees;
	return error && frees + calls == 0 ? error : frees + calls;
}

/* --- waiting for readers */

static int timed_out(const struct sas_region *r, const struct sas_epoch_view *view, long milliseconds)
{
	char reader[160];

	return sas_fail(ETIMEDOUT, "%s: after %ld ms %s", r->path, milliseconds, name_reader(r, view, reader, sizeof reader));
}

/* Readers wake nobody up when they leave: that would cost each of them what this costs the one who waits. */
static void pause_between(unsigned *rounds, uint64_t left_ns)
{
	struct timespec pause = { 0, left_ns < 500000 ? (long)left_ns : 500000 };

	if ((*rounds)++ < YIELDS)
		sched_yield();
	else
		nanosleep(&pause, NULL);
}

static int look_once(struct sas_region *r, struct sas_epoch_view *view)
{
	struct sas_thread *t;
	int error = sas_call_begin(r, SAS_CALL_SLOT, &t);

	if (error)
		return error;
	return sas_call_result(t, r, advance(r, t, view));
}

static int begin_wait(struct sas_region *r, uint64_t *tag)
{
	struct sas_thread *t;
	int error = sas_call_begin(r, SAS_CALL_SLOT, &t);

	if (error)
		return error;
	if (t->member[r->number].nesting)
		error = sas_fail(EDEADLK, "%s: this thread is in a critical section: it would wait for itself", r->path);
	*tag = sas_epoch_tag(r->run);
	return sas_call_result(t, r, error);
}

int sas_epoch_synchronize(struct sas_region *r, long milliseconds)
{
	uint64_t tag, begun = sas_port->now_ns(), wait = (uint64_t)milliseconds * 1000000U;
	struct sas_epoch_view view;
	unsigned rounds = 0;
	int error = begin_wait(r, &tag);

	while (!error) {
		uint64_t passed;

		error = look_once(r, &view);
		if (error || view.safe > tag)
			break;
		passed = sas_port->now_ns() - begun;
		if (milliseconds >= 0 && passed >= wait)
			error = timed_out(r, &view, milliseconds);
		else
			pause_between(&rounds, milliseconds < 0 ? UINT64_MAX : wait - passed);
	}
	return error;
}
