/* SPDX-License-Identifier: MIT */
/*
 * test_fault.c - what is no first touch of a segment stays what it is: wild pointers, signals that somebody sent,
 * SIGBUS, faults that a program's own handler looks at first, and those of a region that is being left.
 * test_touch.c is about first touches.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"

/* --- what is no first touch */

static void wild_load(void *arg)
{
	load_byte(arg);
}

static void wild_store(void *arg)
{
	store_byte(arg, 1);
}

START_TEST(wild_pointer_in_region_dies_by_sigsegv)
{
	help_dies(wild_load, nowhere, SIGSEGV);
	help_dies(wild_store, nowhere, SIGSEGV);
}
END_TEST

START_TEST(null_pointer_dies_by_sigsegv)
{
	help_dies(wild_load, NULL, SIGSEGV);
}
END_TEST

START_TEST(store_in_readonly_region_dies_by_sigsegv)
{
	region_leave();
	region_join(SAS_JOIN_READONLY);
	ck_assert_uint_eq(load_byte(at[1]), value(1));
	help_dies(wild_store, at[1], SIGSEGV);
	help_dies(wild_store, at[2], SIGSEGV);         /* not mapped yet */
}
END_TEST

static volatile int wild_count;
static void *volatile wild_address;
static volatile int wild_code;

static void note_and_allow(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)context;
	wild_count++;
	wild_address = info->si_addr;
	wild_code = info->si_code;
	/* The second time it is no accident. */
	if (wild_count > 1)
		_exit(98);
	mmap((void *)((uintptr_t)info->si_addr & ~4095UL), 4096, PROT_READ | PROT_WRITE,
	     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

static void own_handler_gets(void *address, int code)
{
	must(SASRegionLeave(region) == 0);
	help_handle(SIGSEGV, note_and_allow, 0);
	region_join(SAS_JOIN_READONLY);
	must(load_byte(at[1]) == value(1));
	store_byte(address, 3);
	must(wild_count == 1);
	must(wild_address == address);
	must(code == 0 || wild_code == code);
	must(load_byte(address) == 3);
}

static void own_handler_gets_nowhere(void *arg)
{
	(void)arg;
	own_handler_gets(nowhere, 0);
}

static void own_handler_gets_readonly(void *arg)
{
	(void)arg;
	own_handler_gets(at[1] + 4096 * 9 + 1, SEGV_ACCERR);
}

START_TEST(wild_pointer_gives_own_handler_its_address)
{
	help_in_child(own_handler_gets_nowhere, NULL);
	help_in_child(own_handler_gets_readonly, NULL);
}
END_TEST

#if defined(__x86_64__)
struct stop {
	uintptr_t address, instruction;
};

static help_body traced_body;

static void traced(void *arg)
{
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
		_exit(77);
	traced_body(arg);
}

/* The faults that a child gets, from outside; how many, and its last wait status. */
static unsigned watch(help_body body, void *arg, struct stop stops[8], int *status)
{
	struct user_regs_struct registers;
	unsigned count = 0;
	siginfo_t info;
	pid_t pid;

	traced_body = body;
	pid = help_fork(traced, arg);
	for (;;) {
		ck_assert_int_eq(waitpid(pid, status, 0), pid);
		if (!WIFSTOPPED(*status))
			return count;
		if ((WSTOPSIG(*status) == SIGSEGV || WSTOPSIG(*status) == SIGBUS) && count < 8) {
			ck_assert_int_eq(ptrace(PTRACE_GETSIGINFO, pid, NULL, &info), 0);
			ck_assert_int_eq(ptrace(PTRACE_GETREGS, pid, NULL, &registers), 0);
			stops[count].address = (uintptr_t)info.si_addr;
			stops[count].instruction = registers.rip;
			count++;
		}
		ptrace(PTRACE_CONT, pid, NULL, WSTOPSIG(*status));
	}
}

static void dies_in(help_body body, void *address, int by_signal, unsigned faults)
{
	struct stop stops[8];
	int status;
	unsigned count = watch(body, address, stops, &status);

	ck_assert(WIFSIGNALED(status));
	ck_assert_int_eq(WTERMSIG(status), by_signal);
	ck_assert_uint_eq(count, faults);
	for (unsigned i = 0; i < count; i++) {
		ck_assert_uint_eq(stops[i].address, (uintptr_t)address);
		ck_assert_uint_lt(stops[i].instruction - (uintptr_t)load_byte, 64);
	}
}

static void dies_at_load(void *address, unsigned faults)
{
	dies_in(wild_load, address, SIGSEGV, faults);
}

/* Ours sees it once; with the default action back it is what a core would show. */
START_TEST(wild_pointer_dies_at_its_instruction)
{
	dies_at_load(nowhere, 2);
	dies_at_load(NULL, 2);
}
END_TEST

/* Once more than that: another thread might have been faster. */
START_TEST(fault_on_mapped_segment_is_retried_once)
{
	ck_assert_uint_eq(load_byte(at[6]), value(6));
	ck_assert_int_eq(mprotect(at[6], 4096, PROT_NONE), 0);
	dies_at_load(at[6], 3);
	ck_assert_int_eq(mprotect(at[6], 4096, PROT_READ | PROT_WRITE), 0);
}
END_TEST

/* A missing file: the segment cannot be mapped, and nobody tries again. */
START_TEST(touch_of_segment_without_file_dies_at_its_instruction)
{
	char from[300], to[300];

	snprintf(from, sizeof from, "%s/SAS00001.DAT", store);
	snprintf(to, sizeof to, "%s/kept", store);
	ck_assert_int_eq(rename(from, to), 0);
	dies_at_load((void *)(uintptr_t)(help_info(region).base + HELP_SEGMENT), 2);
	ck_assert_int_eq(rename(to, from), 0);
	ck_assert_uint_ne(load_byte((void *)(uintptr_t)(help_info(region).base + HELP_SEGMENT)), 1);
}
END_TEST
#endif

/* --- signals that somebody sent */

static volatile int sent_code, sent_value, sent_pid;

static void note_sent(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)context;
	sent_code = info->si_code;
	sent_pid = info->si_pid;
	sent_value = info->si_value.sival_int;
}

