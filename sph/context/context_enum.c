/* SPDX-License-Identifier: MIT */
/*
 * context_enum.c - going through the names of a context by their addresses. Layer 5.
 *
 * The place is the key that was given last, kept here. The cursor is what makes a step cheap; it is aimed anew after a
 * step that did not count.
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "context.h"

struct SPHContextEnum {
	const void *context;
	uint64_t value;                 /* whose names; 0: of all */
	const SASBlockHeader *tree;
	struct sph_cursor *cursor;      /* in that tree; NULL: not begun */
	int stands;                     /* it stands behind `last`, as we do */
	struct sph_key next;            /* in the cursor's memory */
	size_t size;
	unsigned char last[SPH_CONTEXT_KEYS + 1];       /* and a NUL */
};

static int nothing(struct sph_context *c, void *arg)
{
	(void)c;
	(void)arg;
	return 0;
}

SPHContextEnum_t SPHContextEnumCreate(SPHContext_t contxt, const void *value)
{
	int error = sph_context_ask(contxt, nothing, NULL);
	SPHContextEnum_t e = NULL;

	if (!error) {
		e = calloc(1, sizeof *e);
		error = e ? 0 : sas_service_fail(ENOMEM, "no memory for an enumerator");
	}
	if (error)
		return sph_null(error);
	e->context = contxt;
	e->value = (uintptr_t)value;
	/* Behind the key that tells the first name, if it is about one address. */
	e->size = sph_context_key(e->last, e->value, NULL).size;
	return e;
}

void SPHContextEnumDestroy(SPHContextEnum_t names)
{
	if (names)
		sph_cursor_free(names->cursor);
	free(names);
}

static int get_cursor(const struct sph_context *c, struct SPHContextEnum *e)
{
	if (e->cursor && e->tree == c->addresses)
		return 0;
	sph_cursor_free(e->cursor);
	e->tree = c->addresses;
	e->cursor = sph_cursor_make(c->addresses);
	e->stands = 0;
	return e->cursor ? 0 : sas_service_fail(ENOMEM, "no memory for a cursor");
}

static int counts(const struct sph_context *c, struct sph_key key, uint64_t string)
{
	return key.size > SPH_CONTEXT_KEY && string != (uintptr_t)c->hidden &&
	       !(c->cleared && sph_context_key_address(key) == c->cleared);
}

static int step(struct sph_context *c, void *arg)
{
	struct SPHContextEnum *e = arg;
	uint64_t string = 0;
	int error = c->names ? get_cursor(c, e) : -ENOENT;

	if (!error && !e->stands)
		error = sph_cursor_set(e->cursor, (struct sph_key){ e->last, e->size }, 1);
	e->stands = 0;
	do {
		if (!error)
			error = sph_cursor_next(&c->look, e->cursor, &e->next, &string);
		if (!error && e->value && sph_context_key_address(e->next) != e->value)
			error = -ENOENT;
	} while (!error && !counts(c, e->next, string));
	if (!error && e->next.size > SPH_CONTEXT_KEYS)
		error = sas_service_fail(EUCLEAN, "the context at %p has a name of %zu bytes", (void *)c->header,
					 e->next.size - SPH_CONTEXT_KEY);
	return error;
}

const char *SPHContextEnumNext(SPHContextEnum_t names, void **value)
{
	int error = names ? sph_context_ask(names->context, step, names) : sas_service_fail(EINVAL, "NULL is no enumerator");

	if (error)
		return sph_null(error);
	memcpy(names->last, names->next.bytes, names->next.size);
	names->size = names->next.size;
	names->last[names->size] = 0;
	names->stands = 1;
	if (value)
		*value = (void *)sph_context_key_address(names->next);
	return (const char *)names->last + SPH_CONTEXT_KEY;
}
