/* SPDX-License-Identifier: MIT */
/*
 * test_lock.c - address locks: what excludes what, nesting, waiting, refusals, circles, many locks and many
 * holders, deaths.
 */
#include <config.h>

#include <errno.h>
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

/* --- what excludes what */

static int may_be_with(sas_userlock_request_t held, sas_userlock_request_t wanted)
{
	return held != WRITE && wanted != WRITE && !(held == INTENT && wanted == INTENT);
}

static void exclude(struct agent *other)
{
	for (int i = 0; i < 3; i++)
		for (int k = 0; k < 3; k++) {
			ck_assert_int_eq(SASLockTry(base, all_modes[i]), 0);
			ck_assert_int_eq(agent_take(other, base, all_modes[k], 0),
					 may_be_with(all_modes[i], all_modes[k]) ? 0 : EBUSY);
			if (may_be_with(all_modes[i], all_modes[k]))
				ck_assert_int_eq(agent_give(other, base), 0);
			ck_assert_int_eq(SASLockGive(base), 0);
			ck_assert_int_eq(agent_take(other, base, all_modes[k], 0), 0);
			ck_assert_int_eq(agent_give(other, base), 0);
		}
}

START_TEST(modes_exclude_as_the_table_says)
{
	struct agent other;

	agent_process(&other);
	exclude(&other);
	agent_end(&other);
	agent_thread(&other);
	exclude(&other);
	agent_end(&other);
}
END_TEST

/* The same where both hold something else, which the fast path leaves to the slow one. */
START_TEST(modes_exclude_beside_other_locks)
{
	struct agent other;

	agent_process(&other);
	ck_assert_int_eq(SASLockTry(at(1), WRITE), 0);
	ck_assert_int_eq(agent_take(&other, at(2), WRITE, 0), 0);
	exclude(&other);
	ck_assert_int_eq(SASLockGive(at(1)), 0);
	ck_assert_int_eq(agent_give(&other, at(2)), 0);
	agent_end(&other);
}
END_TEST

/* --- nesting */

START_TEST(locks_nest_and_are_undone_in_reverse)
{
	static const struct { sas_userlock_request_t take; int held; } steps[] = {
		{ READ, READ }, { READ, READ }, { INTENT, INTENT }, { READ, INTENT }, { WRITE, WRITE }, { WRITE, WRITE },
		{ READ, WRITE }, { INTENT, WRITE } };
	/* What others find after each undoing: what was taken under WRITE counts for WRITE. */
	static const int after[] = { WRITE, WRITE, WRITE, INTENT, INTENT, READ, READ, -1 };
	struct agent other;

	agent_process(&other);
	for (size_t i = 0; i < 8; i++) {
		ck_assert_int_eq(SASLockTake(base, steps[i].take, 0, 0), 0);
		ck_assert_int_eq(SASLockHeld(base), steps[i].held);
	}
	for (size_t i = 0; i < 8; i++) {
		ck_assert_int_eq(SASLockGive(base), 0);
		ck_assert_int_eq(SASLockHeld(base), after[i]);
		for (int k = 0; k < 3; k++) {
			int may = after[i] < 0 || may_be_with((sas_userlock_request_t)after[i], all_modes[k]);

			ck_assert_int_eq(agent_take(&other, base, all_modes[k], 0), may ? 0 : EBUSY);
			if (may)
				ck_assert_int_eq(agent_give(&other, base), 0);
		}
	}
	ck_fails(SASLockGive(base), EPERM);
	agent_end(&other);
}
END_TEST

START_TEST(lone_reader_upgrades_others_wait)
{
	struct agent other;

	agent_process(&other);
	ck_assert_int_eq(SASLockTry(base, READ), 0);
	ck_assert_int_eq(SASLockTry(base, WRITE), 0);
	ck_assert_int_eq(agent_take(&other, base, READ, 0), EBUSY);
	ck_assert_int_eq(SASLockGive(base), 0);
	ck_assert_int_eq(SASLockHeld(base), READ);
	ck_assert_int_eq(agent_take(&other, base, READ, 0), 0);
	ck_fails(SASLockTry(base, WRITE), EBUSY);
	ck_assert_int_eq(SASLockHeld(base), READ);
	ck_assert_int_eq(SASLockGive(base), 0);
	ck_assert_int_eq(agent_take(&other, base, WRITE, 0), 0);
	ck_fails(SASLockTry(base, READ), EBUSY);
	ck_assert_int_eq(agent_give(&other, base), 0);
	ck_assert_int_eq(agent_give(&other, base), 0);
	agent_end(&other);
}
END_TEST

