/* SPDX-License-Identifier: MIT */
/*
 * bench_block.c - pairs of alloc and free: by one process, by two at once, and in a region that is
 * fragmented, as of 60,000 blocks every second one has been freed. And growth: allocations that need a new segment.
 *
 * A pair clears 4 KiB; what it costs beside that is reported: turns of 100 pairs, by turns with as many memsets of
 * 4 KiB in the same region, the clock read once a turn.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sasregion.h>
#include "measure.h"

#define PAIRS 50000
#define TURN 100                /* pairs in one region, then as many in the other */
#define TURNS (PAIRS / TURN)
#define BLOCKS 60000
#define HELD 1000               /* blocks of a working set */
#define NEW_SEGMENTS 64
#define NEW_SEGMENT (256UL << 20)

struct turns { uint64_t pairs[TURNS], clears[TURNS]; };
static struct turns *own, *peers, *holes;
static int *begin;
static SASRegion_t compact, fragmented;

static void pair(SASRegion_t region, size_t size)
{
	void *block = SASRegionBlockAlloc(region, size);

	if (!block || SASBlockFree(block, size) != 0)
		give_up("a pair");
}

static uint64_t clears(void *page)
{
	uint64_t from = now_ns();

	for (unsigned i = 0; i < TURN; i++) {
		memset(page, 0, 4096);
		__asm__ volatile("" : : "r"(page) : "memory");
	}
	return (now_ns() - from) / TURN;
}

static uint64_t pairs(SASRegion_t region, size_t size)
{
	uint64_t from = now_ns();

	for (unsigned i = 0; i < TURN; i++)
		pair(region, size);
	return (now_ns() - from) / TURN;
}

static void *page_of(SASRegion_t region)
{
	void *page = SASRegionBlockAlloc(region, 4096);

	if (!page)
		give_up("a page");
	return page;
}

static void by_turns(size_t size)
{
	void *page = page_of(compact);

	for (size_t i = 0; i < TURNS; i++) {
		own->pairs[i] = pairs(compact, size);
		holes->pairs[i] = pairs(fragmented, size);
		own->clears[i] = holes->clears[i] = clears(page);
	}
	SASBlockFree(page, 4096);
}

static void by_peer(SASRegion_t region, struct turns *out)
{
	void *page = page_of(region);

	pairs(region, 4096);
	__atomic_fetch_add(begin, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(begin, __ATOMIC_SEQ_CST) < 2)
		continue;
	for (size_t i = 0; i < TURNS; i++) {
		out->pairs[i] = pairs(region, 4096);
		out->clears[i] = clears(page);
	}
	SASBlockFree(page, 4096);
}

static void by_two(SASRegion_t region)
{
	int status;
	pid_t pid;

	*begin = 0;
	pid = fork();
	if (pid < 0)
		give_up("fork");
	if (pid == 0) {
		by_peer(region, peers);
		_exit(0);
	}
	by_peer(region, own);
	if (waitpid(pid, &status, 0) != pid || status != 0)
		give_up("the peer");
}

