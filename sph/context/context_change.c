/* SPDX-License-Identifier: MIT */
/*
 * context_change.c - adding, renaming and removing names. See context.h for the stores that publish. Layer 5.
 */
#include <config.h>

#include <errno.h>
#include <string.h>

#include "sph/heap/block_list.h"
#include "context.h"

/* The string of a name that is there. -ENOENT. */
static int find_name(struct sph_context *c, struct sph_key name, uint64_t *value, uint64_t *string)
{
	unsigned char bytes[SPH_CONTEXT_KEYS];
	int error = c->names ? sph_tree_get(&c->look, c->names, name, value) : -ENOENT;

	if (!error) {
		error = sph_tree_get(&c->look, c->addresses, sph_context_key(bytes, *value, (const char *)name.bytes), string);
		if (error == -ENOENT)
			error = sas_service_fail(EUCLEAN, "the context at %p: the name \"%s\" is none of its address %#lx",
						 (void *)c->header, (const char *)name.bytes, *value);
	}
	return error;
}

/* -EEXIST: there is such a key. */
static int must_be_absent(struct sph_context *c, const SASBlockHeader *tree, struct sph_key key)
{
	uint64_t value;
	int error = sph_tree_get(&c->look, tree, key, &value);

	return error == -ENOENT ? 0 : error ? error : -EEXIST;
}

/* A copy in the heap, which goes again if we die. */
static int keep_string(struct sph_context *c, struct sph_key name)
{
	size_t size = sph_free_round(name.size + 1);
	void *range;
	int error = sph_block_find(&c->use, c->header, size, &range);

	if (error)
		return error;
	c->m->string = (uintptr_t)range;
	c->m->size = size;
	sph_context_set_state(c, SPH_CONTEXT_RANGE);
	error = sph_block_take(&c->use, c->header, size, &range);
	if (!error) {
		memset((char *)range + size - SPH_GRANULE, 0, SPH_GRANULE);
		memcpy(range, name.bytes, name.size);
	}
	return error;
}

/* In both trees, but not yet for good: state UNDO. */
static int put_name(struct sph_context *c, struct sph_key name, uint64_t value)
{
	unsigned char bytes[SPH_CONTEXT_KEYS];
	uint64_t first;
	int error = keep_string(c, name);

	if (error)
		return error;
	c->m->value = value;
	sph_context_set_state(c, SPH_CONTEXT_UNDO);
	error = sph_tree_insert(&c->use, c->names, name, value);
	if (!error)
		error = sph_tree_insert(&c->use, c->addresses, sph_context_key(bytes, value, (const char *)name.bytes), c->m->string);
	if (error)
		return error;
	error = sph_tree_get(&c->look, c->addresses, sph_context_key(bytes, value, NULL), &first);
	if (error == -ENOENT)
		error = sph_tree_insert(&c->use, c->addresses, sph_context_key(bytes, value, NULL), c->m->string);
	return error;
}

/* What failed in the middle is taken back. */
static int finish(struct sph_context *c, int error)
{
	int settled = error ? sph_context_settle(c) : 0;

	return sph_context_end(c, settled ? settled : error);
}

/* --- adding */

static int add_name(SPHContext_t context, const char *name, const void *value, int first_only)
{
	unsigned char bytes[SPH_CONTEXT_KEYS];
	struct sph_context c;
	struct sph_key key;
	size_t size = 0;
	int error = sph_context_check_name(name, &size);

	if (!error && !value)
		error = sas_service_fail(EINVAL, "NULL can have no name");
	if (!error)
		error = sph_context_begin_names(&c, context);
	if (error)
		return error;
	key = sph_context_name_key(name, size);
	error = must_be_absent(&c, c.names, key);
	if (!error && first_only)
		error = must_be_absent(&c, c.addresses, sph_context_key(bytes, (uintptr_t)value, NULL));
	if (!error)
		error = put_name(&c, key, (uintptr_t)value);
	if (!error)
		/* Publish. */
		sph_context_set_state(&c, SPH_CONTEXT_IDLE);
	return finish(&c, error);
}

static int is_done(int error)
{
	if (!error)
		return 1;
	sas_service_errno(error);
	return 0;
}

int SPHContextAddName(SPHContext_t contxt, const char *name, void *value)
{
	return is_done(add_name(contxt, name, value, 1));
}

int SPHContextAddAlias(SPHContext_t contxt, const char *name, void *value)
{
	return is_done(add_name(contxt, name, value, 0));
}

/* --- renaming */

static int rename_name(struct sph_context *c, struct sph_key from, struct sph_key to, uint64_t value)
{
	uint64_t found, string;
	int error = find_name(c, from, &found, &string);

	if (!error && found != value)
		error = -ENOENT;
	if (!error)
		error = must_be_absent(c, c->names, to);
	if (!error)
		error = put_name(c, to, value);
	if (error)
		return error;
	c->m->old = string;
	/* Publish: the new name stays, and takes the place of the old one. */
	sph_context_set_state(c, SPH_CONTEXT_REMOVE);
	return sph_context_settle(c);
}

int SPHContextRename(SPHContext_t contxt, const char *oldname, const char *newname, void *value)
{
	size_t from = 0, to = 0;
	struct sph_context c;
	int error = sph_context_check_name(oldname, &from);

	if (!error)
		error = sph_context_check_name(newname, &to);
	if (!error)
		error = sph_context_begin(&c, contxt);
	if (error)
		return is_done(error);
	error = rename_name(&c, sph_context_name_key(oldname, from), sph_context_name_key(newname, to), (uintptr_t)value);
	return is_done(finish(&c, error));
}

/* --- removing */

static int remove_name(struct sph_context *c, struct sph_key name)
{
	uint64_t value, string;
	int error = find_name(c, name, &value, &string);

	if (error)
		return error;
	c->m->value = value;
	c->m->old = string;
	c->m->string = 0;
	/* Publish. */
	sph_context_set_state(c, SPH_CONTEXT_REMOVE);
	return sph_context_settle(c);
}

static int remove_address(struct sph_context *c, uint64_t value)
{
	unsigned char bytes[SPH_CONTEXT_KEYS];
	uint64_t first;
	int error = c->names ? sph_tree_get(&c->look, c->addresses, sph_context_key(bytes, value, NULL), &first) : -ENOENT;

	if (error)
		return error;
	c->m->value = value;
	c->m->string = 0;
	/* Publish. */
	sph_context_set_state(c, SPH_CONTEXT_CLEAR);
	return sph_context_settle(c);
}

/* As the calls that remove give it. */
static int removed(int error)
{
	if (!error)
		return 0;
	sas_service_errno(error);
	return error == -ENOENT ? -3 : -1;
}

int SPHContextRemoveByName(SPHContext_t contxt, const char *name)
{
	struct sph_context c;
	size_t size = 0;
	int error = sph_context_check_name(name, &size);

	if (!error)
		error = sph_context_begin(&c, contxt);
	return removed(error ? error : finish(&c, remove_name(&c, sph_context_name_key(name, size))));
}

int SPHContextRemoveByAddr(SPHContext_t contxt, const void *value)
{
	struct sph_context c;
	int error = sph_context_begin(&c, contxt);

	return removed(error ? error : finish(&c, remove_address(&c, (uintptr_t)value)));
}
