/* SPDX-License-Identifier: MIT */
/*
 * test_check.c - what the check finds in files made by hand and damaged, what it takes for whole, and copies.
 */
#include <config.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "help.h"
#include "image.h"
#include "sandbox.h"
#include "sas/media/anchor.h"
#include "sas/ground/hash.h"
#include "sas/ground/port.h"
#include "sas/block/tiles.h"
#include "sasinspect.h"

static long problems;
static char first_file[64], first_sentence[300];
static uint64_t first_offset;

static void count_problem(const char *file, uint64_t offset, const char *sentence, void *arg)
{
	if (arg)
		fprintf(stderr, "%s: offset %lu: %s\n", file, (unsigned long)offset, sentence);
	if (problems++)
		return;
	snprintf(first_file, sizeof(first_file), "%s", file);
	snprintf(first_sentence, sizeof(first_sentence), "%s", sentence);
	first_offset = offset;
}

/* How many problems there are; each must have been told. */
static long check_store(const char *path)
{
	long count;

	problems = 0;
	first_file[0] = first_sentence[0] = '\0';
	count = SASRegionCheck(path, count_problem, getenv("SHOW"));
	if (count >= 0)
		ck_assert_int_eq(count, problems);
	return count;
}

/* --- the check */

/* One problem at least, the first in this file; returns how many. */
static long expect_bad(const struct image *m, const char *file, const char *words)
{
	uint64_t before = image_fingerprint(m->path);
	long count = check_store(m->path);

	ck_assert_int_ge(count, 1);
	ck_assert_str_eq(first_file, file);
	ck_assert_msg(strstr(first_sentence, words) != NULL, "\"%s\" is not about \"%s\"", first_sentence,
		      words);
	ck_assert_uint_eq(image_fingerprint(m->path), before);
	return count;
}

START_TEST(check_accepts_segments_that_hold_their_own_map)
{
	struct image m;

	image_make(&m, 200);
	ck_assert_uint_lt(m.anchor.maps, 150);
	image_carve(&m, 150);
	image_entry(&m, 150, 1, SAS_M_USED, 0, 3);
	ck_assert_int_eq(check_store(m.path), 0);
	image_entry(&m, 150, 0, SAS_M_USED, 0, 3);
	expect_bad(&m, "SAS00096.DAT", "own block map");
	image_destroy(&m);
}
END_TEST

START_TEST(check_finds_broken_tiles)
{
	struct image m;

	image_sample(&m);
	ck_assert_int_eq(check_store(m.path), 0);
	image_entry(&m, 1, 5, SAS_M_USED, 0, 4); /* M2 */
	ck_assert_int_eq(expect_bad(&m, "SAS00000.DAT", "inside of another tile"), 1);
	ck_assert_uint_eq(first_offset, sas_map_of(&m.anchor, 1) + 5 * 4);
	image_entry(&m, 1, 5, SAS_M_FREED, 0, 0);
	ck_assert_int_eq(check_store(m.path), 0);
	image_entry(&m, 1, 4, SAS_M_USED, 3, 6); /* M1: 32 KiB at 16 KiB */
	expect_bad(&m, "SAS00000.DAT", "no tile can begin so");
	image_entry(&m, 1, 4, SAS_M_USED, 63, 6);
	expect_bad(&m, "SAS00000.DAT", "no tile can begin so");
	image_entry(&m, 1, 4, SAS_M_USED, 2, 6);
	ck_assert_int_eq(check_store(m.path), 0);
	image_entry(&m, 1, 256, SAS_M_NEVER, 9, 0); /* goes beyond the segment */
	expect_bad(&m, "SAS00000.DAT", "no tile can begin so");
	image_entry(&m, 1, 256, SAS_M_NEVER, 8, 0);
	ck_assert_int_eq(check_store(m.path), 0);
	image_entry(&m, 1, 300, SAS_M_FREED, 2, 0); /* a lease that ends makes units of it again */
	ck_assert_int_eq(expect_bad(&m, "SAS00000.DAT", "inside of space that was never used"), 1);
	image_destroy(&m);
}
END_TEST

START_TEST(check_finds_free_space_that_is_not_zero)
{
	struct image m;

	image_sample(&m);
	image_write_segment(&m, 1, 0x1FFF, "x", 1);
	expect_bad(&m, "SAS00001.DAT", "first page of free space");
	ck_assert_uint_eq(first_offset, 0x1FFF);
	image_write_segment(&m, 1, 0x1FFF, "", 1);
	image_write_segment(&m, 1, 0x2000, "x", 1); /* dirty: anything goes */
	image_write_segment(&m, 1, 0x4000, "x", 1); /* in use */
	ck_assert_int_eq(check_store(m.path), 0);
	image_write_segment(&m, 1, 0x1F0123, "x", 1);
	expect_bad(&m, "SAS00001.DAT", "never used");
	ck_assert_uint_eq(first_offset, 0x1F0123);
	image_destroy(&m);
}
END_TEST

