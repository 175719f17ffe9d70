/* SPDX-License-Identifier: MIT */
/*
 * bench_clock.c - what a time stamp costs: the fast clocks beside the C library's, which the kernel's vDSO answers
 * without a system call; in a loop, and one after another by more than a fast clock trusts its last look.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

#include <sphgettime.h>
#include <sphgtod.h>
#include <sphthread.h>
#include <sphtimer.h>
#include "measure.h"

#define BATCHES 201             /* of each kind, by turns: the machine's speed changes from moment to moment */
#define CALLS 20000             /* in a batch */
#define RARE 500
#define APART_NS 1100000U

static volatile uint64_t sink;
static sphtimer_t factor;

static void timer(void) { sink = sphgettimer(); }
static void c_time(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); sink = (uint64_t)t.tv_nsec; }
static void fast_time(void) { struct timespec t; sphgettime(&t); sink = (uint64_t)t.tv_nsec; }
static void c_day(void) { struct timeval t; gettimeofday(&t, NULL); sink = (uint64_t)t.tv_usec; }
static void fast_day(void) { struct timeval t; sphgtod(&t, NULL); sink = (uint64_t)t.tv_usec; }
static void later(void) { struct timespec t; sphtb2gettime_withfactor(&t, sink, factor); sink = sink + (uint64_t)t.tv_nsec; }

static const struct kind {
	const char *name;
	void (*call)(void);
	int measure;                    /* the one that it is compared with */
} kinds[] = {
	{ "clock_gettime(CLOCK_MONOTONIC)", c_time, 0 },
	{ "sphgettime", fast_time, 0 },
	{ "gettimeofday", c_day, 2 },
	{ "sphgtod", fast_day, 2 },
	{ "sphgettimer", timer, 0 },
	{ "sphtb2gettime_withfactor, of a stamp taken before", later, 0 },
};
#define KINDS (sizeof kinds / sizeof kinds[0])

static void in_a_loop(double ns[KINDS])
{
	static uint64_t times[KINDS][BATCHES];

	for (size_t batch = 0; batch < BATCHES; batch++)
		for (size_t k = 0; k < KINDS; k++) {
			uint64_t from = now_ns();

			for (size_t i = 0; i < CALLS; i++)
				kinds[k].call();
			times[k][batch] = now_ns() - from;
		}
	for (size_t k = 0; k < KINDS; k++)
		ns[k] = (double)quantile(times[k], BATCHES, 500) / CALLS;
}

/* Single calls, each longer after the one before than its line holds: ticks of the time base. */
static void one_by_one(void)
{
	static uint64_t times[2][RARE];
	double per_ns = (double)sphgetcpufreq() / 1e9;

	for (size_t i = 0; i < RARE; i++)
		for (size_t k = 0; k < 2; k++) {
			sphtimer_t from = sphgettimer(), apart = APART_NS * sphgetcpufreq() / 1000000000U;

			while (sphgettimer() - from < apart)    /* no clock is read: all are equally cold */
				continue;
			from = sphgettimer();
			kinds[k].call();
			times[k][i] = sphgettimer() - from;
		}
	printf("  a call each 1.1 ms: clock_gettime %.0f ns, sphgettime %.0f ns (medians, with reading the timer)\n",
	       (double)quantile(times[0], RARE, 500) / per_ns, (double)quantile(times[1], RARE, 500) / per_ns);
}

int main(void)
{
	double ns[KINDS], worst[2] = { 1e9, 1e9 };

	describe_machine();
	printf("time base: %s, %llu ticks a second\n", sph_time_base_counter ? "counter" : "clock", sphgetcpufreq());
	factor = sphget_gettime_conv_factor();
	for (int run = 1; run <= RUNS; run++) {
		printf("bench_clock, run %d\n", run);
		in_a_loop(ns);
		for (size_t k = 0; k < KINDS; k++)
			printf("  %-52s %6.1f ns   %5.2f times the speed of %s\n", kinds[k].name, ns[k],
			       ns[kinds[k].measure] / ns[k], kinds[kinds[k].measure].name);
		one_by_one();
		for (int i = 0; i < 2; i++)
			if (worst[i] > ns[2 * i] / ns[2 * i + 1])
				worst[i] = ns[2 * i] / ns[2 * i + 1];
	}
	printf("sphgettime %.2f, sphgtod %.2f times the speed of the C library's in the worst run: %s\n", worst[0], worst[1],
	       worst[0] > 1 && worst[1] > 1 ? "faster" : "NOT FASTER");
	return 0;
}
