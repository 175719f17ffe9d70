/* SPDX-License-Identifier: MIT */
/*
 * test_inject.c - every system call of the port made to fail, one at a time, in every step of a region's
 * life.
 *
 * A run is a child that takes the steps of a life, with one fault in one of them: the n-th call of one entry
 * of the port fails with one error, once or from there on, or transfers less than it should. The step fails with a
 * sentence and an errno that its page names, or succeeds because there is another way; it never hangs, crashes or
 * keeps a descriptor, a mapping, a place or a lock; and with the faults gone the same step succeeds, and the region is
 * whole and works.
 */
#include <config.h>

#include <ctype.h>
#include <sasepoch.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "faulty.h"
#include "life.h"
#include "lock_help.h"
#include "sandbox.h"
#include "sas/region/region.h"

#define ANCHOR "SAS00000.DAT"
#define DEADLINE 10     /* seconds that a run may take */
#define ENOUGH 10       /* runs that went wrong in one entry of the port: the rest of it is left */
#define KEPT 2          /* pages that a thread keeps until it ends: one for locks, one for deferred frees */

/* --- errors and the pages that promise them */

#define NAMED(error) { error, #error }
static const struct { int error; const char *name; } names[] = {
	NAMED(EACCES), NAMED(EAGAIN), NAMED(EBUSY), NAMED(EDEADLK), NAMED(EDQUOT), NAMED(EEXIST), NAMED(EFAULT),
	NAMED(EFBIG), NAMED(EINVAL), NAMED(EIO), NAMED(EMFILE), NAMED(ENOENT), NAMED(ENOLCK), NAMED(ENOMEM),
	NAMED(ENOSPC), NAMED(ENOSYS), NAMED(ENOTEMPTY), NAMED(EOPNOTSUPP), NAMED(EPERM), NAMED(EROFS), NAMED(ESTALE),
	NAMED(ETIMEDOUT), NAMED(EUCLEAN),
};

static const char *name_of(int error)
{
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (names[i].error == error)
			return names[i].name;
	return NULL;
}

static int says_word(const char *line, const char *word)
{
	const char *at = strstr(line, word);

	return at && !isupper((unsigned char)at[strlen(word)]);
}

/* The section ERRORS of a page names it, or passes on what the system says. */
static int page_says(const char *page, int error)
{
	const char *name = name_of(error);
	int in_errors = 0, says = 0;
	char path[4096], line[4096];
	FILE *f;

	snprintf(path, sizeof path, SOURCE "/man/%s.3", page);
	f = fopen(path, "r");
	expect(f != NULL, "no page %s", path);
	while (fgets(line, sizeof line, f)) {
		if (strncmp(line, ".SH", 3) == 0)
			in_errors = strncmp(line, ".SH ERRORS", 10) == 0;
		says |= in_errors && name && says_word(line, name);
		says |= in_errors && error == fault->error && strstr(line, "passed on");
	}
	fclose(f);
	return says;
}

static void check_error(const struct step *step)
{
	int error = errno;

	if (step->kind & FAULTS)
		return;
	expect(error > 0 && error < 200, "it fails without an errno");
	expect((step->kind & MUTE) || SASLastErrorMessage()[0], "it fails without a sentence");
	expect(page_says(step->page, error) || page_says("sasregion", error), "%s(3) does not say so", step->page);
}

/* --- what is left behind */

static int mappings(const char *store)
{
	FILE *f = fopen("/proc/self/maps", "r");
	char line[8192];
	int count = 0;

	expect(f != NULL, "no list of mappings");
	while (fgets(line, sizeof line, f)) {
		unsigned long from = strtoul(line, NULL, 16);

		count += (from >= HELP_BASE && from < HELP_BASE + HELP_REGION) || strstr(line, store);
	}
	fclose(f);
	return count;
}

static void check_whole(const struct life *l, const char *when)
{
	expect(SASRegionCheck(l->store, help_print_problem, context) == 0, "the check %s finds problems", when);
}

