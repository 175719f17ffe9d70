/* SPDX-License-Identifier: MIT */
/*
 * bench_epoch.c - a critical section; a call that is deferred and run; a block whose free is deferred: by
 * one process, by two at once, and beside 1,024 threads that have places.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sasepoch.h>
#include "measure.h"

#define BATCH 10000UL           /* what is timed together, so that a turn of another program spoils few of them */
#define SECTIONS 1000UL         /* batches */
#define CALLS 1000UL
#define FREES 100000UL
#define CROWD 1024

static SASRegion_t region;

static struct meeting { int here; double figure[2]; } *meeting;

static void section(void)
{
	if (SASEpochEnter(region) != 0 || SASEpochExit(region) != 0)
		give_up("a section");
}

static void do_nothing(void *arg) { (void)arg; }

static void call(void)
{
	if (SASEpochDefer(region, do_nothing, NULL, 64) != 0)
		give_up("SASEpochDefer");
}

static void deferred_free(void)
{
	void *block = SASRegionBlockAlloc(region, 4096);

	if (!block || SASEpochFree(block, 4096) != 0)
		give_up("SASEpochFree");
}

/* The median of the batches, in ns for one. In line: a call by a pointer costs as much as half a section. */
static inline __attribute__((always_inline)) double median(void (*one)(void), size_t batches, size_t batch)
{
	uint64_t *times = allocate(batches * sizeof *times);
	double figure;

	for (size_t i = 0; i < batches; i++) {
		uint64_t from = now_ns();

		for (size_t k = 0; k < batch; k++)
			one();
		times[i] = now_ns() - from;
	}
	figure = (double)quantile(times, batches, 500) / (double)batch;
	free(times);
	return figure;
}

static double sections(void) { return median(section, SECTIONS, BATCH); }

/* Millions a second. Each batch is longer than what waits to be run in one go. */
static double calls(void) { return 1000 / median(call, CALLS, BATCH); }

/* All of them, with the batches that are freed in some. */
static double frees(void)
{
	uint64_t from = now_ns();

	for (size_t i = 0; i < FREES; i++)
		deferred_free();
	return (double)(now_ns() - from) / FREES;
}

static double one_of_two(double (*measure)(void))
{
	SASEpochEnter(region);
	SASEpochExit(region);
	__atomic_fetch_add(&meeting->here, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&meeting->here, __ATOMIC_SEQ_CST) < 2)
		continue;
	return measure();
}

/* The figures of both at once. */
static void by_two(double (*measure)(void))
{
	int status;
	pid_t pid;

	meeting->here = 0;
	pid = fork();
	if (pid < 0)
		give_up("fork");
	if (pid == 0) {
		meeting->figure[1] = one_of_two(measure);
		_exit(0);
	}
	meeting->figure[0] = one_of_two(measure);
	if (waitpid(pid, &status, 0) != pid || status != 0)
		give_up("the peer");
}

static pthread_barrier_t met;

static void *take_place(void *arg)
{
	SASEpochEnter(region);
	SASEpochExit(region);
	pthread_barrier_wait(&met);
	pthread_barrier_wait(&met);
	return arg;
}

static double beside_crowd(double (*measure)(void))
{
	static pthread_t threads[CROWD];
	pthread_attr_t small;
	double figure;

	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 128 << 10);
	pthread_barrier_init(&met, NULL, CROWD + 1);
	for (int i = 0; i < CROWD; i++)
		if (pthread_create(&threads[i], &small, take_place, NULL) != 0)
			give_up("pthread_create");
	pthread_barrier_wait(&met);
	figure = measure();
	pthread_barrier_wait(&met);
	for (int i = 0; i < CROWD; i++)
		pthread_join(threads[i], NULL);
	return figure;
}

static void run(void)
{
	SASEpochInfo info = { .structSize = sizeof info };

	printf("section, one process                      %8.2f ns\n", sections());
	by_two(sections);
	printf("section, two processes at once            %8.2f ns, %.2f ns\n", meeting->figure[0], meeting->figure[1]);
	printf("call deferred and run, one process        %8.1f million/s\n", calls());
	by_two(calls);
	printf("call deferred and run, two at once        %8.1f million/s, %.1f million/s\n", meeting->figure[0], meeting->figure[1]);
	printf("call deferred and run, 1,024 places       %8.1f million/s\n", beside_crowd(calls));
	printf("alloc and deferred free of 4 KiB          %8.0f ns\n", frees());
	by_two(frees);
	printf("alloc and deferred free, two at once      %8.0f ns, %.0f ns\n", meeting->figure[0], meeting->figure[1]);
	if (SASEpochGetInfo(region, &info) != 0)
		give_up("SASEpochGetInfo");
	printf("  fences by membarrier: %s\n", info.asymmetric ? "yes" : "no");
}

int main(int argc, char **argv)
{
	SASRegionOptions options;
	const char *store;

	meeting = shared(sizeof *meeting);
	describe_machine();
	store = store_make(argc, argv);
	SASRegionOptionsInit(&options);
	options.flags = SAS_JOIN_CREATE;
	options.regionSize = 4UL << 30;
	region = SASRegionJoin(store, &options);
	if (!region)
		give_up("create");
	for (int i = 1; i <= RUNS; i++) {
		printf("bench_epoch, run %d\n", i);
		run();
	}
	if (SASRegionRemove(region) != 0 || rmdir(store) != 0)
		give_up(store);
	return 0;
}
