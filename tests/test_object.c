/* SPDX-License-Identifier: MIT */
/*
 * test_object.c - SASObjectCheck() and its neighbours: what is whole is found whole, what is damaged is told, and what a killed process left
 * half done is neither.
 */
#include <config.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <sassim.h>
#include "fixture.h"
#include "objects.h"
#include "sasobject.h"

static struct objects o;
static SASInspect_t in;

static void join(void)
{
	help_classic(store);
	help_succeeds(SASJoinRegion() == 0);
	region = SASRegionDefault();
}

static void leave(void)
{
	SASCleanUp();
	region = NULL;
}

static void objects_begin(void)
{
	store_begin();
	join();
	ck_assert_msg(objects_make(&o) == 0, "%s", SASLastErrorMessage());
	leave();
	in = NULL;
}

static void objects_end(void)
{
	SASInspectClose(in);
	region_end();
}

static void look(void)
{
	SASInspectClose(in);
	in = SASInspectOpen(store);
	ck_assert_msg(in != NULL, "%s", SASLastErrorMessage());
}

/* --- what is told */

static char told[40][500];
static SASObjectInfo found[40];
static unsigned told_count, found_count;

static void hear(const SASObjectInfo *object, const void *where, const char *sentence, void *arg)
{
	const char *name = SASObjectTypeName(object->type);

	ck_assert_ptr_eq(arg, told);
	if (told_count < 40)
		snprintf(told[told_count], sizeof told[0], "%s %p at %p: %s", name ? name : "?", object->address, where, sentence);
	told_count++;
}

static void find(const SASObjectInfo *object, void *arg)
{
	ck_assert_ptr_eq(arg, told);
	ck_assert_uint_eq(object->structSize, sizeof *object);
	ck_assert_uint_lt(found_count, 40);
	found[found_count++] = *object;
}

static long check(void)
{
	long problems;

	look();
	told_count = found_count = 0;
	memset(told, 0, sizeof told);
	problems = SASObjectCheck(in, find, hear, told);
	if (problems >= 0)
		ck_assert_int_eq(problems, told_count);
	return problems;
}

static const SASObjectInfo *about(const void *object)
{
	for (unsigned i = 0; i < found_count; i++)
		if (found[i].address == object)
			return &found[i];
	return NULL;
}

static void expect_whole(void)
{
	long problems = check();

	ck_assert_msg(problems == 0, "%ld: %s", problems, problems < 0 ? SASLastErrorMessage() : told[0]);
}

/* --- arguments, and who may not look */

START_TEST(check_refuses_null_and_a_region_in_use)
{
	help_fails(SASObjectCheck(NULL, NULL, NULL, NULL) == -1, EINVAL, "NULL");
	look();
	ck_assert_int_eq(SASObjectCheck(in, NULL, NULL, NULL), 0);
	join();
	help_fails(SASObjectCheck(in, NULL, NULL, NULL) == -1, EBUSY, "1 process has joined");
	leave();
	ck_assert_int_eq(SASObjectCheck(in, NULL, NULL, NULL), 0);
}
END_TEST

START_TEST(type_names_of_ours_alone)
{
	ck_assert_str_eq(SASObjectTypeName(SAS_RUNTIME_SIMPLEHEAP), "simple heap");
	ck_assert_str_eq(SASObjectTypeName(SAS_RUNTIME_INDEX | 7), "index");
	ck_assert_ptr_null(SASObjectTypeName(OBJECTS_USER_TYPE));
	ck_assert_ptr_null(SASObjectTypeName(0));
}
END_TEST

/* --- bytes of the files */

static uint64_t base;

static int open_at(const void *address, uint64_t *offset)
{
	SASInspectInfo info = { .structSize = sizeof info };
	char name[32];
	int fd;

	look();
	help_succeeds(SASInspectGetInfo(in, &info) == 0);
	base = info.base;
	*offset = ((uint64_t)address - base) % info.segmentSize;
	snprintf(name, sizeof name, "SAS%05lX.DAT", ((uint64_t)address - base) / info.segmentSize);
	fd = open(help_path(store, name), O_RDWR);
	ck_assert_int_ge(fd, 0);
	return fd;
}

