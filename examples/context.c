/* SPDX-License-Identifier: MIT */
/*
 * context.c - an image by its name: the context that the finder names is a directory of what the region holds. Run it
 * twice: the second run finds what the first one left. The region is the directory SASSTOREPATH, else the working directory.
 */
#include <stdio.h>
#include <sassim.h>
#include <sasalloc.h>
#include <saslock.h>
#include <sphcontext.h>

int main(void)
{
	SPHContext_t finderContext;
	char *block;

	if (SASJoinRegion() != 0) {
		perror("SASJoinRegion");
		return 1;
	}
	SASLock((vm_address_t)getMemLow(), SasUserLock__WRITE);         /* any address is a lock: one of several makes it */
	finderContext = getSASFinder();
	if (finderContext != NULL)
		printf("The finder leads to the context at %p.\n", finderContext);
	else {  /* first time logic, only executes once */
		finderContext = SPHContextCreate(block__Size64K);
		setSASFinder(finderContext);
		printf("Made the context at %p.\n", finderContext);
	}
	SASUnlock((vm_address_t)getMemLow());

	block = SPHContextFindByName(finderContext, "my_image_buffer");
	if (block == NULL) {
		block = SASBlockAlloc(block__Size4M);
		if (block == NULL || !SPHContextAddName(finderContext, "my_image_buffer", block)) {
			fprintf(stderr, "my_image_buffer: %s\n", SASLastErrorMessage());
			return 1;
		}
		SPHContextAddAlias(finderContext, "newest", block);     /* an address may have many names */
	}
	SASLock(block, SasUserLock__WRITE);                             /* others find it now */
	block[0]++;
	printf("Image at %p, drawn %d times; it is called \"%s\".\n", (void *)block, block[0],
	       (const char *)SPHContextFindByAddr(finderContext, block));
	SASUnlock(block);
	SASCleanUp();
	return 0;
}
