/* SPDX-License-Identifier: MIT */
/*
 * test_port.c - the table of system calls, and what stands beside it: whole transfers, /proc,
 * attributes, UUIDs, hashes, NUMA masks.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../sas/ground/err.h"
#include "../sas/ground/hash.h"
#include "../sas/media/layout.h"
#include "../sas/ground/numa.h"
#include "../sas/ground/port.h"
#include "../sas/ground/uuid.h"
#include "../sas/ground/xattr.h"
#include "help.h"

#define LIMIT 65536

static char *directory, *path;
static int fd;
static char aligned[64] __attribute__((aligned(64)));
static struct sas_port port;    /* sas_port while a test replaces entries */

static void set_up(void)
{
	directory = help_store();
	path = help_path(directory, "file");
	fd = sas_port->openat(AT_FDCWD, path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	port = sas_port_linux;
}

static void tear_down(void)
{
	sas_port = &sas_port_linux;
	ck_assert_int_eq(sas_port->close(fd), 0);
}

static uint64_t file_size(void)
{
	struct stat st;

	ck_assert_int_eq(sas_port->fstat(fd, &st), 0);
	return (uint64_t)st.st_size;
}

START_TEST(each_entry_is_there)
{
	void *const *entries = (void *const *)(const void *)&sas_port_linux;

	for (size_t i = 0; i < sizeof sas_port_linux / sizeof *entries; i++)
		ck_assert_msg(entries[i] != NULL, "entry %zu is NULL", i);
	ck_assert_ptr_eq(sas_port, &sas_port_linux);
}
END_TEST

START_TEST(calls_that_fail_give_minus_errno)
{
	struct stat st;
	struct statfs fs;
	char byte = 0;

	ck_assert_int_eq(sas_port->openat(AT_FDCWD, "/nowhere/x", O_RDONLY, 0), -ENOENT);
	ck_assert_int_eq(sas_port->close(-1), -EBADF);
	ck_assert_int_eq(sas_port->fstat(-1, &st), -EBADF);
	ck_assert_int_eq(sas_port->fstatat(AT_FDCWD, "/nowhere", &st, 0), -ENOENT);
	ck_assert_int_eq(sas_port->fstatfs(-1, &fs), -EBADF);
	ck_assert_int_eq(sas_port->pread(-1, &byte, 1, 0), -EBADF);
	ck_assert_int_eq(sas_port->pwrite(-1, &byte, 1, 0), -EBADF);
	ck_assert_int_eq(sas_port->pwrite(fd, &byte, 1, UINT64_MAX), -EFBIG);
	ck_assert_int_eq(sas_port->ftruncate(-1, 0), -EBADF);
	ck_assert_int_eq(sas_port->fallocate(-1, 0, 0, 1), -EBADF);
	ck_assert_int_eq(sas_port->lseek(-1, 0, SEEK_SET), -EBADF);
	ck_assert_int_eq(sas_port->fsync(-1), -EBADF);
	ck_assert_int_eq(sas_port->fdatasync(-1), -EBADF);
	ck_assert_int_eq(sas_port->linkat(AT_FDCWD, path, AT_FDCWD, path, 0), -EEXIST);
	ck_assert_int_eq(sas_port->unlinkat(AT_FDCWD, "/nowhere/x", 0), -ENOENT);
	ck_assert_int_eq(sas_port->mkdirat(AT_FDCWD, directory, 0700), -EEXIST);
	ck_assert_int_eq(sas_port->fchmod(-1, 0600), -EBADF);
	ck_assert_int_eq(sas_port->fchown(-1, 0, 0), -EBADF);
	ck_assert_int_eq(sas_port->flock(-1, LOCK_SH), -EBADF);
	ck_assert_int_eq(sas_port->ofd_lock(-1, F_WRLCK, 0, 1), -EBADF);
	ck_assert_int_eq(sas_port->ofd_test(-1, F_WRLCK, 0, 1), -EBADF);
	ck_assert_int_eq(sas_port->munmap(aligned + 1, 1), -EINVAL);
	ck_assert_int_eq(sas_port->mprotect(aligned + 1, 1, PROT_READ), -EINVAL);
	ck_assert_int_eq(sas_port->msync(aligned + 1, 1, MS_SYNC), -EINVAL);
	ck_assert_int_eq(sas_port->sync_file_range(-1, 0, 1), -EBADF);
	ck_assert_int_eq(sas_port->madvise(aligned + 1, 1, MADV_NORMAL), -EINVAL);
	if (!help_emulated()) {         /* which does not pass them on */
		ck_assert_int_eq(sas_port->mbind(aligned + 1, 1, 0, NULL, 0, 0), -EINVAL);
		ck_assert_int_eq(sas_port->get_mempolicy(NULL, NULL, 0, NULL, ~0UL), -EINVAL);
	}
	if (!HELP_SANITIZED)    /* whose munlock() does nothing */
		ck_assert_int_eq(sas_port->munlock((void *)-4096UL, 8192), -EINVAL);
	ck_assert_int_eq(sas_port->fgetxattr(-1, "user.x", &byte, 1), -EBADF);
	ck_assert_int_eq(sas_port->fsetxattr(-1, "user.x", &byte, 1), -EBADF);
	ck_assert_int_eq(sas_port->getdents64(fd, &byte, 1), -ENOTDIR);
}
END_TEST

START_TEST(mmap_that_fails_gives_minus_errno_as_pointer)
{
	void *p = sas_port->mmap(NULL, 4096, PROT_READ, MAP_SHARED, -1, 0);

	ck_assert(SAS_MAP_FAILED(p));
	ck_assert_int_eq((intptr_t)p, -EBADF);
	p = sas_port->mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert(!SAS_MAP_FAILED(p));
	ck_assert_int_eq(sas_port->munmap(p, 4096), 0);
}
END_TEST

/* Files beyond the limit would kill by SIGXFSZ, which a test would show. */
static void limit_file_size(void)
{
	struct rlimit limit = { LIMIT, LIMIT };

	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

START_TEST(growth_beyond_file_size_limit_gives_efbig)
{
	char bytes[2] = "xy";

	limit_file_size();
	ck_assert_int_eq(sas_port->ftruncate(fd, LIMIT), 0);
	ck_assert_int_eq(sas_port->ftruncate(fd, LIMIT + 1), -EFBIG);
	ck_assert_int_eq(sas_port->fallocate(fd, 0, LIMIT, 1), -EFBIG);
	ck_assert_int_eq(sas_port->fallocate(fd, 0, UINT64_MAX, 1), -EFBIG);
	ck_assert_int_eq(sas_port->pwrite(fd, bytes, 1, LIMIT), -EFBIG);
	ck_assert_int_eq(sas_port->pwrite(fd, bytes, 2, LIMIT - 1), 1);
	ck_assert_int_eq(sas_port_pwrite_all(fd, bytes, 2, LIMIT - 1), -EFBIG);
	ck_assert_uint_eq(file_size(), LIMIT);
}
END_TEST

START_TEST(ftruncate_of_larger_file_than_limit_shrinks_it)
{
	ck_assert_int_eq(sas_port->ftruncate(fd, 4 * LIMIT), 0);
	limit_file_size();
	ck_assert_int_eq(sas_port->ftruncate(fd, 2 * LIMIT), 0);
	ck_assert_uint_eq(file_size(), 2 * LIMIT);
	ck_assert_int_eq(sas_port->ftruncate(fd, UINT64_MAX), -EFBIG);
}
END_TEST

#ifndef __SANITIZE_THREAD__     /* it delivers signals late, not inside the call */
/* A thread that blocks in a call of the table, and one that interrupts it. */
static volatile int interruptions;
static volatile int lock_result = 1;

static void count_interruption(int signal)
{
	(void)signal;
	__atomic_fetch_add(&interruptions, 1, __ATOMIC_SEQ_CST);
}

static void *lock_file(void *arg)
{
	int second = open(path, O_RDWR | O_CLOEXEC);

	__atomic_store_n((int *)arg, (int)syscall(SYS_gettid), __ATOMIC_SEQ_CST);
	lock_result = sas_port->flock(second, LOCK_EX);
	close(second);
	return NULL;
}

/* Whether a thread is inside a system call. */
static int is_in_call(int tid, long number)
{
	char name[64], text[128] = "";
	int file;

	snprintf(name, sizeof name, "/proc/self/task/%d/syscall", tid);
	file = open(name, O_RDONLY);
	if (file < 0 || read(file, text, sizeof text - 1) <= 0)
		text[0] = '\0';
	if (file >= 0)
		close(file);
	return strtol(text, NULL, 10) == number && text[0] != '\0';
}

START_TEST(call_that_is_interrupted_goes_on)
{
	struct sigaction action = { .sa_handler = count_interruption };    /* no SA_RESTART */
	pthread_t thread;
	int tid = 0;

	if (help_emulated() || access("/proc/self/syscall", R_OK) != 0) {
		puts("call_that_is_interrupted_goes_on: skipped, there is no /proc/self/syscall of the test's own");
		return;
	}
	ck_assert_int_eq(sigaction(SIGUSR1, &action, NULL), 0);
	ck_assert_int_eq(sas_port->flock(fd, LOCK_EX), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, lock_file, &tid), 0);
	while (__atomic_load_n(&tid, __ATOMIC_SEQ_CST) == 0)
		sched_yield();
	for (int i = 0; i < 3; i++) {
		while (!is_in_call(tid, SYS_flock))
			sched_yield();
		pthread_kill(thread, SIGUSR1);
		while (__atomic_load_n(&interruptions, __ATOMIC_SEQ_CST) == i)
			sched_yield();
	}
	ck_assert_int_eq(lock_result, 1);
	ck_assert_int_eq(sas_port->flock(fd, LOCK_UN), 0);
	pthread_join(thread, NULL);
	ck_assert_int_eq(lock_result, 0);
}
END_TEST
#endif

START_TEST(ofd_lock_excludes_other_description)
{
	int other = sas_port->openat(AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);

	ck_assert_int_eq(sas_port->ofd_test(other, F_WRLCK, 10, 1), 0);
	ck_assert_int_eq(sas_port->ofd_lock(fd, F_WRLCK, 10, 1), 0);
	ck_assert_int_eq(sas_port->ofd_test(fd, F_WRLCK, 10, 1), 0);
	ck_assert_int_eq(sas_port->ofd_test(other, F_WRLCK, 10, 1), 1);
	ck_assert_int_eq(sas_port->ofd_test(other, F_RDLCK, 0, 100), 1);
	ck_assert_int_eq(sas_port->ofd_test(other, F_WRLCK, 11, 1), 0);
	ck_assert_int_eq(sas_port->ofd_lock(other, F_RDLCK, 10, 1), -EAGAIN);
	ck_assert_int_eq(sas_port->ofd_lock(fd, F_UNLCK, 10, 1), 0);
	ck_assert_int_eq(sas_port->ofd_lock(other, F_RDLCK, 10, 1), 0);
	sas_port->close(other);
}
END_TEST

START_TEST(getdents64_lists_names)
{
	char buffer[1024];
	int dir = sas_port->openat(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	ssize_t n = sas_port->getdents64(dir, buffer, sizeof buffer);

	ck_assert_int_gt(n, 0);
	ck_assert_ptr_nonnull(memmem(buffer, (size_t)n, "file", 5));
	ck_assert_int_eq(sas_port->getdents64(dir, buffer, sizeof buffer), 0);
	sas_port->close(dir);
}
END_TEST

/* Transfers at most 3 bytes at a time. */
static ssize_t short_pread(int file, void *buffer, size_t size, uint64_t offset)
{
	return sas_port_linux.pread(file, buffer, size < 3 ? size : 3, offset);
}

static ssize_t short_pwrite(int file, const void *buffer, size_t size, uint64_t offset)
{
	return sas_port_linux.pwrite(file, buffer, size < 3 ? size : 3, offset);
}

static ssize_t full_pwrite(int file, const void *buffer, size_t size, uint64_t offset)
{
	return offset >= 6 ? -ENOSPC : short_pwrite(file, buffer, size, offset);
}

START_TEST(whole_transfers_survive_short_counts)
{
	char text[11];

	port.pread = short_pread;
	port.pwrite = short_pwrite;
	sas_port = &port;
	ck_assert_int_eq(sas_port_pwrite_all(fd, "0123456789", 11, 5), 0);
	ck_assert_int_eq(sas_port_pread_all(fd, text, 11, 5), 0);
	ck_assert_str_eq(text, "0123456789");
	ck_assert_uint_eq(file_size(), 16);
}
END_TEST

START_TEST(whole_transfers_that_cannot_be_give_error)
{
	char text[11];

	ck_assert_int_eq(sas_port_pwrite_all(fd, "0123", 4, 0), 0);
	ck_assert_int_eq(sas_port_pread_all(fd, text, 5, 0), -EIO);
	ck_assert_int_eq(sas_port_pread_all(-1, text, 5, 0), -EBADF);
	port.pwrite = full_pwrite;
	sas_port = &port;
	ck_assert_int_eq(sas_port_pwrite_all(fd, "0123456789", 11, 0), -ENOSPC);
}
END_TEST

START_TEST(random_bytes_differ)
{
	uint8_t a[600] = {0}, b[600] = {0};

	ck_assert_int_eq(sas_port_random(a, sizeof a), 0);
	ck_assert_int_eq(sas_port_random(b, sizeof b), 0);
	ck_assert_int_ne(memcmp(a, b, sizeof a), 0);
	ck_assert_int_ne(memcmp(a + 568, b + 568, 32), 0);
}
END_TEST

START_TEST(boot_id_is_that_of_the_kernel)
{
	char text[64] = "", ours[SAS_UUID_TEXT];
	uint8_t id[16];
	FILE *file = fopen("/proc/sys/kernel/random/boot_id", "r");

	if (file == NULL)
		return;
	ck_assert_int_eq(fscanf(file, "%63s", text), 1);
	fclose(file);
	sas_port_boot_id(id);
	sas_uuid_text(id, ours);
	ck_assert_str_eq(ours, text);
}
END_TEST

START_TEST(pid_namespace_is_shared_with_child)
{
	uint64_t here = sas_port_pid_namespace();
	int status;

	ck_assert_uint_ne(here, 0);
	if (fork() == 0)
		_exit(sas_port_pid_namespace() != here);
	ck_assert_int_gt(wait(&status), 0);
	ck_assert_int_eq(status, 0);
}
END_TEST

static void finds_zero(void *arg)
{
	must(*(uint32_t *)arg == 0);
}

START_TEST(wiped_word_is_zero_in_a_child_alone)
{
	uint32_t *one = sas_port_wiped_word(), *other = sas_port_wiped_word();

	if (!one) {
		printf("skipped: this kernel does not wipe\n");
		return;
	}
	ck_assert_ptr_nonnull(other);
	ck_assert_ptr_ne(one, other);
	ck_assert_uint_eq(*one, 0);
	*one = 5;
	ck_assert_uint_eq(*other, 0);
	help_in_child(finds_zero, one);
	ck_assert_uint_eq(*one, 5);
}
END_TEST

START_TEST(apart_is_not_what_a_program_is)
{
	ck_assert_int_eq(sas_port_apart(), 0);
}
END_TEST

START_TEST(occupant_names_range_and_file)
{
	char text[256], expected[256], small[8];
	char *p;

	ck_assert_int_eq(sas_port->ftruncate(fd, 4096), 0);
	p = sas_port->mmap(NULL, 3 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert(!SAS_MAP_FAILED(p));
	ck_assert_int_eq(sas_port->munmap(p, 3 * 4096), 0);
	sas_port_occupant((uintptr_t)p, 3 * 4096, text, sizeof text);
	ck_assert_str_eq(text, "");
	ck_assert_ptr_eq(sas_port->mmap(p + 4096, 4096, PROT_READ, MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0),
			 p + 4096);
	sas_port_occupant((uintptr_t)p, 3 * 4096, text, sizeof text);
	snprintf(expected, sizeof expected, "%08lx-%08lx %s", (unsigned long)(uintptr_t)p + 4096,
		 (unsigned long)(uintptr_t)p + 2 * 4096, path);
	ck_assert_str_eq(text, expected);
	sas_port_occupant((uintptr_t)p, 4096, text, sizeof text);
	ck_assert_str_eq(text, "");
	sas_port_occupant((uintptr_t)p + 2 * 4096, 4096, text, sizeof text);
	ck_assert_str_eq(text, "");
	sas_port_occupant((uintptr_t)p + 4096, 1, small, sizeof small);
	ck_assert_int_eq(strncmp(small, expected, 7), 0);
	ck_assert_uint_eq(strlen(small), 7);
}
END_TEST

START_TEST(occupant_without_name_is_anonymous)
{
	char text[256];
	char *p = sas_port->mmap((void *)0x300000000000, 1 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
				 0);

	ck_assert(!SAS_MAP_FAILED(p));
	sas_port_occupant((uintptr_t)p, 4096, text, sizeof text);
	ck_assert_ptr_nonnull(strstr(text, " anonymous memory"));
}
END_TEST

/* Many mappings, so that lines lie across the ends of what one read gives. */
START_TEST(occupant_is_found_among_many)
{
	char text[256], expected[64];
	char *p = sas_port->mmap(NULL, 2000 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert(!SAS_MAP_FAILED(p));
	for (size_t i = 0; i < 2000; i += 2)
		ck_assert_int_eq(sas_port->mprotect(p + i * 4096, 4096, PROT_READ), 0);
	for (size_t i = 1; i < 1999; i += 97) {
		sas_port_occupant((uintptr_t)p + i * 4096, 4096, text, sizeof text);
		snprintf(expected, sizeof expected, "%08lx-%08lx ", (unsigned long)(uintptr_t)(p + i * 4096),
			 (unsigned long)(uintptr_t)(p + (i + 1) * 4096));
		ck_assert_msg(strncmp(text, expected, strlen(expected)) == 0, "%s is not %s", text, expected);
	}
}
END_TEST

START_TEST(xattr_keeps_value_or_is_not_supported)
{
	char value[16] = "";
	int error = sas_xattr_set(fd, "uuid", "value", 5);

	if (error == -EOPNOTSUPP) {
		ck_assert_str_eq(sas_err_last(), "");
		return;
	}
	ck_assert_int_eq(error, 0);
	ck_assert_int_eq(sas_xattr_get(fd, "uuid", value, sizeof value), 5);
	ck_assert_str_eq(value, "value");
	ck_assert_int_eq(sas_xattr_get(fd, "other", value, sizeof value), -ENODATA);
	ck_assert_str_eq(sas_err_last(), "");
	ck_assert_int_eq(sas_xattr_get(fd, "uuid", value, 2), -ERANGE);
}
END_TEST

/* What the port was given, so that the tests below need no file system with attributes. */
static char given[8][64];
static int given_count, given_error;

static int record_fsetxattr(int file, const char *name, const void *value, size_t size)
{
	(void)file;
	if (given_count < 8)
		snprintf(given[given_count++], sizeof given[0], "%s=%.*s", name, (int)size,
			 (const char *)value);
	return given_error;
}

START_TEST(xattr_describe_writes_readable_values)
{
	struct sas_m_trailer trailer = { .number = 12, .base = 0x200000000000, .format = 1, .generation = 3 };
	struct sas_m_anchor anchor = { .numa_policy = 3, .numa_spread = 1, .numa_nodes = { 5 }, .huge = 2 }, plain = { 0 };

	trailer.uuid[0] = 0xab;
	trailer.uuid[15] = 1;
	port.fsetxattr = record_fsetxattr;
	sas_port = &port;
	ck_assert_int_eq(sas_xattr_describe(fd, &trailer, &plain), 0);
	ck_assert_int_eq(given_count, 5);
	given_count = 0;
	ck_assert_int_eq(sas_xattr_describe(fd, &trailer, &anchor), 0);
	ck_assert_int_eq(given_count, 7);
	ck_assert_str_eq(given[0], "user.sasphere.uuid=ab000000-0000-0000-0000-000000000001");
	ck_assert_str_eq(given[1], "user.sasphere.segment=12");
	ck_assert_str_eq(given[2], "user.sasphere.base=0x200000000000");
	ck_assert_str_eq(given[3], "user.sasphere.format=1");
	ck_assert_str_eq(given[4], "user.sasphere.generation=3");
	ck_assert_str_eq(given[5], "user.sasphere.numa=interleave-segments:0,2");
	ck_assert_str_eq(given[6], "user.sasphere.huge=hugetlb");
}
END_TEST

START_TEST(xattr_that_fails_says_why)
{
	struct sas_m_trailer trailer = {0};
	struct sas_m_anchor anchor = {0};

	port.fsetxattr = record_fsetxattr;
	sas_port = &port;
	given_error = -EOPNOTSUPP;
	ck_assert_int_eq(sas_xattr_describe(fd, &trailer, &anchor), -EOPNOTSUPP);
	ck_assert_int_eq(given_count, 1);
	ck_assert_str_eq(sas_err_last(), "");
	given_error = -ENOSPC;
	ck_assert_int_eq(sas_xattr_describe(fd, &trailer, &anchor), -ENOSPC);
	ck_assert_ptr_nonnull(strstr(sas_err_last(), "user.sasphere.uuid"));
	ck_assert_int_eq(sas_xattr_set(fd, "", "x", 1), -EINVAL);
}
END_TEST

START_TEST(uuid_is_random_version_4)
{
	uint8_t a[16], b[16];
	char text[SAS_UUID_TEXT];

	ck_assert_int_eq(sas_uuid_new(a), 0);
	ck_assert_int_eq(sas_uuid_new(b), 0);
	ck_assert_int_ne(memcmp(a, b, 16), 0);
	ck_assert_int_eq(a[6] >> 4, 4);
	ck_assert_int_eq(a[8] >> 6, 2);
	sas_uuid_text(a, text);
	ck_assert_uint_eq(strlen(text), 36);
	ck_assert_int_eq(text[14], '4');
}
END_TEST

/* From the specification of xxHash: these are in files, and must never change. */
START_TEST(hash_has_values_of_specification)
{
	ck_assert_uint_eq(sas_hash64("", 0), 0xef46db3751d8e999U);
	ck_assert_uint_eq(sas_hash64("abc", 3), 0x44bc2cf5ad770999U);
	ck_assert_uint_eq(sas_hash32("", 0, 0), 0x02cc5d05U);
	ck_assert_uint_eq(sas_hash32("abc", 3, 0), 0x32d153ffU);
	ck_assert_uint_ne(sas_hash32("abc", 3, 1), 0x32d153ffU);
}
END_TEST

START_TEST(numa_parse_of_null_gives_empty_mask)
{
	uint64_t mask[SAS_NUMA_WORDS];

	memset(mask, 0xff, sizeof mask);
	ck_assert_int_eq(sas_numa_parse(NULL, mask), 0);
	for (unsigned i = 0; i < SAS_NUMA_WORDS; i++)
		ck_assert_uint_eq(mask[i], 0);
}
END_TEST

static int warnings;

static void count_warning(int level, const char *sentence, void *arg)
{
	(void)arg;
	ck_assert_int_eq(level, SAS_ERR_WARNING);
	ck_assert_ptr_nonnull(strstr(sentence, "NUMA"));
	warnings++;
}

START_TEST(numa_parse_reads_lists_or_warns)
{
	static const char *const good[] = { "0", "0-0", "0,0", "all", "+0", "0,0-0" };
	uint64_t mask[SAS_NUMA_WORDS];

	sas_err_set_sink(count_warning, NULL, SAS_ERR_WARNING);
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		ck_assert_int_eq(sas_numa_parse(good[i], mask), 0);
		ck_assert_msg((mask[0] & 1) == 1 || warnings == 1, "node 0 is not in \"%s\"", good[i]);
	}
	ck_assert_int_le(warnings, 1);
}
END_TEST

/* Standard error is a pipe here: nothing may be printed. */
START_TEST(numa_parse_of_bad_list_gives_einval_and_prints_nothing)
{
	static const char *const bad[] = {
		"", "x", "0-", "-0", "0,", ",0", "0 1", "1-0", "99999", "0-1024", "!", "!1023",
		"+", "+4000000000", "0x1", "99999999999999999999", "allx", "0-0-0",
	};
	uint64_t mask[SAS_NUMA_WORDS];
	int ends[2], supported, refused = 1;
	char text[256];

	sas_err_set_sink(count_warning, NULL, SAS_ERR_WARNING);
	ck_assert_int_eq(sas_numa_parse("0", mask), 0);
	supported = mask[0] & 1;
	sas_err_set_sink(NULL, NULL, 0);
	ck_assert_int_eq(pipe2(ends, O_NONBLOCK), 0);
	ck_assert_int_eq(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
	for (size_t i = 0; supported && i < sizeof bad / sizeof bad[0]; i++)
		refused = refused && sas_numa_parse(bad[i], mask) == -EINVAL && mask[0] == 0;
	ck_assert_int_eq(read(ends[0], text, sizeof text), -1);
	ck_assert_int_eq(refused, 1);
}
END_TEST

START_TEST(numa_text_is_what_numa_parse_reads)
{
	uint64_t mask[SAS_NUMA_WORDS] = { [0] = 0x8000000000000017, [1] = 1, [15] = 1UL << 63 }, again[SAS_NUMA_WORDS];
	char text[SAS_NUMA_TEXT], little[16];

	ck_assert_str_eq(sas_numa_text(mask, text, sizeof text), "0-2,4,63-64,1023");
	ck_assert_str_eq(sas_numa_text(mask, little, sizeof little), "0-2,4");
	sas_err_set_sink(count_warning, NULL, SAS_ERR_WARNING);
	ck_assert_int_eq(sas_numa_parse(text, again), 0);
	ck_assert(warnings == 1 || memcmp(mask, again, sizeof mask) == 0);
	/* The longest that there is. */
	memset(mask, 0x55, sizeof mask);
	sas_numa_text(mask, text, sizeof text);
	ck_assert_str_eq(text + strlen(text) - 5, ",1022");
	memset(mask, 0, sizeof mask);
	ck_assert_str_eq(sas_numa_text(mask, text, sizeof text), "");
}
END_TEST

START_TEST(numa_nth_goes_round)
{
	static const uint64_t mask[SAS_NUMA_WORDS] = { [0] = 5, [2] = 2 }, none[SAS_NUMA_WORDS];
	static const unsigned nodes[] = { 0, 2, 129, 0, 2, 129 };
	uint64_t one[SAS_NUMA_WORDS];
	char text[SAS_NUMA_TEXT], wanted[8];

	for (unsigned n = 0; n < 6; n++) {
		sas_numa_nth(mask, n, one);
		snprintf(wanted, sizeof wanted, "%u", nodes[n]);
		ck_assert_str_eq(sas_numa_text(one, text, sizeof text), wanted);
	}
	sas_numa_nth(none, 3, one);
	ck_assert_str_eq(sas_numa_text(one, text, sizeof text), "");
}
END_TEST

#define PLACED (1UL << 20)

static void *map_shared(void)
{
	void *p = sas_port->mmap(NULL, PLACED, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ck_assert(!SAS_MAP_FAILED(p));
	return p;
}

START_TEST(numa_placement_reads_back_what_numa_place_asked)
{
	uint64_t mask[SAS_NUMA_WORDS] = { 1 }, read[SAS_NUMA_WORDS];
	unsigned char *p = map_shared();
	unsigned found;

	if (sas_numa_place(p, PLACED, SAS_NUMA_BIND, mask, 0) != 0) {
		puts("skipped: no NUMA policies here");
		return;
	}
	for (unsigned policy = SAS_NUMA_PREFERRED; policy <= SAS_NUMA_INTERLEAVE; policy++) {
		ck_assert_int_eq(sas_numa_place(p, PLACED / 2, policy, mask, 1), 0);
		ck_assert_int_eq(sas_numa_placement(p, &found, read), 0);
		ck_assert_uint_eq(found, policy);
		ck_assert_int_eq(memcmp(read, mask, sizeof mask), 0);
	}
	ck_assert_int_eq(sas_numa_placement(p + PLACED / 2, &found, read), 0);
	ck_assert_uint_eq(found, SAS_NUMA_BIND);
	ck_assert_int_eq(sas_numa_place(p, PLACED, SAS_NUMA_DEFAULT, mask, 0), 0);
	ck_assert_int_eq(sas_numa_placement(p, &found, read), 0);
	ck_assert_uint_eq(found, SAS_NUMA_DEFAULT);
	ck_assert_uint_eq(read[0], 0);
}
END_TEST

START_TEST(numa_place_that_fails_is_told_once)
{
	uint64_t mask[SAS_NUMA_WORDS] = {0};
	unsigned char *p = map_shared();

	sas_err_set_sink(count_warning, NULL, SAS_ERR_WARNING);
	for (unsigned policy = SAS_NUMA_DEFAULT; policy <= SAS_NUMA_INTERLEAVE; policy++) {
		mask[0] = 0;
		sas_numa_warn(sas_numa_place(p, PLACED, policy, mask, 0));
		mask[0] = 1;
		sas_numa_warn(sas_numa_place(p, PLACED, policy, mask, 0));
	}
	ck_assert_int_le(warnings, 1);
	ck_assert_int_eq(sas_numa_place(p, PLACED, SAS_NUMA_DEFAULT, mask, 0), 0);
	ck_assert_int_lt(sas_numa_place((void *)1, PLACED, SAS_NUMA_BIND, mask, 0), 0);
	ck_assert_int_lt(sas_numa_place(p, PLACED, 99, mask, 0), 0);
	sas_numa_warn(sas_numa_place((void *)1, PLACED, SAS_NUMA_BIND, mask, 0));
	/* A machine without the nodes that the region was made for. */
	memset(mask, 0, sizeof mask);
	mask[15] = 1UL << 63;
	sas_numa_warn(sas_numa_place(p, PLACED, SAS_NUMA_BIND, mask, 0));
	ck_assert_int_eq(warnings, 1);
	memset(p, 1, PLACED);
}
END_TEST

static void add_table_tests(TCase *tests)
{
	tcase_add_test(tests, each_entry_is_there);
	tcase_add_test(tests, calls_that_fail_give_minus_errno);
	tcase_add_test(tests, mmap_that_fails_gives_minus_errno_as_pointer);
	tcase_add_test(tests, growth_beyond_file_size_limit_gives_efbig);
	tcase_add_test(tests, ftruncate_of_larger_file_than_limit_shrinks_it);
#ifndef __SANITIZE_THREAD__
	tcase_add_test(tests, call_that_is_interrupted_goes_on);
#endif
	tcase_add_test(tests, ofd_lock_excludes_other_description);
	tcase_add_test(tests, getdents64_lists_names);
	tcase_add_test(tests, whole_transfers_survive_short_counts);
	tcase_add_test(tests, whole_transfers_that_cannot_be_give_error);
}

static void add_system_tests(TCase *tests)
{
	tcase_add_test(tests, random_bytes_differ);
	tcase_add_test(tests, boot_id_is_that_of_the_kernel);
	tcase_add_test(tests, pid_namespace_is_shared_with_child);
	help_add_native(tests, wiped_word_is_zero_in_a_child_alone);
	tcase_add_test(tests, apart_is_not_what_a_program_is);
	tcase_add_test(tests, occupant_names_range_and_file);
	tcase_add_test(tests, occupant_without_name_is_anonymous);
	tcase_add_test(tests, occupant_is_found_among_many);
}

static void add_neighbour_tests(TCase *tests)
{
	tcase_add_test(tests, xattr_keeps_value_or_is_not_supported);
	tcase_add_test(tests, xattr_describe_writes_readable_values);
	tcase_add_test(tests, xattr_that_fails_says_why);
	tcase_add_test(tests, uuid_is_random_version_4);
	tcase_add_test(tests, hash_has_values_of_specification);
	tcase_add_test(tests, numa_parse_of_null_gives_empty_mask);
	tcase_add_test(tests, numa_parse_reads_lists_or_warns);
	tcase_add_test(tests, numa_parse_of_bad_list_gives_einval_and_prints_nothing);
	tcase_add_test(tests, numa_text_is_what_numa_parse_reads);
	tcase_add_test(tests, numa_nth_goes_round);
	tcase_add_test(tests, numa_placement_reads_back_what_numa_place_asked);
	help_add_native(tests, numa_place_that_fails_is_told_once);
}

int main(void)
{
	static void (*const add[])(TCase *) = { add_table_tests, add_system_tests, add_neighbour_tests };
	static const char *const names[] = { "table", "system", "neighbours" };
	Suite *suite = suite_create("port");

	for (unsigned i = 0; i < 3; i++) {
		TCase *tests = help_case(suite, names[i]);

		tcase_add_checked_fixture(tests, set_up, tear_down);
		add[i](tests);
	}
	return help_main(suite);
}
