/* SPDX-License-Identifier: MIT */
/*
 * test_run_damage.c - one damaged word in a SAS.run in which nobody lives: who joins neither crashes nor hangs, and locks,
 * memory and epochs work. fuzz/region.h draws such words by chance; here each field that somebody follows has its turn.
 */
#include <config.h>

#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <stddef.h>
#include <unistd.h>

#include <sasepoch.h>
#include "fixture.h"
#include "sas/epoch/epoch.h"
#include "sas/lock/hold.h"
#include "sas/run/run_page.h"

#define LOCKS 40U       /* more than a slot has records for */
#define FILE_START 0U
#define LINE 1U         /* offsets begin at the line of the first lock */

#define HEADER(field) offsetof(struct sas_run_header, field)
#define PROCESS(n, field) (SAS_RUN_PROCESS_OFFSET + (n) * 128UL + offsetof(struct sas_run_process, field))
#define SLOT(n, field) (SAS_RUN_THREAD_OFFSET + (n) * sizeof(struct sas_run_thread) + offsetof(struct sas_run_thread, field))
#define PAGE(n, field) (SAS_RUN_PAGE_OFFSET + (n) * SAS_RUN_PAGE + offsetof(struct sas_run_page, field))
#define ENTRY(n, field) (PAGE(n, owner) + offsetof(struct sas_run_limbo, entries[0].field))
#define FIRST(field) offsetof(struct sas_run_line, field)
#define WORD(mutex) (mutex + offsetof(pthread_mutex_t, __data.__lock))
#define KIND(mutex) (mutex + offsetof(pthread_mutex_t, __data.__kind))
#define OWNER(mutex) (mutex + offsetof(pthread_mutex_t, __data.__owner))
#define NEVER_A_THREAD 0x3ffffff0U

