/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <endian.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include "tree_churn.h"

#define BLOCK (256 * KIB)
#define PAGE 512UL
#define LONGEST 40U

/* --- keys: the number, and a tail whose length varies */

struct bytes {
	unsigned char of[LONGEST];
};

static struct sph_key key_of(uint64_t number, struct bytes *b)
{
	uint32_t first = htobe32((uint32_t)number);

	memset(b->of, 'x', sizeof b->of);
	memcpy(b->of, &first, 4);
	return (struct sph_key){ b->of, 4 + (number / CHURN_GAP % 2 ? number * 7 % 36 : 4) };
}

/* What a cursor tells is a key, and its value is one that this key had. */
static uint64_t number_of(struct sph_key key, uint64_t value)
{
	struct bytes b;
	struct sph_key whole;
	uint32_t first;

	must(key.size >= 4);
	memcpy(&first, key.bytes, 4);
	whole = key_of(be32toh(first), &b);
	must(key.size == whole.size && memcmp(key.bytes, whole.bytes, key.size) == 0);
	must((value & 0xfffff) == be32toh(first) && be32toh(first) < CHURN_KEYS);
	return be32toh(first);
}

static int stays(uint64_t number)
{
	return number % CHURN_GAP == 0;
}

static unsigned owner_of(uint64_t number)
{
	return (unsigned)(number % CHURN_WRITERS);
}

/* --- writers */

static void begin(const struct churn *c, struct sas_use *u)
{
	must(sas_use_begin(u, c->tree, SAS_USE_UPDATE) == 0);
}

