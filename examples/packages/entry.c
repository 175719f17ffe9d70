/* SPDX-License-Identifier: MIT */
/*
 * entry.c - what change number N puts into an entry. All of it is a function of N, so that whoever
 * verifies can make it once more, in memory of its own, and compare.
 */
#include <stdlib.h>
#include <string.h>
#include <sassim.h>
#include <sasregion.h>
#include "board.h"
#include "packages.h"

#define DEPENDENCIES_MOST 5
#define ALTERNATIVES_MOST 3
#define FIXED_PART 2048                         /* holds a version_block, its dependencies and its texts */
#define NOTES_MOST (192u << 10)

struct plan {
	uint64_t sequence;
	uint64_t dependencies;                  /* each with 1 to ALTERNATIVES_MOST alternatives */
	size_t notes;
};

/* Most entries fit a block of 4 KiB, a few take up to 256 KiB. */
static struct plan plan_of(uint64_t sequence)
{
	uint64_t random = random_of(sequence);
	struct plan plan = { sequence, random % (DEPENDENCIES_MOST + 1), 0 };
	uint64_t shape = random >> 8 & 63;

	random = random_of(random);
	plan.notes = random % (4096 - FIXED_PART);
	if (shape < 20)
		plan.notes = random % 6000;
	if (shape < 4)
		plan.notes = random % 60000;
	if (shape == 0)
		plan.notes = random % NOTES_MOST;
	return plan;
}

static size_t block_size(const struct plan *plan)
{
	size_t size = 4096;

	while (size < FIXED_PART + plan->notes)
		size *= 2;
	return size;
}

static const char *put(struct arena *arena, const char *text)
{
	return arena_text(arena, (struct slice){ text, strlen(text) });
}

static const char *put_number(struct arena *arena, const char *before, uint64_t number)
{
	char text[80];

	snprintf(text, sizeof(text), "%s%llu", before, (unsigned long long)number);
	return put(arena, text);
}

static void fill_edge(struct arena *arena, const struct root *root, struct version *version,
		      struct edge *edge, uint64_t random)
{
	edge->to = root->names[random % root->name_count];
	edge->from = version;
	edge->qualifier = put(arena, random >> 40 & 1 ? "any" : "");
	edge->constraint = random >> 41 & 1 ? put_number(arena, ">= ", random >> 50) : put(arena, "");
}

static void fill_dependencies(struct arena *arena, const struct root *root, struct version *version,
			      const struct plan *plan)
{
	version->dependency_count = plan->dependencies;
	version->dependencies = arena_take(arena, plan->dependencies * sizeof(*version->dependencies));
	for (uint64_t d = 0; d < plan->dependencies; d++) {
		struct dependency *dependency = &version->dependencies[d];
		uint64_t random = random_of(plan->sequence * 64 + d);

		dependency->kind = random >> 60 == 0 ? PRE_DEPENDS : DEPENDS;
		dependency->edge_count = 1 + random % ALTERNATIVES_MOST;
		dependency->edges = arena_take(arena, dependency->edge_count * sizeof(struct edge));
		for (uint64_t e = 0; e < dependency->edge_count; e++)
			fill_edge(arena, root, version, &dependency->edges[e], random_of(random + e));
	}
}

static void fill_notes(struct version *version, const struct plan *plan, unsigned char *notes)
{
	for (size_t i = 0; i < plan->notes; i += sizeof(uint64_t)) {
		uint64_t random = random_of(plan->sequence << 20 ^ i);
		size_t left = plan->notes - i;

		memcpy(notes + i, &random, left < sizeof(random) ? left : sizeof(random));
	}
	version->notes = notes;
	version->notes_size = plan->notes;
}

/* All of a version block but its mark. */
static void fill(struct version_block *block, const struct root *root, struct package *package,
		 const struct plan *plan, struct version *older)
{
	struct version *version = &block->version;
	struct arena arena = { .next = (char *)(block + 1), .end = (char *)block + block_size(plan) };

	block->head.kind = BLOCK_VERSION;
	block->head.size = block_size(plan);
	version->package = package;
	version->older = older;
	version->sequence = plan->sequence;
	version->version = put_number(&arena, "1.0+", plan->sequence);
	version->architecture = put(&arena, "all");
	version->section = put(&arena, "example");
	version->summary = put_number(&arena, "made by update number ", plan->sequence);
	version->installed_size = plan->notes / 1024;
	version->size = plan->notes;
	fill_dependencies(&arena, root, version, plan);
	fill_notes(version, plan, (unsigned char *)arena.next);
	version->checksum = version_checksum(version);
}

/* A new block with all of the entry in it. Nothing leads to it yet. */
struct version_block *entry_make(const struct root *root, struct package *package, uint64_t sequence,
				 struct version *older, struct updater *me)
{
	struct plan plan = plan_of(sequence);
	struct version_block *block;

	board_enter(me, CALL_ALLOC);
	block = SASBlockAlloc(block_size(&plan));
	board_leave(me);
	if (block == NULL)
		die("no block of %zu bytes: %s", block_size(&plan), SASLastErrorMessage());
	linger(sequence, GAP_ALLOCATED);
	fill(block, root, package, &plan, older);
	/* Publish to the leak scan: a block with this mark is complete, its edges may be followed. */
	atomic_store_explicit(&block->head.filled, GRAPH_MAGIC, memory_order_release);
	linger(sequence, GAP_FILLED);
	return block;
}

static int edges_are_equal(const struct edge *a, const struct edge *b)
{
	return a->to == b->to && strcmp(a->qualifier, b->qualifier) == 0 &&
	       strcmp(a->constraint, b->constraint) == 0;
}

static int dependencies_are_equal(const struct dependency *a, const struct dependency *b)
{
	if (a->kind != b->kind || a->edge_count != b->edge_count)
		return 0;
	for (uint64_t e = 0; e < a->edge_count; e++)
		if (!edges_are_equal(&a->edges[e], &b->edges[e]))
			return 0;
	return 1;
}

static int versions_are_equal(const struct version *a, const struct version *b)
{
	if (a->package != b->package || strcmp(a->version, b->version) != 0 ||
	    strcmp(a->architecture, b->architecture) != 0 || strcmp(a->section, b->section) != 0 ||
	    strcmp(a->summary, b->summary) != 0 || a->installed_size != b->installed_size ||
	    a->size != b->size || a->sequence != b->sequence || a->checksum != b->checksum ||
	    a->notes_size != b->notes_size || memcmp(a->notes, b->notes, a->notes_size) != 0 ||
	    a->dependency_count != b->dependency_count)
		return 0;
	for (uint64_t d = 0; d < a->dependency_count; d++)
		if (!dependencies_are_equal(&a->dependencies[d], &b->dependencies[d]))
			return 0;
	return 1;
}

/* Whether a version is to the byte what its update had to make. */
int entry_is_right(const struct root *root, const struct version *version)
{
	struct plan plan = plan_of(version->sequence);
	struct version_block *expected = calloc(1, block_size(&plan));
	int right;

	if (expected == NULL)
		die("no memory");
	fill(expected, root, version->package, &plan, NULL);
	right = versions_are_equal(version, &expected->version);
	free(expected);
	return right;
}
