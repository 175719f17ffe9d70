/* SPDX-License-Identifier: MIT */
/* ops_word.c - blocks that come and go with a word that names them (sas/service.h). */
#include <config.h>

#include "sas/service.h"
#include "ops.h"

#define SMALL (16UL << 10)
#define LARGE (4UL << 20)

static uint64_t *word_of(const struct scene *s)
{
	return (uint64_t *)s->words[0];
}

static void begin(struct scene *s, struct sas_use *u)
{
	if (sas_use_begin(u, word_of(s), SAS_USE_UPDATE) != 0)
		scene_fail_call(s, "sas_use_begin");
}

static void take(struct scene *s, uint64_t size)
{
	struct sas_use u;

	begin(s, &u);
	if (sas_use_result(&u, sas_use_take_block(&u, size, word_of(s))) != 0)
		scene_fail_call(s, "sas_use_take_block");
}

static void give(struct scene *s, uint64_t size)
{
	struct sas_use u;

	begin(s, &u);
	if (sas_use_result(&u, sas_use_give_block(&u, size, word_of(s))) != 0)
		scene_fail_call(s, "sas_use_give_block");
}

/* A block with the word, which is 0. */
void word_prepare(struct scene *s, SASRegion_t region)
{
	uint64_t block = (uintptr_t)SASRegionBlockAlloc(region, 4096);

	if (!block)
		scene_fail_call(s, "SASRegionBlockAlloc");
	model_alloc(s, region, SMALL);
	s->word_count = 1;
	s->words[0] = block + 72;
}

static void prepare_given(struct scene *s, SASRegion_t region, uint64_t size)
{
	word_prepare(s, region);
	take(s, size);
	s->victim = (struct block){ .address = *word_of(s), .size = size };
}

void word_prepare_small(struct scene *s, SASRegion_t region) { prepare_given(s, region, SMALL); }
void word_prepare_large(struct scene *s, SASRegion_t region) { prepare_given(s, region, LARGE); }

/* The first update of the object takes its lock. */
void word_begin(struct scene *s, SASRegion_t region)
{
	struct sas_use u;

	op_warm(s, region);
	begin(s, &u);
	sas_use_end(&u);
}

void word_take_small(struct scene *s, const char *path, SASRegion_t region)
{
	(void)path;
	(void)region;
	take(s, SMALL);
}

void word_take_large(struct scene *s, const char *path, SASRegion_t region)
{
	(void)path;
	(void)region;
	take(s, LARGE);
}

void word_give_small(struct scene *s, const char *path, SASRegion_t region)
{
	(void)path;
	(void)region;
	give(s, SMALL);
}

void word_give_large(struct scene *s, const char *path, SASRegion_t region)
{
	(void)path;
	(void)region;
	give(s, LARGE);
}

int judge_word_taken(struct scene *s, SASRegion_t region)
{
	uint64_t word = *word_of(s);
	struct found f;
	size_t blocks = 0;

	model_compare(s, region, &f);
	for (size_t i = 0; i < f.adds; i++) {
		if (!f.added[i].generation)     /* of a segment that was carved */
			continue;
		blocks++;
		if (f.added[i].address != word)
			scene_fail(s, "the block at %#lx has appeared, and the word is %#lx", f.added[i].address, word);
	}
	if (f.removes || blocks != (word != 0))
		scene_fail(s, "the word is %#lx, %zu blocks have appeared, and %zu have gone", word, blocks, f.removes);
	return word != 0;
}

int judge_word_given(struct scene *s, SASRegion_t region)
{
	uint64_t word = *word_of(s);
	struct found f;

	model_compare(s, region, &f);
	if (word != 0 && word != s->victim.address)
		scene_fail(s, "the word is %#lx", word);
	if (f.adds || f.removes != (word == 0) || (f.removes && f.removed[0].address != s->victim.address))
		scene_fail(s, "the word is %#lx, %zu blocks have appeared, and %zu have gone", word, f.adds, f.removes);
	return word == 0;
}
