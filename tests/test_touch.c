/* SPDX-License-Identifier: MIT */
/*
 * test_touch.c - lazy mapping: a segment is mapped by whoever touches it first, or ahead of that: by any thread,
 * on any stack, without descriptors, and in processes of all kinds.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fixture.h"

extern char **environ;

/* --- touches */

START_TEST(touch_by_load_maps_segment)
{
	ck_assert_uint_eq(load_byte(at[3] + 12345), value(3));
	ck_assert_uint_eq(help_info(region).faults, 1);
	ck_assert_uint_eq(help_info(region).segmentsMapped, 2);
	ck_assert_uint_eq(load_byte(at[3]), value(3));
	ck_assert_uint_eq(load_byte(at[3] + HELP_SEGMENT - 1), value(3));
	ck_assert_uint_eq(help_info(region).faults, 1);
}
END_TEST

START_TEST(touch_by_store_maps_segment)
{
	store_byte(at[5] + 999, 7);
	ck_assert_uint_eq(help_info(region).faults, 1);
	region_leave();
	region_join(0);
	ck_assert_uint_eq(load_byte(at[5] + 999), 7);
	ck_assert_uint_eq(load_byte(at[5] + 998), value(5));
}
END_TEST

START_TEST(touch_by_atomic_maps_segment)
{
	ck_assert_uint_eq(__atomic_fetch_add(at[0], 1, __ATOMIC_SEQ_CST), value(0));
	ck_assert_uint_eq(load_byte(at[0]), value(0) + 1);
}
END_TEST

START_TEST(touch_by_memcpy_over_segments_maps_all)
{
	unsigned char *copy = malloc(4 * HELP_SEGMENT);

	ck_assert_ptr_nonnull(copy);
	for (unsigned i = 1; i < 4; i++)
		ck_assert_ptr_eq(at[i], at[i - 1] + HELP_SEGMENT);
	memcpy(copy, at[0], 4 * HELP_SEGMENT);
	for (unsigned i = 0; i < 4; i++)
		ck_assert_uint_eq(copy[i * HELP_SEGMENT + 5], value(i));
	ck_assert_uint_eq(help_info(region).segmentsMapped, 5);
	free(copy);
}
END_TEST

START_TEST(touch_keeps_errno)
{
	errno = 4711;
	load_byte(at[1]);
	ck_assert_int_eq(errno, 4711);
	errno = 0;
	store_byte(at[2], 1);
	ck_assert_int_eq(errno, 0);
}
END_TEST

/* --- threads that know nothing */

static void *touch_all(void *arg)
{
	unsigned sum = 0;

	(void)arg;
	for (unsigned i = 0; i < LAZY; i++)
		sum += load_byte(at[i] + 77);
	return (void *)(uintptr_t)sum;
}

static unsigned all_values(void)
{
	unsigned sum = 0;

	for (unsigned i = 0; i < LAZY; i++)
		sum += value(i);
	return sum;
}

static void touch_in_thread(const pthread_attr_t *attributes)
{
	pthread_t thread;
	void *sum;

	ck_assert_int_eq(pthread_create(&thread, attributes, touch_all, NULL), 0);
	ck_assert_int_eq(pthread_join(thread, &sum), 0);
	ck_assert_uint_eq((uintptr_t)sum, all_values());
}

START_TEST(touch_in_unaware_thread_maps)
{
	touch_in_thread(NULL);
	ck_assert_uint_eq(help_info(region).faults, LAZY);
	/* It has no slot: it never called. */
	ck_assert_uint_eq(help_info(region).threads, 0);
}
END_TEST

START_TEST(touch_on_tiny_stack_maps)
{
	pthread_attr_t a;

	ck_assert_int_eq(pthread_attr_init(&a), 0);
	ck_assert_int_eq(pthread_attr_setstacksize(&a, (size_t)PTHREAD_STACK_MIN), 0);
	touch_in_thread(&a);
	pthread_attr_destroy(&a);
}
END_TEST

static pthread_barrier_t barrier;

static void *touch_at_once(void *arg)
{
	pthread_barrier_wait(&barrier);
	return touch_all(arg);
}

