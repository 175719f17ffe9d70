/* SPDX-License-Identifier: MIT */
/*
 * index_peer.h - what bench_index asks of each ordered map that it measures: keys, and a table of calls, one indirect call an
 * operation. An adapter (index_*.c, index_*.cpp) has a table for each kind of key. Failures end the program: give_up().
 */
#ifndef BENCH_INDEX_PEER_H
#define BENCH_INDEX_PEER_H

#include "measure.h"

enum key_kind { NUMBERS, STRINGS, KINDS };

/* A string ends in a 0 that `size` does not count. Values are never 0. */
struct index_key {
	union { uint64_t number; const char *bytes; };
	size_t size;
	uint64_t value;
};

struct index_peer {
	const char *name;
	int many;                       /* processes can use one tree together */
	/* Tree `number` in the directory `store`: a new one, or (create 0) the one that another process has made. */
	void *(*open)(const char *store, unsigned number, size_t count, int create);
	void (*close)(void *tree, int destroy);
	/* What has been put is in the tree, with all that the peer promises, when the call returns. 1; 0: the key was there. */
	int (*put)(void *tree, const struct index_key *key);
	/* The value, 0: not there. Between reading(1) and reading(0), where changes of others need not be seen. */
	uint64_t (*get)(void *tree, const struct index_key *key);
	void (*reading)(void *tree, int begin);
	/* All values in the order of keys, folded by index_fold(), from 0. */
	uint64_t (*scan)(void *tree);
	/* 1; 0: it was not there. */
	int (*remove)(void *tree, const struct index_key *key);
	/* What the tree takes of memory or of its file. */
	uint64_t (*bytes)(void *tree);
	/* Fill an empty tree with keys in order; NULL: the peer has no such call. */
	void (*load)(void *tree, const struct index_key *keys, size_t count);
};

/* Depends on the order of the values. */
static inline uint64_t index_fold(uint64_t sum, uint64_t value)
{
	return sum * 31 + value;
}

#ifdef __cplusplus
extern "C" {
#endif

/* What malloc(3) has handed out, its own headers included: of peers whose trees are nothing but that. */
uint64_t index_heap_bytes(void);
void index_no_reading(void *tree, int begin);

extern const struct index_peer index_sasphere[KINDS], index_lmdb[KINDS], index_pmemobj[KINDS], index_glib[KINDS];
extern const struct index_peer index_abseil[KINDS], index_stdmap[KINDS];

#ifdef __cplusplus
}
#endif

#endif
