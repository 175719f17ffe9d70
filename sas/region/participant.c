/* SPDX-License-Identifier: MIT */
/*
 * participant.c - who takes part in a region: processes, their threads, and the frame around each call.
 *
 * A thread takes a slot of SAS.run at its first call that changes something, and holds the slot's
 * robust mutex for the rest of its life: the kernel marks the mutex when the thread dies, however it
 * dies. The thread's end, a leave, and exec give it up in order.
 *
 * Locks: process lock for this process's list; table_lock for slots.
 * Fork: the child has the mappings, but no slot, lock or log: its thread records are forgotten, its
 *   descriptor of SAS.run, which shares the parent's file lock, is closed; it registers at its first call. A
 *   child that raw clone(2) made is noticed by a page that the kernel wipes in children.
 * Crash: a slot counts from the store of `state`, made last; a death before leaves a free slot whose mutex says
 *   OWNER_DIED, which the next taker mends. State is cleared before the mutex is unlocked.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "block/block.h"
#include "epoch/epoch.h"
#include "epoch/epoch_defer.h"
#include "ground/err.h"
#include "block/index.h"
#include "block/lease.h"
#include "lock/lock.h"
#include "run/log.h"
#include "media/persist.h"
#include "ground/port.h"
#include "ground/rank.h"
#include "run/run_check.h"
#include "run/run_page.h"
#include "runtime.h"
#include "sasregion.h"
#include "media/segment.h"

static pthread_key_t thread_key;
__thread struct sas_here sas_here;
__thread struct sas_thread *sas_self;
uint32_t *sas_fork_word;

/* --- slots of threads */

static void give_up(struct sas_membership *m)
{
	struct sas_run_thread *slot = &m->run->threads[m->slot];

	uint32_t held = m->locks ? sas_locks_give_all(m->locks) : 0;

	if (held)
		sas_note(SAS_ERR_WARNING, "a thread that leaves a region held %u locks in it, which are given back", held);
	sas_locks_free(m->locks);
	sas_lease_drop(m->lease);
	if (m->limbo)
		sas_limbo_leave(m->limbo);
	sas_epoch_end_slot(m->run, m->slot);
	sas_run_page_give_all(m->run, m->slot + 1);
	sas_store_release_u32(&slot->state, SAS_RUN_FREE);
	sas_run_unlock(&slot->life);
	sas_run_drop(m->run);
	memset(m, 0, sizeof *m);
}

/* The free blocks in its hand go back, if the region is still joined: the process lock keeps others from leaving it. */
static void end_lease(struct sas_thread *t, unsigned number)
{
	struct sas_region *r;

	if (!t->member[number].lease)
		return;
	sas_here.depth = 1;
	sas_process_lock();
	r = sas_load_acquire_ptr(&sas_regions[number].region);
	if (r && r->serial == t->member[number].serial && sas_region_is_alive(r))
		sas_lease_end(r, t);
	sas_process_unlock();
	sas_here.depth = 0;
}

static void thread_end(void *arg)
{
	struct sas_thread *t = arg;

	/* A thread that ends inside a call, or while it has seized a region, counts as dead: its mutex stays
	 * locked, and the kernel marks it. Locks that it holds are given back as if it were. */
	for (unsigned i = 0; i < SAS_REGIONS_MAX; i++) {
		struct sas_membership *m = &t->member[i];

		if (m->run && !sas_here.depth && !t->seized) {
			if (m->locks && sas_held_any(m->locks)) {
				sas_hold_recover(m->run, m->slot);
				sas_locks_forget(m->locks);
			}
			end_lease(t, i);
			give_up(m);
			continue;
		}
		sas_locks_free(m->locks);
		if (!sas_here.depth)
			sas_lease_drop(m->lease);
		/* What it has deferred is this process's, and waits on without it: the slot will be another thread's. */
		if (m->limbo)
			sas_limbo_abandon(m->limbo);
	}
	sas_self = NULL;
	/* Destructors that come later may still call: the notes point into the record. */
	memset(sas_here.notes, 0, sizeof sas_here.notes);
	if (!sas_here.depth && !t->seized)
		free(t);
}

static struct sas_thread *this_thread(void)
{
	struct sas_thread *t = sas_self;

	if (t)
		return t;
	t = calloc(1, sizeof *t);
	if (t && pthread_setspecific(thread_key, t) != 0) {
		free(t);
		t = NULL;
	}
	sas_self = t;
	return t;
}

