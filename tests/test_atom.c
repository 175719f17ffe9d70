/* SPDX-License-Identifier: MIT */
/*
 * test_atom.c - sasatom.h: values at the edges of words, and what threads do together. Nothing of the library is
 * linked for it.
 */
#include <config.h>

#include <limits.h>
#include <pthread.h>
#include <stdint.h>

#include <sasatom.h>
#include "help.h"

#define THREADS 4

START_TEST(add_gives_old_value_and_carries)
{
	long word = 0xffffffffL;

	ck_assert_int_eq(sas_fetch_and_add(&word, 1), 0xffffffffL);
	ck_assert_int_eq(word, 0x100000000L);
	ck_assert_int_eq(sas_fetch_and_add(&word, -2), 0x100000000L);
	ck_assert_int_eq(word, 0xfffffffeL);
}
END_TEST

START_TEST(add_ptr_counts_bytes)
{
	char bytes[16];
	void *pointer = bytes;

	ck_assert_ptr_eq(sas_fetch_and_add_ptr(&pointer, 9), bytes);
	ck_assert_ptr_eq(pointer, bytes + 9);
	ck_assert_ptr_eq(sas_fetch_and_add_ptr(&pointer, -5), bytes + 9);
	ck_assert_ptr_eq(pointer, bytes + 4);
}
END_TEST

START_TEST(and_or_change_their_width_alone)
{
	unsigned int words[2] = { 0xf0f0f0f0U, 0x12345678U };
	unsigned long wide = 0xf0f0f0f0f0f0f0f0UL;

	/* The old value as a long: not negative. */
	ck_assert_int_eq(sas_fetch_and_and(words, 0x0ff00ff0), 0xf0f0f0f0L);
	ck_assert_uint_eq(words[0], 0x00f000f0U);
	ck_assert_int_eq(sas_fetch_and_or(words, INT_MIN), 0x00f000f0L);
	ck_assert_uint_eq(words[0], 0x80f000f0U);
	ck_assert_uint_eq(words[1], 0x12345678U);
	ck_assert_int_eq(sas_fetch_and_and_long(&wide, 0x0ff00ff00ff00ff0L), (long)0xf0f0f0f0f0f0f0f0UL);
	ck_assert_uint_eq(wide, 0x00f000f000f000f0UL);
	ck_assert_int_eq(sas_fetch_and_or_long(&wide, LONG_MIN), 0x00f000f000f000f0L);
	ck_assert_uint_eq(wide, 0x80f000f000f000f0UL);
}
END_TEST

START_TEST(compare_and_swap_tells_whether)
{
	volatile long word = -5;

	ck_assert_int_ne(sas_compare_and_swap(&word, -5, LONG_MAX), 0);
	ck_assert_int_eq(word, LONG_MAX);
	ck_assert_int_eq(sas_compare_and_swap(&word, -5, 1), 0);
	ck_assert_int_eq(word, LONG_MAX);
}
END_TEST

START_TEST(swap_gives_old_value)
{
	long word = LONG_MIN;

	ck_assert_int_eq(sas_atomic_swap(&word, 7), LONG_MIN);
	ck_assert_int_eq(word, 7);
}
END_TEST

/* The older runtime's lost the carry into the upper half. */
START_TEST(inc_and_dec_work_on_all_bits)
{
	long word = 0xffffffffL;
	volatile long counted = -1;

	sas_atomic_inc(&word);
	ck_assert_int_eq(word, 0x100000000L);
	sas_atomic_dec(&word);
	ck_assert_int_eq(word, 0xffffffffL);
	ck_assert_int_eq(sas_atomic_inc_long(&counted), -1);
	ck_assert_int_eq(sas_atomic_dec_long(&counted), 0);
	ck_assert_int_eq(counted, -1);
}
END_TEST

