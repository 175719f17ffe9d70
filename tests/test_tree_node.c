/* SPDX-License-Identifier: MIT */
/*
 * test_tree_node.c - nodes of trees by themselves (sph/tree/node.h): leaves in each of their forms, with short and long prefixes; inner nodes,
 * whose search is compared with one that looks at each separator; readers of a page that becomes one node after the other under them.
 */
#include <config.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "help.h"
#include "sph/tree/node.h"

#define LONGEST 400U
#define MOST 4096U              /* entries of the largest page */

struct keys {
	unsigned count;
	struct sph_entry entries[MOST];
	unsigned char bytes[MOST][LONGEST];
};

static struct keys *keys;
static struct sph_node *node;

static void begin(void)
{
	keys = calloc(1, sizeof *keys);
	node = aligned_alloc(4096, 64 * KIB);
	ck_assert(keys && node);
	memset(node, 0x5a, 64 * KIB);
}

static void end(void)
{
	free(keys);
	free(node);
}

static void add(const void *bytes, size_t size)
{
	struct sph_entry *e = &keys->entries[keys->count];

	ck_assert_uint_lt(keys->count, MOST);
	ck_assert_uint_le(size, LONGEST);
	e->key = (struct sph_key){ memcpy(keys->bytes[keys->count], bytes, size), size };
	e->head = sph_head8(e->key.bytes, size);
	e->value = ++keys->count;
}

static int by_key(const void *a, const void *b)
{
	return sph_key_compare(((const struct sph_entry *)a)->key, ((const struct sph_entry *)b)->key);
}

/* In order, each once. */
static void put_in_order(void)
{
	unsigned n = 0;

	qsort(keys->entries, keys->count, sizeof *keys->entries, by_key);
	for (unsigned i = 0; i < keys->count; i++)
		if (!n || sph_key_compare(keys->entries[n - 1].key, keys->entries[i].key) != 0)
			keys->entries[n++] = keys->entries[i];
	keys->count = n;
}

/* --- leaves */

static void pack_leaf(size_t page)
{
	put_in_order();
	ck_assert_uint_le(sph_leaf_size(keys->entries, keys->count, page), page);
	sph_leaf_pack(node, page, keys->entries, keys->count);
	ck_assert(sph_leaf_is_sound(node, page));
	ck_assert_uint_eq(sph_leaf_count(node), keys->count);
}

static int is_found(size_t page, struct sph_key key, uint64_t value)
{
	struct sph_leaf_place place;

	return sph_leaf_find(node, page, key, sph_key_hash(key), &place) && place.value == value && sph_leaf_value(node, page, place.slot) == value;
}

static void all_are_found(size_t page)
{
	unsigned char longer[LONGEST + 1];

	for (unsigned i = 0; i < keys->count; i++) {
		struct sph_key key = keys->entries[i].key;

		ck_assert(is_found(page, key, keys->entries[i].value));
		memcpy(longer, key.bytes, key.size);
		longer[key.size] = 0;
		ck_assert(!is_found(page, (struct sph_key){ longer, key.size + 1 }, keys->entries[i].value));
	}
}

/* Keys of a size from least to most each, of which all begin with so many bytes. */
static void make_keys(uint64_t *state, unsigned count, size_t prefix, size_t least, size_t most)
{
	unsigned char bytes[LONGEST];

	keys->count = 0;
	memset(bytes, 'p', sizeof bytes);
	for (unsigned i = 0; i < count; i++) {
		size_t size = least + help_below(state, most - least + 1);

		for (size_t k = 0; k < size; k++)
			bytes[prefix + k] = (unsigned char)help_random(state);
		add(bytes, prefix + size);
	}
}

/* As many of the entries as go into a page that is to be so full. */
static void cut_to(size_t page, unsigned percent)
{
	put_in_order();
	while (keys->count > SPH_SLOTS || sph_leaf_size(keys->entries, keys->count, page) > page * percent / 100)
		keys->count--;
}

static const size_t pages[] = { 512, 1024, 4096, 64 * KIB };
static const size_t prefixes[] = { 0, 1, SPH_PREFIX_SHORT - 1, SPH_PREFIX_SHORT, SPH_PREFIX_SHORT + 1, 70 };
#define FORMS (sizeof pages / sizeof *pages * (sizeof prefixes / sizeof *prefixes))
#define PAGE_OF(i) pages[(size_t)(i) / (sizeof prefixes / sizeof *prefixes)]
#define PREFIX_OF(i) prefixes[(size_t)(i) % (sizeof prefixes / sizeof *prefixes)]

