/* SPDX-License-Identifier: MIT */
/*
 * check.c - are the objects in a region's files whole, and what leads to them? Layer 5.
 *
 * Objects are the blocks in use that begin with a header's signatures. Those that list further blocks are checked first; a block that
 * says it is a further one of an object that does not list it is a problem.
 */
#include <config.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "check.h"

/* --- types */

static const struct sph_type types[] = {
	{ .type = SAS_RUNTIME_SIMPLEHEAP, .name = "simple heap", .check = sph_check_heap },
	{ .type = SAS_RUNTIME_COMPOUNDHEAP, .name = "compound heap", .check = sph_check_compound, .has_parts = 1 },
	{ .type = SAS_RUNTIME_SIMPLESTACK, .name = "simple stack", .check = sph_check_stack },
	{ .type = SAS_RUNTIME_SIMPLESPACE, .name = "simple space", .check = sph_check_space },
	{ .type = SAS_RUNTIME_STRINGBTREE, .name = "string tree", .check = sph_check_tree, .has_parts = 1,
	  .node = SAS_RUNTIME_STRINGBTREENODE },
	{ .type = SAS_RUNTIME_INDEX, .name = "index", .check = sph_check_tree, .has_parts = 1, .node = SAS_RUNTIME_INDEXNODE },
	{ .type = SAS_RUNTIME_STRINGBTREENODE, .name = "string tree node" },
	{ .type = SAS_RUNTIME_INDEXNODE, .name = "index node" },
	{ .type = SAS_RUNTIME_CONTEXT, .name = "context", .check = sph_check_context },
	{ .type = SAS_RUNTIME_LOCKTABLE, .name = "lock table" },
	{ .type = SAS_RUNTIME_LOCKFREEHEAP, .name = "lock-free heap" },
	{ .type = SAS_RUNTIME_LOCKFREELOGGER, .name = "logger" },
	{ .type = SAS_RUNTIME_LOGPORTAL, .name = "log portal" },
	{ .type = SAS_RUNTIME_PCQUEUE, .name = "queue" },
	{ .type = SAS_RUNTIME_PCQUEUE_TM, .name = "transactional queue" },
	{ .type = SAS_RUNTIME_ANCHOR, .name = "anchor" },
};

const struct sph_type *sph_type_of(sas_type_t type)
{
	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if ((type & (sas_type_t)SAS_SUBTYPE_CHECK_MASK) == types[i].type)
			return &types[i];
	return NULL;
}

const char *SASObjectTypeName(sas_type_t type)
{
	const struct sph_type *t = sph_type_of(type);

	return t ? t->name : NULL;
}

/* --- what the checks share */

void sph_check_tell(struct sph_check *c, struct sph_object *o, uint64_t where, const char *format, ...)
{
	char sentence[400];
	va_list list;

	if (o->info.problems > SPH_CHECK_TOLD)
		return;
	va_start(list, format);
	vsnprintf(sentence, sizeof sentence, format, list);
	va_end(list);
	if (o->info.problems++ == SPH_CHECK_TOLD)
		snprintf(sentence, sizeof sentence, "there are more problems than these %u", SPH_CHECK_TOLD);
	c->problems++;
	if (c->problem)
		c->problem(&o->info, (const void *)where, sentence, c->arg);
}

int sph_check_read(struct sph_check *c, struct sph_object *o, uint64_t address, void *to, size_t size)
{
	int error = sph_image_read(&c->image, address, to, size);

	if (error != -EFAULT)
		return error;
	sph_check_tell(c, o, address, "%zu bytes are not in one block in use", size);
	return 1;
}

struct sph_object *sph_check_object(const struct sph_check *c, uint64_t address)
{
	const SASBlockInfo *block = sph_image_block(&c->image, address);
	size_t low = 0, high = c->count;

