/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "ground/err.h"
#include "lock.h"
#include "run/run_page.h"

#define HELD_AT_FIRST 32U       /* entries of the table; a power of two */

/* --- the table */

static uint32_t home_of(const struct sas_locks *locks, uint64_t address)
{
	return (uint32_t)(address * 0x9E3779B97F4A7C15ULL >> 32) & locks->mask;
}

static void insert(struct sas_locks *locks, const struct sas_held *held)
{
	uint32_t i = home_of(locks, held->address);

	while (locks->held[i].mode)
		i = (i + 1) & locks->mask;
	locks->held[i] = *held;
	locks->count++;
}

/* Algorithm R: those behind it that could be nearer to their home move up. */
static void take_out(struct sas_locks *locks, struct sas_held *held)
{
	uint32_t gap = (uint32_t)(held - locks->held), i = gap;

	locks->count--;
	for (;;) {
		i = (i + 1) & locks->mask;
		if (!locks->held[i].mode)
			break;
		if (((i - home_of(locks, locks->held[i].address)) & locks->mask) < ((i - gap) & locks->mask))
			continue;
		locks->held[gap] = locks->held[i];
		gap = i;
	}
	memset(&locks->held[gap], 0, sizeof locks->held[gap]);
}

static int more_entries(struct sas_locks *locks)
{
	uint32_t size = locks->mask + 1;
	struct sas_held *old = locks->held, *held = calloc(2 * (size_t)size, sizeof *held);

	if (!held)
		return sas_fail(ENOMEM, "no memory for one more lock of this thread");
	locks->held = held;
	locks->mask = 2 * size - 1;
	locks->count = 0;
	for (uint32_t i = 0; i < size; i++)
		if (old[i].mode)
			insert(locks, &old[i]);
	free(old);
	return 0;
}

/* --- the newest */

__thread struct sas_newest sas_newest __attribute__((tls_model("initial-exec")));

void sas_newest_settle(void)
{
	struct sas_held *held = &sas_newest.held;

	if (!sas_newest.word)
		return;
	sas_newest.word = 0;
	memset(held->count, 0, sizeof held->count);
	if (held->mode)
		held->count[held->mode - 1] = ++held->nested;
}

/* What it holds goes to its table; a record that holds nothing is free again. */
static void vacate(void)
{
	struct sas_locks *locks = sas_newest.locks;

	if (sas_newest.held.mode)
		insert(locks, &sas_newest.held);
	else if (locks)
		locks->free[locks->free_count++] = sas_newest.held.record;
	memset(&sas_newest.held, 0, sizeof sas_newest.held);
}

static void forget_newest(const struct sas_locks *locks)
{
	if (sas_newest.locks == locks)
		memset(&sas_newest, 0, sizeof sas_newest);
}

/* --- one lock */

struct sas_held *sas_held_find(struct sas_locks *locks, uint64_t address)
{
	if (sas_newest.locks == locks && sas_newest.held.mode && sas_newest.held.address == address)
		return &sas_newest.held;
	if (!locks->count)
		return NULL;
	for (uint32_t i = home_of(locks, address); locks->held[i].mode; i = (i + 1) & locks->mask)
		if (locks->held[i].address == address)
			return &locks->held[i];
	return NULL;
}

struct sas_held *sas_held_push(struct sas_locks *locks, uint64_t address)
{
	struct sas_held *held = &sas_newest.held;

	sas_newest_settle();
	if (sas_newest.locks != locks || held->mode) {
		vacate();
		if (sas_newest.locks != locks)
			sas_newest = (struct sas_newest){ .locks = locks };
		held->record = locks->free[--locks->free_count];
	}
	held->address = address;
	return held;
}

void sas_held_drop(struct sas_locks *locks, struct sas_held *held)
{
	if (held != &sas_newest.held) {
		locks->free[locks->free_count++] = held->record;
		take_out(locks, held);
	}
}

struct sas_held *sas_held_any(struct sas_locks *locks)
{
	if (sas_newest.locks == locks && sas_newest.held.mode) {
		sas_newest_settle();
		return &sas_newest.held;
	}
	for (uint32_t i = 0; locks->count; i++)
		if (locks->held[i].mode)
			return &locks->held[i];
	return NULL;
}

/* --- room */

static int make_locks(struct sas_membership *m)
{
	struct sas_locks *locks = calloc(1, sizeof *locks);

	if (locks) {
		locks->held = calloc(HELD_AT_FIRST, sizeof *locks->held);
		locks->free = calloc(SAS_RUN_HOLDS, sizeof *locks->free);
	}
	if (!locks || !locks->held || !locks->free) {
		sas_locks_free(locks);
		return sas_fail(ENOMEM, "no memory for this thread's locks");
	}
	locks->mask = HELD_AT_FIRST - 1;
	m->locks = locks;
	return 0;
}

/* One more page of records in SAS.run. */
static int more_records(struct sas_region *r, struct sas_locks *locks)
{
	uint32_t records = locks->records + SAS_HOLDS_PER_PAGE, number;
	sas_u32_t **stack = realloc(locks->free, records * sizeof *stack), *page;
	int error;

	if (!stack)
		return sas_fail(ENOMEM, "no memory for one more lock of this thread");
	locks->free = stack;
	error = sas_run_page_take(r, locks->slot + 1, SAS_RUN_PAGE_HOLDS, &number);
	if (error)
		return error;
	page = (void *)locks->run->pages[number].bytes;
	for (uint32_t i = SAS_HOLDS_PER_PAGE; i > 0; i--)
		locks->free[locks->free_count++] = &page[i - 1];
	locks->records = records;
	return 0;
}

int sas_held_has_room(const struct sas_locks *locks)
{
	return locks->count + locks->count / 2 <= locks->mask && locks->free_count;
}

int sas_held_room(struct sas_region *r, struct sas_membership *m)
{
	int error = m->locks ? 0 : make_locks(m);
	struct sas_locks *locks = m->locks;

	if (error)
		return error;
	if (locks->records == 0) {
		locks->run = m->run;
		locks->slot = m->slot;
		locks->thread = &m->run->threads[m->slot];
		for (uint32_t i = SAS_RUN_HOLDS; i > 0; i--)
			locks->free[locks->free_count++] = &locks->thread->holds[i - 1];
		locks->records = SAS_RUN_HOLDS;
	}
	if (locks->count + locks->count / 2 > locks->mask)
		error = more_entries(locks);
	if (!error && !locks->free_count)
		error = more_records(r, locks);
	return error;
}

void sas_locks_forget(struct sas_locks *locks)
{
	memset(locks->held, 0, (locks->mask + 1) * sizeof *locks->held);
	forget_newest(locks);
	locks->count = locks->records = locks->free_count = 0;
}

void sas_locks_free(struct sas_locks *locks)
{
	if (!locks)
		return;
	forget_newest(locks);
	free(locks->held);
	free(locks->free);
	free(locks);
}
