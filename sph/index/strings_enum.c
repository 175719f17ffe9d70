/* SPDX-License-Identifier: MIT */
/* strings_enum.c - the calls of sasstringbtreeenum.h. Layer 5. */
#include <config.h>

#include <errno.h>

#include "face.h"
#include "sasstringbtreeenum.h"

SASStringBTreeEnum_t SASStringBTreeEnumCreate(SASStringBTree_t btree)
{
	int error;
	struct sph_enum *e = sph_enum_make(&sph_strings_face, btree, &error);

	return e ? e : sph_face_pointer(error, 0);
}

SASStringBTreeEnum_t SASStringBTreeEnumCreateStartAt(SASStringBTree_t btree, char *start_key)
{
	struct sph_enum *e = NULL;
	struct sph_key k;
	int error = sph_strings_key(start_key, &k);

	if (!error)
		e = sph_enum_start(&sph_strings_face, btree, k, &error);
	return e ? e : sph_face_pointer(error, 0);
}

void SASStringBTreeEnumDestroy(SASStringBTreeEnum_t sbtenum)
{
	sph_enum_free(sbtenum);
}

int SASStringBTreeEnumHasMore(SASStringBTreeEnum_t sbtenum)
{
	int more = sph_enum_has_more(sbtenum);

	return more < 0 ? sph_face_done(more) : more;
}

long SASStringBTreeEnumCount(SASStringBTreeEnum_t sbtenum)
{
	return sph_face_number(sph_enum_count(sbtenum));
}

static void *step(SASStringBTreeEnum_t sbtenum, int up, int plain)
{
	uint64_t value = 0;
	int error = sph_enum_step(sbtenum, up, plain, &value);

	return sph_face_pointer(error, value);
}

void *SASStringBTreeEnumNext(SASStringBTreeEnum_t sbtenum)
{
	return step(sbtenum, 1, 1);
}

void *SASStringBTreeEnumNext_nolock(SASStringBTreeEnum_t sbtenum)
{
	return step(sbtenum, 1, 0);
}

void *SASStringBTreeEnumPrevious(SASStringBTreeEnum_t sbtenum)
{
	return step(sbtenum, 0, 1);
}

void *SASStringBTreeEnumPrevious_nolock(SASStringBTreeEnum_t sbtenum)
{
	return step(sbtenum, 0, 0);
}

char *SASStringBTreeEnumCurrent(SASStringBTreeEnum_t sbtenum)
{
	struct sph_key k = { NULL, 0 };
	int error = sph_enum_current(sbtenum, &k);

	return sph_face_pointer(error == -ENOENT ? 0 : error, (uintptr_t)k.bytes);
}

int SASStringBTreeEnumSeek(SASStringBTreeEnum_t sbtenum, const char *key, int after)
{
	struct sph_key k;
	int error = key ? sph_strings_key(key, &k) : 0;

	if (!error)
		error = key ? sph_enum_seek(sbtenum, k, after) : sph_enum_seek_end(sbtenum, after);
	return (int)sph_face_number(error);
}
