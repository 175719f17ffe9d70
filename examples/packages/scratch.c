/* SPDX-License-Identifier: MIT */
/*
 * scratch.c - working space that an updater takes and gives back between its changes, as programs
 * do. Nothing leads to it: when the updater dies, the generation alone tells that it was its own.
 */
#include <sassim.h>
#include <sasregion.h>
#include "board.h"
#include "packages.h"

#define PIECES 16
#define SIZES 7                                 /* 4 KiB to 256 KiB */
#define TURNS 32                                /* at most, between two changes */

static struct piece {
	unsigned char *block;
	size_t size;
} pieces[PIECES];

static void take(struct piece *piece, size_t size, struct updater *me)
{
	board_enter(me, CALL_ALLOC);
	piece->block = SASBlockAlloc(size);
	board_leave(me);
	if (piece->block == NULL)
		die("no scratch block of %zu bytes: %s", size, SASLastErrorMessage());
	piece->size = size;
	piece->block[sizeof(struct block_head)] = 1;    /* behind the mark: it is not a filled block */
}

static void give(struct piece *piece, struct updater *me)
{
	int failed;

	board_enter(me, CALL_FREE);
	failed = SASBlockFree(piece->block, piece->size);
	board_leave(me);
	if (failed)
		die("a scratch block: %s", SASLastErrorMessage());
	piece->block = NULL;
}

void scratch_use(struct updater *me, uint64_t random)
{
	for (uint64_t turns = random % TURNS; turns > 0; turns--) {
		struct piece *piece;

		random = random_of(random);
		piece = &pieces[random % PIECES];
		if (piece->block != NULL)
			give(piece, me);
		else
			take(piece, 4096u << random / PIECES % SIZES, me);
	}
}

/* An updater that ends in order leaves none. */
void scratch_give_all(struct updater *me)
{
	for (int i = 0; i < PIECES; i++)
		if (pieces[i].block != NULL)
			give(&pieces[i], me);
}