START_TEST(keys_of_one_length_stand_in_slots)
{
	uint64_t state = help_seed("leaf");
	const size_t page = PAGE_OF(_i);

	for (size_t size = 1; size <= 24; size++) {
		make_keys(&state, size == 1 ? 20 : SPH_SLOTS, PREFIX_OF(_i), size, size);
		cut_to(page, 100);
		pack_leaf(page);
		ck_assert_uint_eq(node->n.width + node->n.prefix, PREFIX_OF(_i) + size);
		ck_assert_uint_eq(node->n.padded, 0);
		all_are_found(page);
	}
}
END_TEST

START_TEST(keys_of_nearly_one_length_have_the_room_of_the_longest)
{
	uint64_t state = help_seed("leaf");
	const size_t page = PAGE_OF(_i), prefix = PREFIX_OF(_i);
	struct sph_key key;
	int slot;

	make_keys(&state, SPH_SLOTS - 10, prefix, 22, 22);
	cut_to(page, 75);
	for (unsigned i = 0; i < keys->count; i++)
		keys->entries[i].key.size -= (keys->count - 1 - i) % 3;
	pack_leaf(page);
	ck_assert_uint_eq(node->n.padded, 1);
	ck_assert_uint_eq(node->n.width + node->n.prefix, prefix + 23);
	all_are_found(page);
	/* A shorter one goes in as well, a longer one does not. */
	key = (struct sph_key){ keys->entries[0].key.bytes, prefix + 7 };
	slot = sph_leaf_room(node, page, key, sph_key_hash(key));
	ck_assert_int_ge(slot, 0);
	sph_leaf_add(node, page, (unsigned)slot, key, sph_key_hash(key), 12345);
	ck_assert(is_found(page, key, 12345));
	ck_assert_int_eq(sph_leaf_room(node, page, (struct sph_key){ key.bytes, prefix + 23 }, 7), -1);
	all_are_found(page);
	sph_leaf_drop(node, (unsigned)slot);
	ck_assert(!is_found(page, key, 12345));
}
END_TEST

START_TEST(keys_of_many_lengths_stand_in_records)
{
	uint64_t state = help_seed("leaf");
	const size_t page = PAGE_OF(_i), prefix = PREFIX_OF(_i);

	make_keys(&state, SPH_SLOTS, prefix, 0, 50);
	cut_to(page, 90);
	pack_leaf(page);
	ck_assert_uint_eq(node->n.width, SPH_VARIES);
	all_are_found(page);
	for (unsigned i = 0; i < 300; i++) {
		unsigned char bytes[LONGEST] = "";
		size_t size = prefix + help_below(&state, 60);
		struct sph_key key = { bytes, size };
		struct sph_leaf_place place;
		int slot;

		memset(bytes, 'p', prefix);
		for (size_t k = prefix; k < size; k++)
			bytes[k] = (unsigned char)help_random(&state);
		if (sph_leaf_find(node, page, key, sph_key_hash(key), &place))
			continue;
		slot = sph_leaf_room(node, page, key, sph_key_hash(key));
		if (slot < 0)
			continue;
		sph_leaf_add(node, page, (unsigned)slot, key, sph_key_hash(key), 12345);
		ck_assert(is_found(page, key, 12345));
	}
	ck_assert(sph_leaf_is_sound(node, page));
	all_are_found(page);
}
END_TEST

/* The hints of a pointer do not change where it leads. */
START_TEST(pointers_lead_to_their_nodes)
{
	uint64_t state = help_seed("leaf");

	for (unsigned i = 0; i < FORMS; i++) {
		uint64_t pointer;

		make_keys(&state, SPH_SLOTS, PREFIX_OF(i), 9, 9);
		cut_to(PAGE_OF(i), 50);
		pack_leaf(PAGE_OF(i));
		pointer = sph_pointer_to(node, &node->n);
		ck_assert_ptr_eq(sph_node_at(pointer), node);
		ck_assert_uint_eq((pointer & SPH_POINTER_SLOTS) + 1, node->n.count);
		ck_assert_int_eq((pointer & SPH_POINTER_PREFIX) != 0, node->n.prefix > SPH_PREFIX_SHORT);
	}
}
END_TEST

/* --- inner nodes */

/* Which child a key belongs to, by looking at each separator. */
static unsigned child_of(struct sph_key key, int below)
{
	unsigned child = 0;

	while (child < keys->count) {
		int c = sph_key_compare(keys->entries[child].key, key);

		if (below ? c >= 0 : c > 0)
			break;
		child++;
	}
	return child;
}

