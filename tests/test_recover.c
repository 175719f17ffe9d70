/* SPDX-License-Identifier: MIT */
/*
 * test_recover.c - what the living find of the dead: locks, blocks, places; recovery that is killed itself.
 */
#include <config.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sassim.h>
#include "fixture.h"

/* What children tell, and are told. */
static struct board {
	uint32_t generation;
	int ready, go, calls;
} *board;

static void set_up(void)
{
	region_begin();
	board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert(board != MAP_FAILED);
}

/* A child that has joined by itself. */
static void join_anew(void)
{
	must(SASRegionLeave(region) == 0);
	region = SASRegionJoin(store, NULL);
	must(region != NULL);
	board->generation = help_info(region).generation;
}

static void allocate_and_die(void *arg)
{
	join_anew();
	for (int i = 0; i < 20; i++)
		must(SASRegionBlockAlloc(region, 4096UL << i % 4) != NULL);
	(void)arg;
	kill(getpid(), SIGKILL);
}

static unsigned free_generation(uint32_t generation)
{
	size_t count;
	unsigned freed = 0;
	SASBlockInfo *list = help_list(region, SASBlock__IN_USE, &count);

	for (size_t i = 0; i < count; i++)
		if (list[i].generation == generation) {
			ck_assert_int_eq(SASBlockFree(list[i].address, list[i].size), 0);
			freed++;
		}
	free(list);
	return freed;
}

START_TEST(blocks_of_dead_process_are_found_by_generation)
{
	void *own = SASRegionBlockAlloc(region, 4096);

	ck_assert_ptr_nonnull(own);
	for (int i = 0; i < 5; i++) {
		help_dies(allocate_and_die, NULL, SIGKILL);
		ck_assert_uint_eq(help_info(region).blocksInUse, 21);
		ck_assert_uint_ne(board->generation, help_info(region).generation);
		ck_assert_uint_eq(free_generation(board->generation), 20);
		ck_assert_uint_eq(help_info(region).blocksInUse, 1);
	}
	ck_assert_int_ge(SASRegionRecover(region), 0);
	ck_assert_uint_eq(help_info(region).participants, 1);
	ck_assert_int_eq(SASBlockFree(own, 4096), 0);
}
END_TEST

START_TEST(recover_of_nobody_gives_0)
{
	uint32_t before = help_info(region).recoveries;

	ck_assert_int_eq(SASRegionRecover(region), 0);
	ck_assert_int_eq(SASRegionRecover(region), 0);
	ck_assert_uint_eq(help_info(region).recoveries, before);
	errno = 0;
	ck_assert_int_eq(SASRegionRecover(NULL), -1);
	ck_assert_int_eq(errno, EINVAL);
}
END_TEST

START_TEST(recover_counts_dead_threads_once)
{
	help_dies(allocate_and_die, NULL, SIGKILL);
	ck_assert_int_eq(SASRegionRecover(region), 1);
	ck_assert_int_eq(SASRegionRecover(region), 0);
	ck_assert_uint_eq(help_info(region).recoveries, 1);
}
END_TEST

static void call_always(void *arg)
{
	void *blocks[8];

	join_anew();
	__atomic_store_n(&board->ready, 1, __ATOMIC_RELEASE);
	for (;;) {
		for (int i = 0; i < 8; i++) {
			blocks[i] = SASRegionBlockAlloc(region, 4096UL << i % 4 * 3);
			must(blocks[i] != NULL);
			__atomic_fetch_add(&board->calls, 1, __ATOMIC_RELAXED);
		}
		for (int i = 0; i < 8; i++)
			must(SASBlockFree(blocks[i], 4096UL << i % 4 * 3) == 0);
		if (arg)
			must(SASRegionTrim(region) >= 0);
	}
}

/* Kill somebody who calls all the time, and go on: how long the next call took. */
static uint64_t kill_and_call(uint64_t *state, void *arg)
{
	uint64_t before;
	pid_t pid;
	void *block;
	int calls;

	__atomic_store_n(&board->ready, 0, __ATOMIC_RELEASE);
	pid = help_fork(call_always, arg);
	ck_assert(until(__atomic_load_n(&board->ready, __ATOMIC_ACQUIRE), PATIENCE));
	/* One at least: a thread that has made no call has nothing that could be recovered. */
	calls = __atomic_load_n(&board->calls, __ATOMIC_RELAXED) + 1 + (int)help_below(state, 200);
	ck_assert(until(__atomic_load_n(&board->calls, __ATOMIC_RELAXED) - calls >= 0, PATIENCE));
	kill(pid, SIGKILL);
	before = help_now();
	block = SASRegionBlockAlloc(region, 4096);
	before = help_now() - before;
	ck_assert_msg(block != NULL, "%s", SASLastErrorMessage());
	ck_assert_int_eq(SASBlockFree(block, 4096), 0);
	ck_assert_int_eq(help_wait(pid, PATIENCE), 128 + SIGKILL);
	free_generation(board->generation);
	return before;
}

