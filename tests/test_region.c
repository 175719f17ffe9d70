/* SPDX-License-Identifier: MIT */
/*
 * test_region.c - joins by handle: options, modes of joining, addresses, many regions, and the processes and
 * threads that take part.
 */
#include <config.h>

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>
#include "help.h"
#include "sasinspect.h"
#include "sassim.h"

/* --- joins by handle */

START_TEST(join_by_handle_refuses_bad_arguments)
{
	char *store = help_store();
	SASRegionOptions o;

	help_fails(SASRegionJoin(NULL, NULL) == NULL, EINVAL, "NULL");
	help_fails(SASRegionJoin("", NULL) == NULL, ENOENT);
	help_fails(SASRegionJoin(store, NULL) == NULL, ENOENT, store, "holds no region");
	help_options(&o, SAS_JOIN_CREATE);
	o.structSize--;
	help_fails(SASRegionJoin(store, &o) == NULL, EINVAL, "SASRegionOptionsInit");
	help_options(&o, SAS_JOIN_CREATE | 0x4000);
	help_fails(SASRegionJoin(store, &o) == NULL, EINVAL, "0x4000");
	help_options(&o, SAS_JOIN_CREATE | SAS_JOIN_READONLY);
	help_fails(SASRegionJoin(store, &o) == NULL, EINVAL, "reading");
	help_options(&o, SAS_JOIN_CREATE | SAS_JOIN_RELOCATED);
	help_fails(SASRegionJoin(store, &o) == NULL, EINVAL, "reading");
	help_options(&o, SAS_JOIN_EXCLUSIVE);
	help_fails(SASRegionJoin(store, &o) == NULL, EINVAL, "SAS_JOIN_CREATE");
	ck_assert_int_eq(help_files(store, ""), 0);
}
END_TEST

START_TEST(calls_with_no_handle_give_einval)
{
	char *store = help_store();
	SASRegion_t region = help_create(store), gone = region;
	SASRegionInfo info = { .structSize = 8 };
	SASBlockInfo block;

	help_fails(SASRegionGetInfo(region, &info) == -1, EINVAL, "structSize");
	help_fails(SASRegionGetInfo(region, NULL) == -1, EINVAL);
	help_fails(SASRegionListBlocks(region, 99, NULL, 0) == -1, EINVAL);
	help_fails(SASRegionListBlocks(region, SASBlock__FREE, NULL, 1) == -1, EINVAL, "NULL");
	help_leave(region);
	help_fails(SASRegionLeave(gone) == -1, EINVAL, "not the handle");
	help_fails(SASRegionLeave(NULL) == -1, EINVAL);
	help_fails(SASRegionRemove(NULL) == -1, EINVAL);
	help_fails(SASRegionReset(NULL) == -1, EINVAL);
	help_fails(SASRegionSetFinder(NULL, store) == -1, EINVAL);
	help_fails(SASRegionBlockAlloc(gone, 4096) == NULL, EINVAL);
	help_fails(SASRegionTrim(NULL) == -1, EINVAL);
	help_fails(SASSync(NULL) == -1, EINVAL);
	help_fails(SASRegionRecover(NULL) == -1, EINVAL);
	help_fails(SASRegionAddress(NULL, store) == NULL, EINVAL);
	help_fails(SASRegionOf(store) == NULL, EFAULT);
	help_fails(SASBlockFree(store, 4096) == -1, EFAULT);
	help_fails(SASBlockFind(store, &block) == -1, EFAULT);
	ck_assert_int_eq(SASMapAhead(store, 1), -1);
	ck_assert_int_eq(errno, EFAULT);
	ck_assert_ptr_null(SASRegionFinder(NULL));
	help_works(store);
}
END_TEST

static void join_exclusively(void *arg)
{
	SASRegionOptions o;

	help_options(&o, SAS_JOIN_CREATE | SAS_JOIN_EXCLUSIVE);
	help_fails(SASRegionJoin(arg, &o) == NULL, EEXIST, arg);
}