static uint64_t peek(const void *object, uint64_t at)
{
	uint64_t offset, word;
	int fd = open_at(object, &offset);

	ck_assert_int_eq(pread(fd, &word, sizeof word, (off_t)(offset + at)), sizeof word);
	close(fd);
	return word;
}

static void poke(const void *object, uint64_t at, uint64_t word)
{
	uint64_t offset;
	int fd = open_at(object, &offset);

	ck_assert_int_eq(pwrite(fd, &word, sizeof word, (off_t)(offset + at)), sizeof word);
	close(fd);
}

/* --- whole */

enum { NAMES = 64, ADDRESSES = 72, STATE = 80, VALUE = 88, STRING = 96, BYTES = 104, OLD = 112 };       /* in a context */

static void expect_object(const void *object, sas_type_t type, sas_reached_t reached)
{
	const SASObjectInfo *info = about(object);

	ck_assert_ptr_nonnull(info);
	ck_assert_uint_eq(info->type, type);
	ck_assert_uint_eq(info->reached, reached);
	ck_assert_uint_eq(info->problems, 0);
	ck_assert_uint_eq(info->toRecover, 0);
	ck_assert_uint_eq(info->checked, type != OBJECTS_USER_TYPE);
	ck_assert_uint_eq(info->size % 4096, 0);
}

START_TEST(check_of_whole_objects_finds_each_and_changes_nothing)
{
	uint64_t before = help_fingerprint(store);

	expect_whole();
	ck_assert_uint_eq(found_count, 10);
	expect_object(o.heap, SAS_RUNTIME_SIMPLEHEAP, SASReached__NOT);
	expect_object(o.stack, SAS_RUNTIME_SIMPLESTACK, SASReached__NOT);
	expect_object(o.space, SAS_RUNTIME_SIMPLESPACE, SASReached__NOT);
	expect_object(o.compound, SAS_RUNTIME_COMPOUNDHEAP, SASReached__NOT);
	expect_object(o.index, SAS_RUNTIME_INDEX, SASReached__FINDER);
	expect_object(o.strings, SAS_RUNTIME_STRINGBTREE, SASReached__CONTEXT);
	expect_object(o.context, SAS_RUNTIME_CONTEXT, SASReached__NOT);
	expect_object((void *)peek(o.context, NAMES), SAS_RUNTIME_STRINGBTREE, SASReached__CONTEXT);
	expect_object((void *)peek(o.context, ADDRESSES), SAS_RUNTIME_INDEX, SASReached__CONTEXT);
	expect_object(o.own, OBJECTS_USER_TYPE, SASReached__NOT);
	ck_assert_uint_ge(about(o.compound)->expansions, 4);
	ck_assert_uint_eq(about(o.compound)->size, (about(o.compound)->expansions + 1) * OBJECTS_BLOCK);
	ck_assert_uint_ge(about(o.index)->expansions, 1);
	ck_assert_uint_eq(help_fingerprint(store), before);
}
END_TEST

/* So many that the header page does not list them all. */
START_TEST(check_follows_the_list_of_further_expansions)
{
	SASCompoundHeap_t heap;

	join();
	heap = SASCompoundHeapCreatePageSize(8192, 4096);
	for (unsigned i = 0; i < 300; i++)
		ck_assert_msg(SASCompoundHeapAlloc(heap) != NULL, "%s", SASLastErrorMessage());
	leave();
	expect_whole();
	ck_assert_uint_eq(found_count, 11);
	ck_assert_uint_eq(about(heap)->expansions, 299);
}
END_TEST

START_TEST(finder_into_an_expansion_reaches_the_object)
{
	SASBlockHeader *expansion;

	join();
	expansion = SASCompoundHeapExpandCreate(o.compound);
	setSASFinder((char *)expansion + 5000);
	leave();
	expect_whole();
	ck_assert_uint_eq(about(o.compound)->reached, SASReached__FINDER);
	ck_assert_uint_eq(about(o.index)->reached, SASReached__NOT);
}
END_TEST

START_TEST(program_may_make_something_else_of_a_page)
{
	join();
	ck_assert_ptr_nonnull(SASSimpleHeapInit(o.page, SAS_RUNTIME_SIMPLEHEAP, OBJECTS_PAGE / 2));
	leave();
	expect_whole();
}
END_TEST

/* --- damaged */