/* The dead one had slot 0, its holds go on in page 0, what it deferred is in page 1. */
static const struct damage {
	const char *what;
	unsigned from;
	uint64_t offset, value, size, count;
	int refused;            /* the two disagree who lives */
} damages[] = {
	{ .what = "none" },
	{ "a hold of no lock", FILE_START, SLOT(0, holds[0]), 0xffffffff, 4, 1, 0 },
	{ "a hold in the fourth place of three", FILE_START, SLOT(0, holds[1]), 3 << 2 | 3, 4, 1, 0 },
	{ "a hold in no mode", FILE_START, SLOT(0, holds[2]), 4, 4, 1, 0 },
	{ "another lock's hold", FILE_START, SLOT(0, holds[3]), 7 << 4 | 1, 4, 1, 0 },
	{ "a hold in a page", FILE_START, PAGE(0, bytes[8]), 0xfffffff3, 4, 1, 0 },
	{ "a change of no lock", FILE_START, SLOT(0, lock_pending), 0xffffffffffffffdd, 8, 1, 0 },
	{ "a key's change of no lock", FILE_START, SLOT(0, lock_pending), 0xffffffff, 8, 1, 0 },
	{ "another change", FILE_START, SLOT(0, lock_pending), 1, 8, 1, 0 },
	{ "a latch of no bucket", FILE_START, SLOT(0, lock_latch), 0xffffffff, 4, 1, 0 },
	{ "a wait for no lock", FILE_START, SLOT(0, lock_wait), 0xffffffff, 8, 1, 0 },
	{ "leases of no segment", FILE_START, SLOT(0, lease_of), 0xfffffffe, 4, SAS_RUN_LEASES, 0 },
	{ "a busy thread", FILE_START, SLOT(0, lease_busy), 1, 4, 1, 0 },
	{ "a state of no slot", FILE_START, SLOT(0, state), 7, 4, 1, 0 },
	{ "nobody's process", FILE_START, SLOT(0, process), 0xffffffff, 4, 1, 0 },
	{ "the dead in a critical section", FILE_START, SLOT(0, epoch), 1, 8, 1, 0 },
	{ "a life without its mark", FILE_START, WORD(SLOT(0, life)), 0, 4, 1, 0 },
	{ "a life that is waited for", FILE_START, WORD(SLOT(0, life)), FUTEX_WAITERS, 4, 1, 0 },
	{ "a life given up for ever", FILE_START, OWNER(SLOT(0, life)), INT_MAX - 1, 4, 1, 0 },
	{ "a life of another kind", FILE_START, KIND(SLOT(0, life)), 1, 4, 1, 0 },
	{ "a free slot that holds", FILE_START, SLOT(1, holds[0]), 0xffffffff, 4, 2, 0 },
	{ "a free slot that waits", FILE_START, SLOT(1, lock_wait), SAS_HOLD_WRITE | 4, 8, 1, 0 },
	{ "a free slot that changes", FILE_START, SLOT(1, lock_pending), 0xffffffff, 8, 1, 0 },
	{ "a free slot that reads", FILE_START, SLOT(1, epoch), 1, 8, 1, 0 },
	{ "a free slot that leases", FILE_START, SLOT(1, lease_of), 9, 4, SAS_RUN_LEASES, 0 },
	{ "a free slot that holds back", FILE_START, SLOT(1, epoch_free_bytes), UINT64_MAX / 2, 8, 1, 0 },
	{ "a free slot in use", FILE_START, SLOT(5, state), 1, 4, 1, 0 },
	{ "a slot without a log in use", FILE_START, SLOT(63, state), 1, 4, 1, 0 },
	{ "a state of no process", FILE_START, PROCESS(0, state), 9, 4, 1, 0 },
	{ "a process in use", FILE_START, PROCESS(5, state), 1, 4, 1, 0 },
	{ "a page of no slot", FILE_START, PAGE(0, owner), 0xfffffffe, 4, 1, 0 },
	{ "a page of a free slot", FILE_START, PAGE(0, owner), 3, 4, 1, 0 },
	{ "an orphan that holds", FILE_START, PAGE(0, owner), SAS_RUN_ORPHAN, 4, 1, 0 },
	{ "a page of no kind", FILE_START, PAGE(0, kind), 9, 4, 1, 0 },
	{ "a free page of a kind", FILE_START, PAGE(5, kind), SAS_RUN_PAGE_HOLDS, 4, 1, 0 },
	{ "free pages that hold", FILE_START, PAGE(2, bytes), 0xffffffff, 4, SAS_HOLDS_PER_PAGE, 0 },
	{ "a deferred free of no block", FILE_START, ENTRY(1, block), UINT64_MAX, 8, 1, 0 },
	{ "a deferred free of all", FILE_START, ENTRY(1, block), 52, 8, 1, 0 },
	{ "a deferred free that waits for ever", FILE_START, ENTRY(1, epoch), UINT64_MAX, 8, 1, 0 },
	{ "too many threads", FILE_START, HEADER(thread_top), 0xffffffff, 4, 1, 0 },
	{ "threads that were never made", FILE_START, HEADER(thread_top), 128, 4, 1, 0 },
	{ "no threads", FILE_START, HEADER(thread_top), 0, 4, 1, 0 },
	{ "too many processes", FILE_START, HEADER(process_top), 0xffffffff, 4, 1, 0 },
	{ "too many pages", FILE_START, HEADER(page_top), 0xffffffff, 4, 1, 0 },
	{ "no pages", FILE_START, HEADER(page_top), 0, 4, 1, 0 },
	{ "too many lines", FILE_START, HEADER(line_top), 0xffffffff, 4, 2, 0 },
	{ "lines without space", FILE_START, HEADER(line_space), 0, 4, 1, 0 },
	{ "too few lines", FILE_START, HEADER(line_top), 5, 4, 1, 0 },
	{ "no lines", FILE_START, HEADER(line_space), 0, 4, 2, 0 },
	{ "a link to no line", FILE_START, HEADER(line_link), 0xffffffff, 4, 1, 0 },
	{ "the era of none", FILE_START, HEADER(line_era), 0, 4, 1, 0 },
	{ "the last epoch", FILE_START, HEADER(epoch), UINT64_MAX - 1, 8, 1, 0 },
	{ "an odd epoch", FILE_START, HEADER(epoch), 9, 8, 1, 0 },
	{ "all is safe", FILE_START, HEADER(epoch_safe), UINT64_MAX, 8, 1, 0 },
	{ "nothing may be held back", FILE_START, HEADER(epoch_limit_bytes), 1, 8, 2, 0 },
	{ "a seized region", FILE_START, HEADER(seized), 1, 4, 2, 0 },
	{ "a look at the end of time", FILE_START, HEADER(lock_looked), UINT64_MAX, 8, 1, 0 },
	{ "a holder of block_lock that died", FILE_START, HEADER(block_dirty), 1, 4, 1, 0 },
	{ "and that is nobody", FILE_START, HEADER(dirty_owner), UINT64_MAX, 8, 1, 0 },
	{ "an index of the next epoch", FILE_START, HEADER(index_epoch), 0xfffffffe, 4, 1, 0 },
	{ "indexes of bits", FILE_START, SAS_RUN_INDEX_OFFSET, 0xffffffffffffffff, 8, 1024, 0 },
	{ "indexes of the epoch that comes", FILE_START, SAS_RUN_INDEX_OFFSET, 0x0000000200000002, 8, 1024, 0 },
	{ "a held table_lock", FILE_START, WORD(HEADER(table_lock)), NEVER_A_THREAD, 4, 1, 1 },
	{ "a held block_lock", FILE_START, WORD(HEADER(block_lock)), NEVER_A_THREAD, 4, 1, 1 },
	{ "a held grow_lock", FILE_START, WORD(HEADER(grow_lock)), NEVER_A_THREAD, 4, 1, 1 },
	{ "a held sync_lock", FILE_START, WORD(HEADER(sync_lock)), NEVER_A_THREAD | FUTEX_WAITERS, 4, 1, 1 },
	{ "a grow_lock that is waited for", FILE_START, WORD(HEADER(grow_lock)), FUTEX_WAITERS, 4, 1, 0 },
	{ "a table_lock given up for ever", FILE_START, OWNER(HEADER(table_lock)), INT_MAX - 1, 4, 1, 0 },
	{ "a block_lock of another kind", FILE_START, KIND(HEADER(block_lock)), 0, 4, 1, 0 },
	{ "a block_lock whose holder died", FILE_START, WORD(HEADER(block_lock)), FUTEX_OWNER_DIED | 5, 4, 1, 0 },
	{ "a lock that a free slot holds", LINE, FIRST(lock[0].word), SAS_LOCK_WRITE | 5U << 18, 8, 1, 0 },
	{ "a lock of readers", LINE, FIRST(lock[0].word), SAS_LOCK_READERS, 8, 1, 0 },
	{ "a lock whose key changes", LINE, FIRST(lock[0].word), SAS_LOCK_WRITE | SAS_LOCK_INTENT, 8, 1, 0 },
	{ "a lock that is waited for", LINE, FIRST(lock[0].word), SAS_LOCK_WAITS, 8, 1, 0 },
	{ "a lock never used", LINE, FIRST(lock[0].word), 0, 8, 1, 0 },
	{ "a latch that a free slot holds", LINE, FIRST(latch), 9, 4, 1, 0 },
	{ "a line full of holders", LINE, FIRST(lock[0].key), 0x4000, 8, 6, 0 },
	{ "a chain to nowhere", LINE, FIRST(next), 0xffffffff, 4, 1, 0 },
	{ "a chain to a line without space", LINE, FIRST(next), SAS_RUN_LINES - 1, 4, 1, 0 },
	{ "a chain into a bucket", LINE, FIRST(next), SAS_RUN_BUCKETS - 1, 4, 1, 0 },
	{ "a latch, and a chain that goes round", LINE, FIRST(latch), 0x100000001, 8, 1, 0 },
};
#define DAMAGES ((int)(sizeof damages / sizeof damages[0]))

