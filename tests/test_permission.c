/* SPDX-License-Identifier: MIT */
/*
 * test_permission.c - what the file system allows: modes, owners, groups, read-only places, full disks.
 * Tests that need root, another user or a mount are left out where they cannot be had, and say so.
 */
#include <config.h>

#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include "help.h"
#include "sassim.h"

#define ANCHOR "SAS00000.DAT"
#define FIRST "SAS00001.DAT"

enum { GROUP = 20000, ALICE = 20001, BOB = 20002, MALLORY = 20003 };

static SASRegion_t try_join(const char *store, unsigned flags, unsigned mode)
{
	SASRegionOptions o;

	help_options(&o, flags);
	o.mode = mode;
	return SASRegionJoin(store, &o);
}

static void has_mode(const char *store, const char *name, unsigned mode)
{
	struct stat st;

	ck_assert_int_eq(lstat(help_path(store, name), &st), 0);
	ck_assert_msg((st.st_mode & 07777) == mode, "%s: mode %o, not %o", name, st.st_mode & 07777, mode);
}

static void has_owner(const char *store, const char *name, uid_t uid, gid_t gid)
{
	struct stat st;

	ck_assert_int_eq(lstat(help_path(store, name), &st), 0);
	ck_assert_msg(st.st_uid == uid && st.st_gid == gid, "%s: %u:%u", name, st.st_uid, st.st_gid);
}

/* --- modes */

START_TEST(files_get_the_mode_that_umask_leaves)
{
	static const unsigned masks[] = { 022, 0, 077, 027, 0117 };

	for (size_t i = 0; i < sizeof masks / sizeof masks[0]; i++) {
		char *store = help_store();
		SASRegion_t region;

		umask(masks[i]);
		region = help_create(store);
		ck_assert_uint_eq(help_info(region).mode, 0666 & ~masks[i]);
		/* From here on the region's mode counts, whatever the umask of who makes a file. */
		umask(masks[i] ^ 0066);
		help_succeeds(SASRegionBlockAlloc(region, HELP_SEGMENT) != NULL);
		help_leave(region);
		ck_assert_int_eq(unlink(help_path(store, "SAS.run")), 0);
		help_leave(help_join(store, 0));
		has_mode(store, ANCHOR, 0666 & ~masks[i]);
		has_mode(store, FIRST, 0666 & ~masks[i]);
		has_mode(store, "SAS.run", 0666 & ~masks[i]);
		help_works(store);
	}
}
END_TEST

START_TEST(mode_of_the_options_wins_over_umask)
{
	static const unsigned modes[] = { 0600, 0660, 0666, 0640, 0777 };

	for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
		char *store = help_store();
		SASRegion_t region;

		umask(i & 1 ? 077 : 022);
		region = try_join(store, SAS_JOIN_CREATE, modes[i]);
		help_succeeds(region != NULL);
		help_succeeds(SASRegionBlockAlloc(region, HELP_SEGMENT) != NULL);
		help_succeeds(SASRegionReset(region) == 0);
		help_succeeds(SASRegionBlockAlloc(region, HELP_SEGMENT) != NULL);
		help_leave(region);
		has_mode(store, ANCHOR, modes[i]);
		has_mode(store, FIRST, modes[i]);
		has_mode(store, "SAS.run", modes[i]);
		help_works(store);
	}
}
END_TEST

/* --- users */

static int is_root(void)
{
	if (geteuid() != 0)
		printf("left out: only root can be other users\n");
	return geteuid() == 0;
}

/* The child becomes this user, of the group GROUP if it shares. */
static void become(uid_t uid, int shares)
{
	gid_t group = GROUP;

	ck_assert_int_eq(setgroups(shares ? 1 : 0, &group), 0);
	ck_assert_int_eq(setresgid(uid, uid, uid), 0);
	ck_assert_int_eq(setresuid(uid, uid, uid), 0);
}

/* A directory that GROUP shares. */
static char *make_shared(void)
{
	char *store = help_store();

	ck_assert_int_eq(chown(store, ALICE, GROUP), 0);
	ck_assert_int_eq(chmod(store, 02770), 0);
	return store;
}

static void create_for_group(void *arg)
{
	SASRegion_t region;
	char *block;

	become(ALICE, 1);
	umask(002);
	region = help_create(arg);
	block = SASRegionBlockAlloc(region, 4096);
	help_succeeds(block != NULL);
	strcpy(block, "of Alice");
	SASRegionSetFinder(region, block);
	help_leave(region);
}