START_TEST(spin_lock_is_a_word_of_0_and_1)
{
	volatile sas_spin_lock_t lock = 77;

	sas_spin_lock_init(&lock);
	ck_assert_uint_eq(lock, 0);
	ck_assert_int_eq(sas_spin_trylock(&lock), 0);
	ck_assert_uint_eq(lock, 1);
	ck_assert_int_eq(sas_spin_trylock(&lock), 1);
	sas_spin_unlock(&lock);
	sas_spin_lock(&lock);
	sas_spin_unlock(&lock);
	sas_spin_lock_with_yield(&lock);
	ck_assert_uint_eq(lock, 1);
}
END_TEST

START_TEST(lock_ptr_keeps_the_pointer)
{
	static int first, second;
	volatile sas_lock_ptr_t lock = &first;

	ck_assert_ptr_eq(sas_lock_ptr(&lock), &first);
	ck_assert_uint_eq((uintptr_t)lock, (uintptr_t)&first | 1);
	ck_assert_int_eq(sas_trylock_ptr(&lock), 1);
	sas_set_locked_ptr(&lock, &second);
	ck_assert_uint_eq((uintptr_t)lock, (uintptr_t)&second | 1);
	sas_unlock_ptr(&lock);
	ck_assert_ptr_eq(lock, &second);
	/* Once more: the older one hung here. */
	sas_unlock_ptr(&lock);
	ck_assert_ptr_eq(lock, &second);
	sas_set_unlocked_ptr(&lock, &first);
	ck_assert_uint_eq((uintptr_t)lock, (uintptr_t)&first | 1);
	sas_unlock_ptr(&lock);
	sas_lock_ptr_with_yield(&lock);
	ck_assert_int_eq(sas_trylock_ptr(&lock), 1);
	sas_lock_ptr_init(&lock);
	ck_assert_ptr_null(lock);
	ck_assert_int_eq(sas_trylock_ptr(&lock), 0);
}
END_TEST

/* --- together */

static struct {
	long added, changed, swapped, counted;
	volatile long exchanged;
	void *pointer;
	unsigned int bits;
	unsigned long wide;
	volatile sas_spin_lock_t lock;
	volatile sas_lock_ptr_t ptr;
	long guarded, guarded_by_ptr;   /* plain: the locks keep threads apart */
} shared;
static long rounds;

static void count_under_locks(long i)
{
	if (i & 1)
		sas_spin_lock(&shared.lock);
	else
		sas_spin_lock_with_yield(&shared.lock);
	shared.guarded++;
	sas_spin_unlock(&shared.lock);
	if (i & 1)
		sas_lock_ptr(&shared.ptr);
	else
		sas_lock_ptr_with_yield(&shared.ptr);
	shared.guarded_by_ptr++;
	if (i & 2)
		sas_set_locked_ptr(&shared.ptr, &shared);
	sas_unlock_ptr(&shared.ptr);
	sas_set_unlocked_ptr(&shared.ptr, &shared);
	shared.guarded_by_ptr++;
	sas_unlock_ptr(&shared.ptr);
}

static void *work(void *arg)
{
	long number = (long)(intptr_t)arg, kept = 0;

	for (long i = 0; i < rounds; i++) {
		long old;

		sas_fetch_and_add(&shared.added, 3);
		sas_fetch_and_add_ptr(&shared.pointer, 2);
		sas_atomic_inc(&shared.changed);
		sas_atomic_inc(&shared.changed);
		sas_atomic_dec(&shared.changed);
		sas_atomic_inc_long(&shared.counted);
		do
			old = __atomic_load_n(&shared.exchanged, __ATOMIC_RELAXED);
		while (!sas_compare_and_swap(&shared.exchanged, old, old + 1));
		/* Each takes its bit away and gives it back. */
		must(!(sas_fetch_and_or(&shared.bits, 1 << number) & 1 << number));
		must(sas_fetch_and_and(&shared.bits, ~(1 << number)) & 1 << number);
		must(!(sas_fetch_and_or_long(&shared.wide, 1L << (32 + number)) & 1L << (32 + number)));
		must(sas_fetch_and_and_long(&shared.wide, ~(1L << (32 + number))) & 1L << (32 + number));
		/* Tokens are neither lost nor doubled. */
		kept += sas_atomic_swap(&shared.swapped, 1);
		count_under_locks(i);
	}
	return (void *)(intptr_t)kept;
}

