/* SPDX-License-Identifier: MIT */
/*
 * sasutil_bytes.c - the bytes of a region: a dump, and what looks like a pointer or a string in blocks.
 */
#include <config.h>

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "sasutil.h"
#include "tool.h"

#define LINE 16
#define PIECE (64UL << 10)
#define STRING 4                /* characters, at least */

/* --- dump */

static void dump_line(uint64_t address, const unsigned char *bytes, size_t count)
{
	printf("%012" PRIx64 " ", address);
	for (size_t i = 0; i < LINE; i++)
		if (i < count)
			printf("%s%02x", i % 8 ? " " : "  ", bytes[i]);
		else
			printf("%s  ", i % 8 ? " " : "  ");
	printf("  |");
	for (size_t i = 0; i < count; i++)
		putchar(isprint(bytes[i]) ? bytes[i] : '.');
	printf("|\n");
}

static int dump(SASInspect_t inspect, uint64_t address, uint64_t size)
{
	unsigned char bytes[PIECE];

	for (uint64_t done = 0; done < size; done += PIECE) {
		uint64_t piece = size - done < PIECE ? size - done : PIECE;

		if (SASInspectRead(inspect, (void *)(address + done), bytes, piece))
			return tool_library_error(TOOL_FAILED);
		for (uint64_t i = 0; i < piece; i += LINE)
			dump_line(address + done + i, bytes + i, piece - i < LINE ? piece - i : LINE);
	}
	return TOOL_OK;
}

/* "address:size"; the address in hexadecimal, with or without 0x. */
static int dump_range(SASInspect_t inspect, const char *range)
{
	uint64_t address, size;
	char *end;

	errno = 0;
	address = strtoull(range, &end, 16);
	if (end == range || errno || *end != ':')
		return tool_error(TOOL_USAGE, "not address:size: %s", range);
	if (tool_size("dump", end + 1, &size))
		return TOOL_USAGE;
	return dump(inspect, address, size);
}

int sasutil_dump(SASInspect_t inspect, int count, char **ranges)
{
	int status = TOOL_OK;

	for (int i = 0; i < count && status == TOOL_OK; i++)
		status = dump_range(inspect, ranges[i]);
	return status;
}

/* --- list */

struct scan {
	uint64_t low, high;             /* what pointers lie in */
	uint64_t block;
	uint64_t string;                /* where the characters before this piece begin */
	size_t length;
	char text[64];                  /* the first of them */
};

static void end_string(struct scan *s)
{
	if (s->length >= STRING)
		printf("  +0x%-8" PRIx64 "  \"%.*s\"%s\n", s->string - s->block,
		       (int)(s->length < sizeof(s->text) ? s->length : sizeof(s->text)), s->text,
		       s->length > sizeof(s->text) ? "..." : "");
	s->length = 0;
}

static void scan_byte(struct scan *s, uint64_t address, unsigned char byte)
{
	if (!isprint(byte)) {
		end_string(s);
		return;
	}
	if (!s->length)
		s->string = address;
	if (s->length < sizeof(s->text))
		s->text[s->length] = (char)byte;
	s->length++;
}

static void scan_piece(struct scan *s, uint64_t address, const unsigned char *bytes, uint64_t size)
{
	for (uint64_t i = 0; i < size; i += 8) {
		uint64_t word;

		memcpy(&word, bytes + i, sizeof(word));
		if (word == 0) {
			end_string(s);
			continue;
		}
		if (word >= s->low && word < s->high) {
			end_string(s);
			printf("  +0x%-8" PRIx64 "  0x%012" PRIx64 "\n", address + i - s->block, word);
			continue;
		}
		for (uint64_t b = i; b < i + 8; b++)
			scan_byte(s, address + b, bytes[b]);
	}
}

static int scan_block(SASInspect_t inspect, struct scan *s, uint64_t size)
{
	_Alignas(8) unsigned char bytes[PIECE];

	s->length = 0;
	for (uint64_t done = 0; done < size; done += PIECE) {
		uint64_t piece = size - done < PIECE ? size - done : PIECE;

		if (SASInspectRead(inspect, (void *)(s->block + done), bytes, piece))
			return tool_library_error(TOOL_FAILED);
		scan_piece(s, s->block + done, bytes, piece);
	}
	end_string(s);
	return TOOL_OK;
}

static long blocks_in_use(void *arg, void *buffer, size_t capacity)
{
	return SASInspectListBlocks(arg, SASBlock__IN_USE, buffer, capacity);
}

int sasutil_list(SASInspect_t inspect)
{
	SASInspectInfo info = { .structSize = sizeof(info) };
	struct scan scan;
	SASBlockInfo *blocks;
	void *entries = NULL;
	long count;
	int status = TOOL_OK;

	if (SASInspectGetInfo(inspect, &info))
		return tool_library_error(TOOL_FAILED);
	scan.low = info.base;
	scan.high = info.base + info.regionSize;
	count = tool_fetch(blocks_in_use, inspect, sizeof(*blocks), &entries);
	blocks = entries;
	for (long i = 0; i < count && status == TOOL_OK; i++) {
		/* What the runtime's own hold is no program's. */
		if (!blocks[i].generation)
			continue;
		scan.block = (uint64_t)blocks[i].address;
		printf("0x%012" PRIx64 "  %" PRIu64 " KB\n", scan.block, blocks[i].size / 1024);
		status = scan_block(inspect, &scan, blocks[i].size);
	}
	free(entries);
	return count < 0 ? TOOL_FAILED : status;
}
