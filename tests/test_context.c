/* SPDX-License-Identifier: MIT */
/*
 * test_context.c - contexts: every call, wrong arguments, many names of an address, a model, readers beside writers.
 */
#include <config.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sassim.h>
#include <sassimpleheap.h>
#include <sphcontext.h>
#include "fixture.h"

#define HEAP (64 * KIB)

static SPHContext_t context;

static void set_up(void)
{
	default_begin();
	context = SPHContextCreate(HEAP);
	help_succeeds(context != NULL);
}

static void print_problem(const char *what, void *arg)
{
	(void)arg;
	fprintf(stderr, "%s\n", what);
}

static void tear_down(void)
{
	if (context)
		ck_assert_int_eq(SPHContextCheck(context, print_problem, NULL), 0);
	default_end();
}

static void *value_of(uint64_t n)
{
	return (void *)n;
}

static void name_is(const char *name, const void *value)
{
	ck_assert_ptr_eq(SPHContextFindByName(context, name), value);
}

static void first_is(void *value, const char *name)
{
	const char *found = SPHContextFindByAddr(context, value);

	ck_assert_ptr_nonnull(found);
	ck_assert_str_eq(found, name);
}

/* --- wrong arguments */

START_TEST(init_refuses_bad_arguments)
{
	_Alignas(16) char memory[256];

	help_fails(SPHContextInit(NULL, SAS_RUNTIME_CONTEXT, 4096) == NULL, EINVAL);
	help_fails(SPHContextInit(memory, SAS_RUNTIME_CONTEXT, 143) == NULL, EINVAL, "143");
	help_fails(SPHContextInit(memory, SAS_RUNTIME_SIMPLEHEAP, 256) == NULL, EINVAL, "no type of a context");
	help_fails(SPHContextInit(memory + 4, SAS_RUNTIME_CONTEXT, 200) == NULL, EINVAL);
}
END_TEST

START_TEST(create_refuses_sizes)
{
	help_fails(SPHContextCreate(0) == NULL, EINVAL);
	help_fails(SPHContextCreate(GIB) == NULL, ENOMEM);
	help_fails(SPHContextCreate(12345) == NULL, EINVAL);
}
END_TEST

START_TEST(calls_on_what_is_no_context_fail)
{
	SASSimpleHeap_t heap = SASSimpleHeapCreate(4096);
	void *wrong[] = { NULL, (char *)heap + 1, heap, take(4 * KIB) };

	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		help_fails(!SPHContextAddName(wrong[i], "a", heap), EINVAL);
		help_fails(!SPHContextAddAlias(wrong[i], "a", heap), EINVAL);
		help_fails(!SPHContextRename(wrong[i], "a", "b", heap), EINVAL);
		help_fails(SPHContextRemoveByName(wrong[i], "a") == -1, EINVAL);
		help_fails(SPHContextRemoveByAddr(wrong[i], heap) == -1, EINVAL);
		help_fails(SPHContextFindByName(wrong[i], "a") == NULL, EINVAL);
		help_fails(SPHContextFindByAddr(wrong[i], heap) == NULL, EINVAL);
		help_fails(SPHContextGetNameEnum(wrong[i]) == NULL, EINVAL);
		help_fails(SPHContextEnumCreate(wrong[i], NULL) == NULL, EINVAL);
		help_fails(SPHContextGetCount(wrong[i]) == -1, EINVAL);
		help_fails(SPHContextFreeSpace(wrong[i]) == 0, EINVAL);
		help_fails(SPHContextAlloc(wrong[i], 16) == NULL, EINVAL);
		help_fails(SPHContextFree(wrong[i], heap, 16) == -1, EINVAL);
		help_fails(SPHContextDestroy(wrong[i]) == -1, EINVAL);
		help_fails(SPHContextCheck(wrong[i], NULL, NULL) == -1, EINVAL);
		ck_assert_int_eq(SPHContextIs(wrong[i]), 0);
	}
	help_fails(SPHContextEnumNext(NULL, NULL) == NULL, EINVAL);
	SPHContextEnumDestroy(NULL);
	ck_assert_int_eq(SPHContextIs(&heap), 0);
	ck_assert_int_eq(SPHContextIs(context), 1);
}
END_TEST

