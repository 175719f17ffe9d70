/* SPDX-License-Identifier: MIT */
/*
 * ops_tree.c - changes of trees (sph/tree/tree.h) that are cut short.
 *
 * Which insertion splits a node, and which removal joins two, the tree knows: so a tree in memory of the process's own is filled, and
 * drained, until one of its changes is of the wanted form; all those before that one are then made in the region. The plan, in a block of
 * the region, tells the judge what there was.
 */
#include <config.h>

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "ops.h"
#include "sph/tree/tree.h"

#define BLOCK (128UL << 10)
#define PAGE 512UL
#define KEYS 1024U
#define LOADED 150U

enum what { INSERT, REPLACE, REMOVE, LOAD };

/* What a change of this name is. By how much there are more leaves, inner nodes, levels, and how many pages it needs (-1: any number); in a
 * tree of so many levels at least. `stride`: between keys that are inserted one after the other. */
static const struct form {
	const char *name;
	enum what what;
	int leaves, inner, depth, pages;
	unsigned levels, stride;
} forms[] = {
	{ "tree-first", INSERT, 1, 0, 1, 1, 0, 367 },
	{ "tree-insert", INSERT, 0, 0, 0, 0, 2, 367 },
	{ "tree-replace", REPLACE, 0, 0, 0, 0, 2, 367 },
	{ "tree-remove", REMOVE, 0, 0, 0, 0, 2, 367 },
	{ "tree-pack-leaf", INSERT, 0, 0, 0, 1, 1, 67 },
	{ "tree-split-leaf", INSERT, 1, 0, 0, 3, 2, 367 },
	{ "tree-split-last", INSERT, 1, 0, 0, 3, 2, 1 },
	{ "tree-share", INSERT, 0, 0, 0, 3, 2, 367 },
	{ "tree-first-root", INSERT, 1, 1, 1, 3, 1, 367 },
	{ "tree-split-inner", INSERT, 1, 1, 0, -1, 3, 367 },
	{ "tree-split-root", INSERT, 1, 2, 1, -1, 2, 367 },
	{ "tree-join-leaves", REMOVE, -1, 0, 0, 2, 2, 367 },
	{ "tree-drop-leaf", REMOVE, -1, 0, 0, 1, 2, 1 },
	{ "tree-join-inner", REMOVE, -1, -1, 0, -1, 3, 367 },
	{ "tree-drop-root", REMOVE, -1, -2, -1, -1, 3, 367 },
	{ "tree-last-root", REMOVE, -1, -1, -1, -1, 2, 367 },
	{ "tree-last", REMOVE, -1, 0, -1, 0, 1, 367 },
	{ "tree-load", LOAD, 0, 0, 0, 0, 0, 1 },
};

struct plan {
	uint64_t what, number;                  /* the key of the change */
	struct sph_tree_info before, after;
	uint64_t there[KEYS / 64];              /* before it */
};

static const struct form *form_of(struct scene *s)
{
	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
		if (strcmp(forms[i].name, s->op->name) == 0)
			return &forms[i];
	scene_fail(s, "no form is called %s", s->op->name);
}

static struct plan *plan_of(const struct scene *s)
{
	return (struct plan *)s->words[0];
}

static SASBlockHeader *tree_of(const struct scene *s)
{
	return (SASBlockHeader *)s->words[1];
}

/* --- keys: even numbers; the odd ones are for a peer */

static struct sph_key key_of(unsigned number, uint64_t *bytes)
{
	*bytes = htobe64(2UL * number);
	return (struct sph_key){ (const unsigned char *)bytes, sizeof *bytes };
}

static uint64_t value_of(unsigned number)
{
	return number * 3UL + 1;
}

#define REPLACED 0x1000000UL

static int is_there(const struct plan *p, unsigned number)
{
	return p->there[number / 64] >> number % 64 & 1;
}

static int next_key(struct sph_key *key, uint64_t *value, void *arg)
{
	static uint64_t bytes;
	unsigned *number = arg;

	if (*number == LOADED)
		return 0;
	*key = key_of(*number, &bytes);
	*value = value_of((*number)++);
	return 1;
}

