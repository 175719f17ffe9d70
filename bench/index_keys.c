/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "index_keys.h"

#define LONGEST 128U

/* A permutation of the 64-bit numbers (Steele and others' SplitMix): no two keys are the same. */
static uint64_t scatter(uint64_t x)
{
	x += 0x9e3779b97f4a7c15U;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
	return x ^ (x >> 31);
}

static size_t random_string(char *to, uint64_t n)
{
	static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz-";
	uint64_t high = scatter(n), low = scatter(high);

	for (unsigned i = 0; i < 10; i++) {
		to[i] = digits[high >> (6 * i) & 63];
		to[10 + i] = digits[low >> (6 * i) & 63];
	}
	to[20] = 0;
	return 20;
}

/* 2,000 hosts, 160 sections in each, pages in months. */
static size_t url(char *to, uint64_t n)
{
	static const char *const hosts[] = { "www", "news", "shop", "archive", "static" };
	static const char *const sections[] = { "articles", "products", "users", "images", "reviews", "topics", "media", "search" };
	uint64_t r = scatter(n);

	return (size_t)snprintf(to, LONGEST, "https://%s.s%03u.example.org/%s/%02u/2%03u/%02u/%08x.html", hosts[r % 5],
				(unsigned)(r >> 8) % 400, sections[r >> 20 & 7], (unsigned)(r >> 24) % 20, (unsigned)(r >> 32) % 26,
				(unsigned)(r >> 40) % 12 + 1, (unsigned)n * 2654435761U);
}

static size_t (*const text_of[KEY_SETS])(char *to, uint64_t n) = { NULL, random_string, url };

/* Copies, their strings one after the other. */
static struct index_key *in_this_order(const struct key_set *set, const struct index_key *keys)
{
	struct index_key *copy = allocate(set->count * sizeof *copy);
	size_t size = 0;
	char *text;

	memcpy(copy, keys, set->count * sizeof *copy);
	if (set->kind == NUMBERS)
		return copy;
	for (size_t i = 0; i < set->count; i++)
		size += keys[i].size + 1;
	text = allocate(size);
	for (size_t i = 0; i < set->count; i++) {
		memcpy(text, keys[i].bytes, keys[i].size + 1);
		copy[i].bytes = text;
		text += keys[i].size + 1;
	}
	return copy;
}

static void free_keys(struct key_set *set, struct index_key *keys)
{
	if (set->kind == STRINGS)
		free((void *)(uintptr_t)keys[0].bytes);
	free(keys);
}

static struct index_key *make_keys(struct key_set *set, unsigned which, uint64_t from)
{
	struct index_key *keys = allocate(set->count * sizeof *keys), *packed;
	char (*text)[LONGEST] = text_of[which] ? allocate(set->count * LONGEST) : NULL;

	for (size_t i = 0; i < set->count; i++) {
		keys[i].value = from + i + 1;
		keys[i].size = sizeof keys[i].number;
		if (text) {
			keys[i].size = text_of[which](text[i], from + i);
			keys[i].bytes = text[i];
		} else
			keys[i].number = scatter(from + i);
	}
	packed = in_this_order(set, keys);
	free(text);
	free(keys);
	return packed;
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = ((const struct index_key *)a)->number, y = ((const struct index_key *)b)->number;

	return x < y ? -1 : x > y;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(((const struct index_key *)a)->bytes, ((const struct index_key *)b)->bytes);
}

void key_set_make(struct key_set *set, unsigned which, size_t count)
{
	static const char *const names[KEY_SETS] = { "8-byte numbers", "strings of 20 bytes", "URLs" };
	struct index_key *keys = allocate(count * sizeof *keys);
	size_t size = 0;

	*set = (struct key_set){ .name = names[which], .kind = text_of[which] ? STRINGS : NUMBERS, .count = count };
	set->random = make_keys(set, which, 0);
	set->absent = make_keys(set, which, count);
	memcpy(keys, set->random, count * sizeof *keys);
	for (size_t i = count; i-- > 1;) {
		size_t other = scatter(~i) % (i + 1);
		struct index_key key = keys[i];

		keys[i] = keys[other];
		keys[other] = key;
	}
	set->look = in_this_order(set, keys);
	qsort(keys, count, sizeof *keys, set->kind == STRINGS ? by_text : by_number);
	set->ordered = in_this_order(set, keys);
	free(keys);
	for (size_t i = 0; i < count; i++) {
		size += set->ordered[i].size;
		set->sum = index_fold(set->sum, set->ordered[i].value);
	}
	set->mean_size = (double)size / (double)count;
}

void key_set_free(struct key_set *set)
{
	free_keys(set, set->random);
	free_keys(set, set->look);
	free_keys(set, set->ordered);
	free_keys(set, set->absent);
}
