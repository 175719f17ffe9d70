/* SPDX-License-Identifier: MIT */
/*
 * test_attributes.c - the user.sasphere.* attributes of segment files: set with them, shown, and believed by nobody; and
 * files that are not where they belong.
 */
#include <config.h>

#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>
#include "fixture.h"
#include "../sas/ground/port.h"
#include "sandbox.h"

#define KEY(name) "user.sasphere." name

/* A test of attributes needs a file system that has them. */
static int has_attributes(void)
{
	if (setxattr(help_path(store, "SAS00000.DAT"), "user.test", "", 0, 0) == 0)
		return 1;
	puts("skipped: the file system has no user attributes");
	return 0;
}

static const char *value_in(const char *directory, const char *file, const char *key)
{
	static char values[8][128];
	static unsigned turn;
	char *value = values[turn++ % 8];
	ssize_t size = getxattr(help_path(directory, file), key, value, sizeof values[0] - 1);

	value[size < 0 ? 0 : size] = '\0';
	return size < 0 ? "missing" : value;
}

static void uuid_text(const uint8_t uuid[16], char text[37])
{
	size_t at = 0;

	for (int i = 0; i < 16; i++)
		at += (size_t)snprintf(text + at, 37 - at, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", uuid[i]);
}

static int warnings;
static char said[1024];

static void note(sas_log_level_t level, const char *sentence, void *arg)
{
	(void)arg;
	if (level != SASLog__WARNING)
		return;
	warnings++;
	snprintf(said, sizeof said, "%s", sentence);
}

/* The check finds no problem, and warns of this; NULL: of nothing. */
static void ck_warned(const char *of)
{
	warnings = 0;
	SASSetLogSink(note, NULL, SASLog__WARNING);
	ck_assert_int_eq(SASRegionCheck(store, help_print_problem, NULL), 0);
	SASSetLogSink(NULL, NULL, SASLog__ERROR);
	ck_assert_int_eq(warnings, of != NULL);
	ck_assert_msg(!of || strstr(said, of), "\"%s\" does not tell of %s", said, of);
}

START_TEST(every_segment_says_what_it_is)
{
	char uuid[37], base[32], before[37];

	if (!has_attributes())
		return;
	take(2 * HELP_SEGMENT);
	uuid_text(help_info(region).uuid, uuid);
	snprintf(base, sizeof base, "0x%lx", (unsigned long)help_info(region).base);
	ck_assert_str_eq(value_in(store, "SAS00000.DAT", KEY("uuid")), uuid);
	ck_assert_str_eq(value_in(store, "SAS00002.DAT", KEY("uuid")), uuid);
	ck_assert_str_eq(value_in(store, "SAS00000.DAT", KEY("segment")), "0");
	ck_assert_str_eq(value_in(store, "SAS00003.DAT", KEY("segment")), "3");
	ck_assert_str_eq(value_in(store, "SAS00002.DAT", KEY("base")), base);
	ck_assert_str_eq(value_in(store, "SAS00002.DAT", KEY("format")), "1");
	ck_assert_str_eq(value_in(store, "SAS00002.DAT", KEY("generation")), "0");
	ck_assert_str_eq(value_in(store, "SAS00002.DAT", KEY("numa")), "missing");
	ck_assert_uint_eq(help_inspect(store).attributesFit, help_inspect(store).segmentsPresent);
	ck_warned(NULL);
	/* A reset makes another region of it. */
	strcpy(before, uuid);
	help_succeeds(SASRegionReset(region) == 0);
	take(2 * HELP_SEGMENT);
	uuid_text(help_info(region).uuid, uuid);
	ck_assert_str_ne(before, uuid);
	ck_assert_str_eq(value_in(store, "SAS00000.DAT", KEY("uuid")), uuid);
	ck_assert_str_eq(value_in(store, "SAS00002.DAT", KEY("uuid")), uuid);
	ck_assert_str_eq(value_in(store, "SAS00002.DAT", KEY("generation")), "1");
	ck_warned(NULL);
}
END_TEST

START_TEST(wishes_are_among_them)
{
	char *other = help_store();
	SASRegionOptions o;
	SASRegion_t made;

	if (!has_attributes())
		return;
	help_options(&o, SAS_JOIN_CREATE);
	o.base = HELP_BASE + GIB;
	o.numaPolicy = SASNuma__INTERLEAVE_SEGMENTS;
	o.numaNodes = "0-1,3";
	o.hugePages = SASHuge__TRANSPARENT;
	made = SASRegionJoin(other, &o);
	help_succeeds(made != NULL);
	if (help_info(made).numaNodes[0])       /* built with libnuma, on a kernel with NUMA */
		ck_assert_str_eq(value_in(other, "SAS00000.DAT", KEY("numa")), "interleave-segments:0-1,3");
	else
		ck_assert_str_eq(value_in(other, "SAS00000.DAT", KEY("numa")), "interleave-segments");
	ck_assert_str_eq(value_in(other, "SAS00000.DAT", KEY("huge")), "transparent");
	ck_assert_uint_eq(help_inspect(other).attributesFit, 1);
	help_leave(made);
}
END_TEST

static sas_attributes_t of_segment(long index)
{
	SASInspect_t inspect = SASInspectOpen(store);
	SASSegmentInfo segments[8];

	ck_assert_int_gt(SASInspectListSegments(inspect, segments, 8), index);
	SASInspectClose(inspect);
	return segments[index].attributes;
}

START_TEST(missing_and_other_ones_are_shown_and_harm_nothing)
{
	SASInspectInfo seen;
	unsigned char *block;

	if (!has_attributes())
		return;
	block = take(2 * HELP_SEGMENT);
	block[0] = 0x5a;
	ck_assert_int_eq(removexattr(help_path(store, "SAS00002.DAT"), KEY("base")), 0);
	seen = help_inspect(store);
	ck_assert_uint_eq(seen.attributesMissing, 1);
	ck_assert_uint_eq(seen.attributesDiffer, 0);
	ck_assert_str_eq(seen.attributesSaid, "SAS00002.DAT: user.sasphere.base is missing");
	ck_assert_uint_eq(of_segment(1), SASAttributes__MISSING);
	ck_warned("1 file do");
	ck_assert_int_eq(setxattr(help_path(store, "SAS00003.DAT"), KEY("segment"), "17", 2, 0), 0);
	seen = help_inspect(store);
	ck_assert_uint_eq(seen.attributesMissing, 1);
	ck_assert_uint_eq(seen.attributesDiffer, 1);
	ck_assert_uint_eq(of_segment(2), SASAttributes__DIFFER);
	ck_assert_uint_eq(of_segment(0), SASAttributes__FIT);
	ck_warned("2 files do");
	/* One that is too long for any buffer, and one with a byte that is no text. */
	memset(said, 'x', sizeof said);
	ck_assert_int_eq(setxattr(help_path(store, "SAS00003.DAT"), KEY("segment"), said, sizeof said, 0), 0);
	ck_assert_uint_eq(of_segment(2), SASAttributes__DIFFER);
	ck_assert_int_eq(setxattr(help_path(store, "SAS00003.DAT"), KEY("segment"), "\0003", 2, 0), 0);
	ck_assert_uint_eq(of_segment(2), SASAttributes__DIFFER);
	region_leave();
	region_join(0);
	ck_assert_uint_eq(load_byte(block), 0x5a);
}
END_TEST

START_TEST(copy_keeps_them_and_those_of_others)
{
	char *copy = help_path(store, "copy");
	const char *uuid;

	if (!has_attributes())
		return;
	take(2 * HELP_SEGMENT);
	ck_assert_int_eq(setxattr(help_path(store, "SAS00002.DAT"), "user.owner", "analysts", 8, 0), 0);
	uuid = value_in(store, "SAS00002.DAT", KEY("uuid"));
	region_leave();
	help_succeeds(SASRegionCopy(store, copy) == 0);
	ck_assert_str_eq(value_in(copy, "SAS00002.DAT", KEY("uuid")), uuid);
	ck_assert_str_eq(value_in(copy, "SAS00002.DAT", KEY("segment")), "2");
#ifdef HAVE_LIBATTR
	ck_assert_str_eq(value_in(copy, "SAS00002.DAT", "user.owner"), "analysts");
#endif
	ck_assert_uint_eq(help_inspect(copy).attributesFit, help_inspect(store).attributesFit);
	help_succeeds(SASRegionRemovePath(copy, 0) == 0 && rmdir(copy) == 0);
}
END_TEST

static ssize_t get_nothing(int fd, const char *name, void *value, size_t size)
{
	(void)fd;
	(void)name;
	(void)value;
	(void)size;
	return -EOPNOTSUPP;
}

static int set_nothing(int fd, const char *name, const void *value, size_t size)
{
	(void)fd;
	(void)name;
	(void)value;
	(void)size;
	return -EOPNOTSUPP;
}

START_TEST(file_system_without_them_is_as_good)
{
	struct sas_port port = sas_port_linux;
	char *other = help_store();
	SASInspectInfo seen;

	region_leave();         /* its addresses may be those of the other one */
	port.fgetxattr = get_nothing;
	port.fsetxattr = set_nothing;
	sas_port = &port;
	SASSetLogSink(note, NULL, SASLog__WARNING);
	help_works(other);
	seen = help_inspect(other);
	ck_assert_uint_eq(seen.attributesFit + seen.attributesMissing + seen.attributesDiffer, 0);
	ck_assert_str_eq(seen.attributesSaid, "");
	ck_assert_int_eq(SASRegionCheck(other, help_print_problem, NULL), 0);
	ck_assert_int_eq(warnings, 0);
	sas_port = &sas_port_linux;
}
END_TEST

/* --- files in the wrong place: the trailer tells */

static char found[512];

static void keep_problem(const char *file, uint64_t offset, const char *sentence, void *arg)
{
	(void)offset;
	(void)arg;
	snprintf(found + strlen(found), sizeof found - strlen(found), "%s: %s\n", file, sentence);
}

/* help_path() by hand: a name in the store is another file for a while. */
static void move(const char *from, const char *to)
{
	ck_assert_int_eq(rename(help_path(store, from), help_path(store, to)), 0);
}

START_TEST(swapped_files_are_told_apart)
{
	unsigned char *block = take(2 * HELP_SEGMENT);

	block[0] = 1;
	region_leave();
	move("SAS00002.DAT", "x");
	move("SAS00003.DAT", "SAS00002.DAT");
	move("x", "SAS00003.DAT");
	ck_assert_int_eq(SASRegionCheck(store, keep_problem, NULL), 2);
	ck_assert_ptr_nonnull(strstr(found, "SAS00002.DAT: this file is segment 3 of the region, not 2"));
	ck_assert_ptr_nonnull(strstr(found, "SAS00003.DAT: this file is segment 2 of the region, not 3"));
	if (has_attributes()) {
		ck_assert_uint_eq(help_inspect(store).attributesDiffer, 2);
		ck_assert_ptr_nonnull(strstr(help_inspect(store).attributesSaid, "segment is \"3\", not \"2\""));
	}
	region_join(0);
	help_fails(SASBlockPlace(block, 2 * HELP_SEGMENT, SASNuma__DEFAULT, NULL) == -1, EUCLEAN, "SAS00002.DAT",
		   "segment 3 of the region, not 2");
	region_leave();
	move("SAS00002.DAT", "x");
	move("SAS00003.DAT", "SAS00002.DAT");
	move("x", "SAS00003.DAT");
	region_join(0);
	ck_assert_uint_eq(load_byte(block), 1);
}
END_TEST

START_TEST(file_of_another_region_is_told_by_its_uuid)
{
	char *other = help_store(), uuid[37], expected[256];
	SASRegionOptions o;
	SASRegion_t made;
	unsigned char *block = take(2 * HELP_SEGMENT);

	help_options(&o, SAS_JOIN_CREATE);
	o.base = HELP_BASE + GIB;
	made = SASRegionJoin(other, &o);
	help_succeeds(made != NULL && SASRegionBlockAlloc(made, 2 * HELP_SEGMENT) != NULL);
	uuid_text(help_info(made).uuid, uuid);
	help_leave(made);
	region_leave();
	move("SAS00002.DAT", "mine");
	ck_assert_int_eq(link(help_path(other, "SAS00003.DAT"), help_path(store, "SAS00002.DAT")), 0);
	snprintf(expected, sizeof expected, "this file belongs to another region, %s: it is segment 3 there", uuid);
	ck_assert_int_eq(SASRegionCheck(store, keep_problem, NULL), 1);
	ck_assert_msg(strstr(found, expected) != NULL, "%s", found);
	region_join(0);
	help_fails(SASBlockPlace(block, 2 * HELP_SEGMENT, SASNuma__DEFAULT, NULL) == -1, EUCLEAN, "SAS00002.DAT", expected);
	region_leave();
	move("mine", "SAS00002.DAT");
	region_join(0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("attributes");
	TCase *tests = help_case(suite, "attributes");

	sandbox_prefer_memory();
	tcase_add_checked_fixture(tests, region_begin, region_end);
	tcase_add_test(tests, every_segment_says_what_it_is);
	tcase_add_test(tests, wishes_are_among_them);
	tcase_add_test(tests, missing_and_other_ones_are_shown_and_harm_nothing);
	tcase_add_test(tests, copy_keeps_them_and_those_of_others);
	tcase_add_test(tests, file_system_without_them_is_as_good);
	tcase_add_test(tests, swapped_files_are_told_apart);
	tcase_add_test(tests, file_of_another_region_is_told_by_its_uuid);
	return help_main(suite);
}
