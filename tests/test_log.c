/* SPDX-License-Identifier: MIT */
/*
 * test_log.c - intent logs: records, commit, abort, recovery at each point of a half-done replay, and logs
 * that a file may hold but nobody wrote.
 */
#include <config.h>

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "../sas/block/block.h"
#include "../sas/ground/hash.h"
#include "../sas/run/log.h"
#include "../sas/region/region.h"
#include "../sas/region/runtime.h"
#include "fixture.h"

#define ROOM (SAS_M_LOG_SIZE - sizeof(struct sas_m_log))

static unsigned char *block;            /* what intents change */
static uint64_t number;                 /* of a log that no thread has */
static struct sas_m_log *log_page;
static struct sas_intent intent;

static void set_up(void)
{
	region_begin();
	block = take(64 * KIB);
	memset(block, 0x11, 64 * KIB);
	number = region->anchor.log_count - 1;
	log_page = sas_log_at(region, number);
	ck_assert_ptr_nonnull(log_page);
}

static void begin(void)
{
	ck_assert_int_eq(sas_intent_begin(region, number, &intent), 0);
}

static void undo(size_t at, size_t size)
{
	ck_assert_int_eq(sas_intent_undo(&intent, block + at, size), 0);
}

static void redo(size_t at, const void *bytes, size_t size)
{
	ck_assert_int_eq(sas_intent_redo(&intent, block + at, bytes, size), 0);
}

static int recover(void)
{
	return sas_log_recover(region, log_page);
}

static struct sas_m_record *record(unsigned k)
{
	char *at = (char *)(log_page + 1);

	while (k-- > 0) {
		struct sas_m_record *p = (void *)at;

		at += sizeof *p + ((p->length + 7U) & ~7U);
	}
	return (void *)at;
}

/* A record that says what we like, and is whole. */
static void seal(struct sas_m_record *p)
{
	struct sas_m_record head = *p;

	head.check = 0;
	p->check = sas_hash32(p + 1, p->length, sas_hash32(&head, sizeof head, 0));
}

/* --- commit and abort */

START_TEST(commit_without_records_leaves_log_idle)
{
	begin();
	ck_assert_uint_eq(log_page->state, SAS_M_LOG_ACTIVE);
	ck_assert_int_eq(sas_intent_commit(&intent), 0);
	ck_assert_uint_eq(log_page->state, SAS_M_LOG_IDLE);
	ck_assert_int_eq(recover(), 0);
}
END_TEST

START_TEST(redo_is_stored_by_commit_alone)
{
	begin();
	redo(100, "hello", 5);
	redo(8000, "world!!!!", 9);
	ck_assert_uint_eq(block[100], 0x11);
	ck_assert_int_eq(sas_intent_commit(&intent), 0);
	ck_assert_mem_eq(block + 100, "hello\x11", 6);
	ck_assert_mem_eq(block + 8000, "world!!!!\x11", 10);
	ck_assert_uint_eq(log_page->state, SAS_M_LOG_IDLE);
}
END_TEST

START_TEST(redo_of_same_place_last_wins)
{
	begin();
	redo(0, "aaaa", 4);
	redo(2, "bbbb", 4);
	ck_assert_int_eq(sas_intent_commit(&intent), 0);
	ck_assert_mem_eq(block, "aabbbb", 6);
}
END_TEST

START_TEST(abort_of_redo_stores_nothing)
{
	begin();
	redo(0, "aaaa", 4);
	ck_assert_int_eq(sas_intent_abort(&intent), 0);
	ck_assert_uint_eq(block[0], 0x11);
	ck_assert_uint_eq(log_page->state, SAS_M_LOG_IDLE);
	ck_assert_int_eq(recover(), 0);
}
END_TEST

START_TEST(commit_of_undo_keeps_change)
{
	begin();
	undo(0, 64);
	memset(block, 0x22, 64);
	ck_assert_int_eq(sas_intent_commit(&intent), 0);
	ck_assert_int_eq(recover(), 0);
	ck_assert_uint_eq(block[0], 0x22);
}
END_TEST

