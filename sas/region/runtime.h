/* SPDX-License-Identifier: MIT */
/*
 * runtime.h - joining and leaving, the frame around every call, recovery. Layer 3.
 *
 * Lock order (a thread takes them from the top down only):
 *   1  process lock      this process: joins, leaves, the list of regions; held over fork
 *   2  anchor file lock  all processes: joining (shared) against formatting, reset, removal (exclusive)
 *   3  table_lock        SAS.run: slots
 *   4  a dead thread's life mutex, by who recovers it; a living one is only tried
 *   5  block_lock        SAS.run: maps and index
 *   6  a bucket's latch  SAS.run: places in the table of address locks; no two at once (lock_table.h)
 *   7  grow_lock         SAS.run: file space of pages and lock lines
 *   8  sync_lock         SAS.run: a sync, until its failure is noted (persist.h)
 * Beside these, of this process: helper_lock (epoch_helper.c), under which none of them is taken; and a limbo's lock
 * (epoch_defer.h), which may be taken under any of them, and under which nothing is taken.
 *
 * Multi-host: table_lock and block_lock stand for the address locks of the anchor's state page
 * and of a segment's map; nothing in a segment names a pid, a descriptor or a mutex.
 */
#ifndef SAS_RUNTIME_H
#define SAS_RUNTIME_H

#include <stddef.h>
#include "region.h"

struct SASRegionOptions;
struct sas_living { unsigned readers, writers; };

/* --- region.c: this process's regions */
int sas_region_join(const char *path, const struct SASRegionOptions *options, int classic, struct sas_region **out);
/* Undo one join, a classic one or one by handle. */
int sas_region_leave(struct sas_region *r, int classic);
/* Undo one join, or all of them. Process lock held. */
void sas_region_leave_locked(struct sas_region *r, int classic, int all);
extern struct sas_region *sas_classic_region __attribute__((visibility("hidden")));
static inline struct sas_region *sas_region_default(void) { return __atomic_load_n(&sas_classic_region, __ATOMIC_ACQUIRE); }
/* Checks a handle that a program gave. EINVAL with a sentence. */
int sas_region_known(const struct sas_region *r);
int sas_region_rejoin(struct sas_region *r, const struct SASRegionOptions *o);
void sas_region_release(struct sas_region *r);          /* after reset/remove: drop everything mapped */
/* The frame of calls that make and end regions: refuses re-entry, holds the process lock, tells messages after it. */
int sas_change_begin(struct sas_thread **t);
void sas_change_end(struct sas_thread *t);
void sas_process_lock(void);
void sas_process_unlock(void);
void sas_memrange(uintptr_t *low, uintptr_t *high);
void sas_memrange_set(uintptr_t low, uintptr_t high);

/* --- region_open.c: from a directory to a region that is mapped and registered */
/* r has its path and directory. */
int sas_region_open(struct sas_region *r, const struct SASRegionOptions *o, int classic);
/* Drop what this process has mapped, without unregistering. */
void sas_region_detach(struct sas_region *r);
/* What the first participant, and the first one that writes, finds out for those that follow. table_lock held. */
int sas_region_begin_use(struct sas_region *r, const struct sas_living *living);
/* Is the anchor file that is open as fd still the one with the name? 1, 0, or -errno and a sentence. */
int sas_region_in_place(struct sas_region *r, int fd);

/* --- region_create.c */
/* Make the anchor of a new region in r's directory; -EEXIST when somebody was faster. */
int sas_region_create(struct sas_region *r, const struct SASRegionOptions *options, int classic);
/* In files that exist at full size; the anchor's is open and locked. 0 also when it is a region already. */
int sas_region_create_preallocated(struct sas_region *r, int anchor_fd, const struct SASRegionOptions *options);

/* --- region_remove.c */
/* The region is stamped dead: delete its files, if its remover is gone. Anchor lock shared, on return free. */
int sas_region_complete_removal(struct sas_region *r, int anchor_fd);
int sas_region_remove(struct sas_region *r);
int sas_region_remove_path(const char *path, int force);
int sas_region_reset(struct sas_region *r);

/* --- participant.c: the frame of a call, threads, processes */
#define SAS_CALL_WRITE 1U       /* EROFS in a read-only region */
#define SAS_CALL_SLOT 2U        /* needs the thread's slot and intent log */
/* The outer frame alone: EDEADLK; ended by sas_call_end(). */
int sas_frame_begin(struct sas_thread **t);
/* Begin a call: refuses re-entry (EDEADLK) and dead regions (ESTALE), disables cancellation. */
int sas_call_begin(struct sas_region *r, unsigned needs, struct sas_thread **t);
/* The rest of it, for who is in a frame already. */
int sas_call_enter(struct sas_region *r, unsigned needs, struct sas_thread *t);
void sas_call_end(struct sas_thread *t);
/*
 * Not 0, and another one after each join, leave and fork of this process; the kernel makes it 0 in the child of a raw clone(2). What a
 * thread has noted of a region holds as long as the stamp is the same.
 */
