/* SPDX-License-Identifier: MIT */
/*
 * face.c - trees as the calls of both faces want them: handles checked, uses and looks around each call of tree.h. Layer 5.
 *
 * Locks: a plain change is an UPDATE, a plain reader looks and takes none; destroying and checking are EXCLUSIVE. Crash:
 * creating leaves a block without a header, or a whole tree; destroying makes the header invalid first, so that what a
 *   death leaves is a block that nobody uses (its generation tells).
 */
#include <config.h>

#include <errno.h>

#include "sasregion.h"
#include "sassim.h"
#include "face.h"

static int check_header(const struct sph_face *f, const void *tree)
{
	if (SOMSASCheckBlockSigAndTypeAndSubtype(tree, f->tree))
		return 0;
	return sas_service_fail(EINVAL, "%p is no %s", tree, f->what);
}

static int refuse_null(const struct sph_face *f)
{
	return sas_service_fail(EINVAL, "NULL is no %s", f->what);
}

/* A use of a tree that is one. */
static int begin(struct sas_use *u, const struct sph_face *f, const void *tree, enum sas_use_kind kind)
{
	int error = tree ? sas_use_begin(u, tree, kind) : refuse_null(f);

	if (error)
		return error;
	error = sas_use_reach(u, tree);
	if (!error)
		error = check_header(f, tree);
	return error ? sas_use_result(u, error) : 0;
}

static enum sas_use_kind kind_of(int plain, enum sas_use_kind kind)
{
	return plain ? kind : SAS_USE_UNLOCKED;
}

int sph_face_look(struct sas_look *l, const struct sph_face *f, const void *tree, int plain)
{
	if (!tree)
		return refuse_null(f);
	return plain ? sas_look_begin(l, tree) : sas_look_begin_unlocked(l, tree);
}

int sph_face_reach(const struct sas_look *l, const struct sph_face *f, const void *tree)
{
	int error = sas_look_reach(l, tree);

	return error ? error : check_header(f, tree);
}

/* --- whole trees */

int sph_face_init(const struct sph_face *f, void *block, size_t size, size_t page_size, int expanding)
{
	if (!block)
		return refuse_null(f);
	if (SASRegionOf(block) && SASMapAhead(block, size) != 0)
		return -errno;
	return sph_tree_format(block, size, page_size, expanding, f->tree, f->node, 0);
}

void *sph_face_create(const struct sph_face *f, size_t size, size_t page_size, int expanding)
{
	void *block = SASBlockAlloc(size);
	int error;

	if (!block)
		return NULL;
	error = sph_face_init(f, block, size, page_size, expanding);
	if (error)
		SASBlockFree(block, size);
	return sph_face_pointer(error, (uintptr_t)block);
}

void *sph_face_expand(const struct sph_face *f, void *tree, int *error)
{
	SASBlockHeader *block;
	struct sas_use u;

	*error = begin(&u, f, tree, SAS_USE_UPDATE);
	if (*error)
		return NULL;
	block = sph_pages_expand(&u, tree, error);
	*error = sas_use_result(&u, block ? 0 : *error);
	return block;
}

int sph_face_destroy(const struct sph_face *f, void *tree, int plain)
{
	SASBlockHeader *header = tree;
	struct sas_use u;
	size_t size;
	int error = begin(&u, f, tree, kind_of(plain, SAS_USE_EXCLUSIVE)), in_region;

	if (error)
		return error;
	in_region = u.region != NULL;
	size = header->blockSize;
	error = sph_tree_destroy(&u, header);
	if (!error)
		__atomic_store_n(&header->blockSig1, 0, __ATOMIC_RELEASE);
	error = sas_use_result(&u, error);
	if (!error && in_region && SASBlockFree(tree, size) != 0)
		return -errno;
	return error;
}

/* --- changes */

int sph_face_put(const struct sph_face *f, void *tree, struct sph_key key, const void *value, int plain)
{
	struct sas_use u;
	int error = begin(&u, f, tree, kind_of(plain, SAS_USE_UPDATE));

	return error ? error : sas_use_result(&u, sph_tree_insert(&u, tree, key, (uintptr_t)value));
}

int sph_face_replace(const struct sph_face *f, void *tree, struct sph_key key, const void *value, int plain, uint64_t *old)
{
	struct sas_use u;
	int error = begin(&u, f, tree, kind_of(plain, SAS_USE_UPDATE));

	return error ? error : sas_use_result(&u, sph_tree_replace(&u, tree, key, (uintptr_t)value, old));
}

int sph_face_remove(const struct sph_face *f, void *tree, struct sph_key key, int plain, uint64_t *old)
{
	struct sas_use u;
	int error = begin(&u, f, tree, kind_of(plain, SAS_USE_UPDATE));

	return error ? error : sas_use_result(&u, sph_tree_remove(&u, tree, key, old));
}

int sph_face_load(const struct sph_face *f, void *tree, int (*next)(struct sph_key *, uint64_t *, void *), void *arg)
{
	struct sas_use u;
	int error = begin(&u, f, tree, SAS_USE_UPDATE);

	return error ? error : sas_use_result(&u, sph_tree_load(&u, tree, next, arg));
}

/* --- readers */

