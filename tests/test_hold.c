/* SPDX-License-Identifier: MIT */
/*
 * test_hold.c - changes of a lock's word that end halfway, beside others that go on, at any number.
 *
 * The slots are those of threads that do not exist: each step of a change is made by hand, up to where the thread is to
 * die, then others change the word, and then the slot is recovered.
 */
#include <config.h>

#include <string.h>
#include <saslock.h>
#include "lock_help.h"
#include "sas/lock/hold.h"
#include "sas/region/region.h"

#define DEAD 40U
#define OTHER 41U
#define LATER 42U
#define LOCK (1000U << 2 | 1U)

static struct sas_run *run;
static struct sas_lock *lock;

static void set_up(void)
{
	locks_begin();
	run = region->run;
	/* The thread has a slot, the table has lines. */
	ck_assert_int_eq(SASLockTry(base, READ), 0);
	ck_assert_int_eq(SASLockGive(base), 0);
	lock = sas_lock_at(run, LOCK);
}

static uint64_t word_now(void)
{
	return sas_load_acquire_u64(&lock->word);
}

static struct sas_run_thread *thread(uint32_t slot)
{
	return &run->threads[slot];
}

/* All of a change. */
static void change(uint32_t slot, unsigned from, unsigned to)
{
	uint64_t word = word_now();

	ck_assert(sas_hold_change(run, slot, LOCK, from, to, &word, sas_hold_state(word, from, to)));
	sas_store_release_u32(&thread(slot)->holds[0], to ? sas_hold_record(LOCK, to) : 0);
}

/* The first steps of it: 0 pending, 1 and the word, 2 and the record. */
static void change_partly(uint32_t slot, unsigned from, unsigned to, int steps)
{
	uint64_t word = word_now(), other = ~word;

	if (steps == 0)         /* the word is another one by then: the compare-and-swap does nothing */
		ck_assert(!sas_hold_change(run, slot, LOCK, from, to, &other, 0));
	else
		ck_assert(sas_hold_change(run, slot, LOCK, from, to, &word, sas_hold_state(word, from, to)));
	if (steps == 2)
		sas_store_release_u32(&thread(slot)->holds[0], to ? sas_hold_record(LOCK, to) : 0);
}

static void start_at(uint32_t slot, uint32_t number, uint32_t saved)
{
	memset(thread(slot)->holds, 0, sizeof thread(slot)->holds);
	sas_store_relaxed_u64(&thread(slot)->lock_pending, (uint64_t)(number & 0x7fffffffU) << 33);
	sas_store_relaxed_u32(&thread(slot)->lock_saved, saved & 0x7fffffffU);
}

/* One that can come beside `held` reads, and leaves. */
static void others_change(unsigned held, int stay)
{
	if (held == SAS_HOLD_WRITE)
		return;
	change(OTHER, SAS_HOLD_NONE, SAS_HOLD_READ);
	change(LATER, SAS_HOLD_NONE, SAS_HOLD_READ);
	change(OTHER, SAS_HOLD_READ, SAS_HOLD_NONE);
	if (!stay)
		change(LATER, SAS_HOLD_READ, SAS_HOLD_NONE);
}

static void die_in(unsigned from, unsigned to, int steps, int others, uint32_t number, uint32_t saved)
{
	uint32_t left = others == 2;

	sas_store_relaxed_u64(&lock->word, sas_lock_word(0, LATER, 7, 1));
	start_at(DEAD, number, saved);
	start_at(OTHER, 100, 100);
	start_at(LATER, 200, 200);
	if (from)
		change(DEAD, SAS_HOLD_NONE, from);
	change_partly(DEAD, from, to, steps);
	if (others && from != SAS_HOLD_WRITE)
		others_change(steps ? to : from, others == 2);
	left = left && from != SAS_HOLD_WRITE && (steps ? to : from) != SAS_HOLD_WRITE;
	sas_hold_recover(run, DEAD);
	ck_assert_msg((word_now() & SAS_LOCK_HELD) == left, "from %u to %u, %d steps, others %d, number %#x, saved %#x: word %#lx",
		      from, to, steps, others, number, saved, word_now());
	for (uint32_t i = 0; i < SAS_RUN_HOLDS; i++)
		ck_assert_uint_eq(sas_load_relaxed_u32(&thread(DEAD)->holds[i]), 0);
}