static void use_of_group(void *arg)
{
	SASRegion_t region;
	char *block;

	become(BOB, 1);
	umask(077);
	region = help_join(arg, 0);
	block = SASRegionFinder(region);
	ck_assert_str_eq(block, "of Alice");
	strcpy(block, "of Bob");
	help_succeeds(SASRegionBlockAlloc(region, HELP_SEGMENT) != NULL);
	help_leave(region);
}

static void use_again(void *arg)
{
	SASRegion_t region;
	char *block;

	become(ALICE, 1);
	region = help_join(arg, SAS_JOIN_EAGER);
	block = SASRegionFinder(region);
	ck_assert_str_eq(block, "of Bob");
	help_succeeds(SASBlockFree(block, 4096) == 0);
	help_leave(region);
	help_works(arg);
}

START_TEST(group_shares_a_region_in_a_setgid_directory)
{
	char *store;

	if (!is_root())
		return;
	store = make_shared();
	help_in_child(create_for_group, store);
	has_owner(store, ANCHOR, ALICE, GROUP);
	has_mode(store, ANCHOR, 0664);
	/* Whoever of the group needs it first makes SAS.run. */
	ck_assert_int_eq(unlink(help_path(store, "SAS.run")), 0);
	help_in_child(use_of_group, store);
	has_owner(store, FIRST, BOB, GROUP);
	has_mode(store, FIRST, 0664);
	has_mode(store, "SAS.run", 0664);
	help_in_child(use_again, store);
	help_clean(store);
	help_works(store);
}
END_TEST

static void create_private(void *arg)
{
	SASRegion_t region;

	become(ALICE, 0);
	region = try_join(arg, SAS_JOIN_CREATE, 0600);
	help_succeeds(region != NULL);
	help_leave(region);
}

static void intrude(void *arg)
{
	become(MALLORY, 0);
	help_fails(try_join(arg, 0, 0) == NULL, EACCES, arg, ANCHOR, "no permission");
	help_fails(try_join(arg, SAS_JOIN_CREATE, 0) == NULL, EACCES, arg, ANCHOR);
	help_fails(try_join(arg, SAS_JOIN_READONLY, 0) == NULL, EACCES, arg, ANCHOR, "read");
	help_fails(SASJoinRegionByName(arg) == 1, EACCES, arg);
	help_fails(SASRegionRemovePath(arg, 1) == -1, EACCES);
}

static void works_for_alice(void *arg)
{
	become(ALICE, 0);
	help_works(arg);
}

START_TEST(join_without_permission_gives_eacces)
{
	char *store = help_store();
	uint64_t before;

	if (!is_root())
		return;
	ck_assert_int_eq(chown(store, ALICE, ALICE), 0);
	ck_assert_int_eq(chmod(store, 0755), 0);
	help_in_child(create_private, store);
	before = help_fingerprint(store);
	help_in_child(intrude, store);
	ck_assert_uint_eq(help_fingerprint(store), before);
	help_in_child(works_for_alice, store);
	help_clean(store);
}
END_TEST

/* The directory lets everybody make files in it: that must not keep the owner out. */
START_TEST(intruder_in_an_open_directory_does_not_lock_out_the_owner)
{
	char *store = help_store();

	if (!is_root())
		return;
	ck_assert_int_eq(chmod(store, 01777), 0);
	help_in_child(create_private, store);
	ck_assert_int_eq(unlink(help_path(store, "SAS.run")), 0);
	help_in_child(intrude, store);
	help_in_child(works_for_alice, store);
}
END_TEST

static void create_readable(void *arg)
{
	SASRegion_t region;
	char *block;

	become(ALICE, 0);
	umask(022);
	region = help_create(arg);
	block = SASRegionBlockAlloc(region, 4096);
	strcpy(block, "to be read");
	SASRegionSetFinder(region, block);
	help_leave(region);
}

static void read_as_other(void *arg)
{
	SASRegion_t region;

	become(MALLORY, 0);
	help_fails(try_join(arg, 0, 0) == NULL, EACCES, ANCHOR, "SAS_JOIN_READONLY");
	help_fails(SASJoinRegionByName(arg) == 1, EACCES);
	region = try_join(arg, SAS_JOIN_READONLY, 0);
	help_succeeds(region != NULL);
	ck_assert_str_eq(SASRegionFinder(region), "to be read");
	help_fails(SASRegionBlockAlloc(region, 4096) == NULL, EROFS);
	ck_assert_uint_eq(help_info(region).blocksInUse, 1);
	help_leave(region);
}

static void read_in_vain(void *arg)
{
	become(MALLORY, 0);
	help_fails(try_join(arg, SAS_JOIN_READONLY, 0) == NULL, EROFS, "SAS.run");
}

