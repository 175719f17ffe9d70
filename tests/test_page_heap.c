/* SPDX-License-Identifier: MIT */
/*
 * test_page_heap.c - blocks cut into pages (sph/pages/pages.h): shapes, order, growing, what the dead leave.
 */
#include <config.h>

#include <pthread.h>
#include <string.h>

#include "fixture.h"
#include "sph/pages/pages.h"

#define TYPE SAS_RUNTIME_COMPOUNDHEAP
#define BLOCK (32 * KIB)
#define PAGE 4096UL
#define PAGES 7U                /* of such a block */

static SASBlockHeader *heap;
static struct sas_use use;

static void begin(void)
{
	ck_assert_int_eq(sas_use_begin(&use, heap, SAS_USE_UPDATE), 0);
}

static void end(void)
{
	sas_use_end(&use);
}

static void make(size_t size, size_t page, int expanding)
{
	heap = (SASBlockHeader *)(void *)take(size);
	ck_assert_int_eq(sph_pages_format(heap, size, page, expanding, TYPE, 0), 0);
	begin();
}

static void unmake(void)
{
	size_t size = heap->blockSize;

	ck_assert_int_eq(sph_pages_destroy(&use, heap), 0);
	end();
	give(heap, size);
}

static char *page_of(unsigned block, unsigned i)
{
	return (char *)sph_pages_block(heap, block) + sph_pages(heap)->first + i * sph_pages(heap)->page_size;
}

static void *take_page(const void *near)
{
	int error;
	void *page = sph_pages_take(&use, heap, near, &error);

	if (page) {
		ck_assert(all_zero(page, sizeof(SASBlockHeader)));
		sph_pages_settle(page);
	} else {
		ck_assert_int_eq(error, -ENOSPC);
	}
	return page;
}

static void give_page(void *page)
{
	ck_assert_int_eq(sph_pages_withdraw(&use, page), 0);
	sph_pages_give(heap, page);
}

START_TEST(format_refuses_bad_shapes)
{
	static const struct { size_t size, page; } wrong[] = {
		{ BLOCK, 0 }, { BLOCK, 256 }, { BLOCK, 768 }, { BLOCK, 4097 }, { BLOCK, 131072 }, { 0, PAGE }, { 4096, 512 },
		{ 12288, PAGE }, { 65536, 65536 },
	};
	unsigned char *block = take(128 * KIB);

	for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
		ck_assert_int_eq(sph_pages_format(block, wrong[i].size, wrong[i].page, 1, TYPE, 1), -EINVAL);
	ck_assert_int_eq(sph_pages_format(block + 8, BLOCK, PAGE, 1, TYPE, 1), -EINVAL);
	ck_assert(all_zero(block, 128 * KIB));
	give(block, 128 * KIB);
}
END_TEST

START_TEST(format_makes_all_shapes)
{
	for (size_t page = 512; page <= 65536; page *= 2) {
		for (size_t size = 8192; size <= MIB; size *= 2) {
			size_t first = page > PAGE ? page : PAGE;
			unsigned count = 0;

			if (size < first + page)
				continue;
			make(size, page, 0);
			ck_assert_int_eq(sph_pages_sound(heap), 0);
			ck_assert_uint_eq(sph_pages_free_bytes(&use, heap) + first, size);
			for (char *at = (char *)heap + first; at < (char *)heap + size; at += page, count++)
				ck_assert_ptr_eq(take_page(NULL), at);
			ck_assert_uint_eq(count, sph_pages(heap)->count);
			ck_assert_ptr_null(take_page(NULL));
			ck_assert_uint_eq(sph_pages_free_bytes(&use, heap), 0);
			unmake();
		}
	}
}
END_TEST

/* Memory that was a heap before: neither its owners nor its headers come back. */
START_TEST(format_forgets_what_was_there)
{
	make(BLOCK, 512, 0);
	for (unsigned i = 0; i < sph_pages(heap)->count; i++)
		initSOMSASBlock(take_page(NULL), SAS_RUNTIME_SIMPLEHEAP, 512, NULL);
	ck_assert_int_eq(sph_pages_format(heap, BLOCK, PAGE, 0, TYPE, 0), 0);
	for (unsigned i = 0; i < PAGES; i++)
		ck_assert_ptr_eq(take_page(NULL), page_of(0, i));
	for (char *at = page_of(0, 0); at < (char *)heap + BLOCK; at += 512)
		ck_assert_ptr_eq(SASFindHeader(at + 8), heap);
	unmake();
}
END_TEST

