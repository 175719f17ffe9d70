/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "sasinspect.h"
#include "store.h"
#include "verify.h"

#define PATIENCE 120            /* seconds for one region, before it counts as hung */

static void note_problem(const char *file, uint64_t offset, const char *sentence, void *arg)
{
	char *text = arg;

	if (!text[0])
		snprintf(text, 512, "%s, offset %#lx: %s", file, offset, sentence);
}

void verify_check(struct scene *s, const char *path, const char *when)
{
	char text[512] = "";
	long problems = SASRegionCheck(path, note_problem, text);

	if (problems < 0)
		scene_fail_call(s, "SASRegionCheck");
	if (problems)
		scene_fail(s, "%s the check tells of %ld problems; the first: %s", when, problems, text);
}

/* Where there is no region any more, or not yet, nothing is in the way of a new one. */
static void create_anew(struct scene *s, const char *path)
{
	SASRegionOptions o;
	SASRegion_t region;

	if (!(s->op->flags & OP_PREALLOCATED) && store_count(path) != 0)
		scene_fail(s, "no region is there, but %zu files of one are", store_count(path));
	op_options(s->op, &o);
	region = SASRegionJoin(path, &o);
	if (!region)
		scene_fail_call(s, "SASRegionJoin, to create a region again");
	if (judge_new(s, region) != 1 || SASRegionLeave(region) != 0)
		scene_fail_call(s, "SASRegionLeave");
	verify_check(s, path, "after a new creation");
}

static int is_absent(const struct op *op, int error)
{
	if (!(op->flags & (OP_ENDS | OP_ABSENT)))
		return 0;
	/* Files that somebody else made stay when their region ends. */
	return error == ENOENT || (error == EUCLEAN && (op->flags & OP_PREALLOCATED));
}

static void verify(struct scene *s, const char *path)
{
	int ends = (s->op->flags & (OP_ENDS | OP_ABSENT)) != 0;
	SASRegion_t region;

	if (!ends)
		verify_check(s, path, "before recovery");
	region = SASRegionJoin(path, NULL);
	if (!region && !is_absent(s->op, errno))
		scene_fail_call(s, "SASRegionJoin");
	s->verdict = s->op->judge(s, region);
	if (!region) {
		create_anew(s, path);
		return;
	}
	model_exhaust(s, region);
	if (s->op->judge(s, region) != s->verdict)
		scene_fail(s, "filling and emptying the region has changed it");
	if (SASRegionLeave(region) != 0)
		scene_fail_call(s, "SASRegionLeave");
	verify_check(s, path, "after recovery");
}

int verify_region(struct scene *s, const char *path)
{
	int pid;

	s->failed = 0;
	pid = scene_fork(PATIENCE);
	if (pid == 0) {
		verify(s, path);
		_exit(0);
	}
	return scene_wait(s, pid, "the process that recovers");
}
