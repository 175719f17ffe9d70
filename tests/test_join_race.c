/* SPDX-License-Identifier: MIT */
/*
 * test_join_race.c - many processes that create, join, leave, reset and remove at the same time, and are
 * killed in the middle. Whatever meets whatever: a join that may create succeeds, and the files are whole.
 */
#include <config.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "help.h"
#include "sassim.h"

#define CROWD 8

/* Shared by the processes of a test. */
struct board {
	char store[4096];
	struct help_gate start;
	int round;
	unsigned mode, flags;
	struct entry { uint8_t uuid[16]; uint32_t generation; int error; uint64_t done; } entries[CROWD];
};

static struct board *board;

static long rounds(void)
{
	return help_size(5, 40, 2000);
}

struct place { int number; };

static void make_board(char *store)
{
	board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(board, MAP_FAILED);
	snprintf(board->store, sizeof board->store, "%s", store);
	help_gate_make(&board->start);
}

/* Eight at once; each must succeed. */
static void run_crowd(void (*body)(void *))
{
	pid_t children[CROWD];
	struct place places[CROWD];

	for (int i = 0; i < CROWD; i++) {
		places[i].number = i;
		children[i] = help_fork(body, &places[i]);
	}
	for (int i = 0; i < CROWD; i++)
		help_gate_open(&board->start);
	for (int i = 0; i < CROWD; i++)
		help_done(children[i]);
}

static SASRegion_t try_join(unsigned flags)
{
	SASRegionOptions o;

	help_options(&o, flags);
	o.mode = board->mode;
	return SASRegionJoin(board->store, &o);
}

/* --- creation */

static void join_once(void *arg)
{
	struct entry *e = &board->entries[((struct place *)arg)->number];
	SASRegion_t region;
	SASRegionInfo info;

	help_gate_await(&board->start);
	region = try_join(board->flags);
	e->error = region ? 0 : errno;
	if (!region) {
		ck_assert_msg(board->flags & SAS_JOIN_EXCLUSIVE, "join: %s", SASLastErrorMessage());
		return;
	}
	info = help_info(region);
	memcpy(e->uuid, info.uuid, 16);
	e->generation = info.generation;
	help_leave(region);
}

START_TEST(eight_that_create_at_once_make_one_region)
{
	for (int round = 0; round < rounds(); round++) {
		uint32_t seen = 0;

		make_board(help_store());
		board->flags = SAS_JOIN_CREATE;
		run_crowd(join_once);
		for (int i = 0; i < CROWD; i++) {
			ck_assert_mem_eq(board->entries[i].uuid, board->entries[0].uuid, 16);
			seen |= 1U << board->entries[i].generation;
		}
		/* One creation: it has counted the joins of all. */
		ck_assert_uint_eq(seen, ((1U << CROWD) - 1) << 1);
		ck_assert_uint_eq(help_inspect(board->store).generation, CROWD);
		ck_assert_uint_eq(help_inspect(board->store).clean, 1);
		ck_assert_int_eq(help_files(board->store, "SAS.tmp."), 0);
		help_clean(board->store);
		help_gate_drop(&board->start);
		munmap(board, sizeof *board);
	}
}
END_TEST

START_TEST(exactly_one_of_eight_creates_exclusively)
{
	for (int round = 0; round < rounds(); round++) {
		int winners = 0;

		make_board(help_store());
		board->flags = SAS_JOIN_CREATE | SAS_JOIN_EXCLUSIVE;
		run_crowd(join_once);
		for (int i = 0; i < CROWD; i++) {
			winners += board->entries[i].error == 0;
			ck_assert(board->entries[i].error == 0 || board->entries[i].error == EEXIST);
		}
		ck_assert_int_eq(winners, 1);
		help_clean(board->store);
		help_gate_drop(&board->start);
		munmap(board, sizeof *board);
	}
}
END_TEST

/* The files get their mode in steps: nobody may see them half done. */
START_TEST(creation_with_a_mode_that_umask_would_cut)
{
	for (int round = 0; round < rounds(); round++) {
		make_board(help_store());
		board->flags = SAS_JOIN_CREATE;
		board->mode = 0666;
		umask(077);
		run_crowd(join_once);
		ck_assert_int_eq(unlink(help_path(board->store, "SAS.run")), 0);
		run_crowd(join_once);
		help_works(board->store);
		help_gate_drop(&board->start);
		munmap(board, sizeof *board);
	}
}
END_TEST

static void join_classic(void *arg)
{
	(void)arg;
	help_gate_await(&board->start);
	for (int i = 0; i < 20; i++) {
		void *block;

		help_succeeds(SASJoinRegion() == 0);
		block = SASBlockAlloc(4096);
		help_succeeds(block != NULL);
		SASBlockDealloc(block, 4096);
		SASCleanUp();
		ck_assert_ptr_null(SASRegionDefault());
	}
}

