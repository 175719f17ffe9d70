/* SPDX-License-Identifier: MIT */
/*
 * test_use.c - uses of objects: frames, who is kept out, tokens of owners, and blocks that come and go with a word.
 */
#include <config.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <sassim.h>
#include "lock_help.h"
#include "sas/lock/update.h"
#include "sas/service.h"

static void begin(struct sas_use *u, void *object, enum sas_use_kind kind)
{
	int error = sas_use_begin(u, object, kind);

	ck_assert_msg(error == 0, "%s", SASLastErrorMessage());
}

static void update(void *object)
{
	struct sas_use u;

	begin(&u, object, SAS_USE_UPDATE);
	sas_use_end(&u);
}

/* It has the lock's word, and waits for who announces updates. */
static void wait_for_updates(struct agent *a, void *object, sas_userlock_request_t mode)
{
	agent_ask(a, (struct request){ .order = TAKE, .address = object, .mode = mode, .milliseconds = -1 });
	ck_assert(until(waiters(region) == 1, PATIENCE));
}

/* --- frames */

START_TEST(use_refuses_reentry)
{
	static const enum sas_use_kind kinds[] = { SAS_USE_UNLOCKED, SAS_USE_UPDATE, SAS_USE_EXCLUSIVE, SAS_USE_READ };
	struct sas_use u, second;

	for (int i = 0; i < 4; i++) {
		begin(&u, at(1), kinds[i]);
		for (int k = 0; k < 4; k++)
			ck_assert_int_eq(sas_use_begin(&second, at(2), kinds[k]), -EDEADLK);
		ck_fails(SASLockTry(at(3), WRITE), EDEADLK);
		ck_assert_int_eq(sas_use_result(&u, 0), 0);
	}
	update(at(2));
	ck_assert_int_eq(SASLockTry(at(3), WRITE), 0);
	ck_assert_int_eq(SASLockGive(at(3)), 0);
}
END_TEST

START_TEST(use_tells_of_the_region)
{
	struct sas_use u;
	int inside = 1;

	begin(&u, at(1), SAS_USE_UPDATE);
	ck_assert_ptr_eq(u.region, region);
	ck_assert_uint_eq(u.base, (uintptr_t)base);
	ck_assert_ptr_eq(u.object, at(1));
	ck_assert_int_eq(sas_use_reach(&u, base), 0);
	ck_assert_int_eq(sas_use_reach(&u, &inside), 0);
	ck_assert_int_eq(sas_use_reach(&u, base + u.size - 8), -EUCLEAN);
	ck_assert_int_eq(sas_use_result(&u, -ENOENT), -ENOENT);
}
END_TEST

START_TEST(use_outside_regions)
{
	char object[64] = { 0 };
	struct sas_use u, inner;
	struct sas_look l;

	begin(&u, object, SAS_USE_EXCLUSIVE);
	ck_assert_ptr_eq(u.region, NULL);
	ck_assert_uint_ne(u.token, 0);
	ck_assert_int_eq(sas_owner_lives(NULL, u.token), 1);
	ck_assert_int_eq(sas_use_begin(&inner, object, SAS_USE_READ), -EDEADLK);
	ck_assert_int_eq(sas_use_nested(&inner, &u, at(1), SAS_USE_EXCLUSIVE), 0);
	ck_assert_ptr_eq(inner.region, region);
	sas_use_end(&inner);
	ck_assert_int_eq(sas_use_take_block(&u, 4096, (uint64_t *)object), -EINVAL);
	sas_use_end(&u);
	ck_assert_int_eq(sas_look_begin(&l, object), 0);
	ck_assert_int_eq(sas_look_ok(&l, object), 1);
}
END_TEST

