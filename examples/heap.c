/* SPDX-License-Identifier: MIT */
/*
 * heap.c - a list in a simple heap: each run adds a line, and prints all. The region is the directory SASSTOREPATH, else the
 * working directory.
 */
#include <stdio.h>
#include <string.h>
#include <sassim.h>
#include <saslock.h>
#include <sassimpleheap.h>

struct line {
	struct line *next;
	char text[];
};

/* The heap is the region's root, and its owner's word is the list. */
static SASSimpleHeap_t find_heap(void)
{
	SASSimpleHeap_t heap;

	SASLock((vm_address_t)1, SasUserLock__WRITE);   /* any address is a lock */
	heap = getSASFinder();
	if (heap == NULL) {
		heap = SASSimpleHeapCreate(65536);
		setSASFinder(heap);
	}
	SASUnlock((vm_address_t)1);
	return heap;
}

int main(int argc, char **argv)
{
	const char *text = argc > 1 ? argv[1] : "a line";
	SASSimpleHeap_t heap;
	struct line *line;

	if (SASJoinRegion() != 0 || (heap = find_heap()) == NULL) {
		perror("heap");
		return 1;
	}
	printf("A list in the heap at %p.\n", heap);
	SASLock(heap, SasUserLock__WRITE);              /* of the list, too; the call below nests in it */
	line = SASSimpleHeapAlloc(heap, sizeof *line + strlen(text) + 1);
	if (line != NULL) {
		strcpy(line->text, text);
		line->next = getSASBlockSpecial(heap);
		setSASBlockSpecial(heap, line);         /* one store: a death before it leaves the old list */
	}
	for (line = getSASBlockSpecial(heap); line != NULL; line = line->next)
		printf("%s\n", line->text);
	SASUnlock(heap);
	printf("%zu bytes are free.\n", SASSimpleHeapFreeSpace(heap));
	SASCleanUp();
	return 0;
}
