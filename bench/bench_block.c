/* SPDX-License-Identifier: MIT */
/*
 * bench_block.c - pairs of alloc and free: by one process, by two at once, and in a region that 60,000 blocks, of
 * which every second one has been freed, have left fragmented.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sasregion.h>
#include "measure.h"

#define PAIRS 50000
#define BLOCKS 60000

static uint64_t *times[2];
static int *begin;

static void pairs(SASRegion_t region, size_t size, uint64_t *out)
{
	for (size_t i = 0; i < PAIRS; i++) {
		uint64_t from = now_ns();
		void *block = SASRegionBlockAlloc(region, size);

		if (!block || SASBlockFree(block, size) != 0)
			give_up("a pair");
		out[i] = now_ns() - from;
	}
}

static void by_one(void *arg)
{
	pairs(join(0), *(size_t *)arg, times[0]);
}

static void by_peer(uint64_t *out)
{
	SASRegion_t region = join(0);

	__atomic_fetch_add(begin, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(begin, __ATOMIC_SEQ_CST) < 2)
		continue;
	pairs(region, 4096, out);
}

static void by_two(void *arg)
{
	int status;
	pid_t pid;

	(void)arg;
	*begin = 0;
	pid = fork();
	if (pid == 0) {
		by_peer(times[1]);
		_exit(0);
	}
	by_peer(times[0]);
	if (waitpid(pid, &status, 0) != pid || status != 0)
		give_up("the peer");
}

static void make_region(void *arg)
{
	SASRegionOptions options;

	SASRegionOptionsInit(&options);
	options.flags = SAS_JOIN_CREATE;
	options.regionSize = 4UL << 30;
	options.segmentSize = 256UL << 20;
	if (!SASRegionJoin(arg, &options))
		give_up("create");
}

static void fragment(void *arg)
{
	SASRegion_t region = join(0);
	void **blocks = allocate(BLOCKS * sizeof *blocks);

	(void)arg;
	for (size_t i = 0; i < BLOCKS; i++)
		if (!(blocks[i] = SASRegionBlockAlloc(region, 4096)))
			give_up("allocate");
	for (size_t i = 0; i < BLOCKS; i += 2)
		if (SASBlockFree(blocks[i], 4096) != 0)
			give_up("free");
	SASRegionLeave(region);
}

static double one(const char *name, size_t size)
{
	in_child(by_one, &size);
	return report(name, times[0], PAIRS);
}

int main(int argc, char **argv)
{
	const char *store;
	char path[4096];

	times[0] = shared(PAIRS * 8);
	times[1] = shared(PAIRS * 8);
	begin = shared(sizeof *begin);
	describe_machine();
	store = store_make(argc, argv);
	snprintf(path, sizeof path, "%s", store);
	for (int i = 1; i <= RUNS; i++) {
		double compact, fragmented;

		in_child(make_region, path);
		printf("bench_block, run %d\n", i);
		compact = one("alloc and free of 4 KiB", 4096);
		one("alloc and free of 64 KiB", 65536);
		one("alloc and free of 1 MiB", 1 << 20);
		in_child(by_two, NULL);
		report("alloc and free of 4 KiB, two processes at once", times[0], PAIRS);
		in_child(fragment, NULL);
		fragmented = one("alloc and free of 4 KiB, fragmented region", 4096);
		one("alloc and free of 64 KiB, fragmented region", 65536);
		printf("  fragmented against compact: %.2f\n", fragmented / compact);
		if (SASRegionRemovePath(path, 1) != 0)
			give_up("remove");
	}
	in_child(make_region, path);
	store_remove();
	return 0;
}
