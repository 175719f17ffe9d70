/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <linux/futex.h>
#include <linux/membarrier.h>
#include <string.h>
#include "epoch.h"
#include "ground/port.h"
#include "run/run_page.h"

/* The default limit: an eighth of the region, where that is not much more than a machine has. */
#define LIMIT_BYTES (4UL << 30)
#define LIMIT_COUNT (4UL << 20)

void sas_epoch_limits(const struct sas_region *r, uint64_t *bytes, uint64_t *count)
{
	uint64_t eighth = r->anchor.region_size / 8;

	*bytes = sas_load_relaxed_u64(&r->run->header->epoch_limit_bytes);
	*count = sas_load_relaxed_u64(&r->run->header->epoch_limit_count);
	if (*bytes == 0)
		*bytes = eighth < LIMIT_BYTES ? eighth : LIMIT_BYTES;
	if (*count == 0)
		*count = LIMIT_COUNT;
}

/* --- fences */

void sas_epoch_choose(struct sas_region *r)
{
	uint32_t fences = SAS_FENCES_FULL;

	if (sas_load_acquire_u32(&r->epoch_fences) != SAS_FENCES_UNKNOWN)
		return;
#ifndef __SANITIZE_THREAD__
	if (r->process && sas_port->membarrier(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED) == 0) {
		sas_store_seq_cst_u32(&r->run->processes[r->process - 1].epoch_light, 1);
		/* Before the first light enter: who looks and finds 0 here is not missed by its readers. */
		sas_store_seq_cst_u32(&r->run->header->epoch_light, 1);
		sas_fence_seq_cst();
		fences = SAS_FENCES_LIGHT;
	}
#endif
	sas_store_release_u32(&r->epoch_fences, fences);
}

int sas_epoch_light_lives(const struct sas_run *run)
{
	uint32_t top = sas_load_acquire_u32(&run->header->process_top);

	for (uint32_t i = 0; i < top && i < SAS_RUN_PROCESSES; i++)
		if (sas_load_acquire_u32(&run->processes[i].state) == SAS_RUN_USED &&
		    sas_load_acquire_u32(&run->processes[i].epoch_light))
			return 1;
	return 0;
}

int sas_epoch_order(const struct sas_run *run)
{
	int error;

#ifndef __SANITIZE_THREAD__
	sas_fence_seq_cst();
#endif
	if (!sas_load_seq_cst_u32(&run->header->epoch_light))
		return 0;
	error = sas_port->membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED);
	return error && sas_epoch_light_lives(run) ? error : 0;
}

/* --- looking */

int sas_epoch_is_living(const struct sas_run *run, uint32_t number)
{
	const struct sas_run_thread *slot = &run->threads[number];
	uint32_t word = (uint32_t)__atomic_load_n(&slot->life.__data.__lock, __ATOMIC_ACQUIRE);

	return sas_load_acquire_u32(&slot->state) == SAS_RUN_USED && !(word & FUTEX_OWNER_DIED);
}

/* A reader that is behind is noted with the time of the first look that found it so. It never publishes this epoch
 * again, so the note is of this section alone. */
static void note_behind(struct sas_run_thread *slot, uint32_t number, uint64_t entered, struct sas_epoch_view *view)
{
	uint64_t published = entered | 1;       /* the first epoch is 0, as a slot is that nobody has seen behind */

	if (sas_load_relaxed_u64(&slot->epoch_seen) != published) {
		sas_store_relaxed_u64(&slot->epoch_since, sas_port->now_ns());
		sas_store_relaxed_u64(&slot->epoch_seen, published);
	}
	if (view->slowest >= 0 && view->slowest_epoch <= entered)
		return;
	view->slowest = number;
	view->slowest_epoch = entered;
	view->slowest_since = sas_load_relaxed_u64(&slot->epoch_since);
}