START_TEST(check_finds_runtime_blocks_missing_and_left_over)
{
	struct image m;

	image_sample(&m);
	image_entry(&m, 0, 0, SAS_M_USED, 5, 1);
	expect_bad(&m, "SAS00000.DAT", "the anchor block");
	image_entry(&m, 0, 0, SAS_M_USED, 5, 0);
	ck_assert_int_eq(check_store(m.path), 0);
	image_entry(&m, 1, 12, SAS_M_USED, 2, 0);
	expect_bad(&m, "SAS00000.DAT", "nothing names");
	/* A chunk of logs accounts for a block of its size alone. */
	image_entry(&m, 1, 12, SAS_M_USED, 2, 7);
	m.state.log_chunk[0] = IMAGE_SEGMENT + (128UL << 10);
	image_store(&m);
	expect_bad(&m, "SAS00001.DAT", "a chunk of intent logs");
	image_fill(&m, 1, 16, 32, SAS_M_NEVER);
	image_entry(&m, 1, 32, SAS_M_USED, 5, 0);
	image_fill(&m, 1, 64, 512, SAS_M_NEVER);
	ck_assert_int_eq(check_store(m.path), 0);
	m.state.log_chunk[1] = 12345;
	image_store(&m);
	expect_bad(&m, "SAS00000.DAT", "no chunk of intent logs can be");
	image_destroy(&m);
}
END_TEST

START_TEST(check_finds_a_broken_table)
{
	struct image m;

	image_sample(&m);
	m.table[3].block = sas_entry(SAS_M_USED, 0, 8);
	image_store(&m);
	expect_bad(&m, "SAS00000.DAT", "inside of another tile");
	ck_assert_uint_eq(first_offset, m.anchor.table_offset + 3 * sizeof(struct sas_m_segment));
	m.table[3].block = 0;
	m.table[5].block = sas_entry(SAS_M_USED, 1, 8);
	image_store(&m);
	expect_bad(&m, "SAS00000.DAT", "no tile can begin so");
	m.table[5].block = sas_entry(SAS_M_USED, 0, 8);
	image_store(&m);
	expect_bad(&m, "SAS00000.DAT", "no file");
	m.table[5].block = sas_entry(SAS_M_USED, SAS_M_ORDER_CARVED, 0);
	image_store(&m);
	expect_bad(&m, "SAS00000.DAT", "no file");
	m.table[5].block = 0;
	m.table[5].file = 2;
	image_store(&m);
	expect_bad(&m, "SAS00000.DAT", "unknown bits");
	m.table[5].file = 0;
	m.table[0].block = sas_entry(SAS_M_USED, 0, 1);
	image_store(&m);
	expect_bad(&m, "SAS00000.DAT", "not carved");
	image_destroy(&m);
}
END_TEST

START_TEST(check_finds_files_that_do_not_fit)
{
	struct image m, other;
	char one[4200], two[4200];
	int fd;

	image_sample(&m);
	snprintf(one, sizeof(one), "%s/SAS00001.DAT", m.path);
	snprintf(two, sizeof(two), "%s/SAS00002.DAT", m.path);
	ck_assert_int_eq(chmod(one, 0600), 0);
	expect_bad(&m, "SAS00001.DAT", "mode 0600");
	ck_assert_int_eq(chmod(one, 0640), 0);
	if (getuid() == 0) {
		ck_assert_int_eq(chown(one, 65534, (gid_t)-1), 0);
		expect_bad(&m, "SAS00001.DAT", "user 65534");
		ck_assert_int_eq(chown(one, 0, 65534), 0);
		expect_bad(&m, "SAS00001.DAT", "group 65534");
		ck_assert_int_eq(chown(one, 0, getgid()), 0);
		ck_assert_int_eq(chmod(one, 0640), 0);
	}
	ck_assert_int_eq(check_store(m.path), 0);
	ck_assert_int_eq(truncate(one, IMAGE_SEGMENT + 4095), 0);
	expect_bad(&m, "SAS00001.DAT", "2101247 bytes");
	ck_assert_int_eq(truncate(one, IMAGE_SEGMENT + 4096), 0);
	ck_assert_int_eq(check_store(m.path), 0);
	ck_assert_int_eq(unlink(one), 0);
	expect_bad(&m, "SAS00001.DAT", "missing");
	ck_assert_int_eq(symlink("SAS00002.DAT", one), 0);
	expect_bad(&m, "SAS00001.DAT", "not a regular file");
	unlink(one);
	ck_assert_int_eq(link(two, one), 0);
	expect_bad(&m, "SAS00001.DAT", "segment 2");
	/* Another region's segment, at a number that the table does not list. */
	image_make(&other, 8);
	other.anchor.uuid[0] = 'F';
	image_carve(&other, 1);
	unlink(one);
	snprintf(two, sizeof(two), "%s/SAS00001.DAT", other.path);
	ck_assert_int_eq(link(two, one), 0);
	expect_bad(&m, "SAS00001.DAT", "another region");
	snprintf(two, sizeof(two), "%s/SAS00099.DAT", m.path);
	fd = open(two, O_CREAT | O_WRONLY, 0640);
	close(fd);
	expect_bad(&m, "SAS00001.DAT", "another region");
	ck_assert_int_eq(problems, 2);
	image_destroy(&other);
	image_destroy(&m);
}
END_TEST

