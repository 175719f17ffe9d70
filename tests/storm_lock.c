/* SPDX-License-Identifier: MIT */
/*
 * storm_lock.c - many processes that lock few addresses in all modes, while SIGKILL takes one after the other.
 *
 * The history: in shared memory outside the region each address has a board, on which a worker writes after it has got the
 * lock, and before it gives it back, in steps that are single stores of its own place: what it holds there, with the
 * number of the step from a counter that all share. So at each event the boards of all others can be looked at: who holds
 * what excludes ours must be dead. A worker that was killed keeps what its board says; a holder may come to such a
 * lock only after the death, so the parent writes "dying" beside it before it kills.
 *
 * What is proved: at no event two living threads hold what excludes each other (each checks all others after it has
 * written its own, and all are sequentially consistent: of two that overlap the later one sees the former). A value
 * that only holders of WRITE change, in two halves, is whole for all. No wait is longer than a bound. When all have ended nothing is
 * held, waited for, or latched, and each lock can be had by a try.
 */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sassim.h>
#include "lock_help.h"
#include "sas/lock/lock.h"

#define WORKERS 8
#define LOCKS 6
#define BOUND_MS 30000

/* Of a worker at a lock: 0, or mode + 1, and the number of the event. */
struct place {
	uint64_t holds[LOCKS];          /* number << 2 | mode + 1 */
	uint64_t beats, longest;
	uint32_t dying;                 /* the parent is about to kill who is here */
	uint64_t refused, late, upgrades, told;
} __attribute__((aligned(64)));

static struct {
	uint64_t events;
	uint32_t stop;
	struct place places[WORKERS];
	uint64_t value[LOCKS][2];       /* changed by holders of WRITE, one after the other; the halves differ while one does */
} *board;

static unsigned self;

static void *guard(unsigned n) { return base + 4096 * (uint64_t)n; }
static uint64_t load(const uint64_t *p) { return __atomic_load_n(p, __ATOMIC_SEQ_CST); }
static int stopped(void) { return __atomic_load_n(&board->stop, __ATOMIC_ACQUIRE) != 0; }

static int excludes(unsigned a, unsigned b)
{
	return a == WRITE || b == WRITE || (a == INTENT && b == INTENT);
}

/* After it has been got, and written; and again before it is given back. */
static void check(unsigned n, unsigned mode)
{
	for (unsigned i = 0; i < WORKERS; i++) {
		uint64_t other = load(&board->places[i].holds[n]);

		if (i == self || !other || !excludes(mode, (unsigned)(other & 3) - 1))
			continue;
		/* Who gives it back erases the place before; who is dead left it there. */
		if (__atomic_load_n(&board->places[i].dying, __ATOMIC_SEQ_CST))
			continue;
		fprintf(stderr, "lock %u: held in mode %u by %u, and by %u since event %lu: %lu\n", n, mode, self, i,
			(unsigned long)(other >> 2), (unsigned long)other & 3);
		must(!"two hold what excludes");
	}
}

static void write_place(unsigned n, int mode)
{
	uint64_t number = __atomic_fetch_add(&board->events, 1, __ATOMIC_SEQ_CST);

	__atomic_store_n(&board->places[self].holds[n], mode < 0 ? 0 : number << 2 | (unsigned)(mode + 1), __ATOMIC_SEQ_CST);
}

static int get(unsigned n, sas_userlock_request_t mode, unsigned flags, long milliseconds)
{
	struct place *p = &board->places[self];
	uint64_t began = help_now(), took;
	int error = SASLockTake(guard(n), mode, flags, milliseconds) == 0 ? 0 : errno;

	took = help_now() - began;
	if (took > load(&p->longest))
		__atomic_store_n(&p->longest, took, __ATOMIC_RELAXED);
	__atomic_fetch_add(&p->beats, 1, __ATOMIC_RELAXED);
	p->told += error == EOWNERDEAD;
	p->refused += error == EBUSY || error == EDEADLK;
	p->late += error == ETIMEDOUT;
	if (error == EOWNERDEAD)
		error = 0;
	must(error == 0 || (error == EBUSY && milliseconds == 0) || (error == ETIMEDOUT && milliseconds > 0) || error == EDEADLK);
	if (!error) {
		write_place(n, (int)mode);
		check(n, mode);
	}
	return error;
}

