/* SPDX-License-Identifier: MIT */
/*
 * bench_sync.c - what it costs to make one changed page safe: SASSync() of regions of 1, 64 and 1,000 segments,
 * which this process has mapped or not, against fdatasync(2) of one file; and SASSyncRange().
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sasmsync.h>
#include "measure.h"

#define ROUNDS 50
#define PAGE 4096

struct times { uint64_t mapped[ROUNDS], others[ROUNDS], range[ROUNDS], begin[ROUNDS], file[ROUNDS]; };

static SASRegion_t make(const char *path, unsigned segments, char **first)
{
	SASRegionOptions options;
	SASRegion_t region;

	SASRegionOptionsInit(&options);
	options.flags = SAS_JOIN_CREATE | SAS_JOIN_EXCLUSIVE | SAS_JOIN_SPARSE;
	options.regionSize = 2UL << 30;
	options.segmentSize = SEGMENT;
	region = SASRegionJoin(path, &options);
	if (!region)
		give_up("create");
	for (unsigned i = 1; i < segments; i++) {
		char *block = SASRegionBlockAlloc(region, SEGMENT);

		if (!block)
			give_up("allocate");
		block[0] = 1;
	}
	*first = SASRegionBlockAlloc(region, 16 * PAGE);
	if (!*first || SASSync(region) != 0)
		give_up("sync");
	return region;
}

/* Another page each time, changed before the clock runs. */
static void measure(SASRegion_t region, char *block, struct times *t)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t begin;

		block[i % 16 * PAGE]++;
		begin = now_ns();
		if (SASSync(region) != 0)
			give_up("SASSync");
		t->mapped[i] = now_ns() - begin;
	}
	for (unsigned i = 0; i < ROUNDS; i++) {
		char *page = block + i % 16 * PAGE;
		uint64_t begin;

		page[0]++;
		begin = now_ns();
		if (SASSyncRange(page, PAGE) != 0)
			give_up("SASSyncRange");
		t->range[i] = now_ns() - begin;
		page[0]++;
		begin = now_ns();
		if (sasMsyncWrite(page, PAGE, SAS_ASYNC) != 0)
			give_up("sasMsyncWrite");
		t->begin[i] = now_ns() - begin;
	}
}

/* By a process that has mapped nothing but the anchor, and its page. */
static void measure_others(const char *path, char *block, struct times *t)
{
	SASRegion_t region = SASRegionJoin(path, NULL);

	if (!region)
		give_up("join");
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t begin;

		block[i % 16 * PAGE]++;
		begin = now_ns();
		if (SASSync(region) != 0)
			give_up("SASSync");
		t->others[i] = now_ns() - begin;
	}
	if (SASRegionLeave(region) != 0)
		give_up("leave");
}

static void measure_file(const char *path, struct times *t)
{
	char name[4096], page[PAGE];
	int fd;

	snprintf(name, sizeof name, "%s/file", path);
	fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	memset(page, 1, sizeof page);
	for (unsigned i = 0; i < 16; i++)
		if (fd < 0 || pwrite(fd, page, sizeof page, i * PAGE) != PAGE)
			give_up(name);
	if (fsync(fd) != 0)
		give_up(name);
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t begin;

		page[0]++;
		if (pwrite(fd, page, sizeof page, i % 16 * PAGE) != PAGE)
			give_up(name);
		begin = now_ns();
		if (fdatasync(fd) != 0)
			give_up(name);
		t->file[i] = now_ns() - begin;
	}
	close(fd);
	unlink(name);
}

int main(int argc, char **argv)
{
	static const unsigned counts[] = { 1, 64, 1000 };
	struct times *t = shared(sizeof *t);
	const char *path;
	char *block;

	describe_machine();
	for (int run = 1; run <= RUNS; run++)
		for (unsigned i = 0; i < sizeof counts / sizeof counts[0]; i++) {
			SASRegion_t region;

			path = store_make(argc, argv);
			printf("bench_sync, %u segments, run %d\n", counts[i], run);
			region = make(path, counts[i], &block);
			measure(region, block, t);
			if (SASRegionLeave(region) != 0)
				give_up("leave");
			measure_others(path, block, t);
			measure_file(path, t);
			report("SASSync, all segments mapped", t->mapped, ROUNDS);
			report("SASSync, two segments mapped", t->others, ROUNDS);
			report("SASSyncRange of a page", t->range, ROUNDS);
			report("sasMsyncWrite of a page, SAS_ASYNC", t->begin, ROUNDS);
			report("fdatasync of one file", t->file, ROUNDS);
			store_remove();
		}
	return 0;
}
