/* SPDX-License-Identifier: MIT */
/*
 * test_pmem.c - a region on persistent memory itself: a file system that has mappings with MAP_SYNC, in
 * SAS_TEST_PMEM or where the tests' stores are. Without one it is skipped; test_durable and crash_power run the same code
 * on other file systems.
 */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "fixture.h"
#include "sasepoch.h"

static SASRegion_t create(const char *where)
{
	SASRegionOptions o;

	help_options(&o, SAS_JOIN_CREATE);
	o.durability = SASDurability__PMEM;
	return SASRegionJoin(where, &o);
}

static void work(void *arg)
{
	char *block, *large;

	(void)arg;
	region = create(store);
	must(region != NULL);
	block = SASRegionBlockAlloc(region, 4096);
	large = SASRegionBlockAlloc(region, 2 * HELP_SEGMENT);
	must(block && large);
	strcpy(block, "one");
	must(SASSyncRange(block, 4) == 0);
	must(SASRegionSetFinder(region, block) == 0);
	memset(large, 1, 2 * HELP_SEGMENT);
	must(SASSync(region) == 0);
	must(SASEpochFree(large, 2 * HELP_SEGMENT) == 0);
	raise(SIGKILL);
}

START_TEST(region_on_persistent_memory_survives)
{
	const char *block;

	help_dies(work, NULL, SIGKILL);
	region_join(0);
	block = SASRegionFinder(region);
	ck_assert_ptr_nonnull(block);
	ck_assert_str_eq((void *)(uintptr_t)block, "one");
	ck_assert_int_eq(help_info(region).durability, SASDurability__PMEM);
	ck_assert_uint_eq(help_info(region).blocksInUse, 1);
	give((void *)(uintptr_t)block, 4096);
}
END_TEST

/* In a directory of its own, before any sandbox: is there persistent memory? */
static int is_there(void)
{
	char path[4096];
	const char *where = getenv("TMPDIR");
	SASRegion_t found;

	snprintf(path, sizeof path, "%s/sas-pmem.XXXXXX", where ? where : "/tmp");
	if (!mkdtemp(path))
		return 0;
	found = create(path);
	if (found)
		SASRegionRemove(found);
	rmdir(path);
	return found != NULL;
}

int main(void)
{
	Suite *suite;
	TCase *c;

	if (getenv("SAS_TEST_PMEM"))
		setenv("TMPDIR", getenv("SAS_TEST_PMEM"), 1);
	if (!is_there()) {
		printf("skipped: %s; SAS_TEST_PMEM names a directory on persistent memory\n", SASLastErrorMessage());
		return 77;
	}
	suite = suite_create("pmem");
	c = help_case(suite, "pmem");
	tcase_add_checked_fixture(c, store_begin, region_end);
	tcase_add_test(c, region_on_persistent_memory_survives);
	return help_main(suite);
}
