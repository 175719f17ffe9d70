/* SPDX-License-Identifier: MIT */
/*
 * test_inspect.c - anchors and trailers that must be refused, what inspection reads from files made
 * by hand, what the check finds in damaged ones, and copies.
 */
#include <config.h>

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "image.h"
#include "sas/anchor.h"
#include "sas/hash.h"
#include "sas/port.h"
#include "sas/run.h"
#include "sas/tiles.h"
#include "sasinspect.h"

#define GIB (1UL << 30)

/* --- the rules of the anchor */

START_TEST(geometry_refuses_what_no_region_can_have)
{
	ck_assert_int_eq(sas_geometry_check(IMAGE_BASE, 1024 * GIB, 256UL << 20), 0);
	ck_assert_int_eq(sas_geometry_check(0x565800000000, GIB, 4UL << 20), 0);
	ck_assert_int_eq(sas_geometry_check(0, GIB, 4UL << 20), -EINVAL);
	ck_assert_int_eq(sas_geometry_check(IMAGE_BASE + 4096, GIB, 4UL << 20), -EINVAL);
	ck_assert_int_eq(sas_geometry_check(IMAGE_BASE, GIB, 1UL << 20), -EINVAL);
	ck_assert_int_eq(sas_geometry_check(IMAGE_BASE, GIB, 3UL << 20), -EINVAL);
	ck_assert_int_eq(sas_geometry_check(IMAGE_BASE, GIB + 4096, 4UL << 20), -EINVAL);
	ck_assert_int_eq(sas_geometry_check(IMAGE_BASE, 0, 4UL << 20), -EINVAL);
	ck_assert_int_eq(sas_geometry_check((1UL << 47) - GIB, 2 * GIB, 4UL << 20), -EINVAL);
	ck_assert_int_eq(sas_geometry_check(IMAGE_BASE, ~(4UL << 20) + 1, 4UL << 20), -EINVAL);
	/* A table of 64 Ki segments does not fit in a quarter of 2 MiB. */
	ck_assert_int_eq(sas_geometry_check(IMAGE_BASE, 128 * GIB, 2UL << 20), -EINVAL);
}
END_TEST

START_TEST(compute_gives_a_valid_anchor_for_every_geometry)
{
	struct image m;
	int made = 0;

	memset(&m, 0, sizeof(m));
	for (unsigned s = 21; s < 40; s++) {
		for (unsigned r = s; r < 46; r++) {
			struct sas_m_anchor *a = &m.anchor;

			if (sas_geometry_check(IMAGE_BASE, (1UL << r) + (1UL << s), 1UL << s))
				continue;
			memset(m.page, 0, sizeof(m.page));
			a->magic = SAS_M_MAGIC_ANCHOR;
			a->format = SAS_M_FORMAT;
			a->endian = SAS_M_ENDIAN;
			a->header_size = sizeof(*a);
			a->page_size = (uint32_t)sysconf(_SC_PAGESIZE);
			a->base = IMAGE_BASE;
			a->region_size = (1UL << r) + (1UL << s);
			a->segment_size = 1UL << s;
			sas_anchor_compute(a);
			a->checksum = sas_anchor_checksum(a);
			ck_assert_int_eq(sas_anchor_validate(a, "anchor"), 0);
			ck_assert_uint_ge(a->log_count, SAS_ANCHOR_MIN_LOGS);
			made++;
		}
	}
	ck_assert_int_gt(made, 200);
}
END_TEST

/* Store a value into a field of a good anchor, with a good checksum or not. */
static int validate_with(size_t at, size_t size, uint64_t value, int sum)
{
	struct image m;
	int result;

	image_make(&m, 8);
	memcpy(m.page + at, &value, size);
	if (sum)
		m.anchor.checksum = sas_anchor_checksum(&m.anchor);
	result = sas_anchor_validate(&m.anchor, "SAS00000.DAT");
	image_destroy(&m);
	return result;
}

#define WITH(field, value, sum)                                                                        \
	validate_with(offsetof(struct sas_m_anchor, field), sizeof(((struct sas_m_anchor *)0)->field), \
		      value, sum)

