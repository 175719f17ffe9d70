/* SPDX-License-Identifier: MIT */
/*
 * cmd_info.c - sasphere info: a region's geometry and use.
 */
#include <config.h>

#include <stdlib.h>
#include <string.h>
#include "sasinspect.h"
#include "tool.h"

enum field {
	PATH,
	UUID,
	FORMAT,
	BASE,
	SIZE,
	SEGMENT_SIZE,
	SEGMENTS,
	SEGMENTS_MAX,
	IN_USE,
	FREE,
	BLOCKS,
	ALLOCATED,
	FINDER,
	CREATED,
	MODE,
	OWNER,
	GROUP,
	DURABILITY,
	NUMA,
	NODES,
	HUGE_WANTED,
	HUGE_PAGES,
	HUGE_REASON,
	ATTRIBUTES,
	ATTRIBUTES_SAID,
	SPARSE,
	PREALLOCATED,
	GENERATION,
	CLEAN,
	ALIVE,
	DEAD,
	INTENTS,
	ALLOCATIONS,
	FREES,
	LOCK_WAITS,
	FAULTS,
	RECOVERIES
};

static const struct tool_column fields[] = {
	[PATH] = { "PATH", TOOL_TEXT, "the region's directory" },
	[UUID] = { "UUID", TOOL_TEXT, "the region's UUID" },
	[FORMAT] = { "FORMAT", TOOL_NUMBER, "version of the media format" },
	[BASE] = { "BASE", TOOL_TEXT, "first address" },
	[SIZE] = { "SIZE", TOOL_BYTES, "bytes of address space" },
	[SEGMENT_SIZE] = { "SEGSIZE", TOOL_BYTES, "size of a segment" },
	[SEGMENTS] = { "SEGMENTS", TOOL_NUMBER, "segments that have files" },
	[SEGMENTS_MAX] = { "SEGMAX", TOOL_NUMBER, "segments that it can have" },
	[IN_USE] = { "USED", TOOL_BYTES, "blocks that programs hold" },
	[FREE] = { "FREE", TOOL_BYTES, "free space in segments that have files" },
	[BLOCKS] = { "BLOCKS", TOOL_NUMBER, "number of blocks that programs hold" },
	[ALLOCATED] = { "ALLOCATED", TOOL_BYTES, "what the files take on the disk" },
	[FINDER] = { "FINDER", TOOL_TEXT, "the region's root pointer" },
	[CREATED] = { "CREATED", TOOL_TEXT, "when it was made" },
	[MODE] = { "MODE", TOOL_TEXT, "mode of its files" },
	[OWNER] = { "UID", TOOL_NUMBER, "owner of its files" },
	[GROUP] = { "GID", TOOL_NUMBER, "group of its files" },
	[DURABILITY] = { "DURABILITY", TOOL_TEXT, "process, disk or pmem" },
	[NUMA] = { "NUMA", TOOL_TEXT, "default, preferred, bind, interleave or interleave-segments" },
	[NODES] = { "NODES", TOOL_TEXT, "NUMA nodes of that policy; nothing: all" },
	[HUGE_WANTED] = { "HUGE", TOOL_TEXT, "pages that it was made for: none, transparent or hugetlb" },
	[HUGE_PAGES] = { "PAGES", TOOL_TEXT, "pages that processes can get here: the same" },
	[HUGE_REASON] = { "HUGEREASON", TOOL_TEXT, "why these are others" },
	[ATTRIBUTES] = { "ATTRIBUTES", TOOL_TEXT, "extended attributes: complete, missing, differ or unsupported" },
	[ATTRIBUTES_SAID] = { "ATTRSAID", TOOL_TEXT, "what is wrong with the first that is" },
	[SPARSE] = { "SPARSE", TOOL_BOOLEAN, "blocks take file space at their first touch" },
	[PREALLOCATED] = { "PREALLOCATED", TOOL_BOOLEAN, "it lives in files that were there before" },
	[GENERATION] = { "JOINS", TOOL_NUMBER, "joins so far" },
	[CLEAN] = { "CLEAN", TOOL_BOOLEAN, "the last participant left in order" },
	[ALIVE] = { "ALIVE", TOOL_NUMBER, "processes that have joined and live" },
	[DEAD] = { "DEAD", TOOL_NUMBER, "dead ones that wait for recovery" },
	[INTENTS] = { "INTENTS", TOOL_NUMBER, "changes under way, or waiting for recovery" },
	[ALLOCATIONS] = { "ALLOCS", TOOL_NUMBER, "blocks allocated, since SAS.run was made" },
	[FREES] = { "FREES", TOOL_NUMBER, "blocks freed" },
	[LOCK_WAITS] = { "LOCKWAITS", TOOL_NUMBER, "address locks that were not had at once" },
	[FAULTS] = { "FAULTS", TOOL_NUMBER, "segments mapped at their first touch" },
	[RECOVERIES] = { "RECOVERIES", TOOL_NUMBER, "dead threads recovered" },
};

#define FIELDS (sizeof(fields) / sizeof(fields[0]))

struct region {
	const char *path;
	SASInspectInfo info;
};

