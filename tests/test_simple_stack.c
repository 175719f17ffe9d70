/* SPDX-License-Identifier: MIT */
/*
 * test_simple_stack.c - simple stacks: every call, wrong arguments, a model, several processes, and deaths among them.
 */
#include <config.h>

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#include <sasalloc.h>
#include <saslock.h>
#include <sassim.h>
#include <sassimplestack.h>
#include "fixture.h"

#define STACK (64 * KIB)
#define HEADER 4096UL
#define ROOM (STACK - HEADER)

static SASSimpleStack_t stack;
static _Alignas(16) char memory[8 * KIB];

static void set_up(void)
{
	default_begin();
	stack = SASSimpleStackCreate(STACK);
	help_succeeds(stack != NULL);
}

static char *inside(size_t offset)
{
	return (char *)stack + offset;
}

START_TEST(init_refuses_bad_arguments)
{
	help_fails(SASSimpleStackInit(NULL, 8192) == NULL, EINVAL);
	help_fails(SASSimpleStackInit(memory + 1, 8000) == NULL, EINVAL);
	help_fails(SASSimpleStackInit(memory, 4111) == NULL, EINVAL, "4111");
	help_fails(SASSimpleStackInit(memory, 0) == NULL, EINVAL);
	help_fails(SASSimpleStackInit(memory, ULONG_MAX) == NULL, EINVAL);
	ck_assert(all_zero(memory, sizeof memory));
}
END_TEST

START_TEST(create_refuses_sizes)
{
	static const size_t sizes[] = { 0, 100, 4096, 8191, 12288, ULONG_MAX };

	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
		help_fails(SASSimpleStackCreate(sizes[i]) == NULL, EINVAL);
	ck_assert_uint_eq(help_info(region).bytesInUse, STACK);
}
END_TEST

START_TEST(calls_on_what_is_no_stack_fail)
{
	unsigned char *block = take(8 * KIB);
	void *wrong[] = { NULL, memory, memory + 5, block };

	initSOMSASBlock((SASBlockHeader *)(void *)block, SAS_RUNTIME_SIMPLESPACE, 8192, NULL);
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		help_fails(SASSimpleStackDestroy(wrong[i]) == -1, EINVAL, "simple stack");
		help_fails(SASSimpleStackDestroyNoLock(wrong[i]) == -1, EINVAL);
		help_fails(SASSimpleStackFreeSpace(wrong[i]) == 0, EINVAL);
		help_fails(SASSimpleStackFreeSpaceNoLock(wrong[i]) == 0, EINVAL);
		help_fails(SASSimpleStackAlloc(wrong[i], 16) == NULL, EINVAL);
		help_fails(SASSimpleStackAllocNoLock(wrong[i], 16) == NULL, EINVAL);
		help_fails(SASSimpleStackDealloc(wrong[i], memory) == -1, EINVAL);
		help_fails(SASSimpleStackDeallocNoLock(wrong[i], memory) == -1, EINVAL);
	}
	help_fails(SASSimpleStackNearAlloc(block, 16) == NULL, EINVAL);
	help_fails(SASSimpleStackNearAllocNoLock(block, 16) == NULL, EINVAL);
	help_fails(SASSimpleStackNearAlloc(memory, 16) == NULL, EFAULT);
	help_fails(SASSimpleStackNearAlloc(take(4 * KIB), 16) == NULL, ENOENT);
	help_fails(SASSimpleStackNearAllocNoLock(NULL, 16) == NULL, EFAULT);
	ck_assert(all_zero(block + 64, 8 * KIB - 64));
}
END_TEST

START_TEST(alloc_refuses_what_has_no_room)
{
	help_fails(SASSimpleStackAlloc(stack, ROOM + 1) == NULL, ENOSPC, "61441");
	help_fails(SASSimpleStackAllocNoLock(stack, ULONG_MAX) == NULL, ENOSPC);
	ck_assert_uint_eq(SASSimpleStackFreeSpace(stack), ROOM);
	ck_assert_ptr_eq(SASSimpleStackAlloc(stack, ROOM), inside(HEADER));
	ck_assert_uint_eq(SASSimpleStackFreeSpace(stack), 0);
	help_fails(SASSimpleStackAlloc(stack, 1) == NULL, ENOSPC);
	help_fails(SASSimpleStackNearAlloc(inside(HEADER), 1) == NULL, ENOSPC);
	ck_assert_ptr_eq(SASSimpleStackAlloc(stack, 0), inside(STACK));
}
END_TEST

