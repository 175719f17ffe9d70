/* SPDX-License-Identifier: MIT */
/*
 * test_lock_death.c - what becomes of locks when their holders die, end, fork or leave.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sasalloc.h>
#include <sassim.h>
#include "lock_help.h"
#include "sas/lock/lock.h"

static void is_free(void *address)
{
	ck_assert_int_eq(SASLockTry(address, WRITE), 0);
	ck_assert_int_eq(SASLockGive(address), 0);
}

/* --- taking over */

/* From the end of waitpid() until the first waiter has it; all of them get it in turn. */
static uint64_t take_over(sas_userlock_request_t held, sas_userlock_request_t wanted, int count)
{
	struct agent holder, waiter[4];
	uint64_t died, first = UINT64_MAX;

	agent_process(&holder);
	ck_assert_int_eq(agent_take(&holder, base, held, 0), 0);
	for (int i = 0; i < count; i++) {
		agent_process(&waiter[i]);
		agent_wait_for(&waiter[i], region, base, wanted, -1);
	}
	agent_kill(&holder);
	died = help_now();
	for (int left = count; left; left--) {
		struct agent *next = agent_next(waiter, count);
		struct answer a = agent_answer(next);

		ck_assert_int_eq(a.error, 0);
		first = a.at < first ? a.at : first;
		ck_assert_int_eq(agent_give(next, base), 0);
		agent_end(next);
	}
	return first > died ? first - died : 0;
}

static void take_over_often(const char *what, sas_userlock_request_t held, sas_userlock_request_t wanted, int count)
{
	const int tries = (int)help_size(5, 20, 200);
	const uint64_t enough = HELP_SANITIZED || help_valgrind() ? 1000000000 : 10000000;
	uint64_t took[200], middle = enough;

	/* A machine that is busy with other things makes it longer, never shorter. */
	for (int set = 0; set < 5 && middle >= enough; set++) {
		for (int i = 0; i < tries; i++)
			took[i] = take_over(held, wanted, count);
		middle = help_percentile(took, (size_t)tries, 500);
		printf("%s, %d waiting: one has it %.1f ms after the death (median of %d), at most %.1f ms\n", what, count,
		       (double)middle / 1e6, tries, (double)help_percentile(took, (size_t)tries, 1000) / 1e6);
	}
	ck_assert_uint_lt(middle, enough);
}

START_TEST(waiter_takes_over_from_dead_holder)
{
	take_over_often("WRITE", WRITE, WRITE, 1);
	take_over_often("WRITE for READ", WRITE, READ, 1);
	take_over_often("READ", READ, WRITE, 1);
	take_over_often("INTENT", INTENT, INTENT, 1);
}
END_TEST

START_TEST(four_waiters_take_over_in_turn)
{
	take_over_often("WRITE", WRITE, WRITE, 4);
	take_over_often("READ", READ, WRITE, 4);
	take_over_often("INTENT", INTENT, WRITE, 4);
}
END_TEST

/* Nobody waits, and who polls is alone. */
START_TEST(who_tries_takes_over_as_well)
{
	struct agent holder;

	for (int i = 0; i < 3; i++) {
		agent_process(&holder);
		ck_assert_int_eq(agent_take(&holder, base, all_modes[i], 0), 0);
		agent_kill(&holder);
		ck_assert_msg(until(SASLockTry(base, WRITE) == 0, LATE_MS / 1000), "%s", SASLastErrorMessage());
		ck_assert_int_eq(SASLockGive(base), 0);
	}
}
END_TEST

/* A profiler's timer ends each sleep early. */
START_TEST(waiter_that_signals_interrupt_takes_over)
{
	struct agent holder;

	agent_process(&holder);
	ck_assert_int_eq(agent_take(&holder, base, WRITE, 0), 0);
	ck_assert_int_eq(agent_take(&holder, at(1), READ, 0), 0);
	agent_kill(&holder);
	interrupt_waits(1);
	ck_assert_int_eq(SASLockTake(base, WRITE, 0, -1), 0);
	ck_assert_int_eq(SASLockTake(at(1), WRITE, 0, -1), 0);
	interrupt_waits(0);
	ck_assert_int_eq(SASLockGive(base), 0);
	ck_assert_int_eq(SASLockGive(at(1)), 0);
}
END_TEST

