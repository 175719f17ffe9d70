/* SPDX-License-Identifier: MIT */
/*
 * test_signals.c - the fault handler among a program's own: before it, over it, and around it.
 */
#include <config.h>

#include <pthread.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <ucontext.h>
#include <unistd.h>

#include <sasalloc.h>
#include <sassim.h>
#include "fixture.h"

static volatile int calls, number_seen, code_seen;
static void *volatile address_seen;
static sigjmp_buf back;

static void set_up(void)
{
	lazy_begin();
	initSOMSASBlock((SASBlockHeader *)(void *)at[0], SAS_RUNTIME_SIMPLEHEAP, (long)HELP_SEGMENT, NULL);
	ck_assert_int_eq(SASRegionSetFinder(region, at[0]), 0);
	region_leave();
	calls = 0;
}

static int lazy_works(void)
{
	for (unsigned i = 1; i < LAZY; i++)
		if (load_byte(at[i]) != value(i))
			return 0;
	return 1;
}

static void note(int number, siginfo_t *info)
{
	calls++;
	number_seen = number;
	address_seen = info->si_addr;
	code_seen = info->si_code;
}

static void note_only(int number, siginfo_t *info, void *context)
{
	(void)context;
	note(number, info);
}

static void leap(int number, siginfo_t *info, void *context)
{
	(void)context;
	note(number, info);
	siglongjmp(back, 1);
}

static void wild_load(void *arg)
{
	load_byte(arg);
}

/* 1: the load got through; 0: leap() came back. */
static int try_load(const void *address)
{
	if (sigsetjmp(back, 1))
		return 0;
	load_byte(address);
	return 1;
}

/* --- installed before the join */

START_TEST(handler_before_join_gets_foreign_faults)
{
	help_handle(SIGSEGV, leap, 0);
	region_join(0);
	ck_assert(lazy_works());
	ck_assert_int_eq(calls, 0);
	ck_assert(!try_load((void *)4711));
	ck_assert_int_eq(calls, 1);
	ck_assert_int_eq(number_seen, SIGSEGV);
	ck_assert_ptr_eq(address_seen, (void *)4711);
	ck_assert_int_eq(code_seen, SEGV_MAPERR);
	ck_assert(!try_load(nowhere));
	ck_assert_ptr_eq(address_seen, nowhere);
	ck_assert(lazy_works());
}
END_TEST

#if defined(__x86_64__)
__attribute__((noinline)) static int load_or_skip(const void *address)
{
	int got = 4711;

	/* A load of two bytes of code, which the handler steps over. */
	__asm__ volatile("movl (%1), %k0" : "+a"(got) : "c"(address) : "memory");
	return got;
}

static void skip(int number, siginfo_t *info, void *context)
{
	ucontext_t *c = context;

	note(number, info);
	c->uc_mcontext.gregs[REG_RIP] += 2;
}

START_TEST(handler_before_join_gets_context_it_may_change)
{
	help_handle(SIGSEGV, skip, 0);
	region_join(0);
	ck_assert_int_eq(load_or_skip(nowhere), 4711);
	ck_assert_int_eq(load_or_skip(NULL), 4711);
	ck_assert_int_eq(calls, 2);
	ck_assert_int_eq(load_or_skip(at[2]), value(2) * 0x01010101);
	ck_assert_int_eq(calls, 2);
}
END_TEST
#endif

static volatile int plain_calls;

static void plain(int number)
{
	plain_calls += number == SIGSEGV;
	siglongjmp(back, 1);
}

START_TEST(handler_without_siginfo_is_called)
{
	signal(SIGSEGV, plain);
	region_join(0);
	ck_assert(!try_load(NULL));
	ck_assert_int_eq(plain_calls, 1);
	ck_assert(lazy_works());
}
END_TEST

START_TEST(siglongjmp_out_of_handler_many_times)
{
	help_handle(SIGSEGV, leap, 0);
	region_join(0);
	for (int i = 0; i < 10000; i++)
		ck_assert(!try_load(i % 2 ? nowhere : NULL));
	ck_assert_int_eq(calls, 10000);
	ck_assert(lazy_works());
	ck_assert_ptr_nonnull(SASRegionBlockAlloc(region, 4096));
}
END_TEST

