/* SPDX-License-Identifier: MIT */
/*
 * build.c - from the text of a package index to the graph, in whatever memory the arena has.
 *
 * Nobody else sees the graph while it is built: plain stores, and the caller publishes the root.
 */
#include <string.h>
#include "packages.h"

/* The package of that name; made where there is none. Numbers are given in the order of mention. */
static struct package *intern(struct arena *arena, struct root *root, struct slice name)
{
	struct package *package = package_find(root, name.at, name.length);
	struct package_word *bucket;

	if (package != NULL)
		return package;
	bucket = package_bucket(root, name.at, name.length);
	package = arena_take(arena, sizeof(*package));
	package->name = arena_text(arena, name);
	package->number = root->name_count++;
	package->next = follow(bucket);
	publish(bucket, package);
	return package;
}

static uint64_t count_dependencies(struct slice text, uint64_t *edges)
{
	struct relation relation;
	uint64_t count = 0;

	while (parse_relation(&text, &relation)) {
		++*edges;
		count += !relation.more;
	}
	return count;
}

static void fill_edge(struct arena *arena, struct root *root, struct version *version, struct edge *edge,
		      const struct relation *relation)
{
	edge->to = intern(arena, root, relation->name);
	edge->from = version;
	edge->qualifier = arena_text(arena, relation->qualifier);
	edge->constraint = arena_text(arena, relation->constraint);
	edge_link(edge);
}

/* One field's dependencies, from *dependency and *edge on. */
static void fill_dependencies(struct arena *arena, struct root *root, struct version *version,
			      struct slice text, uint64_t kind, struct dependency **dependency,
			      struct edge **edge)
{
	struct relation relation;

	while (parse_relation(&text, &relation)) {
		if ((*dependency)->edge_count++ == 0) {
			(*dependency)->kind = kind;
			(*dependency)->edges = *edge;
		}
		fill_edge(arena, root, version, (*edge)++, &relation);
		*dependency += !relation.more;
	}
}

static void add_dependencies(struct arena *arena, struct root *root, struct version *version,
			     const struct stanza *stanza)
{
	uint64_t edges = 0, count = count_dependencies(stanza->pre_depends, &edges) +
				    count_dependencies(stanza->depends, &edges);
	struct dependency *dependency = arena_take(arena, count * sizeof(*dependency));
	struct edge *edge = arena_take(arena, edges * sizeof(*edge));

	version->dependencies = dependency;
	version->dependency_count = count;
	fill_dependencies(arena, root, version, stanza->pre_depends, PRE_DEPENDS, &dependency, &edge);
	fill_dependencies(arena, root, version, stanza->depends, DEPENDS, &dependency, &edge);
	root->dependency_count += count;
	root->edge_count += edges;
}

static void add_stanza(struct arena *arena, struct root *root, const struct stanza *stanza)
{
	struct package *package = intern(arena, root, stanza->package);
	struct version *version = arena_take(arena, sizeof(*version));

	version->package = package;
	version->version = arena_text(arena, stanza->version);
	version->architecture = arena_text(arena, stanza->architecture);
	version->section = arena_text(arena, stanza->section);
	version->summary = arena_text(arena, stanza->summary);
	version->installed_size = stanza->installed_size;
	version->size = stanza->size;
	version->notes = (const unsigned char *)arena_text(arena, (struct slice){ "", 0 });
	add_dependencies(arena, root, version, stanza);
	version->checksum = version_checksum(version);
	version->older = follow(&package->versions);
	root->package_count += version->older == NULL;
	root->version_count++;
	publish(&package->versions, version);
}

static void number_names(struct arena *arena, struct root *root)
{
	root->names = arena_take(arena, root->name_count * sizeof(*root->names));
	for (uint64_t i = 0; i < root->bucket_count; i++)
		for (struct package *p = follow(&root->buckets[i]); p != NULL; p = p->next)
			root->names[p->number] = p;
}

struct root *graph_build(struct arena *arena, struct slice text)
{
	struct root *root = arena_take(arena, sizeof(*root));
	struct stanza stanza;

	root->bucket_count = 1024;
	while (root->bucket_count < text.length / 512)
		root->bucket_count *= 2;
	root->buckets = arena_take(arena, root->bucket_count * sizeof(*root->buckets));
	while (parse_stanza(&text, &stanza))
		add_stanza(arena, root, &stanza);
	number_names(arena, root);
	root->arenas = arena->blocks;
	root->format = GRAPH_FORMAT;
	root->magic = GRAPH_MAGIC;
	return root;
}
