/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "hold.h"
#include "lock.h"
#include "lock_list.h"
#include "run/run_page.h"
#include "update.h"

static uint32_t bounded(const sas_u32_t *top, uint32_t most)
{
	uint32_t n = sas_load_acquire_u32(top);

	return n < most ? n : most;
}

static uint32_t thread_top(const struct sas_run *run) { return bounded(&run->header->thread_top, SAS_RUN_THREADS); }
static uint32_t page_top(const struct sas_run *run) { return bounded(&run->header->page_top, SAS_RUN_PAGES); }
static uint32_t line_top(const struct sas_run *run) { return bounded(&run->header->line_top, SAS_RUN_LINES); }

static int is_used(const struct sas_run *run, uint32_t slot)
{
	return sas_load_acquire_u32(&run->threads[slot].state) == SAS_RUN_USED;
}

/* NULL: there is no such lock. */
static const struct sas_run_line *line_of(const struct sas_run *run, sas_lock_t lock)
{
	return lock >> 2 < line_top(run) && (lock & 3U) < SAS_LOCKS_PER_LINE ? &run->lines[lock >> 2] : NULL;
}

static void *key_of(const struct sas_run_line *line, sas_lock_t lock)
{
	return (void *)(uintptr_t)sas_load_relaxed_u64(&line->lock[lock & 3U].key);
}

static uint32_t has_died(const struct sas_run_line *line, sas_lock_t lock)
{
	return __atomic_load_n(&line->marks[lock & 3U], __ATOMIC_RELAXED) & SAS_LOCK_DIED;
}

static uint32_t pid_of(const struct sas_run *run, const struct sas_run_thread *thread)
{
	uint32_t number = thread->process - 1;

	if (number >= bounded(&run->header->process_top, SAS_RUN_PROCESSES))
		return 0;
	return run->processes[number].token == thread->token ? run->processes[number].pid : 0;
}

static sas_userlock_request_t public_mode(unsigned mode)
{
	return mode == SAS_HOLD_WRITE ? SasUserLock__WRITE : mode == SAS_HOLD_INTENT ? SasUserLock__INTENT : SasUserLock__READ;
}

/* Each record of each thread, the pages looked through once. */
typedef void (*visit_record)(const struct sas_run *run, uint32_t slot, const sas_u32_t *record, void *arg);

static void each_record(const struct sas_run *run, visit_record visit, void *arg)
{
	uint32_t threads = thread_top(run), pages = page_top(run);

	for (uint32_t slot = 0; slot < threads; slot++)
		for (uint32_t i = 0; i < SAS_RUN_HOLDS && is_used(run, slot); i++)
			visit(run, slot, &run->threads[slot].holds[i], arg);
	for (uint32_t page = 0; page < pages; page++) {
		uint32_t slot = sas_load_acquire_u32(&run->pages[page].owner) - 1;

		if (slot >= threads || !is_used(run, slot) ||
		    __atomic_load_n(&run->pages[page].kind, __ATOMIC_ACQUIRE) != SAS_RUN_PAGE_HOLDS)
			continue;
		for (uint32_t i = 0; i < SAS_HOLDS_PER_PAGE; i++)
			visit(run, slot, &((const sas_u32_t *)(const void *)run->pages[page].bytes)[i], arg);
	}
}

/* The record that is given back last, or was read too early, is not believed. */
static int word_agrees(uint64_t word, uint32_t slot, unsigned mode)
{
	if (mode == SAS_HOLD_READ)
		return (word & SAS_LOCK_READERS) != 0;
	if (sas_lock_rekeying(word))
		return 0;
	return mode == SAS_HOLD_WRITE ? (word & SAS_LOCK_WRITE) && sas_lock_slot(word) == slot : (word & SAS_LOCK_INTENT) != 0;
}

/* The lock that a record names, if its thread holds it; else NULL. */
static const struct sas_run_line *held_by(const struct sas_run *run, uint32_t slot, const sas_u32_t *record, uint32_t *value,
					  uint64_t *word, void **address)
{
	const struct sas_run_line *line;

	*value = sas_load_acquire_u32(record);
	line = sas_hold_mode(*value) ? line_of(run, sas_hold_lock(*value)) : NULL;
	if (!line)
		return NULL;
	*word = sas_load_acquire_u64(&line->lock[sas_hold_lock(*value) & 3U].word);
	*address = key_of(line, sas_hold_lock(*value));
	/* What is held keeps its place, so the key was the lock's if the record is still there. */
	sas_fence_reads();
	return word_agrees(*word, slot, sas_hold_mode(*value)) && sas_load_relaxed_u32(record) == *value ? line : NULL;
}

