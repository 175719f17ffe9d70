/* SPDX-License-Identifier: MIT */
/*
 * test_tree_divide.c - trees (sph/tree/tree.h) of keys that do not divide well among nodes: a few of a quarter of a page each, with and without
 * a long beginning in common. Whatever the order in which they come, all of them go in.
 */
#include <config.h>

#include <stdlib.h>
#include <string.h>
#include "help.h"
#include "sph/tree/node.h"

static struct {
	SASBlockHeader *tree;
	struct sas_use use;
	unsigned keys;
} t;

static void begin(size_t size, size_t page)
{
	t.tree = aligned_alloc(size, size);
	ck_assert_ptr_nonnull(t.tree);
	memset(t.tree, 0xa5, size);
	ck_assert_int_eq(sph_tree_format(t.tree, size, page, 0, SAS_RUNTIME_INDEX, SAS_RUNTIME_INDEXNODE, 0), 0);
	ck_assert_int_eq(sas_use_begin(&t.use, t.tree, SAS_USE_UPDATE), 0);
	t.keys = 0;
}

static void put(const unsigned char *bytes, size_t size)
{
	int error = sph_tree_insert(&t.use, t.tree, (struct sph_key){ bytes, size }, size + 1);

	ck_assert(error == 0 || error == -EEXIST);
	t.keys += !error;
}

static void problem(const void *node, const char *what, void *arg)
{
	(void)arg;
	ck_abort_msg("node %p: %s", node, what);
}

static void end(void)
{
	struct sas_look look;
	uint64_t count;

	sph_look_in(&look, &t.use);
	ck_assert_int_eq(sph_tree_check(&t.use, t.tree, problem, NULL), 0);
	ck_assert_int_eq(sph_tree_count(&look, t.tree, &count), 0);
	ck_assert_uint_eq(count, t.keys);
	ck_assert_int_eq(sas_use_result(&t.use, 0), 0);
	free(t.tree);
}

/* 0 to count - 1 in the order that is number `which` of all. */
static void arrange(unsigned *order, unsigned count, uint64_t which)
{
	for (unsigned i = 0; i < count; i++)
		order[i] = i;
	for (unsigned i = count; i-- > 1; which /= i + 1) {
		unsigned other = (unsigned)(which % (i + 1)), was = order[i];

		order[i] = order[other];
		order[other] = was;
	}
}

/* Five that go into a leaf as records, but not quite with the room of the longest one each; and one that belongs before all. */
START_TEST(records_that_are_nearly_padded)
{
	static const size_t sizes[] = { 71, 128, 128, 128, 110 };
	unsigned char keys[6][128];
	unsigned order[5];

	for (unsigned i = 0; i < 5; i++) {
		memset(keys[i], 'm', sizeof keys[i]);
		keys[i][71] = (unsigned char)('a' + i);
	}
	memset(keys[5], 'a', sizeof keys[5]);
	for (unsigned which = 0; which < 120; which++) {
		begin(64 * KIB, 512);
		arrange(order, 5, which);
		for (unsigned i = 0; i < 5; i++)
			put(keys[order[i]], sizes[order[i]]);
		put(keys[5], sizeof keys[5]);
		ck_assert_uint_eq(t.keys, 6);
		end();
	}
}
END_TEST

/* All but one begin with a little more in common than is stored as a short prefix. */
START_TEST(prefixes_that_just_become_long)
{
	uint64_t state = help_seed("divide");
	long rounds = help_size(3000, 30000, 1000000);

	for (long n = 0; n < rounds; n++) {
		const unsigned count = 4 + (unsigned)help_below(&state, 2), last = (unsigned)help_below(&state, 2);
		const size_t common = SPH_PREFIX_SHORT + help_below(&state, 4);
		unsigned char keys[5][128], other[128];
		size_t sizes[5];
		unsigned order[5];

		for (unsigned i = 0; i < count; i++) {
			memset(keys[i], 'm', sizeof keys[i]);
			keys[i][common + 1] = (unsigned char)('b' + i);
			sizes[i] = sizeof keys[i] - help_below(&state, 16);
		}
		memset(keys[last ? 0 : count - 1], 'm', sizeof keys[0]);
		keys[last ? 0 : count - 1][common] = last ? 'a' : 'z';
		sizes[last ? 0 : count - 1] = common + 1 + help_below(&state, 18);
		memset(other, last ? 'a' : 'z', sizeof other);
		arrange(order, count, help_random(&state) >> 8);
		begin(32 * KIB, 512);
		for (unsigned i = 0; i < count; i++)
			put(keys[order[i]], sizes[order[i]]);
		put(other, sizeof other);
		end();
	}
}
END_TEST

/* Separators that are short, and among them some of a quarter of a page. */
START_TEST(long_separators_amid_short_ones)
{
	uint64_t state = help_seed("divide") + (unsigned)_i;
	const size_t page = _i % 2 ? 1024 : 512, longest = page / 4;
	long rounds = help_size(3, 30, 1000);

	for (long n = 0; n < rounds; n++) {
		const size_t common = longest / 3 + help_below(&state, longest / 4);
		unsigned char key[256];
		unsigned shorts = 400 + (unsigned)help_below(&state, 3000), place = (unsigned)help_below(&state, 256);

		begin(4 * MIB, page);
		memset(key, 'm', sizeof key);
		for (unsigned i = 0; i < shorts; i++) {
			size_t size = 2 + help_below(&state, 3);

			for (size_t k = 0; k < size; k++)
				key[common + k] = (unsigned char)help_random(&state);
			put(key, common + size);
		}
		memset(key + common, 'q', sizeof key - common);
		key[common] = (unsigned char)place;
		for (unsigned i = 0; i < 256; i++) {
			key[longest - 1] = (unsigned char)i;
			put(key, longest);
		}
		end();
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("trees of keys that do not divide well");
	TCase *c = help_case(suite, "keys");

	tcase_add_test(c, records_that_are_nearly_padded);
	tcase_add_test(c, prefixes_that_just_become_long);
	tcase_add_loop_test(c, long_separators_amid_short_ones, 0, 8);
	return help_main(suite);
}
