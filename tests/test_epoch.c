/* SPDX-License-Identifier: MIT */
/*
 * test_epoch.c - epochs: sections, deferred calls and frees, readers that stall or die, the limit, ends of threads,
 * processes and run files. Long, as each of them needs the same readers and writers; what deaths leave in the middle
 * of a deferred free is in test_epoch_doubt.c.
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

#include <sasepoch.h>
#include <sasinspect.h>
#include <saslock.h>
#include <sassim.h>
#include "fixture.h"

#define RETIRED SAS_GENERATION_RETIRED

static uint64_t used_before;

static void set_up(void)
{
	store_begin();
	region_create(GIB, 4 * MIB, 0);
	used_before = help_info(region).blocksInUse;
}

static SASEpochInfo epoch_info(void)
{
	SASEpochInfo info = { .structSize = sizeof info };

	ck_assert_msg(SASEpochGetInfo(region, &info) == 0, "%s", SASLastErrorMessage());
	return info;
}

static uint64_t blocks(void) { return help_info(region).blocksInUse - used_before; }

/* Memory that children share. */
static void *shared(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ck_assert(p != MAP_FAILED);
	return p;
}

/* Two steps of another process: it says that it is there, and waits to go on. */
struct steps { int reached, go; };

static void step_reach(struct steps *s, int n) { __atomic_store_n(&s->reached, n, __ATOMIC_SEQ_CST); }
static void let_go(int *step, int n) { __atomic_store_n(step, n, __ATOMIC_SEQ_CST); }
static int step_is(const int *step, int n) { return __atomic_load_n(step, __ATOMIC_SEQ_CST) >= n; }
static void step_await(const int *step, int n) { must(until(step_is(step, n), PATIENCE)); }

static int count;
static void add_one(void *arg)
{
	(void)arg;
	__atomic_fetch_add(&count, 1, __ATOMIC_SEQ_CST);
}
static int counted(void) { return __atomic_load_n(&count, __ATOMIC_SEQ_CST); }

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

static void *read_in_thread(void *arg)
{
	struct steps *s = arg;

	must(SASEpochEnter(region) == 0);
	step_reach(s, 1);
	step_await(&s->go, 1);
	must(SASEpochExit(region) == 0);
	step_reach(s, 2);
	step_await(&s->go, 2);
	return NULL;
}

static void read_in_process(void *arg)
{
	read_in_thread(arg);
}

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

/* --- frees of blocks */

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

/* --- a structure that is read while its nodes go */

#define POISON 0xdeadbeefdeadbeefUL
#define NODES 8

struct node { uint64_t alive, value; };

static struct attack {
	struct node *slots[NODES];
	uint64_t stop, reads, bad, swaps;
} *attack;
static SASRegion_t attacked;

static void bury(void *arg)
{
	struct node *node = arg;

	__atomic_store_n(&node->alive, POISON, __ATOMIC_RELAXED);
	free(node);
}

static void *read_nodes(void *arg)
{
	uint64_t reads = 0, bad = 0;

	for (unsigned i = 0; !__atomic_load_n(&attack->stop, __ATOMIC_RELAXED); i++) {
		const struct node *node;

		must(SASEpochEnter(attacked) == 0);
		node = __atomic_load_n(&attack->slots[i % NODES], __ATOMIC_ACQUIRE);
		for (int k = 0; node && k < 20; k++)
			bad += __atomic_load_n(&node->alive, __ATOMIC_RELAXED) != 1;
		must(SASEpochExit(attacked) == 0);
		reads++;
	}
	__atomic_fetch_add(&attack->reads, reads, __ATOMIC_SEQ_CST);
	__atomic_fetch_add(&attack->bad, bad, __ATOMIC_SEQ_CST);
	return arg;
}