START_TEST(touch_by_many_threads_at_once_maps)
{
	enum { THREADS = 16 };
	pthread_t threads[THREADS];
	void *sum;

	for (long round = 0; round < help_size(3, 20, 1000); round++) {
		region_leave();
		region_join(0);
		pthread_barrier_init(&barrier, NULL, THREADS);
		for (unsigned i = 0; i < THREADS; i++)
			ck_assert_int_eq(pthread_create(&threads[i], NULL, touch_at_once, NULL), 0);
		for (unsigned i = 0; i < THREADS; i++) {
			ck_assert_int_eq(pthread_join(threads[i], &sum), 0);
			ck_assert_uint_eq((uintptr_t)sum, all_values());
		}
		pthread_barrier_destroy(&barrier);
		ck_assert_uint_eq(help_info(region).segmentsMapped, 1 + LAZY);
	}
}
END_TEST

static unsigned raw_sum;
static int raw_tid = -1;

static int touch_raw(void *arg)
{
	(void)arg;
	__atomic_store_n(&raw_sum, (unsigned)(uintptr_t)touch_all(NULL), __ATOMIC_RELEASE);
	return 0;
}

/* A thread of no thread library, without thread-local storage of its own. */
START_TEST(touch_in_raw_clone_thread_maps)
{
	const int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |
			  CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID;
	char *stack = mmap(NULL, 64 * KIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert(stack != MAP_FAILED);
	ck_assert_int_gt(clone(touch_raw, stack + 64 * KIB, flags, NULL, NULL, NULL, &raw_tid), 0);
	ck_assert(until(__atomic_load_n(&raw_tid, __ATOMIC_ACQUIRE) == 0, PATIENCE));
	ck_assert_uint_eq(raw_sum, all_values());
	ck_assert_uint_eq(help_info(region).faults, LAZY);
}
END_TEST

/* A process that shares nothing but the memory. */
START_TEST(touch_in_raw_clone_process_maps)
{
	char *stack = mmap(NULL, 64 * KIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int pid;

	ck_assert(stack != MAP_FAILED);
	pid = clone(touch_raw, stack + 64 * KIB, CLONE_VM | SIGCHLD, NULL);
	ck_assert_int_gt(pid, 0);
	help_done(pid);
	ck_assert_uint_eq(raw_sum, all_values());
}
END_TEST

/* --- stacks */

static volatile unsigned char touched;

static void touch_first(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)info;
	(void)context;
	touched = load_byte(at[0]);
}

static void touch_nothing(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)info;
	(void)context;
}

static char *use_alternate_stack(size_t size)
{
	char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	stack_t stack = { .ss_sp = memory, .ss_size = size };

	ck_assert(memory != MAP_FAILED);
	ck_assert_int_eq(sigaltstack(&stack, NULL), 0);
	return memory;
}

static size_t frame_size(void)
{
	size_t size = getauxval(AT_MINSIGSTKSZ);

	return size ? size : 4096;
}

/* Two frames of the kernel, and room for both handlers. */
START_TEST(touch_in_handler_on_alternate_stack_maps)
{
	use_alternate_stack(2 * frame_size() + 8 * KIB);
	help_handle(SIGUSR1, touch_first, SA_ONSTACK);
	raise(SIGUSR1);
	ck_assert_uint_eq(touched, value(0));
}
END_TEST

/* What of painted memory has been written, from its end. */
static size_t depth_of(const char *stack, size_t size)
{
	size_t i = 0;

	while (i < size && stack[i] == 0x5a)
		i++;
	return size - i;
}

/* Of the stack, over what the kernel takes for a handler that does nothing. */
START_TEST(touch_takes_less_than_1k_of_stack)
{
	size_t size = 64 * KIB, nothing, touch;
	char *stack = use_alternate_stack(size);

	help_handle(SIGUSR1, touch_nothing, SA_ONSTACK);
	memset(stack, 0x5a, size);
	raise(SIGUSR1);
	nothing = depth_of(stack, size);
	memset(stack, 0x5a, size);
	ck_assert_uint_eq(load_byte(at[0]), value(0));
	touch = depth_of(stack, size);
	ck_assert_uint_gt(nothing, 0);
	ck_assert_uint_gt(touch, 0);
	printf("the fault handler takes %ld bytes of stack\n", (long)(touch - nothing));
	ck_assert_int_le((long)(touch - nothing), 1024);
}
END_TEST

/* --- ahead of the touch */

START_TEST(system_call_on_unmapped_segment_gives_efault)
{
	int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	errno = 0;
	ck_assert_int_eq(read(fd, at[0], 16), -1);
	ck_assert_int_eq(errno, EFAULT);
	ck_assert_int_eq(SASMapAhead(at[0], 16), 0);
	ck_assert_int_eq(read(fd, at[0], 16), 16);
	ck_assert(all_zero(at[0], 16));
	ck_assert_uint_eq(load_byte(at[0] + 16), value(0));
	ck_assert_uint_eq(help_info(region).faults, 0);
	close(fd);
}
END_TEST

