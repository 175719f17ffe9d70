/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "scene.h"

#define PAGE 4096UL
#define WHOLE (64UL << 10)      /* blocks up to this are filled; of larger ones a page in 16, and the last */

/* --- content */

static uint64_t pattern_word(uint64_t address)
{
	return address * 0x9E3779B97F4A7C15UL ^ 0x5A5A5A5A5A5A5A5AUL;
}

/* The next page of a block that holds the pattern, after `at`. */
static uint64_t next_page(uint64_t start, uint64_t size, uint64_t at)
{
	uint64_t step = size <= WHOLE ? PAGE : WHOLE, last = start + size - PAGE;

	if (at == last)
		return start + size;
	return at + step < last ? at + step : last;
}

void pattern_fill(uint64_t address, uint64_t size)
{
	for (uint64_t page = address; page < address + size; page = next_page(address, size, page))
		for (uint64_t at = page; at < page + PAGE; at += 8)
			*(uint64_t *)at = pattern_word(at);
}

uint64_t pattern_check(uint64_t address, uint64_t size)
{
	for (uint64_t page = address; page < address + size; page = next_page(address, size, page))
		for (uint64_t at = page; at < page + PAGE; at += 8)
			if (*(const uint64_t *)at != pattern_word(at))
				return at;
	return 0;
}

/* --- the blocks before */

static struct block *find(struct scene *s, uint64_t address)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->blocks[i].address == address)
			return &s->blocks[i];
	return NULL;
}

uint64_t model_alloc(struct scene *s, SASRegion_t region, uint64_t size)
{
	uint64_t address = (uintptr_t)SASRegionBlockAlloc(region, size);

	if (!address)
		scene_fail_call(s, "SASRegionBlockAlloc in the preparation");
	if (s->count == SCENE_BLOCKS)
		scene_fail(s, "the scene has room for %d blocks", SCENE_BLOCKS);
	pattern_fill(address, size);
	s->blocks[s->count++] = (struct block){ .address = address, .size = size, .written = 1 };
	return address;
}

void model_free(struct scene *s, uint64_t address)
{
	struct block *b = find(s, address);

	if (!b || SASBlockFree((void *)address, b->size) != 0)
		scene_fail_call(s, "SASBlockFree in the preparation");
	*b = s->blocks[--s->count];
}

/* malloc'd, ascending by address. */
static SASBlockInfo *list(struct scene *s, SASRegion_t region, size_t *count)
{
	long n = SASRegionListBlocks(region, SASBlock__IN_USE, NULL, 0);
	SASBlockInfo *blocks = calloc((size_t)(n > 0 ? n : 1), sizeof *blocks);

	if (n < 0 || !blocks || SASRegionListBlocks(region, SASBlock__IN_USE, blocks, (size_t)n) != n)
		scene_fail_call(s, "SASRegionListBlocks");
	*count = (size_t)n;
	return blocks;
}

void model_take(struct scene *s, SASRegion_t region)
{
	struct block known[SCENE_BLOCKS];
	size_t count, knows = s->count;
	SASBlockInfo *blocks = list(s, region, &count);

	if (count > SCENE_BLOCKS)
		scene_fail(s, "%zu blocks are in use, the scene has room for %d", count, SCENE_BLOCKS);
	memcpy(known, s->blocks, sizeof known);
	for (size_t i = 0; i < count; i++) {
		struct block *b = &s->blocks[i];

		*b = (struct block){ (uintptr_t)blocks[i].address, blocks[i].size, blocks[i].generation, 0 };
		for (size_t k = 0; k < knows; k++)
			b->written |= known[k].address == b->address;
		if (b->address == s->victim.address)
			s->victim = *b;
	}
	s->count = count;
	free(blocks);
}

/* --- the blocks after */

static void check_content(struct scene *s, const struct block *b)
{
	uint64_t at = b->written ? pattern_check(b->address, b->size) : 0;

	if (at)
		scene_fail(s, "the block at %#lx (%lu bytes) has lost its content at %#lx: %#lx", b->address,
			   b->size, at, *(const uint64_t *)at);
}

static void note(struct scene *s, struct block *blocks, size_t *count, const struct block *b,
		 const char *what)
{
	if (*count == 8)
		scene_fail(s, "too many blocks %s; the ninth is at %#lx, %lu bytes", what, b->address,
			   b->size);
	blocks[(*count)++] = *b;
}

/* Both lists ascend by address. */
void model_compare(struct scene *s, SASRegion_t region, struct found *found)
{
	size_t count, i = 0, k = 0;
	SASBlockInfo *now = list(s, region, &count);

	memset(found, 0, sizeof *found);
	while (i < s->count || k < count) {
		const struct block *old = i < s->count ? &s->blocks[i] : NULL;
		struct block b = { 0, 0, 0, 0 };

		if (k < count)
			b = (struct block){ (uintptr_t)now[k].address, now[k].size, now[k].generation, 0 };
		if (!old || (k < count && b.address < old->address)) {
			note(s, found->added, &found->adds, &b, "have appeared");
			k++;
		} else if (k == count || old->address < b.address) {
			note(s, found->removed, &found->removes, old, "have gone");
			i++;
		} else {
			if (old->size != b.size || old->generation != b.generation)
				scene_fail(s,
					   "the block at %#lx had %lu bytes and generation %u, and has %lu "
					   "and %u",
					   b.address, old->size, old->generation, b.size, b.generation);
			check_content(s, old);
			i++;
			k++;
		}
	}
	free(now);
}

static uint64_t total(struct scene *s, SASRegion_t region)
{
	size_t count;
	SASBlockInfo *blocks = list(s, region, &count);
	uint64_t bytes = 0;

	for (size_t i = 0; i < count; i++)
		bytes += blocks[i].size;
	free(blocks);
	return bytes;
}

struct taken {
	struct { void *address; uint64_t size; } *blocks;
	size_t count, room;
};

static void take_all(struct scene *s, SASRegion_t region, uint64_t size, struct taken *t)
{
	void *block;

	while ((block = SASRegionBlockAlloc(region, size))) {
		if (t->count == t->room) {
			t->room = t->room ? 2 * t->room : 256;
			t->blocks = realloc(t->blocks, t->room * sizeof t->blocks[0]);
			if (!t->blocks)
				scene_fail(s, "no memory");
		}
		t->blocks[t->count].address = block;
		t->blocks[t->count++].size = size;
	}
	if (errno != ENOMEM)
		scene_fail_call(s, "SASRegionBlockAlloc, of what is free");
}

void model_exhaust(struct scene *s, SASRegion_t region)
{
	SASRegionInfo info = { .structSize = sizeof info };
	struct taken t = { NULL, 0, 0 };
	uint64_t size, used;

	if (SASRegionGetInfo(region, &info) != 0)
		scene_fail_call(s, "SASRegionGetInfo");
	for (size = 1UL << 12; 2 * size <= info.regionSize;)
		size *= 2;
	for (; size >= PAGE; size /= 2)
		take_all(s, region, size, &t);
	used = total(s, region);
	if (used != info.regionSize)
		scene_fail(s, "%lu bytes are lost: free in the maps, and no call hands them out",
			   info.regionSize - used);
	while (t.count-- > 0)
		if (SASBlockFree(t.blocks[t.count].address, t.blocks[t.count].size) != 0)
			scene_fail_call(s, "SASBlockFree, of what was free");
	free(t.blocks);
}
