/* SPDX-License-Identifier: MIT */
/*
 * recover.c - what the living do for the dead.
 *
 * A thread slot in use whose life mutex says OWNER_DIED belonged to a thread that died. Who finds it owns the
 * mutex and with it the slot's intent log: it completes or undoes the intent, frees the slot, and lets go. If it
 * dies itself on the way, the mutex says OWNER_DIED again and the next one repeats what is idempotent.
 *
 * Nothing is recovered on a guess: not by pids, and not by a file lock alone.
 *
 * Locks: table_lock held in the _locked forms; takes block_lock through typed records.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <string.h>
#include "block/block.h"
#include "epoch/epoch.h"
#include "ground/err.h"
#include "lock/hold.h"
#include "block/index.h"
#include "block/lease.h"
#include "run/log.h"
#include "media/persist.h"
#include "ground/port.h"
#include "run/run_lease.h"
#include "run/run_page.h"
#include "runtime.h"
#include "sasregion.h"
#include "media/segment.h"

/* What nobody may wait for any more: the next one may find the slot still in use, and its mutex without the mark of death. */
static void let_others_go_on(struct sas_region *r, uint32_t number)
{
	sas_hold_recover(r->run, number);
	sas_store_release_u64(&r->run->threads[number].epoch, 0);
}

/* The life mutex is ours. The slot stays in use when the log could not be recovered: the next one tries again. */
static int recover_slot(struct sas_region *r, uint32_t number)
{
	struct sas_run_thread *slot = &r->run->threads[number];
	struct sas_m_log *log = sas_log_at(r, number);
	int error = 0;

	/* Before its locks are others': its log may have words of the objects that they guard. Where it cannot be recovered, nobody is to
	 * wait for ever. */
	if (!(r->flags & SAS_JOIN_READONLY))
		error = log ? sas_log_recover(r, log) : -EUCLEAN;
	let_others_go_on(r, number);
	if (r->flags & SAS_JOIN_READONLY)       /* the log is left to who may write */
		return 0;
	if (error >= 0)
		error = sas_lease_recover(r, number);
	if (error < 0)
		return error;
	sas_epoch_end_slot(r->run, number);
	sas_run_page_give_all(r->run, number + 1);
	sas_store_release_u32(&slot->state, SAS_RUN_FREE);
	sas_fetch_add_relaxed_u32(&r->run->header->recoveries, 1);
	if (sas_own_slot(r))
		sas_run_count(&sas_own_slot(r)->counters.recoveries);
	return 0;
}

static int is_pending(struct sas_region *r, uint32_t number)
{
	struct sas_m_log *log = sas_log_at(r, number);

	return !log || (log->magic == SAS_M_MAGIC_LOG && sas_m_load_acquire_u32(&log->state) != SAS_M_LOG_IDLE);
}

/* Who only reads cannot recover a log, and would give back what the dead one held before that is done. */
static int is_left_to_writers(struct sas_region *r, uint32_t number)
{
	uint32_t top = sas_load_acquire_u32(&r->run->header->process_top), i = 0;

	if (!(r->flags & SAS_JOIN_READONLY) || !is_pending(r, number))
		return 0;
	while (i < top && (sas_load_acquire_u32(&r->run->processes[i].state) != SAS_RUN_USED || r->run->processes[i].read_only))
		i++;
	return i < top;
}

/* 0: alive, or no longer in use; 1: recovered; -errno. A slot that was given up may still list segments (lease.h). */
static int try_slot(struct sas_region *r, uint32_t number)
{
	struct sas_run_thread *slot = &r->run->threads[number];
	int died, error, used = sas_load_acquire_u32(&slot->state) == SAS_RUN_USED;

	if ((!used && !sas_lease_lists_any(slot)) || (used && is_left_to_writers(r, number)))
		return 0;
	error = sas_run_trylock(&slot->life, &died);
	if (error == -EBUSY)
		return 0;
	if (error)
		return sas_fail(-error, "%s: thread slot %u cannot be taken over: %s", r->path, number, strerror(-error));
	sas_store_release_u32(&slot->ended, 1);
	error = sas_load_acquire_u32(&slot->state) == SAS_RUN_USED ? recover_slot(r, number) : sas_lease_recover(r, number);
	sas_run_unlock(&slot->life);
	return error < 0 ? error : used;
}