static void *finder_seen, *header_seen;

static void look_inside(int number, siginfo_t *info, void *context)
{
	(void)context;
	note(number, info);
	finder_seen = getSASFinder();
	header_seen = SASFindHeader(at[0] + 5000);
	siglongjmp(back, 1);
}

/* The classic calls want a classic join, which maps all of so few segments at once. */
START_TEST(finder_and_header_work_inside_handler)
{
	help_handle(SIGSEGV, look_inside, 0);
	ck_assert_int_eq(SASJoinRegionByName(store), 0);
	ck_assert(!try_load(NULL));
	ck_assert_ptr_eq(finder_seen, at[0]);
	ck_assert_ptr_eq(header_seen, at[0]);
	SASCleanUp();
}
END_TEST

/* With a header in a segment that is not mapped yet: it maps it itself. */
START_TEST(header_in_unmapped_segment_is_found_inside_handler)
{
	help_handle(SIGSEGV, look_inside, 0);
	region_join(0);
	ck_assert(!try_load(NULL));
	ck_assert_ptr_eq(header_seen, at[0]);
	ck_assert_uint_eq(help_info(region).faults, 0);
}
END_TEST

/* --- what its sigaction asked for */

START_TEST(handler_with_resethand_is_called_once)
{
	static const int flags[] = { (int)SA_RESETHAND, (int)(SA_RESETHAND | SA_NODEFER | SA_NOCLDSTOP) };

	for (unsigned i = 0; i < 2; i++) {
		calls = 0;
		help_handle(SIGSEGV, leap, flags[i]);
		region_join(0);
		ck_assert(!try_load(NULL));
		ck_assert_int_eq(calls, 1);
		ck_assert(lazy_works());
		help_dies(wild_load, NULL, SIGSEGV);
		region_leave();
	}
}
END_TEST

static sigset_t mask_seen;

static void note_mask(int number, siginfo_t *info, void *context)
{
	(void)context;
	note(number, info);
	pthread_sigmask(SIG_SETMASK, NULL, &mask_seen);
	siglongjmp(back, 1);
}

static void install_masking(int flags, int also)
{
	struct sigaction a;

	memset(&a, 0, sizeof a);
	a.sa_sigaction = note_mask;
	a.sa_flags = flags | SA_SIGINFO;
	sigaddset(&a.sa_mask, also);
	ck_assert_int_eq(sigaction(SIGSEGV, &a, NULL), 0);
}

START_TEST(handler_runs_with_mask_it_asked_for)
{
	sigset_t set, now;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	install_masking(SA_NOCLDSTOP, SIGUSR1);
	region_join(0);
	ck_assert(!try_load(nowhere));
	ck_assert_int_eq(sigismember(&mask_seen, SIGUSR1), 1);
	ck_assert_int_eq(sigismember(&mask_seen, SIGUSR2), 1);
	ck_assert_int_eq(sigismember(&mask_seen, SIGSEGV), 1);
	ck_assert_int_eq(sigismember(&mask_seen, SIGTERM), 0);
	ck_assert_int_eq(sigismember(&mask_seen, SIGBUS), 0);
	pthread_sigmask(SIG_SETMASK, NULL, &now);
	ck_assert_int_eq(sigismember(&now, SIGUSR1), 0);
	ck_assert_int_eq(sigismember(&now, SIGSEGV), 0);
	ck_assert_int_eq(sigismember(&now, SIGUSR2), 1);
}
END_TEST

static volatile int inner_value;

static void touch_inside(int number, siginfo_t *info, void *context)
{
	(void)context;
	note(number, info);
	if (calls == 1)
		inner_value = load_byte(at[3]);
	siglongjmp(back, 1);
}

START_TEST(handler_with_nodefer_touches_segments)
{
	help_handle(SIGSEGV, touch_inside, SA_NODEFER);
	region_join(0);
	ck_assert(!try_load(NULL));
	ck_assert_int_eq(calls, 1);
	ck_assert_int_eq(inner_value, value(3));
	ck_assert_uint_eq(help_info(region).faults, 1);
}
END_TEST