START_TEST(abort_of_undo_restores_oldest_bytes)
{
	begin();
	undo(0, 8);
	memset(block, 0x22, 8);
	undo(4, 8);
	memset(block + 4, 0x33, 8);
	undo(0, 16);
	memset(block, 0x44, 16);
	ck_assert_int_eq(sas_intent_abort(&intent), 0);
	for (int i = 0; i < 17; i++)
		ck_assert_uint_eq(block[i], 0x11);
}
END_TEST

START_TEST(undo_and_redo_in_one_intent)
{
	begin();
	undo(0, 8);
	memset(block, 0x22, 8);
	redo(8, "redo", 4);
	ck_assert_int_eq(sas_intent_abort(&intent), 0);
	ck_assert_uint_eq(block[0], 0x11);
	ck_assert_uint_eq(block[8], 0x11);
	begin();
	undo(0, 8);
	memset(block, 0x22, 8);
	redo(8, "redo", 4);
	ck_assert_int_eq(sas_intent_commit(&intent), 0);
	ck_assert_uint_eq(block[0], 0x22);
	ck_assert_mem_eq(block + 8, "redo", 4);
}
END_TEST

START_TEST(record_over_segments_is_restored)
{
	unsigned char *large = SASRegionBlockAlloc(region, 2 * HELP_SEGMENT), *edge;

	ck_assert_ptr_nonnull(large);
	edge = large + HELP_SEGMENT - 8;
	memset(edge, 0x55, 16);
	begin();
	ck_assert_int_eq(sas_intent_undo(&intent, edge, 16), 0);
	memset(edge, 0x66, 16);
	ck_assert_int_eq(recover(), 1);
	for (int i = 0; i < 16; i++)
		ck_assert_uint_eq(edge[i], 0x55);
}
END_TEST

/* --- refusals */

START_TEST(record_larger_than_log_gives_enospc)
{
	begin();
	undo(0, 100);
	errno = 0;
	ck_assert_int_eq(sas_intent_undo(&intent, block, ROOM), -ENOSPC);
	ck_assert_int_eq(sas_intent_undo(&intent, block, SIZE_MAX - 7), -ENOSPC);
	ck_assert_int_eq(sas_intent_redo(&intent, block, block, 1UL << 32), -ENOSPC);
	memset(block, 0x22, 100);
	ck_assert_int_eq(recover(), 1);
	ck_assert_uint_eq(block[0], 0x11);
}
END_TEST

START_TEST(full_log_gives_enospc_and_still_works)
{
	unsigned count = 0;

	begin();
	while (sas_intent_undo(&intent, block + count, 1) == 0) {
		block[count] = 0x22;
		count++;
	}
	ck_assert_uint_eq(count, ROOM / (sizeof(struct sas_m_record) + 8));
	ck_assert_uint_le(log_page->used, ROOM);
	ck_assert_int_eq(sas_intent_abort(&intent), 0);
	for (unsigned i = 0; i < count; i++)
		ck_assert_uint_eq(block[i], 0x11);
	begin();
	undo(0, ROOM - sizeof(struct sas_m_record));
	memset(block, 0x22, ROOM);
	ck_assert_int_eq(sas_intent_abort(&intent), 0);
	ck_assert_uint_eq(block[ROOM - sizeof(struct sas_m_record) - 1], 0x11);
}
END_TEST

/* --- recovery */

START_TEST(recover_of_active_log_undoes)
{
	begin();
	undo(0, 8);
	memset(block, 0x22, 8);
	redo(8, "redo", 4);
	ck_assert_int_eq(recover(), 1);
	ck_assert_uint_eq(block[0], 0x11);
	ck_assert_uint_eq(block[8], 0x11);
	ck_assert_uint_eq(log_page->state, SAS_M_LOG_IDLE);
	ck_assert_int_eq(recover(), 0);
}
END_TEST

START_TEST(recover_of_committed_log_redoes)
{
	begin();
	undo(0, 8);
	memset(block, 0x22, 8);
	redo(8, "redo", 4);
	redo(10, "XX", 2);
	log_page->state = SAS_M_LOG_COMMITTED;
	ck_assert_int_eq(recover(), 1);
	ck_assert_uint_eq(block[0], 0x22);
	ck_assert_mem_eq(block + 8, "reXX", 4);
	ck_assert_int_eq(recover(), 0);
}
END_TEST

