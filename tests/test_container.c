/* SPDX-License-Identifier: MIT */
/*
 * test_container.c - processes of several pid namespaces share a region: each namespace has a process 1, numbers are
 * used again, and a number says nothing about another namespace. Left out where namespaces cannot be made.
 */
#include <config.h>

#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <sasinspect.h>
#include <sassim.h>
#include "lock_help.h"
#include "sas/lock/lock_table.h"
#include "sas/region/region.h"

static int home = -1;           /* our pid namespace */

/* 0: not here, and said why. */
static int can_make_namespaces(void)
{
	home = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
	if (home >= 0 && unshare(CLONE_NEWPID) == 0 && setns(home, CLONE_NEWPID) == 0)
		return 1;
	printf("left out: no pid namespace can be made here: %s\n", strerror(errno));
	return 0;
}

/* The next child is process 1 of a new namespace; then children are of ours again. */
static void enter_new_namespace(void)
{
	ck_assert_int_eq(unshare(CLONE_NEWPID), 0);
}

static void go_home(void)
{
	ck_assert_int_eq(setns(home, CLONE_NEWPID), 0);
}

static void agent_elsewhere(struct agent *a)
{
	enter_new_namespace();
	agent_process(a);
	go_home();
}

static pid_t fork_elsewhere(help_body body, void *arg)
{
	pid_t pid;

	enter_new_namespace();
	pid = help_fork(body, arg);
	go_home();
	return pid;
}

static void end_by_kill(pid_t pid)
{
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	ck_assert_int_eq(help_wait(pid, PATIENCE), 128 + SIGKILL);
}

/* --- address locks */

static void make_agent(struct agent *a, int elsewhere)
{
	if (elsewhere)
		agent_elsewhere(a);
	else
		agent_process(a);
}

/* From the end of waitpid() until the waiter has it. */
static uint64_t take_over(int holder_elsewhere, int waiter_elsewhere)
{
	struct agent holder, waiter;
	struct answer a;
	uint64_t died;

	make_agent(&holder, holder_elsewhere);
	make_agent(&waiter, waiter_elsewhere);
	ck_assert_int_eq(agent_take(&holder, base, WRITE, 0), 0);
	agent_wait_for(&waiter, region, base, WRITE, -1);
	agent_kill(&holder);
	died = help_now();
	a = agent_answer(&waiter);
	ck_assert_int_eq(a.error, 0);
	ck_assert_int_eq(agent_give(&waiter, base), 0);
	agent_end(&waiter);
	return a.at > died ? a.at - died : 0;
}

START_TEST(waiter_takes_over_from_dead_holder_of_another_namespace)
{
	const uint64_t enough = HELP_SANITIZED || help_valgrind() ? 1000000000 : 10000000;
	const int tries = (int)help_size(5, 20, 200);
	uint64_t took[200];

	if (!can_make_namespaces())
		return;
	for (int where = 1; where < 4; where++) {
		uint64_t middle = enough;

		/* A machine that is busy with other things makes it longer, never shorter. */
		for (int set = 0; set < 5 && middle >= enough; set++) {
			for (int i = 0; i < tries; i++)
				took[i] = take_over(where & 1, where >> 1);
			middle = help_percentile(took, (size_t)tries, 500);
		}
		printf("holder %s, waiter %s: %.1f ms after the death (median of %d)\n", where & 1 ? "elsewhere" : "here",
		       where >> 1 ? "elsewhere" : "here", (double)middle / 1e6, tries);
		ck_assert_uint_lt(middle, enough);
	}
}
END_TEST

/* This process and two others, each in a pid namespace of its own. */
static void namespaces_are_shown(void)
{
	SASInspect_t in = SASInspectOpen(store);
	SASParticipantInfo p[4];
	struct stat st;

	ck_assert_ptr_nonnull(in);
	ck_assert_int_eq(SASInspectListParticipants(in, p, 4), 3);
	ck_assert_uint_ne(p[0].pidNamespace, p[1].pidNamespace);
	ck_assert_uint_ne(p[0].pidNamespace, p[2].pidNamespace);
	ck_assert_uint_ne(p[1].pidNamespace, p[2].pidNamespace);
	ck_assert_int_eq(stat("/proc/self/ns/pid", &st), 0);
	for (int i = 0; i < 3; i++)
		if ((pid_t)p[i].pid == getpid())
			ck_assert_uint_eq(p[i].pidNamespace, st.st_ino);
	SASInspectClose(in);
}

