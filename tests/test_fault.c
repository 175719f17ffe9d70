/* SPDX-License-Identifier: MIT */
/*
 * test_fault.c - lazy mapping: a segment is mapped by whoever touches it first, and what is no such
 * touch stays what it is. Long, as it is one list of all the ways to fault.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "block_help.h"

#define LAZY 16U                /* segments with a block each */
#define REGION GIB

extern char **environ;

static unsigned char *at[LAZY]; /* at[i][k] is value(i) */
static unsigned char *nowhere;  /* in the region, in no segment */
static SASRegion_t region;

static unsigned char value(unsigned i)
{
	return (unsigned char)(0x40 + i);
}

/* A region whose segments are there, and not mapped here. */
static void lazy_begin(void)
{
	store_begin();
	region = store_create(REGION, SEGMENT, 0);
	for (unsigned i = 0; i < LAZY; i++) {
		at[i] = SASRegionBlockAlloc(region, SEGMENT);
		ck_assert_ptr_nonnull(at[i]);
		memset(at[i], value(i), SEGMENT);
	}
	nowhere = (unsigned char *)info_of(region).base + REGION - SEGMENT + 4711;
	ck_assert_int_eq(SASRegionLeave(region), 0);
	region = store_join(0);
	ck_assert_uint_eq(info_of(region).segmentsMapped, 1);
}

static void lazy_end(void)
{
	if (region)
		ck_assert_int_eq(SASRegionLeave(region), 0);
	store_end();
}

static void leave_and_join(unsigned flags)
{
	ck_assert_int_eq(SASRegionLeave(region), 0);
	region = store_join(flags);
}

/* --- touches */

START_TEST(touch_by_load_maps_segment)
{
	ck_assert_uint_eq(load_byte(at[3] + 12345), value(3));
	ck_assert_uint_eq(info_of(region).faults, 1);
	ck_assert_uint_eq(info_of(region).segmentsMapped, 2);
	ck_assert_uint_eq(load_byte(at[3]), value(3));
	ck_assert_uint_eq(load_byte(at[3] + SEGMENT - 1), value(3));
	ck_assert_uint_eq(info_of(region).faults, 1);
}
END_TEST

