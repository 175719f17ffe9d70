/* SPDX-License-Identifier: MIT */
/*
 * test_stopped.c - processes that are stopped with something in their hands, and clocks of the day that jump: nobody is
 * taken for dead, what has a time limit ends in time, and all goes on afterwards. Stopped readers: test_epoch.c.
 */
#include <config.h>

#include <linux/futex.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>
#include <sasepoch.h>
#include <sassim.h>
#include "lock_help.h"
#include "sas/ground/port.h"
#include "sas/region/region.h"

#define LARGE (2 * HELP_SEGMENT)

static void await_stop(pid_t pid)
{
	int status;

	ck_assert_int_eq(waitpid(pid, &status, WUNTRACED), pid);
	ck_assert(WIFSTOPPED(status));
}

static void stop(pid_t pid)
{
	ck_assert_int_eq(kill(pid, SIGSTOP), 0);
	await_stop(pid);
}

/* It was neither continued nor killed by anybody. */
static void go_on(pid_t pid)
{
	ck_assert_int_eq(waitpid(pid, NULL, WNOHANG | WCONTINUED), 0);
	ck_assert_int_eq(kill(pid, SIGCONT), 0);
}

/* --- with a lock */

static void list_names_holder(void *address, pid_t pid, int waiters)
{
	SASLockInfo list[8];
	long count = SASLockList(region, list, 8);

	ck_assert_int_eq(count, 1 + waiters);
	for (long i = 0; i < count; i++)
		ck_assert_ptr_eq(list[i].address, address);
	ck_assert_int_eq(list[0].state, SASLock__HOLDS);
	ck_assert_int_eq(list[0].mode, WRITE);
	ck_assert_uint_eq(list[0].pid, (uint32_t)pid);
	ck_assert_uint_eq(list[0].alive, 1);
	ck_assert_uint_eq(list[0].ownerDied, 0);
}

START_TEST(stopped_holder_keeps_its_lock)
{
	struct agent holder, timed, patient;
	uint64_t begin;

	agent_process(&holder);
	agent_process(&timed);
	agent_process(&patient);
	ck_assert_int_eq(agent_take(&holder, at(1), WRITE, 0), 0);
	stop(holder.pid);
	agent_wait_for(&patient, region, at(1), READ, SAS_LOCK_WAIT_FOREVER);
	begin = help_now();
	ck_assert_int_eq(agent_take(&timed, at(1), READ, 50), ETIMEDOUT);
	ck_assert_uint_ge(help_now() - begin, 50 * 1000000UL);
	ck_fails(SASLockTry(at(1), WRITE), EBUSY);
	ck_assert_int_eq((int)SASRegionRecover(region), 0);
	list_names_holder(at(1), holder.pid, 1);
	ck_assert(agent_is_busy(&patient));
	go_on(holder.pid);
	ck_assert_int_eq(agent_give(&holder, at(1)), 0);
	ck_assert_int_eq(agent_answer(&patient).error, 0);
	ck_assert_int_eq(agent_give(&patient, at(1)), 0);
	agent_end(&holder);
	agent_end(&timed);
	agent_end(&patient);
}
END_TEST

/* --- inside calls */

static struct sas_port port;
static uint64_t late;

/* Each look is a tenth of a second later: patience of many seconds is over at once. */
static uint64_t hurry(void)
{
	late += 100000000;
	return sas_port_linux.now_ns() + late;
}

static void be_impatient(int on)
{
	port = sas_port_linux;
	port.now_ns = hurry;
	sas_port = on ? &port : &sas_port_linux;
}

static int stop_before_link(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
	port.linkat = sas_port_linux.linkat;
	raise(SIGSTOP);
	return sas_port_linux.linkat(from_dir, from, to_dir, to, flags);
}

static void alloc_large(void)
{
	void *block = SASRegionBlockAlloc(region, LARGE);

	must(block != NULL);
	must(SASBlockFree(block, LARGE) == 0);
}

static void stop_in_alloc(void *arg)
{
	(void)arg;
	port = sas_port_linux;
	port.linkat = stop_before_link;
	sas_port = &port;
	alloc_large();
}

static void alloc_beside(void *arg)
{
	(void)arg;
	alloc_large();
}

/* The word of block_lock says that somebody waits. */
static int block_lock_is_awaited(void)
{
	const pthread_mutex_t *lock = &region->run->header->block_lock;

	return (__atomic_load_n((const uint32_t *)&lock->__data.__lock, __ATOMIC_ACQUIRE) & FUTEX_WAITERS) != 0;
}

