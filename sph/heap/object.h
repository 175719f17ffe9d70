/* SPDX-License-Identifier: MIT */
/*
 * object.h - what the simple objects share: a block, or any memory of the program's, that begins with a SASBlockHeader.
 *
 * A handle is checked before anything is locked: where a program hands in what is no memory, the fault is its own, and a
 * handler of its own may jump out of it.
 */
#ifndef SPH_OBJECT_H
#define SPH_OBJECT_H

#include <stddef.h>
#include <stdint.h>
#include "sasalloc.h"
#include "sas/service.h"

#define SPH_OBJECT_PAGE 4096U   /* the header of a space or a stack: their bytes follow it */
#define SPH_GRANULE 16U

struct sph_kind {
	sas_type_t type;
	const char *name;               /* "simple heap": for sentences */
};

/* 0; -EINVAL with a sentence: the object is none of this kind. Maps its header. */
int sph_object_check(const void *object, const struct sph_kind *kind);
/* The same, and a use of it begins. */
int sph_object_begin(struct sas_use *u, const void *object, const struct sph_kind *kind, enum sas_use_kind use);
/* Is there a header of this kind? Reads it. */
int sph_object_is(const SASBlockHeader *header, const struct sph_kind *kind);
/* The memory may be formatted: it is there, and its region can be written. */
int sph_object_reach(void *memory, const struct sph_kind *kind);
/* Makes it one: the words behind its header are this one and zeros; the signatures are stored last. */
void sph_object_format(void *memory, const struct sph_kind *kind, size_t size, uint64_t word);
/* A new block, its header mapped. NULL, and errno is set. */
void *sph_object_take(size_t size);
/* Give the block back; with `lock`, under its address lock. 0; -1 and errno: it is no such object, or no block of its own. */
int sph_object_destroy(void *object, const struct sph_kind *kind, int lock);

/* At the public edge of calls that give a pointer. */
static inline void *sph_null(int error)
{
	sas_service_errno(error);
	return NULL;
}

/* The words behind the header. */
static inline uint64_t *sph_object_words(const void *object)
{
	return (uint64_t *)((uintptr_t)object + sizeof(SASBlockHeader));
}

#endif