static void look(size_t page, struct sph_key key)
{
	for (int below = 0; below < 2; below++) {
		unsigned child = child_of(key, below);
		uint64_t pointer;

		ck_assert_uint_eq(sph_inner_find(node, page, key, below, &pointer), child);
		ck_assert_uint_eq(pointer, child ? keys->entries[child - 1].value : 4096 * 7777);
		ck_assert_uint_eq(sph_inner_child(node, page, child), pointer);
	}
}

/* Each separator, and what is a little less or more, or begins it, or goes on behind it. */
static void look_around(size_t page, struct sph_key separator, uint64_t *state)
{
	unsigned char bytes[LONGEST + 1];
	struct sph_key key = { bytes, separator.size };

	memcpy(bytes, separator.bytes, separator.size);
	look(page, key);
	bytes[key.size] = (unsigned char)help_random(state);
	look(page, (struct sph_key){ bytes, key.size + 1 });
	for (unsigned i = 0; i < 4 && key.size; i++) {
		size_t at = help_below(state, key.size);
		unsigned char was = bytes[at];

		look(page, (struct sph_key){ bytes, at });
		bytes[at] = (unsigned char)(was + (i & 1 ? 1 : -1));
		look(page, key);
		bytes[at] = (unsigned char)help_random(state);
		look(page, key);
		bytes[at] = was;
	}
}

/* Separators in runs with the same first bytes; bytes are few, and 0 and 255 among them. */
static void make_runs(uint64_t *state, unsigned count)
{
	static const unsigned char few[] = { 0, 0, 1, 'a', 'a', 'b', 254, 255, 255 };
	unsigned char bytes[LONGEST];
	size_t common = 0;

	keys->count = 0;
	for (unsigned i = 0; i < count; i++) {
		size_t size;

		if (i % 16 == 0)
			common = help_below(state, 14);
		size = common + 1 + help_below(state, 8);
		for (size_t k = i % 16 ? common : 0; k < size; k++)
			bytes[k] = few[help_below(state, sizeof few)];
		add(bytes, size);
	}
	put_in_order();
}

static void pack_inner(size_t page)
{
	while (keys->count && sph_inner_size(keys->entries, keys->count) > page - 8)
		keys->count--;
	for (unsigned i = 0; i < keys->count; i++)
		keys->entries[i].value = (i + 1UL) << 12;
	sph_inner_pack(node, page, 1, 4096 * 7777, keys->entries, keys->count);
	ck_assert(sph_inner_is_sound(node, page));
	ck_assert_uint_eq(sph_inner_last(node, page), keys->count);
	ck_assert_uint_eq(sph_inner_child(node, page, keys->count + 1), 0);
}

static const unsigned counts[] = { 0, 1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 65, 255, 256, 257, 300, 1000, 3000 };
#define COUNTS (sizeof counts / sizeof *counts)

START_TEST(inner_nodes_find_as_a_look_at_each_does)
{
	const unsigned count = counts[(size_t)_i % COUNTS];
	const size_t page = pages[(size_t)_i / COUNTS];
	uint64_t state = help_seed("inner") + (unsigned)_i;
	long step = help_size(count / 32 + 1, count / 200 + 1, 1);

	for (unsigned kind = 0; kind < 3; kind++) {
		if (kind == 0)
			make_runs(&state, count);
		else
			make_keys(&state, count, kind == 1 ? 0 : 40, 3, 5);
		put_in_order();
		pack_inner(page);
		look(page, (struct sph_key){ (const unsigned char *)"", 0 });
		look(page, (struct sph_key){ (const unsigned char *)"\377\377\377\377\377\377", 6 });
		for (unsigned i = 0; i < keys->count; i += (unsigned)step)
			look_around(page, keys->entries[i].key, &state);
	}
}
END_TEST

START_TEST(damage_of_the_search_is_noticed)
{
	uint64_t state = help_seed("inner");
	unsigned noticed = 0, count;

	make_runs(&state, 100);
	pack_inner(4096);
	count = keys->count;
	for (size_t at = sph_inner_heads(count); at < sph_inner_texts(count); at++) {
		unsigned char *byte = (unsigned char *)node + at;

		if (at >= sph_inner_children(count) && at < sph_inner_skips(count))
			continue;
		*byte ^= 0x10;
		noticed += !sph_inner_is_sound(node, 4096);
		*byte ^= 0x10;
	}
	/* Where the last one ends may be somewhere else as well. */
	ck_assert_uint_ge(noticed, 12 * count + 1);
	for (unsigned i = 0; i < count / 16; i++) {
		node->body.marks[i]++;
		ck_assert(!sph_inner_is_sound(node, 4096));
		node->body.marks[i]--;
	}
	ck_assert(sph_inner_is_sound(node, 4096));
}
END_TEST

/* --- under readers */

#define IMAGES 12U

