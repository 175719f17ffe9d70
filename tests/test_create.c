/* SPDX-License-Identifier: MIT */
/*
 * test_create.c - making regions, and files that a join refuses: from other versions and machines, damaged,
 * half copied, foreign, or in the wrong place. A refusal names file and cause, and changes nothing.
 */
#include <config.h>

#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "help.h"
#include "sas/media/anchor.h"
#include "sas/run/run.h"
#include "sasinspect.h"
#include "sassim.h"

#define ANCHOR "SAS00000.DAT"
#define FIRST "SAS00001.DAT"
#define SECOND "SAS00002.DAT"
#define FIRST_ADDRESS ((char *)HELP_BASE + HELP_SEGMENT)

/* --- files by hand */

static void transfer(const char *store, const char *name, uint64_t offset, void *bytes, size_t size,
		     int write)
{
	int fd = open(help_path(store, name), O_RDWR | O_CLOEXEC);
	ssize_t done;

	ck_assert_msg(fd >= 0, "%s: %s", name, strerror(errno));
	done = write ? pwrite(fd, bytes, size, (off_t)offset) : pread(fd, bytes, size, (off_t)offset);
	ck_assert_int_eq(done, (ssize_t)size);
	close(fd);
}

static struct sas_m_anchor read_anchor(const char *store)
{
	struct sas_m_anchor a;

	transfer(store, ANCHOR, 0, &a, sizeof a, 0);
	return a;
}

static void write_anchor(const char *store, struct sas_m_anchor *a)
{
	a->checksum = sas_anchor_checksum(a);
	transfer(store, ANCHOR, 0, a, sizeof *a, 1);
}

/* A region with segments 1 and 2, left clean, whose finder is a block in segment 0. */
static char *make_store(void)
{
	char *store = help_store();
	SASRegion_t region = help_create(store);
	char *block = SASRegionBlockAlloc(region, 4096);

	help_succeeds(SASRegionBlockAlloc(region, HELP_SEGMENT) != NULL);
	help_succeeds(SASRegionBlockAlloc(region, HELP_SEGMENT) != NULL);
	strcpy(block, "kept");
	SASRegionSetFinder(region, block);
	help_leave(region);
	ck_assert_int_eq(help_files(store, "SAS0000"), 3);
	help_clean(store);
	return store;
}

static SASRegion_t try_join(const char *store, unsigned flags)
{
	SASRegionOptions o;

	help_options(&o, flags);
	return SASRegionJoin(store, &o);
}

