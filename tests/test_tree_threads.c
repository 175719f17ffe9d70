/* SPDX-License-Identifier: MIT */
/*
 * test_tree_threads.c - attacks on trees of the smallest pages: writers, readers and cursors at once, each key with its own model; places
 * that lose their neighbours; keys of all lengths; and what a dead thread may leave, made by hand.
 */
#include <config.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"
#include "sph/tree/node.h"

#define BLOCK (64 * KIB)
#define SMALLEST 512UL

static SASBlockHeader *make(size_t block, size_t page)
{
	SASBlockHeader *tree = (void *)take(block);

	ck_assert_int_eq(sph_tree_format(tree, block, page, 1, SAS_RUNTIME_INDEX, SAS_RUNTIME_INDEXNODE, 0), 0);
	return tree;
}

static void begin(struct sas_use *u, SASBlockHeader *tree)
{
	help_succeeds(sas_use_begin(u, tree, SAS_USE_UPDATE) == 0);
}

static int insert(SASBlockHeader *tree, struct sph_key key, uint64_t value)
{
	struct sas_use u;

	begin(&u, tree);
	return sas_use_result(&u, sph_tree_insert(&u, tree, key, value));
}

static int replace(SASBlockHeader *tree, struct sph_key key, uint64_t value, uint64_t *old)
{
	struct sas_use u;

	begin(&u, tree);
	return sas_use_result(&u, sph_tree_replace(&u, tree, key, value, old));
}

static int take_out(SASBlockHeader *tree, struct sph_key key, uint64_t *old)
{
	struct sas_use u;

	begin(&u, tree);
	return sas_use_result(&u, sph_tree_remove(&u, tree, key, old));
}

static int get(SASBlockHeader *tree, struct sph_key key, uint64_t *value)
{
	struct sas_look l;
	int error;

	ck_assert_int_eq(sas_look_begin(&l, tree), 0);
	do
		error = sph_tree_get(&l, tree, key, value);
	while (!sas_look_ok(&l, tree));
	return error;
}

static int step(SASBlockHeader *tree, struct sph_cursor *c, int forwards, struct sph_key *key, uint64_t *value)
{
	struct sas_look l;
	int error;

	ck_assert_int_eq(sas_look_begin(&l, tree), 0);
	error = forwards ? sph_cursor_next(&l, c, key, value) : sph_cursor_previous(&l, c, key, value);
	/* What was read is looked at by its words, whatever locks do. */
	if (!sas_look_ok(&l, tree))
		sas_look_ok(&l, tree);
	return error;
}

static uint64_t count_keys(SASBlockHeader *tree)
{
	struct sas_look l;
	uint64_t count;

	ck_assert_int_eq(sas_look_begin(&l, tree), 0);
	do
		ck_assert_int_eq(sph_tree_count(&l, tree, &count), 0);
	while (!sas_look_ok(&l, tree));
	return count;
}

static void print_problem(const void *node, const char *what, void *arg)
{
	(void)arg;
	printf("node %p: %s\n", node, what);
}

static void check(SASBlockHeader *tree)
{
	struct sas_use u;

	help_succeeds(sas_use_begin(&u, tree, SAS_USE_EXCLUSIVE) == 0);
	ck_assert_int_eq(sph_tree_check(&u, tree, print_problem, NULL), 0);
	ck_assert_int_eq(sas_use_result(&u, 0), 0);
}

static void drop(SASBlockHeader *tree, size_t block)
{
	struct sas_use u;

	check(tree);
	help_succeeds(sas_use_begin(&u, tree, SAS_USE_EXCLUSIVE) == 0);
	ck_assert_int_eq(sas_use_result(&u, sph_tree_destroy(&u, tree)), 0);
	give(tree, block);
}

/* --- numbers as keys, behind a prefix */

struct number { unsigned char bytes[16]; };

static struct sph_key key_of(struct number *n, uint64_t number)
{
	memcpy(n->bytes, "number..", 8);
	number = htobe64(number);
	memcpy(n->bytes + 8, &number, 8);
	return (struct sph_key){ n->bytes, sizeof n->bytes };
}

static uint64_t number_of(struct sph_key key)
{
	uint64_t number;

	ck_assert_uint_eq(key.size, 16);
	memcpy(&number, key.bytes + 8, 8);
	return be64toh(number);
}

/* --- a cursor whose neighbours go */