/* --- locks */

struct list {
	SASLockInfo *entries;
	size_t count, room;
	int failed;
};

static void append(struct list *list, const SASLockInfo *entry)
{
	if (list->count == list->room) {
		size_t room = list->room ? 2 * list->room : 64;
		SASLockInfo *entries = list->failed ? NULL : realloc(list->entries, room * sizeof *entries);

		list->failed = !entries;
		if (!entries)
			return;
		list->entries = entries;
		list->room = room;
	}
	list->entries[list->count++] = *entry;
}

static void describe_thread(const struct sas_run *run, uint32_t slot, SASLockInfo *entry)
{
	const struct sas_run_thread *thread = &run->threads[slot];

	entry->slot = slot;
	entry->pid = pid_of(run, thread);
	entry->tid = thread->tid;
	entry->alive = (uint32_t)sas_run_is_held(&thread->life);
}

static void add_holder(const struct sas_run *run, uint32_t slot, const sas_u32_t *record, void *arg)
{
	SASLockInfo entry = { .state = SASLock__HOLDS };
	uint32_t value, i;
	uint64_t word;
	const struct sas_run_line *line = held_by(run, slot, record, &value, &word, &entry.address);

	if (!line)
		return;
	i = sas_hold_lock(value) & 3U;
	entry.mode = public_mode(sas_hold_mode(value));
	entry.ownerDied = has_died(line, i);
	/* Nobody has changed the word since somebody saw it. */
	if (sas_load_acquire_u64(&line->seen_word[i]) == (word & ~(uint64_t)SAS_LOCK_WAITS))
		entry.since = sas_load_relaxed_u64(&line->seen_at[i]);
	describe_thread(run, slot, &entry);
	append(arg, &entry);
}

static void add_waiter(const struct sas_run *run, uint32_t slot, struct list *list)
{
	const struct sas_run_thread *thread = &run->threads[slot];
	uint64_t wait = sas_load_acquire_u64(&thread->lock_wait);
	const struct sas_run_line *line = wait & SAS_WAIT_OPEN ? line_of(run, sas_wait_lock(wait)) : NULL;
	SASLockInfo entry = { .state = SASLock__WAITS };

	if (!line)
		return;
	entry.address = key_of(line, sas_wait_lock(wait));
	entry.mode = public_mode(sas_wait_mode(wait));
	entry.ownerDied = has_died(line, sas_wait_lock(wait));
	entry.since = sas_load_relaxed_u64(&thread->lock_wait_since);
	describe_thread(run, slot, &entry);
	append(list, &entry);
}

static void add_updates(const struct sas_run *run, uint32_t slot, struct list *list)
{
	for (unsigned i = 0; i < SAS_RUN_UPDATES; i++) {
		uint64_t key = sas_load_acquire_u64(&run->threads[slot].updates[i]);
		SASLockInfo entry = { .state = SASLock__UPDATES, .address = (void *)(uintptr_t)sas_update_address(key) };

		if (!key)
			continue;
		describe_thread(run, slot, &entry);
		append(list, &entry);
	}
}

static int compare(const void *left, const void *right)
{
	const SASLockInfo *a = left, *b = right;

	if (a->address != b->address)
		return (uintptr_t)a->address < (uintptr_t)b->address ? -1 : 1;
	if (a->state != b->state)
		return a->state < b->state ? -1 : 1;
	return a->slot < b->slot ? -1 : a->slot > b->slot;
}

int sas_lock_list(const struct sas_run *run, SASLockInfo **entries, size_t *count)
{
	struct list list = { 0 };
	uint32_t top = thread_top(run);

	*entries = NULL;
	*count = 0;
	each_record(run, add_holder, &list);
	for (uint32_t slot = 0; slot < top; slot++)
		if (is_used(run, slot)) {
			add_waiter(run, slot, &list);
			add_updates(run, slot, &list);
		}
	if (list.failed) {
		free(list.entries);
		return -ENOMEM;
	}
	if (list.count)
		qsort(list.entries, list.count, sizeof *list.entries, compare);
	*entries = list.entries;
	*count = list.count;
	return 0;
}