START_TEST(anchor_refuses_each_wrong_field)
{
	char sentence[100];

	ck_assert_int_eq(WITH(created_at, 5, 1), 0);
	ck_assert_int_eq(WITH(created_at, 5, 0), -EUCLEAN);
	snprintf(sentence, sizeof(sentence), "SAS00000.DAT: offset %zu: the checksum",
		 offsetof(struct sas_m_anchor, checksum));
	ck_assert_ptr_nonnull(strstr(SASLastErrorMessage(), sentence));
	ck_assert_int_eq(WITH(magic, 0, 1), -EUCLEAN);
	ck_assert_int_eq(WITH(magic, __builtin_bswap64(SAS_M_MAGIC_ANCHOR), 1), -EPROTONOSUPPORT);
	ck_assert_int_eq(WITH(endian, 0x04030201, 1), -EPROTONOSUPPORT);
	ck_assert_int_eq(WITH(format, 2, 1), -EPROTONOSUPPORT);
	ck_assert_int_eq(WITH(format, 0, 1), -EUCLEAN);
	ck_assert_int_eq(WITH(header_size, 8, 1), -EUCLEAN);
	ck_assert_int_eq(WITH(header_size, 4097, 1), -EUCLEAN);
	ck_assert_int_eq(WITH(header_size, 4096, 1), 0);
	ck_assert_int_eq(WITH(incompat, 0x80, 1), -EPROTONOSUPPORT);
	ck_assert_int_eq(WITH(compat, 0x80, 1), 0);
	ck_assert_int_eq(WITH(page_size, 65536, 1), -EPROTONOSUPPORT);
	ck_assert_int_eq(WITH(page_size, 4097, 1), -EUCLEAN);
	ck_assert_int_eq(WITH(mode, 04755, 1), -EUCLEAN);
	ck_assert_int_eq(WITH(durability, 3, 1), -EUCLEAN);
	ck_assert_int_eq(WITH(numa_policy, 4, 1), -EUCLEAN);
	ck_assert_int_eq(WITH(base, 4096, 1), -EUCLEAN);
	ck_assert_int_eq(WITH(region_size, 0, 1), -EUCLEAN);
	ck_assert_int_eq(WITH(region_size, ~0UL << 21, 1), -EUCLEAN);
	ck_assert_int_eq(WITH(segment_size, 0, 1), -EUCLEAN);
	ck_assert_int_eq(WITH(segment_size, 3UL << 20, 1), -EUCLEAN);
	ck_assert_int_eq(WITH(anchor_size, 0, 1), -EUCLEAN);
	ck_assert_int_eq(WITH(anchor_size, 1UL << 40, 1), -EUCLEAN);
	ck_assert_int_eq(WITH(table_offset, 4096, 1), -EUCLEAN);
	ck_assert_int_eq(WITH(table_offset, ~0UL << 12, 1), -EUCLEAN);
	ck_assert_int_eq(WITH(log_offset, 8192, 1), -EUCLEAN);
	ck_assert_int_eq(WITH(log_offset, ~0UL << 12, 1), -EUCLEAN);
	ck_assert_int_eq(WITH(log_count, 0, 1), -EUCLEAN);
	ck_assert_int_eq(WITH(log_count, ~0UL, 1), -EUCLEAN);
	ck_assert_int_eq(WITH(log_chunk_size, 0, 1), -EUCLEAN);
	ck_assert_int_eq(WITH(log_chunk_size, 1UL << 62, 1), -EUCLEAN);
	ck_assert_int_eq(WITH(map_offset, 4096, 1), -EUCLEAN);
	ck_assert_int_eq(WITH(map_offset, ~0UL << 19, 1), -EUCLEAN);
	ck_assert_int_eq(WITH(map_size, 1UL << 63, 1), -EUCLEAN);
	ck_assert_int_eq(WITH(maps, 0, 1), -EUCLEAN);
	ck_assert_int_eq(WITH(maps, ~0UL, 1), -EUCLEAN);
}
END_TEST

START_TEST(trailer_refuses_each_wrong_field)
{
	struct image m;
	struct sas_m_trailer good, t;

	image_make(&m, 8);
	image_read_segment(&m, 0, IMAGE_SEGMENT, &good, sizeof(good));
	ck_assert_int_eq(sas_trailer_validate(&good, &m.anchor, 0, "f"), 0);
	ck_assert_int_eq(sas_trailer_fits(&good, &m.anchor, 0), 1);
	ck_assert_int_eq(sas_trailer_validate(&good, &m.anchor, 1, "f"), -EUCLEAN);
	ck_assert_int_eq(sas_trailer_fits(&good, &m.anchor, 1), 0);
	for (size_t i = 0; i < sizeof(t); i++) {
		for (int sum = 0; sum < 2; sum++) {
			t = good;
			((uint8_t *)&t)[i] ^= 0x41;
			if (sum)
				t.checksum = sas_trailer_checksum(&t);
			/* The reserved word and the checksum itself are free, once the checksum fits. */
			if (sum && i >= offsetof(struct sas_m_trailer, reserved))
				continue;
			ck_assert_int_ne(sas_trailer_validate(&t, &m.anchor, 0, "f"), 0);
			ck_assert_int_eq(sas_trailer_fits(&t, &m.anchor, 0), 0);
		}
	}
	image_destroy(&m);
}
END_TEST

/* --- looking */

