/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <errno.h>
#include <string.h>
#include "ground/err.h"
#include "lock_newest.h"
#include "update.h"
#include "ground/port.h"

/* Where the newest lock is: others of the region may be taken at once. */
static void remember(const struct sas_region *r, const struct sas_locks *locks)
{
	struct sas_newest *n = &sas_newest;

	/* Another region may come to lie at the addresses of one that is mapped elsewhere. */
	if (n->locks != locks || r->memory != r->base)
		return;
	n->thread = locks->thread;
	n->slot = locks->slot;
	n->base = r->base;
	n->size = r->end - r->base;
	n->lines = r->run->lines;
	n->era = sas_load_relaxed_u32(&r->run->header->line_era);
	n->life = &r->state->life;
	n->stamp = sas_stamp();
}

static struct sas_region *region_of(uint64_t address)
{
	struct sas_region *r = sas_region_of(address);

	return r ? r : sas_region_default();
}

/* --- take */

/* A holder of WRITE has died, and who asks for it is told; who may mend what it left takes the mark away. */
static int tell_death(struct sas_run *run, sas_lock_t lock, unsigned mode, unsigned flags, uint64_t address)
{
	if (!(flags & SAS_LOCK_TELL))
		return 0;
	if (mode != SAS_HOLD_READ)
		__atomic_fetch_and(sas_lock_marks(sas_lock_line(run, lock), lock), (uint8_t)~SAS_LOCK_DIED, __ATOMIC_RELEASE);
	return sas_fail(EOWNERDEAD, "the lock %#llx is held now; a thread that held it for writing died, and what it guards may "
			"be half changed", (unsigned long long)address);
}

static int give_once(struct sas_locks *locks, struct sas_held *held);

/* The word has been changed: the record, and our own books. */
static int enter(struct sas_wait *w, struct sas_locks *locks, sas_lock_t lock, struct sas_held *held)
{
	unsigned mode = w->to;
	uint8_t marks;
	int error;

	if (!held) {
		held = sas_held_push(locks, w->address);
		held->lock = lock;
		held->at = sas_lock_at(locks->run, lock);
	}
	sas_store_release_u32(held->record, sas_hold_record(lock, mode));
	held->mode = mode;
	held->count[mode - 1]++;
	held->nested++;
	marks = __atomic_load_n(sas_lock_marks(sas_lock_line(locks->run, lock), lock), __ATOMIC_ACQUIRE);
	if (LIKELY(!marks))
		return 0;
	/* Who held it before has waited already, and nobody has announced anything since. */
	if ((marks & SAS_LOCK_UPDATED) && w->from == SAS_HOLD_NONE) {
		error = sas_update_await(w, lock);
		if (error) {
			give_once(locks, held);
			return error;
		}
	}
	return marks & SAS_LOCK_DIED ? tell_death(locks->run, lock, mode, w->flags, w->address) : 0;
}

/* Where the lock is: what is held stays where it is. 0; 1: look again; -errno. */
static int look(struct sas_wait *w, const struct sas_held *held, sas_lock_t *lock, uint64_t *word)
{
	int error;

	if (held) {
		*lock = held->lock;
		*word = sas_load_acquire_u64(&sas_lock_at(w->region->run, *lock)->word);
		return 0;
	}
	if (sas_lock_find(w->region->run, w->address, lock, word) == 0)
		return 0;
	error = sas_lock_place(w->region, w->slot, w->address, lock, word);
	return error > 0 ? sas_lock_wait_latch(w) : error;
}

static uint32_t state_after(const struct sas_wait *w, uint64_t word)
{
	uint32_t state = sas_hold_state(word, w->from, w->to);

	if (w->slept && w->to != SAS_HOLD_READ) /* others may sleep as well */
		state |= SAS_LOCK_CHANGE_WAITS;
	if (w->pass)
		state &= ~SAS_LOCK_CHANGE_WAITS;
	return state;
}

static int take_waiting(struct sas_wait *w, struct sas_locks *locks, struct sas_held *held)
{
	uint64_t word = 0;
	sas_lock_t lock = 0;
	int error;

	do {
		error = look(w, held, &lock, &word);
		if (error)
			continue;
		if (!sas_lock_may(word, w->from, w->to, w->pass))
			error = sas_lock_wait(w, lock, word);
		else if (sas_hold_change(locks->run, locks->slot, lock, w->from, w->to, &word, state_after(w, word)))
			break;
	} while (error >= 0);
	sas_lock_wait_over(w);
	return error < 0 ? error : enter(w, locks, lock, held);
}