START_TEST(take_gives_the_lowest_page)
{
	make(BLOCK, PAGE, 0);
	for (unsigned i = 0; i < PAGES; i++)
		take_page(NULL);
	give_page(page_of(0, 5));
	give_page(page_of(0, 2));
	ck_assert_uint_eq(sph_pages_free_bytes(&use, heap), 2 * PAGE);
	ck_assert_ptr_eq(take_page(NULL), page_of(0, 2));
	ck_assert_ptr_eq(take_page(NULL), page_of(0, 5));
	ck_assert_ptr_null(take_page(NULL));
	unmake();
}
END_TEST

START_TEST(withdraw_takes_a_page_once)
{
	make(BLOCK, PAGE, 0);
	take_page(NULL);
	ck_assert_int_eq(sph_pages_withdraw(&use, page_of(0, 0)), 0);
	ck_assert_int_eq(sph_pages_withdraw(&use, page_of(0, 0)), -EINVAL);
	ck_assert_int_eq(sph_pages_withdraw(&use, page_of(0, 1)), -EINVAL);
	sph_pages_give(heap, page_of(0, 0));
	ck_assert_int_eq(sph_pages_withdraw(&use, page_of(0, 0)), -EINVAL);
	/* Who tries again has no error to tell of. */
	ck_assert_str_eq(SASLastErrorMessage(), "");
	unmake();
}
END_TEST

/* The last block until it is full by the load factor, the first that is not, a new one. */
START_TEST(take_goes_by_the_load_factor)
{
	const unsigned till_full = 5;   /* header and 5 of 8 pages: 75 percent */

	make(BLOCK, PAGE, 1);
	for (unsigned b = 0; b < 3; b++)
		for (unsigned i = 0; i < till_full; i++)
			ck_assert_ptr_eq(take_page(NULL), page_of(b, i));
	ck_assert_uint_eq(sph_pages(heap)->expansions, 2);
	give_page(page_of(0, 3));
	give_page(page_of(1, 0));
	ck_assert_ptr_eq(take_page(NULL), page_of(0, 3));
	ck_assert_ptr_eq(take_page(NULL), page_of(1, 0));
	ck_assert_ptr_eq(take_page(page_of(1, 1)), page_of(1, 5));
	ck_assert_ptr_eq(take_page(heap), page_of(0, 5));
	ck_assert_ptr_eq(take_page(heap), page_of(0, 6));
	ck_assert_ptr_eq(take_page(heap), page_of(3, 0));
	ck_assert_uint_eq(sph_pages_free_bytes(&use, heap), (4 * PAGES - 19U) * PAGE);
	unmake();
}
END_TEST

START_TEST(block_of_knows_its_own)
{
	make(BLOCK, PAGE, 1);
	for (unsigned i = 0; i < 6; i++)
		take_page(NULL);
	ck_assert_ptr_eq(sph_pages_block_of(&use, heap, page_of(0, 0) + 5), heap);
	ck_assert_ptr_eq(sph_pages_block_of(&use, heap, page_of(1, 6) + PAGE - 1), sph_pages_block(heap, 1));
	ck_assert_ptr_null(sph_pages_block_of(&use, heap, page_of(1, 6) + PAGE));
	ck_assert_ptr_null(sph_pages_block_of(&use, heap, (char *)heap - 1));
	ck_assert_ptr_null(sph_pages_block_of(&use, heap, &heap));
	ck_assert_ptr_null(sph_pages_block_of(&use, heap, NULL));
	ck_assert_ptr_null(sph_pages_block(heap, 2));
	unmake();
}
END_TEST