/* With the word, a problem is told that says this. */
static void damage_to(const void *object, uint64_t at, uint64_t word, const char *says)
{
	int heard = 0;

	poke(object, at, word);
	ck_assert_msg(check() > 0, "%p + %lu: %s: %s", object, at, says, SASLastErrorMessage());
	for (unsigned i = 0; i < told_count && i < 40; i++)
		heard |= strstr(told[i], says) != NULL;
	ck_assert_msg(heard, "%p + %lu: not \"%s\": %s", object, at, says, told[0]);
}

/* Without it, none is. */
static void damage(const void *object, uint64_t at, uint64_t word, const char *says)
{
	uint64_t was = peek(object, at);

	damage_to(object, at, word, says);
	poke(object, at, was);
	expect_whole();
}

enum { SPECIAL = 0, TYPE = 16, SIZE = 32, FREE = 40, BASE = 48 };       /* in a SASBlockHeader */

START_TEST(damaged_headers_are_told)
{
	void *all[] = { o.heap, o.stack, o.space, o.compound, o.index, o.strings, o.context };

	for (unsigned i = 0; i < 7; i++) {
		damage(all[i], SIZE, 1UL << 40, "bytes");
		damage(all[i], SIZE, 0, "bytes");
		damage(all[i], SIZE, OBJECTS_BLOCK + 4096, "");
	}
	damage(o.heap, BASE, (uint64_t)o.stack, "belongs to");
	damage(o.space, BASE, 0, "belongs to");
	damage(o.index, BASE, (uint64_t)o.strings, "does not list it");
	damage(o.index, BASE, 0xfff0000000000000, "does not list it");
}
END_TEST

START_TEST(damaged_simple_objects_are_told)
{
	uint64_t first = peek(o.heap, FREE), inside = first - (uint64_t)o.heap;

	damage(o.heap, FREE, (uint64_t)o.heap + 64, "free ranges lead to");
	damage(o.heap, FREE, (uint64_t)o.heap + OBJECTS_BLOCK - 8, "free ranges lead to");
	damage(o.heap, FREE, 3, "free ranges lead to");
	damage(o.heap, inside, first, "free ranges lead to");                   /* a circle */
	damage(o.heap, inside, first + 100, "free ranges lead to");
	damage(o.heap, inside + 8, 0, "a free range of 0 bytes");
	damage(o.heap, inside + 8, ~0UL, "a free range of");
	damage(o.heap, inside + 8, 4096, "free ranges lead to");                /* over the next one */
	damage(o.heap, SIZE, 64, "has no room");
	damage(o.stack, 64, 4095, "filled up to");
	damage(o.stack, 64, 4104, "filled up to");
	damage(o.stack, 64, OBJECTS_BLOCK + 16, "filled up to");
	damage(o.space, 64, 0, "a space of 0 bytes");
	damage(o.space, 64, 1UL << 63, "a space of");
}
END_TEST

#define AT(field) (64 + offsetof(struct pages, field))
struct pages {          /* as doc/FORMAT.md has it */
	uint32_t page_size, first, count, expanding;
	int32_t load_factor;
	uint32_t reserved_1;
	uint64_t growing, expansions, further, reserved_2[2], listed[254];
};

START_TEST(damaged_blocks_of_pages_are_told)
{
	void *second = (void *)peek(o.compound, AT(listed[1]));
	uint64_t count = peek(o.compound, AT(expansions)), third = peek(o.compound, AT(listed[2]));

	damage(o.compound, AT(page_size), 7, "made of pages");
	damage(o.index, AT(count), 3, "made of pages");
	damage(o.compound, AT(load_factor), 101, "a load of");
	damage(o.compound, AT(expansions), 1UL << 60, "expansions");
	damage(o.compound, AT(expansions), count - 2, "does not list it");
	damage(o.compound, AT(expansions), count + 1, "listed as expansion");
	damage(o.compound, AT(listed[1]), 0, "listed as expansion");
	damage(o.compound, AT(listed[1]), third, "listed twice");
	damage(o.compound, AT(listed[1]), (uint64_t)o.compound, "listed as expansion");
	damage(o.compound, AT(listed[1]), (uint64_t)o.heap, "its header says something else");
	damage(o.compound, AT(listed[count]), (uint64_t)o.compound + 4096, "no block of");
	damage(o.compound, AT(listed[count]), (uint64_t)o.heap, "an object of its own");
	damage(o.compound, AT(further), (uint64_t)o.space, "has no header that says so");
	damage(o.compound, AT(further), (uint64_t)o.plain, "lists further expansions");
	damage(second, BASE, (uint64_t)o.index, "its header says something else");
	damage(second, TYPE, SAS_RUNTIME_INDEX, "its header says something else");
	damage(second, 8, 0, "its header says something else");
}
END_TEST

