/* SPDX-License-Identifier: MIT */
/*
 * face_enum.c - enumerators of both faces: a place in the order of keys that survives whatever happens to the tree. Layer 5.
 *
 * The place is ours: the bytes of a key, and whether we stand on it, directly before or behind it. The cursor is what
 * makes a step cheap; it is aimed anew where it does not stand as we do (`heading`): after a step that did not count, a
 * turn, a look ahead.
 *
 * has_more() looks one key ahead, and keeps it for the next step, which takes it if the tree has not changed since. So
 * the loop "while there are more: next" takes each step once.
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "face.h"

struct entry {
	unsigned char *bytes;           /* room for the longest, and a NUL */
	size_t size;
	uint64_t value;
};

struct sph_enum {
	const struct sph_face *face;
	const SASBlockHeader *tree;
	struct sph_cursor *cursor;
	size_t longest;
	enum { FIRST, BEFORE, ON, BEHIND, LAST } stand;
	int heading;                    /* the cursor stands as we do, and goes up (1) or down (-1) */
	struct entry here, ahead;
	int looked;                     /* `ahead` was next when the tree had had so many changes */
	uint64_t looked_changes;
	int counted;                    /* so was `left` how many there are above */
	uint64_t counted_changes;
	uint64_t met_changes;           /* ON: it was in the tree then */
	long left;
};

static void keep(struct entry *to, struct sph_key key, uint64_t value)
{
	memcpy(to->bytes, key.bytes, key.size);
	to->bytes[key.size] = 0;
	to->size = key.size;
	to->value = value;
}

static struct sph_key key_of(const struct entry *entry)
{
	return (struct sph_key){ entry->bytes, entry->size };
}

struct sph_enum *sph_enum_make(const struct sph_face *f, const void *tree, int *error)
{
	size_t longest = 0;
	struct sas_look l;
	struct sph_enum *e;

	*error = sph_face_look(&l, f, tree, 1);
	if (*error)
		return NULL;
	do {
		*error = sph_face_reach(&l, f, tree);
		if (!*error)
			longest = sph_tree_longest(tree);
	} while (!sas_look_ok(&l, tree));
	if (*error)
		return NULL;
	e = calloc(1, sizeof *e + 2 * (longest + 1));
	if (e)
		e->cursor = sph_cursor_make(tree);
	if (!e || !e->cursor) {
		free(e);
		*error = sas_service_fail(ENOMEM, "no memory for an enumerator");
		return NULL;
	}
	e->face = f;
	e->tree = tree;
	e->longest = longest;
	e->here.bytes = (unsigned char *)(e + 1);
	e->ahead.bytes = e->here.bytes + longest + 1;
	return e;
}

void sph_enum_free(struct sph_enum *e)
{
	if (e)
		sph_cursor_free(e->cursor);
	free(e);
}

static int refuse_null(void)
{
	return sas_service_fail(EINVAL, "NULL is no enumerator");
}

static void place(struct sph_enum *e)
{
	e->heading = 0;
	e->looked = 0;
	e->counted = 0;
}

int sph_enum_seek(struct sph_enum *e, struct sph_key key, int after)
{
	if (!e)
		return refuse_null();
	if (key.size > e->longest)
		return sas_service_fail(ENAMETOOLONG, "a key of %zu bytes: the longest of this %s has %zu", key.size, e->face->what, e->longest);
	keep(&e->here, key, 0);
	e->stand = after ? BEHIND : BEFORE;
	place(e);
	return 0;
}

int sph_enum_seek_end(struct sph_enum *e, int last)
{
	if (!e)
		return refuse_null();
	e->stand = last ? LAST : FIRST;
	e->here.size = 0;
	e->here.bytes[0] = 0;
	place(e);
	return 0;
}

int sph_enum_current(const struct sph_enum *e, struct sph_key *key)
{
	if (!e)
		return refuse_null();
	*key = key_of(&e->here);
	return e->stand == FIRST || e->stand == LAST ? -ENOENT : 0;
}

static int aim(const struct sph_enum *e, struct sph_cursor *c, int up)
{
	if (e->stand == FIRST || e->stand == LAST) {
		sph_cursor_reset(c, e->stand == LAST);
		return 0;
	}
	return sph_cursor_set(c, key_of(&e->here), up ? e->stand != BEFORE : e->stand != BEHIND);
}

/* What is next in this direction, valid until the cursor's next call; we stay where we are, and the cursor has gone
 * ahead. */
