/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "measure.h"

static char store[4096];

uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

uint64_t quantile(uint64_t *values, size_t count, unsigned of_thousand)
{
	qsort(values, count, sizeof *values, by_value);
	return values[(count - 1) * of_thousand / 1000];
}

double report(const char *name, uint64_t *values, size_t count)
{
	double median = (double)quantile(values, count, 500), p99 = (double)quantile(values, count, 990);

	printf("  %-52s median %8.2f us   p99 %8.2f us\n", name, median / 1e3, p99 / 1e3);
	fflush(stdout);
	return median;
}

void give_up(const char *what)
{
	fprintf(stderr, "%s: %s (%s)\n", what, strerror(errno), SASLastErrorMessage());
	exit(1);
}

void *allocate(size_t size)
{
	void *memory = calloc(1, size);

	if (!memory)
		give_up("memory");
	return memory;
}

void *shared(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		give_up("memory");
	return memory;
}

void in_child(void (*body)(void *arg), void *arg)
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		give_up("fork");
	if (pid == 0) {
		body(arg);
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid || status != 0)
		give_up("a child has failed");
}

void describe_machine(void)
{
	struct utsname u;
	time_t now = time(NULL);
	char date[32];

	uname(&u);
	strftime(date, sizeof date, "%Y-%m-%d", localtime(&now));
	printf("%s: %s %s, %s, %ld processors, Sasphere %s\n", date, u.sysname, u.release, u.machine,
	       sysconf(_SC_NPROCESSORS_ONLN), SASVersion());
}

const char *store_make(int argc, char **argv)
{
	const char *where = argc > 1 ? argv[1] : getenv("TMPDIR");

	snprintf(store, sizeof store, "%s/sas-bench.XXXXXX", where ? where : "/tmp");
	if (!mkdtemp(store))
		give_up(store);
	return store;
}

void store_remove(void)
{
	if (SASRegionRemovePath(store, 1) != 0 || rmdir(store) != 0)
		give_up(store);
}

SASRegion_t join(unsigned flags)
{
	SASRegionOptions options;
	SASRegion_t region;

	SASRegionOptionsInit(&options);
	options.flags = flags;
	region = SASRegionJoin(store, &options);
	if (!region)
		give_up("join");
	return region;
}

static void make(void *arg)
{
	char **blocks = arg;
	SASRegionOptions options;
	SASRegion_t region;

	SASRegionOptionsInit(&options);
	options.flags = SAS_JOIN_CREATE | SAS_JOIN_SPARSE;
	options.regionSize = 2UL << 30;
	options.segmentSize = SEGMENT;
	region = SASRegionJoin(store, &options);
	if (!region)
		give_up("create");
	for (size_t i = 0; i < SEGMENTS - 1; i++) {
		blocks[i] = SASRegionBlockAlloc(region, SEGMENT);
		if (!blocks[i])
			give_up("allocate");
		blocks[i][0] = 1;
	}
	if (SASRegionLeave(region) != 0)
		give_up("leave");
}

void make_segments(char *blocks[SEGMENTS - 1])
{
	in_child(make, blocks);
}