/* A region of its own, by handle. */
START_TEST(use_in_region_joined_read_only)
{
	char *there = help_store();
	SASRegionOptions o;
	SASRegion_t r;
	struct sas_use u;
	struct sas_look l;
	void *object;

	help_options(&o, SAS_JOIN_CREATE);
	o.base = (uintptr_t)base + GIB;
	r = SASRegionJoin(there, &o);
	ck_assert_msg(r != NULL, "%s", SASLastErrorMessage());
	object = SASRegionBlockAlloc(r, 4096);
	ck_assert_int_eq(SASRegionLeave(r), 0);
	help_options(&o, SAS_JOIN_READONLY);
	r = SASRegionJoin(there, &o);
	ck_assert_msg(r != NULL, "%s", SASLastErrorMessage());
	ck_assert_int_eq(sas_use_begin(&u, object, SAS_USE_UNLOCKED), -EROFS);
	ck_assert_int_eq(sas_use_begin(&u, object, SAS_USE_UPDATE), -EROFS);
	ck_assert_int_eq(sas_use_begin(&u, object, SAS_USE_EXCLUSIVE), -EROFS);
	begin(&u, object, SAS_USE_READ);
	ck_assert_uint_ne(u.token, 0);
	sas_use_end(&u);
	ck_assert_int_eq(sas_look_begin(&l, object), 0);
	ck_assert_int_eq(sas_look_ok(&l, object), 1);
	ck_assert_int_eq(SASRegionLeave(r), 0);
}
END_TEST

/* --- updates and locks */

START_TEST(first_update_locks_further_ones_announce)
{
	struct sas_use u;

	for (int i = 0; i < 3; i++) {
		begin(&u, at(1), SAS_USE_UPDATE);
		ck_assert_int_eq(u.locked, i == 0);
		ck_assert_int_eq(u.announced != 0, i > 0);
		sas_use_end(&u);
	}
	/* An address that has a place already. */
	ck_assert_int_eq(SASLockTry(at(2), READ), 0);
	ck_assert_int_eq(SASLockGive(at(2)), 0);
	for (int i = 0; i < 3; i++) {
		begin(&u, at(2), SAS_USE_UPDATE);
		ck_assert_int_eq(u.locked, i == 0);
		sas_use_end(&u);
		ck_assert_int_eq(SASLockTry(at(2), WRITE), 0);
		ck_assert_int_eq(SASLockGive(at(2)), 0);
	}
}
END_TEST

START_TEST(lock_waits_for_update)
{
	struct agent locker;
	struct sas_use u;

	agent_process(&locker);
	update(at(1));
	for (int i = 0; i < 3; i++) {
		begin(&u, at(1), SAS_USE_UPDATE);
		ck_assert_uint_ne(u.announced, 0);
		ck_assert_int_eq(agent_take(&locker, at(1), all_modes[i], 0), EBUSY);
		ck_assert_int_eq(agent_take(&locker, at(1), all_modes[i], 20), ETIMEDOUT);
		ck_assert_int_eq(agent_take(&locker, at(2), all_modes[i], 0), 0);
		ck_assert_int_eq(agent_give(&locker, at(2)), 0);
		wait_for_updates(&locker, at(1), all_modes[i]);
		ck_assert(agent_is_busy(&locker));
		sas_use_end(&u);
		ck_assert_int_eq(agent_answer(&locker).error, 0);
		ck_assert_int_eq(agent_give(&locker, at(1)), 0);
	}
	agent_end(&locker);
}
END_TEST

static void *update_in_thread(void *object)
{
	struct sas_use u;

	begin(&u, object, SAS_USE_UPDATE);
	ck_assert_int_eq(u.locked, 1);
	sas_use_end(&u);
	SASThreadCleanUp();
	return NULL;
}

START_TEST(update_waits_for_lock)
{
	struct agent locker;
	pthread_t thread;

	agent_process(&locker);
	update(at(1));
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(agent_take(&locker, at(1), all_modes[i], 0), 0);
		ck_assert_int_eq(pthread_create(&thread, NULL, update_in_thread, at(1)), 0);
		ck_assert(until(waiters(region) == 1, PATIENCE));
		ck_assert_int_eq(agent_give(&locker, at(1)), 0);
		ck_assert_int_eq(pthread_join(thread, NULL), 0);
	}
	agent_end(&locker);
}
END_TEST