START_TEST(intent_becomes_write_when_readers_have_gone)
{
	struct agent writer, reader[3];

	agent_process(&writer);
	for (int i = 0; i < 3; i++) {
		agent_process(&reader[i]);
		ck_assert_int_eq(agent_take(&reader[i], base, READ, 0), 0);
	}
	ck_assert_int_eq(agent_take(&writer, base, INTENT, 0), 0);
	agent_wait_for(&writer, region, base, WRITE, -1);
	for (int i = 0; i < 3; i++) {
		ck_assert(agent_is_busy(&writer));
		ck_assert_int_eq(agent_give(&reader[i], base), 0);
	}
	ck_assert_int_eq(agent_answer(&writer).error, 0);
	ck_assert_int_eq(agent_take(&reader[0], base, READ, 0), EBUSY);
	ck_assert_int_eq(agent_give(&writer, base), 0);
	ck_assert_int_eq(agent_take(&reader[0], base, READ, 0), 0);
	ck_assert_int_eq(agent_take(&reader[1], base, INTENT, 0), EBUSY);
	ck_assert_int_eq(agent_give(&writer, base), 0);
	ck_assert_int_eq(agent_give(&reader[0], base), 0);
	for (int i = 0; i < 3; i++)
		agent_end(&reader[i]);
	agent_end(&writer);
}
END_TEST

/* --- waiting */

START_TEST(waiting_writer_keeps_new_readers_out)
{
	struct agent writer, reader, *first, *second;

	agent_process(&writer);
	agent_process(&reader);
	ck_assert_int_eq(SASLockTry(base, READ), 0);
	agent_wait_for(&writer, region, base, WRITE, -1);
	ck_assert_int_eq(agent_take(&reader, base, READ, 0), EBUSY);
	/* Who has it already is let in. */
	ck_assert_int_eq(SASLockTry(base, READ), 0);
	ck_assert_int_eq(SASLockGive(base), 0);
	agent_wait_for(&reader, region, base, READ, -1);
	ck_assert(agent_is_busy(&reader));
	ck_assert_int_eq(SASLockGive(base), 0);
	/* Both are woken. */
	ck_assert(until(!agent_is_busy(&writer) || !agent_is_busy(&reader), PATIENCE));
	first = agent_is_busy(&writer) ? &reader : &writer;
	second = first == &writer ? &reader : &writer;
	ck_assert_int_eq(agent_answer(first).error, 0);
	ck_assert(agent_is_busy(second));
	ck_assert_int_eq(agent_give(first, base), 0);
	ck_assert_int_eq(agent_answer(second).error, 0);
	ck_assert_int_eq(agent_give(second, base), 0);
	agent_end(&writer);
	agent_end(&reader);
}
END_TEST

/* What a writer that has given up leaves does not keep readers out. */
START_TEST(readers_pass_a_writer_that_gave_up)
{
	struct agent writer;

	agent_process(&writer);
	ck_assert_int_eq(agent_take(&writer, base, READ, 0), 0);
	ck_assert_int_eq(SASLockTry(base, READ), 0);
	ck_assert_int_eq(SASLockGive(base), 0);
	ck_assert_int_eq(SASLockTry(at(1), READ), 0);
	ck_assert_int_eq(agent_take(&writer, at(1), WRITE, 30), ETIMEDOUT);
	ck_assert_int_eq(SASLockGive(at(1)), 0);
	ck_assert_int_eq(SASLockTry(base, READ), 0);
	ck_assert_int_eq(agent_give(&writer, base), 0);
	/* Now with a reader that stays. */
	ck_assert_int_eq(agent_take(&writer, base, WRITE, 30), ETIMEDOUT);
	ck_assert_int_eq(agent_take(&writer, base, READ, LATE_MS), 0);
	ck_assert_int_eq(agent_give(&writer, base), 0);
	ck_assert_int_eq(SASLockGive(base), 0);
	agent_end(&writer);
}
END_TEST