/* Refused, as often as it is tried, with these words; nothing changes, nothing stays open. */
#define refused(store, flags, error, ...) refuse(help_fingerprint(store), store, flags, error, ##__VA_ARGS__)
/* The same, by a join that has begun: it counts as one in the state page. */
#define refused_late(store, flags, error, ...) refuse(0UL, store, flags, error, ##__VA_ARGS__)
#define refuse(before, store, flags, error, ...)                                                   \
	do {                                                                                       \
		int open_ = help_descriptors();                                                    \
		uint64_t before_ = before;                                                         \
		for (int again_ = 0; again_ < 2; again_++)                                         \
			help_fails(try_join(store, flags) == NULL, error, store, ##__VA_ARGS__);   \
		ck_assert_int_eq(help_descriptors(), open_);                                       \
		ck_assert_uint_eq(before_ ? help_fingerprint(store) : 0, before_);                 \
	} while (0)

static void accepted(const char *store, unsigned flags)
{
	SASRegion_t region = try_join(store, flags);

	help_succeeds(region != NULL);
	ck_assert_str_eq(SASRegionFinder(region), "kept");
	help_leave(region);
}

/* --- making */

START_TEST(create_writes_what_the_options_say)
{
	char *store = help_store();
	SASInspectInfo info = { .structSize = sizeof info };
	SASRegionOptions o;
	SASRegion_t region;
	SASInspect_t inspect;

	help_options(&o, SAS_JOIN_CREATE);
	o.mode = 0600;
	o.durability = SASDurability__DISK;
	o.numaPolicy = SASNuma__INTERLEAVE;
	region = SASRegionJoin(store, &o);
	help_succeeds(region != NULL);
	ck_assert_uint_eq(help_info(region).mode, 0600);
	ck_assert_uint_eq(help_info(region).durability, SASDurability__DISK);
	help_succeeds(SASRegionBlockAlloc(region, 4096) != NULL);
	help_succeeds(SASSync(region) == 0);
	help_leave(region);
	inspect = SASInspectOpen(store);
	ck_assert_int_eq(SASInspectGetInfo(inspect, &info), 0);
	ck_assert_uint_eq(info.base, HELP_BASE);
	ck_assert_uint_eq(info.regionSize, HELP_REGION);
	ck_assert_uint_eq(info.segmentSize, HELP_SEGMENT);
	ck_assert_uint_eq(info.numaPolicy, SASNuma__INTERLEAVE);
	ck_assert_uint_eq(info.durability, SASDurability__DISK);
	ck_assert_uint_eq(info.clean, 1);
	ck_assert_uint_eq(info.generation, 1);
	SASInspectClose(inspect);
	help_works(store);
}
END_TEST

#define uncreatable(change, error, ...)                                                            \
	do {                                                                                       \
		SASRegionOptions o_;                                                               \
		help_options(&o_, SAS_JOIN_CREATE);                                                \
		o_.change;                                                                         \
		help_fails(SASRegionJoin(store, &o_) == NULL, error, ##__VA_ARGS__);               \
		ck_assert_int_eq(help_files(store, ""), 0);                                        \
	} while (0)

START_TEST(create_refuses_what_no_region_can_be)
{
	char *store = help_store();

	uncreatable(base = HELP_BASE + 4096, EINVAL, "base");
	uncreatable(base = 1UL << 47, EINVAL, "0x800000000000");
	uncreatable(base = ~0UL << 21, EINVAL);
	uncreatable(segmentSize = 3UL << 20, EINVAL, "segment size");
	uncreatable(segmentSize = 1UL << 20, EINVAL, "segment size");
	uncreatable(segmentSize = 1UL << 63, EINVAL);
	uncreatable(regionSize = HELP_REGION + 4096, EINVAL, "region size");
	uncreatable(regionSize = ~0UL << 21, EINVAL);
	uncreatable(regionSize = HELP_SEGMENT << 20, EINVAL, "segment");
	uncreatable(durability = 3, EINVAL, store, "durability");
	uncreatable(durability = (sas_durability_t)-1, EINVAL);
	uncreatable(numaPolicy = 5, EINVAL, "NUMA");
#ifdef HAVE_LIBNUMA             /* without it lists are not read */
	/* Where there is no NUMA, policies are accepted and have no effect. */
	if (syscall(SYS_get_mempolicy, NULL, NULL, 0, NULL, 0) == 0)
		uncreatable(numaNodes = "seven", EINVAL);
#endif
	uncreatable(flags |= SAS_JOIN_PREALLOCATED, ENOENT, store, "preallocated");
	help_works(store);
}
END_TEST

START_TEST(create_refuses_modes_that_are_no_permissions)
{
	static const unsigned modes[] = { 04600, 02660, 01600, 010600, 0100600, 07777 };
	char *store = help_store();

	for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++)
		uncreatable(mode = modes[i], EINVAL, "mode");
	help_works(store);
}
END_TEST

START_TEST(create_on_disk_without_dax_refuses_pmem)
{
	char *store = help_store();
	SASRegionOptions o;
	SASRegion_t region;

	help_options(&o, SAS_JOIN_CREATE);
	o.durability = SASDurability__PMEM;
	region = SASRegionJoin(store, &o);
	if (!region) {
		ck_assert_int_eq(errno, EOPNOTSUPP);
		ck_assert_ptr_nonnull(strstr(SASLastErrorMessage(), store));
		ck_assert_int_eq(help_files(store, ""), 0);
	} else {
		help_leave(region);
	}
	help_works(store);
}
END_TEST

START_TEST(create_beside_segments_without_anchor_is_refused)
{
	char *store = make_store();

	ck_assert_int_eq(unlink(help_path(store, ANCHOR)), 0);
	refused(store, SAS_JOIN_CREATE, EUCLEAN, ANCHOR, "missing");
	refused(store, 0, ENOENT, ANCHOR);
	/* What only has such a name is no segment. */
	ck_assert_int_eq(truncate(help_path(store, FIRST), 100), 0);
	ck_assert_int_eq(truncate(help_path(store, SECOND), 0), 0);
	help_leave(help_create(store));
}
END_TEST

START_TEST(create_in_a_directory_with_other_files_leaves_them)
{
	char *store = help_store();
	uint64_t before;

	close(open(help_path(store, "README"), O_CREAT | O_WRONLY, 0600));
	close(open(help_path(store, "sas00001.dat"), O_CREAT | O_WRONLY, 0600));
	ck_assert_int_eq(mkdir(help_path(store, "SAS.d"), 0700), 0);
	before = help_fingerprint(help_path(store, "SAS.d"));
	help_works(store);
	ck_assert_int_eq(help_files(store, "README"), 1);
	ck_assert_int_eq(help_files(store, "sas00001.dat"), 1);
	ck_assert_uint_eq(help_fingerprint(help_path(store, "SAS.d")), before);
}
END_TEST

/* --- leftovers of broken creations */

static int make_leftover(const char *store, const char *name)
{
	int fd = open(help_path(store, name), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, 1 << 20), 0);
	return fd;
}

