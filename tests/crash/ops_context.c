/* SPDX-License-Identifier: MIT */
/*
 * ops_context.c - calls on contexts that are cut short: both directions are as before the call, or as after it.
 *
 * The scene's words: the address of the context.
 */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "sphcontext.h"
#include "ops.h"

#define HEAP 4096UL
#define TREE 16384UL
#define ROOM (HEAP - heap_offset)
#define ADDRESSES 3U            /* 16, 32, 48 */

/* One per name; each takes its own number of units in the heap. */
static const char *const names[] = { "a", "b is longer than one unit", "c", "d, which is longer than two units of the heap", "other" };
#define NAMES (sizeof names / sizeof names[0])
enum { A, B, C, D, OTHER, NONE };

/* Whose names they are, 0: nobody's, and which is the first of each. */
struct form {
	unsigned value[NAMES], first[ADDRESSES];
};
static const struct form start = { { 1, 1, 1, 0, 2 }, { A, OTHER, NONE } };

static int add_first(void *c) { return SPHContextAddName(c, names[D], (void *)48); }
static int add_alias(void *c) { return SPHContextAddAlias(c, names[D], (void *)16); }
static int rename_first(void *c) { return SPHContextRename(c, names[A], names[D], (void *)16); }
static int rename_alias(void *c) { return SPHContextRename(c, names[B], names[D], (void *)16); }
static int remove_first(void *c) { return SPHContextRemoveByName(c, names[A]) == 0; }
static int remove_alias(void *c) { return SPHContextRemoveByName(c, names[C]) == 0; }
static int remove_only(void *c) { return SPHContextRemoveByName(c, names[OTHER]) == 0; }
static int remove_all(void *c) { return SPHContextRemoveByAddr(c, (void *)16) == 0; }

static const struct change {
	const char *op;
	int (*call)(void *context);
	struct form after;
} changes[] = {
	{ "context-add", add_first, { { 1, 1, 1, 3, 2 }, { A, OTHER, D } } },
	{ "context-alias", add_alias, { { 1, 1, 1, 1, 2 }, { A, OTHER, NONE } } },
	{ "context-rename", rename_first, { { 0, 1, 1, 1, 2 }, { D, OTHER, NONE } } },
	{ "context-rename-alias", rename_alias, { { 1, 0, 1, 1, 2 }, { A, OTHER, NONE } } },
	{ "context-remove", remove_first, { { 0, 1, 1, 0, 2 }, { B, OTHER, NONE } } },
	{ "context-remove-alias", remove_alias, { { 1, 1, 0, 0, 2 }, { A, OTHER, NONE } } },
	{ "context-remove-only", remove_only, { { 1, 1, 1, 0, 0 }, { A, NONE, NONE } } },
	{ "context-clear", remove_all, { { 0, 0, 0, 0, 2 }, { NONE, OTHER, NONE } } },
};

static const struct change *change_of(const struct scene *s)
{
	const char *name = s->op->of ? s->op->of : s->op->name;

	for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++)
		if (strcmp(changes[i].op, name) == 0)
			return &changes[i];
	return NULL;
}

static SPHContext_t context_of(const struct scene *s)
{
	return (void *)s->words[0];
}

static void make(struct scene *s, SASRegion_t region)
{
	void *block = SASRegionBlockAlloc(region, HEAP);

	if (!block || !SPHContextInit(block, SAS_RUNTIME_CONTEXT, HEAP))
		scene_fail_call(s, "SPHContextInit");
	s->words[0] = (uintptr_t)block;
	s->word_count = 1;
}

void context_prepare(struct scene *s, SASRegion_t region)
{
	make(s, region);
	for (unsigned i = 0; i < NAMES; i++)
		if (start.value[i] && !SPHContextAddAlias(context_of(s), names[i], (void *)(16UL * start.value[i])))
			scene_fail_call(s, "SPHContextAddAlias");
}

void context_change(struct scene *s, const char *path, SASRegion_t region)
{
	(void)path;
	(void)region;
	if (!change_of(s)->call(context_of(s)))
		scene_fail_call(s, s->op->name);
}

/* Whoever comes next finishes what a death has left, and dies of it as well. */
void context_recover(struct scene *s, const char *path, SASRegion_t region)
{
	SASRegionOptions o;

	(void)region;
	op_options(s->op, &o);
	if (!SASRegionJoin(path, &o))
		scene_fail_call(s, "SASRegionJoin");
	if (!SPHContextFindByName(context_of(s), names[OTHER]) && errno != ENOENT && errno != EINVAL)
		scene_fail_call(s, "SPHContextFindByName");
}

/* --- judging */

static const char *first_name(void *context, unsigned value)
{
	return SPHContextFindByAddr(context, (void *)(16UL * value));
}