	while (block && low < high) {
		size_t middle = low + (high - low) / 2;

		if (c->objects[middle].block == block)
			return &c->objects[middle];
		if (c->objects[middle].block < block)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

void sph_check_reach(struct sph_check *c, uint64_t address, sas_reached_t how)
{
	struct sph_object *o = sph_check_object(c, address);

	if (o && o->part_of)
		o = sph_check_object(c, o->part_of);
	if (o && (o->info.reached == SASReached__NOT || how < o->info.reached))
		o->info.reached = how;
}

void sph_check_part(struct sph_check *c, uint64_t address, const struct sph_object *o)
{
	struct sph_object *part = sph_check_object(c, address);

	if (part && (uint64_t)part->info.address == address)
		part->part_of = (uint64_t)o->info.address;
}

/* --- objects */

static int collect(struct sph_check *c)
{
	c->objects = calloc(c->image.count + 1, sizeof *c->objects);
	if (!c->objects)
		return sas_service_fail(ENOMEM, "no memory of this process to check %zu objects with", c->image.count);
	for (size_t i = 0; i < c->image.count; i++) {
		const SASBlockInfo *block = &c->image.blocks[i];
		struct sph_object *o = &c->objects[c->count];
		int error = sph_image_read(&c->image, (uint64_t)block->address, &o->header, sizeof o->header);

		if (error)
			return error;
		if (!SOMSASCheckBlockSig(&o->header))
			continue;
		o->block = block;
		o->type = sph_type_of(o->header.blockType);
		o->info = (SASObjectInfo){ .structSize = sizeof o->info, .address = block->address, .type = o->header.blockType,
					   .size = block->size };
		c->count++;
	}
	return 0;
}

static int is_a_part(const struct sph_object *o)
{
	return o->type && o->type->has_parts && o->header.baseBlock != o->info.address;
}

static int check_header(struct sph_check *c, struct sph_object *o)
{
	if (o->header.blockSize < sizeof o->header || o->header.blockSize > o->block->size) {
		sph_check_tell(c, o, (uint64_t)o->info.address, "its header says %zu bytes, its block has %lu",
			       o->header.blockSize, o->block->size);
		return 0;
	}
	if (o->header.baseBlock == o->info.address)
		return 1;
	sph_check_tell(c, o, (uint64_t)o->info.address, "its header says that it belongs to %p", (void *)o->header.baseBlock);
	return 0;
}

static int check_object(struct sph_check *c, struct sph_object *o)
{
	const struct sph_place place = { (uint64_t)o->info.address, o->header, o->block->size, (uint64_t)o->info.address };

	if (!check_header(c, o) || !o->type->check)
		return 0;
	o->info.checked = 1;
	return o->type->check(c, o, &place);
}

/* Those that have further blocks; then the others, which are none of these. */
static int check_objects(struct sph_check *c, int has_parts)
{
	int error = 0;

	for (size_t i = 0; i < c->count && !error; i++) {
		struct sph_object *o = &c->objects[i];

		if (o->type && o->type->has_parts == has_parts && !o->part_of && !is_a_part(o))
			error = check_object(c, o);
	}
	return error;
}

static void look_for_strays(struct sph_check *c)
{
	for (size_t i = 0; i < c->count; i++) {
		struct sph_object *o = &c->objects[i];

		if (is_a_part(o) && !o->part_of)
			sph_check_tell(c, o, (uint64_t)o->info.address, "it says that it is a further block of %p, which does not list it",
				       (void *)o->header.baseBlock);
	}
}

static void report(struct sph_check *c)
{
	for (size_t i = 0; c->found && i < c->count; i++)
		if (!c->objects[i].part_of)
			c->found(&c->objects[i].info, c->arg);
}

/* -EBUSY: somebody has. */
static int check_idle(const struct sph_check *c)
{
	int joined = sph_image_joined(&c->image);

	if (joined <= 0)
		return joined;
	return sas_service_fail(EBUSY, "%d process%s joined: objects that are in use are not checked", joined,
				joined == 1 ? " has" : "es have");
}

static int check_all(struct sph_check *c)
{
	int error = check_idle(c);

	if (!error)
		error = collect(c);
	if (!error)
		error = check_objects(c, 1);
	if (!error)
		error = check_objects(c, 0);
	if (!error)
		error = check_idle(c);
	if (error)
		return error;
	look_for_strays(c);
	sph_check_reach(c, c->image.finder, SASReached__FINDER);
	report(c);
	return 0;
}

long SASObjectCheck(SASInspect_t inspect, SASObjectFound_t found, SASObjectProblem_t problem, void *arg)
{
	struct sph_check c = { .found = found, .problem = problem, .arg = arg };
	int error = sph_image_open(&c.image, inspect);

	if (!error)
		error = check_all(&c);
	sph_image_close(&c.image);
	free(c.objects);
	return sas_service_errno(error) == 0 ? c.problems : -1;
}