START_TEST(leftovers_disappear_at_next_join_but_for_those_of_the_living)
{
	char *store = make_store(), *fresh = help_store();
	int living = make_leftover(store, "SAS.tmp.00000000000000aa");

	ck_assert_int_eq(flock(living, LOCK_EX), 0);
	close(make_leftover(store, "SAS.tmp.0123456789abcdef"));
	close(make_leftover(store, "SAS.tmp.x"));
	close(make_leftover(store, "SAS.temporary"));
	accepted(store, 0);
	ck_assert_int_eq(help_files(store, "SAS.tmp."), 1);
	ck_assert_int_eq(help_files(store, "SAS.tmp.00000000000000aa"), 1);
	ck_assert_int_eq(help_files(store, "SAS.temporary"), 1);
	close(living);
	accepted(store, 0);
	close(make_leftover(store, "SAS.tmp.y"));
	accepted(store, 0);
	ck_assert_int_eq(help_files(store, "SAS.tmp."), 0);
	close(make_leftover(fresh, "SAS.tmp.0123456789abcdef"));
	help_works(fresh);
	ck_assert_int_eq(help_files(fresh, "SAS.tmp."), 0);
	help_works(store);
}
END_TEST

START_TEST(temporary_names_that_are_no_files_are_left)
{
	char *store = make_store(), *outside = help_path(help_store(), "outside");

	close(open(outside, O_CREAT | O_WRONLY, 0600));
	ck_assert_int_eq(symlink(outside, help_path(store, "SAS.tmp.link")), 0);
	ck_assert_int_eq(mkdir(help_path(store, "SAS.tmp.directory"), 0700), 0);
	ck_assert_int_eq(mkfifo(help_path(store, "SAS.tmp.fifo"), 0600), 0);
	accepted(store, 0);
	ck_assert_int_eq(access(outside, F_OK), 0);
	ck_assert_int_eq(help_files(store, "SAS.tmp.directory"), 1);
	help_works(store);
}
END_TEST

/* --- anchors of other makers */

START_TEST(anchor_with_unknown_incompatible_feature_is_refused)
{
	char *store = make_store();
	struct sas_m_anchor good = read_anchor(store), a = good;

	a.incompat |= 0x80000000;
	write_anchor(store, &a);
	refused(store, 0, EPROTONOSUPPORT, ANCHOR, "0x80000000");
	refused(store, SAS_JOIN_CREATE, EPROTONOSUPPORT, ANCHOR);
	refused(store, SAS_JOIN_READONLY, EPROTONOSUPPORT, ANCHOR);
	help_fails(SASJoinRegionByName(store) == 1, EPROTONOSUPPORT, ANCHOR);
	write_anchor(store, &good);
	accepted(store, 0);
	help_works(store);
}
END_TEST

START_TEST(anchor_with_unknown_read_only_feature_joins_for_reading)
{
	char *store = make_store();
	struct sas_m_anchor good = read_anchor(store), a = good;

	a.ro_compat |= 0x10;
	write_anchor(store, &a);
	refused(store, 0, EPROTONOSUPPORT, ANCHOR, "only read");
	accepted(store, SAS_JOIN_READONLY);
	accepted(store, SAS_JOIN_RELOCATED);
	a = good;
	a.compat |= 0x8000;
	write_anchor(store, &a);
	accepted(store, 0);
	help_works(store);
}
END_TEST

