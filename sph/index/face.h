/* SPDX-License-Identifier: MIT */
/*
 * face.h - what the two faces of the tree, indexes and string trees, share: all but their keys and names.
 *
 * A call of a face turns its key into bytes, before any lock is taken, and hands them to one of these with what it is a
 * face of. Calls give 0 or -errno; -ENOENT and -EEXIST, of a key, have no sentence. `plain`: heed the tree's address
 * lock, as plain calls do; the others do not.
 */
#ifndef SPH_FACE_H
#define SPH_FACE_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "sasalloc.h"
#include "sasindexkey.h"
#include "sastree.h"
#include "sph/tree/tree.h"

struct sph_face {
	const char *what;
	sas_type_t tree, node;
};
extern const struct sph_face sph_index_face, sph_strings_face;

/* --- the edge */
/* errno from an error; the value, or NULL. */
static inline void *sph_face_pointer(int error, uint64_t value)
{
	if (!error)
		return (void *)(uintptr_t)value;
	sas_service_errno(error);
	return NULL;
}
static inline int sph_face_done(int error)      /* 1, 0 */
{
	if (!error)
		return 1;
	sas_service_errno(error);
	return 0;
}
static inline long sph_face_number(long result) /* a number, -1 */
{
	return result < 0 ? sas_service_errno((int)result) : result;
}

/* --- trees (face.c) */
int sph_face_init(const struct sph_face *f, void *block, size_t size, size_t page_size, int expanding);
/* NULL: errno is set. */
void *sph_face_create(const struct sph_face *f, size_t size, size_t page_size, int expanding);
void *sph_face_expand(const struct sph_face *f, void *tree, int *error);
int sph_face_destroy(const struct sph_face *f, void *tree, int plain);

int sph_face_put(const struct sph_face *f, void *tree, struct sph_key key, const void *value, int plain);
int sph_face_replace(const struct sph_face *f, void *tree, struct sph_key key, const void *value, int plain, uint64_t *old);
int sph_face_remove(const struct sph_face *f, void *tree, struct sph_key key, int plain, uint64_t *old);
int sph_face_load(const struct sph_face *f, void *tree, int (*next)(struct sph_key *, uint64_t *, void *), void *arg);

int sph_face_get(const struct sph_face *f, const void *tree, struct sph_key key, int plain, uint64_t *value);
/* 1, 0; without a word where the key is absent, as that is an answer. */
int sph_face_contains(const struct sph_face *f, const void *tree, struct sph_key key, int plain);
/* The smallest or largest key, in memory of the thread that lasts until the next call. */
int sph_face_edge(const struct sph_face *f, const void *tree, int last, int plain, struct sph_key *key);
int sph_face_is_empty(const struct sph_face *f, const void *tree, int plain);
long sph_face_count(const struct sph_face *f, const void *tree);
long sph_face_mod_count(const struct sph_face *f, const void *tree, int plain);
const void *sph_face_root(const struct sph_face *f, const void *tree, int plain, int *error);
size_t sph_face_page_size(const struct sph_face *f, const void *tree);
size_t sph_face_free_space(const struct sph_face *f, void *tree, int plain);
int sph_face_info(const struct sph_face *f, const void *tree, SASTreeInfo *info);
long sph_face_check(const struct sph_face *f, void *tree, SASTreeProblem_t problem, void *arg);

/* each() for the keys in order, from `start` on where that is not NULL, until it does not give 0. What it gave, or -errno. */
long sph_face_scan(const struct sph_face *f, const void *tree, const struct sph_key *start, int (*each)(struct sph_key, uint64_t, void *),
		   void *arg);

/* For the enumerators: how a look begins, and what stands in its loop. */
int sph_face_look(struct sas_look *l, const struct sph_face *f, const void *tree, int plain);
int sph_face_reach(const struct sas_look *l, const struct sph_face *f, const void *tree);

/* --- memory of the thread that outlives a call (face_keep.c); NULL: ENOMEM */
#define SPH_KEPT 8U
/* One of eight, in turn. */
void *sph_keep_key(size_t size);
/* For this call: the largest page, and the longest key behind it. */
#define SPH_KEPT_PAGE (4 * SPH_KEY_LONGEST)
void *sph_keep_page(void);

/* --- nodes (face_node.c) */
/* A copy of a node, in sph_keep_page(). */
int sph_face_node(const struct sph_face *f, const void *node, const void **copy);
/* The same and a position from 1 (keys, values) that is there; -ENOENT: position 0; -EINVAL. */
int sph_face_node_at(const struct sph_face *f, const void *node, int position, const void **copy);
/* The key, in memory of the thread that lasts until the next call. */
int sph_face_node_key(const struct sph_face *f, const void *node, int position, struct sph_key *key);
/* As the public calls say. */
int sph_face_node_count(const struct sph_face *f, const void *node);
void *sph_face_node_branch(const struct sph_face *f, const void *node, int position);
void *sph_face_node_value(const struct sph_face *f, const void *node, int position);
enum sph_seek { SPH_SEEK_EQ, SPH_SEEK_GT, SPH_SEEK_GE, SPH_SEEK_LT, SPH_SEEK_LE };
int sph_face_search(const struct sph_face *f, const void *node, struct sph_key key, enum sph_seek how, void **found, short *position);

/* --- enumerators (face_enum.c). NULL as one: -EINVAL. */
struct sph_enum;
/* NULL and *error. */
struct sph_enum *sph_enum_make(const struct sph_face *f, const void *tree, int *error);
/* Before the key; -ENOENT: there is none at or above it. */
struct sph_enum *sph_enum_start(const struct sph_face *f, const void *tree, struct sph_key key, int *error);
void sph_enum_free(struct sph_enum *e);
int sph_enum_seek(struct sph_enum *e, struct sph_key key, int after);
int sph_enum_seek_end(struct sph_enum *e, int last);
int sph_enum_step(struct sph_enum *e, int up, int plain, uint64_t *value);
/* 1, 0, -errno. */
int sph_enum_has_more(struct sph_enum *e);
long sph_enum_count(struct sph_enum *e);
/* A NUL follows it. -ENOENT: it stands before all, or after all, and the key is empty. */
int sph_enum_current(const struct sph_enum *e, struct sph_key *key);

/* --- keys of indexes (index_key.c) */
/* -EINVAL, with a sentence. */
int sph_index_encode(const SASIndexKey_t *key, unsigned char bytes[SAS_INDEX_KEY_BYTES], struct sph_key *k);
/* -EUCLEAN: it is no key of an index. */
int sph_index_decode(struct sph_key k, SASIndexKey_t *key);
/* The same of a key of 8 bytes, which most are: a scan does it for each. */
static inline void sph_index_decode_word(struct sph_key k, SASIndexKey_t *key)
{
	uint64_t word;

	memcpy(&word, k.bytes, sizeof word);
	key->compare_size = sizeof word;
	key->copy_size = SAS_INDEX_KEY_PREFIX + sizeof word;
	key->data[0] = be64toh(word);
}
/* In memory of the thread. */
SASIndexKey_t *sph_index_keep(int error, struct sph_key k);

/* --- keys of string trees (strings.c) */
int sph_strings_key(const char *key, struct sph_key *k);
char *sph_strings_keep(int error, struct sph_key k);

#endif