static void send_to_self(void *arg)
{
	(void)arg;
	kill(getpid(), SIGSEGV);
	must(until(0, 1));
}

START_TEST(sigsegv_that_was_sent_kills)
{
	help_dies(send_to_self, NULL, SIGSEGV);
}
END_TEST

static void send_with_value(void *arg)
{
	union sigval v = { .sival_int = 4711 };

	(void)arg;
	must(SASRegionLeave(region) == 0);
	help_handle(SIGSEGV, note_sent, 0);
	region_join(0);
	must(sigqueue(getpid(), SIGSEGV, v) == 0);
	must(until(sent_code == SI_QUEUE, PATIENCE) && sent_pid == getpid() && sent_value == 4711);
	must(kill(getpid(), SIGSEGV) == 0);
	must(until(sent_code == SI_USER, PATIENCE));
	must(load_byte(at[0]) == value(0));
}

START_TEST(sigsegv_that_was_sent_reaches_own_handler)
{
	help_in_child(send_with_value, NULL);
}
END_TEST

static void send_ignored(void *arg)
{
	must(SASRegionLeave(region) == 0);
	signal(SIGSEGV, SIG_IGN);
	region_join(0);
	must(raise(SIGSEGV) == 0);
	must(load_byte(at[0]) == value(0));
	must(raise(SIGSEGV) == 0);
	must(load_byte(at[1]) == value(1));
	if (arg)
		load_byte(arg);
}