/* More pages than hints: each hint stands for several. */
START_TEST(many_pages_share_hints)
{
	const unsigned all = 20000;
	uint64_t random = help_seed("many_pages_share_hints");

	make(16 * MIB, 512, 0);
	for (unsigned i = 0; i < all; i++)
		ck_assert_ptr_eq(take_page(NULL), page_of(0, i));
	for (unsigned i = 0; i < 1000; i++) {
		unsigned at = (unsigned)help_below(&random, all);

		give_page(page_of(0, at));
		ck_assert_ptr_eq(take_page(NULL), page_of(0, at));
	}
	for (unsigned i = all; i-- > 0; )
		give_page(page_of(0, i));
	ck_assert_uint_eq(sph_pages_free_bytes(&use, heap) + PAGE, 16 * MIB);
	ck_assert_ptr_eq(take_page(NULL), page_of(0, 0));
	unmake();
}
END_TEST

/* Whatever the hints say: no page is given twice, and none is lost. */
START_TEST(wrong_hints_do_no_harm)
{
	make(BLOCK, PAGE, 0);
	for (unsigned i = 0; i < 4; i++)
		take_page(NULL);
	memset(sph_pages(heap)->hint, 0xff, sizeof sph_pages(heap)->hint);
	ck_assert_ptr_eq(take_page(NULL), page_of(0, 4));
	memset(sph_pages(heap)->hint, 0, sizeof sph_pages(heap)->hint);
	ck_assert_ptr_eq(take_page(NULL), page_of(0, 5));
	ck_assert_ptr_eq(take_page(NULL), page_of(0, 6));
	ck_assert_ptr_null(take_page(NULL));
	unmake();
}
END_TEST

/* More expansions than the header page lists. */
START_TEST(expansions_are_listed_without_end)
{
	const unsigned listed = SPH_PAGES_LISTED + 512;         /* (8192 - 4096) / 8 further ones */
	size_t before;
	int error;

	before = help_sum(region, SASBlock__IN_USE);
	make(8192, PAGE, 1);
	for (unsigned n = 1; n <= listed; n++)
		ck_assert_ptr_eq(sph_pages_expand(&use, heap, &error), sph_pages_block(heap, n));
	ck_assert_ptr_null(sph_pages_expand(&use, heap, &error));
	ck_assert_int_eq(error, -ENOSPC);
	ck_assert_uint_eq(sph_pages(heap)->expansions, listed);
	for (unsigned n = 0; n <= listed; n++)
		ck_assert_ptr_nonnull(take_page(NULL));
	ck_assert_ptr_null(take_page(NULL));
	unmake();
	ck_assert_uint_eq(help_sum(region, SASBlock__IN_USE), before);
}
END_TEST

START_TEST(expand_refuses_fixed_and_outside)
{
	_Alignas(16) static char memory[BLOCK];
	SASBlockHeader *block = (SASBlockHeader *)(void *)memory;
	struct sas_use outside;
	int error;

	make(BLOCK, PAGE, 0);
	ck_assert_ptr_null(sph_pages_expand(&use, heap, &error));
	ck_assert_int_eq(error, -EINVAL);
	unmake();
	ck_assert_int_eq(sph_pages_format(block, BLOCK, PAGE, 1, TYPE, 0), 0);
	ck_assert_int_eq(sas_use_begin(&outside, block, SAS_USE_UPDATE), 0);
	ck_assert_ptr_null(sph_pages_expand(&outside, block, &error));
	ck_assert_int_eq(error, -ENOSPC);
	for (unsigned i = 0; i < PAGES; i++)
		ck_assert_ptr_eq(sph_pages_take(&outside, block, NULL, &error), memory + (i + 1) * PAGE);
	ck_assert_ptr_null(sph_pages_take(&outside, block, NULL, &error));
	ck_assert_int_eq(error, -ENOSPC);
	sas_use_end(&outside);
}
END_TEST

START_TEST(damage_is_told)
{
	uint64_t address;
	int error;

	make(BLOCK, PAGE, 1);
	ck_assert_ptr_nonnull(sph_pages_expand(&use, heap, &error));
	address = sph_pages(heap)->listed[0];
	sph_pages(heap)->listed[0] = address + BLOCK;
	ck_assert_ptr_null(sph_pages_take(&use, heap, NULL, &error));
	ck_assert_int_eq(error, -EUCLEAN);
	sph_pages(heap)->listed[0] = address;
	sph_pages(heap)->count++;
	ck_assert_int_eq(sph_pages_sound(heap), -EUCLEAN);
	sph_pages(heap)->count--;
	ck_assert_int_eq(sph_pages_sound(heap), 0);
	unmake();
}
END_TEST

