/* SPDX-License-Identifier: MIT */
/*
 * cmd_ls.c - sasphere ls: blocks, segments, participants.
 */
#include <config.h>

#include <string.h>
#include "sasinspect.h"
#include "tool.h"

#define LIST_SEGMENTS 100
#define LIST_PARTICIPANTS 101

static const struct kind {
	const char *name;
	int list;               /* sas_block_kind_t, or LIST_... */
	const char *json;
} kinds[] = {
	{ "in-use", SASBlock__IN_USE, "blocks" },
	{ "merged", SASBlock__IN_USE_MERGED, "blocks" },
	{ "free", SASBlock__FREE, "free" },
	{ "uncommitted", SASBlock__UNCOMMITTED, "uncommitted" },
	{ "free-region", SASBlock__FREE_REGION, "freeregion" },
	{ "segments", LIST_SEGMENTS, "segments" },
	{ "participants", LIST_PARTICIPANTS, "participants" },
};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

enum { BLOCK_ADDRESS, BLOCK_END, BLOCK_SIZE, BLOCK_GENERATION, BLOCK_OWNER };
static const struct tool_column block_columns[] = {
	[BLOCK_ADDRESS] = { "ADDRESS", TOOL_TEXT, "first address" },
	[BLOCK_END] = { "END", TOOL_TEXT, "last address" },
	[BLOCK_SIZE] = { "SIZE", TOOL_BYTES, "size" },
	[BLOCK_GENERATION] = { "GENERATION", TOOL_NUMBER, "join that allocated it; 0: the runtime" },
	[BLOCK_OWNER] = { "OWNER", TOOL_TEXT, "program, runtime, or none" },
};

enum {
	SEGMENT_NUMBER,
	SEGMENT_FILE,
	SEGMENT_ADDRESS,
	SEGMENT_SIZE_,
	SEGMENT_ALLOCATED,
	SEGMENT_USE,
	SEGMENT_UID,
	SEGMENT_GID,
	SEGMENT_MODE,
	SEGMENT_ATTRIBUTES
};
static const struct tool_column segment_columns[] = {
	[SEGMENT_NUMBER] = { "NUMBER", TOOL_NUMBER, "number of the segment" },
	[SEGMENT_FILE] = { "FILE", TOOL_TEXT, "name of its file" },
	[SEGMENT_ADDRESS] = { "ADDRESS", TOOL_TEXT, "first address" },
	[SEGMENT_SIZE_] = { "SIZE", TOOL_BYTES, "bytes of address space" },
	[SEGMENT_ALLOCATED] = { "ALLOCATED", TOOL_BYTES, "bytes that the file takes on the disk" },
	[SEGMENT_USE] = { "USE", TOOL_TEXT, "free, carved into blocks, or part of a larger block" },
	[SEGMENT_UID] = { "UID", TOOL_NUMBER, "owner of the file" },
	[SEGMENT_GID] = { "GID", TOOL_NUMBER, "group of the file" },
	[SEGMENT_MODE] = { "MODE", TOOL_TEXT, "mode of the file" },
	[SEGMENT_ATTRIBUTES] = { "ATTRIBUTES", TOOL_TEXT, "extended attributes: complete, missing, differ or unsupported" },
};

enum { PART_SLOT, PART_PID, PART_GENERATION, PART_THREADS, PART_STATE, PART_READONLY, PART_JOINED };
static const struct tool_column participant_columns[] = {
	[PART_SLOT] = { "SLOT", TOOL_NUMBER, "slot in SAS.run" },
	[PART_PID] = { "PID", TOOL_NUMBER, "process id, in its own namespace" },
	[PART_GENERATION] = { "GENERATION", TOOL_NUMBER, "what it allocates carries this" },
	[PART_THREADS] = { "THREADS", TOOL_NUMBER, "threads that hold a slot" },
	[PART_STATE] = { "STATE", TOOL_TEXT, "alive, or dead and not yet recovered" },
	[PART_READONLY] = { "READONLY", TOOL_BOOLEAN, "it joined for reading" },
	[PART_JOINED] = { "JOINED", TOOL_TEXT, "when it joined" },
};

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static int usage(void)
{
	printf("\n"
	       "Usage:\n"
	       " sasphere ls [options] [DIRECTORY]\n"
	       "\n"
	       "List what is in a region, without joining it.\n"
	       "\n"
	       "Options:\n"
	       " -k, --kind KIND          what to list; the default is in-use\n"
	       " -p, --participants       the same as --kind participants\n");
	tool_table_usage();
	printf("\n"
	       "Kinds:\n"
	       "         in-use  blocks in use, each for itself\n"
	       "         merged  blocks in use, buddies merged\n"
	       "           free  space that was in use once\n"
	       "    uncommitted  space that was never used\n"
	       "    free-region  ranges of the region that have no files yet\n"
	       "       segments  segments that have files\n"
	       "   participants  processes that have joined\n");
	printf("\nColumns of blocks and space:\n");
	tool_columns_usage(block_columns, LENGTH(block_columns));
	printf("\nColumns of segments:\n");
	tool_columns_usage(segment_columns, LENGTH(segment_columns));
	printf("\nColumns of participants:\n");
	tool_columns_usage(participant_columns, LENGTH(participant_columns));
	tool_usage_end();
	return TOOL_OK;
}

