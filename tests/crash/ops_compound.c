/* SPDX-License-Identifier: MIT */
/*
 * ops_compound.c - compound heaps that are cut short.
 *
 * The scene's words: the address of the heap, then those of its pages in use, each of which is filled with its own address.
 */
#include <config.h>

#include <errno.h>
#include <string.h>
#include "sascompoundheap.h"
#include "ops.h"

#define HEAP 16384UL
#define PAGE 2048UL
#define PAGES 6U                /* of a block */

static SASCompoundHeap_t heap_of(struct scene *s)
{
	return (SASCompoundHeap_t)s->words[0];
}

static uint64_t *user_words(uint64_t page)
{
	return (uint64_t *)(page + heap_offset);
}

#define USER_WORDS ((PAGE - heap_offset) / 8)

static void use_page(struct scene *s)
{
	uint64_t page = (uintptr_t)SASCompoundHeapAlloc(heap_of(s));

	if (!page)
		scene_fail_call(s, "SASCompoundHeapAlloc");
	for (unsigned i = 0; i < USER_WORDS; i++)
		user_words(page)[i] = page + i;
	s->words[s->word_count++] = page;
}

static void prepare(struct scene *s, SASRegion_t region, int expanding, unsigned used)
{
	void *block = SASRegionBlockAlloc(region, HEAP);

	if (!block || !SASCompoundHeapInit(block, HEAP, PAGE, expanding))
		scene_fail_call(s, "SASCompoundHeapInit");
	SASCompoundHeapSetLoadFactor(block, 100);
	s->words[0] = (uintptr_t)block;
	s->word_count = 1;
	for (unsigned i = 0; i < used; i++)
		use_page(s);
}

/* --- judging */

static uint64_t free_pages(struct scene *s)
{
	return SASCompoundHeapFreeSpace(heap_of(s)) / PAGE;
}

/* What was in use is as it was, but for the page that may be freed. */
static void check_used(struct scene *s, uint64_t freed)
{
	for (size_t n = 1; n < s->word_count; n++) {
		uint64_t page = s->words[n];

		if (page == freed)
			continue;
		if (!SOMSASCheckBlockSigAndTypeAndSubtype((void *)page, SAS_RUNTIME_SIMPLEHEAP))
			scene_fail(s, "the page at %#lx is no simple heap any more", page);
		for (unsigned i = 0; i < USER_WORDS; i++)
			if (user_words(page)[i] != page + i)
				scene_fail(s, "the page at %#lx has lost its content", page);
	}
}

/* What is told as free can be had, once each, and given back. */
static void check_free(struct scene *s)
{
	uint64_t count = free_pages(s), space = SASCompoundHeapAllocSpace(heap_of(s));
	void *pages[16];

	if (count > 16)
		scene_fail(s, "%lu pages are free", count);
	for (uint64_t i = 0; i < count; i++) {
		pages[i] = SASCompoundHeapAlloc(heap_of(s));
		if (!pages[i])
			scene_fail_call(s, "SASCompoundHeapAlloc of what is free");
		for (size_t n = 1; n < s->word_count; n++)
			if (s->words[n] == (uintptr_t)pages[i] && s->words[n] != s->victim.address)
				scene_fail(s, "the page at %p is given out twice", pages[i]);
	}
	if (free_pages(s) != 0 || SASCompoundHeapAllocSpace(heap_of(s)) != space)
		scene_fail(s, "%lu pages were free, and more could be had", count);
	for (uint64_t i = 0; i < count; i++)
		SASCompoundHeapFree(heap_of(s), pages[i]);
	if (free_pages(s) != count)
		scene_fail(s, "%lu pages were free, %lu are", count, free_pages(s));
}

/* 0: as many free pages as before; 1: so many more or less. */
static int judge_pages(struct scene *s, SASRegion_t region, int change)
{
	uint64_t before = PAGES - (s->word_count - 1), now = free_pages(s);

	judge_same(s, region);
	if (now != before && now != before + (uint64_t)change)
		scene_fail(s, "%lu pages were free, %lu are", before, now);
	check_used(s, now == before ? 0 : s->victim.address);
	check_free(s);
	return now != before;
}

/* --- a page is taken */

void compound_prepare(struct scene *s, SASRegion_t region)
{
	prepare(s, region, 0, 3);
}

void compound_alloc(struct scene *s, const char *path, SASRegion_t region)
{
	(void)path;
	(void)region;
	if (!SASCompoundHeapAlloc(heap_of(s)))
		scene_fail_call(s, "SASCompoundHeapAlloc");
}

int compound_judge_alloc(struct scene *s, SASRegion_t region)
{
	return judge_pages(s, region, -1);
}

/* --- and given back */

