/* SPDX-License-Identifier: MIT */
/*
 * test_limits.c - what a process or a file system puts in the way of a whole region: address space that is limited,
 * memory that is to be locked, cores that have to stay small, FUSE, media that cannot be written.
 */
#include <config.h>

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>
#include "help.h"
#include "sas/ground/port.h"

#define TIB (1024 * GIB)
#define NOBODY 20003

static SASRegion_t try_join_large(const char *store, unsigned flags, uint64_t segment)
{
	SASRegionOptions o;

	help_options(&o, flags);
	o.base = 0;
	o.regionSize = TIB;
	o.segmentSize = segment;
	return SASRegionJoin(store, &o);
}

static int is_left_out(void)
{
	if (help_instrumented())
		printf("left out: this build needs the address space itself\n");
	return help_instrumented();
}

/* --- addresses */

/* Not even the anchor's segment has room. */
static void join_without_room(void *arg)
{
	struct rlimit none = { 16 * MIB, 16 * MIB };

	must(setrlimit(RLIMIT_AS, &none) == 0);
	errno = 0;
	must(try_join_large(arg, 0, 0) == NULL);
	must(errno == ENOMEM && strstr(SASLastErrorMessage(), "SAS00000.DAT"));
}

START_TEST(join_without_any_addresses_gives_enomem)
{
	char *store = help_store();
	SASRegion_t region;

	if (is_left_out())
		return;
	help_succeeds((region = try_join_large(store, SAS_JOIN_CREATE, 256 * MIB)) != NULL);
	help_leave(region);
	help_in_child(join_without_room, store);
	help_clean(store);
	ck_assert_int_eq(SASRegionRemovePath(store, 0), 0);
}
END_TEST

/* --- locked memory */

static long locked_kib(void)
{
	FILE *status = fopen("/proc/self/status", "re");
	char line[200];
	long kib = -1;

	while (status && fgets(line, sizeof line, status))
		if (sscanf(line, "VmLck: %ld kB", &kib) == 1)
			break;
	if (status)
		fclose(status);
	return kib;
}

static void use_a_little(SASRegion_t region)
{
	char *block = SASRegionBlockAlloc(region, 4096);

	must(block != NULL);
	strcpy(block, "used");
	must(SASBlockFree(block, 4096) == 0);
}

/* All that will be mapped is to be locked: the segments, but not a terabyte of nothing. */
static void lock_and_join(void *arg)
{
	SASRegion_t region;

	must(mlockall(MCL_CURRENT | MCL_FUTURE) == 0);
	region = try_join_large(arg, SAS_JOIN_CREATE, 16 * MIB);
	must(region != NULL);
	use_a_little(region);
	must(locked_kib() >= 0 && locked_kib() < (long)(GIB / KIB));
	must(SASRegionLeave(region) == 0);
}

static void join_and_lock(void *arg)
{
	SASRegion_t region = try_join_large(arg, SAS_JOIN_CREATE, 16 * MIB);

	must(region != NULL);
	must(mlockall(MCL_CURRENT | MCL_FUTURE) == 0);
	use_a_little(region);
	must(SASRegionLeave(region) == 0);
}