START_TEST(names_are_checked)
{
	char longest[SPH_CONTEXT_NAME_MAX + 2];

	memset(longest, 'x', sizeof longest);
	longest[SPH_CONTEXT_NAME_MAX + 1] = 0;
	help_fails(!SPHContextAddName(context, NULL, context), EINVAL);
	help_fails(!SPHContextAddName(context, "", context), EINVAL);
	help_fails(!SPHContextAddName(context, "a", NULL), EINVAL);
	help_fails(!SPHContextAddName(context, longest, context), ENAMETOOLONG);
	help_fails(SPHContextFindByName(context, longest) == NULL, ENAMETOOLONG);
	longest[SPH_CONTEXT_NAME_MAX] = 0;
	help_succeeds(SPHContextAddName(context, longest, context));
	name_is(longest, context);
	first_is(context, longest);
	longest[SPH_CONTEXT_NAME_MAX - 1] = 0;
	help_succeeds(SPHContextAddAlias(context, longest, context));
	ck_assert_int_eq(SPHContextRemoveByAddr(context, context), 0);
	ck_assert_uint_eq(SPHContextFreeSpace(context), HEAP - 128);
}
END_TEST

START_TEST(contexts_are_no_heaps)
{
	help_fails(SASSimpleHeapAlloc(context, 16) == NULL, EINVAL);
	help_fails(SASSimpleHeapDestroy(context) == -1, EINVAL);
	help_succeeds(SPHContextAddName(context, "a", value_of(16)));
	help_fails(SASNearAlloc(SPHContextFindByAddr(context, value_of(16)), 16) == NULL, EINVAL);
}
END_TEST

/* --- names and addresses */

START_TEST(add_name_names_both_ways)
{
	help_succeeds(SPHContextAddName(context, "one", value_of(1)) == 1);
	help_succeeds(SPHContextAddName(context, "a/b//c", value_of(~0UL)) == 1);
	name_is("one", value_of(1));
	name_is("a/b//c", value_of(~0UL));
	first_is(value_of(1), "one");
	first_is(value_of(~0UL), "a/b//c");
	help_fails(SPHContextFindByName(context, "on") == NULL, ENOENT);
	help_fails(SPHContextFindByName(context, "a") == NULL, ENOENT);
	help_fails(SPHContextFindByAddr(context, value_of(2)) == NULL, ENOENT);
	help_fails(SPHContextFindByAddr(context, NULL) == NULL, ENOENT);
	ck_assert_int_eq(SPHContextGetCount(context), 2);
}
END_TEST

START_TEST(add_name_refuses_second_ones)
{
	help_succeeds(SPHContextAddName(context, "one", value_of(1)));
	help_fails(SPHContextAddName(context, "one", value_of(2)) == 0, EEXIST);
	help_fails(SPHContextAddName(context, "one", value_of(1)) == 0, EEXIST);
	help_fails(SPHContextAddName(context, "uno", value_of(1)) == 0, EEXIST);
	help_fails(SPHContextAddAlias(context, "one", value_of(2)) == 0, EEXIST);
	name_is("one", value_of(1));
	ck_assert_uint_eq(SPHContextFreeSpace(context), HEAP - 128 - 16);
}
END_TEST