START_TEST(touch_by_store_maps_segment)
{
	store_byte(at[5] + 999, 7);
	ck_assert_uint_eq(info_of(region).faults, 1);
	leave_and_join(0);
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
	unsigned char *copy = malloc(4 * SEGMENT);

	ck_assert_ptr_nonnull(copy);
	for (unsigned i = 1; i < 4; i++)
		ck_assert_ptr_eq(at[i], at[i - 1] + SEGMENT);
	memcpy(copy, at[0], 4 * SEGMENT);
	for (unsigned i = 0; i < 4; i++)
		ck_assert_uint_eq(copy[i * SEGMENT + 5], value(i));
	ck_assert_uint_eq(info_of(region).segmentsMapped, 5);
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
	ck_assert_uint_eq(info_of(region).faults, LAZY);
	/* It has no slot: it never called. */
	ck_assert_uint_eq(info_of(region).threads, 0);
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

	for (long round = 0; round < size_of_test(3, 20, 1000); round++) {
		leave_and_join(0);
		pthread_barrier_init(&barrier, NULL, THREADS);
		for (unsigned i = 0; i < THREADS; i++)
			ck_assert_int_eq(pthread_create(&threads[i], NULL, touch_at_once, NULL), 0);
		for (unsigned i = 0; i < THREADS; i++) {
			ck_assert_int_eq(pthread_join(threads[i], &sum), 0);
			ck_assert_uint_eq((uintptr_t)sum, all_values());
		}
		pthread_barrier_destroy(&barrier);
		ck_assert_uint_eq(info_of(region).segmentsMapped, 1 + LAZY);
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
	ck_assert_uint_eq(info_of(region).faults, LAZY);
}
END_TEST

/* A process that shares nothing but the memory. */
START_TEST(touch_in_raw_clone_process_maps)
{
	char *stack = mmap(NULL, 64 * KIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int pid, status;

	ck_assert(stack != MAP_FAILED);
	pid = clone(touch_raw, stack + 64 * KIB, CLONE_VM | SIGCHLD, NULL);
	ck_assert_int_gt(pid, 0);
	status = child_wait(pid);
	ck_assert(WIFEXITED(status));
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
	handle_signal(SIGUSR1, touch_first, SA_ONSTACK);
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

	handle_signal(SIGUSR1, touch_nothing, SA_ONSTACK);
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
	ck_assert_uint_eq(info_of(region).faults, 0);
	close(fd);
}
END_TEST

START_TEST(map_ahead_of_range_maps_its_segments)
{
	ck_assert_int_eq(SASMapAhead(at[1] + SEGMENT - 1, SEGMENT + 2), 0);
	ck_assert_uint_eq(info_of(region).segmentsMapped, 4);
	ck_assert_int_eq(SASMapAhead(at[0], 0), 0);
	ck_assert_uint_eq(info_of(region).segmentsMapped, 4);
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
	map_ahead_fails(at[0], REGION);
	map_ahead_fails(at[0], SIZE_MAX);
	map_ahead_fails(at[LAZY - 1], 2 * SEGMENT);
	map_ahead_fails((void *)(uintptr_t)(info_of(region).base + REGION), 1);
}
END_TEST

static volatile int map_ahead_result;

static void map_ahead_in_handler(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)info;
	(void)context;
	map_ahead_result = SASMapAhead(at[0], LAZY * SEGMENT);
}

START_TEST(map_ahead_in_signal_handler_maps)
{
	map_ahead_result = -1;
	handle_signal(SIGUSR1, map_ahead_in_handler, 0);
	raise(SIGUSR1);
	ck_assert_int_eq(map_ahead_result, 0);
	ck_assert_uint_eq(info_of(region).segmentsMapped, LAZY + 1);
}
END_TEST

START_TEST(join_eager_maps_all_segments)
{
	leave_and_join(SAS_JOIN_EAGER);
	ck_assert_uint_eq(info_of(region).segmentsMapped, LAZY + 1);
	touch_all(NULL);
	ck_assert_uint_eq(info_of(region).faults, 0);
}
END_TEST

START_TEST(join_map64_maps_64_segments)
{
	void *block;

	for (unsigned i = LAZY; i < 70; i++)
		ck_assert_ptr_nonnull(block = SASRegionBlockAlloc(region, SEGMENT));
	store_byte(block, 9);
	leave_and_join(SAS_JOIN_MAP64);
	ck_assert_uint_eq(info_of(region).segmentsPresent, 71);
	ck_assert_uint_eq(info_of(region).segmentsMapped, 64);
	ck_assert_uint_eq(load_byte(block), 9);
	ck_assert_uint_eq(info_of(region).faults, 1);
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
		block = SASRegionBlockAlloc(region, 8 * SEGMENT);
		must(block != NULL);
		store_byte(block + 7 * SEGMENT, 88);
		must(write(to_us[1], &block, sizeof block) == sizeof block);
		_exit(0);
	}
	ck_assert_int_eq(read(to_us[0], &block, sizeof block), sizeof block);
	ck_assert_uint_eq(load_byte(block + 7 * SEGMENT), 88);
	ck_assert_int_eq(child_wait(pid), 0);
	ck_assert_int_eq(SASBlockFree(block, 8 * SEGMENT), 0);
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
	child_dies(touch_while_blocked, NULL, SIGSEGV);
	child_passes(touch_while_blocked, at);
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
	ck_assert_int_eq(SASRegionLeave(region), 0);
	region = NULL;
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
	must(SASRegionBlockAlloc(region, SEGMENT) != NULL);
	must(SASRegionLeave(region) == 0);
}

START_TEST(touch_after_close_range_opens_directory_again)
{
	child_passes(touch_after_close_range, NULL);
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
	child_passes(touch_after_numbers_are_taken, NULL);
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
	child_passes(leave_after_numbers_are_taken, NULL);
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
	child_passes(crowd_after_numbers_are_taken, NULL);
}
END_TEST

START_TEST(crowd_leaves_descriptors_that_took_numbers_of_ours)
{
	child_passes(crowd_after_numbers_are_taken, at);
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
	child_passes(touch_after_close_range, NULL);
}
END_TEST

/* --- other ways to start a process */

START_TEST(touch_in_vfork_child_maps)
{
	int status;
	pid_t pid = vfork();

	if (pid == 0)
		_exit(load_byte(at[4]));
	ck_assert_int_gt(pid, 0);
	status = child_wait(pid);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), value(4));
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
	ck_assert_int_eq(child_wait(pid), 0);
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
	ck_assert_int_eq(child_wait(pid), 0);
	touch_in_thread(NULL);
}
END_TEST

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
	child_dies(wild_load, nowhere, SIGSEGV);
	child_dies(wild_store, nowhere, SIGSEGV);
}
END_TEST

START_TEST(null_pointer_dies_by_sigsegv)
{
	child_dies(wild_load, NULL, SIGSEGV);
}
END_TEST

