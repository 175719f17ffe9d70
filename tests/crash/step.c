/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <config.h>

#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "step.h"
#include "store.h"
#include "verify.h"
#include "watch.h"

#define PATIENCE 3600           /* seconds for a child that is stepped */
#define TELL 5                  /* failures of an operation that are printed */

/* --- failures */

/* "file+offset", as addr2line reads it. */
static void name_place(uintptr_t address, char *text, size_t size)
{
	Dl_info info;

	if (dladdr((void *)address, &info) && info.dli_fname)
		snprintf(text, size, "%s+%#lx",
			 strrchr(info.dli_fname, '/') ? strrchr(info.dli_fname, '/') + 1 : info.dli_fname,
			 address - (uintptr_t)info.dli_fbase);
	else
		snprintf(text, size, "%#lx", address);
}

void step_fail(struct stepping *t, const char *format, ...)
{
	va_list args;

	t->result.failures++;
	if (t->told++ >= TELL)
		return;
	printf("FAIL %s: ", t->op->name);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf(": %s\n", t->scene->sentence);
}

/* --- the region before */

static void make_files(const struct op *op, const char *path)
{
	char name[PATH_MAX + 32];

	for (uint64_t n = 0; n < op_region_size(op) / op_segment_size(op); n++) {
		int fd;

		snprintf(name, sizeof name, "%s/SAS%05lX.DAT", path, n);
		fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd < 0 || fchmod(fd, 0600) != 0 || ftruncate(fd, (off_t)op_segment_size(op)) != 0)
			store_give_up("cannot make", name);
		close(fd);
	}
}

static void prepare(struct scene *s, const char *path)
{
	SASRegionOptions o;
	SASRegion_t region;

	op_options(s->op, &o);
	region = SASRegionJoin(path, &o);
	if (!region)
		scene_fail_call(s, "SASRegionJoin in the preparation");
	s->op->prepare(s, region);
	model_take(s, region);
	s->finder = (uintptr_t)SASRegionFinder(region);
	if (SASRegionLeave(region) != 0)
		scene_fail_call(s, "SASRegionLeave in the preparation");
	verify_check(s, path, "after the preparation");
}

static int prepare_before(struct stepping *t)
{
	char path[PATH_MAX];
	struct scene *s = t->scene;
	int pid;

	memset(s, 0, sizeof *s);
	s->op = t->op;
	store_make(path, "before");
	if (t->op->flags & OP_PREALLOCATED)
		make_files(t->op, path);
	if (t->op->flags & OP_ABSENT)
		return 0;
	pid = scene_fork(PATIENCE);
	if (pid == 0) {
		prepare(s, path);
		_exit(0);
	}
	if (scene_wait(s, pid, "the preparation") == 0)
		return 0;
	step_fail(t, "preparation");
	return -1;
}

/* --- the operation in a child */

static void operate(struct scene *s, const char *path)
{
	SASRegionOptions o;
	SASRegion_t region = NULL;

	op_options(s->op, &o);
	if (!(s->op->flags & OP_OUTSIDE)) {
		region = SASRegionJoin(path, &o);
		if (!region)
			scene_fail_call(s, "SASRegionJoin");
		s->op->begin(s, region);
	}
	watch_begin();
	s->op->run(s, path, region);
	watch_end();
	_exit(0);
}

int step_start(struct stepping *t, struct watch *w, const char *path)
{
	int pid = scene_fork(PATIENCE);

	if (pid == 0)
		operate(t->scene, path);
	if (watch_attach(w, pid) == 0)
		return 0;
	step_fail(t, "the process did not come to the operation");
	return -1;
}

void step_work_copy(char path[PATH_MAX])
{
	char before[PATH_MAX], *slash;

	store_make(path, "work");
	strcpy(before, path);
	slash = strrchr(before, '/');
	strcpy(slash, "/before");
	store_copy(before, path, STORE_MEDIA);
}

/* --- images */

static int changes_files(const struct watch *w)
{
	switch (w->call.number) {
	case SYS_write:
	case SYS_pwrite64:
	case SYS_pwritev:
	case SYS_ftruncate:
	case SYS_fallocate:
	case SYS_fchmod:
	case SYS_fchown:
	case SYS_fsetxattr:
	case SYS_linkat:
	case SYS_unlinkat:
	case SYS_mkdirat:
	case SYS_renameat:
		return w->call.result >= 0;
	case SYS_openat:
		return w->call.result >= 0 && (w->call.argument[2] & O_CREAT);
	default:
		return 0;
	}
}

/* A recovery that is cut short neither adds to what the dead did nor takes from it. */
static int is_in_order(const struct stepping *t)
{
	if (t->op->flags & OP_CUT)
		return t->scene->verdict == t->verdict;
	return t->scene->verdict >= t->verdict;
}

