/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "help.h"
#include "sasinspect.h"

static char all_stores[2048];

/* --- directories */

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st;
	(void)where;
	if (type == FTW_DNR)
		chmod(path, 0700);
	return remove(path) != 0;
}

int help_main(Suite *suite)
{
	const char *where = getenv("TMPDIR");
	SRunner *runner = srunner_create(suite);
	int failed;

	snprintf(all_stores, sizeof all_stores, "%s/sastest.XXXXXX", where && *where ? where : "/tmp");
	if (!mkdtemp(all_stores) || chmod(all_stores, 0755) != 0) {
		perror(all_stores);
		return EXIT_FAILURE;
	}
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	nftw(all_stores, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

char *help_store(void)
{
	static char stores[256][sizeof all_stores + 16];
	static unsigned used;
	char *store = stores[used++ % 256];

	snprintf(store, sizeof stores[0], "%s/XXXXXX", all_stores);
	ck_assert_msg(mkdtemp(store) != NULL, "%s: %s", store, strerror(errno));
	return store;
}

char *help_path(const char *store, const char *name)
{
	static char paths[8][4096];
	static unsigned used;
	char *path = paths[used++ % 8];

	ck_assert_int_lt(snprintf(path, sizeof paths[0], "%s/%s", store, name), (int)sizeof paths[0]);
	return path;
}

int help_size(void)
{
	const char *size = getenv("SAS_TEST_SIZE");

	return !size ? 1 : strcmp(size, "ci") == 0 ? 0 : strcmp(size, "long") == 0 ? 2 : 1;
}

int help_valgrind(void)
{
	const char *preloaded = getenv("LD_PRELOAD");

	return preloaded && strstr(preloaded, "vgpreload") != NULL;
}

int help_instrumented(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	return 1;
#else
	return help_valgrind();
#endif
}

void *help_map(void *block, size_t size)
{
	if (block && help_valgrind())
		SASMapAhead(block, size);
	return block;
}

/* --- regions */

void help_options(SASRegionOptions *options, unsigned flags)
{
	SASRegionOptionsInit(options);
	options->flags = flags;
	options->base = HELP_BASE;
	options->regionSize = HELP_REGION;
	options->segmentSize = HELP_SEGMENT;
}

SASRegion_t help_join(const char *store, unsigned flags)
{
	SASRegionOptions options;
	SASRegion_t region;

	help_options(&options, flags);
	region = SASRegionJoin(store, &options);
	ck_assert_msg(region != NULL, "join: %s", SASLastErrorMessage());
	return region;
}

SASRegion_t help_create(const char *store)
{
	return help_join(store, SAS_JOIN_CREATE);
}

void help_leave(SASRegion_t region)
{
	ck_assert_msg(SASRegionLeave(region) == 0, "leave: %s", SASLastErrorMessage());
}

void help_classic(const char *store)
{
	setenv("SASSTOREPATH", store, 1);
	setenv("SAS_BASE", "0x565800000000", 1);
	setenv("SAS_REGION_SIZE", "64M", 1);
	setenv("SAS_SEGMENT_SIZE", "2M", 1);
}

SASRegionInfo help_info(SASRegion_t region)
{
	SASRegionInfo info = { .structSize = sizeof info };

	ck_assert_msg(SASRegionGetInfo(region, &info) == 0, "info: %s", SASLastErrorMessage());
	return info;
}

/* --- what is on the disk */

static void print_problem(const char *file, uint64_t offset, const char *sentence, void *arg)
{
	(void)arg;
	fprintf(stderr, "%s: offset %llu: %s\n", file, (unsigned long long)offset, sentence);
}

void help_clean(const char *store)
{
	long problems = SASRegionCheck(store, print_problem, NULL);

	ck_assert_msg(problems == 0, "check of %s: %ld: %s", store, problems, SASLastErrorMessage());
}

void help_works(const char *store)
{
	SASRegion_t region;
	void *small, *large;

	if (access(help_path(store, "SAS00000.DAT"), F_OK) == 0)
		help_clean(store);
	region = help_create(store);
	small = SASRegionBlockAlloc(region, 4096);
	ck_assert_msg(small != NULL, "alloc: %s", SASLastErrorMessage());
	large = SASRegionBlockAlloc(region, 2 * HELP_SEGMENT);
	ck_assert_msg(large != NULL, "alloc of a large block: %s", SASLastErrorMessage());
	memset(small, 0x5a, 4096);
	help_map(large, 2 * HELP_SEGMENT);
	memset(large, 0x5a, 2 * HELP_SEGMENT);
	help_clean(store);
	ck_assert_msg(SASBlockFree(large, 2 * HELP_SEGMENT) == 0, "free: %s", SASLastErrorMessage());
	ck_assert_msg(SASBlockFree(small, 4096) == 0, "free: %s", SASLastErrorMessage());
	help_leave(region);
	help_clean(store);
}

static void mix(uint64_t *sum, const void *bytes, size_t size)
{
	const uint8_t *from = bytes;

	for (size_t i = 0; i < size; i++)
		*sum = (*sum ^ from[i]) * 0x100000001b3UL;
}

/* Of the bytes that the file has, not of its holes. */
static void mix_contents(uint64_t *sum, int fd, off_t size)
{
	uint64_t words[8192];
	ssize_t got;

	for (off_t at = lseek(fd, 0, SEEK_DATA); at >= 0 && at < size; at = lseek(fd, at + got, SEEK_DATA)) {
		got = pread(fd, words, sizeof words, at);
		ck_assert_int_gt(got, 0);
		mix(sum, &at, sizeof at);
		for (size_t i = 0; i < (size_t)got / sizeof words[0]; i++)
			*sum = (*sum ^ words[i]) * 0x9e3779b97f4a7c15UL;
		mix(sum, (char *)words + ((size_t)got & ~7UL), (size_t)got & 7);
	}
}

static uint64_t fingerprint_of(int dir, const char *name)
{
	uint64_t sum = 0xcbf29ce484222325UL;
	struct stat st;

	ck_assert_int_eq(fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW), 0);
	mix(&sum, name, strlen(name));
	mix(&sum, &st.st_ino, sizeof st.st_ino);
	mix(&sum, &st.st_mode, sizeof st.st_mode);
	mix(&sum, &st.st_uid, sizeof st.st_uid);
	mix(&sum, &st.st_gid, sizeof st.st_gid);
	mix(&sum, &st.st_size, sizeof st.st_size);
	if (!S_ISDIR(st.st_mode))
		mix(&sum, &st.st_mtim, sizeof st.st_mtim);
	if (S_ISREG(st.st_mode)) {
		int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

		ck_assert_int_ge(fd, 0);
		mix_contents(&sum, fd, st.st_size);
		close(fd);
	}
	return sum;
}

uint64_t help_fingerprint(const char *store)
{
	DIR *directory = opendir(store);
	struct dirent *entry;
	uint64_t sum = 0;

	ck_assert_msg(directory != NULL, "%s: %s", store, strerror(errno));
	while ((entry = readdir(directory)) != NULL)
		if (strcmp(entry->d_name, "SAS.run") != 0 && strcmp(entry->d_name, "..") != 0)
			sum += fingerprint_of(dirfd(directory), entry->d_name);
	closedir(directory);
	return sum;
}

static int count_entries(const char *path, const char *prefix)
{
	DIR *directory = opendir(path);
	struct dirent *entry;
	int count = 0;

	ck_assert_msg(directory != NULL, "%s: %s", path, strerror(errno));
	while ((entry = readdir(directory)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			count += strncmp(entry->d_name, prefix, strlen(prefix)) == 0;
	closedir(directory);
	return count;
}

int help_files(const char *store, const char *prefix)
{
	return count_entries(store, prefix);
}

int help_descriptors(void)
{
	return count_entries("/proc/self/fd", "") - 1;
}

/* --- failures */

void help_failed(const char *file, int line, const char *what, int holds, int found, int wanted, ...)
{
	const char *sentence = SASLastErrorMessage(), *text;
	va_list args;

	ck_assert_msg(holds, "%s:%d: %s does not hold (errno %d)", file, line, what, found);
	ck_assert_msg(found == wanted, "%s:%d: %s: errno is %d (%s), not %d (%s): %s", file, line, what,
		      found, strerror(found), wanted, strerror(wanted), sentence);
	va_start(args, wanted);
	while ((text = va_arg(args, const char *)) != NULL)
		ck_assert_msg(strstr(sentence, text) != NULL, "%s:%d: \"%s\" does not say \"%s\"", file, line,
			      sentence, text);
	va_end(args);
}

/* --- children */

pid_t help_fork(void (*body)(void *arg), void *arg)
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	ck_assert_msg(pid >= 0, "fork: %s", strerror(errno));
	if (pid == 0) {
		body(arg);
		_exit(0);
	}
	return pid;
}

static int patience(int seconds)
{
	const char *text = getenv("CK_TIMEOUT_MULTIPLIER");
	int times = text ? atoi(text) : 1;

	return seconds * (times > 0 ? times : 1);
}

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000U + (uint64_t)time.tv_nsec;
}

/* The signal is blocked, so it stays until somebody takes it; which child it is about is asked each time. */
int help_ended(pid_t pid, int milliseconds)
{
	uint64_t end = now() + (uint64_t)milliseconds * 1000000U, time;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	for (;;) {
		siginfo_t info = { .si_pid = 0 };
		struct timespec left;

		ck_assert_int_eq(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT), 0);
		if (info.si_pid == pid)
			return 1;
		time = now();
		if (time >= end)
			return 0;
		left.tv_sec = (time_t)((end - time) / 1000000000U);
		left.tv_nsec = (long)((end - time) % 1000000000U);
		sigtimedwait(&set, NULL, &left);
	}
}