static struct {
	struct sph_node *page;          /* nothing is mapped behind it */
	struct sph_node *images[IMAGES];
	size_t size;
	int stop;
} under;

/* Nodes of all forms, and two of any bytes. */
static void make_images(uint64_t *state)
{
	for (unsigned i = 0; i < IMAGES; i++) {
		unsigned char *bytes;

		if (i < 4) {
			make_runs(state, 3U << (2 * i));
			pack_inner(under.size);
		} else if (i < 10) {
			make_keys(state, SPH_SLOTS, i & 1 ? 3 : 50, i < 6 ? 8 : i < 8 ? 1 : 12, i < 6 ? 8 : 14);
			cut_to(under.size, 50 + 5 * i);
			pack_leaf(under.size);
		} else {
			bytes = (unsigned char *)node;
			for (size_t k = 0; k < under.size; k++)
				bytes[k] = (unsigned char)help_random(state);
			node->n.level = i & 1;
		}
		under.images[i] = aligned_alloc(64, under.size);
		memcpy(under.images[i], node, under.size);
	}
}

/* The page becomes one of them after the other, in whole or in part. */
static void *store(void *arg)
{
	uint64_t state = *(uint64_t *)arg;

	while (!__atomic_load_n(&under.stop, __ATOMIC_RELAXED)) {
		const char *image = (const char *)under.images[help_below(&state, IMAGES)];
		size_t from = help_below(&state, 2) ? 0 : help_below(&state, under.size / 8) * 8;
		size_t size = help_below(&state, 2) ? under.size - from : help_below(&state, (under.size - from) / 8 + 1) * 8;

		sph_racy_copy((char *)under.page + from, image + from, size);
	}
	return NULL;
}

static void read_it(struct sph_key key)
{
	const size_t size = under.size;
	struct sph_leaf_place place;
	struct sph_key suffix;
	uint64_t child;
	unsigned i;

	for (int below = 0; below < 2; below++) {
		i = sph_inner_find(under.page, size, key, below, &child);
		sph_inner_child(under.page, size, i);
		suffix = sph_inner_suffix(under.page, size, i);
		must(!suffix.bytes || suffix.bytes + suffix.size <= (const unsigned char *)under.page + size);
	}
	must(sph_inner_last(under.page, size) < size);
	sph_leaf_find(under.page, size, key, sph_key_hash(key), &place);
	sph_leaf_room(under.page, size, key, sph_key_hash(key));
	suffix = sph_leaf_suffix(under.page, size, i % SPH_SLOTS);
	must(!suffix.bytes || suffix.bytes + suffix.size <= (const unsigned char *)under.page + size);
	must(sph_leaf_count(under.page) <= SPH_SLOTS);
	sph_leaf_percent(under.page, size);
}

START_TEST(readers_stay_within_the_page)
{
	uint64_t state = help_seed("under") + (unsigned)_i, other = state + 1;
	long rounds = help_size(20000, 300000, 20000000);
	const size_t room = 64 * KIB;
	pthread_t thread;
	char *memory = mmap(NULL, 2 * room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(memory, MAP_FAILED);
	ck_assert_int_eq(mprotect(memory + room, room, PROT_NONE), 0);
	under.size = pages[_i];
	under.page = (struct sph_node *)(void *)(memory + room - under.size);
	under.stop = 0;
	make_images(&state);
	ck_assert_int_eq(pthread_create(&thread, NULL, store, &other), 0);
	make_runs(&state, 500);
	for (long i = 0; i < rounds; i++)
		read_it(keys->entries[help_below(&state, keys->count)].key);
	__atomic_store_n(&under.stop, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	for (unsigned i = 0; i < IMAGES; i++)
		free(under.images[i]);
	munmap(memory, 2 * room);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("nodes of trees");
	TCase *c = help_case(suite, "nodes");

	tcase_add_checked_fixture(c, begin, end);
	tcase_add_loop_test(c, keys_of_one_length_stand_in_slots, 0, FORMS);
	tcase_add_loop_test(c, keys_of_nearly_one_length_have_the_room_of_the_longest, 0, FORMS);
	tcase_add_loop_test(c, keys_of_many_lengths_stand_in_records, 0, FORMS);
	tcase_add_test(c, pointers_lead_to_their_nodes);
	tcase_add_loop_test(c, inner_nodes_find_as_a_look_at_each_does, 0, (int)(COUNTS * (sizeof pages / sizeof *pages)));
	tcase_add_test(c, damage_of_the_search_is_noticed);
	tcase_add_loop_test(c, readers_stay_within_the_page, 0, (int)(sizeof pages / sizeof *pages));
	return help_main(suite);
}