static void *swap_nodes(void *arg)
{
	uint64_t state = (uint64_t)(uintptr_t)arg;

	for (long i = help_size(20000, 100000, 10000000); i > 0; i--) {
		struct node *node = malloc(sizeof *node), *old;

		must(node != NULL);
		__atomic_store_n(&node->alive, 1, __ATOMIC_RELAXED);
		old = __atomic_exchange_n(&attack->slots[help_below(&state, NODES)], node, __ATOMIC_ACQ_REL);
		if (old)
			must(SASEpochDefer(attacked, bury, old, sizeof *old) == 0);
	}
	return NULL;
}

START_TEST(readers_never_see_a_node_that_was_ended)
{
	pthread_t readers[3], writers[2];

	attack = calloc(1, sizeof *attack);
	attacked = region;
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(pthread_create(&readers[i], NULL, read_nodes, NULL), 0);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&writers[i], NULL, swap_nodes, (void *)(intptr_t)(i + 1)), 0);
	for (int i = 0; i < 2; i++)
		pthread_join(writers[i], NULL);
	__atomic_store_n(&attack->stop, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < 3; i++)
		pthread_join(readers[i], NULL);
	ck_assert_uint_eq(attack->bad, 0);
	ck_assert_uint_gt(attack->reads, 0);
	SASEpochReclaim(region);
	ck_assert_uint_eq(epoch_info().heldCalls, 0);
	for (int i = 0; i < NODES; i++)
		free(attack->slots[i]);
	free(attack);
}
END_TEST

/* A look right after each unlink: what a reader's light fence leaves to the look is needed here. */
static void mark_dead(void *arg)
{
	__atomic_store_n((uint64_t *)arg, POISON, __ATOMIC_RELAXED);
}

#define COLD (128UL << 20)
struct duel { uint64_t *current, stop, reads, bad, node[4096]; };

