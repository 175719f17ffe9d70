/* SPDX-License-Identifier: MIT */
/*
 * test_thread.c - threads: places taken and given up, many in a row and many at once, and odd ends.
 */
#include <config.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sassim.h>
#include "fixture.h"

static void set_up(void)
{
	store_begin();
	region_create(GIB, 4 * MIB, 0);
}

static void *run(void *(*body)(void *), void *arg)
{
	pthread_t thread;
	void *result;

	ck_assert_int_eq(pthread_create(&thread, NULL, body, arg), 0);
	ck_assert_int_eq(pthread_join(thread, &result), 0);
	return result;
}

static void *allocate(void *arg)
{
	(void)arg;
	return SASRegionBlockAlloc(region, 4096);
}

static void *allocate_and_free(void *arg)
{
	void *block = SASRegionBlockAlloc(region, 4096);

	return block && SASBlockFree(block, 4096) == 0 ? arg : NULL;
}

START_TEST(thread_end_gives_up_its_place)
{
	ck_assert_uint_eq(help_info(region).threads, 0);
	ck_assert_ptr_nonnull(run(allocate, NULL));
	ck_assert_uint_eq(help_info(region).threads, 0);
	ck_assert_ptr_nonnull(allocate(NULL));
	ck_assert_uint_eq(help_info(region).threads, 1);
	ck_assert_ptr_nonnull(run(allocate, NULL));
	ck_assert_uint_eq(help_info(region).threads, 1);
	ck_assert_uint_eq(help_info(region).blocksInUse, 3);
	ck_assert_uint_eq(help_info(region).recoveries, 0);
}
END_TEST

START_TEST(thousands_of_short_threads_use_few_places)
{
	uint64_t used = help_sum(region, SASBlock__IN_USE);

	for (long i = 0; i < help_size(300, 5000, 100000); i++)
		ck_assert_ptr_nonnull(run(allocate_and_free, &i));
	ck_assert_uint_eq(help_info(region).threads, 0);
	ck_assert_uint_eq(help_info(region).recoveries, 0);
	ck_assert_uint_eq(help_info(region).blocksInUse, 0);
	/* No log has been added. */
	ck_assert_uint_eq(help_sum(region, SASBlock__IN_USE), used);
}
END_TEST

static pthread_barrier_t all_allocated;

static void *allocate_at_once(void *arg)
{
	void **blocks = arg;

	for (int i = 0; i < 10; i++)
		blocks[i] = SASRegionBlockAlloc(region, 4096);
	pthread_barrier_wait(&all_allocated);
	pthread_barrier_wait(&all_allocated);
	for (int i = 0; i < 10; i++)
		if (!blocks[i] || SASBlockFree(blocks[i], 4096) != 0)
			return NULL;
	return arg;
}

/* More than the anchor has logs for: there are further chunks of them, which the next crowd uses again. */
static void crowd_works(unsigned count)
{
	pthread_t *threads = calloc(count, sizeof *threads);
	void **blocks = calloc(count, 10 * sizeof *blocks), *result;
	pthread_attr_t small;

	ck_assert(threads && blocks);
	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 256 * KIB);
	pthread_barrier_init(&all_allocated, NULL, count + 1);
	for (unsigned i = 0; i < count; i++)
		ck_assert_int_eq(pthread_create(&threads[i], &small, allocate_at_once, blocks + 10 * i), 0);
	pthread_barrier_wait(&all_allocated);
	ck_assert_uint_eq(help_info(region).threads, count);
	ck_assert_uint_eq(help_info(region).blocksInUse, 10 * count);
	help_clean(store);
	pthread_barrier_wait(&all_allocated);
	for (unsigned i = 0; i < count; i++) {
		ck_assert_int_eq(pthread_join(threads[i], &result), 0);
		ck_assert_ptr_eq(result, blocks + 10 * i);
	}
	pthread_barrier_destroy(&all_allocated);
	pthread_attr_destroy(&small);
	ck_assert_uint_eq(help_info(region).threads, 0);
	ck_assert_uint_eq(help_info(region).blocksInUse, 0);
	free(threads);
	free(blocks);
}

