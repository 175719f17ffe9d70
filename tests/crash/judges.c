/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "ops.h"


/* The first 4 KiB of a block that was handed out are zero. */
static void check_head(struct scene *s, const struct block *b)
{
	for (uint64_t at = b->address; at < b->address + 4096; at += 8)
		if (*(const uint64_t *)at)
			scene_fail(s,
				   "a new block at %#lx (%lu bytes) does not begin with zeros: %#lx at %#lx",
				   b->address, b->size, *(const uint64_t *)at, at);
}

static void expect_nothing(struct scene *s, const struct found *f)
{
	if (f->adds)
		scene_fail(s, "a block has appeared at %#lx: %lu bytes, generation %u", f->added[0].address,
			   f->added[0].size, f->added[0].generation);
	if (f->removes)
		scene_fail(s, "the block at %#lx (%lu bytes) has gone", f->removed[0].address,
			   f->removed[0].size);
}

int judge_same(struct scene *s, SASRegion_t region)
{
	struct found f;

	model_compare(s, region, &f);
	expect_nothing(s, &f);
	return 0;
}

/* A block of the runtime's own may have come with it: the map of a segment that holds its own. */
int judge_alloc(struct scene *s, SASRegion_t region)
{
	struct found f;
	int done = 0;

	model_compare(s, region, &f);
	for (size_t i = 0; i < f.adds; i++) {
		if (!f.added[i].generation)
			continue;
		check_head(s, &f.added[i]);
		if (done++)
			scene_fail(s, "two blocks have appeared, the second at %#lx", f.added[i].address);
	}
	if (!done && f.adds > 1)
		expect_nothing(s, &f);
	f.adds = 0;
	expect_nothing(s, &f);
	return done;
}

int judge_free(struct scene *s, SASRegion_t region)
{
	struct found f;

	model_compare(s, region, &f);
	if (f.removes == 1 && f.removed[0].address == s->victim.address) {
		f.removes = 0;
		expect_nothing(s, &f);
		return 1;
	}
	expect_nothing(s, &f);
	return 0;
}

int judge_finder(struct scene *s, SASRegion_t region)
{
	uint64_t finder = (uintptr_t)SASRegionFinder(region);

	judge_same(s, region);
	if (finder == s->finder)
		return 0;
	if (finder != s->blocks[s->count - 1].address)
		scene_fail(s, "the finder is %#lx", finder);
	return 1;
}

/* Undone, or done: not one word of the other kind. */
int judge_words(struct scene *s, SASRegion_t region)
{
	int done = -1;

	judge_same(s, region);
	for (size_t i = 0; i < s->word_count; i++) {
		uint64_t word = *(const uint64_t *)s->words[i];
		int after = word == intent_word(s->words[i], 1);

		if (!after && word != intent_word(s->words[i], 0))
			scene_fail(s, "word %zu at %#lx is %#lx: neither old nor new", i, s->words[i], word);
		if (done >= 0 && done != after)
			scene_fail(s, "word %zu at %#lx is %s, those before it are %s", i, s->words[i],
				   after ? "new" : "old", after ? "old" : "new");
		done = after;
	}
	return done;
}

/* 1: the chunk of logs is there; 2: and the block that the thread came for. */
int judge_chunk(struct scene *s, SASRegion_t region)
{
	struct found f;
	int chunks = 0, blocks = 0;

	model_compare(s, region, &f);
	for (size_t i = 0; i < f.adds; i++) {
		if (f.added[i].generation) {
			check_head(s, &f.added[i]);
			blocks++;
		} else {
			chunks++;
		}
	}
	if (chunks > 1 || blocks > 1 || blocks > chunks)
		scene_fail(s, "%d chunks of logs and %d blocks have appeared", chunks, blocks);
	f.adds = 0;
	expect_nothing(s, &f);
	return chunks + blocks;
}

/* Only what the runtime has in every region is in use. */
static int is_empty(struct scene *s, SASRegion_t region)
{
	SASBlockInfo blocks[4];
	long count = SASRegionListBlocks(region, SASBlock__IN_USE, blocks, 4);

	if (count < 0)
		scene_fail_call(s, "SASRegionListBlocks");
	return count == 2 && !blocks[0].generation && !blocks[1].generation && !SASRegionFinder(region);
}

/* region: NULL where there is none. */
int judge_new(struct scene *s, SASRegion_t region)
{
	if (!region)
		return 0;
	if (!is_empty(s, region))
		scene_fail(s, "a new region is not empty");
	return 1;
}

/* The region that was there, or none, or a new one. */
int judge_end(struct scene *s, SASRegion_t region)
{
	if (!region)
		return 1;
	if (is_empty(s, region))
		return 2;
	judge_same(s, region);
	if ((uintptr_t)SASRegionFinder(region) != s->finder)
		scene_fail(s, "the finder is %p", SASRegionFinder(region));
	return 0;
}
