/* SPDX-License-Identifier: MIT */
/*
 * join.c - the first program. Run it twice: the second run finds what the first one left, at the
 * same address. The region is the directory SASSTOREPATH, else the working directory.
 */
#include <stdio.h>
#include <unistd.h>
#include <sassim.h>

struct note {
	struct note *self;              /* a plain pointer, good in every process */
	long visits, visitor;
};

int main(void)
{
	struct note *note;

	if (SASJoinRegion() != 0) {             /* creates the region where there is none */
		perror("SASJoinRegion");
		return 1;
	}
	note = getSASFinder();                  /* the region's root: NULL in a new one */
	if (note != NULL) {
		printf("Process %ld was here before.\n", note->visitor);
	} else {
		note = SASBlockAlloc(4096);     /* zeroed memory that outlives this process */
		if (note == NULL) {
			perror("SASBlockAlloc");
			return 1;
		}
		note->self = note;
		setSASFinder(note);
		printf("Nobody was here before.\n");
	}
	note->visitor = getpid();
	printf("Visit %ld, at %p.\n", ++note->visits, (void *)note->self);
	SASCleanUp();
	return 0;
}