START_TEST(more_threads_than_logs_get_more_logs)
{
	unsigned count = (unsigned)help_size(240, 600, 3000);
	uint64_t before = help_sum(region, SASBlock__IN_USE), after;

	crowd_works(count);
	after = help_sum(region, SASBlock__IN_USE);
	ck_assert_uint_gt(after, before);
	crowd_works(count);
	ck_assert_uint_eq(help_sum(region, SASBlock__IN_USE), after);
	region_leave();
	region_join(0);
	crowd_works(count);
	ck_assert_uint_eq(help_sum(region, SASBlock__IN_USE), after);
}
END_TEST

/* 222 logs lie in the anchor of a region of the default size. */
START_TEST(crowd_in_region_of_default_geometry_works)
{
	ck_assert_int_eq(SASRegionRemove(region), 0);
	region_create(0, 0, 0);
	crowd_works(300);
}
END_TEST

/* --- classic set-up and clean-up */

static void *set_up_and_clean_up(void *arg)
{
	uint32_t before = help_info(region).threads, between;

	SASThreadSetUp();
	between = help_info(region).threads;
	SASThreadSetUp();
	SASThreadCleanUp();
	SASThreadCleanUp();
	return between == before + 1 && help_info(region).threads == before ? arg : NULL;
}

START_TEST(thread_set_up_takes_place_and_clean_up_gives_it)
{
	ck_assert_int_eq(SASJoinRegionByName(store), 0);
	ck_assert_ptr_eq(run(set_up_and_clean_up, store), store);
	SASThreadCleanUp();
	ck_assert_ptr_nonnull(SASBlockAlloc(4096));
	SASThreadCleanUp();
	ck_assert_ptr_nonnull(SASBlockAlloc(4096));
	SASCleanUp();
}
END_TEST

/* --- odd ends */

static void *seize_and_end(void *arg)
{
	SASSeize();
	return arg;
}

static void lose_threads(void *arg)
{
	pthread_t thread;

	must(SASJoinRegionByName(arg) == 0);
	for (int i = 0; i < 10; i++) {
		must(pthread_create(&thread, NULL, seize_and_end, NULL) == 0);
		must(pthread_join(thread, NULL) == 0);
		must(SASBlockAlloc(4096) != NULL);
	}
	must(help_info(region).threads == 1);
	SASCleanUp();
}

/* It counts as death: what it held is taken over. In a child: a dead thread's record is nobody's. */
START_TEST(thread_that_ends_with_lock_is_recovered)
{
	help_in_child(lose_threads, store);
	ck_assert_uint_ge(help_info(region).recoveries, 10);
	ck_assert_uint_eq(help_info(region).blocksInUse, 10);
	ck_assert_int_ge(SASRegionRecover(region), 0);
	ck_assert_uint_eq(help_info(region).participants, 1);
}
END_TEST

static pthread_key_t late_key;
static void *late_result;

static void call_late(void *arg)
{
	void *block = SASRegionBlockAlloc(region, 4096);

	late_result = block && SASBlockFree(block, 4096) == 0 ? arg : NULL;
}

static void *end_with_late_call(void *arg)
{
	void *block = SASRegionBlockAlloc(region, 4096);

	pthread_setspecific(late_key, arg);
	return block;
}

/* Before or after ours: the thread registers again, and goes again. */
START_TEST(call_in_destructor_of_thread_works)
{
	ck_assert_int_eq(pthread_key_create(&late_key, call_late), 0);
	for (int i = 0; i < 10; i++) {
		late_result = NULL;
		ck_assert_ptr_nonnull(run(end_with_late_call, store));
		ck_assert_ptr_eq(late_result, store);
	}
	ck_assert_uint_eq(help_info(region).threads, 0);
	ck_assert_uint_eq(help_info(region).recoveries, 0);
}
END_TEST