START_TEST(own_holds_keep_nobody_out_but_others)
{
	struct sas_use u;

	for (int first = 0; first < 2; first++) {
		ck_assert_int_eq(SASLockTry(at(1), WRITE), 0);
		update(at(1));
		update(at(1));
		ck_assert_int_eq(SASLockGive(at(1)), 0);
		ck_assert_int_eq(SASLockHeld(at(1)), -1);
		ck_assert_int_eq(SASLockTry(at(1), READ), 0);
		begin(&u, at(1), SAS_USE_UPDATE);
		ck_assert_int_eq(u.locked, 1);
		sas_use_end(&u);
		ck_assert_int_eq(SASLockHeld(at(1)), READ);
		ck_assert_int_eq(SASLockGive(at(1)), 0);
	}
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(SASLockTry(at(1), WRITE), 0);
		begin(&u, at(1), i ? SAS_USE_READ : SAS_USE_EXCLUSIVE);
		sas_use_end(&u);
		ck_assert_int_eq(SASLockHeld(at(1)), WRITE);
		ck_assert_int_eq(SASLockGive(at(1)), 0);
	}
}
END_TEST

#define NESTED 7

START_TEST(uses_nest)
{
	struct sas_use u[NESTED], again;
	struct agent locker;

	agent_process(&locker);
	for (size_t i = 0; i < NESTED; i++)
		update(at(i));
	begin(&u[0], at(0), SAS_USE_UPDATE);
	for (size_t i = 1; i < NESTED; i++) {
		ck_assert_int_eq(sas_use_nested(&u[i], &u[i - 1], at(i), SAS_USE_UPDATE), 0);
		ck_assert_int_eq(u[i].locked, i >= SAS_RUN_UPDATES);
	}
	/* Nobody has to wait for himself. */
	wait_for_updates(&locker, at(0), WRITE);
	ck_assert_int_eq(sas_use_nested(&again, &u[NESTED - 1], at(0), SAS_USE_UPDATE), 0);
	sas_use_end(&again);
	ck_assert(agent_is_busy(&locker));
	for (size_t i = NESTED; i-- > 0;)
		sas_use_end(&u[i]);
	ck_assert_int_eq(agent_answer(&locker).error, 0);
	ck_assert_int_eq(agent_give(&locker, at(0)), 0);
	for (size_t i = 0; i < NESTED; i++) {
		ck_assert_int_eq(agent_take(&locker, at(i), WRITE, 0), 0);
		ck_assert_int_eq(agent_give(&locker, at(i)), 0);
	}
	agent_end(&locker);
}
END_TEST

/* It waits for the update of one object, and has the lock of the other. */
START_TEST(update_in_a_circle_is_refused)
{
	struct sas_use u, inner;
	struct agent locker;

	agent_process(&locker);
	update(at(1));
	update(at(2));
	begin(&u, at(1), SAS_USE_UPDATE);
	ck_assert_int_eq(agent_take(&locker, at(2), WRITE, 0), 0);
	agent_ask(&locker, (struct request){ .order = CLASSIC, .address = at(1), .mode = WRITE });
	ck_assert(until(waiters(region) == 1, PATIENCE));
	ck_assert_int_eq(sas_use_nested(&inner, &u, at(2), SAS_USE_UPDATE), -EDEADLK);
	sas_use_end(&u);
	ck_assert_int_eq(agent_answer(&locker).error, 0);
	ck_assert_int_eq(agent_give(&locker, at(1)), 0);
	ck_assert_int_eq(agent_give(&locker, at(2)), 0);
	agent_end(&locker);
}
END_TEST

/* --- looks */

