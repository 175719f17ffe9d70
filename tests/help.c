/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "help.h"
#include "sandbox.h"

static Suite *own_suite;

/* --- the program */

static int run_suite(int argc, char **argv)
{
	SRunner *runner = srunner_create(own_suite);
	int failed;

	(void)argc;
	(void)argv;
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

int help_main(Suite *suite)
{
	own_suite = suite;
	return sandbox_run(run_suite, 0, NULL);
}

TCase *help_case(Suite *suite, const char *name)
{
	TCase *c = tcase_create(name);

	tcase_set_timeout(c, 120);
	suite_add_tcase(suite, c);
	return c;
}

long help_size(long ci, long normal, long full)
{
	const char *size = getenv("SAS_TEST_SIZE");

	if (size && strcmp(size, "ci") == 0)
		return ci;
	return size && strcmp(size, "long") == 0 ? full : normal;
}

int help_valgrind(void)
{
	const char *preloaded = getenv("LD_PRELOAD");

	return preloaded && strstr(preloaded, "vgpreload") != NULL;
}

int help_emulated(void)
{
	return getenv("SAS_TEST_EMULATED") != NULL;
}

int help_marks_deaths(void)
{
	void *head;
	size_t size;

	return syscall(SYS_get_robust_list, 0, &head, &size) == 0 || errno != ENOSYS;
}

int help_instrumented(void)
{
	return HELP_SANITIZED || help_valgrind() || help_emulated();
}

/* --- stores */

char *help_store(void)
{
	static char stores[256][PATH_MAX];
	static unsigned used;
	char *store = stores[used++ % 256];

	ck_assert_msg(sandbox_directory(store) == 0, "%s: %s", store, strerror(errno));
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

void help_print_problem(const char *file, uint64_t offset, const char *sentence, void *arg)
{
	if (arg)
		fprintf(stderr, "%s: ", (const char *)arg);
	fprintf(stderr, "%s: offset %llu: %s\n", file, (unsigned long long)offset, sentence);
}

void help_clean(const char *store)
{
	long problems = SASRegionCheck(store, help_print_problem, NULL);

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

SASInspectInfo help_inspect(const char *store)
{
	SASInspectInfo info = { .structSize = sizeof info };
	SASInspect_t inspect = SASInspectOpen(store);

	ck_assert_msg(inspect != NULL, "inspect: %s", SASLastErrorMessage());
	ck_assert_msg(SASInspectGetInfo(inspect, &info) == 0, "inspect: %s", SASLastErrorMessage());
	SASInspectClose(inspect);
	return info;
}

SASBlockInfo *help_list(SASRegion_t region, sas_block_kind_t kind, size_t *count)
{
	long needed = SASRegionListBlocks(region, kind, NULL, 0), got;
	SASBlockInfo *list;

	ck_assert_msg(needed >= 0, "%s", SASLastErrorMessage());
	list = calloc((size_t)needed + 1, sizeof *list);
	ck_assert_ptr_nonnull(list);
	got = SASRegionListBlocks(region, kind, list, (size_t)needed);
	ck_assert_int_eq(got, needed);
	*count = (size_t)got;
	return list;
}

uint64_t help_sum(SASRegion_t region, sas_block_kind_t kind)
{
	size_t count;
	SASBlockInfo *list = help_list(region, kind, &count);
	uint64_t sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += list[i].size;
	free(list);
	return sum;
}

/* --- what holds */

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

void must_failed(const char *file, int line, const char *condition)
{
	fprintf(stderr, "%s:%d: in process %d: %s does not hold (errno %d, %s)\n", file, line,
		(int)getpid(), condition, errno, SASLastErrorMessage());
	_exit(99);
}

/* --- children */

pid_t help_fork(help_body body, void *arg)
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	ck_assert_msg(pid >= 0, "fork: %s", strerror(errno));
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		body(arg);
		_exit(0);
	}
	return pid;
}

/* What runs slowly has more time. */
static int multiplier(void)
{
	const char *text = getenv("CK_TIMEOUT_MULTIPLIER");
	int number = text ? atoi(text) : 1;

	return number > 0 ? number : 1;
}

/* SIGCHLD is blocked, so that it stays until somebody takes it. That may be another thread: we look again soon. */
int help_ended(pid_t pid, int milliseconds)
{
	uint64_t end = help_now() + (uint64_t)milliseconds * 1000000U;
	const struct timespec soon = { .tv_nsec = 5000000 };
	siginfo_t info = { .si_pid = 0 };
	sigset_t set, before;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	pthread_sigmask(SIG_BLOCK, &set, &before);
	for (;;) {
		ck_assert_int_eq(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT), 0);
		if (info.si_pid == pid || help_now() >= end)
			break;
		sigtimedwait(&set, NULL, &soon);
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return info.si_pid == pid;
}

int help_wait(pid_t pid, int seconds)
{
	int status, late = !help_ended(pid, seconds * multiplier() * 1000);

	if (late)
		kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(!late, "a child did not end within %d seconds", seconds * multiplier());
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

void help_done(pid_t pid)
{
	int status = help_wait(pid, 60);

	ck_assert_msg(status == 0, "a child ended with status %d", status);
}

void help_in_child(help_body body, void *arg)
{
	help_done(help_fork(body, arg));
}

void help_dies(help_body body, void *arg, int by_signal)
{
	int status = help_wait(help_fork(body, arg), 60);

	ck_assert_msg(status == 128 + by_signal, "a child ended with status %d, not by signal %d", status, by_signal);
}

void help_again(void *arg)
{
	char self[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);     /* valgrind tells this one right */

	must(length > 0 && putenv(arg) == 0);
	self[length] = '\0';
	execl(self, self, (char *)NULL);
	must_failed(__FILE__, __LINE__, "execl");
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

	ck_assert_msg(poll(&end, 1, 60 * multiplier() * 1000) == 1, "nobody opened the gate");
	ck_assert_int_eq(read(gate->ends[0], &byte, 1), 1);
}

void help_gate_drop(struct help_gate *gate)
{
	close(gate->ends[0]);
	close(gate->ends[1]);
}

/* The test keeps its own ends alone, so that the death of the child ends a wait for it. */
void help_peer_start(struct help_peer *peer, help_body body)
{
	help_gate_make(&peer->there);
	help_gate_make(&peer->back);
	peer->pid = help_fork(body, peer);
	close(peer->there.ends[1]);
	close(peer->back.ends[0]);
	help_gate_await(&peer->there);
}

void help_peer_go_on(struct help_peer *peer)
{
	help_gate_open(&peer->back);
	help_gate_await(&peer->there);
}

void help_peer_end(struct help_peer *peer)
{
	help_gate_open(&peer->back);
	help_done(peer->pid);
	close(peer->there.ends[0]);
	close(peer->back.ends[1]);
}

void help_peer_turn(struct help_peer *peer)
{
	help_gate_open(&peer->there);
	help_gate_await(&peer->back);
}

void help_handle(int number, help_handler handler, int flags)
{
	struct sigaction a;

	memset(&a, 0, sizeof a);
	a.sa_sigaction = handler;
	a.sa_flags = flags | SA_SIGINFO;
	ck_assert_int_eq(sigaction(number, &a, NULL), 0);
}

/* --- time, random numbers */

uint64_t help_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

uint64_t help_deadline(int seconds)
{
	return help_now() + (uint64_t)seconds * (uint64_t)multiplier() * 1000000000U;
}

void help_spin(uint64_t nanoseconds)
{
	uint64_t end = help_now() + nanoseconds;

	while (help_now() < end)
		continue;
}

uint64_t help_seed(const char *what)
{
	const char *text = getenv("SAS_TEST_SEED");
	uint64_t seed = text ? strtoull(text, NULL, 0) : help_now() ^ (uint64_t)getpid() << 40;

	printf("%s: SAS_TEST_SEED=%#llx\n", what, (unsigned long long)seed);
	fflush(stdout);
	return seed;
}

/* splitmix64 */
uint64_t help_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15U;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
	z = (z ^ z >> 27) * 0x94d049bb133111ebU;
	return z ^ z >> 31;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

uint64_t help_percentile(const uint64_t *values, size_t count, unsigned per_mille)
{
	uint64_t *sorted = malloc(count * sizeof *sorted), value;

	ck_assert_ptr_nonnull(sorted);
	memcpy(sorted, values, count * sizeof *sorted);
	qsort(sorted, count, sizeof *sorted, by_value);
	value = sorted[(count - 1) * per_mille / 1000];
	free(sorted);
	return value;
}

/* --- memory */

__attribute__((noinline, no_sanitize("address"), no_sanitize("thread"), no_sanitize("undefined")))
unsigned char load_byte(const void *address)
{
	return *(const volatile unsigned char *)address;
}

__attribute__((noinline, no_sanitize("address"), no_sanitize("thread"), no_sanitize("undefined")))
void store_byte(void *address, unsigned char value)
{
	*(volatile unsigned char *)address = value;
}

int all_zero(const void *bytes, size_t size)
{
	const unsigned char *p = bytes;

	return size == 0 || (p[0] == 0 && memcmp(p, p + 1, size - 1) == 0);
}
