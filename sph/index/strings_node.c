/* SPDX-License-Identifier: MIT */
/* strings_node.c - the calls of sasstringbtreenode.h: nodes of string trees as views. Layer 5. */
#include <config.h>

#include <errno.h>

#include "face.h"
#include "sasstringbtreenode.h"

#define FACE &sph_strings_face

int SASStringBTreeNodeGetCount(SASStringBTreeNode_t header)
{
	return sph_face_node_count(FACE, header);
}

char *SASStringBTreeNodeGetKeyIndexed(SASStringBTreeNode_t header, short pos)
{
	struct sph_key k = { NULL, 0 };
	int error = sph_face_node_key(FACE, header, pos, &k);

	return error == -ENOENT ? NULL : sph_strings_keep(error, k);
}

SASStringBTreeNode_t SASStringBTreeNodeGetBranchIndexed(SASStringBTreeNode_t header, short pos)
{
	return sph_face_node_branch(FACE, header, pos);
}

void *SASStringBTreeNodeGetValIndexed(SASStringBTreeNode_t header, short pos)
{
	return sph_face_node_value(FACE, header, pos);
}

static int search(SASStringBTreeNode_t header, const char *target, SBTnodePosRef *ref, enum sph_seek how)
{
	struct sph_key k;
	int error = ref ? sph_strings_key(target, &k) : sas_service_fail(EINVAL, "ref is NULL");

	return error ? sph_face_done(error) : sph_face_search(FACE, header, k, how, &ref->node, &ref->pos);
}

int SASStringBTreeNodeSearch(SASStringBTreeNode_t header, const char *target, SBTnodePosRef *ref)
{
	return search(header, target, ref, SPH_SEEK_EQ);
}

int SASStringBTreeNodeSearchGT(SASStringBTreeNode_t header, const char *target, SBTnodePosRef *ref)
{
	return search(header, target, ref, SPH_SEEK_GT);
}

int SASStringBTreeNodeSearchGE(SASStringBTreeNode_t header, const char *target, SBTnodePosRef *ref)
{
	return search(header, target, ref, SPH_SEEK_GE);
}

int SASStringBTreeNodeSearchLT(SASStringBTreeNode_t header, const char *target, SBTnodePosRef *ref)
{
	return search(header, target, ref, SPH_SEEK_LT);
}

int SASStringBTreeNodeSearchLE(SASStringBTreeNode_t header, const char *target, SBTnodePosRef *ref)
{
	return search(header, target, ref, SPH_SEEK_LE);
}
