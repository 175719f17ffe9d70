/* SPDX-License-Identifier: MIT */
/*
 * context_note.c - finishing what the state of a context says, for the living and the dead alike. Layer 5.
 *
 * Under the lock. Each function here may be cut short anywhere and begun again: what it has done already it finds done. A string
 * is read before its range is given back; from then on the state, or `string`, does not ask for its content.
 */
#include <config.h>

#include <errno.h>
#include <string.h>

#include "sph/heap/block_list.h"
#include "context.h"

/* What was stored before it is there when it is, and what follows comes after it, for who takes over from the dead. */
void sph_context_set_state(struct sph_context *c, enum sph_context_state state)
{
	sph_store_release(&c->m->state, state);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static void set_string(struct sph_context *c, uint64_t string, uint64_t size)
{
	c->m->size = size;
	sph_store_release(&c->m->string, string);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static int is_absent(int error)
{
	return error == -ENOENT ? 0 : error;
}

static int drop_name(struct sph_context *c, const char *name)
{
	uint64_t old;

	return is_absent(sph_tree_remove(&c->use, c->names, sph_context_name_key(name, strlen(name)), &old));
}

static int drop_address(struct sph_context *c, uint64_t value, const char *name)
{
	unsigned char bytes[SPH_CONTEXT_KEYS];
	uint64_t old;

	return is_absent(sph_tree_remove(&c->use, c->addresses, sph_context_key(bytes, value, name), &old));
}

/* The noted string, whole; NULL: the note was written into. */
static const char *noted(const struct sph_context *c, uint64_t address, int *error)
{
	const char *name = sph_context_string(c, address);

	*error = name ? 0 : sas_service_fail(EUCLEAN, "the context at %p: a name was noted at %#lx, where none can be", (void *)c->header,
					     address);
	return name;
}

static int give_range(struct sph_context *c, uint64_t range, uint64_t size)
{
	int free = sph_block_has(&c->use, c->header, (void *)range);

	return free < 0 ? free : free ? 0 : sph_block_give(&c->use, c->header, (void *)range, size);
}

/* --- each state */

static int finish_range(struct sph_context *c)
{
	int error = give_range(c, c->m->string, c->m->size);

	if (!error)
		sph_context_set_state(c, SPH_CONTEXT_IDLE);
	return error;
}

static int finish_undo(struct sph_context *c)
{
	unsigned char bytes[SPH_CONTEXT_KEYS];
	uint64_t value = c->m->value, string = c->m->string, first;
	int error;
	const char *name = noted(c, string, &error);

	if (!error)
		error = drop_name(c, name);
	if (!error)
		error = drop_address(c, value, name);
	if (!error)
		error = sph_tree_get(&c->look, c->addresses, sph_context_key(bytes, value, NULL), &first);
	if (!error && first == string)
		error = drop_address(c, value, NULL);
	if (is_absent(error))
		return error;
	sph_context_set_state(c, SPH_CONTEXT_RANGE);
	return finish_range(c);
}

/* The lowest name of the address but this one; 0: there is none. */
static int next_name(struct sph_context *c, uint64_t value, uint64_t but, uint64_t *string)
{
	unsigned char bytes[SPH_CONTEXT_KEYS];
	struct sph_key key;
	int error = sph_cursor_set(c->cursor, sph_context_key(bytes, value, NULL), 1);

	do {
		if (!error)
			error = sph_cursor_next(&c->look, c->cursor, &key, string);
		if (error == -ENOENT || (!error && !sph_context_is_name_of(key, value)))
			*string = 0;
	} while (!error && *string == but);
	return is_absent(error);
}

/* The first name of an address goes: the successor is noted, or the next one. */
static int replace_first(struct sph_context *c)
{
	unsigned char bytes[SPH_CONTEXT_KEYS];
	uint64_t value = c->m->value, next = c->m->string, first;
	struct sph_key key = sph_context_key(bytes, value, NULL);
	int error = sph_tree_get(&c->look, c->addresses, key, &first);

	if (error || first != c->m->old)
		return is_absent(error);
	if (!next)
		error = next_name(c, value, c->m->old, &next);
	if (error)
		return error;
	return next ? sph_tree_replace(&c->use, c->addresses, key, next, &first) : drop_address(c, value, NULL);
}

static int finish_remove(struct sph_context *c)
{
	int error;
	const char *name = noted(c, c->m->old, &error);

	if (!error)
		error = drop_name(c, name);
	if (!error)
		error = replace_first(c);
	if (!error)
		error = drop_address(c, c->m->value, name);
	if (error)
		return error;
	/* No successor is asked for any more. */
	set_string(c, c->m->old, sph_free_round(strlen(name) + 1));
	sph_context_set_state(c, SPH_CONTEXT_RANGE);
	return finish_range(c);
}

static int finish_clear(struct sph_context *c)
{
	uint64_t value = c->m->value, string;
	int error = drop_address(c, value, NULL);

	while (!error) {
		const char *name;

		error = next_name(c, value, 0, &string);
		/* One whose key has gone has only its range left. */
		if (!error && c->m->string && c->m->string != string)
			error = give_range(c, c->m->string, c->m->size);
		if (error || !string)
			break;
		name = noted(c, string, &error);
		if (error)
			break;
		if (c->m->string != string) {
			sph_store_release(&c->m->string, 0);
			set_string(c, string, sph_free_round(strlen(name) + 1));
		}
		error = drop_name(c, name);
		if (!error)
			error = drop_address(c, value, name);
	}
	if (!error)
		sph_context_set_state(c, SPH_CONTEXT_IDLE);
	return error;
}

/* --- the trees */

static int give_tree(struct sph_context *c, uint64_t *where)
{
	return *where ? sas_use_give_block(&c->use, sph_context_tree_size(c->header), where) : 0;
}

/* They have no other blocks yet, and maybe no form. */
static int finish_making(struct sph_context *c)
{
	int error = give_tree(c, &c->m->names);

	if (!error)
		error = give_tree(c, &c->m->addresses);
	if (!error)
		sph_context_set_state(c, SPH_CONTEXT_IDLE);
	return error;
}

static int plant_tree(struct sph_context *c, uint64_t *where, sas_type_t type, sas_type_t node_type)
{
	size_t size = sph_context_tree_size(c->header);
	int error = sas_use_take_block(&c->use, size, where);

	if (!error)
		error = sph_pages_map(&c->use, (void *)*where, size);
	return error ? error : sph_tree_format((void *)*where, size, default_page, 1, type, node_type, 0);
}

int sph_context_plant(struct sph_context *c)
{
	int error;

	if (!c->use.region)
		return sas_service_fail(ENOTSUP, "the context at %p lies in no region, so it can hold no names", (void *)c->header);
	sph_context_set_state(c, SPH_CONTEXT_MAKING);
	error = plant_tree(c, &c->m->names, SAS_RUNTIME_STRINGBTREE, SAS_RUNTIME_STRINGBTREENODE);
	if (!error)
		error = plant_tree(c, &c->m->addresses, SAS_RUNTIME_INDEX, SAS_RUNTIME_INDEXNODE);
	if (error) {
		finish_making(c);
		return error;
	}
	/* Publish: from here on they are looked into. */
	sph_context_set_state(c, SPH_CONTEXT_IDLE);
	return sph_context_open(c, c->header);
}

static int fell_tree(struct sph_context *c, uint64_t *where, sas_type_t type)
{
	SASBlockHeader *tree;
	int error;

	if (!*where)
		return 0;
	error = sph_context_open_tree(c, *where, type, &tree);
	if (!error)
		error = sph_tree_destroy(&c->use, tree);
	return error ? error : give_tree(c, where);
}

int sph_context_fell(struct sph_context *c)
{
	int error = fell_tree(c, &c->m->names, SAS_RUNTIME_STRINGBTREE);

	return error ? error : fell_tree(c, &c->m->addresses, SAS_RUNTIME_INDEX);
}

int sph_context_settle(struct sph_context *c)
{
	uint64_t state = sph_load_acquire(&c->m->state);

	if (state == SPH_CONTEXT_IDLE)
		return 0;
	if (state == SPH_CONTEXT_MAKING)
		return finish_making(c);
	if (state == SPH_CONTEXT_DEAD)
		return sph_context_fell(c) ?: sas_service_fail(EINVAL, "the context at %p is being destroyed", (void *)c->header);
	if (!c->names)
		return sas_service_fail(EUCLEAN, "the context at %p has no trees, and is in state %lu", (void *)c->header, state);
	if (!c->cursor)
		c->cursor = sph_cursor_make(c->addresses);
	if (!c->cursor)
		return sas_service_fail(ENOMEM, "no memory for a cursor");
	switch (state) {
	case SPH_CONTEXT_RANGE:
		return finish_range(c);
	case SPH_CONTEXT_UNDO:
		return finish_undo(c);
	case SPH_CONTEXT_REMOVE:
		return finish_remove(c);
	case SPH_CONTEXT_CLEAR:
		return finish_clear(c);
	default:
		return sas_service_fail(EUCLEAN, "the context at %p is in state %lu, which there is not", (void *)c->header, state);
	}
}