START_TEST(stopped_inside_an_allocation_others_wait)
{
	pid_t stopped, other;
	void *small = SASBlockAlloc(4096);

	ck_assert_ptr_nonnull(small);
	stopped = help_fork(stop_in_alloc, NULL);
	await_stop(stopped);
	/* It holds block_lock, and the anchor's lock, shared: what this thread has in hand needs neither. */
	ck_assert_int_eq(SASBlockFree(small, 4096), 0);
	small = SASBlockAlloc(4096);
	ck_assert_ptr_nonnull(small);
	ck_assert_int_eq(SASLockTry(at(3), WRITE), 0);
	ck_assert_int_eq(SASLockGive(at(3)), 0);
	other = help_fork(alloc_beside, NULL);
	ck_assert(until(block_lock_is_awaited(), PATIENCE));
	be_impatient(1);
	help_fails(SASRegionReset(region) != 0, EBUSY, "somebody is");
	be_impatient(0);
	ck_assert_int_eq((int)SASRegionRecover(region), 0);
	ck_assert(!help_ended(other, 20));
	go_on(stopped);
	help_done(stopped);
	help_done(other);
	ck_assert_int_eq(SASBlockFree(small, 4096), 0);
}
END_TEST

static int stop_with, stopped_at;

static int stop_after_lock(int fd, int operation)
{
	int error = sas_port_linux.flock(fd, operation);

	if (!error && (operation & stop_with) && stopped_at++ == 0)
		raise(SIGSTOP);
	return error;
}

static void stop_in_join(void *arg)
{
	SASRegion_t r;

	port = sas_port_linux;
	port.flock = stop_after_lock;
	sas_port = &port;
	r = help_join(arg, 0);
	must(SASRegionLeave(r) == 0);
}

/* There is no SAS.run: joins take the anchor's lock shared, see that there is something to make, and take it alone. */
static void join_beside_stopped(int with)
{
	char *there = help_store();
	SASRegionOptions o;
	pid_t child;

	help_leave(help_create(there));
	ck_assert_int_eq(unlink(help_path(there, "SAS.run")), 0);
	stop_with = with;
	stopped_at = 0;
	child = help_fork(stop_in_join, there);
	await_stop(child);
	help_options(&o, 0);
	be_impatient(1);
	help_fails(SASRegionJoin(there, &o) == NULL, EBUSY, there);
	help_fails(SASRegionRemovePath(there, 1) != 0, EBUSY, there);
	be_impatient(0);
	go_on(child);
	help_leave(help_join(there, 0));
	help_done(child);
	help_works(there);
}

START_TEST(join_beside_stopped_joiner_gives_ebusy)
{
	SASCleanUp();
	region = NULL;
	join_beside_stopped(LOCK_EX);
	join_beside_stopped(LOCK_SH);
}
END_TEST

/* --- the clock of the day */

#define YEAR 31557600UL         /* seconds */

static uint64_t day;            /* what the clock says, in seconds */

static uint64_t said_s(void) { return day; }
static uint64_t said_ns(void) { return day * 1000000000UL; }

static void set_clock(uint64_t seconds)
{
	day = seconds;
	port = sas_port_linux;
	port.now_s = said_s;
	port.now_real_ns = said_ns;
	sas_port = &port;
}

static void waits_end_in_time(struct agent *holder)
{
	uint64_t begin = help_now();

	ck_assert_int_eq(agent_take(holder, at(1), WRITE, 0), 0);
	ck_fails(SASLockTake(at(1), READ, 0, 20), ETIMEDOUT);
	ck_assert_uint_ge(help_now() - begin, 20 * 1000000UL);
	ck_assert_uint_lt(help_now() - begin, (20 + (uint64_t)LATE_MS) * 1000000UL);
	ck_assert_int_eq(agent_give(holder, at(1)), 0);
}