int sas_lock_take_inside(struct sas_region *r, struct sas_thread *t, uint64_t address, unsigned mode, unsigned flags,
			 uint64_t nanoseconds)
{
	struct sas_membership *m = &t->member[r->number];
	struct sas_wait w = { .region = r, .slot = m->slot, .address = address, .to = mode, .flags = flags };
	struct sas_held *held;
	int error = sas_held_room(r, m);

	if (!error)
		error = sas_lock_bucket_ready(r, address);
	if (error)
		return error;
	sas_newest_settle();
	held = sas_held_find(m->locks, address);
	if (held && mode <= held->mode) {
		held->count[held->mode - 1]++;
		held->nested++;
		return 0;
	}
	w.from = held ? held->mode : SAS_HOLD_NONE;
	w.until = nanoseconds;
	if (nanoseconds && nanoseconds != SAS_LOCK_FOREVER)
		w.until += sas_port->now_ns();
	error = take_waiting(&w, m->locks, held);
	remember(r, m->locks);
	return error;
}

int sas_lock_take(uint64_t address, unsigned mode, unsigned flags, uint64_t nanoseconds)
{
	struct sas_region *r = region_of(address);
	struct sas_thread *t;
	int error;

	if (!r)
		return sas_fail(EINVAL, "no region is joined, so %#llx is no lock", (unsigned long long)address);
	if (!r->run)
		return sas_fail(EROFS, "%s: there are no locks where " SAS_RUN_NAME " could not be opened", r->path);
	t = sas_thread_fast(r);
	if (t) {
		error = sas_lock_take_inside(r, t, address, mode, flags, nanoseconds);
		sas_thread_done();
		return error;
	}
	error = sas_call_begin(r, SAS_CALL_SLOT, &t);
	if (error)
		return error;
	error = sas_lock_take_inside(r, t, address, mode, flags, nanoseconds);
	sas_call_end(t);
	return error;
}

/* Its place in the first line of the bucket; 3: it is elsewhere, or nowhere. */
static inline __attribute__((always_inline)) uint32_t place_in_line(const struct sas_run_line *line, uint64_t address)
{
	if (LIKELY(sas_load_relaxed_u64(&line->lock[0].key) == address))
		return 0;
	if (sas_load_relaxed_u64(&line->lock[1].key) == address)
		return 1;
	return sas_load_relaxed_u64(&line->lock[2].key) == address ? 2 : 3;
}

/* It is not held, and the newest lock makes way for it, as far as that needs nothing but this thread's books. */
static __attribute__((noinline)) int make_way(struct sas_newest *n, uint64_t address)
{
	struct sas_locks *locks = n->locks;

	if (sas_held_find(locks, address))
		return 0;
	if (n->held.mode && !sas_held_has_room(locks))
		return 0;
	if (n->held.mode)
		sas_held_push(locks, address);
	return 1;
}

/* It is to be looked for, and nobody stands in its way, or waits: then giving back would have to wake somebody. The key is read again
 * after the word: see lock_table.h. */
static inline __attribute__((always_inline)) int find_and_take(struct sas_newest *n, uint64_t address, unsigned mode)
{
	uint32_t bucket = sas_lock_bucket(address);
	struct sas_run_line *line = &n->lines[bucket];
	uint32_t i = place_in_line(line, address);
	uint64_t word;

	if (!LIKELY(i < SAS_LOCKS_PER_LINE))
		return 0;
	word = sas_load_acquire_u64(&line->lock[i].word);
	if (!LIKELY(word && sas_lock_line_is_ready(line, n->era) && sas_load_relaxed_u64(&line->lock[i].key) == address &&
		    !(word & SAS_LOCK_WAITS) && sas_lock_may(word, SAS_HOLD_NONE, mode, 0) &&
		    !__atomic_load_n(&line->marks[i], __ATOMIC_RELAXED)))
		return 0;
	if (!LIKELY(!n->held.mode && !n->locks->count) && !make_way(n, address))
		return 0;
	if (!LIKELY(!sas_hold_needs_evidence(word, n->slot)))
		sas_hold_save_evidence(n->locks->run, word);
	n->word = 0;
	if (!LIKELY(sas_newest_change(n, &line->lock[i], bucket << 2 | i, SAS_HOLD_NONE, mode, word, sas_hold_next_number(n->thread))))
		return 0;
	n->held.at = &line->lock[i];
	n->held.lock = bucket << 2 | i;
	n->held.address = address;
	return 1;
}