static volatile int depth_reached;

__attribute__((noinline)) static int recurse(int depth)
{
	volatile char space[4096];

	space[0] = (char)depth;
	depth_reached = depth;
	return depth > 1000000 ? 0 : recurse(depth + 1) + space[0];
}

static void *overflow(void *arg)
{
	static char memory[64 * KIB];
	stack_t stack = { .ss_sp = memory, .ss_size = sizeof memory };

	(void)arg;
	if (sigaltstack(&stack, NULL) != 0)
		return NULL;
	if (!sigsetjmp(back, 1))
		recurse(0);
	return at[0];
}

START_TEST(stack_overflow_reaches_handler_on_alternate_stack)
{
	pthread_t thread;
	void *result;

	help_handle(SIGSEGV, leap, SA_ONSTACK);
	region_join(0);
	ck_assert_int_eq(pthread_create(&thread, NULL, overflow, NULL), 0);
	ck_assert_int_eq(pthread_join(thread, &result), 0);
	ck_assert_ptr_eq(result, at[0]);
	ck_assert_int_eq(calls, 1);
	ck_assert_int_gt(depth_reached, 100);
	ck_assert(lazy_works());
}
END_TEST

/* --- installed after the join */

static struct sigaction below;
static volatile int over_calls;

static void over(int number, siginfo_t *info, void *context)
{
	over_calls++;
	if (over_calls > 1000)
		_exit(94);
	below.sa_sigaction(number, info, context);
}

static void install_over(void)
{
	struct sigaction a;

	memset(&a, 0, sizeof a);
	a.sa_sigaction = over;
	a.sa_flags = SA_SIGINFO | SA_NODEFER;
	ck_assert_int_eq(sigaction(SIGSEGV, &a, &below), 0);
}

START_TEST(handler_over_ours_that_chains_maps)
{
	help_handle(SIGSEGV, leap, 0);
	region_join(0);
	install_over();
	ck_assert(lazy_works());
	ck_assert_int_eq(over_calls, LAZY - 1);
	ck_assert_int_eq(calls, 0);
	ck_assert(!try_load(nowhere));
	ck_assert_int_eq(calls, 1);
	ck_assert_int_eq(over_calls, LAZY);
}
END_TEST

START_TEST(handler_over_ours_that_does_not_chain_gets_all)
{
	region_join(0);
	help_handle(SIGSEGV, leap, 0);
	ck_assert(!try_load(at[1]));
	ck_assert_ptr_eq(address_seen, at[1]);
	ck_assert_int_eq(SASMapAhead(at[1], 1), 0);
	ck_assert(try_load(at[1]));
}
END_TEST

static void die_over_default(void *arg)
{
	region_join(0);
	install_over();
	must(lazy_works());
	load_byte(arg);
}

/* Ours, called by the one above, finds the default: that ends the process. */
START_TEST(handler_over_ours_with_default_below_dies)
{
	help_dies(die_over_default, NULL, SIGSEGV);
	help_dies(die_over_default, nowhere, SIGSEGV);
}
END_TEST

static void die_in_ring(void *arg)
{
	/* ours(previous: over) <- over(below: ours): a ring, by a join while `over` stands. */
	region_join(0);
	install_over();
	must(SASRegionLeave(region) == 0);
	region_join(0);
	must(lazy_works());
	load_byte(arg);
}

START_TEST(chain_that_is_a_ring_ends)
{
	help_dies(die_in_ring, NULL, SIGSEGV);
	help_dies(die_in_ring, nowhere, SIGSEGV);
}
END_TEST

static void install_same_again(void)
{
	struct sigaction a;

	memset(&a, 0, sizeof a);
	a.sa_sigaction = over;
	a.sa_flags = SA_SIGINFO | SA_NODEFER;
	must(sigaction(SIGSEGV, &a, &below) == 0);
}

static void die_in_sandwich(void *arg)
{
	install_same_again();           /* below: the default */
	must(below.sa_handler == SIG_DFL);
	region_join(0);
	must(load_byte(at[1]) == value(1));
	install_same_again();           /* below: ours, whose previous is `over` */
	must(lazy_works());
	load_byte(arg);
}

