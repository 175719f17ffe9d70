/* SPDX-License-Identifier: MIT */
/*
 * storm_context.c - processes that add, rename and remove names in one context, while SIGKILL takes one after the other.
 *
 * Each place has names of its own, and a count of the calls that it has begun and of those that it has ended, so whoever comes
 * after a dead one knows of each name whether it is there, but for the call that was cut short: that one is done or not done. The
 * addresses are shared by all places, so that each has names of several.
 */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "fixture.h"
#include "sphcontext.h"

#define WORKERS 4U
#define NAMES 24U
#define ADDRESSES 6U

static struct board {
	SPHContext_t context;
	uint32_t stop;
	uint64_t calls;
	/* The address of each name, 0: none; and what a call is about to make of one or two of them. */
	struct place {
		uint64_t value[NAMES];
		uint32_t busy, name[2];
		uint64_t after[2];
	} place[WORKERS];
} *board;

static const char *name_of(unsigned place, unsigned i, char text[64])
{
	snprintf(text, 64, "%u.%u%.*s", place, i, (int)(i % 20), "-abcdefghijklmnopqrst");
	return text;
}

static uint64_t value_of(unsigned place, unsigned i)
{
	char text[64];

	errno = 0;
	return (uintptr_t)SPHContextFindByName(board->context, name_of(place, i, text));
}

/* A dead one was at it: all of it is done, or nothing. */
static void look_after_the_dead(unsigned place)
{
	struct place *p = &board->place[place];
	uint64_t now[2];

	if (!p->busy)
		return;
	for (unsigned k = 0; k < 2; k++)
		now[k] = value_of(place, p->name[k]);
	must((now[0] == p->value[p->name[0]] && now[1] == p->value[p->name[1]]) || (now[0] == p->after[0] && now[1] == p->after[1]));
	for (unsigned k = 0; k < 2; k++)
		p->value[p->name[k]] = now[k];
	__atomic_store_n(&p->busy, 0, __ATOMIC_RELEASE);
}

static void plan(struct place *p, unsigned i, uint64_t first, unsigned k, uint64_t second)
{
	p->name[0] = i;
	p->name[1] = k;
	p->after[0] = first;
	p->after[1] = second;
	__atomic_store_n(&p->busy, 1, __ATOMIC_RELEASE);
}

static void done(struct place *p)
{
	p->value[p->name[0]] = p->after[0];
	p->value[p->name[1]] = p->after[1];
	__atomic_store_n(&p->busy, 0, __ATOMIC_RELEASE);
}

static void one_call(unsigned place, uint64_t *state)
{
	struct place *p = &board->place[place];
	unsigned i = (unsigned)help_below(state, NAMES), k = (i + 1 + (unsigned)help_below(state, NAMES - 1)) % NAMES;
	uint64_t value = 16 * (1 + help_below(state, ADDRESSES));
	char from[64], to[64];

	must(value_of(place, i) == p->value[i]);
	if (!p->value[i]) {
		plan(p, i, value, i, value);
		must(SPHContextAddAlias(board->context, name_of(place, i, from), (void *)value) == 1);
	} else if (!p->value[k] && help_below(state, 2)) {
		plan(p, i, 0, k, p->value[i]);
		must(SPHContextRename(board->context, name_of(place, i, from), name_of(place, k, to), (void *)p->value[i]) == 1);
	} else {
		plan(p, i, 0, i, 0);
		must(SPHContextRemoveByName(board->context, name_of(place, i, from)) == 0);
	}
	done(p);
}

static void work(void *arg)
{
	unsigned place = (unsigned)(uintptr_t)arg;
	uint64_t state = help_now() + place;

	region_join(0);
	look_after_the_dead(place);
	while (!__atomic_load_n(&board->stop, __ATOMIC_ACQUIRE)) {
		one_call(place, &state);
		__atomic_fetch_add(&board->calls, 1, __ATOMIC_RELAXED);
	}
	must(SASRegionLeave(region) == 0);
}

static void print_problem(const char *what, void *arg)
{
	(void)arg;
	fprintf(stderr, "%s\n", what);
}

static void judge(unsigned kills)
{
	size_t taken = 0;
	char text[64];
	long count = 0;

	for (unsigned place = 0; place < WORKERS; place++)
		for (unsigned i = 0; i < NAMES; i++) {
			uint64_t value = board->place[place].value[i];

			ck_assert_uint_eq(value_of(place, i), value);
			if (!value)
				continue;
			count++;
			taken += (strlen(name_of(place, i, text)) + 16) / 16 * 16;
		}
	ck_assert_int_eq(SPHContextGetCount(board->context), count);
	ck_assert_int_eq(SPHContextCheck(board->context, print_problem, NULL), 0);
	/* Not a string was lost. */
	ck_assert_uint_eq(SPHContextFreeSpace(board->context), 64 * KIB - 128 - taken);
	printf("%u kills, %lu calls; %ld names\n", kills, board->calls, count);
}

START_TEST(deaths_leave_both_directions)
{
	const unsigned kills = (unsigned)help_size(20, 200, 5000);
	uint64_t state = help_seed("deaths_leave_both_directions"), before;
	pid_t worker[WORKERS];

	board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(board, MAP_FAILED);
	board->context = SPHContextInit(take(64 * KIB), SAS_RUNTIME_CONTEXT, 64 * KIB);
	ck_assert_ptr_nonnull(board->context);
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
	ck_assert_int_eq(SPHContextDestroy(board->context), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("storm on a context");
	TCase *c = help_case(suite, "storm");

	tcase_add_checked_fixture(c, region_begin, region_end);
	help_add_death(c, deaths_leave_both_directions);
	return help_main(suite);
}
