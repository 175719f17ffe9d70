/* SPDX-License-Identifier: MIT */
/*
 * test_huge.c - regions in huge pages: transparent ones, a directory on hugetlbfs, and what there is instead.
 *
 * hugetlbfs is mounted in a mount namespace of the child that works on it, and goes with that. Where the machine has
 * no free huge pages, and may be asked for some, it is, until the tests are done.
 */
#include <config.h>

#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>
#include "../sas/ground/port.h"
#include "fixture.h"
#include "sandbox.h"

#define POOL "/proc/sys/vm/nr_hugepages"
#define HUGE_PAGE (2 * MIB)
#define WANTED 48L              /* huge pages that the tests use at once */

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

static long number_in(const char *path)
{
	FILE *file = fopen(path, "r");
	long n = -1;

	if (file && fscanf(file, "%ld", &n) != 1)
		n = -1;
	if (file)
		fclose(file);
	return n;
}

static void set_number(const char *path, long n)
{
	FILE *file = fopen(path, "w");

	if (!file)
		return;
	fprintf(file, "%ld\n", n);
	fclose(file);
}

static long pool_before = -1;

/* Not in the child that a test is: it outlives them all. */
static void widen_pool(void)
{
	const char *free_pages = "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages";

	if (number_in(free_pages) >= WANTED || number_in(free_pages) < 0)
		return;
	pool_before = number_in(POOL);
	set_number(POOL, pool_before + WANTED);
}

static void restore_pool(void)
{
	if (pool_before >= 0)
		set_number(POOL, pool_before);
}

/* A region by these options, for as long as a test. */
static SASRegion_t make(const char *where, sas_huge_t huge, unsigned flags)
{
	SASRegionOptions o;
	SASRegion_t made;

	help_options(&o, flags);
	o.base = HELP_BASE + GIB;
	o.hugePages = huge;
	made = SASRegionJoin(where, &o);
	help_succeeds(made != NULL);
	return made;
}

static void fill(unsigned char *block, size_t size)
{
	for (size_t i = 0; i < size; i += 4096)
		store_byte(block + i, (unsigned char)(i >> 12 | 1));
}

static int is_filled(unsigned char *block, size_t size)
{
	for (size_t i = 0; i < size; i += 4096)
		if (load_byte(block + i) != (unsigned char)(i >> 12 | 1))
			return 0;
	return 1;
}

/* --- transparent */

static int on_tmpfs(const char *directory)
{
	struct statfs fs;

	return statfs(directory, &fs) == 0 && fs.f_type == 0x01021994;
}

