/* SPDX-License-Identifier: MIT */
/*
 * test_epoch.c - epochs: sections, deferred calls, readers that stall or die, the limit, ends of threads and forks. Frees of blocks are in
 * test_epoch_free.c, what readers see while others free in test_epoch_race.c, and what deaths leave in the middle of a deferred free in
 * test_epoch_doubt.c.
 */
#include <config.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <saslock.h>
#include <sassim.h>
#include "epoch_help.h"

/* --- bad arguments */

START_TEST(bad_handles_and_arguments_are_refused)
{
	SASEpochInfo info = { .structSize = 1 };
	int here;

	errno = 0;
	ck_assert_int_eq(SASEpochEnter((SASRegion_t)&here), -1);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(SASEpochExit((SASRegion_t)&here), -1);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(SASEpochDefer(region, NULL, NULL, 0), -1);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(SASEpochDefer(NULL, add_one, NULL, 0), -1);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(SASEpochFree(&here, 4096), -1);
	ck_assert_int_eq(errno, EFAULT);
	ck_assert_int_eq(SASEpochGetInfo(region, &info), -1);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(SASEpochGetInfo(region, NULL), -1);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(SASEpochHelperStart(region, 0), -1);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(SASEpochHelperStop(region), -1);
	ck_assert_int_eq(errno, EPERM);
}
END_TEST

/* --- sections */

START_TEST(exit_without_enter_gives_eperm)
{
	ck_assert_int_eq(SASEpochExit(region), -1);
	ck_assert_int_eq(errno, EPERM);
	ck_assert_int_eq(SASEpochEnter(region), 0);
	ck_assert_int_eq(SASEpochExit(region), 0);
	ck_assert_int_eq(SASEpochExit(region), -1);
	ck_assert_int_eq(errno, EPERM);
}
END_TEST

/* A key that was made after the library's: its destructor comes later. */
static pthread_key_t late_key;
static int late_result;

static void enter_late(void *arg)
{
	(void)arg;
	late_result = SASEpochEnter(region) | SASEpochExit(region);
	SASThreadCleanUp();
}

static void *end_with_late_key(void *arg)
{
	must(SASEpochEnter(region) == 0 && SASEpochExit(region) == 0);
	must(pthread_setspecific(late_key, &late_key) == 0);
	return arg;
}

START_TEST(section_in_a_late_destructor_is_one_of_a_new_slot)
{
	pthread_t thread;

	ck_assert_int_eq(pthread_key_create(&late_key, enter_late), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, end_with_late_key, NULL), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(late_result, 0);
	ck_assert_uint_eq(epoch_info().readers, 0);
}
END_TEST

START_TEST(sections_nest)
{
	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(SASEpochEnter(region), 0);
	ck_assert_int_eq(SASEpochDefer(region, add_one, NULL, 8), 0);
	for (int i = 0; i < 99; i++) {
		ck_assert_int_eq(SASEpochExit(region), 0);
		ck_assert_uint_eq(epoch_info().readers, 1);
		ck_assert_int_eq((int)SASEpochReclaim(region), 0);
		ck_assert_int_eq(counted(), 0);
	}
	ck_assert_int_eq(SASEpochExit(region), 0);
	ck_assert_uint_eq(epoch_info().readers, 0);
	ck_assert_int_eq((int)SASEpochReclaim(region), 1);
	ck_assert_int_eq(counted(), 1);
	ck_assert_uint_eq(epoch_info().heldCalls, 0);
	ck_assert_uint_eq(epoch_info().heldBytes, 0);
}
END_TEST

START_TEST(synchronize_in_section_gives_edeadlk)
{
	ck_assert_int_eq(SASEpochSynchronize(region, -1), 0);
	ck_assert_int_eq(SASEpochEnter(region), 0);
	ck_assert_int_eq(SASEpochSynchronize(region, -1), -1);
	ck_assert_int_eq(errno, EDEADLK);
	ck_assert_int_eq(SASEpochExit(region), 0);
	ck_assert_int_eq(SASEpochSynchronize(region, 0), 0);
}
END_TEST

/* --- readers of other threads and processes */

START_TEST(call_waits_for_reader_of_other_thread)
{
	struct steps *s = shared(sizeof *s);
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, read_in_thread, s), 0);
	step_await(&s->reached, 1);
	ck_assert_int_eq(SASEpochDefer(region, add_one, NULL, 0), 0);
	for (int i = 0; i < 10; i++)
		ck_assert_int_eq((int)SASEpochReclaim(region), 0);
	ck_assert_int_eq(SASEpochSynchronize(region, 1), -1);
	ck_assert_int_eq(errno, ETIMEDOUT);
	let_go(&s->go, 1);
	ck_assert_int_eq(SASEpochSynchronize(region, -1), 0);
	ck_assert_int_eq((int)SASEpochReclaim(region), 1);
	ck_assert_int_eq(counted(), 1);
	let_go(&s->go, 2);
	pthread_join(thread, NULL);
}
END_TEST

