/* SPDX-License-Identifier: MIT */
/*
 * answer.c - answer STORE NAMES: join, load nothing, answer questions about the graph.
 *
 * The relation: q needs p when a stanza of q names p in Depends or Pre-Depends, as any alternative;
 * ":arch" after a name and the version in brackets do not count, p need not be in the index.
 *     rdepends p N    N names need p
 *     closure p N     p needs N names other than p, directly or through others
 *     rclosure p N    N names other than p need p, directly or through others
 * All rdepends are printed, then the closures of the names in the file NAMES. reference.awk says the
 * same about the same text without this program; the two must agree to the byte once sorted.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sassim.h>
#include "packages.h"

struct search {
	const struct root *root;
	struct package **queue;         /* found so far */
	uint64_t found, done;
	uint32_t *round;                /* by number: the search that found it */
	uint32_t current;
};

static void search_begin(struct search *search)
{
	search->found = search->done = 0;
	search->current++;
}

static void search_add(struct search *search, struct package *package)
{
	if (search->round[package->number] == search->current)
		return;
	search->round[package->number] = search->current;
	search->queue[search->found++] = package;
}

static void add_needed(struct search *search, struct package *package)
{
	for (struct version *v = follow(&package->versions); v != NULL; v = v->older)
		for (uint64_t d = 0; d < v->dependency_count; d++)
			for (uint64_t e = 0; e < v->dependencies[d].edge_count; e++)
				search_add(search, v->dependencies[d].edges[e].to);
}

static void add_needing(struct search *search, struct package *package)
{
	for (struct edge *e = follow(&package->reverse); e != NULL; e = follow(&e->next))
		if (version_is_listed(e->from))
			search_add(search, e->from->package);
}

static uint64_t count_direct(struct search *search, struct package *package)
{
	search_begin(search);
	add_needing(search, package);
	return search->found;
}

static uint64_t count_closure(struct search *search, struct package *package,
			      void (*add)(struct search *search, struct package *package))
{
	search_begin(search);
	search_add(search, package);
	while (search->done < search->found)
		add(search, search->queue[search->done++]);
	return search->found - 1;
}

static void answer_all(struct search *search)
{
	const struct root *root = search->root;

	printf("packages %llu\n", (unsigned long long)root->package_count);
	printf("versions %llu\n", (unsigned long long)root->version_count);
	printf("dependencies %llu\n", (unsigned long long)root->dependency_count);
	printf("alternatives %llu\n", (unsigned long long)root->edge_count);
	printf("names %llu\n", (unsigned long long)root->name_count);
	for (uint64_t i = 0; i < root->name_count; i++)
		printf("rdepends %s %llu\n", root->names[i]->name,
		       (unsigned long long)count_direct(search, root->names[i]));
}

static void answer_name(struct search *search, const char *name)
{
	struct package *package = package_find(search->root, name, strlen(name));

	if (package == NULL) {
		printf("unknown %s\n", name);
		return;
	}
	printf("closure %s %llu\n", name, (unsigned long long)count_closure(search, package, add_needed));
	printf("rclosure %s %llu\n", name, (unsigned long long)count_closure(search, package, add_needing));
}

int command_answer(int argc, char **argv)
{
	struct search search = { 0 };
	FILE *names_file;
	char name[512];
	uint64_t start, names = 0;

	if (argc != 3)
		die("usage: answer STORE NAMES");
	names_file = fopen(argv[2], "r");
	if (names_file == NULL)
		die("%s: %s", argv[2], strerror(errno));
	search.root = join_store("query", argv[1]).root;
	if (search.root == NULL)
		die("%s: nothing is loaded", argv[1]);
	search.queue = calloc(search.root->name_count + EXTRA_NAMES, sizeof(*search.queue));
	search.round = calloc(search.root->name_count + EXTRA_NAMES, sizeof(*search.round));
	if (search.queue == NULL || search.round == NULL)
		die("no memory");
	start = now();
	answer_all(&search);
	report("answer.rdepends", "%llu", (unsigned long long)search.root->name_count);
	for (; fscanf(names_file, "%511s", name) == 1; names++)
		answer_name(&search, name);
	report("answer.closures", "%llu", (unsigned long long)names * 2);
	report("answer.seconds", "%.3f", (double)(now() - start) / 1e9);
	fclose(names_file);
	free(search.queue);
	free(search.round);
	SASCleanUp();
	return fflush(stdout) == 0 ? 0 : 1;
}