/* File space and mutexes for the next step of thread slots; the store of thread_top publishes them. */
static int grow_threads(struct sas_region *r)
{
	struct sas_run_header *h = r->run->header;
	uint32_t top = sas_load_relaxed_u32(&h->thread_top);
	int error = 0;

	if (top + SAS_RUN_STEP > SAS_RUN_THREADS)
		return sas_fail(EAGAIN, "%s: all %u thread slots are in use", r->path, SAS_RUN_THREADS);
	error = sas_run_reserve(r, r->run, SAS_RUN_THREAD_OFFSET + top * sizeof(struct sas_run_thread),
				SAS_RUN_STEP * sizeof(struct sas_run_thread));
	if (error)
		return sas_fail(-error, "%s/" SAS_RUN_NAME ": no room for more threads: %s", r->path, strerror(-error));
	for (uint32_t i = top; i < top + SAS_RUN_STEP && !error; i++) {
		memset(&r->run->threads[i], 0, sizeof r->run->threads[i]);
		error = sas_run_make_lock(&r->run->threads[i].life);
	}
	if (error)
		return sas_fail(-error, "%s: cannot make a thread slot: %s", r->path, strerror(-error));
	sas_store_release_u32(&h->thread_top, top + SAS_RUN_STEP);
	return 0;
}

/* The lowest free slot that has a log, its mutex held. 1: there is none. */
static int claim_thread_slot(struct sas_region *r, uint32_t *number)
{
	uint64_t top = sas_load_acquire_u32(&r->run->header->thread_top), logs = sas_log_available(r);

	for (uint32_t i = 0; i < top && i < logs; i++) {
		struct sas_run_thread *slot = &r->run->threads[i];
		int died;

		if (sas_load_acquire_u32(&slot->state) != SAS_RUN_FREE || sas_run_trylock(&slot->life, &died) != 0)
			continue;
		*number = i;
		return 0;
	}
	return 1;
}

/* The same; recovers dead owners when all are taken, and makes more slots. table_lock held. */
static int find_thread_slot(struct sas_region *r, uint32_t *number)
{
	struct sas_run_header *h = r->run->header;
	int error;

	if (claim_thread_slot(r, number) == 0)
		return 0;
	error = sas_recover_locked(r);
	if (error > 0 && claim_thread_slot(r, number) == 0)
		return 0;
	if (error < 0)
		return error;
	if (sas_load_acquire_u32(&h->thread_top) >= sas_log_available(r))
		return sas_fail(EAGAIN, "%s: all intent logs are in use", r->path);
	error = grow_threads(r);
	if (!error && claim_thread_slot(r, number) != 0)
		error = sas_fail(EAGAIN, "%s: no thread slot is free", r->path);
	return error;
}

/* Whatever a free slot says: a file at rest may be damaged. Its numbers go on. */
static void empty_slot(struct sas_run_thread *slot)
{
	sas_store_relaxed_u64(&slot->lock_pending, sas_load_relaxed_u64(&slot->lock_pending) >> 33 << 33);
	sas_store_relaxed_u64(&slot->lock_wait, sas_load_relaxed_u64(&slot->lock_wait) >> 32 << 32);
	sas_store_relaxed_u32(&slot->lock_latch, 0);
	for (uint32_t i = 0; i < SAS_RUN_HOLDS; i++)
		sas_store_relaxed_u32(&slot->holds[i], 0);
	sas_store_relaxed_u64(&slot->epoch, 0);
	sas_store_relaxed_u64(&slot->epoch_calls, 0);
	sas_store_relaxed_u64(&slot->epoch_bytes, 0);
	sas_store_relaxed_u64(&slot->epoch_frees, 0);
	sas_store_relaxed_u64(&slot->epoch_free_bytes, 0);
	sas_store_relaxed_u32(&slot->lease_busy, 0);
	sas_store_relaxed_u32(&slot->update_awaited, 0);
	for (unsigned i = 0; i < SAS_RUN_UPDATES; i++)
		sas_store_relaxed_u64(&slot->updates[i], 0);
}

/* Numbers that no other thread gets as long as the region's files exist, a step at a time: durable before the first is used.
 * table_lock held. */
static int draw_tickets(struct sas_region *r)
{
	r->ticket = sas_m_fetch_add_relaxed_u64(&r->state->tickets, SAS_TICKETS) + 1;
	r->ticket_end = r->ticket + SAS_TICKETS;
	return sas_persist(r, r->state, sizeof *r->state);
}