/* Segment 1 carved: 4K used, 4K freed, 8K dirty, 16K used twice, the rest never used; 2-3 one block;
 * no files from 4 on. */
static void make_sample(struct image *m)
{
	image_make(m, 8);
	image_carve(m, 1);
	image_entry(m, 1, 0, SAS_M_USED, 0, 5);
	image_entry(m, 1, 1, SAS_M_FREED, 0, 0);
	image_entry(m, 1, 2, SAS_M_DIRTY, 1, 0);
	image_entry(m, 1, 4, SAS_M_USED, 2, 6);
	image_entry(m, 1, 8, SAS_M_USED, 2, 6);
	image_entry(m, 1, 12, SAS_M_USED, 2, 7);
	image_fill(m, 1, 16, 512, SAS_M_NEVER);
	image_large_block(m, 2, 1, 8);
}

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
static long check_image(const struct image *m)
{
	long count;

	problems = 0;
	first_file[0] = first_sentence[0] = '\0';
	count = SASRegionCheck(m->path, count_problem, getenv("SHOW"));
	if (count >= 0)
		ck_assert_int_eq(count, problems);
	return count;
}

static SASInspect_t open_image(const struct image *m)
{
	SASInspect_t in = SASInspectOpen(m->path);

	ck_assert_msg(in != NULL, "%s", SASLastErrorMessage());
	return in;
}

START_TEST(open_refuses_bad_arguments)
{
	char path[4096], anchor[4200];

	errno = 0;
	ck_assert_ptr_null(SASInspectOpen(NULL));
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_ptr_null(SASInspectOpen(""));
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_ptr_null(SASInspectOpen("/nowhere/at/all"));
	ck_assert_int_eq(errno, ENOENT);
	ck_assert_ptr_null(SASInspectOpen("/dev/null"));
	ck_assert_int_eq(errno, ENOTDIR);
	image_directory(path);
	ck_assert_ptr_null(SASInspectOpen(path));
	ck_assert_int_eq(errno, ENOENT);
	snprintf(anchor, sizeof(anchor), "%s/SAS00000.DAT", path);
	ck_assert_int_eq(symlink("/etc/passwd", anchor), 0);
	ck_assert_ptr_null(SASInspectOpen(path));
	ck_assert_int_eq(errno, EUCLEAN);
	unlink(anchor);
	ck_assert_int_eq(mkfifo(anchor, 0600), 0);
	ck_assert_ptr_null(SASInspectOpen(path));
	ck_assert_int_eq(errno, EUCLEAN);
	image_remove_directory(path);
	SASInspectClose(NULL);
	ck_assert_int_eq(SASInspectGetInfo(NULL, NULL), -1);
	ck_assert_int_eq(errno, EINVAL);
}
END_TEST

START_TEST(info_counts_what_is_there)
{
	struct image m;
	SASInspectInfo info = { .structSize = sizeof(info) };
	SASInspect_t in;

	make_sample(&m);
	in = open_image(&m);
	ck_assert_int_eq(SASInspectGetInfo(in, &info), 0);
	ck_assert_uint_eq(info.base, IMAGE_BASE);
	ck_assert_uint_eq(info.regionSize, 8 * IMAGE_SEGMENT);
	ck_assert_uint_eq(info.segmentsMax, 8);
	ck_assert_uint_eq(info.segmentsPresent, 4);
	ck_assert_uint_eq(info.blocksInUse, 5);
	ck_assert_uint_eq(info.bytesInUse, 4096 + 3 * 16384 + 2 * IMAGE_SEGMENT);
	ck_assert_uint_eq(info.bytesFree,
			  2 * IMAGE_SEGMENT - m.anchor.anchor_size - m.anchor.map_size - (4096 + 3 * 16384));
	ck_assert_uint_eq(info.generation, 9);
	ck_assert_uint_eq(info.mode, 0640);
	ck_assert_uint_eq(info.clean, 1);
	ck_assert_uint_eq(info.participantsAlive + info.participantsDead + info.intents, 0);
	info.structSize = 3;
	ck_assert_int_eq(SASInspectGetInfo(in, &info), -1);
	ck_assert_int_eq(errno, EINVAL);
	SASInspectClose(in);
	image_destroy(&m);
}
END_TEST

static void expect_list(SASInspect_t in, sas_block_kind_t kind, const uint64_t (*want)[2], long count)
{
	SASBlockInfo got[32];

	ck_assert_int_eq(SASInspectListBlocks(in, kind, NULL, 0), count);
	ck_assert_int_eq(SASInspectListBlocks(in, kind, got, 32), count);
	for (long i = 0; i < count; i++) {
		ck_assert_uint_eq((uint64_t)got[i].address, IMAGE_BASE + want[i][0]);
		ck_assert_uint_eq(got[i].size, want[i][1]);
		ck_assert_uint_eq(got[i].kind, kind);
	}
	/* No byte beyond the capacity. */
	memset(got, 0x5A, sizeof(got));
	ck_assert_int_eq(SASInspectListBlocks(in, kind, got, 1), count);
	ck_assert_uint_eq(got[1].size, 0x5A5A5A5A5A5A5A5AUL);
}

