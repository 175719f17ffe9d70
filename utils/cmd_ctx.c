/* SPDX-License-Identifier: MIT */
/*
 * cmd_ctx.c - sasphere ctx: the names that the contexts of a region know. The root is the context that the finder leads to.
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "names.h"
#include "sasregion.h"
#include "tool.h"

enum { CTX_NAME, CTX_ADDRESS, CTX_TYPE, CTX_SIZE };
static const struct tool_column columns[] = {
	[CTX_NAME] = { "NAME", TOOL_TEXT, "the name, or the path" },
	[CTX_ADDRESS] = { "ADDRESS", TOOL_TEXT, "what it leads to" },
	[CTX_TYPE] = { "TYPE", TOOL_TEXT, "type of the object there, block, or none" },
	[CTX_SIZE] = { "SIZE", TOOL_BYTES, "its size" },
};

#define COLUMNS (sizeof(columns) / sizeof(columns[0]))

static int usage(void)
{
	printf("\n"
	       "Usage:\n"
	       " sasphere ctx [options] ls|tree [PATH]\n"
	       " sasphere ctx [options] get PATH|ADDRESS\n"
	       " sasphere ctx [options] add PATH ADDRESS\n"
	       " sasphere ctx [options] rm PATH\n"
	       "\n"
	       "Look at, add and remove the names that contexts give to addresses. Paths begin in the\n"
	       "context that the finder leads to.\n"
	       "\n"
	       "Options:\n"
	       " -p, --region DIRECTORY   the region; without it SASSTOREPATH, else the working directory\n"
	       " -f, --force              rm: also the name of a context that has names itself\n");
	tool_table_usage();
	printf("\nColumns:\n");
	tool_columns_usage(columns, COLUMNS);
	tool_usage_end();
	return TOOL_OK;
}

/* --- rows */

struct row { const char *name; void *value; };

/* 0: what is there is an object; size as well. */
static int look_at(const void *value, SASBlockHeader *header)
{
	if ((uintptr_t)value % sizeof(void *) || !SASRegionOf(value) || SASMapAhead(value, sizeof(*header)) != 0)
		return -1;
	memcpy(header, value, sizeof(*header));
	return SOMSASCheckBlockSig(header) ? 0 : -1;
}

static void cell(size_t column, char text[TOOL_CELL], const struct tool_table *t, const void *r)
{
	const struct row *row = r;
	SASBlockInfo block;
	SASBlockHeader header;
	int is_object = look_at(row->value, &header) == 0;
	int is_block = !is_object && SASRegionOf(row->value) && SASBlockFind(row->value, &block) == 0 && block.address == row->value;

	switch (column) {
	case CTX_NAME: snprintf(text, TOOL_CELL, "%s", row->name); break;
	case CTX_ADDRESS: tool_address_text(text, (uint64_t)row->value); break;
	case CTX_TYPE:
		if (is_object)
			tool_type_text(text, header.blockType);
		else
			strcpy(text, is_block ? "block" : "");
		break;
	case CTX_SIZE:
		if (is_object || is_block)
			tool_size_text(text, is_object ? header.blockSize : block.size, t->bytes);
		break;
	}
}

static int print(const char *path, void *value, void *arg)
{
	struct row row = { path, value };

	return tool_table_row(arg, cell, &row) ? TOOL_USAGE : 0;
}

/* --- what is to be done */

struct task {
	const char *path, *other;
	int force, deep;
	struct tool_table_options options;
};

static int finish(struct tool_table *table, int result)
{
	if (!result)
		return tool_table_end(table);
	tool_table_drop(table);
	return result < 0 ? tool_library_error(TOOL_FAILED) : TOOL_FAILED;
}

static int list(SPHContext_t root, const struct task *task)
{
	SPHContext_t context = task->path ? names_value(root, task->path) : root;
	struct tool_table table;

	if (!context)
		return TOOL_FAILED;
	if (!SPHContextIs(context))
		return tool_error(TOOL_FAILED, "%s: is no context", task->path);
	if (tool_table_begin(&table, "names", columns, COLUMNS, &task->options))
		return TOOL_USAGE;
	return finish(&table, names_walk(context, task->deep, print, &table));
}

/* 0: it is no address. */
static int parse(const char *text, uint64_t *address)
{
	char *end;

	errno = 0;
	*address = strtoull(text, &end, 0);
	return *text >= '0' && *text <= '9' && !*end && !errno;
}

struct match { struct tool_table *table; const void *value; int found; };

static int print_match(const char *path, void *value, void *arg)
{
	struct match *m = arg;

	if (value != m->value)
		return 0;
	m->found = 1;
	return print(path, value, m->table);
}

