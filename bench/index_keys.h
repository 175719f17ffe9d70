/* SPDX-License-Identifier: MIT */
/*
 * index_keys.h - the keys that bench_index works with, prepared in memory in the order in which they will be used, so that
 * reading them costs the same small time in each peer.
 */
#ifndef BENCH_INDEX_KEYS_H
#define BENCH_INDEX_KEYS_H

#include "index_peer.h"

struct key_set {
	const char *name;
	enum key_kind kind;
	size_t count;                   /* in each of the arrays */
	double mean_size;
	struct index_key *random;       /* in random order */
	struct index_key *look;         /* the same in another one */
	struct index_key *ordered;      /* the same in theirs */
	struct index_key *absent;       /* others, of the same make, in random order */
	uint64_t sum;                   /* what a scan gives */
};

#define KEY_SETS 3
/* 8-byte numbers; strings of 20 random bytes; URLs of about 60 bytes, with long prefixes in common. */
void key_set_make(struct key_set *set, unsigned which, size_t count);
void key_set_free(struct key_set *set);

#endif
