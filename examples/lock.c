/* SPDX-License-Identifier: MIT */
/*
 * lock.c - the second program: processes that work on one block, each with its lock. Start several at a time; none of
 * the turns is lost, whatever becomes of the others. The region is the directory SASSTOREPATH, else the working directory.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <sassim.h>
#include <sasalloc.h>
#include <saslock.h>

struct tally {
	long turns, check;              /* always the same, when nobody holds the lock */
	long last;
};

/* The root of the region. Its own address is not known yet, so another one is the lock: any will do. */
static struct tally *find_tally(void)
{
	vm_address_t finder_lock = (vm_address_t)1;
	struct tally *tally;

	SASLock(finder_lock, SasUserLock__WRITE);
	tally = getSASFinder();
	if (tally == NULL) {
		tally = SASBlockAlloc(4096);
		setSASFinder(tally);
	}
	SASUnlock(finder_lock);
	return tally;
}

int main(int argc, char **argv)
{
	long turns = argc > 1 ? strtol(argv[1], NULL, 0) : 1000, found;
	struct tally *tally;

	if (SASJoinRegion() != 0) {
		perror("SASJoinRegion");
		return 1;
	}
	tally = find_tally();
	if (tally == NULL) {
		perror("SASBlockAlloc");
		return 1;
	}
	SASLock(tally, SasUserLock__READ);      /* others may read at the same time */
	found = tally->turns;
	SASUnlock(tally);
	while (turns-- > 0) {
		SASLock(tally, SasUserLock__WRITE);     /* nobody else reads or writes */
		tally->turns++;
		tally->last = getpid();
		tally->check++;
		SASUnlock(tally);
	}
	SASLock(tally, SasUserLock__READ);
	printf("Found %ld turns, left %ld, the last one by process %ld.\n", found, tally->turns, tally->last);
	if (tally->turns != tally->check)
		printf("Somebody was killed in the middle of a turn: %ld and %ld.\n", tally->turns, tally->check);
	SASUnlock(tally);
	SASCleanUp();
	return 0;
}