START_TEST(map_ahead_of_range_maps_its_segments)
{
	ck_assert_int_eq(SASMapAhead(at[1] + HELP_SEGMENT - 1, HELP_SEGMENT + 2), 0);
	ck_assert_uint_eq(help_info(region).segmentsMapped, 4);
	ck_assert_int_eq(SASMapAhead(at[0], 0), 0);
	ck_assert_uint_eq(help_info(region).segmentsMapped, 4);
}
END_TEST

static void map_ahead_fails(const void *address, size_t length)
{
	errno = 0;
	ck_assert_int_eq(SASMapAhead(address, length), -1);
	ck_assert_int_eq(errno, EFAULT);
}

START_TEST(map_ahead_of_what_is_no_segment_gives_efault)
{
	map_ahead_fails(nowhere, 1);
	map_ahead_fails(NULL, 1);
	map_ahead_fails(&region, 1);
	map_ahead_fails(at[0], LAZY_REGION);
	map_ahead_fails(at[0], SIZE_MAX);
	map_ahead_fails(at[LAZY - 1], 2 * HELP_SEGMENT);
	map_ahead_fails((void *)(uintptr_t)(help_info(region).base + LAZY_REGION), 1);
}
END_TEST

static volatile int map_ahead_result;

static void map_ahead_in_handler(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)info;
	(void)context;
	map_ahead_result = SASMapAhead(at[0], LAZY * HELP_SEGMENT);
}

START_TEST(map_ahead_in_signal_handler_maps)
{
	map_ahead_result = -1;
	help_handle(SIGUSR1, map_ahead_in_handler, 0);
	raise(SIGUSR1);
	ck_assert_int_eq(map_ahead_result, 0);
	ck_assert_uint_eq(help_info(region).segmentsMapped, LAZY + 1);
}
END_TEST

START_TEST(join_eager_maps_all_segments)
{
	region_leave();
	region_join(SAS_JOIN_EAGER);
	ck_assert_uint_eq(help_info(region).segmentsMapped, LAZY + 1);
	touch_all(NULL);
	ck_assert_uint_eq(help_info(region).faults, 0);
}
END_TEST

START_TEST(join_map64_maps_64_segments)
{
	void *block;

	for (unsigned i = LAZY; i < 70; i++)
		ck_assert_ptr_nonnull(block = SASRegionBlockAlloc(region, HELP_SEGMENT));
	store_byte(block, 9);
	region_leave();
	region_join(SAS_JOIN_MAP64);
	ck_assert_uint_eq(help_info(region).segmentsPresent, 71);
	ck_assert_uint_eq(help_info(region).segmentsMapped, 64);
	ck_assert_uint_eq(load_byte(block), 9);
	ck_assert_uint_eq(help_info(region).faults, 1);
}
END_TEST

START_TEST(touch_of_segment_made_meanwhile_maps)
{
	int to_us[2];
	unsigned char *block = NULL;
	pid_t pid;

	ck_assert_int_eq(pipe(to_us), 0);
	pid = fork();
	if (pid == 0) {
		block = SASRegionBlockAlloc(region, 8 * HELP_SEGMENT);
		must(block != NULL);
		store_byte(block + 7 * HELP_SEGMENT, 88);
		must(write(to_us[1], &block, sizeof block) == sizeof block);
		_exit(0);
	}
	ck_assert_int_eq(read(to_us[0], &block, sizeof block), sizeof block);
	ck_assert_uint_eq(load_byte(block + 7 * HELP_SEGMENT), 88);
	help_done(pid);
	ck_assert_int_eq(SASBlockFree(block, 8 * HELP_SEGMENT), 0);
}
END_TEST

/* --- blocked */

static void touch_while_blocked(void *arg)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGSEGV);
	sigprocmask(SIG_BLOCK, &set, NULL);
	if (arg)
		must(SASMapAhead(at[2], 1) == 0);
	must(load_byte(at[2]) == value(2));
}

/* The kernel kills it, as it kills every thread that faults with the signal blocked. */
START_TEST(touch_with_sigsegv_blocked_dies_unless_mapped_ahead)
{
	help_dies(touch_while_blocked, NULL, SIGSEGV);
	help_in_child(touch_while_blocked, at);
}
END_TEST

/* --- descriptors */

/* Gives one that is to be closed with all above it. */
static int fill_descriptors(void)
{
	struct rlimit limit = { 64, 64 };
	int first = dup(0);

	ck_assert_int_ge(first, 0);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	while (dup(0) >= 0)
		continue;
	ck_assert_int_eq(errno, EMFILE);
	return first;
}