/* The same for the latch of a bucket, whose holder has died: a slot by hand. */
START_TEST(interrupted_waiter_for_a_latch_comes_back)
{
	struct agent dead;
	struct sas_run *run = region->run;
	uint32_t bucket = sas_lock_bucket((uintptr_t)at(9)), slot;

	agent_process(&dead);
	ck_assert_int_eq(agent_take(&dead, base, WRITE, 0), 0);
	for (slot = 0; sas_load_relaxed_u32(&run->threads[slot].holds[0]) == 0; slot++)
		ck_assert_uint_lt(slot, SAS_RUN_STEP);
	sas_store_relaxed_u32(&run->threads[slot].lock_latch, bucket + 1);
	sas_store_relaxed_u32(&run->lines[bucket].latch, slot + 1);
	sas_store_release_u32(&run->lines[bucket].era, sas_load_relaxed_u32(&run->header->line_era));
	agent_kill(&dead);
	interrupt_waits(1);
	ck_assert_int_eq(SASLockTake(at(9), WRITE, 0, -1), 0);
	interrupt_waits(0);
	ck_assert_int_eq(SASLockGive(at(9)), 0);
}
END_TEST

START_TEST(who_has_seized_the_region_takes_over)
{
	struct agent holder;
	int error;

	agent_process(&holder);
	ck_assert_int_eq(agent_take(&holder, base, WRITE, 0), 0);
	agent_kill(&holder);
	SASSeize();
	error = SASLockTake(base, WRITE, 0, LATE_MS);
	SASRelease();
	ck_assert_int_eq(error, 0);
	ck_assert_int_eq(SASLockGive(base), 0);
	/* The slot is recovered, too. */
	SASLockReset();
	ck_assert_uint_eq(help_info(region).threads, 1);
}
END_TEST

/* --- who is told */

static int take_telling(void *address, sas_userlock_request_t mode)
{
	errno = 0;
	return SASLockTake(address, mode, SAS_LOCK_OWNERDEAD, -1) == 0 ? 0 : errno;
}

static void die_with(sas_userlock_request_t mode)
{
	struct agent holder;

	agent_process(&holder);
	ck_assert_int_eq(agent_take(&holder, base, mode, -1), 0);
	agent_kill(&holder);
}

START_TEST(death_of_a_writer_is_told_once_to_who_asks)
{
	die_with(WRITE);
	ck_assert_int_eq(SASLockTake(base, WRITE, 0, -1), 0);
	ck_assert_int_eq(SASLockGive(base), 0);
	ck_assert_int_eq(SASLockTake(base, READ, 0, -1), 0);
	ck_assert_int_eq(SASLockGive(base), 0);
	/* A reader cannot mend it. */
	ck_assert_int_eq(take_telling(base, READ), EOWNERDEAD);
	ck_assert_int_eq(SASLockHeld(base), READ);
	ck_assert_int_eq(SASLockGive(base), 0);
	ck_assert_int_eq(take_telling(base, INTENT), EOWNERDEAD);
	ck_assert_ptr_nonnull(strstr(SASLastErrorMessage(), "is held now"));
	ck_assert_int_eq(SASLockHeld(base), INTENT);
	ck_assert_int_eq(SASLockGive(base), 0);
	ck_assert_int_eq(take_telling(base, WRITE), 0);
	ck_assert_int_eq(SASLockGive(base), 0);
	die_with(READ);
	die_with(INTENT);
	ck_assert_int_eq(take_telling(base, WRITE), 0);
	ck_assert_int_eq(SASLockGive(base), 0);
	die_with(WRITE);
	ck_assert_int_eq(take_telling(base, WRITE), EOWNERDEAD);
	ck_assert_int_eq(SASLockGive(base), 0);
}
END_TEST

/* --- in order */

START_TEST(reset_takes_nothing_from_the_living)
{
	struct agent holder, dead;

	agent_process(&holder);
	agent_process(&dead);
	ck_assert_int_eq(agent_take(&holder, base, WRITE, 0), 0);
	ck_assert_int_eq(agent_take(&dead, at(1), WRITE, 0), 0);
	ck_assert_int_eq(SASLockTry(at(2), READ), 0);
	agent_kill(&dead);
	SASLockReset();
	ck_fails(SASLockTry(base, READ), EBUSY);
	is_free(at(1));
	ck_assert_int_eq(SASLockHeld(at(2)), READ);
	ck_assert_int_eq(agent_take(&holder, at(2), WRITE, 0), EBUSY);
	ck_assert_int_eq(agent_give(&holder, base), 0);
	ck_assert_int_eq(SASLockGive(at(2)), 0);
	SASLockInit();
	SASLockDetach();
	SASLockRemove();
	agent_end(&holder);
}
END_TEST

static void in_child(void *arg)
{
	(void)arg;
	must(SASLockHeld(base) == -1);
	must(SASLockGive(base) == -1 && errno == EPERM);
	must(SASLockTry(base, READ) == -1 && errno == EBUSY);
	must(SASLockTry(at(1), READ) == 0);
	must(SASLockTry(at(1), WRITE) == -1 && errno == EBUSY);
	must(SASLockGive(at(1)) == 0);
	must(SASLockTry(at(3), WRITE) == 0);
	must(SASLockGive(at(3)) == 0);
}