START_TEST(dealloc_refuses_pointers)
{
	char *taken = SASSimpleStackAlloc(stack, 256);
	static int (*const dealloc[])(SASSimpleStack_t, void *) = { SASSimpleStackDealloc, SASSimpleStackDeallocNoLock };

	for (unsigned i = 0; i < 2; i++) {
		help_fails(dealloc[i](stack, NULL) == -2, EINVAL);
		help_fails(dealloc[i](stack, stack) == -2, EINVAL);
		help_fails(dealloc[i](stack, taken - 16) == -2, EINVAL);
		help_fails(dealloc[i](stack, taken + 272) == -2, EINVAL);
		help_fails(dealloc[i](stack, inside(STACK)) == -2, EINVAL);
		help_fails(dealloc[i](stack, inside(STACK + 16)) == -2, EINVAL);
		help_fails(dealloc[i](stack, memory) == -2, EINVAL);
		help_fails(dealloc[i](stack, taken + 8) == -3, EINVAL);
		help_fails(dealloc[i](stack, taken + 1) == -3, EINVAL);
	}
	ck_assert_uint_eq(SASSimpleStackFreeSpace(stack), ROOM - 256);
}
END_TEST

START_TEST(broken_header_gives_euclean)
{
	static const uint64_t wrong[] = { 0, 4080, STACK + 16, 4097, ULONG_MAX };
	uint64_t *top = (void *)inside(64);

	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		*top = wrong[i];
		help_fails(SASSimpleStackAlloc(stack, 16) == NULL, EUCLEAN, "written into");
		help_fails(SASSimpleStackDealloc(stack, inside(HEADER)) == -1, EUCLEAN);
		help_fails(SASSimpleStackFreeSpace(stack) == 0, EUCLEAN);
		help_fails(SASSimpleStackFreeSpaceNoLock(stack) == 0, EUCLEAN);
		ck_assert_uint_eq(*top, wrong[i]);
	}
}
END_TEST

START_TEST(alloc_goes_up_and_dealloc_back)
{
	char *a, *b, *c;

	ck_assert_uint_eq(SASSimpleStackFreeSpace(stack), ROOM);
	a = SASSimpleStackAlloc(stack, 1);
	ck_assert_ptr_eq(a, inside(HEADER));
	b = SASSimpleStackNearAlloc(inside(HEADER + 20000), 17);
	ck_assert_ptr_eq(b, a + 16);
	c = SASSimpleStackAllocNoLock(stack, 0);
	ck_assert_ptr_eq(c, b + 32);
	ck_assert_ptr_eq(SASSimpleStackNearAllocNoLock(stack, 16), c);
	ck_assert_uint_eq(SASSimpleStackFreeSpaceNoLock(stack), ROOM - 64);
	ck_assert_int_eq(SASSimpleStackDealloc(stack, c), 0);
	ck_assert_int_eq(SASSimpleStackDealloc(stack, c), 0);
	ck_assert_int_eq(SASSimpleStackDeallocNoLock(stack, a), 0);
	help_fails(SASSimpleStackDealloc(stack, b) == -2, EINVAL);
	ck_assert_uint_eq(SASSimpleStackFreeSpace(stack), ROOM);
}
END_TEST

