/* SPDX-License-Identifier: MIT */
/*
 * stack.c - lines on a simple stack, of 64 bytes each: each run puts one on it; what was half done goes back down. The region is the
 * directory SASSTOREPATH, else the working directory.
 */
#include <stdio.h>
#include <sassim.h>
#include <sassimplestack.h>

#define LINE 64

int main(int argc, char **argv)
{
	SASSimpleStack_t stack;
	char *first, *line, *scratch;

	if (SASJoinRegion() != 0) {
		perror("SASJoinRegion");
		return 1;
	}
	stack = getSASFinder();
	if (stack == NULL && (stack = SASSimpleStackCreate(65536)) != NULL)
		setSASFinder(stack);
	line = SASSimpleStackAlloc(stack, LINE);
	if (line == NULL) {
		perror("stack");
		return 1;
	}
	snprintf(line, LINE, "%s", argc > 1 ? argv[1] : "a line");
	scratch = SASSimpleStackAlloc(stack, 10000);    /* what is needed for a while... */
	SASSimpleStackDealloc(stack, scratch);          /* ...and all that came after it */
	first = (char *)stack + 4096;
	printf("%td lines on the stack at %p.\n", (line - first) / LINE + 1, stack);
	for (; first <= line; first += LINE)
		printf("%s\n", first);
	SASCleanUp();
	return 0;
}
