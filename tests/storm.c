/* SPDX-License-Identifier: MIT */
/*
 * storm.c - many processes that join, allocate, free and leave, while SIGKILL takes one after the other.
 *
 * A worker writes into shared memory that it is alive and how long its calls take; the test itself never
 * joins while the storm lasts, so that a region that hangs cannot hang the test. Each block that a worker
 * holds has a stamp at both ends: nobody else may write there while it lives. Afterwards, whatever the dead
 * left is found by its generation and freed, and the free space is allocated to the last unit.
 */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"

#define WORKERS 8
#define HELD 32
#define SMALL (128 * MIB)

/* Of one worker's place; the worker in it changes. */
struct place {
	uint64_t beats;                 /* calls done by all workers that were here */
	uint64_t longest;               /* ns of a call */
	uint64_t longest_join;
	uint64_t slow;                  /* calls of more than 10 ms */
	uint64_t joins;
	uint32_t inside;                /* a call is going on */
	uint32_t generation;            /* of the last join */
	uint64_t inherited;             /* blocks of a dead predecessor, freed */
} __attribute__((aligned(64)));

static struct board {
	uint32_t stop;
	uint32_t full;                  /* ENOMEM that was served */
	struct place places[WORKERS];
} *board;

struct held {
	unsigned char *at;
	size_t size;
	uint64_t stamp;
};

static struct place *own_place;
static uint64_t call_began;

static void enter(void)
{
	__atomic_store_n(&own_place->inside, 1, __ATOMIC_RELEASE);
	call_began = help_now();
}

static void leave(uint64_t *longest)
{
	uint64_t took = help_now() - call_began;

	__atomic_store_n(&own_place->inside, 0, __ATOMIC_RELEASE);
	if (took > 10000000)
		__atomic_fetch_add(&own_place->slow, 1, __ATOMIC_RELAXED);
	if (took > __atomic_load_n(longest, __ATOMIC_RELAXED))
		__atomic_store_n(longest, took, __ATOMIC_RELAXED);
	__atomic_fetch_add(&own_place->beats, 1, __ATOMIC_RELAXED);
}

static int stopped(void)
{
	return __atomic_load_n(&board->stop, __ATOMIC_ACQUIRE) != 0;
}

static void stamp(const struct held *h)
{
	memcpy(h->at, &h->stamp, 8);
	memcpy(h->at + h->size - 8, &h->stamp, 8);
}

static int has_stamp(const struct held *h)
{
	return memcmp(h->at, &h->stamp, 8) == 0 && memcmp(h->at + h->size - 8, &h->stamp, 8) == 0;
}

static void take_one(struct held *held, unsigned *count, uint64_t *state)
{
	struct held *h = &held[*count];

	h->size = 4096UL << help_below(state, help_below(state, 16) ? 6 : 11);
	enter();
	h->at = SASRegionBlockAlloc(region, h->size);
	leave(&own_place->longest);
	if (!h->at) {
		must(errno == ENOMEM);
		__atomic_fetch_add(&board->full, 1, __ATOMIC_RELAXED);
		return;
	}
	must((uintptr_t)h->at % h->size == 0);
	must(all_zero(h->at, 4096));
	h->stamp = help_random(state) | 1;
	stamp(h);
	++*count;
}

static void give_one(struct held *held, unsigned *count, unsigned k)
{
	int error;

	must(has_stamp(&held[k]));
	enter();
	error = SASBlockFree(held[k].at, held[k].size);
	leave(&own_place->longest);
	must(error == 0);
	held[k] = held[--*count];
}

/* What the one that was killed here had: nobody else frees it. */
static void inherit(void)
{
	SASRegionInfo info = { .structSize = sizeof info };
	/* The list moves while we look: what we want does not. */
	static SASBlockInfo list[2 * WORKERS * HELD];
	uint32_t dead = own_place->generation;
	long count = dead ? SASRegionListBlocks(region, SASBlock__IN_USE, list, 2 * WORKERS * HELD) : 0;

	must(SASRegionGetInfo(region, &info) == 0);
	must(count >= 0 && count <= 2 * WORKERS * HELD);
	for (long i = 0; i < count; i++)
		if (list[i].generation == dead) {
			must(SASBlockFree(list[i].address, list[i].size) == 0);
			own_place->inherited++;
		}
	own_place->generation = info.generation;
}