START_TEST(lists_are_exact)
{
	const uint64_t S = IMAGE_SEGMENT;
	struct image m;
	SASInspect_t in;
	uint64_t anchor, area, map;

	make_sample(&m);
	anchor = m.anchor.anchor_size;
	area = m.anchor.map_offset;
	map = m.anchor.map_size;
	in = open_image(&m);
	expect_list(in, SASBlock__IN_USE,
		    (const uint64_t[][2]){ { 0, anchor },
					   { area, map },
					   { S, 4096 },
					   { S + 0x4000, 0x4000 },
					   { S + 0x8000, 0x4000 },
					   { S + 0xC000, 0x4000 },
					   { 2 * S, 2 * S } },
		    7);
	/* Buddies alone merge: 0x4000 has no buddy in use. The large block's halves are no entries. */
	expect_list(in, SASBlock__IN_USE_MERGED,
		    (const uint64_t[][2]){ { 0, anchor },
					   { area, map },
					   { S, 4096 },
					   { S + 0x4000, 0x4000 },
					   { S + 0x8000, 0x8000 },
					   { 2 * S, 2 * S } },
		    6);
	expect_list(in, SASBlock__FREE,
		    (const uint64_t[][2]){ { S + 0x1000, 0x1000 }, { S + 0x2000, 0x2000 } }, 2);
	ck_assert_uint_eq(anchor, 0x20000);
	ck_assert_uint_eq(area, 0x20000);
	ck_assert_uint_eq(map, 0x8000);
	expect_list(in, SASBlock__UNCOMMITTED,
		    (const uint64_t[][2]){ { 0x28000, 0x8000 },
					   { 0x30000, 0x10000 },
					   { 0x40000, 0x40000 },
					   { 0x80000, 0x80000 },
					   { 0x100000, 0x100000 },
					   { S + 0x10000, 0x10000 },
					   { S + 0x20000, 0x20000 },
					   { S + 0x40000, 0x40000 },
					   { S + 0x80000, 0x80000 },
					   { S + 0x100000, 0x100000 } },
		    10);
	expect_list(in, SASBlock__SEGMENT,
		    (const uint64_t[][2]){ { 0, S }, { S, S }, { 2 * S, S }, { 3 * S, S } }, 4);
	expect_list(in, SASBlock__FREE_REGION, (const uint64_t[][2]){ { 4 * S, 4 * S } }, 1);
	ck_assert_int_eq(SASInspectListBlocks(in, (sas_block_kind_t)17, NULL, 0), -1);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(SASInspectListBlocks(in, SASBlock__IN_USE, NULL, 4), -1);
	ck_assert_int_eq(errno, EINVAL);
	SASInspectClose(in);
	image_destroy(&m);
}
END_TEST

START_TEST(segments_are_listed_with_their_use)
{
	struct image m;
	SASInspect_t in;
	SASSegmentInfo s[8];

	make_sample(&m);
	in = open_image(&m);
	ck_assert_int_eq(SASInspectListSegments(in, s, 8), 4);
	ck_assert_uint_eq(s[0].use, 1);
	ck_assert_uint_eq(s[1].use, 1);
	ck_assert_uint_eq(s[2].use, 2);
	ck_assert_uint_eq(s[3].use, 2);
	ck_assert_uint_eq(s[3].number, 3);
	ck_assert_uint_eq(s[3].address, IMAGE_BASE + 3 * IMAGE_SEGMENT);
	ck_assert_uint_eq(s[3].mode, 0640);
	ck_assert_uint_eq(s[3].uid, getuid());
	ck_assert_int_eq(SASInspectListSegments(in, NULL, 0), 4);
	SASInspectClose(in);
	image_destroy(&m);
}
END_TEST

START_TEST(looking_changes_no_byte)
{
	struct image m;
	SASInspect_t in;
	SASInspectInfo info = { .structSize = sizeof(info) };
	uint64_t before;

	make_sample(&m);
	before = image_fingerprint(m.path);
	in = open_image(&m);
	ck_assert_int_eq(SASInspectGetInfo(in, &info), 0);
	ck_assert_int_ge(SASInspectListBlocks(in, SASBlock__UNCOMMITTED, NULL, 0), 1);
	ck_assert_int_eq(SASInspectListParticipants(in, NULL, 0), 0);
	SASInspectClose(in);
	ck_assert_int_eq(check_image(&m), 0);
	ck_assert_uint_eq(image_fingerprint(m.path), before);
	image_destroy(&m);
}
END_TEST