void compound_prepare_free(struct scene *s, SASRegion_t region)
{
	prepare(s, region, 0, 4);
	s->victim.address = s->words[2];
}

void compound_free(struct scene *s, const char *path, SASRegion_t region)
{
	(void)path;
	(void)region;
	errno = 0;
	SASCompoundHeapFree(heap_of(s), (void *)s->victim.address);
	if (errno != 0)
		scene_fail_call(s, "SASCompoundHeapFree");
}

int compound_judge_free(struct scene *s, SASRegion_t region)
{
	return judge_pages(s, region, 1);
}

/* --- a block is made a heap, which is stained */

void compound_prepare_init(struct scene *s, SASRegion_t region)
{
	void *block = SASRegionBlockAlloc(region, HEAP);

	if (!block)
		scene_fail_call(s, "SASRegionBlockAlloc");
	memset(block, 0xA5, HEAP);
	s->words[0] = (uintptr_t)block;
	s->word_count = 1;
}

void compound_init(struct scene *s, const char *path, SASRegion_t region)
{
	(void)path;
	(void)region;
	if (!SASCompoundHeapInit(heap_of(s), HEAP, PAGE, 0))
		scene_fail_call(s, "SASCompoundHeapInit");
}

int compound_judge_init(struct scene *s, SASRegion_t region)
{
	judge_same(s, region);
	if (SASCompoundHeapAllocSize(heap_of(s)) == 0)
		return 0;
	if (free_pages(s) != PAGES)
		scene_fail(s, "a new heap has %lu free pages", free_pages(s));
	check_free(s);
	return 1;
}

/* --- the heap is full, and grows */

void compound_prepare_grow(struct scene *s, SASRegion_t region)
{
	prepare(s, region, 1, PAGES);
}

/* 1: there is one more block, and maybe it counts already; 2: a page of it is in use. */
int compound_judge_grow(struct scene *s, SASRegion_t region)
{
	uint64_t space = SASCompoundHeapAllocSpace(heap_of(s)), free = free_pages(s);
	struct found f;
	int grown;

	model_compare(s, region, &f);
	grown = f.adds == 1 && f.added[0].size == HEAP;
	if (f.removes != 0 || (f.adds != 0 && !grown))
		scene_fail(s, "%zu blocks have appeared, %zu have gone", f.adds, f.removes);
	if (space != HEAP && (!grown || space != 2 * HEAP))
		scene_fail(s, "the heap has %lu bytes, and %zu blocks have appeared", space, f.adds);
	if (space == HEAP ? free != 0 : free != PAGES && free != PAGES - 1)
		scene_fail(s, "%lu pages are free", free);
	check_used(s, 0);
	check_free(s);
	if (!grown)
		return 0;
	if (free == PAGES - 1)
		return 2;
	/* The next one that grows it takes no other block. */
	SASCompoundHeapNearDealloc(SASCompoundHeapAlloc(heap_of(s)));
	model_compare(s, region, &f);
	if (f.adds != 1 || free_pages(s) != PAGES)
		scene_fail(s, "%zu blocks have appeared, and %lu pages are free", f.adds, free_pages(s));
	return 1;
}

/* --- it is destroyed */

void compound_prepare_destroy(struct scene *s, SASRegion_t region)
{
	prepare(s, region, 1, 2);
	for (unsigned i = 0; i < 2; i++)
		if (!SASCompoundHeapExpandCreate(heap_of(s)))
			scene_fail_call(s, "SASCompoundHeapExpandCreate");
}

void compound_destroy(struct scene *s, const char *path, SASRegion_t region)
{
	(void)path;
	(void)region;
	errno = 0;
	SASCompoundHeapDestroy(heap_of(s));
	if (errno != 0)
		scene_fail_call(s, "SASCompoundHeapDestroy");
}

/* How many blocks have gone; until the last one it is a heap of what is left. */
int compound_judge_destroy(struct scene *s, SASRegion_t region)
{
	struct found f;
	uint64_t space;

	model_compare(s, region, &f);
	if (f.adds != 0 || f.removes > 3)
		scene_fail(s, "%zu blocks have appeared, %zu have gone", f.adds, f.removes);
	if (f.removes == 3)
		return 3;
	space = SASCompoundHeapAllocSpace(heap_of(s));
	/* A block that does not count any more goes at the next store. */
	if (space > (3 - f.removes) * HEAP || space < (2 - f.removes) * HEAP || space == 0)
		scene_fail(s, "%zu blocks have gone, and the heap has %lu bytes", f.removes, space);
	if (free_pages(s) != space / HEAP * PAGES - 2)
		scene_fail(s, "%lu bytes have %lu free pages", space, free_pages(s));
	check_used(s, 0);
	check_free(s);
	return (int)f.removes;
}
