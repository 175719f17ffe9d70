/* SPDX-License-Identifier: MIT */
/*
 * bench_lock.c - address locks beside the C library's process-shared locks: uncontended pairs of lock and unlock, and
 * the throughput of two processes that want the same lock.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <saslock.h>
#include <sasregion.h>
#include "measure.h"

#define BATCHES 101             /* of each kind, by turns: the machine's speed changes from moment to moment */
#define PAIRS 20000             /* in a batch */
#define ADDRESSES 1000
#define TOGETHER_NS 300000000U

struct common {
	pthread_mutex_t mutex;
	pthread_rwlock_t rwlock;
	int begin, stop;
	unsigned long done[2];
	unsigned long counter __attribute__((aligned(64)));     /* what the locks guard */
};
static struct common *common;
static char *block;

static void mutex_pair(size_t i) { (void)i; pthread_mutex_lock(&common->mutex); common->counter++; pthread_mutex_unlock(&common->mutex); }
static void rwlock_pair(size_t i) { (void)i; pthread_rwlock_rdlock(&common->rwlock); pthread_rwlock_unlock(&common->rwlock); }
static void write_pair(size_t i) { (void)i; SASLock(block, SasUserLock__WRITE); common->counter++; SASUnlock(block); }
static void intent_pair(size_t i) { (void)i; SASLock(block, SasUserLock__INTENT); SASUnlock(block); }
static void read_pair(size_t i) { (void)i; SASLock(block, SasUserLock__READ); SASUnlock(block); }
static void spread_pair(size_t i)
{
	char *address = block + i % ADDRESSES * 64;

	SASLock(address, SasUserLock__WRITE);
	SASUnlock(address);
}

static const struct kind {
	const char *name;
	void (*pair)(size_t i);
	int measure;                    /* the one that it is compared with */
} kinds[] = {
	{ "robust process-shared mutex", mutex_pair, 0 },
	{ "address lock, WRITE", write_pair, 0 },
	{ "address lock, INTENT", intent_pair, 0 },
	{ "address lock, WRITE, 1000 addresses in turn", spread_pair, 0 },
	{ "process-shared rwlock, read", rwlock_pair, 4 },
	{ "address lock, READ", read_pair, 4 },
};
#define KINDS (sizeof kinds / sizeof kinds[0])

/* Median ns a pair of each kind. */
static void alone(double ns[KINDS])
{
	static uint64_t times[KINDS][BATCHES];

	for (size_t batch = 0; batch < BATCHES; batch++)
		for (size_t k = 0; k < KINDS; k++) {
			uint64_t from = now_ns();

			for (size_t i = 0; i < PAIRS; i++)
				kinds[k].pair(i);
			times[k][batch] = now_ns() - from;
		}
	for (size_t k = 0; k < KINDS; k++)
		ns[k] = (double)quantile(times[k], BATCHES, 500) / PAIRS;
}

static void until_told(void (*pair)(size_t i), unsigned long *done)
{
	unsigned long count = 0;

	pair(0);
	__atomic_fetch_add(&common->begin, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&common->begin, __ATOMIC_SEQ_CST) < 2)
		continue;
	while (!__atomic_load_n(&common->stop, __ATOMIC_RELAXED)) {
		pair(0);
		count++;
	}
	*done = count;
}

static void *stop_soon(void *unused)
{
	struct timespec t = { 0, TOGETHER_NS };

	nanosleep(&t, NULL);
	__atomic_store_n(&common->stop, 1, __ATOMIC_RELAXED);
	return unused;
}

/* Millions of pairs a second, both processes together. */
static double together(void (*pair)(size_t i))
{
	uint64_t from;
	int status;
	pid_t pid;
	pthread_t timer;

	common->begin = common->stop = 0;
	pid = fork();
	if (pid < 0)
		give_up("fork");
	if (pid == 0) {
		until_told(pair, &common->done[1]);
		_exit(0);
	}
	if (pthread_create(&timer, NULL, stop_soon, NULL) != 0)
		give_up("a thread");
	from = now_ns();
	until_told(pair, &common->done[0]);
	from = now_ns() - from;
	pthread_join(timer, NULL);
	if (waitpid(pid, &status, 0) != pid || status != 0)
		give_up("the other process");
	return (double)(common->done[0] + common->done[1]) * 1e3 / (double)from;
}

static void make_locks(void)
{
	pthread_mutexattr_t m;
	pthread_rwlockattr_t w;

	common = shared(sizeof *common);
	pthread_mutexattr_init(&m);
	pthread_mutexattr_setpshared(&m, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&m, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&common->mutex, &m);
	pthread_rwlockattr_init(&w);
	pthread_rwlockattr_setpshared(&w, PTHREAD_PROCESS_SHARED);
	pthread_rwlock_init(&common->rwlock, &w);
}

static void run(int number, double worst[KINDS][2])
{
	double ns[KINDS], rate[KINDS];

	alone(ns);
	printf("bench_lock, run %d%29sns a pair  ratio   2 processes, M/s  ratio\n", number, "");
	for (size_t i = 0; i < KINDS; i++) {
		double ratios[2];

		rate[i] = together(kinds[i].pair);
		ratios[0] = ns[i] / ns[kinds[i].measure];
		ratios[1] = rate[i] / rate[kinds[i].measure];
		printf("  %-44s %8.1f  %5.2f  %17.2f  %5.2f\n", kinds[i].name, ns[i], ratios[0], rate[i], ratios[1]);
		if (number == 1 || ratios[0] > worst[i][0])
			worst[i][0] = ratios[0];
		if (number == 1 || ratios[1] < worst[i][1])
			worst[i][1] = ratios[1];
	}
}

static void judge(const char *what, double ratio, int met)
{
	printf("%s: %.2f in the worst run: %s\n", what, ratio, met ? "met" : "MISSED");
}

int main(int argc, char **argv)
{
	double worst[KINDS][2];
	SASRegion_t region;

	describe_machine();
	store_make(argc, argv);
	region = join(SAS_JOIN_CREATE);
	block = SASRegionBlockAlloc(region, 64 << 10);
	if (!block)
		give_up("a block");
	make_locks();
	for (int i = 1; i <= RUNS; i++)
		run(i, worst);
	judge("WRITE pair, of a robust mutex pair, target at most 1", worst[1][0], worst[1][0] <= 1);
	judge("READ pair, of a rwlock read pair, target at most 1", worst[5][0], worst[5][0] <= 1);
	judge("two processes, WRITE, of a robust mutex's throughput, target at least 1", worst[1][1], worst[1][1] >= 1);
	SASRegionLeave(region);
	store_remove();
	return 0;
}