/* --- at once, with nothing between the calls */

#define MOST_THREADS 4U

static pthread_barrier_t barrier;
static uint64_t withdrawn, arrived;

/* More threads than pages: who has a page has its stamp. */
static void *take_and_give(void *arg)
{
	long rounds = help_size(20000, 200000, 5000000);
	struct sas_use u;
	int error;

	(void)arg;
	must(sas_use_begin(&u, heap, SAS_USE_UPDATE) == 0);
	pthread_barrier_wait(&barrier);
	for (long i = 0; i < rounds; i++) {
		char *page = sph_pages_find(&u, heap, NULL, &error);
		uint64_t *stamp;

		must(error == 0);
		if (!page)
			continue;
		stamp = (uint64_t *)(void *)(page + 256);
		must(__atomic_exchange_n(stamp, u.token, __ATOMIC_RELAXED) == 0);
		sph_pages_settle(page);
		must(sph_pages_withdraw(&u, page) == 0);
		must(__atomic_exchange_n(stamp, 0, __ATOMIC_RELAXED) == u.token);
		sph_pages_give(heap, page);
	}
	sas_use_end(&u);
	return NULL;
}

static void at_once(unsigned count, void *(*body)(void *arg))
{
	pthread_t threads[MOST_THREADS];

	end();
	ck_assert_int_eq(pthread_barrier_init(&barrier, NULL, count), 0);
	for (unsigned i = 0; i < count; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, body, NULL), 0);
	for (unsigned i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&barrier);
	begin();
}

START_TEST(threads_take_a_page_once)
{
	make(16 * KIB, PAGE, 0);
	at_once(MOST_THREADS, take_and_give);
	/* Nobody has died: the hints are right. */
	ck_assert_uint_eq(sph_pages_free_bytes(&use, heap), 3 * PAGE);
	ck_assert_uint_eq(sph_pages_reclaim(&use, heap, NULL, NULL), 0);
	unmake();
}
END_TEST

/* Come to the same point at the same time. */
static void meet(uint64_t point)
{
	__atomic_fetch_add(&arrived, 1, __ATOMIC_ACQ_REL);
	for (unsigned i = 1; __atomic_load_n(&arrived, __ATOMIC_ACQUIRE) < 2 * point; i++)
		if (i % 1024 == 0)
			sched_yield();
}

static void *withdraw_one(void *arg)
{
	long rounds = help_size(2000, 20000, 500000);
	struct sas_use u;

	(void)arg;
	must(sas_use_begin(&u, heap, SAS_USE_UPDATE) == 0);
	pthread_barrier_wait(&barrier);
	for (uint64_t round = 0; round < (uint64_t)rounds; round++) {
		int mine;

		meet(2 * round + 1);
		mine = sph_pages_withdraw(&u, page_of(0, 0)) == 0;
		__atomic_fetch_add(&withdrawn, (uint64_t)mine, __ATOMIC_RELAXED);
		meet(2 * round + 2);
		must(__atomic_load_n(&withdrawn, __ATOMIC_RELAXED) == round + 1);
		if (mine)
			sph_pages_settle(page_of(0, 0));
	}
	sas_use_end(&u);
	return NULL;
}

START_TEST(threads_withdraw_a_page_once)
{
	make(BLOCK, PAGE, 0);
	ck_assert_ptr_eq(take_page(NULL), page_of(0, 0));
	at_once(2, withdraw_one);
	ck_assert_uint_eq(sph_page(page_of(0, 0))->owner, SPH_PAGE_USED);
	unmake();
}
END_TEST

/* --- what the dead leave */

static uint64_t *owner_of(void *page)
{
	return &sph_page(page)->owner;
}

/* It dies with pages taken and withdrawn, and while it grows the object. */
static void die_in_the_middle(void *arg)
{
	int error;

	(void)arg;
	region_join(0);
	must(sas_use_begin(&use, heap, SAS_USE_UPDATE) == 0);
	must(sph_pages_take(&use, heap, NULL, &error) == page_of(0, 3));
	must(sph_pages_withdraw(&use, page_of(0, 1)) == 0);
	sph_pages(heap)->growing = use.token;
	/* Given, and not told. */
	*owner_of(page_of(0, 2)) = 0;
	raise(SIGKILL);
}

