/* SPDX-License-Identifier: MIT */
/*
 * cmd_index.c - sasphere index: what indexes and string trees are made of, and what they hold.
 */
#include <config.h>

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "names.h"
#include "sasalloc.h"
#include "sasobject.h"
#include "tool.h"

enum { STAT_ADDRESS, STAT_TYPE, STAT_KEYS, STAT_DEPTH, STAT_LEAVES, STAT_INNER, STAT_FILL, STAT_PERKEY, STAT_KEYBYTES, STAT_PAGE, STAT_FREE };
static const struct tool_column stat_columns[] = {
	[STAT_ADDRESS] = { "ADDRESS", TOOL_TEXT, "stat: where the tree begins" },
	[STAT_TYPE] = { "TYPE", TOOL_TEXT, "stat: index, string tree" },
	[STAT_KEYS] = { "KEYS", TOOL_NUMBER, "stat: how many" },
	[STAT_DEPTH] = { "DEPTH", TOOL_NUMBER, "stat: nodes from the root to a leaf" },
	[STAT_LEAVES] = { "LEAVES", TOOL_NUMBER, "stat: nodes with keys and values" },
	[STAT_INNER] = { "INNER", TOOL_NUMBER, "stat: nodes that lead to others" },
	[STAT_FILL] = { "FILL", TOOL_NUMBER, "stat: how full leaves are, percent" },
	[STAT_PERKEY] = { "PERKEY", TOOL_NUMBER, "stat: bytes of nodes per key" },
	[STAT_KEYBYTES] = { "KEYBYTES", TOOL_BYTES, "stat: of all keys" },
	[STAT_PAGE] = { "PAGE", TOOL_BYTES, "stat: size of a node" },
	[STAT_FREE] = { "FREE", TOOL_NUMBER, "stat: pages that are no nodes" },
};
enum { DUMP_KEY, DUMP_VALUE };
static const struct tool_column dump_columns[] = {
	[DUMP_KEY] = { "KEY", TOOL_TEXT, "dump: a number, or an escaped string" },
	[DUMP_VALUE] = { "VALUE", TOOL_TEXT, "dump: the pointer stored with it" },
};
#define STAT_COUNT (sizeof(stat_columns) / sizeof(stat_columns[0]))
#define DUMP_COUNT (sizeof(dump_columns) / sizeof(dump_columns[0]))

struct request {
	SASInspect_t inspect;
	const char *path;
	struct tool_table_options options;
	const char *from;
	uint64_t limit;                 /* 0: all */
};

static int usage(void)
{
	printf("\n"
	       "Usage:\n"
	       " sasphere index stat [options] [TREE...]\n"
	       " sasphere index dump [options] TREE\n"
	       "\n"
	       "Show what indexes and string trees of a region are made of, or what they hold, without joining it.\n"
	       "TREE is an address, or the word finder: where the region's finder leads; else a path from the\n"
	       "context there. Without one, stat shows all trees that begin blocks.\n"
	       "\n"
	       "Options:\n"
	       " -f, --from KEY           dump: begin with this key, or the next one\n"
	       " -l, --limit NUMBER       dump: so many keys at most\n"
	       " -p, --region DIRECTORY   the region; without it SASSTOREPATH, else the working directory\n");
	tool_table_usage();
	printf("\nColumns:\n");
	tool_columns_usage(stat_columns, STAT_COUNT);
	tool_columns_usage(dump_columns, DUMP_COUNT);
	tool_usage_end();
	return TOOL_OK;
}

/* --- trees */

/* The type of the tree that begins there; 0: none does. */
static sas_type_t tree_type(SASInspect_t inspect, uint64_t address)
{
	SASBlockHeader header;

	if (SASInspectRead(inspect, (void *)address, &header, sizeof(header)) != 0 ||
	    !(SOMSASCheckBlockSigAndTypeAndSubtype(&header, SAS_RUNTIME_INDEX) ||
	      SOMSASCheckBlockSigAndTypeAndSubtype(&header, SAS_RUNTIME_STRINGBTREE)))
		return 0;
	return header.blockType;
}

