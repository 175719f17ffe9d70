/* SPDX-License-Identifier: MIT */
/*
 * lock_circle.c - threads that wait for each other's locks. Layer 3.
 *
 * A waits for B when B holds the lock that A wants, in a mode that excludes A's; a reader also waits for those that wait for the
 * lock to change it, as they go first. A waits for B, too, when A has the lock and B announces an update of what it guards
 * (update.h): a thread that updates one object may wait for the lock of another. A circle is real when all of its threads have waited without a break from before
 * their holds were read until after, as nobody gives back while he waits: lock_wait counts the waits. (Coffman, Elphick and
 * Shoshani: System Deadlocks, 1971: the waits-for graph.)
 *
 * Who gives way: of the circle's threads that can be refused, the one of the highest slot. Where none can, that of the
 * highest slot reports. Each waiter looks from its own place, so no lock is needed.
 */
#include <config.h>

#include <stdlib.h>
#include "lock.h"
#include "update.h"

#define UPDATE 4U               /* beside the modes of hold.h */
struct hold { sas_lock_t lock; uint32_t slot; unsigned mode; };

struct picture {
	uint32_t top;
	uint64_t *waits;                /* per slot; 0: it does not wait */
	int32_t *before;                /* the search: from where; -1: not seen */
	uint32_t *queue;
	struct hold *holds;             /* of threads that wait */
	size_t count, room;
	uint32_t slot;                  /* the one that is being read */
	int failed;
};

static void add(struct picture *p, sas_lock_t lock, unsigned mode)
{
	if (p->failed)
		return;
	if (p->count == p->room) {
		size_t room = p->room ? 2 * p->room : 256;
		struct hold *holds = realloc(p->holds, room * sizeof *holds);

		p->failed = !holds;
		if (!holds)
			return;
		p->holds = holds;
		p->room = room;
	}
	p->holds[p->count++] = (struct hold){ lock, p->slot, mode };
}

static void add_hold(sas_u32_t *record, void *arg)
{
	uint32_t value = sas_load_acquire_u32(record);

	if (value)
		add(arg, sas_hold_lock(value), sas_hold_mode(value));
}

/* Those that somebody waits for: he has the lock, so it keeps its place. */
static void add_updates(const struct sas_run *run, struct picture *p)
{
	for (unsigned i = 0; i < SAS_RUN_UPDATES; i++) {
		uint64_t key = sas_load_acquire_u64(&run->threads[p->slot].updates[i]), word;
		sas_lock_t lock;

		if (key && sas_lock_find(run, sas_update_address(key), &lock, &word) == 0)
			add(p, lock, UPDATE);
	}
}

static int take_picture(const struct sas_run *run, struct picture *p)
{
	p->top = sas_load_acquire_u32(&run->header->thread_top);
	p->waits = calloc(p->top + 1UL, sizeof *p->waits);
	p->before = calloc(p->top + 1UL, sizeof *p->before);
	p->queue = calloc(p->top + 1UL, sizeof *p->queue);
	if (!p->waits || !p->before || !p->queue)
		return -1;
	for (uint32_t i = 0; i < p->top; i++) {
		uint64_t wait = sas_load_acquire_u64(&run->threads[i].lock_wait);

		p->before[i] = -1;
		if (sas_load_acquire_u32(&run->threads[i].state) == SAS_RUN_USED && (wait & SAS_WAIT_OPEN))
			p->waits[i] = wait;
	}
	for (p->slot = 0; p->slot < p->top; p->slot++)
		if (p->waits[p->slot]) {
			sas_hold_each(run, p->slot, add_hold, p);
			add_updates(run, p);
		}
	return p->failed ? -1 : 0;
}

static int excludes(unsigned held, uint64_t wait)
{
	unsigned wanted = sas_wait_mode(wait);

	if (held == UPDATE || (wait & SAS_WAIT_UPDATES))
		return held == UPDATE && (wait & SAS_WAIT_UPDATES);
	return wanted == SAS_HOLD_WRITE || held == SAS_HOLD_WRITE || (wanted == SAS_HOLD_INTENT && held == SAS_HOLD_INTENT);
}

/* `to` blocks `from`. 1: the circle is closed. */
static int reach(struct picture *p, uint32_t from, uint32_t to, uint32_t start, uint32_t *end)
{
	if (to == from || p->before[to] >= 0)
		return 0;
	p->before[to] = (int32_t)from;
	p->queue[(*end)++] = to;
	return to == start;
}

/* Breadth first, so the circle is a shortest one. */
static int search(struct picture *p, uint32_t start)
{
	uint32_t end = 1;

	p->queue[0] = start;
	for (uint32_t next = 0; next < end; next++) {
		uint32_t from = p->queue[next];
		uint64_t wait = p->waits[from];
		sas_lock_t lock = sas_wait_lock(wait);
		int reads = sas_wait_mode(wait) == SAS_HOLD_READ && !(wait & SAS_WAIT_UPDATES);

		for (size_t i = 0; i < p->count; i++)
			if (p->holds[i].lock == lock && excludes(p->holds[i].mode, wait) &&
			    reach(p, from, p->holds[i].slot, start, &end))
				return 1;
		for (uint32_t i = 0; reads && i < p->top; i++)
			if (p->waits[i] && sas_wait_lock(p->waits[i]) == lock && sas_wait_changes(p->waits[i]) &&
			    reach(p, from, i, start, &end))
				return 1;
	}
	return 0;
}

/* How many threads are in the circle, if it is real and the start the one to act. */
static unsigned judge(const struct sas_run *run, const struct picture *p, uint32_t start)
{
	int64_t refusable = -1, highest = -1;
	unsigned count = 0;
	uint32_t i = start;

	do {
		if (sas_load_acquire_u64(&run->threads[i].lock_wait) != p->waits[i])
			return 0;
		if (!(p->waits[i] & SAS_WAIT_PATIENT) && i > refusable)
			refusable = i;
		highest = i > highest ? i : highest;
		count++;
		i = (uint32_t)p->before[i];
	} while (i != start);
	return start == (refusable >= 0 ? refusable : highest) ? count : 0;
}

unsigned sas_lock_circle(const struct sas_region *r, uint32_t slot)
{
	struct picture p = { 0 };
	unsigned count = 0;

	if (take_picture(r->run, &p) == 0 && slot < p.top && p.waits[slot] && search(&p, slot))
		count = judge(r->run, &p, slot);
	free(p.waits);
	free(p.before);
	free(p.queue);
	free(p.holds);
	return count;
}
