/* SPDX-License-Identifier: MIT */
/*
 * test_lock_list.c - who holds address locks and who waits: SASLockList(), the same from the files, threads, and
 * what the calls of the older API print.
 */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "help.h"
#include "sassim.h"
#include "saslock.h"

#define MANY 100                /* more than the slot's own records */

static char *at(uint64_t offset) { return (char *)(HELP_BASE + offset); }

/* Both lists must say the same of locks at rest. */
static long list(const char *store, SASRegion_t region, SASLockInfo *entries, size_t capacity)
{
	SASLockInfo *other = calloc(capacity + 1, sizeof(*other));
	SASInspect_t in = SASInspectOpen(store);
	long count = SASLockList(region, entries, capacity), count_there;

	help_succeeds(count >= 0);
	help_succeeds(in != NULL);
	count_there = SASInspectListLocks(in, other, capacity);
	help_succeeds(count_there >= 0);
	ck_assert_int_eq(count, count_there);
	for (long i = 0; i < count && (size_t)i < capacity; i++)
		ck_assert_msg(memcmp(&entries[i], &other[i], sizeof(*other)) == 0, "entry %ld", i);
	ck_assert_int_eq(SASLockList(region, NULL, 0), count);
	ck_assert_int_eq(SASInspectListLocks(in, NULL, 0), count);
	SASInspectClose(in);
	free(other);
	return count;
}

static SASThreadInfo thread_of(const char *store, pid_t pid)
{
	SASThreadInfo threads[16], found = { .slot = ~0U };
	SASInspect_t in = SASInspectOpen(store);
	long count = SASInspectListThreads(in, threads, 16);

	help_succeeds(count >= 0);
	for (long i = 0; i < count && i < 16; i++)
		if (threads[i].pid == (uint32_t)pid)
			found = threads[i];
	SASInspectClose(in);
	ck_assert_uint_ne(found.slot, ~0U);
	return found;
}

START_TEST(lists_refuse_bad_arguments)
{
	char *store = help_store();
	SASRegion_t region = help_create(store);
	SASInspect_t in = SASInspectOpen(store);
	SASLockInfo entry;

	help_fails(SASLockList(NULL, &entry, 1) < 0, EINVAL);
	help_fails(SASLockList(region, NULL, 1) < 0, EINVAL, "buffer");
	help_fails(SASInspectListLocks(NULL, &entry, 1) < 0, EINVAL, "NULL");
	help_fails(SASInspectListLocks(in, NULL, 1) < 0, EINVAL, "NULL");
	help_fails(SASInspectListThreads(NULL, NULL, 0) < 0, EINVAL, "NULL");
	help_fails(SASInspectListThreads(in, NULL, 1) < 0, EINVAL, "NULL");
	SASInspectClose(in);
	help_leave(region);
	help_fails(SASLockList(region, &entry, 1) < 0, EINVAL);
	help_clean(store);
}
END_TEST

