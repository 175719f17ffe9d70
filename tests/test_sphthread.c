/* SPDX-License-Identifier: MIT */
/*
 * test_sphthread.c - sphthread.h: numbers that are remembered are right, in threads and in children of every kind.
 */
#include <config.h>

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sassim.h>
#include <sphthread.h>
#include "help.h"

static pid_t kernel_tid(void)
{
	return (pid_t)syscall(SYS_gettid);
}

/* All of it, the data first, as calls might mend it. */
static void all_are_right(void)
{
	must(procID == getpid());
	must(threadID == kernel_tid());
	must(sphFastGetPID() == getpid());
	must(sphFastGetTID() == kernel_tid());
	must(sphdeGetPID() == getpid());
	must(sphdeGetTID() == kernel_tid());
}

static void *in_thread(void *arg)
{
	(void)arg;
	must(threadID == 0);
	must(sphFastGetTID() == kernel_tid());
	must(kernel_tid() != getpid());
	all_are_right();
	return NULL;
}

static void run_thread(void *(*body)(void *), void *arg)
{
	pthread_t thread;

	must(pthread_create(&thread, NULL, body, arg) == 0);
	must(pthread_join(thread, NULL) == 0);
}

START_TEST(numbers_are_the_kernels)
{
	/* Check forks each test: this is a child already. */
	all_are_right();
	run_thread(in_thread, NULL);
	all_are_right();
}
END_TEST

static void *set_up(void *arg)
{
	(void)arg;
	must(threadID == 0);
	SASThreadSetUp();
	must(threadID == kernel_tid());
	SASThreadCleanUp();
	return NULL;
}

START_TEST(thread_set_up_stores_number_without_a_join)
{
	run_thread(set_up, NULL);
}
END_TEST

/* fork(2) from a thread that is not the first, with numbers that it knew. */
static void *fork_in_thread(void *arg)
{
	int status;
	pid_t pid;

	(void)arg;
	must(sphFastGetTID() != sphFastGetPID());
	pid = fork();
	if (pid == 0) {
		all_are_right();
		must(sphFastGetTID() == sphFastGetPID());
		run_thread(in_thread, NULL);
		_exit(0);
	}
	must(waitpid(pid, &status, 0) == pid && status == 0);
	all_are_right();
	return NULL;
}

START_TEST(numbers_after_fork_are_the_childs)
{
	run_thread(fork_in_thread, NULL);
}
END_TEST

/* Without the C library's handlers. */
static pid_t raw_fork(void)
{
	return (pid_t)syscall(SYS_clone, (unsigned long)SIGCHLD, 0UL, 0UL, 0UL, 0UL);
}

static int sees_parents_number(void)
{
	return procID == getppid();
}

START_TEST(calls_after_raw_clone_are_right)
{
	int status;
	pid_t pid = raw_fork();

	if (pid == 0) {
		must(sees_parents_number());            /* or the test shows nothing */
		must(sphdeGetPID() == getpid());
		must(sphdeGetTID() == kernel_tid());
		all_are_right();
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	all_are_right();
}
END_TEST

/* Each of the two calls alone, and the thread's own number after the process's is known already. */
START_TEST(thread_number_after_raw_clone_is_right)
{
	int status;
	pid_t pid = raw_fork();

	if (pid == 0) {
		must(sphdeGetTID() == kernel_tid());
		pid = raw_fork();
		if (pid == 0) {
			must(sphdeGetPID() == getpid());
			must(threadID == getppid());
			must(sphdeGetTID() == kernel_tid());
			_exit(0);
		}
		must(waitpid(pid, &status, 0) == pid && status == 0);
		all_are_right();
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}
END_TEST

static const char *first_argument;

START_TEST(command_line_is_the_first_argument)
{
	ck_assert_str_eq(sphdeGetCmdLine(), first_argument);
	ck_assert_ptr_eq(sphdeGetCmdLine(), sphdeGetCmdLine());
}
END_TEST

int main(int argc, char **argv)
{
	Suite *suite = suite_create("sphthread");
	TCase *tests = help_case(suite, "calls");

	(void)argc;
	first_argument = argv[0];
	tcase_add_test(tests, numbers_are_the_kernels);
	tcase_add_test(tests, thread_set_up_stores_number_without_a_join);
	tcase_add_test(tests, numbers_after_fork_are_the_childs);
	help_add_native(tests, calls_after_raw_clone_are_right);
	help_add_native(tests, thread_number_after_raw_clone_is_right);
	tcase_add_test(tests, command_line_is_the_first_argument);
	return help_main(suite);
}