START_TEST(timed_waits_end_in_time)
{
	static const long times[] = { 1, 3, 20, 120 };
	struct agent other;

	agent_process(&other);
	ck_assert_int_eq(agent_take(&other, base, WRITE, 0), 0);
	for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
		uint64_t began = help_now(), took;

		ck_fails(SASLockTake(base, all_modes[i % 3], 0, times[i]), ETIMEDOUT);
		took = help_now() - began;
		ck_assert_uint_ge(took, (uint64_t)times[i] * 1000000);
		ck_assert_uint_le(took, (uint64_t)(times[i] + LATE_MS) * 1000000);
	}
	ck_fails(SASLockTry(base, READ), EBUSY);
	ck_assert_int_eq(agent_give(&other, base), 0);
	ck_assert_int_eq(SASLockTake(base, WRITE, 0, 1), 0);
	ck_assert_int_eq(SASLockGive(base), 0);
	agent_end(&other);
}
END_TEST

/* Waiters of all kinds, and each gets it. */
START_TEST(all_waiters_get_it_in_the_end)
{
	struct agent other[6];

	ck_assert_int_eq(SASLockTry(base, WRITE), 0);
	/* Threads last: AddressSanitizer's allocator may be locked by one of them in a child. */
	for (int i = 1; i < 6; i += 2)
		agent_process(&other[i]);
	for (int i = 0; i < 6; i += 2)
		agent_thread(&other[i]);
	for (int i = 0; i < 6; i++)
		agent_wait_for(&other[i], region, base, all_modes[i % 3], -1);
	ck_assert_int_eq(SASLockGive(base), 0);
	for (int left = 6; left; )
		for (int i = 0; i < 6; i++)
			if (other[i].to[0] && !agent_is_busy(&other[i])) {
				ck_assert_int_eq(agent_answer(&other[i]).error, 0);
				ck_assert_int_eq(agent_give(&other[i], base), 0);
				agent_end(&other[i]);
				other[i].to[0] = 0;
				left--;
			}
}
END_TEST

/* --- refusals */

START_TEST(bad_arguments_are_refused)
{
	ck_fails(SASLockTake(base, (sas_userlock_request_t)3, 0, 0), EINVAL);
	ck_fails(SASLockTake(base, (sas_userlock_request_t)-1, 0, 0), EINVAL);
	ck_fails(SASLockTake(base, READ, 2, 0), EINVAL);
	ck_fails(SASLockGive(base), EPERM);
	ck_assert_int_eq(SASLockHeld(base), -1);
	errno = 0;
	SASLock(base, (sas_userlock_request_t)7);
	ck_assert_int_eq(errno, EINVAL);
	errno = 0;
	SASUnlock(base);
	ck_assert_int_eq(errno, EPERM);
}
END_TEST

START_TEST(unlock_of_others_lock_changes_nothing)
{
	struct agent other, third;

	agent_process(&other);
	agent_thread(&third);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(agent_take(&other, base, all_modes[i], 0), 0);
		ck_fails(SASLockGive(base), EPERM);
		ck_assert_ptr_nonnull(strstr(SASLastErrorMessage(), "does not hold"));
		ck_assert_int_eq(agent_give(&third, base), EPERM);
		ck_assert_int_eq(agent_held(&other, base), (int)all_modes[i]);
		ck_fails(SASLockTry(base, WRITE), EBUSY);
		ck_assert_int_eq(agent_give(&other, base), 0);
		ck_assert_int_eq(agent_give(&other, base), EPERM);
	}
	agent_end(&other);
	agent_end(&third);
}
END_TEST

START_TEST(without_a_region_there_are_no_locks)
{
	void *address = base;

	ck_assert_int_eq(SASLockTry(address, READ), 0);
	ck_assert_int_eq(SASLockGive(address), 0);
	region = NULL;
	SASCleanUp();
	ck_fails(SASLockTry(address, READ), EINVAL);
	ck_fails(SASLockGive(address), EPERM);
	ck_assert_int_eq(SASLockHeld(address), -1);
	errno = 0;
	SASLock(address, WRITE);
	ck_assert_int_eq(errno, EINVAL);
}
END_TEST

static void remove_it(void *arg)
{
	(void)arg;
	must(SASRegionRemove(region) == 0);
}

START_TEST(locks_of_a_removed_region_are_stale)
{
	ck_assert_int_eq(SASLockTry(base, READ), 0);
	ck_assert_int_eq(SASLockTry(at(1), WRITE), 0);
	ck_assert_int_eq(SASLockTry(at(2), INTENT), 0);
	help_in_child(remove_it, NULL);
	ck_fails(SASLockTry(at(3), READ), ESTALE);
	ck_fails(SASLockTry(at(2), WRITE), ESTALE);
	errno = 0;
	SASLock(at(3), WRITE);
	ck_assert_int_eq(errno, ESTALE);
	/* What is held is given back all the same. */
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(SASLockGive(at((size_t)i)), 0);
	ck_fails(SASLockTry(base, READ), ESTALE);
}
END_TEST