/* A join of a worker's life: some hundred calls, most blocks freed, some forgotten by a death alone. */
static void live(uint64_t *state)
{
	SASRegionOptions options;
	struct held held[HELD];
	unsigned count = 0;

	SASRegionOptionsInit(&options);
	options.flags = SAS_JOIN_CREATE;
	options.regionSize = SMALL;
	options.segmentSize = HELP_SEGMENT;
	enter();
	region = SASRegionJoin(store, &options);
	leave(&own_place->longest_join);
	must(region != NULL);
	__atomic_fetch_add(&own_place->joins, 1, __ATOMIC_RELAXED);
	inherit();
	for (uint64_t i = 50 + help_below(state, 400); i > 0 && !stopped(); i--) {
		if (count < HELD && (!count || help_below(state, 2)))
			take_one(held, &count, state);
		else if (count)
			give_one(held, &count, (unsigned)help_below(state, count));
		if (help_below(state, 300) == 0) {
			enter();
			must(SASRegionTrim(region) >= 0);
			leave(&own_place->longest);
		}
		if (help_below(state, 300) == 0)
			must(SASRegionListBlocks(region, SASBlock__IN_USE, NULL, 0) > 0);
	}
	while (count)
		give_one(held, &count, count - 1);
	enter();
	must(SASRegionLeave(region) == 0);
	leave(&own_place->longest_join);
}

static void work(void *arg)
{
	uint64_t state = help_now() ^ (uint64_t)getpid() << 32;

	own_place = arg;
	while (!stopped())
		live(&state);
}

static pid_t pids[WORKERS];

static void start_workers(void)
{
	for (int i = 0; i < WORKERS; i++)
		pids[i] = help_fork(work, &board->places[i]);
}

/* One that ended by itself has found something wrong. */
static void all_work(void)
{
	for (int i = 0; i < WORKERS; i++) {
		int status;

		if (waitpid(pids[i], &status, WNOHANG) == pids[i])
			ck_abort_msg("a worker has ended: status %#x", (unsigned)status);
	}
}

static uint64_t beats(void)
{
	uint64_t sum = 0;

	for (int i = 0; i < WORKERS; i++)
		sum += __atomic_load_n(&board->places[i].beats, __ATOMIC_RELAXED);
	return sum;
}

static void stop_workers(void)
{
	__atomic_store_n(&board->stop, 1, __ATOMIC_RELEASE);
	for (int i = 0; i < WORKERS; i++)
		help_done(pids[i]);
}

static void set_up(void)
{
	store_begin();
	board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert(board != MAP_FAILED);
}

/* --- after the storm, in a child, so that a hang ends */

static void free_all(void)
{
	size_t count;
	SASBlockInfo *list = help_list(region, SASBlock__IN_USE, &count);

	for (size_t i = 0; i < count; i++)
		if (list[i].generation)
			must(SASBlockFree(list[i].address, list[i].size) == 0);
	free(list);
}

/* The index knows each unit that the maps say is free. */
static void allocate_all(void)
{
	uint64_t own = help_sum(region, SASBlock__IN_USE), taken = 0;
	unsigned char *block;

	while ((block = SASRegionBlockAlloc(region, 4096)) != NULL) {
		must(all_zero(block, 4096));
		taken += 4096;
	}
	must(errno == ENOMEM);
	must(help_sum(region, SASBlock__FREE) == 0);
	must(help_sum(region, SASBlock__UNCOMMITTED) == 0);
	must(help_sum(region, SASBlock__FREE_REGION) == 0);
	/* What the runtime takes for the maps of further segments is its own. */
	must(taken == help_info(region).bytesInUse);
	must(help_sum(region, SASBlock__IN_USE) == SMALL);
	must(taken >= SMALL - own - SMALL / 64);
	free_all();
}

static void look_after(void *arg)
{
	unsigned long *left = arg;

	region = SASRegionJoin(store, NULL);
	must(region != NULL);
	must(help_info(region).participants == 1);
	*left = help_info(region).blocksInUse;
	free_all();
	must(help_info(region).bytesInUse == 0);
	allocate_all();
	must(help_info(region).bytesInUse == 0);
	must(SASRegionLeave(region) == 0);
	region = SASRegionJoin(store, NULL);
	must(region != NULL);
	allocate_all();
	must(SASRegionLeave(region) == 0);
}

