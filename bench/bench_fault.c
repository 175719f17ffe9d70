/* SPDX-License-Identifier: MIT */
/*
 * bench_fault.c - the first touch of a segment against the least that could be done for it.
 *
 * The bare handler works on the same addresses, reserved: it computes the file's name from the faulting
 * one, opens it, maps it, and closes it; no check, no chaining, no table. Both touch 999 segments whose first
 * page is in the page cache.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "measure.h"

#define ROUNDS 10
#define TARGET 1.3

static char **blocks;
static uint64_t *times, *bare_times, *library_times;
static const char *path;
static int directory;
static char *base;

static void touch_all(unsigned round)
{
	for (size_t i = 0; i < SEGMENTS - 1; i++) {
		uint64_t begin = now_ns();

		*(volatile char *)blocks[i];
		times[round * (SEGMENTS - 1) + i] = now_ns() - begin;
	}
}

static void by_library(void *arg)
{
	SASRegionInfo info = { .structSize = sizeof info };
	SASRegion_t region = join(0);

	touch_all(*(unsigned *)arg);
	if (SASRegionGetInfo(region, &info) != 0 || info.faults != SEGMENTS - 1)
		give_up("the library did not map all of them");
	SASRegionLeave(region);
}

static void map_segment(int number, siginfo_t *info, void *context)
{
	static const char digits[] = "0123456789ABCDEF";
	size_t n = (size_t)((char *)info->si_addr - base) / SEGMENT;
	char name[] = "SAS00000.DAT";
	int fd;

	(void)number;
	(void)context;
	for (int i = 7; i >= 3; i--, n >>= 4)
		name[i] = digits[n & 15];
	n = (size_t)((char *)info->si_addr - base) / SEGMENT;
	fd = openat(directory, name, O_RDWR | O_CLOEXEC);
	if (fd < 0 || mmap(base + n * SEGMENT, SEGMENT, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			   fd, 0) == MAP_FAILED)
		_exit(1);
	close(fd);
}

static void by_bare_handler(void *arg)
{
	struct sigaction action;

	memset(&action, 0, sizeof action);
	action.sa_sigaction = map_segment;
	action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
	sigaction(SIGSEGV, &action, NULL);
	directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	base = blocks[0] - SEGMENT;
	if (mmap(base, 2UL << 30, PROT_NONE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0) != base)
		give_up("the addresses");
	touch_all(*(unsigned *)arg);
}

static void look_around(void *arg)
{
	(void)arg;
	/* Both find files and names in the kernel's caches. */
	*(unsigned *)arg = 0;
	by_library(arg);
}

static double run(void)
{
	double bare, ours;

	/* By turns, so that other load on the machine meets both. */
	for (unsigned round = 0; round < ROUNDS; round++) {
		times = bare_times;
		in_child(by_bare_handler, &round);
		times = library_times;
		in_child(by_library, &round);
	}
	bare = report("first touch, bare handler (open, mmap, close)", bare_times, ROUNDS * (SEGMENTS - 1));
	ours = report("first touch, library", library_times, ROUNDS * (SEGMENTS - 1));
	printf("  ratio %.2f\n", ours / bare);
	return ours / bare;
}

int main(int argc, char **argv)
{
	double worst = 0;
	unsigned none;

	blocks = shared(SEGMENTS * sizeof *blocks);
	bare_times = shared(ROUNDS * SEGMENTS * sizeof *times);
	library_times = shared(ROUNDS * SEGMENTS * sizeof *times);
	times = library_times;
	describe_machine();
	path = store_make(argc, argv);
	make_segments(blocks);
	in_child(look_around, &none);
	for (int i = 1; i <= RUNS; i++) {
		double ratio;

		printf("bench_fault, %lu segments, run %d\n", SEGMENTS - 1, i);
		ratio = run();
		worst = ratio > worst ? ratio : worst;
	}
	store_remove();
	printf("first touch: %.2f of the bare handler in the worst run; target at most %.1f: %s\n", worst,
	       TARGET, worst <= TARGET ? "met" : "MISSED");
	return 0;
}