static int change(struct sas_use *u, SASBlockHeader *tree, enum what what, unsigned number)
{
	uint64_t bytes, old;
	unsigned next = 0;

	switch (what) {
	case INSERT:
		return sph_tree_insert(u, tree, key_of(number, &bytes), value_of(number));
	case REPLACE:
		return sph_tree_replace(u, tree, key_of(number, &bytes), value_of(number) | REPLACED, &old);
	case REMOVE:
		return sph_tree_remove(u, tree, key_of(number, &bytes), &old);
	default:
		return sph_tree_load(u, tree, next_key, &next);
	}
}

/* --- preparing */

static void expect(struct scene *s, const char *call, int error)
{
	errno = -error;
	if (error)
		scene_fail_call(s, call);
}

static void begin(struct scene *s, struct sas_use *u, SASBlockHeader *tree)
{
	expect(s, "sas_use_begin", sas_use_begin(u, tree, SAS_USE_UPDATE));
}

/* The n-th change of all: first all keys come, then all go. */
static enum what nth_change(const struct form *f, unsigned n, unsigned *number)
{
	*number = (n % KEYS * f->stride + 17) % KEYS;
	return n < KEYS ? INSERT : REMOVE;
}

static void note(struct plan *p, enum what what, unsigned number)
{
	uint64_t bit = 1UL << number % 64;

	if (what == INSERT)
		p->there[number / 64] |= bit;
	else
		p->there[number / 64] &= ~bit;
}

static void owners_of(const SASBlockHeader *tree, uint64_t *owners)
{
	const struct sph_m_pages *p = sph_pages(tree);

	for (uint32_t i = 0; i < p->count; i++)
		owners[i] = sph_page((char *)(uintptr_t)tree + p->first + i * PAGE)->owner;
}

/* How many pages are in use that were not. */
static int pages_taken(const SASBlockHeader *tree, const uint64_t *before)
{
	uint64_t now[BLOCK / PAGE];
	int taken = 0;

	owners_of(tree, now);
	for (uint32_t i = 0; i < sph_pages(tree)->count; i++)
		taken += before[i] == 0 && now[i] != 0;
	return taken;
}

static int is_of_form(const struct form *f, const struct sph_tree_info *a, const struct sph_tree_info *b, int taken)
{
	return (long)(b->leaves - a->leaves) == f->leaves && (long)(b->inner - a->inner) == f->inner &&
	       (long)(b->depth - a->depth) == f->depth && (f->pages < 0 || f->pages == taken) && a->depth >= f->levels;
}

/* The first change of the form, in a tree of this process's own: p->number, p->before and p->after. How many there are before it. */
static unsigned rehearse(struct scene *s, const struct form *f, struct plan *p)
{
	SASBlockHeader *tree = aligned_alloc(BLOCK, BLOCK);
	enum what wanted = f->what == REPLACE ? INSERT : f->what;
	uint64_t before[BLOCK / PAGE];
	unsigned n, number;
	struct sas_look l;
	struct sas_use u;

	memset(tree, 0, BLOCK);
	if (sph_tree_format(tree, BLOCK, PAGE, 0, SAS_RUNTIME_INDEX, SAS_RUNTIME_INDEXNODE, 1) || sas_look_begin(&l, tree))
		scene_fail_call(s, "sph_tree_format");
	begin(s, &u, tree);
	for (n = 0; n < 2 * KEYS; n++) {
		enum what what = nth_change(f, n, &number);

		owners_of(tree, before);
		sph_tree_info(&l, tree, &p->before);
		expect(s, "a change in the rehearsal", change(&u, tree, what, number));
		sph_tree_info(&l, tree, &p->after);
		p->number = number;
		if (what == wanted && is_of_form(f, &p->before, &p->after, pages_taken(tree, before)))
			break;
	}
	sas_use_end(&u);
	free(tree);
	if (n == 2 * KEYS)
		scene_fail(s, "no change has the form of %s", f->name);
	return n;
}