/* --- threads */

static void count_held(const struct sas_run *run, uint32_t slot, const sas_u32_t *record, void *arg)
{
	uint32_t *held = arg, value;
	uint64_t word;
	void *address;

	if (held_by(run, slot, record, &value, &word, &address))
		held[slot]++;
}

static void describe_wait(const struct sas_run *run, const struct sas_run_thread *thread, SASThreadInfo *info)
{
	uint64_t wait = sas_load_acquire_u64(&thread->lock_wait);
	const struct sas_run_line *line = wait & SAS_WAIT_OPEN ? line_of(run, sas_wait_lock(wait)) : NULL;

	if (!line)
		return;
	info->waits = 1;
	info->waitsFor = key_of(line, sas_wait_lock(wait));
	info->waitMode = public_mode(sas_wait_mode(wait));
	info->waitsSince = sas_load_relaxed_u64(&thread->lock_wait_since);
}

static void describe(const struct sas_run *run, uint32_t slot, uint32_t held, SASThreadInfo *info)
{
	const struct sas_run_thread *thread = &run->threads[slot];
	const struct sas_run_counters *counters = &thread->counters;

	memset(info, 0, sizeof *info);
	info->slot = slot;
	info->process = thread->process - 1;
	info->pid = pid_of(run, thread);
	info->tid = thread->tid;
	info->generation = thread->generation;
	info->alive = (uint32_t)sas_run_is_held(&thread->life);
	info->inEpoch = sas_load_relaxed_u64(&thread->epoch) != 0;
	info->locksHeld = held;
	describe_wait(run, thread, info);
	info->allocations = sas_load_relaxed_u64(&counters->allocations);
	info->frees = sas_load_relaxed_u64(&counters->frees);
	info->lockWaits = sas_load_relaxed_u64(&counters->lock_waits);
	info->faults = sas_load_relaxed_u64(&counters->faults);
	info->recoveries = sas_load_relaxed_u64(&counters->recoveries);
	info->deferred = sas_load_relaxed_u64(&counters->deferred);
	info->reclaimed = sas_load_relaxed_u64(&counters->reclaimed);
}

int sas_thread_list(const struct sas_run *run, SASThreadInfo **list, size_t *count)
{
	uint32_t top = thread_top(run), *held = calloc(SAS_RUN_THREADS, sizeof *held);

	*list = calloc(top + 1UL, sizeof **list);
	*count = 0;
	if (!held || !*list) {
		free(held);
		free(*list);
		*list = NULL;
		return -ENOMEM;
	}
	each_record(run, count_held, held);
	for (uint32_t slot = 0; slot < top; slot++)
		if (is_used(run, slot))
			describe(run, slot, held[slot], &(*list)[(*count)++]);
	free(held);
	return 0;
}

void sas_run_sum(const struct sas_run *run, struct sas_run_sums *sums)
{
	uint32_t top = thread_top(run);

	memset(sums, 0, sizeof *sums);
	for (uint32_t slot = 0; slot < top; slot++) {
		const struct sas_run_counters *counters = &run->threads[slot].counters;

		sums->allocations += sas_load_relaxed_u64(&counters->allocations);
		sums->frees += sas_load_relaxed_u64(&counters->frees);
		sums->lock_waits += sas_load_relaxed_u64(&counters->lock_waits);
		sums->faults += sas_load_relaxed_u64(&counters->faults);
	}
}

/* --- the table */

void sas_lock_fill(const struct sas_run *run, struct sas_lock_fill *fill)
{
	uint32_t top = line_top(run), left = top;       /* no chain is followed for ever */

	*fill = (struct sas_lock_fill){ .buckets = SAS_RUN_BUCKETS };
	for (uint32_t bucket = 0; bucket < SAS_RUN_BUCKETS && bucket < top; bucket++) {
		uint32_t number = bucket, found = 0;

		do {
			for (uint32_t i = 0; i < SAS_LOCKS_PER_LINE; i++)
				found += sas_load_relaxed_u64(&run->lines[number].lock[i].word) != 0;
			number = sas_load_acquire_u32(&run->lines[number].next);
		} while (number && number < top && left-- > 0);
		fill->addresses += found;
		fill->used += found != 0;
		fill->highest = found > fill->highest ? found : fill->highest;
	}
}