/* Without faults: it is whole, and works. */
static void check_life_after(struct life *l, int step)
{
	SASRegionInfo info = { .structSize = sizeof info };
	void *small, *large;

	l->failed = 0;
	life_leave(l);
	expect(!l->failed || (steps[step].kind & ENDS), "the region cannot be left");
	expect(mappings(l->store) == 0, "%d mappings are left", mappings(l->store));
	if (!(steps[step].kind & ENDS) && access(help_path(l->store, ANCHOR), F_OK) == 0)
		check_whole(l, "after the fault");
	life_create(l);
	expect(!l->failed, "the region cannot be joined any more");
	check_whole(l, "after a join");
	expect(SASRegionGetInfo(l->region, &info) == 0, "there is no information");
	expect(info.participants == 1 && info.threads <= 1, "%u processes and %u threads", info.participants, info.threads);
	small = SASRegionBlockAlloc(l->region, 4096);
	expect(small != NULL, "no small block");
	large = SASRegionBlockAlloc(l->region, LARGE);
	expect(large != NULL, "no large block");
	for (size_t i = 0; i < LARGE; i += LARGE / 16)
		((char *)large)[i] = 1;
	expect(SASBlockFree(large, LARGE) == 0, "a large block cannot be freed");
	expect(SASBlockFree(small, 4096) == 0, "a small block cannot be freed");
	expect(SASRegionReset(l->region) == 0, "it cannot be reset");
	expect(SASRegionLeave(l->region) == 0, "it cannot be left");
	expect(help_files(l->store, "SAS.tmp.") == 0, "there is a temporary file");
	check_whole(l, "at the end");
}

/* What was refused succeeds now; only syncs stay failed until all have left. */
static void check_again(struct life *l, int step)
{
	if (!l->failed || (steps[step].kind & ENDS))
		return;
	l->failed = 0;
	steps[step].take(l);
	expect(!l->failed || errno == EIO, "it fails again, without a fault");
}

static void check_locks(struct life *l, int step)
{
	if (steps[step].kind & ENDS)
		return;
	life_let_go(l);
	if (!l->region || !l->region->run)
		return;
	expect(locks_in_use(l->region) == 0, "%u locks are left", locks_in_use(l->region));
	if (SASEpochSynchronize(l->region, 10000) == 0 && SASEpochReclaim(l->region) >= 0)
		expect(pages_in_use(l->region) <= KEPT, "%u pages are left", pages_in_use(l->region));
}

/* A poisoned region says EIO until it is joined again; a half removed one ESTALE. */
static void check_handle(struct life *l, int step)
{
	void *block;

	if (!l->region || (steps[step].kind & ENDS))
		return;
	block = SASRegionBlockAlloc(l->region, 8192);
	if (!block) {
		expect(errno == EIO || errno == EROFS, "the handle does not work any more");
		return;
	}
	memset(block, 1, 8192);
	expect(SASBlockFree(block, 8192) == 0, "its block cannot be freed");
}

/* --- runs */

struct run { int step, entry, error, on, descriptors; long index; sas_durability_t durability; char *store; uint64_t seed; };

static void describe(const struct run *r)
{
	snprintf(context, sizeof context, "%s%s: %s %s call %ld: %s", steps[r->step].name,
		 r->durability ? " (disk)" : "", entry_names[r->entry], r->on ? "from" : "at", r->index,
		 r->error == SHORT_HALF ? "half" : r->error == SHORT_BYTE ? "one byte" : strerror(r->error));
}

static void run_life(const struct run *r)
{
	struct life l = { .store = r->store, .durability = r->durability };

	describe(r);
	faulty_install();
	life_until(&l, r->step);
	memset(fault, 0, sizeof *fault);
	fault->entry = r->entry;
	fault->error = r->error;
	fault->index = r->index;
	fault->on = r->on;
	fault->armed = 1;
	l.failed = 0;
	errno = 0;
	steps[r->step].take(&l);
	fault->armed = 0;
	if (l.failed)
		check_error(&steps[r->step]);
	check_again(&l, r->step);
	check_locks(&l, r->step);
	check_handle(&l, r->step);
	check_life_after(&l, r->step);
	/* A descriptor that cannot be looked at may be the program's by now: it is left open. */
	if (r->entry != ENTRY_fstat)
		expect(help_descriptors() == r->descriptors, "%d descriptors are open, not %d",
		       help_descriptors(), r->descriptors);
}