/* The same handler below and above ours. */
START_TEST(handler_below_and_over_ours_does_not_loop)
{
	help_dies(die_in_sandwich, NULL, SIGSEGV);
}
END_TEST

/* --- leave */

static help_handler installed(int number)
{
	struct sigaction a;

	ck_assert_int_eq(sigaction(number, NULL, &a), 0);
	return a.sa_sigaction;
}

START_TEST(leave_restores_what_was_there)
{
	help_handle(SIGSEGV, leap, SA_NODEFER);
	help_handle(SIGBUS, note_only, SA_ONSTACK);
	region_join(0);
	ck_assert_ptr_ne(installed(SIGSEGV), leap);
	ck_assert_ptr_ne(installed(SIGBUS), note_only);
	region_leave();
	ck_assert_ptr_eq(installed(SIGSEGV), leap);
	ck_assert_ptr_eq(installed(SIGBUS), note_only);
	ck_assert(!try_load(NULL));
}
END_TEST

START_TEST(leave_restores_only_over_ours)
{
	help_handle(SIGBUS, note_only, 0);
	region_join(0);
	help_handle(SIGSEGV, leap, 0);
	region_leave();
	ck_assert_ptr_eq(installed(SIGSEGV), leap);
	ck_assert_ptr_eq(installed(SIGBUS), note_only);
}
END_TEST

static void leave_under_chain(void *arg)
{
	region_join(0);
	install_over();
	must(SASRegionLeave(region) == 0);
	must(installed(SIGSEGV) == over);
	load_byte(arg);
}

/* Ours is called though nothing is joined. */
START_TEST(leave_under_chaining_handler_passes_faults_on)
{
	help_dies(leave_under_chain, NULL, SIGSEGV);
}
END_TEST

/* ours, over, ours again, which calls ours: what was there first is below them. */
START_TEST(join_over_handler_that_chains_to_ours_keeps_the_first)
{
	help_handle(SIGSEGV, leap, 0);
	region_join(0);
	install_over();
	for (int i = 1; i <= 3; i++) {
		region_leave();
		region_join(0);
		ck_assert(lazy_works());
		ck_assert_int_eq(calls, i - 1);
		ck_assert(!try_load(nowhere));
		ck_assert_int_eq(calls, i);
		ck_assert_ptr_eq(address_seen, nowhere);
	}
}
END_TEST

START_TEST(leave_of_one_of_two_regions_keeps_handler)
{
	char *second = help_path(store, "second");
	SASRegionOptions o;
	SASRegion_t other;

	help_handle(SIGSEGV, leap, 0);
	region_join(0);
	ck_assert_int_eq(mkdir(second, 0700), 0);
	SASRegionOptionsInit(&o);
	o.flags = SAS_JOIN_CREATE;
	o.regionSize = HELP_REGION;
	o.segmentSize = HELP_SEGMENT;
	o.base = help_info(region).base + 32 * GIB;
	other = SASRegionJoin(second, &o);
	ck_assert_msg(other != NULL, "%s", SASLastErrorMessage());
	ck_assert_int_eq(SASRegionLeave(other), 0);
	ck_assert(lazy_works());
	ck_assert_int_eq(calls, 0);
	region_leave();
	ck_assert_ptr_eq(installed(SIGSEGV), leap);
	ck_assert(!try_load(at[1]));
	help_clean(second);
}
END_TEST

/* A reset action in between: joins and leaves install and restore by turns. */
START_TEST(join_and_leave_by_turns_keep_handler)
{
	help_handle(SIGSEGV, leap, 0);
	for (int i = 0; i < 100; i++) {
		region_join(0);
		ck_assert(lazy_works());
		ck_assert(!try_load(NULL));
		region_leave();
		ck_assert_ptr_eq(installed(SIGSEGV), leap);
	}
	ck_assert_int_eq(calls, 100);
}
END_TEST

/* --- many threads */

static __thread sigjmp_buf own_back;
static int foreign_faults;

static void leap_own(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)info;
	(void)context;
	__atomic_fetch_add(&foreign_faults, 1, __ATOMIC_RELAXED);
	siglongjmp(own_back, 1);
}

