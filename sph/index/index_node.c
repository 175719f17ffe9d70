/* SPDX-License-Identifier: MIT */
/* index_node.c - the calls of sasindexnode.h: nodes of indexes as views. Layer 5. */
#include <config.h>

#include <errno.h>

#include "face.h"
#include "sasindexnode.h"

#define FACE &sph_index_face

int SASIndexNodeGetCount(SASIndexNode_t header)
{
	return sph_face_node_count(FACE, header);
}

SASIndexKey_t *SASIndexNodeGetKeyIndexed(SASIndexNode_t header, short pos)
{
	struct sph_key k = { NULL, 0 };
	int error = sph_face_node_key(FACE, header, pos, &k);

	return error == -ENOENT ? NULL : sph_index_keep(error, k);
}

SASIndexNode_t SASIndexNodeGetBranchIndexed(SASIndexNode_t header, short pos)
{
	return sph_face_node_branch(FACE, header, pos);
}

void *SASIndexNodeGetValIndexed(SASIndexNode_t header, short pos)
{
	return sph_face_node_value(FACE, header, pos);
}

static int search(SASIndexNode_t header, const SASIndexKey_t *target, IDXnodePosRef *ref, enum sph_seek how)
{
	unsigned char bytes[SAS_INDEX_KEY_BYTES];
	struct sph_key k;
	int error = ref ? sph_index_encode(target, bytes, &k) : sas_service_fail(EINVAL, "ref is NULL");

	return error ? sph_face_done(error) : sph_face_search(FACE, header, k, how, &ref->node, &ref->pos);
}

int SASIndexNodeSearch(SASIndexNode_t header, const SASIndexKey_t *target, IDXnodePosRef *ref)
{
	return search(header, target, ref, SPH_SEEK_EQ);
}

int SASIndexNodeSearchGT(SASIndexNode_t header, const SASIndexKey_t *target, IDXnodePosRef *ref)
{
	return search(header, target, ref, SPH_SEEK_GT);
}

int SASIndexNodeSearchGE(SASIndexNode_t header, const SASIndexKey_t *target, IDXnodePosRef *ref)
{
	return search(header, target, ref, SPH_SEEK_GE);
}

int SASIndexNodeSearchLT(SASIndexNode_t header, const SASIndexKey_t *target, IDXnodePosRef *ref)
{
	return search(header, target, ref, SPH_SEEK_LT);
}

int SASIndexNodeSearchLE(SASIndexNode_t header, const SASIndexKey_t *target, IDXnodePosRef *ref)
{
	return search(header, target, ref, SPH_SEEK_LE);
}