START_TEST(exclusive_join_of_existing_region_gives_eexist)
{
	char *store = help_store();
	SASRegion_t region = help_join(store, SAS_JOIN_CREATE | SAS_JOIN_EXCLUSIVE);

	join_exclusively(store);
	help_in_child(join_exclusively, store);
	help_leave(region);
	join_exclusively(store);
	help_works(store);
}
END_TEST

START_TEST(join_of_same_directory_gives_same_handle)
{
	char *store = help_store(), *link = help_path(help_store(), "link");
	SASRegion_t region = help_create(store);

	ck_assert_int_eq(symlink(store, link), 0);
	ck_assert_ptr_eq(SASRegionJoin(store, NULL), region);
	ck_assert_ptr_eq(SASRegionJoin(link, NULL), region);
	ck_assert_ptr_eq(help_join(store, SAS_JOIN_READONLY), region);
	ck_assert_uint_eq(help_info(region).participants, 1);
	for (int i = 0; i < 3; i++) {
		help_leave(region);
		help_succeeds(SASRegionBlockAlloc(region, 4096) != NULL);
	}
	ck_assert_ptr_eq(SASRegionOf((void *)HELP_BASE), region);
	help_leave(region);
	ck_assert_ptr_null(SASRegionOf((void *)HELP_BASE));
	help_works(store);
}
END_TEST

/* Also what a join by handle leaves open, and mapped, when it is over. */
START_TEST(leave_gives_everything_back)
{
	char *store = help_store();
	int before = help_descriptors();
	SASRegion_t region = help_create(store);
	void *block = SASRegionBlockAlloc(region, HELP_SEGMENT), *again;

	ck_assert_ptr_nonnull(block);
	help_leave(region);
	ck_assert_int_eq(help_descriptors(), before);
	again = mmap((void *)HELP_BASE, HELP_REGION, PROT_NONE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_NORESERVE, -1, 0);
	ck_assert_ptr_eq(again, (void *)HELP_BASE);
	munmap(again, HELP_REGION);
	help_works(store);
}
END_TEST

START_TEST(read_only_join_refuses_changes)
{
	char *store = help_store();
	SASRegion_t region = help_create(store);
	char *block = SASRegionBlockAlloc(region, 4096);
	char *large = SASRegionBlockAlloc(region, HELP_SEGMENT);
	uint64_t before;
	SASBlockInfo found;

	strcpy(block, "small");
	strcpy(large, "large");
	SASRegionSetFinder(region, block);
	help_leave(region);
	before = help_fingerprint(store);
	region = help_join(store, SAS_JOIN_READONLY);
	ck_assert_ptr_eq(SASRegionFinder(region), block);
	ck_assert_str_eq(block, "small");
	ck_assert_str_eq(large, "large");
	ck_assert_int_eq(SASBlockFind(large + 5, &found), 0);
	ck_assert_ptr_eq(found.address, large);
	ck_assert(help_info(region).flags & SAS_JOIN_READONLY);
	ck_assert_int_eq(SASRegionListBlocks(region, SASBlock__SEGMENT, NULL, 0), 2);
	help_fails(SASRegionBlockAlloc(region, 4096) == NULL, EROFS, "read-only");
	help_fails(SASBlockFree(block, 4096) == -1, EROFS, "read-only");
	help_fails(SASRegionSetFinder(region, NULL) == -1, EROFS, "read-only");
	help_fails(SASRegionTrim(region) == -1, EROFS, "read-only");
	help_fails(SASRegionReset(region) == -1, EROFS, "read-only");
	help_fails(SASRegionRemove(region) == -1, EROFS, "read-only");
	help_fails(SASRegionRecover(region) == -1, EROFS, "read-only");
	help_fails(SASRegionJoin(store, NULL) == NULL, EROFS, "read-only");
	help_leave(region);
	ck_assert_uint_eq(help_fingerprint(store), before);
	help_works(store);
}
END_TEST

static void write_to(void *arg)
{
	signal(SIGSEGV, SIG_DFL);
	*(volatile char *)arg = 1;
}

START_TEST(read_only_join_maps_for_reading)
{
	char *store = help_store();
	SASRegion_t region = help_create(store);
	char *block = SASRegionBlockAlloc(region, 4096);

	help_leave(region);
	region = help_join(store, SAS_JOIN_READONLY);
	ck_assert_int_eq(block[0], 0);
	help_dies(write_to, block, SIGSEGV);
	help_leave(region);
	help_works(store);
}
END_TEST