/* --- circles */

/* n threads, each holds one lock and waits for the next one's. */
static void close_circle(int n, int processes)
{
	struct agent other[4];
	int refused = 0;

	for (int i = 0; i < n; i++) {
		if (processes)
			agent_process(&other[i]);
		else
			agent_thread(&other[i]);
		ck_assert_int_eq(agent_take(&other[i], at((size_t)i), i % 2 ? WRITE : INTENT, 0), 0);
	}
	for (int i = 0; i < n; i++)
		agent_ask(&other[i], (struct request){ TAKE, at((size_t)(i + 1) % (size_t)n), WRITE, 0, -1 });
	/* One gives way, and the one behind it goes on when it gives back what it holds. */
	for (int left = n; left; )
		for (int i = 0; i < n; i++) {
			struct answer a;

			if (other[i].to[0] == 0 || agent_is_busy(&other[i]))
				continue;
			a = agent_answer(&other[i]);
			ck_assert(a.error == 0 || (a.error == EDEADLK && !refused));
			refused += a.error == EDEADLK;
			if (a.error == 0)
				ck_assert_int_eq(agent_give(&other[i], at((size_t)(i + 1) % (size_t)n)), 0);
			ck_assert_int_eq(agent_give(&other[i], at((size_t)i)), 0);
			agent_end(&other[i]);
			other[i].to[0] = 0;
			left--;
		}
	ck_assert_int_eq(refused, 1);
}

START_TEST(circle_is_refused_to_one)
{
	close_circle(2, 0);
	close_circle(3, 0);
	close_circle(2, 1);
	close_circle(4, 1);
}
END_TEST

START_TEST(two_upgrading_readers_are_a_circle)
{
	for (int mode = 1; mode < 3; mode++) {
		struct agent other[2];
		int first;

		for (int i = 0; i < 2; i++) {
			agent_process(&other[i]);
			ck_assert_int_eq(agent_take(&other[i], base, READ, 0), 0);
		}
		for (int i = 0; i < 2; i++)
			agent_ask(&other[i], (struct request){ TAKE, base, WRITE, 0, -1 });
		ck_assert(until(!agent_is_busy(&other[0]) || !agent_is_busy(&other[1]), PATIENCE));
		first = agent_is_busy(&other[0]);
		ck_assert_int_eq(agent_answer(&other[first]).error, EDEADLK);
		ck_assert(agent_is_busy(&other[!first]));
		ck_assert_int_eq(agent_held(&other[first], base), READ);
		ck_assert_int_eq(agent_give(&other[first], base), 0);
		ck_assert_int_eq(agent_answer(&other[!first]).error, 0);
		ck_assert_int_eq(agent_held(&other[!first], base), WRITE);
		ck_assert_int_eq(agent_give(&other[!first], base), 0);
		ck_assert_int_eq(agent_give(&other[!first], base), 0);
		agent_end(&other[0]);
		agent_end(&other[1]);
	}
}
END_TEST

START_TEST(circle_is_found_although_signals_interrupt)
{
	interrupt_waits(1);
	close_circle(2, 0);
	close_circle(3, 1);
	interrupt_waits(0);
}
END_TEST

static uint32_t *circles_told;  /* shared */

static void sink(sas_log_level_t level, const char *message, void *arg)
{
	(void)level;
	(void)arg;
	if (strstr(message, "circle"))
		__atomic_fetch_add(circles_told, 1, __ATOMIC_SEQ_CST);
}

