/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <stdio.h>
#include <string.h>
#include "objects.h"
#include "sasalloc.h"
#include "sassim.h"

static int make_simple(struct objects *o)
{
	char *taken[6] = { 0 };

	o->heap = SASSimpleHeapCreate(OBJECTS_BLOCK);
	for (unsigned i = 0; o->heap && i < 6; i++)
		taken[i] = SASSimpleHeapAlloc(o->heap, 256);
	o->stack = SASSimpleStackCreate(OBJECTS_BLOCK);
	o->space = SASSimpleSpaceCreate(5000);
	o->own = SASBlockAlloc(4096);
	o->plain = SASBlockAlloc(4096);
	if (!taken[5] || !o->stack || !o->space || !o->own || !o->plain || !SASSimpleStackAlloc(o->stack, 100))
		return -1;
	initSOMSASBlock(o->own, OBJECTS_USER_TYPE, 4096, NULL);
	memset(o->plain, 0x11, 4096);
	return SASSimpleHeapFree(o->heap, taken[1], 256) | SASSimpleHeapFree(o->heap, taken[3], 256);
}

static int make_compound(struct objects *o)
{
	SASSimpleHeap_t page[60];

	o->compound = SASCompoundHeapCreatePageSize(OBJECTS_BLOCK, OBJECTS_PAGE);
	for (unsigned i = 0; o->compound && i < 60; i++) {
		page[i] = SASCompoundHeapAlloc(o->compound);
		if (!page[i] || !SASSimpleHeapAlloc(page[i], 64))
			return -1;
	}
	for (unsigned i = 0; o->compound && i < 60; i += 7)
		SASCompoundHeapFree(o->compound, page[i]);
	o->page = o->compound ? page[1] : NULL;
	return o->compound ? 0 : -1;
}

static int make_index(struct objects *o)
{
	SASIndexKey_t key;

	o->index = SASIndexCreatePageSize(OBJECTS_BLOCK, OBJECTS_PAGE);
	for (uint64_t i = 0; i < OBJECTS_KEYS; i++) {
		SASIndexKeyInitUInt64(&key, i * 10);
		if (!o->index || !SASIndexPut(o->index, &key, (void *)(i + 1)))
			return -1;
	}
	for (uint64_t i = 0; i < OBJECTS_KEYS; i += 5) {
		SASIndexKeyInitUInt64(&key, i * 10);
		if (!SASIndexRemove(o->index, &key))
			return -1;
	}
	setSASFinder(o->index);
	return 0;
}

static int make_strings(struct objects *o)
{
	char key[32];

	o->strings = SASStringBTreeCreatePageSize(OBJECTS_BLOCK, OBJECTS_PAGE);
	for (unsigned i = 0; i < OBJECTS_STRINGS; i++) {
		/* Of different lengths, so that leaves have records. */
		snprintf(key, sizeof key, "key %06u%.*s", i, (int)(i % 7), "......");
		if (!o->strings || !SASStringBTreePut(o->strings, key, (void *)(i + 1UL)))
			return -1;
	}
	return 0;
}

/* Each third is a second name of the address before. */
static int make_context(struct objects *o)
{
	char name[32];

	o->context = SPHContextCreate(OBJECTS_BLOCK);
	if (!o->context || !SPHContextAddName(o->context, "plain", o->plain))
		return -1;
	for (unsigned i = 0; i < OBJECTS_NAMES; i++) {
		snprintf(name, sizeof name, "name %u", i);
		if (!SPHContextAddAlias(o->context, name, (char *)o->strings + (i % 3 == 2 ? i - 1 : i)))
			return -1;
	}
	return SPHContextRemoveByName(o->context, "name 7");
}

int objects_make(struct objects *o)
{
	memset(o, 0, sizeof *o);
	return make_simple(o) || make_compound(o) || make_index(o) || make_strings(o) || make_context(o) ? -1 : 0;
}

/* A context without a header is none, and nothing else says that there was one. */
static int are_names_whole(const struct objects *o)
{
	return SASIndexCheck(o->index, NULL, NULL) == 0 && SASStringBTreeCheck(o->strings, NULL, NULL) == 0 &&
	       (!SPHContextIs(o->context) || SPHContextCheck(o->context, NULL, NULL) == 0);
}

int objects_use(const struct objects *o)
{
	SASSimpleHeap_t page;
	SASIndexKey_t key;
	char string[32];
	void *range;
	int whole = are_names_whole(o);

	for (uint64_t i = 0; i < 100; i++) {
		SASIndexKeyInitUInt64(&key, i * 97);
		if (!SASIndexRemove(o->index, &key))
			SASIndexPut(o->index, &key, o->heap);
		snprintf(string, sizeof string, "key %06u and more", (unsigned)i * 5);
		SASStringBTreePut(o->strings, string, o->heap);
	}
	for (unsigned i = 0; i < 20; i++) {
		page = SASCompoundHeapAlloc(o->compound);
		range = SASSimpleHeapAlloc(o->heap, 200 + 16 * i);
		if (range && SASSimpleHeapFree(o->heap, range, 200 + 16 * i))
			whole = 0;
		if (page && i % 2)
			SASCompoundHeapFree(o->compound, page);
		SASSimpleStackAlloc(o->stack, 32);
	}
	for (unsigned i = 0; i < OBJECTS_NAMES; i += 4) {
		snprintf(string, sizeof string, "name %u", i);
		SPHContextRename(o->context, string, "another", SPHContextFindByName(o->context, string));
		SPHContextRemoveByName(o->context, "another");
		SPHContextAddAlias(o->context, string, o->stack);
	}
	SPHContextRemoveByAddr(o->context, (char *)o->strings + 1);
	SASCompoundHeapFreeSpace(o->compound);
	return whole && are_names_whole(o) ? 0 : -1;
}
