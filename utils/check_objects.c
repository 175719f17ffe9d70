/* SPDX-License-Identifier: MIT */
/*
 * check_objects.c - sasphere check: the objects in a region's blocks.
 */
#include <config.h>

#include <errno.h>
#include <string.h>
#include "check.h"
#include "sasobject.h"

enum { OBJECT_ADDRESS, OBJECT_TYPE, OBJECT_SIZE, OBJECT_EXPANSIONS, OBJECT_REACHED, OBJECT_RECOVER, OBJECT_STATE };
static const struct tool_column columns[] = {
	[OBJECT_ADDRESS] = { "ADDRESS", TOOL_TEXT, "with --objects: where it begins" },
	[OBJECT_TYPE] = { "TYPE", TOOL_TEXT, "what it is" },
	[OBJECT_SIZE] = { "SIZE", TOOL_BYTES, "of its blocks" },
	[OBJECT_EXPANSIONS] = { "EXPANSIONS", TOOL_NUMBER, "blocks beside its first one" },
	[OBJECT_REACHED] = { "REACHED", TOOL_TEXT, "from where: finder, context; or nowhere known" },
	[OBJECT_RECOVER] = { "RECOVER", TOOL_NUMBER, "what dead threads left, for its next users to finish" },
	[OBJECT_STATE] = { "STATE", TOOL_TEXT, "good or bad; unknown: nothing is known of its type" },
};

struct look {
	uint64_t base, segment_size;
	struct tool_table *table;       /* NULL: no list of objects */
	SASProblem problem;
	void *arg;
	int failed;
};

static void cell(size_t column, char text[TOOL_CELL], const struct tool_table *t, const void *row)
{
	static const char *const reached[] = { "", "finder", "context" };
	const SASObjectInfo *o = row;

	switch (column) {
	case OBJECT_ADDRESS: tool_address_text(text, (uint64_t)o->address); break;
	case OBJECT_TYPE: tool_type_text(text, o->type); break;
	case OBJECT_SIZE: tool_size_text(text, o->size, t->bytes); break;
	case OBJECT_EXPANSIONS: tool_number_text(text, o->expansions); break;
	case OBJECT_REACHED: strcpy(text, reached[o->reached]); break;
	case OBJECT_RECOVER: tool_number_text(text, o->toRecover); break;
	case OBJECT_STATE: strcpy(text, o->problems ? "bad" : o->checked ? "good" : "unknown"); break;
	}
}

static void list(const SASObjectInfo *object, void *arg)
{
	struct look *l = arg;

	if (l->table && !l->failed)
		l->failed = tool_table_row(l->table, cell, object);
}

static void tell(const SASObjectInfo *object, const void *where, const char *sentence, void *arg)
{
	const struct look *l = arg;
	char text[600], file[32] = "", type[TOOL_TYPE_TEXT], at[32] = "";
	uint64_t offset = (uint64_t)where - l->base;

	/* What lies elsewhere is told by where the object is. */
	if ((uint64_t)where < l->base || offset / l->segment_size > 0xfffff)
		offset = (uint64_t)object->address - l->base;
	snprintf(file, sizeof(file), "SAS%05llX.DAT", (unsigned long long)(offset / l->segment_size));
	if (where != object->address)
		snprintf(at, sizeof(at), ", at %p", where);
	snprintf(text, sizeof(text), "%s %p%s: %s", tool_type_text(type, object->type), object->address, at, sentence);
	l->problem(file, offset % l->segment_size, text, l->arg);
}

static long look(SASInspect_t inspect, struct look *l)
{
	SASInspectInfo info = { .structSize = sizeof(info) };

	if (SASInspectGetInfo(inspect, &info) != 0)
		return -1;
	l->base = info.base;
	l->segment_size = info.segmentSize;
	return SASObjectCheck(inspect, list, tell, l);
}

void check_objects_usage(void)
{
	tool_columns_usage(columns, sizeof(columns) / sizeof(columns[0]));
}

static long look_and_list(SASInspect_t inspect, struct look *l, const struct tool_table_options *options)
{
	struct tool_table table;
	long problems;

	if (!options)
		return look(inspect, l);
	if (tool_table_begin(&table, "objects", columns, sizeof(columns) / sizeof(columns[0]), options))
		return -2;
	l->table = &table;
	problems = look(inspect, l);
	if (problems < 0 || l->failed)
		tool_table_drop(&table);
	else
		l->failed = tool_table_end(&table) != TOOL_OK;
	return l->failed ? -2 : problems;
}

long check_objects(const char *path, const struct tool_table_options *options, int quiet, SASProblem problem, void *arg)
{
	struct look l = { .problem = problem, .arg = arg };
	SASInspect_t inspect = SASInspectOpen(path);
	long problems;

	if (!inspect)
		return -1;
	problems = look_and_list(inspect, &l, options);
	if (problems == -1 && errno == EBUSY) {
		if (!quiet)
			tool_error(0, "%s: %s", path, SASLastErrorMessage());
		problems = 0;
	}
	SASInspectClose(inspect);
	return problems;
}
