/* SPDX-License-Identifier: MIT */
/* index.c - the calls of sasindex.h. Layer 5. */
#include <config.h>

#include <errno.h>

#include "face.h"
#include "sasindex.h"

const struct sph_face sph_index_face = { "index", SAS_RUNTIME_INDEX, SAS_RUNTIME_INDEXNODE };
#define FACE &sph_index_face

/* --- whole indexes */

SASIndex_t SASIndexCreatePageSize(block_size_t block_size, block_size_t page_size)
{
	return sph_face_create(FACE, block_size, page_size, 1);
}

SASIndex_t SASIndexCreate(block_size_t block_size)
{
	return sph_face_create(FACE, block_size, default_page, 1);
}

SASIndex_t SASIndexFixedCreate(block_size_t block_size)
{
	return sph_face_create(FACE, block_size, default_page, 0);
}

SASIndex_t SASIndexInit(void *btree_block, block_size_t btree_size, block_size_t page_size, int expanding)
{
	int error = sph_face_init(FACE, btree_block, btree_size, page_size, expanding);

	return sph_face_pointer(error, (uintptr_t)btree_block);
}

SASIndex_t SASIndexExpandCreate(SASIndex_t btree)
{
	int error;
	void *block = sph_face_expand(FACE, btree, &error);

	return sph_face_pointer(error, (uintptr_t)block);
}

void SASIndexDestroy(SASIndex_t btree)
{
	sph_face_done(sph_face_destroy(FACE, btree, 1));
}

/* --- changes */

static int put(SASIndex_t btree, const SASIndexKey_t *key, void *value, int plain)
{
	unsigned char bytes[SAS_INDEX_KEY_BYTES];
	struct sph_key k;
	int error = sph_index_encode(key, bytes, &k);

	return sph_face_done(error ? error : sph_face_put(FACE, btree, k, value, plain));
}

int SASIndexPut(SASIndex_t btree, SASIndexKey_t *key, void *value)
{
	return put(btree, key, value, 1);
}

int SASIndexPut_nolock(SASIndex_t btree, SASIndexKey_t *key, void *value)
{
	return put(btree, key, value, 0);
}

static void *replace(SASIndex_t btree, const SASIndexKey_t *key, void *value, int plain)
{
	unsigned char bytes[SAS_INDEX_KEY_BYTES];
	struct sph_key k;
	uint64_t old = 0;
	int error = sph_index_encode(key, bytes, &k);

	if (!error)
		error = sph_face_replace(FACE, btree, k, value, plain, &old);
	return sph_face_pointer(error, old);
}

void *SASIndexReplace(SASIndex_t btree, SASIndexKey_t *key, void *value)
{
	return replace(btree, key, value, 1);
}

void *SASIndexReplace_nolock(SASIndex_t btree, SASIndexKey_t *key, void *value)
{
	return replace(btree, key, value, 0);
}

static void *take(SASIndex_t btree, const SASIndexKey_t *key, int plain)
{
	unsigned char bytes[SAS_INDEX_KEY_BYTES];
	struct sph_key k;
	uint64_t old = 0;
	int error = sph_index_encode(key, bytes, &k);

	if (!error)
		error = sph_face_remove(FACE, btree, k, plain, &old);
	return sph_face_pointer(error, old);
}

void *SASIndexRemove(SASIndex_t btree, SASIndexKey_t *key)
{
	return take(btree, key, 1);
}

void *SASIndexRemove_nolock(SASIndex_t btree, SASIndexKey_t *key)
{
	return take(btree, key, 0);
}

struct source {
	SASIndexSource_t next;
	void *arg;
	SASIndexKey_t key;
	unsigned char bytes[SAS_INDEX_KEY_BYTES];
	long count;
};

static int next_of(struct sph_key *k, uint64_t *value, void *arg)
{
	struct source *s = arg;
	void *pointer = NULL;
	int more = s->next(&s->key, &pointer, s->arg), error;

	if (more < 0)
		return sas_service_fail(ECANCELED, "the source of keys gave up after %ld of them", s->count);
	if (!more)
		return 0;
	error = sph_index_encode(&s->key, s->bytes, k);
	if (error)
		return error;
	*value = (uintptr_t)pointer;
	s->count++;
	return 1;
}

long SASIndexLoad(SASIndex_t btree, SASIndexSource_t next, void *arg)
{
	struct source s = { .next = next, .arg = arg };
	int error;

	if (!next)
		return sas_service_errno(sas_service_fail(EINVAL, "the source of keys is NULL"));
	error = sph_face_load(FACE, btree, next_of, &s);
	return sph_face_number(error ? error : s.count);
}

/* --- all of them */

struct scan {
	SASIndexVisit_t visit;
	void *arg;
	long count;
};

