/* SPDX-License-Identifier: MIT */
/*
 * update.c - update STORE BOARD [finish]: the only updater. It adds, replaces and removes
 * entries until somebody kills it, at any instruction.
 *
 * One change, and what a death leaves:
 *     1  the change is written on the board as begun
 *     2  SASBlockAlloc, filled, marked as filled      a block that nothing leads to
 *     3  its edges are linked into reverse lists      readers skip them: their version is not listed
 *     4  publish(&package->versions, ...)             THE store: before it nothing has changed; after
 *                                                     it the new entry is there, what it replaces is
 *                                                     not, and so are all their reverse dependencies
 *     5  the change is acknowledged on the board
 *     6  what was replaced or removed is retired      (retire.c)
 * A death before 4 leaves a block and perhaps edges to it, a death between 4 and 6 a block that was
 * replaced; the next updater finds either by its generation (leaks.c). A change that was begun and not
 * acknowledged may be there or not; there is one at most.
 */
#include <sched.h>
#include <string.h>
#include <unistd.h>
#include <sassim.h>
#include <sasregion.h>
#include "board.h"
#include "packages.h"

#define RETIRED_MOST 1024                       /* then wait for the readers */

static uint64_t count_versions(const struct package *package)
{
	uint64_t count = 0;

	for (const struct version *v = follow(&package->versions); v != NULL; v = v->older)
		count++;
	return count;
}

static enum action choose_action(const struct package *package, uint64_t random)
{
	uint64_t versions = package == NULL ? 0 : count_versions(package);

	if (versions == 0)
		return ACTION_ADD;
	if (random % 10 < 3 && versions < VERSIONS_MOST)
		return ACTION_ADD;
	return random % 10 < 7 ? ACTION_REPLACE : ACTION_REMOVE;
}

/* Steps 1 and 5. */
static void begin_change(struct board *board, uint64_t sequence, uint64_t number, enum action action)
{
	uint64_t begun = atomic_load_explicit(&board->begun, memory_order_relaxed);

	atomic_store_explicit(&board->sequence, sequence, memory_order_relaxed);
	board->changes[begun] = (struct change){ sequence, number, action };
	atomic_store_explicit(&board->begun, begun + 1, memory_order_release);
}

static void acknowledge_change(struct board *board)
{
	atomic_fetch_add_explicit(&board->acknowledged, 1, memory_order_release);
}

/* A name that the input does not have, in a block of its own. */
static struct package *add_name(struct root *root, uint64_t number, struct board *board)
{
	struct name_block *block;
	struct package_word *bucket;

	board_enter(board, CALL_ALLOC);
	block = SASBlockAlloc(4096);
	board_leave(board);
	if (block == NULL)
		die("no block for a name: %s", SASLastErrorMessage());
	block->head.kind = BLOCK_NAME;
	block->head.size = 4096;
	extra_name(block->name, sizeof(block->name), number - root->name_count);
	block->package.name = block->name;
	block->package.number = number;
	bucket = package_bucket(root, block->name, strlen(block->name));
	block->package.next = follow(bucket);
	atomic_store_explicit(&block->head.filled, GRAPH_MAGIC, memory_order_release);
	/* Publish: it has no version, so it is no entry yet, but it is there for good (G1). */
	publish(bucket, &block->package);
	return &block->package;
}

/* Steps 2 to 6. */
static void change(struct root *root, struct package *package, enum action action, uint64_t sequence,
		   struct board *board)
{
	struct version *newest = follow(&package->versions);
	struct version *replaced = action == ACTION_ADD ? NULL : newest;
	struct version *next = replaced == NULL ? newest : replaced->older;
	struct version_block *block;

	if (action != ACTION_REMOVE) {
		block = entry_make(root, package, sequence, next, board);
		next = &block->version;
		edges_of(next, edge_link);
		board_linger(board, GAP_LINKED);
	}
	/* Publish: see step 4 above. Pairs with follow() in every reader. */
	publish(&package->versions, next);
	board_linger(board, GAP_PUBLISHED);
	acknowledge_change(board);
	board_linger(board, GAP_ACKNOWLEDGED);
	if (replaced != NULL && replaced->sequence != 0)
		retire(root, version_block_of(replaced), board);
}

static void change_something(struct root *root, struct board *board)
{
	uint64_t sequence = atomic_load_explicit(&board->sequence, memory_order_relaxed) + 1;
	uint64_t number = changed_number(root, board->seed, sequence);
	uint64_t random = random_of(~(board->seed ^ sequence));
	struct package *package = package_of_number(root, number);
	enum action action = choose_action(package, random);

	scratch_use(board, random_of(random));
	begin_change(board, sequence, number, action);
	if (package == NULL)
		package = add_name(root, number, board);
	change(root, package, action, sequence, board);
}

static void clean_up_after_predecessor(struct root *root, uint32_t generation, struct board *board)
{
	retire_finish(root);
	leaks_free(root, generation, board);
	retire_reap(root, board);
}

/* Wait for a kill, or for the readers. */
static void run_until_killed(struct root *root, struct board *board)
{
	for (uint64_t turn = 0;; turn++) {
		if (turn % 16 == 0)
			retire_reap(root, board);
		if (turn % 16 == 0 && retire_length(root) > RETIRED_MOST)
			sched_yield();
		else if (atomic_load_explicit(&board->begun, memory_order_relaxed) == BOARD_CHANGES)
			pause();
		else
			change_something(root, board);
	}
}

int command_update(int argc, char **argv)
{
	struct board *board;
	struct joined joined;

	if (argc != 3 && (argc != 4 || strcmp(argv[3], "finish") != 0))
		die("usage: update STORE BOARD [finish]");
	board = board_open(argv[2]);
	board_enter(board, CALL_JOIN);
	joined = join_store(argc == 4 ? "updater" : NULL, argv[1]);
	board_leave(board);
	if (joined.root == NULL)
		die("%s: nothing is loaded", argv[1]);
	clean_up_after_predecessor(joined.root, joined.generation, board);
	atomic_store_explicit(&board->ready, 1, memory_order_release);
	if (argc == 3)
		run_until_killed(joined.root, board);
	while (retire_length(joined.root) > 0)
		retire_reap(joined.root, board);
	SASCleanUp();
	return 0;
}
