/* SPDX-License-Identifier: MIT */
/*
 * audit.c - the figures of the storm, and what is left when all updaters and readers have ended: no lock is
 * held, no block is lost.
 */
#include <sassim.h>
#include <saslock.h>
#include <sasregion.h>
#include "storm.h"

static uint64_t larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* Gives the wrong answers. */
uint64_t report_readers(const struct storm *storm)
{
	uint64_t queries = 0, calls = 0, wrong = 0, query = 0, call = 0, pause = 0;

	for (uint64_t i = 0; i < storm->reader_count; i++) {
		struct reader *reader = &storm->board->readers[i];

		queries += reader->queries;
		calls += reader->calls;
		wrong += reader->wrong;
		query = larger(query, reader->longest_query);
		call = larger(call, reader->longest_call);
		pause = larger(pause, reader->longest_pause);
	}
	report("readers.count", "%llu", (unsigned long long)storm->reader_count);
	report("readers.queries", "%llu", (unsigned long long)queries);
	report("readers.calls", "%llu", (unsigned long long)calls);
	report("readers.wrong", "%llu", (unsigned long long)wrong);
	report("readers.longest_query_ms", "%.1f", (double)query / 1e6);
	report("readers.longest_call_ms", "%.1f", (double)call / 1e6);
	report("readers.longest_pause_ms", "%.1f", (double)pause / 1e6);
	return wrong;
}

void report_updaters(const struct storm *storm)
{
	uint64_t wait = 0, change = 0;

	for (uint64_t i = 0; i < BOARD_UPDATERS; i++) {
		wait = larger(wait, storm->board->updaters[i].longest_wait);
		change = larger(change, storm->board->updaters[i].longest_change);
	}
	report("updaters.count", "%llu", (unsigned long long)storm->updater_count);
	report("updaters.longest_wait_ms", "%.1f", (double)wait / 1e6);
	report("updaters.longest_change_ms", "%.1f", (double)change / 1e6);
}

void report_kills(const struct storm *storm)
{
	static const char *const names[CALLS] = { "none", "join",   "list",  "alloc", "free",
						  "lock", "unlock", "epoch", "retire" };
	char key[32];
	uint64_t inside = 0;

	report("kills.all", "%llu", (unsigned long long)storm->kills);
	report("kills.early", "%llu", (unsigned long long)storm->early);
	report("kills.holding", "%llu", (unsigned long long)storm->holding);
	for (int call = 1; call < CALLS; call++) {
		snprintf(key, sizeof(key), "kills.%s", names[call]);
		report(key, "%llu", (unsigned long long)storm->by_call[call]);
		inside += storm->by_call[call];
	}
	report("kills.inside", "%llu", (unsigned long long)inside);
}

static uint64_t lock_is_held(void *address)
{
	if (SASLockTry(address, SasUserLock__WRITE) != 0)
		return 1;
	SASUnlock(address);
	return 0;
}

/* After all have ended: locks that the library lists, and those of the graph that cannot be had at once. */
uint64_t audit_locks(const struct storm *storm)
{
	long listed = SASLockList(SASRegionDefault(), NULL, 0);
	uint64_t held = lock_is_held(storm->root);

	if (listed < 0)
		die("the list of locks: %s", SASLastErrorMessage());
	held += (uint64_t)listed;
	for (uint64_t i = 0; i < storm->root->bucket_count; i++) {
		held += lock_is_held(&storm->root->buckets[i]);
		for (struct package *p = follow(&storm->root->buckets[i]); p != NULL; p = p->next)
			held += lock_is_held(p) + lock_is_held(&p->reverse);
	}
	report("locks.left", "%llu", (unsigned long long)held);
	return held;
}

/* After a last updater has cleaned up, alone: nothing of what was cut loose may be left, and nothing else. */
uint64_t audit_blocks(const struct storm *storm)
{
	uint64_t freed = 0, retired, lost = leaks_count(storm->root, storm->board, &retired);

	for (uint64_t i = 0; i < BOARD_UPDATERS; i++)
		freed += storm->board->updaters[i].freed;
	report("blocks.freed", "%llu", (unsigned long long)freed);
	report("blocks.lost", "%llu", (unsigned long long)(lost + retired));
	return lost + retired;
}
