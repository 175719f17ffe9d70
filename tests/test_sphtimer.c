/* SPDX-License-Identifier: MIT */
/*
 * test_sphtimer.c - the time base: one counter and one rate, whichever way they are asked for, and true to the
 * clock. The program runs itself again with the clock as the time base.
 */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sphtimer.h>
#include "help.h"

/* What the constructor of a program finds. */
static sphtimer_t found_early;

__attribute__((constructor)) static void look_early(void)
{
	found_early = sph_cpu_frequency;
}

static uint64_t clock_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_RAW, &now);
	return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

START_TEST(rate_is_the_same_however_it_is_asked_for)
{
	ck_assert_uint_eq(sphgetcpufreq(), sph_cpu_frequency);
	ck_assert_uint_eq(sphfastcpufreq(), sph_cpu_frequency);
	ck_assert_uint_eq(found_early, sph_cpu_frequency);
	ck_assert_uint_ge(sph_cpu_frequency, 1000000);
	if (!sph_time_base_counter)
		ck_assert_uint_eq(sph_cpu_frequency, 1000000000);
	printf("time base: %s, %llu ticks a second\n", sph_time_base_counter ? "counter" : "clock", sph_cpu_frequency);
}
END_TEST

START_TEST(macro_reads_the_same_counter)
{
	sphtimer_t before = sphgettimer(), between, after;

	__TIME_BASE(between);
	after = sphgettimer();
	ck_assert_uint_le(before, between);
	ck_assert_uint_le(between, after);
}
END_TEST

START_TEST(timer_never_goes_back)
{
	long rounds = help_size(100000, 1000000, 50000000);
	sphtimer_t last = sphgettimer();

	for (long i = 0; i < rounds; i++) {
		sphtimer_t now = sphgettimer();

		ck_assert_uint_le(last, now);
		last = now;
	}
}
END_TEST

/* The timer and the clock at one moment, read until nothing came between. */
static void read_both(sphtimer_t *ticks, uint64_t *ns)
{
	sphtimer_t best = (sphtimer_t)-1;

	for (int i = 0; i < 1000; i++) {
		sphtimer_t before = sphgettimer(), width;
		uint64_t now = clock_now();

		width = sphgettimer() - before;
		if (width < best) {
			best = width;
			*ticks = before + width / 2;
			*ns = now;
		}
	}
}

START_TEST(seconds_of_timer_are_those_of_clock)
{
	double wanted = (double)help_size(200, 1000, 10000) / 1e3, by_timer, by_clock;
	sphtimer_t from, to;
	uint64_t begin, end;

	read_both(&from, &begin);
	help_spin((uint64_t)(wanted * 1e9));
	read_both(&to, &end);
	by_timer = (double)(to - from) / (double)sphgetcpufreq();
	by_clock = (double)(end - begin) / 1e9;
	printf("%.6f s by the timer, %.6f s by the clock: %+.1f ppm\n", by_timer, by_clock, (by_timer / by_clock - 1) * 1e6);
	ck_assert_msg(by_clock >= wanted && by_timer > by_clock * 0.999 && by_timer < by_clock * 1.001,
		      "%.6f s by the timer, %.6f by the clock", by_timer, by_clock);
}
END_TEST

START_TEST(environment_chooses_the_clock)
{
	char clock[] = "SPH_TIMER=clock";

	if (getenv("SPH_TIMER")) {
		sphtimer_t ticks = sphgettimer();
		struct timespec now;

		clock_gettime(CLOCK_MONOTONIC, &now);
		ck_assert_int_eq(sph_time_base_counter, 0);
		/* Ticks are its nanoseconds. */
		ck_assert_uint_le((uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec - ticks, PATIENCE * 1000000000U);
		return;
	}
	help_in_child(help_again, clock);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sphtimer");
	TCase *tests = help_case(suite, "calls");

	tcase_add_test(tests, rate_is_the_same_however_it_is_asked_for);
	tcase_add_test(tests, macro_reads_the_same_counter);
	tcase_add_test(tests, timer_never_goes_back);
	tcase_add_test(tests, seconds_of_timer_are_those_of_clock);
	help_add_native(tests, environment_chooses_the_clock);
	return help_main(suite);
}
