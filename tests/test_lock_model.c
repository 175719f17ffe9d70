/* SPDX-License-Identifier: MIT */
/*
 * test_lock_model.c - one thread takes and gives back locks of two regions at random, nested, upgraded and by all calls, beside
 * another process that does so too, and beside a signal handler; after each call what it holds is what a model says.
 */
#include <config.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "lock_help.h"

#define ADDRESSES 12            /* half of them in each region */
#define OWN 4                   /* of each region, the first ones: nobody else's, so that nothing is refused */

static SASRegion_t second;
static char *places[ADDRESSES];
static uint64_t seed;

/* How often an address is held in each mode, weakest first; what is taken under a stronger mode counts for that. */
static struct { unsigned count[3]; } model[ADDRESSES];
static const sas_userlock_request_t by_strength[3] = { READ, INTENT, WRITE };

static int strongest(int place)
{
	for (int s = 2; s >= 0; s--)
		if (model[place].count[s])
			return s;
	return -1;
}

static int others_may_want(int place) { return place % (ADDRESSES / 2) >= OWN; }

static void second_begin(void)
{
	SASRegionOptions o;
	char path[4200];

	locks_begin();
	snprintf(path, sizeof path, "%s/second", store);
	SASRegionOptionsInit(&o);
	o.flags = SAS_JOIN_CREATE;
	o.base = (uintptr_t)base + 128 * MIB;
	o.regionSize = 64 * MIB;
	o.segmentSize = HELP_SEGMENT;
	ck_assert_int_eq(mkdir(path, 0700), 0);
	second = SASRegionJoin(path, &o);
	ck_assert_msg(second != NULL, "%s", SASLastErrorMessage());
	for (int i = 0; i < ADDRESSES / 2; i++) {
		places[i] = at((size_t)i);
		places[i + ADDRESSES / 2] = (char *)help_info(second).base + 64 * i;
	}
	memset(model, 0, sizeof model);
	seed = help_seed("test_lock_model");
}

static void second_end(void)
{
	ck_assert_uint_eq(locks_in_use(second), 0);
	ck_assert_int_eq(SASRegionRemove(second), 0);
	locks_end();
}

static void take_one(int place)
{
	int wanted = (int)help_below(&seed, 3), held = strongest(place);
	sas_userlock_request_t mode = by_strength[wanted];
	int error = 0;

	if (others_may_want(place))
		error = SASLockTry(places[place], mode) ? errno : 0;
	else if (help_below(&seed, 2))
		SASLock(places[place], mode);
	else
		error = SASLockTake(places[place], mode, 0, -1) ? errno : 0;
	if (error) {
		ck_assert_int_eq(error, EBUSY);
		ck_assert(others_may_want(place) && wanted > held);
		return;
	}
	model[place].count[wanted > held ? wanted : held]++;
}

static void give_one(int place)
{
	int held = strongest(place);

	if (held < 0) {
		ck_fails(SASLockGive(places[place]), EPERM);
		return;
	}
	if (help_below(&seed, 2))
		SASUnlock(places[place]);
	else
		ck_assert_int_eq(SASLockGive(places[place]), 0);
	model[place].count[held]--;
}

static void agree(int place)
{
	int held = strongest(place);

	ck_assert_int_eq(SASLockHeld(places[place]), held < 0 ? -1 : (int)by_strength[held]);
}

/* Mostly one lock again and again, and shallow, as programs do; a stretch of all sorts now and then. */
static void steps(long count)
{
	int place = 0, depth = 0;

	for (long i = 0; i < count; i++) {
		if (help_below(&seed, 4) == 0)
			place = (int)help_below(&seed, ADDRESSES);
		if (help_below(&seed, 64) == 0)
			depth = (int)help_below(&seed, 4);
		if (help_below(&seed, (uint64_t)depth + 2) ? strongest(place) < 0 || depth : 0)
			take_one(place);
		else
			give_one(place);
		/* Asking makes the library look closer: so not after each step. */
		if (help_below(&seed, 8) == 0)
			agree((int)help_below(&seed, ADDRESSES));
	}
	for (place = 0; place < ADDRESSES; place++) {
		agree(place);
		while (strongest(place) >= 0)
			give_one(place);
		agree(place);
	}
}

#define STEPS help_size(20000, 200000, 5000000)

START_TEST(one_thread_alone)
{
	steps(STEPS);
}
END_TEST

/* Takes and gives back what both want, until it is killed. */
static void want_too(void *unused)
{
	uint64_t random = seed + 1;

	(void)unused;
	for (;;) {
		int i = OWN + (int)help_below(&random, ADDRESSES / 2 - OWN) + (help_below(&random, 2) ? ADDRESSES / 2 : 0);

		if (SASLockTry(places[i], by_strength[help_below(&random, 3)]) == 0)
			must(SASLockGive(places[i]) == 0);
	}
}

START_TEST(beside_another_process)
{
	pid_t other = help_fork(want_too, NULL);

	steps(STEPS);
	ck_assert_int_eq(kill(other, SIGKILL), 0);
	ck_assert_int_eq(help_wait(other, 60), 128 + SIGKILL);
	ck_assert_int_eq(SASRegionRecover(region) >= 0 && SASRegionRecover(second) >= 0, 1);
}
END_TEST

#ifndef __SANITIZE_THREAD__     /* which would tell us the same as the comment below */
static volatile unsigned long handled, refused;

/*
 * Not what a program may do: the calls are not async-signal-safe, and may allocate memory. But where the thread has its books
 * already, they are refused or done, and what they leave is as it was.
 */
static void lock_in_handler(int number, siginfo_t *info, void *context)
{
	static unsigned turn;
	char *place = places[turn++ % 2 ? 0 : ADDRESSES / 2];
	int saved = errno;

	(void)number, (void)info, (void)context;
	if (SASLockTake(place, WRITE, 0, 0) == 0) {
		SASUnlock(place);
		handled++;
	} else if (errno == EDEADLK) {
		refused++;
	}
	errno = saved;
}

START_TEST(beside_a_signal_handler)
{
	struct itimerval often = { { 0, 50 }, { 0, 50 } }, never = { { 0, 0 }, { 0, 0 } };

	handled = refused = 0;
	steps(1000);
	help_handle(SIGALRM, lock_in_handler, SA_RESTART);
	ck_assert_int_eq(setitimer(ITIMER_REAL, &often, NULL), 0);
	steps(STEPS);
	ck_assert_int_eq(setitimer(ITIMER_REAL, &never, NULL), 0);
	ck_assert_uint_gt(handled + refused, 0);
}
END_TEST
#endif

int main(void)
{
	Suite *suite = suite_create("lock_model");
	TCase *tc = help_case(suite, "lock_model");

	tcase_add_checked_fixture(tc, second_begin, second_end);
	tcase_add_test(tc, one_thread_alone);
	help_add_death(tc, beside_another_process);
#ifndef __SANITIZE_THREAD__
	tcase_add_test(tc, beside_a_signal_handler);
#endif
	return help_main(suite);
}
