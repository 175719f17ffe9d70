/* SPDX-License-Identifier: MIT */
/*
 * test_fork.c - a fork's child: it has the mappings and none of the places, and takes its own at its
 * first call.
 */
#include <config.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sassim.h>
#include "fixture.h"

static void touch_all(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < LAZY; i++)
		must(load_byte(at[i]) == value(i));
}

START_TEST(child_touches_segments_that_parent_had_not)
{
	help_in_child(touch_all, NULL);
	ck_assert_uint_eq(help_info(region).faults, 0);
	touch_all(NULL);
	ck_assert_uint_eq(help_info(region).faults, LAZY);
	help_in_child(touch_all, NULL);
}
END_TEST

static void touch_in_grandchild(void *arg)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		touch_all(arg);
		must(SASRegionBlockAlloc(region, 4096) != NULL);
		_exit(0);
	}
	touch_all(arg);
	must(waitpid(pid, &status, 0) == pid && status == 0);
	must(SASRegionBlockAlloc(region, 4096) != NULL);
}

START_TEST(grandchild_works)
{
	help_in_child(touch_in_grandchild, NULL);
	ck_assert_uint_eq(help_info(region).blocksInUse, LAZY + 2);
}
END_TEST

static void is_a_participant(void *arg)
{
	uint32_t parent = *(uint32_t *)arg;
	SASBlockInfo found;
	void *block;

	block = SASRegionBlockAlloc(region, 4096);
	must(block != NULL);
	must(help_info(region).participants == 2);
	must(help_info(region).threads == 2);
	must(help_info(region).generation != parent);
	must(SASBlockFind(block, &found) == 0 && found.generation == help_info(region).generation);
	must(SASBlockFree(block, 4096) == 0);
}

START_TEST(child_is_a_participant_of_its_own)
{
	uint32_t generation = help_info(region).generation;

	ck_assert_ptr_nonnull(SASRegionBlockAlloc(region, 4096));
	help_in_child(is_a_participant, &generation);
	help_in_child(is_a_participant, &generation);
	ck_assert_uint_eq(help_info(region).generation, generation);
	/* It ended without a leave: that is a death, and its place is free again. */
	ck_assert_int_ge(SASRegionRecover(region), 0);
	ck_assert_uint_eq(help_info(region).participants, 1);
	ck_assert_uint_eq(help_info(region).threads, 1);
}
END_TEST

static void leave_it(void *arg)
{
	(void)arg;
	must(SASRegionLeave(region) == 0);
	must(SASRegionOf(at[0]) == NULL);
	region = SASRegionJoin(store, NULL);
	must(region != NULL);
	touch_all(NULL);
	must(SASRegionLeave(region) == 0);
}

START_TEST(leave_of_child_is_not_parents)
{
	ck_assert_ptr_nonnull(SASRegionBlockAlloc(region, 4096));
	help_in_child(leave_it, NULL);
	help_in_child(leave_it, NULL);
	ck_assert_uint_eq(help_info(region).participants, 1);
	touch_all(NULL);
	ck_assert_ptr_nonnull(SASRegionBlockAlloc(region, 4096));
}
END_TEST

static int go[2];

static void wait_and_work(void *arg)
{
	char byte;

	must(read(go[0], &byte, 1) == 1);
	touch_all(arg);
	must(SASRegionBlockAlloc(region, 4096) != NULL);
	must(help_info(region).participants == 1);
	must(SASRegionLeave(region) == 0);
}

/* The child goes on alone, whatever its parent did to it. */
START_TEST(child_outlives_leave_of_parent)
{
	pid_t pid;

	ck_assert_int_eq(pipe(go), 0);
	ck_assert_ptr_nonnull(SASRegionBlockAlloc(region, 4096));
	pid = help_fork(wait_and_work, NULL);
	region_leave();
	ck_assert_int_eq(write(go[1], "", 1), 1);
	help_done(pid);
}
END_TEST

static void fork_and_die(void *arg)
{
	pid_t pid;

	must(SASRegionBlockAlloc(region, 4096) != NULL);
	pid = fork();
	if (pid == 0) {
		char byte;

		/* Alive until told, and it has the dead one's mappings. */
		if (read(go[0], &byte, 1) != 1)
			_exit(1);
		_exit(0);
	}
	(void)arg;
	kill(getpid(), SIGKILL);
}

/* Its child's mappings do not keep a dead parent alive. */
START_TEST(parent_killed_while_child_lives_is_recovered)
{
	ck_assert_int_eq(pipe(go), 0);
	ck_assert_ptr_nonnull(SASRegionBlockAlloc(region, 4096));
	help_dies(fork_and_die, NULL, SIGKILL);
	ck_assert_int_eq(SASRegionRecover(region), 1);
	ck_assert_uint_eq(help_info(region).threads, 1);
	ck_assert_ptr_nonnull(SASRegionBlockAlloc(region, 4096));
	ck_assert_int_eq(write(go[1], "", 1), 1);
}
END_TEST

static void seize_is_not_inherited(void *arg)
{
	(void)arg;
	errno = 0;
	SASRelease();
	must(errno == EPERM);
	must(waitpid(-1, NULL, WNOHANG) == -1);
}