START_TEST(look_sees_who_held_the_lock)
{
	struct agent locker;
	struct sas_look l;

	agent_process(&locker);
	for (int i = 0; i < 4; i++) {
		ck_assert_int_eq(sas_look_begin(&l, at(1)), 0);
		ck_assert_int_eq(l.used, 0);
		ck_assert_int_eq(sas_look_reach(&l, at(1)), 0);
		if (i % 2) {
			ck_assert_int_eq(agent_take(&locker, at(1), WRITE, 0), 0);
			ck_assert_int_eq(agent_give(&locker, at(1)), 0);
			ck_assert_int_eq(sas_look_ok(&l, at(1)), 0);
			ck_assert_int_eq(l.used, 1);
			ck_assert_int_eq(agent_take(&locker, at(1), WRITE, 0), EBUSY);
		}
		ck_assert_int_eq(sas_look_ok(&l, at(1)), 1);
		ck_assert_int_eq(agent_take(&locker, at(1), WRITE, 0), 0);
		ck_assert_int_eq(agent_give(&locker, at(1)), 0);
	}
	/* One's own lock, and updates, are in nobody's way. */
	ck_assert_int_eq(SASLockTry(at(1), WRITE), 0);
	ck_assert_int_eq(sas_look_begin(&l, at(1)), 0);
	ck_assert_int_eq(l.used, 0);
	ck_assert_int_eq(sas_look_ok(&l, at(1)), 1);
	ck_assert_int_eq(SASLockGive(at(1)), 0);
	update(at(1));
	ck_assert_int_eq(sas_look_begin(&l, at(1)), 0);
	update(at(1));
	ck_assert_int_eq(sas_look_ok(&l, at(1)), 1);
	/* Another one's is not looked at by who says so. */
	ck_assert_int_eq(agent_take(&locker, at(1), WRITE, 0), 0);
	ck_assert_int_eq(sas_look_begin_unlocked(&l, at(1)), 0);
	ck_assert_int_eq(sas_look_ok(&l, at(1)), 1);
	ck_assert_int_eq(agent_give(&locker, at(1)), 0);
	agent_end(&locker);
}
END_TEST

static void *look_in_thread(void *object)
{
	struct sas_look l;

	ck_assert_int_eq(sas_look_begin(&l, object), 0);
	ck_assert_int_eq(l.used, 1);
	ck_assert_int_eq(sas_look_ok(&l, object), 1);
	SASThreadCleanUp();
	return NULL;
}

START_TEST(look_waits_for_writer)
{
	struct agent locker;
	pthread_t thread;

	agent_process(&locker);
	ck_assert_int_eq(agent_take(&locker, at(1), WRITE, 0), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, look_in_thread, at(1)), 0);
	ck_assert(until(waiters(region) == 1, PATIENCE));
	ck_assert_int_eq(agent_give(&locker, at(1)), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	agent_end(&locker);
}
END_TEST

/* --- owners */

static uint64_t token_of(void)
{
	struct sas_use u;
	uint64_t token;

	begin(&u, at(1), SAS_USE_UNLOCKED);
	token = u.token;
	ck_assert_int_eq(sas_owner_lives(u.region, token), 1);
	sas_use_end(&u);
	ck_assert_uint_ne(token, 0);
	ck_assert_uint_eq(token >> 62, 0);
	return token;
}

static void *token_in_thread(void *token)
{
	*(uint64_t *)token = token_of();
	SASThreadCleanUp();
	return NULL;
}

static uint64_t *board;

/* Announces an object, and waits for its death. */
static void announce_and_stay(void *arg)
{
	struct sas_use u;

	(void)arg;
	update(at(1));
	begin(&u, at(1), SAS_USE_UPDATE);
	ck_assert_uint_ne(u.announced, 0);
	__atomic_store_n(board, u.token, __ATOMIC_RELEASE);
	for (;;)
		pause();
}

static pid_t announcer(void)
{
	pid_t pid;

	board = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(board, MAP_FAILED);
	pid = help_fork(announce_and_stay, NULL);
	ck_assert(until(__atomic_load_n(board, __ATOMIC_ACQUIRE) != 0, PATIENCE));
	return pid;
}

static void kill_announcer(pid_t pid)
{
	kill(pid, SIGKILL);
	ck_assert_int_eq(help_wait(pid, PATIENCE), 128 + SIGKILL);
	munmap(board, 4096);
}

