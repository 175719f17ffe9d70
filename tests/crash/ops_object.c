/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <errno.h>
#include "sasalloc.h"
#include "sassimpleheap.h"
#include "sassimplestack.h"
#include "ops.h"

#define BLOCK (16UL << 10)
#define RANGE 64U               /* bytes of each range in the heap */

/* The object, and what it says of itself before the operation and after it: in words[]. */
enum { OBJECT, BYTES_BEFORE, PIECES_BEFORE, BYTES_AFTER, PIECES_AFTER, FIRST };

static void *object(const struct scene *s)
{
	return (void *)s->words[OBJECT];
}

static void *block(struct scene *s, SASRegion_t region)
{
	void *p = SASRegionBlockAlloc(region, BLOCK);

	if (!p)
		scene_fail_call(s, "SASRegionBlockAlloc");
	model_alloc(s, region, BLOCK);
	s->words[OBJECT] = (uintptr_t)p;
	return p;
}

static uint64_t pieces(const void *heap)
{
	return freeNode_freeFragmentsTotal(((const SASBlockHeader *)heap)->blockFreeSpace);
}

static void expect(struct scene *s, long bytes, long more)
{
	s->words[BYTES_BEFORE] = SASSimpleHeapFreeSpaceNoLock(object(s));
	s->words[PIECES_BEFORE] = pieces(object(s));
	s->words[BYTES_AFTER] = s->words[BYTES_BEFORE] + (uint64_t)bytes;
	s->words[PIECES_AFTER] = s->words[PIECES_BEFORE] + (uint64_t)more;
}

/* --- a heap with four ranges taken, of which the first and the third may be free again; the second is FIRST + RANGE */

static void furnish_heap(struct scene *s, SASRegion_t region, int first, int third)
{
	char *heap = SASSimpleHeapInit(block(s, region), SAS_RUNTIME_SIMPLEHEAP, BLOCK), *range = NULL;

	for (unsigned i = 0; i < 4; i++) {
		char *p = SASSimpleHeapAllocNoLock(heap, RANGE);

		if (!p)
			scene_fail_call(s, "SASSimpleHeapAllocNoLock");
		for (unsigned k = 0; k < RANGE; k++)
			p[k] = (char)0xA5;
		range = i == 0 ? p : range;
	}
	s->words[FIRST] = (uintptr_t)range;
	if ((first && SASSimpleHeapFreeNoLock(heap, range, RANGE) != 0) ||
	    (third && SASSimpleHeapFreeNoLock(heap, range + 2 * RANGE, RANGE) != 0))
		scene_fail_call(s, "SASSimpleHeapFreeNoLock");
}

void heap_prepare_take(struct scene *s, SASRegion_t region)
{
	furnish_heap(s, region, 1, 0);
	expect(s, -32, 0);
}

void heap_prepare_take_exact(struct scene *s, SASRegion_t region)
{
	furnish_heap(s, region, 1, 0);
	expect(s, -(long)RANGE, -1);
}

void heap_prepare_give(struct scene *s, SASRegion_t region)
{
	furnish_heap(s, region, 0, 0);
	expect(s, RANGE, 1);
}

void heap_prepare_give_above(struct scene *s, SASRegion_t region)
{
	furnish_heap(s, region, 0, 1);
	expect(s, RANGE, 0);
}

void heap_prepare_give_below(struct scene *s, SASRegion_t region)
{
	furnish_heap(s, region, 1, 0);
	expect(s, RANGE, 0);
}

void heap_prepare_give_between(struct scene *s, SASRegion_t region)
{
	furnish_heap(s, region, 1, 1);
	expect(s, RANGE, -1);
}

void heap_take(struct scene *s, const char *path, SASRegion_t region)
{
	(void)path;
	(void)region;
	if (!SASSimpleHeapAlloc(object(s), s->words[BYTES_BEFORE] - s->words[BYTES_AFTER]))
		scene_fail_call(s, "SASSimpleHeapAlloc");
}

void heap_take_near(struct scene *s, const char *path, SASRegion_t region)
{
	(void)path;
	(void)region;
	if (SASNearAlloc((char *)object(s) + BLOCK - 1, 32) != (void *)s->words[FIRST])
		scene_fail_call(s, "SASNearAlloc");
}