/* Two processes 1: what one holds is not the other's, and goes when its holder goes. */
START_TEST(processes_of_the_same_number_are_told_apart)
{
	struct agent one, two;
	SASLockInfo locks[4];

	if (!can_make_namespaces())
		return;
	agent_elsewhere(&one);
	agent_elsewhere(&two);
	ck_assert_int_eq(agent_take(&one, at(1), WRITE, 0), 0);
	ck_assert_int_eq(agent_take(&two, at(2), WRITE, 0), 0);
	ck_assert_int_eq(agent_take(&one, at(2), WRITE, 20), ETIMEDOUT);
	ck_assert_int_eq(agent_take(&two, at(1), WRITE, 20), ETIMEDOUT);
	ck_assert_int_eq(SASLockList(region, locks, 4), 2);
	ck_assert_uint_eq(locks[0].pid, 1);
	ck_assert_uint_eq(locks[1].pid, 1);
	ck_assert_uint_ne(locks[0].slot, locks[1].slot);
	namespaces_are_shown();
	agent_kill(&one);
	ck_assert_int_eq(agent_take(&two, at(1), WRITE, LATE_MS), 0);
	ck_assert_int_eq(agent_held(&two, at(2)), (int)WRITE);
	ck_assert_int_eq(SASLockTry(at(2), WRITE), -1);
	ck_assert_int_eq(errno, EBUSY);
	agent_kill(&two);
	ck_assert_int_eq(SASLockTake(at(2), WRITE, 0, LATE_MS), 0);
	ck_assert_int_eq(SASLockGive(at(2)), 0);
}
END_TEST

/* --- block_lock */

static struct gates { struct help_gate ready, go; } gates;

static void seize(void *arg)
{
	(void)arg;
	SASSeize();
	help_gate_open(&gates.ready);
	help_gate_await(&gates.go);
	SASRelease();
	must(SASBlockAlloc(HELP_SEGMENT) != NULL);
}

static void allocate_large(void *arg)
{
	(void)arg;
	help_gate_open(&gates.ready);
	must(SASBlockAlloc(HELP_SEGMENT) != NULL);
}

static int is_waited_for(const pthread_mutex_t *lock)
{
	return (__atomic_load_n(&lock->__data.__lock, __ATOMIC_ACQUIRE) & (int)FUTEX_WAITERS) != 0;
}

START_TEST(holder_of_the_block_lock_dies_in_another_namespace)
{
	pid_t holder;
	void *block;

	if (!can_make_namespaces())
		return;
	help_gate_make(&gates.ready);
	help_gate_make(&gates.go);
	holder = fork_elsewhere(seize, NULL);
	help_gate_await(&gates.ready);
	end_by_kill(holder);
	block = SASBlockAlloc(HELP_SEGMENT);
	help_succeeds(block != NULL);
	ck_assert_int_eq(SASRegionRecover(region), 0);          /* the allocation did it */
	ck_assert_uint_eq(help_info(region).participants, 1);
	ck_assert_int_eq(SASBlockFree(block, HELP_SEGMENT), 0);
}
END_TEST

/*
 * The kernel takes a lock from a dead thread by the number in its word alone. A waiter with the same number as the holder must
 * not take the lock with it when it dies.
 */