START_TEST(segments_are_mapped_lazily_64_or_all)
{
	char *store = help_store();
	SASRegionOptions o;
	SASRegion_t region;

	if (help_valgrind()) {
		printf("left out: memcheck takes the first touch of a segment for a fault\n");
		return;
	}
	help_options(&o, SAS_JOIN_CREATE | SAS_JOIN_SPARSE);
	o.regionSize = 128 * HELP_SEGMENT;
	region = SASRegionJoin(store, &o);
	help_succeeds(region != NULL);
	for (int i = 0; i < 100; i++)
		help_succeeds(SASRegionBlockAlloc(region, HELP_SEGMENT) != NULL);
	help_leave(region);
	region = help_join(store, 0);
	ck_assert_uint_eq(help_info(region).segmentsPresent, 101);
	ck_assert_uint_le(help_info(region).segmentsMapped, 1);
	ck_assert_int_eq(((volatile char *)HELP_BASE)[50 * HELP_SEGMENT], 0);
	ck_assert_uint_eq(help_info(region).segmentsMapped, 2);
	ck_assert_uint_eq(help_info(region).faults, 1);
	ck_assert_int_eq(SASMapAhead((void *)(HELP_BASE + 60 * HELP_SEGMENT), 3 * HELP_SEGMENT), 0);
	ck_assert_uint_eq(help_info(region).segmentsMapped, 5);
	ck_assert_int_eq(SASMapAhead((void *)(HELP_BASE + 101 * HELP_SEGMENT), 1), -1);
	ck_assert_int_eq(errno, EFAULT);
	help_leave(region);
	region = help_join(store, SAS_JOIN_MAP64);
	ck_assert_uint_eq(help_info(region).segmentsMapped, 64);
	help_leave(region);
	region = help_join(store, SAS_JOIN_EAGER);
	ck_assert_uint_eq(help_info(region).segmentsMapped, 101);
	for (uint64_t n = 1; n < 101; n++)
		ck_assert_int_eq(((volatile char *)HELP_BASE)[n * HELP_SEGMENT], 0);
	ck_assert_uint_eq(help_info(region).faults, 0);
	help_leave(region);
	ck_assert_int_eq(SASJoinRegionByName(store), 0);
	ck_assert_uint_eq(help_info(SASRegionDefault()).segmentsMapped, 64);
	SASCleanUp();
	help_clean(store);
	ck_assert_int_eq(SASRegionRemovePath(store, 0), 0);
}
END_TEST

static uint64_t space_of(const char *store)
{
	SASInspectInfo info = { .structSize = sizeof info };
	SASInspect_t inspect = SASInspectOpen(store);

	ck_assert_ptr_nonnull(inspect);
	ck_assert_int_eq(SASInspectGetInfo(inspect, &info), 0);
	SASInspectClose(inspect);
	return info.allocatedBytes;
}

START_TEST(blocks_take_space_unless_region_is_sparse)
{
	char *dense = help_store(), *sparse = help_store();
	SASRegion_t region = help_create(dense);
	uint64_t before = space_of(dense);

	help_succeeds(SASRegionBlockAlloc(region, 8 * MIB) != NULL);
	ck_assert_uint_ge(space_of(dense), before + 8 * MIB);
	ck_assert(!(help_info(region).flags & SAS_JOIN_SPARSE));
	help_leave(region);
	region = help_join(sparse, SAS_JOIN_CREATE | SAS_JOIN_SPARSE);
	before = space_of(sparse);
	help_succeeds(SASRegionBlockAlloc(region, 8 * MIB) != NULL);
	ck_assert_uint_lt(space_of(sparse), before + MIB);
	ck_assert(help_info(region).flags & SAS_JOIN_SPARSE);
	help_leave(region);
	help_clean(dense);
	help_clean(sparse);
}
END_TEST

/* --- addresses */

static void *occupy(uint64_t base, uint64_t size, int fd)
{
	void *p = mmap((void *)base, size, PROT_NONE, MAP_FIXED_NOREPLACE |
		       (fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE : MAP_SHARED), fd, 0);

	ck_assert_ptr_eq(p, (void *)base);
	return p;
}