START_TEST(store_in_readonly_region_dies_by_sigsegv)
{
	leave_and_join(SAS_JOIN_READONLY);
	ck_assert_uint_eq(load_byte(at[1]), value(1));
	child_dies(wild_store, at[1], SIGSEGV);
	child_dies(wild_store, at[2], SIGSEGV);         /* not mapped yet */
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
	handle_signal(SIGSEGV, note_and_allow, 0);
	region = store_join(SAS_JOIN_READONLY);
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
	child_passes(own_handler_gets_nowhere, NULL);
	child_passes(own_handler_gets_readonly, NULL);
}
END_TEST

#if defined(__x86_64__)
struct stop {
	uintptr_t address, instruction;
};

static child_body traced_body;

static void traced(void *arg)
{
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
		_exit(77);
	traced_body(arg);
}

/* The SIGSEGVs that a child gets, from outside; how many, and its last wait status. */
static unsigned watch(child_body body, void *arg, struct stop stops[8], int *status)
{
	struct user_regs_struct registers;
	unsigned count = 0;
	siginfo_t info;
	pid_t pid;

	traced_body = body;
	pid = child_start(traced, arg);
	for (;;) {
		ck_assert_int_eq(waitpid(pid, status, 0), pid);
		if (!WIFSTOPPED(*status))
			return count;
		if (WSTOPSIG(*status) == SIGSEGV && count < 8) {
			ck_assert_int_eq(ptrace(PTRACE_GETSIGINFO, pid, NULL, &info), 0);
			ck_assert_int_eq(ptrace(PTRACE_GETREGS, pid, NULL, &registers), 0);
			stops[count].address = (uintptr_t)info.si_addr;
			stops[count].instruction = registers.rip;
			count++;
		}
		ptrace(PTRACE_CONT, pid, NULL, WSTOPSIG(*status));
	}
}

static void dies_at_load(void *address, unsigned faults)
{
	struct stop stops[8];
	int status;
	unsigned count = watch(wild_load, address, stops, &status);

	ck_assert(WIFSIGNALED(status));
	ck_assert_int_eq(WTERMSIG(status), SIGSEGV);
	ck_assert_uint_eq(count, faults);
	for (unsigned i = 0; i < count; i++) {
		ck_assert_uint_eq(stops[i].address, (uintptr_t)address);
		ck_assert_uint_lt(stops[i].instruction - (uintptr_t)load_byte, 64);
	}
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
	dies_at_load((void *)(uintptr_t)(info_of(region).base + SEGMENT), 2);
	ck_assert_int_eq(rename(to, from), 0);
	ck_assert_uint_ne(load_byte((void *)(uintptr_t)(info_of(region).base + SEGMENT)), 1);
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
	child_dies(send_to_self, NULL, SIGSEGV);
}
END_TEST

static void send_with_value(void *arg)
{
	union sigval v = { .sival_int = 4711 };

	(void)arg;
	must(SASRegionLeave(region) == 0);
	handle_signal(SIGSEGV, note_sent, 0);
	region = store_join(0);
	must(sigqueue(getpid(), SIGSEGV, v) == 0);
	must(sent_code == SI_QUEUE && sent_pid == getpid() && sent_value == 4711);
	must(kill(getpid(), SIGSEGV) == 0);
	must(sent_code == SI_USER);
	must(load_byte(at[0]) == value(0));
}

START_TEST(sigsegv_that_was_sent_reaches_own_handler)
{
	child_passes(send_with_value, NULL);
}
END_TEST

static void send_ignored(void *arg)
{
	must(SASRegionLeave(region) == 0);
	signal(SIGSEGV, SIG_IGN);
	region = store_join(0);
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
	child_passes(send_ignored, NULL);
	child_dies(send_ignored, nowhere, SIGSEGV);
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
	return ((uintptr_t)address - info_of(region).base) / SEGMENT;
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
		handle_signal(SIGBUS, note_bus, 0);
	region = store_join(0);
	must(load_byte(at[7]) == value(7));
	truncate_segment(n, 4096);
	must(info_of(region).busErrors == 0);
	load_byte(at[7] + 8192);
	must(wild_count == 1);
	must(wild_address == at[7] + 8192);
	must(info_of(region).busErrors == 1);
}