/* --- the check */

/* One problem at least, the first in this file; returns how many. */
static long expect_bad(const struct image *m, const char *file, const char *words)
{
	uint64_t before = image_fingerprint(m->path);
	long count = check_image(m);

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
	ck_assert_int_eq(check_image(&m), 0);
	image_entry(&m, 150, 0, SAS_M_USED, 0, 3);
	expect_bad(&m, "SAS00096.DAT", "own block map");
	image_destroy(&m);
}
END_TEST

START_TEST(check_finds_broken_tiles)
{
	struct image m;

	make_sample(&m);
	ck_assert_int_eq(check_image(&m), 0);
	image_entry(&m, 1, 5, SAS_M_USED, 0, 4); /* M2 */
	ck_assert_int_eq(expect_bad(&m, "SAS00000.DAT", "inside of another tile"), 1);
	ck_assert_uint_eq(first_offset, sas_map_of(&m.anchor, 1) + 5 * 4);
	image_entry(&m, 1, 5, SAS_M_FREED, 0, 0);
	ck_assert_int_eq(check_image(&m), 0);
	image_entry(&m, 1, 4, SAS_M_USED, 3, 6); /* M1: 32 KiB at 16 KiB */
	expect_bad(&m, "SAS00000.DAT", "no tile can begin so");
	image_entry(&m, 1, 4, SAS_M_USED, 63, 6);
	expect_bad(&m, "SAS00000.DAT", "no tile can begin so");
	image_entry(&m, 1, 4, SAS_M_USED, 2, 6);
	ck_assert_int_eq(check_image(&m), 0);
	image_entry(&m, 1, 256, SAS_M_NEVER, 9, 0); /* goes beyond the segment */
	expect_bad(&m, "SAS00000.DAT", "no tile can begin so");
	image_destroy(&m);
}
END_TEST

START_TEST(check_finds_free_space_that_is_not_zero)
{
	struct image m;

	make_sample(&m);
	image_write_segment(&m, 1, 0x1FFF, "x", 1);
	expect_bad(&m, "SAS00001.DAT", "first page of free space");
	ck_assert_uint_eq(first_offset, 0x1FFF);
	image_write_segment(&m, 1, 0x1FFF, "", 1);
	image_write_segment(&m, 1, 0x2000, "x", 1); /* dirty: anything goes */
	image_write_segment(&m, 1, 0x4000, "x", 1); /* in use */
	ck_assert_int_eq(check_image(&m), 0);
	image_write_segment(&m, 1, 0x1F0123, "x", 1);
	expect_bad(&m, "SAS00001.DAT", "never used");
	ck_assert_uint_eq(first_offset, 0x1F0123);
	image_destroy(&m);
}
END_TEST

START_TEST(check_finds_runtime_blocks_missing_and_left_over)
{
	struct image m;

	make_sample(&m);
	image_entry(&m, 0, 0, SAS_M_USED, 5, 1);
	expect_bad(&m, "SAS00000.DAT", "the anchor block");
	image_entry(&m, 0, 0, SAS_M_USED, 5, 0);
	ck_assert_int_eq(check_image(&m), 0);
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
	ck_assert_int_eq(check_image(&m), 0);
	m.state.log_chunk[1] = 12345;
	image_store(&m);
	expect_bad(&m, "SAS00000.DAT", "no chunk of intent logs can be");
	image_destroy(&m);
}
END_TEST

START_TEST(check_finds_a_broken_table)
{
	struct image m;

	make_sample(&m);
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

	make_sample(&m);
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
	ck_assert_int_eq(check_image(&m), 0);
	ck_assert_int_eq(truncate(one, IMAGE_SEGMENT + 4095), 0);
	expect_bad(&m, "SAS00001.DAT", "2101247 bytes");
	ck_assert_int_eq(truncate(one, IMAGE_SEGMENT + 4096), 0);
	ck_assert_int_eq(check_image(&m), 0);
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

	make_sample(&m);
	image_carve(&m, 5);
	m.table[5].file = m.table[5].block = 0;
	image_store(&m);
	ck_assert_int_eq(check_image(&m), 0);
	image_destroy(&m);
}
END_TEST