START_TEST(child_of_a_fork_holds_nothing)
{
	ck_assert_int_eq(SASLockTry(base, WRITE), 0);
	ck_assert_int_eq(SASLockTry(at(1), READ), 0);
	help_in_child(in_child, NULL);
	ck_assert_int_eq(SASLockHeld(base), WRITE);
	ck_assert_int_eq(SASLockGive(base), 0);
	/* Taken at once, and nothing else held. */
	ck_assert_int_eq(SASLockTry(base, WRITE), 0);
	help_in_child(in_child, NULL);
	ck_assert_int_eq(SASLockGive(base), 0);
	ck_assert_int_eq(SASLockGive(at(1)), 0);
}
END_TEST

static void *hold_and_end(void *arg)
{
	(void)arg;
	must(SASLockTry(base, WRITE) == 0);
	must(SASLockTry(at(1), READ) == 0);
	return NULL;
}

START_TEST(end_of_a_thread_gives_back)
{
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, hold_and_end, NULL), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	/* At once, and nothing of the thread is left. */
	ck_assert_uint_eq(help_info(region).threads, 0);
	ck_assert_int_eq(SASLockTry(at(1), WRITE), 0);
	ck_assert_int_eq(take_telling(base, WRITE), EOWNERDEAD);
	ck_assert_int_eq(SASLockGive(base), 0);
	ck_assert_int_eq(SASLockGive(at(1)), 0);
}
END_TEST

static void hold_and_leave(void *arg)
{
	int *gates = arg;
	char byte;

	must(SASLockTry(base, WRITE) == 0);
	must(SASLockTry(at(1), READ) == 0);
	must(SASLockTry(at(1), READ) == 0);
	SASCleanUp();
	must(write(gates[1], "", 1) == 1);
	must(read(gates[2], &byte, 1) == 1);
}

START_TEST(leave_gives_back)
{
	int gates[4];
	char byte;
	pid_t pid;

	ck_assert_int_eq(pipe(gates) | pipe(gates + 2), 0);
	pid = help_fork(hold_and_leave, gates);
	ck_assert_int_eq(read(gates[0], &byte, 1), 1);
	is_free(base);
	is_free(at(1));
	/* It left in order: nobody died. */
	ck_assert_int_eq(take_telling(base, WRITE), 0);
	ck_assert_int_eq(SASLockGive(base), 0);
	ck_assert_int_eq(write(gates[3], "", 1), 1);
	help_done(pid);
}
END_TEST

/* The thread's place and its books go; the next lock begins anew. */
START_TEST(locks_work_after_the_place_is_given_up)
{
	struct agent other;

	agent_process(&other);
	for (int i = 0; i < 10; i++) {
		ck_assert_int_eq(SASLockTry(base, WRITE), 0);
		if (i % 2)
			ck_assert_int_eq(SASLockGive(base), 0);
		SASThreadCleanUp();
		ck_assert_int_eq(SASLockHeld(base), -1);
		/* Now the other one has the place. */
		ck_assert_int_eq(agent_take(&other, at(1), WRITE, 0), 0);
		ck_assert_int_eq(SASLockTry(base, READ), 0);
		ck_fails(SASLockTry(at(1), READ), EBUSY);
		ck_assert_int_eq(SASLockGive(base), 0);
		ck_assert_int_eq(agent_give(&other, at(1)), 0);
	}
	agent_end(&other);
}
END_TEST

static pthread_key_t late_key;
static int late_result = -1;

static void late(void *arg)
{
	/* The second time round, when the library's own destructor has been. */
	if (arg == &late_key) {
		pthread_setspecific(late_key, &late_result);
		return;
	}
	late_result = SASLockTry(base, WRITE);
	late_result |= SASLockGive(base);
}

static void *lock_late(void *arg)
{
	must(SASLockTry(base, WRITE) == 0);
	must(SASLockGive(base) == 0);
	pthread_setspecific(late_key, &late_key);
	return arg;
}

START_TEST(destructor_after_the_librarys_own_locks)
{
	pthread_t thread;

	ck_assert_int_eq(pthread_key_create(&late_key, late), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, lock_late, NULL), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(late_result, 0);
}
END_TEST

/* --- a read-only joiner */