START_TEST(relocated_join_maps_elsewhere)
{
	char *store = help_store();
	SASRegion_t region = help_create(store);
	char *block = SASRegionBlockAlloc(region, 4096);
	char *large = SASRegionBlockAlloc(region, 2 * HELP_SEGMENT);
	SASRegionInfo info;
	SASBlockInfo found;
	void *taken;

	strcpy(block, "small");
	strcpy(large + HELP_SEGMENT, "large");
	SASRegionSetFinder(region, block);
	help_leave(region);
	/* Nothing is in the way: it lies where it lay. */
	region = help_join(store, SAS_JOIN_RELOCATED);
	info = help_info(region);
	ck_assert_uint_eq(info.mappedAt, HELP_BASE);
	ck_assert_ptr_eq(SASRegionFinder(region), block);
	ck_assert_ptr_eq(help_join(store, SAS_JOIN_RELOCATED), region);
	help_leave(region);
	help_fails(SASRegionBlockAlloc(region, 4096) == NULL, EROFS);
	help_leave(region);
	taken = occupy(HELP_BASE + MIB, 4096, -1);
	region = help_join(store, SAS_JOIN_RELOCATED);
	info = help_info(region);
	ck_assert_uint_eq(info.base, HELP_BASE);
	ck_assert_uint_ne(info.mappedAt, HELP_BASE);
	ck_assert_ptr_eq(SASRegionFinder(region), block);
	ck_assert_str_eq(SASRegionAddress(region, block), "small");
	ck_assert_str_eq(SASRegionAddress(region, large + HELP_SEGMENT), "large");
	help_fails(SASRegionAddress(region, (void *)(HELP_BASE + HELP_REGION)) == NULL, EFAULT);
	ck_assert_int_eq(SASBlockFind(large + 1, &found), 0);
	ck_assert_ptr_eq(found.address, large);
	help_fails(SASRegionBlockAlloc(region, 4096) == NULL, EROFS);
	help_fails(SASBlockFree(block, 4096) == -1, EROFS);
	help_leave(region);
	ck_assert_int_eq(munmap(taken, 4096), 0);
	help_works(store);
}
END_TEST

START_TEST(join_of_64_regions_at_once)
{
	/* A thread holds a mutex in each region where it has a slot, and sanitizers follow 64 of a thread. */
	int used = help_instrumented() ? 32 : 64;
	SASRegion_t regions[64];
	char *stores[65];
	SASRegionOptions o;

	help_options(&o, SAS_JOIN_CREATE);
	for (int i = 0; i < 64; i++) {
		stores[i] = help_store();
		o.base = HELP_BASE + (uint64_t)i * HELP_REGION;
		regions[i] = SASRegionJoin(stores[i], &o);
		help_succeeds(regions[i] != NULL);
	}
	for (int i = 0; i < used; i++) {
		char *block = SASRegionBlockAlloc(regions[i], 4096);

		ck_assert_ptr_eq(SASRegionOf(block), regions[i]);
		ck_assert_uint_eq((uintptr_t)block / HELP_REGION, HELP_BASE / HELP_REGION + (uint64_t)i);
		ck_assert_int_eq(SASRegionSetFinder(regions[i], block), 0);
	}
	stores[64] = help_store();
	o.base = HELP_BASE + 64 * HELP_REGION;
	help_fails(SASRegionJoin(stores[64], &o) == NULL, EMFILE, "64 regions");
	help_leave(regions[20]);
	help_succeeds((regions[20] = SASRegionJoin(stores[20], NULL)) != NULL);
	for (int i = 0; i < 64; i++) {
		if (i < used)
			ck_assert_int_eq(SASBlockFree(SASRegionFinder(regions[i]), 4096), 0);
		help_leave(regions[i]);
		help_clean(stores[i]);
	}
}
END_TEST

