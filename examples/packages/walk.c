/* SPDX-License-Identifier: MIT */
/*
 * walk.c - walk STORE NAME: follow every pointer of the graph and sum up all that is there.
 *
 * The sum takes addresses and contents: two regions give the same one only if each pointer of the one
 * leads to the same in the other. Reverse lists must lead to the very edges that the versions have.
 */
#include <string.h>
#include <sassim.h>
#include "packages.h"

struct walk {
	uintptr_t low, high;            /* of the region */
	uint64_t sum;
	uint64_t packages, versions, edges, reverse;
	uint64_t edge_sum, reverse_sum; /* the same edges in another order give the same sums */
	uint64_t wrong;
};

/* A pointer must lead into the region; its value is part of the sum. */
static void take_pointer(struct walk *walk, const void *pointer)
{
	uintptr_t at = (uintptr_t)pointer;

	if (at < walk->low || at >= walk->high)
		walk->wrong++;
	walk->sum = mix(walk->sum, &at, sizeof(at));
}

static void walk_edge(struct walk *walk, const struct version *version, const struct edge *edge)
{
	take_pointer(walk, edge);
	take_pointer(walk, edge->to);
	take_pointer(walk, edge->qualifier);
	take_pointer(walk, edge->constraint);
	walk->wrong += edge->from != version;
	walk->edges++;
	walk->edge_sum += random_of((uintptr_t)edge);
}

static void walk_version(struct walk *walk, const struct package *package, const struct version *version)
{
	uint64_t checksum = version_checksum(version);

	take_pointer(walk, version);
	take_pointer(walk, version->version);
	take_pointer(walk, version->summary);
	take_pointer(walk, version->notes);
	for (uint64_t d = 0; d < version->dependency_count; d++)
		for (uint64_t e = 0; e < version->dependencies[d].edge_count; e++)
			walk_edge(walk, version, &version->dependencies[d].edges[e]);
	walk->wrong += version->package != package || checksum != version->checksum;
	walk->sum = mix(walk->sum, &checksum, sizeof(checksum));
	walk->versions++;
}

static void walk_reverse(struct walk *walk, const struct package *package)
{
	for (struct edge *e = follow(&package->reverse); e != NULL; e = follow(&e->next)) {
		take_pointer(walk, e);
		walk->wrong += e->to != package;
		if (!version_is_listed(e->from))
			continue;
		walk->reverse++;
		walk->reverse_sum += random_of((uintptr_t)e);
	}
}

static void walk_package(struct walk *walk, const struct root *root, struct package *package)
{
	take_pointer(walk, package);
	take_pointer(walk, package->name);
	walk->wrong += package_find(root, package->name, strlen(package->name)) != package;
	walk->packages += follow(&package->versions) != NULL;
	for (struct version *v = follow(&package->versions); v != NULL; v = v->older)
		walk_version(walk, package, v);
	walk_reverse(walk, package);
}

static void report_walk(const struct walk *walk, const char *name)
{
	char key[64];

	snprintf(key, sizeof(key), "walk.%s", name);
	report(key, "%016llx", (unsigned long long)walk->sum);
	snprintf(key, sizeof(key), "entries.%s", name);
	report(key, "%llu", (unsigned long long)walk->versions);
	snprintf(key, sizeof(key), "wrong.%s", name);
	report(key, "%llu", (unsigned long long)walk->wrong);
}

int command_walk(int argc, char **argv)
{
	struct walk walk = { 0 };
	struct root *root;

	if (argc != 3)
		die("usage: walk STORE NAME");
	root = join_store(argv[2], argv[1]).root;
	if (root == NULL)
		die("%s: nothing is loaded", argv[1]);
	walk.low = getMemLow();
	walk.high = getMemHigh();
	for (uint64_t i = 0; i < root->bucket_count; i++)
		for (struct package *p = follow(&root->buckets[i]); p != NULL; p = p->next)
			walk_package(&walk, root, p);
	walk.wrong += walk.edges != walk.reverse || walk.edge_sum != walk.reverse_sum;
	report_walk(&walk, argv[2]);
	SASCleanUp();
	return walk.wrong == 0 ? 0 : 1;
}