START_TEST(threads_lose_no_change)
{
	pthread_t threads[THREADS];
	long total, kept = 0;
	void *result;

	rounds = help_size(2000, 50000, 1000000);
	total = THREADS * rounds;
	for (intptr_t i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, work, (void *)i), 0);
	for (int i = 0; i < THREADS; i++) {
		ck_assert_int_eq(pthread_join(threads[i], &result), 0);
		kept += (long)(intptr_t)result;
	}
	ck_assert_int_eq(shared.added, 3 * total);
	ck_assert_int_eq((intptr_t)shared.pointer, 2 * total);
	ck_assert_int_eq(shared.changed, total);
	ck_assert_int_eq(shared.counted, total);
	ck_assert_int_eq(shared.exchanged, total);
	ck_assert_uint_eq(shared.bits, 0);
	ck_assert_uint_eq(shared.wide, 0);
	ck_assert_int_eq(kept + shared.swapped, total);
	ck_assert_int_eq(shared.guarded, total);
	ck_assert_int_eq(shared.guarded_by_ptr, 2 * total);
	ck_assert_ptr_eq(shared.ptr, &shared);
}
END_TEST

/* --- fences: two threads, round by round */

static struct {
	long round[2] __attribute__((aligned(64)));
	int wanted[2] __attribute__((aligned(64)));     /* each says that it wants, then looks whether the other does */
	int saw[2];
	int message, ready __attribute__((aligned(64)));
} fence;

static void meet(int me, long round)
{
	__atomic_store_n(&fence.round[me], round, __ATOMIC_RELEASE);
	/* Both go on at one moment, if the other one has a processor. */
	for (long i = 1; __atomic_load_n(&fence.round[!me], __ATOMIC_ACQUIRE) < round; i++)
		if (i % 10000 == 0)
			sched_yield();
}

static void *use_fences(void *arg)
{
	int me = (int)(intptr_t)arg;

	for (long i = 0; i < rounds; i++) {
		meet(me, 3 * i + 1);
		__atomic_store_n(&fence.wanted[me], 1, __ATOMIC_RELAXED);
		sas_full_barrier();
		fence.saw[me] = __atomic_load_n(&fence.wanted[!me], __ATOMIC_RELAXED);
		if (me == 0) {
			__atomic_store_n(&fence.message, (int)i, __ATOMIC_RELAXED);
			sas_write_barrier();
			__atomic_store_n(&fence.ready, (int)i, __ATOMIC_RELAXED);
		} else {
			int ready = __atomic_load_n(&fence.ready, __ATOMIC_RELAXED);

			sas_read_barrier();
			must(__atomic_load_n(&fence.message, __ATOMIC_RELAXED) >= ready);
		}
		meet(me, 3 * i + 2);
		must(fence.saw[0] || fence.saw[1]);
		meet(me, 3 * i + 3);
		__atomic_store_n(&fence.wanted[me], 0, __ATOMIC_RELAXED);
		sas_code_barrier();
	}
	return NULL;
}

START_TEST(fences_keep_the_order)
{
	pthread_t threads[2];

	rounds = help_size(200, 50000, 1000000);
	for (intptr_t i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, use_fences, (void *)i), 0);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("atom");
	TCase *tests = help_case(suite, "calls");

	tcase_add_test(tests, add_gives_old_value_and_carries);
	tcase_add_test(tests, add_ptr_counts_bytes);
	tcase_add_test(tests, and_or_change_their_width_alone);
	tcase_add_test(tests, compare_and_swap_tells_whether);
	tcase_add_test(tests, swap_gives_old_value);
	tcase_add_test(tests, inc_and_dec_work_on_all_bits);
	tcase_add_test(tests, spin_lock_is_a_word_of_0_and_1);
	tcase_add_test(tests, lock_ptr_keeps_the_pointer);
	tcase_add_test(tests, threads_lose_no_change);
	tcase_add_test(tests, fences_keep_the_order);
	return help_main(suite);
}
