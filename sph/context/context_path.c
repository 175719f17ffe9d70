/* SPDX-License-Identifier: MIT */
/*
 * context_path.c - names of names: a path leads through contexts in contexts. On the public calls alone. Layer 5.
 *
 * Contexts may name each other in circles; a path ends, so each walk does.
 *
 * Crash: contexts that are missing on the way are made from the last one up, so that one new name in a context that is
 *   there already publishes all of them. A process that dies before leaves blocks of its generation, as after SASBlockAlloc().
 */
#include <config.h>

#include <errno.h>
#include <string.h>

#include "context.h"
#include "sasregion.h"

#define NESTED block__Size64K

struct part {
	char name[SPH_CONTEXT_NAME_MAX + 1];
	int last;
};

/* The first name of the path, which goes on behind it. 1: there is none; -ENAMETOOLONG. */
static int next_part(const char **path, struct part *part)
{
	const char *name = *path + strspn(*path, "/");
	size_t size = strcspn(name, "/");

	if (!size)
		return 1;
	if (size > SPH_CONTEXT_NAME_MAX)
		return sas_service_fail(ENAMETOOLONG, "a name of %zu bytes in a path: names have %u at most", size, SPH_CONTEXT_NAME_MAX);
	memcpy(part->name, name, size);
	part->name[size] = 0;
	*path = name + size;
	part->last = (*path)[strspn(*path, "/")] == 0;
	return 0;
}

static int check_path(SPHContext_t context, const char *path)
{
	int error = sph_object_check(context, &sph_context_kind);

	if (error)
		return error;
	return path && path[strspn(path, "/")] ? 0 : sas_service_fail(EINVAL, "a path without a name");
}

/*
 * As far as there are contexts: *context is the one in which part is looked for, *value what it leads to there, and *path what
 * follows. 0: part is the last one, and leads to *value; -ENOENT: it leads nowhere; -ENOTDIR: to what is no context, and is not the last one.
 */
static int walk(SPHContext_t *context, const char **path, struct part *part, void **value)
{
	for (;;) {
		int error = next_part(path, part);

		if (error)
			return error;
		*value = SPHContextFindByName(*context, part->name);
		if (!*value)
			return -errno;
		if (part->last)
			return 0;
		if (!SPHContextIs(*value))
			return sas_service_fail(ENOTDIR, "\"%s\" names no context, but the path goes on", part->name);
		*context = *value;
	}
}

void *SPHContextFindPath(SPHContext_t contxt, const char *path)
{
	void *value = NULL;
	struct part part;
	int error = check_path(contxt, path);

	if (!error)
		error = walk(&contxt, &path, &part, &value);
	return error ? sph_null(error) : value;
}

/* --- adding */

/* What was made for a path that leads elsewhere meanwhile: each has one name. */
static void destroy_chain(SPHContext_t top, const void *value)
{
	while (top && top != value) {
		SPHContextEnum_t names = SPHContextEnumCreate(top, NULL);
		void *next = NULL;

		if (names)
			SPHContextEnumNext(names, &next);
		SPHContextEnumDestroy(names);
		SPHContextDestroy(top);
		top = next;
	}
}

/* The last name before *end, which goes back to where it begins. 1: there is none. */
static int last_part(const char *path, const char **end, struct part *part)
{
	const char *name = *end;

	while (name > path && name[-1] == '/')
		name--;
	*end = name;
	while (name > path && name[-1] != '/')
		name--;
	if (name == *end)
		return 1;
	*end = name;
	return next_part(&name, part);
}

static int make_above(SASRegion_t region, const char *name, void **top)
{
	SPHContext_t made = sph_context_make(region, NESTED);
	int error;

	if (!made)
		return -errno;
	if (SPHContextAddName(made, name, *top)) {
		*top = made;
		return 0;
	}
	error = -errno;
	SPHContextDestroy(made);
	return error;
}

/* A context for each name of the path, from the last one on, which names value. *top: the first one. */
static int make_chain(SASRegion_t region, const char *path, void *value, void **top)
{
	const char *end = path + strlen(path);
	struct part part;
	int error;

	*top = value;
	do {
		error = last_part(path, &end, &part);
		if (!error)
			error = make_above(region, part.name, top);
	} while (!error);
	if (error < 0)
		destroy_chain(*top, value);
	return error < 0 ? error : 0;
}

static int add_path(SPHContext_t context, const char *path, void *value)
{
	struct part part;
	void *found, *top;
	int error;

	for (;;) {
		error = walk(&context, &path, &part, &found);
		if (error != -ENOENT)
			return error ? error : -EEXIST;
		error = make_chain(SASRegionOf(context), path, value, &top);
		if (error)
			return error;
		/* Publish. */
		if (SPHContextAddAlias(context, part.name, top))
			return 0;
		error = -errno;
		destroy_chain(top, value);
		if (error != -EEXIST || part.last)
			return error;
		/* Somebody else has made the first of them: go on from there. */
		found = SPHContextFindByName(context, part.name);
		if (found && !SPHContextIs(found))
			return sas_service_fail(ENOTDIR, "\"%s\" names no context, but the path goes on", part.name);
		if (found)
			context = found;
		else
			return -errno;
	}
}

int SPHContextAddPath(SPHContext_t contxt, const char *path, void *value)
{
	int error = check_path(contxt, path);

	if (!error && !value)
		error = sas_service_fail(EINVAL, "NULL can have no name");
	if (!error)
		error = add_path(contxt, path, value);
	if (!error)
		return 1;
	sas_service_errno(error);
	return 0;
}

int SPHContextRemovePath(SPHContext_t contxt, const char *path)
{
	struct part part;
	void *value;
	int error = check_path(contxt, path);

	if (!error)
		error = walk(&contxt, &path, &part, &value);
	if (!error)
		return SPHContextRemoveByName(contxt, part.name);
	sas_service_errno(error);
	return error == -ENOENT ? -3 : -1;
}