START_TEST(stack_outside_regions_works)
{
	SASSimpleStack_t mine;

	memset(memory, 0x44, sizeof memory);
	mine = SASSimpleStackInit(memory, 4096 + 40);
	ck_assert_ptr_eq(mine, memory);
	ck_assert_uint_eq(SASSimpleStackFreeSpace(mine), 40);
	ck_assert_ptr_eq(SASSimpleStackAlloc(mine, 32), memory + HEADER);
	help_fails(SASSimpleStackAlloc(mine, 8) == NULL, ENOSPC);
	help_fails(SASSimpleStackNearAlloc(memory + 4100, 16) == NULL, EFAULT);
	ck_assert_int_eq(SASSimpleStackDealloc(mine, memory + HEADER), 0);
	for (size_t i = 128; i < sizeof memory; i++)
		ck_assert_int_eq(memory[i], 0x44);
	help_fails(SASSimpleStackDestroy(mine) == -1, EINVAL, "not a block");
}
END_TEST

START_TEST(destroy_gives_block_back)
{
	ck_assert_int_eq(SASSimpleStackDestroy(stack), 0);
	help_fails(SASSimpleStackDestroy(stack) == -1, EINVAL);
	help_fails(SASSimpleStackAlloc(stack, 16) == NULL, EINVAL);
	ck_assert_uint_eq(help_info(region).bytesInUse, 0);
	stack = SASSimpleStackCreate(8 * KIB);
	ck_assert_int_eq(SASSimpleStackDestroyNoLock(stack), 0);
	ck_assert_uint_eq(help_info(region).bytesInUse, 0);
}
END_TEST

START_TEST(stack_is_there_in_the_next_run_and_for_readers)
{
	char *a = SASSimpleStackAlloc(stack, 1000);

	SASCleanUp();
	region_join(SAS_JOIN_READONLY);
	ck_assert_uint_eq(SASSimpleStackFreeSpace(stack), ROOM - 1008);
	ck_assert_uint_eq(SASSimpleStackFreeSpaceNoLock(stack), ROOM - 1008);
	help_fails(SASSimpleStackAlloc(stack, 16) == NULL, EROFS);
	help_fails(SASSimpleStackAllocNoLock(stack, 16) == NULL, EROFS);
	help_fails(SASSimpleStackDealloc(stack, a) == -1, EROFS);
	region_leave();
	help_succeeds(SASJoinRegion() == 0);
	region = SASRegionDefault();
	ck_assert_ptr_eq(SASSimpleStackAlloc(stack, 16), a + 1008);
}
END_TEST

START_TEST(random_calls_agree_with_model)
{
	uint64_t random = help_seed("stack") + (uint64_t)_i;
	size_t marks[256], count = 0, top = HEADER;

	for (long step = help_size(2000, 20000, 2000000); step > 0; step--) {
		if (count < 256 && help_below(&random, 3)) {
			size_t size = help_below(&random, 1000);
			char *p = SASSimpleStackAlloc(stack, size);

			size = (size + 15) & ~15UL;
			if (size > STACK - top) {
				ck_assert_ptr_null(p);
				continue;
			}
			ck_assert_ptr_eq(p, inside(top));
			memset(p, 0x11, size);
			marks[count++] = top;
			top += size;
		} else if (count > 0) {
			count = help_below(&random, count);
			top = marks[count];
			ck_assert_int_eq(SASSimpleStackDealloc(stack, inside(top)), 0);
		}
		ck_assert_uint_eq(SASSimpleStackFreeSpace(stack), STACK - top);
	}
}
END_TEST

/* --- threads */

static void *fill(void *arg)
{
	size_t last = STACK;

	while (SASSimpleStackAlloc(stack, 16) != NULL) {
		size_t space = SASSimpleStackFreeSpace(stack);

		if (space >= last)
			return "space has come back";
		last = space + 1;
		++*(uint64_t *)arg;
	}
	return NULL;
}

START_TEST(threads_share_a_stack)
{
	uint64_t taken[4] = { 0 };
	pthread_t threads[4];
	void *wrong;

	for (unsigned i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, fill, &taken[i]), 0);
	for (unsigned i = 0; i < 4; i++) {
		ck_assert_int_eq(pthread_join(threads[i], &wrong), 0);
		ck_assert_msg(wrong == NULL, "%s", (const char *)wrong);
	}
	ck_assert_uint_eq(16 * (taken[0] + taken[1] + taken[2] + taken[3]), ROOM);
}
END_TEST

/* --- processes and deaths among them: what is taken is never handed out a second time */