START_TEST(check_finds_a_broken_anchor_or_none)
{
	struct image m;
	char path[4200];

	make_sample(&m);
	image_write_segment(&m, 0, offsetof(struct sas_m_anchor, created_at), "\1", 1);
	expect_bad(&m, "SAS00000.DAT", "checksum");
	m.anchor.format = 2;
	image_store(&m);
	ck_assert_int_eq(check_image(&m), -1);
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
	SASInspectInfo info = { .structSize = sizeof(info) };
	SASInspect_t in;

	make_sample(&m);
	sas_port_boot_id(m.state.boot_id);
	m.state.clean = 0;
	image_store(&m);
	store_intent(&m, SAS_M_LOG_ACTIVE, SAS_M_RECORD_UNDO, 0);
	ck_assert_int_eq(check_image(&m), 0);
	in = open_image(&m);
	ck_assert_int_eq(SASInspectGetInfo(in, &info), 0);
	ck_assert_uint_eq(info.intents, 1);
	ck_assert_uint_eq(info.clean, 0);
	SASInspectClose(in);
	store_intent(&m, SAS_M_LOG_ACTIVE, SAS_M_RECORD_UNDO, 1);
	expect_bad(&m, "SAS00000.DAT", "checksum");
	store_intent(&m, SAS_M_LOG_COMMITTED, 77, 0);
	expect_bad(&m, "SAS00000.DAT", "unknown type");
	store_intent(&m, 3, SAS_M_RECORD_UNDO, 0);
	expect_bad(&m, "SAS00000.DAT", "state 3");
	store_intent(&m, SAS_M_LOG_IDLE, 77, 1); /* stale */
	ck_assert_int_eq(check_image(&m), 0);
	image_destroy(&m);
}
END_TEST

/* --- who lives */

START_TEST(participants_are_read_from_the_run_file)
{
	struct image m;
	struct sas_run_header *h = calloc(1, sizeof(*h));
	struct sas_run_process p[2];
	struct sas_run_thread *t = calloc(2, sizeof(*t));
	SASParticipantInfo got[4];
	SASInspect_t in;
	struct stat st;
	char path[4200];
	uint32_t word = 1234;
	int fd;

	make_sample(&m);
	memset(p, 0, sizeof(p));
	h->magic = SAS_RUN_MAGIC;
	sas_port_boot_id(h->boot_id);
	memcpy(h->uuid, m.anchor.uuid, sizeof(h->uuid));
	h->generation = m.anchor.generation;
	h->process_top.word = 2;
	h->thread_top.word = 2;
	for (uint32_t i = 0; i < 2; i++) {
		p[i].state.word = SAS_RUN_USED;
		p[i].pid = 100 + i;
		t[i].state.word = SAS_RUN_USED;
		t[i].process = i + 1;
		word |= i ? 0x40000000U : 0; /* its owner died */
		memcpy(&t[i].life, &word, sizeof(word));
	}
	snprintf(path, sizeof(path), "%s/SAS.run", m.path);
	fd = open(path, O_CREAT | O_RDWR, 0640);
	ck_assert_int_eq(fstat(fd, &st), 0);
	h->device = st.st_dev;
	h->inode = st.st_ino;
	ck_assert_int_eq(pwrite(fd, h, sizeof(*h), 0), (ssize_t)sizeof(*h));
	ck_assert_int_eq(pwrite(fd, p, sizeof(p), SAS_RUN_PROCESS_OFFSET), (ssize_t)sizeof(p));
	ck_assert_int_eq(pwrite(fd, t, 2 * sizeof(*t), SAS_RUN_THREAD_OFFSET), (ssize_t)(2 * sizeof(*t)));
	in = open_image(&m);
	ck_assert_int_eq(SASInspectListParticipants(in, got, 4), 2);
	ck_assert_uint_eq(got[0].alive, 1);
	ck_assert_uint_eq(got[0].pid, 100);
	ck_assert_uint_eq(got[0].threads, 1);
	ck_assert_uint_eq(got[1].alive, 0);
	ck_assert_uint_eq(got[1].threads, 0);
	snprintf(path, sizeof(path), "%s-copy", m.path);
	ck_assert_int_eq(SASRegionCopy(m.path, path), -1);
	ck_assert_int_eq(errno, EBUSY);
	ck_assert_int_eq(access(path, F_OK), -1);
	/* A copy of the file, another boot's, or another region's, says nothing. */
	h->inode++;
	ck_assert_int_eq(pwrite(fd, h, sizeof(*h), 0), (ssize_t)sizeof(*h));
	ck_assert_int_eq(SASInspectListParticipants(in, got, 4), 0);
	h->inode--;
	h->boot_id[0] ^= 1;
	ck_assert_int_eq(pwrite(fd, h, sizeof(*h), 0), (ssize_t)sizeof(*h));
	ck_assert_int_eq(SASInspectListParticipants(in, got, 4), 0);
	h->boot_id[0] ^= 1;
	h->uuid[3]++;
	ck_assert_int_eq(pwrite(fd, h, sizeof(*h), 0), (ssize_t)sizeof(*h));
	ck_assert_int_eq(SASInspectListParticipants(in, got, 4), 0);
	SASInspectClose(in);
	close(fd);
	free(h);
	free(t);
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
	struct image m, copy;
	char path[4200], run[4300];
	uint64_t before;

	make_sample(&m);
	image_write_segment(&m, 3, 777, "here", 4);
	before = image_fingerprint(m.path);
	target_of(&m, path);
	snprintf(run, sizeof(run), "%s/notes", m.path);
	ck_assert_msg(SASRegionCopy(m.path, path) == 0, "%s", SASLastErrorMessage());
	ck_assert_uint_eq(image_fingerprint(m.path), before);
	for (size_t i = 0; i < 4; i++)
		expect_same_file(m.path, path, names[i]);
	copy = m;
	snprintf(copy.path, sizeof(copy.path), "%.4000s", path);
	ck_assert_int_eq(check_image(&copy), 0);
	/* A directory that holds something is no target. */
	ck_assert_int_eq(SASRegionCopy(m.path, path), -1);
	ck_assert_int_eq(errno, ENOTEMPTY);
	ck_assert_int_eq(check_image(&copy), 0);
	image_remove_directory(path);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	ck_assert_int_eq(SASRegionCopy(m.path, path), 0);
	image_remove_directory(path);
	image_destroy(&m);
}
END_TEST

