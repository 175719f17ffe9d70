/* SPDX-License-Identifier: MIT */
/*
 * test_tree_race.c - threads that change one tree (sph/tree.h), and threads that read it meanwhile. With small pages, so that leaves and
 * inner nodes come and go all the time.
 */
#include <config.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include "tree_churn.h"

#define READERS 2U

static struct churn *churn;
static long rounds;

static void *write_to(void *arg)
{
	unsigned writer = (unsigned)(uintptr_t)arg;
	uint64_t random = 1 + writer;

	for (long i = 0; i < rounds; i++)
		churn_write(churn, writer, &random);
	return NULL;
}

static void *read_from(void *arg)
{
	uint64_t random = 100 + (uintptr_t)arg;

	do
		churn_read(churn, &random);
	while (!__atomic_load_n(&churn->stop, __ATOMIC_ACQUIRE));
	return NULL;
}

static void start(pthread_t *threads, unsigned count, void *(*run)(void *))
{
	for (uintptr_t i = 0; i < count; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, run, (void *)i), 0);
}

static void join(pthread_t *threads, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
}

START_TEST(readers_meet_what_stays)
{
	pthread_t writers[CHURN_WRITERS], readers[READERS];

	churn = churn_make();
	rounds = help_size(300, 5000, 100000);
	start(writers, CHURN_WRITERS, write_to);
	start(readers, READERS, read_from);
	join(writers, CHURN_WRITERS);
	__atomic_store_n(&churn->stop, 1, __ATOMIC_RELEASE);
	join(readers, READERS);
	churn_judge(churn);
	ck_assert_uint_ge(churn->passes, READERS);
	printf("%lu changes, %lu passes of readers\n", churn->changes, churn->passes);
}
END_TEST

/* All want the same keys: each is put in by one of them, and taken out by one of them. */

#define SHARED 3000U
static uint32_t came[SHARED], went[SHARED];
static pthread_barrier_t all_in;

static struct sph_key shared_key(unsigned i, char text[32])
{
	return (struct sph_key){ (unsigned char *)text, (size_t)snprintf(text, 32, "%u", i * 2654435761U) };
}

static void *want_all(void *arg)
{
	unsigned first = (unsigned)(uintptr_t)arg * 7;
	struct sas_use u;
	uint64_t old;
	char text[32];
	int error;

	for (unsigned i = 0; i < SHARED; i++) {
		unsigned k = (i + first) % SHARED;

		must(sas_use_begin(&u, churn->tree, SAS_USE_UPDATE) == 0);
		error = sph_tree_insert(&u, churn->tree, shared_key(k, text), k);
		sas_use_end(&u);
		must(error == 0 || error == -EEXIST);
		__atomic_fetch_add(&came[k], error == 0, __ATOMIC_RELAXED);
	}
	pthread_barrier_wait(&all_in);
	for (unsigned i = 0; i < SHARED; i++) {
		unsigned k = (i + first) % SHARED;

		must(sas_use_begin(&u, churn->tree, SAS_USE_UPDATE) == 0);
		error = sph_tree_remove(&u, churn->tree, shared_key(k, text), &old);
		sas_use_end(&u);
		must(error == 0 ? old == k : error == -ENOENT);
		__atomic_fetch_add(&went[k], error == 0, __ATOMIC_RELAXED);
	}
	return NULL;
}

START_TEST(one_of_many_inserts)
{
	pthread_t threads[CHURN_WRITERS];
	const long times = help_size(1, 20, 500);

	churn = churn_make();
	for (long i = 0; i < times; i++) {
		memset(came, 0, sizeof came);
		memset(went, 0, sizeof went);
		ck_assert_int_eq(pthread_barrier_init(&all_in, NULL, CHURN_WRITERS), 0);
		start(threads, CHURN_WRITERS, want_all);
		join(threads, CHURN_WRITERS);
		pthread_barrier_destroy(&all_in);
		for (unsigned k = 0; k < SHARED; k++)
			ck_assert(came[k] == 1 && went[k] == 1);
	}
	churn_judge(churn);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("threads on a tree");
	TCase *c = help_case(suite, "races");

	tcase_add_checked_fixture(c, region_begin, region_end);
	tcase_add_test(c, readers_meet_what_stays);
	tcase_add_test(c, one_of_many_inserts);
	return help_main(suite);
}