START_TEST(free_space_goes_by_sixteen_and_comes_back)
{
	const size_t room = HEAP - 128;
	void *a, *b;

	ck_assert_uint_eq(SPHContextFreeSpace(context), room);
	a = SPHContextAlloc(context, 16);
	ck_assert_uint_eq(SPHContextFreeSpace(context), room - 16);
	b = SPHContextAlloc(context, 32);
	ck_assert_uint_eq(SPHContextFreeSpace(context), room - 48);
	help_succeeds(SPHContextAddName(context, "fifteen bytes..", value_of(1)));
	ck_assert_uint_eq(SPHContextFreeSpace(context), room - 64);
	help_succeeds(SPHContextAddName(context, "sixteen bytes...", value_of(2)));
	ck_assert_uint_eq(SPHContextFreeSpace(context), room - 96);
	ck_assert_int_eq(SPHContextFree(context, a, 16), 0);
	ck_assert_int_eq(SPHContextFree(context, b, 32), 0);
	help_fails(SPHContextFree(context, b, 32) == -2, EINVAL);
	help_fails(SPHContextFree(context, (char *)a + 8, 8) == -2, EINVAL);
	ck_assert_int_eq(SPHContextRemoveByAddr(context, value_of(2)), 0);
	ck_assert_int_eq(SPHContextRemoveByName(context, "fifteen bytes.."), 0);
	ck_assert_uint_eq(SPHContextFreeSpace(context), room);
}
END_TEST

START_TEST(full_heap_gives_enospc)
{
	char name[16];
	unsigned n = 0;

	while (snprintf(name, sizeof name, "name %05u", n), SPHContextAddName(context, name, value_of(n + 1)))
		n++;
	help_fails(!SPHContextAddName(context, "one more", context), ENOSPC);
	ck_assert_uint_eq(n, (HEAP - 128) / 16);
	help_fails(SPHContextFindByName(context, "one more") == NULL, ENOENT);
	help_fails(!SPHContextRename(context, "name 00000", "name x", value_of(1)), ENOSPC);
	ck_assert_int_eq(SPHContextGetCount(context), (long)n);
	for (unsigned i = 0; i < n; i++) {
		snprintf(name, sizeof name, "name %05u", i);
		name_is(name, value_of(i + 1));
		first_is(value_of(i + 1), name);
		ck_assert_int_eq(SPHContextRemoveByName(context, name), 0);
	}
	ck_assert_uint_eq(SPHContextFreeSpace(context), HEAP - 128);
}
END_TEST

START_TEST(remove_says_what_is_absent)
{
	help_fails(SPHContextRemoveByName(context, "one") == -3, ENOENT);
	help_fails(SPHContextRemoveByAddr(context, value_of(1)) == -3, ENOENT);
	help_succeeds(SPHContextAddName(context, "one", value_of(1)));
	ck_assert_int_eq(SPHContextRemoveByName(context, "one"), 0);
	help_fails(SPHContextFindByAddr(context, value_of(1)) == NULL, ENOENT);
	help_fails(SPHContextFindByName(context, "one") == NULL, ENOENT);
	help_fails(SPHContextRemoveByName(context, "one") == -3, ENOENT);
}
END_TEST

START_TEST(rename_keeps_all_or_changes_all)
{
	help_succeeds(SPHContextAddName(context, "one", value_of(1)));
	help_succeeds(SPHContextAddName(context, "two", value_of(2)));
	help_fails(!SPHContextRename(context, "one", "three", value_of(2)), ENOENT);
	help_fails(!SPHContextRename(context, "none", "three", value_of(1)), ENOENT);
	help_fails(!SPHContextRename(context, "one", "two", value_of(1)), EEXIST);
	help_fails(!SPHContextRename(context, "one", "one", value_of(1)), EEXIST);
	help_fails(!SPHContextRename(context, "one", "", value_of(1)), EINVAL);
	name_is("one", value_of(1));
	ck_assert_int_eq(SPHContextRename(context, "one", "a longer name than before", value_of(1)), 1);
	name_is("a longer name than before", value_of(1));
	first_is(value_of(1), "a longer name than before");
	help_fails(SPHContextFindByName(context, "one") == NULL, ENOENT);
	ck_assert_int_eq(SPHContextRename(context, "a longer name than before", "1", value_of(1)), 1);
	ck_assert_uint_eq(SPHContextFreeSpace(context), HEAP - 128 - 32);
}
END_TEST