void tree_prepare(struct scene *s, SASRegion_t region)
{
	const struct form *f = form_of(s);
	struct plan *p = SASRegionBlockAlloc(region, 4096);
	SASBlockHeader *tree = SASRegionBlockAlloc(region, BLOCK);
	unsigned changes = 0, number;
	struct sph_tree_info info;
	struct sas_look l;
	struct sas_use u;

	if (!p || !tree || sph_tree_format(tree, BLOCK, PAGE, 0, SAS_RUNTIME_INDEX, SAS_RUNTIME_INDEXNODE, 0) != 0)
		scene_fail_call(s, "SASRegionBlockAlloc or sph_tree_format");
	s->words[0] = (uintptr_t)p;
	s->words[1] = (uintptr_t)tree;
	p->what = f->what;
	if (f->what != LOAD)
		changes = rehearse(s, f, p);
	begin(s, &u, tree);
	for (unsigned n = 0; n < changes; n++) {
		enum what what = nth_change(f, n, &number);

		expect(s, "a change in the preparation", change(&u, tree, what, number));
		note(p, what, number);
	}
	/* What is there already is replaced. */
	if (f->what == REPLACE) {
		nth_change(f, changes / 2, &number);
		p->number = number;
		p->after = p->before;
	}
	sas_use_end(&u);
	if (sas_look_begin(&l, tree) != 0 || sph_tree_info(&l, tree, &info) != 0)
		scene_fail_call(s, "sph_tree_info");
	if (f->what != LOAD && memcmp(&info, &p->before, sizeof info) != 0)
		scene_fail(s, "the tree is another one than in the rehearsal: %lu leaves, %lu inner nodes", info.leaves, info.inner);
}

void tree_begin(struct scene *s, SASRegion_t region)
{
	struct sas_use u;

	op_warm(s, region);
	begin(s, &u, tree_of(s));
	sas_use_end(&u);
}

void tree_run(struct scene *s, const char *path, SASRegion_t region)
{
	const struct plan *p = plan_of(s);
	struct sas_use u;

	(void)path;
	(void)region;
	begin(s, &u, tree_of(s));
	expect(s, "the change of the tree", sas_use_result(&u, change(&u, tree_of(s), (enum what)p->what, (unsigned)p->number)));
}

/* A key beside the one that somebody else may be changing comes and goes. */
void tree_peer(struct scene *s, SASRegion_t region)
{
	uint64_t bytes = htobe64(2 * plan_of(s)->number + 1), value;
	struct sph_key key = { (const unsigned char *)&bytes, sizeof bytes };
	struct sas_look l;
	struct sas_use u;
	int error;

	(void)region;
	begin(s, &u, tree_of(s));
	error = sph_tree_insert(&u, tree_of(s), key, 5);
	if (error == 0)
		error = sph_tree_remove(&u, tree_of(s), key, &value);
	expect(s, "a change of the peer", sas_use_result(&u, error));
	if (sas_look_begin(&l, tree_of(s)) != 0 || sph_tree_get(&l, tree_of(s), key, &value) != -ENOENT || !sas_look_ok(&l, tree_of(s)))
		scene_fail(s, "what the peer has removed is there");
}

/* --- judging */

/* What the key's value is to be before the change (after = 0), and after it; 0: not there. */
static uint64_t value_to_be(const struct plan *p, unsigned number, int after)
{
	uint64_t value = is_there(p, number) ? value_of(number) : 0;

	if (p->what == LOAD)
		return after && number < LOADED ? value_of(number) : 0;
	if (!after || number != p->number)
		return value;
	return p->what == INSERT ? value_of(number) : p->what == REPLACE ? value | REPLACED : 0;
}

/* All that differs is of the change: 0 before it, 1 after it. */
static int compare(struct scene *s, struct sas_look *l)
{
	const struct plan *p = plan_of(s);
	struct sph_cursor *c = sph_cursor_make(tree_of(s));
	uint64_t bytes, value, met = 0;
	int after = 0, error;
	struct sph_key key;

	for (unsigned n = 0; n < KEYS; n++) {
		error = sph_tree_get(l, tree_of(s), key_of(n, &bytes), &value);
		expect(s, "sph_tree_get", error == -ENOENT ? 0 : error);
		value = error ? 0 : value;
		if (met == 0 && value != value_to_be(p, n, 0))
			after = 1;
		if (value != value_to_be(p, n, after) && (p->what == LOAD || n != p->number || value != value_to_be(p, n, 1)))
			scene_fail(s, "key %u has the value %#lx; before %#lx, after %#lx", n, value, value_to_be(p, n, 0),
				   value_to_be(p, n, 1));
		after |= value != value_to_be(p, n, 0);
		if (value == 0)
			continue;
		met++;
		if (sph_cursor_next(l, c, &key, &bytes) != 0 || bytes != value)
			scene_fail(s, "a cursor does not meet key %u", n);
	}
	if (sph_cursor_next(l, c, &key, &bytes) != -ENOENT)
		scene_fail(s, "a cursor meets one key more");
	sph_cursor_free(c);
	return after;
}

