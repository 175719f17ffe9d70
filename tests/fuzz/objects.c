/* SPDX-License-Identifier: MIT */
/*
 * objects.c - what damaged objects can do to who checks them, or looks at them: inputs as region.h says, whose places are the blocks of a
 * region with objects (../objects.h). Of the flags FUZZ_JOIN counts: what the check finds whole is used, and is whole then.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "../image.h"
#include "../objects.h"
#include "../sandbox.h"
#include "region.h"
#include "sasobject.h"
#include "sassim.h"

#define SEGMENT (2UL << 20)
#define ROOT 3336U              /* where the header page of a tree leads to its root */

void (*fuzz_failed)(void);

static char master[PATH_MAX], work[PATH_MAX];
static struct objects made;

static void fail(const char *what)
{
	fprintf(stderr, "%s (errno %d: \"%s\")\n", what, errno, SASLastErrorMessage());
	if (fuzz_failed)
		fuzz_failed();
	abort();
}

/* --- places */

struct place { uint64_t address, size; };
static struct place places[25];
const unsigned fuzz_places = sizeof places / sizeof *places;

uint64_t fuzz_place_size(unsigned place)
{
	return places[place].size;
}

/* All of it lies in segment 0. */
static void transfer(const char *store, uint64_t address, void *bytes, size_t size, int writes)
{
	char path[PATH_MAX + 16];
	int fd;

	snprintf(path, sizeof path, "%s/SAS00000.DAT", store);
	fd = open(path, writes ? O_RDWR : O_RDONLY);
	if (fd < 0 || (writes ? pwrite(fd, bytes, size, (off_t)(address - IMAGE_BASE)) : pread(fd, bytes, size, (off_t)(address - IMAGE_BASE))) != (ssize_t)size)
		fail("the sample");
	close(fd);
}

static uint64_t word_at(uint64_t address)
{
	uint64_t word;

	transfer(master, address, &word, sizeof word, 0);
	return word;
}

/* The node that the pointer at this address leads to: the lowest bits are hints. */
static uint64_t node_from(uint64_t address)
{
	return word_at(address) & ~0x1ffUL;
}

/* Of an inner node. */
static uint64_t first_child(uint64_t node)
{
	uint64_t count = word_at(node + 88) >> 32 & 0xffff;

	return node_from(node + 128 + (count / 16 + 15) / 16 * 64 + 8 * count);
}

static void find_places(void)
{
	uint64_t objects[] = { (uint64_t)made.heap, (uint64_t)made.stack, (uint64_t)made.space, (uint64_t)made.compound,
			       (uint64_t)made.index, (uint64_t)made.strings };
	unsigned n = 0;

	for (unsigned i = 0; i < 6; i++)
		places[n++] = (struct place){ objects[i], 256 };
	for (unsigned i = 4; i < 6; i++) {
		uint64_t root = node_from(objects[i] + ROOT), leaf = first_child(root);

		places[n++] = (struct place){ objects[i] + 3328, 768 };         /* the tree's part of the header page */
		places[n++] = (struct place){ root, 256 };
		places[n++] = (struct place){ root, OBJECTS_PAGE };
		places[n++] = (struct place){ leaf, 256 };
		places[n++] = (struct place){ leaf, OBJECTS_PAGE };
	}
	places[n++] = (struct place){ word_at((uint64_t)made.heap + 40), 64 };         /* its first free range */
	places[n++] = (struct place){ (uint64_t)made.page, 256 };
	places[n++] = (struct place){ word_at((uint64_t)made.compound + 128), 256 };   /* an expansion */
	places[n++] = (struct place){ (uint64_t)made.heap, (uint64_t)made.strings + OBJECTS_BLOCK - (uint64_t)made.heap };
	places[n++] = (struct place){ (uint64_t)made.context, 256 };
	places[n++] = (struct place){ (uint64_t)made.context, 2048 };                  /* and its strings */
	for (unsigned i = 0; i < 2; i++)                                                /* the roots, leaves, of its trees */
		places[n++] = (struct place){ node_from(word_at((uint64_t)made.context + 64 + 8 * i) + ROOT), 4096 };
	places[n++] = (struct place){ word_at((uint64_t)made.context + 40), 64 };
	if (n != fuzz_places)
		fail("places");
	for (unsigned i = 0; i < n; i++)
		if (places[i].address < IMAGE_BASE || places[i].address + places[i].size > IMAGE_BASE + SEGMENT)
			fail("a place outside of the first segment");
}

/* --- changes, and taking them back */

#define MOST 64
static struct { uint64_t address; size_t size; uint8_t bytes[FUZZ_BYTES]; } undo[MOST];
static unsigned undo_count;