START_TEST(tokens_differ_and_end)
{
	enum { TOKENS = 100 };
	uint64_t own = token_of(), token[TOKENS];
	pthread_t thread;

	for (int i = 0; i < TOKENS; i++) {
		ck_assert_int_eq(pthread_create(&thread, NULL, token_in_thread, &token[i]), 0);
		ck_assert_int_eq(pthread_join(thread, NULL), 0);
		ck_assert_uint_ne(token[i], own);
		ck_assert_int_eq(sas_owner_lives(region, token[i]), 0);
		for (int k = 0; k < i; k++)
			ck_assert_uint_ne(token[i], token[k]);
	}
	ck_assert_uint_eq(token_of(), own);
	ck_assert_int_eq(sas_owner_lives(region, own), 1);
	ck_assert_int_eq(sas_owner_lives(region, SAS_TOKEN_PLAIN | 5), 0);
	ck_assert_int_eq(sas_owner_lives(region, (1ULL << 61) - 1), 0);
}
END_TEST

START_TEST(dead_owner_is_found)
{
	pid_t pid = announcer();
	uint64_t token = *board;

	ck_assert_int_eq(sas_owner_lives(region, token), 1);
	kill_announcer(pid);
	ck_assert_int_eq(sas_owner_lives(region, token), 0);
	ck_assert_int_eq(sas_owner_lives(region, token), 0);
}
END_TEST

START_TEST(dead_announcer_is_not_waited_for)
{
	struct agent locker;
	pid_t pid = announcer();

	agent_process(&locker);
	wait_for_updates(&locker, at(1), WRITE);
	kill_announcer(pid);
	ck_assert_int_eq(agent_answer(&locker).error, 0);
	ck_assert_int_eq(agent_give(&locker, at(1)), 0);
	agent_end(&locker);
	update(at(1));
}
END_TEST

/* Nobody has joined in between, and SAS.run is gone. */
START_TEST(tokens_of_earlier_runs_are_dead)
{
	uint64_t token = token_of(), now;
	char path[4200];

	for (int i = 0; i < 3; i++) {
		SASCleanUp();
		snprintf(path, sizeof path, "%s/SAS.run", store);
		if (i)
			unlink(path);
		ck_assert_int_eq(SASJoinRegion(), 0);
		region = SASRegionOf(base);
		now = token_of();
		ck_assert_uint_ne(now, token);
		ck_assert_int_eq(sas_owner_lives(region, token), 0);
		ck_assert_int_eq(sas_owner_lives(region, now), 1);
	}
}
END_TEST

/* --- blocks with a word */

START_TEST(block_comes_and_goes_with_its_word)
{
	static const size_t sizes[] = { 4 * KIB, 64 * KIB, MIB, HELP_SEGMENT, 2 * HELP_SEGMENT };
	uint64_t *word = SASBlockAlloc(4096), in_use;
	struct sas_use u;

	ck_assert_ptr_ne(word, NULL);
	in_use = help_info(region).bytesInUse;
	for (int round = 0; round < 3; round++)
		for (int i = 0; i < 5; i++) {
			begin(&u, word, SAS_USE_UPDATE);
			ck_assert_msg(sas_use_take_block(&u, sizes[i], word) == 0, "%s", SASLastErrorMessage());
			sas_use_end(&u);
			ck_assert_uint_eq(help_info(region).bytesInUse, in_use + sizes[i]);
			ck_assert_int_eq(SASMapAhead((void *)*word, 4096), 0);
			ck_assert(all_zero((void *)*word, 4096));
			memset((void *)*word, 0x5a, 4096);
			begin(&u, word, SAS_USE_UPDATE);
			ck_assert_int_eq(sas_use_give_block(&u, 2 * sizes[i], word), -EINVAL);
			ck_assert_msg(sas_use_give_block(&u, sizes[i], word) == 0, "%s", SASLastErrorMessage());
			ck_assert_uint_eq(*word, 0);
			ck_assert_int_lt(sas_use_give_block(&u, sizes[i], word), 0);
			ck_assert_int_eq(sas_use_take_block(&u, 5000, word), -EINVAL);
			ck_assert_int_eq(sas_use_take_block(&u, 4096, (uint64_t *)((char *)word + 4)), -EINVAL);
			sas_use_end(&u);
			ck_assert_uint_eq(help_info(region).bytesInUse, in_use);
		}
	/* It is a block as others are. */
	begin(&u, word, SAS_USE_EXCLUSIVE);
	ck_assert_int_eq(sas_use_take_block(&u, 4096, word), 0);
	sas_use_end(&u);
	ck_assert_int_eq(SASBlockFree((void *)*word, 4096), 0);
	begin(&u, word, SAS_USE_EXCLUSIVE);
	ck_assert_int_eq(sas_use_give_block(&u, 4096, word), -ENOENT);
	sas_use_end(&u);
	ck_assert_int_eq(SASBlockFree(word, 4096), 0);
}
END_TEST

