/* SPDX-License-Identifier: MIT */
/*
 * leaks.c - find the blocks that a dead updater held, and give them back.
 *
 * Each block carries the generation of the process that allocated it. A block of a generation that
 * is none of the living is a leak when nothing leads to it from the root. What it is tells how far
 * its holder came:
 *     not filled             nobody else ever saw it, or scratch space: free it
 *     a name, not in a bucket: the same
 *     a version, filled      its edges may be in reverse lists, and it may have been an entry until
 *                            its holder replaced it: it is retired like any replaced entry (retire.c)
 *
 * Crash: each block is one step that is either not begun, on the retired list, or done; killed inside
 * the scan, the next updater scans again.
 */
#include <stdlib.h>
#include <string.h>
#include <sassim.h>
#include <sasregion.h>
#include "board.h"
#include "packages.h"

static SASBlockInfo *list_blocks(struct board *board, long *count)
{
	long room = 1024;
	SASBlockInfo *blocks = NULL;

	for (;;) {
		blocks = realloc(blocks, (size_t)room * sizeof(*blocks));
		if (blocks == NULL)
			die("no memory");
		if (board != NULL)
			board_enter(board, CALL_LIST);
		*count = SASRegionListBlocks(SASRegionDefault(), SASBlock__IN_USE, blocks, (size_t)room);
		if (board != NULL)
			board_leave(board);
		if (*count < 0)
			die("the list of blocks: %s", SASLastErrorMessage());
		if (*count <= room)
			return blocks;
		room = *count + *count / 4;
	}
}

static int is_living(const struct board *board, uint32_t mine, uint32_t generation)
{
	if (generation == 0 || generation == mine)
		return 1;
	for (int i = 0; i < BOARD_READERS; i++)
		if (atomic_load_explicit(&board->readers[i].generation, memory_order_acquire) == generation)
			return 1;
	return 0;
}

static int is_filled(struct block_head *head)
{
	return atomic_load_explicit(&head->filled, memory_order_acquire) == GRAPH_MAGIC;
}

static int arena_is_reached(const struct root *root, const struct block_head *head)
{
	const struct block_head *at = root->arenas;

	while (at != NULL && at != head)
		at = at->next;
	return at != NULL;
}

static int version_is_reached(const struct root *root, struct version_block *block)
{
	struct version_block *at = follow(&root->retired);

	if (version_is_listed(&block->version))
		return 1;
	while (at != NULL && at != block)
		at = follow(&at->retired);
	return at != NULL;
}

static int is_reached(const struct root *root, struct block_head *head)
{
	struct package *package = &((struct name_block *)head)->package;

	if (!is_filled(head))
		return 0;
	switch (head->kind) {
	case BLOCK_ARENA:
		return arena_is_reached(root, head);
	case BLOCK_NAME:
		return package_find(root, package->name, strlen(package->name)) == package;
	case BLOCK_VERSION:
		return version_is_reached(root, (struct version_block *)head);
	default:
		return 0;
	}
}

/* The leaks, in memory of the caller; `marks` is where library calls are marked, or NULL. */
SASBlockInfo *leaks_find(const struct root *root, uint32_t mine, const struct board *board,
			 struct board *marks, uint64_t *found)
{
	long count;
	SASBlockInfo *blocks = list_blocks(marks, &count);

	*found = 0;
	for (long i = 0; i < count; i++)
		if (!is_living(board, mine, blocks[i].generation) && !is_reached(root, blocks[i].address))
			blocks[(*found)++] = blocks[i];
	return blocks;
}

void leaks_free(struct root *root, uint32_t mine, struct board *board)
{
	uint64_t found;
	SASBlockInfo *leaks = leaks_find(root, mine, board, board, &found);

	for (uint64_t i = 0; i < found; i++) {
		struct block_head *head = leaks[i].address;
		int failed = 0;

		if (is_filled(head) && head->kind == BLOCK_VERSION) {
			retire(root, (struct version_block *)head, board);
			continue;
		}
		board_enter(board, CALL_FREE);
		failed = SASBlockFree(head, leaks[i].size);
		board_leave(board);
		if (failed)
			die("a leaked block: %s", SASLastErrorMessage());
	}
	free(leaks);
}