/* Killed after k of the records had been replayed: the next recovery gives the same bytes. */
static void repeat_recovery(uint32_t state, const unsigned char *expected)
{
	static unsigned char half[256], page[SAS_M_LOG_SIZE];

	memcpy(half, block, sizeof half);
	memcpy(page, log_page, sizeof page);
	for (unsigned k = 0; k < 8; k++) {
		memcpy(block, half, sizeof half);
		memcpy(log_page, page, sizeof page);
		log_page->state = state;
		for (unsigned done = 0; done < k; done++) {
			struct sas_m_record *p = record(state == SAS_M_LOG_ACTIVE ? 7 - done : done);

			memcpy(sas_at(region, p->where), p + 1, p->length - (done + 1 == k ? p->length / 2 : 0));
		}
		ck_assert_int_eq(recover(), 1);
		ck_assert_mem_eq(block, expected, sizeof half);
	}
}

START_TEST(recover_after_half_a_recovery_gives_same_bytes)
{
	unsigned char old[256], new[256], bytes[40];

	for (unsigned i = 0; i < 256; i++)
		block[i] = (unsigned char)i;
	memcpy(old, block, sizeof old);
	begin();
	for (unsigned k = 0; k < 8; k++) {
		undo(k * 20, 40);
		memset(block + k * 20, 0x80 + (int)k, 40);
	}
	repeat_recovery(SAS_M_LOG_ACTIVE, old);
	memcpy(new, block, sizeof new);
	begin();
	for (unsigned k = 0; k < 8; k++) {
		memset(bytes, 0xc0 + (int)k, sizeof bytes);
		redo(k * 20, bytes, sizeof bytes);
		memcpy(new + k * 20, bytes, sizeof bytes);
	}
	repeat_recovery(SAS_M_LOG_COMMITTED, new);
}
END_TEST

/* What a dead process left, recovered by us. */
static void die_in_intent(void *arg)
{
	struct sas_thread *t;
	struct sas_intent own;

	must(sas_call_begin(region, SAS_CALL_WRITE | SAS_CALL_SLOT, &t) == 0);
	must(sas_intent_begin(region, (uint64_t)sas_thread_slot(t, region), &own) == 0);
	must(sas_intent_undo(&own, block, 32) == 0);
	memset(block, 0x99, 32);
	must(sas_intent_redo(&own, block + 64, "redo", 4) == 0);
	if (arg)
		own.log->state = SAS_M_LOG_COMMITTED;
	kill(getpid(), SIGKILL);
}

START_TEST(recover_finishes_intents_of_dead_processes)
{
	uint32_t before = help_info(region).recoveries;

	help_dies(die_in_intent, NULL, SIGKILL);
	ck_assert_uint_eq(block[0], 0x99);
	ck_assert_int_eq(SASRegionRecover(region), 1);
	ck_assert_uint_eq(block[0], 0x11);
	ck_assert_uint_eq(block[64], 0x11);
	help_dies(die_in_intent, store, SIGKILL);
	ck_assert_int_eq(SASRegionRecover(region), 1);
	ck_assert_uint_eq(block[0], 0x99);
	ck_assert_mem_eq(block + 64, "redo", 4);
	ck_assert_int_eq(SASRegionRecover(region), 0);
	ck_assert_uint_eq(help_info(region).recoveries, before + 2);
}
END_TEST

/* Nobody lives: the join does it. */
START_TEST(join_finishes_intents_of_dead_processes)
{
	help_dies(die_in_intent, NULL, SIGKILL);
	region_leave();
	region_join(0);
	ck_assert_uint_eq(load_byte(block), 0x11);
	ck_assert_int_eq(SASRegionRecover(region), 0);
}
END_TEST

/* --- blocks that an intent takes */

static uint64_t take_in_intent(uint64_t size)
{
	uint64_t offset = 0;

	ck_assert_int_eq(sas_table_lock(region), 0);
	begin();
	ck_assert_int_eq(sas_block_take(&intent, number, size, &offset), 0);
	return offset;
}

