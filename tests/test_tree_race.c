/* SPDX-License-Identifier: MIT */
/*
 * test_tree_race.c - threads that change one tree (sph/tree/tree.h), and threads that read it meanwhile. With small pages, so that leaves and
 * inner nodes come and go all the time.
 */
#include <config.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include "sph/tree/node.h"
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

/* --- words that name dead owners */

static struct sph_key first_key(void)
{
	return (struct sph_key){ (const unsigned char *)"k", 1 };
}

/* The old value. */
static uint64_t swap(struct sph_node *leaf, uint64_t value)
{
	struct sph_leaf_place place;

	must(sph_leaf_find(leaf, 512, first_key(), sph_key_hash(first_key()), &place));
	return sph_leaf_swap(leaf, 512, place.slot, value);
}

/* Dies with the word of the only leaf; the key has another value then. */
static void die_holding(void *arg)
{
	struct sph_node *leaf = (struct sph_node *)(uintptr_t)sph_tree_root(churn->tree);
	uint64_t was = *sph_node_word(leaf);
	struct sph_hold h;
	struct sas_use u;

	(void)arg;
	must(sas_use_begin(&u, churn->tree, SAS_USE_UPDATE) == 0);
	must(sph_hold_take(&h, &u, sph_node_word(leaf), &leaf->version, was));
	must(swap(leaf, 8) == 7);
	raise(SIGKILL);
}

static struct sph_node *leaf_of_the_dead(void)
{
	struct sas_use u;

	churn = mmap(NULL, sizeof *churn, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	churn->tree = (void *)take(64 * KIB);
	ck_assert_int_eq(sph_tree_format(churn->tree, 64 * KIB, 512, 0, SAS_RUNTIME_INDEX, SAS_RUNTIME_INDEXNODE, 0), 0);
	ck_assert_int_eq(sas_use_begin(&u, churn->tree, SAS_USE_UPDATE), 0);
	ck_assert_int_eq(sph_tree_insert(&u, churn->tree, first_key(), 7), 0);
	sas_use_end(&u);
	return (struct sph_node *)(uintptr_t)sph_tree_root(churn->tree);
}

/* A reader that has looked before the death does not take what the dead one changed for what was there. */
START_TEST(versions_go_on_after_deaths)
{
	struct sph_node *leaf = leaf_of_the_dead();
	uint64_t before = *sph_node_word(leaf), dead, value;
	struct sph_hold h;
	struct sas_look l;
	struct sas_use u;

	ck_assert_uint_eq(before & 1, 0);
	for (int undo = 0; undo < 2; undo++) {
		ck_assert_uint_eq(swap(leaf, 7), undo ? 8 : 7);
		before = *sph_node_word(leaf);
		help_dies(die_holding, NULL, SIGKILL);
		ck_assert_int_eq(sas_look_begin(&l, churn->tree), 0);
		/* Readers go by the word of the dead, and so do writers. */
		do
			ck_assert_int_eq(sph_tree_get(&l, churn->tree, first_key(), &value), 0);
		while (!sas_look_ok(&l, churn->tree));
		ck_assert_uint_eq(value, 8);
		dead = *sph_node_word(leaf);
		ck_assert_uint_eq(dead & 1, 1);
		ck_assert_int_eq(sas_use_begin(&u, churn->tree, SAS_USE_UPDATE), 0);
		if (undo) {
			ck_assert(sph_hold_take(&h, &u, sph_node_word(leaf), &leaf->version, dead));
			sph_hold_undo(&h);
		} else {
			ck_assert_int_eq(sph_tree_replace(&u, churn->tree, first_key(), 8, &value), 0);
		}
		sas_use_end(&u);
		ck_assert_uint_eq(*sph_node_word(leaf) & 1, 0);
		ck_assert_uint_gt(*sph_node_word(leaf), before);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("threads on a tree");
	TCase *c = help_case(suite, "races");

	tcase_add_checked_fixture(c, region_begin, region_end);
	tcase_add_test(c, readers_meet_what_stays);
	tcase_add_test(c, one_of_many_inserts);
	help_add_death(c, versions_go_on_after_deaths);
	return help_main(suite);
}