static void make_with_a_death(void)
{
	make(BLOCK, PAGE, 1);
	for (unsigned i = 0; i < 3; i++)
		take_page(NULL);
	end();
	region_leave();
	help_dies(die_in_the_middle, NULL, SIGKILL);
	region_join(0);
	begin();
	ck_assert_uint_ne(*owner_of(page_of(0, 3)) & SPH_PAGE_IN_TRANSIT, 0);
	ck_assert_uint_ne(*owner_of(page_of(0, 1)) & SPH_PAGE_IN_TRANSIT, 0);
}

START_TEST(dead_owners_lose_their_pages)
{
	make_with_a_death();
	ck_assert_uint_eq(sph_pages_free_bytes(&use, heap), (PAGES - 1) * PAGE);
	/* Two, and one hint. */
	ck_assert_uint_eq(sph_pages_reclaim(&use, heap, NULL, NULL), 3);
	ck_assert_uint_eq(sph_pages_reclaim(&use, heap, NULL, NULL), 0);
	ck_assert_uint_eq(sph_pages_free_bytes(&use, heap), (PAGES - 1) * PAGE);
	for (unsigned i = 1; i < 5; i++)
		ck_assert_ptr_eq(take_page(NULL), page_of(0, i));
	unmake();
}
END_TEST

static int is_reached(void *page, void *arg)
{
	return page == arg;
}

START_TEST(pages_that_are_reached_stay)
{
	make_with_a_death();
	ck_assert_uint_eq(sph_pages_reclaim_last(&use, heap, is_reached, page_of(0, 3)), 2);
	ck_assert_uint_eq(*owner_of(page_of(0, 3)), SPH_PAGE_USED);
	ck_assert_uint_eq(*owner_of(page_of(0, 1)), 0);
	ck_assert_uint_eq(sph_pages_free_bytes(&use, heap), (PAGES - 2) * PAGE);
	unmake();
}
END_TEST

START_TEST(growing_goes_on_after_a_death)
{
	int error;

	make_with_a_death();
	ck_assert_ptr_nonnull(sph_pages_expand(&use, heap, &error));
	ck_assert_uint_eq(sph_pages(heap)->growing, 0);
	ck_assert_uint_eq(sph_pages(heap)->expansions, 1);
	unmake();
}
END_TEST

/* The living keep what they have in transit. */
START_TEST(living_owners_keep_their_pages)
{
	int error;
	void *page;

	make(BLOCK, PAGE, 0);
	page = sph_pages_take(&use, heap, NULL, &error);
	ck_assert_ptr_eq(page, page_of(0, 0));
	ck_assert_uint_eq(sph_pages_reclaim(&use, heap, NULL, NULL), 0);
	ck_assert_uint_eq(sph_pages_free_bytes(&use, heap), (PAGES - 1) * PAGE);
	sph_pages_give(heap, page);
	ck_assert_uint_eq(sph_pages_free_bytes(&use, heap), PAGES * PAGE);
	unmake();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("pages");
	TCase *c = help_case(suite, "pages");

	tcase_add_checked_fixture(c, region_begin, region_end);
	tcase_add_test(c, format_refuses_bad_shapes);
	tcase_add_test(c, format_makes_all_shapes);
	tcase_add_test(c, format_forgets_what_was_there);
	tcase_add_test(c, take_gives_the_lowest_page);
	tcase_add_test(c, withdraw_takes_a_page_once);
	tcase_add_test(c, take_goes_by_the_load_factor);
	tcase_add_test(c, block_of_knows_its_own);
	tcase_add_test(c, many_pages_share_hints);
	tcase_add_test(c, wrong_hints_do_no_harm);
	tcase_add_test(c, expansions_are_listed_without_end);
	tcase_add_test(c, expand_refuses_fixed_and_outside);
	tcase_add_test(c, damage_is_told);
	tcase_add_test(c, threads_take_a_page_once);
	tcase_add_test(c, threads_withdraw_a_page_once);
	tcase_add_test(c, living_owners_keep_their_pages);
	help_add_death(c, dead_owners_lose_their_pages);
	help_add_death(c, pages_that_are_reached_stay);
	help_add_death(c, growing_goes_on_after_a_death);
	return help_main(suite);
}