static void gives_block_back(uint64_t size)
{
	uint64_t used = help_sum(region, SASBlock__IN_USE), offset;

	offset = take_in_intent(size);
	ck_assert_uint_eq(offset % size, 0);
	ck_assert_uint_eq(help_sum(region, SASBlock__IN_USE), used + size);
	ck_assert_int_eq(sas_intent_abort(&intent), 0);
	sas_table_unlock(region);
	ck_assert_uint_eq(help_sum(region, SASBlock__IN_USE), used);
	offset = take_in_intent(size);
	ck_assert_int_eq(recover(), 1);
	sas_table_unlock(region);
	ck_assert_uint_eq(help_sum(region, SASBlock__IN_USE), used);
}

START_TEST(abort_frees_blocks_of_intent)
{
	gives_block_back(4096);
	gives_block_back(256 * KIB);
	gives_block_back(HELP_SEGMENT);
	gives_block_back(4 * HELP_SEGMENT);
}
END_TEST

START_TEST(commit_keeps_blocks_of_intent)
{
	uint64_t used = help_sum(region, SASBlock__IN_USE), offset = take_in_intent(8192);

	ck_assert_int_eq(sas_intent_commit(&intent), 0);
	sas_table_unlock(region);
	ck_assert_uint_eq(help_sum(region, SASBlock__IN_USE), used + 8192);
	errno = 0;
	ck_assert_int_eq(SASBlockFree(sas_at(region, offset), 8192), -1);
	ck_assert_int_eq(errno, EPERM);
	/* Nothing names it: the check would find it. */
	ck_assert_int_eq(sas_block_unalloc(region, offset, 1), 0);
	ck_assert_uint_eq(help_sum(region, SASBlock__IN_USE), used);
}
END_TEST

/* --- logs that nobody wrote */

static void nothing_happens(void)
{
	unsigned char *kept = malloc(64 * KIB);
	int result;

	ck_assert_ptr_nonnull(kept);
	memcpy(kept, block, 64 * KIB);
	result = recover();
	ck_assert_int_le(result, 1);
	ck_assert_mem_eq(block, kept, 64 * KIB);
	free(kept);
	memset(log_page, 0, SAS_M_LOG_SIZE);
}

static void begin_one(void)
{
	begin();
	undo(0, 32);
	memset(block, 0x22, 32);
}

START_TEST(recover_ignores_what_is_no_log)
{
	begin_one();
	log_page->magic ^= 1;
	nothing_happens();
	begin_one();
	log_page->state = 3;
	nothing_happens();
	begin_one();
	log_page->state = UINT32_MAX;
	nothing_happens();
	memset(log_page, 0xff, SAS_M_LOG_SIZE);
	nothing_happens();
}
END_TEST

/* Each byte of the record, changed, makes it a record that was not finished: what it covers stays. */
START_TEST(recover_ignores_record_with_any_byte_changed)
{
	for (size_t i = 0; i < sizeof(struct sas_m_record) + 32; i++) {
		memset(block, 0x11, 32);
		begin_one();
		((unsigned char *)record(0))[i] ^= 0x40;
		nothing_happens();
	}
}
END_TEST

START_TEST(recover_ends_at_first_record_that_is_not_whole)
{
	begin();
	undo(0, 8);
	undo(8, 8);
	undo(16, 8);
	memset(block, 0x22, 24);
	record(1)->check ^= 1;
	ck_assert_int_eq(recover(), 1);
	ck_assert_uint_eq(block[7], 0x11);
	ck_assert_uint_eq(block[8], 0x22);
	ck_assert_uint_eq(block[16], 0x22);
}
END_TEST

START_TEST(recover_ignores_records_of_older_intents)
{
	begin_one();
	ck_assert_int_eq(sas_intent_commit(&intent), 0);
	begin();
	/* `used` of the older intent, as a torn page may have it. */
	log_page->used = sizeof(struct sas_m_record) + 32;
	nothing_happens();
}
END_TEST