START_TEST(check_accepts_a_segment_that_a_dead_creator_left)
{
	struct image m;

	image_sample(&m);
	image_carve(&m, 5);
	m.table[5].file = m.table[5].block = 0;
	image_store(&m);
	ck_assert_int_eq(check_store(m.path), 0);
	image_destroy(&m);
}
END_TEST

START_TEST(check_finds_a_broken_anchor_or_none)
{
	struct image m;
	char path[4200];

	image_sample(&m);
	image_write_segment(&m, 0, offsetof(struct sas_m_anchor, created_at), "\1", 1);
	expect_bad(&m, "SAS00000.DAT", "checksum");
	m.anchor.format = 2;
	image_store(&m);
	ck_assert_int_eq(check_store(m.path), -1);
	ck_assert_int_eq(errno, EPROTONOSUPPORT);
	m.anchor.format = 1;
	m.state.life = SAS_M_LIFE_DEAD;
	image_store(&m);
	ck_assert_int_eq(expect_bad(&m, "SAS00000.DAT", "cut short"), 1);
	snprintf(path, sizeof(path), "%s/SAS00000.DAT", m.path);
	ck_assert_int_eq(truncate(path, 100000), 0);
	expect_bad(&m, "SAS00000.DAT", "the file ends here");
	unlink(path);
	expect_bad(&m, "SAS00000.DAT", "a copy that was cut short");
	image_destroy(&m);
}
END_TEST

/* One record in the first log, whole. */
static void store_intent(struct image *m, uint32_t state, uint32_t type, uint32_t spoil)
{
	struct {
		struct sas_m_log log;
		struct sas_m_record record;
		uint8_t bytes[8];
	} intent;

	memset(&intent, 0, sizeof(intent));
	intent.log.magic = SAS_M_MAGIC_LOG;
	intent.log.state = state;
	intent.log.used = sizeof(intent.record) + sizeof(intent.bytes);
	intent.log.sequence = 4;
	intent.record.type = type;
	intent.record.length = sizeof(intent.bytes);
	intent.record.where = IMAGE_SEGMENT;
	intent.record.sequence = 4;
	intent.record.check = sas_hash32(intent.bytes, sizeof(intent.bytes),
					 sas_hash32(&intent.record, sizeof(intent.record), 0)) ^
			      spoil;
	image_write_segment(m, 0, m->anchor.log_offset, &intent, sizeof(intent));
}

START_TEST(check_takes_intents_for_work_to_do_and_broken_ones_for_problems)
{
	struct image m;
	SASInspectInfo info;

	image_sample(&m);
	sas_port_boot_id(m.state.boot_id);
	m.state.clean = 0;
	image_store(&m);
	store_intent(&m, SAS_M_LOG_ACTIVE, SAS_M_RECORD_UNDO, 0);
	ck_assert_int_eq(check_store(m.path), 0);
	info = help_inspect(m.path);
	ck_assert_uint_eq(info.intents, 1);
	ck_assert_uint_eq(info.clean, 0);
	store_intent(&m, SAS_M_LOG_ACTIVE, SAS_M_RECORD_UNDO, 1);
	expect_bad(&m, "SAS00000.DAT", "checksum");
	store_intent(&m, SAS_M_LOG_COMMITTED, 77, 0);
	expect_bad(&m, "SAS00000.DAT", "unknown type");
	store_intent(&m, 3, SAS_M_RECORD_UNDO, 0);
	expect_bad(&m, "SAS00000.DAT", "state 3");
	store_intent(&m, SAS_M_LOG_IDLE, 77, 1); /* stale */
	ck_assert_int_eq(check_store(m.path), 0);
	image_destroy(&m);
}
END_TEST

