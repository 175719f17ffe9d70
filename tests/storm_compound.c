/* SPDX-License-Identifier: MIT */
/*
 * storm_compound.c - processes that take and give pages of one compound heap, while SIGKILL takes one after the other.
 *
 * Each place has a list of the pages that its worker holds; who comes after a dead one takes the list over. A page is
 * noted after it was taken, and forgotten before it is given, so a death may leave one page that nobody knows, and no more: that one
 * is a whole simple heap. What is noted bears the stamp of its place.
 */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "fixture.h"
#include "sascompoundheap.h"

#define WORKERS 6U
#define HELD 40U
#define HEAP (16 * KIB)
#define PAGE 512UL
#define PAGES 24U               /* of a block */
#define STAMP(place) (0x5A5A000000000000ULL | (place))

static struct board {
	SASCompoundHeap_t heap;
	uint32_t stop;
	uint64_t calls;
	char *held[WORKERS][HELD];
} *board;

static uint64_t *stamp_of(char *page)
{
	return (uint64_t *)(void *)(page + PAGE - 8);
}

static void take_one(unsigned place, unsigned k, uint64_t *state)
{
	char *page = help_below(state, 4) ? SASCompoundHeapAlloc(board->heap) : SASCompoundHeapNearAlloc(board->heap);

	must(page != NULL);
	must(*stamp_of(page) == 0);
	*stamp_of(page) = STAMP(place);
	__atomic_store_n(&board->held[place][k], page, __ATOMIC_RELEASE);
}

static void give_one(unsigned place, unsigned k)
{
	char *page = board->held[place][k];

	must(*stamp_of(page) == STAMP(place));
	__atomic_store_n(&board->held[place][k], NULL, __ATOMIC_RELEASE);
	errno = 0;
	SASCompoundHeapFree(board->heap, page);
	must(errno == 0);
}

static void work(void *arg)
{
	unsigned place = (unsigned)(uintptr_t)arg;
	uint64_t state = help_now() + place;

	region_join(0);
	while (!__atomic_load_n(&board->stop, __ATOMIC_ACQUIRE)) {
		unsigned k = (unsigned)help_below(&state, HELD);

		if (board->held[place][k])
			give_one(place, k);
		else
			take_one(place, k, &state);
		__atomic_fetch_add(&board->calls, 1, __ATOMIC_RELAXED);
	}
	must(SASRegionLeave(region) == 0);
}

static int is_held(const void *page)
{
	for (unsigned place = 0; place < WORKERS; place++)
		for (unsigned k = 0; k < HELD; k++)
			if (board->held[place][k] == page)
				return 1;
	return 0;
}

/* Of one block: each page is held, or free, or one that a dead worker told nobody of. */
static void count_block(char *block, unsigned *held, unsigned *unknown)
{
	for (char *page = block + 4096; page < block + HEAP; page += PAGE) {
		SASBlockHeader *header = (SASBlockHeader *)(void *)page;

		if (is_held(page)) {
			ck_assert_ptr_eq(SASFindHeader(page + 100), page);
			++*held;
		} else if (SOMSASCheckBlockSig(header) && *(uint64_t *)(void *)(page + 64) == 1) {
			ck_assert_uint_eq(header->blockType, SAS_RUNTIME_SIMPLEHEAP);
			ck_assert_ptr_eq(header->baseBlock, block);
			++*unknown;
		}
	}
}

static void judge(unsigned kills)
{
	size_t space = SASCompoundHeapAllocSpace(board->heap), blocks = space / HEAP, all = blocks * PAGES;
	unsigned held = 0, unknown = 0, noted = 0;
	SASBlockInfo *list;
	size_t count, found = 0;

	list = help_list(region, SASBlock__IN_USE, &count);
	for (size_t i = 0; i < count; i++) {
		SASBlockHeader *header = list[i].address;

		if (list[i].size != HEAP)
			continue;
		found++;
		if (SOMSASCheckBlockSigAndTypeAndSubtype(header, SAS_RUNTIME_COMPOUNDHEAP))
			count_block((char *)header, &held, &unknown);
	}
	free(list);
	/* A death may have left one more, which is used next. */
	ck_assert(found == blocks || found == blocks + 1);
	for (unsigned place = 0; place < WORKERS; place++)
		for (unsigned k = 0; k < HELD; k++)
			noted += board->held[place][k] != NULL;
	ck_assert_uint_eq(held, noted);
	ck_assert_uint_le(unknown, kills);
	ck_assert_uint_eq(SASCompoundHeapFreeSpace(board->heap), (all - held - unknown) * PAGE);
	SASCompoundHeapSetLoadFactor((SASCompoundHeap_t *)board->heap, 100);
	for (size_t i = 0; i < all - held - unknown; i++)
		ck_assert(!is_held(SASCompoundHeapAlloc(board->heap)));
	ck_assert_uint_eq(SASCompoundHeapFreeSpace(board->heap) % (PAGES * PAGE), 0);
	printf("%u kills, %lu calls; %lu pages in %lu blocks, %u held, %u told nobody of\n", kills, board->calls, all, blocks,
	       held, unknown);
}

START_TEST(deaths_leave_whole_pages)
{
	const unsigned kills = (unsigned)help_size(20, 200, 5000);
	uint64_t state = help_seed("deaths_leave_whole_pages"), before;
	pid_t worker[WORKERS];

	board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(board, MAP_FAILED);
	board->heap = SASCompoundHeapInit(take(HEAP), HEAP, PAGE, 1);
	ck_assert_ptr_nonnull(board->heap);
	region_leave();
	for (uintptr_t i = 0; i < WORKERS; i++)
		worker[i] = help_fork(work, (void *)i);
	for (unsigned i = 0; i < kills; i++) {
		unsigned place = (unsigned)help_below(&state, WORKERS);

		before = __atomic_load_n(&board->calls, __ATOMIC_RELAXED);
		ck_assert(until(__atomic_load_n(&board->calls, __ATOMIC_RELAXED) > before + 20, PATIENCE));
		help_spin(help_below(&state, 200000));
		kill(worker[place], SIGKILL);
		ck_assert_int_eq(help_wait(worker[place], PATIENCE), 128 + SIGKILL);
		worker[place] = help_fork(work, (void *)(uintptr_t)place);
	}
	__atomic_store_n(&board->stop, 1, __ATOMIC_RELEASE);
	for (unsigned i = 0; i < WORKERS; i++)
		help_done(worker[i]);
	region_join(0);
	judge(kills);
	SASCompoundHeapDestroy(board->heap);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("storm on a compound heap");
	TCase *c = help_case(suite, "storm");

	tcase_add_checked_fixture(c, region_begin, region_end);
	help_add_death(c, deaths_leave_whole_pages);
	return help_main(suite);
}