START_TEST(eight_classic_joins_from_nothing)
{
	make_board(help_store());
	help_classic(board->store);
	run_crowd(join_classic);
	ck_assert_uint_eq(help_inspect(board->store).generation, 20 * CROWD);
	ck_assert_uint_eq(help_inspect(board->store).blocksInUse, 0);
	help_works(board->store);
}
END_TEST

/* --- joining, allocating, freeing, leaving */

static void work(void *arg)
{
	int number = ((struct place *)arg)->number;
	uint64_t seed = (uint64_t)number;

	help_gate_await(&board->start);
	for (int i = 0; i < rounds(); i++) {
		SASRegion_t region = try_join(SAS_JOIN_CREATE);
		void *blocks[8];
		size_t sizes[8];

		help_succeeds(region != NULL);
		for (int b = 0; b < 8; b++) {
			sizes[b] = 4096UL << help_below(&seed, b ? 8 : 10);
			blocks[b] = SASRegionBlockAlloc(region, sizes[b]);
			help_succeeds(blocks[b] != NULL);
			memset(blocks[b], number + 1, 64);
		}
		for (int b = 0; b < 8; b++) {
			ck_assert_int_eq(*(char *)blocks[b], number + 1);
			help_succeeds(SASBlockFree(blocks[b], sizes[b]) == 0);
		}
		help_leave(region);
	}
}

START_TEST(eight_that_work_in_a_loop)
{
	make_board(help_store());
	run_crowd(work);
	ck_assert_uint_eq(help_inspect(board->store).blocksInUse, 0);
	ck_assert_uint_eq(help_inspect(board->store).clean, 1);
	ck_assert_uint_eq(help_inspect(board->store).participantsAlive, 0);
	ck_assert_uint_eq(help_inspect(board->store).participantsDead, 0);
	help_works(board->store);
}
END_TEST

/* --- removing and resetting meanwhile */

static void must_be_stale(int holds, const char *what)
{
	ck_assert_msg(holds || errno == ESTALE, "%s: %s", what, SASLastErrorMessage());
}

static void disturb(void *arg)
{
	int number = ((struct place *)arg)->number;
	uint64_t seed = (uint64_t)number * 77 + 5;

	help_gate_await(&board->start);
	for (int i = 0; i < rounds(); i++) {
		SASRegion_t region = try_join(SAS_JOIN_CREATE);
		size_t size = help_below(&seed, 3) ? 4096 : 2 * HELP_SEGMENT;
		void *block;

		help_succeeds(region != NULL);
		block = SASRegionBlockAlloc(region, size);
		must_be_stale(block != NULL, "alloc");
		if (block)
			must_be_stale(SASBlockFree(block, size) == 0, "free");
		switch (help_below(&seed, 6)) {
		case 0:
			if (SASRegionRemove(region) == 0)
				continue;
			must_be_stale(0, "remove");
			break;
		case 1:
			must_be_stale(SASRegionReset(region) == 0, "reset");
			block = SASRegionBlockAlloc(region, 4096);
			must_be_stale(block != NULL, "alloc after reset");
			break;
		case 2:
			must_be_stale(SASRegionSetFinder(region, NULL) == 0, "finder");
			break;
		default:
			break;
		}
		help_leave(region);
	}
}

START_TEST(remove_and_reset_beside_joins_and_allocations)
{
	make_board(help_store());
	run_crowd(disturb);
	help_leave(try_join(SAS_JOIN_CREATE));
	help_works(board->store);
}
END_TEST

static void remove_by_path(void *arg)
{
	int number = ((struct place *)arg)->number;

	help_gate_await(&board->start);
	for (int i = 0; i < rounds(); i++) {
		SASRegion_t region;
		void *block;

		if (number % 2) {
			if (SASRegionRemovePath(board->store, number == 1) != 0)
				ck_assert_msg(errno == ENOENT || errno == EBUSY || errno == ESTALE,
					      "remove: %d %s", errno, SASLastErrorMessage());
			continue;
		}
		region = try_join(SAS_JOIN_CREATE);
		help_succeeds(region != NULL);
		block = SASRegionBlockAlloc(region, 2 * HELP_SEGMENT);
		must_be_stale(block != NULL, "alloc");
		if (block)
			must_be_stale(SASBlockFree(block, 2 * HELP_SEGMENT) == 0, "free");
		help_leave(region);
	}
}

START_TEST(remove_by_path_beside_joins)
{
	make_board(help_store());
	run_crowd(remove_by_path);
	help_leave(try_join(SAS_JOIN_CREATE));
	help_works(board->store);
}
END_TEST

/* --- kills */

static void create_to_be_killed(void *arg)
{
	SASRegion_t region;

	(void)arg;
	help_gate_open(&board->start);
	region = try_join(SAS_JOIN_CREATE);
	if (region)
		SASRegionBlockAlloc(region, 4096);
	for (;;)
		pause();
}