/* How many bytes of the input it took; 0: the end. A cut is none here: the check of the files finds that. */
static size_t change(const uint8_t *input, size_t size)
{
	const struct place *p;
	uint8_t bytes[FUZZ_BYTES];
	uint64_t offset, length;

	if (size < 5 || undo_count == MOST)
		return 0;
	p = &places[input[0] % fuzz_places];
	offset = (uint64_t)(input[1] | input[2] << 8);
	if (p->size > 1UL << 16)
		offset *= p->size >> 16;
	offset %= p->size;
	length = 1 + input[3] % FUZZ_BYTES;
	if (length > size - 4)
		length = size - 4;
	if (length > p->size - offset)
		length = p->size - offset;
	undo[undo_count].address = p->address + offset;
	undo[undo_count].size = length;
	transfer(work, p->address + offset, undo[undo_count++].bytes, length, 0);
	memcpy(bytes, input + 4, length);
	transfer(work, p->address + offset, bytes, length, 1);
	return 4 + length;
}

static void take_back(void)
{
	while (undo_count) {
		undo_count--;
		transfer(work, undo[undo_count].address, undo[undo_count].bytes, undo[undo_count].size, 1);
	}
}

static void copy_master(void)
{
	sandbox_remove(work);
	if (SASRegionCopy(master, work) != 0)
		fail("a copy of the sample");
	undo_count = 0;
}

/* --- looking */

static long told;
static char first_problem[500];
static uint64_t keys_seen;

static void hear(const SASObjectInfo *object, const void *where, const char *sentence, void *arg)
{
	(void)arg;
	if (told++ == 0)
		snprintf(first_problem, sizeof first_problem, "%p at %p: %s", object->address, where, sentence);
	if (!*sentence)
		fail("a problem without a sentence");
}

static void find(const SASObjectInfo *object, void *arg)
{
	long *sum = arg;

	*sum += (long)object->problems;
}

static int see(const void *key, size_t size, uint64_t value, void *arg)
{
	static volatile uint8_t sum;

	(void)value;
	(void)arg;
	for (size_t i = 0; i < size; i++)
		sum = (uint8_t)(sum + ((const uint8_t *)key)[i]);
	keys_seen++;
	return 0;
}

static void expect_reason(const char *what)
{
	if ((errno != EUCLEAN && errno != EINVAL) || !*SASLastErrorMessage())
		fail(what);
}

/* Of a whole region's trees all can be seen. */
static void look_at_tree(SASInspect_t in, const void *tree, int whole)
{
	SASTreeInfo info = { .structSize = sizeof info };
	int described = SASObjectTreeInfo(in, tree, &info), listed;

	if (described != 0)
		expect_reason("SASObjectTreeInfo");
	keys_seen = 0;
	listed = SASObjectTreeKeys(in, tree, NULL, 0, see, NULL);
	if (listed != 0)
		expect_reason("SASObjectTreeKeys");
	if (whole && (described || listed || keys_seen != info.keys))
		fail("a whole tree that is not seen as a whole");
	if (SASObjectTreeKeys(in, tree, "key 0003", 8, see, NULL) != 0)
		expect_reason("SASObjectTreeKeys from a key");
}

static long check(SASInspect_t in)
{
	long problems, sum = 0;

	told = 0;
	problems = SASObjectCheck(in, find, hear, &sum);
	if (problems < 0)
		fail("SASObjectCheck");
	if (problems != told || problems != sum)
		fail("a problem that was not told");
	return problems;
}

static long look(void)
{
	uint64_t before = image_fingerprint(work);
	SASInspect_t in = SASInspectOpen(work);
	long problems;

	if (!in)
		fail("SASInspectOpen");
	problems = check(in);
	look_at_tree(in, made.index, problems == 0);
	look_at_tree(in, made.strings, problems == 0);
	SASInspectClose(in);
	if (image_fingerprint(work) != before)
		fail("looking changed a file");
	return problems;
}

static void use(void)
{
	if (SASJoinRegionByName(work) != 0)
		fail("joining");
	if (objects_use(&made) != 0)
		fail("what is whole does not work");
	SASCleanUp();
	if (look() != 0)
		fail(first_problem);            /* what was whole was broken by its use */
	copy_master();
}

/* --- inputs */

void fuzz_one(const uint8_t *input, size_t size)
{
	unsigned flags;
	size_t took;
	long problems;

	if (size == 0)
		return;
	flags = *input++;
	size--;
	while ((took = change(input, size)) > 0) {
		input += took;
		size -= took;
	}
	problems = look();
	if (problems == 0 && (flags & FUZZ_JOIN))
		use();
	take_back();
}

void fuzz_begin(void)
{
	char base[32];

	snprintf(base, sizeof base, "%#lx", IMAGE_BASE);
	if (sandbox_directory(master) || sandbox_directory(work) || rmdir(work))
		fail("a directory");
	setenv("SAS_BASE", base, 1);
	setenv("SAS_REGION_SIZE", "64M", 1);
	setenv("SAS_SEGMENT_SIZE", "2M", 1);
	if (SASJoinRegionByName(master) != 0 || objects_make(&made) != 0)
		fail("making the sample");
	SASCleanUp();
	if (SASRegionCopy(master, work) != 0)
		fail("a copy of the sample");
	find_places();
	if (look() != 0)
		fail(first_problem);
}