static int is_form(struct scene *s, const struct form *f)
{
	size_t taken = 0;

	for (unsigned i = 0; i < NAMES; i++) {
		if ((uintptr_t)SPHContextFindByName(context_of(s), names[i]) != 16UL * f->value[i])
			return 0;
		taken += f->value[i] ? (strlen(names[i]) + 16) / 16 * 16 : 0;
	}
	for (unsigned i = 0; i < ADDRESSES; i++) {
		const char *first = first_name(context_of(s), i + 1);

		if (f->first[i] == NONE ? first != NULL : !first || strcmp(first, names[f->first[i]]) != 0)
			return 0;
	}
	return SPHContextFreeSpace(context_of(s)) == ROOM - taken;
}

static void tell_problem(const char *what, void *arg)
{
	scene_fail(arg, "%s", what);
}

static void check(struct scene *s)
{
	if (SPHContextCheck(context_of(s), tell_problem, s) != 0)
		scene_fail_call(s, "SPHContextCheck");
}

static void fail_form(struct scene *s)
{
	char text[512] = "";
	size_t used = 0;

	for (unsigned i = 0; i < NAMES; i++)
		used += (size_t)snprintf(text + used, sizeof text - used, " %p", SPHContextFindByName(context_of(s), names[i]));
	for (unsigned i = 0; i < ADDRESSES; i++) {
		const char *first = first_name(context_of(s), i + 1);

		used += (size_t)snprintf(text + used, sizeof text - used, ", %s", first ? first : "none");
	}
	scene_fail(s, "neither as before nor as after: names of%s; %zu bytes are free", text, SPHContextFreeSpace(context_of(s)));
}

int context_judge(struct scene *s, SASRegion_t region)
{
	int done = is_form(s, &change_of(s)->after);

	if (!done && !is_form(s, &start))
		fail_form(s);
	check(s);
	judge_same(s, region);
	return done;
}

/* --- the first name, with which the trees come */

void context_prepare_empty(struct scene *s, SASRegion_t region)
{
	make(s, region);
}

void context_plant(struct scene *s, const char *path, SASRegion_t region)
{
	(void)path;
	(void)region;
	if (!SPHContextAddName(context_of(s), names[A], (void *)16))
		scene_fail_call(s, "SPHContextAddName");
}

/* 1: the trees are there, both; 2: and the name. */
int context_judge_planted(struct scene *s, SASRegion_t region)
{
	void *value = SPHContextFindByName(context_of(s), names[A]);
	const char *first = first_name(context_of(s), 1);
	struct found f;

	model_compare(s, region, &f);
	if (f.removes != 0 || (f.adds != 0 && (f.adds != 2 || f.added[0].size != TREE || f.added[1].size != TREE)))
		scene_fail(s, "%zu blocks have appeared, %zu have gone", f.adds, f.removes);
	if (value ? value != (void *)16 || !first || strcmp(first, names[A]) != 0 || f.adds == 0 : first != NULL)
		scene_fail(s, "the name leads to %p, the address has %s", value, first ? first : "none");
	if (SPHContextFreeSpace(context_of(s)) != ROOM - (value ? 16 : 0))
		scene_fail(s, "%zu bytes are free", SPHContextFreeSpace(context_of(s)));
	check(s);
	return value ? 2 : f.adds != 0;
}

/* --- the end */

void context_destroy(struct scene *s, const char *path, SASRegion_t region)
{
	(void)path;
	(void)region;
	if (SPHContextDestroy(context_of(s)) != 0)
		scene_fail_call(s, "SPHContextDestroy");
}

/* 1: it is none any more, and its block alone is there. 2: nothing is there. */
int context_judge_destroyed(struct scene *s, SASRegion_t region)
{
	int is_there = SPHContextFindByName(context_of(s), names[OTHER]) != NULL, error = errno;
	struct found f;

	model_compare(s, region, &f);
	if (f.adds != 0 || f.removes != (is_there ? 0U : f.removes == 3 ? 3U : 2U))
		scene_fail(s, "%zu blocks have appeared, %zu have gone", f.adds, f.removes);
	if (is_there) {
		if (!is_form(s, &start))
			fail_form(s);
		check(s);
		return 0;
	}
	if (error != EINVAL)
		scene_fail(s, "a context that has gone gives error %d", error);
	return f.removes == 3 ? 2 : 1;
}

/* Who destroys one again that is none any more ends what was begun. */
void context_destroy_again(struct scene *s, const char *path, SASRegion_t region)
{
	context_recover(s, path, region);
	if (SPHContextFindByName(context_of(s), names[OTHER]))
		return;
	if (SPHContextIs(context_of(s)) && SPHContextDestroy(context_of(s)) != 0)
		scene_fail_call(s, "SPHContextDestroy again");
}

int context_judge_gone(struct scene *s, SASRegion_t region)
{
	return context_judge_destroyed(s, region) != 0;
}
