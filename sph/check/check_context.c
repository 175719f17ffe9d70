/* SPDX-License-Identifier: MIT */
/*
 * check_context.c - the check of contexts: context.h says what they are, C1 to C4 of context_check.c what has to hold. Layer 5.
 *
 * The trees are objects of their own, whose checks have been. Here both directions are compared, but for the names that the note of a dead
 * call is about: whoever comes next finishes those.
 */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "sph/context/context.h"
#include "sph/tree/node.h"

struct tree {
	struct sph_object object;       /* that the reader tells its problems of */
	struct sph_check_tree *reader;
};

struct context {
	struct sph_check *c;
	struct sph_object *o;
	uint64_t start, end;            /* of its heap */
	struct sph_m_context m;
	struct sph_ranges free;
	struct tree names, addresses;
	struct sph_key noted;           /* the name that a note is about; size 0: none */
	char note[SPH_CONTEXT_NAME_MAX + 1];
	uint64_t value, first;          /* the last address that has a first name, and this one's string, */
	int is_missed;                  /* that none of its names has had yet */
};

/* What can be printed of a name. */
static const char *show(char shown[64], struct sph_key name)
{
	size_t size = name.size < 63 ? name.size : 63;

	for (size_t i = 0; i < size; i++)
		shown[i] = name.bytes[i] >= ' ' && name.bytes[i] < 127 ? (char)name.bytes[i] : '?';
	shown[size] = '\0';
	return shown;
}

#define TELL(k, where, ...) sph_check_tell((k)->c, (k)->o, where, __VA_ARGS__)

/* --- the heap */

static int is_in_heap(const struct context *k, uint64_t address, uint64_t size)
{
	return address % SPH_GRANULE == 0 && address >= k->start && address < k->end && size <= k->end - address;
}

