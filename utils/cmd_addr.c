/* SPDX-License-Identifier: MIT */
/*
 * cmd_addr.c - sasphere addr: what lies at an address: the block, the object, and whether it is in use there.
 */
#include <config.h>

#include <stdlib.h>
#include <string.h>
#include "names.h"
#include "sasalloc.h"
#include "sasinspect.h"
#include "tool.h"

enum {
	ADDR_ADDRESS,
	ADDR_STATE,
	ADDR_FILE,
	ADDR_OFFSET,
	ADDR_BLOCK,
	ADDR_SIZE,
	ADDR_GENERATION,
	ADDR_PID,
	ADDR_OBJECT,
	ADDR_TYPE,
	ADDR_PAGE,
	ADDR_PAGETYPE,
	ADDR_USE,
	ADDR_NAME
};
static const struct tool_column columns[] = {
	[ADDR_ADDRESS] = { "ADDRESS", TOOL_TEXT, "the address" },
	[ADDR_STATE] = { "STATE", TOOL_TEXT, "program, runtime, retired, free, uncommitted, no-file or outside" },
	[ADDR_FILE] = { "FILE", TOOL_TEXT, "the file that has it" },
	[ADDR_OFFSET] = { "OFFSET", TOOL_TEXT, "where in the file" },
	[ADDR_BLOCK] = { "BLOCK", TOOL_TEXT, "first address of the block, or of the free space" },
	[ADDR_SIZE] = { "SIZE", TOOL_BYTES, "its size" },
	[ADDR_GENERATION] = { "GENERATION", TOOL_TEXT, "join that allocated it" },
	[ADDR_PID] = { "PID", TOOL_TEXT, "the process of that join, while it lives" },
	[ADDR_OBJECT] = { "OBJECT", TOOL_TEXT, "the object around it" },
	[ADDR_TYPE] = { "TYPE", TOOL_TEXT, "type of the object" },
	[ADDR_PAGE] = { "PAGE", TOOL_TEXT, "the page of the object, where it has such" },
	[ADDR_PAGETYPE] = { "PAGETYPE", TOOL_TEXT, "type of the page" },
	[ADDR_USE] = { "USE", TOOL_TEXT, "there: header, used or free; broken" },
	[ADDR_NAME] = { "NAME", TOOL_TEXT, "that a context has for the address" },
};

#define COLUMNS (sizeof(columns) / sizeof(columns[0]))
#define SMALLEST_GRANULE 512U

/* What the region has, read once. */
struct region_view {
	SASInspect_t inspect;
	SASInspectInfo info;
	struct { SASBlockInfo *entries; long count; } blocks[5];        /* by kind */
	SASParticipantInfo *participants;
	long participant_count;
	SASRegion_t region;                     /* joined read-only, where the finder leads to a context; NULL */
};

/* A header, and where it stands; address 0: there is none. */
struct place {
	uint64_t address;
	SASBlockHeader header;
};

struct answer {
	uint64_t address;
	const SASBlockInfo *block;      /* NULL: outside */
	uint32_t pid;
	struct place inner, object;     /* the innermost header; the object that it is, or is a page of */
	const char *use;
	char *name;                     /* malloc'd, or NULL */
};

static int usage(void)
{
	printf("\n"
	       "Usage:\n"
	       " sasphere addr [options] ADDRESS...\n"
	       "\n"
	       "Tell what lies at addresses of a region, without joining it.\n"
	       "\n"
	       "Options:\n"
	       " -p, --region DIRECTORY   the region; without it SASSTOREPATH, else the working directory\n");
	tool_table_usage();
	printf("\nColumns:\n");
	tool_columns_usage(columns, COLUMNS);
	tool_usage_end();
	return TOOL_OK;
}

/* --- the block */

static const SASBlockInfo *find_block(const struct region_view *v, uint64_t address)
{
	static const int kinds[] = { SASBlock__IN_USE, SASBlock__FREE, SASBlock__UNCOMMITTED, SASBlock__FREE_REGION };

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		for (long k = 0; k < v->blocks[kinds[i]].count; k++) {
			const SASBlockInfo *b = &v->blocks[kinds[i]].entries[k];

			if (address - (uint64_t)b->address < b->size)
				return b;
		}
	return NULL;
}

static uint32_t find_process(const struct region_view *v, uint32_t generation)
{
	for (long i = 0; generation != 0 && i < v->participant_count; i++)
		if (v->participants[i].generation == generation && v->participants[i].alive)
			return v->participants[i].pid;
	return 0;
}

static const char *state_text(const SASBlockInfo *b)
{
	if (!b)
		return "outside";
	switch (b->kind) {
	case SASBlock__IN_USE:
		return b->generation == SAS_GENERATION_RETIRED ? "retired" : b->generation ? "program" : "runtime";
	case SASBlock__FREE:
		return "free";
	case SASBlock__UNCOMMITTED:
		return "uncommitted";
	default:
		return "no-file";
	}
}

/* --- the object: as SASFindHeader(3) finds it, by reading */