START_TEST(join_of_overlapping_regions_names_both)
{
	char *first = help_store(), *second = help_store();
	SASRegion_t region = help_create(first), other;
	SASRegionOptions o;

	help_options(&o, SAS_JOIN_CREATE);
	o.base += HELP_REGION / 2;
	help_fails(SASRegionJoin(second, &o) == NULL, EADDRINUSE, first, second, "overlap");
	help_leave(region);
	help_succeeds((other = SASRegionJoin(second, &o)) != NULL);
	help_fails(SASRegionJoin(first, NULL) == NULL, EADDRINUSE, first, second, "overlap");
	help_leave(other);
	help_works(first);
	help_works(second);
}
END_TEST

START_TEST(join_of_taken_addresses_names_the_occupant)
{
	char *store = help_store(), *file = help_path(store, "occupant.bin");
	int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	SASRegionOptions o;
	uint64_t before;
	int descriptors;

	ck_assert_int_eq(ftruncate(fd, 4096), 0);
	help_leave(help_create(store));
	occupy(HELP_BASE + HELP_REGION - 4096, 4096, fd);
	close(fd);
	before = help_fingerprint(store);
	descriptors = help_descriptors();
	help_options(&o, 0);
	help_fails(SASRegionJoin(store, &o) == NULL, EADDRINUSE, store, "occupant.bin", "565803fff000");
	help_fails(SASRegionJoin(store, &o) == NULL, EADDRINUSE, "occupant.bin");
	ck_assert_int_eq(help_descriptors(), descriptors);
	ck_assert_uint_eq(help_fingerprint(store), before);
	munmap((void *)(HELP_BASE + HELP_REGION - 4096), 4096);
	help_works(store);
}
END_TEST

/* As much as the process has now, and room for segments, but not for the region. */
static void limit_addresses(uint64_t room)
{
	unsigned long pages;
	FILE *statm = fopen("/proc/self/statm", "r");
	struct rlimit limit;

	ck_assert_int_eq(fscanf(statm, "%lu", &pages), 1);
	fclose(statm);
	limit.rlim_cur = limit.rlim_max = pages * 4096 + room;
	ck_assert_int_eq(setrlimit(RLIMIT_AS, &limit), 0);
}

START_TEST(join_under_ulimit_v_maps_segment_by_segment)
{
	char *store = help_store();
	SASRegionOptions o;
	SASRegion_t region;
	char *block, *large;

	if (help_instrumented()) {
		printf("left out: this build needs the address space itself\n");
		return;
	}
	help_options(&o, SAS_JOIN_CREATE);
	o.regionSize = 8UL << 30;
	limit_addresses(256 * MIB);
	region = SASRegionJoin(store, &o);
	help_succeeds(region != NULL);
	block = SASRegionBlockAlloc(region, 4096);
	large = SASRegionBlockAlloc(region, 2 * HELP_SEGMENT);
	help_succeeds(block && large);
	memset(large, 1, 2 * HELP_SEGMENT);
	SASRegionSetFinder(region, large);
	help_leave(region);
	region = help_join(store, 0);
	ck_assert_int_eq(((char *)SASRegionFinder(region))[2 * HELP_SEGMENT - 1], 1);
	ck_assert_int_eq(SASBlockFree(large, 2 * HELP_SEGMENT), 0);
	help_leave(region);
	help_works(store);
}
END_TEST

/* --- geometry by environment and options */

START_TEST(geometry_of_environment_is_used)
{
	static const struct { const char *region, *segment; uint64_t region_size, segment_size; } good[] = {
		{ "64M", "2M", 64 * MIB, 2 * MIB },
		{ "0x4000000", "4194304", 64 * MIB, 4 * MIB },
		{ "65536K", "4096K", 64 * MIB, 4 * MIB },
		{ "1G", "16M", 1024 * MIB, 16 * MIB },
		{ "", "64M", 1UL << 40, 64 * MIB },
	};

	setenv("SAS_BASE", "0x565800000000", 1);
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		char *store = help_store();
		SASRegionInfo info;

		/* A whole TiB does not fit into the window of the sanitizers. */
		if (good[i].region_size > 1UL << 36 && help_instrumented())
			continue;
		setenv("SAS_REGION_SIZE", good[i].region, 1);
		setenv("SAS_SEGMENT_SIZE", good[i].segment, 1);
		help_succeeds(SASJoinRegionByName(store) == 0);
		info = help_info(SASRegionDefault());
		ck_assert_uint_eq(info.base, HELP_BASE);
		ck_assert_uint_eq(info.regionSize, good[i].region_size);
		ck_assert_uint_eq(info.segmentSize, good[i].segment_size);
		SASCleanUp();
		help_clean(store);
	}
}
END_TEST