static void look_at_thread(struct sas_run *run, uint32_t number, struct sas_epoch_view *view)
{
	struct sas_run_thread *slot = &run->threads[number];
	/* Pairs with the release in sas_epoch_exit(). */
	uint64_t epoch = sas_load_acquire_u64(&slot->epoch), entered = epoch & ~1UL;

	view->deferred += sas_load_relaxed_u64(&slot->counters.deferred);
	view->reclaimed += sas_load_relaxed_u64(&slot->counters.reclaimed);
	if (sas_load_acquire_u32(&slot->state) != SAS_RUN_USED)
		return;
	view->frees += sas_load_relaxed_u64(&slot->epoch_frees);
	view->bytes += sas_load_relaxed_u64(&slot->epoch_free_bytes);
	if (!sas_epoch_is_living(run, number)) {
		view->dead++;
		return;
	}
	view->threads++;
	view->calls += sas_load_relaxed_u64(&slot->epoch_calls);
	view->bytes += sas_load_relaxed_u64(&slot->epoch_bytes);
	if (!(epoch & 1))
		return;
	view->readers++;
	if (entered < view->safe)
		view->safe = entered;
	if (entered < view->epoch)
		note_behind(slot, number, entered, view);
}

/* view->epoch was read before the barrier, where there was one. */
static void look(struct sas_run *run, struct sas_epoch_view *view)
{
	uint32_t threads = sas_load_acquire_u32(&run->header->thread_top);
	uint32_t processes = sas_load_acquire_u32(&run->header->process_top);

	view->safe = view->epoch;
	view->slowest = -1;
	for (uint32_t i = 0; i < threads && i < SAS_RUN_THREADS; i++)
		look_at_thread(run, i, view);
	for (uint32_t i = 0; i < processes && i < SAS_RUN_PROCESSES; i++) {
		const struct sas_run_process *p = &run->processes[i];

		if (sas_load_acquire_u32(&p->state) != SAS_RUN_USED)
			continue;
		view->calls += sas_load_relaxed_u64(&p->epoch_calls);
		view->bytes += sas_load_relaxed_u64(&p->epoch_bytes);
	}
}

void sas_epoch_look(struct sas_region *r, struct sas_epoch_view *view)
{
	memset(view, 0, sizeof *view);
	view->epoch = sas_load_seq_cst_u64(&r->run->header->epoch);
	look(r->run, view);
	view->safe = sas_epoch_safe(r->run);
}

static void raise_safe(struct sas_run_header *h, uint64_t safe)
{
	uint64_t seen = sas_load_acquire_u64(&h->epoch_safe);

	/* Release: who acquires it knows what the readers did that we have found gone. */
	while (seen < safe && !sas_cas_acq_rel_u64(&h->epoch_safe, &seen, safe))
		continue;
}

int sas_epoch_advance(struct sas_region *r, struct sas_epoch_view *view)
{
	struct sas_run_header *h = r->run->header;
	uint64_t epoch = sas_load_seq_cst_u64(&h->epoch);
	int error;

	memset(view, 0, sizeof *view);
	if (sas_cas_acq_rel_u64(&h->epoch, &epoch, epoch + SAS_EPOCH_STEP))
		epoch += SAS_EPOCH_STEP;
	view->epoch = epoch;
	error = sas_epoch_order(r->run);
	look(r->run, view);
	if (error)
		view->safe = sas_epoch_safe(r->run);
	else
		raise_safe(h, view->safe);
	return error;
}

/* --- the end of a thread */

static void orphan_pages(struct sas_run *run, uint32_t owner)
{
	int64_t page = -1;

	/* Being taken or given when it died: they hold nothing. */
	while ((page = sas_run_page_next(run, owner, 0, (uint32_t)(page + 1))) >= 0)
		sas_run_page_give(run, (uint32_t)page);
	page = -1;
	while ((page = sas_run_page_next(run, owner, SAS_RUN_PAGE_LIMBO, (uint32_t)(page + 1))) >= 0)
		sas_store_release_u32(&run->pages[page].owner, SAS_RUN_ORPHAN);
}

/* A death on the way leaves the slot in use, and this is done again. */
void sas_epoch_end_slot(struct sas_run *run, uint32_t number)
{
	struct sas_run_thread *slot = &run->threads[number];

	sas_store_release_u64(&slot->epoch, 0);
	orphan_pages(run, number + 1);
	sas_store_relaxed_u64(&slot->epoch_calls, 0);
	sas_store_relaxed_u64(&slot->epoch_bytes, 0);
	sas_store_relaxed_u64(&slot->epoch_frees, 0);
	sas_store_relaxed_u64(&slot->epoch_free_bytes, 0);
	/* Also when it left none: it may have died between taking this note and taking orphans over. */
	sas_store_release_u32(&run->header->epoch_orphans, 1);
}