START_TEST(no_space_leaves_the_word)
{
	uint64_t *words = SASBlockAlloc(4096);
	struct sas_use u;
	int count = 0, error;

	begin(&u, words, SAS_USE_UPDATE);
	while ((error = sas_use_take_block(&u, HELP_SEGMENT, &words[count])) == 0)
		count++;
	ck_assert(error == -ENOMEM || error == -ENOSPC);
	ck_assert_uint_eq(words[count], 0);
	ck_assert_int_gt(count, 10);
	while (count--)
		ck_assert_int_eq(sas_use_give_block(&u, HELP_SEGMENT, &words[count]), 0);
	sas_use_end(&u);
	ck_assert_int_eq(SASBlockFree(words, 4096), 0);
}
END_TEST

/* --- a storm */

#define OBJECTS 3
#define PROCESSES 4
#define THREADS 2
#define ACTORS (PROCESSES * THREADS)
enum { NOTHING, UPDATES, READS, INTENDS, WRITES };

static struct storm {
	int in[OBJECTS][ACTORS];        /* what each is inside of */
	int killed[PROCESSES];          /* what it is inside of counts for nothing */
	int stop;
	uint64_t seed, done[5];
} *storm;

static int excludes(int a, int b)
{
	if (a == NOTHING || b == NOTHING)
		return 0;
	if (a == UPDATES || b == UPDATES)
		return a != b;
	return a == WRITES || b == WRITES || (a == INTENDS && b == INTENDS);
}

/* History: nobody is inside of what excludes this. */
static void inside(int object, int actor, int what)
{
	__atomic_store_n(&storm->in[object][actor], what, __ATOMIC_SEQ_CST);
	for (int i = 0; i < ACTORS; i++) {
		int other = __atomic_load_n(&storm->in[object][i], __ATOMIC_SEQ_CST);

		ck_assert_msg(i == actor || !excludes(what, other) || __atomic_load_n(&storm->killed[i / THREADS], __ATOMIC_SEQ_CST),
			      "object %d: %d is inside beside %d", object, what, other);
	}
	__atomic_fetch_add(&storm->done[what], 1, __ATOMIC_RELAXED);
	if (actor % 3 == 0)
		help_spin(2000);
	__atomic_store_n(&storm->in[object][actor], NOTHING, __ATOMIC_SEQ_CST);
}

static void act(int actor, uint64_t *state)
{
	static const sas_userlock_request_t requests[] = { READ, INTENT, WRITE };
	int object = (int)help_below(state, OBJECTS), kind = (int)help_below(state, 8);
	struct sas_use u;

	if (kind >= 3) {
		begin(&u, at((size_t)object), kind == 3 ? SAS_USE_READ : kind == 4 ? SAS_USE_EXCLUSIVE : SAS_USE_UPDATE);
		inside(object, actor, kind == 3 ? READS : kind == 4 ? WRITES : UPDATES);
		sas_use_end(&u);
	} else if (SASLockTake(at((size_t)object), requests[kind], 0, (long)help_below(state, 3) - 1) == 0) {
		inside(object, actor, READS + kind);
		ck_assert_int_eq(SASLockGive(at((size_t)object)), 0);
	} else {
		ck_assert(errno == EBUSY || errno == ETIMEDOUT);
	}
}

static void *storm_in_thread(void *arg)
{
	int actor = (int)(intptr_t)arg;
	uint64_t state = __atomic_fetch_add(&storm->seed, 0x9E3779B97F4A7C15ULL, __ATOMIC_RELAXED);

	while (!__atomic_load_n(&storm->stop, __ATOMIC_ACQUIRE))
		act(actor, &state);
	SASThreadCleanUp();
	return NULL;
}

