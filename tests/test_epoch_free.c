/* SPDX-License-Identifier: MIT */
/*
 * test_epoch_free.c - blocks that are freed under epochs: who frees them in the end, when threads, processes and run files have gone.
 */
#include <config.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sasinspect.h>
#include <sassim.h>
#include "epoch_help.h"

START_TEST(retired_block_is_in_use_until_freed_and_cannot_be_freed_twice)
{
	void *block = SASRegionBlockAlloc(region, 16 * KIB), *large = SASRegionBlockAlloc(region, 8 * MIB);
	SASBlockInfo found;

	ck_assert_int_eq(SASEpochFree(block, 4096), -1);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(SASEpochFree((char *)block + 4096, 4096), -1);
	ck_assert_int_eq(errno, ENOENT);
	ck_assert_int_eq(SASEpochFree(block, 5000), -1);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(SASEpochEnter(region), 0);
	ck_assert_int_eq(SASEpochFree(block, 16 * KIB), 0);
	ck_assert_int_eq(SASEpochFree(large, 8 * MIB), 0);
	ck_assert_int_eq(SASBlockFind(block, &found), 0);
	ck_assert_uint_eq(found.generation, RETIRED);
	ck_assert_int_eq(SASBlockFind((char *)large + 5 * MIB, &found), 0);
	ck_assert_uint_eq(found.generation, RETIRED);
	ck_assert_uint_eq(found.size, 8 * MIB);
	ck_assert_int_eq(SASEpochFree(block, 16 * KIB), -1);
	ck_assert_int_eq(errno, ENOENT);
	ck_assert_int_eq(SASBlockFree(block, 16 * KIB), -1);
	ck_assert_int_eq(errno, ENOENT);
	ck_assert_msg(strstr(SASLastErrorMessage(), "deferred") != NULL, "%s", SASLastErrorMessage());
	ck_assert_uint_eq(epoch_info().heldFrees, 2);
	ck_assert_uint_eq(epoch_info().heldBytes, 8 * MIB + 16 * KIB);
	help_clean(store);
	ck_assert_int_eq(SASEpochReclaim(region), 0);
	ck_assert_int_eq(SASEpochExit(region), 0);
	ck_assert_int_eq(SASEpochReclaim(region), 2);
	ck_assert_int_eq(SASBlockFind(block, &found), -1);
	ck_assert_uint_eq(blocks(), 0);
	ck_assert_int_eq(SASEpochFree(block, 16 * KIB), -1);
	ck_assert_int_eq(errno, ENOENT);
}
END_TEST

/* More than a page of records, and freed inline. */
START_TEST(many_frees_are_freed_inline)
{
	long frees = help_size(2000, 5000, 100000);

	for (long i = 0; i < frees; i++) {
		void *block = SASRegionBlockAlloc(region, 4096);

		ck_assert_ptr_nonnull(block);
		ck_assert_int_eq(SASEpochFree(block, 4096), 0);
		ck_assert_uint_lt(epoch_info().heldFrees, 200);
	}
	SASEpochReclaim(region);
	ck_assert_uint_eq(blocks(), 0);
}
END_TEST

START_TEST(many_frees_are_held_and_freed_later)
{
	long frees = help_size(1000, 3000, 20000);

	ck_assert_int_eq(SASEpochEnter(region), 0);
	for (long i = 0; i < frees; i++)
		ck_assert_int_eq(SASEpochFree(SASRegionBlockAlloc(region, 4096), 4096), 0);
	ck_assert_uint_eq(epoch_info().heldFrees, (uint64_t)frees);
	ck_assert_uint_eq(blocks(), (uint64_t)frees);
	ck_assert_int_eq(SASEpochExit(region), 0);
	ck_assert_int_eq((int)SASEpochReclaim(region), (int)frees);
	ck_assert_uint_eq(blocks(), 0);
}
END_TEST

static void *free_and_end(void *arg)
{
	for (int i = 0; i < 300; i++)
		must(SASEpochFree(SASRegionBlockAlloc(region, 4096), 4096) == 0);
	return arg;
}