/*
 * A holder of block_lock died. The kernel marks a dead thread's mutexes one after the other, block_lock before
 * the older life mutex, so the mark on that may be on its way: wait for it.
 */
static int await_holder(struct sas_region *r)
{
	struct sas_run_header *h = r->run->header;
	uint64_t owner = sas_load_acquire_u64(&h->dirty_owner), number = (owner & 0xffffffffU) - 1;
	struct sas_run_thread *slot;
	uint64_t until;
	int died, error;

	if (owner == 0 || number >= sas_load_acquire_u32(&h->thread_top))
		return 0;
	slot = &r->run->threads[number];
	/* Somebody may have recovered it already, by its life mutex, and another thread have its slot. */
	if (sas_load_acquire_u32(&slot->state) != SAS_RUN_USED || slot->lives != (uint32_t)(owner >> 32))
		return 0;
	until = sas_port->now_ns() + 1000000000U;
	while ((error = sas_run_trylock(&slot->life, &died)) == -EBUSY && sas_port->now_ns() < until)
		sched_yield();
	if (error)
		return sas_fail(EAGAIN, "%s: a thread died with the block lock, but its end is not over: %s", r->path,
				strerror(-error));
	sas_run_unlock(&slot->life);
	return 0;
}

/* How many threads. */
static int recover_threads(struct sas_region *r)
{
	uint32_t top = sas_load_acquire_u32(&r->run->header->thread_top);
	int count = 0;

	for (uint32_t i = 0; i < top; i++) {
		int error = try_slot(r, i);

		if (error < 0)
			return error;
		count += error;
	}
	return count;
}

int sas_recover_locked(struct sas_region *r)
{
	struct sas_run_header *h = r->run->header;
	int writes = !(r->flags & SAS_JOIN_READONLY), count = 0, error;
	uint32_t dirty;

	do {
		dirty = writes ? sas_load_acquire_u32(&h->block_dirty) : 0;
		error = dirty ? await_holder(r) : 0;
		if (!error)
			error = recover_threads(r);
		if (error < 0)
			return error;
		count += error;
		/* We may have been the first to take block_lock from a dead holder: then wait for its end as well. */
	} while (writes && !dirty && sas_load_acquire_u32(&h->block_dirty));
	/* Nobody has changed anything under the lock since: who takes it while dirty is set lets go again. */
	if (dirty) {
		sas_store_relaxed_u64(&h->dirty_owner, 0);
		sas_store_release_u32(&h->block_dirty, 0);
	}
	return count;
}

static int is_dead(const struct sas_run_thread *slot)
{
	return (__atomic_load_n(&slot->life.__data.__lock, __ATOMIC_ACQUIRE) & FUTEX_OWNER_DIED) &&
	       sas_load_acquire_u32(&slot->state) == SAS_RUN_USED;
}

int sas_any_dead(const struct sas_region *r)
{
	uint32_t top = sas_load_acquire_u32(&r->run->header->thread_top);

	for (uint32_t i = 0; i < top; i++)
		if (is_dead(&r->run->threads[i]))
			return 1;
	return 0;
}

/* The life mutex is all that this takes. The slot stays in use, its mutex free, for who recovers the rest. */
int sas_recover_holds(struct sas_region *r)
{
	uint32_t top = sas_load_acquire_u32(&r->run->header->thread_top);
	int count = 0;

	for (uint32_t i = 0; i < top; i++) {
		struct sas_run_thread *slot = &r->run->threads[i];
		int died;

		if (!is_dead(slot) || sas_run_trylock(&slot->life, &died) != 0)
			continue;
		if (sas_load_acquire_u32(&slot->state) == SAS_RUN_USED) {
			let_others_go_on(r, i);
			count++;
		}
		sas_run_unlock(&slot->life);
	}
	return count;
}

