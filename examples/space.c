/* SPDX-License-Identifier: MIT */
/*
 * space.c - a table in a simple space: one range of bytes that the program lays out itself. The region is the directory
 * SASSTOREPATH, else the working directory.
 */
#include <stdio.h>
#include <time.h>
#include <sassim.h>
#include <sassimplespace.h>

struct table {
	long runs;
	time_t when[4000];
};

int main(void)
{
	SASSimpleSpace_t space;
	struct table *table;

	if (SASJoinRegion() != 0) {
		perror("SASJoinRegion");
		return 1;
	}
	space = getSASFinder();
	if (space == NULL && (space = SASSimpleSpaceCreate(sizeof *table)) != NULL)
		setSASFinder(space);
	table = SASSimpleSpaceToAddr(space);
	if (table == NULL) {
		perror("space");
		return 1;
	}
	if (table->runs < 4000)
		table->when[table->runs++] = time(NULL);
	printf("Run %ld of the table in the space at %p.\n", table->runs, space);
	for (long i = 0; i < table->runs; i++)
		printf("%s", ctime(&table->when[i]));
	SASCleanUp();
	return 0;
}
