/* SPDX-License-Identifier: MIT */
/*
 * model.c - what the graph must look like, in the killer's own memory, from the changes on the board alone.
 *
 * Changes come in the order of their numbers, which for each package is the order in which they were
 * made: the numbers are taken under its lock. Each says what it found: the newest version, and how many
 * there were.
 *     An acknowledged change is there: the next change of the package, or the graph at the end, shows it.
 *     One that was begun and not acknowledged is open. The next change of the package, by whoever got the
 *     lock of the dead, says whether it is there: it must have found what was before the open one, or what
 *     is after it. The last one is decided by the graph.
 */
#include <stdlib.h>
#include "model.h"
#include "packages.h"

struct model *model_new(const struct root *root)
{
	struct model *model = calloc(1, sizeof(*model));

	if (model == NULL)
		die("no memory");
	model->names = root->name_count + EXTRA_NAMES;
	model->by_number = calloc(model->names, sizeof(*model->by_number));
	if (model->by_number == NULL)
		die("no memory");
	for (uint64_t i = 0; i < root->name_count; i++)
		for (struct version *v = follow(&root->names[i]->versions); v != NULL; v = v->older)
			if (v->sequence != 0)
				die("the graph has been changed: load it into a new region");
			else
				model->by_number[i].state.loaded++;
	return model;
}

void model_free(struct model *model)
{
	free(model->by_number);
	free(model);
}

/* What a change found, or would find. */
static int is_base(const struct name_state *state, const struct change *change)
{
	uint64_t newest = state->count > 0 ? state->made[state->count - 1] : 0;

	return change->base == newest && change->depth == state->count + state->loaded;
}

/* 0: no updater could have done that, and nothing has changed. */
static int apply(struct name_state *state, const struct change *change)
{
	struct name_state next = *state;

	if (change->action != ACTION_ADD) {
		if (next.count > 0)
			next.count--;
		else if (next.loaded > 0)
			next.loaded--;
		else
			return 0;
	}
	if (change->action != ACTION_REMOVE) {
		if (next.count > VERSIONS_MOST)
			return 0;
		next.made[next.count++] = change->sequence;
	}
	*state = next;
	return 1;
}

/* The open change is there, or it is not. */
static void close_open(struct model *model, struct name_model *name, int there)
{
	if (there)
		apply(&name->state, &name->open);
	model->there += (uint64_t)there;
	model->not_there += !there;
	name->open.sequence = 0;
}

/* By what the next change of the package found. */
static void decide(struct model *model, struct name_model *name, const struct change *change)
{
	struct name_state after = name->state;

	if (name->open.sequence == 0) {
		if (is_base(&name->state, change))
			return;
		model->lost++;
		complain("change %llu did not find what was acknowledged before it",
			 (unsigned long long)change->sequence);
		return;
	}
	model->impossible += !apply(&after, &name->open);
	if (is_base(&after, change) || is_base(&name->state, change)) {
		close_open(model, name, is_base(&after, change));
		return;
	}
	model->half++;
	complain("change %llu is there by half", (unsigned long long)name->open.sequence);
	name->open.sequence = 0;
}

void model_apply(struct model *model, const struct change *change, int acknowledged)
{
	struct name_model *name;

	if (change->number >= model->names) {
		model->impossible++;
		return;
	}
	name = &model->by_number[change->number];
	decide(model, name, change);
	if (acknowledged)
		model->impossible += !apply(&name->state, change);
	else
		name->open = *change;
}

/* Whether the graph has just the versions of a name that the state has. */
int state_agrees(const struct name_state *state, const struct root *root, uint64_t number)
{
	struct package *package = package_of_number(root, number);
	struct version *v = package == NULL ? NULL : follow(&package->versions);
	uint64_t loaded = 0;

	for (uint64_t i = state->count; i > 0; i--, v = v->older)
		if (v == NULL || v->sequence != state->made[i - 1])
			return 0;
	for (; v != NULL; v = v->older, loaded++)
		if (v->sequence != 0)
			return 0;
	return loaded == state->loaded;
}

/* The open changes that no other one followed. Reports all of them; gives how many things were wrong. */
uint64_t model_finish(struct model *model, const struct root *root)
{
	for (uint64_t i = 0; i < model->names; i++) {
		struct name_model *name = &model->by_number[i];
		struct name_state after = name->state;

		if (name->open.sequence == 0)
			continue;
		model->impossible += !apply(&after, &name->open);
		if (state_agrees(&after, root, i) || state_agrees(&name->state, root, i)) {
			close_open(model, name, state_agrees(&after, root, i));
			continue;
		}
		model->half++;
		complain("the last change %llu is there by half", (unsigned long long)name->open.sequence);
	}
	report("updates.there", "%llu", (unsigned long long)model->there);
	report("updates.not_there", "%llu", (unsigned long long)model->not_there);
	report("updates.wrong", "%llu", (unsigned long long)(model->half + model->impossible));
	return model->half + model->impossible + model->lost;
}