/* --- many names of one address */

START_TEST(aliases_follow_the_first_name)
{
	help_succeeds(SPHContextAddAlias(context, "m", value_of(1)));
	help_succeeds(SPHContextAddAlias(context, "z", value_of(1)));
	help_succeeds(SPHContextAddAlias(context, "a", value_of(1)));
	help_succeeds(SPHContextAddAlias(context, "b", value_of(256)));
	first_is(value_of(1), "m");
	ck_assert_int_eq(SPHContextRemoveByName(context, "z"), 0);
	first_is(value_of(1), "m");
	help_succeeds(SPHContextAddAlias(context, "z", value_of(1)));
	ck_assert_int_eq(SPHContextRename(context, "m", "x", value_of(1)), 1);
	first_is(value_of(1), "x");
	ck_assert_int_eq(SPHContextRename(context, "a", "c", value_of(1)), 1);
	first_is(value_of(1), "x");
	ck_assert_int_eq(SPHContextRemoveByName(context, "x"), 0);
	first_is(value_of(1), "c");
	ck_assert_int_eq(SPHContextRemoveByAddr(context, value_of(1)), 0);
	help_fails(SPHContextFindByName(context, "c") == NULL, ENOENT);
	help_fails(SPHContextFindByName(context, "z") == NULL, ENOENT);
	help_fails(SPHContextFindByAddr(context, value_of(1)) == NULL, ENOENT);
	name_is("b", value_of(256));
	ck_assert_uint_eq(SPHContextFreeSpace(context), HEAP - 128 - 16);
}
END_TEST

START_TEST(enumerators_go_both_ways)
{
	static const struct { const char *name; uint64_t value; } pairs[] = {
		{ "a", 0x102 }, { "x", 0x102 }, { "c", 0x201 }, { "b", 0x10000 },
	};
	static const char *const sorted[] = { "a", "b", "c", "x" };
	SASStringBTreeEnum_t names;
	SPHContextEnum_t addresses;
	void *value;

	for (size_t i = 4; i-- > 0;)
		help_succeeds(SPHContextAddAlias(context, pairs[i].name, value_of(pairs[i].value)));
	names = SPHContextGetNameEnum(context);
	for (size_t i = 0; i < 4; i++) {
		ck_assert_int_eq(SASStringBTreeEnumHasMore(names), 1);
		value = SASStringBTreeEnumNext(names);
		ck_assert_str_eq(SASStringBTreeEnumCurrent(names), sorted[i]);
		name_is(sorted[i], value);
	}
	ck_assert_int_eq(SASStringBTreeEnumHasMore(names), 0);
	SASStringBTreeEnumDestroy(names);
	addresses = SPHContextEnumCreate(context, NULL);
	for (size_t i = 0; i < 4; i++) {
		ck_assert_str_eq(SPHContextEnumNext(addresses, &value), pairs[i].name);
		ck_assert_ptr_eq(value, value_of(pairs[i].value));
	}
	help_fails(SPHContextEnumNext(addresses, &value) == NULL, ENOENT);
	SPHContextEnumDestroy(addresses);
	addresses = SPHContextEnumCreate(context, value_of(0x102));
	ck_assert_str_eq(SPHContextEnumNext(addresses, NULL), "a");
	ck_assert_str_eq(SPHContextEnumNext(addresses, NULL), "x");
	help_fails(SPHContextEnumNext(addresses, NULL) == NULL, ENOENT);
	SPHContextEnumDestroy(addresses);
	addresses = SPHContextEnumCreate(context, value_of(0x103));
	help_fails(SPHContextEnumNext(addresses, NULL) == NULL, ENOENT);
	SPHContextEnumDestroy(addresses);
}
END_TEST