START_TEST(geometry_of_environment_is_refused_when_wrong)
{
	static const char *const names[] = { "SAS_BASE", "SAS_REGION_SIZE", "SAS_SEGMENT_SIZE" };
	static const char *const bad[] = {
		"many", "12Q", "1MM", "-", "M", "99999999999999999999", "99999999T", "-1", "1.5G",
	};
	char *store = help_store();

	for (int n = 0; n < 3; n++)
		for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
			help_classic(store);
			setenv(names[n], bad[i], 1);
			help_fails(SASJoinRegion() == 1, EINVAL, names[n]);
		}
	ck_assert_int_eq(help_files(store, ""), 0);
	help_classic(store);
	setenv("SAS_SEGMENT_SIZE", "3M", 1);
	help_fails(SASJoinRegion() == 1, EINVAL, "segment size");
	setenv("SAS_SEGMENT_SIZE", "1M", 1);
	help_fails(SASJoinRegion() == 1, EINVAL, "segment size");
	help_classic(store);
	setenv("SAS_REGION_SIZE", "65M", 1);
	help_fails(SASJoinRegion() == 1, EINVAL, "region size");
	help_classic(store);
	setenv("SAS_BASE", "0x565800001000", 1);
	help_fails(SASJoinRegion() == 1, EINVAL, "base");
	ck_assert_int_eq(help_files(store, ""), 0);
	/* What exists has its geometry: the environment is for creation. */
	help_classic(store);
	ck_assert_int_eq(SASJoinRegion(), 0);
	SASCleanUp();
	setenv("SAS_BASE", "many", 1);
	ck_assert_int_eq(SASJoinRegion(), 0);
	SASCleanUp();
	help_works(store);
}
END_TEST

START_TEST(options_win_over_environment)
{
	char *store = help_store();
	SASRegion_t region;

	setenv("SAS_BASE", "0x565900000000", 1);
	setenv("SAS_REGION_SIZE", "1G", 1);
	setenv("SAS_SEGMENT_SIZE", "16M", 1);
	region = help_create(store);
	ck_assert_uint_eq(help_info(region).base, HELP_BASE);
	ck_assert_uint_eq(help_info(region).regionSize, HELP_REGION);
	ck_assert_uint_eq(help_info(region).segmentSize, HELP_SEGMENT);
	help_leave(region);
	help_works(store);
}
END_TEST

/* --- processes and threads */

struct family { SASRegion_t region; char *block; uint32_t generation; };

static void use_as_child(void *arg)
{
	struct family *f = arg;
	SASBlockInfo found;
	SASRegionInfo info;
	char *block;

	ck_assert_str_eq(f->block, "parent");
	block = SASRegionBlockAlloc(f->region, 4096);
	help_succeeds(block != NULL);
	info = help_info(f->region);
	ck_assert_uint_eq(info.participants, 2);
	ck_assert_uint_ne(info.generation, f->generation);
	ck_assert_int_eq(SASBlockFind(block, &found), 0);
	ck_assert_uint_eq(found.generation, info.generation);
	ck_assert_int_eq(SASBlockFree(f->block, 4096), 0);
	strcpy(block, "child");
	ck_assert_int_eq(SASRegionSetFinder(f->region, block), 0);
	help_leave(f->region);
}

START_TEST(child_of_fork_takes_part_by_itself)
{
	char *store = help_store();
	struct family f;

	f.region = help_create(store);
	f.block = SASRegionBlockAlloc(f.region, 4096);
	strcpy(f.block, "parent");
	f.generation = help_info(f.region).generation;
	help_in_child(use_as_child, &f);
	ck_assert_uint_eq(help_info(f.region).participants, 1);
	ck_assert_str_eq(SASRegionFinder(f.region), "child");
	ck_assert_int_eq(SASBlockFree(SASRegionFinder(f.region), 4096), 0);
	help_leave(f.region);
	help_works(store);
}
END_TEST

