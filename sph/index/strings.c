/* SPDX-License-Identifier: MIT */
/* strings.c - the calls of sasstringbtree.h. Layer 5. */
#include <config.h>

#include <errno.h>
#include <string.h>

#include "face.h"
#include "sasstringbtree.h"

const struct sph_face sph_strings_face = { "string tree", SAS_RUNTIME_STRINGBTREE, SAS_RUNTIME_STRINGBTREENODE };
#define FACE &sph_strings_face

/* --- keys */

int sph_strings_key(const char *key, struct sph_key *k)
{
	if (!key)
		return sas_service_fail(EINVAL, "the key is NULL");
	/* A longer one is in no tree, and is refused by each: one byte more tells. */
	*k = (struct sph_key){ (const unsigned char *)key, strnlen(key, SPH_KEY_LONGEST + 1) };
	return 0;
}

char *sph_strings_keep(int error, struct sph_key k)
{
	char *key = NULL;

	if (!error) {
		key = sph_keep_key(k.size + 1);
		error = key ? 0 : -ENOMEM;
	}
	if (!error) {
		memcpy(key, k.bytes, k.size);
		key[k.size] = 0;
	}
	return sph_face_pointer(error, (uintptr_t)key);
}

/* --- whole trees */

SASStringBTree_t SASStringBTreeCreatePageSize(block_size_t block_size, block_size_t page_size)
{
	return sph_face_create(FACE, block_size, page_size, 1);
}

SASStringBTree_t SASStringBTreeCreate(block_size_t block_size)
{
	return sph_face_create(FACE, block_size, default_page, 1);
}

SASStringBTree_t SASStringBTreeFixedCreate(block_size_t block_size)
{
	return sph_face_create(FACE, block_size, default_page, 0);
}

SASStringBTree_t SASStringBTreeInit(void *block, block_size_t block_size, block_size_t page_size, int expanding)
{
	int error = sph_face_init(FACE, block, block_size, page_size, expanding);

	return sph_face_pointer(error, (uintptr_t)block);
}

SASStringBTree_t SASStringBTreeExpandCreate(SASStringBTree_t btree)
{
	int error;
	void *block = sph_face_expand(FACE, btree, &error);

	return sph_face_pointer(error, (uintptr_t)block);
}

void SASStringBTreeDestroy(SASStringBTree_t btree)
{
	sph_face_done(sph_face_destroy(FACE, btree, 1));
}

void SASStringBTreeDestroyNoLock(SASStringBTree_t btree)
{
	sph_face_done(sph_face_destroy(FACE, btree, 0));
}

/* --- changes */

static int put(SASStringBTree_t btree, const char *key, void *value, int plain)
{
	struct sph_key k;
	int error = sph_strings_key(key, &k);

	return sph_face_done(error ? error : sph_face_put(FACE, btree, k, value, plain));
}

int SASStringBTreePut(SASStringBTree_t btree, const char *key, void *value)
{
	return put(btree, key, value, 1);
}

int SASStringBTreePut_nolock(SASStringBTree_t btree, const char *key, void *value)
{
	return put(btree, key, value, 0);
}

static void *replace(SASStringBTree_t btree, const char *key, void *value, int plain)
{
	struct sph_key k;
	uint64_t old = 0;
	int error = sph_strings_key(key, &k);

	if (!error)
		error = sph_face_replace(FACE, btree, k, value, plain, &old);
	return sph_face_pointer(error, old);
}

void *SASStringBTreeReplace(SASStringBTree_t btree, const char *key, void *value)
{
	return replace(btree, key, value, 1);
}

void *SASStringBTreeReplace_nolock(SASStringBTree_t btree, const char *key, void *value)
{
	return replace(btree, key, value, 0);
}

static void *take(SASStringBTree_t btree, const char *key, int plain)
{
	struct sph_key k;
	uint64_t old = 0;
	int error = sph_strings_key(key, &k);

	if (!error)
		error = sph_face_remove(FACE, btree, k, plain, &old);
	return sph_face_pointer(error, old);
}

void *SASStringBTreeRemove(SASStringBTree_t btree, const char *key)
{
	return take(btree, key, 1);
}

void *SASStringBTreeRemove_nolock(SASStringBTree_t btree, const char *key)
{
	return take(btree, key, 0);
}

struct source {
	SASStringBTreeSource_t next;
	void *arg;
	long count;
};

static int next_of(struct sph_key *k, uint64_t *value, void *arg)
{
	struct source *s = arg;
	const char *key = NULL;
	void *pointer = NULL;
	int more = s->next(&key, &pointer, s->arg), error;

	if (more < 0)
		return sas_service_fail(ECANCELED, "the source of keys gave up after %ld of them", s->count);
	if (!more)
		return 0;
	error = sph_strings_key(key, k);
	if (error)
		return error;
	*value = (uintptr_t)pointer;
	s->count++;
	return 1;
}

long SASStringBTreeLoad(SASStringBTree_t btree, SASStringBTreeSource_t next, void *arg)
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
	SASStringBTreeVisit_t visit;
	void *arg;
	long count;
};

static int visit(struct sph_key k, uint64_t value, void *arg)
{
	struct scan *s = arg;

	((unsigned char *)(uintptr_t)k.bytes)[k.size] = 0;
	s->count++;
	return s->visit((const char *)k.bytes, (void *)(uintptr_t)value, s->arg) != 0;
}

long SASStringBTreeScan(SASStringBTree_t btree, const char *start_key, SASStringBTreeVisit_t visitor, void *arg)
{
	struct scan s = { .visit = visitor, .arg = arg };
	struct sph_key k;
	long error = 0;

	if (!visitor)
		error = sas_service_fail(EINVAL, "the visitor of keys is NULL");
	if (!error && start_key)
		error = sph_strings_key(start_key, &k);
	if (!error)
		error = sph_face_scan(FACE, btree, start_key ? &k : NULL, visit, &s);
	return sph_face_number(error < 0 ? error : s.count);
}