static int stay[2], gone[2];

static void *stay_until_told(void *arg)
{
	char byte;

	*(void **)arg = SASRegionBlockAlloc(region, 4096);
	if (write(gone[1], "", 1) != 1 || read(stay[0], &byte, 1) != 1)
		return NULL;
	return arg;
}

/* Its place outlives the join; the mapping goes with it. */
START_TEST(leave_while_thread_with_place_lives)
{
	pthread_t thread;
	void *block = NULL, *result;
	char byte;

	ck_assert_int_eq(pipe(stay), 0);
	ck_assert_int_eq(pipe(gone), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, stay_until_told, &block), 0);
	ck_assert_int_eq(read(gone[0], &byte, 1), 1);
	ck_assert_ptr_nonnull(block);
	region_leave();
	region_join(0);
	ck_assert_ptr_nonnull(allocate(NULL));
	ck_assert_int_eq(write(stay[1], "", 1), 1);
	ck_assert_int_eq(pthread_join(thread, &result), 0);
	ck_assert_ptr_eq(result, &block);
	ck_assert_uint_eq(help_info(region).threads, 1);
	ck_assert_int_eq(SASBlockFree(block, 4096), 0);
}
END_TEST

static void *join_and_leave(void *arg)
{
	for (long i = 0; i < help_size(20, 200, 5000); i++) {
		SASRegion_t own = SASRegionJoin(store, NULL);
		void *block = own ? SASRegionBlockAlloc(own, 4096) : NULL;

		if (!block || SASBlockFree(block, 4096) != 0 || SASRegionLeave(own) != 0)
			return NULL;
	}
	return arg;
}

/* The count of joins is the process's. */
START_TEST(threads_join_and_leave_at_once)
{
	pthread_t threads[8];
	void *result;

	for (int i = 0; i < 8; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, join_and_leave, store), 0);
	for (int i = 0; i < 8; i++) {
		ck_assert_int_eq(pthread_join(threads[i], &result), 0);
		ck_assert_msg(result == store, "%s", SASLastErrorMessage());
	}
	ck_assert_uint_eq(help_info(region).participants, 1);
	ck_assert_uint_eq(help_info(region).blocksInUse, 0);
}
END_TEST

static void *work(void *arg)
{
	void *own[16];
	unsigned count = 0;
	uint64_t state = (uintptr_t)&own;

	for (long i = 0; i < help_size(500, 10000, 200000); i++) {
		if (count < 16 && (!count || help_below(&state, 2))) {
			own[count] = SASRegionBlockAlloc(region, 4096UL << help_below(&state, 3));
			if (!own[count])
				return NULL;
			*(void **)own[count] = own[count];
			count++;
		} else {
			SASBlockInfo found;

			count--;
			if (*(void **)own[count] != own[count] || SASBlockFind(own[count], &found) != 0 ||
			    SASBlockFree(own[count], found.size) != 0)
				return NULL;
		}
	}
	while (count--) {
		SASBlockInfo found;

		if (SASBlockFind(own[count], &found) != 0 || SASBlockFree(own[count], found.size) != 0)
			return NULL;
	}
	return arg;
}

START_TEST(threads_allocate_and_free_at_once)
{
	pthread_t threads[8];
	void *result;

	for (int i = 0; i < 8; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, work, store), 0);
	for (int i = 0; i < 20; i++) {
		ck_assert_int_gt(SASRegionListBlocks(region, SASBlock__FREE, NULL, 0) +
				 SASRegionListBlocks(region, SASBlock__UNCOMMITTED, NULL, 0), 0);
		ck_assert_uint_eq(help_info(region).participants, 1);
	}
	for (int i = 0; i < 8; i++) {
		ck_assert_int_eq(pthread_join(threads[i], &result), 0);
		ck_assert_ptr_eq(result, store);
	}
	ck_assert_uint_eq(help_info(region).blocksInUse, 0);
}
END_TEST

