/* SPDX-License-Identifier: MIT */
/*
 * epoch.h - who may still see what has been taken out of a shared structure. Layer 2.
 *
 * A reader's outermost enter publishes the epoch of the region in its thread slot, its last exit stores 0. A writer
 * that has unlinked something tags it with the epoch read after that. A look begins the next epoch, orders all readers'
 * stores, and reads all slots: `safe` is the new epoch, or the lowest one that a living reader has published. What
 * has a tag below `safe` is seen by nobody. Nothing waits for readers to come along: the epoch goes on beside a
 * reader that stalls, and only what was tagged since that one entered is held back.
 *
 * Why. Let W unlink x, fence, read tag t; L look: begin epoch g, barrier, read the slots, conclude safe > t; R hold x.
 *   R published before L's barrier: L sees its epoch e (or its end, and then acquires all that R did), so safe <= e. R
 *     read e before it read x, and x before W's unlink; had W read t < e after that, its unlink would be older than e,
 *     and R, which saw e, would see the unlink (W's fence, R's acquire). So t >= e >= safe: a contradiction.
 *   R published after it: then it reads x after L's barrier too, so after all that L had seen. L read an epoch above
 *     t, which W had read after its fence: so R sees the unlink, and never finds x.
 * R's epoch may be old when it publishes it: that holds back more than needed, and nothing depends on its being new.
 *
 * Fences. R's publishing store has to come before its loads. With SAS_FENCES_LIGHT only the compiler keeps them in
 * order, and the barrier in L is membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED), which makes each processor that runs a
 * registered process pass a full barrier: it falls before R's store or after it, which are the two cases above. A processor that
 * runs R only later passes one in the scheduler. With SAS_FENCES_FULL R has a fence of its own. The process slot says
 * which; where a light process may live and the kernel refuses L the call, L concludes nothing. The header's epoch_light is
 * stored, with a fence, before the first light enter, so a look that finds it 0 meets no light reader that could
 * miss what was unlinked before. ThreadSanitizer knows nothing of membarrier: there all are full.
 *
 * Locks: none. Signals: entering and leaving are the calling thread's own stores.
 * Crash: a dead reader's slot says so by its life word, and is not waited for; recovery stores 0 there.
 * Multi-host: SAS.run is one host's: a region that several hosts write needs another service.
 */
#ifndef SAS_EPOCH_H
#define SAS_EPOCH_H

#include <stdint.h>
#include "region/region.h"

#define SAS_FENCES_UNKNOWN 0U
#define SAS_FENCES_FULL 1U
#define SAS_FENCES_LIGHT 2U

#define SAS_EPOCH_STEP 2U       /* the lowest bit says in a slot that its thread is inside */

/* What a look has found. Sums are of the living, and of the frees of the dead that are not recovered yet. */
struct sas_epoch_view {
	uint64_t epoch, safe;
	uint64_t calls, frees, bytes;
	uint64_t deferred, reclaimed;   /* by the threads' counters */
	uint32_t threads, readers, dead;        /* that have slots, that are inside, that died and are not recovered */
	int64_t slowest;                /* the slot of the reader that is farthest behind; -1: none is */
	uint64_t slowest_epoch, slowest_since;
};

/* This process's first reader in r: light fences if the kernel has them. */
void sas_epoch_choose(struct sas_region *r);
/* Begin the next epoch and look; -errno (no sentence) when the readers' stores cannot be ordered: then `safe` stays. */
int sas_epoch_advance(struct sas_region *r, struct sas_epoch_view *view);
/* What threads with light fences have published, and what their loads depend on, is in order: a barrier in each that runs. -errno, no
 * sentence: the kernel refuses it. Also for those that announce updates (update.h). */
int sas_epoch_order(const struct sas_run *run);
/* Look alone. */
void sas_epoch_look(struct sas_region *r, struct sas_epoch_view *view);
/* Process slots say that readers with light fences live. */
int sas_epoch_light_lives(const struct sas_run *run);
/* The thread of a slot is alive, as far as the kernel has told. */
int sas_epoch_is_living(const struct sas_run *run, uint32_t slot);
/* A thread gives its slot up, or has died: it is in no section, and its pages of deferred frees are orphans. */
void sas_epoch_end_slot(struct sas_run *run, uint32_t slot);
/* What may be held back. */
void sas_epoch_limits(const struct sas_region *r, uint64_t *bytes, uint64_t *count);

/* For people; 0: unknown. */
static inline uint32_t sas_epoch_pid(const struct sas_run *run, const struct sas_run_thread *slot)
{
	return slot->process && slot->process <= SAS_RUN_PROCESSES ? run->processes[slot->process - 1].pid : 0;
}

/* The tag of what the calling thread, and whoever it knows of, has unlinked before. */
static inline uint64_t sas_epoch_tag(const struct sas_run *run)
{
#ifndef __SANITIZE_THREAD__
	sas_fence_seq_cst();
#endif
	return sas_load_seq_cst_u64(&run->header->epoch);
}

static inline uint64_t sas_epoch_safe(const struct sas_run *run)
{
	/* Pairs with the look that found the readers gone. */
	return sas_load_acquire_u64(&run->header->epoch_safe);
}

/* Where this process's fences are light. */
static inline void sas_epoch_enter_light(struct sas_membership *m, const sas_u64_t *epoch)
{
	if (m->nesting++)
		return;
	sas_store_relaxed_u64(&m->place->epoch, sas_load_acquire_u64(epoch) | 1);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static inline void sas_epoch_enter(const struct sas_region *r, struct sas_membership *m)
{
	const sas_u64_t *epoch = &m->run->header->epoch;

	if (sas_load_relaxed_u32(&r->epoch_fences) == SAS_FENCES_LIGHT) {
		sas_epoch_enter_light(m, epoch);
		return;
	}
	if (m->nesting++)
		return;
#ifdef __SANITIZE_THREAD__
	sas_exchange_seq_cst_u64(&m->place->epoch, sas_load_acquire_u64(epoch) | 1);
#else
	sas_store_relaxed_u64(&m->place->epoch, sas_load_acquire_u64(epoch) | 1);
	sas_fence_seq_cst();
#endif
}

/* -1: it is in no section. */
static inline int sas_epoch_exit(struct sas_membership *m)
{
	if (m->nesting == 0)
		return -1;
	/* All that the section read comes before. Pairs with the acquire of the look. */
	if (--m->nesting == 0)
		sas_store_release_u64(&m->place->epoch, 0);
	return 0;
}

/*
 * Deferred frees of blocks lie in pages of SAS.run (run_page.h), so that they survive their thread. `block` is the
 * offset in the region, and in its lowest bits the order (the block has 4096 << order bytes) and how far the free is:
 * see epoch_free.c.
 */
struct sas_run_limbo_entry {
	sas_u64_t block;                /* 0: none */
	sas_u64_t epoch;                /* its tag */
};
#define SAS_RUN_LIMBO_ENTRIES 254U
struct sas_run_limbo {
	sas_u32_t owner;                /* as struct sas_run_page */
	uint32_t kind;
	uint8_t reserved[24];
	struct sas_run_limbo_entry entries[SAS_RUN_LIMBO_ENTRIES];
};
_Static_assert(sizeof(struct sas_run_limbo) == SAS_RUN_PAGE, "limbo page");

#endif