START_TEST(copy_keeps_holes)
{
	struct image m;
	struct stat from, to;
	char path[4200], one[4300];

	make_sample(&m);
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
	image_remove_directory(path);
	image_destroy(&m);
}
END_TEST

START_TEST(copy_refuses_what_it_cannot_copy)
{
	struct image m;
	char path[4200], anchor[4200];
	int fd;

	make_sample(&m);
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

	make_sample(&m);
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
		image_remove_directory(path);
	}
	sas_port = &sas_port_linux;
	ck_assert_int_gt(failures, 8);
	image_destroy(&m);
}
END_TEST

/* --- what the runtime writes */

static SASRegion_t join_small(const char *path)
{
	SASRegionOptions o;
	SASRegion_t r;

	SASRegionOptionsInit(&o);
	o.flags = SAS_JOIN_CREATE;
	o.base = IMAGE_BASE;
	o.regionSize = 64UL << 20;
	o.segmentSize = IMAGE_SEGMENT;
	r = SASRegionJoin(path, &o);
	ck_assert_msg(r != NULL, "%s", SASLastErrorMessage());
	return r;
}

static void expect_same_lists(SASRegion_t r, const char *path)
{
	static SASBlockInfo a[4096], b[4096];
	SASInspect_t in = SASInspectOpen(path);

	ck_assert_msg(in != NULL, "%s", SASLastErrorMessage());
	for (sas_block_kind_t kind = SASBlock__IN_USE; kind <= SASBlock__IN_USE_MERGED; kind++) {
		long count = SASRegionListBlocks(r, kind, a, 4096);

		ck_assert_int_le(count, 4096);
		ck_assert_int_eq(SASInspectListBlocks(in, kind, b, 4096), count);
		for (long i = 0; i < count; i++) {
			ck_assert_msg(a[i].address == b[i].address && a[i].size == b[i].size &&
					      a[i].generation == b[i].generation && a[i].kind == b[i].kind,
				      "list %d differs at %ld: %p %lu %u, %p %lu %u", (int)kind, i,
				      a[i].address, a[i].size, a[i].generation, b[i].address, b[i].size,
				      b[i].generation);
		}
	}
	SASInspectClose(in);
}

static void expect_same_info(SASRegion_t r, const char *path)
{
	SASRegionInfo a = { .structSize = sizeof(a) };
	SASInspectInfo b = { .structSize = sizeof(b) };
	SASInspect_t in = SASInspectOpen(path);

	ck_assert_int_eq(SASRegionGetInfo(r, &a), 0);
	ck_assert_int_eq(SASInspectGetInfo(in, &b), 0);
	ck_assert_mem_eq(a.uuid, b.uuid, 16);
	ck_assert_uint_eq(a.bytesInUse, b.bytesInUse);
	ck_assert_uint_eq(a.blocksInUse, b.blocksInUse);
	ck_assert_uint_eq(a.bytesFree, b.bytesFree);
	ck_assert_uint_eq(a.segmentsPresent, b.segmentsPresent);
	ck_assert_uint_eq(a.participants, b.participantsAlive);
	ck_assert_uint_eq(a.mode, b.mode);
	ck_assert_uint_eq(b.participantsDead, 0);
	ck_assert_uint_eq(b.clean, 0);
	SASInspectClose(in);
}

