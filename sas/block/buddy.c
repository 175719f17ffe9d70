/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <string.h>
#include "buddy.h"

static uint64_t words_for(uint64_t bits)
{
	return (bits + 63) / 64;
}

static uint32_t orders_for(uint64_t units)
{
	uint32_t orders = 1;

	while (orders < SAS_BUDDY_ORDERS && units >> orders)
		orders++;
	return orders;
}

/* Where each bitmap starts; gives the words of all. */
static uint64_t place(uint64_t units, uint32_t orders, uint32_t *bits, uint32_t *summary)
{
	uint64_t at = 0;

	for (uint32_t k = 0; k < orders; k++) {
		uint64_t words = words_for(units >> k);

		bits[k] = (uint32_t)at;
		at += words;
		summary[k] = (uint32_t)at;
		at += words_for(words);
	}
	return at;
}

size_t sas_buddy_size(uint64_t units)
{
	uint32_t bits[SAS_BUDDY_ORDERS], summary[SAS_BUDDY_ORDERS];

	return sizeof(struct sas_buddy) + 8 * (size_t)place(units, orders_for(units), bits, summary);
}

void sas_buddy_format(struct sas_buddy *b, uint64_t units)
{
	uint64_t words;

	memset(b, 0, sizeof *b);
	b->units = units;
	b->orders = orders_for(units);
	words = place(units, b->orders, b->bits, b->summary);
	memset(b->words, 0, words * 8);
}

static int is_free(const struct sas_buddy *b, uint64_t run, uint32_t k)
{
	return (int)(b->words[b->bits[k] + run / 64] >> (run % 64) & 1);
}

static void set_free(struct sas_buddy *b, uint64_t run, uint32_t k)
{
	uint64_t word = run / 64;

	b->words[b->bits[k] + word] |= 1ULL << (run % 64);
	b->words[b->summary[k] + word / 64] |= 1ULL << (word % 64);
	b->count[k]++;
}

static void clear_free(struct sas_buddy *b, uint64_t run, uint32_t k)
{
	uint64_t word = run / 64;

	b->words[b->bits[k] + word] &= ~(1ULL << (run % 64));
	if (b->words[b->bits[k] + word] == 0)
		b->words[b->summary[k] + word / 64] &= ~(1ULL << (word % 64));
	b->count[k]--;
}

uint32_t sas_buddy_give(struct sas_buddy *b, uint64_t unit, uint32_t order)
{
	uint64_t run = unit >> order;

	b->free_units += 1ULL << order;
	while (order + 1 < b->orders && (run ^ 1) < b->units >> order && is_free(b, run ^ 1, order)) {
		clear_free(b, run ^ 1, order);
		run >>= 1;
		order++;
	}
	set_free(b, run, order);
	return order;
}

void sas_buddy_give_range(struct sas_buddy *b, uint64_t from, uint64_t to)
{
	while (from < to) {
		uint32_t k = from ? (uint32_t)__builtin_ctzll(from) : 63;

		if (k > b->orders - 1)
			k = b->orders - 1;
		while (from + (1ULL << k) > to)
			k--;
		sas_buddy_give(b, from, k);
		from += 1ULL << k;
	}
}

/* The first set bit at or after `bit`, by the summary. */
static int64_t find_bit(const struct sas_buddy *b, uint32_t k, uint64_t bit)
{
	const uint64_t *bits = b->words + b->bits[k], *summary = b->words + b->summary[k];
	uint64_t words = words_for(b->units >> k), word = bit / 64, found;

	if (word >= words)
		return -1;
	found = bits[word] & ~0ULL << (bit % 64);
	if (found)
		return (int64_t)(word * 64 + (uint64_t)__builtin_ctzll(found));
	word++;
	for (uint64_t s = word / 64; s < words_for(words); s++) {
		found = summary[s];
		if (s == word / 64)
			found &= ~0ULL << (word % 64);
		if (found) {
			word = s * 64 + (uint64_t)__builtin_ctzll(found);
			return (int64_t)(word * 64 + (uint64_t)__builtin_ctzll(bits[word]));
		}
	}
	return -1;
}

int64_t sas_buddy_next(const struct sas_buddy *b, uint32_t order, uint64_t unit)
{
	int64_t run;

	if (order >= b->orders)
		return -1;
	run = find_bit(b, order, (unit + (1ULL << order) - 1) >> order);
	return run < 0 ? -1 : run << order;
}

int64_t sas_buddy_take(struct sas_buddy *b, uint32_t order, uint32_t *from)
{
	uint32_t k = order;
	int64_t run;

	while (k < b->orders && b->count[k] == 0)
		k++;
	if (k >= b->orders)
		return -1;
	run = find_bit(b, k, 0);
	if (run < 0)
		return -1;
	*from = k;
	clear_free(b, (uint64_t)run, k);
	b->free_units -= 1ULL << order;
	while (k > order) {
		k--;
		run <<= 1;
		set_free(b, (uint64_t)run + 1, k);
	}
	return run << order;
}