START_TEST(enumerator_meets_what_stays)
{
	SPHContextEnum_t addresses = SPHContextEnumCreate(context, value_of(7));
	char name[16];

	for (unsigned i = 0; i < 300; i++) {
		snprintf(name, sizeof name, "%03u", i);
		help_succeeds(SPHContextAddAlias(context, name, value_of(7)));
	}
	/* The first name goes each time, so another one becomes it. */
	for (unsigned i = 0; i < 300; i++) {
		snprintf(name, sizeof name, "%03u", i);
		ck_assert_str_eq(SPHContextEnumNext(addresses, NULL), name);
		ck_assert_int_eq(SPHContextRemoveByName(context, name), 0);
	}
	help_fails(SPHContextEnumNext(addresses, NULL) == NULL, ENOENT);
	SPHContextEnumDestroy(addresses);
}
END_TEST

/* --- contexts as wholes */

START_TEST(destroy_gives_all_blocks_back)
{
	uint64_t before = help_sum(region, SASBlock__IN_USE);
	SPHContext_t other = SPHContextCreate(MIB);
	char name[200];

	for (unsigned i = 0; i < 4000; i++) {
		snprintf(name, sizeof name, "%0150u", i);
		help_succeeds(SPHContextAddName(other, name, value_of(i + 1)));
	}
	ck_assert_int_eq(SPHContextCheck(other, print_problem, NULL), 0);
	ck_assert_int_eq(SPHContextDestroy(other), 0);
	ck_assert_uint_eq(help_sum(region, SASBlock__IN_USE), before);
	help_fails(SPHContextDestroy(other) == -1, EINVAL);
	ck_assert_int_eq(SPHContextIs(other), 0);
}
END_TEST

static void fill_region(void)
{
	for (size_t size = 2 * MIB; size >= 4 * KIB; size /= 2)
		while (SASBlockAlloc(size))
			;
}

START_TEST(no_space_for_trees_leaves_nothing)
{
	unsigned char *block = take(64 * KIB), *tree = take(16 * KIB), *other = take(16 * KIB);
	uint64_t before;

	fill_region();
	give(block, 64 * KIB);
	before = help_sum(region, SASBlock__IN_USE);
	help_fails(SPHContextCreate(64 * KIB) == NULL, ENOMEM);
	ck_assert_uint_eq(help_sum(region, SASBlock__IN_USE), before);
	give(tree, 16 * KIB);
	help_fails(SPHContextCreate(64 * KIB) == NULL, ENOMEM);
	ck_assert_uint_eq(help_sum(region, SASBlock__IN_USE), before - 16 * KIB);
	give(other, 16 * KIB);
	help_succeeds(SPHContextCreate(64 * KIB) != NULL);
}
END_TEST

START_TEST(init_makes_trees_with_the_first_name)
{
	SPHContext_t other = SPHContextInit(take(4 * KIB), SAS_RUNTIME_CONTEXT, 4 * KIB);
	uint64_t before = help_sum(region, SASBlock__IN_USE);

	ck_assert_ptr_nonnull(other);
	ck_assert_int_eq(SPHContextIs(other), 1);
	help_fails(SPHContextFindByName(other, "a") == NULL, ENOENT);
	help_fails(SPHContextFindByAddr(other, other) == NULL, ENOENT);
	ck_assert_int_eq(SPHContextGetCount(other), 0);
	ck_assert_uint_eq(help_sum(region, SASBlock__IN_USE), before);
	help_succeeds(SPHContextAddName(other, "a", other));
	ck_assert_uint_gt(help_sum(region, SASBlock__IN_USE), before);
	ck_assert_ptr_eq(SPHContextFindByName(other, "a"), other);
	ck_assert_int_eq(SPHContextDestroy(other), 0);
	ck_assert_uint_eq(help_sum(region, SASBlock__IN_USE), before - 4 * KIB);
}
END_TEST