struct churn *churn_make(void)
{
	struct churn *c = mmap(NULL, sizeof *c, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct bytes b;
	struct sas_use u;

	must(c != MAP_FAILED);
	c->tree = (void *)take(BLOCK);
	must(sph_tree_format(c->tree, BLOCK, PAGE, 1, SAS_RUNTIME_INDEX, SAS_RUNTIME_INDEXNODE, 0) == 0);
	begin(c, &u);
	for (uint64_t k = 0; k < CHURN_KEYS; k += CHURN_GAP) {
		c->value[k] = k | 1UL << 20;
		must(sph_tree_insert(&u, c->tree, key_of(k, &b), c->value[k]) == 0);
	}
	sas_use_end(&u);
	return c;
}

static void change(struct churn *c, unsigned writer, uint64_t number, int insert)
{
	struct churn_change *doing = &c->doing[writer];
	uint64_t before = c->value[number], old = 0;
	uint64_t after = !insert && before ? 0 : ++c->sequence[writer] << 20 | number;
	struct bytes b;
	struct sph_key key = key_of(number, &b);
	struct sas_use u;
	int error;

	doing->before = before;
	doing->after = after;
	__atomic_store_n(&doing->key, number, __ATOMIC_RELEASE);
	begin(c, &u);
	if (!before)
		error = sph_tree_insert(&u, c->tree, key, after);
	else if (after)
		error = sph_tree_replace(&u, c->tree, key, after, &old);
	else
		error = sph_tree_remove(&u, c->tree, key, &old);
	sas_use_end(&u);
	must(error == 0);
	must(old == before);
	c->value[number] = after;
	__atomic_store_n(&doing->key, 0, __ATOMIC_RELEASE);
	__atomic_fetch_add(&c->changes, 1, __ATOMIC_RELAXED);
}

void churn_write(struct churn *c, unsigned writer, uint64_t *random)
{
	uint64_t first = help_below(random, CHURN_STAY) * CHURN_GAP, what = help_below(random, 5);
	uint64_t end = first + (help_below(random, 2) ? CHURN_GAP : 4 * CHURN_GAP);

	for (uint64_t k = first; k < end && k < CHURN_KEYS; k++) {
		if (stays(k) || owner_of(k) != writer)
			continue;
		/* Some come that are not there, all go that are, or one after the other gets another value. */
		if (what < 2 && !c->value[k])
			change(c, writer, k, 1);
		else if (what < 4 && what >= 2 && c->value[k])
			change(c, writer, k, 0);
		else if (what == 4 && help_below(random, 4) == 0)
			change(c, writer, k, help_below(random, 2) == 0);
	}
}

static uint64_t look_up(struct churn *c, uint64_t number)
{
	struct sas_look l;
	struct bytes b;
	uint64_t value = 0;
	int error;

	must(sas_look_begin(&l, c->tree) == 0);
	/* Not at once where a lock of another address came to lie beside the tree's. */
	do
		error = sph_tree_get(&l, c->tree, key_of(number, &b), &value);
	while (!sas_look_ok(&l, c->tree));
	must(error == 0 || error == -ENOENT);
	return error ? 0 : value;
}

void churn_resume(struct churn *c, unsigned writer)
{
	struct churn_change *doing = &c->doing[writer];
	uint64_t number = doing->key, value;

	if (!number)
		return;
	value = look_up(c, number);
	must(value == doing->before || value == doing->after);
	/* It may have come to note it, but not that it is done. */
	c->value[number] = value;
	doing->key = 0;
	__atomic_fetch_add(&c->doubts, 1, __ATOMIC_RELAXED);
}

/* --- readers */

/* From `at` on, by `step`, so many keys, or to the end: what stays is met, once, in order. */
static void go(struct churn *c, struct sph_cursor *cursor, uint64_t at, int step, uint64_t most)
{
	int64_t last = (int64_t)at - step, number;
	struct sph_key key = { NULL, 0 };
	struct sas_look l;
	uint64_t value = 0, met = 0;
	int error = 0;

	while (met++ < most && !error) {
		int counts;

		must(sas_look_begin(&l, c->tree) == 0);
		do {
			error = step > 0 ? sph_cursor_next(&l, cursor, &key, &value) : sph_cursor_previous(&l, cursor, &key, &value);
			counts = sas_look_ok(&l, c->tree);
			if (!counts && !error)
				must(sph_cursor_set(cursor, key, 0) == 0);
		} while (!counts);
		must(error == 0 || error == -ENOENT);
		number = error ? step > 0 ? (int64_t)CHURN_KEYS : -1 : (int64_t)number_of(key, value);
		must(step > 0 ? number > last : number < last);
		for (int64_t k = last + step; k != number; k += step)
			must(!stays((uint64_t)k));
		last = number;
	}
}

void churn_read(struct churn *c, uint64_t *random)
{
	struct sph_cursor *cursor = sph_cursor_make(c->tree);
	uint64_t at = help_below(random, CHURN_KEYS);
	struct bytes b;

	must(cursor != NULL);
	go(c, cursor, 0, 1, ~0UL);
	sph_cursor_reset(cursor, 1);
	go(c, cursor, CHURN_KEYS - 1, -1, ~0UL);
	for (int back = 0; back < 2; back++) {
		must(sph_cursor_set(cursor, key_of(at, &b), 0) == 0);
		go(c, cursor, at, back ? -1 : 1, 200);
	}
	sph_cursor_free(cursor);
	for (unsigned i = 0; i < 200; i++) {
		uint64_t k = help_below(random, CHURN_STAY) * CHURN_GAP;

		must(look_up(c, k) == c->value[k]);
	}
	__atomic_fetch_add(&c->passes, 1, __ATOMIC_RELAXED);
}

/* --- at the end */

static void print_problem(const void *node, const char *what, void *arg)
{
	fprintf(stderr, "node %p of tree %p: %s\n", node, arg, what);
}

void churn_judge(struct churn *c)
{
	struct sph_cursor *cursor = sph_cursor_make(c->tree);
	struct sph_key key = { NULL, 0 };
	struct sas_look l;
	struct sas_use u;
	uint64_t value = 0;

	begin(c, &u);
	must(sph_tree_check(&u, c->tree, print_problem, c->tree) == 0);
	sas_use_end(&u);
	must(sas_look_begin(&l, c->tree) == 0);
	for (uint64_t k = 0; k < CHURN_KEYS; k++) {
		must(look_up(c, k) == c->value[k]);
		if (!c->value[k])
			continue;
		must(sph_cursor_next(&l, cursor, &key, &value) == 0);
		must(number_of(key, value) == k && value == c->value[k]);
	}
	must(sph_cursor_next(&l, cursor, &key, &value) == -ENOENT);
	must(sas_look_ok(&l, c->tree));
	sph_cursor_free(cursor);
}