START_TEST(inspection_agrees_with_the_runtime)
{
	struct image m = { .segments = 0 };
	SASInspectInfo info = { .structSize = sizeof(info) };
	void *block[300] = { NULL };
	size_t size[300];
	unsigned random = 1;
	SASInspect_t in;
	SASRegion_t r;
	uint64_t before;

	image_directory(m.path);
	r = join_small(m.path);
	for (int step = 0; step < 2000; step++) {
		unsigned i = (random = random * 1103515245 + 12345) >> 16 & 255;

		if (block[i]) {
			memset(block[i], 0x77, size[i] < 8192 ? size[i] : 8192);
			ck_assert_int_eq(SASBlockFree(block[i], size[i]), 0);
			block[i] = NULL;
		} else {
			size[i] = 4096UL << (i % 9 == 0 ? i % 11 : i % 4);
			block[i] = SASRegionBlockAlloc(r, size[i]);
			/* valgrind knows nothing of lazy mapping. */
			if (block[i])
				ck_assert_int_eq(SASMapAhead(block[i], size[i]), 0);
		}
		if (step % 200 == 0) {
			expect_same_lists(r, m.path);
			expect_same_info(r, m.path);
			ck_assert_int_eq(check_image(&m), 0);
		}
	}
	ck_assert_int_eq(SASRegionCopy(m.path, "/nonexistent/copy"), -1);
	ck_assert_int_eq(errno, EBUSY);
	ck_assert_int_eq(SASRegionLeave(r), 0);
	before = image_fingerprint(m.path);
	ck_assert_int_eq(check_image(&m), 0);
	in = SASInspectOpen(m.path);
	ck_assert_int_eq(SASInspectGetInfo(in, &info), 0);
	ck_assert_uint_eq(info.clean, 1);
	ck_assert_uint_eq(info.participantsAlive, 0);
	SASInspectClose(in);
	ck_assert_uint_eq(image_fingerprint(m.path), before);
	image_remove_directory(m.path);
}
END_TEST

START_TEST(copy_opens_with_its_pointers)
{
	struct image m = { .segments = 0 }, copy = { .segments = 0 };
	char target[4200];
	SASRegionOptions o;
	SASRegion_t r;
	char **root, *small, *large;

	image_directory(m.path);
	target_of(&m, target);
	snprintf(copy.path, sizeof(copy.path), "%.4000s", target);
	r = join_small(m.path);
	root = SASRegionBlockAlloc(r, 4096);
	small = SASRegionBlockAlloc(r, 8192);
	large = SASRegionBlockAlloc(r, 4 * IMAGE_SEGMENT);
	ck_assert(root && small && large);
	ck_assert_int_eq(SASMapAhead(large, 4 * IMAGE_SEGMENT), 0);
	root[0] = small;
	root[1] = large + 3 * IMAGE_SEGMENT;
	strcpy(root[0], "small");
	strcpy(root[1], "large");
	ck_assert_int_eq(SASRegionSetFinder(r, root), 0);
	ck_assert_int_eq(SASRegionLeave(r), 0);
	ck_assert_msg(SASRegionCopy(m.path, target) == 0, "%s", SASLastErrorMessage());
	ck_assert_int_eq(check_image(&copy), 0);
	SASRegionOptionsInit(&o);
	o.flags = SAS_JOIN_EAGER;
	r = SASRegionJoin(target, &o);
	ck_assert_msg(r != NULL, "%s", SASLastErrorMessage());
	root = SASRegionFinder(r);
	ck_assert_str_eq(root[0], "small");
	ck_assert_str_eq(root[1], "large");
	ck_assert_int_eq(SASBlockFree(large, 4 * IMAGE_SEGMENT), 0);
	ck_assert_int_eq(SASRegionLeave(r), 0);
	ck_assert_int_eq(check_image(&copy), 0);
	image_remove_directory(target);
	image_remove_directory(m.path);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("inspect");
	TCase *anchor = tcase_create("anchor"), *look = tcase_create("look"), *check = tcase_create("check"),
	      *copy = tcase_create("copy"), *live = tcase_create("live");
	SRunner *runner;
	int failed;

	tcase_add_test(anchor, geometry_refuses_what_no_region_can_have);
	tcase_add_test(anchor, compute_gives_a_valid_anchor_for_every_geometry);
	tcase_add_test(anchor, anchor_refuses_each_wrong_field);
	tcase_add_test(anchor, trailer_refuses_each_wrong_field);
	tcase_add_test(look, open_refuses_bad_arguments);
	tcase_add_test(look, info_counts_what_is_there);
	tcase_add_test(look, lists_are_exact);
	tcase_add_test(look, segments_are_listed_with_their_use);
	tcase_add_test(look, looking_changes_no_byte);
	tcase_add_test(look, participants_are_read_from_the_run_file);
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
	tcase_add_test(live, inspection_agrees_with_the_runtime);
	tcase_add_test(live, copy_opens_with_its_pointers);
	tcase_set_timeout(live, 120);
	suite_add_tcase(s, anchor);
	suite_add_tcase(s, look);
	suite_add_tcase(s, check);
	suite_add_tcase(s, copy);
	suite_add_tcase(s, live);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