START_TEST(context_outside_regions_has_no_names)
{
	_Alignas(16) char memory[1024];
	SPHContext_t other = SPHContextInit(memory, SAS_RUNTIME_CONTEXT, sizeof memory);

	ck_assert_ptr_eq(other, memory);
	ck_assert_uint_eq(SPHContextFreeSpace(other), sizeof memory - 128);
	help_fails(!SPHContextAddName(other, "a", other), ENOTSUP);
	help_fails(SPHContextFindByName(other, "a") == NULL, ENOENT);
	help_fails(SPHContextDestroy(other) == -1, EINVAL);
}
END_TEST

START_TEST(names_are_there_in_the_next_run)
{
	help_succeeds(SPHContextAddName(context, "me", context));
	setSASFinder(context);
	SASCleanUp();
	ck_assert_int_eq(SASJoinRegion(), 0);
	region = SASRegionDefault();
	context = getSASFinder();
	name_is("me", context);
	first_is(context, "me");
}
END_TEST

START_TEST(written_notes_are_refused)
{
	uint64_t *words = (uint64_t *)context + 8, names = words[0];

	help_succeeds(SPHContextAddName(context, "me", context));
	words[0] = 4096;
	help_fails(SPHContextFindByName(context, "me") == NULL, EUCLEAN);
	words[0] = (uintptr_t)context;
	help_fails(SPHContextAddName(context, "you", value_of(1)) == 0, EUCLEAN);
	words[0] = names;
	words[2] = 99;
	help_fails(SPHContextFindByName(context, "me") == NULL, EUCLEAN, "state 99");
	words[2] = 4;
	words[6] = 17;
	help_fails(SPHContextFindByName(context, "me") == NULL, EUCLEAN);
	words[2] = 0;
	name_is("me", context);
}
END_TEST

/* --- against a model */

#define MODEL 64U

static struct { uint64_t value; uint64_t age; } model[MODEL];

static const char *model_name(unsigned i)
{
	static char name[2][64];
	static unsigned turn;

	turn ^= 1;
	snprintf(name[turn], sizeof name[turn], "%.*s%u", (int)(i % 37), "abcdefghijklmnopqrstuvwxyzabcdefghijklmnop", i);
	return name[turn];
}

static unsigned model_count(uint64_t value)
{
	unsigned n = 0;

	for (unsigned i = 0; i < MODEL; i++)
		n += model[i].value == value;
	return n;
}

static void one_change(uint64_t *state)
{
	unsigned i = (unsigned)help_below(state, MODEL), k = (unsigned)help_below(state, MODEL);
	uint64_t value = 1 + help_below(state, 12);

	switch (help_below(state, 6)) {
	case 0:
		ck_assert_int_eq(SPHContextAddName(context, model_name(i), value_of(value)), !model[i].value && !model_count(value));
		if (!model[i].value && !model_count(value))
			model[i].value = value;
		break;
	case 1:
	case 2:
		ck_assert_int_eq(SPHContextAddAlias(context, model_name(i), value_of(value)), !model[i].value);
		if (!model[i].value)
			model[i].value = value;
		break;
	case 3:
		ck_assert_int_eq(SPHContextRemoveByName(context, model_name(i)), model[i].value ? 0 : -3);
		model[i].value = 0;
		break;
	case 4:
		if (SPHContextRename(context, model_name(i), model_name(k), value_of(value))) {
			ck_assert(model[i].value == value && !model[k].value);
			model[k].value = value;
			model[i].value = 0;
		} else {
			ck_assert(model[i].value != value || model[k].value);
		}
		break;
	default:
		if (help_below(state, 8))
			break;
		ck_assert_int_eq(SPHContextRemoveByAddr(context, value_of(value)), model_count(value) ? 0 : -3);
		for (unsigned n = 0; n < MODEL; n++)
			model[n].value = model[n].value == value ? 0 : model[n].value;
	}
}