static void *fault_often(void *arg)
{
	volatile int came_back = 0;

	for (volatile int i = 0; i < 2000; i++) {
		if (sigsetjmp(own_back, 1) == 0)
			load_byte(nowhere + i % 4096);
		else
			came_back++;
		if (load_byte(at[1 + (unsigned)i % (LAZY - 1)]) != value(1 + (unsigned)i % (LAZY - 1)))
			return NULL;
	}
	return came_back == 2000 ? arg : NULL;
}

START_TEST(foreign_faults_of_many_threads_reach_handler)
{
	enum { THREADS = 8 };
	pthread_t threads[THREADS];
	void *result;

	help_handle(SIGSEGV, leap_own, 0);
	region_join(0);
	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, fault_often, at), 0);
	for (int i = 0; i < THREADS; i++) {
		ck_assert_int_eq(pthread_join(threads[i], &result), 0);
		ck_assert_ptr_eq(result, at);
	}
	ck_assert_int_eq(foreign_faults, THREADS * 2000);
}
END_TEST

/* A library call whose memory is the program's: errors in it are the program's. */
static void call_with_bad_memory(void *arg)
{
	must(SASRegionBlockAlloc(region, 4096) != NULL);
	for (int i = 0; i < 3; i++) {
		if (!sigsetjmp(back, 1))
			SASRegionListBlocks(region, SASBlock__IN_USE, arg, 100);
		if (!sigsetjmp(back, 1))
			SASRegionGetInfo(region, arg);
		if (!sigsetjmp(back, 1))
			SASBlockFind(at[1], arg);
	}
	must(calls == 9);
	must(SASRegionBlockAlloc(region, 4096) != NULL);
}

/* In a child: the jump leaves memory of the call behind. */
START_TEST(fault_of_callers_memory_in_call_leaves_no_lock)
{
	help_handle(SIGSEGV, leap, 0);
	region_join(0);
	help_in_child(call_with_bad_memory, (void *)16);
	ck_assert_msg(SASRegionBlockAlloc(region, 4096) != NULL, "%s", SASLastErrorMessage());
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("signals");
	TCase *c = tcase_create("signals");

	tcase_add_checked_fixture(c, set_up, region_end);
	tcase_set_timeout(c, 120);
	suite_add_tcase(suite, c);
	tcase_add_test(c, handler_before_join_gets_foreign_faults);
#if defined(__x86_64__)
	tcase_add_test(c, handler_before_join_gets_context_it_may_change);
#endif
	tcase_add_test(c, handler_without_siginfo_is_called);
	tcase_add_test(c, siglongjmp_out_of_handler_many_times);
	tcase_add_test(c, finder_and_header_work_inside_handler);
	tcase_add_test(c, header_in_unmapped_segment_is_found_inside_handler);
	tcase_add_test(c, handler_with_resethand_is_called_once);
	tcase_add_test(c, handler_runs_with_mask_it_asked_for);
	tcase_add_test(c, handler_with_nodefer_touches_segments);
	if (!help_instrumented())
		tcase_add_test(c, stack_overflow_reaches_handler_on_alternate_stack);
	tcase_add_test(c, handler_over_ours_that_chains_maps);
	tcase_add_test(c, handler_over_ours_that_does_not_chain_gets_all);
	tcase_add_test(c, handler_over_ours_with_default_below_dies);
	tcase_add_test(c, chain_that_is_a_ring_ends);
	tcase_add_test(c, handler_below_and_over_ours_does_not_loop);
	tcase_add_test(c, leave_restores_what_was_there);
	tcase_add_test(c, leave_restores_only_over_ours);
	tcase_add_test(c, leave_under_chaining_handler_passes_faults_on);
	tcase_add_test(c, join_over_handler_that_chains_to_ours_keeps_the_first);
	tcase_add_test(c, leave_of_one_of_two_regions_keeps_handler);
	tcase_add_test(c, join_and_leave_by_turns_keep_handler);
	tcase_add_test(c, foreign_faults_of_many_threads_reach_handler);
	tcase_add_test(c, fault_of_callers_memory_in_call_leaves_no_lock);
	return help_main(suite);
}
