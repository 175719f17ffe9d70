/* SPDX-License-Identifier: MIT */
/*
 * retire.c - from an entry that was replaced or removed to a block that is free, while readers may
 * still stand on it, and while the updater may be killed at any instruction.
 *
 *     1  root->retired = block        it is on the list, era 0
 *     2  its edges are unlinked       readers that stand on one go on along its `next`
 *     3  block->era = root->era, then root->era + 1
 *     4  every reader has begun a new query, or is in none: its announced era is larger than 3's
 *     5  taken off the list           one store
 *     6  SASBlockFree
 *
 * Crash: the list is in the region, so it is not lost. After 1 or 2: era is 0, the next updater
 * repeats 2 and 3 (retire_finish); unlinking an edge twice does nothing. Between the stores of 3: the
 * block waits for one more retirement. After 4: nothing happened. After 5: nothing leads to the block
 * and it is in use; so is an entry between its replacement and 1. Both are found by the leak scan of
 * the next updater (leaks.c), which starts again at 1.
 */
#include <sassim.h>
#include <sasregion.h>
#include "board.h"
#include "packages.h"

/* Steps 2 and 3. */
static void unlink_and_stamp(struct root *root, struct version_block *block)
{
	uint64_t era = atomic_load_explicit(&root->era, memory_order_relaxed);

	edges_of(&block->version, edge_unlink);
	atomic_store_explicit(&block->era, era, memory_order_release);
	/* Publish: a reader that announces a larger era than the block's has seen all of the above. */
	atomic_store_explicit(&root->era, era + 1, memory_order_release);
}

void retire(struct root *root, struct version_block *block, struct board *board)
{
	atomic_store_explicit(&block->era, 0, memory_order_relaxed);
	publish(&block->retired, follow(&root->retired));
	/* Publish: from here on the block cannot be lost, whatever becomes of us. */
	publish(&root->retired, block);
	board_linger(board, GAP_RETIRED);
	unlink_and_stamp(root, block);
}

/* What a dead updater left half done. */
void retire_finish(struct root *root)
{
	for (struct version_block *b = follow(&root->retired); b != NULL; b = follow(&b->retired))
		if (atomic_load_explicit(&b->era, memory_order_relaxed) == 0)
			unlink_and_stamp(root, b);
}

static void give_back(struct board *board, struct version_block *block)
{
	int failed;

	board_enter(board, CALL_FREE);
	failed = SASBlockFree(block, block->head.size);
	board_leave(board);
	if (failed)
		die("a retired block: %s", SASLastErrorMessage());
}

/* Give back all that no reader can see any more. */
void retire_reap(struct root *root, struct board *board)
{
	uint64_t oldest = board_oldest_era(board);
	struct retired_word *link = &root->retired;
	struct version_block *block;

	while ((block = follow(link)) != NULL) {
		uint64_t era = atomic_load_explicit(&block->era, memory_order_relaxed);

		if (era == 0 || era >= oldest) {
			link = &block->retired;
			continue;
		}
		publish(link, follow(&block->retired));
		board_linger(board, GAP_TAKEN_OFF);
		give_back(board, block);
	}
}

uint64_t retire_length(const struct root *root)
{
	uint64_t length = 0;

	for (struct version_block *b = follow(&root->retired); b != NULL; b = follow(&b->retired))
		length++;
	return length;
}