/* The mark of who changes something: its slot, and a ticket of its own. Who only reads has none. */
static int draw_token(struct sas_region *r, struct sas_membership *m)
{
	int error = r->flags & SAS_JOIN_READONLY || r->ticket < r->ticket_end ? 0 : draw_tickets(r);

	m->token = SAS_TOKEN_PLAIN;
	if (error || r->flags & SAS_JOIN_READONLY)
		return error;
	sas_m_store_relaxed_u64(&m->place->ticket, r->ticket++ & SAS_TICKET_MASK);
	m->token = sas_token(m->place->ticket, m->slot);
	return 0;
}

static int register_thread(struct sas_region *r, struct sas_thread *t)
{
	struct sas_membership *m = &t->member[r->number];
	struct sas_run_thread *slot;
	struct sas_m_log *log;
	uint32_t number = 0;
	int error;

	/* Of a region that had this number before. A lock in it that this thread has seized must not be unmapped while held. */
	if (m->run && t->seized == m->run)
		sas_block_release_seized(t);
	if (m->run)
		give_up(m);
	error = sas_table_lock(r);
	if (error)
		return error;
	sas_err_defer();
	error = find_thread_slot(r, &number);
	if (error)
		goto out;
	slot = &r->run->threads[number];
	empty_slot(slot);
	slot->process = r->process;
	slot->tid = (uint32_t)syscall(SYS_gettid);
	slot->generation = r->generation;
	slot->token = r->token;
	sas_m_store_relaxed_u32(&slot->lives, slot->lives + 1);
	sas_m_store_relaxed_u64(&slot->ticket, 0);
	sas_store_relaxed_u32(&slot->ended, 0);
	/* Publish: from here on the log is ours, and our death is noticed. Pairs with sas_recover_locked(). */
	sas_store_release_u32(&slot->state, SAS_RUN_USED);
	sas_fetch_add_seq_cst_u32(&r->run->references, 1);
	m->run = r->run;
	m->slot = number;
	m->place = slot;
	m->serial = r->serial;
	error = draw_token(r, m);
	if (error)
		goto given_up;
	/* Something is left there when an intent could not be ended. Who only reads has no use for the log. */
	log = r->flags & SAS_JOIN_READONLY ? NULL : sas_log_at(r, number);
	error = r->flags & SAS_JOIN_READONLY ? 0 : log ? sas_log_recover(r, log) : -EUCLEAN;
	if (log && error >= 0)
		error = sas_lease_recover(r, number);
	/* The last log is always kept for the thread that makes more. */
	if (error >= 0 && number + 1 >= sas_log_available(r))
		error = r->flags & SAS_JOIN_READONLY ? sas_fail(EAGAIN, "%s: all intent logs but one are in use", r->path)
						     : sas_log_grow(r, number);
given_up:
	if (error < 0)
		give_up(m);
	else
		error = 0;
out:
	sas_table_unlock(r);
	sas_err_flush();
	return error;
}

int sas_thread_slot(const struct sas_thread *t, const struct sas_region *r)
{
	const struct sas_membership *m = &t->member[r->number];

	return m->run && m->serial == r->serial ? (int)m->slot : -1;
}

void sas_thread_release(struct sas_region *r)
{
	struct sas_thread *t = sas_self;

	if (t && sas_has_seized(t, r))
		sas_block_release_seized(t);
	if (t && sas_thread_slot(t, r) >= 0) {
		memset(sas_here.notes, 0, sizeof sas_here.notes);
		if (sas_region_is_alive(r))
			sas_lease_end(r, t);
		give_up(&t->member[r->number]);
	}
}

static void note_thread(struct sas_thread *t, const struct sas_region *r)
{
	struct sas_note *n = sas_note_of(r);

	if (n->region != r || n->stamp != sas_stamp())
		*n = (struct sas_note){ r, &t->member[r->number], NULL, sas_stamp() };
}

/* The kernel makes the word 0 in a child, so the count is kept elsewhere. */
void sas_threads_look_again(void)
{
	static uint32_t stamps = 1;

	if (++stamps == 0)
		stamps = 1;
	if (sas_fork_word)
		__atomic_store_n(sas_fork_word, stamps, __ATOMIC_RELEASE);
}

/* --- slots of processes */