static void take_image(struct stepping *t, const struct watch *w, const char *work)
{
	char image[PATH_MAX], place[256];

	store_make(image, "image");
	store_copy(work, image, STORE_MEDIA);
	t->result.images++;
	name_place(w->instruction, place, sizeof place);
	if (verify_region(t->scene, image) != 0) {
		step_fail(t, "after step %lu, at %s", w->steps, place);
		return;
	}
	if (!is_in_order(t)) {
		snprintf(t->scene->sentence, sizeof t->scene->sentence,
			 "it was at %d before, and is at %d now", t->verdict, t->scene->verdict);
		step_fail(t, "after step %lu, at %s", w->steps, place);
		return;
	}
	t->verdict = t->scene->verdict;
	t->result.recovered++;
}

struct run {
	uintptr_t instruction;
	unsigned length;
};

/* The first changes of a loop, and then a sample of it; of these those that the seed takes. */
static int is_sampled(struct stepping *t, struct run *run, uintptr_t instruction)
{
	const struct step_size *size = &t->size;

	if (run->instruction != instruction) {
		run->instruction = instruction;
		run->length = 0;
	}
	run->length++;
	if (run->length > size->run && run->length % size->stride != 0)
		return 0;
	return size->one_in == 0 || step_draw(&t->seed, size->one_in) == 0;
}

static int is_change(struct stepping *t, const struct watch *w, enum watch_event event)
{
	if (event == WATCH_CALL)
		return changes_files(w);
	if (event != WATCH_STORE || !w->changed)
		return 0;
	t->result.changes++;
	return 1;
}

static void end_images(struct stepping *t, struct watch *w, enum watch_event event, const char *work)
{
	t->result.steps += w->steps;
	t->result.calls += w->calls;
	t->result.stores += w->stores;
	if (event == WATCH_GONE) {
		if (!t->scene->failed)
			snprintf(t->scene->sentence, sizeof t->scene->sentence, "status %#x", w->status);
		step_fail(t, "the process ended inside the operation");
		return;
	}
	take_image(t, w, work);
	if (!t->scene->failed && t->scene->verdict < t->op->done) {
		snprintf(t->scene->sentence, sizeof t->scene->sentence,
			 "the call has returned, and is at %d of %d", t->scene->verdict, t->op->done);
		step_fail(t, "at the end");
	}
	watch_kill(w);
}

static void step_through(struct stepping *t, struct watch *w, const char *work)
{
	struct run run = { 0, 0 };
	enum watch_event event;

	watch_range(w, SCENE_BASE, SCENE_BASE + op_region_size(t->op));
	w->quick = t->size.quick;
	for (t->events = 0;; t->events++) {
		event = watch_step(w);
		if (event == WATCH_STOPPED || event == WATCH_GONE)
			break;
		if (!t->size.quick)
			trace_note(&t->trace, w);
		if (!is_change(t, w, event))
			continue;
		if (t->point_count < STEP_POINTS)
			t->points[t->point_count++] = w->steps;
		if (!(t->op->flags & OP_KILL_ONLY) && is_sampled(t, &run, w->instruction))
			take_image(t, w, work);
	}
	end_images(t, w, event, work);
}

static void step_images(struct stepping *t)
{
	char work[PATH_MAX];
	struct watch w;

	trace_begin(&t->trace);
	step_work_copy(work);
	if (step_start(t, &w, work) == 0)
		step_through(t, &w, work);
}

/* --- recovery, itself cut short */

/* Run the other operation until `percent` of its changes are made: the region before is what it leaves. */
static int cut(struct stepping *t, unsigned percent)
{
	const struct op *op = t->op;
	char work[PATH_MAX], before[PATH_MAX];
	uint64_t changes = 0;
	struct watch w;

	t->scene->op = op_named(op->of);
	for (int pass = 0; pass < 2; pass++) {
		uint64_t until = pass ? changes * percent / 100 : ~0UL;

		step_work_copy(work);
		if (step_start(t, &w, work) != 0)
			return -1;
		watch_range(&w, SCENE_BASE, SCENE_BASE + op_region_size(op));
		w.quick = t->size.quick;
		for (changes = 0; changes < until;) {
			enum watch_event event = watch_step(&w);

			if (event == WATCH_STOPPED || event == WATCH_GONE)
				break;
			changes += event == WATCH_STORE && w.changed;
		}
		if (pass) {
			store_make(before, "before");
			store_copy(work, before, STORE_MEDIA);
		}
		watch_kill(&w);
	}
	t->scene->op = op;
	return 0;
}

static void step_recovery(struct stepping *t, unsigned percent)
{
	char work[PATH_MAX];

	if (prepare_before(t) != 0 || cut(t, percent) != 0)
		return;
	step_work_copy(work);
	if (verify_region(t->scene, work) != 0) {
		step_fail(t, "cut short at %u %%", percent);
		return;
	}
	t->verdict = t->scene->verdict;
	step_images(t);
}

/* --- all */

void step_operation(struct stepping *t)
{
	if (t->op->flags & OP_CUT) {
		for (unsigned i = 1; i <= t->size.cuts; i++)
			step_recovery(t, 100 * i / (t->size.cuts + 1));
	} else if (prepare_before(t) == 0) {
		step_images(t);
		if (!(t->op->flags & OP_ALONE))
			step_kills(t);
	}
	trace_free(&t->trace);
}