static int usage(void)
{
	printf("\n"
	       "Usage:\n"
	       " sasphere info [options] [DIRECTORY]\n"
	       "\n"
	       "Show a region's geometry and use, without joining it.\n"
	       "\n"
	       "Options:\n");
	tool_table_usage();
	printf("\nColumns, a line each unless as JSON; --noheadings leaves out their names:\n");
	tool_columns_usage(fields, FIELDS);
	tool_usage_end();
	return TOOL_OK;
}

static const char *name_of(unsigned value, const char *const names[], unsigned count)
{
	return value < count ? names[value] : "unknown";
}

static void put_text(char text[TOOL_CELL], const char *what)
{
	snprintf(text, TOOL_CELL, "%s", what);
}

static const char *attributes_of(const SASInspectInfo *i)
{
	if (i->attributesDiffer)
		return "differ";
	if (i->attributesMissing)
		return "missing";
	return i->attributesFit ? "complete" : "unsupported";
}

static void cell(size_t column, char text[TOOL_CELL], const struct tool_table *t, const void *row)
{
	static const char *const durability[] = { "process", "disk", "pmem" };
	static const char *const numa[] = { "default", "preferred", "bind", "interleave", "interleave-segments" };
	static const char *const huge[] = { "none", "transparent", "hugetlb" };
	const struct region *r = row;
	const SASInspectInfo *i = &r->info;

	switch ((enum field)column) {
	case PATH: put_text(text, r->path); break;
	case UUID: tool_uuid_text(text, i->uuid); break;
	case FORMAT: tool_number_text(text, i->formatVersion); break;
	case BASE: tool_address_text(text, i->base); break;
	case SIZE: tool_size_text(text, i->regionSize, t->bytes); break;
	case SEGMENT_SIZE: tool_size_text(text, i->segmentSize, t->bytes); break;
	case SEGMENTS: tool_number_text(text, i->segmentsPresent); break;
	case SEGMENTS_MAX: tool_number_text(text, i->segmentsMax); break;
	case IN_USE: tool_size_text(text, i->bytesInUse, t->bytes); break;
	case FREE: tool_size_text(text, i->bytesFree, t->bytes); break;
	case BLOCKS: tool_number_text(text, i->blocksInUse); break;
	case ALLOCATED: tool_size_text(text, i->allocatedBytes, t->bytes); break;
	case FINDER: tool_address_text(text, i->finder); break;
	case CREATED: tool_time_text(text, i->createdAt); break;
	case MODE: snprintf(text, TOOL_CELL, "%04o", i->mode); break;
	case OWNER: tool_number_text(text, i->uid); break;
	case GROUP: tool_number_text(text, i->gid); break;
	case DURABILITY: put_text(text, name_of(i->durability, durability, 3)); break;
	case NUMA: put_text(text, name_of(i->numaPolicy, numa, 5)); break;
	case NODES: put_text(text, i->numaNodes); break;
	case HUGE_WANTED: put_text(text, name_of(i->hugeWanted, huge, 3)); break;
	case HUGE_PAGES: put_text(text, name_of(i->hugePages, huge, 3)); break;
	case HUGE_REASON: put_text(text, i->hugeReason); break;
	case ATTRIBUTES: put_text(text, attributes_of(i)); break;
	case ATTRIBUTES_SAID: put_text(text, i->attributesSaid); break;
	case SPARSE: tool_number_text(text, i->sparse); break;
	case PREALLOCATED: tool_number_text(text, i->preallocated); break;
	case GENERATION: tool_number_text(text, i->generation); break;
	case CLEAN: tool_number_text(text, i->clean); break;
	case ALIVE: tool_number_text(text, i->participantsAlive); break;
	case DEAD: tool_number_text(text, i->participantsDead); break;
	case INTENTS: tool_number_text(text, i->intents); break;
	case ALLOCATIONS: tool_number_text(text, i->allocations); break;
	case FREES: tool_number_text(text, i->frees); break;
	case LOCK_WAITS: tool_number_text(text, i->lockWaits); break;
	case FAULTS: tool_number_text(text, i->faults); break;
	case RECOVERIES: tool_number_text(text, i->recoveries); break;
	}
}

/* As JSON one object; for people a line for each column. */
static int print(const struct region *r, const struct tool_table_options *options)
{
	struct tool_table table;
	char text[TOOL_CELL];
	int width = 0;

	if (tool_table_begin(&table, "region", fields, FIELDS, options))
		return TOOL_USAGE;
	if (table.json)
		return tool_table_row(&table, cell, r) ? TOOL_FAILED : tool_table_end(&table);
	for (size_t i = 0; i < table.shown_count; i++) {
		int length = (int)strlen(fields[table.shown[i]].name);

		width = length > width ? length : width;
	}
	for (size_t i = 0; i < table.shown_count; i++) {
		text[0] = '\0';
		cell(table.shown[i], text, &table, r);
		if (table.noheadings)
			printf("%s\n", text);
		else
			printf("%-*s  %s\n", width, fields[table.shown[i]].name, text);
	}
	tool_table_drop(&table);
	return TOOL_OK;
}

static int show(SASInspect_t inspect, const char *path, const struct tool_table_options *options)
{
	struct region region = { .path = path, .info.structSize = sizeof(region.info) };

	if (SASInspectGetInfo(inspect, &region.info))
		return tool_library_error(TOOL_FAILED);
	return print(&region, options);
}

int cmd_info(int argc, char **argv)
{
	static const struct tool_view view = { .usage = usage, .show = show };

	return tool_inspect(argc, argv, &view);
}