START_TEST(recover_follows_no_length_and_no_place_outside)
{
	static const uint32_t lengths[] = { 33, 4096, 65536, UINT32_MAX, UINT32_MAX - 7 };
	static const uint64_t places[] = { HELP_REGION, HELP_REGION - 31, UINT64_MAX, UINT64_MAX - 16, 1UL << 63 };

	for (unsigned i = 0; i < 5; i++) {
		begin_one();
		record(0)->length = lengths[i];
		nothing_happens();
		begin_one();
		record(0)->where = places[i];
		seal(record(0));
		nothing_happens();
	}
	begin_one();
	log_page->used = UINT32_MAX;
	ck_assert_int_eq(recover(), 1);
	memset(log_page, 0, SAS_M_LOG_SIZE);
}
END_TEST

START_TEST(recover_of_record_in_absent_segment_gives_euclean)
{
	begin_one();
	record(0)->where = HELP_REGION - HELP_SEGMENT;
	seal(record(0));
	ck_assert_int_eq(recover(), -EUCLEAN);
	ck_assert_ptr_nonnull(strstr(SASLastErrorMessage(), "segment"));
	memset(log_page, 0, SAS_M_LOG_SIZE);
}
END_TEST

START_TEST(recover_of_unknown_type_gives_euclean)
{
	begin_one();
	record(0)->type = 77;
	seal(record(0));
	ck_assert_int_eq(recover(), -EUCLEAN);
	ck_assert_ptr_nonnull(strstr(SASLastErrorMessage(), "77"));
	memset(log_page, 0, SAS_M_LOG_SIZE);
}
END_TEST

/* ALLOC with a place where no block begins, or one of a wrong length. */
START_TEST(recover_of_alloc_of_no_block_changes_nothing)
{
	uint64_t used = help_sum(region, SASBlock__IN_USE);
	uint32_t order = 3;

	begin();
	ck_assert_int_eq(sas_intent_note(&intent, SAS_M_RECORD_ALLOC,
					 (uint64_t)(block - (unsigned char *)sas_at(region, 0)) + 4096, &order,
					 sizeof order), 0);
	ck_assert_int_eq(sas_intent_note(&intent, SAS_M_RECORD_ALLOC, HELP_REGION - 4096, &order, sizeof order), 0);
	ck_assert_int_eq(sas_intent_note(&intent, SAS_M_RECORD_ALLOC, 0, &order, 2), 0);
	ck_assert_int_eq(sas_intent_note(&intent, SAS_M_RECORD_REINDEX, HELP_REGION - 4096, NULL, 0), 0);
	ck_assert_int_eq(recover(), 1);
	ck_assert_uint_eq(help_sum(region, SASBlock__IN_USE), used);
	ck_assert_uint_eq(block[0], 0x11);
}
END_TEST

/* --- more logs */

START_TEST(log_beyond_last_gives_none)
{
	errno = 0;
	ck_assert_ptr_null(sas_log_at(region, sas_log_available(region)));
	ck_assert_ptr_null(sas_log_at(region, UINT64_MAX));
	ck_assert_uint_gt(strlen(SASLastErrorMessage()), 10);
}
END_TEST

START_TEST(log_chunk_nowhere_gives_none)
{
	static const uint64_t wrong[] = { 1, 4096, HELP_REGION, UINT64_MAX & ~0xfffffUL, HELP_REGION - HELP_SEGMENT,
					  1UL << 63 };
	uint64_t n = region->anchor.log_count;

	for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		region->state->log_chunk[0] = wrong[i];
		ck_assert_ptr_null(sas_log_at(region, n));
		ck_assert_ptr_nonnull(strstr(SASLastErrorMessage(), "intent logs"));
	}
	region->state->log_chunk[0] = 0;
}
END_TEST