static int read_header(const struct region_view *v, uint64_t address, struct place *place)
{
	if (SASInspectRead(v->inspect, (void *)address, &place->header, sizeof(place->header)) != 0 ||
	    !SOMSASCheckBlockSig(&place->header))
		return 0;
	place->address = address;
	return 1;
}

static void find_object(const struct region_view *v, struct answer *a)
{
	uint64_t start = (uint64_t)a->block->address, offset = a->address - start, base;

	for (uint64_t granule = SMALLEST_GRANULE; granule <= a->block->size; granule *= 2)
		if (read_header(v, start + (offset & ~(granule - 1)), &a->inner))
			break;
	a->object = a->inner;
	base = (uint64_t)a->inner.header.baseBlock;
	if (a->inner.address != 0 && base != a->inner.address && !read_header(v, base, &a->object))
		a->object = a->inner;
}

/* The free ranges ascend, inside the heap; what does not is not followed. */
static const char *heap_use(const struct region_view *v, const struct place *heap, uint64_t address)
{
	uint64_t low = heap->address + heap_offset, high = heap->address + heap->header.blockSize;
	uint64_t at = (uint64_t)heap->header.blockFreeSpace;
	FreeNode node;

	if (address < low)
		return "header";
	for (; at != 0 && at <= address; at = (uint64_t)node.nextNode) {
		if (at < low || at > high - sizeof(node) || SASInspectRead(v->inspect, (void *)at, &node, sizeof(node)) != 0 ||
		    node.nodeSize < sizeof(node) || node.nodeSize > high - at)
			return "broken";
		if (address - at < node.nodeSize)
			return "free";
		low = at + node.nodeSize;
	}
	return "used";
}

/* Behind the header of a stack or a space: how far it is filled. */
static const char *fill_use(const struct region_view *v, const struct place *object, uint64_t address)
{
	uint64_t offset = address - object->address, word;

	if (SASInspectRead(v->inspect, (void *)(object->address + sizeof(SASBlockHeader)), &word, sizeof(word)) != 0)
		return "broken";
	if ((object->header.blockType & SAS_TYPE_MASK) == SAS_SIMPLESPACE_TYPE)
		word += default_page;
	if (word < default_page || word > object->header.blockSize)
		return "broken";
	return offset < default_page ? "header" : offset < word ? "used" : "free";
}

static const char *find_use(const struct region_view *v, const struct answer *a)
{
	const struct place *p = &a->inner;

	if (p->address == 0 || a->address - p->address >= p->header.blockSize)
		return "";
	if (a->address - p->address < sizeof(SASBlockHeader))
		return "header";
	switch (p->header.blockType & (sas_type_t)SAS_SUBTYPE_CHECK_MASK) {
	case SAS_RUNTIME_SIMPLEHEAP:
	case SAS_RUNTIME_LOCKTABLE:
	case SAS_RUNTIME_CONTEXT:
		return heap_use(v, p, a->address);
	case SAS_RUNTIME_SIMPLESTACK:
	case SAS_RUNTIME_SIMPLESPACE:
		return fill_use(v, p, a->address);
	default:
		return "";
	}
}

static struct answer look_up(const struct region_view *v, uint64_t address)
{
	struct answer a = { .address = address, .use = "" };

	a.block = find_block(v, address);
	if (a.block && a.block->kind == SASBlock__IN_USE) {
		a.pid = find_process(v, a.block->generation);
		find_object(v, &a);
		a.use = find_use(v, &a);
	}
	if (v->region)
		a.name = names_find(SASRegionFinder(v->region), (void *)address);
	return a;
}

/* --- the table */

struct row { const struct region_view *view; struct answer answer; };

static void place_text(char text[TOOL_CELL], const struct place *place)
{
	if (place->address)
		tool_address_text(text, place->address);
}

static void type_text(char text[TOOL_CELL], const struct place *place)
{
	if (place->address)
		tool_type_text(text, place->header.blockType);
}

static void cell(size_t column, char text[TOOL_CELL], const struct tool_table *t, const void *row)
{
	const struct region_view *v = ((const struct row *)row)->view;
	const struct answer *a = &((const struct row *)row)->answer;
	const SASBlockInfo *b = a->block;
	static const struct place none;
	const struct place *page = a->inner.address != a->object.address ? &a->inner : &none;
	int has_file = b && b->kind != SASBlock__FREE_REGION;

	switch (column) {
	case ADDR_ADDRESS: tool_address_text(text, a->address); break;
	case ADDR_STATE: strcpy(text, state_text(b)); break;
	case ADDR_FILE:
		if (has_file)
			snprintf(text, TOOL_CELL, "SAS%05llX.DAT",
				 (unsigned long long)((a->address - v->info.base) / v->info.segmentSize));
		break;
	case ADDR_OFFSET:
		if (has_file)
			snprintf(text, TOOL_CELL, "0x%llx",
				 (unsigned long long)((a->address - v->info.base) % v->info.segmentSize));
		break;
	case ADDR_BLOCK: if (b) tool_address_text(text, (uint64_t)b->address); break;
	case ADDR_SIZE: if (b) tool_size_text(text, b->size, t->bytes); break;
	case ADDR_GENERATION:
		if (b && b->kind == SASBlock__IN_USE && b->generation != SAS_GENERATION_RETIRED)
			tool_number_text(text, b->generation);
		break;
	case ADDR_PID: if (a->pid) tool_number_text(text, a->pid); break;
	case ADDR_OBJECT: place_text(text, &a->object); break;
	case ADDR_TYPE: type_text(text, &a->object); break;
	case ADDR_PAGE: place_text(text, page); break;
	case ADDR_PAGETYPE: type_text(text, page); break;
	case ADDR_USE: strcpy(text, a->use); break;
	case ADDR_NAME: if (a->name) snprintf(text, TOOL_CELL, "%s", a->name); break;
	}
}