START_TEST(damaged_pages_are_told)
{
	damage(o.page, 64, 0, "a page is free, and has a header");
	damage(o.page, 64, 2, "neither free nor in use");
	damage(o.page, 8, 0, "a page is in use, and has no header");
	damage(o.page, SIZE, 2048, "the header of a page");
	damage(o.page, BASE, (uint64_t)o.index, "the header of a page");
	damage(o.page, FREE, (uint64_t)o.page + OBJECTS_PAGE, "free ranges lead to");
}
END_TEST

enum { ROOT = 3328 + 8, WORD = 3328, NODE_TYPE = 3328 + 24 };           /* the tree's own part of the header page */
enum { NODE_WORD = 80, NODE_FORM = 88, BITS = 128, PRINTS = 160 };      /* of a node */

/* Where the pointers to children begin in an inner node. */
static uint64_t children(const void *node)
{
	uint64_t count = peek(node, NODE_FORM) >> 32 & 0xffff;

	return 128 + (count / 16 + 15) / 16 * 64 + 8 * count;
}

static void *node_at(uint64_t pointer)
{
	return (void *)(pointer & ~0x1ffUL);
}

START_TEST(damaged_trees_are_told)
{
	void *trees[] = { o.index, o.strings };

	for (unsigned i = 0; i < 2; i++) {
		uint64_t at = peek(trees[i], ROOT), child;
		void *root = node_at(at), *leaf;

		damage(trees[i], ROOT, 0, "nothing leads to");
		damage(trees[i], ROOT, at + 512, "does not lead to a node");
		damage(trees[i], ROOT, (uint64_t)o.plain, "does not lead to a node");
		damage(trees[i], ROOT, ~0UL, "does not lead to a node");
		damage(trees[i], WORD, 0x8000000000000001, "where the tree begins");
		damage(trees[i], WORD, 12345678, "where the tree begins");
		damage(trees[i], NODE_TYPE, SAS_RUNTIME_SIMPLEHEAP, "where the tree begins");
		child = peek(root, children(root));
		damage(root, NODE_WORD, 0x8000000000000001, "does not lead to a node");
		damage(root, NODE_WORD, 98765432, "does not lead to a node");
		damage(root, TYPE, SAS_RUNTIME_SIMPLEHEAP, "does not lead to a node");
		damage(root, 64, 0, "a free page");
		damage(root, 64, 0x8000000000000001, "no note of a change");
		damage(root, children(root), at, "");                   /* a circle */
		damage(root, children(root) + 8, child, "");            /* twice */
		damage(root, children(root), 0, "does not lead to a node");
		damage(root, 128, 12345, "form of an inner node");      /* the first mark or head */
		for (leaf = root; peek(leaf, NODE_FORM) & 0xff;)
			leaf = node_at(peek(leaf, children(leaf)));
		ck_assert_ptr_ne(leaf, root);
		damage(leaf, NODE_FORM, 1, "");                         /* its level, and what it says of its form */
		damage(leaf, NODE_FORM, 0xffff0000, "");
		damage(leaf, NODE_FORM, 0x0001012c00010000, "form of a leaf");
		damage(leaf, PRINTS, ~peek(leaf, PRINTS), "by its fingerprint");
		damage(leaf, BITS + 24, ~0UL, "has no key");        /* slots that are not there */
	}
}
END_TEST

/* What has "name 3" and no other, and its string. */
static void *named, *its_name;

static void look_up(void)
{
	join();
	named = SPHContextFindByName(o.context, "name 3");
	its_name = SPHContextFindByAddr(o.context, named);
	ck_assert_str_eq(its_name, "name 3");
	leave();
}