static void die_anywhere(uint32_t number, uint32_t saved)
{
	for (unsigned from = 0; from < 4; from++)
		for (unsigned to = 0; to < 4; to++)
			for (int steps = 0; from != to && steps < 3; steps++)
				for (int others = 0; others < 3; others++)
					die_in(from, to, steps, others, number, saved);
}

START_TEST(half_a_change_is_completed_or_undone)
{
	die_anywhere(0, 0);
	die_anywhere(5, 5);
	/* About to begin at 0 again. */
	for (uint32_t back = 0; back < 4; back++)
		die_anywhere(0x7fffffffU - back, 0x7ffffff0U);
}
END_TEST

/* A slot makes 2^30 changes in a minute, and may need no evidence meanwhile. */
START_TEST(evidence_is_saved_long_after_the_last)
{
	for (uint32_t ahead = 1; ahead < 31; ahead++) {
		die_anywhere(17 + (1U << ahead), 17);
		die_anywhere(17 + (1U << ahead) + (1U << 29), 17);
		/* From a round of 2^31 before; that it is just the number that is used now is left to chance. */
		die_anywhere(17, 21 + (1U << ahead));
	}
}
END_TEST

/* A late saver of an earlier change finds a later one saved, and leaves it. */
START_TEST(late_saver_changes_nothing)
{
	uint64_t early;

	sas_store_relaxed_u64(&lock->word, sas_lock_word(0, LATER, 7, 1));
	start_at(DEAD, 10, 0);
	change(DEAD, SAS_HOLD_NONE, SAS_HOLD_READ);
	early = word_now();
	change_partly(DEAD, SAS_HOLD_READ, SAS_HOLD_NONE, 1);
	change(OTHER, SAS_HOLD_NONE, SAS_HOLD_READ);
	ck_assert_uint_eq(sas_load_relaxed_u32(&thread(DEAD)->lock_saved), 12);
	sas_hold_save_evidence(run, early);
	ck_assert_uint_eq(sas_load_relaxed_u32(&thread(DEAD)->lock_saved), 12);
	change(OTHER, SAS_HOLD_READ, SAS_HOLD_NONE);
	sas_hold_recover(run, DEAD);
	ck_assert_uint_eq(word_now() & SAS_LOCK_HELD, 0);
}
END_TEST

/* The second word of a key's change has a number of its own: the slot's next life does not use it again. */
START_TEST(change_of_a_key_uses_two_numbers)
{
	for (int made = 0; made < 3; made++) {
		uint64_t word = sas_lock_word(0, LATER, 7, 1);

		sas_store_relaxed_u64(&lock->word, word);
		start_at(DEAD, 20, 0);
		ck_assert(sas_hold_change(run, DEAD, LOCK, SAS_HOLD_WRITE, SAS_HOLD_WRITE, &word, SAS_LOCK_WRITE | SAS_LOCK_INTENT));
		/* Dies before the second word, after it, or in its recovery. */
		if (made)
			sas_store_release_u64(&lock->word, sas_lock_word(0, DEAD, 22, 1));
		sas_hold_recover(run, DEAD);
		if (made == 2)
			sas_hold_recover(run, DEAD);
		ck_assert_uint_eq(word_now() & SAS_LOCK_HELD, 0);
		/* The next life dies before its compare-and-swap. */
		change_partly(DEAD, SAS_HOLD_NONE, SAS_HOLD_READ, 0);
		sas_hold_recover(run, DEAD);
		ck_assert_msg((word_now() & SAS_LOCK_HELD) == 0, "word %#lx", word_now());
	}
}
END_TEST

/* A dead thread's wait does not look like its successor's. */
START_TEST(count_of_waits_goes_on)
{
	start_at(DEAD, 1, 1);
	sas_store_relaxed_u64(&thread(DEAD)->lock_wait, 9ULL << 32 | 4);
	sas_hold_recover(run, DEAD);
	ck_assert_uint_eq(sas_load_relaxed_u64(&thread(DEAD)->lock_wait), 9ULL << 32);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("hold");
	TCase *c = help_case(suite, "hold");

	tcase_add_checked_fixture(c, set_up, locks_end);
	tcase_add_test(c, half_a_change_is_completed_or_undone);
	tcase_add_test(c, evidence_is_saved_long_after_the_last);
	tcase_add_test(c, late_saver_changes_nothing);
	tcase_add_test(c, change_of_a_key_uses_two_numbers);
	tcase_add_test(c, count_of_waits_goes_on);
	return help_main(suite);
}