START_TEST(call_waits_for_reader_of_other_process)
{
	struct steps *s = shared(sizeof *s);
	pid_t child = help_fork(read_in_process, s);
	void *block = SASRegionBlockAlloc(region, 8192);

	step_await(&s->reached, 1);
	ck_assert_int_eq(SASEpochDefer(region, add_one, NULL, 0), 0);
	ck_assert_int_eq(SASEpochFree(block, 8192), 0);
	for (int i = 0; i < 10; i++)
		ck_assert_int_eq((int)SASEpochReclaim(region), 0);
	ck_assert_uint_eq(epoch_info().readers, 1);
	ck_assert_uint_eq(epoch_info().slowPid, (unsigned)child);
	ck_assert_uint_eq(epoch_info().heldFrees, 1);
	ck_assert_uint_eq(blocks(), 1);
	let_go(&s->go, 1);
	step_await(&s->reached, 2);
	ck_assert_int_eq((int)SASEpochReclaim(region), 2);
	ck_assert_int_eq(counted(), 1);
	ck_assert_uint_eq(blocks(), 0);
	ck_assert_int_eq(epoch_info().slowSlot, -1);
	let_go(&s->go, 2);
	help_done(child);
}
END_TEST

/* One that enters after the unlink holds nothing back, however long it stays. */
START_TEST(later_reader_does_not_hold_back)
{
	struct steps *s = shared(sizeof *s);
	pthread_t thread;

	ck_assert_int_eq(SASEpochDefer(region, add_one, NULL, 0), 0);
	ck_assert_int_eq(SASEpochReclaim(region), 1);
	ck_assert_int_eq(SASEpochDefer(region, add_one, NULL, 0), 0);
	ck_assert_int_eq(SASEpochEnter(region), 0);
	ck_assert_int_eq(SASEpochReclaim(region), 0);
	ck_assert_int_eq(SASEpochExit(region), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, read_in_thread, s), 0);
	step_await(&s->reached, 1);
	/* That section began in the epoch after the second call's. */
	ck_assert_int_eq(SASEpochReclaim(region), 1);
	let_go(&s->go, 2);
	pthread_join(thread, NULL);
}
END_TEST

START_TEST(killed_reader_is_not_waited_for)
{
	struct steps *s = shared(sizeof *s);
	pid_t child = help_fork(read_in_process, s);

	step_await(&s->reached, 1);
	ck_assert_int_eq(SASEpochDefer(region, add_one, NULL, 0), 0);
	ck_assert_int_eq((int)SASEpochReclaim(region), 0);
	ck_assert_int_eq(kill(child, SIGKILL), 0);
	help_wait(child, PATIENCE);
	ck_assert_int_eq((int)SASEpochReclaim(region), 1);
	ck_assert_int_eq(SASEpochSynchronize(region, -1), 0);
	ck_assert_uint_eq(epoch_info().readers, 0);
}
END_TEST

/* Stopped, but alive: named, waited for, left alone. */
START_TEST(stopped_reader_is_named_and_limit_refuses)
{
	struct steps *s = shared(sizeof *s);
	pid_t child = help_fork(read_in_process, s);
	char pid[16];
	int taken = 0, status;

	snprintf(pid, sizeof pid, " %d ", (int)child);
	step_await(&s->reached, 1);
	ck_assert_int_eq(kill(child, SIGSTOP), 0);
	ck_assert_int_eq(waitpid(child, &status, WUNTRACED), child);
	ck_assert(WIFSTOPPED(status));
	ck_assert_int_eq(SASEpochSetLimit(region, 64 * KIB, 0), 0);
	while (SASEpochDefer(region, add_one, NULL, KIB) == 0)
		taken++;
	ck_assert_int_eq(errno, EAGAIN);
	ck_assert_msg(strstr(SASLastErrorMessage(), pid) != NULL, "%s", SASLastErrorMessage());
	ck_assert_int_eq(taken, 64);
	ck_assert_uint_eq(epoch_info().heldBytes, 64 * KIB);
	ck_assert_uint_eq(epoch_info().slowPid, (unsigned)child);
	ck_assert_uint_gt(epoch_info().slowFor, 0);
	ck_assert_uint_lt(epoch_info().slowFor, PATIENCE * 1000000000UL);
	ck_assert_int_eq(SASEpochSynchronize(region, 20), -1);
	ck_assert_int_eq(errno, ETIMEDOUT);
	ck_assert_msg(strstr(SASLastErrorMessage(), pid) != NULL, "%s", SASLastErrorMessage());
	ck_assert_int_eq(waitpid(child, &status, WNOHANG), 0);
	ck_assert_int_eq(counted(), 0);
	let_go(&s->go, 2);
	ck_assert_int_eq(kill(child, SIGCONT), 0);
	ck_assert_int_eq(SASEpochSynchronize(region, -1), 0);
	ck_assert_int_eq(SASEpochDefer(region, add_one, NULL, KIB), 0);
	SASEpochReclaim(region);
	ck_assert_int_eq(counted(), 65);
	help_done(child);
}
END_TEST