int help_wait(pid_t pid, int seconds)
{
	int status, late = !help_ended(pid, patience(seconds) * 1000);

	if (late)
		kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(!late, "a child did not end within %d seconds", patience(seconds));
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

void help_done(pid_t pid)
{
	int status = help_wait(pid, 60);

	ck_assert_msg(status == 0, "a child ended with status %d", status);
}

void help_in_child(void (*body)(void *arg), void *arg)
{
	help_done(help_fork(body, arg));
}

void help_gate_make(struct help_gate *gate)
{
	ck_assert_int_eq(pipe2(gate->ends, O_CLOEXEC), 0);
}

void help_gate_open(struct help_gate *gate)
{
	ck_assert_int_eq(write(gate->ends[1], "", 1), 1);
}

void help_gate_await(struct help_gate *gate)
{
	struct pollfd end = { .fd = gate->ends[0], .events = POLLIN };
	char byte;

	ck_assert_msg(poll(&end, 1, patience(60) * 1000) == 1, "nobody opened the gate");
	ck_assert_int_eq(read(gate->ends[0], &byte, 1), 1);
}

void help_gate_drop(struct help_gate *gate)
{
	close(gate->ends[0]);
	close(gate->ends[1]);
}

void help_spin(uint64_t nanoseconds)
{
	uint64_t end = now() + nanoseconds;

	while (now() < end)
		continue;
}

uint64_t help_random(uint64_t *state)
{
	*state = *state * 6364136223846793005UL + 1442695040888963407UL;
	return *state >> 33;
}