static void grandchild(void *arg)
{
	struct family *f = arg;

	help_succeeds(SASRegionBlockAlloc(f->region, 4096) != NULL);
}

static void child_that_forks(void *arg)
{
	struct family *f = arg;

	/* It never called itself; and it dies without leaving. */
	help_in_child(grandchild, f);
	help_succeeds(SASRegionBlockAlloc(f->region, 4096) != NULL);
	help_in_child(grandchild, f);
}

START_TEST(children_that_die_are_noticed)
{
	char *store = help_store();
	struct family f = { .region = help_create(store) };

	help_in_child(child_that_forks, &f);
	ck_assert_uint_eq(help_info(f.region).blocksInUse, 3);
	ck_assert_int_ge(SASRegionRecover(f.region), 0);
	ck_assert_uint_eq(help_info(f.region).participants, 1);
	ck_assert_uint_eq(help_info(f.region).threads, 0);
	help_leave(f.region);
	help_works(store);
}
END_TEST

/* What the program does that exec starts: see main(). */
static int run_used(const char *store)
{
	SASRegion_t region = SASRegionJoin(store, NULL);
	SASRegionInfo info = { .structSize = sizeof info };
	char *block;

	if (!region)
		return 20;
	block = SASRegionFinder(region);
	if (!block || strcmp(block, "before exec") != 0)
		return 21;
	/* The one that exec ended does not count. */
	if (SASRegionRecover(region) < 0 || SASRegionGetInfo(region, &info) != 0 || info.participants != 2)
		return 22;
	if (SASBlockFree(block, 4096) != 0 || SASRegionSetFinder(region, NULL) != 0)
		return 23;
	return SASRegionLeave(region) ? 24 : 0;
}

static void exec_self(void *arg)
{
	struct family *f = arg;
	char *block = SASRegionBlockAlloc(f->region, 4096), path[4096], self[4096] = "";

	strcpy(block, "before exec");
	SASRegionSetFinder(f->region, block);
	strcpy(path, help_info(f->region).path);
	ck_assert_int_gt(readlink("/proc/self/exe", self, sizeof self - 1), 0);
	execl(self, self, "--used", path, (char *)NULL);
	_exit(25);
}

START_TEST(exec_ends_membership)
{
	char *store = help_store();
	struct family f = { .region = help_create(store) };

	help_in_child(exec_self, &f);
	ck_assert_ptr_null(SASRegionFinder(f.region));
	ck_assert_uint_eq(help_info(f.region).participants, 1);
	help_leave(f.region);
	help_works(store);
}
END_TEST

struct crowd { char *store; struct help_gate ready, end; };

static void be_one_of_many(void *arg)
{
	struct crowd *c = arg;
	SASRegion_t region = help_join(c->store, 0);
	void *block = SASRegionBlockAlloc(region, 4096);

	help_succeeds(block != NULL);
	help_gate_open(&c->ready);
	help_gate_await(&c->end);
	ck_assert_int_eq(SASBlockFree(block, 4096), 0);
	help_leave(region);
}

START_TEST(join_of_more_than_64_processes)
{
	struct crowd c = { .store = help_store() };
	enum { MANY = 70 };
	pid_t children[MANY];
	SASRegion_t region;

	help_gate_make(&c.ready);
	help_gate_make(&c.end);
	help_leave(help_create(c.store));
	for (int i = 0; i < MANY; i++)
		children[i] = help_fork(be_one_of_many, &c);
	for (int i = 0; i < MANY; i++)
		help_gate_await(&c.ready);
	region = help_join(c.store, 0);
	ck_assert_uint_eq(help_info(region).participants, MANY + 1);
	ck_assert_uint_eq(help_info(region).threads, MANY);
	ck_assert_uint_eq(help_info(region).blocksInUse, MANY);
	for (int i = 0; i < MANY; i++)
		help_gate_open(&c.end);
	for (int i = 0; i < MANY; i++)
		help_done(children[i]);
	ck_assert_uint_eq(help_info(region).participants, 1);
	ck_assert_uint_eq(help_info(region).blocksInUse, 0);
	help_leave(region);
	help_works(c.store);
}
END_TEST

