/* SPDX-License-Identifier: MIT */
/*
 * check.h - checking objects in a region's files: what the checks of all types share.
 *
 * A check reads by image.h alone, into memory of its own, so a pointer that leads nowhere is a problem that is told, and each loop is
 * bounded by sizes that were compared with the block's before. What the dead left half done and the next user of the object finishes is
 * counted, and no problem.
 */
#ifndef SPH_CHECK_H
#define SPH_CHECK_H

#include "image.h"
#include "sasalloc.h"
#include "sasobject.h"
#include "sph/tree/tree.h"

#define SPH_CHECK_TOLD 20U              /* problems of one object that are told */
#define SPH_CHECK_VERSIONS (1UL << 60)  /* no node lives to see more; a count that ends makes its readers wait for ever */

struct sph_object {
	SASObjectInfo info;
	SASBlockHeader header;
	const SASBlockInfo *block;
	const struct sph_type *type;    /* NULL: unknown */
	uint64_t part_of;               /* the object of which it is a further block; 0: of none */
};

struct sph_check {
	struct sph_image image;
	SASObjectFound_t found;
	SASObjectProblem_t problem;
	void *arg;
	struct sph_object *objects;     /* that begin blocks, ascending */
	size_t count;
	long problems;
	int live;                       /* others may change it meanwhile */
};

/* Where something of a type begins: an object, or a page of it. */
struct sph_place {
	uint64_t address;
	SASBlockHeader header;
	uint64_t limit;                 /* it has no more bytes */
	uint64_t base;                  /* what its header may name as its first block, beside itself */
};

struct sph_type {
	sas_type_t type;
	const char *name;
	/* Tells what is wrong. 0, or -errno: it cannot be read. NULL: nothing is known but the header. */
	int (*check)(struct sph_check *c, struct sph_object *o, const struct sph_place *p);
	int has_parts;                  /* checked first, as it says what other blocks are */
	sas_type_t node;                /* of the nodes of a tree */
};

/* NULL: not one of ours. */
const struct sph_type *sph_type_of(sas_type_t type);

/* One problem of an object, at an address. */
void sph_check_tell(struct sph_check *c, struct sph_object *o, uint64_t where, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* sph_image_read(), where bytes that are in no block in use are a problem: 0; 1: it was told; -errno. */
int sph_check_read(struct sph_check *c, struct sph_object *o, uint64_t address, void *to, size_t size);
/* Something leads to an address: the object around it is reached so. */
void sph_check_reach(struct sph_check *c, uint64_t address, sas_reached_t how);
/* The object that a block in use begins with, by an address in it; or NULL. */
struct sph_object *sph_check_object(const struct sph_check *c, uint64_t address);
/* The block that begins there is a further one of this object. */
void sph_check_part(struct sph_check *c, uint64_t address, const struct sph_object *o);

/* --- check_pages.c: objects made of pages */

struct sph_blocks {                     /* of such an object */
	_Alignas(64) union { SASBlockHeader header; unsigned char bytes[4096]; } main;  /* a copy */
	uint64_t *at;                   /* the main one and expansions, ascending; malloc'd */
	size_t count;
	uint32_t page_size, first, pages;       /* of each */
};
/* What can be followed of it. 0; 1: nothing can, which was told; -errno. Whatever it gives, b->at is freed by the caller. */
int sph_check_blocks(struct sph_check *c, struct sph_object *o, const struct sph_place *p, struct sph_blocks *b);
/* The block in which a page begins at this address; 0: none does. */
uint64_t sph_blocks_around(const struct sph_blocks *b, uint64_t page);
/* The owner word and the header of a page, looked at. 0, 1, -errno as above. */
int sph_check_page(struct sph_check *c, struct sph_object *o, uint64_t page, SASBlockHeader *header, uint64_t *owner);
int sph_check_compound(struct sph_check *c, struct sph_object *o, const struct sph_place *p);

/* --- check_simple.c */

struct sph_ranges {                     /* that are free, ascending; malloc'd */
	struct { uint64_t start, end; } *at;
	size_t count;
};
/* The free ranges of a heap, up to the first that cannot be. 0; 1: there was one, which was told; -errno. `ranges` may be NULL. */
int sph_check_ranges(struct sph_check *c, struct sph_object *o, const struct sph_place *p, struct sph_ranges *ranges);
int sph_check_heap(struct sph_check *c, struct sph_object *o, const struct sph_place *p);
int sph_check_space(struct sph_check *c, struct sph_object *o, const struct sph_place *p);
int sph_check_stack(struct sph_check *c, struct sph_object *o, const struct sph_place *p);

/* --- check_tree.c */
struct sph_check_tree;
int sph_check_tree(struct sph_check *c, struct sph_object *o, const struct sph_place *p);
/* A tree whose keys are wanted. As sph_check_blocks(); whatever it gives is closed. */
int sph_check_open_tree(struct sph_check *c, struct sph_object *o, const struct sph_place *p, struct sph_check_tree **tree);
void sph_check_close_tree(struct sph_check_tree *tree);
/* All keys at or above `from`, NULL: all. 0; 1: a problem was told, or `key` has ended it; -errno. */
int sph_check_keys(struct sph_check_tree *tree, const void *from, size_t size, SASObjectKey_t key, void *arg);

/* --- check_context.c */
int sph_check_context(struct sph_check *c, struct sph_object *o, const struct sph_place *p);

#endif