/* Is one of these bytes free? */
static int is_free(const struct context *k, uint64_t address, uint64_t size)
{
	size_t low = 0, high = k->free.count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (k->free.at[middle].end <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low < k->free.count && k->free.at[low].start < address + size;
}

/* 0: it is this name; 1: it is not, which was told; -errno. */
static int check_string(struct context *k, struct sph_key name, uint64_t string)
{
	char bytes[SPH_CONTEXT_NAME_MAX + 1], shown[64];
	int error;

	if (!is_in_heap(k, string, name.size + 1) || is_free(k, string, name.size + 1)) {
		TELL(k, string, "the string of the name \"%s\" is not in the heap, or free", show(shown, name));
		return 1;
	}
	error = sph_check_read(k->c, k->o, string, bytes, name.size + 1);
	if (error)
		return error;
	if (strnlen(bytes, name.size + 1) == name.size && memcmp(bytes, name.bytes, name.size) == 0)
		return 0;
	TELL(k, string, "the string of the name \"%s\" is not that", show(shown, name));
	return 1;
}

/* --- the note of a call that has died */

static int is_noted(const struct context *k, struct sph_key name, uint64_t value)
{
	if (value != k->m.value)
		return 0;
	return k->m.state == SPH_CONTEXT_CLEAR || (k->noted.size && sph_key_compare(name, k->noted) == 0);
}

static int check_range(struct context *k, uint64_t range, uint64_t size)
{
	if (size && size % SPH_GRANULE == 0 && is_in_heap(k, range, size) && (is_free(k, range, 1) || !is_free(k, range, size)))
		return 0;
	TELL(k, range, "%lu bytes are noted as a name's, which cannot be", size);
	return 1;
}

/* The string is there as long as the note asks for it. */
static int read_noted(struct context *k, uint64_t string)
{
	uint64_t size = is_in_heap(k, string, 1) ? k->end - string : 0;
	int error;

	if (size > sizeof k->note)
		size = sizeof k->note;
	error = size ? sph_check_read(k->c, k->o, string, k->note, size) : 0;
	if (error)
		return error;
	k->noted = (struct sph_key){ (const unsigned char *)k->note, strnlen(k->note, size) };
	if (size && k->noted.size && k->noted.size < size && !is_free(k, string, k->noted.size + 1))
		return 0;
	TELL(k, string, "a name is noted that is not in the heap, or free");
	return 1;
}

static int check_note(struct context *k)
{
	const struct sph_m_context *m = &k->m;
	int error = 0;

	k->o->info.toRecover += m->state != SPH_CONTEXT_IDLE;
	if (m->state == SPH_CONTEXT_RANGE || m->state == SPH_CONTEXT_UNDO || (m->state == SPH_CONTEXT_CLEAR && m->string))
		error = check_range(k, m->string, m->size);
	if (!error && m->state == SPH_CONTEXT_UNDO)
		error = read_noted(k, m->string);
	if (!error && m->state == SPH_CONTEXT_REMOVE)
		error = read_noted(k, m->old);
	return error;
}

/* --- the trees */

/* 0; 1: it cannot be read, which was told; -errno. */
static int open_tree(struct context *k, const SASBlockHeader *context, uint64_t address, sas_type_t type, struct tree *t)
{
	const struct sph_object *object = sph_check_object(k->c, address);
	struct sph_place place;

	if (!object || (uint64_t)object->info.address != address || object->header.blockSize != sph_context_tree_size(context) ||
	    !SOMSASCheckBlockSigAndTypeAndSubtype(&object->header, type)) {
		TELL(k, address, "there is no %s of it at this address", sph_type_of(type)->name);
		return 1;
	}
	if (object->info.problems) {
		TELL(k, address, "its %s is broken, so its names are not compared", sph_type_of(type)->name);
		return 1;
	}
	place = (struct sph_place){ address, object->header, object->block->size, address };
	t->object = *object;
	return sph_check_open_tree(k->c, &t->object, &place, &t->reader);
}

struct search {
	struct sph_key key;
	uint64_t value;
	int found;
};

static int take_first(const void *key, size_t size, uint64_t value, void *arg)
{
	struct search *s = arg;

	s->found = sph_key_compare(s->key, (struct sph_key){ key, size }) == 0;
	s->value = value;
	return 1;
}

/* 1: there is such a key; 0; -errno. */
static int find(struct tree *t, struct sph_key key, uint64_t *value)
{
	struct search s = { .key = key };
	int error = sph_check_keys(t->reader, key.bytes, key.size, take_first, &s);

	*value = s.value;
	return error < 0 ? error : s.found;
}

/* --- both directions */

static void check_last_first(struct context *k)
{
	uint64_t noted = k->m.state == SPH_CONTEXT_UNDO ? k->m.string : k->m.old;

	if (k->is_missed && !(k->noted.size && k->value == k->m.value && k->first == noted))
		TELL(k, k->first, "the first name of %#lx is none of its names", k->value);
	k->is_missed = 0;
}

/* Each name of an address leads there. A first name comes before the names that it is one of. */
static int check_address(const void *bytes, size_t size, uint64_t string, void *arg)
{
	struct sph_key name = { (const unsigned char *)bytes + SPH_CONTEXT_KEY, size - SPH_CONTEXT_KEY };
	struct context *k = arg;
	uint64_t value = sph_context_key_address((struct sph_key){ bytes, size }), found;
	char shown[64];
	int result;

	if (size < SPH_CONTEXT_KEY || size > SPH_CONTEXT_KEYS) {
		TELL(k, k->m.addresses, "a key of %zu bytes in the index of addresses", size);
		return 0;
	}
	if (k->m.state == SPH_CONTEXT_CLEAR && value == k->m.value)
		return 0;
	if (name.size == 0) {
		check_last_first(k);
		k->value = value;
		k->first = string;
		k->is_missed = 1;
		return 0;
	}
	if (value == k->value && string == k->first)
		k->is_missed = 0;
	if (is_noted(k, name, value))
		return 0;
	if (value != k->value)
		TELL(k, string, "%#lx has the name \"%s\", and no first one", value, show(shown, name));
	sph_check_reach(k->c, value, SASReached__CONTEXT);
	result = check_string(k, name, string);
	if (result < 0)
		return result;
	result = find(&k->names, name, &found);
	if (result == 0 || (result > 0 && found != value))
		TELL(k, string, "\"%s\" is a name of %#lx, and does not lead there", show(shown, name), value);
	return result < 0 ? result : 0;
}

static int check_name(const void *bytes, size_t size, uint64_t value, void *arg)
{
	struct sph_key name = { bytes, size };
	unsigned char key[SPH_CONTEXT_KEYS];
	struct context *k = arg;
	uint64_t string;
	char shown[64];
	int result;

	if (size == 0 || size > SPH_CONTEXT_NAME_MAX) {
		TELL(k, k->m.names, "a name of %zu bytes", size);
		return 0;
	}
	if (is_noted(k, name, value))
		return 0;
	sph_context_key(key, value, NULL);
	memcpy(key + SPH_CONTEXT_KEY, bytes, size);
	result = find(&k->addresses, (struct sph_key){ key, SPH_CONTEXT_KEY + size }, &string);
	if (result == 0)
		TELL(k, k->m.names, "the name \"%s\" leads to %#lx, and is none of its names", show(shown, name), value);
	return result < 0 ? result : 0;
}

/* A new name that is to be the first one in the place of the old one. */
static int check_successor(struct context *k)
{
	unsigned char key[SPH_CONTEXT_KEYS];
	char name[SPH_CONTEXT_NAME_MAX + 1];
	uint64_t next = k->m.string, string, size = is_in_heap(k, next, 1) ? k->end - next : 0;
	int result;

	if (k->m.state != SPH_CONTEXT_REMOVE || next == 0 || next == k->m.old)
		return 0;
	if (size > sizeof name)
		size = sizeof name;
	result = size ? sph_check_read(k->c, k->o, next, name, size) : 0;
	if (!result && (!size || !memchr(name, 0, size)))
		result = 1;
	else if (!result)
		result = find(&k->addresses, sph_context_key(key, k->m.value, name), &string) == 1 && string == next ? 0 : 1;
	if (result > 0)
		TELL(k, next, "it is noted as the next first name of %#lx, and is none of its names", k->m.value);
	return result < 0 ? result : 0;
}

static int compare(struct context *k)
{
	int error = sph_check_keys(k->addresses.reader, NULL, 0, check_address, k);

	if (error >= 0) {
		check_last_first(k);
		error = sph_check_keys(k->names.reader, NULL, 0, check_name, k);
	}
	return error < 0 ? error : check_successor(k);
}

/* --- all of it */

/* Trees that are not whole yet, or no more: who comes next gives them back. */
static int check_going(struct context *k)
{
	uint64_t trees[] = { k->m.names, k->m.addresses };

	for (unsigned i = 0; i < 2; i++) {
		const SASBlockInfo *block = sph_image_block(&k->c->image, trees[i]);

		if (trees[i] && !k->c->image.intents && (!block || (uint64_t)block->address != trees[i]))
			TELL(k, trees[i], "a tree of it is to be given back, and is no block in use");
	}
	return 0;
}

static int check_trees(struct context *k, const SASBlockHeader *header)
{
	int error;

	if (!k->m.names && !k->m.addresses && k->m.state == SPH_CONTEXT_IDLE)
		return 0;
	error = open_tree(k, header, k->m.names, SAS_RUNTIME_STRINGBTREE, &k->names);
	if (!error)
		error = open_tree(k, header, k->m.addresses, SAS_RUNTIME_INDEX, &k->addresses);
	if (!error)
		error = check_note(k);
	return error ? error : compare(k);
}

static int check(struct context *k, const struct sph_place *p)
{
	int error = sph_check_read(k->c, k->o, p->address + sizeof p->header, &k->m, sizeof k->m);

	if (!error)
		error = sph_check_ranges(k->c, k->o, p, &k->free);
	if (error)
		return error;
	sph_check_reach(k->c, k->m.names, SASReached__CONTEXT);
	sph_check_reach(k->c, k->m.addresses, SASReached__CONTEXT);
	if (k->m.state > SPH_CONTEXT_DEAD) {
		TELL(k, p->address, "it is in state %lu, which there is not", k->m.state);
		return 0;
	}
	if (k->m.state != SPH_CONTEXT_MAKING && k->m.state != SPH_CONTEXT_DEAD)
		return check_trees(k, &p->header);
	k->o->info.toRecover++;
	return check_going(k);
}

int sph_check_context(struct sph_check *c, struct sph_object *o, const struct sph_place *p)
{
	struct context *k = calloc(1, sizeof *k);
	int error;

	if (!k)
		return sas_service_fail(ENOMEM, "no memory of this process to check a context with");
	k->c = c;
	k->o = o;
	k->start = p->address + heap_offset;
	k->end = p->address + p->header.blockSize;
	error = check(k, p);
	sph_check_close_tree(k->names.reader);
	sph_check_close_tree(k->addresses.reader);
	free(k->free.at);
	free(k);
	return error < 0 ? error : 0;
}