/* --- exec */

static void *exec_true(void *arg)
{
	allocate(NULL);
	execl("/bin/true", "true", NULL);
	return arg;
}

static void exec_in_leader(void *arg)
{
	pthread_t thread;
	char byte;

	must(pthread_create(&thread, NULL, stay_until_told, &late_result) == 0);
	must(read(gone[0], &byte, 1) == 1);
	exec_true(arg);
	must(0);
}

static void exec_in_thread(void *arg)
{
	pthread_t thread;

	(void)arg;
	must(allocate(NULL) != NULL);
	must(pthread_create(&thread, NULL, exec_true, NULL) == 0);
	pthread_join(thread, NULL);
	must(0);
}

static void exec_gives_up(help_body body)
{
	ck_assert_int_eq(pipe(stay), 0);
	ck_assert_int_eq(pipe(gone), 0);
	ck_assert_ptr_nonnull(allocate(NULL));
	help_in_child(body, NULL);
	ck_assert_int_ge(SASRegionRecover(region), 0);
	ck_assert_uint_eq(help_info(region).blocksInUse, 3);
	ck_assert_uint_eq(help_info(region).threads, 1);
	ck_assert_uint_eq(help_info(region).participants, 1);
}

START_TEST(exec_gives_up_all_places)
{
	exec_gives_up(exec_in_leader);
}
END_TEST

/* The kernel gives it the leader's id before it looks at its robust locks. */
START_TEST(exec_in_other_thread_gives_up_its_place)
{
	exec_gives_up(exec_in_thread);
}
END_TEST

static void *exec_with_lock(void *arg)
{
	must(SASLockTake(arg, SasUserLock__WRITE, 0, -1) == 0);
	return exec_true(arg);
}

static void exec_in_thread_with_lock(void *arg)
{
	pthread_t thread;

	must(allocate(NULL) != NULL);
	must(pthread_create(&thread, NULL, exec_with_lock, arg) == 0);
	pthread_join(thread, NULL);
	must(0);
}

/* Who waits finds it without being asked to recover. */
START_TEST(exec_in_other_thread_gives_its_lock_back)
{
	void *block = allocate(NULL);

	help_in_child(exec_in_thread_with_lock, block);
	help_fails(SASLockTake(block, SasUserLock__WRITE, SAS_LOCK_OWNERDEAD, 20000) == -1, EOWNERDEAD);
	ck_assert_int_eq(SASLockGive(block), 0);
	ck_assert_uint_eq(help_info(region).threads, 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("thread");
	TCase *c = tcase_create("thread");

	tcase_add_checked_fixture(c, set_up, region_end);
	tcase_set_timeout(c, 240);
	suite_add_tcase(suite, c);
	tcase_add_test(c, thread_end_gives_up_its_place);
	tcase_add_test(c, thousands_of_short_threads_use_few_places);
	tcase_add_test(c, more_threads_than_logs_get_more_logs);
	if (!getenv("SAS_REGION_SIZE"))
		tcase_add_test(c, crowd_in_region_of_default_geometry_works);
	tcase_add_test(c, thread_set_up_takes_place_and_clean_up_gives_it);
	if (!help_valgrind())   /* what it had stays: to valgrind a leak */
		help_add_death(c, thread_that_ends_with_lock_is_recovered);
	tcase_add_test(c, call_in_destructor_of_thread_works);
	tcase_add_test(c, leave_while_thread_with_place_lives);
	tcase_add_test(c, threads_join_and_leave_at_once);
	tcase_add_test(c, threads_allocate_and_free_at_once);
	tcase_add_test(c, exec_gives_up_all_places);
	tcase_add_test(c, exec_in_other_thread_gives_up_its_place);
	help_add_death(c, exec_in_other_thread_gives_its_lock_back);
	return help_main(suite);
}