START_TEST(damaged_contexts_are_told)
{
	uint64_t head = peek(o.context, FREE), name;

	look_up();
	name = peek(its_name, 0);
	damage(o.context, NAMES, 0, "no string tree of it");
	damage(o.context, ADDRESSES, 0, "no index of it");
	damage(o.context, NAMES, (uint64_t)o.plain, "no string tree of it");
	damage(o.context, NAMES, ~0UL, "no string tree of it");
	damage(o.context, NAMES, peek(o.context, NAMES) + 4096, "no string tree of it");
	damage(o.context, NAMES, (uint64_t)o.strings, "does not lead there");
	damage(o.context, ADDRESSES, (uint64_t)o.index, "is none of its names");
	damage(o.context, FREE, 3, "free ranges lead to");
	damage(o.context, STATE, 7, "state 7, which there is not");
	damage(its_name, 0, name ^ 1UL << 8, "is not that");
	damage(its_name, 0, 0, "is not that");
	damage(its_name, 0, name | 1UL << 56 | 1UL << 48, "is not that");               /* it ends later */
	ck_assert_uint_lt((uint64_t)its_name, head);
	poke(its_name, 0, head);
	poke(its_name, 8, 16);
	damage_to(o.context, FREE, (uint64_t)its_name, "or free");
	poke(o.context, FREE, head);
	poke(its_name, 0, name);
	poke(its_name, 8, 0);
	expect_whole();
	damage((void *)peek(o.context, NAMES), ROOT, 8, "is broken, so its names are not compared");
}
END_TEST

/* --- one direction of a context */

static void put(int here, const char *name, void *value)
{
	SASStringBTree_t names;

	join();
	names = (SASStringBTree_t)(uintptr_t)((uint64_t *)o.context)[NAMES / 8];
	SASStringBTreeRemove(names, name);
	if (here)
		ck_assert(SASStringBTreePut(names, name, value));
	leave();
}

static void put_first(uint64_t value, void *string)
{
	SASIndex_t addresses;
	SASIndexKey_t key;

	SASIndexKeyInitUInt64(&key, value);
	join();
	addresses = (SASIndex_t)(uintptr_t)((uint64_t *)o.context)[ADDRESSES / 8];
	SASIndexRemove(addresses, &key);
	if (string)
		ck_assert(SASIndexPut(addresses, &key, string));
	leave();
}

static void expect_told(long problems, const char *says)
{
	ck_assert_int_eq(check(), problems);
	ck_assert_msg(strstr(told[0], says) != NULL, "not \"%s\": %s", says, told[0]);
	ck_assert_uint_eq(about(o.context)->problems, (uint64_t)problems);
}

START_TEST(name_in_one_direction_is_told)
{
	look_up();
	put(0, "name 3", NULL);
	expect_told(1, "\"name 3\" is a name of");
	put(1, "name 3", o.heap);
	expect_told(2, "\"name 3\" is a name of");
	put(1, "name 3", named);
	expect_whole();
	put(1, "one too many\n", named);
	expect_told(1, "the name \"one too many?\" leads to");
	put(0, "one too many\n", NULL);
	put_first((uint64_t)named, NULL);
	expect_told(1, "and no first one");
	put_first((uint64_t)named, (char *)its_name + 16);
	expect_told(1, "is none of its names");
	put_first((uint64_t)named, its_name);
	expect_whole();
	put_first(77, its_name);
	expect_told(1, "the first name of 0x4d is none of its names");
}
END_TEST

/* With this note, that is half done and no problem; the next user of the context finishes it. */
static void expect_finished(uint64_t state)
{
	poke(o.context, STATE, state);
	expect_whole();
	ck_assert_uint_eq(about(o.context)->toRecover, 1);
	join();
	ck_assert_int_eq(SPHContextCheck(o.context, NULL, NULL), 0);
	ck_assert_ptr_null(SPHContextFindByName(o.context, "name 3"));
	ck_assert_ptr_null(SPHContextFindByAddr(o.context, named));
	ck_assert(SPHContextAddName(o.context, "name 3", named));
	leave();
	expect_whole();
	ck_assert_uint_eq(about(o.context)->toRecover, 0);
	look_up();
}

enum { RANGE = 2, UNDO = 3, REMOVE = 4, CLEAR = 5, DEAD = 6 };

