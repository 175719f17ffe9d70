/* SPDX-License-Identifier: MIT */
/*
 * test_epoch_race.c - a structure that is read while its nodes go, by threads and by processes, some of which are killed: no reader ever sees
 * what was ended, and no block is lost.
 */
#include <config.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sassim.h>
#include "epoch_help.h"

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

int main(void)
{
	Suite *s = suite_create("epoch_race");
	TCase *t = tcase_create("epoch_race");

	tcase_add_checked_fixture(t, epoch_begin, region_end);
	tcase_set_timeout(t, 300);
	tcase_add_test(t, readers_never_see_a_node_that_was_ended);
	tcase_add_test(t, reader_never_sees_what_a_look_has_ended);
	help_add_death(t, readers_of_other_processes_never_see_a_block_of_somebody_else);
	help_add_death(t, storm_of_kills_loses_no_retired_block);
	suite_add_tcase(s, t);
	return help_main(s);
}