static void join_to_be_killed(void *arg)
{
	(void)arg;
	help_gate_open(&board->start);
	for (;;) {
		SASRegion_t region = try_join(SAS_JOIN_CREATE);
		void *block = region ? SASRegionBlockAlloc(region, 4096) : NULL;

		if (block)
			SASBlockFree(block, 4096);
		if (region)
			SASRegionLeave(region);
	}
}

static void reset_to_be_killed(void *arg)
{
	(void)arg;
	help_gate_open(&board->start);
	for (;;) {
		SASRegion_t region = try_join(SAS_JOIN_CREATE);

		if (region && SASRegionBlockAlloc(region, 2 * HELP_SEGMENT) && SASRegionReset(region) == 0)
			SASRegionBlockAlloc(region, 2 * HELP_SEGMENT);
		if (region)
			SASRegionRemove(region);
	}
}

/* Start one, kill it at a random instant after it has begun, and look at what it leaves. */
static void kill_rounds(void (*body)(void *), uint64_t span, int fresh)
{
	uint64_t seed = 12345;

	for (int round = 0; round < 2 * rounds(); round++) {
		SASRegion_t region;
		pid_t child;

		if (!round || fresh)
			make_board(help_store());
		child = help_fork(body, NULL);
		help_gate_await(&board->start);
		help_spin(help_below(&seed, span));
		kill(child, SIGKILL);
		ck_assert_int_eq(help_wait(child, 60), 128 + SIGKILL);
		region = try_join(SAS_JOIN_CREATE);
		help_succeeds(region != NULL);
		ck_assert_uint_eq(help_info(region).participants, 1);
		ck_assert_int_eq(help_files(board->store, "SAS.tmp."), 0);
		help_leave(region);
		help_works(board->store);
		if (!fresh)
			continue;
		help_gate_drop(&board->start);
		munmap(board, sizeof *board);
	}
}

START_TEST(creator_killed_anywhere_leaves_a_place_to_create)
{
	kill_rounds(create_to_be_killed, 4000000, 1);
}
END_TEST

START_TEST(joiner_killed_anywhere_leaves_a_whole_region)
{
	kill_rounds(join_to_be_killed, 8000000, 0);
}
END_TEST

START_TEST(who_resets_and_removes_killed_anywhere)
{
	kill_rounds(reset_to_be_killed, 16000000, 0);
}
END_TEST

/* Peers that live while others are killed: theirs go on. */
static void work_beside_kills(void *arg)
{
	(void)arg;
	for (int i = 0; i < 5 * rounds(); i++) {
		SASRegion_t region = try_join(SAS_JOIN_CREATE);
		void *block;

		help_succeeds(region != NULL);
		block = SASRegionBlockAlloc(region, 8192);
		help_succeeds(block != NULL);
		help_succeeds(SASBlockFree(block, 8192) == 0);
		help_leave(region);
	}
}

START_TEST(living_go_on_while_others_are_killed)
{
	uint64_t seed = 99;
	pid_t peer;

	make_board(help_store());
	peer = help_fork(work_beside_kills, NULL);
	for (int round = 0; round < rounds(); round++) {
		pid_t child = help_fork(join_to_be_killed, NULL);

		help_gate_await(&board->start);
		help_spin(help_below(&seed, 4000000));
		kill(child, SIGKILL);
		ck_assert_int_eq(help_wait(child, 60), 128 + SIGKILL);
	}
	help_done(peer);
	help_works(board->store);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("join_race");
	TCase *crowd = tcase_create("crowd"), *killed = tcase_create("killed");

	tcase_set_timeout(crowd, (int)help_size(120, 120, 3600));
	tcase_set_timeout(killed, (int)help_size(120, 120, 3600));
	tcase_add_test(crowd, eight_that_create_at_once_make_one_region);
	tcase_add_test(crowd, exactly_one_of_eight_creates_exclusively);
	tcase_add_test(crowd, creation_with_a_mode_that_umask_would_cut);
	tcase_add_test(crowd, eight_classic_joins_from_nothing);
	tcase_add_test(crowd, eight_that_work_in_a_loop);
	tcase_add_test(crowd, remove_and_reset_beside_joins_and_allocations);
	tcase_add_test(crowd, remove_by_path_beside_joins);
	tcase_add_test(killed, creator_killed_anywhere_leaves_a_place_to_create);
	help_add_death(killed, joiner_killed_anywhere_leaves_a_whole_region);
	help_add_death(killed, who_resets_and_removes_killed_anywhere);
	help_add_death(killed, living_go_on_while_others_are_killed);
	suite_add_tcase(s, crowd);
	suite_add_tcase(s, killed);
	return help_main(s);
}
