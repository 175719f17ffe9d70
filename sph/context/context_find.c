/* SPDX-License-Identifier: MIT */
/*
 * context_find.c - looking into contexts: by name, by address, all of it. Readers take no lock. Layer 5.
 *
 * What a death has left is finished before the question is asked. In a region that is joined read-only it stays, and what
 * it takes out of the context is left out here: `hidden`, `cleared`.
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "context.h"

/* --- by name */

struct by_name {
	struct sph_key key;
	uint64_t value;
};

static int is_hidden(const struct sph_context *c, struct sph_key name, uint64_t value)
{
	if (c->cleared && value == c->cleared)
		return 1;
	return c->hidden && strlen(c->hidden) == name.size && memcmp(c->hidden, name.bytes, name.size) == 0;
}

static int find_name(struct sph_context *c, void *arg)
{
	struct by_name *q = arg;
	int error = c->names ? sph_tree_get(&c->look, c->names, q->key, &q->value) : -ENOENT;

	return !error && is_hidden(c, q->key, q->value) ? -ENOENT : error;
}

void *SPHContextFindByName(SPHContext_t contxt, const char *name)
{
	struct by_name q = { .value = 0 };
	size_t size = 0;
	int error = sph_context_check_name(name, &size);

	q.key = sph_context_name_key(name, size);
	if (!error)
		error = sph_context_ask(contxt, find_name, &q);
	return error ? sph_null(error) : (void *)q.value;
}

/* --- by address */

struct by_address {
	uint64_t value;
	const char *name;
};

/* The first name is hidden: the next one that is not. */
static int find_other(struct sph_context *c, struct by_address *q, uint64_t *string)
{
	struct sph_cursor *cursor = sph_cursor_make(c->addresses);
	unsigned char bytes[SPH_CONTEXT_KEYS];
	struct sph_key key;
	int error;

	if (!cursor)
		return sas_service_fail(ENOMEM, "no memory for a cursor");
	error = sph_cursor_set(cursor, sph_context_key(bytes, q->value, NULL), 1);
	do {
		if (!error)
			error = sph_cursor_next(&c->look, cursor, &key, string);
		if (!error && !sph_context_is_name_of(key, q->value))
			error = -ENOENT;
	} while (!error && *string == (uintptr_t)c->hidden);
	sph_cursor_free(cursor);
	return error;
}

static int find_address(struct sph_context *c, void *arg)
{
	unsigned char bytes[SPH_CONTEXT_KEYS];
	struct by_address *q = arg;
	uint64_t string = 0;
	int error = c->names ? sph_tree_get(&c->look, c->addresses, sph_context_key(bytes, q->value, NULL), &string) : -ENOENT;

	if (!error && c->cleared && c->cleared == q->value)
		error = -ENOENT;
	if (!error && c->hidden && string == (uintptr_t)c->hidden)
		error = find_other(c, q, &string);
	if (error)
		return error;
	q->name = sph_context_string(c, string);
	return q->name ? 0 : sas_service_fail(EUCLEAN, "the context at %p: no name of %#lx can be at %#lx", (void *)c->header, q->value, string);
}

void *SPHContextFindByAddr(SPHContext_t contxt, const void *value)
{
	struct by_address q = { .value = (uintptr_t)value };
	int error = sph_context_ask(contxt, find_address, &q);

	return error ? sph_null(error) : (void *)(uintptr_t)q.name;
}

/* --- how many */

static int count_names(struct sph_context *c, void *arg)
{
	uint64_t *count = arg;

	*count = 0;
	return c->names ? sph_tree_count(&c->look, c->names, count) : 0;
}

long SPHContextGetCount(SPHContext_t contxt)
{
	uint64_t count;
	int error = sph_context_ask(contxt, count_names, &count);

	return error ? sas_service_errno(error) : (long)count;
}

/* --- all names, in their order */

static int tell_names(struct sph_context *c, void *arg)
{
	*(SASBlockHeader **)arg = c->names;
	return 0;
}

SASStringBTreeEnum_t SPHContextGetNameEnum(SPHContext_t contxt)
{
	SASBlockHeader *names;
	struct sph_context c;
	int error = sph_context_ask(contxt, tell_names, &names);

	if (!error && !names) {
		error = sph_context_begin_names(&c, contxt);
		if (!error) {
			names = c.names;
			error = sph_context_end(&c, 0);
		}
	}
	return error ? sph_null(error) : SASStringBTreeEnumCreate(names);
}