void heap_give(struct scene *s, const char *path, SASRegion_t region)
{
	(void)path;
	(void)region;
	if (SASSimpleHeapFree(object(s), (char *)s->words[FIRST] + RANGE, RANGE) != 0)
		scene_fail_call(s, "SASSimpleHeapFree");
}

int judge_heap(struct scene *s, SASRegion_t region)
{
	uint64_t bytes, count;

	judge_same(s, region);
	errno = 0;
	bytes = SASSimpleHeapFreeSpaceNoLock(object(s));
	count = pieces(object(s));
	if (errno)
		scene_fail_call(s, "SASSimpleHeapFreeSpaceNoLock");
	if (bytes == s->words[BYTES_BEFORE] && count == s->words[PIECES_BEFORE])
		return 0;
	if (bytes != s->words[BYTES_AFTER] || count != s->words[PIECES_AFTER])
		scene_fail(s, "the heap has %lu bytes free in %lu ranges; before %lu in %lu, after %lu in %lu", bytes,
			   count, s->words[BYTES_BEFORE], s->words[PIECES_BEFORE], s->words[BYTES_AFTER],
			   s->words[PIECES_AFTER]);
	return 1;
}

/* --- a stack */

static void furnish_stack(struct scene *s, SASRegion_t region)
{
	void *stack = SASSimpleStackInit(block(s, region), BLOCK);

	s->words[FIRST] = (uintptr_t)SASSimpleStackAllocNoLock(stack, 1000);
	if (!s->words[FIRST] || !SASSimpleStackAllocNoLock(stack, 100))
		scene_fail_call(s, "SASSimpleStackAllocNoLock");
	s->words[BYTES_BEFORE] = SASSimpleStackFreeSpaceNoLock(stack);
}

void stack_prepare_take(struct scene *s, SASRegion_t region)
{
	furnish_stack(s, region);
	s->words[BYTES_AFTER] = s->words[BYTES_BEFORE] - 48;
}

void stack_prepare_give(struct scene *s, SASRegion_t region)
{
	furnish_stack(s, region);
	s->words[BYTES_AFTER] = BLOCK - 4096;
}

void stack_take(struct scene *s, const char *path, SASRegion_t region)
{
	(void)path;
	(void)region;
	if (!SASSimpleStackAlloc(object(s), 40))
		scene_fail_call(s, "SASSimpleStackAlloc");
}

void stack_give(struct scene *s, const char *path, SASRegion_t region)
{
	(void)path;
	(void)region;
	if (SASSimpleStackDealloc(object(s), (void *)s->words[FIRST]) != 0)
		scene_fail_call(s, "SASSimpleStackDealloc");
}

int judge_stack(struct scene *s, SASRegion_t region)
{
	uint64_t bytes;

	judge_same(s, region);
	bytes = SASSimpleStackFreeSpaceNoLock(object(s));
	if (bytes == s->words[BYTES_BEFORE])
		return 0;
	if (bytes != s->words[BYTES_AFTER])
		scene_fail(s, "the stack has %lu bytes free; before %lu, after %lu", bytes, s->words[BYTES_BEFORE],
			   s->words[BYTES_AFTER]);
	return 1;
}

/* --- a stack becomes a heap: in between it is neither */

void object_prepare_format(struct scene *s, SASRegion_t region)
{
	furnish_stack(s, region);
}

void object_format(struct scene *s, const char *path, SASRegion_t region)
{
	(void)path;
	(void)region;
	if (!SASSimpleHeapInit(object(s), SAS_RUNTIME_SIMPLEHEAP, BLOCK))
		scene_fail_call(s, "SASSimpleHeapInit");
}

int judge_format(struct scene *s, SASRegion_t region)
{
	const SASBlockHeader *header = object(s);

	judge_same(s, region);
	if (!SOMSASCheckBlockSig(header))
		return 1;
	if (SOMSASCheckBlockSigAndTypeAndSubtype(header, SAS_RUNTIME_SIMPLESTACK)) {
		if (SASSimpleStackFreeSpaceNoLock(object(s)) != s->words[BYTES_BEFORE])
			scene_fail(s, "the stack has changed before it became a heap");
		return 0;
	}
	if (SASSimpleHeapFreeSpaceNoLock(object(s)) != BLOCK - 128)
		scene_fail_call(s, "SASSimpleHeapFreeSpaceNoLock of a new heap");
	return 2;
}
