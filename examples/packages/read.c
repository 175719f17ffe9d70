/* SPDX-License-Identifier: MIT */
/*
 * read.c - read STORE BOARD SLOT: a reader that asks and checks until it is told to stop. It takes no
 * lock and waits for nobody, so the updaters' deaths must not show in its times.
 *
 * A query is a section of an epoch: what it can see is not given back meanwhile (retire.c). Some
 * queries also call the library, which takes the lock that a killed updater may have held. The times
 * include what the reader waits for a processor; how long that is shows work of about the same length
 * that touches no region.
 */
#include <string.h>
#include <sassim.h>
#include <sasepoch.h>
#include <sasregion.h>
#include "board.h"
#include "packages.h"

#define REVERSE_MOST 64                         /* edges of a reverse list that a query looks at */

static int names_package(const struct version *version, const struct package *package)
{
	for (uint64_t d = 0; d < version->dependency_count; d++)
		for (uint64_t e = 0; e < version->dependencies[d].edge_count; e++)
			if (version->dependencies[d].edges[e].to == package)
				return 1;
	return 0;
}

static int versions_are_sound(const struct package *package, const struct version *newest)
{
	for (const struct version *v = newest; v != NULL; v = v->older)
		if (v->package != package || v->checksum != version_checksum(v))
			return 0;
	return 1;
}

static int reverse_is_sound(const struct package *package)
{
	int left = REVERSE_MOST;

	for (struct edge *e = follow(&package->reverse); e != NULL && left > 0; e = follow(&e->next), left--)
		if (e->to != package || (version_is_listed(e->from) && !names_package(e->from, package)))
			return 0;
	return 1;
}

static void stay(void)
{
	uint64_t until = now() + 200000;

	while (now() < until)
		;
}

/*
 * A query without the library: one name, its versions, who needs it. A slow one stays with a version
 * in its hands.
 */
static int ask_graph(const struct root *root, uint64_t number, int slowly)
{
	struct package *package = package_of_number(root, number);
	struct version *newest;

	if (package == NULL)
		return number >= root->name_count;
	newest = follow(&package->versions);
	if (slowly)
		stay();
	return package->number == number && versions_are_sound(package, newest) && reverse_is_sound(package);
}

/* The library knows the block that a version lies in. */
static int ask_block(const struct root *root, uint64_t number)
{
	struct package *package = package_of_number(root, number);
	struct version *version = package == NULL ? NULL : follow(&package->versions);
	SASBlockInfo info;

	if (version == NULL)
		return 1;
	return SASBlockFind(version, &info) == 0 && info.generation != 0 &&
	       (char *)version >= (char *)info.address && (char *)version < (char *)info.address + info.size;
}

static int ask_for_space(void)
{
	uint64_t *block = SASBlockAlloc(4096);
	int zero = block != NULL && block[0] == 0 && block[511] == 0;

	if (block == NULL)
		return 0;
	block[0] = block[511] = 1;
	return SASBlockFree(block, 4096) == 0 && zero;
}

static void work_in_private(struct reader *reader)
{
	static unsigned char memory[16384];
	uint64_t start = now();

	memory[0] ^= (unsigned char)mix(start, memory, sizeof(memory));
	keep_longest(&reader->longest_pause, start);
}

/*
 * Which number a query is about: one of all, one of those that updaters work on, or, for a slow query,
 * the one that they will change next but one: an entry given back too early would be noticed.
 */
static uint64_t choose_number(const struct root *root, const struct board *board, uint64_t random, int slowly)
{
	uint64_t draws = atomic_load_explicit(&board->draws, memory_order_relaxed);

	if (slowly)
		return drawn_number(root, board->seed, draws + 1);
	return random & 1 ? busy_number(root, random >> 1) : (random >> 1) % root->name_count;
}

/* A query in a section of its own. */
static int ask_inside(const struct root *root, uint64_t number, int calls, int slowly)
{
	int right;

	if (SASEpochEnter(NULL) != 0)
		return 0;
	right = calls ? ask_block(root, number) : ask_graph(root, number, slowly);
	return SASEpochExit(NULL) == 0 && right;
}

/* Every 16th query calls the library, every 64th allocates; every 256th of the others is slow. */
static int ask(const struct root *root, struct board *board, struct reader *reader, uint64_t turn,
	       uint64_t random)
{
	int slowly = turn % 256 == 7, calls = turn % 16 == 0;
	uint64_t number = choose_number(root, board, random, slowly);
	uint64_t start = now();
	int right = turn % 64 == 0 ? ask_for_space() : ask_inside(root, number, calls, slowly);

	keep_longest(calls ? &reader->longest_call : &reader->longest_query, start);
	atomic_fetch_add_explicit(calls ? &reader->calls : &reader->queries, 1, memory_order_relaxed);
	return right;
}

static void run(const struct root *root, struct board *board, struct reader *reader, uint64_t slot)
{
	for (uint64_t turn = 1; atomic_load(&board->readers_stop) == 0; turn++) {
		if (turn % 4 == 1)
			work_in_private(reader);
		if (ask(root, board, reader, turn, random_of(turn << 4 | slot)))
			continue;
		complain("reader %d: wrong answer in turn %llu: %s", (int)slot, (unsigned long long)turn,
			 SASLastErrorMessage());
		atomic_fetch_add_explicit(&reader->wrong, 1, memory_order_relaxed);
	}
}

int command_read(int argc, char **argv)
{
	struct board *board;
	struct reader *reader;
	struct joined joined;
	uint64_t slot;

	if (argc != 4)
		die("usage: read STORE BOARD SLOT");
	board = board_open(argv[2]);
	slot = number_argument(argv[3], BOARD_READERS - 1);
	reader = &board->readers[slot];
	joined = join_store(slot == 0 ? "reader" : NULL, argv[1]);
	if (joined.root == NULL)
		die("%s: nothing is loaded", argv[1]);
	atomic_store_explicit(&reader->generation, joined.generation, memory_order_seq_cst);
	run(joined.root, board, reader, slot);
	SASCleanUp();
	return 0;
}