/* Misses of the TLB would let the stores go one by one. */
static void *huge_memory(void)
{
	char *p = mmap(NULL, COLD, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must(p != MAP_FAILED);
	madvise(p, COLD, MADV_HUGEPAGE);
	for (uint64_t i = 0; i < COLD; i += 4096)
		p[i] = 1;
	return p;
}

static void *read_current(void *arg)
{
	struct duel *d = arg;
	uint64_t reads = 0, bad = 0, state = 1;
	volatile char *cold = huge_memory();

	while (!__atomic_load_n(&d->stop, __ATOMIC_RELAXED)) {
		const uint64_t *node;

		/* Stores that miss the caches stand before the one that publishes the epoch, and keep it from being seen. */
		for (int k = 0; k < 40; k++)
			cold[help_below(&state, COLD)] = 1;
		must(SASEpochEnter(region) == 0);
		node = __atomic_load_n(&d->current, __ATOMIC_ACQUIRE);
		for (int k = 0; k < 3000; k++)
			bad += __atomic_load_n(node, __ATOMIC_RELAXED) != 1;
		must(SASEpochExit(region) == 0);
		__atomic_store_n(&d->reads, ++reads, __ATOMIC_RELAXED);
	}
	__atomic_fetch_add(&d->bad, bad, __ATOMIC_SEQ_CST);
	munmap((void *)cold, COLD);
	return arg;
}

START_TEST(reader_never_sees_what_a_look_has_ended)
{
	static struct duel d;
	pthread_t reader;

	d.node[0] = 1;
	d.current = &d.node[0];
	ck_assert_int_eq(pthread_create(&reader, NULL, read_current, &d), 0);
	ck_assert(until(__atomic_load_n(&d.reads, __ATOMIC_RELAXED) > 0, PATIENCE));
	for (long i = 1; i < help_size(5000, 100000, 10000000); i++) {
		uint64_t *next = &d.node[i % 4096], *old = d.current;

		__atomic_store_n(next, 1, __ATOMIC_RELAXED);
		__atomic_store_n(&d.current, next, __ATOMIC_RELEASE);
		must(SASEpochDefer(region, mark_dead, old, 8) == 0);    /* ck_assert() takes long */
		/* The nodes come round again: what is held is older than that by far. */
		while (SASEpochReclaim(region) == 0 && i % 2048 == 0)
			sched_yield();
	}
	__atomic_store_n(&d.stop, 1, __ATOMIC_RELAXED);
	pthread_join(reader, NULL);
	ck_assert_uint_eq(d.bad, 0);
}
END_TEST

/* The same with blocks and processes: what a reader finds is never a block that has been given out again. */
struct table { uint64_t slots[NODES]; uint64_t stop, reads, bad; };

static void read_blocks(void *arg)
{
	struct table *table = arg;
	uint64_t reads = 0, bad = 0;

	for (unsigned i = 0; !__atomic_load_n(&table->stop, __ATOMIC_RELAXED); i++) {
		const uint64_t *word;

		must(SASEpochEnter(region) == 0);
		word = (const uint64_t *)__atomic_load_n(&table->slots[i % NODES], __ATOMIC_ACQUIRE);
		for (int k = 0; word && k < 20; k++)
			bad += __atomic_load_n(&word[8], __ATOMIC_RELAXED) != (uint64_t)word;
		must(SASEpochExit(region) == 0);
		reads++;
	}
	__atomic_fetch_add(&table->reads, reads, __ATOMIC_SEQ_CST);
	__atomic_fetch_add(&table->bad, bad, __ATOMIC_SEQ_CST);
}

static void swap_block(struct table *table, uint64_t *state)
{
	uint64_t *block = SASRegionBlockAlloc(region, 4096), old;

	must(block != NULL);
	__atomic_store_n(&block[8], (uint64_t)block, __ATOMIC_RELAXED);
	old = __atomic_exchange_n(&table->slots[help_below(state, NODES)], (uint64_t)block, __ATOMIC_ACQ_REL);
	if (old)
		must(SASEpochFree((void *)old, 4096) == 0);
}

static void swap_blocks(void *arg)
{
	uint64_t state = (uint64_t)getpid();

	for (long i = help_size(500, 5000, 200000); i > 0; i--)
		swap_block(arg, &state);
}

START_TEST(readers_of_other_processes_never_see_a_block_of_somebody_else)
{
	struct table *table = shared(sizeof *table);
	pid_t readers[2], writers[2];

	for (int i = 0; i < 2; i++) {
		readers[i] = help_fork(read_blocks, table);
		writers[i] = help_fork(swap_blocks, table);
	}
	for (int i = 0; i < 2; i++)
		help_done(writers[i]);
	__atomic_store_n(&table->stop, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < 2; i++)
		help_done(readers[i]);
	ck_assert_uint_eq(table->bad, 0);
	ck_assert_uint_gt(table->reads, 0);
	SASEpochReclaim(region);
	ck_assert_uint_eq(epoch_info().heldFrees, 0);
	/* A process is killed after the exchange and before the free only in the storm. */
	for (int i = 0; i < NODES; i++)
		if (table->slots[i])
			ck_assert_int_eq(SASBlockFree((void *)table->slots[i], 4096), 0);
	ck_assert_uint_eq(blocks(), 0);
}
END_TEST

/* --- storm: no block is lost */

/* What a worker had in hand when it was killed, so that it can be told from what is lost. */
struct storm { uint64_t deaths; struct { uint64_t hand; } worker[3]; };
struct storm_worker { struct storm *storm; int number; };

static void storm_work(void *arg)
{
	const struct storm_worker *w = arg;
	uint64_t *hand = &w->storm->worker[w->number].hand, state = (uint64_t)getpid();

	for (;;) {
		uint64_t block;

		/* A death in here leaves a block that the program had: it is of this generation, and not retired. */
		block = (uint64_t)SASRegionBlockAlloc(region, 4096UL << help_below(&state, 3));
		must(block != 0);
		__atomic_store_n(hand, block, __ATOMIC_SEQ_CST);
		if (help_below(&state, 4) == 0)
			must(SASEpochEnter(region) == 0);
		else
			(void)SASEpochExit(region);
		for (;;) {
			SASBlockInfo info;

			must(SASBlockFind((void *)block, &info) == 0);
			if (SASEpochFree((void *)block, info.size) == 0)
				break;
			must(errno == EAGAIN);
			(void)SASEpochExit(region);
		}
	}
}

START_TEST(storm_of_kills_loses_no_retired_block)
{
	struct storm *storm = shared(sizeof *storm);
	struct storm_worker w[3];
	uint64_t seed = help_seed("storm"), found = 0;
	SASBlockInfo *list;
	pid_t child[3];
	size_t n;

	for (int i = 0; i < 3; i++) {
		w[i] = (struct storm_worker){ storm, i };
		child[i] = help_fork(storm_work, &w[i]);
	}
	for (long deaths = help_size(10, 60, 2000); deaths > 0; deaths--) {
		uint64_t end = help_now() + help_below(&seed, 20000000);
		int i = (int)help_below(&seed, 3), status;

		while (help_now() < end)
			SASEpochReclaim(region);
		ck_assert_int_eq(waitpid(child[i], &status, WNOHANG), 0);
		kill(child[i], SIGKILL);
		help_wait(child[i], PATIENCE);
		child[i] = help_fork(storm_work, &w[i]);
	}
	for (int i = 0; i < 3; i++) {
		kill(child[i], SIGKILL);
		help_wait(child[i], PATIENCE);
	}
	ck_assert_int_ge(SASRegionRecover(region), 0);
	ck_assert_int_ge((int)SASEpochReclaim(region), 0);
	ck_assert_uint_eq(epoch_info().heldFrees, 0);
	list = help_list(region, SASBlock__IN_USE, &n);
	for (size_t i = 0; i < n; i++)
		found += list[i].generation == RETIRED;
	free(list);
	ck_assert_uint_eq(found, 0);
	/* Blocks in hands of the dead are in use by their generations; there is at most one per death. */
	ck_assert_uint_le(blocks(), (uint64_t)help_size(10, 60, 2000) + 3);
}
END_TEST

static Suite *epoch_suite(void)
{
	Suite *s = suite_create("epoch");
	TCase *t = tcase_create("epoch");

	tcase_add_checked_fixture(t, set_up, region_end);
	tcase_set_timeout(t, 300);
	tcase_add_test(t, bad_handles_and_arguments_are_refused);
	tcase_add_test(t, exit_without_enter_gives_eperm);
	tcase_add_test(t, sections_nest);
	tcase_add_test(t, section_in_a_late_destructor_is_one_of_a_new_slot);
	tcase_add_test(t, synchronize_in_section_gives_edeadlk);
	tcase_add_test(t, call_waits_for_reader_of_other_thread);
	tcase_add_test(t, call_waits_for_reader_of_other_process);
	tcase_add_test(t, later_reader_does_not_hold_back);
	tcase_add_test(t, killed_reader_is_not_waited_for);
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
	tcase_add_test(t, fork_child_has_no_section_and_no_calls);
	tcase_add_test(t, retired_block_is_in_use_until_freed_and_cannot_be_freed_twice);
	tcase_add_test(t, many_frees_are_freed_inline);
	tcase_add_test(t, many_frees_are_held_and_freed_later);
	tcase_add_test(t, frees_of_ended_threads_and_dead_processes_are_freed_by_others);
	tcase_add_test(t, next_joiner_frees_what_all_the_dead_left);
	tcase_add_test(t, first_joiner_after_all_died_frees);
	tcase_add_test(t, first_joiner_without_the_run_file_frees);
	tcase_add_test(t, copy_of_a_region_with_retired_blocks_frees_them);
	tcase_add_test(t, exit_of_last_process_leaves_what_its_threads_may_see);
	tcase_add_test(t, read_only_reader_holds_back);
	tcase_add_test(t, leave_beside_reader_with_retired_blocks_is_not_clean);
	tcase_add_test(t, more_than_a_thousand_participants);
	tcase_add_test(t, readers_never_see_a_node_that_was_ended);
	tcase_add_test(t, reader_never_sees_what_a_look_has_ended);
	tcase_add_test(t, readers_of_other_processes_never_see_a_block_of_somebody_else);
	tcase_add_test(t, storm_of_kills_loses_no_retired_block);
	suite_add_tcase(s, t);
	return s;
}

int main(void)
{
	return help_main(epoch_suite());
}
