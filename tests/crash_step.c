/* SPDX-License-Identifier: MIT */
/*
 * crash_step.c - every operation of the library, cut short at every point where it changes something.
 *
 * crash_step [OPERATION...]: these operations alone. SAS_TEST_SIZE says how many points are sampled. The smaller sizes take a part of them that
 * SAS_TEST_SEED says, which is printed, and another one in each run; of operations that are named it takes all.
 */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "crash/step.h"
#include "crash/store.h"
#include "crash/watch.h"

static struct step_size test_size(int is_named)
{
	const char *text = getenv("SAS_TEST_SIZE");

	if (text && strcmp(text, "long") == 0)
		return (struct step_size){ .run = ~0U, .stride = 1, .kills = 400, .cuts = 60, .far = 1 };
	if (text && strcmp(text, "ci") == 0)
		return (struct step_size){ .run = 2, .stride = 256, .kills = 2, .cuts = 2, .quick = !is_named, .one_in = is_named ? 0 : 4 };
	return (struct step_size){ .run = 4, .stride = 32, .kills = 8, .cuts = 5, .far = 1, .one_in = is_named ? 0 : 2 };
}

static void print_head(void)
{
	printf("%-20s %9s %6s %7s %8s %7s %9s %6s %9s %8s\n", "operation", "steps", "calls", "stores",
	       "changes", "images", "recovered", "kills", "survived", "longest");
}

static void print_line(const char *name, const struct step_result *r)
{
	printf("%-20s %9lu %6lu %7lu %8lu %7lu %9lu %6lu %9lu %5.1f ms\n", name, r->steps, r->calls,
	       r->stores, r->changes, r->images, r->recovered, r->kills, r->survived,
	       (double)r->longest_ns / 1e6);
	fflush(stdout);
}

static void add(struct step_result *sum, const struct step_result *r)
{
	sum->steps += r->steps;
	sum->calls += r->calls;
	sum->stores += r->stores;
	sum->changes += r->changes;
	sum->images += r->images;
	sum->recovered += r->recovered;
	sum->kills += r->kills;
	sum->survived += r->survived;
	sum->failures += r->failures;
	if (r->longest_ns > sum->longest_ns)
		sum->longest_ns = r->longest_ns;
}

static int is_chosen(const struct op *op, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], op->name) == 0)
			return 1;
	return argc < 2;
}

static int test(int argc, char **argv)
{
	static struct stepping t;
	struct step_result sum = { 0 };
	struct scene *scene = scene_new();
	struct step_size size = test_size(argc > 1);
	unsigned seed = scene_seed();

	if (size.one_in)
		printf("one image in %u: SAS_TEST_SEED=%#x\n", size.one_in, seed);
	print_head();
	for (size_t i = 0; i < op_count; i++) {
		if (!is_chosen(&ops[i], argc, argv) || ((ops[i].flags & OP_FAR) && !size.far))
			continue;
		memset(&t, 0, sizeof t);
		t.op = &ops[i];
		t.scene = scene;
		t.size = size;
		t.seed = seed + (unsigned)i;
		step_operation(&t);
		print_line(t.op->name, &t.result);
		add(&sum, &t.result);
	}
	print_line("all", &sum);
	printf("points where bytes changed: %lu; images of them: %lu, %s; real kills: %lu, %s\n", sum.changes,
	       sum.images, sum.recovered == sum.images ? "all recovered" : "NOT all recovered", sum.kills,
	       sum.survived == sum.kills ? "all survived by their peers" : "NOT all survived by their peers");
	return sum.failures != 0;
}

/* Nearly all steps of an instrumented program are the instrument's. */
static int is_instrumented(void)
{
#ifdef __SANITIZE_THREAD__
	return 1;
#else
	const char *preloaded = getenv("LD_PRELOAD");

	return preloaded && strstr(preloaded, "vgpreload") != NULL;
#endif
}

int main(int argc, char **argv)
{
	const char *why = "under ThreadSanitizer and valgrind nearly all steps are theirs, not the library's";

	for (int i = 1; i < argc; i++)
		if (!op_named(argv[i])) {
			fprintf(stderr, "usage: crash_step [OPERATION...]: no operation is called %s\n",
				argv[i]);
			return 2;
		}
	if (is_instrumented() || !watch_possible(&why)) {
		printf("skipped: %s\n", why);
		return 77;
	}
	return store_run_test(test, argc, argv);
}