START_TEST(note_of_a_context_covers_what_it_is_about)
{
	look_up();
	poke(o.context, VALUE, (uint64_t)named);
	poke(o.context, STRING, (uint64_t)its_name);
	poke(o.context, BYTES, 16);
	put(0, "name 3", NULL);
	expect_finished(UNDO);

	poke(o.context, OLD, (uint64_t)its_name);
	poke(o.context, STRING, 0);
	put(0, "name 3", NULL);
	put_first((uint64_t)named, NULL);
	expect_finished(REMOVE);

	put_first((uint64_t)named, NULL);
	put(0, "name 3", NULL);
	expect_finished(CLEAR);
}
END_TEST

START_TEST(note_of_a_context_that_cannot_be_is_told)
{
	uint64_t head = peek(o.context, FREE);

	look_up();
	poke(o.context, VALUE, (uint64_t)named);
	poke(o.context, STRING, 0);
	poke(o.context, OLD, 0);
	damage(o.context, STATE, RANGE, "noted as a name's");
	damage(o.context, STATE, UNDO, "noted as a name's");
	damage(o.context, STATE, REMOVE, "a name is noted that is not in the heap");
	poke(o.context, OLD, head);
	damage(o.context, STATE, REMOVE, "or free");
	poke(o.context, OLD, (uint64_t)its_name);
	poke(o.context, STRING, (uint64_t)its_name + 16);
	damage(o.context, STATE, REMOVE, "the next first name");
	poke(o.context, STRING, 5);
	poke(o.context, BYTES, 16);
	damage(o.context, STATE, CLEAR, "noted as a name's");
	poke(o.context, STRING, (uint64_t)its_name);
	poke(o.context, BYTES, OBJECTS_BLOCK);
	damage(o.context, STATE, RANGE, "noted as a name's");
	poke(o.context, BYTES, 16);
	put(0, "name 6", NULL);                         /* of another address */
	poke(o.context, STATE, UNDO);
	expect_told(1, "\"name 6\" is a name of");
}
END_TEST

START_TEST(many_problems_of_one_object_are_told_in_part)
{
	for (uint64_t page = 0; page < 11; page++)
		for (uint64_t at = 0; at < 2; at++)
			poke(o.compound, 4096 + page * OBJECTS_PAGE + (at ? 64 : 32), at ? 1 : 99999);
	for (uint64_t page = 0; page < 15; page++)
		poke((void *)peek(o.compound, AT(listed[0])), 4096 + page % 11 * OBJECTS_PAGE + 64, 77);
	for (unsigned i = 1; i < 3; i++)
		for (uint64_t page = 0; page < 11; page++)
			poke((void *)peek(o.compound, AT(listed[i])), 4096 + page * OBJECTS_PAGE + 64, 77);
	ck_assert_int_eq(check(), 21);
	ck_assert_ptr_nonnull(strstr(told[20], "more problems than these 20"));
	ck_assert_uint_eq(about(o.compound)->problems, 21);
}
END_TEST

/* --- trees, seen */

static uint64_t next_value;
static char last_key[64];
static unsigned seen;

static int see_number(const void *key, size_t size, uint64_t value, void *arg)
{
	const unsigned char *bytes = key;
	uint64_t n = 0;

	ck_assert_uint_eq(size, 8);
	for (unsigned i = 0; i < 8; i++)
		n = n << 8 | bytes[i];
	ck_assert_uint_eq(n, (value - 1) * 10);
	ck_assert_uint_ge(value, next_value);
	next_value = value + 1;
	seen++;
	return seen == *(unsigned *)arg ? 77 : 0;
}

static int see_string(const void *key, size_t size, uint64_t value, void *arg)
{
	char string[64] = "";

	ck_assert_uint_lt(size, sizeof string);
	memcpy(string, key, size);
	ck_assert_int_gt(strcmp(string, last_key), 0);
	ck_assert_uint_eq(value, strtoul(string + 4, NULL, 10) + 1);
	strcpy(last_key, string);
	seen++;
	(void)arg;
	return 0;
}