/* The kernel ignores what is sent, and never a fault. */
START_TEST(sigsegv_ignored_by_program_is_ignored_when_sent)
{
	help_in_child(send_ignored, NULL);
	help_dies(send_ignored, nowhere, SIGSEGV);
}
END_TEST

/* --- SIGBUS */

static void truncate_segment(unsigned long number, off_t size)
{
	char name[300];

	snprintf(name, sizeof name, "%s/SAS%05lX.DAT", store, number);
	ck_assert_int_eq(truncate(name, size), 0);
}

static unsigned long number_of(const void *address)
{
	return ((uintptr_t)address - help_info(region).base) / HELP_SEGMENT;
}

static void note_bus(int number, siginfo_t *info, void *context)
{
	if (number != SIGBUS)
		_exit(97);
	note_and_allow(number, info, context);
}

static void touch_truncated(void *arg)
{
	unsigned long n = number_of(at[7]);

	must(SASRegionLeave(region) == 0);
	if (arg)
		help_handle(SIGBUS, note_bus, 0);
	region_join(0);
	must(load_byte(at[7]) == value(7));
	truncate_segment(n, 4096);
	must(help_info(region).busErrors == 0);
	load_byte(at[7] + 8192);
	must(wild_count == 1);
	must(wild_address == at[7] + 8192);
	must(wild_code == BUS_ADRERR);
	must(help_info(region).busErrors == 1);
}

/* Puts the file back for the check. */
static void mend_truncated(unsigned long n)
{
	char name[300], from[300];
	char *page = malloc(HELP_SEGMENT + 4096);
	int in, out;

	snprintf(name, sizeof name, "%s/SAS%05lX.DAT", store, n);
	snprintf(from, sizeof from, "%s/kept", store);
	in = open(from, O_RDONLY);
	out = open(name, O_WRONLY);
	ck_assert_int_eq(read(in, page, HELP_SEGMENT + 4096), HELP_SEGMENT + 4096);
	ck_assert_int_eq(write(out, page, HELP_SEGMENT + 4096), HELP_SEGMENT + 4096);
	close(in);
	close(out);
	unlink(from);
	free(page);
}

static void keep_segment(unsigned long n)
{
	char command[700];

	snprintf(command, sizeof command, "cp '%s/SAS%05lX.DAT' '%s/kept'", store, n, store);
	ck_assert_int_eq(system(command), 0);
}

START_TEST(sigbus_of_truncated_file_is_counted_and_chained)
{
	unsigned long n = number_of(at[7]);

	keep_segment(n);
	help_in_child(touch_truncated, at);
	mend_truncated(n);
	keep_segment(n);
	help_dies(touch_truncated, NULL, SIGBUS);
	mend_truncated(n);
}
END_TEST

#if defined(__x86_64__)
START_TEST(sigbus_dies_at_its_instruction)
{
	unsigned long n = number_of(at[7]);

	ck_assert_uint_eq(load_byte(at[7]), value(7));
	keep_segment(n);
	truncate_segment(n, 4096);
	dies_in(wild_load, at[7] + 8192, SIGBUS, 2);
	mend_truncated(n);
}
END_TEST
#endif

/* --- in a program's own handler */

static volatile int mended;

static void mend_in_own(int number, siginfo_t *info, void *context)
{
	(void)number;
	errno = 4711;
	mended = SASHandleFault(info, context);
	if (errno != 4711)
		_exit(96);
	if (!mended)
		_exit(95);
}

static void touch_with_own_handler(void *arg)
{
	help_handle(SIGSEGV, mend_in_own, 0);
	must(load_byte(at[0]) == value(0));
	must(mended == 1);
	must(help_info(region).faults == 1);
	mended = 0;
	must(load_byte(at[1]) == value(1));
	must(mended == 1);
	if (arg)
		load_byte(arg);
}

START_TEST(handle_fault_in_own_handler_maps)
{
	help_in_child(touch_with_own_handler, NULL);
	ck_assert_int_eq(help_wait(help_fork(touch_with_own_handler, nowhere), PATIENCE), 95);  /* not ours: 0 */
}
END_TEST