START_TEST(waiter_that_dies_leaves_the_lock_of_its_namesake)
{
	pthread_mutex_t *lock = &region->run->header->block_lock;
	pid_t holder, waiter;

	if (!can_make_namespaces())
		return;
	help_gate_make(&gates.ready);
	help_gate_make(&gates.go);
	holder = fork_elsewhere(seize, NULL);
	help_gate_await(&gates.ready);
	for (int i = 0; i < 20; i++) {
		waiter = fork_elsewhere(allocate_large, NULL);
		help_gate_await(&gates.ready);
		ck_assert_int_eq(until(is_waited_for(lock), PATIENCE), 1);
		help_spin(1000000U * (unsigned)(i % 8));
		end_by_kill(waiter);
		ck_assert_int_eq(__atomic_load_n(&lock->__data.__lock, __ATOMIC_ACQUIRE) & (int)FUTEX_OWNER_DIED, 0);
	}
	help_gate_open(&gates.go);
	help_done(holder);
	help_succeeds(SASBlockAlloc(HELP_SEGMENT) != NULL);
}
END_TEST

/* A thread that dies while it finds the lock taken takes the number of its namesake for its own. Here the test does what the kernel does
 * then. */
START_TEST(holder_that_is_marked_as_dead_keeps_its_lock)
{
	struct sas_run_header *header = region->run->header;
	int *word = &header->block_lock.__data.__lock;
	pid_t holder, waiter;

	help_gate_make(&gates.ready);
	help_gate_make(&gates.go);
	holder = help_fork(seize, NULL);
	help_gate_await(&gates.ready);
	waiter = help_fork(allocate_large, NULL);
	help_gate_await(&gates.ready);
	ck_assert_int_eq(until(is_waited_for(&header->block_lock), PATIENCE), 1);
	__atomic_store_n(word, (int)FUTEX_OWNER_DIED, __ATOMIC_RELEASE);
	ck_assert(!help_ended(waiter, 50));
	ck_assert_uint_eq(header->block_dirty.word, 0);
	help_gate_open(&gates.go);
	help_done(holder);
	help_done(waiter);
	ck_assert_uint_eq(header->block_dirty.word, 0);
	help_succeeds(SASBlockAlloc(HELP_SEGMENT) != NULL);
}
END_TEST

/* --- all at once */

static void work(void *arg)
{
	uint64_t state = (uint64_t)(uintptr_t)arg;

	for (;;) {
		size_t size = 4096UL << help_below(&state, 8);
		void *address = at(help_below(&state, 4)), *block;

		must(SASLockTake(address, WRITE, 0, -1) == 0);
		block = SASBlockAlloc(size);
		must(block != NULL || errno == ENOSPC);
		must(SASLockGive(address) == 0);
		if (block)
			must(SASBlockFree(block, size) == 0);
	}
}

/* Four namespaces, one process each, one of which is killed at a time; the others and we go on. */
START_TEST(namespaces_go_on_while_processes_are_killed)
{
	uint64_t state = help_seed("container");
	pid_t workers[4];

	if (!can_make_namespaces())
		return;
	for (unsigned i = 0; i < 4; i++)
		workers[i] = fork_elsewhere(work, (void *)(uintptr_t)(help_random(&state) | 1));
	for (unsigned i = 0; i < (unsigned)help_size(40, 200, 5000); i++) {
		unsigned who = (unsigned)help_below(&state, 4);
		void *block;

		help_spin(help_below(&state, 3000000));
		end_by_kill(workers[who]);
		workers[who] = fork_elsewhere(work, (void *)(uintptr_t)(help_random(&state) | 1));
		ck_assert_int_eq(SASLockTake(at(i % 4), WRITE, 0, 10 * LATE_MS), 0);
		help_succeeds((block = SASBlockAlloc(HELP_SEGMENT / 4)) != NULL);
		ck_assert_int_eq(SASBlockFree(block, HELP_SEGMENT / 4), 0);
		ck_assert_int_eq(SASLockGive(at(i % 4)), 0);
	}
	for (unsigned i = 0; i < 4; i++)
		end_by_kill(workers[i]);
	help_succeeds(SASRegionRecover(region) >= 0);
	ck_assert_uint_eq(help_info(region).participants, 1);
}
END_TEST

/* --- numbers that are used again */

/* Of this namespace: the next process gets this number. */
static int choose_next(pid_t pid)
{
	char text[32];
	int size = snprintf(text, sizeof text, "%d", (int)pid - 1);
	int fd = open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);
	int done = fd >= 0 && write(fd, text, (size_t)size) == size;

	close(fd);
	return done;
}