int sph_face_get(const struct sph_face *f, const void *tree, struct sph_key key, int plain, uint64_t *value)
{
	struct sas_look l;
	int error = sph_face_look(&l, f, tree, plain);

	if (error)
		return error;
	do {
		error = sph_face_reach(&l, f, tree);
		if (!error)
			error = sph_tree_get(&l, tree, key, value);
	} while (!sas_look_ok(&l, tree));
	return error;
}

int sph_face_contains(const struct sph_face *f, const void *tree, struct sph_key key, int plain)
{
	uint64_t value;
	int error = sph_face_get(f, tree, key, plain, &value);

	return error == -ENOENT ? 0 : sph_face_done(error);
}

int sph_face_edge(const struct sph_face *f, const void *tree, int last, int plain, struct sph_key *key)
{
	unsigned char *bytes = sph_keep_page();
	struct sas_look l;
	uint64_t value;
	int error = bytes ? sph_face_look(&l, f, tree, plain) : -ENOMEM;

	if (error)
		return error;
	do {
		error = sph_face_reach(&l, f, tree);
		if (!error)
			error = sph_tree_edge(&l, tree, last, bytes, &key->size, &value);
	} while (!sas_look_ok(&l, tree));
	key->bytes = bytes;
	return error;
}

int sph_face_is_empty(const struct sph_face *f, const void *tree, int plain)
{
	struct sas_look l;
	int result = sph_face_look(&l, f, tree, plain);

	if (result)
		return result;
	do {
		result = sph_face_reach(&l, f, tree);
		if (!result)
			result = sph_tree_is_empty(&l, tree);
	} while (!sas_look_ok(&l, tree));
	return result;
}

long sph_face_count(const struct sph_face *f, const void *tree)
{
	struct sas_look l;
	uint64_t count = 0;
	int error = sph_face_look(&l, f, tree, 1);

	if (error)
		return error;
	do {
		error = sph_face_reach(&l, f, tree);
		if (!error)
			error = sph_tree_count(&l, tree, &count);
	} while (!sas_look_ok(&l, tree));
	return error ? error : (long)count;
}

long sph_face_mod_count(const struct sph_face *f, const void *tree, int plain)
{
	struct sas_look l;
	uint64_t changes = 0;
	int error = sph_face_look(&l, f, tree, plain);

	if (error)
		return error;
	do {
		error = sph_face_reach(&l, f, tree);
		if (!error)
			changes = sph_tree_changes(tree);
	} while (!sas_look_ok(&l, tree));
	return error ? error : (long)(changes + 1);
}

const void *sph_face_root(const struct sph_face *f, const void *tree, int plain, int *error)
{
	const void *root = NULL;
	struct sas_look l;
	int empty;

	*error = sph_face_look(&l, f, tree, plain);
	if (*error)
		return NULL;
	do {
		empty = sph_face_reach(&l, f, tree);
		if (!empty)
			empty = sph_tree_is_empty(&l, tree);
		if (!empty)
			root = sph_tree_root(tree);
	} while (!sas_look_ok(&l, tree));
	*error = empty < 0 ? empty : 0;
	return empty ? NULL : root;
}

size_t sph_face_page_size(const struct sph_face *f, const void *tree)
{
	struct sas_look l;
	size_t size = 0;
	int error = sph_face_look(&l, f, tree, 0);

	if (!error) {
		do {
			error = sph_face_reach(&l, f, tree);
			if (!error)
				size = sph_pages(tree)->page_size;
		} while (!sas_look_ok(&l, tree));
	}
	return sph_face_done(error) ? size : 0;
}

size_t sph_face_free_space(const struct sph_face *f, void *tree, int plain)
{
	struct sas_use u;
	size_t bytes;

	if (!sph_face_done(begin(&u, f, tree, kind_of(plain, SAS_USE_READ))))
		return 0;
	bytes = sph_pages_free_bytes(&u, tree);
	sas_use_end(&u);
	return bytes;
}

/* --- information */

int sph_face_info(const struct sph_face *f, const void *tree, SASTreeInfo *info)
{
	struct sph_tree_info found;
	struct sas_look l;
	int error;

	if (!info || info->structSize != sizeof *info)
		return sas_service_fail(EINVAL, "SASTreeInfo.structSize is not set to the structure's size");
	error = sph_face_look(&l, f, tree, 1);
	if (error)
		return error;
	do {
		error = sph_face_reach(&l, f, tree);
		if (!error)
			error = sph_tree_info(&l, tree, &found);
	} while (!sas_look_ok(&l, tree));
	if (error)
		return error;
	sph_tree_describe(&found, sph_pages(tree)->page_size, info);
	return 0;
}

static void tell_nobody(const void *node, const char *what, void *arg)
{
	(void)node;
	(void)what;
	(void)arg;
}

long sph_face_check(const struct sph_face *f, void *tree, SASTreeProblem_t problem, void *arg)
{
	struct sas_use u;
	long problems;
	int error = begin(&u, f, tree, SAS_USE_EXCLUSIVE);

	if (error)
		return error;
	problems = sph_tree_check(&u, tree, problem ? problem : tell_nobody, arg);
	error = sas_use_result(&u, problems < 0 ? (int)problems : 0);
	return error ? error : problems;
}