static void stay_joined(void *arg)
{
	struct help_peer *w = arg;
	SASRegion_t region = help_join(w->store, 0);

	help_peer_turn(w);
	help_leave(region);
}

START_TEST(who_may_only_read_joins_a_clean_region_read_only)
{
	char *store = help_store();
	struct help_peer w = { .store = store };
	uint64_t before;

	if (!is_root())
		return;
	ck_assert_int_eq(chown(store, ALICE, ALICE), 0);
	ck_assert_int_eq(chmod(store, 0755), 0);
	help_in_child(create_readable, store);
	before = help_fingerprint(store);
	help_in_child(read_as_other, store);
	ck_assert_uint_eq(help_fingerprint(store), before);
	/* Somebody writes: a reader whom nobody sees would read what changes under it. */
	help_peer_start(&w, stay_joined);
	help_in_child(read_in_vain, store);
	help_peer_end(&w);
	help_in_child(read_as_other, store);
	help_works(store);
}
END_TEST

static void use_closed_directory(void *arg)
{
	SASRegion_t region;

	become(ALICE, 0);
	region = try_join(arg, SAS_JOIN_READONLY, 0);
	help_succeeds(region != NULL);
	ck_assert_str_eq(SASRegionFinder(region), "to be read");
	help_leave(region);
	help_fails(try_join(arg, 0, 0) == NULL, EACCES, "SAS.run");
}

static void create_in_closed_directory(void *arg)
{
	become(ALICE, 0);
	help_fails(try_join(arg, SAS_JOIN_CREATE, 0) == NULL, EACCES, arg);
}

START_TEST(read_only_directory_joins_read_only)
{
	char *store = help_store(), *empty = help_store();

	if (!is_root())
		return;
	ck_assert_int_eq(chown(store, ALICE, ALICE), 0);
	ck_assert_int_eq(chown(empty, ALICE, ALICE), 0);
	help_in_child(create_readable, store);
	ck_assert_int_eq(unlink(help_path(store, "SAS.run")), 0);
	ck_assert_int_eq(chmod(store, 0555), 0);
	ck_assert_int_eq(chmod(empty, 0555), 0);
	help_in_child(use_closed_directory, store);
	help_in_child(create_in_closed_directory, empty);
	ck_assert_int_eq(help_files(empty, ""), 0);
	ck_assert_int_eq(chmod(store, 0755), 0);
	help_in_child(works_for_alice, store);
	help_clean(store);
}
END_TEST

/* --- mounts of this process alone */

static int mount_small(const char *where, const char *options)
{
	if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("none", where, "tmpfs", 0, options) != 0) {
		printf("left out: no file system can be mounted here: %s\n", strerror(errno));
		return 0;
	}
	return 1;
}

static void fill_mounted(const char *store)
{
	SASRegion_t region = help_create(store);
	char *block = SASRegionBlockAlloc(region, HELP_SEGMENT);

	help_succeeds(block != NULL);
	strcpy(block, "to be read");
	SASRegionSetFinder(region, block);
	help_leave(region);
}

/* The store is on a file system that is mounted read-only. */
static void check_read_only(const char *store)
{
	SASRegion_t region;

	help_fails(try_join(store, 0, 0) == NULL, EROFS, store, ANCHOR, "SAS_JOIN_READONLY");
	help_fails(try_join(store, SAS_JOIN_CREATE, 0) == NULL, EROFS, store);
	region = try_join(store, SAS_JOIN_READONLY, 0);
	help_succeeds(region != NULL);
	ck_assert_str_eq(SASRegionFinder(region), "to be read");
	help_fails(SASRegionBlockAlloc(region, 4096) == NULL, EROFS);
	help_leave(region);
	help_fails(SASRegionRemovePath(store, 1) == -1, EROFS);
}

START_TEST(file_system_mounted_read_only_joins_read_only)
{
	char *store = help_store(), *bound = help_store();

	if (!mount_small(store, "size=32m"))
		return;
	fill_mounted(store);
	ck_assert_int_eq(mount(store, bound, "none", MS_BIND, NULL), 0);
	ck_assert_int_eq(mount("none", bound, "none", MS_REMOUNT | MS_BIND | MS_RDONLY, NULL), 0);
	check_read_only(bound);
	ck_assert_int_eq(mount("none", store, "none", MS_REMOUNT | MS_RDONLY, NULL), 0);
	check_read_only(store);
	ck_assert_int_eq(mount("none", store, "none", MS_REMOUNT, "size=32m"), 0);
	help_works(store);
	ck_assert_int_eq(umount(bound), 0);
}
END_TEST