START_TEST(list_of_own_locks_is_ordered_and_shows_the_strongest_mode)
{
	char *store = help_store();
	SASRegion_t region = help_create(store);
	SASLockInfo entries[3 + MANY];
	SASThreadInfo self;

	ck_assert_int_eq(list(store, region, entries, 3), 0);
	help_succeeds(SASLockTry(at(7), SasUserLock__READ) == 0);
	help_succeeds(SASLockTry(at(7), SasUserLock__INTENT) == 0);
	help_succeeds(SASLockTry(at(3), SasUserLock__READ) == 0);
	help_succeeds(SASLockTry(at(5), SasUserLock__WRITE) == 0);
	help_succeeds(SASLockTry(at(5), SasUserLock__READ) == 0);
	ck_assert_int_eq(list(store, region, entries, 3), 3);
	ck_assert_ptr_eq(entries[0].address, at(3));
	ck_assert_int_eq(entries[0].mode, SasUserLock__READ);
	ck_assert_ptr_eq(entries[1].address, at(5));
	ck_assert_int_eq(entries[1].mode, SasUserLock__WRITE);
	ck_assert_ptr_eq(entries[2].address, at(7));
	ck_assert_int_eq(entries[2].mode, SasUserLock__INTENT);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(entries[i].state, SASLock__HOLDS);
		ck_assert_uint_eq(entries[i].pid, (uint32_t)getpid());
		ck_assert_uint_eq(entries[i].alive, 1);
		ck_assert_uint_eq(entries[i].ownerDied, 0);
	}
	for (int i = 0; i < MANY; i++)
		help_succeeds(SASLockTry(at(1000 + (uint64_t)i), SasUserLock__WRITE) == 0);
	ck_assert_int_eq(list(store, region, entries, 3 + MANY), 3 + MANY);
	ck_assert_ptr_eq(entries[2 + MANY].address, at(999 + MANY));
	ck_assert_int_eq(list(store, region, entries, 2), 3 + MANY);
	self = thread_of(store, getpid());
	ck_assert_uint_eq(self.locksHeld, 3 + MANY);
	ck_assert_uint_eq(self.alive, 1);
	ck_assert_uint_eq(self.waits, 0);
	for (int i = 0; i < MANY; i++)
		help_succeeds(SASLockGive(at(1000 + (uint64_t)i)) == 0);
	ck_assert_int_eq(list(store, region, entries, 3), 3);
	help_leave(region);
	help_clean(store);
}
END_TEST

static void wait_for_lock(void *arg)
{
	struct help_peer *peer = arg;
	SASRegion_t region = help_join(peer->store, 0);

	help_peer_turn(peer);
	must(SASLockTake(at(64), SasUserLock__WRITE, 0, SAS_LOCK_WAIT_FOREVER) == 0);
	must(SASLockGive(at(64)) == 0);
	must(SASRegionLeave(region) == 0);
}

START_TEST(list_shows_a_waiter_and_since_when)
{
	struct help_peer peer = { .store = help_store() };
	SASRegion_t region = help_create(peer.store);
	SASLockInfo entries[4];
	SASThreadInfo waiter;

	help_succeeds(SASLockTry(at(64), SasUserLock__READ) == 0);
	help_peer_start(&peer, wait_for_lock);
	help_gate_open(&peer.back);
	/* The list's holders are read before its waiters: this one may have come in between. */
	ck_assert(until(SASLockList(region, entries, 4) == 2 && entries[0].since != 0, PATIENCE));
	ck_assert_int_eq(entries[0].state, SASLock__HOLDS);
	ck_assert_uint_eq(entries[0].pid, (uint32_t)getpid());
	ck_assert_int_eq(entries[1].state, SASLock__WAITS);
	ck_assert_int_eq(entries[1].mode, SasUserLock__WRITE);
	ck_assert_uint_eq(entries[1].pid, (uint32_t)peer.pid);
	ck_assert_uint_ge(entries[1].since, entries[0].since);
	waiter = thread_of(peer.store, peer.pid);
	ck_assert_uint_eq(waiter.waits, 1);
	ck_assert_ptr_eq(waiter.waitsFor, at(64));
	ck_assert_int_eq(waiter.waitMode, SasUserLock__WRITE);
	ck_assert_uint_eq(waiter.waitsSince, entries[1].since);
	ck_assert_uint_eq(waiter.lockWaits, 1);
	help_succeeds(SASLockGive(at(64)) == 0);
	help_done(peer.pid);
	close(peer.there.ends[0]);
	close(peer.back.ends[1]);
	ck_assert_int_eq(list(peer.store, region, entries, 4), 0);
	ck_assert_uint_eq(help_info(region).lockWaits, 1);
	help_leave(region);
	ck_assert_uint_eq(help_inspect(peer.store).lockWaits, 1);
	help_clean(peer.store);
}
END_TEST