/* Contexts are read by joining. 0, or an exit status with a message. */
static int find_path(const struct request *r, const char *path, uint64_t *address)
{
	SPHContext_t root;
	SASRegion_t region = names_join(r->path, SAS_JOIN_READONLY, &root);
	void *value;

	if (!region)
		return TOOL_FAILED;
	value = names_value(root, path);
	*address = (uint64_t)value;
	if (SASRegionLeave(region) != 0)
		return tool_library_error(TOOL_FAILED);
	return value ? TOOL_OK : TOOL_FAILED;
}

static int find_finder(const struct request *r, uint64_t *address)
{
	SASInspectInfo info = { .structSize = sizeof(info) };

	if (SASInspectGetInfo(r->inspect, &info) != 0)
		return tool_library_error(TOOL_FAILED);
	*address = info.finder;
	return TOOL_OK;
}

/* An operand. 0, or an exit status with a message. */
static int find_tree(const struct request *r, const char *name, uint64_t *address)
{
	int status = TOOL_OK;

	if (strcmp(name, "finder") == 0)
		status = find_finder(r, address);
	else if (!tool_address(name, address))
		status = find_path(r, name, address);
	if (status != TOOL_OK)
		return status;
	if (tree_type(r->inspect, *address))
		return TOOL_OK;
	return tool_error(TOOL_FAILED, "%s: no index or string tree begins at %s", r->path, name);
}

/* --- stat */

struct stat_row { uint64_t address; sas_type_t type; SASTreeInfo info; };

static void stat_cell(size_t column, char text[TOOL_CELL], const struct tool_table *t, const void *row)
{
	const struct stat_row *r = row;

	switch (column) {
	case STAT_ADDRESS: tool_address_text(text, r->address); break;
	case STAT_TYPE: tool_type_text(text, r->type); break;
	case STAT_KEYS: tool_number_text(text, r->info.keys); break;
	case STAT_DEPTH: tool_number_text(text, r->info.depth); break;
	case STAT_LEAVES: tool_number_text(text, r->info.leaves); break;
	case STAT_INNER: tool_number_text(text, r->info.inner); break;
	case STAT_FILL: tool_number_text(text, r->info.leafPercent); break;
	case STAT_PERKEY:
		if (r->info.keys)
			tool_number_text(text, (r->info.usedBytes + r->info.keys / 2) / r->info.keys);
		break;
	case STAT_KEYBYTES: tool_size_text(text, r->info.keyBytes, t->bytes); break;
	case STAT_PAGE: tool_size_text(text, r->info.pageSize, t->bytes); break;
	case STAT_FREE: tool_number_text(text, r->info.freePages); break;
	}
}

static int add_stat(const struct request *r, struct tool_table *table, uint64_t address)
{
	struct stat_row row = { .address = address, .type = tree_type(r->inspect, address), .info.structSize = sizeof(row.info) };

	if (SASObjectTreeInfo(r->inspect, (void *)address, &row.info) != 0)
		return tool_library_error(TOOL_FAILED);
	return tool_table_row(table, stat_cell, &row) ? TOOL_FAILED : TOOL_OK;
}

static long list_blocks(void *arg, void *buffer, size_t capacity)
{
	return SASInspectListBlocks(arg, SASBlock__IN_USE, buffer, capacity);
}

static int add_all_stats(const struct request *r, struct tool_table *table)
{
	void *blocks;
	long count = tool_fetch(list_blocks, r->inspect, sizeof(SASBlockInfo), &blocks);
	int status = count < 0 ? TOOL_FAILED : TOOL_OK;

	for (long i = 0; i < count && status == TOOL_OK; i++) {
		uint64_t address = (uint64_t)((SASBlockInfo *)blocks)[i].address;
		SASBlockHeader header;

		/* Further blocks of a tree have its type, and lead to it. */
		if (tree_type(r->inspect, address) && SASInspectRead(r->inspect, (void *)address, &header, sizeof(header)) == 0 &&
		    (uint64_t)header.baseBlock == address)
			status = add_stat(r, table, address);
	}
	free(blocks);
	return status;
}