static unsigned long leftovers(void)
{
	unsigned long *left = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ck_assert(left != MAP_FAILED);
	help_in_child(look_after, left);
	return *left;
}

static void tell(const char *what, long kills, unsigned long inside, unsigned long left)
{
	uint64_t longest = 0, longest_join = 0, joins = 0, inherited = 0, slow = 0;

	for (int i = 0; i < WORKERS; i++) {
		const struct place *p = &board->places[i];

		longest = p->longest > longest ? p->longest : longest;
		longest_join = p->longest_join > longest_join ? p->longest_join : longest_join;
		joins += p->joins;
		inherited += p->inherited;
		slow += p->slow;
	}
	printf("%s: %d processes, %lu calls, %lu joins, %ld kills, %lu of them inside a call; %lu blocks of "
	       "the dead freed by peers, %lu at the end; %u times full\n", what, WORKERS,
	       (unsigned long)beats(), (unsigned long)joins, kills, inside, (unsigned long)inherited, left, board->full);
	printf("%s: longest call %.1f ms, longest join or leave %.1f ms, %lu of more than 10 ms\n", what,
	       (double)longest / 1e6, (double)longest_join / 1e6, (unsigned long)slow);
	/* Eight processes on few processors: a call that is preempted waits for the others' turns. */
	ck_assert_uint_lt(longest, help_instrumented() ? 20000000000 : 3000000000);
	ck_assert_uint_lt(longest_join, help_instrumented() ? 20000000000 : 3000000000);
}

START_TEST(processes_join_allocate_free_and_leave)
{
	uint64_t enough = (uint64_t)help_size(5000, 200000, 5000000);

	start_workers();
	while (beats() < enough) {
		uint64_t before = beats();

		ck_assert_msg(until(beats() > before, PATIENCE), "nobody gets on");
		all_work();
	}
	stop_workers();
	help_clean(store);
	tell("calm", 0, 0, leftovers());
}
END_TEST

/* At a random instant: some calls later, and then somewhere in between. */
static void kill_one(int k, uint64_t *state, unsigned long *inside)
{
	uint64_t target = beats() + help_below(state, 300);

	ck_assert_msg(until(beats() >= target, PATIENCE), "nobody gets on after a kill");
	for (uint64_t i = help_below(state, 20000); i > 0; i--)
		__asm__ volatile("" ::: "memory");
	kill(pids[k], SIGKILL);
	ck_assert_int_eq(help_wait(pids[k], PATIENCE), 128 + SIGKILL);
	*inside += __atomic_load_n(&board->places[k].inside, __ATOMIC_ACQUIRE);
	board->places[k].inside = 0;
}

static void kill_often(const char *what, long kills, int at_once)
{
	uint64_t state = help_seed(what);
	unsigned long inside = 0;

	start_workers();
	for (long i = 0; i < kills; i += at_once) {
		int first = (int)help_below(&state, WORKERS);

		for (int k = 0; k < at_once; k++)
			kill_one((first + k) % WORKERS, &state, &inside);
		all_work();
		for (int k = 0; k < at_once; k++) {
			int n = (first + k) % WORKERS;

			pids[n] = help_fork(work, &board->places[n]);
		}
	}
	stop_workers();
	help_clean(store);
	tell(what, kills, inside, leftovers());
	/* Most of a worker's life is in calls. */
	ck_assert_uint_gt(inside, (unsigned long)kills / 20);
}

START_TEST(survivors_of_kills_go_on)
{
	kill_often("storm", help_size(60, 300, 5000), 1);
}
END_TEST

/* Down to nobody, at times: the next one is the first. */
START_TEST(kills_of_all_leave_region_to_next)
{
	kill_often("storm of all", help_size(16, 80, 2000), WORKERS);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("storm");
	TCase *c = tcase_create("storm");

	tcase_add_checked_fixture(c, set_up, region_end);
	tcase_set_timeout(c, 600);
	suite_add_tcase(suite, c);
	tcase_add_test(c, processes_join_allocate_free_and_leave);
	tcase_add_test(c, survivors_of_kills_go_on);
	tcase_add_test(c, kills_of_all_leave_region_to_next);
	return help_main(suite);
}
