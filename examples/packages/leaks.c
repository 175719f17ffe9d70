/* SPDX-License-Identifier: MIT */
/*
 * leaks.c - find the blocks that the dead held, and give them back, while others change the graph.
 *
 * Each block carries the generation of the process that allocated it. A block whose generation is on the
 * board of none of the living is a leak when nothing leads to it from the root:
 *     not filled, or a name that is not in its bucket: nobody but its dead holder ever saw it. It is freed.
 *     a version that is filled and not listed: its edges may be in reverse lists, and it may have been
 *         an entry until somebody replaced it, and died. It is retired like any replaced entry (retire.c).
 * A block that the dead had unlisted, but that a living process had allocated, is found when that one
 * is dead too.
 *
 * One at a time cleans up: the lock of the root. Looking is done in a section, so that what is looked
 * at stays; but the others go on, and may have a version in their hands that they have just replaced.
 * So under the lock of the package it is looked at again: if the block is still of the dead generation,
 * it is not retired, and if it is still not listed, nobody will retire it but us.
 *
 * Crash: each block is one step that is not begun, or done, or can be repeated; whoever starts next
 * scans again.
 */
#include <stdlib.h>
#include <string.h>
#include <sassim.h>
#include <sasepoch.h>
#include <sasregion.h>
#include "board.h"
#include "packages.h"

#define GENERATION_RETIRED 0xffffffu            /* SASEpochFree() has it: the library's, until it is free */

struct leak {
	SASBlockInfo block;
	struct package *package;                /* of a filled version; else NULL */
};

static SASBlockInfo *list_blocks(struct updater *me, long *count)
{
	long room = 16384;
	SASBlockInfo *blocks = NULL;

	for (;;) {
		blocks = realloc(blocks, (size_t)room * sizeof(*blocks));
		if (blocks == NULL)
			die("no memory");
		board_enter(me, CALL_LIST);
		*count = SASRegionListBlocks(SASRegionDefault(), SASBlock__IN_USE, blocks, (size_t)room);
		board_leave(me);
		if (*count < 0)
			die("the list of blocks: %s", SASLastErrorMessage());
		if (*count <= room)
			return blocks;
		room = *count + *count / 4;
	}
}

static int is_of_the_dead(const struct board *board, const SASBlockInfo *block)
{
	return block->generation != 0 && block->generation != GENERATION_RETIRED &&
	       !board_is_living(board, block->generation);
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
		return version_is_listed(&((struct version_block *)head)->version);
	default:
		return 0;
	}
}

static struct package *package_of_block(struct block_head *head)
{
	if (!is_filled(head) || head->kind != BLOCK_VERSION)
		return NULL;
	return ((struct version_block *)head)->version.package;
}

static void enter_section(struct updater *me)
{
	board_enter(me, CALL_EPOCH);
	if (SASEpochEnter(NULL) != 0)
		die("a section: %s", SASLastErrorMessage());
	board_leave(me);
}

static void leave_section(struct updater *me)
{
	board_enter(me, CALL_EPOCH);
	SASEpochExit(NULL);
	board_leave(me);
}

/*
 * What looks like a leak now, in memory of the caller. The generation is looked up before the block is
 * looked into: what a dead process had written is final.
 */
static struct leak *find(const struct root *root, const struct board *board, struct updater *me,
			 uint64_t *found, uint64_t *retired)
{
	struct leak *leaks;
	SASBlockInfo *blocks;
	long count;

	*found = *retired = 0;
	enter_section(me);
	blocks = list_blocks(me, &count);
	leaks = calloc((size_t)count + 1, sizeof(*leaks));
	if (leaks == NULL)
		die("no memory");
	for (long i = 0; i < count; i++) {
		struct block_head *head = blocks[i].address;

		*retired += blocks[i].generation == GENERATION_RETIRED;
		if (is_of_the_dead(board, &blocks[i]) && !is_reached(root, head))
			leaks[(*found)++] = (struct leak){ blocks[i], package_of_block(head) };
	}
	leave_section(me);
	free(blocks);
	return leaks;
}

/*
 * There is still a block of the dead process. When it was listed its process may have lived, and have freed it
 * and allocated another one in its place before it died: what is found now, of a dead one, is final.
 */
static int is_there(struct leak *leak, struct updater *me)
{
	void *address = leak->block.address;
	uint32_t generation = leak->block.generation;
	int there;

	board_enter(me, CALL_LIST);
	there = SASBlockFind(address, &leak->block) == 0;
	board_leave(me);
	return there && leak->block.address == address && leak->block.generation == generation;
}

static void free_unseen(struct leak *leak, struct updater *me)
{
	int failed;

	if (!is_there(leak, me))
		return;
	board_enter(me, CALL_FREE);
	failed = SASBlockFree(leak->block.address, leak->block.size);
	board_leave(me);
	if (failed)
		die("a leaked block: %s", SASLastErrorMessage());
	atomic_fetch_add_explicit(&me->freed, 1, memory_order_relaxed);
}

static void free_version(struct leak *leak, struct updater *me)
{
	struct version_block *block = leak->block.address;

	lock_take(me, leak->package, SasUserLock__WRITE);
	if (is_there(leak, me) && !version_is_listed(&block->version)) {
		retire(block, me);
		atomic_fetch_add_explicit(&me->freed, 1, memory_order_relaxed);
	}
	lock_give(me, leak->package);
}

void leaks_free(struct root *root, const struct board *board, struct updater *me)
{
	uint64_t found, retired;
	struct leak *leaks;

	lock_take(me, root, SasUserLock__WRITE);
	leaks = find(root, board, me, &found, &retired);
	for (uint64_t i = 0; i < found; i++)
		if (leaks[i].package == NULL)
			free_unseen(&leaks[i], me);
		else
			free_version(&leaks[i], me);
	lock_give(me, root);
	free(leaks);
}

/* For who is alone: how many leaks there are, and blocks that are retired and not free yet. */
uint64_t leaks_count(const struct root *root, const struct board *board, uint64_t *retired)
{
	uint64_t found;

	free(find(root, board, NULL, &found, retired));
	return found;
}
