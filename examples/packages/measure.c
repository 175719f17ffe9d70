/* SPDX-License-Identifier: MIT */
/*
 * measure.c - measure STORE INPUT: joining against parsing the text again, and looking up names.
 */
#include <stdlib.h>
#include <string.h>
#include <sassim.h>
#include "packages.h"

static void *more_from_heap(size_t size)
{
	void *block = calloc(1, size);

	if (block == NULL)
		die("no memory");
	return block;
}

/* What each process would have to do that cannot join: the same graph in memory of its own. */
static void measure_parsing(const char *input)
{
	struct arena arena = { .more = more_from_heap };
	uint64_t start = now();

	graph_build(&arena, map_file(input));
	report("parse.seconds", "%.3f", (double)(now() - start) / 1e9);
	while (arena.blocks != NULL) {
		struct block_head *head = arena.blocks;

		arena.blocks = head->next;
		free(head);
	}
}

static int compare_times(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* All names in random order; copies, as a lookup's question does not come from the region. */
static char **shuffled_names(const struct root *root)
{
	char **names = calloc(root->name_count, sizeof(*names));

	if (names == NULL)
		die("no memory");
	for (uint64_t i = 0; i < root->name_count; i++) {
		uint64_t other = random_of(i) % (i + 1);

		names[i] = names[other];
		names[other] = strdup(root->names[i]->name);
		if (names[other] == NULL)
			die("no memory");
	}
	return names;
}

/* Time each lookup of a name and its newest version; 1 if all were found. */
static int look_up_all(const struct root *root, char **names, uint32_t *times)
{
	int right = 1;

	for (uint64_t i = 0; i < root->name_count; i++) {
		uint64_t start = now();
		struct package *package = package_find(root, names[i], strlen(names[i]));
		struct version *newest = package == NULL ? NULL : follow(&package->versions);
		const char *version = newest == NULL ? NULL : newest->version;

		times[i] = (uint32_t)(now() - start);
		right &= package != NULL && (version == NULL || *version != '\0');
	}
	return right;
}

static int measure_lookups(const struct root *root)
{
	char **names = shuffled_names(root);
	uint32_t *times = calloc(root->name_count, sizeof(*times));
	int right;

	if (times == NULL)
		die("no memory");
	right = look_up_all(root, names, times) && look_up_all(root, names, times);
	qsort(times, root->name_count, sizeof(*times), compare_times);
	report("lookup.count", "%llu", (unsigned long long)root->name_count);
	report("lookup.median_ns", "%u", times[root->name_count / 2]);
	report("lookup.p99_ns", "%u", times[root->name_count * 99 / 100]);
	for (uint64_t i = 0; i < root->name_count; i++)
		free(names[i]);
	free(names);
	free(times);
	return right;
}

int command_measure(int argc, char **argv)
{
	struct joined joined;
	int right;

	if (argc != 3)
		die("usage: measure STORE INPUT");
	joined = join_store("measure", argv[1]);
	if (joined.root == NULL)
		die("%s: nothing is loaded", argv[1]);
	report("join.microseconds", "%.0f", (double)joined.nanoseconds / 1e3);
	right = measure_lookups(joined.root);
	SASCleanUp();
	measure_parsing(argv[2]);
	return right ? 0 : 1;
}
