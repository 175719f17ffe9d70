/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "epoch/epoch.h"
#include "lock/hold.h"
#include "log.h"
#include "run_check.h"
#include "run_page.h"

static int lines_sound(const struct sas_run_header *h)
{
	uint32_t space = sas_load_relaxed_u32(&h->line_space), top = sas_load_relaxed_u32(&h->line_top);

	return space <= SAS_RUN_LINES && (space == 0 || space >= SAS_RUN_BUCKETS) && top <= space &&
	       (top == 0 || top >= SAS_RUN_BUCKETS) && sas_load_relaxed_u32(&h->line_link) <= top;
}

/* They only go up, by steps: from here they never come round. */
static int epochs_sound(const struct sas_run_header *h)
{
	uint64_t epoch = sas_load_relaxed_u64(&h->epoch);

	return epoch <= UINT64_MAX / 2 && epoch % SAS_EPOCH_STEP == 0 && sas_load_relaxed_u64(&h->epoch_safe) <= epoch;
}

static int is_lock(const struct sas_run *run, sas_lock_t lock)
{
	return lock >> 2 < sas_load_relaxed_u32(&run->header->line_top) && (lock & 3U) < SAS_LOCKS_PER_LINE;
}

static int holds_sound(const struct sas_run *run, const sas_u32_t *records, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		uint32_t value = sas_load_relaxed_u32(&records[i]);

		if (value && (sas_hold_mode(value) == SAS_HOLD_NONE || !is_lock(run, sas_hold_lock(value))))
			return 0;
	}
	return 1;
}

static int is_used(const struct sas_run *run, uint32_t slot)
{
	return sas_load_relaxed_u32(&run->threads[slot].state) == SAS_RUN_USED;
}

static int thread_sound(const struct sas_run *run, uint32_t slot, uint64_t logs)
{
	const struct sas_run_thread *t = &run->threads[slot];
	uint64_t pending = sas_load_relaxed_u64(&t->lock_pending);

	if (!is_used(run, slot))
		return sas_load_relaxed_u32(&t->state) == SAS_RUN_FREE;
	return slot < logs && (sas_pending_is_idle(pending) || is_lock(run, sas_pending_lock(pending))) &&
	       holds_sound(run, t->holds, SAS_RUN_HOLDS);
}

static int threads_sound(struct sas_region *r, const struct sas_run *run)
{
	uint32_t top = sas_load_relaxed_u32(&run->header->thread_top), i = 0;
	uint64_t logs = sas_log_available(r);

	while (i < top && thread_sound(run, i, logs))
		i++;
	return i == top;
}

static int page_sound(const struct sas_run *run, const struct sas_run_page *page)
{
	uint32_t owner = sas_load_relaxed_u32(&page->owner);

	if (owner == 0)
		return page->kind == 0;
	if (owner == SAS_RUN_ORPHAN)
		return page->kind == SAS_RUN_PAGE_LIMBO;
	if (owner > sas_load_relaxed_u32(&run->header->thread_top) || !is_used(run, owner - 1))
		return 0;
	if (page->kind == SAS_RUN_PAGE_HOLDS)
		return holds_sound(run, (const sas_u32_t *)(const void *)page->bytes, SAS_HOLDS_PER_PAGE);
	/* What a limbo page names is looked up in the maps. */
	return page->kind == 0 || page->kind == SAS_RUN_PAGE_LIMBO;
}

static int pages_sound(const struct sas_run *run)
{
	uint32_t top = sas_load_relaxed_u32(&run->header->page_top), i = 0;

	while (i < top && page_sound(run, &run->pages[i]))
		i++;
	return i == top;
}

static int processes_sound(const struct sas_run *run)
{
	uint32_t top = sas_load_relaxed_u32(&run->header->process_top), i = 0;

	while (i < top && sas_load_relaxed_u32(&run->processes[i].state) <= SAS_RUN_USED)
		i++;
	return i == top;
}

int sas_run_is_sound(struct sas_region *r, const struct sas_run *run)
{
	return lines_sound(run->header) && epochs_sound(run->header) && processes_sound(run) && threads_sound(r, run) &&
	       pages_sound(run);
}

int sas_run_claims_life(const struct sas_run *run)
{
	uint32_t top = sas_load_relaxed_u32(&run->header->thread_top), i = 0;

	while (i < top && !(is_used(run, i) && sas_run_is_held(&run->threads[i].life)))
		i++;
	return i < top;
}