START_TEST(limit_counts_calls_and_frees_together)
{
	void *block[3];

	for (int i = 0; i < 3; i++)
		block[i] = SASRegionBlockAlloc(region, 4096);
	ck_assert_int_eq(SASEpochSetLimit(region, 0, 4), 0);
	ck_assert_int_eq(SASEpochEnter(region), 0);
	ck_assert_int_eq(SASEpochFree(block[0], 4096), 0);
	ck_assert_int_eq(SASEpochFree(block[1], 4096), 0);
	ck_assert_int_eq(SASEpochDefer(region, add_one, NULL, 0), 0);
	ck_assert_int_eq(SASEpochDefer(region, add_one, NULL, 0), 0);
	ck_assert_int_eq(SASEpochDefer(region, add_one, NULL, 0), -1);
	ck_assert_int_eq(errno, EAGAIN);
	ck_assert_int_eq(SASEpochFree(block[2], 4096), -1);
	ck_assert_int_eq(errno, EAGAIN);
	ck_assert_uint_eq(blocks(), 3);
	ck_assert_int_eq(SASEpochExit(region), 0);
	/* The refused one is as it was. */
	ck_assert_int_eq(SASBlockFree(block[2], 4096), 0);
	ck_assert_int_eq(SASEpochReclaim(region), 4);
	ck_assert_uint_eq(blocks(), 0);
}
END_TEST

/* --- calls */

static void defer_again(void *arg)
{
	int *left = arg;

	add_one(NULL);
	if ((*left)-- > 0)
		must(SASEpochDefer(region, defer_again, left, 16) == 0);
	must(SASEpochReclaim(region) == 0);
}

START_TEST(call_may_use_the_library_and_defer)
{
	int left = 20;

	ck_assert_int_eq(SASEpochDefer(region, defer_again, &left, 16), 0);
	for (int i = 0; i < 21; i++)
		ck_assert_int_eq((int)SASEpochReclaim(region), 1);
	ck_assert_int_eq((int)SASEpochReclaim(region), 0);
	ck_assert_int_eq(counted(), 21);
}
END_TEST

static pid_t forked;

static void fork_once(void *arg)
{
	add_one(arg);
	if (counted() == 3)
		forked = fork();
}

START_TEST(call_that_forks_runs_the_others_in_the_parent_alone)
{
	for (int i = 0; i < 10; i++)
		ck_assert_int_eq(SASEpochDefer(region, fork_once, NULL, 0), 0);
	forked = 1;
	SASEpochReclaim(region);
	if (forked == 0)
		_exit(counted() == 3 && SASEpochReclaim(region) == 0 && counted() == 3 ? 0 : 1);
	ck_assert_int_eq(counted(), 10);
	ck_assert_int_gt(forked, 1);
	help_done(forked);
}
END_TEST

/* Nobody calls SASEpochReclaim(): what is held stays small. */
START_TEST(many_calls_are_run_inline)
{
	long calls = help_size(20000, 200000, 5000000);
	uint64_t most = 0;

	for (long i = 0; i < calls; i++) {
		ck_assert_int_eq(SASEpochDefer(region, add_one, NULL, 100), 0);
		if (i % 1000 == 0 && epoch_info().heldCalls > most)
			most = epoch_info().heldCalls;
	}
	ck_assert_uint_lt(most, 10000);
	ck_assert_int_gt(counted(), calls - 10000);
	SASEpochReclaim(region);
	ck_assert_int_eq(counted(), calls);
	ck_assert_uint_eq(epoch_info().deferred, (uint64_t)calls);
	ck_assert_uint_eq(epoch_info().reclaimed, (uint64_t)calls);
}
END_TEST