/* Puts the file back for the check. */
static void mend_truncated(unsigned long n)
{
	char name[300], from[300];
	char *page = malloc(SEGMENT + 4096);
	int in, out;

	snprintf(name, sizeof name, "%s/SAS%05lX.DAT", store, n);
	snprintf(from, sizeof from, "%s/kept", store);
	in = open(from, O_RDONLY);
	out = open(name, O_WRONLY);
	ck_assert_int_eq(read(in, page, SEGMENT + 4096), SEGMENT + 4096);
	ck_assert_int_eq(write(out, page, SEGMENT + 4096), SEGMENT + 4096);
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
	child_passes(touch_truncated, at);
	mend_truncated(n);
	keep_segment(n);
	child_dies(touch_truncated, NULL, SIGBUS);
	mend_truncated(n);
}
END_TEST

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
	handle_signal(SIGSEGV, mend_in_own, 0);
	must(load_byte(at[0]) == value(0));
	must(mended == 1);
	must(info_of(region).faults == 1);
	mended = 0;
	must(load_byte(at[1]) == value(1));
	must(mended == 1);
	if (arg)
		load_byte(arg);
}

START_TEST(handle_fault_in_own_handler_maps)
{
	int status;

	child_passes(touch_with_own_handler, NULL);
	status = child_wait(child_start(touch_with_own_handler, nowhere));
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 95);      /* not ours: 0 */
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
	ck_assert_uint_eq(info_of(region).segmentsMapped, 2);
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
		for (;;)
			touch_all(arg);
	return arg;
}

static void leave_under_touches(void *arg)
{
	pthread_t thread;

	(void)arg;
	must(SASRegionLeave(region) == 0);
	handle_signal(SIGSEGV, jump_out, 0);
	for (long i = 0; i < size_of_test(10, 100, 5000); i++) {
		region = store_join(0);
		must(pthread_create(&thread, NULL, touch_until_gone, NULL) == 0);
		must(until(info_of(region).faults > (uint64_t)i % LAZY, PATIENCE));
		must(SASRegionLeave(region) == 0);
		must(pthread_join(thread, NULL) == 0);
	}
}

START_TEST(leave_while_others_touch_ends)
{
	child_passes(leave_under_touches, NULL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fault");
	TCase *c = tcase_create("fault");

	tcase_add_checked_fixture(c, lazy_begin, lazy_end);
	tcase_set_timeout(c, 120);
	suite_add_tcase(suite, c);
	tcase_add_test(c, touch_by_load_maps_segment);
	tcase_add_test(c, touch_by_store_maps_segment);
	tcase_add_test(c, touch_by_atomic_maps_segment);
	tcase_add_test(c, touch_by_memcpy_over_segments_maps_all);
	tcase_add_test(c, touch_keeps_errno);
	tcase_add_test(c, touch_in_unaware_thread_maps);
	tcase_add_test(c, touch_by_many_threads_at_once_maps);
	if (!SANITIZED && !under_valgrind()) {
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
	tcase_add_test(c, touch_without_descriptors_uses_spare);
	tcase_add_test(c, touch_after_close_range_opens_directory_again);
	tcase_add_test(c, touch_leaves_descriptors_that_took_numbers_of_ours);
	tcase_add_test(c, leave_leaves_descriptors_that_took_numbers_of_ours);
	tcase_add_test(c, crowd_after_close_range_allocates);
	tcase_add_test(c, crowd_leaves_descriptors_that_took_numbers_of_ours);
	tcase_add_test(c, touch_after_chdir_maps);
	tcase_add_test(c, vfork_and_exec_leaves_region_alone);
	tcase_add_test(c, spawn_inherits_nothing);
	tcase_add_test(c, wild_pointer_in_region_dies_by_sigsegv);
	tcase_add_test(c, null_pointer_dies_by_sigsegv);
	tcase_add_test(c, store_in_readonly_region_dies_by_sigsegv);
	tcase_add_test(c, wild_pointer_gives_own_handler_its_address);
#if defined(__x86_64__)
	if (!under_valgrind()) {
		tcase_add_test(c, wild_pointer_dies_at_its_instruction);
		tcase_add_test(c, fault_on_mapped_segment_is_retried_once);
		tcase_add_test(c, touch_of_segment_without_file_dies_at_its_instruction);
	}
#endif
	tcase_add_test(c, sigsegv_that_was_sent_kills);
	tcase_add_test(c, sigsegv_that_was_sent_reaches_own_handler);
	tcase_add_test(c, sigsegv_ignored_by_program_is_ignored_when_sent);
	tcase_add_test(c, sigbus_of_truncated_file_is_counted_and_chained);
	tcase_add_test(c, handle_fault_in_own_handler_maps);
	tcase_add_test(c, handle_fault_of_what_is_not_ours_gives_0);
	tcase_add_test(c, leave_while_others_touch_ends);
	return run_suite(suite);
}