int sas_table_lock(struct sas_region *r)
{
	int died, error;

	if (sas_self && sas_has_seized(sas_self, r))    /* its block_lock comes after table_lock */
		return sas_fail(EDEADLK, "%s: this thread has seized it; SASRelease() comes first", r->path);
	sas_rank_take(SAS_RANK_TABLE);
	error = sas_run_lock(&r->run->header->table_lock, &died);
	if (error)
		sas_rank_give(SAS_RANK_TABLE);
	/* Nothing to mend: every single store under it leaves the slots whole. */
	return error ? sas_fail(-error, "%s: the participants' lock cannot be taken: %s", r->path, strerror(-error)) : 0;
}

void sas_table_unlock(struct sas_region *r)
{
	sas_run_unlock(&r->run->header->table_lock);
	sas_rank_give(SAS_RANK_TABLE);
}

static int grow_processes(struct sas_region *r)
{
	struct sas_run_header *h = r->run->header;
	uint32_t top = sas_load_acquire_u32(&h->process_top);
	int error;

	if (top + SAS_RUN_STEP > SAS_RUN_PROCESSES)
		return sas_fail(EAGAIN, "%s: all %u process slots are in use", r->path, SAS_RUN_PROCESSES);
	error = sas_run_reserve(r, r->run, SAS_RUN_PROCESS_OFFSET + top * 128UL, SAS_RUN_STEP * 128UL);
	if (error)
		return sas_fail(-error, "%s/" SAS_RUN_NAME ": no room for more processes: %s", r->path, strerror(-error));
	memset(&r->run->processes[top], 0, SAS_RUN_STEP * sizeof r->run->processes[0]);
	sas_store_release_u32(&h->process_top, top + SAS_RUN_STEP);
	return 0;
}

/* A free slot whose byte nobody holds: a child that was forked without our knowledge keeps its parent's. Its byte is ours then. */
static int claim_process_slot(struct sas_region *r, uint32_t *number)
{
	int fd = sas_run_fd(r, r->run), error = fd < 0 ? fd : 0;

	for (uint32_t i = 0; !error; i++) {
		if (i == sas_load_acquire_u32(&r->run->header->process_top)) {
			error = grow_processes(r);
			if (error)
				return error;
		}
		if (sas_load_acquire_u32(&r->run->processes[i].state) != SAS_RUN_FREE)
			continue;
		error = sas_port->ofd_lock(fd, F_WRLCK, sas_run_lock_byte(i), 1);
		if (error == 0) {
			*number = i;
			return 0;
		}
		if (error == -EAGAIN || error == -EACCES)
			error = 0;
	}
	return sas_fail(-error, "%s/" SAS_RUN_NAME ": cannot be locked: %s", r->path, strerror(-error));
}

/* The next generation: 24 bits, as a map entry holds it; never 0, nor that of retired blocks. */
static uint32_t next_generation(struct sas_region *r)
{
	uint32_t g;

	if (r->flags & SAS_JOIN_READONLY)
		return sas_m_load_acquire_u32(&r->state->generation) & 0xffffffU;
	do
		g = (sas_m_fetch_add_relaxed_u32(&r->state->generation, 1) + 1) & 0xffffffU;
	while (g == 0 || g == SAS_M_GENERATION_RETIRED);
	return g;
}

/* The region is not clean any more, in this boot. The boot goes first: a death between the two leaves a clean region
 * that was last used in this boot, which is true. */
static int mark_in_use(struct sas_region *r)
{
	uint8_t boot[16];
	int error = 0;

	sas_port_boot_id(boot);
	if (memcmp(boot, r->state->boot_id, sizeof boot) != 0) {
		memcpy(r->state->boot_id, boot, sizeof boot);
		error = sas_persist(r, r->state, sizeof *r->state);
	}
	if (error || !sas_m_load_acquire_u32(&r->state->clean))
		return error;
	sas_m_store_release_u32(&r->state->clean, 0);
	return sas_persist(r, r->state, sizeof *r->state);
}