START_TEST(grow_adds_a_chunk_of_empty_logs)
{
	uint64_t before = sas_log_available(region), after;

	ck_assert_int_eq(sas_table_lock(region), 0);
	ck_assert_int_eq(sas_log_grow(region, number), 0);
	sas_table_unlock(region);
	after = sas_log_available(region);
	ck_assert_uint_eq(after, before + region->anchor.log_chunk_size / SAS_M_LOG_SIZE);
	for (uint64_t n = before; n < after; n++) {
		ck_assert_ptr_nonnull(sas_log_at(region, n));
		ck_assert(all_zero(sas_log_at(region, n), SAS_M_LOG_SIZE));
	}
	number = after - 1;
	log_page = sas_log_at(region, number);
	begin_one();
	ck_assert_int_eq(recover(), 1);
	ck_assert_uint_eq(block[0], 0x11);
}
END_TEST

START_TEST(grow_undone_leaves_no_block)
{
	uint64_t used = help_sum(region, SASBlock__IN_USE), offset;

	/* As in sas_log_grow(), up to the commit. */
	offset = take_in_intent(region->anchor.log_chunk_size);
	ck_assert_int_eq(sas_intent_redo(&intent, &region->state->log_chunk[0], &offset, sizeof offset), 0);
	ck_assert_int_eq(recover(), 1);
	sas_table_unlock(region);
	ck_assert_uint_eq(region->state->log_chunk[0], 0);
	ck_assert_uint_eq(help_sum(region, SASBlock__IN_USE), used);
	/* And after it. */
	offset = take_in_intent(region->anchor.log_chunk_size);
	memset(sas_at(region, offset), 0, region->anchor.log_chunk_size);
	ck_assert_int_eq(sas_intent_redo(&intent, &region->state->log_chunk[0], &offset, sizeof offset), 0);
	log_page->state = SAS_M_LOG_COMMITTED;
	ck_assert_int_eq(recover(), 1);
	sas_table_unlock(region);
	ck_assert_uint_eq(region->state->log_chunk[0], offset);
	ck_assert_uint_eq(help_sum(region, SASBlock__IN_USE), used + region->anchor.log_chunk_size);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("log");
	TCase *c = tcase_create("log");

	tcase_add_checked_fixture(c, set_up, region_end);
	tcase_set_timeout(c, 120);
	suite_add_tcase(suite, c);
	tcase_add_test(c, commit_without_records_leaves_log_idle);
	tcase_add_test(c, redo_is_stored_by_commit_alone);
	tcase_add_test(c, redo_of_same_place_last_wins);
	tcase_add_test(c, abort_of_redo_stores_nothing);
	tcase_add_test(c, commit_of_undo_keeps_change);
	tcase_add_test(c, abort_of_undo_restores_oldest_bytes);
	tcase_add_test(c, undo_and_redo_in_one_intent);
	tcase_add_test(c, record_over_segments_is_restored);
	tcase_add_test(c, record_larger_than_log_gives_enospc);
	tcase_add_test(c, full_log_gives_enospc_and_still_works);
	tcase_add_test(c, recover_of_active_log_undoes);
	tcase_add_test(c, recover_of_committed_log_redoes);
	tcase_add_test(c, recover_after_half_a_recovery_gives_same_bytes);
	help_add_death(c, recover_finishes_intents_of_dead_processes);
	tcase_add_test(c, join_finishes_intents_of_dead_processes);
	tcase_add_test(c, abort_frees_blocks_of_intent);
	tcase_add_test(c, commit_keeps_blocks_of_intent);
	tcase_add_test(c, recover_ignores_what_is_no_log);
	tcase_add_test(c, recover_ignores_record_with_any_byte_changed);
	tcase_add_test(c, recover_ends_at_first_record_that_is_not_whole);
	tcase_add_test(c, recover_ignores_records_of_older_intents);
	tcase_add_test(c, recover_follows_no_length_and_no_place_outside);
	tcase_add_test(c, recover_of_record_in_absent_segment_gives_euclean);
	tcase_add_test(c, recover_of_unknown_type_gives_euclean);
	tcase_add_test(c, recover_of_alloc_of_no_block_changes_nothing);
	tcase_add_test(c, log_beyond_last_gives_none);
	tcase_add_test(c, log_chunk_nowhere_gives_none);
	tcase_add_test(c, grow_adds_a_chunk_of_empty_logs);
	tcase_add_test(c, grow_undone_leaves_no_block);
	return help_main(suite);
}
