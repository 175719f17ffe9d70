/* SPDX-License-Identifier: MIT */
/*
 * storm_tree.c - processes that change one tree (sph/tree/tree.h), and processes that read it, while SIGKILL takes one after the other.
 */
#include <config.h>

#include <stdio.h>
#include "tree_churn.h"

#define READERS 2U

static struct churn *churn;

static void work(void *arg)
{
	unsigned writer = (unsigned)(uintptr_t)arg;
	uint64_t random = help_now() + writer;

	region_join(0);
	churn_resume(churn, writer);
	while (!__atomic_load_n(&churn->stop, __ATOMIC_ACQUIRE))
		churn_write(churn, writer, &random);
	must(SASRegionLeave(region) == 0);
}

static void watch(void *arg)
{
	uint64_t random = help_now() + (uintptr_t)arg;

	region_join(0);
	while (!__atomic_load_n(&churn->stop, __ATOMIC_ACQUIRE))
		churn_read(churn, &random);
	must(SASRegionLeave(region) == 0);
}

static uint64_t done(void)
{
	return __atomic_load_n(&churn->changes, __ATOMIC_RELAXED);
}

START_TEST(deaths_leave_a_whole_tree)
{
	const unsigned kills = (unsigned)help_size(20, 200, 5000);
	uint64_t random = help_seed("deaths_leave_a_whole_tree"), before;
	pid_t worker[CHURN_WRITERS], reader[READERS];

	churn = churn_make();
	region_leave();
	for (uintptr_t i = 0; i < CHURN_WRITERS; i++)
		worker[i] = help_fork(work, (void *)i);
	for (uintptr_t i = 0; i < READERS; i++)
		reader[i] = help_fork(watch, (void *)i);
	for (unsigned i = 0; i < kills; i++) {
		unsigned place = (unsigned)help_below(&random, CHURN_WRITERS);

		before = done();
		/* Nobody hangs, and no worker and no reader has ended, which they do when something is wrong. */
		ck_assert(until(done() > before + 50, PATIENCE));
		for (unsigned r = 0; r < READERS; r++)
			ck_assert(!help_ended(reader[r], 0));
		help_spin(help_below(&random, 300000));
		kill(worker[place], SIGKILL);
		ck_assert_int_eq(help_wait(worker[place], PATIENCE), 128 + SIGKILL);
		worker[place] = help_fork(work, (void *)(uintptr_t)place);
	}
	__atomic_store_n(&churn->stop, 1, __ATOMIC_RELEASE);
	for (unsigned i = 0; i < CHURN_WRITERS; i++)
		help_done(worker[i]);
	for (unsigned i = 0; i < READERS; i++)
		help_done(reader[i]);
	region_join(0);
	churn_judge(churn);
	ck_assert_uint_gt(churn->passes, 0);
	printf("%u kills, %lu of them in a change; %lu changes, %lu passes of readers: all keys are there\n", kills, churn->doubts,
	       churn->changes, churn->passes);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("storm on a tree");
	TCase *c = help_case(suite, "storm");

	tcase_add_checked_fixture(c, region_begin, region_end);
	help_add_death(c, deaths_leave_a_whole_tree);
	return help_main(suite);
}