/* --- copies */

static void target_of(const struct image *m, char path[4200])
{
	snprintf(path, 4200, "%s-copy", m->path);
}

static void expect_same_file(const char *a, const char *b, const char *name)
{
	static uint8_t x[IMAGE_SEGMENT + 4096], y[sizeof(x)];
	char pa[8400], pb[8400];
	struct stat sa, sb;
	int fa, fb;

	snprintf(pa, sizeof(pa), "%s/%s", a, name);
	snprintf(pb, sizeof(pb), "%s/%s", b, name);
	fa = open(pa, O_RDONLY);
	fb = open(pb, O_RDONLY);
	ck_assert_int_eq(fstat(fa, &sa), 0);
	ck_assert_int_eq(fstat(fb, &sb), 0);
	ck_assert_uint_eq(sa.st_mode, sb.st_mode);
	ck_assert_uint_eq(sa.st_uid, sb.st_uid);
	ck_assert_uint_eq(sa.st_gid, sb.st_gid);
	ck_assert_int_eq(sa.st_size, sb.st_size);
	ck_assert_int_eq(pread(fa, x, sizeof(x), 0), (ssize_t)sizeof(x));
	ck_assert_int_eq(pread(fb, y, sizeof(y), 0), (ssize_t)sizeof(y));
	ck_assert_mem_eq(x, y, sizeof(x));
	close(fa);
	close(fb);
}

START_TEST(copy_is_the_same_region)
{
	static const char *const names[] = { "SAS00000.DAT", "SAS00001.DAT", "SAS00002.DAT", "SAS00003.DAT" };
	struct image m;
	char path[4200];
	uint64_t before;

	image_sample(&m);
	image_write_segment(&m, 3, 777, "here", 4);
	before = image_fingerprint(m.path);
	target_of(&m, path);
	ck_assert_msg(SASRegionCopy(m.path, path) == 0, "%s", SASLastErrorMessage());
	ck_assert_uint_eq(image_fingerprint(m.path), before);
	for (size_t i = 0; i < 4; i++)
		expect_same_file(m.path, path, names[i]);
	ck_assert_int_eq(check_store(path), 0);
	/* A directory that holds something is no target. */
	ck_assert_int_eq(SASRegionCopy(m.path, path), -1);
	ck_assert_int_eq(errno, ENOTEMPTY);
	ck_assert_int_eq(check_store(path), 0);
	sandbox_remove(path);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	ck_assert_int_eq(SASRegionCopy(m.path, path), 0);
	sandbox_remove(path);
	image_destroy(&m);
}
END_TEST

START_TEST(copy_keeps_holes)
{
	struct image m;
	struct stat from, to;
	char path[4200], one[4300];

	image_sample(&m);
	m.anchor.compat |= SAS_M_COMPAT_SPARSE;
	image_store(&m);
	target_of(&m, path);
	ck_assert_int_eq(SASRegionCopy(m.path, path), 0);
	snprintf(one, sizeof(one), "%s/SAS00001.DAT", m.path);
	ck_assert_int_eq(stat(one, &from), 0);
	snprintf(one, sizeof(one), "%s/SAS00001.DAT", path);
	ck_assert_int_eq(stat(one, &to), 0);
	ck_assert_int_le(to.st_blocks, from.st_blocks);
	ck_assert_int_lt(to.st_blocks * 512, (long)IMAGE_SEGMENT / 4);
	sandbox_remove(path);
	image_destroy(&m);
}
END_TEST

START_TEST(copy_refuses_what_it_cannot_copy)
{
	struct image m;
	char path[4200], anchor[4200];
	int fd;

	image_sample(&m);
	target_of(&m, path);
	ck_assert_int_eq(SASRegionCopy(m.path, NULL), -1);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(SASRegionCopy(NULL, path), -1);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(SASRegionCopy(m.path, "/nowhere/at/all"), -1);
	ck_assert_int_eq(errno, ENOENT);
	ck_assert_int_eq(SASRegionCopy(m.path, m.path), -1);
	ck_assert_int_eq(errno, ENOTEMPTY);
	snprintf(anchor, sizeof(anchor), "%s/SAS00000.DAT", m.path);
	fd = open(anchor, O_RDONLY);
	ck_assert_int_eq(flock(fd, LOCK_SH), 0);
	ck_assert_int_eq(SASRegionCopy(m.path, path), -1);
	ck_assert_int_eq(errno, EBUSY);
	close(fd);
	ck_assert_int_eq(access(path, F_OK), -1);
	m.state.life = SAS_M_LIFE_DEAD;
	image_store(&m);
	ck_assert_int_eq(SASRegionCopy(m.path, path), -1);
	ck_assert_int_eq(errno, ESTALE);
	ck_assert_int_eq(access(path, F_OK), -1);
	image_destroy(&m);
}
END_TEST

