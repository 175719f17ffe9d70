/* SPDX-License-Identifier: MIT */
/*
 * test_simple_space.c - simple spaces: every call, wrong arguments, all sizes.
 */
#include <config.h>

#include <errno.h>
#include <limits.h>
#include <string.h>

#include <sasalloc.h>
#include <saslock.h>
#include <sassim.h>
#include <sassimplespace.h>
#include "fixture.h"

#define HEADER 4096UL

static _Alignas(16) char memory[16 * KIB];

START_TEST(init_refuses_bad_arguments)
{
	help_fails(SASSimpleSpaceInit(NULL, 8192, 4096) == NULL, EINVAL);
	help_fails(SASSimpleSpaceInit(memory + 1, 8192, 100) == NULL, EINVAL);
	help_fails(SASSimpleSpaceInit(memory, 8192, 4097) == NULL, EINVAL, "4097", "8192");
	help_fails(SASSimpleSpaceInit(memory, 4096, 0) == NULL, EINVAL);
	help_fails(SASSimpleSpaceInit(memory, 8192, 0) == NULL, EINVAL);
	help_fails(SASSimpleSpaceInit(memory, 100, 1) == NULL, EINVAL);
	help_fails(SASSimpleSpaceInit(memory, ULONG_MAX, 4096) == NULL, EINVAL);
	help_fails(SASSimpleSpaceInit(memory, 8192, ULONG_MAX) == NULL, EINVAL);
	ck_assert(all_zero(memory, sizeof memory));
}
END_TEST

START_TEST(create_refuses_sizes)
{
	help_fails(SASSimpleSpaceCreate(0) == NULL, EINVAL);
	help_fails(SASSimpleSpaceCreate(ULONG_MAX) == NULL, EINVAL);
	help_fails(SASSimpleSpaceCreate(LONG_MAX) == NULL, EINVAL);
	help_fails(SASSimpleSpaceCreate(GIB) == NULL, errno);
	ck_assert_uint_eq(help_info(region).bytesInUse, 0);
}
END_TEST

START_TEST(calls_on_what_is_no_space_fail)
{
	unsigned char *block = take(8 * KIB);
	void *wrong[] = { NULL, memory, memory + 3, block };

	initSOMSASBlock((SASBlockHeader *)(void *)block, SAS_RUNTIME_SIMPLESTACK, 8192, NULL);
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		help_fails(SASSimpleSpaceToAddr(wrong[i]) == NULL, EINVAL, "simple space");
		help_fails(SASSimpleSpaceFreeSpace(wrong[i]) == 0, EINVAL);
		help_fails(SASSimpleSpaceDestroy(wrong[i]) == -1, EINVAL);
		help_fails(SASSimpleSpaceDestroyNoLock(wrong[i]) == -1, EINVAL);
	}
	help_fails(SASSimpleSpaceFromAddr(NULL) == NULL, EINVAL);
	help_fails(SASSimpleSpaceFromAddr((void *)4096) == NULL, EINVAL);
	help_fails(SASSimpleSpaceFromAddr(block + HEADER) == NULL, EINVAL);
	help_fails(SASSimpleSpaceFromAddr(memory + HEADER) == NULL, EINVAL);
}
END_TEST

START_TEST(from_addr_takes_the_first_byte_alone)
{
	SASSimpleSpace_t space = SASSimpleSpaceCreate(20 * KIB);
	char *bytes = SASSimpleSpaceToAddr(space);

	ck_assert_ptr_eq(bytes, (char *)space + HEADER);
	ck_assert_ptr_eq(SASSimpleSpaceFromAddr(bytes), space);
	help_fails(SASSimpleSpaceFromAddr(bytes + 1) == NULL, EINVAL);
	help_fails(SASSimpleSpaceFromAddr(bytes + 8) == NULL, EINVAL);
	help_fails(SASSimpleSpaceFromAddr(bytes + HEADER) == NULL, EINVAL);
	help_fails(SASSimpleSpaceFromAddr(space) == NULL, errno);
}
END_TEST