static void block_cell(size_t column, char text[TOOL_CELL], const struct tool_table *t, const void *row)
{
	const SASBlockInfo *b = row;
	int used = b->kind == SASBlock__IN_USE || b->kind == SASBlock__IN_USE_MERGED;

	switch (column) {
	case BLOCK_ADDRESS:
		tool_address_text(text, (uint64_t)b->address);
		break;
	case BLOCK_END:
		tool_address_text(text, (uint64_t)b->address + b->size - 1);
		break;
	case BLOCK_SIZE:
		tool_size_text(text, b->size, t->bytes);
		break;
	case BLOCK_GENERATION:
		tool_number_text(text, b->generation);
		break;
	case BLOCK_OWNER:
		strcpy(text, !used ? "none" : b->generation == SAS_GENERATION_RETIRED ? "retired"
		       : b->generation ? "program" : "runtime");
		break;
	}
}

static void segment_cell(size_t column, char text[TOOL_CELL], const struct tool_table *t, const void *row)
{
	static const char *const uses[] = { "free", "blocks", "part" };
	static const char *const attributes[] = { "unsupported", "complete", "missing", "differ" };
	const SASSegmentInfo *s = row;

	switch (column) {
	case SEGMENT_NUMBER:
		tool_number_text(text, s->number);
		break;
	case SEGMENT_FILE:
		snprintf(text, TOOL_CELL, "SAS%05llX.DAT", (unsigned long long)s->number);
		break;
	case SEGMENT_ADDRESS:
		tool_address_text(text, s->address);
		break;
	case SEGMENT_SIZE_:
		tool_size_text(text, s->size, t->bytes);
		break;
	case SEGMENT_ALLOCATED:
		tool_size_text(text, s->allocatedBytes, t->bytes);
		break;
	case SEGMENT_USE:
		strcpy(text, s->use < LENGTH(uses) ? uses[s->use] : "");
		break;
	case SEGMENT_UID:
		tool_number_text(text, s->uid);
		break;
	case SEGMENT_GID:
		tool_number_text(text, s->gid);
		break;
	case SEGMENT_MODE:
		snprintf(text, TOOL_CELL, "%04o", s->mode);
		break;
	case SEGMENT_ATTRIBUTES:
		strcpy(text, s->attributes < LENGTH(attributes) ? attributes[s->attributes] : "");
		break;
	}
}

static void participant_cell(size_t column, char text[TOOL_CELL], const struct tool_table *t, const void *row)
{
	const SASParticipantInfo *p = row;

	switch (column) {
	case PART_SLOT:
		tool_number_text(text, p->slot);
		break;
	case PART_PID:
		tool_number_text(text, p->pid);
		break;
	case PART_GENERATION:
		tool_number_text(text, p->generation);
		break;
	case PART_THREADS:
		tool_number_text(text, p->threads);
		break;
	case PART_STATE:
		strcpy(text, p->alive ? "alive" : "dead");
		break;
	case PART_READONLY:
		strcpy(text, p->readOnly ? "1" : "0");
		break;
	case PART_JOINED:
		tool_time_text(text, p->joinedAt);
		break;
	}
	(void)t;
}

struct source { SASInspect_t inspect; const struct kind *kind; };

static long fetch(void *arg, void *buffer, size_t capacity)
{
	const struct source *from = arg;

	if (from->kind->list == LIST_SEGMENTS)
		return SASInspectListSegments(from->inspect, buffer, capacity);
	if (from->kind->list == LIST_PARTICIPANTS)
		return SASInspectListParticipants(from->inspect, buffer, capacity);
	return SASInspectListBlocks(from->inspect, (sas_block_kind_t)from->kind->list, buffer, capacity);
}

static const struct kind *wanted = &kinds[0];

static int show(SASInspect_t inspect, const char *path, const struct tool_table_options *options)
{
	static const struct tool_lister blocks = { NULL, block_columns, LENGTH(block_columns), sizeof(SASBlockInfo),
						   block_cell, fetch };
	static const struct tool_lister segments = { NULL, segment_columns, LENGTH(segment_columns),
						     sizeof(SASSegmentInfo), segment_cell, fetch };
	static const struct tool_lister participants = { NULL, participant_columns, LENGTH(participant_columns),
							 sizeof(SASParticipantInfo), participant_cell, fetch };
	struct tool_lister lister = wanted->list == LIST_SEGMENTS ? segments :
				    wanted->list == LIST_PARTICIPANTS ? participants : blocks;
	struct source source = { inspect, wanted };

	(void)path;
	lister.name = wanted->json;
	return tool_table_list(&lister, options, &source);
}

static int take(int option, const char *argument)
{
	const char *name = option == 'p' ? "participants" : argument;

	for (size_t i = 0; i < KINDS; i++) {
		if (strcmp(kinds[i].name, name) == 0) {
			wanted = &kinds[i];
			return 0;
		}
	}
	tool_error(TOOL_USAGE, "--kind: there is no such list: %s", name);
	return -1;
}

int cmd_ls(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "kind", required_argument, NULL, 'k' },
		{ "participants", no_argument, NULL, 'p' },
		TOOL_TABLE_LONG,
		TOOL_COMMON_LONG,
		{ 0 },
	};
	static const struct tool_view view = { usage, show, "k:p" TOOL_TABLE_SHORT TOOL_COMMON_SHORT, longs, take };

	return tool_inspect(argc, argv, &view);
}
