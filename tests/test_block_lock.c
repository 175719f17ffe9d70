/* SPDX-License-Identifier: MIT */
/*
 * test_block_lock.c - block calls of many at once: who holds their lock, and calls that are interrupted,
 * cancelled, or made by many processes.
 */
#include <config.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sassim.h>
#include "fixture.h"

/* --- the lock of all block calls */

static void allocate_one(void *arg)
{
	(void)arg;
	must(SASBlockAlloc(4096) != NULL);
}

/* The system call that a process waits in: futex. Under a sanitizer locks are polled: there it has had
 * time enough. */
static int waits_for_lock(pid_t pid)
{
	char name[64], text[64] = "";
	FILE *file;

	snprintf(name, sizeof name, "/proc/%d/syscall", (int)pid);
	file = fopen(name, "r");
	if (!file)
		return 0;
	if (!fgets(text, sizeof text, file))
		text[0] = 0;
	fclose(file);
	for (int i = 0; HELP_SANITIZED && i < 1000; i++)
		sched_yield();
	return HELP_SANITIZED || strncmp(text, "202 ", 4) == 0;
}

static void classic_begin(void)
{
	region_begin();
	ck_assert_int_eq(SASJoinRegionByName(store), 0);
}

static void classic_end(void)
{
	SASCleanUp();
	region_end();
}

START_TEST(seize_keeps_others_out_until_release)
{
	pid_t pid;

	SASSeize();
	SASSeize();
	ck_assert_ptr_nonnull(SASBlockAlloc(4096));
	pid = help_fork(allocate_one, NULL);
	ck_assert(until(waits_for_lock(pid), PATIENCE));
	SASRelease();
	ck_assert_int_eq(waitpid(pid, NULL, WNOHANG), 0);
	SASResetSem();          /* no key to a lock that a living thread holds */
	ck_assert(until(waits_for_lock(pid), PATIENCE));
	ck_assert_int_eq(waitpid(pid, NULL, WNOHANG), 0);
	SASRelease();
	help_done(pid);
	ck_assert_uint_eq(help_info(region).blocksInUse, 2);
	errno = 0;
	SASRelease();
	ck_assert_int_eq(errno, EPERM);
}
END_TEST

START_TEST(seize_allows_holder_block_calls)
{
	void *block;
	SASBlockInfo found;

	SASSeize();
	block = SASBlockAlloc(4096);
	ck_assert_ptr_nonnull(block);
	ck_assert_uint_gt(help_sum(region, SASBlock__IN_USE), 4096);
	ck_assert_int_ge(SASRegionTrim(region), 0);
	ck_assert_int_eq(SASSync(region), 0);
	ck_assert_int_eq(SASBlockFind(block, &found), 0);
	SASBlockDealloc(block, 4096);
	errno = 0;
	SASBlockDealloc(block, 4096);
	ck_assert_int_eq(errno, ENOENT);
	SASRelease();
	help_in_child(allocate_one, NULL);
}
END_TEST

/* Who looks after participants holds another lock, which comes first. */
START_TEST(seize_refuses_holder_calls_on_participants)
{
	SASRegionInfo info = { .structSize = sizeof info };

	SASSeize();
	errno = 0;
	ck_assert_int_eq(SASRegionGetInfo(region, &info), -1);
	ck_assert_int_eq(errno, EDEADLK);
	errno = 0;
	ck_assert_int_eq(SASRegionRecover(region), -1);
	ck_assert_int_eq(errno, EDEADLK);
	errno = 0;
	SASResetSem();
	ck_assert_int_eq(errno, EDEADLK);
	ck_assert_ptr_nonnull(SASBlockAlloc(4096));
	SASRelease();
	ck_assert_int_eq(SASRegionRecover(region), 0);
	ck_assert_uint_eq(help_info(region).blocksInUse, 1);
	help_in_child(allocate_one, NULL);
}
END_TEST

static void seize_and_die(void *arg)
{
	SASSeize();
	must(SASBlockAlloc(8192) != NULL);
	if (arg)
		kill(getpid(), SIGKILL);
}

