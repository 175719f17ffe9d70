/* SPDX-License-Identifier: MIT */
/*
 * cmd_locks.c - sasphere locks: who holds address locks, who waits for them.
 */
#include <config.h>

#include <string.h>
#include "sasinspect.h"
#include "tool.h"

enum { LOCK_ADDRESS, LOCK_MODE, LOCK_STATE, LOCK_PID, LOCK_TID, LOCK_SLOT, LOCK_THREAD, LOCK_SINCE, LOCK_OWNERDIED };
static const struct tool_column columns[] = {
	[LOCK_ADDRESS] = { "ADDRESS", TOOL_TEXT, "the address that is the lock" },
	[LOCK_MODE] = { "MODE", TOOL_TEXT, "read, intent or write; update: changes the object there" },
	[LOCK_STATE] = { "STATE", TOOL_TEXT, "holds or waits" },
	[LOCK_PID] = { "PID", TOOL_NUMBER, "process id, in its own namespace" },
	[LOCK_TID] = { "TID", TOOL_NUMBER, "thread id, in its own namespace" },
	[LOCK_SLOT] = { "SLOT", TOOL_NUMBER, "the thread's slot in SAS.run" },
	[LOCK_THREAD] = { "THREAD", TOOL_TEXT, "alive, or dead and not yet recovered" },
	[LOCK_SINCE] = { "SINCE", TOOL_TEXT, "when the wait began; held at least since" },
	[LOCK_OWNERDIED] = { "OWNERDIED", TOOL_BOOLEAN, "a writer died, and nobody has been told" },
};

#define COLUMNS (sizeof(columns) / sizeof(columns[0]))

static int usage(void)
{
	printf("\n"
	       "Usage:\n"
	       " sasphere locks [options] [DIRECTORY]\n"
	       "\n"
	       "List the address locks that are held or waited for, and the objects that are being changed,\n"
	       "without joining the region.\n"
	       "\n"
	       "Options:\n");
	tool_table_usage();
	printf("\nColumns:\n");
	tool_columns_usage(columns, COLUMNS);
	tool_usage_end();
	return TOOL_OK;
}

static void cell(size_t column, char text[TOOL_CELL], const struct tool_table *t, const void *row)
{
	const SASLockInfo *l = row;

	(void)t;
	switch (column) {
	case LOCK_ADDRESS: tool_address_text(text, (uint64_t)l->address); break;
	case LOCK_MODE: strcpy(text, tool_lock_text(l)); break;
	case LOCK_STATE: strcpy(text, l->state == SASLock__WAITS ? "waits" : "holds"); break;
	case LOCK_PID: tool_number_text(text, l->pid); break;
	case LOCK_TID: tool_number_text(text, l->tid); break;
	case LOCK_SLOT: tool_number_text(text, l->slot); break;
	case LOCK_THREAD: strcpy(text, l->alive ? "alive" : "dead"); break;
	case LOCK_SINCE: tool_moment_text(text, l->since); break;
	case LOCK_OWNERDIED: strcpy(text, l->ownerDied ? "1" : "0"); break;
	}
}

static long list_locks(void *arg, void *buffer, size_t capacity)
{
	return SASInspectListLocks(arg, buffer, capacity);
}

static int show(SASInspect_t inspect, const char *path, const struct tool_table_options *options)
{
	static const struct tool_lister lister = { "locks", columns, COLUMNS, sizeof(SASLockInfo), cell, list_locks };

	(void)path;
	return tool_table_list(&lister, options, inspect);
}

int cmd_locks(int argc, char **argv)
{
	static const struct tool_view view = { .usage = usage, .show = show };

	return tool_inspect(argc, argv, &view);
}