static void agrees_with_model(void)
{
	size_t taken = 0;
	long count = 0;

	for (unsigned i = 0; i < MODEL; i++) {
		name_is(model_name(i), value_of(model[i].value));
		if (!model[i].value)
			continue;
		taken += (strlen(model_name(i)) + 16) / 16 * 16;
		count++;
	}
	for (uint64_t value = 1; value <= 12; value++) {
		const char *first = SPHContextFindByAddr(context, value_of(value));

		ck_assert_int_eq(first != NULL, model_count(value) != 0);
		if (first)
			name_is(first, value_of(value));
	}
	ck_assert_int_eq(SPHContextGetCount(context), count);
	ck_assert_uint_eq(SPHContextFreeSpace(context), HEAP - 128 - taken);
	ck_assert_int_eq(SPHContextCheck(context, print_problem, NULL), 0);
}

START_TEST(random_calls_agree_with_model)
{
	uint64_t state = help_seed("random_calls_agree_with_model") + (unsigned)_i;
	long rounds = help_size(20, 100, 2000);

	memset(model, 0, sizeof model);
	for (long i = 0; i < rounds; i++) {
		for (unsigned k = 0; k < 40; k++)
			one_change(&state);
		agrees_with_model();
	}
}
END_TEST

/* --- several threads */

static int stop;