/* table_lock held. */
static int register_locked(struct sas_region *r)
{
	struct sas_run_process *p;
	uint32_t number = 0;
	int error = claim_process_slot(r, &number);

	if (error)
		return error;
	p = &r->run->processes[number];
	p->pid = (uint32_t)getpid();
	p->pid_namespace = sas_port_pid_namespace();
	sas_port_random(&p->token, sizeof p->token);
	r->token = p->token;
	p->joined_at = sas_port->now_s();
	p->read_only = (r->flags & SAS_JOIN_READONLY) != 0;
	sas_store_relaxed_u32(&p->epoch_light, 0);
	sas_store_relaxed_u64(&p->epoch_calls, 0);
	sas_store_relaxed_u64(&p->epoch_bytes, 0);
	if (!p->read_only)
		error = mark_in_use(r);
	if (error) {
		sas_port->ofd_lock(r->run->fd, F_UNLCK, sas_run_lock_byte(number), 1);
		return error;
	}
	r->ticket = r->ticket_end = 0;  /* those of a forked child are its parent's */
	/* The new slot does not say that our readers have light fences. */
	sas_store_release_u32(&r->epoch_fences, SAS_FENCES_UNKNOWN);
	r->generation = next_generation(r);
	/* No other process may get it after a power cut: blocks in use carry it. */
	error = p->read_only ? 0 : sas_persist(r, r->state, sizeof *r->state);
	if (error) {
		sas_port->ofd_lock(r->run->fd, F_UNLCK, sas_run_lock_byte(number), 1);
		return error;
	}
	p->generation = r->generation;
	sas_store_release_u32(&p->state, SAS_RUN_USED);
	/* Publish: with it token and generation are there. Pairs with sas_call_enter(). */
	sas_m_store_release_u32(&r->process, number + 1);
	return 0;
}

/* When nobody shows that he lives: recovery would go by them. A process that has lost its file locks finds them stale. Who holds
 * block_lock lives. */
static int distrust_indexes(struct sas_region *r)
{
	int error = sas_block_trylock_raw(r);

	if (error)
		return error == -EBUSY ? 0 : sas_fail(-error, "%s: the block lock cannot be taken: %s", r->path, strerror(-error));
	sas_index_reset(r);
	sas_block_unlock_raw(r);
	return 0;
}

/* What the dead held is given back, and nobody lives: none of what only the living say is so. table_lock held. */
static void begin_alone(struct sas_run *run)
{
	struct sas_run_header *h = run->header;
	uint32_t era;

	sas_port_random(&era, sizeof era);
	sas_store_relaxed_u32(&h->line_era, era | 1);   /* not that of a line that was never used */
	sas_store_relaxed_u32(&h->line_link, 0);
	sas_store_release_u32(&h->seized, 0);
	sas_store_release_u32(&h->unfenced, 0);
	sas_store_release_u32(&h->epoch_light, 0);
	memset(run->updated, 0, SAS_RUN_UPDATED_BITS / 8);
}

static int register_with_table(struct sas_region *r)
{
	struct sas_living living;
	int deserted, error = sas_table_lock(r);

	if (error)
		return error;
	deserted = sas_run_is_deserted(r, r->run);
	error = deserted ? distrust_indexes(r) : 0;
	if (!error)
		error = sas_recover_locked(r);
	if (error >= 0 && deserted && !sas_run_claims_life(r->run))
		begin_alone(r->run);
	if (error >= 0) {
		sas_living_locked(r, &living);
		error = sas_region_begin_use(r, &living);
	}
	if (!error)
		error = register_locked(r);
	sas_table_unlock(r);
	return error;
}

int sas_process_register(struct sas_region *r)
{
	int error = sas_run_show(r, 1);

	if (error)
		return sas_fail(-error, "%s/" SAS_RUN_NAME ": cannot be locked: %s", r->path, strerror(-error));
	sas_err_defer();
	error = register_with_table(r);
	sas_err_flush();
	sas_run_show(r, 0);
	return error;
}

/* table_lock held. */
void sas_process_unregister(struct sas_region *r, struct sas_living *left)
{
	sas_threads_look_again();
	sas_store_release_u32(&r->run->processes[r->process - 1].state, SAS_RUN_FREE);
	if (sas_port_is(r->run->fd, r->run->device, r->run->inode))
		sas_port->ofd_lock(r->run->fd, F_UNLCK, sas_run_lock_byte(r->process - 1), 1);
	r->process = 0;
	sas_living_locked(r, left);
}


/* --- fork */

static void forget(struct sas_region *r)
{
	r->process = 0;
	r->generation = 0;
	sas_store_relaxed_u32(&r->epoch_fences, SAS_FENCES_UNKNOWN);
	if (r->run) {
		/* It shares the parent's file lock; our references are those of the parent's threads. */
		sas_port_close_own(r->run->fd, r->run->device, r->run->inode);
		r->run->fd = -1;        /* sas_run_fd() opens one of the child's own */
		sas_store_relaxed_u32(&r->run->references, 1);
	}
}