static int show_stats(const struct request *r, char **trees)
{
	struct tool_table table;
	int status = TOOL_OK, ended;

	if (tool_table_begin(&table, "trees", stat_columns, STAT_COUNT, &r->options))
		return TOOL_USAGE;
	if (!*trees)
		status = add_all_stats(r, &table);
	for (; *trees && status == TOOL_OK; trees++) {
		uint64_t address = 0;

		status = find_tree(r, *trees, &address);
		if (status == TOOL_OK)
			status = add_stat(r, &table, address);
	}
	if (status == TOOL_OK)
		return tool_table_end(&table);
	/* What was found before is shown nevertheless. */
	ended = tool_table_end(&table);
	return ended != TOOL_OK ? ended : status;
}

/* --- dump */

#define LONGEST_KEY 16384U      /* of any tree */

struct dump {
	struct tool_table table;
	sas_type_t type;
	uint64_t left;          /* keys still wanted */
	int failed;
};
struct dump_row { const unsigned char *key; size_t size; uint64_t value; sas_type_t type; };

static int is_index(sas_type_t type)
{
	return (type & (sas_type_t)SAS_SUBTYPE_CHECK_MASK) == SAS_RUNTIME_INDEX;
}

/* As in C, between no quotes; what does not fit is cut, with "...". */
static void string_text(char text[TOOL_CELL], const unsigned char *key, size_t size)
{
	char *at = text, *end = text + TOOL_CELL - 8;

	for (size_t i = 0; i < size; i++) {
		if (at >= end) {
			strcpy(at, "...");
			return;
		}
		if (key[i] == '\\')
			at += sprintf(at, "\\\\");
		else if (isprint(key[i]))
			*at++ = (char)key[i];
		else
			at += sprintf(at, "\\x%02x", key[i]);
	}
	*at = '\0';
}

/* The words of a key as one number, the first one the most significant. */
static void number_text(char text[TOOL_CELL], const unsigned char *key, size_t size)
{
	char *at = text + sprintf(text, "0x");

	for (size_t i = 0; i < size && i < LONGEST_KEY / 8; i++)
		at += sprintf(at, "%02x", key[i]);
}

static void dump_cell(size_t column, char text[TOOL_CELL], const struct tool_table *t, const void *row)
{
	const struct dump_row *r = row;

	(void)t;
	if (column == DUMP_VALUE)
		tool_address_text(text, r->value);
	else if (is_index(r->type))
		number_text(text, r->key, r->size);
	else
		string_text(text, r->key, r->size);
}

#define DUMP_ENDED 1

static int add_key(const void *key, size_t size, uint64_t value, void *arg)
{
	struct dump *d = arg;
	const struct dump_row row = { key, size, value, d->type };

	d->failed = tool_table_row(&d->table, dump_cell, &row);
	return d->failed || --d->left == 0 ? DUMP_ENDED : 0;
}

static int hex_digit(int c)
{
	return isdigit(c) ? c - '0' : isxdigit(c) ? tolower(c) - 'a' + 10 : -1;
}