static void free_and_die(void *arg)
{
	free_and_end(arg);
	must(SASEpochDefer(region, add_one, NULL, 5) == 0);
	kill(getpid(), SIGKILL);
}

START_TEST(frees_of_ended_threads_and_dead_processes_are_freed_by_others)
{
	pthread_t thread;

	ck_assert_int_eq(SASEpochEnter(region), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, free_and_end, NULL), 0);
	pthread_join(thread, NULL);
	help_dies(free_and_die, NULL, SIGKILL);
	help_dies(free_and_die, NULL, SIGKILL);
	ck_assert_int_ge(SASRegionRecover(region), 0);
	ck_assert_uint_eq(epoch_info().heldFrees, 900);
	ck_assert_uint_eq(epoch_info().heldBytes, 900 * 4096);
	ck_assert_uint_eq(epoch_info().heldCalls, 0);
	ck_assert_int_eq((int)SASEpochReclaim(region), 0);
	ck_assert_uint_eq(epoch_info().heldFrees, 900);
	ck_assert_uint_eq(blocks(), 900);
	ck_assert_int_eq(SASEpochExit(region), 0);
	ck_assert_int_eq((int)SASEpochReclaim(region), 900);
	ck_assert_uint_eq(blocks(), 0);
	ck_assert_uint_eq(epoch_info().heldBytes, 0);
}
END_TEST

START_TEST(next_joiner_frees_what_all_the_dead_left)
{
	region_leave();
	region_join(0);
	help_dies(free_and_die, NULL, SIGKILL);
	region_leave();
	region_join(0);
	ck_assert_uint_eq(blocks(), 0);
}
END_TEST

static void join_free_and_die(void *arg)
{
	region_join(0);
	must(region != NULL);
	must(SASEpochEnter(region) == 0);
	free_and_die(arg);
}

static void lose_run_file(int lose)
{
	char path[300];

	region_leave();
	help_dies(join_free_and_die, NULL, SIGKILL);
	snprintf(path, sizeof path, "%s/SAS.run", store);
	if (lose)
		ck_assert_int_eq(unlink(path), 0);
	help_clean(store);
	region_join(0);
	ck_assert_uint_eq(blocks(), 0);
	ck_assert_uint_eq(epoch_info().heldFrees, 0);
	ck_assert_int_eq((int)SASEpochReclaim(region), 0);
}

START_TEST(first_joiner_after_all_died_frees) { lose_run_file(0); }
END_TEST

START_TEST(first_joiner_without_the_run_file_frees) { lose_run_file(1); }
END_TEST

START_TEST(copy_of_a_region_with_retired_blocks_frees_them)
{
	char from[280], to[280], command[900];

	snprintf(from, sizeof from, "%s", store);
	snprintf(to, sizeof to, "%s-copy", store);
	region_leave();
	help_dies(join_free_and_die, NULL, SIGKILL);
	snprintf(command, sizeof command, "mkdir %s && cp --sparse=always %s/*.DAT %s/", to, from, to);
	ck_assert_int_eq(system(command), 0);
	region = SASRegionJoin(to, NULL);
	ck_assert_ptr_nonnull(region);
	ck_assert_uint_eq(blocks(), 0);
	ck_assert_int_eq(SASRegionRemove(region), 0);
	ck_assert_int_eq(rmdir(to), 0);
	region_join(0);
	ck_assert_uint_eq(blocks(), 0);
}
END_TEST

/* A thread that reads while main() returns, and its process is the last one: what it may see stays. */
static void exit_beside_reader(void *arg)
{
	void *block;
	pthread_t thread;

	region_join(0);
	block = SASRegionBlockAlloc(region, 4096);
	must(block != NULL);
	must(pthread_create(&thread, NULL, read_in_thread, arg) == 0);
	step_await(&((struct steps *)arg)->reached, 1);
	must(SASEpochFree(block, 4096) == 0);
	exit(0);
}

