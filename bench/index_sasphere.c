/* SPDX-License-Identifier: MIT */
/*
 * index_sasphere.c - ours: SASIndex for numbers, SASStringBTree for strings, by the plain calls, in a region that all processes of the
 * bench join. The finder leads to the addresses of the trees.
 */
#define _GNU_SOURCE
#include <sasindex.h>
#include <sassim.h>
#include <sasstringbtree.h>
#include "index_peer.h"

#define BLOCK (16UL << 20)      /* a tree grows by so much */
#define TREES 8U                /* in a region */

struct ours { void *tree; unsigned number; };

static void **places(void)
{
	void **places = getSASFinder();

	if (places)
		return places;
	places = SASBlockAlloc(4096);
	if (!places)
		give_up("SASBlockAlloc");
	setSASFinder(places);
	return places;
}

static void *open_ours(const char *store, unsigned number, int create, void *(*make)(block_size_t))
{
	struct ours *ours = allocate(sizeof *ours);

	if (number >= TREES || SASJoinRegionByName(store) != 0)
		give_up("SASJoinRegionByName");
	if (create)
		places()[number] = make(BLOCK);
	ours->number = number;
	ours->tree = places()[number];
	if (!ours->tree)
		give_up("a tree");
	return ours;
}

static void close_ours(struct ours *ours, int destroyed)
{
	if (destroyed)
		places()[ours->number] = NULL;
	SASCleanUp();
	free(ours);
}

static uint64_t bytes_of(const SASTreeInfo *info)
{
	return (info->leaves + info->inner) * info->pageSize;
}

/* What a load takes keys from. */
struct source { const struct index_key *next, *end; };

static void *open_index(const char *store, unsigned number, size_t count, int create)
{
	(void)count;
	return open_ours(store, number, create, SASIndexCreate);
}

static void close_index(void *tree, int destroy)
{
	if (destroy)
		SASIndexDestroy(((struct ours *)tree)->tree);
	close_ours(tree, destroy);
}

static int put_index(void *tree, const struct index_key *key)
{
	SASIndexKey_t k;

	SASIndexKeyInitUInt64(&k, key->number);
	return SASIndexPut(((struct ours *)tree)->tree, &k, (void *)key->value);
}

static uint64_t get_index(void *tree, const struct index_key *key)
{
	SASIndexKey_t k;

	SASIndexKeyInitUInt64(&k, key->number);
	return (uint64_t)SASIndexGet(((struct ours *)tree)->tree, &k);
}

static int fold_number(const SASIndexKey_t *key, void *value, void *sum)
{
	(void)key;
	*(uint64_t *)sum = index_fold(*(uint64_t *)sum, (uint64_t)value);
	return 0;
}

static uint64_t scan_index(void *tree)
{
	uint64_t sum = 0;

	if (SASIndexScan(((struct ours *)tree)->tree, NULL, fold_number, &sum) < 0)
		give_up("SASIndexScan");
	return sum;
}

static int remove_index(void *tree, const struct index_key *key)
{
	SASIndexKey_t k;

	SASIndexKeyInitUInt64(&k, key->number);
	return SASIndexRemove(((struct ours *)tree)->tree, &k) != NULL;
}

static uint64_t bytes_of_index(void *tree)
{
	SASTreeInfo info = { .structSize = sizeof info };

	if (SASIndexGetInfo(((struct ours *)tree)->tree, &info) != 0)
		give_up("SASIndexGetInfo");
	return bytes_of(&info);
}

static int next_number(SASIndexKey_t *key, void **value, void *arg)
{
	struct source *from = arg;

	if (from->next == from->end)
		return 0;
	SASIndexKeyInitUInt64(key, from->next->number);
	*value = (void *)from->next++->value;
	return 1;
}

static void load_index(void *tree, const struct index_key *keys, size_t count)
{
	struct source from = { keys, keys + count };

	if (SASIndexLoad(((struct ours *)tree)->tree, next_number, &from) != (long)count)
		give_up("SASIndexLoad");
}

static void *open_strings(const char *store, unsigned number, size_t count, int create)
{
	(void)count;
	return open_ours(store, number, create, SASStringBTreeCreate);
}

static void close_strings(void *tree, int destroy)
{
	if (destroy)
		SASStringBTreeDestroy(((struct ours *)tree)->tree);
	close_ours(tree, destroy);
}

static int put_string(void *tree, const struct index_key *key)
{
	return SASStringBTreePut(((struct ours *)tree)->tree, key->bytes, (void *)key->value);
}

static uint64_t get_string(void *tree, const struct index_key *key)
{
	return (uint64_t)SASStringBTreeGet(((struct ours *)tree)->tree, key->bytes);
}

static int fold_string(const char *key, void *value, void *sum)
{
	(void)key;
	*(uint64_t *)sum = index_fold(*(uint64_t *)sum, (uint64_t)value);
	return 0;
}

static uint64_t scan_strings(void *tree)
{
	uint64_t sum = 0;

	if (SASStringBTreeScan(((struct ours *)tree)->tree, NULL, fold_string, &sum) < 0)
		give_up("SASStringBTreeScan");
	return sum;
}

static int remove_string(void *tree, const struct index_key *key)
{
	return SASStringBTreeRemove(((struct ours *)tree)->tree, key->bytes) != NULL;
}

static uint64_t bytes_of_strings(void *tree)
{
	SASTreeInfo info = { .structSize = sizeof info };

	if (SASStringBTreeGetInfo(((struct ours *)tree)->tree, &info) != 0)
		give_up("SASStringBTreeGetInfo");
	return bytes_of(&info);
}

static int next_string(const char **key, void **value, void *arg)
{
	struct source *from = arg;

	if (from->next == from->end)
		return 0;
	*key = from->next->bytes;
	*value = (void *)from->next++->value;
	return 1;
}

static void load_strings(void *tree, const struct index_key *keys, size_t count)
{
	struct source from = { keys, keys + count };

	if (SASStringBTreeLoad(((struct ours *)tree)->tree, next_string, &from) != (long)count)
		give_up("SASStringBTreeLoad");
}

const struct index_peer index_sasphere[KINDS] = {
	[NUMBERS] = { "Sasphere SASIndex", 1, open_index, close_index, put_index, get_index, index_no_reading, scan_index, remove_index,
		      bytes_of_index, load_index },
	[STRINGS] = { "Sasphere SASStringBTree", 1, open_strings, close_strings, put_string, get_string, index_no_reading,
		      scan_strings, remove_string, bytes_of_strings, load_strings },
};
