/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <stdio.h>
#include <string.h>

#include <sassim.h>
#include "tree_help.h"

void tree_begin(void)
{
	store_begin();
	help_classic(store);
	ck_assert_msg(SASJoinRegion() == 0, "%s", SASLastErrorMessage());
	region = SASRegionDefault();
}

void tree_end(void)
{
	SASCleanUp();
	region = NULL;
	region_end();
}

SASIndexKey_t key_of(const void *bytes, size_t size)
{
	SASIndexKey_t key;

	memset(&key, 0, sizeof key);
	memcpy(key.data, bytes, size);
	key.compare_size = (machine_uhalf_t)size;
	key.copy_size = (machine_uhalf_t)(8 + (size + 7) / 8 * 8);
	return key;
}

static void print_problem(const void *node, const char *what, void *arg)
{
	(void)arg;
	printf("node %p: %s\n", node, what);
}

void index_clean(SASIndex_t index)
{
	ck_assert_msg(SASIndexCheck(index, print_problem, NULL) == 0, "%s", SASLastErrorMessage());
}

void strings_clean(SASStringBTree_t tree)
{
	ck_assert_msg(SASStringBTreeCheck(tree, print_problem, NULL) == 0, "%s", SASLastErrorMessage());
}