/* A key as it is printed; of an index also any number, of 8 bytes. Its size, -1: it is none. */
static int parse_key(const char *text, sas_type_t type, unsigned char key[LONGEST_KEY])
{
	size_t digits = strncmp(text, "0x", 2) == 0 ? strlen(text + 2) : 0, size = 0;
	uint64_t number;

	if (is_index(type) && digits <= 16) {
		if (!tool_address(text, &number))
			return -1;
		for (; size < 8; size++)
			key[size] = (unsigned char)(number >> (56 - 8 * size));
		return 8;
	}
	if (is_index(type))
		for (text += 2; *text; text += 2) {
			if (size == LONGEST_KEY || hex_digit(text[0]) < 0 || hex_digit(text[1]) < 0)
				return -1;
			key[size++] = (unsigned char)(hex_digit(text[0]) * 16 + hex_digit(text[1]));
		}
	for (; *text; text++) {
		if (size == LONGEST_KEY)
			return -1;
		if (*text == '\\' && text[1] == 'x' && hex_digit(text[2]) >= 0 && hex_digit(text[3]) >= 0) {
			key[size++] = (unsigned char)(hex_digit(text[2]) * 16 + hex_digit(text[3]));
			text += 3;
		} else {
			text += *text == '\\' && text[1] == '\\';
			key[size++] = (unsigned char)*text;
		}
	}
	return (int)size;
}

static int show_keys(const struct request *r, const char *tree)
{
	struct dump d = { .left = r->limit };
	unsigned char from[LONGEST_KEY];
	uint64_t address = 0;
	int size = 0, status = find_tree(r, tree, &address);

	if (status != TOOL_OK)
		return status;
	d.type = tree_type(r->inspect, address);
	if (r->from)
		size = parse_key(r->from, d.type, from);
	if (size < 0)
		return tool_error(TOOL_USAGE, "--from: no key of this tree: %s", r->from);
	if (tool_table_begin(&d.table, "keys", dump_columns, DUMP_COUNT, &r->options))
		return TOOL_USAGE;
	if (SASObjectTreeKeys(r->inspect, (void *)address, r->from ? from : NULL, (size_t)size, add_key, &d) < 0) {
		status = tool_library_error(TOOL_FAILED);
		tool_table_drop(&d.table);
		return status;
	}
	if (d.failed) {
		tool_table_drop(&d.table);
		return TOOL_FAILED;
	}
	return tool_table_end(&d.table);
}

/* --- the command */

static int wrong(const char *format, const char *what)
{
	tool_error(TOOL_USAGE, format, what);
	return tool_try_help();
}

static int check_operands(const struct request *r, char **operands)
{
	int dump;

	if (!*operands)
		return wrong("no subcommand: stat or dump", "");
	dump = strcmp(*operands, "dump") == 0;
	if (!dump && strcmp(*operands, "stat") != 0)
		return wrong("no such subcommand: %s", *operands);
	if (dump && (!operands[1] || operands[2]))
		return wrong("dump shows one tree", "");
	if (!dump && (r->from || r->limit))
		return wrong("--from and --limit are for dump", "");
	return TOOL_OK;
}

static int run(struct request *r, char **operands)
{
	int status = check_operands(r, operands);

	if (status != TOOL_OK)
		return status;
	r->inspect = SASInspectOpen(r->path);
	if (!r->inspect)
		return tool_library_error(TOOL_FAILED);
	status = strcmp(*operands, "dump") == 0 ? show_keys(r, operands[1]) : show_stats(r, operands + 1);
	SASInspectClose(r->inspect);
	return status;
}

int cmd_index(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "from", required_argument, NULL, 'f' },
		{ "limit", required_argument, NULL, 'l' },
		{ "region", required_argument, NULL, 'p' },
		TOOL_TABLE_LONG,
		TOOL_COMMON_LONG,
		{ 0 },
	};
	struct request r = { .path = tool_default_region() };
	int c;

	while ((c = getopt_long(argc, argv, "f:l:p:" TOOL_TABLE_SHORT TOOL_COMMON_SHORT, longs, NULL)) != -1) {
		if (tool_is_common(c))
			return tool_common(c, usage);
		if (c == 'f')
			r.from = optarg;
		else if (c == 'p')
			r.path = optarg;
		else if (c == 'l' && (!tool_address(optarg, &r.limit) || r.limit == 0))
			return wrong("--limit: not a number of keys: %s", optarg);
		else if (c != 'l')
			tool_table_option(&r.options, c, optarg);
	}
	return run(&r, argv + optind);
}