/* A holder was seen when it was waited for, a waiter began then, as its clock said. */
static void list_says(struct agent *holder, struct agent *waiter, uint64_t seconds)
{
	SASLockInfo list[4];

	ck_assert_int_eq(agent_take(holder, at(2), WRITE, 0), 0);
	agent_wait_for(waiter, region, at(2), READ, SAS_LOCK_WAIT_FOREVER);
	ck_assert_int_eq((int)SASLockList(region, list, 4), 2);
	ck_assert_int_eq(list[1].state, SASLock__WAITS);
	ck_assert_uint_eq(list[0].since, seconds * 1000000000UL);
	ck_assert_uint_eq(list[1].since, seconds * 1000000000UL);
	ck_assert_int_eq(agent_give(holder, at(2)), 0);
	ck_assert_int_eq(agent_answer(waiter).error, 0);
	ck_assert_int_eq(agent_give(waiter, at(2)), 0);
}

static void *read_until_told(void *arg)
{
	struct help_gate *gates = arg;

	must(SASEpochEnter(region) == 0);
	help_gate_open(&gates[0]);
	help_gate_await(&gates[1]);
	must(SASEpochExit(region) == 0);
	return NULL;
}

/* The reader is behind since a moment that the clock, set back, has not reached yet. */
static void slow_reader_is_described(uint64_t seconds)
{
	SASEpochInfo info = { .structSize = sizeof info };
	struct help_gate gates[2];
	pthread_t reader;

	help_gate_make(&gates[0]);
	help_gate_make(&gates[1]);
	ck_assert_int_eq(pthread_create(&reader, NULL, read_until_told, gates), 0);
	help_gate_await(&gates[0]);
	ck_fails(SASEpochSynchronize(region, 20), ETIMEDOUT);
	ck_assert_int_eq(SASEpochGetInfo(region, &info), 0);
	ck_assert_int_ge(info.slowSlot, 0);
	ck_assert_uint_gt(info.slowFor, 0);
	ck_assert_uint_lt(info.slowFor, PATIENCE * 1000000000UL);
	ck_assert_uint_le(info.slowSince, seconds);
	ck_assert_uint_le(seconds - info.slowSince, seconds < PATIENCE ? seconds : PATIENCE);
	help_gate_open(&gates[1]);
	ck_assert_int_eq(pthread_join(reader, NULL), 0);
	help_gate_drop(&gates[0]);
	help_gate_drop(&gates[1]);
}

static void region_says(uint64_t seconds)
{
	char *there = help_store();
	SASParticipantInfo participant;
	SASRegionOptions o;
	SASRegion_t r;
	SASInspect_t in;

	help_options(&o, SAS_JOIN_CREATE);
	o.base = HELP_BASE + HELP_REGION;
	r = SASRegionJoin(there, &o);
	help_succeeds(r != NULL);
	ck_assert_uint_eq(help_inspect(there).createdAt, seconds);
	in = SASInspectOpen(there);
	ck_assert_int_eq((int)SASInspectListParticipants(in, &participant, 1), 1);
	ck_assert_uint_eq(participant.joinedAt, seconds);
	SASInspectClose(in);
	help_leave(r);
	help_clean(there);
}

START_TEST(clock_of_the_day_jumps_and_nothing_waits_for_it)
{
	uint64_t now = sas_port_linux.now_s();
	const uint64_t days[] = { now, now + 10 * YEAR, now - 10 * YEAR, 0, 500 * YEAR, 1, now };

	for (size_t i = 0; i < sizeof days / sizeof days[0]; i++) {
		struct agent holder, waiter;
		void *block;

		set_clock(days[i]);
		agent_process(&holder);
		agent_process(&waiter);
		waits_end_in_time(&holder);
		list_says(&holder, &waiter, days[i]);
		slow_reader_is_described(days[i]);
		region_says(days[i]);
		block = SASBlockAlloc(LARGE);
		ck_assert_ptr_nonnull(block);
		ck_assert_int_eq(SASBlockFree(block, LARGE), 0);
		agent_end(&holder);
		agent_end(&waiter);
	}
	sas_port = &sas_port_linux;
}
END_TEST

int main(void)
{
	Suite *s = suite_create("stopped");
	TCase *stopped = help_case(s, "stopped"), *clocks = help_case(s, "clocks");

	tcase_add_checked_fixture(stopped, locks_begin, locks_end);
	tcase_add_checked_fixture(clocks, locks_begin, locks_end);
	tcase_add_test(stopped, stopped_holder_keeps_its_lock);
	tcase_add_test(stopped, stopped_inside_an_allocation_others_wait);
	tcase_add_test(stopped, join_beside_stopped_joiner_gives_ebusy);
	tcase_add_test(clocks, clock_of_the_day_jumps_and_nothing_waits_for_it);
	return help_main(s);
}