START_TEST(trees_are_described)
{
	SASTreeInfo info = { .structSize = sizeof info }, live = { .structSize = sizeof live };

	look();
	help_succeeds(SASObjectTreeInfo(in, o.index, &info) == 0);
	ck_assert_uint_eq(info.keys, OBJECTS_KEYS / 5 * 4);
	ck_assert_uint_eq(info.keyBytes, info.keys * 8);
	ck_assert_uint_ge(info.depth, 2);
	ck_assert_uint_eq(info.pageSize, OBJECTS_PAGE);
	ck_assert_uint_gt(info.leafPercent, 20);
	ck_assert_uint_le(info.leafPercent, 100);
	join();
	help_succeeds(SASIndexGetInfo(o.index, &live) == 0);
	ck_assert_mem_eq(&live, &info, sizeof info);
	look();
	help_succeeds(SASObjectTreeInfo(in, o.index, &info) == 0);               /* in use */
	ck_assert_mem_eq(&live, &info, sizeof info);
	leave();
	look();
	help_succeeds(SASObjectTreeInfo(in, o.strings, &info) == 0);
	ck_assert_uint_eq(info.keys, OBJECTS_STRINGS);
}
END_TEST

static void see(const void *tree, const void *from, size_t size, SASObjectKey_t key, unsigned stop, int result, unsigned count)
{
	next_value = seen = 0;
	last_key[0] = '\0';
	ck_assert_int_eq(SASObjectTreeKeys(in, tree, from, size, key, &stop), result);
	ck_assert_uint_eq(seen, count);
}

START_TEST(keys_are_seen_in_order)
{
	look();
	see(o.index, NULL, 0, see_number, 0, 0, OBJECTS_KEYS / 5 * 4);
	see(o.index, NULL, 0, see_number, 5, 77, 5);
	see(o.index, "\0\0\0\0\0\0\x61\xa8", 8, see_number, 0, 0, 0);           /* 25000 */
	see(o.index, "\0\0\0\0\0\0\x61\x9e", 8, see_number, 0, 0, 1);           /* 24990, the last one */
	see(o.index, "\0\0\0\0\0\0\x60", 7, see_number, 0, 0, 34);              /* 24576 */
	see(o.index, "", 0, see_number, 1, 77, 1);
	see(o.strings, NULL, 0, see_string, 0, 0, OBJECTS_STRINGS);
	see(o.strings, "key 000599", 10, see_string, 0, 0, 1);
	see(o.strings, "key 0005", 8, see_string, 0, 0, 100);
	see(o.strings, "l", 1, see_string, 0, 0, 0);
}
END_TEST

START_TEST(what_is_no_tree_is_refused)
{
	SASTreeInfo info = { .structSize = sizeof info };
	unsigned stop = 0;
	void *root;

	look();
	help_fails(SASObjectTreeInfo(in, o.heap, &info) == -1, EINVAL, "no index or string tree");
	help_fails(SASObjectTreeInfo(in, NULL, &info) == -1, EINVAL, "no index or string tree");
	help_fails(SASObjectTreeInfo(in, (void *)-8, &info) == -1, EINVAL, "no index or string tree");
	help_fails(SASObjectTreeInfo(NULL, o.index, &info) == -1, EINVAL, "NULL");
	help_fails(SASObjectTreeInfo(in, o.index, NULL) == -1, EINVAL, "structSize");
	help_fails(SASObjectTreeKeys(in, o.index, NULL, 0, NULL, NULL) == -1, EINVAL, "nobody");
	help_fails(SASObjectTreeKeys(in, o.plain, NULL, 0, see_number, &stop) == -1, EINVAL, "no index");
	root = node_at(peek(o.index, ROOT));
	poke(root, children(root), 8);
	help_fails(SASObjectTreeInfo(in, o.index, &info) == -1, EUCLEAN, "index", "is broken", "does not lead");
	next_value = seen = 0;
	help_fails(SASObjectTreeKeys(in, o.index, NULL, 0, see_number, &stop) == -1, EUCLEAN, "index", "is broken");
	poke(root, children(root), peek(o.index, ROOT));
	help_fails(SASObjectTreeKeys(in, o.index, NULL, 0, see_number, &stop) == -1, EUCLEAN, "index", "is broken");
}
END_TEST

/* --- what the dead left */

#define WORKERS 3