/* --- questions */

static void *get(SASStringBTree_t btree, const char *key, int plain)
{
	struct sph_key k;
	uint64_t value = 0;
	int error = sph_strings_key(key, &k);

	if (!error)
		error = sph_face_get(FACE, btree, k, plain, &value);
	return sph_face_pointer(error, value);
}

void *SASStringBTreeGet(SASStringBTree_t btree, const char *key)
{
	return get(btree, key, 1);
}

void *SASStringBTreeGet_nolock(SASStringBTree_t btree, const char *key)
{
	return get(btree, key, 0);
}

static int contains(SASStringBTree_t btree, const char *key, int plain)
{
	struct sph_key k;
	int error = sph_strings_key(key, &k);

	return error ? sph_face_done(error) : sph_face_contains(FACE, btree, k, plain);
}

int SASStringBTreeContainsKey(SASStringBTree_t btree, const char *key)
{
	return contains(btree, key, 1);
}

int SASStringBTreeContainsKey_nolock(SASStringBTree_t btree, const char *key)
{
	return contains(btree, key, 0);
}

static char *edge(SASStringBTree_t btree, int last, int plain)
{
	struct sph_key k = { NULL, 0 };
	int error = sph_face_edge(FACE, btree, last, plain, &k);

	return sph_strings_keep(error, k);
}

char *SASStringBTreeGetMaxKey(SASStringBTree_t btree)
{
	return edge(btree, 1, 1);
}

char *SASStringBTreeGetMaxKey_nolock(SASStringBTree_t btree)
{
	return edge(btree, 1, 0);
}

char *SASStringBTreeGetMinKey(SASStringBTree_t btree)
{
	return edge(btree, 0, 1);
}

char *SASStringBTreeGetMinKey_nolock(SASStringBTree_t btree)
{
	return edge(btree, 0, 0);
}

int SASStringBTreeIsEmpty(SASStringBTree_t btree)
{
	return (int)sph_face_number(sph_face_is_empty(FACE, btree, 1));
}

int SASStringBTreeIsEmpty_nolock(SASStringBTree_t btree)
{
	return (int)sph_face_number(sph_face_is_empty(FACE, btree, 0));
}

long SASStringBTreeGetCurCount(SASStringBTree_t btree)
{
	return sph_face_number(sph_face_count(FACE, btree));
}

static long mod_count(SASStringBTree_t btree, int plain)
{
	long count = sph_face_number(sph_face_mod_count(FACE, btree, plain));

	return count < 0 ? 0 : count;
}

long SASStringBTreeGetModCount(SASStringBTree_t btree)
{
	return mod_count(btree, 1);
}

long SASStringBTreeGetModCount_nolock(SASStringBTree_t btree)
{
	return mod_count(btree, 0);
}

static SASStringBTreeNode_t root(SASStringBTree_t btree, int plain)
{
	int error;
	const void *node = sph_face_root(FACE, btree, plain, &error);

	return sph_face_pointer(error, (uintptr_t)node);
}

SASStringBTreeNode_t SASStringBTreeGetRootNode(SASStringBTree_t btree)
{
	return root(btree, 1);
}

SASStringBTreeNode_t SASStringBTreeGetRootNodeNoLock(SASStringBTree_t btree)
{
	return root(btree, 0);
}

block_size_t SASStringBTreeAllocSize(SASStringBTree_t btree)
{
	return sph_face_page_size(FACE, btree);
}

block_size_t SASStringBTreeFreeSpace(SASStringBTree_t btree)
{
	return sph_face_free_space(FACE, btree, 1);
}

block_size_t SASStringBTreeFreeSpaceNoLock(SASStringBTree_t btree)
{
	return sph_face_free_space(FACE, btree, 0);
}

int SASStringBTreeGetInfo(SASStringBTree_t btree, SASTreeInfo *info)
{
	return (int)sph_face_number(sph_face_info(FACE, btree, info));
}

long SASStringBTreeCheck(SASStringBTree_t btree, SASTreeProblem_t problem, void *arg)
{
	return sph_face_number(sph_face_check(FACE, btree, problem, arg));
}

/* --- single nodes: not offered */

static void *refuse_nodes(void)
{
	return sph_face_pointer(sas_service_fail(ENOTSUP, "nodes of a string tree are neither taken nor given by themselves"), 0);
}

SASStringBTreeNode_t SASStringBTreeAlloc(SASStringBTree_t btree)
{
	(void)btree;
	return refuse_nodes();
}

SASStringBTreeNode_t SASStringBTreeAllocNoLock(SASStringBTree_t btree)
{
	(void)btree;
	return refuse_nodes();
}

SASStringBTreeNode_t SASStringBTreeNearAlloc(void *nearObj)
{
	(void)nearObj;
	return refuse_nodes();
}

SASStringBTreeNode_t SASStringBTreeNearAllocNoLock(void *nearObj)
{
	(void)nearObj;
	return refuse_nodes();
}

void SASStringBTreeFree(SASStringBTree_t btree, SASStringBTreeNode_t free_block)
{
	(void)btree;
	(void)free_block;
	refuse_nodes();
}

void SASStringBTreeFreeNoLock(SASStringBTree_t btree, SASStringBTreeNode_t free_block)
{
	(void)btree;
	(void)free_block;
	refuse_nodes();
}

void SASStringBTreeNearDealloc(void *memAddr)
{
	(void)memAddr;
	refuse_nodes();
}

void SASStringBTreeNearDeallocNoLock(void *memAddr)
{
	(void)memAddr;
	refuse_nodes();
}
