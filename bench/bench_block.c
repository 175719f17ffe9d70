/* SPDX-License-Identifier: MIT */
/*
 * bench_block.c - pairs of alloc and free: by one process, by two at once, and in a region that is
 * fragmented, as of 60,000 blocks every second one has been freed.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sasregion.h>
#include "measure.h"

#define PAIRS 50000
#define TURN 100                /* pairs in one region, then as many in the other */
#define BLOCKS 60000

static uint64_t *times[2];
static int *begin;
static SASRegion_t compact, fragmented;

static void pairs(SASRegion_t region, size_t size, uint64_t *out, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t from = now_ns();
		void *block = SASRegionBlockAlloc(region, size);

		if (!block || SASBlockFree(block, size) != 0)
			give_up("a pair");
		out[i] = now_ns() - from;
	}
}

static void by_turns(size_t size)
{
	for (size_t i = 0; i < PAIRS; i += TURN) {
		pairs(compact, size, times[0] + i, TURN);
		pairs(fragmented, size, times[1] + i, TURN);
	}
}

static void by_peer(uint64_t *out)
{
	pairs(compact, 4096, out, 1);
	__atomic_fetch_add(begin, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(begin, __ATOMIC_SEQ_CST) < 2)
		continue;
	pairs(compact, 4096, out, PAIRS);
}

static void by_two(void)
{
	int status;
	pid_t pid;

	*begin = 0;
	pid = fork();
	if (pid < 0)
		give_up("fork");
	if (pid == 0) {
		by_peer(times[1]);
		_exit(0);
	}
	by_peer(times[0]);
	if (waitpid(pid, &status, 0) != pid || status != 0)
		give_up("the peer");
}

static SASRegion_t make_region(const char *store, const char *name)
{
	SASRegionOptions options;
	SASRegion_t region;
	char path[4200];

	snprintf(path, sizeof path, "%s/%s", store, name);
	if (mkdir(path, 0700) != 0)
		give_up(path);
	SASRegionOptionsInit(&options);
	options.flags = SAS_JOIN_CREATE;
	options.regionSize = 4UL << 30;
	options.segmentSize = 256UL << 20;
	region = SASRegionJoin(path, &options);
	if (!region)
		give_up("create");
	return region;
}

static void remove_region(SASRegion_t region, const char *store, const char *name)
{
	char path[4200];

	snprintf(path, sizeof path, "%s/%s", store, name);
	if (SASRegionRemove(region) != 0 || rmdir(path) != 0)
		give_up(path);
}

static void fragment(void)
{
	void **blocks = allocate(BLOCKS * sizeof *blocks);

	for (size_t i = 0; i < BLOCKS; i++)
		if (!(blocks[i] = SASRegionBlockAlloc(fragmented, 4096)))
			give_up("allocate");
	for (size_t i = 0; i < BLOCKS; i += 2)
		if (SASBlockFree(blocks[i], 4096) != 0)
			give_up("free");
	free(blocks);
}

static void compare(const char *size_name, size_t size)
{
	double plain, holes;
	char name[80];

	by_turns(size);
	snprintf(name, sizeof name, "alloc and free of %s", size_name);
	plain = report(name, times[0], PAIRS);
	snprintf(name, sizeof name, "alloc and free of %s, fragmented region", size_name);
	holes = report(name, times[1], PAIRS);
	printf("  fragmented against compact: %.2f\n", holes / plain);
}

int main(int argc, char **argv)
{
	const char *store;

	times[0] = shared(PAIRS * 8);
	times[1] = shared(PAIRS * 8);
	begin = shared(sizeof *begin);
	describe_machine();
	store = store_make(argc, argv);
	compact = make_region(store, "compact");
	fragmented = make_region(store, "fragmented");
	fragment();
	for (int i = 1; i <= RUNS; i++) {
		printf("bench_block, run %d\n", i);
		compare("4 KiB", 4096);
		compare("64 KiB", 65536);
		compare("1 MiB", 1 << 20);
		by_two();
		report("alloc and free of 4 KiB, two processes at once", times[0], PAIRS);
	}
	remove_region(compact, store, "compact");
	remove_region(fragmented, store, "fragmented");
	if (rmdir(store) != 0)
		give_up(store);
	return 0;
}