int sas_recover(struct sas_region *r)
{
	int count, error = sas_table_lock(r);

	if (error)
		return error;
	sas_err_defer();
	count = sas_recover_locked(r);
	sas_table_unlock(r);
	sas_err_flush();
	return count;
}

/*
 * A thread that is not its process's first and calls execve(2) takes the first one's id before the kernel looks at its
 * robust mutexes, and finds none that it knows. Its process holds no file lock any more, and no thread has the id in the
 * word: that proves the death that the kernel did not mark, so we mark it.
 */
static void mark_gone(struct sas_region *r, const struct sas_run_process *p, uint32_t number)
{
	struct sas_run_thread *slot = &r->run->threads[number];
	uint32_t word = (uint32_t)__atomic_load_n(&slot->life.__data.__lock, __ATOMIC_ACQUIRE);
	int seen = (int)word, died = (int)((word & FUTEX_WAITERS) | FUTEX_OWNER_DIED);
	uint64_t ours = sas_port_pid_namespace();

	if (!(word & FUTEX_TID_MASK) || (word & FUTEX_OWNER_DIED) || ours == 0 || p->pid_namespace != ours ||
	    sas_port_thread_exists((int)p->pid, (int)(word & FUTEX_TID_MASK)))
		return;
	if (__atomic_compare_exchange_n(&slot->life.__data.__lock, &seen, died, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
		try_slot(r, number);
}

/* Has the process, whose byte nobody holds, a living thread? */
static int has_threads(struct sas_region *r, const struct sas_run_process *p)
{
	uint32_t top = sas_load_acquire_u32(&r->run->header->thread_top);
	int found = 0;

	for (uint32_t i = 0; i < top; i++) {
		const struct sas_run_thread *slot = &r->run->threads[i];

		if (sas_load_acquire_u32(&slot->state) != SAS_RUN_USED || slot->token != p->token)
			continue;
		mark_gone(r, p, i);
		found |= sas_load_acquire_u32(&slot->state) == SAS_RUN_USED;
	}
	return found;
}

/* A process is alive while it holds its file lock, or one of its threads its mutex. */
static int is_living(struct sas_region *r, uint32_t number, int fd)
{
	if (number + 1 == r->process)
		return 1;
	if (fd < 0 || sas_port->ofd_test(fd, F_WRLCK, sas_run_lock_byte(number), 1) != 0)
		return 1;
	return has_threads(r, &r->run->processes[number]);
}

int sas_intents_pending(struct sas_region *r)
{
	uint32_t top = sas_load_acquire_u32(&r->run->header->thread_top);

	for (uint32_t i = 0; i < top; i++)
		if (sas_load_acquire_u32(&r->run->threads[i].state) == SAS_RUN_USED && is_pending(r, i))
			return 1;
	return 0;
}

void sas_living_locked(struct sas_region *r, struct sas_living *living)
{
	uint32_t top = sas_load_acquire_u32(&r->run->header->process_top);
	int fd = sas_run_fd(r, r->run);

	memset(living, 0, sizeof *living);
	for (uint32_t i = 0; i < top; i++) {
		struct sas_run_process *p = &r->run->processes[i];

		if (sas_load_acquire_u32(&p->state) != SAS_RUN_USED)
			continue;
		if (!is_living(r, i, fd))
			sas_store_release_u32(&p->state, SAS_RUN_FREE);
		else if (p->read_only)
			living->readers++;
		else
			living->writers++;
	}
}

/* A log that was never written is a page of zeros. */
int sas_recover_all_logs(struct sas_region *r)
{
	uint64_t count = sas_log_available(r);
	int error = 0;

	for (uint64_t i = 0; i < count && error >= 0; i++) {
		struct sas_m_log *log = sas_log_at(r, i);

		error = log ? sas_log_recover(r, log) : -EUCLEAN;
	}
	return error < 0 ? error : 0;
}

/* --- after a reboot */

static void tell(const char *file, uint64_t offset, const char *sentence, void *arg)
{
	(void)arg;
	sas_note(SAS_ERR_WARNING, "%s, offset %#llx: %s", file, (unsigned long long)offset, sentence);
}

static int is_retired(const struct sas_tile *tile)
{
	return tile->state == SAS_M_USED && sas_entry_generation(tile->entry) == SAS_M_GENERATION_RETIRED;
}

/* Nothing is known of the bytes of free space: some pages are old and some new. */
static int doubt_map(struct sas_region *r, uint64_t n)
{
	struct sas_map map;
	struct sas_tile tile;
	uint64_t unit = 0, from = 0, at;
	int more, error = sas_map_units(r, n, &map);

	if (error)
		return error;
	do {
		at = unit;
		more = sas_tile_next(&map, &unit, &tile);
		if (more < 0)
			return -EUCLEAN;
		/* Its readers have gone with the boot. An entry in use must not become stale (M2). */
		if (more && is_retired(&tile)) {
			sas_tile_free(&map, tile.head, tile.order, SAS_M_DIRTY);
			continue;
		}
		if (more && tile.state != SAS_M_USED)
			continue;
		/* [from, at) is free: cover it with tiles that promise nothing; each swallows whole tiles. */
		while (from < at) {
			uint32_t k = from ? (uint32_t)__builtin_ctzll(from) : map.top;

			while (k > map.top || from + (1ULL << k) > at)
				k--;
			sas_tile_free(&map, from, k, SAS_M_DIRTY);
			from += 1ULL << k;
		}
		from = unit;
	} while (more);
	return sas_persist(r, map.entries, map.units * sizeof map.entries[0]);
}

static int free_retired(struct sas_region *r, const struct sas_map *map, const struct sas_tile *tile)
{
	uint32_t *entry = map->entries + tile->head * map->stride;

	if (!is_retired(tile))
		return 0;
	sas_tile_free(map, tile->head, tile->order, SAS_M_DIRTY);
	return sas_persist(r, entry, sizeof *entry);
}

static int free_retired_in(struct sas_region *r, uint64_t n)
{
	struct sas_map map;
	struct sas_tile tile;
	uint64_t unit = 0;
	int error = sas_map_units(r, n, &map);

	while (!error && sas_tile_next(&map, &unit, &tile) > 0)
		error = free_retired(r, &map, &tile);
	return error;
}

/* The run file that says who waits for them is lost, and nobody who could see them lives. Each is one store; the indexes are
 * not built yet. */
int sas_recover_retired(struct sas_region *r)
{
	struct sas_map map;
	struct sas_tile tile;
	int error = 0;

	sas_map_segments(r, &map);
	for (uint64_t unit = 0; !error && sas_tile_next(&map, &unit, &tile) > 0;)
		error = sas_entry_carved(tile.entry) ? free_retired_in(r, tile.head) : free_retired(r, &map, &tile);
	return error;
}

int sas_recover_boot(struct sas_region *r)
{
	struct sas_map map;
	struct sas_tile tile;
	int error = sas_recover_all_logs(r);

	if (!error && sas_check_structure(r->path, tell, NULL) != 0)
		return sas_fail(EUCLEAN, "%s: the machine stopped while the region was in use, and its files do not fit "
				"together any more; sasphere check says where, and --repair what can be done", r->path);
	sas_map_segments(r, &map);
	for (uint64_t unit = 0; !error && sas_tile_next(&map, &unit, &tile) > 0;) {
		if (sas_entry_carved(tile.entry))
			error = doubt_map(r, tile.head);
		else if (tile.state != SAS_M_USED || is_retired(&tile)) /* also where the file is, but not its table entry */
			sas_tile_free(&map, tile.head, tile.order, SAS_M_DIRTY);
	}
	/* Before a block covers what was retired (M2). */
	return error ? error : sas_persist(r, r->table, r->segments * sizeof r->table[0]);
}
