/* SPDX-License-Identifier: MIT */
/*
 * hold.c - a participant for scripts: hold DIRECTORY [SIZE...] joins the region, allocates blocks of
 * these sizes, prints their addresses and then "ready", and stays until its standard input ends.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <sasregion.h>

static int failed(const char *what)
{
	fprintf(stderr, "hold: %s: %s\n", what, SASLastErrorMessage());
	return 1;
}

int main(int argc, char **argv)
{
	SASRegion_t region = argc > 1 ? SASRegionJoin(argv[1], NULL) : NULL;
	char byte;

	if (!region)
		return failed("join");
	for (int i = 2; i < argc; i++) {
		void *block = SASRegionBlockAlloc(region, strtoul(argv[i], NULL, 0));

		if (!block)
			return failed(argv[i]);
		printf("%p\n", block);
	}
	printf("ready\n");
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	return SASRegionLeave(region) ? failed("leave") : 0;
}
