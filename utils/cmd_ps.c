/* SPDX-License-Identifier: MIT */
/*
 * cmd_ps.c - sasphere ps: the processes and threads that have joined, what they hold, wait for and have done.
 */
#include <config.h>

#include <stdlib.h>
#include <string.h>
#include "sasinspect.h"
#include "tool.h"

enum {
	PS_PID, PS_TID, PS_STATE, PS_GENERATION, PS_READONLY, PS_JOINED, PS_PROCESS, PS_SLOT, PS_HELD, PS_HOLDS, PS_WAITS,
	PS_MODE, PS_SINCE, PS_ALLOCATIONS, PS_FREES, PS_LOCKWAITS, PS_FAULTS, PS_RECOVERIES, PS_EPOCH, PS_DEFERRED,
	PS_RECLAIMED, PS_NAMESPACE
};
static const struct tool_column columns[] = {
	[PS_PID] = { "PID", TOOL_NUMBER, "process id, in its own namespace" },
	[PS_TID] = { "TID", TOOL_NUMBER, "thread id; none: no thread has a slot" },
	[PS_STATE] = { "STATE", TOOL_TEXT, "alive, or dead and not yet recovered" },
	[PS_GENERATION] = { "GENERATION", TOOL_NUMBER, "what it allocates carries this" },
	[PS_READONLY] = { "READONLY", TOOL_BOOLEAN, "it joined for reading" },
	[PS_JOINED] = { "JOINED", TOOL_TEXT, "when it joined" },
	[PS_PROCESS] = { "PROCESS", TOOL_NUMBER, "the process's slot in SAS.run" },
	[PS_SLOT] = { "SLOT", TOOL_NUMBER, "the thread's slot" },
	[PS_HELD] = { "HELD", TOOL_NUMBER, "locks that it holds" },
	[PS_HOLDS] = { "HOLDS", TOOL_TEXT, "the first of them, r, i or w before each; u: an object that it changes" },
	[PS_WAITS] = { "WAITS", TOOL_TEXT, "the lock that it waits for" },
	[PS_MODE] = { "MODE", TOOL_TEXT, "how it wants it: read, intent or write" },
	[PS_SINCE] = { "SINCE", TOOL_TEXT, "when that wait began" },
	[PS_ALLOCATIONS] = { "ALLOCS", TOOL_NUMBER, "blocks allocated in its slot" },
	[PS_FREES] = { "FREES", TOOL_NUMBER, "blocks freed" },
	[PS_LOCKWAITS] = { "LOCKWAITS", TOOL_NUMBER, "locks that were not had at once" },
	[PS_FAULTS] = { "FAULTS", TOOL_NUMBER, "segments mapped at their first touch" },
	[PS_RECOVERIES] = { "RECOVERIES", TOOL_NUMBER, "dead threads that it has recovered" },
	[PS_EPOCH] = { "EPOCH", TOOL_BOOLEAN, "inside a critical section of epochs" },
	[PS_DEFERRED] = { "DEFERRED", TOOL_NUMBER, "given up under epochs" },
	[PS_RECLAIMED] = { "RECLAIMED", TOOL_NUMBER, "of that, freed since" },
	[PS_NAMESPACE] = { "PIDNS", TOOL_NUMBER, "its pid namespace, as lsns(8) numbers them" },
};

#define COLUMNS (sizeof(columns) / sizeof(columns[0]))
#define USUAL "PID,TID,STATE,HELD,HOLDS,WAITS,MODE,ALLOCS,FREES,LOCKWAITS,FAULTS,RECOVERIES"
#define HOLDS_SHOWN 4

/* All that is shown is read one after the other: a region in use may change between. */
struct lists {
	SASParticipantInfo *processes;
	SASThreadInfo *threads;
	SASLockInfo *locks;
	long process_count, thread_count, lock_count;
};

struct row {
	const struct lists *lists;
	const SASParticipantInfo *process;      /* NULL: it has come or gone meanwhile */
	const SASThreadInfo *thread;            /* NULL: the process has none */
};

static int usage(void)
{
	printf("\n"
	       "Usage:\n"
	       " sasphere ps [options] [DIRECTORY]\n"
	       "\n"
	       "List the processes and threads that have joined a region, without joining it.\n"
	       "\n"
	       "Options:\n");
	tool_table_usage();
	printf("\nColumns; without --output these: " USUAL "\n");
	tool_columns_usage(columns, COLUMNS);
	tool_usage_end();
	return TOOL_OK;
}

static void put_holds(char text[TOOL_CELL], const struct row *r)
{
	const struct lists *lists = r->lists;
	int shown = 0;

	for (long i = 0; i < lists->lock_count; i++) {
		const SASLockInfo *l = &lists->locks[i];

		if (l->slot != r->thread->slot || l->state == SASLock__WAITS)
			continue;
		if (shown++ == HOLDS_SHOWN) {
			strcat(text, " ...");
			break;
		}
		sprintf(text + strlen(text), "%s%c:0x%012llx", shown > 1 ? " " : "", tool_lock_text(l)[0],
			(unsigned long long)l->address);
	}
}