static int visit(struct sph_key k, uint64_t value, void *arg)
{
	struct scan *s = arg;
	SASIndexKey_t key;
	int error;

	if (k.size == 8) {
		sph_index_decode_word(k, &key);
	} else {
		error = sph_index_decode(k, &key);
		if (error)
			return error;
	}
	s->count++;
	return s->visit(&key, (void *)(uintptr_t)value, s->arg) != 0;
}

long SASIndexScan(SASIndex_t btree, const SASIndexKey_t *start_key, SASIndexVisit_t visitor, void *arg)
{
	struct scan s = { .visit = visitor, .arg = arg };
	unsigned char bytes[SAS_INDEX_KEY_BYTES];
	struct sph_key k;
	long error = 0;

	if (!visitor)
		error = sas_service_fail(EINVAL, "the visitor of keys is NULL");
	if (!error && start_key)
		error = sph_index_encode(start_key, bytes, &k);
	if (!error)
		error = sph_face_scan(FACE, btree, start_key ? &k : NULL, visit, &s);
	return sph_face_number(error < 0 ? error : s.count);
}

/* --- questions */

static void *get(SASIndex_t btree, const SASIndexKey_t *key, int plain)
{
	unsigned char bytes[SAS_INDEX_KEY_BYTES];
	struct sph_key k;
	uint64_t value = 0;
	int error = sph_index_encode(key, bytes, &k);

	if (!error)
		error = sph_face_get(FACE, btree, k, plain, &value);
	return sph_face_pointer(error, value);
}

void *SASIndexGet(SASIndex_t btree, const SASIndexKey_t *key)
{
	return get(btree, key, 1);
}

void *SASIndexGet_nolock(SASIndex_t btree, const SASIndexKey_t *key)
{
	return get(btree, key, 0);
}

static int contains(SASIndex_t btree, const SASIndexKey_t *key, int plain)
{
	unsigned char bytes[SAS_INDEX_KEY_BYTES];
	struct sph_key k;
	int error = sph_index_encode(key, bytes, &k);

	return error ? sph_face_done(error) : sph_face_contains(FACE, btree, k, plain);
}

int SASIndexContainsKey(SASIndex_t btree, SASIndexKey_t *key)
{
	return contains(btree, key, 1);
}

int SASIndexContainsKey_nolock(SASIndex_t btree, const SASIndexKey_t *key)
{
	return contains(btree, key, 0);
}

static SASIndexKey_t *edge(SASIndex_t btree, int last, int plain)
{
	struct sph_key k = { NULL, 0 };
	int error = sph_face_edge(FACE, btree, last, plain, &k);

	return sph_index_keep(error, k);
}

SASIndexKey_t *SASIndexGetMaxKey(SASIndex_t btree)
{
	return edge(btree, 1, 1);
}

SASIndexKey_t *SASIndexGetMaxKey_nolock(SASIndex_t btree)
{
	return edge(btree, 1, 0);
}

SASIndexKey_t *SASIndexGetMinKey(SASIndex_t btree)
{
	return edge(btree, 0, 1);
}

SASIndexKey_t *SASIndexGetMinKey_nolock(SASIndex_t btree)
{
	return edge(btree, 0, 0);
}

int SASIndexIsEmpty(SASIndex_t btree)
{
	return (int)sph_face_number(sph_face_is_empty(FACE, btree, 1));
}

int SASIndexIsEmpty_nolock(SASIndex_t btree)
{
	return (int)sph_face_number(sph_face_is_empty(FACE, btree, 0));
}

long SASIndexGetCurCount(SASIndex_t btree)
{
	return sph_face_number(sph_face_count(FACE, btree));
}

static long mod_count(SASIndex_t btree, int plain)
{
	long count = sph_face_number(sph_face_mod_count(FACE, btree, plain));

	return count < 0 ? 0 : count;
}

long SASIndexGetModCount(SASIndex_t btree)
{
	return mod_count(btree, 1);
}

long SASIndexGetModCount_nolock(SASIndex_t btree)
{
	return mod_count(btree, 0);
}

static SASIndexNode_t root(SASIndex_t btree, int plain)
{
	int error;
	const void *node = sph_face_root(FACE, btree, plain, &error);

	return sph_face_pointer(error, (uintptr_t)node);
}

SASIndexNode_t SASIndexGetRootNode(SASIndex_t btree)
{
	return root(btree, 1);
}

SASIndexNode_t SASIndexGetRootNode_nolock(SASIndex_t btree)
{
	return root(btree, 0);
}

block_size_t SASIndexAllocSize(SASIndex_t btree)
{
	return sph_face_page_size(FACE, btree);
}

block_size_t SASIndexFreeSpace(SASIndex_t btree)
{
	return sph_face_free_space(FACE, btree, 1);
}

int SASIndexGetInfo(SASIndex_t btree, SASTreeInfo *info)
{
	return (int)sph_face_number(sph_face_info(FACE, btree, info));
}

long SASIndexCheck(SASIndex_t btree, SASTreeProblem_t problem, void *arg)
{
	return sph_face_number(sph_face_check(FACE, btree, problem, arg));
}
