/* SPDX-License-Identifier: MIT */
/*
 * context_check.c - whether both directions of a context agree. Layer 5.
 *
 *   C1  both trees are whole
 *   C2  each name of the one is a name of its address in the other, and the other way round
 *   C3  the string of a name is in the heap, not in a free range, and is that name
 *   C4  each address has one first name, which is one of its names
 */
#include <config.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "sph/heap/block_list.h"
#include "context.h"

struct check {
	struct sph_context c;
	SPHContextProblem_t problem;
	void *arg;
	long problems;
};

__attribute__((format(printf, 2, 3))) static void tell(struct check *k, const char *format, ...)
{
	char sentence[1400];
	va_list list;

	va_start(list, format);
	vsnprintf(sentence, sizeof sentence, format, list);
	va_end(list);
	k->problems++;
	if (k->problem)
		k->problem(sentence, k->arg);
}

static void tell_of_tree(const void *node, const char *what, void *arg)
{
	tell(arg, "at %p: %s", node, what);
}

static int check_tree(struct check *k, SASBlockHeader *tree)
{
	long problems = sph_tree_check(&k->c.use, tree, tell_of_tree, k);

	return problems < 0 ? (int)problems : 0;
}

/* A name, with its NUL, of an address, and its string. */
static int check_string(struct check *k, const char *name, uint64_t value, uint64_t address)
{
	const char *string = sph_context_string(&k->c, address);
	int free = string ? sph_block_has(&k->c.use, k->c.header, string) : 0;

	if (free < 0)
		return free;
	if (!string || free)
		tell(k, "the name \"%s\" of %#lx: its string at %#lx is %s", name, value, address, free ? "free" : "not in the heap");
	else if (strcmp(string, name) != 0)
		tell(k, "the name \"%s\" of %#lx: the string at %#lx is \"%s\"", name, value, address, string);
	return 0;
}

static int check_first(struct check *k, uint64_t value, uint64_t address)
{
	unsigned char bytes[SPH_CONTEXT_KEYS];
	const char *string = sph_context_string(&k->c, address);
	uint64_t same = 0;
	int error;

	if (!string) {
		tell(k, "the first name of %#lx: its string at %#lx is not in the heap", value, address);
		return 0;
	}
	error = sph_tree_get(&k->c.look, k->c.addresses, sph_context_key(bytes, value, string), &same);
	if (error == -ENOENT || (!error && same != address))
		tell(k, "the first name of %#lx, \"%s\", is none of its names", value, string);
	return error == -ENOENT ? 0 : error;
}

/* Does the names' tree know it, and the addresses' tree a first one? */
static int check_name(struct check *k, const char *name, uint64_t value)
{
	unsigned char bytes[SPH_CONTEXT_KEYS];
	uint64_t found = 0;
	int error = sph_tree_get(&k->c.look, k->c.names, sph_context_name_key(name, strlen(name)), &found);

	if (error == -ENOENT || (!error && found != value))
		tell(k, "\"%s\" is a name of %#lx, and leads to %#lx", name, value, found);
	if (error && error != -ENOENT)
		return error;
	error = sph_tree_get(&k->c.look, k->c.addresses, sph_context_key(bytes, value, NULL), &found);
	if (error == -ENOENT)
		tell(k, "%#lx has the name \"%s\", and no first one", value, name);
	return error == -ENOENT ? 0 : error;
}

/* Step through the addresses, and count the names. */
static int check_addresses(struct check *k, uint64_t *count)
{
	struct sph_key key;
	uint64_t string;
	int error;

	sph_cursor_reset(k->c.cursor, 0);
	while (!(error = sph_cursor_next(&k->c.look, k->c.cursor, &key, &string))) {
		uint64_t value = sph_context_key_address(key);
		char name[SPH_CONTEXT_NAME_MAX + 1];

		if (key.size < SPH_CONTEXT_KEY || key.size > SPH_CONTEXT_KEYS) {
			tell(k, "a key of %zu bytes in the index of addresses", key.size);
			continue;
		}
		if (key.size == SPH_CONTEXT_KEY) {
			error = check_first(k, value, string);
		} else {
			memcpy(name, key.bytes + SPH_CONTEXT_KEY, key.size - SPH_CONTEXT_KEY);
			name[key.size - SPH_CONTEXT_KEY] = 0;
			++*count;
			error = check_string(k, name, value, string);
			if (!error)
				error = check_name(k, name, value);
		}
		if (error)
			return error;
	}
	return error == -ENOENT ? 0 : error;
}

static int check(struct check *k)
{
	uint64_t count = 0, names = 0;
	int error = check_tree(k, k->c.names);

	if (!error)
		error = check_tree(k, k->c.addresses);
	if (!error && !k->problems)
		error = check_addresses(k, &count);
	if (!error)
		error = sph_tree_count(&k->c.look, k->c.names, &names);
	/* Each of the counted ones leads to its address, so none is left over if there are as many. */
	if (!error && !k->problems && count != names)
		tell(k, "%lu names lead to addresses, and addresses have %lu", names, count);
	return error;
}

long SPHContextCheck(SPHContext_t contxt, SPHContextProblem_t problem, void *arg)
{
	struct check k = { .problem = problem, .arg = arg };
	int error = sph_context_begin(&k.c, contxt);

	if (!error)
		error = sph_context_end(&k.c, k.c.names ? check(&k) : 0);
	return error ? sas_service_errno(error) : k.problems;
}