START_TEST(seize_of_dead_holder_is_taken_over)
{
	help_dies(seize_and_die, store, SIGKILL);
	ck_assert_ptr_nonnull(SASBlockAlloc(4096));
	help_in_child(seize_and_die, NULL);      /* an exit without a release is a death as well */
	ck_assert_ptr_nonnull(SASBlockAlloc(4096));
	help_dies(seize_and_die, store, SIGKILL);
	SASResetSem();
	SASSeize();
	SASRelease();
	ck_assert_uint_eq(help_info(region).blocksInUse, 5);
}
END_TEST

static void storm_of_calls(void *arg)
{
	(void)arg;
	for (;;)
		SASBlockDealloc(SASBlockAlloc(4096), 4096);
}

/* Beside somebody who died inside a call. */
static void seize_and_recover(void *arg)
{
	(void)arg;
	SASSeize();
	must(SASBlockAlloc(4096) != NULL);
	SASRelease();
	must(SASRegionRecover(region) >= 0);
}

START_TEST(seize_after_death_in_call_does_not_hang)
{
	for (int i = 0; i < 20; i++) {
		pid_t pid = help_fork(storm_of_calls, NULL);

		ck_assert(until(help_info(region).participants > 1, PATIENCE));
		for (volatile int k = 0; k < 10000 * i; k++)
			continue;
		kill(pid, SIGKILL);
		help_wait(pid, PATIENCE);
		help_in_child(seize_and_recover, NULL);
	}
}
END_TEST

/* From a process that has not joined. */
static void leave_seized(void *arg)
{
	void (*end)(void) = *(void (**)(void))arg;

	must(SASJoinRegionByName(store) == 0);
	SASSeize();
	SASSeize();
	must(SASBlockAlloc(4096) != NULL);
	end();
	if (end == SASReset)
		SASCleanUp();
	must(SASRegionDefault() == NULL);
	must(SASJoinRegionByName(store) == 0);
	must(SASBlockAlloc(4096) != NULL);
	SASSeize();
	SASRelease();
	errno = 0;
	SASRelease();
	must(errno == EPERM);
	SASCleanUp();
}

static void ends_seized(void (*end)(void))
{
	SASCleanUp();
	ck_assert_int_eq(SASRegionLeave(region), 0);
	help_in_child(leave_seized, &end);
	help_in_child(leave_seized, &end);
	region_join(0);
	ck_assert_int_eq(SASJoinRegionByName(store), 0);
	ck_assert_ptr_nonnull(SASBlockAlloc(4096));
}

START_TEST(leave_while_seized_lets_go)
{
	ends_seized(SASCleanUp);
}
END_TEST

START_TEST(remove_while_seized_lets_go)
{
	ends_seized(SASRemove);
}
END_TEST

START_TEST(reset_while_seized_lets_go)
{
	ends_seized(SASReset);
}
END_TEST

static void leave_seized_beside_others(void *arg)
{
	(void)arg;
	SASSeize();
	must(SASBlockAlloc(4096) != NULL);
	SASCleanUp();
	must(SASRegionLeave(region) == 0);
	must(SASJoinRegionByName(store) == 0);
	must(SASBlockAlloc(4096) != NULL);
	SASCleanUp();
}

START_TEST(leave_while_seized_lets_others_in)
{
	help_in_child(leave_seized_beside_others, NULL);
	help_in_child(allocate_one, NULL);       /* a child, so that a hang ends */
	ck_assert_ptr_nonnull(SASBlockAlloc(4096));
}
END_TEST

static void *clean_up(void *arg)
{
	SASCleanUp();
	return arg;
}

/* Another thread leaves what this one has seized: the lock stays, and the run file that it is in, until this
 * thread uses the next region, which has the same number. */
