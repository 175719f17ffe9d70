/* SPDX-License-Identifier: MIT */
/*
 * bench_huge.c - what huge pages are worth: allocation, first touch and random reads of one block of a GiB, in a
 * region of small pages and in one that asked for huge ones.
 *
 * Each read depends on the one before. SIZE: mebibytes in the environment, a power of two.
 */
#include <stdio.h>
#include <stdlib.h>

#include "measure.h"

#define READS 2000000UL

struct figures {
	double allocation, touch, read; /* ms; ns per 4 KiB; ns */
	double huge;                    /* part of the block that huge pages map */
};

struct task {
	const char *path;
	sas_huge_t pages;
	size_t size;
	struct figures *figures;
};

static void link_lines(unsigned char *block, size_t size)
{
	uint64_t lines = size / 64;

	/* One circle through all lines, of which there are a power of two: an odd step, and a multiplier of 1 mod 4. */
	for (uint64_t i = 0; i < lines; i++)
		*(uint64_t *)(block + i * 64) = (i * 2862933555777941757UL + 3037000493UL) & (lines - 1);
}

static void measure(void *arg)
{
	const struct task *t = arg;
	SASRegionInfo info = { .structSize = sizeof info };
	SASRegionOptions options;
	SASRegion_t region;
	unsigned char *block;
	uint64_t begin, at = 0;

	SASRegionOptionsInit(&options);
	options.flags = SAS_JOIN_CREATE;
	options.hugePages = t->pages;
	region = SASRegionJoin(t->path, &options);
	if (!region)
		give_up("join");
	begin = now_ns();
	block = SASRegionBlockAlloc(region, t->size);
	if (!block)
		give_up("the block");
	t->figures->allocation = (double)(now_ns() - begin) / 1e6;
	begin = now_ns();
	for (size_t i = 0; i < t->size; i += 4096)
		*(volatile unsigned char *)(block + i) = 1;
	t->figures->touch = (double)(now_ns() - begin) / ((double)t->size / 4096);
	link_lines(block, t->size);
	begin = now_ns();
	for (unsigned long i = 0; i < READS; i++)
		at = *(volatile uint64_t *)(block + at * 64);
	t->figures->read = (double)(now_ns() - begin) / (double)READS;
	if (SASRegionGetInfo(region, &info) != 0)
		give_up("info");
	t->figures->huge = (double)info.hugeBytes / (double)t->size;
	SASRegionLeave(region);
}

static void run(const char *store, size_t size, sas_huge_t pages, const char *name)
{
	struct task t = { .path = store, .pages = pages, .size = size, .figures = shared(sizeof *t.figures) };
	static int runs;

	if (runs++ && SASRegionRemovePath(store, 0) != 0)       /* the run before */
		give_up(store);
	in_child(measure, &t);
	printf("  %-12s allocate %8.1f ms   first touch %6.0f ns per 4 KiB   random read %6.1f ns   in huge pages %3.0f %%\n",
	       name, t.figures->allocation, t.figures->touch, t.figures->read, 100 * t.figures->huge);
}

int main(int argc, char **argv)
{
	const char *text = getenv("SIZE"), *store;
	size_t size = (text ? strtoul(text, NULL, 10) : 1024UL) << 20;

	if (size < SEGMENT || (size & (size - 1)))
		give_up("SIZE: a power of two, 2 or more");
	describe_machine();
	store = store_make(argc, argv);
	for (int i = 1; i <= RUNS; i++) {
		printf("bench_huge, a block of %zu MiB, run %d\n", size >> 20, i);
		run(store, size, SASHuge__NONE, "small");
		run(store, size, SASHuge__TRANSPARENT, "transparent");
	}
	store_remove();
	return 0;
}