START_TEST(child_holds_nothing_of_parent)
{
	ck_assert_int_eq(SASJoinRegionByName(store), 0);
	SASSeize();
	help_in_child(seize_is_not_inherited, NULL);
	ck_assert_ptr_nonnull(SASBlockAlloc(4096));
	SASRelease();
	ck_assert_ptr_nonnull(SASBlockAlloc(4096));
	SASCleanUp();
}
END_TEST

/* --- forks while other threads are inside calls */

static volatile int stop;

#ifndef __SANITIZE_THREAD__
static void *call_always(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		void *block = SASRegionBlockAlloc(region, 8192);

		if (!block || SASBlockFree(block, 8192) != 0)
			return NULL;
		if (SASBlockFree(NULL, 1) == 0)         /* and its sentence */
			return NULL;
	}
	return arg;
}

static void *join_always(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		SASRegion_t again = SASRegionJoin(store, NULL);

		if (!again || SASRegionLeave(again) != 0)
			return NULL;
	}
	return arg;
}

static void allocate_and_free(void *arg)
{
	void *block = SASRegionBlockAlloc(region, 4096);

	(void)arg;
	must(block != NULL);
	touch_all(NULL);
	must(SASBlockFree(block, 4096) == 0);
	must(SASBlockFree(NULL, 4096) == -1 && errno == EFAULT);
	must(SASRegionListBlocks(region, SASBlock__IN_USE, NULL, 0) > 0);
}

START_TEST(fork_while_threads_are_inside_calls)
{
	pthread_t threads[5];
	void *result;

	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, i < 4 ? call_always : join_always,
						store), 0);
	for (long i = 0; i < help_size(20, 200, 5000); i++)
		help_in_child(allocate_and_free, NULL);
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < 5; i++) {
		ck_assert_int_eq(pthread_join(threads[i], &result), 0);
		ck_assert_ptr_eq(result, store);
	}
	ck_assert_uint_eq(help_info(region).blocksInUse, LAZY);
}
END_TEST
#endif

/* Children of such a process that never call, or that exec, take nothing with them. */
static void do_nothing(void *arg)
{
	(void)arg;
}

START_TEST(child_that_never_calls_is_nobody)
{
	ck_assert_ptr_nonnull(SASRegionBlockAlloc(region, 4096));
	help_in_child(do_nothing, NULL);
	help_in_child(touch_all, NULL);
	ck_assert_uint_eq(help_info(region).participants, 1);
	ck_assert_uint_eq(help_info(region).recoveries, 0);
}
END_TEST

/* exit(), with all its destructors. */
static void exit_at_once(void *arg)
{
	must(SASRegionBlockAlloc(region, 4096) != NULL);
	exit(arg ? 0 : 1);
}

START_TEST(child_that_exits_without_leave_is_recovered)
{
	for (int i = 0; i < 5; i++)
		help_in_child(exit_at_once, store);
	ck_assert_int_ge(SASRegionRecover(region), 0);
	ck_assert_uint_eq(help_info(region).participants, 1);
	ck_assert_uint_eq(help_info(region).threads, 0);
	ck_assert_uint_eq(help_info(region).blocksInUse, LAZY + 5);
}
END_TEST

/* A fork that the C library knows nothing of: no handler of pthread_atfork() runs. */
START_TEST(child_of_raw_clone_works)
{
	pid_t pid;

	ck_assert_ptr_nonnull(SASRegionBlockAlloc(region, 4096));
	for (int i = 0; i < 5; i++) {
		pid = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
		if (pid == 0) {
			touch_all(NULL);
			must(SASRegionBlockAlloc(region, 4096) != NULL);
			must(help_info(region).participants == 2);
			must(SASRegionLeave(region) == 0);
			_exit(0);
		}
		ck_assert_int_gt(pid, 0);
		help_done(pid);
	}
	ck_assert_uint_eq(help_info(region).participants, 1);
	ck_assert_ptr_nonnull(SASRegionBlockAlloc(region, 4096));
	ck_assert_uint_eq(help_info(region).blocksInUse, LAZY + 7);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fork");
	TCase *c = tcase_create("fork");

	tcase_add_checked_fixture(c, lazy_begin, region_end);
	tcase_set_timeout(c, 240);
	suite_add_tcase(suite, c);
	tcase_add_test(c, child_touches_segments_that_parent_had_not);
	tcase_add_test(c, grandchild_works);
	tcase_add_test(c, child_is_a_participant_of_its_own);
	tcase_add_test(c, leave_of_child_is_not_parents);
	tcase_add_test(c, child_outlives_leave_of_parent);
	help_add_death(c, parent_killed_while_child_lives_is_recovered);
	tcase_add_test(c, child_holds_nothing_of_parent);
#ifndef __SANITIZE_THREAD__     /* which does not support a fork beside running threads */
	if (!help_valgrind())   /* what the child cannot free of threads that it has not is a leak to it */
		tcase_add_test(c, fork_while_threads_are_inside_calls);
#endif
	tcase_add_test(c, child_that_never_calls_is_nobody);
	tcase_add_test(c, child_that_exits_without_leave_is_recovered);
	if (!help_instrumented())
		tcase_add_test(c, child_of_raw_clone_works);
	return help_main(suite);
}
