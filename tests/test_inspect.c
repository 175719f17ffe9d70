/* SPDX-License-Identifier: MIT */
/*
 * test_inspect.c - anchors and trailers that must be refused, what inspection reads from files made by hand, and
 * that it says what the runtime says. test_check.c is about the check and copies.
 */
#include <config.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "help.h"
#include "image.h"
#include "sas/media/anchor.h"
#include "sas/ground/port.h"
#include "sas/run/run.h"
#include "sasinspect.h"

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
			a->page_size = SAS_M_PAGE;
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
	struct sas_fault fault;

	image_make(&m, 8);
	image_read_segment(&m, 0, IMAGE_SEGMENT, &good, sizeof(good));
	ck_assert_int_eq(sas_trailer_examine(&good, &m.anchor, 0, &fault), 0);
	ck_assert_int_eq(sas_trailer_fits(&good, &m.anchor, 0), 1);
	ck_assert_int_eq(sas_trailer_examine(&good, &m.anchor, 1, &fault), -EUCLEAN);
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
			ck_assert_int_ne(sas_trailer_examine(&t, &m.anchor, 0, &fault), 0);
			ck_assert_int_eq(sas_trailer_fits(&t, &m.anchor, 0), 0);
		}
	}
	image_destroy(&m);
}
END_TEST

/* --- looking */

static SASInspect_t open_image(const struct image *m)
{
	SASInspect_t in = SASInspectOpen(m->path);

	ck_assert_msg(in != NULL, "%s", SASLastErrorMessage());
	return in;
}

START_TEST(open_refuses_bad_arguments)
{
	char *path = help_store(), *anchor = help_path(path, "SAS00000.DAT");

	errno = 0;
	ck_assert_ptr_null(SASInspectOpen(NULL));
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_ptr_null(SASInspectOpen(""));
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_ptr_null(SASInspectOpen("/nowhere/at/all"));
	ck_assert_int_eq(errno, ENOENT);
	ck_assert_ptr_null(SASInspectOpen("/dev/null"));
	ck_assert_int_eq(errno, ENOTDIR);
	ck_assert_ptr_null(SASInspectOpen(path));
	ck_assert_int_eq(errno, ENOENT);
	ck_assert_int_eq(symlink("/etc/passwd", anchor), 0);
	ck_assert_ptr_null(SASInspectOpen(path));
	ck_assert_int_eq(errno, EUCLEAN);
	unlink(anchor);
	ck_assert_int_eq(mkfifo(anchor, 0600), 0);
	ck_assert_ptr_null(SASInspectOpen(path));
	ck_assert_int_eq(errno, EUCLEAN);
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

	image_sample(&m);
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

	image_sample(&m);
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

	image_sample(&m);
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

	image_sample(&m);
	before = image_fingerprint(m.path);
	in = open_image(&m);
	ck_assert_int_eq(SASInspectGetInfo(in, &info), 0);
	ck_assert_int_ge(SASInspectListBlocks(in, SASBlock__UNCOMMITTED, NULL, 0), 1);
	ck_assert_int_eq(SASInspectListParticipants(in, NULL, 0), 0);
	SASInspectClose(in);
	help_clean(m.path);
	ck_assert_uint_eq(image_fingerprint(m.path), before);
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

	image_sample(&m);
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

/* --- what the runtime writes */

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
	SASRegionInfo a = help_info(r);
	SASInspectInfo b = help_inspect(path);

	ck_assert_mem_eq(a.uuid, b.uuid, 16);
	ck_assert_uint_eq(a.bytesInUse, b.bytesInUse);
	ck_assert_uint_eq(a.blocksInUse, b.blocksInUse);
	ck_assert_uint_eq(a.bytesFree, b.bytesFree);
	ck_assert_uint_eq(a.segmentsPresent, b.segmentsPresent);
	ck_assert_uint_eq(a.participants, b.participantsAlive);
	ck_assert_uint_eq(a.mode, b.mode);
	ck_assert_uint_eq(b.participantsDead, 0);
	ck_assert_uint_eq(b.clean, 0);
}

START_TEST(inspection_agrees_with_the_runtime)
{
	char *store = help_store();
	SASRegion_t r = help_create(store);
	void *block[300] = { NULL };
	size_t size[300];
	unsigned random = 1;
	uint64_t before;

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
			expect_same_lists(r, store);
			expect_same_info(r, store);
			help_clean(store);
		}
	}
	ck_assert_int_eq(SASRegionCopy(store, "/nonexistent/copy"), -1);
	ck_assert_int_eq(errno, EBUSY);
	ck_assert_int_eq(SASRegionLeave(r), 0);
	before = image_fingerprint(store);
	help_clean(store);
	ck_assert_uint_eq(help_inspect(store).clean, 1);
	ck_assert_uint_eq(help_inspect(store).participantsAlive, 0);
	ck_assert_uint_eq(image_fingerprint(store), before);
}
END_TEST

START_TEST(inspect_reads_bytes_of_the_region_alone)
{
	struct image m;
	SASInspect_t in;
	char text[32], *base = (char *)IMAGE_BASE;

	image_sample(&m);
	image_write_segment(&m, 2, IMAGE_SEGMENT - 5, "12345", 5);
	image_write_segment(&m, 3, 0, "67890", 6);
	in = SASInspectOpen(m.path);
	help_succeeds(SASInspectRead(in, base + 3 * IMAGE_SEGMENT - 5, text, 11) == 0);
	ck_assert_str_eq(text, "1234567890");
	/* No file. */
	memset(text, 1, sizeof(text));
	help_succeeds(SASInspectRead(in, base + 8 * IMAGE_SEGMENT - 32, text, 32) == 0);
	ck_assert(all_zero(text, 32));
	help_succeeds(SASInspectRead(in, base + 8 * IMAGE_SEGMENT, NULL, 0) == 0);
	help_fails(SASInspectRead(in, base + 8 * IMAGE_SEGMENT - 31, text, 32) == -1, EFAULT);
	help_fails(SASInspectRead(in, base - 1, text, 1) == -1, EFAULT);
	help_fails(SASInspectRead(in, base, text, SIZE_MAX) == -1, EFAULT);
	help_fails(SASInspectRead(in, base, NULL, 1) == -1, EINVAL);
	help_fails(SASInspectRead(NULL, base, text, 1) == -1, EINVAL);
	ck_assert_int_eq(unlink(help_path(m.path, "SAS00003.DAT")), 0);
	help_succeeds(SASInspectRead(in, base + IMAGE_SEGMENT, text, 1) == 0);
	help_fails(SASInspectRead(in, base + 3 * IMAGE_SEGMENT, text, 1) == -1, ENOENT, "segment 3");
	SASInspectClose(in);
	image_destroy(&m);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("inspect");
	TCase *anchor = help_case(s, "anchor"), *look = help_case(s, "look"), *live = help_case(s, "live");

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
	tcase_add_test(live, inspection_agrees_with_the_runtime);
	tcase_add_test(look, inspect_reads_bytes_of_the_region_alone);
	return help_main(s);
}