START_TEST(anchor_of_another_machine_is_refused)
{
	char *store = make_store();
	struct sas_m_anchor good = read_anchor(store), a = good;

	a.page_size = 16384;
	write_anchor(store, &a);
	refused(store, 0, EPROTONOSUPPORT, ANCHOR, "16384");
	a = good;
	a.magic = __builtin_bswap64(a.magic);
	write_anchor(store, &a);
	refused(store, 0, EPROTONOSUPPORT, ANCHOR, "byte order");
	refused(store, SAS_JOIN_READONLY, EPROTONOSUPPORT, ANCHOR, "byte order");
	a = good;
	a.endian = __builtin_bswap32(a.endian);
	write_anchor(store, &a);
	refused(store, 0, EPROTONOSUPPORT, ANCHOR, "yte order");
	a = good;
	a.format = 2;
	write_anchor(store, &a);
	refused(store, 0, EPROTONOSUPPORT, ANCHOR, "format 2");
	write_anchor(store, &good);
	accepted(store, 0);
	help_works(store);
}
END_TEST

START_TEST(anchor_with_damaged_bytes_is_refused)
{
	char *store = make_store();
	struct sas_m_anchor good = read_anchor(store);

	for (size_t at = 0; at < sizeof good; at += 7) {
		struct sas_m_anchor a = good;

		((uint8_t *)&a)[at] ^= 0x20;
		transfer(store, ANCHOR, 0, &a, sizeof a, 1);
		help_fails(try_join(store, SAS_JOIN_CREATE) == NULL, errno, store, ANCHOR, "offset");
		ck_assert(errno == EUCLEAN || errno == EPROTONOSUPPORT);
	}
	transfer(store, ANCHOR, 0, &good, sizeof good, 1);
	accepted(store, 0);
	help_works(store);
}
END_TEST

START_TEST(anchor_cut_short_is_refused)
{
	static const off_t sizes[] = {
		0, 1, 4095, 4096, 8192, HELP_SEGMENT / 2, HELP_SEGMENT, HELP_SEGMENT + 4095,
	};

	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		char *store = make_store();

		ck_assert_int_eq(truncate(help_path(store, ANCHOR), sizes[i]), 0);
		refused(store, 0, EUCLEAN, ANCHOR);
		refused(store, SAS_JOIN_CREATE, EUCLEAN, ANCHOR);
		refused(store, SAS_JOIN_READONLY, EUCLEAN, ANCHOR);
	}
}
END_TEST

/* --- segments */

START_TEST(missing_segment_is_refused)
{
	char *store = make_store(), *away = help_path(help_store(), FIRST);

	ck_assert_int_eq(rename(help_path(store, FIRST), away), 0);
	refused(store, 0, ENOENT, FIRST, "missing");
	refused(store, SAS_JOIN_CREATE | SAS_JOIN_EAGER, ENOENT, FIRST, "missing");
	refused(store, SAS_JOIN_READONLY, ENOENT, FIRST, "missing");
	ck_assert_int_eq(rename(away, help_path(store, FIRST)), 0);
	accepted(store, SAS_JOIN_EAGER);
	help_works(store);
}
END_TEST

/* A lazy join looks at a segment when it is first needed. */
static void foreign_segment(const char *store, int error, const char *cause)
{
	SASRegion_t region;
	uint64_t before;

	refused_late(store, SAS_JOIN_EAGER, error, FIRST, cause);
	refused_late(store, SAS_JOIN_MAP64, error, FIRST, cause);
	refused(store, SAS_JOIN_EAGER | SAS_JOIN_READONLY, error, FIRST, cause);
	before = help_fingerprint(store);
	region = try_join(store, SAS_JOIN_READONLY);
	if (region) {
		ck_assert_int_eq(SASMapAhead(FIRST_ADDRESS, 4096), -1);
		ck_assert_int_eq(errno, error);
		help_leave(region);
	}
	ck_assert_uint_eq(help_fingerprint(store), before);
}