static void seize_and_go_on_elsewhere(void *arg)
{
	struct help_peer *p = arg;
	pthread_t thread;

	must(SASRegionLeave(region) == 0);
	must(SASJoinRegionByName(store) == 0);
	SASSeize();
	must(SASBlockAlloc(4096) != NULL);
	must(pthread_create(&thread, NULL, clean_up, NULL) == 0);
	must(pthread_join(thread, NULL) == 0);
	must(SASRegionDefault() == NULL);
	must(SASJoinRegionByName(p->store) == 0);
	must(SASBlockAlloc(4096) != NULL);
	errno = 0;
	SASRelease();
	must(errno == EPERM);
	SASSeize();
	must(SASBlockAlloc(4096) != NULL);
	SASRelease();
	help_peer_turn(p);
	must(SASBlockAlloc(4096) != NULL);
	SASCleanUp();
}

static void allocate_in_both(void *arg)
{
	SASRegion_t other = SASRegionJoin(arg, NULL);

	must(other != NULL);
	must(SASRegionBlockAlloc(other, 4096) != NULL);
	must(SASRegionBlockAlloc(region, 4096) != NULL);
	must(help_info(other).blocksInUse == 3 && help_info(region).blocksInUse == 2);
}

START_TEST(seize_of_region_that_another_thread_left_ends_with_use_of_next)
{
	struct help_peer p = { .store = help_store() };        /* of the next region */
	SASRegionOptions options;

	help_options(&options, SAS_JOIN_CREATE);
	options.base = help_info(region).base + HELP_REGION;
	help_leave(SASRegionJoin(p.store, &options));
	help_peer_start(&p, seize_and_go_on_elsewhere);
	help_in_child(allocate_in_both, p.store);       /* while it lives: no death lets go */
	help_peer_end(&p);
	help_clean(p.store);
}
END_TEST

/* --- interrupted calls */

static volatile sig_atomic_t refused, served, wrong;

static void call_in_handler(int number, siginfo_t *info, void *context)
{
	int kept = errno;
	void *block = SASRegionBlockAlloc(region, 4096);

	(void)number;
	(void)info;
	(void)context;
	if (block) {
		served++;
		if (SASBlockFree(block, 4096) != 0)
			wrong++;
	} else if (errno == EDEADLK) {
		refused++;
	} else {
		wrong++;
	}
	errno = kept;
}

static void start_timer(long microseconds)
{
	struct itimerval t = { { 0, microseconds }, { 0, microseconds } };

	ck_assert_int_eq(setitimer(ITIMER_REAL, &t, NULL), 0);
}

START_TEST(call_in_handler_that_interrupted_call_gives_edeadlk)
{
	long rounds = 0;

	SASBlockFree(NULL, 0);          /* the sentence's memory is there */
	give(take(4096), 4096);
	help_handle(SIGALRM, call_in_handler, SA_RESTART);
	start_timer(100);
	while (refused < help_size(20, 200, 20000) && rounds++ < 100000000)
		give(take(8192), 8192);
	start_timer(0);
	printf("calls in a handler: %d refused, %d served\n", (int)refused, (int)served);
	ck_assert_int_eq(wrong, 0);
	ck_assert_int_gt(refused, 0);
	ck_assert_uint_eq(help_info(region).blocksInUse, 0);
}
END_TEST

static int cancel_type;
static void *cancelled(void *arg)
{
	int old;

	SASThreadSetUp();
	__atomic_store_n((int *)arg, 1, __ATOMIC_RELEASE);
	pthread_setcanceltype(cancel_type, &old);
	for (;;) {
		void *block = SASRegionBlockAlloc(region, 4096);

		pthread_testcancel();
		SASBlockFree(block, 4096);
		pthread_testcancel();
	}
	return NULL;
}