static void use_and_die(void *arg)
{
	help_succeeds(SASRegionBlockAlloc(help_join(arg, 0), 4096) != NULL);
	raise(SIGKILL);
}

START_TEST(region_of_the_dead_on_read_only_file_system_gives_erofs)
{
	char *store = help_store();

	if (help_valgrind()) {
		printf("left out: valgrind looks for leaks in the dead, and so fills the holes of SAS.run\n");
		return;
	}
	if (!mount_small(store, "size=32m"))
		return;
	fill_mounted(store);
	help_dies(use_and_die, store, SIGKILL);
	ck_assert_int_eq(mount("none", store, "none", MS_REMOUNT | MS_RDONLY, NULL), 0);
	help_fails(try_join(store, SAS_JOIN_READONLY, 0) == NULL, EROFS, store, "not left cleanly");
	ck_assert_int_eq(mount("none", store, "none", MS_REMOUNT, "size=32m"), 0);
	help_works(store);
}
END_TEST

/* --- full disks */

static uint64_t free_space(const char *store)
{
	struct statvfs fs;

	ck_assert_int_eq(statvfs(store, &fs), 0);
	return fs.f_bavail * fs.f_bsize;
}

/* Blocks of a size until there is no space; each is backed: it can be written. */
static int fill(SASRegion_t region, void **blocks, int room, size_t size)
{
	int count = 0;

	while (count < room && (blocks[count] = SASRegionBlockAlloc(region, size)) != NULL)
		memset(blocks[count++], 0x77, size);
	ck_assert_int_lt(count, room);
	return count;
}

START_TEST(full_disk_gives_enospc_and_harms_nothing)
{
	static const size_t sizes[] = { 4096, 65536, HELP_SEGMENT / 2, HELP_SEGMENT, 2 * HELP_SEGMENT };
	static void *blocks[8192];
	char *store = help_store();
	SASRegion_t region;

	if (!mount_small(store, "size=24m"))
		return;
	region = help_create(store);
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		int count = fill(region, blocks, 8192, sizes[i]);
		void *again;

		ck_assert_int_gt(count, 1);
		for (int n = 0; n < 2; n++)
			help_fails(SASRegionBlockAlloc(region, sizes[i]) == NULL, ENOSPC, store, "space");
		help_clean(store);
		ck_assert_uint_eq(help_info(region).blocksInUse, (uint64_t)count);
		/* One that is given back is enough for one. */
		help_succeeds(SASBlockFree(blocks[count / 2], sizes[i]) == 0);
		again = SASRegionBlockAlloc(region, sizes[i]);
		help_succeeds(again != NULL);
		memset(again, 0x77, sizes[i]);
		blocks[count / 2] = again;
		for (int n = 0; n < count; n++)
			help_succeeds(SASBlockFree(blocks[n], sizes[i]) == 0);
		help_clean(store);
	}
	help_leave(region);
	help_works(store);
}
END_TEST

START_TEST(space_of_small_blocks_serves_large_ones)
{
	static void *blocks[8192];
	char *store = help_store();
	SASRegion_t region;
	void *large;
	int count;

	if (!mount_small(store, "size=24m"))
		return;
	region = help_create(store);
	count = fill(region, blocks, 8192, 4096);
	help_fails(SASRegionBlockAlloc(region, 2 * HELP_SEGMENT) == NULL, ENOSPC);
	for (int n = 0; n < count; n++)
		help_succeeds(SASBlockFree(blocks[n], 4096) == 0);
	large = SASRegionBlockAlloc(region, 4 * HELP_SEGMENT);
	help_succeeds(large != NULL);
	memset(large, 0x77, 4 * HELP_SEGMENT);
	help_succeeds(SASBlockFree(large, 4 * HELP_SEGMENT) == 0);
	help_leave(region);
	help_works(store);
}
END_TEST

START_TEST(allocation_that_fails_takes_no_space)
{
	char *store = help_store();
	SASRegion_t region;
	uint64_t before, after;

	if (!mount_small(store, "size=24m"))
		return;
	region = help_create(store);
	help_succeeds(SASRegionBlockAlloc(region, 4096) != NULL);
	before = free_space(store);
	help_fails(SASRegionBlockAlloc(region, 16 * HELP_SEGMENT) == NULL, ENOSPC, store);
	help_succeeds(SASRegionTrim(region) >= 0);
	after = free_space(store);
	/* But for the trailers of the empty segments that it may have made. */
	ck_assert_msg(after + 16 * 8192 >= before, "%lu bytes were free, then %lu", before, after);
	help_succeeds(SASRegionBlockAlloc(region, 2 * HELP_SEGMENT) != NULL);
	help_leave(region);
	help_clean(store);
}
END_TEST