START_TEST(segment_of_another_region_is_refused)
{
	char *store = make_store(), *other = make_store();

	ck_assert_int_eq(rename(help_path(other, FIRST), help_path(store, FIRST)), 0);
	foreign_segment(store, EUCLEAN, "belongs to another region");
}
END_TEST

START_TEST(segment_under_the_number_of_another_is_refused)
{
	char *store = make_store(), *aside = help_path(store, "aside");

	ck_assert_int_eq(rename(help_path(store, FIRST), aside), 0);
	ck_assert_int_eq(rename(help_path(store, SECOND), help_path(store, FIRST)), 0);
	ck_assert_int_eq(rename(aside, help_path(store, SECOND)), 0);
	foreign_segment(store, EUCLEAN, "segment 2 of the region, not 1");
}
END_TEST

START_TEST(segment_cut_short_or_damaged_is_refused)
{
	char *store = make_store();
	uint64_t word, at = HELP_SEGMENT + offsetof(struct sas_m_trailer, checksum);

	transfer(store, FIRST, at, &word, sizeof word, 0);
	word ^= 1;
	transfer(store, FIRST, at, &word, sizeof word, 1);
	foreign_segment(store, EUCLEAN, "checksum");
	word ^= 1;
	transfer(store, FIRST, at, &word, sizeof word, 1);
	accepted(store, SAS_JOIN_EAGER);
	ck_assert_int_eq(truncate(help_path(store, FIRST), HELP_SEGMENT), 0);
	foreign_segment(store, EUCLEAN, "cut short");
	ck_assert_int_eq(truncate(help_path(store, FIRST), 0), 0);
	foreign_segment(store, EUCLEAN, "cut short");
	ck_assert_int_eq(truncate(help_path(store, FIRST), 2 * HELP_SEGMENT), 0);
	foreign_segment(store, EUCLEAN, "no segment's trailer");
}
END_TEST

START_TEST(segment_with_wrong_mode_is_refused)
{
	char *store = make_store();

	ck_assert_int_eq(chmod(help_path(store, FIRST), 0777), 0);
	foreign_segment(store, EPERM, "mode");
	ck_assert_int_eq(chmod(help_path(store, FIRST), 0600), 0);
	foreign_segment(store, EPERM, "mode");
}
END_TEST

START_TEST(segment_of_wrong_owner_or_group_is_refused)
{
	char *store = make_store();

	if (geteuid() != 0) {
		printf("left out: only root gives files away\n");
		return;
	}
	ck_assert_int_eq(chown(help_path(store, FIRST), 0, 12345), 0);
	foreign_segment(store, EPERM, "group");
	ck_assert_int_eq(chown(help_path(store, FIRST), 12345, 0), 0);
	foreign_segment(store, EPERM, "owner");
	ck_assert_int_eq(chown(help_path(store, FIRST), 0, 0), 0);
	accepted(store, SAS_JOIN_EAGER);
	help_works(store);
}
END_TEST

START_TEST(file_in_the_way_of_a_new_segment_is_refused)
{
	char *store = make_store(), *name = help_path(store, "SAS00003.DAT");
	SASRegion_t region;
	int fd;

	fd = open(name, O_CREAT | O_RDWR, 0600);
	ck_assert_int_eq(ftruncate(fd, HELP_SEGMENT + 4096), 0);
	close(fd);
	region = help_join(store, 0);
	help_fails(SASRegionBlockAlloc(region, HELP_SEGMENT) == NULL, errno, "SAS00003.DAT", "in the way");
	ck_assert(errno == EPERM || errno == EUCLEAN);
	help_succeeds(SASRegionBlockAlloc(region, 4096) != NULL);
	help_leave(region);
	ck_assert_int_eq(unlink(name), 0);
	help_works(store);
}
END_TEST

/* --- what is no file */

static void replace_by_link(const char *store, const char *name)
{
	char *away = help_path(help_store(), name);

	ck_assert_int_eq(rename(help_path(store, name), away), 0);
	ck_assert_int_eq(symlink(away, help_path(store, name)), 0);
}