/* What stands at multiples of 64 is there all the time; the rest, ahead of the cursor and behind it, comes and goes in long rows. */
static void go_and_change(SASBlockHeader *tree, int forwards, uint64_t *state)
{
	enum { ALL = 64 * 64 };
	struct sph_cursor *c = sph_cursor_make(tree);
	uint64_t value, last = 0, always = 0, number = 0;
	struct sph_key key;
	struct number n;
	int any = 0;

	sph_cursor_reset(c, !forwards);
	while (step(tree, c, forwards, &key, &value) == 0) {
		number = number_of(key);
		if (any)
			ck_assert_msg(forwards ? number > last : number < last, "%lu after %lu", number, last);
		any = 1;
		last = number;
		always += number % 64 == 0;
		if (help_below(state, 4) == 0) {
			uint64_t from = (number + ALL - 100 + help_below(state, 200)) % ALL, rows = help_below(state, 150);
			int comes = (int)help_below(state, 2);

			for (uint64_t i = from; i < from + rows && i < ALL; i++) {
				if (i % 64 == 0)
					continue;
				if (comes)
					insert(tree, key_of(&n, i), i);
				else
					take_out(tree, key_of(&n, i), &value);
			}
		}
	}
	ck_assert_uint_eq(always, ALL / 64);
	sph_cursor_free(c);
}

START_TEST(cursor_meets_each_key_once_while_leaves_go)
{
	uint64_t state = help_seed("cursor");
	SASBlockHeader *tree = make(BLOCK, SMALLEST);
	struct number n;

	for (uint64_t i = 0; i < 64; i++)
		ck_assert_int_eq(insert(tree, key_of(&n, i * 64), i), 0);
	for (long i = 0; i < help_size(20, 100, 1000); i++)
		go_and_change(tree, i & 1, &state);
	drop(tree, BLOCK);
}
END_TEST

static const struct sph_node *leaf_of(SASBlockHeader *tree, uint64_t number)
{
	struct sph_path path;
	struct sas_use u;
	struct number n;
	struct sas_look look;

	begin(&u, tree);
	sph_look_in(&look, &u);
	ck_assert_int_eq(sph_walk(&look, tree, key_of(&n, number), SPH_AT, 0, &path), 0);
	ck_assert_int_eq(sas_use_result(&u, 0), 0);
	return path.step[path.depth - 1].node;
}

/* The leaf beside a place, between two full ones, goes: what it held belongs to one of these from then on, without a change of it. */
START_TEST(cursor_does_not_go_back_when_the_leaf_beside_it_goes)
{
	for (uint64_t number = 0; number < 200; number++) {
		int forwards = (int)(number & 1);
		SASBlockHeader *tree = make(BLOCK, SMALLEST);
		struct sph_cursor *c = sph_cursor_make(tree);
		uint64_t value, low = 0, high = 200, met = 0, expected;
		const struct sph_node *leaf;
		struct sph_key key;
		struct number n;

		for (uint64_t i = 0; i < 200; i++)
			ck_assert_int_eq(insert(tree, key_of(&n, i), i), 0);
		leaf = leaf_of(tree, number);
		while (leaf_of(tree, low) != leaf)
			low++;
		for (high = low; high < 200 && leaf_of(tree, high) == leaf; high++)
			;
		sph_cursor_reset(c, !forwards);
		for (; met < (forwards ? low : 200 - high); met++)
			ck_assert_int_eq(step(tree, c, forwards, &key, &value), 0);
		for (uint64_t i = low; i < high; i++)
			ck_assert_int_eq(take_out(tree, key_of(&n, i), &value), 0);
		for (expected = forwards ? high : low - 1; step(tree, c, forwards, &key, &value) == 0; expected += forwards ? 1 : -1UL, met++)
			ck_assert_uint_eq(number_of(key), expected);
		ck_assert_uint_eq(met, 200 - (high - low));
		ck_assert_uint_eq(count_keys(tree), met);
		sph_cursor_free(c);
		drop(tree, BLOCK);
	}
}
END_TEST

/* --- keys of all lengths */

struct model {
	size_t count, longest;
	struct { unsigned char *bytes; size_t size; } keys[4000];
};

/* Few bytes that differ, long beginnings in common, and some that break them. */
static struct sph_key random_key(uint64_t *state, size_t longest, unsigned char *bytes)
{
	static const unsigned char letters[] = { 0, 'a', 'b', 0xff };
	size_t size = help_below(state, 2) ? help_below(state, longest + 1) : help_below(state, 3) ? longest - help_below(state, 3) : help_below(state, 4);
	unsigned char base = letters[help_below(state, 16) ? 1 : help_below(state, 4)];
	uint64_t kind = help_below(state, 8);

	memset(bytes, base, size);
	for (size_t i = 0; i < size; i++)
		if (kind < 2 || (kind < 7 && i + 3 > size))
			bytes[i] = kind == 0 ? (unsigned char)help_random(state) : letters[help_below(state, 4)];
	return (struct sph_key){ bytes, size };
}