START_TEST(circle_of_classic_callers_is_told_once_and_ends_with_one)
{
	struct agent other[3];

	circles_told = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert(circles_told != MAP_FAILED);
	SASSetLogSink(sink, NULL, SASLog__DEBUG);
	for (int i = 0; i < 3; i++) {
		agent_process(&other[i]);
		ck_assert_int_eq(agent_take(&other[i], at((size_t)i), WRITE, 0), 0);
	}
	for (int i = 0; i < 3; i++)
		agent_ask(&other[i], (struct request){ .order = CLASSIC, .address = at((size_t)(i + 1) % 3), .mode = WRITE });
	ck_assert(until(__atomic_load_n(circles_told, __ATOMIC_SEQ_CST), PATIENCE));
	/* So long that all have looked again and again. */
	ck_assert(!until(__atomic_load_n(circles_told, __ATOMIC_SEQ_CST) != 1, 1));
	for (int i = 0; i < 3; i++)
		ck_assert(agent_is_busy(&other[i]));
	agent_kill(&other[0]);
	/* 2 waits for what 0 held, 1 for what 2 holds. */
	ck_assert_int_eq(agent_answer(&other[2]).error, 0);
	ck_assert_int_eq(agent_give(&other[2], at(0)), 0);
	ck_assert_int_eq(agent_give(&other[2], at(2)), 0);
	ck_assert_int_eq(agent_answer(&other[1]).error, 0);
	ck_assert_int_eq(agent_give(&other[1], at(2)), 0);
	ck_assert_int_eq(agent_give(&other[1], at(1)), 0);
	agent_end(&other[1]);
	agent_end(&other[2]);
}
END_TEST

/* --- where a lock is */

START_TEST(any_address_is_a_lock)
{
	static void *addresses[] = { NULL, (void *)1, (void *)-1, (void *)-4096, &addresses, (void *)0x7fffffff0000 };
	struct agent other;

	agent_process(&other);
	for (size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++) {
		ck_assert_int_eq(SASLockTry(addresses[i], WRITE), 0);
		ck_assert_int_eq(agent_take(&other, addresses[i], READ, 0), EBUSY);
	}
	for (size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++)
		ck_assert_int_eq(SASLockGive(addresses[i]), 0);
	for (size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++)
		for (int k = 0; k < 3; k++) {
			ck_assert_int_eq(SASLockTry(addresses[i], all_modes[k]), 0);
			ck_assert_int_eq(agent_take(&other, addresses[i], WRITE, 0), EBUSY);
			ck_assert_int_eq(SASLockGive(addresses[i]), 0);
		}
	agent_end(&other);
}
END_TEST

START_TEST(regions_have_locks_of_their_own)
{
	SASRegionOptions o;
	SASRegion_t second;
	char path[4200], *second_base;
	struct agent other;

	snprintf(path, sizeof path, "%s/second", store);
	SASRegionOptionsInit(&o);
	o.flags = SAS_JOIN_CREATE;
	o.base = (uintptr_t)base + 128 * MIB;
	o.regionSize = 64 * MIB;
	o.segmentSize = HELP_SEGMENT;
	ck_assert_int_eq(mkdir(path, 0700), 0);
	second = SASRegionJoin(path, &o);
	ck_assert_msg(second != NULL, "%s", SASLastErrorMessage());
	second_base = (char *)help_info(second).base;
	agent_process(&other);
	ck_assert_int_eq(SASLockTry(base, WRITE), 0);
	ck_assert_int_eq(agent_take(&other, second_base, WRITE, 0), 0);
	ck_fails(SASLockTry(second_base, READ), EBUSY);
	ck_assert_int_eq(agent_take(&other, base, READ, 0), EBUSY);
	ck_assert_uint_eq(locks_in_use(region), 1);
	ck_assert_uint_eq(locks_in_use(second), 1);
	for (int i = 0; i < 100; i++) {
		ck_assert_int_eq(SASLockTry(second_base + 64, WRITE), 0);
		ck_assert_int_eq(SASLockTry(at(1), WRITE), 0);
		ck_assert_int_eq(SASLockGive(second_base + 64), 0);
		ck_assert_int_eq(SASLockGive(at(1)), 0);
	}
	ck_assert_int_eq(agent_give(&other, second_base), 0);
	/* Leaving the one leaves the other's locks alone. */
	ck_assert_int_eq(SASRegionLeave(second), 0);
	ck_assert_int_eq(SASLockHeld(base), WRITE);
	ck_assert_int_eq(agent_take(&other, base, READ, 0), EBUSY);
	ck_assert_int_eq(SASLockGive(base), 0);
	agent_end(&other);
	help_clean(path);
}
END_TEST

/* --- many */