START_TEST(symbolic_links_are_refused)
{
	char *store = make_store();

	replace_by_link(store, ANCHOR);
	refused(store, 0, ELOOP, ANCHOR, "symbolic link");
	refused(store, SAS_JOIN_CREATE, ELOOP, ANCHOR);
	refused(store, SAS_JOIN_READONLY, ELOOP, ANCHOR);
	store = make_store();
	replace_by_link(store, FIRST);
	refused(store, 0, EUCLEAN, FIRST, "not a regular file");
	refused(store, SAS_JOIN_READONLY, EUCLEAN, FIRST);
	store = make_store();
	replace_by_link(store, "SAS.run");
	refused(store, 0, ELOOP, "SAS.run");
	/* A link that leads nowhere is no place for a new file. */
	store = help_store();
	ck_assert_int_eq(symlink("/nowhere/at/all", help_path(store, ANCHOR)), 0);
	refused(store, SAS_JOIN_CREATE, ELOOP, ANCHOR);
	store = make_store();
	ck_assert_int_eq(unlink(help_path(store, "SAS.run")), 0);
	ck_assert_int_eq(symlink(help_path(help_store(), "made"), help_path(store, "SAS.run")), 0);
	refused(store, 0, ELOOP, "SAS.run");
}
END_TEST

START_TEST(symbolic_link_that_appears_later_is_refused)
{
	char *store = make_store();
	SASRegion_t region = help_join(store, 0);

	replace_by_link(store, FIRST);
	ck_assert_int_eq(SASMapAhead(FIRST_ADDRESS, 1), -1);
	ck_assert_int_eq(errno, ELOOP);
	help_leave(region);
}
END_TEST

static void replace_by_directory(const char *store, const char *name)
{
	ck_assert_int_eq(unlink(help_path(store, name)), 0);
	ck_assert_int_eq(mkdir(help_path(store, name), 0755), 0);
}

START_TEST(directories_are_refused)
{
	char *store = make_store();

	replace_by_directory(store, FIRST);
	refused(store, 0, EUCLEAN, FIRST, "not a regular file");
	store = make_store();
	replace_by_directory(store, "SAS.run");
	refused(store, 0, EISDIR, "SAS.run");
	store = make_store();
	replace_by_directory(store, ANCHOR);
	refused(store, 0, EISDIR, ANCHOR);
	refused(store, SAS_JOIN_CREATE, EISDIR, ANCHOR);
	refused(store, SAS_JOIN_READONLY, EUCLEAN, ANCHOR);
}
END_TEST

static void replace_by_fifo(const char *store, const char *name)
{
	ck_assert_int_eq(unlink(help_path(store, name)), 0);
	ck_assert_int_eq(mkfifo(help_path(store, name), 0644), 0);
	ck_assert_int_eq(chmod(help_path(store, name), 0644), 0);
}

static void try_fifos(void *arg)
{
	char *store = make_store();

	(void)arg;
	replace_by_fifo(store, ANCHOR);
	refused(store, 0, EUCLEAN, ANCHOR);
	refused(store, SAS_JOIN_READONLY, EUCLEAN, ANCHOR);
	store = make_store();
	replace_by_fifo(store, FIRST);
	refused(store, 0, EUCLEAN, FIRST);
	store = make_store();
	replace_by_fifo(store, "SAS.run");
	refused(store, 0, EPERM, "SAS.run");
}

START_TEST(fifos_are_refused_and_nobody_waits_for_them)
{
	umask(022);
	help_in_child(try_fifos, NULL);
}
END_TEST

/* --- modes and owners of the anchor and of SAS.run */

START_TEST(anchor_with_changed_mode_is_refused)
{
	char *store = make_store();

	ck_assert_int_eq(chmod(help_path(store, ANCHOR), 0666), 0);
	refused(store, 0, EPERM, ANCHOR, "666", "644");
	ck_assert_int_eq(chmod(help_path(store, ANCHOR), 0644), 0);
	accepted(store, 0);
	help_works(store);
}
END_TEST

START_TEST(run_file_of_wrong_mode_or_owner_is_refused)
{
	char *store = make_store(), *run = help_path(store, "SAS.run");

	ck_assert_int_eq(chmod(run, 0666), 0);
	refused(store, 0, EPERM, "SAS.run", "mode");
	if (geteuid() == 0) {
		ck_assert_int_eq(chmod(run, 0644), 0);
		ck_assert_int_eq(chown(run, 0, 12345), 0);
		refused(store, 0, EPERM, "SAS.run", "group");
		ck_assert_int_eq(chown(run, 12345, 0), 0);
		refused(store, 0, EPERM, "SAS.run", "owner");
		/* A region at rest can be read without it. */
		accepted(store, SAS_JOIN_READONLY);
		ck_assert_int_eq(chown(run, 0, 0), 0);
		accepted(store, 0);
	}
	ck_assert_int_eq(unlink(run), 0);
	help_works(store);
}
END_TEST