START_TEST(call_after_kill_inside_calls_is_served)
{
	uint64_t state = help_seed("recover"), longest = 0, stall;
	uint32_t recoveries = help_info(region).recoveries;
	long kills = help_size(20, 100, 3000);

	for (long i = 0; i < kills; i++) {
		stall = kill_and_call(&state, i % 2 ? store : NULL);
		if (stall > longest)
			longest = stall;
		if (i % 20 == 0)
			help_clean(store);
	}
	ck_assert_int_ge(SASRegionRecover(region), 0);
	printf("%ld kills inside calls: the next call of a peer took at most %.3f ms\n", kills,
	       (double)longest / 1e6);
	recoveries = help_info(region).recoveries - recoveries;
	ck_assert_msg(recoveries == (uint64_t)kills && help_info(region).participants == 1 && help_info(region).bytesInUse == 0,
		      "%u recoveries, %u participants, %lu bytes in use", recoveries, help_info(region).participants,
		      (unsigned long)help_info(region).bytesInUse);
	/* The kernel's end of a process is in it. */
	ck_assert_uint_lt(longest, help_instrumented() ? 10000000000 : 500000000);
}
END_TEST

/* Nobody lives when the next one joins. */
START_TEST(join_after_kill_of_last_participant_recovers)
{
	uint64_t state = help_seed("recover");

	region_leave();
	for (long i = 0; i < help_size(10, 100, 2000); i++) {
		int calls;
		pid_t pid;

		__atomic_store_n(&board->ready, 0, __ATOMIC_RELEASE);
		region_join(0);         /* for join_anew() */
		pid = help_fork(call_always, NULL);
		ck_assert_int_eq(SASRegionLeave(region), 0);
		ck_assert(until(__atomic_load_n(&board->ready, __ATOMIC_ACQUIRE), PATIENCE));
		calls = __atomic_load_n(&board->calls, __ATOMIC_RELAXED) + (int)help_below(&state, 100);
		ck_assert(until(__atomic_load_n(&board->calls, __ATOMIC_RELAXED) - calls >= 0, PATIENCE));
		kill(pid, SIGKILL);
		help_wait(pid, PATIENCE);
		help_clean(store);
		region_join(0);
		free_generation(board->generation);
		ck_assert_uint_eq(help_info(region).bytesInUse, 0);
		ck_assert_uint_eq(help_info(region).participants, 1);
		region_leave();
	}
}
END_TEST

/* Dead threads are recovered by who is killed while recovering, and by the next. */
static void die_while_recovering(void *arg)
{
	(void)arg;
	join_anew();
	__atomic_store_n(&board->ready, 1, __ATOMIC_RELEASE);
	for (;;) {
		must(SASRegionRecover(region) >= 0);
		__atomic_fetch_add(&board->calls, 1, __ATOMIC_RELAXED);
	}
}

START_TEST(recovery_that_is_killed_is_done_by_next)
{
	uint64_t state = help_seed("recover");

	for (long i = 0; i < help_size(5, 60, 1000); i++) {
		pid_t victims[3], healer;
		uint32_t generations[3];

		__atomic_store_n(&board->ready, 0, __ATOMIC_RELEASE);
		healer = help_fork(die_while_recovering, NULL);
		ck_assert(until(__atomic_load_n(&board->ready, __ATOMIC_ACQUIRE), PATIENCE));
		for (int k = 0; k < 3; k++) {
			__atomic_store_n(&board->ready, 0, __ATOMIC_RELEASE);
			victims[k] = help_fork(call_always, NULL);
			ck_assert(until(__atomic_load_n(&board->ready, __ATOMIC_ACQUIRE), PATIENCE));
			generations[k] = board->generation;
		}
		for (int k = 0; k < 3; k++)
			kill(victims[k], SIGKILL);
		for (uint64_t k = help_below(&state, 100000); k > 0; k--)
			__asm__ volatile("" ::: "memory");
		kill(healer, SIGKILL);
		ck_assert_ptr_nonnull(SASRegionBlockAlloc(region, 8192));
		for (int k = 0; k < 3; k++)
			help_wait(victims[k], PATIENCE);
		help_wait(healer, PATIENCE);
		ck_assert_int_ge(SASRegionRecover(region), 0);
		for (int k = 0; k < 3; k++)
			free_generation(generations[k]);
		ck_assert_uint_eq(help_info(region).participants, 1);
		ck_assert_uint_eq(help_info(region).blocksInUse, (uint64_t)i + 1);
		ck_assert_uint_le(help_info(region).threads, 1);
		help_clean(store);
	}
}
END_TEST

static pthread_barrier_t all_ready;

static void *allocate_and_stay(void *arg)
{
	must(SASRegionBlockAlloc(region, 4096) != NULL);
	pthread_barrier_wait(&all_ready);
	for (;;)
		pause();
	return arg;
}

static void die_with_many_threads(void *arg)
{
	pthread_t thread;

	(void)arg;
	join_anew();
	pthread_barrier_init(&all_ready, NULL, 51);
	for (int i = 0; i < 50; i++)
		must(pthread_create(&thread, NULL, allocate_and_stay, NULL) == 0);
	pthread_barrier_wait(&all_ready);
	kill(getpid(), SIGKILL);
}