/* Without the privilege, and with the usual limit. */
static void lock_little_and_join(void *arg)
{
	struct rlimit little = { 8 * MIB, 8 * MIB };
	SASRegion_t region;

	must(setrlimit(RLIMIT_MEMLOCK, &little) == 0);
	must(setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
	must(mlockall(MCL_FUTURE) == 0);
	errno = 0;
	region = try_join_large(arg, SAS_JOIN_CREATE, 16 * MIB);
	must(region == NULL && errno == EAGAIN && strstr(SASLastErrorMessage(), "RLIMIT_MEMLOCK"));
	must(munlockall() == 0);
	region = try_join_large(arg, 0, 0);
	must(region != NULL);
	use_a_little(region);
	must(SASRegionLeave(region) == 0);
}

static int can_lock(void)
{
	if (is_left_out())
		return 0;
	if (geteuid() == 0)
		return 1;
	printf("left out: only root may lock so much\n");
	return 0;
}

START_TEST(mlockall_locks_segments_and_not_the_reservation)
{
	char *store = help_store();

	if (!can_lock())
		return;
	help_in_child(lock_and_join, store);
	help_in_child(join_and_lock, store);
	help_clean(store);
	ck_assert_int_eq(SASRegionRemovePath(store, 0), 0);
}
END_TEST

START_TEST(mlockall_beyond_its_limit_gives_eagain)
{
	char *store = help_store();

	if (!can_lock())
		return;
	ck_assert_int_eq(chown(store, NOBODY, NOBODY), 0);
	help_in_child(lock_little_and_join, store);
	help_clean(store);
	ck_assert_int_eq(SASRegionRemovePath(store, 0), 0);
}
END_TEST

/* --- cores */

#define CORE_MAX (16 * MIB)

/* In its store: so the core is there. */
static void fill_and_abort(void *arg)
{
	struct rlimit any = { RLIM_INFINITY, RLIM_INFINITY };
	SASRegion_t region = try_join_large(arg, SAS_JOIN_CREATE, 0);
	size_t size = (size_t)help_size(64, 256, 1024) * MIB;
	char *block;

	must(region != NULL && chdir(arg) == 0 && setrlimit(RLIMIT_CORE, &any) == 0);
	block = SASRegionBlockAlloc(region, size);
	must(block != NULL);
	memset(block, 0x5a, size);
	abort();
}

/* The sizes of all cores in a directory. */
static uint64_t size_of_cores(const char *store)
{
	DIR *directory = opendir(store);
	struct dirent *e;
	uint64_t sum = 0;

	ck_assert_ptr_nonnull(directory);
	while ((e = readdir(directory)) != NULL) {
		struct stat st;

		if (strncmp(e->d_name, "core", 4) == 0 && fstatat(dirfd(directory), e->d_name, &st, 0) == 0)
			sum += (uint64_t)st.st_size;
	}
	closedir(directory);
	return sum;
}

START_TEST(core_of_a_participant_holds_nothing_of_the_region)
{
	char *store = help_store(), pattern[100] = "";
	FILE *file = fopen("/proc/sys/kernel/core_pattern", "re");
	uint64_t size;

	if (is_left_out())
		return;
	if (!file || !fgets(pattern, sizeof pattern, file) || strncmp(pattern, "core", 4) != 0) {
		printf("left out: cores go elsewhere: %s\n", pattern);
		return;
	}
	fclose(file);
	help_dies(fill_and_abort, store, SIGABRT);
	size = size_of_cores(store);
	printf("a core of %lu KiB\n", size / KIB);
	ck_assert_uint_gt(size, 0);
	ck_assert_uint_lt(size, CORE_MAX);
	ck_assert_int_eq(SASRegionRemovePath(store, 1), 0);
}
END_TEST

/* --- file systems */

static long magic;

static int other_file_system(int fd, struct statfs *fs)
{
	int error = sas_port_linux.fstatfs(fd, fs);

	fs->f_type = magic;
	return error;
}

START_TEST(file_systems_without_coherence_are_refused)
{
	static const struct { long magic; const char *name; } kinds[] = {
		{ 0x6969, "NFS" }, { 0xff534d42, "CIFS" }, { 0x01021997, "9p" }, { 0x65735546, "FUSE" },
	};
	struct sas_port port = sas_port_linux;

	port.fstatfs = other_file_system;
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		char *store = help_store();
		SASRegionOptions o;

		magic = kinds[i].magic;
		help_options(&o, SAS_JOIN_CREATE);
		sas_port = &port;
		help_fails(SASRegionJoin(store, &o) == NULL, EOPNOTSUPP, store, kinds[i].name, "SAS_JOIN_SINGLE_HOST");
		ck_assert_int_eq(help_files(store, ""), 0);
		help_leave(help_join(store, SAS_JOIN_CREATE | SAS_JOIN_SINGLE_HOST));
		help_fails(SASRegionJoin(store, NULL) == NULL, EOPNOTSUPP, kinds[i].name);
		sas_port = &sas_port_linux;
		help_works(store);
	}
}
END_TEST

