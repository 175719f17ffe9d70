/* SPDX-License-Identifier: MIT */
/* index_enum.c - the calls of sasindexenum.h. Layer 5. */
#include <config.h>

#include <errno.h>

#include "face.h"
#include "sasindexenum.h"

SASIndexEnum_t SASIndexEnumCreate(SASIndex_t btree)
{
	int error;
	struct sph_enum *e = sph_enum_make(&sph_index_face, btree, &error);

	return e ? e : sph_face_pointer(error, 0);
}

SASIndexEnum_t SASIndexEnumCreateStartAt(SASIndex_t btree, const SASIndexKey_t *start_key)
{
	unsigned char bytes[SAS_INDEX_KEY_BYTES];
	struct sph_enum *e = NULL;
	struct sph_key k;
	int error = sph_index_encode(start_key, bytes, &k);

	if (!error)
		e = sph_enum_start(&sph_index_face, btree, k, &error);
	return e ? e : sph_face_pointer(error, 0);
}

void SASIndexEnumDestroy(SASIndexEnum_t indexenum)
{
	sph_enum_free(indexenum);
}

int SASIndexEnumHasMore(SASIndexEnum_t indexenum)
{
	int more = sph_enum_has_more(indexenum);

	return more < 0 ? sph_face_done(more) : more;
}

long SASIndexEnumCount(SASIndexEnum_t indexenum)
{
	return sph_face_number(sph_enum_count(indexenum));
}

static void *step(SASIndexEnum_t indexenum, int up, int plain)
{
	uint64_t value = 0;
	int error = sph_enum_step(indexenum, up, plain, &value);

	return sph_face_pointer(error, value);
}

void *SASIndexEnumNext(SASIndexEnum_t indexenum)
{
	return step(indexenum, 1, 1);
}

void *SASIndexEnumNext_nolock(SASIndexEnum_t indexenum)
{
	return step(indexenum, 1, 0);
}

void *SASIndexEnumPrevious(SASIndexEnum_t indexenum)
{
	return step(indexenum, 0, 1);
}

void *SASIndexEnumPrevious_nolock(SASIndexEnum_t indexenum)
{
	return step(indexenum, 0, 0);
}

SASIndexKey_t *SASIndexEnumCurrent(SASIndexEnum_t indexenum)
{
	struct sph_key k = { NULL, 0 };
	int error = sph_enum_current(indexenum, &k);

	return error == -ENOENT ? NULL : sph_index_keep(error, k);
}

int SASIndexEnumSeek(SASIndexEnum_t indexenum, const SASIndexKey_t *key, int after)
{
	unsigned char bytes[SAS_INDEX_KEY_BYTES];
	struct sph_key k;
	int error = key ? sph_index_encode(key, bytes, &k) : 0;

	if (!error)
		error = key ? sph_enum_seek(indexenum, k, after) : sph_enum_seek_end(indexenum, after);
	return (int)sph_face_number(error);
}