static void hold(void *arg)
{
	(void)arg;
	must(SASLockTake(base, WRITE, 0, 0) == 0);
	must(SASBlockAlloc(4096) != NULL);
	help_gate_open(&gates.ready);
	for (;;)
		pause();
}

static void idle(void *arg)
{
	(void)arg;
	help_gate_open(&gates.ready);
	for (;;)
		pause();
}

/* Process 1 of a namespace: one that holds a lock dies, another process gets its number and lives. */
static void use_number_again(void *arg)
{
	pid_t first = help_fork(hold, NULL), second;

	(void)arg;
	help_gate_await(&gates.ready);
	kill(first, SIGKILL);
	must(waitpid(first, NULL, 0) == first);
	if (!choose_next(first)) {
		printf("left out: numbers cannot be chosen here\n");
		return;
	}
	second = help_fork(idle, NULL);
	must(second == first);
	help_gate_await(&gates.ready);
	must(SASLockTake(base, WRITE, 0, LATE_MS) == 0);
	must(SASLockGive(base) == 0);
	must(SASRegionRecover(SASRegionDefault()) == 0);
	must(help_info(SASRegionDefault()).participants == 2);
	kill(second, SIGKILL);
	must(waitpid(second, NULL, 0) == second);
	SASCleanUp();
}

START_TEST(number_of_the_dead_used_again_hides_no_death)
{
	pid_t pid;

	if (!can_make_namespaces())
		return;
	help_gate_make(&gates.ready);
	pid = fork_elsewhere(use_number_again, NULL);
	help_done(pid);
	ck_assert_uint_eq(help_info(region).participants, 1);
}
END_TEST

/* --- exec */

static void *take_and_exec(void *arg)
{
	must(SASLockTake(base, WRITE, 0, 0) == 0);
	must(SASLockTake(at(1), READ, 0, 0) == 0);
	help_gate_open(&gates.ready);
	help_gate_await(&gates.go);
	execl("/bin/sleep", "sleep", "1000", (char *)NULL);
	return arg;
}

static void exec_in_thread(void *arg)
{
	pthread_t thread;

	(void)arg;
	must(pthread_create(&thread, NULL, take_and_exec, NULL) == 0);
	pthread_join(thread, NULL);
	must(0);
}

/* The kernel does not mark the locks of such a thread; the program that it became lives on. */
START_TEST(exec_in_a_thread_that_holds_locks_gives_them_up)
{
	pid_t pid;

	help_gate_make(&gates.ready);
	help_gate_make(&gates.go);
	pid = help_fork(exec_in_thread, NULL);
	help_gate_await(&gates.ready);
	help_fails(SASLockTry(base, WRITE) == -1, EBUSY);
	help_gate_open(&gates.go);
	ck_assert_int_eq(SASLockTake(base, WRITE, 0, 5 * LATE_MS), 0);
	ck_assert_int_eq(SASLockTake(at(1), WRITE, 0, 5 * LATE_MS), 0);
	ck_assert_int_eq(SASLockGive(base), 0);
	ck_assert_int_eq(SASLockGive(at(1)), 0);
	end_by_kill(pid);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("container");
	TCase *c = help_case(suite, "container");

	tcase_add_checked_fixture(c, locks_begin, locks_end);
	tcase_add_test(c, waiter_takes_over_from_dead_holder_of_another_namespace);
	tcase_add_test(c, processes_of_the_same_number_are_told_apart);
	tcase_add_test(c, holder_of_the_block_lock_dies_in_another_namespace);
	tcase_add_test(c, waiter_that_dies_leaves_the_lock_of_its_namesake);
	tcase_add_test(c, holder_that_is_marked_as_dead_keeps_its_lock);
	tcase_add_test(c, namespaces_go_on_while_processes_are_killed);
	tcase_add_test(c, number_of_the_dead_used_again_hides_no_death);
	tcase_add_test(c, exec_in_a_thread_that_holds_locks_gives_them_up);
	return help_main(suite);
}