static void storm_in_process(void *arg)
{
	intptr_t process = (intptr_t)arg;
	pthread_t threads[THREADS];

	for (intptr_t i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, storm_in_thread, (void *)(process * THREADS + i)), 0);
	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
}

static uint64_t storm_done(void)
{
	uint64_t sum = 0;

	for (int i = 0; i < 5; i++)
		sum += __atomic_load_n(&storm->done[i], __ATOMIC_RELAXED);
	return sum;
}

START_TEST(no_update_overlaps_a_foreign_hold)
{
	const uint64_t turns = (uint64_t)help_size(500, 5000, 100000) / (help_instrumented() ? 5 : 1);
	long kills = help_marks_deaths() ? help_size(10, 60, 2000) : 0;
	pid_t pids[PROCESSES];
	uint64_t state, before;

	storm = mmap(NULL, sizeof *storm, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(storm, MAP_FAILED);
	state = storm->seed = help_seed("test_use");
	for (intptr_t i = 0; i < PROCESSES; i++)
		pids[i] = help_fork(storm_in_process, (void *)i);
	for (long k = 0; k < kills; k++) {
		intptr_t i = (intptr_t)help_below(&state, PROCESSES);

		before = storm_done();
		ck_assert(until(storm_done() > before + 20, PATIENCE));
		help_spin(help_below(&state, 20000));
		__atomic_store_n(&storm->killed[i], 1, __ATOMIC_SEQ_CST);
		kill(pids[i], SIGKILL);
		ck_assert_int_eq(help_wait(pids[i], PATIENCE), 128 + SIGKILL);
		for (int object = 0; object < OBJECTS; object++)
			for (int thread = 0; thread < THREADS; thread++)
				__atomic_store_n(&storm->in[object][i * THREADS + thread], NOTHING, __ATOMIC_SEQ_CST);
		__atomic_store_n(&storm->killed[i], 0, __ATOMIC_SEQ_CST);
		pids[i] = help_fork(storm_in_process, (void *)i);
	}
	before = storm_done();
	ck_assert(until(storm_done() > before + turns, 3 * PATIENCE));
	__atomic_store_n(&storm->stop, 1, __ATOMIC_RELEASE);
	for (int i = 0; i < PROCESSES; i++)
		ck_assert_int_eq(help_wait(pids[i], PATIENCE), 0);
	printf("%llu updates, %llu READ, %llu INTENT, %llu WRITE beside each other, %ld kills\n", (unsigned long long)storm->done[UPDATES],
	       (unsigned long long)storm->done[READS], (unsigned long long)storm->done[INTENDS],
	       (unsigned long long)storm->done[WRITES], kills);
	munmap(storm, sizeof *storm);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("use");
	TCase *c = help_case(s, "use");

	tcase_add_checked_fixture(c, locks_begin, locks_end);
	tcase_add_test(c, use_refuses_reentry);
	tcase_add_test(c, use_tells_of_the_region);
	tcase_add_test(c, use_outside_regions);
	tcase_add_test(c, use_in_region_joined_read_only);
	tcase_add_test(c, first_update_locks_further_ones_announce);
	tcase_add_test(c, lock_waits_for_update);
	tcase_add_test(c, update_waits_for_lock);
	tcase_add_test(c, own_holds_keep_nobody_out_but_others);
	tcase_add_test(c, uses_nest);
	tcase_add_test(c, update_in_a_circle_is_refused);
	tcase_add_test(c, look_sees_who_held_the_lock);
	tcase_add_test(c, look_waits_for_writer);
	tcase_add_test(c, tokens_differ_and_end);
	tcase_add_test(c, tokens_of_earlier_runs_are_dead);
	help_add_death(c, dead_owner_is_found);
	help_add_death(c, dead_announcer_is_not_waited_for);
	tcase_add_test(c, block_comes_and_goes_with_its_word);
	tcase_add_test(c, no_space_leaves_the_word);
	tcase_add_test(c, no_update_overlaps_a_foreign_hold);
	return help_main(s);
}
