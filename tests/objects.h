/* SPDX-License-Identifier: MIT */
/*
 * objects.h - one object of each kind, filled so that every part of its form occurs: what tests of their checks look at, and damage.
 * In the default region, by public calls.
 */
#ifndef OBJECTS_H
#define OBJECTS_H

#include "sascompoundheap.h"
#include "sasindex.h"
#include "sassimpleheap.h"
#include "sassimplespace.h"
#include "sassimplestack.h"
#include "sasstringbtree.h"
#include "sphcontext.h"

#define OBJECTS_KEYS 2500U      /* in the index: numbers, 10 apart; every fifth was removed again */
#define OBJECTS_STRINGS 600U    /* in the string tree: "key 000000" ... */
#define OBJECTS_NAMES 60U        /* in the context: "name 0" ... of the string tree and the bytes behind it, "plain" of `plain` */
#define OBJECTS_BLOCK 16384U
#define OBJECTS_PAGE 1024U
#define OBJECTS_USER_TYPE (SAS_USERDEFINED_GROUP | 0x00123400U)

struct objects {
	SASSimpleHeap_t heap;           /* with three free ranges */
	SASSimpleStack_t stack;
	SASSimpleSpace_t space;
	SASCompoundHeap_t compound;     /* with expansions, and free pages */
	SASIndex_t index;               /* the finder leads to it */
	SASStringBTree_t strings;
	SPHContext_t context;
	void *own;                      /* of the program's type */
	void *plain;                    /* no object */
	void *page;                     /* in use, of the compound heap */
};

/* 0: all of it is there. */
int objects_make(struct objects *o);
/* They do what they do; gives 0 if a check in memory finds all of it whole before and after. */
int objects_use(const struct objects *o);

#endif