/* The block is the smallest that has room, and 8 KiB at least. */
START_TEST(create_makes_smallest_block)
{
	static const struct { size_t space, block; } sizes[] = {
		{ 1, 8 * KIB }, { 4096, 8 * KIB }, { 4097, 16 * KIB }, { 12 * KIB, 16 * KIB }, { 12 * KIB + 1, 32 * KIB },
		{ MIB - HEADER, MIB }, { MIB, 2 * MIB }, { 2 * MIB - HEADER, 2 * MIB }, { 4 * MIB, 8 * MIB },
	};

	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		SASSimpleSpace_t space = SASSimpleSpaceCreate(sizes[i].space);

		help_succeeds(space != NULL);
		ck_assert_uint_eq(help_info(region).bytesInUse, sizes[i].block);
		ck_assert_uint_eq(SASSimpleSpaceFreeSpace(space), sizes[i].block - HEADER - sizes[i].space);
		memset(SASSimpleSpaceToAddr(space), 0xAB, sizes[i].space);
		ck_assert_ptr_eq(SASFindHeader((char *)SASSimpleSpaceToAddr(space) + sizes[i].space - 1), space);
		ck_assert_uint_eq(SASSimpleSpaceFreeSpace(space), sizes[i].block - HEADER - sizes[i].space);
		ck_assert_int_eq(SASSimpleSpaceDestroy(space), 0);
		ck_assert_uint_eq(help_info(region).bytesInUse, 0);
	}
}
END_TEST

START_TEST(init_makes_space_anywhere_and_leaves_its_bytes)
{
	SASSimpleSpace_t space;

	memset(memory, 0x33, sizeof memory);
	space = SASSimpleSpaceInit(memory, sizeof memory, 5000);
	ck_assert_ptr_eq(space, memory);
	ck_assert_ptr_eq(SASSimpleSpaceToAddr(space), memory + HEADER);
	ck_assert_uint_eq(SASSimpleSpaceFreeSpace(space), sizeof memory - HEADER - 5000);
	for (size_t i = 128; i < sizeof memory; i++)
		ck_assert_int_eq(memory[i], 0x33);
	help_fails(SASSimpleSpaceDestroy(space) == -1, EINVAL, "not a block");
}
END_TEST

START_TEST(destroyed_space_is_none)
{
	SASSimpleSpace_t space = SASSimpleSpaceCreate(100), second = SASSimpleSpaceCreate(100);

	ck_assert_int_eq(SASSimpleSpaceDestroyNoLock(space), 0);
	help_fails(SASSimpleSpaceDestroyNoLock(space) == -1, EINVAL);
	help_fails(SASSimpleSpaceToAddr(space) == NULL, EINVAL);
	SASLock(second, SasUserLock__WRITE);
	ck_assert_int_eq(SASSimpleSpaceDestroy(second), 0);
	SASUnlock(second);
	ck_assert_uint_eq(help_info(region).bytesInUse, 0);
}
END_TEST

START_TEST(space_is_there_in_the_next_run_and_for_readers)
{
	SASSimpleSpace_t space = SASSimpleSpaceCreate(3 * MIB);
	char *bytes = SASSimpleSpaceToAddr(space);

	bytes[0] = 1;
	SASCleanUp();
	region_join(SAS_JOIN_READONLY);
	ck_assert_ptr_eq(SASSimpleSpaceToAddr(space), bytes);
	ck_assert_ptr_eq(SASSimpleSpaceFromAddr(bytes), space);
	ck_assert_uint_eq(SASSimpleSpaceFreeSpace(space), MIB - HEADER);
	help_fails(SASSimpleSpaceInit(space, 4 * MIB, 10) == NULL, EROFS);
	help_fails(SASSimpleSpaceDestroyNoLock(space) == -1, EROFS);
	region_leave();
	help_succeeds(SASJoinRegion() == 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("simple_space");
	TCase *c = help_case(suite, "space");

	tcase_add_checked_fixture(c, default_begin, default_end);
	tcase_add_test(c, init_refuses_bad_arguments);
	tcase_add_test(c, create_refuses_sizes);
	tcase_add_test(c, calls_on_what_is_no_space_fail);
	tcase_add_test(c, from_addr_takes_the_first_byte_alone);
	tcase_add_test(c, create_makes_smallest_block);
	tcase_add_test(c, init_makes_space_anywhere_and_leaves_its_bytes);
	tcase_add_test(c, destroyed_space_is_none);
	tcase_add_test(c, space_is_there_in_the_next_run_and_for_readers);
	return help_main(suite);
}