static void work(int ready, unsigned seed)
{
	SASSimpleHeap_t page[16] = { 0 };
	SASIndexKey_t key;
	char string[40], other[42];

	join();
	for (unsigned n = seed;; n = n * 1103515245 + 12345) {
		SASSimpleHeap_t *p = &page[n >> 16 & 15];

		SASIndexKeyInitUInt64(&key, n >> 8 & 0xffff);
		if (!SASIndexRemove(o.index, &key))
			SASIndexPut(o.index, &key, o.heap);
		snprintf(string, sizeof string, "%.*s%u", (int)(n >> 20 & 15), "a common beginning", n >> 8 & 0xfff);
		if (!SASStringBTreeRemove(o.strings, string))
			SASStringBTreePut(o.strings, string, o.heap);
		if (*p) {
			SASCompoundHeapFree(o.compound, *p);
			*p = NULL;
		} else {
			*p = SASCompoundHeapAlloc(o.compound);
		}
		snprintf(string, sizeof string, "worker %u %u", seed, n >> 8 & 15);
		if (SPHContextAddAlias(o.context, string, o.own))
			SPHContextRename(o.context, string, strcat(strcpy(other, string), "'"), o.own);
		else if (SPHContextRemoveByName(o.context, string) != 0 && (n >> 12 & 15) == 0)
			SPHContextRemoveByAddr(o.context, o.own);
		SASSimpleHeapFree(o.heap, SASSimpleHeapAlloc(o.heap, 16 + (n >> 24)), 16 + (n >> 24));
		if (write(ready, "", 1) != 1)
			_exit(1);
	}
}

/* Killed when they have done so much; nobody joins before the check. */
START_TEST(what_the_killed_left_is_no_problem)
{
	long rounds = help_size(3, 12, 200);
	uint64_t to_recover = 0;

	for (long round = 0; round < rounds; round++) {
		pid_t workers[WORKERS];
		int pipes[2];
		char byte;

		ck_assert_int_eq(pipe(pipes), 0);
		for (unsigned i = 0; i < WORKERS; i++) {
			workers[i] = fork();
			if (workers[i] == 0)
				work(pipes[1], (unsigned)(round * WORKERS + i + 1) * 2654435761U);
		}
		close(pipes[1]);
		for (long n = 0; n < 200 + round * 37 % 400; n++)
			ck_assert_int_eq(read(pipes[0], &byte, 1), 1);
		for (unsigned i = 0; i < WORKERS; i++)
			kill(workers[i], SIGKILL);
		for (unsigned i = 0; i < WORKERS; i++)
			waitpid(workers[i], NULL, 0);
		close(pipes[0]);
		expect_whole();
		for (unsigned i = 0; i < found_count; i++)
			to_recover += found[i].toRecover;
	}
	join();
	ck_assert_int_eq(objects_use(&o), 0);
	leave();
	expect_whole();
	printf("%ld rounds, %lu things left to recover\n", rounds, to_recover);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("object");
	TCase *c = help_case(s, "check");

	tcase_add_checked_fixture(c, objects_begin, objects_end);
	tcase_add_test(c, check_refuses_null_and_a_region_in_use);
	tcase_add_test(c, type_names_of_ours_alone);
	tcase_add_test(c, check_of_whole_objects_finds_each_and_changes_nothing);
	tcase_add_test(c, check_follows_the_list_of_further_expansions);
	tcase_add_test(c, finder_into_an_expansion_reaches_the_object);
	tcase_add_test(c, program_may_make_something_else_of_a_page);
	tcase_add_test(c, damaged_headers_are_told);
	tcase_add_test(c, damaged_simple_objects_are_told);
	tcase_add_test(c, damaged_blocks_of_pages_are_told);
	tcase_add_test(c, damaged_pages_are_told);
	tcase_add_test(c, damaged_trees_are_told);
	tcase_add_test(c, damaged_contexts_are_told);
	tcase_add_test(c, name_in_one_direction_is_told);
	tcase_add_test(c, note_of_a_context_covers_what_it_is_about);
	tcase_add_test(c, note_of_a_context_that_cannot_be_is_told);
	tcase_add_test(c, many_problems_of_one_object_are_told_in_part);
	c = help_case(s, "trees");
	tcase_add_checked_fixture(c, objects_begin, objects_end);
	tcase_add_test(c, trees_are_described);
	tcase_add_test(c, keys_are_seen_in_order);
	tcase_add_test(c, what_is_no_tree_is_refused);
	c = help_case(s, "deaths");
	tcase_add_checked_fixture(c, objects_begin, objects_end);
	help_add_death(c, what_the_killed_left_is_no_problem);
	return help_main(s);
}