START_TEST(one_thread_holds_many)
{
	size_t count = (size_t)help_size(20000, 100000, 100000);
	struct agent other;

	agent_process(&other);
	for (size_t i = 0; i < count; i++)
		ck_assert_int_eq(SASLockTake(at(i), all_modes[i % 3], 0, 0), 0);
	ck_assert_uint_eq(locks_in_use(region), (unsigned)count);
	ck_assert_uint_gt(pages_in_use(region), 0);
	for (size_t i = 0; i < count; i += 97) {
		ck_assert_int_eq(SASLockHeld(at(i)), (int)all_modes[i % 3]);
		ck_assert_int_eq(agent_take(&other, at(i), WRITE, 0), EBUSY);
	}
	/* In another order than they were taken. */
	for (size_t i = 0; i < count; i++)
		ck_assert_int_eq(SASLockGive(at(i * 7919 % count)), 0);
	ck_assert_uint_eq(locks_in_use(region), 0);
	ck_assert_int_eq(agent_take(&other, at(5), WRITE, 0), 0);
	ck_assert_int_eq(agent_give(&other, at(5)), 0);
	agent_end(&other);
	SASThreadCleanUp();
	ck_assert_uint_eq(locks_in_use(region), 0);
}
END_TEST

static void *hold_many(void *arg)
{
	size_t count = *(size_t *)arg;

	for (size_t i = 0; i < count; i++)
		must(SASLockTry(at(i), i % 2 ? WRITE : READ) == 0);
	return NULL;
}

static void die_with_many(void *arg)
{
	hold_many(arg);
	raise(SIGKILL);
}

START_TEST(many_locks_of_a_dead_thread_are_given_back)
{
	size_t count = (size_t)help_size(5000, 30000, 100000);

	help_dies(die_with_many, &count, SIGKILL);
	ck_assert_uint_eq(locks_in_use(region), (unsigned)count);
	SASLockReset();
	ck_assert_uint_eq(locks_in_use(region), 0);
	ck_assert_uint_eq(pages_in_use(region), 0);
	for (size_t i = 0; i < count; i += 31)
		ck_assert_int_eq(SASLockTry(at(i), WRITE), 0);
	for (size_t i = 0; i < count; i += 31)
		ck_assert_int_eq(SASLockGive(at(i)), 0);
}
END_TEST

struct crowd { pthread_barrier_t in, out; };

static void *read_in_crowd(void *arg)
{
	struct crowd *c = arg;
	int error = SASLockTry(base, READ);

	pthread_barrier_wait(&c->in);
	pthread_barrier_wait(&c->out);
	return error || SASLockGive(base) ? "failed" : NULL;
}

START_TEST(a_thousand_threads_read)
{
	unsigned count = help_valgrind() ? 50 : (unsigned)help_size(200, 1000, 1000);
	pthread_t threads[1000];
	pthread_attr_t attributes;
	struct agent other;
	struct crowd c;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 256 << 10);
	agent_process(&other);
	pthread_barrier_init(&c.in, NULL, count + 1);
	pthread_barrier_init(&c.out, NULL, count + 1);
	for (unsigned i = 0; i < count; i++)
		ck_assert_int_eq(pthread_create(&threads[i], &attributes, read_in_crowd, &c), 0);
	pthread_barrier_wait(&c.in);
	ck_assert_int_eq(agent_take(&other, base, INTENT, 0), 0);
	ck_assert_int_eq(agent_take(&other, base, WRITE, 0), EBUSY);
	agent_wait_for(&other, region, base, WRITE, -1);
	pthread_barrier_wait(&c.out);
	ck_assert_int_eq(agent_answer(&other).error, 0);
	for (unsigned i = 0; i < count; i++) {
		void *failed;

		pthread_join(threads[i], &failed);
		ck_assert_ptr_null(failed);
	}
	ck_assert_int_eq(agent_give(&other, base), 0);
	ck_assert_int_eq(agent_give(&other, base), 0);
	agent_end(&other);
}
END_TEST