static void *look(void *arg)
{
	unsigned long *looked = arg;

	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
		/* Together, or not at all. */
		void *value = SPHContextFindByName(context, "moving");

		must(!value || (uintptr_t)value % 16 == 0);
		must(SPHContextFindByName(context, "staying") == context);
		must(strcmp(SPHContextFindByAddr(context, context), "staying") == 0);
		__atomic_fetch_add(looked, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

START_TEST(readers_go_beside_writers)
{
	long rounds = help_size(300, 3000, 30000);
	unsigned long looked[2] = { 0 };
	pthread_t threads[2];

	help_succeeds(SPHContextAddName(context, "staying", context));
	stop = 0;
	for (unsigned i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, look, &looked[i]), 0);
	for (long i = 0; i < rounds || !__atomic_load_n(&looked[0], __ATOMIC_RELAXED); i++) {
		void *value = value_of((uint64_t)(i % 100 + 1) * 16);

		help_succeeds(SPHContextAddName(context, "moving", value));
		ck_assert_int_eq(SPHContextRemoveByName(context, "moving"), 0);
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
}
END_TEST

START_TEST(calls_work_under_the_callers_lock)
{
	SASLock(context, SasUserLock__WRITE);
	help_succeeds(SPHContextAddName(context, "a", value_of(1)));
	name_is("a", value_of(1));
	SASUnlock(context);
	SASLock(context, SasUserLock__READ);
	name_is("a", value_of(1));
	ck_assert_uint_eq(SPHContextFreeSpace(context), HEAP - 144);
	SASUnlock(context);
}
END_TEST

START_TEST(read_only_joiners_read)
{
	help_succeeds(SPHContextAddName(context, "a", value_of(1)));
	SASCleanUp();
	region_join(SAS_JOIN_READONLY);
	name_is("a", value_of(1));
	first_is(value_of(1), "a");
	ck_assert_int_eq(SPHContextGetCount(context), 1);
	help_fails(!SPHContextAddName(context, "b", value_of(2)), EROFS);
	help_fails(SPHContextRemoveByName(context, "a") == -1, EROFS);
	region_leave();
	ck_assert_int_eq(SASJoinRegion(), 0);
	region = SASRegionDefault();
}
END_TEST

/* As a death leaves it just after the store that publishes: states 4 and 5 of FORMAT.md. */
static void leave_note(uint64_t state, uint64_t value, const void *old)
{
	uint64_t *words = (uint64_t *)context + 8;

	words[3] = value;
	words[4] = 0;
	words[6] = (uintptr_t)old;
	words[2] = state;
	SASCleanUp();
}

static void join_again(void)
{
	region_leave();
	ck_assert_int_eq(SASJoinRegion(), 0);
	region = SASRegionDefault();
}

START_TEST(read_only_joiners_leave_out_what_has_gone)
{
	const uint64_t *state = (const uint64_t *)context + 10;
	SPHContextEnum_t names;

	help_succeeds(SPHContextAddAlias(context, "a", value_of(1)));
	help_succeeds(SPHContextAddAlias(context, "b", value_of(1)));
	help_succeeds(SPHContextAddAlias(context, "c", value_of(2)));
	leave_note(4, 1, SPHContextFindByAddr(context, value_of(1)));
	region_join(SAS_JOIN_READONLY);
	help_fails(SPHContextFindByName(context, "a") == NULL, ENOENT);
	name_is("b", value_of(1));
	first_is(value_of(1), "b");
	names = SPHContextEnumCreate(context, NULL);
	ck_assert_str_eq(SPHContextEnumNext(names, NULL), "b");
	ck_assert_str_eq(SPHContextEnumNext(names, NULL), "c");
	SPHContextEnumDestroy(names);
	ck_assert_uint_eq(*state, 4);
	join_again();
	first_is(value_of(1), "b");
	ck_assert_uint_eq(*state, 0);
	ck_assert_uint_eq(SPHContextFreeSpace(context), HEAP - 128 - 32);

	leave_note(5, 1, NULL);
	region_join(SAS_JOIN_READONLY);
	help_fails(SPHContextFindByName(context, "b") == NULL, ENOENT);
	help_fails(SPHContextFindByAddr(context, value_of(1)) == NULL, ENOENT);
	first_is(value_of(2), "c");
	names = SPHContextEnumCreate(context, NULL);
	ck_assert_str_eq(SPHContextEnumNext(names, NULL), "c");
	SPHContextEnumDestroy(names);
	join_again();
	ck_assert_int_eq(SPHContextGetCount(context), 1);
	ck_assert_uint_eq(SPHContextFreeSpace(context), HEAP - 128 - 16);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("context");
	TCase *c = help_case(suite, "context");

	tcase_add_checked_fixture(c, set_up, tear_down);
	tcase_add_test(c, init_refuses_bad_arguments);
	tcase_add_test(c, create_refuses_sizes);
	tcase_add_test(c, calls_on_what_is_no_context_fail);
	tcase_add_test(c, names_are_checked);
	tcase_add_test(c, contexts_are_no_heaps);
	tcase_add_test(c, add_name_names_both_ways);
	tcase_add_test(c, add_name_refuses_second_ones);
	tcase_add_test(c, free_space_goes_by_sixteen_and_comes_back);
	tcase_add_test(c, full_heap_gives_enospc);
	tcase_add_test(c, remove_says_what_is_absent);
	tcase_add_test(c, rename_keeps_all_or_changes_all);
	tcase_add_test(c, aliases_follow_the_first_name);
	tcase_add_test(c, enumerators_go_both_ways);
	tcase_add_test(c, enumerator_meets_what_stays);
	tcase_add_test(c, destroy_gives_all_blocks_back);
	tcase_add_test(c, no_space_for_trees_leaves_nothing);
	tcase_add_test(c, init_makes_trees_with_the_first_name);
	tcase_add_test(c, context_outside_regions_has_no_names);
	tcase_add_test(c, names_are_there_in_the_next_run);
	tcase_add_test(c, written_notes_are_refused);
	tcase_add_loop_test(c, random_calls_agree_with_model, 0, 4);
	tcase_add_test(c, readers_go_beside_writers);
	tcase_add_test(c, calls_work_under_the_callers_lock);
	tcase_add_test(c, read_only_joiners_read);
	tcase_add_test(c, read_only_joiners_leave_out_what_has_gone);
	return help_main(suite);
}