extern uint32_t *sas_fork_word __attribute__((visibility("hidden")));
static inline uint32_t sas_stamp(void) { return __atomic_load_n(sas_fork_word, __ATOMIC_RELAXED); }
/* All notes of all threads end. Process lock held. */
void sas_threads_look_again(void);
static inline int sas_region_is_alive(const struct sas_region *r)
{
	return sas_m_load_acquire_u32(&r->state->life) == SAS_M_LIFE_ACTIVE &&
	       sas_m_load_relaxed_u32(&r->live->generation) == r->anchor.generation;
}
/* The frame of calls that end in nanoseconds: the thread's record when nothing stands in the way of it (it has a slot in r, is
 * in no call, r is alive), else NULL: by sas_call_begin(), which finds the reason. Ended by sas_thread_done(). Cancellation
 * stays as it is: who is cancelled asynchronously in the middle ends inside a call, which counts as death. */
static inline struct sas_thread *sas_thread_fast(const struct sas_region *r)
{
	struct sas_thread *t = sas_self;

	if (!t || sas_here.depth || sas_stamp() == 0 || t->member[r->number].serial != r->serial || !sas_region_is_alive(r))
		return 0;
	sas_here.depth = 1;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	return t;
}
/* The same for a handle that a program gave, any pointer, and without the mark of being in a call: what the thread has noted of its
 * place there. */
static inline struct sas_note *sas_note_of(const struct sas_region *r)
{
	return &sas_here.notes[(unsigned)((uintptr_t)r >> 12) % SAS_NOTES];
}
static inline struct sas_note *sas_noted(const struct sas_region *r)
{
	struct sas_note *n = sas_note_of(r);

	/* NULL is no region: an empty note has it, and there may be no stamp yet. */
	return !sas_here.depth && r && n->region == r && n->stamp == sas_stamp() ? n : 0;
}
static inline void sas_thread_done(void)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	sas_here.depth = 0;
}
/* ESTALE, with a sentence, when it was reset or removed. */
int sas_region_alive(struct sas_region *r);
/* What fails beside a reset or removal fails for that reason, whatever it met first: -ESTALE, or the error. */
int sas_region_why(struct sas_region *r, int error);
/* Ends it, and gives the error that the caller is told: ESTALE when the region has gone meanwhile. */
int sas_call_result(struct sas_thread *t, struct sas_region *r, int error);
/* Register the process: a slot and a generation. Holds the process lock; takes table_lock. */
int sas_process_register(struct sas_region *r);
void sas_process_unregister(struct sas_region *r, struct sas_living *left);
void sas_thread_release(struct sas_region *r);          /* the calling thread's slot */
int sas_thread_slot(const struct sas_thread *t, const struct sas_region *r);    /* -1: none */
int sas_table_lock(struct sas_region *r);
void sas_table_unlock(struct sas_region *r);

/* --- log_grow.c */
/* Make a chunk of further intent logs. Called by the thread of slot `slot`; table_lock held. */
int sas_log_grow(struct sas_region *r, uint64_t slot);

/* --- recover.c */
/* Recover dead threads and free dead processes' slots; table_lock held. How many threads. */
int sas_recover_locked(struct sas_region *r);
int sas_recover(struct sas_region *r);
/* Where that fails, or is not for this thread, which has seized the region: only what the dead hold is given back. How many. */
int sas_recover_holds(struct sas_region *r);
/* Is there a dead thread that nobody has recovered? No lock. */
int sas_any_dead(const struct sas_region *r);
/* All logs, whoever wrote them: nobody lives in the region. */
int sas_recover_all_logs(struct sas_region *r);
/* Some slot's log is not idle. table_lock held. */
int sas_intents_pending(struct sas_region *r);
/* The processes that live, this one included; the slots of dead ones are freed. table_lock held. */
void sas_living_locked(struct sas_region *r, struct sas_living *living);
/* Another boot, not left cleanly: check and normalise the maps, or -EUCLEAN. */
int sas_recover_boot(struct sas_region *r);
/* Free what is retired, by the maps: there is no other word of it. table_lock held, nobody writes. */
int sas_recover_retired(struct sas_region *r);

/* --- check.c: only what fits together, not the bytes of free space. How many problems; -errno. */
long sas_check_structure(const char *path, void (*problem)(const char *, uint64_t, const char *, void *), void *arg);

#endif