struct threads { SASRegion_t region; pthread_barrier_t all; };

static void *be_one_thread(void *arg)
{
	struct threads *t = arg;
	void *block = SASRegionBlockAlloc(t->region, 4096);

	pthread_barrier_wait(&t->all);
	pthread_barrier_wait(&t->all);
	return (void *)(uintptr_t)(block && SASBlockFree(block, 4096) == 0);
}

/* The anchor of so small a region has fewer logs than these threads need: chunks of logs come to it. */
START_TEST(more_threads_than_logs_of_the_anchor)
{
	char *store = help_store();
	enum { MANY = 150 };
	pthread_t threads[MANY];
	struct threads t;
	long runtime;

	t.region = help_create(store);
	runtime = SASRegionListBlocks(t.region, SASBlock__IN_USE, NULL, 0);
	for (int round = 0; round < 2; round++) {
		ck_assert_int_eq(pthread_barrier_init(&t.all, NULL, MANY + 1), 0);
		for (int i = 0; i < MANY; i++)
			ck_assert_int_eq(pthread_create(&threads[i], NULL, be_one_thread, &t), 0);
		pthread_barrier_wait(&t.all);
		ck_assert_uint_eq(help_info(t.region).threads, MANY);
		ck_assert_uint_eq(help_info(t.region).blocksInUse, MANY);
		ck_assert_int_gt(SASRegionListBlocks(t.region, SASBlock__IN_USE, NULL, 0), runtime + MANY);
		pthread_barrier_wait(&t.all);
		for (int i = 0; i < MANY; i++) {
			void *good;

			ck_assert_int_eq(pthread_join(threads[i], &good), 0);
			ck_assert_ptr_eq(good, (void *)1);
		}
		pthread_barrier_destroy(&t.all);
		ck_assert_uint_eq(help_info(t.region).threads, 0);
		help_leave(t.region);
		help_clean(store);
		t.region = help_join(store, 0);
	}
	ck_assert_int_eq(SASRegionReset(t.region), 0);
	ck_assert_int_eq(SASRegionListBlocks(t.region, SASBlock__IN_USE, NULL, 0), runtime);
	help_leave(t.region);
	help_works(store);
}
END_TEST

static int run_tests(void)
{
	Suite *s = suite_create("region");
	TCase *handle = help_case(s, "handle"), *address = help_case(s, "address"),
	      *member = help_case(s, "member");

	tcase_add_test(handle, join_by_handle_refuses_bad_arguments);
	tcase_add_test(handle, calls_with_no_handle_give_einval);
	tcase_add_test(handle, exclusive_join_of_existing_region_gives_eexist);
	tcase_add_test(handle, join_of_same_directory_gives_same_handle);
	tcase_add_test(handle, leave_gives_everything_back);
	tcase_add_test(handle, read_only_join_refuses_changes);
	tcase_add_test(handle, read_only_join_maps_for_reading);
	tcase_add_test(handle, segments_are_mapped_lazily_64_or_all);
	tcase_add_test(handle, blocks_take_space_unless_region_is_sparse);
	tcase_add_test(address, relocated_join_maps_elsewhere);
	tcase_add_test(address, join_of_64_regions_at_once);
	tcase_add_test(address, join_of_overlapping_regions_names_both);
	tcase_add_test(address, join_of_taken_addresses_names_the_occupant);
	tcase_add_test(address, join_under_ulimit_v_maps_segment_by_segment);
	tcase_add_test(address, geometry_of_environment_is_used);
	tcase_add_test(address, geometry_of_environment_is_refused_when_wrong);
	tcase_add_test(address, options_win_over_environment);
	tcase_add_test(member, child_of_fork_takes_part_by_itself);
	tcase_add_test(member, children_that_die_are_noticed);
	if (!help_emulated())   /* the kernel cannot execute the test */
		tcase_add_test(member, exec_ends_membership);
	tcase_add_test(member, join_of_more_than_64_processes);
	tcase_add_test(member, more_threads_than_logs_of_the_anchor);
	return help_main(s);
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "--used") == 0)
		return run_used(argv[2]);
	return run_tests();
}