/* --- what SAS.run holds */

static void scribble(const char *store, uint64_t offset, uint64_t size, uint64_t seed)
{
	uint64_t word;

	for (uint64_t at = offset; at < offset + size; at += sizeof word) {
		word = help_random(&seed) * 0x100000001b3UL;
		transfer(store, "SAS.run", at, &word, sizeof word, 1);
	}
}

START_TEST(garbage_in_run_file_is_formatted_anew)
{
	char *store = make_store(), *run = help_path(store, "SAS.run");
	static const off_t sizes[] = { 0, 1, 100, 4096, 8192, 1 << 20 };

	umask(022);
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		ck_assert_int_eq(truncate(run, sizes[i]), 0);
		accepted(store, 0);
	}
	for (uint64_t seed = 0; seed < 10; seed++) {
		scribble(store, 0, seed & 1 ? 4096 : 65536, seed);
		accepted(store, 0);
	}
	for (uint64_t at = 0; at < 64; at += 8) {
		/* Magic, layout, boot id, UUID, generation, one by one. */
		scribble(store, at, 8, at);
		accepted(store, 0);
	}
	help_works(store);
}
END_TEST

START_TEST(counts_in_run_file_beyond_its_size_are_not_followed)
{
	static const uint32_t counts[] = { 0xffffffff, SAS_RUN_THREADS + 1, SAS_RUN_THREADS, 0x80000000 };
	char *store = make_store();

	for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
		uint64_t at = offsetof(struct sas_run_header, thread_top);
		uint32_t count = counts[i];

		transfer(store, "SAS.run", at, &count, sizeof count, 1);
		accepted(store, 0);
		at = offsetof(struct sas_run_header, process_top);
		transfer(store, "SAS.run", at, &count, sizeof count, 1);
		accepted(store, 0);
	}
	help_works(store);
}
END_TEST

static void stay_joined(void *arg)
{
	struct help_peer *l = arg;
	SASRegion_t region = help_join(l->store, 0);

	help_succeeds(SASRegionBlockAlloc(region, 4096) != NULL);
	help_peer_turn(l);
	help_leave(region);
}

/* A participant that uses another C library, or another host: its file lock says that it lives. */
START_TEST(run_file_of_other_layout_in_use_gives_ebusy)
{
	struct help_peer l = { .store = make_store() };
	uint64_t layout, other = 12345;

	help_peer_start(&l, stay_joined);
	transfer(l.store, "SAS.run", offsetof(struct sas_run_header, layout), &layout, sizeof layout, 0);
	transfer(l.store, "SAS.run", offsetof(struct sas_run_header, layout), &other, sizeof other, 1);
	help_fails(try_join(l.store, 0) == NULL, EBUSY, l.store, "SAS.run", "in use");
	transfer(l.store, "SAS.run", offsetof(struct sas_run_header, layout), &layout, sizeof layout, 1);
	transfer(l.store, "SAS.run", offsetof(struct sas_run_header, boot_id), &layout, sizeof layout, 0);
	transfer(l.store, "SAS.run", offsetof(struct sas_run_header, boot_id), &other, sizeof other, 1);
	help_fails(try_join(l.store, 0) == NULL, EBUSY, l.store, "SAS.run", "in use");
	transfer(l.store, "SAS.run", offsetof(struct sas_run_header, boot_id), &layout, sizeof layout, 1);
	accepted(l.store, 0);
	help_peer_end(&l);
	help_works(l.store);
}
END_TEST