static void *defer_and_end(void *arg)
{
	for (int i = 0; i < 3000; i++)
		must(SASEpochDefer(region, add_one, NULL, 1) == 0);
	return arg;
}

START_TEST(calls_of_ended_threads_are_run_by_others)
{
	pthread_t thread[8];

	ck_assert_int_eq(SASEpochEnter(region), 0);
	for (int i = 0; i < 8; i++)
		ck_assert_int_eq(pthread_create(&thread[i], NULL, defer_and_end, NULL), 0);
	for (int i = 0; i < 8; i++)
		pthread_join(thread[i], NULL);
	ck_assert_int_eq(counted(), 0);
	ck_assert_uint_eq(epoch_info().heldCalls, 24000);
	ck_assert_uint_eq(epoch_info().heldBytes, 24000);
	ck_assert_int_eq(SASEpochExit(region), 0);
	ck_assert_int_eq((int)SASEpochReclaim(region), 24000);
	ck_assert_int_eq(counted(), 24000);
	ck_assert_uint_eq(epoch_info().heldCalls, 0);
	ck_assert_uint_eq(epoch_info().heldBytes, 0);
}
END_TEST

static void *defer_and_end_with_a_lock(void *lock)
{
	SASLock(lock, SasUserLock__WRITE);
	return defer_and_end(lock);
}

/* It counts as dead, as it holds a lock. What it has deferred is this process's all the same. */
START_TEST(calls_of_threads_that_end_with_a_lock_are_held_and_run)
{
	char *block = SASRegionBlockAlloc(region, 4096);
	pthread_t thread;

	ck_assert_int_eq(SASEpochEnter(region), 0);
	for (int i = 0; i < 8; i++) {
		ck_assert_int_eq(pthread_create(&thread, NULL, defer_and_end_with_a_lock, block + i), 0);
		pthread_join(thread, NULL);
	}
	ck_assert_uint_eq(epoch_info().heldCalls, 24000);
	ck_assert_int_ge(SASRegionRecover(region), 0);
	ck_assert_uint_eq(epoch_info().heldCalls, 24000);
	ck_assert_int_eq(SASEpochExit(region), 0);
	ck_assert_int_eq((int)SASEpochReclaim(region), 24000);
	ck_assert_int_eq(counted(), 24000);
	ck_assert_uint_eq(epoch_info().heldCalls, 0);
	ck_assert_uint_eq(epoch_info().heldBytes, 0);
	ck_assert_int_eq(SASBlockFree(block, 4096), 0);
}
END_TEST

START_TEST(leaving_runs_what_may_run)
{
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, defer_and_end, NULL), 0);
	pthread_join(thread, NULL);
	ck_assert_int_eq(SASEpochDefer(region, add_one, NULL, 0), 0);
	ck_assert_int_eq(SASRegionLeave(region), 0);
	ck_assert_int_eq(counted(), 3001);
	region_join(0);
	ck_assert_uint_eq(epoch_info().heldCalls, 0);
}
END_TEST

/* A section that is open when its region ends must not be one of the next. */
START_TEST(reset_ends_sections_and_drops_calls)
{
	ck_assert_int_eq(SASEpochEnter(region), 0);
	ck_assert_int_eq(SASEpochDefer(region, add_one, NULL, 0), 0);
	ck_assert_int_eq(SASRegionReset(region), 0);
	ck_assert_int_eq(SASEpochExit(region), -1);
	ck_assert_int_eq(errno, EPERM);
	ck_assert_int_eq((int)SASEpochReclaim(region), 0);
	ck_assert_int_eq(counted(), 0);
}
END_TEST

/* --- helper */

START_TEST(helper_runs_calls_of_idle_threads)
{
	ck_assert_int_eq(SASEpochHelperStart(region, 1), 0);
	ck_assert_int_eq(SASEpochHelperStart(region, 1), -1);
	ck_assert_int_eq(errno, EALREADY);
	for (int i = 1; i <= 20; i++) {
		ck_assert_int_eq(SASEpochDefer(region, add_one, NULL, 0), 0);
		ck_assert(until(counted() == i, PATIENCE));
	}
	ck_assert_int_eq(SASEpochHelperStop(region), 0);
	ck_assert_int_eq(SASEpochHelperStop(region), -1);
	ck_assert_int_eq(SASEpochHelperStart(region, 1), 0);
	region_leave();
	region_join(0);
	ck_assert_int_eq(SASEpochHelperStart(region, 1), 0);
	ck_assert_int_eq(SASRegionReset(region), 0);
	ck_assert_int_eq(SASEpochHelperStop(region), -1);
}
END_TEST