START_TEST(touch_without_descriptors_uses_spare)
{
	int first = fill_descriptors();

	for (unsigned i = 0; i < LAZY; i++)
		ck_assert_uint_eq(load_byte(at[i]), value(i));
	ck_assert_int_eq(dup(0), -1);   /* it has the spare one back */
	region_leave();
	ck_assert_int_eq(syscall(SYS_close_range, first, ~0U, 0U), 0);
}
END_TEST

static void close_all(void)
{
	ck_assert_int_eq(syscall(SYS_close_range, 3U, ~0U, 0U), 0);
}

/* Check's own descriptors go as well: the rest is for a child. */
static void touch_after_close_range(void *arg)
{
	(void)arg;
	close_all();
	for (unsigned i = 0; i < LAZY; i++)
		must(load_byte(at[i]) == value(i));
	must(SASRegionBlockAlloc(region, 4096) != NULL);
	must(SASRegionBlockAlloc(region, HELP_SEGMENT) != NULL);
	must(SASRegionLeave(region) == 0);
}

START_TEST(touch_after_close_range_opens_directory_again)
{
	help_in_child(touch_after_close_range, NULL);
}
END_TEST

enum { OWN = 40 };

/* Files of the program that took over the numbers of ours. */
static void take_numbers(int own[OWN], ino_t inode[OWN])
{
	struct stat st;

	close_all();
	for (int i = 0; i < OWN; i++) {
		own[i] = memfd_create("own", 0);
		must(own[i] >= 0);
		must(write(own[i], "own", 3) == 3);
		must(fstat(own[i], &st) == 0);
		inode[i] = st.st_ino;
	}
}

static void numbers_are_unharmed(const int own[OWN], const ino_t inode[OWN])
{
	struct stat st;

	for (int i = 0; i < OWN; i++) {
		must(fstat(own[i], &st) == 0);
		must(st.st_ino == inode[i]);
		must(st.st_size == 3);
	}
}

static void touch_after_numbers_are_taken(void *arg)
{
	int own[OWN];
	ino_t inode[OWN];

	(void)arg;
	take_numbers(own, inode);
	for (unsigned i = 0; i < LAZY; i++)
		must(load_byte(at[i]) == value(i));
	numbers_are_unharmed(own, inode);
}

START_TEST(touch_leaves_descriptors_that_took_numbers_of_ours)
{
	help_in_child(touch_after_numbers_are_taken, NULL);
}
END_TEST

static void leave_after_numbers_are_taken(void *arg)
{
	int own[OWN];
	ino_t inode[OWN];

	(void)arg;
	must(SASRegionBlockAlloc(region, 4096) != NULL);        /* the child's own SAS.run */
	take_numbers(own, inode);
	must(SASRegionLeave(region) == 0);
	numbers_are_unharmed(own, inode);
}

START_TEST(leave_leaves_descriptors_that_took_numbers_of_ours)
{
	help_in_child(leave_after_numbers_are_taken, NULL);
}
END_TEST

static pthread_barrier_t everyone;

static void *allocate_with_everyone(void *arg)
{
	void **block = arg;

	*block = SASRegionBlockAlloc(region, 4096);
	pthread_barrier_wait(&everyone);
	return NULL;
}

enum { CROWD = 100 };           /* more than the thread slots of one step */

static void crowd_after_numbers_are_taken(void *arg)
{
	int own[OWN];
	ino_t inode[OWN];
	pthread_t threads[CROWD];
	void *blocks[CROWD];

	must(SASRegionBlockAlloc(region, 4096) != NULL);
	if (arg)
		take_numbers(own, inode);
	else
		close_all();
	must(pthread_barrier_init(&everyone, NULL, CROWD) == 0);
	for (int i = 0; i < CROWD; i++)
		must(pthread_create(&threads[i], NULL, allocate_with_everyone, &blocks[i]) == 0);
	for (int i = 0; i < CROWD; i++)
		must(pthread_join(threads[i], NULL) == 0);
	for (int i = 0; i < CROWD; i++)
		must(blocks[i] != NULL);
	if (arg)
		numbers_are_unharmed(own, inode);
}

START_TEST(crowd_after_close_range_allocates)
{
	help_in_child(crowd_after_numbers_are_taken, NULL);
}
END_TEST

START_TEST(crowd_leaves_descriptors_that_took_numbers_of_ours)
{
	help_in_child(crowd_after_numbers_are_taken, at);
}
END_TEST

