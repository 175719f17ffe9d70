/* SPDX-License-Identifier: MIT */
/*
 * test_near.c - space near an address: in blocks of all sizes, in the program's own memory, from malloc(), and in
 * objects that have none to give.
 */
#include <config.h>

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <sasalloc.h>
#include <saslock.h>
#include <sassim.h>
#include <sassimpleheap.h>
#include <sassimplespace.h>
#include <sassimplestack.h>
#include "fixture.h"

/* A block with free ranges from byte 64 on, of a type of the program's own. */
static SASBlockHeader *own_block(size_t size)
{
	unsigned char *block = take(size);

	initSOMSASBlock((SASBlockHeader *)(void *)block, SAS_USERDEFINED_GROUP | 0x4200, (long)size, block + 64);
	return (SASBlockHeader *)(void *)block;
}

START_TEST(near_calls_refuse_sizes)
{
	SASBlockHeader *block = own_block(4 * KIB);

	help_fails(SASNearAlloc(block, 0) == NULL, EINVAL);
	help_fails(SASNearAlloc(block, -1) == NULL, EINVAL, "-1");
	help_fails(SASNearAlloc(NULL, LONG_MIN) == NULL, EINVAL);
	help_fails(SASNearAlloc(block, LONG_MAX) == NULL, ENOSPC);
	help_fails((SASNearDealloc(block + 1, 0), 1), EINVAL);
	help_fails((SASNearDealloc(block + 1, -16), 1), EINVAL);
	help_fails((SASNearDealloc(block + 1, LONG_MAX), 1), EINVAL);
	ck_assert_uint_eq(freeNode_freeSpaceTotal(block->blockFreeSpace), 4032);
}
END_TEST

START_TEST(near_alloc_takes_from_blocks_of_each_size)
{
	for (size_t size = 4 * KIB; size <= 16 * MIB; size *= 2) {
		SASBlockHeader *block = own_block(size);
		char *a = SASNearAlloc(block, 100), *b = SASNearAlloc((char *)block + size - 1, 16);

		ck_assert_ptr_eq(a, (char *)block + 64);
		ck_assert_ptr_eq(b, a + 112);
		ck_assert_ptr_eq(SASNearAlloc((char *)block + size / 2, 1), b + 16);
		SASNearDealloc(a, 100);
		ck_assert_ptr_eq(SASNearAlloc(b, 112), a);
		SASNearDealloc(a, 112 + 32);
		ck_assert_uint_eq(freeNode_freeSpaceTotal(block->blockFreeSpace), size - 64);
		give(block, size);
	}
}
END_TEST

/* A page of 512 bytes inside a larger object: as long as its header stands, it is the one. */
START_TEST(innermost_object_is_the_near_one)
{
	SASSimpleHeap_t outer = SASSimpleHeapCreate(64 * KIB);
	char *page = (char *)SASSimpleHeapAlloc(outer, 8 * KIB);
	SASSimpleHeap_t inner;

	page += (512 - (uintptr_t)page % 512) % 512;
	inner = SASSimpleHeapInit(page, SAS_RUNTIME_SIMPLEHEAP, 512);
	ck_assert_ptr_eq(inner, page);
	ck_assert_ptr_eq(SASNearAlloc(page + 511, 32), page + 128);
	ck_assert_ptr_eq(SASSimpleHeapNearFind(page + 300), inner);
	memset(page, 0, sizeof(SASBlockHeader));
	ck_assert_ptr_eq(SASSimpleHeapNearFind(page + 300), outer);
	ck_assert_uint_eq((uintptr_t)SASNearAlloc(page, 32), (uintptr_t)outer + 128 + 8 * KIB);
}
END_TEST

START_TEST(full_block_gives_enospc)
{
	SASBlockHeader *block = own_block(4 * KIB);

	ck_assert_ptr_nonnull(SASNearAlloc(block, 4032));
	help_fails(SASNearAlloc(block, 1) == NULL, ENOSPC);
	SASNearDealloc(block + 1, 4032);
	ck_assert_uint_eq(freeNode_freeSpaceTotal(block->blockFreeSpace), 4032);
}
END_TEST

