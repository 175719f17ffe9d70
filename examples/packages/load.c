/* SPDX-License-Identifier: MIT */
/*
 * load.c - load STORE INPUT [die]: build the graph in a region, once. With "die" the loader kills
 * itself before its last step, to show what the next one does.
 *
 * Crash: setSASFinder() is the store that publishes. A loader that dies before it leaves blocks that
 * carry its generation and that nothing leads to; the next loader finds them and gives them back.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sassim.h>
#include <sasregion.h>
#include "packages.h"

static void *more_from_region(size_t size)
{
	void *block = SASBlockAlloc(size);

	if (block == NULL)
		die("no block of %zu bytes: %s", size, SASLastErrorMessage());
	return block;
}

/* In a region without a finder whatever was allocated was left by a loader that died. */
static uint64_t free_leftovers(uint32_t mine)
{
	long count = SASRegionListBlocks(SASRegionDefault(), SASBlock__IN_USE, NULL, 0);
	SASBlockInfo *blocks;
	uint64_t freed = 0;

	if (count <= 0)
		return 0;
	blocks = calloc((size_t)count, sizeof(*blocks));
	if (blocks == NULL)
		die("no memory");
	count = SASRegionListBlocks(SASRegionDefault(), SASBlock__IN_USE, blocks, (size_t)count);
	for (long i = 0; i < count; i++)
		if (blocks[i].generation != 0 && blocks[i].generation != mine)
			freed += SASBlockFree(blocks[i].address, blocks[i].size) == 0;
	free(blocks);
	return freed;
}

static void report_graph(const struct root *root, const struct arena *arena, uint64_t bytes)
{
	report("input.bytes", "%llu", (unsigned long long)bytes);
	report("graph.packages", "%llu", (unsigned long long)root->package_count);
	report("graph.versions", "%llu", (unsigned long long)root->version_count);
	report("graph.dependencies", "%llu", (unsigned long long)root->dependency_count);
	report("graph.alternatives", "%llu", (unsigned long long)root->edge_count);
	report("graph.names", "%llu", (unsigned long long)root->name_count);
	report("graph.bytes", "%llu", (unsigned long long)arena->bytes);
	report("graph.blocks", "%llu", (unsigned long long)arena->count);
}

int command_load(int argc, char **argv)
{
	struct arena arena = { .more = more_from_region };
	struct joined joined;
	struct slice text;
	struct root *root;
	uint64_t start = now();

	if (argc != 3 && (argc != 4 || strcmp(argv[3], "die") != 0))
		die("usage: load STORE INPUT [die]");
	text = map_file(argv[2]);
	joined = join_store("loader", argv[1]);
	if (joined.root != NULL)
		die("%s: it holds a graph already", argv[1]);
	report("load.leftovers", "%llu", (unsigned long long)free_leftovers(joined.generation));
	root = graph_build(&arena, text);
	if (root->package_count == 0)
		die("%s: no package in it", argv[2]);
	if (argc == 4)
		raise(SIGKILL);
	setSASFinder(root);
	report("load.seconds", "%.3f", (double)(now() - start) / 1e9);
	report_graph(root, &arena, text.length);
	SASCleanUp();
	return 0;
}