static void cancel_often(int type, long rounds)
{
	uint64_t state = help_seed("cancel");

	cancel_type = type;
	for (long i = 0; i < rounds; i++) {
		pthread_t threads[2];
		int ready[2] = { 0, 0 };

		for (int k = 0; k < 2; k++)
			ck_assert_int_eq(pthread_create(&threads[k], NULL, cancelled, &ready[k]), 0);
		for (int k = 0; k < 2; k++)
			ck_assert(until(__atomic_load_n(&ready[k], __ATOMIC_ACQUIRE), PATIENCE));
		for (uint64_t k = help_below(&state, 3000); k > 0; k--)
			__asm__ volatile("" ::: "memory");
		for (int k = 0; k < 2; k++)
			ck_assert_int_eq(pthread_cancel(threads[k]), 0);
		for (int k = 0; k < 2; k++)
			ck_assert_int_eq(pthread_join(threads[k], NULL), 0);
		give(take(16384), 16384);
	}
	/* A call that takes no lock ends in its middle, which is a death. */
	if (type == PTHREAD_CANCEL_ASYNCHRONOUS)
		ck_assert_int_ge(SASRegionRecover(region), 0);
	ck_assert_uint_le(help_info(region).threads, 2);
	ck_assert_uint_le(help_info(region).blocksInUse, (uint64_t)rounds * 2);
	help_clean(store);
}

START_TEST(cancel_between_calls_leaves_no_lock)
{
	cancel_often(PTHREAD_CANCEL_DEFERRED, help_size(50, 1000, 20000));
}
END_TEST

START_TEST(cancel_at_any_instruction_leaves_no_lock)
{
	cancel_often(PTHREAD_CANCEL_ASYNCHRONOUS, help_size(50, 1000, 20000));
}
END_TEST

/* --- many processes */

static void allocate_and_check(void *arg)
{
	uint64_t state = (uint64_t)getpid();
	unsigned char *own[32];
	unsigned count = 0;

	(void)arg;
	for (long i = 0; i < help_size(300, 5000, 100000); i++) {
		if (count < 32 && (count == 0 || help_below(&state, 2))) {
			own[count] = SASRegionBlockAlloc(region, 4096);
			must(own[count] != NULL);
			must(all_zero(own[count], 4096));
			memset(own[count++], getpid() & 0xff, 4096);
		} else {
			count--;
			for (unsigned k = 0; k < 4096; k++)
				must(own[count][k] == (getpid() & 0xff));
			must(SASBlockFree(own[count], 4096) == 0);
		}
	}
	while (count--)
		must(SASBlockFree(own[count], 4096) == 0);
}

START_TEST(processes_get_blocks_of_their_own)
{
	pid_t pids[4];

	for (int i = 0; i < 4; i++)
		pids[i] = help_fork(allocate_and_check, NULL);
	for (int i = 0; i < 4; i++)
		help_done(pids[i]);
	ck_assert_uint_eq(help_info(region).blocksInUse, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("block_lock");
	TCase *c = tcase_create("block_lock"), *classic = tcase_create("classic");

	tcase_add_checked_fixture(c, region_begin, region_end);
	tcase_set_timeout(c, 240);
	suite_add_tcase(suite, c);
	tcase_add_test(c, call_in_handler_that_interrupted_call_gives_edeadlk);
	tcase_add_test(c, processes_get_blocks_of_their_own);
	tcase_add_test(c, seize_of_region_that_another_thread_left_ends_with_use_of_next);

	tcase_add_checked_fixture(classic, classic_begin, classic_end);
	tcase_set_timeout(classic, 240);
	suite_add_tcase(suite, classic);
	tcase_add_test(classic, seize_keeps_others_out_until_release);
	tcase_add_test(classic, seize_allows_holder_block_calls);
	tcase_add_test(classic, seize_refuses_holder_calls_on_participants);
	help_add_death(classic, seize_of_dead_holder_is_taken_over);
	help_add_death(classic, seize_after_death_in_call_does_not_hang);
	tcase_add_test(classic, leave_while_seized_lets_go);
	tcase_add_test(classic, remove_while_seized_lets_go);
	tcase_add_test(classic, reset_while_seized_lets_go);
	tcase_add_test(classic, leave_while_seized_lets_others_in);
	tcase_add_test(classic, cancel_between_calls_leaves_no_lock);
	if (!help_instrumented())
		tcase_add_test(classic, cancel_at_any_instruction_leaves_no_lock);
	return help_main(suite);
}