static void die_with_locks(void *arg)
{
	help_join(arg, 0);
	must(SASLockTry(at(64), SasUserLock__WRITE) == 0);
	must(SASLockTry(at(65), SasUserLock__READ) == 0);
	raise(SIGKILL);
}

START_TEST(list_shows_the_dead_until_they_are_recovered)
{
	char *store = help_store();
	SASRegion_t region = help_create(store);
	SASLockInfo entries[4];

	help_dies(die_with_locks, store, SIGKILL);
	ck_assert_int_eq(list(store, region, entries, 4), 2);
	ck_assert_uint_eq(entries[0].alive, 0);
	ck_assert_uint_eq(entries[0].ownerDied, 0);
	ck_assert_uint_eq(entries[1].alive, 0);
	help_succeeds(SASRegionRecover(region) == 1);
	ck_assert_int_eq(list(store, region, entries, 4), 0);
	help_succeeds(SASLockTry(at(64), SasUserLock__READ) == 0);
	ck_assert_int_eq(list(store, region, entries, 4), 1);
	ck_assert_uint_eq(entries[0].ownerDied, 1);
	ck_assert_uint_eq(help_inspect(store).recoveries, 1);
	help_leave(region);
	help_clean(store);
}
END_TEST

/* What both calls print, in `text`. */
static void print_into(const char *store, char *text, size_t size)
{
	const char *path = help_path(store, "printed");
	FILE *file;
	size_t length;
	int out;

	fflush(stdout);
	out = dup(STDOUT_FILENO);
	ck_assert_ptr_nonnull(freopen(path, "w", stdout));
	SASLockPrintHighLevelStats();
	SASLockPrintDetailedStats();
	fflush(stdout);
	dup2(out, STDOUT_FILENO);
	close(out);
	file = fopen(path, "r");
	length = fread(text, 1, size - 1, file);
	text[length] = '\0';
	fclose(file);
	unlink(path);
}

START_TEST(printing_tells_of_table_and_locks)
{
	char *store = help_store(), text[4096], line[200];

	errno = 0;
	print_into(store, text, sizeof(text));
	ck_assert_str_eq(text, "");
	help_fails((SASLockPrintDetailedStats(), 1), EINVAL, "no region");
	help_classic(store);
	help_succeeds(SASJoinRegion() == 0);
	print_into(store, text, sizeof(text));
	ck_assert_ptr_nonnull(strstr(text, "\nTotal items in table: 0 "));
	SASLock(at(8), SasUserLock__WRITE);
	SASLock(at(16), SasUserLock__READ);
	SASUnlock(at(16));
	print_into(store, text, sizeof(text));
	ck_assert_ptr_nonnull(strstr(text, "\nNumber of table slots: 32768\n"));
	ck_assert_ptr_nonnull(strstr(text, "\nTotal items in table: 2 "));
	ck_assert_ptr_nonnull(strstr(text, "\nNumber of table slots with items: 2\n"));
	ck_assert_ptr_nonnull(strstr(text, "\nHighest item density: 1\n"));
	ck_assert_ptr_nonnull(strstr(text, "held or waited for: 1\n"));
	snprintf(line, sizeof(line), "%p WRITE  held by process %d, thread %d\n", (void *)at(8), getpid(), getpid());
	ck_assert_ptr_nonnull(strstr(text, line));
	SASUnlock(at(8));
	SASCleanUp();
	help_clean(store);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("lock_list");
	TCase *tc = help_case(suite, "lock_list");

	tcase_add_test(tc, lists_refuse_bad_arguments);
	tcase_add_test(tc, list_of_own_locks_is_ordered_and_shows_the_strongest_mode);
	tcase_add_test(tc, list_shows_a_waiter_and_since_when);
	help_add_death(tc, list_shows_the_dead_until_they_are_recovered);
	tcase_add_test(tc, printing_tells_of_table_and_locks);
	return help_main(suite);
}
