/* SPDX-License-Identifier: MIT */
/*
 * index.c - an index: measurements by time, in order. Each run adds some, and shows the newest ones of all runs. Start several at a time:
 * nothing is locked, and nothing is lost. The region is the directory SASSTOREPATH, else the working directory.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <sassim.h>
#include <sasalloc.h>
#include <sasindex.h>
#include <sasindexenum.h>
#include <saslock.h>

/* The root of the region: whoever is first makes the index. */
static SASIndex_t find_index(void)
{
	vm_address_t finder_lock = (vm_address_t)1;
	SASIndex_t index;

	SASLock(finder_lock, SasUserLock__WRITE);
	index = getSASFinder();
	if (index == NULL) {
		index = SASIndexCreate(block__Size64K);
		setSASFinder(index);
	}
	SASUnlock(finder_lock);
	return index;
}

/* Two words: nanoseconds since 1970, and who measured, so that no two keys are the same. */
static SASIndexKey_t make_key(void)
{
	SASIndexKey_t key = { .compare_size = 16, .copy_size = 24 };
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	key.data[0] = (machine_uint_t)now.tv_sec * 1000000000 + (machine_uint_t)now.tv_nsec;
	key.data[1] = (machine_uint_t)getpid();
	return key;
}

int main(int argc, char **argv)
{
	long count = argc > 1 ? strtol(argv[1], NULL, 0) : 1000;
	SASIndexEnum_t newest;
	SASIndexKey_t key;
	SASIndex_t index;
	void *value;

	if (SASJoinRegion() != 0) {
		perror("SASJoinRegion");
		return 1;
	}
	index = find_index();
	if (index == NULL) {
		perror("SASIndexCreate");
		return 1;
	}
	for (long i = 1; i <= count;) {
		key = make_key();
		if (SASIndexPut(index, &key, (void *)i)) {
			i++;
		} else if (errno != EEXIST) {           /* the clock has not gone on: try again */
			perror("SASIndexPut");
			return 1;
		}
	}
	printf("%ld measurements.\n", SASIndexGetCurCount(index));

	newest = SASIndexEnumCreate(index);
	SASIndexEnumSeek(newest, NULL, 1);      /* behind the last one */
	for (int i = 0; i < 3 && (value = SASIndexEnumPrevious(newest)) != NULL; i++) {
		key = *SASIndexEnumCurrent(newest);
		printf("Number %ld of process %lu at %lu.%09lu.\n", (long)value, key.data[1], key.data[0] / 1000000000,
		       key.data[0] % 1000000000);
	}
	SASIndexEnumDestroy(newest);
	SASCleanUp();
	return 0;
}