static int is_shape(const struct sph_tree_info *a, const struct sph_tree_info *b)
{
	return a->leaves == b->leaves && a->inner == b->inner && a->depth == b->depth;
}

static void tell_problem(const void *node, const char *what, void *arg)
{
	char *text = arg;

	if (!text[0])
		snprintf(text, 128, "node %p: %s", node, what);
}

static void check(struct scene *s, struct sas_use *u, const char *when)
{
	SASBlockHeader *tree = tree_of(s);
	char text[128] = "";
	struct sph_tree_info info;
	struct sas_look l;
	long problems = sph_tree_check(u, tree, tell_problem, text);

	if (problems)
		scene_fail(s, "%s the check of the tree gives %ld; the first: %s", when, problems, text);
	if (sas_look_begin_unlocked(&l, tree) != 0 || sph_tree_info(&l, tree, &info) != 0)
		scene_fail_call(s, "sph_tree_info");
	if (info.in_transit || info.leaves + info.inner + info.free_pages != sph_pages(tree)->count)
		scene_fail(s, "%s %lu pages are in transit, %lu free, %lu nodes of %u", when, info.in_transit, info.free_pages,
			   info.leaves + info.inner, sph_pages(tree)->count);
}

/* Who dies between removing a leaf's last key and taking the leaf out leaves that one; nothing else stays. */
static void expect_empty(struct scene *s, SASBlockHeader *tree)
{
	struct sph_tree_info info;
	struct sas_look l;

	if (sas_look_begin_unlocked(&l, tree) != 0 || sph_tree_info(&l, tree, &info) != 0)
		scene_fail_call(s, "sph_tree_info");
	if (info.keys || info.leaves > (plan_of(s)->what == REMOVE) || info.inner)
		scene_fail(s, "all keys have been removed, and the tree has %lu keys in %lu leaves and %lu inner nodes", info.keys, info.leaves,
			   info.inner);
}

/* All that is there goes, before pages have been recovered or after, and comes again: no page is lost. */
static void go_on(struct scene *s, int checked_first)
{
	SASBlockHeader *tree = tree_of(s);
	uint64_t bytes, old;
	struct sas_use u;

	begin(s, &u, tree);
	if (checked_first)
		check(s, &u, "at first");
	for (unsigned i = 0; i < KEYS; i++) {
		int error = sph_tree_remove(&u, tree, key_of(i * 611 % KEYS, &bytes), &old);

		expect(s, "sph_tree_remove", error == -ENOENT ? 0 : error);
	}
	expect_empty(s, tree);
	check(s, &u, "of an empty tree");
	for (unsigned i = 0; i < KEYS; i++)
		expect(s, "sph_tree_insert", change(&u, tree, INSERT, i * 367 % KEYS));
	check(s, &u, "of a tree filled again");
	sas_use_end(&u);
}

/* How far: 1: the key has changed, 2: so has the form, where a removal is followed by that. A tree beside which a peer has worked is of any
 * form. The second time it may be changed. */
static int form_reached(struct scene *s, struct sas_look *l, int after)
{
	const struct plan *p = plan_of(s);
	struct sph_tree_info info;

	if (s->killed_ns || p->what == LOAD)
		return after;
	if (sph_tree_info(l, tree_of(s), &info) != 0)
		scene_fail_call(s, "sph_tree_info");
	if (is_shape(&p->before, &p->after))
		return after;
	if (after && is_shape(&info, &p->after))
		return p->what == REMOVE ? 2 : 1;
	if (!is_shape(&info, &p->before) || (after && p->what != REMOVE))
		scene_fail(s, "the tree has %lu leaves, %lu inner nodes and %lu levels, the change is %s", info.leaves, info.inner,
			   info.depth, after ? "done" : "not done");
	return after;
}

int tree_judge(struct scene *s, SASRegion_t region)
{
	static unsigned times;
	struct sas_look l;
	int far;

	judge_same(s, region);
	if (sas_look_begin(&l, tree_of(s)) != 0)
		scene_fail_call(s, "sas_look_begin");
	far = form_reached(s, &l, compare(s, &l));
	if (!sas_look_ok(&l, tree_of(s)))
		scene_fail(s, "somebody holds the lock of the tree");
	/* The last thing that each judging process asks for. */
	if (times++)
		go_on(s, s->words[2]++ & 1);
	return far;
}