START_TEST(process_with_many_threads_dies_whole)
{
	for (int i = 0; i < 5; i++) {
		help_dies(die_with_many_threads, NULL, SIGKILL);
		ck_assert_int_eq(SASRegionRecover(region), 50);
		ck_assert_uint_eq(free_generation(board->generation), 50);
		ck_assert_uint_eq(help_info(region).threads, 1);  /* ours: it has freed */
		ck_assert_uint_eq(help_info(region).participants, 1);
	}
}
END_TEST

/* Its other threads go on. */
static void *seize_and_exit(void *arg)
{
	SASSeize();
	return arg;
}

static void lose_one_thread(void *arg)
{
	pthread_t thread;

	(void)arg;
	must(SASJoinRegionByName(store) == 0);
	for (int i = 0; i < 5; i++) {
		must(pthread_create(&thread, NULL, seize_and_exit, NULL) == 0);
		must(pthread_join(thread, NULL) == 0);
		must(SASBlockAlloc(4096) != NULL);
	}
	SASCleanUp();
}

START_TEST(thread_that_died_with_lock_is_recovered_by_its_process)
{
	help_in_child(lose_one_thread, NULL);
	ck_assert_uint_eq(help_info(region).blocksInUse, 5);
	ck_assert_uint_ge(help_info(region).recoveries, 5);
}
END_TEST

/* --- what others see of it */

START_TEST(clean_word_tells_how_region_was_left)
{
	ck_assert_uint_eq(help_inspect(store).clean, 0);
	ck_assert_int_eq(SASRegionLeave(region), 0);
	ck_assert_uint_eq(help_inspect(store).clean, 1);
	region_join(0);
	ck_assert_uint_eq(help_inspect(store).clean, 0);
	help_dies(allocate_and_die, NULL, SIGKILL);
	ck_assert_uint_eq(help_inspect(store).participantsAlive, 1);
	ck_assert_int_eq(SASRegionLeave(region), 0);
	/* The dead were recovered on the way. */
	ck_assert_uint_eq(help_inspect(store).clean, 1);
	ck_assert_uint_eq(help_inspect(store).participantsAlive, 0);
	region_join(0);
	ck_assert_uint_eq(free_generation(board->generation), 20);
}
END_TEST

static void join_wait_and_die(void *arg)
{
	(void)arg;
	join_anew();
	must(SASRegionBlockAlloc(region, 4096) != NULL);
	__atomic_store_n(&board->ready, 1, __ATOMIC_RELEASE);
	must(until(__atomic_load_n(&board->go, __ATOMIC_ACQUIRE), PATIENCE));
	kill(getpid(), SIGKILL);
}

/* The last to leave dies instead: the file says so until somebody joins. */
START_TEST(death_of_last_participant_leaves_region_unclean)
{
	pid_t pid = help_fork(join_wait_and_die, NULL);

	ck_assert(until(__atomic_load_n(&board->ready, __ATOMIC_ACQUIRE), PATIENCE));
	ck_assert_uint_eq(help_inspect(store).participantsAlive, 2);
	ck_assert_int_eq(SASRegionLeave(region), 0);
	ck_assert_uint_eq(help_inspect(store).clean, 0);
	ck_assert_uint_eq(help_inspect(store).participantsAlive, 1);
	__atomic_store_n(&board->go, 1, __ATOMIC_RELEASE);
	help_wait(pid, PATIENCE);
	ck_assert_uint_eq(help_inspect(store).clean, 0);
	ck_assert_uint_eq(help_inspect(store).participantsAlive, 0);
	region_join(0);
	ck_assert_uint_eq(free_generation(board->generation), 1);
	ck_assert_int_eq(SASRegionLeave(region), 0);
	ck_assert_uint_eq(help_inspect(store).clean, 1);
	region_join(0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("recover");
	TCase *c = tcase_create("recover");

	tcase_add_checked_fixture(c, set_up, region_end);
	tcase_set_timeout(c, 300);
	suite_add_tcase(suite, c);
	tcase_add_test(c, blocks_of_dead_process_are_found_by_generation);
	tcase_add_test(c, recover_of_nobody_gives_0);
	tcase_add_test(c, recover_counts_dead_threads_once);
	tcase_add_test(c, call_after_kill_inside_calls_is_served);
	tcase_add_test(c, join_after_kill_of_last_participant_recovers);
	tcase_add_test(c, recovery_that_is_killed_is_done_by_next);
	tcase_add_test(c, process_with_many_threads_dies_whole);
	if (!help_valgrind())   /* what a thread had that ends by a bare system call is a leak */
		tcase_add_test(c, thread_that_died_with_lock_is_recovered_by_its_process);
	tcase_add_test(c, clean_word_tells_how_region_was_left);
	tcase_add_test(c, death_of_last_participant_leaves_region_unclean);
	return help_main(suite);
}
