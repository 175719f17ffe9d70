/* SPDX-License-Identifier: MIT */
/*
 * sasobject.h - the objects in a region's files, without joining it: are they whole, what leads to them, what does a tree hold.
 *
 * All of it is read as SASInspectRead() reads: nothing is changed, nothing that is read is trusted, and no address has to be
 * free in this process. Calls on one SASInspect_t are not made by two threads at once, nor in a signal handler.
 */
#ifndef SASPHERE_SASOBJECT_H
#define SASPHERE_SASOBJECT_H

#include <stddef.h>
#include <stdint.h>
#include "sasinspect.h"
#include "sastree.h"
#include "sastype.h"

typedef enum {
	SASReached__NOT = 0,            /* by nothing that is looked at: pointers in the program's own data are not */
	SASReached__FINDER = 1,         /* the finder leads into it */
	SASReached__CONTEXT = 2         /* a context has a name for it, or it is a tree of one */
} sas_reached_t;

typedef struct SASObjectInfo {
	size_t structSize;              /* sizeof(SASObjectInfo) */
	void *address;
	sas_type_t type;
	sas_reached_t reached;          /* the first of these ways that there is */
	uint64_t size;                  /* bytes of its blocks, which are its own and of as many expansions */
	uint64_t expansions;
	uint64_t toRecover;             /* what the dead left half done, which the next users of the object finish: no problems */
	uint64_t problems;
	uint32_t checked;               /* 1: all of it; 0: nothing but its header, as nothing is known of such objects */
	uint32_t reserved;
} SASObjectInfo;

/* A problem of an object, `where` in it, or the object's address. None of these may call the library. */
typedef void (*SASObjectProblem_t) (const SASObjectInfo *object, const void *where, const char *sentence, void *arg);
/* An object, after it has been checked. */
typedef void (*SASObjectFound_t) (const SASObjectInfo *object, void *arg);

/* Check each block in use that begins with an object's header. How many problems, each told to `problem`; -1 and errno. NULL
 * calls nobody. EBUSY: somebody has joined; what was told until then counts for nothing. */
extern __C__ long SASObjectCheck (SASInspect_t inspect, SASObjectFound_t found, SASObjectProblem_t problem, void *arg);
/* "simple heap", of a type word; NULL: a program's own, or of a later library. */
extern __C__ const char *SASObjectTypeName (sas_type_t type);

/* What an index or a string tree is made of. 0; -1: EINVAL, it is none; EUCLEAN; EAGAIN, others change it. */
extern __C__ int SASObjectTreeInfo (SASInspect_t inspect, const void *tree, SASTreeInfo *info);
/* A key as the tree orders it, by its bytes: of a string these are its characters; of an index each word begins with the
 * most significant byte. 0: go on. */
typedef int (*SASObjectKey_t) (const void *key, size_t size, uint64_t value, void *arg);
/* All keys at or above `from` (NULL: all), ascending. 0, or what ended it, if that is above 0; -1 and errno, as above. */
extern __C__ int SASObjectTreeKeys (SASInspect_t inspect, const void *tree, const void *from, size_t size, SASObjectKey_t key,
				    void *arg);

#endif
