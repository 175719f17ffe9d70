/* SPDX-License-Identifier: MIT */
/*
 * strings.c - a string tree: counts the words of standard input, over all runs. With an argument it shows the words
 * that begin so, and how often they came. The region is the directory SASSTOREPATH, else the working directory.
 */
#include <stdio.h>
#include <string.h>
#include <sassim.h>
#include <sasalloc.h>
#include <saslock.h>
#include <sasstringbtree.h>
#include <sasstringbtreeenum.h>

/* Counts are kept in place of pointers: a value is whatever fits. */
static void count_word(SASStringBTree_t words, const char *word)
{
	long count;

	/* Others may count the same word between the two calls: who holds the tree keeps them out. */
	SASLock(words, SasUserLock__WRITE);
	count = (long)SASStringBTreeGet_nolock(words, word);
	if (count == 0)
		SASStringBTreePut_nolock(words, word, (void *)1);
	else
		SASStringBTreeReplace_nolock(words, word, (void *)(count + 1));
	SASUnlock(words);
}

static void show(SASStringBTree_t words, char *prefix)
{
	SASStringBTreeEnum_t place = SASStringBTreeEnumCreateStartAt(words, prefix);
	long count;

	if (place == NULL)
		return;                 /* none at or above it */
	while (SASStringBTreeEnumHasMore(place)) {
		count = (long)SASStringBTreeEnumNext(place);
		if (strncmp(SASStringBTreeEnumCurrent(place), prefix, strlen(prefix)) != 0)
			break;
		printf("%s %ld\n", SASStringBTreeEnumCurrent(place), count);
	}
	SASStringBTreeEnumDestroy(place);
}

int main(int argc, char **argv)
{
	vm_address_t finder_lock = (vm_address_t)1;
	SASStringBTree_t words;
	char word[200];

	if (SASJoinRegion() != 0) {
		perror("SASJoinRegion");
		return 1;
	}
	SASLock(finder_lock, SasUserLock__WRITE);
	words = getSASFinder();
	if (words == NULL) {
		words = SASStringBTreeCreate(block__Size64K);
		setSASFinder(words);
	}
	SASUnlock(finder_lock);
	if (words == NULL) {
		perror("SASStringBTreeCreate");
		return 1;
	}
	if (argc > 1) {
		show(words, argv[1]);
	} else {
		while (scanf("%199s", word) == 1)
			count_word(words, word);
		printf("%ld different words.\n", SASStringBTreeGetCurCount(words));
	}
	SASCleanUp();
	return 0;
}