static uint64_t bytes_of_run(void)
{
	char path[4200];
	struct stat st;

	snprintf(path, sizeof path, "%s/SAS.run", store);
	ck_assert_int_eq(stat(path, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

START_TEST(a_million_addresses_take_bounded_memory)
{
	size_t count = (size_t)help_size(200000, 1000000, 20000000);
	uint64_t first;

	if (help_valgrind())
		count = 20000;
	for (size_t i = 0; i < count / 2; i++) {
		ck_assert_int_eq(SASLockTry((void *)(i * 8 + 8), WRITE), 0);
		ck_assert_int_eq(SASLockGive((void *)(i * 8 + 8)), 0);
	}
	first = bytes_of_run();
	for (size_t i = count / 2; i < count; i++) {
		ck_assert_int_eq(SASLockTry((void *)(i * 8 + 8), all_modes[i % 3]), 0);
		ck_assert_int_eq(SASLockGive((void *)(i * 8 + 8)), 0);
	}
	ck_assert_uint_le(bytes_of_run(), 24 * MIB);
	if (count >= 1000000)
		ck_assert_uint_eq(bytes_of_run(), first);
}
END_TEST

/* Addresses of one bucket. */
static void *colliding(unsigned n)
{
	uint64_t address = 8;

	for (;; address += 8)
		if (sas_lock_bucket(address) == 77 && n-- == 0)
			return (void *)address;
}

static void die_writing(void *arg)
{
	must(SASLockTry(arg, WRITE) == 0);
	raise(SIGKILL);
}

/* Nothing grows any more: the table says that it is as large as it may be. */
START_TEST(full_table_has_room_for_new_addresses)
{
	struct sas_run_header *h = region->run->header;
	uint32_t top, space;

	ck_assert_int_eq(SASLockTry(colliding(0), READ), 0);
	ck_assert_int_eq(SASLockGive(colliding(0)), 0);
	top = sas_load_relaxed_u32(&h->line_top);
	space = sas_load_relaxed_u32(&h->line_space);
	sas_store_relaxed_u32(&h->line_space, SAS_RUN_LINES);
	sas_store_relaxed_u32(&h->line_top, SAS_RUN_LINES);
	for (unsigned i = 1; i < 10; i++) {
		ck_assert_int_eq(SASLockTry(colliding(i), WRITE), 0);
		ck_assert_int_eq(SASLockGive(colliding(i)), 0);
	}
	/* Also when a holder of each has died, and nobody is told. */
	for (unsigned i = 10; i < 14; i++) {
		help_dies(die_writing, colliding(i), SIGKILL);
		SASLockReset();
	}
	ck_assert_int_eq(SASLockTry(colliding(14), WRITE), 0);
	ck_assert_int_eq(SASLockTry(colliding(15), WRITE), 0);
	ck_assert_int_eq(SASLockTry(colliding(16), WRITE), 0);
	/* And when all are held that is said. */
	ck_fails(SASLockTry(colliding(17), WRITE), EAGAIN);
	ck_assert_ptr_nonnull(strstr(SASLastErrorMessage(), "too many locks"));
	for (unsigned i = 14; i < 17; i++)
		ck_assert_int_eq(SASLockGive(colliding(i)), 0);
	sas_store_relaxed_u32(&h->line_top, top);
	sas_store_relaxed_u32(&h->line_space, space);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("lock");
	TCase *c = help_case(suite, "lock");

	tcase_add_checked_fixture(c, locks_begin, locks_end);
	tcase_add_test(c, modes_exclude_as_the_table_says);
	tcase_add_test(c, modes_exclude_beside_other_locks);
	tcase_add_test(c, locks_nest_and_are_undone_in_reverse);
	tcase_add_test(c, lone_reader_upgrades_others_wait);
	tcase_add_test(c, intent_becomes_write_when_readers_have_gone);
	tcase_add_test(c, waiting_writer_keeps_new_readers_out);
	tcase_add_test(c, readers_pass_a_writer_that_gave_up);
	tcase_add_test(c, timed_waits_end_in_time);
	tcase_add_test(c, all_waiters_get_it_in_the_end);
	tcase_add_test(c, bad_arguments_are_refused);
	tcase_add_test(c, unlock_of_others_lock_changes_nothing);
	tcase_add_test(c, without_a_region_there_are_no_locks);
	tcase_add_test(c, locks_of_a_removed_region_are_stale);
	tcase_add_test(c, circle_is_refused_to_one);
	tcase_add_test(c, two_upgrading_readers_are_a_circle);
	tcase_add_test(c, circle_is_found_although_signals_interrupt);
	tcase_add_test(c, circle_of_classic_callers_is_told_once_and_ends_with_one);
	tcase_add_test(c, any_address_is_a_lock);
	tcase_add_test(c, regions_have_locks_of_their_own);
	tcase_add_test(c, one_thread_holds_many);
	help_add_death(c, many_locks_of_a_dead_thread_are_given_back);
	tcase_add_test(c, a_thousand_threads_read);
	tcase_add_test(c, a_million_addresses_take_bounded_memory);
	help_add_death(c, full_table_has_room_for_new_addresses);
	return help_main(suite);
}