START_TEST(dealloc_of_what_is_free_or_outside_is_refused)
{
	SASBlockHeader *block = own_block(4 * KIB);
	char *a = SASNearAlloc(block, 256);

	help_fails((SASNearDealloc(a, 272), 1), EINVAL);
	help_fails((SASNearDealloc(a + 256, 16), 1), EINVAL);
	help_fails((SASNearDealloc(a, 4048), 1), EINVAL);
	help_fails((SASNearDealloc(a - 16, 16), 1), EINVAL);
	help_fails((SASNearDealloc(a + 4, 16), 1), EINVAL);
	ck_assert_uint_eq(freeNode_freeSpaceTotal(block->blockFreeSpace), 4032 - 256);
	errno = 0;
	SASNearDealloc(a, 256);
	ck_assert_int_eq(errno, 0);
	help_fails((SASNearDealloc(a, 256), 1), EINVAL);
}
END_TEST

/* Objects that keep something else in their blocks: nothing of them is changed. */
START_TEST(objects_without_list_are_refused)
{
	static const sas_type_t types[] = { SAS_RUNTIME_COMPOUNDHEAP, SAS_RUNTIME_INDEX, SAS_RUNTIME_STRINGBTREE, SAS_RUNTIME_INDEXNODE,
		SAS_RUNTIME_STRINGBTREENODE, SAS_RUNTIME_LOCKFREEHEAP, SAS_RUNTIME_LOCKFREELOGGER, SAS_RUNTIME_LOGPORTAL,
		SAS_RUNTIME_PCQUEUE, SAS_RUNTIME_ANCHOR, SAS_RUNTIME_SIMPLESPACE, SAS_RUNTIME_SIMPLESTACK };
	unsigned char *block = take(8 * KIB);

	for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
		SASBlockHeader *header = (void *)block;

		initSOMSASBlock(header, types[i], 8192, NULL);
		help_fails(SASNearAlloc(block + 5000, 16) == NULL, EINVAL, "no space of its own");
		help_fails((SASNearDealloc(block + 5008, 16), 1), EINVAL);
		help_fails(SASSOMHeapAlloc(header, 16) == NULL, EINVAL);
		help_fails((SASSOMHeapDealloc(header, block + 5008, 16), 1), EINVAL);
		ck_assert_ptr_null(header->blockFreeSpace);
	}
	ck_assert(all_zero(block + 64, 8 * KIB - 64));
	/* The region's own first page. */
	help_fails(SASNearAlloc((char *)getMemLow() + 1000, 16) == NULL, EINVAL);
	help_fails((SASNearDealloc((char *)getMemLow() + 1024, 16), 1), EINVAL);
}
END_TEST

START_TEST(without_header_near_means_malloc)
{
	unsigned char *block = take(4 * KIB);
	char local = 0, *a, *b;

	a = SASNearAlloc(&local, 100);
	ck_assert_ptr_nonnull(a);
	memset(a, 1, 100);
	ck_assert_ptr_null(SASRegionOf(a));
	b = SASNearAlloc(block, 100);
	ck_assert_ptr_nonnull(b);
	ck_assert_ptr_null(SASRegionOf(b));
	SASNearDealloc(a, 100);
	SASNearDealloc(b, 100);
	SASNearDealloc(NULL, 16);
	/* Never free() of what lies in a region. */
	help_fails((SASNearDealloc(block + 128, 16), 1), EINVAL, "no object");
	give(block, 4 * KIB);
	help_fails((SASNearDealloc(block + 128, 16), 1), EINVAL);
	help_fails((SASNearDealloc((char *)getMemHigh() - 4096, 16), 1), EINVAL);
	ck_assert(all_zero(block, 4 * KIB));
}
END_TEST

