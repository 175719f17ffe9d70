/* SPDX-License-Identifier: MIT */
/*
 * names.c - going through contexts in contexts. They may name each other in circles, so each is entered once.
 */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "names.h"
#include "tool.h"

SASRegion_t names_join(const char *directory, unsigned flags, SPHContext_t *root)
{
	SASRegionOptions options;
	SASRegion_t region;

	SASRegionOptionsInit(&options);
	options.flags = flags;
	region = SASRegionJoin(directory, &options);
	if (!region) {
		tool_library_error(TOOL_FAILED);
		return NULL;
	}
	*root = SASRegionFinder(region);
	if (SPHContextIs(*root))
		return region;
	tool_error(TOOL_FAILED, "%s: the finder leads to no context", directory);
	if (SASRegionLeave(region) != 0)
		tool_library_error(TOOL_FAILED);
	return NULL;
}

void *names_value(SPHContext_t root, const char *path)
{
	void *value = SPHContextFindPath(root, path);

	if (!value)
		tool_error(TOOL_FAILED, "%s: %s", path, errno == ENOENT ? "no such name" : SASLastErrorMessage());
	return value;
}

struct walk {
	SPHContext_t *entered;
	size_t count, room;
	int deep;
	names_visit visit;
	void *arg;
};

/* 1: it is the first time; 0; -1: no memory. */
static int enter(struct walk *w, SPHContext_t context)
{
	for (size_t i = 0; i < w->count; i++)
		if (w->entered[i] == context)
			return 0;
	if (w->count == w->room) {
		size_t room = w->room ? 2 * w->room : 16;
		SPHContext_t *entered = realloc(w->entered, room * sizeof(*entered));

		if (!entered)
			return -1;
		w->entered = entered;
		w->room = room;
	}
	w->entered[w->count++] = context;
	return 1;
}

static int walk(struct walk *w, SPHContext_t context, const char *prefix)
{
	SASStringBTreeEnum_t names;
	int result = enter(w, context);
	void *value;

	if (result <= 0)
		return result;
	names = SPHContextGetNameEnum(context);
	if (!names)     /* one that never had a name has no trees */
		return SPHContextGetCount(context) == 0 ? 0 : -1;
	for (result = 0; !result && (value = SASStringBTreeEnumNext(names));) {
		const char *name = SASStringBTreeEnumCurrent(names);
		char *path;

		/* What a death has left half done is not there. */
		if (SPHContextFindByName(context, name) != value)
			continue;
		if (asprintf(&path, "%s%s%s", prefix, *prefix ? "/" : "", name) < 0) {
			result = -1;
			break;
		}
		result = w->visit(path, value, w->arg);
		if (!result && w->deep && SPHContextIs(value))
			result = walk(w, value, path);
		free(path);
	}
	if (!result && errno != ENOENT)
		result = -1;
	SASStringBTreeEnumDestroy(names);
	return result;
}

int names_walk(SPHContext_t root, int deep, names_visit visit, void *arg)
{
	struct walk w = { .deep = deep, .visit = visit, .arg = arg };
	int result = walk(&w, root, "");

	free(w.entered);
	return result;
}

struct search {
	const void *value;
	char *path;
};

static int is_it(const char *path, void *value, void *arg)
{
	struct search *s = arg;

	if (value != s->value)
		return 0;
	s->path = strdup(path);
	return 1;
}

char *names_find(SPHContext_t root, const void *value)
{
	const char *first = SPHContextFindByAddr(root, value);
	struct search s = { value, first ? strdup(first) : NULL };

	if (!s.path)
		names_walk(root, 1, is_it, &s);
	return s.path;
}