#define WORKERS 6
static struct board { uint64_t stop, taken[WORKERS]; } *board;

/* Each 16 bytes that a worker takes get its mark. */
static void work(void *arg)
{
	uint64_t *taken = arg;

	must(SASJoinRegion() == 0);
	while (!__atomic_load_n(&board->stop, __ATOMIC_ACQUIRE)) {
		uint64_t *p = SASSimpleStackAlloc(stack, 16);

		if (p == NULL) {
			must(errno == ENOSPC);
			break;
		}
		must(__atomic_exchange_n(p, 1 + (uint64_t)(taken - board->taken), __ATOMIC_SEQ_CST) == 0);
		__atomic_fetch_add(taken, 1, __ATOMIC_SEQ_CST);
	}
	SASCleanUp();
}

static void board_begin(void)
{
	board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert(board != MAP_FAILED);
	ck_assert_int_eq(SASSimpleStackDestroy(stack), 0);
	stack = SASSimpleStackCreate(2 * MIB);
	help_succeeds(stack != NULL);
	memset(inside(HEADER), 0, 2 * MIB - HEADER);
	SASCleanUp();
	region = NULL;
}

/* A death may cost the 16 bytes that the dead one had just taken. */
static void settle(uint64_t kills)
{
	uint64_t taken = 0, units;

	help_succeeds(SASJoinRegion() == 0);
	region = SASRegionDefault();
	units = (2 * MIB - HEADER - SASSimpleStackFreeSpace(stack)) / 16;
	for (unsigned i = 0; i < WORKERS; i++)
		taken += board->taken[i];
	ck_assert_uint_ge(units, taken);
	ck_assert_uint_le(units, taken + kills);
	munmap(board, sizeof *board);
}

START_TEST(processes_share_a_stack)
{
	pid_t pids[WORKERS];

	board_begin();
	for (unsigned i = 0; i < WORKERS; i++)
		pids[i] = help_fork(work, &board->taken[i]);
	for (unsigned i = 0; i < WORKERS; i++)
		help_done(pids[i]);
	settle(0);
}
END_TEST

START_TEST(stack_survives_kills)
{
	uint64_t random = help_seed("kills"), kills = 0;
	pid_t pids[WORKERS];

	board_begin();
	for (unsigned i = 0; i < WORKERS; i++)
		pids[i] = help_fork(work, &board->taken[i]);
	for (long n = help_size(10, 60, 2000); n > 0; n--) {
		unsigned k = (unsigned)help_below(&random, WORKERS);

		help_spin(help_below(&random, 300000));
		ck_assert_int_eq(kill(pids[k], SIGKILL), 0);
		kills += help_wait(pids[k], PATIENCE) == 128 + SIGKILL;
		pids[k] = help_fork(work, &board->taken[k]);
	}
	__atomic_store_n(&board->stop, 1, __ATOMIC_RELEASE);
	for (unsigned i = 0; i < WORKERS; i++)
		help_done(pids[i]);
	settle(kills);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("simple_stack");
	TCase *c = help_case(suite, "stack");

	tcase_add_checked_fixture(c, set_up, default_end);
	tcase_add_test(c, init_refuses_bad_arguments);
	tcase_add_test(c, create_refuses_sizes);
	tcase_add_test(c, calls_on_what_is_no_stack_fail);
	tcase_add_test(c, alloc_refuses_what_has_no_room);
	tcase_add_test(c, dealloc_refuses_pointers);
	tcase_add_test(c, broken_header_gives_euclean);
	tcase_add_test(c, alloc_goes_up_and_dealloc_back);
	tcase_add_test(c, stack_outside_regions_works);
	tcase_add_test(c, destroy_gives_block_back);
	tcase_add_test(c, stack_is_there_in_the_next_run_and_for_readers);
	tcase_add_loop_test(c, random_calls_agree_with_model, 0, 4);
	tcase_add_test(c, threads_share_a_stack);
	tcase_add_test(c, processes_share_a_stack);
	help_add_death(c, stack_survives_kills);
	return help_main(suite);
}
