/* SPDX-License-Identifier: MIT */
/*
 * retire.c - from an entry that was replaced or removed to a block that is free, while readers may
 * still stand on it, and while updaters may be killed at any instruction.
 *
 *     1  its edges are unlinked       readers that stand on one go on along its `next`
 *     2  SASEpochFree                 the library frees the block when all sections have ended that were
 *                                     open then, whoever lives at that time
 *
 * Crash: before the end of 2 the block is in use, carries the generation of the process that had
 * allocated it, and is in no list of versions: a leak, once that process is dead. Who finds it
 * (leaks.c) begins at 1 again. After 2 it is the library's. The lock of the package is held from the
 * store that unlisted the version to the end of 2: so a version that is not listed, while one has that
 * lock, is in nobody's hands.
 */
#include <errno.h>
#include <sched.h>
#include <sassim.h>
#include <sasepoch.h>
#include "board.h"
#include "packages.h"

/* The lock of the package is held. */
void retire(struct version_block *block, struct updater *me)
{
	int failed;

	version_unlink(&block->version, me);
	linger(block->version.sequence, GAP_UNLINKED);
	board_enter(me, CALL_RETIRE);
	/* EAGAIN: as much is held back as may be, by readers that have not left yet. */
	while ((failed = SASEpochFree(block, block->head.size)) != 0 && errno == EAGAIN)
		sched_yield();
	board_leave(me);
	if (failed)
		die("a block to be freed: %s", SASLastErrorMessage());
}

/* Until all is free that was retired, by whomever. The readers have left. */
void retire_finish(void)
{
	SASEpochInfo info = { .structSize = sizeof(info) };

	do {
		if (SASEpochSynchronize(NULL, -1) != 0 || SASEpochReclaim(NULL) < 0 ||
		    SASEpochGetInfo(NULL, &info) != 0)
			die("what was retired: %s", SASLastErrorMessage());
	} while (info.heldFrees > 0);
}