/* Can shared memory here be made of huge pages at all? */
static int kernel_collapses(void)
{
	void *p = mmap((void *)(HELP_BASE + 8 * GIB), HUGE_PAGE, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	int can = p != MAP_FAILED && memset(p, 1, 1) && madvise(p, HUGE_PAGE, MADV_COLLAPSE) == 0;

	if (p != MAP_FAILED)
		munmap(p, HUGE_PAGE);
	return can;
}

START_TEST(transparent_pages_hold_blocks_on_tmpfs)
{
	SASRegionInfo info;
	SASRegion_t made;
	unsigned char *block;

	if (!on_tmpfs(store) || !kernel_collapses()) {
		puts("skipped: no huge pages of shared memory here");
		return;
	}
	made = make(help_store(), SASHuge__TRANSPARENT, SAS_JOIN_CREATE);
	block = SASRegionBlockAlloc(made, 2 * HUGE_PAGE);
	help_succeeds(block != NULL);
	ck_assert(all_zero(block, 2 * HUGE_PAGE));
	fill(block, 2 * HUGE_PAGE);
	info = help_info(made);
	ck_assert_uint_eq(info.hugeWanted, SASHuge__TRANSPARENT);
	ck_assert_uint_eq(info.hugePages, SASHuge__TRANSPARENT);
	ck_assert_uint_ge(info.hugeBytes, 2 * HUGE_PAGE);
	ck_assert_str_eq(info.hugeReason, "");
	help_succeeds(SASBlockFree(block, 2 * HUGE_PAGE) == 0);
	help_succeeds(SASRegionTrim(made) >= 0);
	block = SASRegionBlockAlloc(made, 2 * HUGE_PAGE);
	help_succeeds(block != NULL);
	fill(block, 2 * HUGE_PAGE);
	ck_assert(is_filled(block, 2 * HUGE_PAGE));
	help_leave(made);
}
END_TEST

START_TEST(nothing_is_asked_for_by_default)
{
	SASRegionInfo info = help_info(region);

	ck_assert_uint_eq(info.hugeWanted, SASHuge__NONE);
	ck_assert_uint_eq(info.hugePages, SASHuge__NONE);
	ck_assert_uint_eq(info.hugeBytes, 0);
	ck_assert_str_eq(info.hugeReason, "");
	ck_assert_uint_eq(help_inspect(store).hugePages, SASHuge__NONE);
}
END_TEST

static int warnings;
static char said[512];

static void note(sas_log_level_t level, const char *sentence, void *arg)
{
	(void)arg;
	if (level != SASLog__WARNING)
		return;
	warnings++;
	snprintf(said, sizeof said, "%s", sentence);
}

START_TEST(hugetlb_elsewhere_is_told_and_falls_back)
{
	char *other = help_store();
	SASInspectInfo seen;
	SASRegion_t made;

	SASSetLogSink(note, NULL, SASLog__WARNING);
	made = make(other, SASHuge__HUGETLB, SAS_JOIN_CREATE);
	ck_assert_int_eq(warnings, 1);
	ck_assert_ptr_nonnull(strstr(said, "not on hugetlbfs"));
	seen = help_inspect(other);
	ck_assert_uint_eq(seen.hugeWanted, SASHuge__HUGETLB);
	ck_assert_uint_lt(seen.hugePages, SASHuge__HUGETLB);
	ck_assert_ptr_nonnull(strstr(seen.hugeReason, "not on hugetlbfs"));
	ck_assert_uint_lt(help_info(made).hugePages, SASHuge__HUGETLB);
	help_succeeds(SASRegionReset(made) == 0);
	ck_assert_uint_eq(help_inspect(other).hugeWanted, SASHuge__HUGETLB);
	help_leave(made);
	help_works(other);
}
END_TEST

static int without_advice(void *address, size_t size, int advice)
{
	(void)address;
	(void)size;
	(void)advice;
	return -EINVAL;
}

START_TEST(kernel_without_huge_pages_gives_small_ones)
{
	struct sas_port port = sas_port_linux;
	char *other = help_store();
	SASRegionInfo info;
	SASRegion_t made;
	unsigned char *block;

	port.madvise = without_advice;
	sas_port = &port;
	made = make(other, SASHuge__TRANSPARENT, SAS_JOIN_CREATE);
	block = SASRegionBlockAlloc(made, HUGE_PAGE);
	help_succeeds(block != NULL);
	fill(block, HUGE_PAGE);
	info = help_info(made);
	ck_assert_uint_eq(info.hugeWanted, SASHuge__TRANSPARENT);
	ck_assert_uint_eq(info.hugePages, SASHuge__NONE);
	ck_assert_uint_eq(info.hugeBytes, 0);
	ck_assert_str_ne(info.hugeReason, "");
	help_leave(made);
	sas_port = &sas_port_linux;
	help_works(other);
}
END_TEST

START_TEST(unknown_pages_are_refused)
{
	SASRegionOptions o;

	help_options(&o, SAS_JOIN_CREATE);
	o.hugePages = (sas_huge_t)3;
	help_fails(SASRegionJoin(help_store(), &o) == NULL, EINVAL, "huge pages");
}
END_TEST

/* --- programs that were built with an older header */

START_TEST(older_structures_are_taken_and_filled)
{
	size_t options_before = offsetof(SASRegionOptions, hugePages), info_before = offsetof(SASRegionInfo, hugeWanted);
	char *other = help_store();
	SASRegionOptions o;
	SASRegionInfo info;
	SASRegion_t made;

	help_options(&o, SAS_JOIN_CREATE);
	o.base = HELP_BASE + GIB;
	memset((char *)&o + options_before, 0xff, sizeof o - options_before);
	o.structSize = options_before;
	made = SASRegionJoin(other, &o);
	help_succeeds(made != NULL);
	memset(&info, 0xa5, sizeof info);
	info.structSize = info_before;
	help_succeeds(SASRegionGetInfo(made, &info) == 0);
	ck_assert_uint_eq(info.structSize, info_before);
	ck_assert_uint_eq(info.segmentSize, HELP_SEGMENT);
	for (size_t i = info_before; i < sizeof info; i++)
		ck_assert_uint_eq(((unsigned char *)&info)[i], 0xa5);
	info.structSize = info_before - 1;
	help_fails(SASRegionGetInfo(made, &info) == -1, EINVAL, "structSize");
	help_leave(made);
	o.structSize = options_before - 1;
	help_fails(SASRegionJoin(other, &o) == NULL, EINVAL, "SASRegionOptionsInit");
	o.structSize = sizeof o - 8;
	help_fails(SASRegionJoin(other, &o) == NULL, EINVAL, "SASRegionOptionsInit");
	o.structSize = sizeof o;        /* with the reserved words set */
	help_fails(SASRegionJoin(other, &o) == NULL, EINVAL, "does not know");
}
END_TEST

/* --- hugetlbfs */

/* In a child: the directory is one of huge pages from now on. 0: it cannot be. */
static int mount_huge(const char *directory, const char *options)
{
	return unshare(CLONE_NEWNS) == 0 && mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("sastest", directory, "hugetlbfs", 0, options) == 0;
}

#define SKIPPED 77

/* The child's way to say that it could not begin. */
static int can_begin(pid_t pid)
{
	int status = help_wait(pid, PATIENCE);

	if (status == SKIPPED)
		puts("skipped: hugetlbfs cannot be mounted here, or has no pages of 2 MiB");
	else
		ck_assert_int_eq(status, 0);
	return status == 0;
}

static void live_in_huge_pages(void *arg)
{
	char *mounted = help_path(arg, "huge"), *inside = help_path(arg, "huge/region"), *copy = help_path(arg, "copy");
	SASRegionInfo info;
	SASRegion_t made;
	unsigned char *small, *large;
	struct stat st;

	if (mkdir(mounted, 0700) != 0 || !mount_huge(mounted, "pagesize=2M,size=80M,min_size=64M"))
		_exit(SKIPPED);
	must(mkdir(inside, 0700) == 0);
	made = make(inside, SASHuge__HUGETLB, SAS_JOIN_CREATE);
	must((small = SASRegionBlockAlloc(made, 4096)) != NULL);
	must((large = SASRegionBlockAlloc(made, 2 * HELP_SEGMENT)) != NULL);
	must(all_zero(large, 2 * HELP_SEGMENT));
	fill(large, 2 * HELP_SEGMENT);
	fill(small, 4096);
	info = help_info(made);
	must(info.hugePages == SASHuge__HUGETLB && info.hugeReason[0] == '\0');
	must(info.hugeBytes >= 2 * HELP_SEGMENT);
	must(SASRegionSetFinder(made, large) == 0);
	must(SASRegionTrim(made) >= 0 && SASSync(made) == 0);
	must(SASRegionLeave(made) == 0);
	must(stat(help_path(inside, "SAS00002.DAT"), &st) == 0 && (uint64_t)st.st_size == HELP_SEGMENT + HUGE_PAGE);
	must(SASRegionCheck(inside, help_print_problem, NULL) == 0);
	/* Out to small pages, and back. */
	must(SASRegionCopy(inside, copy) == 0);
	must(SASRegionCheck(copy, help_print_problem, NULL) == 0);
	must(stat(help_path(copy, "SAS00002.DAT"), &st) == 0 && (uint64_t)st.st_size == HELP_SEGMENT + 4096);
	must(SASRegionRemovePath(inside, 0) == 0);
	must(SASRegionCopy(copy, inside) == 0);
	must(SASRegionRemovePath(copy, 0) == 0);
	made = make(inside, SASHuge__NONE, 0);
	must(SASRegionFinder(made) == large && is_filled(large, 2 * HELP_SEGMENT) && load_byte(small) == 1);
	must(help_info(made).hugePages == SASHuge__HUGETLB);
	must(SASRegionReset(made) == 0);
	must(SASRegionBlockAlloc(made, 4096) != NULL);
	must(SASRegionRemove(made) == 0);
}

START_TEST(hugetlbfs_holds_a_region_for_its_life)
{
	can_begin(help_fork(live_in_huge_pages, help_store()));
}
END_TEST

static void fill_pool(void *arg)
{
	char *mounted = help_path(arg, "huge");
	unsigned char *blocks[40];
	SASRegion_t made;
	int count = 0;

	if (mkdir(mounted, 0700) != 0 || !mount_huge(mounted, "pagesize=2M,size=40M"))
		_exit(SKIPPED);
	made = make(mounted, SASHuge__NONE, SAS_JOIN_CREATE);
	while (count < 40 && (blocks[count] = SASRegionBlockAlloc(made, HELP_SEGMENT)) != NULL)
		fill(blocks[count++], HELP_SEGMENT);
	must(count > 0 && count < 40 && errno == ENOSPC);
	for (int i = 0; i < count; i++)
		must(is_filled(blocks[i], HELP_SEGMENT) && SASBlockFree(blocks[i], HELP_SEGMENT) == 0);
	must(SASRegionBlockAlloc(made, HELP_SEGMENT) != NULL);
	must(SASRegionLeave(made) == 0);
	must(SASRegionCheck(mounted, help_print_problem, NULL) == 0);
}

/* The call says so; no store is a SIGBUS. */
START_TEST(hugetlbfs_that_is_full_gives_enospc)
{
	can_begin(help_fork(fill_pool, help_store()));
}
END_TEST

static void recover_in_huge_pages(void *arg)
{
	char *mounted = help_path(arg, "huge");
	SASRegion_t made;
	pid_t pid;
	int status;

	if (mkdir(mounted, 0700) != 0 || !mount_huge(mounted, "pagesize=2M,size=64M"))
		_exit(SKIPPED);
	made = make(mounted, SASHuge__HUGETLB, SAS_JOIN_CREATE);
	pid = fork();
	if (pid == 0) {
		SASRegionBlockAlloc(made, 4096);
		raise(SIGKILL);
	}
	must(pid > 0 && waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
	must(SASRegionRecover(made) >= 1);
	must(help_info(made).participants == 1 && help_info(made).blocksInUse == 1);
	must(SASRegionRemove(made) == 0);
}

START_TEST(hugetlbfs_keeps_the_dead_one_s_locks_robust)
{
	can_begin(help_fork(recover_in_huge_pages, help_store()));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("huge");
	TCase *tests = help_case(suite, "transparent"), *mounts = help_case(suite, "hugetlbfs");

	sandbox_prefer_memory();
	tcase_add_checked_fixture(tests, region_begin, region_end);
	tcase_add_test(tests, transparent_pages_hold_blocks_on_tmpfs);
	tcase_add_test(tests, nothing_is_asked_for_by_default);
	tcase_add_test(tests, hugetlb_elsewhere_is_told_and_falls_back);
	tcase_add_test(tests, kernel_without_huge_pages_gives_small_ones);
	tcase_add_test(tests, unknown_pages_are_refused);
	tcase_add_test(tests, older_structures_are_taken_and_filled);
	tcase_add_unchecked_fixture(mounts, widen_pool, restore_pool);
	tcase_add_test(mounts, hugetlbfs_holds_a_region_for_its_life);
	tcase_add_test(mounts, hugetlbfs_that_is_full_gives_enospc);
	tcase_add_test(mounts, hugetlbfs_keeps_the_dead_one_s_locks_robust);
	return help_main(suite);
}