START_TEST(touch_after_chdir_maps)
{
	ck_assert_int_eq(SASRegionLeave(region), 0);
	ck_assert_int_eq(chdir(store), 0);
	region = SASRegionJoin(".", NULL);
	ck_assert_ptr_nonnull(region);
	ck_assert_int_eq(chdir("/"), 0);
	touch_in_thread(NULL);
	help_in_child(touch_after_close_range, NULL);
}
END_TEST

/* --- other ways to start a process */

START_TEST(touch_in_vfork_child_maps)
{
	pid_t pid = vfork();

	if (pid == 0)
		_exit(load_byte(at[4]));
	ck_assert_int_gt(pid, 0);
	ck_assert_int_eq(help_wait(pid, PATIENCE), value(4));
	ck_assert_uint_eq(load_byte(at[4]), value(4));
	ck_assert_ptr_nonnull(SASRegionBlockAlloc(region, 4096));
}
END_TEST

START_TEST(vfork_and_exec_leaves_region_alone)
{
	static char path[] = "/bin/true";
	char *arguments[] = { path, NULL };
	pid_t pid = vfork();

	if (pid == 0) {
		execve(path, arguments, environ);
		_exit(127);
	}
	help_done(pid);
	touch_in_thread(NULL);
	ck_assert_ptr_nonnull(SASRegionBlockAlloc(region, 4096));
}
END_TEST

/* No descriptor of ours is inherited. */
START_TEST(spawn_inherits_nothing)
{
	static char shell[] = "/bin/sh", option[] = "-c";
	char script[400], *arguments[] = { shell, option, script, NULL };
	pid_t pid;

	ck_assert_ptr_nonnull(SASRegionBlockAlloc(region, 4096));
	snprintf(script, sizeof script, "! ls -l /proc/self/fd | grep -F '%s'", store);
	ck_assert_int_eq(posix_spawn(&pid, shell, NULL, NULL, arguments, environ), 0);
	help_done(pid);
	touch_in_thread(NULL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("touch");
	TCase *c = help_case(suite, "touch");

	tcase_add_checked_fixture(c, lazy_begin, region_end);
	tcase_add_test(c, touch_by_load_maps_segment);
	tcase_add_test(c, touch_by_store_maps_segment);
	tcase_add_test(c, touch_by_atomic_maps_segment);
	tcase_add_test(c, touch_by_memcpy_over_segments_maps_all);
	tcase_add_test(c, touch_keeps_errno);
	tcase_add_test(c, touch_in_unaware_thread_maps);
	tcase_add_test(c, touch_by_many_threads_at_once_maps);
	if (!help_instrumented()) {
		tcase_add_test(c, touch_on_tiny_stack_maps);
		tcase_add_test(c, touch_in_raw_clone_thread_maps);
		tcase_add_test(c, touch_in_raw_clone_process_maps);
		tcase_add_test(c, touch_takes_less_than_1k_of_stack);
		tcase_add_test(c, touch_in_handler_on_alternate_stack_maps);
		tcase_add_test(c, touch_in_vfork_child_maps);
	}
	tcase_add_test(c, system_call_on_unmapped_segment_gives_efault);
	tcase_add_test(c, map_ahead_of_range_maps_its_segments);
	tcase_add_test(c, map_ahead_of_what_is_no_segment_gives_efault);
	tcase_add_test(c, map_ahead_in_signal_handler_maps);
	tcase_add_test(c, join_eager_maps_all_segments);
	tcase_add_test(c, join_map64_maps_64_segments);
	tcase_add_test(c, touch_of_segment_made_meanwhile_maps);
	tcase_add_test(c, touch_with_sigsegv_blocked_dies_unless_mapped_ahead);
	if (!help_valgrind())   /* which has high descriptors of its own */
		tcase_add_test(c, touch_without_descriptors_uses_spare);
	tcase_add_test(c, touch_after_close_range_opens_directory_again);
	tcase_add_test(c, touch_leaves_descriptors_that_took_numbers_of_ours);
	tcase_add_test(c, leave_leaves_descriptors_that_took_numbers_of_ours);
	tcase_add_test(c, crowd_after_close_range_allocates);
	tcase_add_test(c, crowd_leaves_descriptors_that_took_numbers_of_ours);
	tcase_add_test(c, touch_after_chdir_maps);
	tcase_add_test(c, vfork_and_exec_leaves_region_alone);
	tcase_add_test(c, spawn_inherits_nothing);
	return help_main(suite);
}
