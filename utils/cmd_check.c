/* SPDX-License-Identifier: MIT */
/*
 * cmd_check.c - sasphere check: are a region's files consistent, and the objects in them whole?
 */
#include <config.h>

#include <string.h>
#include "check.h"

enum { FILE_NAME, FILE_OFFSET, PROBLEM, REPAIRED };
static const struct tool_column columns[] = {
	[FILE_NAME] = { "FILE", TOOL_TEXT, "the file in the region's directory" },
	[FILE_OFFSET] = { "OFFSET", TOOL_NUMBER, "bytes from its start" },
	[PROBLEM] = { "PROBLEM", TOOL_TEXT, "what is wrong there, or was done about it" },
	[REPAIRED] = { "REPAIRED", TOOL_BOOLEAN, "with --repair: it was" },
};

/* Problems as they are found: a line each, or a table for JSON, or none where objects are listed. */
struct report {
	struct tool_table *table;
	const struct tool_table_options *objects;
	int quiet, silent, repair, failed;
};

struct problem {
	const char *file, *sentence;
	uint64_t offset;
	int repaired;
};

static int usage(void)
{
	printf("\n"
	       "Usage:\n"
	       " sasphere check [options] [DIRECTORY]\n"
	       "\n"
	       "Check a region's files for consistency, without joining it or changing a byte, and the\n"
	       "objects in it if nobody has joined it;\n"
	       "with --repair put right what can be proved, in a region that nobody has joined.\n"
	       "\n"
	       "Options:\n"
	       " -J, --json               use JSON output format\n"
	       " -O, --objects            print the objects, whole or not, rather than the problems\n"
	       " -q, --quiet              print nothing; the exit status tells\n"
	       " -r, --repair             repair what can be, and say what was done and what is left\n"
	       "\n"
	       "Exit status:\n"
	       " 0  the region is good; with --repair, now\n"
	       " 1  the region is bad: a line for each problem\n"
	       " 2  wrong usage, or the files could not be read or, with --repair, written\n"
	       "\n"
	       "Columns:\n");
	check_objects_usage();
	tool_usage_end();
	return TOOL_OK;
}

static void cell(size_t column, char text[TOOL_CELL], const struct tool_table *t, const void *row)
{
	const struct problem *p = row;

	(void)t;
	switch (column) {
	case FILE_NAME: snprintf(text, TOOL_CELL, "%s", p->file); break;
	case FILE_OFFSET: tool_number_text(text, p->offset); break;
	case PROBLEM: snprintf(text, TOOL_CELL, "%s", p->sentence); break;
	case REPAIRED: strcpy(text, p->repaired ? "1" : "0"); break;
	}
}

static void tell_either(const char *file, uint64_t offset, const char *sentence, int repaired, void *arg)
{
	struct report *report = arg;
	struct problem problem = { file, sentence, offset, repaired };

	if (report->quiet || report->silent)
		return;
	if (!report->table)
		printf("%s: offset %llu: %s%s\n", file, (unsigned long long)offset, repaired ? "repaired: " : "",
		       sentence);
	else if (!report->failed)
		report->failed = tool_table_row(report->table, cell, &problem);
}

static void tell(const char *file, uint64_t offset, const char *sentence, void *arg)
{
	tell_either(file, offset, sentence, 0, arg);
}

/* The objects are looked at where the files make sense. */
static long look(const char *path, struct report *report)
{
	long problems = report->repair ? SASRegionRepair(path, tell_either, report) : SASRegionCheck(path, tell, report);

	if (problems)
		return problems;
	report->silent = report->objects != NULL;
	return check_objects(path, report->objects, report->quiet, tell, report);
}

static int check(const char *path, struct report *report)
{
	long problems = look(path, report);

	/* What has been repaired before an error is told nevertheless. */
	if (report->table && (report->failed || (problems < 0 && !report->repair)))
		tool_table_drop(report->table);
	else if (report->table && tool_table_end(report->table) != TOOL_OK)
		report->failed = 1;
	if (problems == -1)
		return tool_library_error(TOOL_USAGE);
	if (problems < 0 || report->failed)
		return TOOL_USAGE;
	if (!report->table && !report->quiet && !(report->objects && report->objects->json))
		printf("%s: %s\n", path, problems ? "the region is bad" : "good");
	return problems ? TOOL_FAILED : TOOL_OK;
}

int cmd_check(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "json", no_argument, NULL, 'J' },
		{ "objects", no_argument, NULL, 'O' },
		{ "quiet", no_argument, NULL, 'q' },
		{ "repair", no_argument, NULL, 'r' },
		TOOL_COMMON_LONG,
		{ 0 },
	};
	struct tool_table_options options = { 0 };
	struct tool_table table;
	struct report report = { 0 };
	const char *path;
	int c;

	while ((c = getopt_long(argc, argv, "JOqr" TOOL_COMMON_SHORT, longs, NULL)) != -1) {
		switch (c) {
		case 'J':
			options.json = 1;
			break;
		case 'O':
			report.objects = &options;
			break;
		case 'q':
			report.quiet = 1;
			break;
		case 'r':
			report.repair = 1;
			break;
		default:
			return tool_common(c, usage);
		}
	}
	path = tool_region(argc, argv);
	if (!path)
		return TOOL_USAGE;
	if (report.quiet)
		report.objects = NULL;
	if (options.json && !report.quiet && !report.objects) {
		if (tool_table_begin(&table, "problems", columns, report.repair ? REPAIRED + 1 : REPAIRED, &options))
			return TOOL_USAGE;
		report.table = &table;
	}
	return check(path, &report);
}