static void only_read(void *arg)
{
	SASRegionOptions o;
	SASRegion_t r;

	(void)arg;
	SASRegionOptionsInit(&o);
	o.flags = SAS_JOIN_READONLY;
	SASCleanUp();
	r = SASRegionJoin(store, &o);
	must(r != NULL);
	/* The holder died: this one gives back its locks, and leaves its log to others. */
	must(SASLockTake(base, WRITE, SAS_LOCK_OWNERDEAD, LATE_MS) == -1 && errno == EOWNERDEAD);
	must(SASLockTry(at(1), READ) == 0);
	must(SASLockGive(at(1)) == 0);
	must(SASLockGive(base) == 0);
	must(SASRegionLeave(r) == 0);
}

START_TEST(read_only_joiner_locks_and_takes_over)
{
	struct agent dead;

	agent_process(&dead);
	ck_assert_int_eq(agent_take(&dead, base, WRITE, 0), 0);
	ck_assert_int_eq(agent_take(&dead, at(1), READ, 0), 0);
	agent_kill(&dead);
	help_in_child(only_read, NULL);
	is_free(base);
	ck_assert_int_eq(SASRegionRecover(region), 1);
	ck_assert_uint_eq(help_info(region).threads, 1);
	ck_assert_uint_eq(locks_in_use(region), 0);
}
END_TEST

/* --- a preallocated region after a reboot */

static void make_files(const char *path)
{
	char name[4400];

	for (unsigned n = 0; n < 4; n++) {
		int fd;

		snprintf(name, sizeof name, "%s/SAS%05X.DAT", path, n);
		fd = open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
		ck_assert(fd >= 0 && ftruncate(fd, HELP_SEGMENT) == 0);
		close(fd);
	}
}

START_TEST(locks_of_a_former_boot_are_free)
{
	static const uint64_t none;
	SASRegionOptions o;
	struct agent holder;
	SASRegion_t r;
	char path[4200], name[4400], *address;
	int fd;

	snprintf(path, sizeof path, "%s/preallocated", store);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	make_files(path);
	SASRegionOptionsInit(&o);
	o.flags = SAS_JOIN_CREATE | SAS_JOIN_PREALLOCATED;
	o.base = (uintptr_t)base + 128 * MIB;
	o.regionSize = 4 * HELP_SEGMENT;
	o.segmentSize = HELP_SEGMENT;
	o.mode = 0600;
	r = SASRegionJoin(path, &o);
	ck_assert_msg(r != NULL, "%s", SASLastErrorMessage());
	address = (char *)help_info(r).base;
	agent_process(&holder);
	for (size_t i = 0; i < 3000; i++)
		ck_assert_int_eq(agent_take(&holder, address + 64 * i, all_modes[i % 3], 0), 0);
	ck_assert_uint_gt(pages_in_use(r), 0);
	ck_assert_int_eq(SASRegionLeave(r), 0);
	agent_kill(&holder);
	snprintf(name, sizeof name, "%s/SAS.run", path);
	fd = open(name, O_RDWR);
	ck_assert(fd >= 0);
	ck_assert_int_eq(pwrite(fd, &none, sizeof none, 16), sizeof none);      /* the boot's id */
	close(fd);
	r = SASRegionJoin(path, NULL);
	ck_assert_msg(r != NULL, "%s", SASLastErrorMessage());
	for (size_t i = 0; i < 3000; i++)
		ck_assert_int_eq(SASLockTry(address + 64 * i, WRITE), 0);
	for (size_t i = 0; i < 3000; i++)
		ck_assert_int_eq(SASLockGive(address + 64 * i), 0);
	ck_assert_uint_eq(locks_in_use(r), 0);
	ck_assert_uint_eq(pages_in_use(r), 3);
	ck_assert_int_eq(SASRegionLeave(r), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("lock_death");
	TCase *c = help_case(suite, "lock_death");

	tcase_add_checked_fixture(c, locks_begin, locks_end);
	tcase_add_test(c, waiter_takes_over_from_dead_holder);
	tcase_add_test(c, four_waiters_take_over_in_turn);
	tcase_add_test(c, who_tries_takes_over_as_well);
	tcase_add_test(c, waiter_that_signals_interrupt_takes_over);
	tcase_add_test(c, interrupted_waiter_for_a_latch_comes_back);
	tcase_add_test(c, who_has_seized_the_region_takes_over);
	tcase_add_test(c, death_of_a_writer_is_told_once_to_who_asks);
	tcase_add_test(c, reset_takes_nothing_from_the_living);
	tcase_add_test(c, child_of_a_fork_holds_nothing);
	tcase_add_test(c, end_of_a_thread_gives_back);
	tcase_add_test(c, leave_gives_back);
	tcase_add_test(c, locks_work_after_the_place_is_given_up);
	tcase_add_test(c, destructor_after_the_librarys_own_locks);
	tcase_add_test(c, read_only_joiner_locks_and_takes_over);
	tcase_add_test(c, locks_of_a_former_boot_are_free);
	return help_main(suite);
}