static int left; /* calls until the fault */

static ssize_t full_disk_pwrite(int fd, const void *buffer, size_t size, uint64_t offset)
{
	return left-- <= 0 ? -ENOSPC : sas_port_linux.pwrite(fd, buffer, size, offset);
}

static int broken_fsync(int fd)
{
	return left-- <= 0 ? -EIO : sas_port_linux.fsync(fd);
}

START_TEST(copy_that_fails_removes_what_it_made)
{
	struct sas_port port = sas_port_linux;
	struct image m;
	char path[4200];
	int failures = 0;

	image_sample(&m);
	target_of(&m, path);
	sas_port = &port;
	for (int fault = 0; fault < 2; fault++) {
		port.pwrite = fault ? sas_port_linux.pwrite : full_disk_pwrite;
		port.fsync = fault ? broken_fsync : sas_port_linux.fsync;
		for (int n = 0; n < 100; n++) {
			left = n;
			if (SASRegionCopy(m.path, path) == 0)
				break;
			ck_assert_int_eq(errno, fault ? EIO : ENOSPC);
			ck_assert_int_eq(access(path, F_OK), -1);
			failures++;
		}
		sandbox_remove(path);
	}
	sas_port = &sas_port_linux;
	ck_assert_int_gt(failures, 8);
	image_destroy(&m);
}
END_TEST

START_TEST(copy_opens_with_its_pointers)
{
	char *store = help_store(), *target = help_path(help_store(), "copy");
	SASRegion_t r;
	char **root, *small, *large;

	r = help_create(store);
	root = SASRegionBlockAlloc(r, 4096);
	small = SASRegionBlockAlloc(r, 8192);
	large = SASRegionBlockAlloc(r, 4 * HELP_SEGMENT);
	ck_assert(root && small && large);
	ck_assert_int_eq(SASMapAhead(large, 4 * HELP_SEGMENT), 0);
	root[0] = small;
	root[1] = large + 3 * HELP_SEGMENT;
	strcpy(root[0], "small");
	strcpy(root[1], "large");
	ck_assert_int_eq(SASRegionSetFinder(r, root), 0);
	ck_assert_int_eq(SASRegionLeave(r), 0);
	ck_assert_msg(SASRegionCopy(store, target) == 0, "%s", SASLastErrorMessage());
	ck_assert_int_eq(check_store(target), 0);
	r = help_join(target, SAS_JOIN_EAGER);
	root = SASRegionFinder(r);
	ck_assert_str_eq(root[0], "small");
	ck_assert_str_eq(root[1], "large");
	ck_assert_int_eq(SASBlockFree(large, 4 * HELP_SEGMENT), 0);
	ck_assert_int_eq(SASRegionLeave(r), 0);
	ck_assert_int_eq(check_store(target), 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("check");
	TCase *check = help_case(s, "check"), *copy = help_case(s, "copy"), *live = help_case(s, "live");

	tcase_add_test(check, check_accepts_segments_that_hold_their_own_map);
	tcase_add_test(check, check_finds_broken_tiles);
	tcase_add_test(check, check_finds_free_space_that_is_not_zero);
	tcase_add_test(check, check_finds_runtime_blocks_missing_and_left_over);
	tcase_add_test(check, check_finds_a_broken_table);
	tcase_add_test(check, check_finds_files_that_do_not_fit);
	tcase_add_test(check, check_accepts_a_segment_that_a_dead_creator_left);
	tcase_add_test(check, check_finds_a_broken_anchor_or_none);
	tcase_add_test(check, check_takes_intents_for_work_to_do_and_broken_ones_for_problems);
	tcase_add_test(copy, copy_is_the_same_region);
	tcase_add_test(copy, copy_keeps_holes);
	tcase_add_test(copy, copy_refuses_what_it_cannot_copy);
	tcase_add_test(copy, copy_that_fails_removes_what_it_made);
	tcase_add_test(live, copy_opens_with_its_pointers);
	return help_main(s);
}
