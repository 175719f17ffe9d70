/* SPDX-License-Identifier: MIT */
/*
 * model.c - what the graph must look like, in the killer's own memory: for each name how many versions
 * of the input are left, and which updates made the newer ones. Knows the board's changes alone.
 */
#include <stdlib.h>
#include <string.h>
#include "board.h"
#include "packages.h"

struct name_state {
	uint64_t loaded;                /* versions of the input, the oldest ones */
	uint64_t count;
	uint64_t made[VERSIONS_MOST + 1];       /* updates that made the others, oldest first */
};

struct model {
	uint64_t names;
	struct name_state *states;      /* by number */
	uint64_t last;                  /* number that was changed last, and what it was before */
	struct name_state before;
};

struct model *model_new(const struct root *root)
{
	struct model *model = calloc(1, sizeof(*model));

	if (model == NULL)
		die("no memory");
	model->names = root->name_count + EXTRA_NAMES;
	model->states = calloc(model->names, sizeof(*model->states));
	if (model->states == NULL)
		die("no memory");
	for (uint64_t i = 0; i < root->name_count; i++)
		for (struct version *v = follow(&root->names[i]->versions); v != NULL; v = v->older)
			if (v->sequence != 0)
				die("the graph has been changed: load it into a new region");
			else
				model->states[i].loaded++;
	return model;
}

void model_free(struct model *model)
{
	free(model->states);
	free(model);
}

/* 0; -1: no updater could have done that. */
int model_apply(struct model *model, uint64_t number, uint64_t action, uint64_t sequence)
{
	struct name_state *state;

	if (number >= model->names)
		return -1;
	state = &model->states[number];
	model->last = number;
	model->before = *state;
	if (action != ACTION_ADD) {
		if (state->count > 0)
			state->count--;
		else if (state->loaded > 0)
			state->loaded--;
		else
			return -1;
	}
	if (action == ACTION_REMOVE)
		return 0;
	if (state->count > VERSIONS_MOST)
		return -1;
	state->made[state->count++] = sequence;
	return 0;
}

void model_undo(struct model *model)
{
	model->states[model->last] = model->before;
}

/* Whether the graph has just the versions of a name that the model has. */
int model_agrees(const struct model *model, const struct root *root, uint64_t number)
{
	const struct name_state *state = &model->states[number];
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

static int contents_are_right(const struct root *root, uint64_t number, uint64_t *checked)
{
	struct package *package = package_of_number(root, number);
	struct version *v = package == NULL ? NULL : follow(&package->versions);

	for (; v != NULL && v->sequence != 0; v = v->older, ++*checked)
		if (v->package != package || !entry_is_right(root, v))
			return 0;
	return 1;
}

/* No package is in a bucket that the model does not know. */
static uint64_t count_strangers(const struct model *model, const struct root *root)
{
	uint64_t strangers = 0;

	for (uint64_t i = 0; i < root->bucket_count; i++)
		for (struct package *p = follow(&root->buckets[i]); p != NULL; p = p->next)
			strangers += p->number >= model->names || package_of_number(root, p->number) != p;
	return strangers;
}

static int text_is(const char *text, struct slice slice)
{
	return strlen(text) == slice.length && memcmp(text, slice.at, slice.length) == 0;
}

static int edge_is_right(const struct edge *edge, const struct relation *relation)
{
	return text_is(edge->to->name, relation->name) && text_is(edge->qualifier, relation->qualifier) &&
	       text_is(edge->constraint, relation->constraint);
}

/* One field of a stanza against the dependencies from number *d on. */
static int field_is_right(const struct version *version, uint64_t kind, struct slice text, uint64_t *d)
{
	struct relation relation;
	uint64_t e = 0;

	while (parse_relation(&text, &relation)) {
		const struct dependency *dependency = &version->dependencies[*d];

		if (*d >= version->dependency_count || dependency->kind != kind)
			return 0;
		if (e >= dependency->edge_count || dependency->edges[e].from != version ||
		    !edge_is_right(&dependency->edges[e++], &relation))
			return 0;
		if (relation.more)
			continue;
		if (e != dependency->edge_count)
			return 0;
		++*d;
		e = 0;
	}
	return 1;
}

static int stanza_is_right(const struct version *version, const struct stanza *stanza)
{
	uint64_t d = 0;

	return text_is(version->package->name, stanza->package) &&
	       text_is(version->version, stanza->version) &&
	       text_is(version->architecture, stanza->architecture) &&
	       text_is(version->section, stanza->section) && text_is(version->summary, stanza->summary) &&
	       version->installed_size == stanza->installed_size && version->size == stanza->size &&
	       field_is_right(version, PRE_DEPENDS, stanza->pre_depends, &d) &&
	       field_is_right(version, DEPENDS, stanza->depends, &d) && d == version->dependency_count;
}

/* The version that was the input's stanza number `nth` of a name: the oldest is the first. */
static struct version *loaded_version(const struct model *model, struct package *package, uint64_t nth)
{
	const struct name_state *state = &model->states[package->number];
	uint64_t newer = state->count + state->loaded - 1 - nth;
	struct version *v = follow(&package->versions);

	while (v != NULL && newer-- > 0)
		v = v->older;
	return v;
}

/* Compare what is left of the input with its text. */
static uint64_t compare_input(const struct model *model, const struct root *root, struct slice text,
			      uint64_t *checked)
{
	uint64_t *seen = calloc(model->names, sizeof(*seen));
	struct stanza stanza;
	uint64_t wrong = 0;

	if (seen == NULL)
		die("no memory");
	while (parse_stanza(&text, &stanza)) {
		struct package *package = package_find(root, stanza.package.at, stanza.package.length);
		struct version *version;
		uint64_t nth;

		if (package == NULL || package->number >= model->names) {
			wrong++;
			continue;
		}
		nth = seen[package->number]++;
		if (nth >= model->states[package->number].loaded)
			continue;
		version = loaded_version(model, package, nth);
		wrong += version == NULL || !stanza_is_right(version, &stanza);
		++*checked;
	}
	free(seen);
	return wrong;
}

/* All of the graph against the model and the input; 0 when it is right. */
uint64_t model_verify(const struct model *model, const struct root *root, struct slice text)
{
	uint64_t lost = 0, wrong = 0, made = 0, loaded = 0;

	for (uint64_t i = 0; i < model->names; i++) {
		int agrees = model_agrees(model, root, i);

		lost += !agrees;
		wrong += !contents_are_right(root, i, &made);
		if (!agrees)
			complain("number %llu has other versions than were acknowledged",
				 (unsigned long long)i);
	}
	if (lost == 0)
		wrong += compare_input(model, root, text, &loaded);
	wrong += count_strangers(model, root);
	report("verify.made", "%llu", (unsigned long long)made);
	report("verify.input", "%llu", (unsigned long long)loaded);
	report("verify.wrong", "%llu", (unsigned long long)wrong);
	report("verify.lost", "%llu", (unsigned long long)lost);
	return wrong + lost;
}
