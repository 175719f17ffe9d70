/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "fixture.h"
#include "sandbox.h"
#include "sassim.h"

char *store;
SASRegion_t region;
unsigned char *at[LAZY];
unsigned char *nowhere;

void store_begin(void)
{
	/* What a sanitizer installed would answer for us. */
	signal(SIGSEGV, SIG_DFL);
	signal(SIGBUS, SIG_DFL);
	store = help_store();
}

void region_begin(void)
{
	store_begin();
	region_create(HELP_REGION, HELP_SEGMENT, 0);
}

void region_end(void)
{
	if (region)
		region_leave();
	if (access(help_path(store, "SAS00000.DAT"), F_OK) == 0)
		help_clean(store);
	sandbox_remove(store);
}

void default_begin(void)
{
	store_begin();
	help_classic(store);
	help_succeeds(SASJoinRegion() == 0);
	region = SASRegionDefault();
}

void default_end(void)
{
	SASCleanUp();
	region = NULL;
	region_end();
}

static void join(const SASRegionOptions *options)
{
	region = SASRegionJoin(store, options);
	ck_assert_msg(region != NULL, "%s", SASLastErrorMessage());
}

void region_create(uint64_t region_size, uint64_t segment_size, unsigned flags)
{
	SASRegionOptions options;

	SASRegionOptionsInit(&options);
	options.flags = flags | SAS_JOIN_CREATE;
	options.regionSize = region_size;
	options.segmentSize = segment_size;
	join(&options);
}

void region_join(unsigned flags)
{
	SASRegionOptions options;

	SASRegionOptionsInit(&options);
	options.flags = flags;
	join(&options);
}

void region_leave(void)
{
	help_leave(region);
	region = NULL;
}

unsigned char *take(size_t size)
{
	unsigned char *block = SASRegionBlockAlloc(region, size);

	ck_assert_msg(block != NULL, "%zu bytes: %s", size, SASLastErrorMessage());
	ck_assert_uint_eq((uintptr_t)block % size, 0);
	return block;
}

void give(void *block, size_t size)
{
	ck_assert_msg(SASBlockFree(block, size) == 0, "%s", SASLastErrorMessage());
}

void lists_add_up(void)
{
	SASRegionInfo info = help_info(region);
	uint64_t used = help_sum(region, SASBlock__IN_USE);

	ck_assert_uint_eq(used, help_sum(region, SASBlock__IN_USE_MERGED));
	ck_assert_uint_eq(used + help_sum(region, SASBlock__FREE) + help_sum(region, SASBlock__UNCOMMITTED),
			  help_sum(region, SASBlock__SEGMENT));
	ck_assert_uint_eq(help_sum(region, SASBlock__SEGMENT) + help_sum(region, SASBlock__FREE_REGION),
			  info.regionSize);
	ck_assert_uint_eq(help_sum(region, SASBlock__SEGMENT), info.segmentsPresent * info.segmentSize);
	ck_assert_uint_eq(info.bytesFree,
			  help_sum(region, SASBlock__FREE) + help_sum(region, SASBlock__UNCOMMITTED));
}

void lazy_begin(void)
{
	store_begin();
	region_create(LAZY_REGION, HELP_SEGMENT, 0);
	for (unsigned i = 0; i < LAZY; i++) {
		at[i] = take(HELP_SEGMENT);
		memset(at[i], value(i), HELP_SEGMENT);
	}
	nowhere = (unsigned char *)help_info(region).base + LAZY_REGION - HELP_SEGMENT + 4711;
	region_leave();
	region_join(0);
	ck_assert_uint_eq(help_info(region).segmentsMapped, 1);
}
