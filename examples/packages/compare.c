/* SPDX-License-Identifier: MIT */
/*
 * compare.c - all of the graph against the model: which versions there are, and to the byte what is in
 * them, as their changes had to make them, or as the text of the input has them.
 */
#include <stdlib.h>
#include <string.h>
#include "board.h"
#include "model.h"
#include "packages.h"

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
	const struct name_state *state = &model->by_number[package->number].state;
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
		if (nth >= model->by_number[package->number].state.loaded)
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
	uint64_t missing = 0, wrong = 0, made = 0, loaded = 0;

	for (uint64_t i = 0; i < model->names; i++) {
		int agrees = state_agrees(&model->by_number[i].state, root, i);

		missing += !agrees;
		wrong += !contents_are_right(root, i, &made);
		if (!agrees)
			complain("number %llu has other versions than were acknowledged",
				 (unsigned long long)i);
	}
	if (missing == 0)
		wrong += compare_input(model, root, text, &loaded);
	wrong += count_strangers(model, root);
	report("verify.made", "%llu", (unsigned long long)made);
	report("verify.input", "%llu", (unsigned long long)loaded);
	report("verify.wrong", "%llu", (unsigned long long)wrong);
	report("verify.lost", "%llu", (unsigned long long)(model->lost + missing));
	return wrong + missing;
}