/* Runs a program; its exit status, 127 when there is none. */
static int run(const char *const arguments[])
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);

		dup2(nothing, STDOUT_FILENO);
		dup2(nothing, STDERR_FILENO);
		execvp(arguments[0], (char *const *)(uintptr_t)arguments);
		_exit(127);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int own_mounts(void)
{
	if (unshare(CLONE_NEWNS) == 0 && mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) == 0)
		return 1;
	printf("left out: nothing can be mounted here: %s\n", strerror(errno));
	return 0;
}

/* The real thing, where bindfs is installed. */
START_TEST(fuse_is_refused)
{
	char *below = help_store(), *store = help_store();
	const char *const arguments[] = { "bindfs", below, store, NULL };
	int status;

	if (!own_mounts())
		return;
	status = run(arguments);
	if (status != 0) {
		printf("left out: bindfs gives %d\n", status);
		return;
	}
	help_fails(SASRegionJoin(store, NULL) == NULL, EOPNOTSUPP, store, "FUSE", "SAS_JOIN_SINGLE_HOST");
	ck_assert_int_eq(help_files(below, ""), 0);
	help_leave(help_join(store, SAS_JOIN_CREATE | SAS_JOIN_SINGLE_HOST));
	ck_assert_int_eq(umount(store), 0);
	help_works(below);
}
END_TEST

/* A disk that can only be read: what was left cleanly can be looked at, checked and joined for reading. */
START_TEST(region_on_a_disk_that_is_read_only_is_read)
{
	char *place = help_store(), *store = help_store(), *image = help_path(place, "image");
	const char *const make[] = { "mkfs.ext4", "-q", "-F", image, "32M", NULL };
	const char *const mount_it[] = { "mount", "-o", "loop", image, store, NULL };
	const char *const mount_to_read[] = { "mount", "-o", "loop,ro", image, store, NULL };
	SASRegion_t region;

	if (!own_mounts())
		return;
	if (run(make) != 0 || run(mount_it) != 0) {
		printf("left out: no disk image can be made and mounted here\n");
		return;
	}
	region = help_create(store);
	help_succeeds(SASRegionBlockAlloc(region, 4096) != NULL);
	help_leave(region);
	ck_assert_int_eq(umount(store), 0);
	ck_assert_int_eq(run(mount_to_read), 0);
	help_fails(SASRegionJoin(store, NULL) == NULL, EROFS, store, "SAS_JOIN_READONLY");
	ck_assert_uint_eq(help_inspect(store).blocksInUse, 1);
	help_clean(store);
	region = help_join(store, SAS_JOIN_READONLY);
	ck_assert_uint_eq(help_info(region).blocksInUse, 1);
	help_fails(SASRegionBlockAlloc(region, 4096) == NULL, EROFS);
	help_leave(region);
	ck_assert_int_eq(umount(store), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("limits");
	TCase *c = help_case(suite, "limits");

	tcase_add_test(c, join_without_any_addresses_gives_enomem);
	tcase_add_test(c, mlockall_locks_segments_and_not_the_reservation);
	tcase_add_test(c, mlockall_beyond_its_limit_gives_eagain);
	tcase_add_test(c, core_of_a_participant_holds_nothing_of_the_region);
	tcase_add_test(c, file_systems_without_coherence_are_refused);
	tcase_add_test(c, fuse_is_refused);
	tcase_add_test(c, region_on_a_disk_that_is_read_only_is_read);
	return help_main(suite);
}