/* The memory of its locks and leases stays for its own: this may be the child of a raw clone(2), where free() could hang. */
static void forget_thread(struct sas_thread *t)
{
	for (unsigned i = 0; i < SAS_REGIONS_MAX; i++) {
		struct sas_membership *m = &t->member[i];

		sas_lease_forget(m->lease);
		if (m->locks)
			sas_locks_forget(m->locks);
		*m = (struct sas_membership){ .locks = m->locks, .lease = m->lease };
	}
	memset(sas_here.notes, 0, sizeof sas_here.notes);
	t->reclaiming = 0;
	sas_here.depth = 0;
	t->seized = NULL;
	t->seizes = 0;
}

static void in_child(void)
{
	if (sas_self)
		forget_thread(sas_self);
	sas_epoch_forget();
	for (unsigned i = 0; i < SAS_REGIONS_MAX; i++) {
		struct sas_region *r = sas_load_acquire_ptr(&sas_regions[i].region);

		sas_store_relaxed_u32(&sas_regions[i].handlers, 0);
		if (r)
			forget(r);
	}
	sas_threads_look_again();
}

static void after_fork_in_child(void)
{
	in_child();
	sas_process_unlock();
}

static pthread_once_t started = PTHREAD_ONCE_INIT;
static int apart;

static void start(void)
{
	static uint32_t always;
	uint32_t *word = sas_port_wiped_word();

	sas_fork_word = word ? word : &always;
	*sas_fork_word = 1;
	apart = sas_port_apart();
	if (apart)
		return;
	pthread_key_create(&thread_key, thread_end);
	pthread_atfork(sas_process_lock, sas_process_unlock, after_fork_in_child);
}

/* --- the frame of a call */

/* Reset and remove stamp the region before they touch it; a region formatted anew in place has another generation. */
int sas_region_alive(struct sas_region *r)
{
	if (!sas_region_is_alive(r))
		return sas_fail(ESTALE, "%s: the region was reset or removed; leave it, and join again", r->path);
	return 0;
}

int sas_region_why(struct sas_region *r, int error)
{
	return sas_region_alive(r) != 0 ? -ESTALE : error;
}

int sas_call_enter(struct sas_region *r, unsigned needs, struct sas_thread *t)
{
	int error = sas_region_alive(r);

	if (error)
		return error;
	if ((needs & SAS_CALL_WRITE) && (r->flags & SAS_JOIN_READONLY))
		return sas_fail(EROFS, "%s: joined read-only", r->path);
	if (!sas_m_load_acquire_u32(&r->process) && r->run) {
		sas_err_defer();
		sas_process_lock();
		error = r->process ? 0 : sas_process_register(r);
		sas_process_unlock();
		sas_err_flush();
	}
	if (!error && (needs & SAS_CALL_SLOT) && !r->run)
		error = sas_fail(EROFS, "%s: joined without " SAS_RUN_NAME, r->path);
	if (!error && (needs & SAS_CALL_SLOT) && sas_thread_slot(t, r) < 0)
		error = register_thread(r, t);
	if (!error && (needs & SAS_CALL_SLOT))
		note_thread(t, r);
	return error ? sas_region_why(r, error) : 0;
}

int sas_frame_begin(struct sas_thread **thread)
{
	struct sas_thread *t;
	int cancel;

	pthread_once(&started, start);
	if (apart)
		return sas_fail(ENOTSUP, "this library is loaded in a name space of its own, by dlmopen(3), where the C library "
				"cannot keep data of threads; load it by dlopen(3)");
	if (sas_stamp() == 0)
		in_child();
	t = this_thread();
	if (!t)
		return sas_fail(ENOMEM, "no memory for this thread's record");
	if (sas_here.depth)
		return -EDEADLK;        /* in a signal handler that interrupted a call: no sentence can be made here */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	sas_here.depth = 1;
	t->cancel = cancel;
	*thread = t;
	return 0;
}

int sas_call_begin(struct sas_region *r, unsigned needs, struct sas_thread **thread)
{
	int error = sas_frame_begin(thread);

	if (error)
		return error;
	error = sas_call_enter(r, needs, *thread);
	if (error)
		sas_call_end(*thread);
	return error;
}

int sas_call_result(struct sas_thread *t, struct sas_region *r, int error)
{
	if (error < 0)
		error = sas_region_why(r, error);
	sas_call_end(t);
	return error;
}

void sas_call_end(struct sas_thread *t)
{
	int cancel = t->cancel;

	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	sas_here.depth = 0;
	pthread_setcancelstate(cancel, NULL);
}