/* Three of each: what follows from the mode is no work then. */
static __attribute__((noinline)) int find_read(struct sas_newest *n, uint64_t address) { return find_and_take(n, address, SAS_HOLD_READ); }
static __attribute__((noinline)) int find_intent(struct sas_newest *n, uint64_t address) { return find_and_take(n, address, SAS_HOLD_INTENT); }
static __attribute__((noinline)) int find_write(struct sas_newest *n, uint64_t address) { return find_and_take(n, address, SAS_HOLD_WRITE); }

int sas_lock_take_at_once(uint64_t address, unsigned mode)
{
	struct sas_newest *n = sas_newest_begin(address);
	int done;

	if (!n)
		return 0;
	if (!sas_newest_lives(n)) {
		sas_newest_end();
		return 0;
	}
	/* Once more, of what we hold: no store but our own. */
	if (n->held.address == address && n->held.mode >= mode && n->word)
		done = ++n->held.nested != 0;
	else
		done = mode == SAS_HOLD_WRITE ? find_write(n, address) :
		       mode == SAS_HOLD_READ ? find_read(n, address) : find_intent(n, address);
	sas_newest_end();
	return done;
}

/* --- give */

static void give(struct sas_locks *locks, struct sas_held *held, unsigned from, unsigned to)
{
	uint64_t word = sas_load_acquire_u64(&held->at->word);
	uint32_t state;
	int wake;

	do {
		wake = 0;
		state = sas_hold_state(word, from, to);
		if (state & SAS_LOCK_WAITS)
			state = sas_hold_given(state, from, to, &wake);
	} while (!sas_hold_change(locks->run, locks->slot, held->lock, from, to, &word, state));
	sas_store_release_u32(held->record, to ? sas_hold_record(held->lock, to) : 0);
	held->mode = to;
	if (wake)
		sas_hold_wake(locks->run, held->lock, wake);
	if (!to)
		sas_held_drop(locks, held);
}

/* Undo the last taking. */
static int give_once(struct sas_locks *locks, struct sas_held *held)
{
	unsigned from, to;

	if (!held)
		return -EPERM;
	held->nested--;
	from = to = held->mode;
	if (--held->count[from - 1])
		return 0;
	do
		to--;
	while (to && !held->count[to - 1]);
	give(locks, held, from, to);
	return 0;
}

int sas_lock_give_inside(const struct sas_region *r, struct sas_thread *t, uint64_t address)
{
	struct sas_locks *locks = sas_thread_slot(t, r) >= 0 ? t->member[r->number].locks : NULL;

	sas_newest_settle();
	return locks ? give_once(locks, sas_held_find(locks, address)) : -EPERM;
}

/* What is held in a region that has been removed meanwhile is given back all the same. */
static int give_slowly(uint64_t address)
{
	struct sas_region *r = region_of(address);
	struct sas_thread *t = r ? sas_thread_fast(r) : NULL;
	int error;

	if (t) {
		error = sas_lock_give_inside(r, t, address);
		sas_thread_done();
	} else if ((error = r ? sas_frame_begin(&t) : -EPERM) == 0) {
		error = sas_lock_give_inside(r, t, address);
		sas_call_end(t);
	}
	return error == -EPERM ? sas_fail(EPERM, "this thread does not hold the lock %#llx", (unsigned long long)address) : error;
}

int sas_lock_give(uint64_t address)
{
	struct sas_newest *n = sas_newest_begin(address);
	int error = 0;

	if (!n)
		return give_slowly(address);
	if (n->held.address == address && n->word && n->held.nested) {
		n->held.nested--;
	} else {
		sas_newest_settle();
		error = give_once(n->locks, sas_held_find(n->locks, address));
	}
	sas_newest_end();
	return error ? give_slowly(address) : 0;
}

/* Also in a signal handler that interrupted a call: it looks, and changes nothing. */
unsigned sas_lock_held(uint64_t address)
{
	struct sas_region *r = region_of(address);
	struct sas_locks *locks = r && sas_self && sas_thread_slot(sas_self, r) >= 0 ? sas_self->member[r->number].locks : NULL;
	int depth = sas_here.depth;
	const struct sas_held *held;
	unsigned mode;

	if (!locks)
		return SAS_HOLD_NONE;
	sas_here.depth = 1;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	held = sas_held_find(locks, address);
	mode = held ? held->mode : SAS_HOLD_NONE;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	sas_here.depth = depth;
	return mode;
}

uint32_t sas_locks_give_all(struct sas_locks *locks)
{
	struct sas_held *held;
	uint32_t count = 0;

	sas_newest_settle();
	for (; (held = sas_held_any(locks)) != NULL; count++) {
		memset(held->count, 0, sizeof held->count);
		held->nested = 0;
		give(locks, held, held->mode, SAS_HOLD_NONE);
	}
	return count;
}
