/* SPDX-License-Identifier: MIT */
/*
 * test_inject.c - every system call of the port made to fail, one at a time, in every step of a region's
 * life.
 *
 * A run is a child that takes the steps of a life, with one fault in one of them: the n-th call of one entry
 * of the port fails with one error, once or from there on. The step fails with an errno and a sentence, or
 * succeeds because there is another way; it never hangs, crashes or keeps a descriptor; and with the faults
 * gone the region is whole and works.
 */
#include <config.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "faulty.h"
#include "life.h"
#include "sandbox.h"

#define ANCHOR "SAS00000.DAT"
#define DEADLINE 10     /* seconds that a run may take */
#define ENOUGH 10       /* runs that went wrong in one entry of the port: the rest of it is left */

static void check_whole(const struct life *l, const char *when)
{
	expect(SASRegionCheck(l->store, help_print_problem, context) == 0, "the check %s finds problems", when);
}

/* Without faults: it is whole, and works. */
static void check_life_after(struct life *l, int step)
{
	void *small, *large;

	if (l->region && SASRegionLeave(l->region) != 0)
		expect(steps[step].kind & ENDS, "the region cannot be left");
	if (!(steps[step].kind & ENDS) && access(help_path(l->store, ANCHOR), F_OK) == 0)
		check_whole(l, "after the fault");
	life_create(l);
	expect(!l->failed, "the region cannot be joined any more");
	check_whole(l, "after a join");
	small = SASRegionBlockAlloc(l->region, 4096);
	expect(small != NULL, "no small block");
	large = SASRegionBlockAlloc(l->region, LARGE);
	expect(large != NULL, "no large block");
	memset(help_map(large, LARGE), 1, LARGE);
	expect(SASBlockFree(large, LARGE) == 0, "a large block cannot be freed");
	expect(SASBlockFree(small, 4096) == 0, "a small block cannot be freed");
	expect(SASRegionReset(l->region) == 0, "it cannot be reset");
	expect(SASRegionLeave(l->region) == 0, "it cannot be left");
	expect(help_files(l->store, "SAS.tmp.") == 0, "there is a temporary file");
	check_whole(l, "at the end");
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

struct run { int step, entry, error, on, descriptors; long index; sas_durability_t durability; char *store; };

static void describe(const struct run *r)
{
	snprintf(context, sizeof context, "%s%s: %s %s call %ld: %s", steps[r->step].name,
		 r->durability ? " (disk)" : "", entry_names[r->entry], r->on ? "from" : "at", r->index,
		 r->error == SHORT ? "short" : strerror(r->error));
}

static void run_life(const struct run *r)
{
	struct life l = { .store = r->store, .durability = r->durability };

	describe(r);
	faulty_install();
	take_until(&l, r->step);
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
	if (l.failed) {
		expect(errno > 0 && errno < 200, "it fails without an errno");
		expect((steps[r->step].kind & MUTE) || SASLastErrorMessage()[0],
		       "it fails without a sentence");
	}
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
		take_until(&l, step);
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

/* Each call with each error, once and from there on; smaller tests take one in so many of these. */
static int is_chosen(const struct run *r, int kind, int kinds)
{
	long turn = r->index + kind + r->step, one_in = help_size(3, r->durability ? 3 : 1, 0) * kinds;

	if (help_valgrind())
		one_in *= 4;
	return one_in == 0 || turn % one_in == 0;
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
	struct run r = { .step = _i % step_count };
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