static int get(SPHContext_t root, const struct task *task)
{
	struct tool_table table;
	uint64_t address = 0;
	struct match m = { .table = &table };
	int result;

	m.value = SPHContextFindPath(root, task->path);
	if (!m.value && errno != ENOENT && errno != ENOTDIR)
		return tool_library_error(TOOL_FAILED);
	if (!m.value && !parse(task->path, &address))
		return tool_error(TOOL_FAILED, "%s: no such name", task->path);
	if (tool_table_begin(&table, "names", columns, COLUMNS, &task->options))
		return TOOL_USAGE;
	if (m.value)
		return finish(&table, print(task->path, (void *)(uintptr_t)m.value, &table));
	m.value = (void *)address;
	result = names_walk(root, 1, print_match, &m);
	if (!result && !m.found) {
		tool_table_drop(&table);
		return tool_error(TOOL_FAILED, "%s: has no name", task->path);
	}
	return finish(&table, result);
}

static int add(SPHContext_t root, const struct task *task)
{
	uint64_t address;

	if (!parse(task->other, &address) || !address) {
		tool_error(TOOL_USAGE, "not an address: %s", task->other);
		return tool_try_help();
	}
	if (SPHContextAddPath(root, task->path, (void *)address))
		return TOOL_OK;
	return errno == EEXIST ? tool_error(TOOL_FAILED, "%s: exists", task->path) : tool_library_error(TOOL_FAILED);
}

static int rm(SPHContext_t root, const struct task *task)
{
	void *value = SPHContextFindPath(root, task->path);

	if (value && !task->force && SPHContextIs(value) && SPHContextGetCount(value) != 0)
		return tool_error(TOOL_FAILED, "%s: a context that has names: with --force its name goes, and it stays", task->path);
	if (SPHContextRemovePath(root, task->path) == 0)
		return TOOL_OK;
	return errno == ENOENT ? tool_error(TOOL_FAILED, "%s: no such name", task->path) : tool_library_error(TOOL_FAILED);
}

static const struct operation {
	const char *name;
	int least, most;        /* operands */
	unsigned flags;         /* of the join */
	int deep;
	int (*run)(SPHContext_t root, const struct task *task);
} operations[] = {
	{ "ls", 0, 1, SAS_JOIN_READONLY, 0, list },
	{ "tree", 0, 1, SAS_JOIN_READONLY, 1, list },
	{ "get", 1, 1, SAS_JOIN_READONLY, 1, get },
	{ "add", 2, 2, 0, 0, add },
	{ "rm", 1, 1, 0, 0, rm },
};

/* --- the command */

static int run(const char *directory, const struct operation *operation, struct task *task)
{
	SPHContext_t root;
	SASRegion_t region = names_join(directory, operation->flags, &root);
	int status;

	if (!region)
		return TOOL_FAILED;
	task->deep = operation->deep;
	status = operation->run(root, task);
	if (SASRegionLeave(region) != 0 && status == TOOL_OK)
		status = tool_library_error(TOOL_FAILED);
	return status;
}

static int choose(const char *directory, int count, char **words, struct task *task)
{
	for (size_t i = 0; count > 0 && i < sizeof(operations) / sizeof(operations[0]); i++) {
		const struct operation *o = &operations[i];

		if (strcmp(words[0], o->name) != 0)
			continue;
		if (count - 1 < o->least || count - 1 > o->most) {
			tool_error(TOOL_USAGE, "%s: %s operands", o->name, count - 1 < o->least ? "too few" : "too many");
			return tool_try_help();
		}
		task->path = count > 1 ? words[1] : NULL;
		task->other = count > 2 ? words[2] : NULL;
		return run(directory, o, task);
	}
	tool_error(TOOL_USAGE, count ? "there is no such operation: %s" : "no operation", count ? words[0] : "");
	return tool_try_help();
}

int cmd_ctx(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "region", required_argument, NULL, 'p' },
		{ "force", no_argument, NULL, 'f' },
		TOOL_TABLE_LONG,
		TOOL_COMMON_LONG,
		{ 0 },
	};
	struct task task = { 0 };
	const char *directory = NULL;
	int c;

	while ((c = getopt_long(argc, argv, "p:f" TOOL_TABLE_SHORT TOOL_COMMON_SHORT, longs, NULL)) != -1) {
		if (tool_is_common(c))
			return tool_common(c, usage);
		if (c == 'p')
			directory = optarg;
		else if (c == 'f')
			task.force = 1;
		else
			tool_table_option(&task.options, c, optarg);
	}
	return choose(directory ? directory : tool_default_region(), argc - optind, argv + optind, &task);
}