static uint64_t base;

static void *lock_at(unsigned i)
{
	return (void *)(base + 64UL * i);
}

static void die_with_all(void *arg)
{
	void *block;

	(void)arg;
	region_join(0);
	block = SASRegionBlockAlloc(region, 4096);
	must(block != NULL && SASRegionBlockAlloc(region, 4096) != NULL);
	for (unsigned i = 0; i < LOCKS; i++)
		must(SASLockTake(lock_at(i), i % 3 ? SasUserLock__READ : SasUserLock__WRITE, 0, 0) == 0);
	must(SASEpochFree(block, 4096) == 0);
	must(SASEpochEnter(region) == 0);
	kill(getpid(), SIGKILL);
}

static void plant(const struct damage *d)
{
	uint64_t line = SAS_RUN_LOCK_OFFSET + sas_lock_bucket(base) * SAS_RUN_LINE;
	int fd = open(help_path(store, "SAS.run"), O_RDWR | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	for (uint64_t i = 0; i < d->count; i++)
		ck_assert_int_eq(pwrite(fd, &d->value, d->size, (off_t)(d->offset + i * d->size + (d->from == LINE ? line : 0))),
				 (ssize_t)d->size);
	close(fd);
}

/* Nobody lives, so nothing is waited for; what is said of a dead holder may be lost. */
static void work(const struct damage *d)
{
	void *blocks[8];
	int error;

	for (unsigned i = 0; i < LOCKS; i++) {
		errno = 0;
		error = SASLockTake(lock_at(i), SasUserLock__WRITE, SAS_LOCK_OWNERDEAD, 0) ? errno : 0;
		must(error == 0 || error == EOWNERDEAD);
		must(d->count || error == (i % 3 ? 0 : EOWNERDEAD));
	}
	for (unsigned i = 0; i < LOCKS; i++)
		must(SASLockGive(lock_at(i)) == 0);
	for (unsigned i = 0; i < 8; i++)
		must((blocks[i] = SASRegionBlockAlloc(region, 4096UL << i)) != NULL);
	for (unsigned i = 1; i < 8; i++)
		must(SASBlockFree(blocks[i], 4096UL << i) == 0);
	must(SASEpochFree(blocks[0], 4096) == 0);
	must(SASEpochSynchronize(region, 1000) == 0);
	must(SASEpochReclaim(region) >= 0);
	must(SASRegionTrim(region) >= 0);
}

static void join_and_work(void *arg)
{
	const struct damage *d = arg;

	region = SASRegionJoin(store, NULL);
	if (d->refused) {
		must(!region && errno == EBUSY);
		return;
	}
	must(region != NULL);
	work(d);
	must(SASRegionLeave(region) == 0);
}

START_TEST(damaged_word_is_survived)
{
	struct damage d = damages[_i];
	SASRegionOptions options;

	store_begin();
	help_options(&options, SAS_JOIN_CREATE);
	region = SASRegionJoin(store, &options);
	ck_assert_ptr_nonnull(region);
	base = (uint64_t)help_info(region).base;
	region_leave();
	ck_assert_int_eq(unlink(help_path(store, "SAS.run")), 0);
	help_dies(die_with_all, NULL, SIGKILL);
	plant(&d);
	ck_assert_msg(help_inspect(store).participantsAlive == 0, "%s", d.what);
	help_in_child(join_and_work, &d);
	if (!d.refused)
		help_clean(store);
}
END_TEST

/* A process that reads takes over first; it cannot free the slot, but nobody waits for the dead. */
static void only_look(void *arg)
{
	struct help_peer *peer = arg;

	region = SASRegionJoin(peer->store, &(SASRegionOptions){ .structSize = sizeof(SASRegionOptions), .flags = SAS_JOIN_READONLY });
	must(region != NULL);
	help_peer_turn(peer);
	must(SASRegionLeave(region) == 0);
}

START_TEST(reader_that_died_is_not_waited_for_when_a_reader_takes_over)
{
	struct help_peer peer;

	store_begin();
	region_create(HELP_REGION, HELP_SEGMENT, 0);
	base = (uint64_t)help_info(region).base;
	region_leave();
	help_dies(die_with_all, NULL, SIGKILL);
	peer.store = store;
	help_peer_start(&peer, only_look);
	region_join(0);
	help_succeeds(SASEpochSynchronize(region, 1000) == 0);
	region_leave();
	help_peer_end(&peer);
	help_clean(store);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("run_damage");
	TCase *c = help_case(suite, "run_damage");

	if (help_marks_deaths()) {
		tcase_add_loop_test(c, damaged_word_is_survived, 0, DAMAGES);
		tcase_add_test(c, reader_that_died_is_not_waited_for_when_a_reader_takes_over);
	}
	return help_main(suite);
}