static void give(unsigned n, sas_userlock_request_t mode, int under)
{
	check(n, mode);
	write_place(n, under);
	must(SASLockGive(guard(n)) == 0);
}

static void change(unsigned n, uint64_t *state)
{
	uint64_t *v = board->value[n], next = help_random(state);

	__atomic_store_n(&v[0], next, __ATOMIC_RELAXED);
	for (uint64_t i = help_below(state, 400); i > 0; i--)
		__asm__ volatile("" ::: "memory");
	__atomic_store_n(&v[1], next, __ATOMIC_RELAXED);
}

/* A writer that was killed may have left halves that differ, but they do not change while anybody else holds it. */
static void section(unsigned n, sas_userlock_request_t mode, uint64_t *state)
{
	uint64_t first = load(&board->value[n][0]), second = load(&board->value[n][1]);

	if (mode == WRITE) {
		change(n, state);
		return;
	}
	for (uint64_t i = help_below(state, 400); i > 0; i--)
		__asm__ volatile("" ::: "memory");
	must(load(&board->value[n][0]) == first && load(&board->value[n][1]) == second);
}

static void upgrade(unsigned n, sas_userlock_request_t from, uint64_t *state)
{
	if (get(n, WRITE, 0, help_below(state, 4) ? 20 : -1) != 0)
		return;
	board->places[self].upgrades++;
	section(n, WRITE, state);
	give(n, WRITE, (int)from);
}

static void one_round(uint64_t *state, unsigned depth)
{
	static const long times[] = { -1, -1, 0, 1, 30 };
	unsigned n = (unsigned)help_below(state, LOCKS);
	sas_userlock_request_t mode = (sas_userlock_request_t)help_below(state, 3);

	/* In any order, so there are circles: one of each is refused. */
	if (SASLockHeld(guard(n)) >= 0)
		return;
	if (get(n, mode, help_below(state, 2) ? SAS_LOCK_OWNERDEAD : 0, times[help_below(state, 5)]) != 0)
		return;
	section(n, mode, state);
	if (mode != WRITE && help_below(state, 4) == 0)
		upgrade(n, mode, state);
	if (depth < 2 && help_below(state, 4) == 0)
		one_round(state, depth + 1);
	give(n, mode, -1);
}

static void work(void *arg)
{
	uint64_t state = help_now() ^ (uint64_t)getpid() << 32;
	struct place *p = arg;

	self = (unsigned)(p - board->places);
	memset(p->holds, 0, sizeof p->holds);
	__atomic_store_n(&p->dying, 0, __ATOMIC_SEQ_CST);
	while (!stopped()) {
		for (unsigned i = 0; i < 200 && !stopped(); i++)
			one_round(&state, 0);
		/* Its place goes to another thread, at times. */
		if (help_below(&state, 8) == 0)
			SASThreadCleanUp();
	}
}

static pid_t pids[WORKERS];

static uint64_t beats(void)
{
	uint64_t sum = 0;

	for (int i = 0; i < WORKERS; i++)
		sum += load(&board->places[i].beats);
	return sum;
}

static void all_work(void)
{
	for (int i = 0; i < WORKERS; i++) {
		int status;

		if (waitpid(pids[i], &status, WNOHANG) == pids[i])
			ck_abort_msg("a worker has ended: status %#x", (unsigned)status);
	}
}

static int holds_any(int k)
{
	int count = 0;

	for (int n = 0; n < LOCKS; n++)
		count += board->places[k].holds[n] != 0;
	return count != 0;
}

static void set_up(void)
{
	locks_begin();
	board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert(board != MAP_FAILED);
}