static SASRegion_t make_region(const char *store, const char *name, size_t size, size_t segment, unsigned flags)
{
	SASRegionOptions options;
	SASRegion_t region;
	char path[4200];

	snprintf(path, sizeof path, "%s/%s", store, name);
	if (mkdir(path, 0700) != 0)
		give_up(path);
	SASRegionOptionsInit(&options);
	options.flags = SAS_JOIN_CREATE | flags;
	options.regionSize = size;
	options.segmentSize = segment;
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

/* A pair, a memset of 4 KiB, and the difference. */
static double tell(const char *name, struct turns *t)
{
	double pair_ns = (double)quantile(t->pairs, TURNS, 500), late = (double)quantile(t->pairs, TURNS, 990);
	double clear_ns = (double)quantile(t->clears, TURNS, 500);

	printf("  %-46s pair %5.0f ns  p99 %5.0f ns  memset %4.0f ns  beside it %5.0f ns\n", name, pair_ns, late, clear_ns,
	       pair_ns - clear_ns);
	fflush(stdout);
	return pair_ns;
}

static void compare(const char *size_name, size_t size)
{
	double plain, fragments;
	char name[80];

	by_turns(size);
	snprintf(name, sizeof name, "%s, compact", size_name);
	plain = tell(name, own);
	snprintf(name, sizeof name, "%s, 60,000 fragments", size_name);
	fragments = tell(name, holes);
	printf("  fragmented against compact: %.2f\n", fragments / plain);
}

/* More than a thread has in hand: a random one of the working set is freed, and another allocated. */
static void with_working_set(SASRegion_t region, const char *name)
{
	void *held[HELD];
	uint64_t random = 88172645463325252U;
	void *page = page_of(region);

	for (unsigned i = 0; i < HELD; i++)
		held[i] = page_of(region);
	for (unsigned i = 0; i < TURNS; i++) {
		uint64_t from = now_ns();

		for (unsigned k = 0; k < TURN; k++) {
			void **one = &held[random % HELD];

			random ^= random << 13;
			random ^= random >> 7;
			random ^= random << 17;
			if (SASBlockFree(*one, 4096) != 0 || !(*one = SASRegionBlockAlloc(region, 4096)))
				give_up("a pair");
		}
		own->pairs[i] = (now_ns() - from) / TURN;
		own->clears[i] = clears(page);
	}
	for (unsigned i = 0; i < HELD; i++)
		SASBlockFree(held[i], 4096);
	SASBlockFree(page, 4096);
	tell(name, own);
}

/* Allocate many, then free all: batches go to and fro. */
static void in_bulk(void)
{
	static void *blocks[TURN * 50];
	void *page = page_of(compact);

	for (unsigned i = 0; i < TURNS; i++) {
		uint64_t from = now_ns();

		for (unsigned k = 0; k < TURN * 50; k++)
			blocks[k] = SASRegionBlockAlloc(compact, 4096);
		for (unsigned k = 0; k < TURN * 50; k++)
			if (SASBlockFree(blocks[k], 4096) != 0)
				give_up("free");
		own->pairs[i] = (now_ns() - from) / (TURN * 50);
		own->clears[i] = clears(page);
	}
	SASBlockFree(page, 4096);
	tell("4 KiB, 5,000 allocated, then all freed", own);
}

/* What a segment costs at least: a file of its size that is there under its name or not at all, with a trailer, mapped. */
static uint64_t bare_file(const char *store, unsigned i)
{
	static char trailer[4096];
	char name[4200], link[64];
	uint64_t from = now_ns();
	int fd = open(store, O_TMPFILE | O_RDWR, 0600);
	void *map;

	snprintf(name, sizeof name, "%s/bare%u", store, i);
	if (fd < 0 || ftruncate(fd, (off_t)(NEW_SEGMENT + 4096)) != 0 ||
	    pwrite(fd, trailer, sizeof trailer, (off_t)NEW_SEGMENT) != sizeof trailer || fsync(fd) != 0)
		give_up("a bare file");
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	map = mmap(NULL, NEW_SEGMENT, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED || linkat(AT_FDCWD, link, AT_FDCWD, name, AT_SYMLINK_FOLLOW) != 0)
		give_up("a bare file");
	close(fd);
	fd = open(store, O_RDONLY | O_DIRECTORY);
	if (fd < 0 || fsync(fd) != 0)
		give_up("a directory");
	close(fd);
	from = now_ns() - from;
	munmap(map, NEW_SEGMENT);
	unlink(name);
	return from;
}

static void growth(const char *store)
{
	static uint64_t grown[NEW_SEGMENTS], bare[NEW_SEGMENTS];
	SASRegion_t region = make_region(store, "growth", (NEW_SEGMENTS + 2) * NEW_SEGMENT, NEW_SEGMENT, SAS_JOIN_SPARSE);
	double ours, least;

	/* Two blocks fill a segment: the first one carves it. */
	if (!SASRegionBlockAlloc(region, NEW_SEGMENT / 2))
		give_up("allocate");
	for (unsigned i = 0; i < NEW_SEGMENTS; i++) {
		uint64_t from = now_ns();

		if (!SASRegionBlockAlloc(region, NEW_SEGMENT / 2))
			give_up("a new segment");
		grown[i] = now_ns() - from;
		if (!SASRegionBlockAlloc(region, NEW_SEGMENT / 2))
			give_up("the rest of it");
		bare[i] = bare_file(store, i);
	}
	ours = report("allocation that needs a new segment of 256 MiB", grown, NEW_SEGMENTS);
	least = report("the same file made and mapped by bare calls", bare, NEW_SEGMENTS);
	printf("  growth against bare calls: %.2f\n", ours / least);
	remove_region(region, store, "growth");
}

int main(int argc, char **argv)
{
	const char *store;

	own = shared(sizeof *own);
	peers = shared(sizeof *peers);
	holes = shared(sizeof *holes);
	begin = shared(sizeof *begin);
	describe_machine();
	store = store_make(argc, argv);
	compact = make_region(store, "compact", 4UL << 30, 256UL << 20, 0);
	fragmented = make_region(store, "fragmented", 4UL << 30, 256UL << 20, 0);
	fragment();
	for (int i = 1; i <= RUNS; i++) {
		printf("bench_block, run %d\n", i);
		compare("4 KiB", 4096);
		compare("64 KiB", 65536);
		compare("1 MiB", 1 << 20);
		with_working_set(compact, "4 KiB, working set of 1,000, compact");
		with_working_set(fragmented, "4 KiB, working set of 1,000, 60,000 fragments");
		in_bulk();
		by_two(compact);
		tell("4 KiB, two processes at once: the one", own);
		tell("4 KiB, two processes at once: the other", peers);
		by_two(fragmented);
		tell("the same, 60,000 fragments: the one", own);
		tell("the same, 60,000 fragments: the other", peers);
		growth(store);
	}
	remove_region(compact, store, "compact");
	remove_region(fragmented, store, "fragmented");
	if (rmdir(store) != 0)
		give_up(store);
	return 0;
}