static void eat_all(const char *store)
{
	char page[4096] = "";
	int fd = open(help_path(store, "glutton"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	while (write(fd, page, sizeof page) > 0)
		continue;
	close(fd);
}

START_TEST(creation_on_full_disk_leaves_nothing)
{
	char *store = help_store();
	SASRegionOptions o;

	if (!mount_small(store, "size=4m"))
		return;
	eat_all(store);
	help_options(&o, SAS_JOIN_CREATE);
	help_fails(SASRegionJoin(store, &o) == NULL, ENOSPC, store);
	help_fails(SASJoinRegionByName(store) == 1, ENOSPC, store);
	ck_assert_int_eq(help_files(store, ""), 1);
	ck_assert_int_eq(unlink(help_path(store, "glutton")), 0);
	help_leave(help_create(store));
	help_clean(store);
}
END_TEST

START_TEST(full_disk_still_lets_others_join_and_free)
{
	static void *blocks[8192];
	char *store = help_store();
	SASRegion_t region;
	int count;

	if (!mount_small(store, "size=16m"))
		return;
	region = help_create(store);
	count = fill(region, blocks, 8192, 65536);
	eat_all(store);
	help_leave(region);
	region = help_join(store, 0);
	for (int n = 0; n < count; n++)
		help_succeeds(SASBlockFree(blocks[n], 65536) == 0);
	help_succeeds(SASRegionTrim(region) > 0);
	help_succeeds(SASRegionBlockAlloc(region, 65536) != NULL);
	help_leave(region);
	ck_assert_int_eq(unlink(help_path(store, "glutton")), 0);
	help_works(store);
}
END_TEST

/* --- the limit of file sizes: its signal kills */

static void set_file_limit(uint64_t bytes)
{
	struct rlimit limit;

	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = bytes;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

START_TEST(file_size_limit_gives_efbig)
{
	char *store = help_store(), *other = help_store();
	SASRegion_t region = help_create(store);
	SASRegionOptions o;

	help_succeeds(SASRegionBlockAlloc(region, 4096) != NULL);
	set_file_limit(MIB);
	help_fails(SASRegionBlockAlloc(region, HELP_SEGMENT) == NULL, EFBIG, store, FIRST);
	help_fails(SASRegionBlockAlloc(region, 4 * HELP_SEGMENT) == NULL, EFBIG, store);
	/* What needs no larger file goes on. */
	help_succeeds(SASRegionBlockAlloc(region, 4096) != NULL);
	ck_assert_int_eq(help_files(store, "SAS.tmp."), 0);
	help_clean(store);
	help_options(&o, SAS_JOIN_CREATE);
	o.base += HELP_REGION;
	help_fails(SASRegionJoin(other, &o) == NULL, EFBIG, other);
	ck_assert_int_eq(help_files(other, ""), 0);
	help_leave(region);
	ck_assert_int_eq(unlink(help_path(store, "SAS.run")), 0);
	help_fails(SASRegionJoin(store, NULL) == NULL, EFBIG, store, "SAS.run");
	set_file_limit(RLIM_INFINITY);
	help_works(store);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("permission");
	TCase *mode = help_case(s, "mode"), *user = help_case(s, "user"), *mount = help_case(s, "mount"),
	      *full = help_case(s, "full");

	umask(022);
	tcase_add_test(mode, files_get_the_mode_that_umask_leaves);
	tcase_add_test(mode, mode_of_the_options_wins_over_umask);
	tcase_add_test(user, group_shares_a_region_in_a_setgid_directory);
	tcase_add_test(user, join_without_permission_gives_eacces);
	tcase_add_test(user, intruder_in_an_open_directory_does_not_lock_out_the_owner);
	tcase_add_test(user, who_may_only_read_joins_a_clean_region_read_only);
	tcase_add_test(user, read_only_directory_joins_read_only);
	tcase_add_test(mount, file_system_mounted_read_only_joins_read_only);
	tcase_add_test(mount, region_of_the_dead_on_read_only_file_system_gives_erofs);
	tcase_add_test(full, full_disk_gives_enospc_and_harms_nothing);
	tcase_add_test(full, space_of_small_blocks_serves_large_ones);
	tcase_add_test(full, allocation_that_fails_takes_no_space);
	tcase_add_test(full, creation_on_full_disk_leaves_nothing);
	tcase_add_test(full, full_disk_still_lets_others_join_and_free);
	tcase_add_test(full, file_size_limit_gives_efbig);
	return help_main(s);
}