/* Nothing is held by nobody. */
static void look_after(void)
{
	SASLockReset();
	ck_assert_uint_eq(locks_in_use(region), 0);
	ck_assert_uint_eq(pages_in_use(region), 0);
	ck_assert_uint_eq(waiters(region), 0);
	for (unsigned n = 0; n < LOCKS; n++) {
		ck_assert_int_eq(SASLockTry(guard(n), WRITE), 0);
		ck_assert_int_eq(SASLockGive(guard(n)), 0);
	}
}

static void tell(const char *what, long kills, long holding)
{
	uint64_t longest = 0, refused = 0, late = 0, upgrades = 0, told = 0;

	for (int i = 0; i < WORKERS; i++) {
		const struct place *p = &board->places[i];

		longest = p->longest > longest ? p->longest : longest;
		refused += p->refused;
		late += p->late;
		upgrades += p->upgrades;
		told += p->told;
	}
	printf("%s: %d processes, %lu calls, %lu events, %lu upgrades, %lu refused, %lu too late, %lu told of a death; %ld kills, "
	       "%ld of them holding; longest call %.1f ms\n", what, WORKERS, (unsigned long)beats(), (unsigned long)board->events,
	       (unsigned long)upgrades, (unsigned long)refused, (unsigned long)late, (unsigned long)told, kills, holding,
	       (double)longest / 1e6);
	ck_assert_uint_lt(longest, BOUND_MS * 1000000UL);
}

static void stop_workers(void)
{
	__atomic_store_n(&board->stop, 1, __ATOMIC_RELEASE);
	for (int i = 0; i < WORKERS; i++)
		help_done(pids[i]);
}

START_TEST(living_holders_exclude_each_other)
{
	uint64_t enough = (uint64_t)help_size(20000, 300000, 20000000);

	for (int i = 0; i < WORKERS; i++)
		pids[i] = help_fork(work, &board->places[i]);
	while (beats() < enough) {
		uint64_t before = beats();

		ck_assert_msg(until(beats() > before, PATIENCE), "nobody gets on");
		all_work();
	}
	stop_workers();
	look_after();
	tell("calm", 0, 0);
}
END_TEST

START_TEST(survivors_exclude_each_other_and_go_on)
{
	long kills = help_size(60, 400, 20000), holding = 0;
	uint64_t state = help_seed("storm of locks");

	for (int i = 0; i < WORKERS; i++)
		pids[i] = help_fork(work, &board->places[i]);
	for (long i = 0; i < kills; i++) {
		uint64_t target = beats() + help_below(&state, 200);
		int k = (int)help_below(&state, WORKERS);

		ck_assert_msg(until(beats() >= target, PATIENCE), "nobody gets on after a kill");
		for (uint64_t n = help_below(&state, 20000); n > 0; n--)
			__asm__ volatile("" ::: "memory");
		kill(pids[k], SIGSTOP);
		ck_assert_int_eq(waitpid(pids[k], &(int){ 0 }, WUNTRACED), pids[k]);
		/* From here on it writes nothing; what its place says is what it held, or was about to give or had just got. */
		__atomic_store_n(&board->places[k].dying, 1, __ATOMIC_SEQ_CST);
		holding += holds_any(k);
		kill(pids[k], SIGKILL);
		ck_assert_int_eq(help_wait(pids[k], PATIENCE), 128 + SIGKILL);
		all_work();
		pids[k] = help_fork(work, &board->places[k]);
	}
	stop_workers();
	look_after();
	tell("storm", kills, holding);
	ck_assert_int_gt(holding, kills / 20);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("storm_lock");
	TCase *c = help_case(suite, "storm_lock");

	tcase_add_checked_fixture(c, set_up, locks_end);
	tcase_set_timeout(c, 900);
	tcase_add_test(c, living_holders_exclude_each_other);
	tcase_add_test(c, survivors_exclude_each_other_and_go_on);
	return help_main(suite);
}
