/* SPDX-License-Identifier: MIT */
/*
 * test_clock.c - libsphgettime.a and libsphgtod.a: they tell the kernel's time, no thread's goes back, and they follow
 * a clock that is another one. With both time bases: the program runs itself again with the other one.
 */
#include <config.h>

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <sphgettime.h>
#include <sphgtod.h>
#include "help.h"

#define SECOND 1000000000LL
#define TRIES 100000            /* a reading between two of the kernel's, with nothing in between */
#define CLOSE 9000              /* ns that the classic programs allow */

static int64_t kernel_time(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * SECOND + t.tv_nsec;
}

static int64_t fast_time(void)
{
	struct timespec t;

	must(sphgettime(&t) == 0);
	must(t.tv_nsec >= 0 && t.tv_nsec < SECOND);
	return t.tv_sec * SECOND + t.tv_nsec;
}

static int64_t kernel_day(void)
{
	struct timeval t;

	gettimeofday(&t, NULL);
	return t.tv_sec * SECOND + t.tv_usec * 1000;
}

static int64_t fast_day(void)
{
	struct timeval t;

	must(sphgtod(&t, NULL) == 0);
	must(t.tv_usec >= 0 && t.tv_usec < 1000000);
	return t.tv_sec * SECOND + t.tv_usec * 1000;
}

/* By a factor that is so old. */
static __thread sphtimer_t time_factor, day_factor;

static int64_t converted_time(void)
{
	struct timespec t;

	must(sphtb2gettime_withfactor(&t, sphgettimer(), time_factor) == 0);
	must(t.tv_nsec >= 0 && t.tv_nsec < SECOND);
	return t.tv_sec * SECOND + t.tv_nsec;
}

static int64_t converted_day(void)
{
	struct timeval t;

	must(sphtb2gtod_withfactor(&t, sphgettimer(), day_factor) == 0);
	must(t.tv_usec >= 0 && t.tv_usec < 1000000);
	return t.tv_sec * SECOND + t.tv_usec * 1000;
}

typedef int64_t (*clock_of)(void);

/* How far it is outside of two readings of the kernel's clock around it, at best: ns. A clock that is wrong is
 * never close, one whose reader was interrupted is the next time. */
static int64_t distance(clock_of ours, clock_of kernels)
{
	int64_t best = INT64_MAX;

	for (int i = 0; i < TRIES && best > CLOSE; i++) {
		int64_t before = kernels(), now = ours(), after = kernels();
		int64_t off = now < before ? before - now : now > after ? now - after : 0;

		/* Wide readings prove nothing. */
		if (after - before < CLOSE && off < best)
			best = off;
	}
	return best;
}

static void all_are_close(void)
{
	time_factor = sphget_gettime_conv_factor();
	day_factor = sphget_gtod_conv_factor();
	must(distance(fast_time, kernel_time) <= CLOSE);
	must(distance(fast_day, kernel_day) <= CLOSE);
	must(distance(converted_time, kernel_time) <= CLOSE);
	must(distance(converted_day, kernel_day) <= CLOSE);
}

START_TEST(clocks_tell_the_kernels_time)
{
	uint64_t end = help_now() + (uint64_t)help_size(50, 300, 5000) * 1000000U;

	do
		all_are_close();
	while (help_now() < end);
}
END_TEST

START_TEST(no_place_for_the_time_gives_efault)
{
	errno = 0;
	ck_assert(sphgettime(NULL) == -1 && errno == EFAULT);
	errno = 0;
	ck_assert(sphgtod(NULL, NULL) == -1 && errno == EFAULT);
	errno = 0;
	ck_assert(sphtb2gettime_withfactor(NULL, 0, 0) == -1 && errno == EFAULT);
	errno = 0;
	ck_assert(sphtb2gtod_withfactor(NULL, 0, 0) == -1 && errno == EFAULT);
}
END_TEST