START_TEST(handle_fault_of_what_is_not_ours_gives_0)
{
	siginfo_t info;
	ucontext_t context;

	memset(&info, 0, sizeof info);
	memset(&context, 0, sizeof context);
	ck_assert_int_eq(SASHandleFault(NULL, &context), 0);
	info.si_signo = SIGSEGV;
	info.si_code = SEGV_MAPERR;
	info.si_addr = &info;
	ck_assert_int_eq(SASHandleFault(&info, &context), 0);
	info.si_addr = nowhere;
	ck_assert_int_eq(SASHandleFault(&info, &context), 0);
	info.si_addr = at[0];
	info.si_code = SI_USER;
	ck_assert_int_eq(SASHandleFault(&info, &context), 0);
	info.si_signo = SIGBUS;
	info.si_code = BUS_ADRERR;
	ck_assert_int_eq(SASHandleFault(&info, &context), 0);
	info.si_signo = SIGSEGV;
	info.si_code = SEGV_MAPERR;
	ck_assert_int_eq(SASHandleFault(&info, &context), 1);
	ck_assert_uint_eq(help_info(region).segmentsMapped, 2);
}
END_TEST

/* --- leave against touches */

static __thread sigjmp_buf out;

static void jump_out(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)info;
	(void)context;
	siglongjmp(out, 1);
}

/* The region goes under it. */
static void *touch_until_gone(void *arg)
{
	if (sigsetjmp(out, 1) == 0)
		for (unsigned i = 0;; i++)
			load_byte(at[i % LAZY]);
	return arg;
}

static void leave_under_touches(void *arg)
{
	pthread_t thread;

	(void)arg;
	must(SASRegionLeave(region) == 0);
	help_handle(SIGSEGV, jump_out, 0);
	for (long i = 0; i < help_size(10, 100, 5000); i++) {
		region_join(0);
		must(pthread_create(&thread, NULL, touch_until_gone, NULL) == 0);
		must(until(help_info(region).faults > (uint64_t)i % LAZY, PATIENCE));
		must(SASRegionLeave(region) == 0);
		must(pthread_join(thread, NULL) == 0);
	}
}

START_TEST(leave_while_others_touch_ends)
{
	help_in_child(leave_under_touches, NULL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fault");
	TCase *c = help_case(suite, "fault");

	tcase_add_checked_fixture(c, lazy_begin, region_end);
	tcase_add_test(c, wild_pointer_in_region_dies_by_sigsegv);
	tcase_add_test(c, null_pointer_dies_by_sigsegv);
	tcase_add_test(c, store_in_readonly_region_dies_by_sigsegv);
	tcase_add_test(c, wild_pointer_gives_own_handler_its_address);
#if defined(__x86_64__)
	if (!help_valgrind()) {
		tcase_add_test(c, wild_pointer_dies_at_its_instruction);
		tcase_add_test(c, fault_on_mapped_segment_is_retried_once);
		tcase_add_test(c, touch_of_segment_without_file_dies_at_its_instruction);
		tcase_add_test(c, sigbus_dies_at_its_instruction);
	}
#endif
	tcase_add_test(c, sigsegv_that_was_sent_kills);
	tcase_add_test(c, sigsegv_that_was_sent_reaches_own_handler);
	tcase_add_test(c, sigsegv_ignored_by_program_is_ignored_when_sent);
	tcase_add_test(c, sigbus_of_truncated_file_is_counted_and_chained);
	tcase_add_test(c, handle_fault_in_own_handler_maps);
	tcase_add_test(c, handle_fault_of_what_is_not_ours_gives_0);
	if (!help_valgrind())   /* touching what has been left is an error */
		tcase_add_test(c, leave_while_others_touch_ends);
	return help_main(suite);
}