/* A program that never joined, and a range of its own. */
START_TEST(near_calls_work_in_own_range)
{
	size_t size = 64 * KIB;
	char *memory, *a;

	ck_assert_int_eq(posix_memalign((void **)&memory, size, size), 0);
	memset(memory, 0x66, size);
	SASSimpleHeapInit(memory, SAS_RUNTIME_SIMPLEHEAP, size);
	setSASmemrange((uintptr_t)memory, (uintptr_t)memory + size);
	a = SASNearAlloc(memory + size - 1, 100);
	ck_assert_ptr_eq(a, memory + 128);
	ck_assert_ptr_eq(SASSimpleHeapNearFind(a), memory);
	SASNearDealloc(a, 100);
	ck_assert_int_eq(SASSimpleHeapEmpty(memory), 1);
	memset(memory, 0, 64);
	help_fails((SASNearDealloc(a, 100), 1), EINVAL, "no object");
	setSASmemrange(0, 0);
	free(memory);
}
END_TEST

START_TEST(stack_is_found_in_own_range)
{
	size_t size = 64 * KIB;
	char *memory;

	ck_assert_int_eq(posix_memalign((void **)&memory, size, size), 0);
	memset(memory, 0, size);
	SASSimpleStackInit(memory, size);
	setSASmemrange((uintptr_t)memory, (uintptr_t)memory + size);
	ck_assert_ptr_eq(SASSimpleStackNearAlloc(memory + 5000, 10), memory + 4096);
	setSASmemrange(0, 0);
	free(memory);
}
END_TEST

/* The block that is left to programs beside the classic region. */
START_TEST(near_calls_work_in_temporary_range)
{
	char *memory = mmap((void *)__SAS_TEMP_ADDRESS, 64 * KIB, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	ck_assert_ptr_eq(memory, (void *)__SAS_TEMP_ADDRESS);
	SASSimpleHeapInit(memory, SAS_RUNTIME_SIMPLEHEAP, 64 * KIB);
	ck_assert_ptr_eq(SASNearAlloc(memory + 60000, 100), memory + 128);
	SASNearDealloc(memory + 128, 100);
	ck_assert_int_eq(SASSimpleHeapEmptyNoLock(memory), 1);
	munmap(memory, 64 * KIB);
}
END_TEST

START_TEST(near_calls_leave_no_lock)
{
	SASBlockHeader *block = own_block(4 * KIB);

	SASNearDealloc(SASNearAlloc(block, 16), 16);
	SASNearAlloc(block, MIB);
	SASNearDealloc(block + 1, MIB);
	ck_assert_int_eq(SASLockHeld(block), -1);
	SASLock(block, SasUserLock__WRITE);
	ck_assert_ptr_nonnull(SASNearAlloc(block, 16));
	SASUnlock(block);
}
END_TEST

/* --- what a list of a block's own is worth without a region's help: SASSOMHeapAlloc() */

START_TEST(som_heap_calls_are_bounded)
{
	SASBlockHeader *block = own_block(4 * KIB);
	FreeNode *first = SASSOMHeapAlloc(block, 32);

	SASSOMHeapDealloc(block, first, 32);
	ck_assert_uint_eq(freeNode_freeSpaceTotal(block->blockFreeSpace), 4032);
	block->blockFreeSpace->nextNode = (void *)((char *)block + 8192);
	help_fails(SASSOMHeapAlloc(block, 4032) == NULL, EUCLEAN, "written into");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("near");
	TCase *c = help_case(suite, "near");

	tcase_add_checked_fixture(c, default_begin, default_end);
	tcase_add_test(c, near_calls_refuse_sizes);
	tcase_add_test(c, near_alloc_takes_from_blocks_of_each_size);
	tcase_add_test(c, innermost_object_is_the_near_one);
	tcase_add_test(c, full_block_gives_enospc);
	tcase_add_test(c, dealloc_of_what_is_free_or_outside_is_refused);
	tcase_add_test(c, objects_without_list_are_refused);
	tcase_add_test(c, without_header_near_means_malloc);
	tcase_add_test(c, near_calls_work_in_own_range);
	tcase_add_test(c, stack_is_found_in_own_range);
	/* Sanitizers and valgrind have the range for themselves. */
	if (!help_instrumented())
		tcase_add_test(c, near_calls_work_in_temporary_range);
	tcase_add_test(c, near_calls_leave_no_lock);
	tcase_add_test(c, som_heap_calls_are_bounded);
	return help_main(suite);
}