static void copy_file(const char *from, const char *to, const char *name)
{
	int in = open(help_path(from, name), O_RDONLY | O_CLOEXEC), out;
	char buffer[65536];
	ssize_t got;
	struct stat st;

	ck_assert_int_ge(in, 0);
	ck_assert_int_eq(fstat(in, &st), 0);
	out = open(help_path(to, name), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
	ck_assert_int_ge(out, 0);
	ck_assert_int_eq(fchmod(out, st.st_mode & 07777), 0);
	while ((got = read(in, buffer, sizeof buffer)) > 0)
		ck_assert_int_eq(write(out, buffer, (size_t)got), got);
	close(in);
	close(out);
}

static void join_copy(void *arg)
{
	SASRegion_t region = help_join(arg, 0);
	void *block = SASRegionBlockAlloc(region, 4096);

	help_succeeds(block != NULL);
	help_succeeds(SASBlockFree(block, 4096) == 0);
	ck_assert_uint_eq(help_info(region).participants, 1);
	help_leave(region);
}

/* The copied SAS.run has slots and locks of processes that are no participants of the copy. */
START_TEST(copied_run_file_with_slots_and_locks_of_others_is_not_believed)
{
	static const char *const files[] = { ANCHOR, FIRST, SECOND, "SAS.run" };
	struct help_peer l = { .store = make_store() };
	char *copy = help_store(), *seized = help_store();

	help_peer_start(&l, stay_joined);
	for (int i = 0; i < 4; i++)
		copy_file(l.store, copy, files[i]);
	help_peer_end(&l);
	help_in_child(join_copy, copy);
	ck_assert_int_eq(SASJoinRegionByName(l.store), 0);
	SASSeize();
	for (int i = 0; i < 4; i++)
		copy_file(l.store, seized, files[i]);
	SASRelease();
	SASCleanUp();
	help_in_child(join_copy, seized);
	help_clean(copy);
	help_clean(seized);
	help_works(l.store);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("create");
	TCase *make = help_case(s, "make"), *leftover = help_case(s, "leftover"),
	      *anchor = help_case(s, "anchor"), *segment = help_case(s, "segment"),
	      *kind = help_case(s, "kind"), *run = help_case(s, "run");

	umask(022);
	tcase_add_test(make, create_writes_what_the_options_say);
	tcase_add_test(make, create_refuses_what_no_region_can_be);
	tcase_add_test(make, create_refuses_modes_that_are_no_permissions);
	tcase_add_test(make, create_on_disk_without_dax_refuses_pmem);
	tcase_add_test(make, create_beside_segments_without_anchor_is_refused);
	tcase_add_test(make, create_in_a_directory_with_other_files_leaves_them);
	tcase_add_test(leftover, leftovers_disappear_at_next_join_but_for_those_of_the_living);
	tcase_add_test(leftover, temporary_names_that_are_no_files_are_left);
	tcase_add_test(anchor, anchor_with_unknown_incompatible_feature_is_refused);
	tcase_add_test(anchor, anchor_with_unknown_read_only_feature_joins_for_reading);
	tcase_add_test(anchor, anchor_of_another_machine_is_refused);
	tcase_add_test(anchor, anchor_with_damaged_bytes_is_refused);
	tcase_add_test(anchor, anchor_cut_short_is_refused);
	tcase_add_test(anchor, anchor_with_changed_mode_is_refused);
	tcase_add_test(segment, missing_segment_is_refused);
	tcase_add_test(segment, segment_of_another_region_is_refused);
	tcase_add_test(segment, segment_under_the_number_of_another_is_refused);
	tcase_add_test(segment, segment_cut_short_or_damaged_is_refused);
	tcase_add_test(segment, segment_with_wrong_mode_is_refused);
	tcase_add_test(segment, segment_of_wrong_owner_or_group_is_refused);
	tcase_add_test(segment, file_in_the_way_of_a_new_segment_is_refused);
	tcase_add_test(kind, symbolic_links_are_refused);
	tcase_add_test(kind, symbolic_link_that_appears_later_is_refused);
	tcase_add_test(kind, directories_are_refused);
	tcase_add_test(kind, fifos_are_refused_and_nobody_waits_for_them);
	tcase_add_test(run, run_file_of_wrong_mode_or_owner_is_refused);
	tcase_add_test(run, garbage_in_run_file_is_formatted_anew);
	tcase_add_test(run, counts_in_run_file_beyond_its_size_are_not_followed);
	tcase_add_test(run, run_file_of_other_layout_in_use_gives_ebusy);
	tcase_add_test(run, copied_run_file_with_slots_and_locks_of_others_is_not_believed);
	return help_main(s);
}