static int retired_at_rest(void)
{
	SASInspect_t inspect = SASInspectOpen(store);
	SASBlockInfo list[64];
	long n = SASInspectListBlocks(inspect, SASBlock__IN_USE, list, 64);
	int found = 0;

	ck_assert_msg(inspect && n > 0 && n <= 64, "%s", SASLastErrorMessage());
	for (long i = 0; i < n; i++)
		found += list[i].generation == RETIRED;
	SASInspectClose(inspect);
	return found;
}

START_TEST(exit_of_last_process_leaves_what_its_threads_may_see)
{
	struct steps *s = shared(sizeof *s);

	ck_assert_int_eq(SASRegionLeave(region), 0);
	region = NULL;
	help_in_child(exit_beside_reader, s);
	ck_assert_int_eq(retired_at_rest(), 1);
	region_join(0);
	ck_assert_uint_eq(blocks(), 0);
}
END_TEST

/* --- read-only participants */

static void read_only(void *arg)
{
	region = SASRegionJoin(store, &(SASRegionOptions){ .structSize = sizeof(SASRegionOptions), .flags = SAS_JOIN_READONLY });
	must(region != NULL);
	read_in_thread(arg);
	must(SASRegionLeave(region) == 0);
}

static void start_read_only(void *arg)
{
	must(SASRegionLeave(region) == 0);
	read_only(arg);
}

START_TEST(read_only_reader_holds_back)
{
	struct steps *s = shared(sizeof *s);
	pid_t child = help_fork(start_read_only, s);

	step_await(&s->reached, 1);
	ck_assert_int_eq(SASEpochDefer(region, add_one, NULL, 0), 0);
	free_and_end(NULL);
	ck_assert_int_eq((int)SASEpochReclaim(region), 0);
	/* The last writer leaves with what it still holds. */
	ck_assert_int_eq(SASRegionLeave(region), 0);
	help_clean(store);
	region_join(0);
	ck_assert_uint_eq(blocks(), 300);
	let_go(&s->go, 2);
	help_done(child);
	ck_assert_int_eq((int)SASEpochReclaim(region), 300);
	ck_assert_uint_eq(blocks(), 0);
}
END_TEST

/* With a reader there the last writer's leave is not clean: whoever comes without the run file has to look. */
START_TEST(leave_beside_reader_with_retired_blocks_is_not_clean)
{
	struct steps *s = shared(sizeof *s);
	pid_t child = help_fork(start_read_only, s);
	char path[300];

	snprintf(path, sizeof path, "%s/SAS.run", store);
	step_await(&s->reached, 1);
	free_and_end(NULL);
	ck_assert_int_eq(SASRegionLeave(region), 0);
	region = NULL;
	let_go(&s->go, 2);
	help_done(child);
	ck_assert_int_eq(unlink(path), 0);
	region_join(0);
	ck_assert_uint_eq(blocks(), 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("epoch_free");
	TCase *t = tcase_create("epoch_free");

	tcase_add_checked_fixture(t, epoch_begin, region_end);
	tcase_set_timeout(t, 300);
	tcase_add_test(t, retired_block_is_in_use_until_freed_and_cannot_be_freed_twice);
	tcase_add_test(t, many_frees_are_freed_inline);
	tcase_add_test(t, many_frees_are_held_and_freed_later);
	help_add_death(t, frees_of_ended_threads_and_dead_processes_are_freed_by_others);
	tcase_add_test(t, next_joiner_frees_what_all_the_dead_left);
	tcase_add_test(t, first_joiner_after_all_died_frees);
	tcase_add_test(t, first_joiner_without_the_run_file_frees);
	tcase_add_test(t, copy_of_a_region_with_retired_blocks_frees_them);
	tcase_add_test(t, exit_of_last_process_leaves_what_its_threads_may_see);
	tcase_add_test(t, read_only_reader_holds_back);
	tcase_add_test(t, leave_beside_reader_with_retired_blocks_is_not_clean);
	suite_add_tcase(s, t);
	return help_main(s);
}