/* --- the command */

struct block_list { SASInspect_t inspect; sas_block_kind_t kind; };

static long list_blocks(void *arg, void *buffer, size_t capacity)
{
	const struct block_list *list = arg;

	return SASInspectListBlocks(list->inspect, list->kind, buffer, capacity);
}

static long list_participants(void *arg, void *buffer, size_t capacity)
{
	return SASInspectListParticipants(arg, buffer, capacity);
}

static int read_region(struct region_view *v)
{
	static const sas_block_kind_t kinds[] = { SASBlock__IN_USE, SASBlock__FREE, SASBlock__UNCOMMITTED, SASBlock__FREE_REGION };

	v->info.structSize = sizeof(v->info);
	if (SASInspectGetInfo(v->inspect, &v->info) != 0)
		return tool_library_error(TOOL_FAILED);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct block_list list = { v->inspect, kinds[i] };
		void *entries;

		v->blocks[kinds[i]].count = tool_fetch(list_blocks, &list, sizeof(SASBlockInfo), &entries);
		v->blocks[kinds[i]].entries = entries;
		if (v->blocks[kinds[i]].count < 0)
			return TOOL_FAILED;
	}
	v->participant_count = tool_fetch(list_participants, v->inspect, sizeof(SASParticipantInfo),
					  (void **)&v->participants);
	return v->participant_count < 0 ? TOOL_FAILED : TOOL_OK;
}

/* Names are found as programs find them: contexts are read by joining. Where that cannot be there are no names. */
static void join_for_names(struct region_view *v, const char *path)
{
	struct place root;
	SASRegionOptions options;

	if (!v->info.finder || !read_header(v, v->info.finder, &root) ||
	    (root.header.blockType & (sas_type_t)SAS_SUBTYPE_CHECK_MASK) != SAS_RUNTIME_CONTEXT)
		return;
	SASRegionOptionsInit(&options);
	options.flags = SAS_JOIN_READONLY;
	v->region = SASRegionJoin(path, &options);
}

static void forget_region(struct region_view *v)
{
	if (v->region)
		SASRegionLeave(v->region);
	for (size_t i = 0; i < sizeof(v->blocks) / sizeof(v->blocks[0]); i++)
		free(v->blocks[i].entries);
	free(v->participants);
	SASInspectClose(v->inspect);
}

static int show(const struct region_view *v, char **addresses, const struct tool_table_options *options)
{
	struct tool_table table;
	int outside = 0, status;

	if (tool_table_begin(&table, "addresses", columns, COLUMNS, options))
		return TOOL_USAGE;
	for (; *addresses; addresses++) {
		struct row row = { v, { 0 } };
		uint64_t address = 0;

		tool_address(*addresses, &address);
		row.answer = look_up(v, address);
		outside |= !row.answer.block;
		status = tool_table_row(&table, cell, &row);
		free(row.answer.name);
		if (status) {
			tool_table_drop(&table);
			return TOOL_FAILED;
		}
	}
	status = tool_table_end(&table);
	return status != TOOL_OK ? status : outside ? TOOL_FAILED : TOOL_OK;
}

static int run(const char *path, char **addresses, const struct tool_table_options *options)
{
	struct region_view view = { 0 };
	int status;

	for (char **a = addresses; *a; a++) {
		uint64_t address;

		if (!tool_address(*a, &address)) {
			tool_error(TOOL_USAGE, "not an address: %s", *a);
			return tool_try_help();
		}
	}
	view.inspect = SASInspectOpen(path);
	if (!view.inspect)
		return tool_library_error(TOOL_FAILED);
	status = read_region(&view);
	if (status == TOOL_OK) {
		join_for_names(&view, path);
		status = show(&view, addresses, options);
	}
	forget_region(&view);
	return status;
}

int cmd_addr(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "region", required_argument, NULL, 'p' },
		TOOL_TABLE_LONG,
		TOOL_COMMON_LONG,
		{ 0 },
	};
	struct tool_table_options options = { 0 };
	const char *path = NULL;
	int c;

	while ((c = getopt_long(argc, argv, "p:" TOOL_TABLE_SHORT TOOL_COMMON_SHORT, longs, NULL)) != -1) {
		if (tool_is_common(c))
			return tool_common(c, usage);
		if (c == 'p')
			path = optarg;
		else
			tool_table_option(&options, c, optarg);
	}
	if (optind == argc) {
		tool_error(TOOL_USAGE, "no address");
		return tool_try_help();
	}
	return run(path ? path : tool_default_region(), argv + optind, &options);
}
