/* SPDX-License-Identifier: MIT */
/*
 * test_remove.c - the end of a region: remove and reset, what becomes of peers, and what an interrupted
 * removal leaves.
 */
#include <config.h>

#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>
#include "help.h"
#include "sas/media/layout.h"
#include "sassim.h"

#define ANCHOR "SAS00000.DAT"
#define FIRST "SAS00001.DAT"
#define SECOND "SAS00002.DAT"

/* A region with segments 1 and 2, left clean. */
static char *make_store(void)
{
	char *store = help_store();
	SASRegion_t region = help_create(store);

	help_succeeds(SASRegionBlockAlloc(region, HELP_SEGMENT) != NULL);
	help_succeeds(SASRegionBlockAlloc(region, HELP_SEGMENT) != NULL);
	help_leave(region);
	ck_assert_int_eq(help_files(store, "SAS0000"), 3);
	return store;
}

static void touch(const char *store, const char *name)
{
	int fd = open(help_path(store, name), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	close(fd);
}

static void move(const char *from, const char *old, const char *to, const char *new)
{
	ck_assert_int_eq(rename(help_path(from, old), help_path(to, new)), 0);
}

/* --- remove */

START_TEST(remove_deletes_all_files_and_leaves)
{
	char *store = make_store();
	int descriptors = help_descriptors();
	SASRegion_t region = help_join(store, 0);

	ck_assert_ptr_eq(help_join(store, 0), region);
	touch(store, "SAS.tmp.0123456789abcdef");
	help_succeeds(SASRegionRemove(region) == 0);
	ck_assert_int_eq(help_files(store, ""), 0);
	ck_assert_int_eq(help_descriptors(), descriptors);
	help_fails(SASRegionLeave(region) == -1, EINVAL);
	help_fails(SASRegionRemove(region) == -1, EINVAL);
	help_fails(SASRegionJoin(store, NULL) == NULL, ENOENT);
	help_works(store);
}
END_TEST

START_TEST(remove_path_refuses_what_is_no_region)
{
	char *store = help_store(), *missing = help_path(store, "missing");

	help_fails(SASRegionRemovePath(NULL, 0) == -1, EINVAL, "NULL");
	help_fails(SASRegionRemovePath("", 0) == -1, EINVAL);
	help_fails(SASRegionRemovePath(missing, 0) == -1, ENOENT, missing);
	help_fails(SASRegionRemovePath(store, 1) == -1, ENOENT, store);
	touch(store, "file");
	help_fails(SASRegionRemovePath(help_path(store, "file"), 1) == -1, ENOTDIR);
	ck_assert_int_eq(help_files(store, ""), 1);
}
END_TEST

START_TEST(remove_path_deletes_only_files_it_recognises)
{
	static const char *const others[] = {
		"README", "SAS00001.DAT.bak", "sas00001.dat", "SAS0000A.TXT", "SAS1.DAT", "SAS.run.old",
		"SAS.temp", "SAS00009.DAT",
	};
	enum { OTHERS = sizeof others / sizeof others[0] };
	char *store = make_store(), *other = make_store();
	uint64_t directory;

	for (int i = 0; i < OTHERS; i++)
		touch(store, others[i]);
	/* A segment of another region; and one of ours under a number that is not its own. */
	move(other, FIRST, store, "SAS00005.DAT");
	move(store, SECOND, store, "SAS00006.DAT");
	ck_assert_int_eq(mkdir(help_path(store, "SAS00007.DAT"), 0700), 0);
	ck_assert_int_eq(symlink("/etc/passwd", help_path(store, "SAS00008.DAT")), 0);
	directory = help_fingerprint(help_path(store, "SAS00007.DAT"));
	help_succeeds(SASRegionRemovePath(store, 0) == 0);
	for (int i = 0; i < OTHERS; i++)
		ck_assert_int_eq(access(help_path(store, others[i]), F_OK), 0);
	for (int i = 5; i < 9; i++) {
		char name[32];

		snprintf(name, sizeof name, "SAS%05d.DAT", i);
		ck_assert_int_eq(help_files(store, name), 1);
	}
	ck_assert_uint_eq(help_fingerprint(help_path(store, "SAS00007.DAT")), directory);
	ck_assert_int_eq(help_files(store, ""), OTHERS + 4);
}
END_TEST

START_TEST(remove_path_of_damaged_region_changes_nothing)
{
	char *store = make_store();
	uint64_t word = 1, before;
	int fd = open(help_path(store, ANCHOR), O_RDWR | O_CLOEXEC);

	ck_assert_int_eq(pwrite(fd, &word, sizeof word, offsetof(struct sas_m_anchor, uuid)), sizeof word);
	close(fd);
	before = help_fingerprint(store);
	help_fails(SASRegionRemovePath(store, 0) == -1, EUCLEAN, ANCHOR);
	help_fails(SASRegionRemovePath(store, 1) == -1, EUCLEAN, ANCHOR);
	ck_assert_uint_eq(help_fingerprint(store), before);
}
END_TEST

/* --- peers */

/* Every call, after somebody took the region away. */
static void check_stale(SASRegion_t region, void *block)
{
	SASRegionInfo info = { .structSize = sizeof info };

	help_fails(SASRegionBlockAlloc(region, 4096) == NULL, ESTALE, "reset or removed");
	help_fails(SASRegionBlockAlloc(region, HELP_SEGMENT) == NULL, ESTALE);
	help_fails(SASBlockFree(block, 4096) == -1, ESTALE);
	help_fails(SASRegionSetFinder(region, block) == -1, ESTALE);
	help_fails(SASRegionGetInfo(region, &info) == -1, ESTALE);
	help_fails(SASRegionListBlocks(region, SASBlock__IN_USE, NULL, 0) == -1, ESTALE);
	help_fails(SASRegionTrim(region) == -1, ESTALE);
	help_fails(SASSync(region) == -1, ESTALE);
	help_fails(SASRegionRecover(region) == -1, ESTALE);
	help_fails(SASRegionReset(region) == -1, ESTALE);
	help_fails(SASRegionRemove(region) == -1, ESTALE);
	ck_assert_ptr_null(SASRegionFinder(region));
}

static void lose_region(void *arg)
{
	struct help_peer *p = arg;
	SASRegion_t region = help_join(p->store, 0);
	char *block = SASRegionBlockAlloc(region, 4096);

	strcpy(block, "still to be read");
	SASRegionSetFinder(region, block);
	help_peer_turn(p);
	check_stale(region, block);
	/* The memory stays: readers of it are not killed. */
	ck_assert_str_eq(block, "still to be read");
	help_leave(region);
	region = help_create(p->store);
	ck_assert_uint_eq(help_info(region).blocksInUse, 0);
	help_succeeds(SASRegionBlockAlloc(region, 4096) != NULL);
	help_leave(region);
}

START_TEST(peers_of_removed_region_get_estale_and_rejoin)
{
	struct help_peer p = { .store = make_store() };
	SASRegion_t region;

	help_peer_start(&p, lose_region);
	region = help_join(p.store, 0);
	help_succeeds(SASRegionRemove(region) == 0);
	ck_assert_int_eq(help_files(p.store, ""), 0);
	help_peer_end(&p);
	help_works(p.store);
}
END_TEST

START_TEST(peers_of_reset_region_get_estale_and_rejoin)
{
	struct help_peer p = { .store = make_store() };
	SASRegion_t region;
	uint8_t uuid[16];

	help_peer_start(&p, lose_region);
	region = help_join(p.store, 0);
	memcpy(uuid, help_info(region).uuid, 16);
	help_succeeds(SASRegionReset(region) == 0);
	ck_assert_mem_ne(help_info(region).uuid, uuid, 16);
	ck_assert_uint_eq(help_info(region).blocksInUse, 0);
	ck_assert_uint_eq(help_info(region).participants, 1);
	ck_assert_ptr_null(SASRegionFinder(region));
	help_peer_end(&p);
	ck_assert_uint_eq(help_info(region).blocksInUse, 1);
	help_leave(region);
	help_works(p.store);
}
END_TEST

/* A child that has the join of its parent. */
static void lose_classic(void *arg)
{
	struct help_peer *p = arg;

	ck_assert_ptr_nonnull(SASBlockAlloc(4096));
	help_peer_turn(p);
	ck_assert_ptr_null(getSASFinder());
	help_fails(SASBlockAlloc(4096) == NULL, ESTALE);
	/* Neither the old region nor the new one is removed by who has neither. */
	help_fails((SASRemove(), 1), ESTALE);
	help_fails((SASReset(), 1), ESTALE);
	SASCleanUp();
	ck_assert_ptr_null(SASRegionDefault());
	ck_assert_int_eq(SASJoinRegionByName(p->store), 0);
	ck_assert_ptr_nonnull(getSASFinder());
	SASCleanUp();
}

START_TEST(classic_peers_get_estale_and_harm_nobody)
{
	struct help_peer p = { .store = help_store() };

	help_classic(p.store);
	ck_assert_int_eq(SASJoinRegion(), 0);
	setSASFinder(SASBlockAlloc(4096));
	help_peer_start(&p, lose_classic);
	SASRemove();
	ck_assert_int_eq(SASJoinRegion(), 0);
	setSASFinder(SASBlockAlloc(4096));
	help_peer_end(&p);
	help_succeeds(SASBlockAlloc(HELP_SEGMENT) != NULL);
	SASCleanUp();
	help_works(p.store);
}
END_TEST

static void stay(void *arg)
{
	struct help_peer *p = arg;
	SASRegion_t region = help_join(p->store, 0);
	void *block = SASRegionBlockAlloc(region, 4096);

	help_peer_turn(p);
	help_succeeds(SASBlockFree(block, 4096) == 0);
	help_peer_turn(p);
	check_stale(region, block);
	help_leave(region);
}

START_TEST(remove_path_gives_ebusy_while_participants_live_unless_forced)
{
	struct help_peer p = { .store = make_store() };
	uint64_t before;

	help_peer_start(&p, stay);
	before = help_fingerprint(p.store);
	help_fails(SASRegionRemovePath(p.store, 0) == -1, EBUSY, p.store, "1 process");
	ck_assert_uint_eq(help_fingerprint(p.store), before);
	help_peer_go_on(&p);
	help_succeeds(SASRegionRemovePath(p.store, 1) == 0);
	ck_assert_int_eq(help_files(p.store, ""), 0);
	help_peer_end(&p);
	help_works(p.store);
}
END_TEST

static void stay_and_read(void *arg)
{
	struct help_peer *p = arg;
	SASRegion_t region = help_join(p->store, SAS_JOIN_READONLY);

	help_peer_turn(p);
	ck_assert_ptr_null(SASRegionFinder(region));
	help_leave(region);
}

START_TEST(remove_path_counts_readers_and_forgets_the_dead)
{
	struct help_peer p = { .store = make_store() };

	help_peer_start(&p, stay_and_read);
	help_fails(SASRegionRemovePath(p.store, 0) == -1, EBUSY, p.store);
	kill(p.pid, SIGKILL);
	ck_assert_int_eq(help_wait(p.pid, PATIENCE), 128 + SIGKILL);
	help_succeeds(SASRegionRemovePath(p.store, 0) == 0);
	ck_assert_int_eq(help_files(p.store, ""), 0);
	help_works(p.store);
}
END_TEST

START_TEST(remove_path_of_region_joined_here_gives_ebusy)
{
	char *store = make_store();
	SASRegion_t region = help_join(store, 0);

	help_fails(SASRegionRemovePath(store, 0) == -1, EBUSY, store);
	help_succeeds(SASRegionRemovePath(store, 1) == 0);
	help_fails(SASRegionBlockAlloc(region, 4096) == NULL, ESTALE);
	help_leave(region);
	help_works(store);
}
END_TEST

/* --- reset */

START_TEST(reset_keeps_geometry_and_options)
{
	char *store = help_store();
	SASRegionOptions o;
	SASRegion_t region;
	SASRegionInfo before, after;
	struct stat st;

	help_options(&o, SAS_JOIN_CREATE | SAS_JOIN_SPARSE | SAS_JOIN_EAGER);
	o.mode = 0640;
	o.segmentSize = 4UL << 20;
	o.durability = SASDurability__DISK;
	region = SASRegionJoin(store, &o);
	help_succeeds(region != NULL);
	ck_assert_ptr_eq(SASRegionJoin(store, NULL), region);
	help_succeeds(SASRegionBlockAlloc(region, 16UL << 20) != NULL);
	before = help_info(region);
	help_succeeds(SASRegionReset(region) == 0);
	after = help_info(region);
	ck_assert_uint_eq(after.base, before.base);
	ck_assert_uint_eq(after.regionSize, before.regionSize);
	ck_assert_uint_eq(after.segmentSize, before.segmentSize);
	ck_assert_uint_eq(after.flags, before.flags);
	ck_assert_uint_eq(after.mode, 0640);
	ck_assert_uint_eq(after.durability, SASDurability__DISK);
	ck_assert_uint_eq(after.segmentsPresent, 1);
	ck_assert_int_eq(stat(help_path(store, ANCHOR), &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0640);
	help_succeeds(SASRegionBlockAlloc(region, 4096) != NULL);
	for (int i = 0; i < 3; i++)
		help_succeeds(SASRegionReset(region) == 0);
	help_leave(region);
	help_succeeds(SASRegionBlockAlloc(region, 4096) != NULL);
	help_leave(region);
	help_works(store);
}
END_TEST

START_TEST(reset_keeps_other_files)
{
	char *store = make_store();
	SASRegion_t region = help_join(store, 0);
	int descriptors = help_descriptors();

	touch(store, "README");
	help_succeeds(SASRegionReset(region) == 0);
	ck_assert_int_eq(help_files(store, "README"), 1);
	ck_assert_int_eq(help_files(store, "SAS0000"), 1);
	ck_assert_int_eq(help_descriptors(), descriptors);
	help_leave(region);
	help_works(store);
}
END_TEST

/* --- interrupted removals */

static void stamp(const char *store, uint32_t life)
{
	off_t at = SAS_M_PAGE + offsetof(struct sas_m_state, life);
	int fd = open(help_path(store, ANCHOR), O_RDWR | O_CLOEXEC);

	ck_assert_int_eq(pwrite(fd, &life, sizeof life, at), sizeof life);
	close(fd);
}

/* What is there when the remover died after deleting so many of the other files. */
static char *make_dying(int deleted)
{
	static const char *const order[] = { FIRST, "SAS.run", SECOND };
	char *store = make_store();

	touch(store, "SAS.tmp.0123456789abcdef");
	stamp(store, SAS_M_LIFE_DEAD);
	for (int i = 0; i < deleted; i++)
		ck_assert_int_eq(unlink(help_path(store, order[i])), 0);
	return store;
}

START_TEST(interrupted_removal_is_completed_by_the_next_join)
{
	for (int deleted = 0; deleted <= 3; deleted++) {
		char *store = make_dying(deleted);
		SASRegion_t region = help_create(store);

		ck_assert_uint_eq(help_info(region).blocksInUse, 0);
		ck_assert_uint_eq(help_info(region).segmentsPresent, 1);
		ck_assert_int_eq(help_files(store, ""), 2);
		help_leave(region);
		help_works(store);
	}
}
END_TEST

START_TEST(interrupted_removal_is_completed_by_a_join_that_does_not_create)
{
	for (int deleted = 0; deleted <= 3; deleted++) {
		char *store = make_dying(deleted);

		help_fails(SASRegionJoin(store, NULL) == NULL, ENOENT, store);
		ck_assert_int_eq(help_files(store, ""), 0);
		help_works(store);
	}
}
END_TEST

START_TEST(interrupted_removal_is_completed_by_remove)
{
	for (int deleted = 0; deleted <= 3; deleted++) {
		char *store = make_dying(deleted);

		help_succeeds(SASRegionRemovePath(store, 0) == 0);
		ck_assert_int_eq(help_files(store, ""), 0);
		help_works(store);
	}
}
END_TEST

/* Who only reads changes nothing. */
START_TEST(interrupted_removal_is_left_by_a_reader)
{
	char *store = make_dying(1);
	uint64_t before = help_fingerprint(store);
	SASRegionOptions o;

	help_options(&o, SAS_JOIN_READONLY);
	help_fails(SASRegionJoin(store, &o) == NULL && (errno == ESTALE || errno == ENOENT), errno, store);
	ck_assert_uint_eq(help_fingerprint(store), before);
	help_leave(help_create(store));
	help_works(store);
}
END_TEST

/* Only the stamp says that a region is being removed: any other word there is damage. */
START_TEST(damaged_life_word_never_deletes)
{
	static const uint32_t words[] = { 0, 3, 0x02000000, 0xffffffff, 0x5a5a5a5a };

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		char *store = make_store();
		uint64_t before;
		SASRegionOptions o;

		stamp(store, words[i]);
		before = help_fingerprint(store);
		for (unsigned flags = 0; flags <= SAS_JOIN_READONLY; flags++) {
			help_options(&o, flags);
			if (flags & SAS_JOIN_EXCLUSIVE)
				continue;
			help_fails(SASRegionJoin(store, &o) == NULL, EUCLEAN, store, ANCHOR);
			ck_assert_int_eq(help_files(store, "SAS0000"), 3);
		}
		ck_assert_uint_eq(help_fingerprint(store), before);
		stamp(store, SAS_M_LIFE_ACTIVE);
		help_works(store);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("remove");
	TCase *remove = help_case(s, "remove"), *peer = help_case(s, "peer"), *reset = help_case(s, "reset"),
	      *broken = help_case(s, "broken");

	tcase_add_test(remove, remove_deletes_all_files_and_leaves);
	tcase_add_test(remove, remove_path_refuses_what_is_no_region);
	tcase_add_test(remove, remove_path_deletes_only_files_it_recognises);
	tcase_add_test(remove, remove_path_of_damaged_region_changes_nothing);
	tcase_add_test(remove, remove_path_of_region_joined_here_gives_ebusy);
	tcase_add_test(peer, peers_of_removed_region_get_estale_and_rejoin);
	tcase_add_test(peer, peers_of_reset_region_get_estale_and_rejoin);
	tcase_add_test(peer, classic_peers_get_estale_and_harm_nobody);
	tcase_add_test(peer, remove_path_gives_ebusy_while_participants_live_unless_forced);
	tcase_add_test(peer, remove_path_counts_readers_and_forgets_the_dead);
	tcase_add_test(reset, reset_keeps_geometry_and_options);
	tcase_add_test(reset, reset_keeps_other_files);
	tcase_add_test(broken, interrupted_removal_is_completed_by_the_next_join);
	tcase_add_test(broken, interrupted_removal_is_completed_by_a_join_that_does_not_create);
	tcase_add_test(broken, interrupted_removal_is_completed_by_remove);
	tcase_add_test(broken, interrupted_removal_is_left_by_a_reader);
	tcase_add_test(broken, damaged_life_word_never_deletes);
	return help_main(s);
}