static int is_in(const struct model *m, struct sph_key key)
{
	for (size_t i = 0; i < m->count; i++)
		if (m->keys[i].size == key.size && !memcmp(m->keys[i].bytes, key.bytes, key.size))
			return 1;
	return 0;
}

/* Each key in memory of its own size, so that a sanitizer sees what is read beyond it. */
static void try_keys(struct model *m, SASBlockHeader *tree, uint64_t *state, size_t most)
{
	unsigned char *room = malloc(m->longest);
	uint64_t value;

	for (size_t i = 0; i < most; i++) {
		struct sph_key key = random_key(state, m->longest, room);
		unsigned char *own = malloc(key.size + !key.size);

		memcpy(own, key.bytes, key.size);
		key.bytes = own;
		ck_assert_int_eq(get(tree, key, &value), is_in(m, key) ? 0 : -ENOENT);
		if (is_in(m, key)) {
			help_succeeds(insert(tree, key, 1) == -EEXIST);
			free(own);
			continue;
		}
		ck_assert_msg(insert(tree, key, (uintptr_t)own) == 0, "a key of %zu bytes: %s", key.size, SASLastErrorMessage());
		m->keys[m->count].bytes = own;
		m->keys[m->count++].size = key.size;
	}
	free(room);
}

static void take_some(struct model *m, SASBlockHeader *tree, uint64_t *state, size_t left)
{
	uint64_t value;

	while (m->count > left) {
		size_t i = help_below(state, m->count);

		ck_assert_int_eq(take_out(tree, (struct sph_key){ m->keys[i].bytes, m->keys[i].size }, &value), 0);
		ck_assert_uint_eq(value, (uintptr_t)m->keys[i].bytes);
		free(m->keys[i].bytes);
		m->keys[i] = m->keys[--m->count];
	}
}

START_TEST(keys_of_all_lengths_go_in)
{
	static const size_t pages[] = { 512, 1024, 4096, 65536 };
	uint64_t state = help_seed("lengths");
	size_t page = pages[_i], block = page == 65536 ? 4 * MIB : 256 * KIB;
	struct model *m = calloc(1, sizeof *m);

	m->longest = page / 4;
	for (long i = 0; i < help_size(2, 20, 500); i++) {
		SASBlockHeader *tree = make(block, page);

		for (int again = 0; again < 4; again++) {
			try_keys(m, tree, &state, 1 + help_below(&state, page == 65536 ? 400 : 900));
			check(tree);
			ck_assert_uint_eq(count_keys(tree), m->count);
			take_some(m, tree, &state, again == 3 ? 0 : help_below(&state, m->count));
		}
		drop(tree, block);
	}
	free(m);
}
END_TEST

/* As many short keys as go into a leaf, and a long one into their midst: no two leaves hold them, three do. */
START_TEST(long_key_goes_into_a_full_leaf_of_short_ones)
{
	unsigned char bytes[128] = "";

	for (unsigned count = 20; count < 40; count++)
		for (unsigned at = 0; at <= count; at++) {
			SASBlockHeader *tree = make(BLOCK, SMALLEST);
			struct sph_key key = { bytes, 1 };

			for (unsigned i = 0; i < count; i++) {
				bytes[0] = (unsigned char)(2 * i + 1);
				ck_assert_int_eq(insert(tree, key, i), 0);
			}
			bytes[0] = (unsigned char)(2 * at);
			key.size = sizeof bytes;
			help_succeeds(insert(tree, key, count) == 0);
			ck_assert_uint_eq(count_keys(tree), count + 1);
			drop(tree, BLOCK);
		}
}
END_TEST

/* --- loading */

struct row { unsigned next, count; unsigned char bytes[2]; };

static int next_short(struct sph_key *key, uint64_t *value, void *arg)
{
	struct row *r = arg;

	if (r->next == r->count)
		return 0;
	r->bytes[0] = (unsigned char)r->next;
	*key = (struct sph_key){ r->bytes, r->next > 0 };
	*value = r->next++;
	return 1;
}

START_TEST(load_packs_short_keys_of_two_lengths)
{
	for (unsigned count = 0; count < 200; count++) {
		SASBlockHeader *tree = make(BLOCK, SMALLEST);
		struct row row = { .count = count };
		struct sas_use u;

		begin(&u, tree);
		help_succeeds(sas_use_result(&u, sph_tree_load(&u, tree, next_short, &row)) == 0);
		ck_assert_uint_eq(count_keys(tree), count);
		drop(tree, BLOCK);
	}
}
END_TEST

