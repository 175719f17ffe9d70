/* SPDX-License-Identifier: MIT */
/*
 * table.c - tables of sasphere(1), and the commands that print one.
 */
#include <config.h>

#include <errno.h>
#include <libsmartcols.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "sasinspect.h"
#include "tool.h"

int tool_table_option(struct tool_table_options *options, int option, const char *argument)
{
	switch (option) {
	case 'b':
		options->bytes = 1;
		return 1;
	case 'J':
		options->json = 1;
		return 1;
	case 'n':
		options->noheadings = 1;
		return 1;
	case 'o':
		options->output = argument;
		return 1;
	default:
		return 0;
	}
}

void tool_table_usage(void)
{
	printf(" -b, --bytes              print sizes in bytes\n"
	       " -J, --json               use JSON output format\n"
	       " -n, --noheadings         don't print headings\n"
	       " -o, --output LIST        the columns to print, separated by commas\n");
}

void tool_columns_usage(const struct tool_column *columns, size_t count)
{
	for (size_t i = 0; i < count; i++)
		printf(" %14s  %s\n", columns[i].name, columns[i].help);
}

static int find_column(const struct tool_table *t, const char *name, size_t length)
{
	for (size_t i = 0; i < t->count; i++)
		if (!strncasecmp(t->columns[i].name, name, length) && !t->columns[i].name[length])
			return (int)i;
	return -1;
}

static int choose_columns(struct tool_table *t, const char *list)
{
	for (size_t i = 0; !list && i < t->count; i++)
		t->shown[t->shown_count++] = i;
	while (list) {
		size_t length = strcspn(list, ",");
		int column = find_column(t, list, length);

		if (column < 0) {
			tool_error(TOOL_USAGE, "--output: unknown column: %.*s", (int)length, list);
			return -1;
		}
		if (t->shown_count == TOOL_COLUMNS) {
			tool_error(TOOL_USAGE, "--output: too many columns");
			return -1;
		}
		t->shown[t->shown_count++] = (size_t)column;
		list = list[length] ? list + length + 1 : NULL;
	}
	return 0;
}

static int json_type(const struct tool_table *t, const struct tool_column *column)
{
	switch (column->type) {
	case TOOL_NUMBER:
		return SCOLS_JSON_NUMBER;
	case TOOL_BYTES:
		return t->bytes ? SCOLS_JSON_NUMBER : SCOLS_JSON_STRING;
	case TOOL_BOOLEAN:
		return SCOLS_JSON_BOOLEAN;
	default:
		return SCOLS_JSON_STRING;
	}
}

static int add_column(struct tool_table *t, const struct tool_column *column)
{
	int right = column->type == TOOL_NUMBER || column->type == TOOL_BYTES;
	struct libscols_column *c = scols_table_new_column(t->scols, column->name, 0,
							   right ? SCOLS_FL_RIGHT : 0);

	return c ? scols_column_set_json_type(c, json_type(t, column)) : -1;
}

int tool_table_begin(struct tool_table *t, const char *name, const struct tool_column *columns, size_t count,
		     const struct tool_table_options *options)
{
	*t = (struct tool_table){ .name = name, .columns = columns, .count = count };
	t->json = options->json;
	t->bytes = options->bytes;
	t->noheadings = options->noheadings;
	if (choose_columns(t, options->output))
		return -1;
	t->scols = scols_new_table();
	if (!t->scols || scols_table_set_name(t->scols, name) || scols_table_enable_json(t->scols, t->json) ||
	    scols_table_enable_noheadings(t->scols, t->noheadings))
		goto failed;
	for (size_t i = 0; i < t->shown_count; i++)
		if (add_column(t, &columns[t->shown[i]]))
			goto failed;
	return 0;
failed:
	tool_error(TOOL_FAILED, "no memory for a table");
	scols_unref_table(t->scols);
	return -1;
}

int tool_table_row(struct tool_table *t, tool_cell cell, const void *row)
{
	struct libscols_line *line = scols_table_new_line(t->scols, NULL);
	char text[TOOL_CELL];

	for (size_t i = 0; line && i < t->shown_count; i++) {
		text[0] = '\0';
		cell(t->shown[i], text, t, row);
		if (scols_line_set_data(line, i, text))
			line = NULL;
	}
	if (line)
		return 0;
	tool_error(TOOL_FAILED, "no memory for a table");
	return -1;
}

void tool_table_drop(struct tool_table *t)
{
	scols_unref_table(t->scols);
	t->scols = NULL;
}

int tool_table_end(struct tool_table *t)
{
	int error = 0;

	/* An empty table prints nothing; as JSON it is an empty list. */
	if (t->json && scols_table_get_nlines(t->scols) == 0)
		printf("{\n   \"%s\": []\n}\n", t->name);
	else
		error = scols_print_table(t->scols);
	tool_table_drop(t);
	if (error || fflush(stdout) || ferror(stdout))
		return tool_error(TOOL_FAILED, "cannot write the table: %s", strerror(errno));
	return TOOL_OK;
}

int tool_table_list(const struct tool_lister *lister, const struct tool_table_options *options, void *arg)
{
	struct tool_table table;
	void *entries;
	long count;
	int error = 0;

	if (tool_table_begin(&table, lister->name, lister->columns, lister->count, options))
		return TOOL_USAGE;
	count = tool_fetch(lister->list, arg, lister->size, &entries);
	for (long i = 0; i < count && !error; i++)
		error = tool_table_row(&table, lister->cell, (char *)entries + (size_t)i * lister->size);
	free(entries);
	if (count < 0 || error) {
		tool_table_drop(&table);
		return TOOL_FAILED;
	}
	return tool_table_end(&table);
}

static int inspect(const char *path, const struct tool_view *view, const struct tool_table_options *options)
{
	SASInspect_t inspect = path ? SASInspectOpen(path) : NULL;
	int status;

	if (!path)
		return TOOL_USAGE;
	if (!inspect)
		return tool_library_error(TOOL_FAILED);
	status = view->show(inspect, path, options);
	SASInspectClose(inspect);
	return status;
}

int tool_inspect(int argc, char **argv, const struct tool_view *view)
{
	static const struct option longs[] = {
		TOOL_TABLE_LONG,
		TOOL_COMMON_LONG,
		{ 0 },
	};
	const char *shorts = view->shorts ? view->shorts : TOOL_TABLE_SHORT TOOL_COMMON_SHORT;
	struct tool_table_options options = { 0 };
	int c;

	while ((c = getopt_long(argc, argv, shorts, view->longs ? view->longs : longs, NULL)) != -1) {
		if (tool_is_common(c))
			return tool_common(c, view->usage);
		if (!tool_table_option(&options, c, optarg) && view->take(c, optarg))
			return tool_try_help();
	}
	return inspect(tool_region(argc, argv), view, &options);
}