/* How often the step makes each call. */
static void count_calls(int step, sas_durability_t durability, long counts[ENTRY_COUNT])
{
	long *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct life l = { .store = help_store(), .durability = durability };
	int status;
	pid_t pid;

	ck_assert_ptr_ne(shared, MAP_FAILED);
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		snprintf(context, sizeof context, "%s without faults", steps[step].name);
		faulty_install();
		life_until(&l, step);
		memset(fault, 0, sizeof *fault);
		l.failed = 0;
		steps[step].take(&l);
		memcpy(shared, fault->counts, sizeof fault->counts);
		expect(!l.failed, "it fails");
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	memcpy(counts, shared, ENTRY_COUNT * sizeof *counts);
	munmap(shared, 4096);
}

/* Each call with each error, once and from there on. The normal size takes the first call of each, and of the others one in so many;
 * the smallest one in so many of all. Others in each run. */
static int is_chosen(const struct run *r, int kind, int kinds)
{
	long turn = r->index + kind + r->step + (long)(r->seed % 1000), one_in = help_size(10, r->durability ? 6 : 2, 0) * kinds;

	if (help_size(0, r->index == 0, 1))
		return 1;
#ifdef __SANITIZE_THREAD__      /* a fork takes ten times as long */
	one_in *= 10;
#endif
	return turn % one_in == 0;
}

/* 0: good. */
static int run_one(struct run *r)
{
	int status, late;
	pid_t pid;

	r->store = help_store();
	fflush(NULL);
	/* Of the children: what this process has open now. */
	r->descriptors = help_descriptors();
	pid = fork();
	if (pid == 0) {
		run_life(r);
		_exit(0);
	}
	late = !help_ended(pid, (help_instrumented() ? 10 : 1) * DEADLINE * 1000);
	if (late)
		kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	if (status == 0)
		SASRegionRemovePath(r->store, 1);
	describe(r);
	if (late || WIFSIGNALED(status))
		fprintf(stderr, "%s: %s\n", context, late ? "hangs" : strsignal(WTERMSIG(status)));
	return status != 0;
}

static int count_errors(const int errors[])
{
	int count = 0;

	while (errors[count])
		count++;
	return count;
}

/* All faults of one entry; how many runs went wrong. */
static unsigned run_entry(struct run *r, const int errors[], long count, unsigned *runs)
{
	int kinds = 2 * count_errors(errors);
	unsigned bad = 0;

	for (r->index = 0; r->index < count; r->index++)
		for (int kind = 0; kind < kinds && bad < ENOUGH; kind++) {
			if (!is_chosen(r, kind, kinds))
				continue;
			r->error = errors[kind / 2];
			r->on = kind % 2;
			++*runs;
			bad += (unsigned)run_one(r);
		}
	return bad;
}

START_TEST(step_with_one_fault_fails_clearly_or_succeeds)
{
	struct run r = { .step = _i % step_count, .seed = help_size(1, 1, 0) ? help_seed(steps[_i % step_count].name) : 0 };
	unsigned runs = 0, bad = 0;
	long counts[ENTRY_COUNT];

	r.durability = _i < step_count ? SASDurability__PROCESS : SASDurability__DISK;
	count_calls(r.step, r.durability, counts);
	for (size_t e = 0; e < faults_of_count; e++) {
		r.entry = (int)faults_of[e].entry;
		bad += run_entry(&r, faults_of[e].errors, counts[r.entry], &runs);
	}
	ck_assert_msg(bad == 0, "%s: %u of %u runs went wrong", steps[r.step].name, bad, runs);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("inject");
	TCase *each = tcase_create("each");

	sandbox_prefer_memory();        /* thousands of stores */
	tcase_set_timeout(each, (int)help_size(600, 600, 36000));
	tcase_add_loop_test(each, step_with_one_fault_fails_clearly_or_succeeds, 0, 2 * step_count);
	suite_add_tcase(s, each);
	return help_main(s);
}