/* --- what the dead leave, made by hand */

#define DEAD (1ULL << 40 | 1)           /* a token that no thread has */

static struct sph_m_tree *cells_of(SASBlockHeader *tree, uint64_t token)
{
	struct sph_m_tree *t = sph_tree_of(tree);

	for (unsigned i = 0; i < sizeof t->changing / sizeof *t->changing; i++)
		t->changing[i] = token;
	return t;
}

START_TEST(load_goes_on_after_a_death)
{
	SASBlockHeader *tree = make(BLOCK, SMALLEST);
	struct row row = { .count = 100 };
	struct sas_use u;

	cells_of(tree, DEAD);
	begin(&u, tree);
	help_succeeds(sas_use_result(&u, sph_tree_load(&u, tree, next_short, &row)) == 0);
	ck_assert_uint_eq(count_keys(tree), 100);
	drop(tree, BLOCK);
}
END_TEST

/* A thread that died before it took an empty leaf out: the leaf is in transit, has no key, and the tree needs it. */
START_TEST(empty_leaf_of_the_dead_stays)
{
	SASBlockHeader *tree = make(BLOCK, SMALLEST);
	struct sas_use u;
	struct sas_look look;
	struct sph_path path;
	struct number n;
	uint64_t value;

	for (uint64_t i = 0; i < 200; i++)
		insert(tree, key_of(&n, i), i);
	/* All cells are ours: leaves stay when they are empty. */
	begin(&u, tree);
	cells_of(tree, u.token);
	sph_look_in(&look, &u);
	for (uint64_t i = 50; i < 150; i++)
		ck_assert_int_eq(sph_tree_remove(&u, tree, key_of(&n, i), &value), 0);
	ck_assert_int_eq(sph_walk(&look, tree, key_of(&n, 100), SPH_AT, 0, &path), 0);
	ck_assert_uint_eq(sph_leaf_count(path.step[path.depth - 1].node), 0);
	for (unsigned i = 0; i < path.depth; i++)
		sph_page(path.step[i].node)->owner = SPH_PAGE_IN_TRANSIT | DEAD;
	cells_of(tree, 0)->changing[3] = DEAD;
	ck_assert_int_eq(sas_use_result(&u, 0), 0);
	check(tree);
	ck_assert_uint_eq(sph_page(path.step[path.depth - 1].node)->owner, SPH_PAGE_USED);
	for (uint64_t i = 50; i < 150; i++)
		ck_assert_int_eq(insert(tree, key_of(&n, i), i), 0);
	for (uint64_t i = 0; i < 200; i++)
		ck_assert_int_eq(get(tree, key_of(&n, i), &value), 0);
	drop(tree, BLOCK);
}
END_TEST

/* --- all at once */

enum { WRITERS = 4, READERS = 2, CURSORS = 2, EVERY = 16 };

struct storm {
	SASBlockHeader *tree;
	uint64_t keys, seed;
	long rounds;
	int done;
};
struct agent { struct storm *s; unsigned number; pthread_t thread; };

/* A value says which key it belongs to. */
static uint64_t value_of(uint64_t key, uint64_t generation)
{
	return key << 32 | (generation & 0xffffffffU);
}

static int is_always_there(uint64_t key)
{
	return key % EVERY == 0;
}

/* A writer's keys are nobody else's, so it knows what each of its calls has to give. Keys come and go in rows, so that leaves do. */
static void *write_keys(void *arg)
{
	struct agent *a = arg;
	struct storm *s = a->s;
	uint64_t *now = calloc(s->keys, sizeof *now), state = s->seed + a->number, generation = 0, old;

	for (long round = 0; round < s->rounds; round++) {
		uint64_t from = help_below(&state, s->keys), to = from + help_below(&state, 200), what = help_below(&state, 3);

		for (uint64_t k = from; k < to && k < s->keys; k++) {
			struct number n;
			struct sph_key key = key_of(&n, k);

			if (is_always_there(k) || k % WRITERS != a->number)
				continue;
			generation++;
			old = 0;
			if (what == 0) {
				must(insert(s->tree, key, value_of(k, generation)) == (now[k] ? -EEXIST : 0));
				now[k] = now[k] ? now[k] : value_of(k, generation);
			} else if (what == 1) {
				must(replace(s->tree, key, value_of(k, generation), &old) == (now[k] ? 0 : -ENOENT));
				must(old == now[k]);
				now[k] = now[k] ? value_of(k, generation) : 0;
			} else {
				must(take_out(s->tree, key, &old) == (now[k] ? 0 : -ENOENT));
				must(old == now[k]);
				now[k] = 0;
			}
			must(get(s->tree, key, &old) == (now[k] ? 0 : -ENOENT));
			must(!now[k] || old == now[k]);
		}
	}
	return now;
}

