/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <errno.h>
#include <ftw.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <sasinspect.h>
#include "block_help.h"

char store[256];
static char root[128];

/* --- stores */

void store_begin(void)
{
	/* What a sanitizer installed would answer for us. */
	signal(SIGSEGV, SIG_DFL);
	signal(SIGBUS, SIG_DFL);
	snprintf(store, sizeof store, "%s/store.XXXXXX", root);
	ck_assert_ptr_nonnull(mkdtemp(store));
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st;
	(void)kind;
	(void)at;
	return remove(path);
}

static void remove_tree(const char *path)
{
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void tell(const char *file, uint64_t offset, const char *sentence, void *arg)
{
	(void)arg;
	fprintf(stderr, "check: %s, offset %#llx: %s\n", file, (unsigned long long)offset, sentence);
}

void store_is_clean(const char *directory)
{
	long problems = SASRegionCheck(directory, tell, NULL);

	ck_assert_msg(problems == 0, "%s: the check finds %ld problems: %s", directory, problems,
		      problems < 0 ? SASLastErrorMessage() : "see above");
}

void store_end(void)
{
	char anchor[300];

	snprintf(anchor, sizeof anchor, "%s/SAS00000.DAT", store);
	if (access(anchor, F_OK) == 0)
		store_is_clean(store);
	remove_tree(store);
}

static SASRegion_t join(const SASRegionOptions *options)
{
	SASRegion_t region = SASRegionJoin(store, options);

	ck_assert_msg(region != NULL, "%s", SASLastErrorMessage());
	return region;
}

SASRegion_t store_create(uint64_t region_size, uint64_t segment_size, unsigned flags)
{
	SASRegionOptions options;

	SASRegionOptionsInit(&options);
	options.flags = flags | SAS_JOIN_CREATE;
	options.regionSize = region_size;
	options.segmentSize = segment_size;
	return join(&options);
}

SASRegion_t store_join(unsigned flags)
{
	SASRegionOptions options;

	SASRegionOptionsInit(&options);
	options.flags = flags;
	return join(&options);
}

SASRegionInfo info_of(SASRegion_t region)
{
	SASRegionInfo info;

	info.structSize = sizeof info;
	ck_assert_msg(SASRegionGetInfo(region, &info) == 0, "%s", SASLastErrorMessage());
	return info;
}

SASBlockInfo *list_of(SASRegion_t region, sas_block_kind_t kind, size_t *count)
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

uint64_t sum_of(SASRegion_t region, sas_block_kind_t kind)
{
	size_t count;
	SASBlockInfo *list = list_of(region, kind, &count);
	uint64_t sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += list[i].size;
	free(list);
	return sum;
}

/* --- sizes */

long size_of_test(long ci, long normal, long full)
{
	const char *size = getenv("SAS_TEST_SIZE");

	if (size && strcmp(size, "ci") == 0)
		return ci;
	return size && strcmp(size, "long") == 0 ? full : normal;
}

int under_valgrind(void)
{
	const char *preload = getenv("LD_PRELOAD");

	return preload && strstr(preload, "vgpreload") != NULL;
}

/* --- children */

void must_failed(const char *file, int line, const char *condition)
{
	fprintf(stderr, "%s:%d: in process %d: %s does not hold (errno %d, %s)\n", file, line,
		(int)getpid(), condition, errno, SASLastErrorMessage());
	_exit(99);
}

pid_t child_start(child_body body, void *arg)
{
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	body(arg);
	_exit(0);
}

int child_wait(pid_t pid)
{
	pid_t got = 0;
	int status = 0;

	if (!until((got = waitpid(pid, &status, WNOHANG)) != 0, PATIENCE)) {
		kill(pid, SIGKILL);
		ck_abort_msg("a child does not end");
	}
	ck_assert_int_eq(got, pid);
	return status;
}

void child_passes(child_body body, void *arg)
{
	int status = child_wait(child_start(body, arg));

	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the child's status is %#x",
		      (unsigned)status);
}

void child_dies(child_body body, void *arg, int by_signal)
{
	int status = child_wait(child_start(body, arg));

	ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == by_signal,
		      "the child's status is %#x, not signal %d",
		      (unsigned)status, by_signal);
}

/* --- time, random numbers */

uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

void let_others_run(void)
{
	sched_yield();
}

uint64_t random_seed(const char *what)
{
	const char *text = getenv("SAS_TEST_SEED");
	uint64_t seed = text ? strtoull(text, NULL, 0) : now_ns() ^ (uint64_t)getpid() << 40;

	printf("%s: SAS_TEST_SEED=%#llx\n", what, (unsigned long long)seed);
	fflush(stdout);
	return seed;
}

/* splitmix64 */
uint64_t random_next(uint64_t *state)
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

uint64_t percentile(const uint64_t *values, size_t count, unsigned per_mille)
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

void handle_signal(int number, signal_action action, int flags)
{
	struct sigaction a;

	memset(&a, 0, sizeof a);
	a.sa_sigaction = action;
	a.sa_flags = flags | SA_SIGINFO;
	ck_assert_int_eq(sigaction(number, &a, NULL), 0);
}

/* --- the program */

int run_suite(Suite *suite)
{
	const char *temporary = getenv("TMPDIR");
	SRunner *runner;
	int failed;

	snprintf(root, sizeof root, "%s/sas-test.XXXXXX",
		 temporary && strlen(temporary) < 100 ? temporary : "/tmp");
	if (!mkdtemp(root)) {
		perror(root);
		return 1;
	}
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	remove_tree(root);
	return failed != 0;
}