/* --- forks */

static void child_has_no_section(void *arg)
{
	(void)arg;
	must(SASEpochExit(region) == -1 && errno == EPERM);
	must(SASEpochEnter(region) == 0);
	must(SASEpochExit(region) == 0);
	/* The call is the parent's, and waits for the parent. */
	must(SASEpochReclaim(region) == 0);
	must(counted() == 0);
	must(SASEpochDefer(region, add_one, NULL, 0) == 0);
	must(SASEpochReclaim(region) == 0);
	must(counted() == 0);
	must(SASEpochHelperStop(region) == -1 && errno == EPERM);
}

START_TEST(fork_child_has_no_section_and_no_calls)
{
	ck_assert_int_eq(SASEpochHelperStart(region, 1), 0);
	ck_assert_int_eq(SASEpochEnter(region), 0);
	ck_assert_int_eq(SASEpochDefer(region, add_one, NULL, 0), 0);
	help_in_child(child_has_no_section, NULL);
	ck_assert_int_eq(SASEpochExit(region), 0);
	ck_assert_int_eq(SASEpochHelperStop(region), 0);
	SASEpochReclaim(region);
	ck_assert_int_eq(counted(), 1);
}
END_TEST

/* --- many */

static pthread_barrier_t crowd_met;

static void *enter_with_crowd(void *arg)
{
	must(SASEpochEnter(region) == 0);
	must(SASEpochDefer(region, add_one, NULL, 1) == 0);
	pthread_barrier_wait(&crowd_met);
	pthread_barrier_wait(&crowd_met);
	must(SASEpochExit(region) == 0);
	return arg;
}

START_TEST(more_than_a_thousand_participants)
{
	enum { CROWD = 1100 };
	unsigned crowd = HELP_SANITIZED ? 100 : CROWD;
	pthread_t *threads = calloc(crowd, sizeof *threads);
	pthread_attr_t small;

	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 256 * KIB);
	pthread_barrier_init(&crowd_met, NULL, crowd + 1);
	for (unsigned i = 0; i < crowd; i++)
		ck_assert_int_eq(pthread_create(&threads[i], &small, enter_with_crowd, NULL), 0);
	pthread_barrier_wait(&crowd_met);
	ck_assert_uint_eq(epoch_info().readers, crowd);
	ck_assert_uint_eq(epoch_info().heldCalls, crowd);
	ck_assert_int_eq((int)SASEpochReclaim(region), 0);
	pthread_barrier_wait(&crowd_met);
	for (unsigned i = 0; i < crowd; i++)
		pthread_join(threads[i], NULL);
	ck_assert_int_eq((int)SASEpochReclaim(region), (int)crowd);
	ck_assert_int_eq(counted(), (int)crowd);
	free(threads);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("epoch");
	TCase *t = tcase_create("epoch");

	tcase_add_checked_fixture(t, epoch_begin, region_end);
	tcase_set_timeout(t, 300);
	tcase_add_test(t, bad_handles_and_arguments_are_refused);
	tcase_add_test(t, exit_without_enter_gives_eperm);
	tcase_add_test(t, sections_nest);
	tcase_add_test(t, section_in_a_late_destructor_is_one_of_a_new_slot);
	tcase_add_test(t, synchronize_in_section_gives_edeadlk);
	tcase_add_test(t, call_waits_for_reader_of_other_thread);
	tcase_add_test(t, call_waits_for_reader_of_other_process);
	tcase_add_test(t, later_reader_does_not_hold_back);
	help_add_death(t, killed_reader_is_not_waited_for);
	tcase_add_test(t, stopped_reader_is_named_and_limit_refuses);
	tcase_add_test(t, limit_counts_calls_and_frees_together);
	tcase_add_test(t, call_may_use_the_library_and_defer);
	tcase_add_test(t, call_that_forks_runs_the_others_in_the_parent_alone);
	tcase_add_test(t, many_calls_are_run_inline);
	tcase_add_test(t, calls_of_ended_threads_are_run_by_others);
	tcase_add_test(t, calls_of_threads_that_end_with_a_lock_are_held_and_run);
	tcase_add_test(t, leaving_runs_what_may_run);
	tcase_add_test(t, reset_ends_sections_and_drops_calls);
	tcase_add_test(t, helper_runs_calls_of_idle_threads);
	if (!help_valgrind())   /* what the child cannot free of the helper's thread is a leak to it */
		tcase_add_test(t, fork_child_has_no_section_and_no_calls);
	tcase_add_test(t, more_than_a_thousand_participants);
	suite_add_tcase(s, t);
	return help_main(s);
}