START_TEST(conversion_is_exact_by_the_rate)
{
	sphtimer_t rate = sphgetcpufreq();
	struct timespec t;
	struct timeval day;

	sphtb2gettime_withfactor(&t, 3 * rate + rate / 2, 4 * rate);
	ck_assert_int_eq(t.tv_sec, 7);
	ck_assert_int_ge(t.tv_nsec, 499999990);
	ck_assert_int_le(t.tv_nsec, 500000000);
	/* The factor may be negative: a machine whose counter began before the clock. */
	sphtb2gtod_withfactor(&day, 3 * rate, 0 - 2 * rate);
	ck_assert_int_eq(day.tv_sec, 1);
	ck_assert_int_eq(day.tv_usec, 0);
}
END_TEST

static void *never_back(void *arg)
{
	long rounds = help_size(200000, 3000000, 100000000);
	int64_t last = fast_time(), first = last;

	for (long i = 0; i < rounds; i++) {
		int64_t now = fast_time();

		must(now >= last);
		last = now;
	}
	/* Long enough to have looked at the kernel's clock again. */
	must(HELP_SANITIZED || last - first > 2000000);
	all_are_close();
	return arg;
}

START_TEST(time_goes_back_in_no_thread)
{
	pthread_t threads[3];

	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, never_back, NULL), 0);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
}
END_TEST

static int64_t interrupted_last;
static volatile int interruptions;

static void tell_time(int number)
{
	(void)number;
	must(fast_time() + 1000000 > interrupted_last);
	interruptions++;
}

/* Readings in a handler leave the line of the thread whole. */
START_TEST(handler_may_read_the_clock)
{
	struct itimerval often = { { 0, 200 }, { 0, 200 } }, never = { { 0, 0 }, { 0, 0 } };
	struct sigaction action = { .sa_handler = tell_time };
	int wanted = (int)help_size(20, 500, 10000);

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	ck_assert(until((interrupted_last = fast_time(), interruptions >= wanted), PATIENCE));
	setitimer(ITIMER_REAL, &never, NULL);
	all_are_close();
}
END_TEST

static void close_in_child(void *arg)
{
	int64_t parents = *(int64_t *)arg;

	must(fast_time() >= parents);
	all_are_close();
}

START_TEST(child_has_the_time)
{
	int64_t now = fast_time();

	all_are_close();
	help_in_child(close_in_child, &now);
}
END_TEST

/* A child in a time namespace whose clock is ahead or behind has this thread's line, of the other clock. */
static int shift_clock(int seconds)
{
	FILE *offsets;
	int written;

	if (unshare(CLONE_NEWTIME) != 0)
		return 0;
	offsets = fopen("/proc/self/timens_offsets", "w");
	if (!offsets)
		return 0;
	written = fprintf(offsets, "monotonic %d 0\n", seconds) > 0;
	return fclose(offsets) == 0 && written;
}

static void in_other_time(void *arg)
{
	int64_t here;

	if (!shift_clock(*(int *)arg))
		_exit(77);
	here = fast_time();
	all_are_close();
	must(llabs(fast_time() - here) < PATIENCE * SECOND);
	help_in_child(close_in_child, &(int64_t){ 0 });
}

START_TEST(clock_that_is_another_one_is_followed)
{
	static const int seconds[] = { 3600, -30 };

	for (int i = 0; i < 2; i++) {
		pid_t pid = help_fork(in_other_time, (void *)&seconds[i]);
		int status = help_wait(pid, PATIENCE);

		if (status == 77) {
			printf("skipped: no time namespace can be made here\n");
			return;
		}
		ck_assert_int_eq(status, 0);
	}
}
END_TEST

START_TEST(clock_as_time_base_gives_the_same)
{
	char clock[] = "SPH_TIMER=clock";

	if (!getenv("SPH_TIMER"))
		help_in_child(help_again, clock);
	else
		ck_assert_int_eq(sph_time_base_counter, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("clock");
	TCase *tests = help_case(suite, "calls");

	tcase_add_test(tests, clocks_tell_the_kernels_time);
	tcase_add_test(tests, no_place_for_the_time_gives_efault);
	tcase_add_test(tests, conversion_is_exact_by_the_rate);
	tcase_add_test(tests, time_goes_back_in_no_thread);
	tcase_add_test(tests, handler_may_read_the_clock);
	tcase_add_test(tests, child_has_the_time);
	tcase_add_test(tests, clock_that_is_another_one_is_followed);
	help_add_native(tests, clock_as_time_base_gives_the_same);
	return help_main(suite);
}