static void process_cell(size_t column, char text[TOOL_CELL], const struct row *r)
{
	const SASParticipantInfo *p = r->process;
	const SASThreadInfo *t = r->thread;

	switch (column) {
	case PS_PID: tool_number_text(text, t ? t->pid : p->pid); break;
	case PS_STATE: strcpy(text, (t ? t->alive : p->alive) ? "alive" : "dead"); break;
	case PS_GENERATION: tool_number_text(text, t ? t->generation : p->generation); break;
	case PS_READONLY: strcpy(text, p && p->readOnly ? "1" : "0"); break;
	case PS_JOINED: tool_time_text(text, p ? p->joinedAt : 0); break;
	case PS_PROCESS: tool_number_text(text, t ? t->process : p->slot); break;
	case PS_NAMESPACE: tool_number_text(text, p ? p->pidNamespace : 0); break;
	}
}

static void thread_cell(size_t column, char text[TOOL_CELL], const struct row *r)
{
	const SASThreadInfo *t = r->thread;

	switch (column) {
	case PS_TID: tool_number_text(text, t->tid); break;
	case PS_SLOT: tool_number_text(text, t->slot); break;
	case PS_HELD: tool_number_text(text, t->locksHeld); break;
	case PS_HOLDS: put_holds(text, r); break;
	case PS_WAITS: if (t->waits) tool_address_text(text, (uint64_t)t->waitsFor); break;
	case PS_MODE: strcpy(text, t->waits ? tool_mode_text(t->waitMode) : ""); break;
	case PS_SINCE: tool_moment_text(text, t->waitsSince); break;
	case PS_ALLOCATIONS: tool_number_text(text, t->allocations); break;
	case PS_FREES: tool_number_text(text, t->frees); break;
	case PS_LOCKWAITS: tool_number_text(text, t->lockWaits); break;
	case PS_FAULTS: tool_number_text(text, t->faults); break;
	case PS_RECOVERIES: tool_number_text(text, t->recoveries); break;
	case PS_EPOCH: strcpy(text, t->inEpoch ? "1" : "0"); break;
	case PS_DEFERRED: tool_number_text(text, t->deferred); break;
	case PS_RECLAIMED: tool_number_text(text, t->reclaimed); break;
	}
}

static void cell(size_t column, char text[TOOL_CELL], const struct tool_table *table, const void *row)
{
	const struct row *r = row;

	(void)table;
	process_cell(column, text, r);
	if (r->thread)
		thread_cell(column, text, r);
}

/* --- reading */

static long list_processes(void *arg, void *buffer, size_t capacity)
{
	return SASInspectListParticipants(arg, buffer, capacity);
}

static long list_threads(void *arg, void *buffer, size_t capacity)
{
	return SASInspectListThreads(arg, buffer, capacity);
}

static long list_locks(void *arg, void *buffer, size_t capacity)
{
	return SASInspectListLocks(arg, buffer, capacity);
}

static int compare(const void *left, const void *right)
{
	const SASThreadInfo *a = left, *b = right;

	if (a->process != b->process)
		return a->process < b->process ? -1 : 1;
	return a->slot < b->slot ? -1 : a->slot > b->slot;
}

static int fetch(SASInspect_t inspect, struct lists *l)
{
	l->process_count = tool_fetch(list_processes, inspect, sizeof(*l->processes), (void **)&l->processes);
	if (l->process_count < 0)
		return -1;
	l->thread_count = tool_fetch(list_threads, inspect, sizeof(*l->threads), (void **)&l->threads);
	if (l->thread_count < 0)
		return -1;
	qsort(l->threads, (size_t)l->thread_count, sizeof(*l->threads), compare);
	l->lock_count = tool_fetch(list_locks, inspect, sizeof(*l->locks), (void **)&l->locks);
	return l->lock_count < 0 ? -1 : 0;
}

/* --- rows: both lists ascend by the process's slot */

static int add_rows(struct tool_table *table, const struct lists *l)
{
	struct row row = { .lists = l };
	long p = 0, t = 0;
	int error = 0;

	while (!error && (p < l->process_count || t < l->thread_count)) {
		const SASParticipantInfo *process = p < l->process_count ? &l->processes[p] : NULL;
		const SASThreadInfo *thread = t < l->thread_count ? &l->threads[t] : NULL;

		row.process = process && (!thread || process->slot <= thread->process) ? process : NULL;
		row.thread = thread && (!process || thread->process <= process->slot) ? thread : NULL;
		if (row.thread)
			t++;
		/* The process's last thread, or none: on to the next process. */
		if (row.process && (!row.thread || t == l->thread_count || l->threads[t].process != process->slot))
			p++;
		error = tool_table_row(table, cell, &row);
	}
	return error;
}

static int show(SASInspect_t inspect, const char *path, const struct tool_table_options *options)
{
	struct tool_table_options usual = *options;
	struct lists lists = { 0 };
	struct tool_table table;
	int error;

	(void)path;
	if (!usual.output)
		usual.output = USUAL;
	if (tool_table_begin(&table, "threads", columns, COLUMNS, &usual))
		return TOOL_USAGE;
	error = fetch(inspect, &lists);
	if (!error)
		error = add_rows(&table, &lists);
	free(lists.processes);
	free(lists.threads);
	free(lists.locks);
	if (error) {
		tool_table_drop(&table);
		return TOOL_FAILED;
	}
	return tool_table_end(&table);
}

int cmd_ps(int argc, char **argv)
{
	static const struct tool_view view = { .usage = usage, .show = show };

	return tool_inspect(argc, argv, &view);
}