static int fetch(struct sph_enum *e, int up, int plain, struct sph_key *key, uint64_t *value)
{
	struct sas_look l;
	int error = sph_face_look(&l, e->face, e->tree, plain), heads = e->heading == (up ? 1 : -1);

	if (error)
		return error;
	e->heading = 0;
	do {
		error = sph_face_reach(&l, e->face, e->tree);
		if (!error && !heads)
			error = aim(e, e->cursor, up);
		if (!error)
			error = (up ? sph_cursor_next : sph_cursor_previous)(&l, e->cursor, key, value);
		heads = 0;
	} while (!sas_look_ok(&l, e->tree));
	return error;
}

static int ahead_holds(const struct sph_enum *e)
{
	return e->looked && e->looked_changes == sph_tree_changes(e->tree);
}

int sph_enum_step(struct sph_enum *e, int up, int plain, uint64_t *value)
{
	struct sph_key key;
	uint64_t changes;
	int error = 0, on;

	if (!e)
		return refuse_null();
	on = e->stand == ON;
	changes = sph_tree_changes(e->tree);
	if (up && ahead_holds(e)) {
		key = key_of(&e->ahead);
		*value = e->ahead.value;
	} else {
		error = fetch(e, up, plain, &key, value);
	}
	e->looked = 0;
	if (error)
		return error;
	keep(&e->here, key, *value);
	e->stand = ON;
	e->heading = up ? 1 : -1;
	if (up)
		e->left--;
	else if (on && e->met_changes == e->counted_changes)
		e->left++;
	else if (on)
		e->counted = 0;         /* it may have gone before the others were counted */
	e->met_changes = changes;
	return 0;
}

int sph_enum_has_more(struct sph_enum *e)
{
	uint64_t changes, value;
	struct sph_key key;
	int error;

	if (!e)
		return refuse_null();
	changes = sph_tree_changes(e->tree);
	if (e->looked && e->looked_changes == changes)
		return 1;
	error = fetch(e, 1, 1, &key, &value);
	e->looked = !error;
	if (error)
		return error == -ENOENT ? 0 : error;
	keep(&e->ahead, key, value);
	e->looked_changes = changes;
	return 1;
}

struct sph_enum *sph_enum_start(const struct sph_face *f, const void *tree, struct sph_key key, int *error)
{
	struct sph_enum *e = sph_enum_make(f, tree, error);

	if (!e)
		return NULL;
	*error = sph_enum_seek(e, key, 0);
	if (!*error)
		*error = sph_enum_has_more(e);
	if (*error > 0)
		return e;
	if (!*error)
		*error = -ENOENT;
	sph_enum_free(e);
	return NULL;
}

static int count_above(const struct sph_enum *e, struct sph_cursor *c, long *count)
{
	struct sph_key key;
	struct sas_look l;
	uint64_t value;
	int error = sph_face_look(&l, e->face, e->tree, 1);

	if (error)
		return error;
	do {
		*count = 0;
		error = sph_face_reach(&l, e->face, e->tree);
		if (!error)
			error = aim(e, c, 1);
		while (!error) {
			error = sph_cursor_next(&l, c, &key, &value);
			*count += !error;
		}
	} while (!sas_look_ok(&l, e->tree));
	return error == -ENOENT ? 0 : error;
}

long sph_enum_count(struct sph_enum *e)
{
	struct sph_cursor *c;
	uint64_t changes;
	int error;

	if (!e)
		return refuse_null();
	changes = sph_tree_changes(e->tree);
	if (e->counted && e->counted_changes == changes)
		return e->left;
	c = sph_cursor_make(e->tree);
	if (!c)
		return sas_service_fail(ENOMEM, "no memory for a cursor");
	error = count_above(e, c, &e->left);
	sph_cursor_free(c);
	e->counted = !error;
	e->counted_changes = changes;
	return error ? error : e->left;
}

long sph_face_scan(const struct sph_face *f, const void *tree, const struct sph_key *start, int (*each)(struct sph_key, uint64_t, void *),
		   void *arg)
{
	struct sph_enum *e;
	struct sas_look l;
	int error = 0;

	e = sph_enum_make(f, tree, &error);
	if (!e)
		return error;
	if (start)
		error = sph_enum_seek(e, *start, 0);
	if (!error)
		error = aim(e, e->cursor, 1);
	while (!error) {
		error = sph_face_look(&l, f, tree, 1);
		if (error)
			break;
		do {
			error = sph_face_reach(&l, f, tree);
			if (!error)
				error = sph_cursor_load(&l, e->cursor);
		} while (!sas_look_ok(&l, tree));
		if (!error)
			error = sph_cursor_drain(e->cursor, each, arg);
	}
	sph_enum_free(e);
	return error == -ENOENT ? 0 : error;
}