static void *read_keys(void *arg)
{
	struct agent *a = arg;
	struct storm *s = a->s;
	uint64_t state = s->seed + 100 + a->number, value;

	while (!__atomic_load_n(&s->done, __ATOMIC_ACQUIRE)) {
		uint64_t k = help_below(&state, s->keys);
		struct number n;
		int error = get(s->tree, key_of(&n, k), &value);

		must(error == 0 || (error == -ENOENT && !is_always_there(k)));
		must(error || value >> 32 == k);
	}
	return NULL;
}

/* What is always there is met once, in order; what comes and goes, at most once. */
static void *go_over_keys(void *arg)
{
	struct agent *a = arg;
	struct storm *s = a->s;
	struct sph_cursor *c = sph_cursor_make(s->tree);
	int forwards = (int)(a->number & 1);

	for (; !__atomic_load_n(&s->done, __ATOMIC_ACQUIRE); forwards = !forwards) {
		uint64_t value, last = forwards ? 0 : s->keys, always = 0;
		struct sph_key key;
		int error;

		sph_cursor_reset(c, !forwards);
		while ((error = step(s->tree, c, forwards, &key, &value)) == 0) {
			uint64_t k = number_of(key);

			must(forwards ? k > last || (k == 0 && !always) : k < last);
			must(value >> 32 == k && k < s->keys);
			if (is_always_there(k))
				always++;
			last = k;
		}
		must(error == -ENOENT);
		must(always == (s->keys + EVERY - 1) / EVERY);
	}
	sph_cursor_free(c);
	return NULL;
}

static void storm(uint64_t keys, long rounds)
{
	struct storm s = { .tree = make(BLOCK, SMALLEST), .keys = keys, .rounds = rounds, .seed = help_seed("storm") };
	struct agent agents[WRITERS + READERS + CURSORS];
	uint64_t expected = 0, value;
	struct number n;

	for (uint64_t k = 0; k < keys; k += EVERY) {
		ck_assert_int_eq(insert(s.tree, key_of(&n, k), value_of(k, 0)), 0);
		expected++;
	}
	for (unsigned i = 0; i < WRITERS + READERS + CURSORS; i++) {
		agents[i] = (struct agent){ &s, i, 0 };
		ck_assert_int_eq(pthread_create(&agents[i].thread, NULL, i < WRITERS ? write_keys : i < WRITERS + READERS ? read_keys :
						go_over_keys, &agents[i]), 0);
	}
	for (unsigned i = 0; i < WRITERS + READERS + CURSORS; i++) {
		void *result;
		uint64_t *now;

		if (i == WRITERS)
			__atomic_store_n(&s.done, 1, __ATOMIC_RELEASE);
		ck_assert_int_eq(pthread_join(agents[i].thread, &result), 0);
		now = result;
		for (uint64_t k = 0; i < WRITERS && k < keys; k++) {
			if (is_always_there(k) || k % WRITERS != i)
				continue;
			ck_assert_int_eq(get(s.tree, key_of(&n, k), &value), now[k] ? 0 : -ENOENT);
			ck_assert(!now[k] || value == now[k]);
			expected += now[k] != 0;
		}
		free(result);
	}
	ck_assert_uint_eq(count_keys(s.tree), expected);
	drop(s.tree, BLOCK);
}

START_TEST(threads_lose_and_double_no_key)
{
	static const uint64_t keys[] = { 40, 300, 4000 };

	storm(keys[_i], help_size(100, 2000, 60000));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("tree_threads");
	TCase *c = help_case(suite, "keys"), *t = help_case(suite, "threads");

	tcase_add_checked_fixture(c, region_begin, region_end);
	tcase_add_test(c, cursor_meets_each_key_once_while_leaves_go);
	tcase_add_test(c, cursor_does_not_go_back_when_the_leaf_beside_it_goes);
	tcase_add_loop_test(c, keys_of_all_lengths_go_in, 0, 4);
	tcase_add_test(c, long_key_goes_into_a_full_leaf_of_short_ones);
	tcase_add_test(c, load_packs_short_keys_of_two_lengths);
	tcase_add_test(c, load_goes_on_after_a_death);
	tcase_add_test(c, empty_leaf_of_the_dead_stays);
	tcase_add_checked_fixture(t, region_begin, region_end);
	tcase_add_loop_test(t, threads_lose_and_double_no_key, 0, 3);
	return help_main(suite);
}
