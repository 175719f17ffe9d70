/* SPDX-License-Identifier: MIT */
/*
 * leaf_order.c - leaves in the order of their keys: a leaf's slots are in none.
 *
 * Entries are sorted as words: some bits of the key, which tell most of them apart, above the slot. So sorting them compares and moves
 * numbers, and looks at no key. Where those bits are alike the next ones follow.
 */
#include <config.h>

#include "leaf.h"

struct order {
	const struct sph_node *leaf;
	struct sph_leaf_form f;
	uint16_t start[SPH_SLOTS], size[SPH_SLOTS];     /* of the suffix in a slot */
	uint64_t words[SPH_SLOTS], other[SPH_SLOTS];    /* what is in order; and beside that */
};

#define SLOT_BITS 8U
_Static_assert(SPH_SLOTS == 1U << SLOT_BITS, "a slot goes into a word's low bits");
#define SLOT_MASK ((1ULL << SLOT_BITS) - 1)

/* Keys that are numbers, to be read without looking for them. */
static inline int is_short(const struct sph_leaf_form *f)
{
	return f->width && f->width <= 8 && !f->padded;
}

/* The entries as they stand. */
static unsigned collect(struct order *o, const struct sph_node *leaf, size_t page)
{
	const struct sph_leaf_form f = o->f;
	unsigned count = 0;

	for (unsigned g = 0; g * 64 < f.slots; g++)
		for (uint64_t bits = sph_leaf_bits(leaf, g); bits; bits &= bits - 1) {
			unsigned slot = g * 64 + (unsigned)__builtin_ctzll(bits);

			if (slot >= f.slots)
				break;
			if (!is_short(&f)) {
				struct sph_key suffix = sph_leaf_suffix_at(leaf, page, &f, slot);

				if (!suffix.bytes)
					continue;
				o->start[slot] = (uint16_t)(suffix.bytes - (const unsigned char *)leaf);
				o->size[slot] = (uint16_t)suffix.size;
			}
			o->words[count++] = slot;
		}
	return count;
}

/* --- sorting words, no two of which are the same */

#define RUN 32U
#define MANY (2 * RUN)

/* Each comes behind as many as are below it. So many comparisons, but none is a branch that nobody can foretell, and four words
 * at a time do not wait for one another. */
static void sort_run(const uint64_t *from, uint64_t *to, unsigned count)
{
	unsigned i = 0;

	for (; i + 4 <= count; i += 4) {
		const uint64_t w0 = from[i], w1 = from[i + 1], w2 = from[i + 2], w3 = from[i + 3];
		unsigned n0 = 0, n1 = 0, n2 = 0, n3 = 0;

		for (unsigned j = 0; j < count; j++) {
			const uint64_t word = from[j];

			n0 += word < w0;
			n1 += word < w1;
			n2 += word < w2;
			n3 += word < w3;
		}
		to[n0] = w0;
		to[n1] = w1;
		to[n2] = w2;
		to[n3] = w3;
	}
	for (; i < count; i++) {
		unsigned below = 0;

		for (unsigned j = 0; j < count; j++)
			below += from[j] < from[i];
		to[below] = from[i];
	}
}

/* Of two runs, one behind the other. */
static void merge(const uint64_t *from, uint64_t *to, unsigned middle, unsigned count)
{
	unsigned i = 0, j = middle, k = 0;

	while (i < middle && j < count) {
		unsigned second = from[j] < from[i];

		to[k++] = from[second ? j : i];
		j += second;
		i += !second;
	}
	memcpy(to + k, from + i, (middle - i) * sizeof *to);
	memcpy(to + k + (middle - i), from + j, (count - j) * sizeof *to);
}

/* A merge sort, bottom up (Knuth, TAOCP 3, 5.2.4). */
static void sort_by_runs(uint64_t *from, uint64_t *to, unsigned count)
{
	uint64_t *const words = to;

	for (unsigned low = 0; low < count; low += RUN)
		sort_run(from + low, to + low, count - low < RUN ? count - low : RUN);
	for (unsigned run = RUN; run < count; run *= 2) {
		uint64_t *merged = from;

		for (unsigned low = 0; low < count; low += 2 * run) {
			unsigned left = count - low;

			merge(to + low, merged + low, run < left ? run : left, 2 * run < left ? 2 * run : left);
		}
		from = to;
		to = merged;
	}
	if (to != words)
		memcpy(words, to, count * sizeof *words);
}

/* Roughly into order by their highest byte: a distribution count (5.2, algorithm D). How many are alike in it at most. Not all
 * are: the counters are bytes, summed up 8 at a time by a product; one that overflows stands behind all words. */
static unsigned distribute(const uint64_t *from, uint64_t *to, unsigned count)
{
	union {
		uint8_t of[256];
		uint64_t eight[32];
	} at = { { 0 } };
	uint64_t sum = 0;
	unsigned most = 0;

	for (unsigned i = 0; i < count; i++) {
		unsigned alike = ++at.of[from[i] >> 56];

		most = alike > most ? alike : most;
	}
	for (unsigned i = 0; i < 32; i++) {
		uint64_t sums = le64toh(at.eight[i]) * 0x0101010101010101ULL;

		at.eight[i] = htole64((sums << 8) + sum * 0x0101010101010101ULL);
		sum += sums >> 56;
	}
	for (unsigned i = 0; i < count; i++)
		to[at.of[from[i] >> 56]++] = from[i];
	return most;
}

/* What is nearly in order. A first pass, without a branch that depends on the words, brings most of them to their places. */
static void sort_nearly(uint64_t *words, unsigned count)
{
	uint64_t last = words[0];

	for (unsigned i = 1; i < count; i++) {
		uint64_t word = words[i];

		words[i - 1] = word < last ? word : last;
		last = word < last ? last : word;
	}
	words[count - 1] = last;
	for (unsigned i = 1; i < count; i++) {
		uint64_t word = words[i];
		unsigned j = i;

		for (; j > 0 && word < words[j - 1]; j--)
			words[j] = words[j - 1];
		words[j] = word;
	}
}

/* Words that are spread evenly are nearly in order once they are distributed: each moves a few places at most. */
static void sort(uint64_t *from, uint64_t *to, unsigned count)
{
	if (count > MANY && distribute(from, to, count) <= 16)
		sort_nearly(to, count);
	else
		sort_by_runs(from, to, count);
}

/* --- words of keys */

/* Numbers that go into words, in `other`. */
struct span {
	uint64_t low, high;
	size_t shortest;                /* of the keys */
};

static inline void widen(struct span *s, uint64_t number)
{
	s->low = number < s->low ? number : s->low;
	s->high = number > s->high ? number : s->high;
}

static struct span heads_of_short(struct order *o, const uint64_t *words, unsigned count)
{
	const unsigned char *keys = (const unsigned char *)o->leaf + sph_leaf_keys(o->f.slots);
	const size_t width = o->f.width;
	const uint64_t mask = ~0ULL << (64 - 8 * width);
	struct span s = { ~0ULL, 0, width };

	for (unsigned i = 0; i < count; i++) {
		uint64_t head = be64toh(sph_racy_u64(keys + (words[i] & SLOT_MASK) * width)) & mask;

		o->other[i] = head;
		widen(&s, head);
	}
	return s;
}

/* 8 bytes of each, as sph_head8() has them. Fewer are read with what stands before them in the leaf. */
static struct span heads_of_long(struct order *o, const uint64_t *words, unsigned count, size_t depth)
{
	const unsigned char *leaf = (const unsigned char *)o->leaf;
	struct span s = { ~0ULL, 0, ~0UL };

	for (unsigned i = 0; i < count; i++) {
		const unsigned slot = words[i] & SLOT_MASK;
		const size_t size = o->size[slot], left = size > depth ? size - depth : 0;
		const unsigned char *end = leaf + o->start[slot] + size;
		uint64_t head = 0;

		if (left >= 8)
			head = be64toh(sph_racy_u64(end - left));
		else if (left)
			head = be64toh(sph_racy_u64(end - 8)) << 8 * (8 - left);
		o->other[i] = head;
		widen(&s, head);
		s.shortest = size < s.shortest ? size : s.shortest;
	}
	return s;
}

/* Of keys that are alike in 8 bytes, where zeros stand for what is behind their ends: the shorter one is before the longer one. */
static struct span ends(struct order *o, const uint64_t *words, unsigned count, size_t depth)
{
	struct span s = { ~0ULL, 0, 0 };

	for (unsigned i = 0; i < count; i++) {
		size_t size = o->size[words[i] & SLOT_MASK];

		o->other[i] = size < depth + 9 ? size : depth + 9;
		widen(&s, o->other[i]);
	}
	return s;
}

/* What tells these keys apart, which are alike below *depth: the first 8 bytes that are not the same of all, if none of them ends
 * before; else their ends. */
static struct span tell_apart(struct order *o, const uint64_t *words, unsigned count, size_t *depth)
{
	struct span s;

	if (is_short(&o->f))
		return heads_of_short(o, words, count);
	for (;;) {
		s = heads_of_long(o, words, count, *depth);
		if (s.low >> 56 != s.high >> 56 || s.shortest <= *depth + 8)
			break;
		*depth += s.low == s.high ? 8 : (unsigned)__builtin_clzll(s.low ^ s.high) / 8;
	}
	return s.low == s.high ? ends(o, words, count, *depth) : s;
}

/* Keys that are alike below `depth`. Many are distributed, for which their numbers had better begin at 0. */
static void sort_from(struct order *o, uint64_t *words, unsigned count, size_t depth)
{
	const struct span s = tell_apart(o, words, count, &depth);
	const uint64_t base = count > MANY ? s.low : 0;
	unsigned shift, alike;

	if (s.low == s.high)
		return;                 /* only where they are damaged */
	shift = (unsigned)__builtin_clzll((s.low - base) ^ (s.high - base));
	for (unsigned i = 0; i < count; i++)
		o->other[i] = ((o->other[i] - base) << shift & ~SLOT_MASK) | (words[i] & SLOT_MASK);
	sort(o->other, words, count);
	if (is_short(&o->f) && 8 * o->f.width + SLOT_BITS <= 64 + shift)
		return;                 /* all of their bits have been compared */
	/* Those that are alike in all but the last of the bytes, or, where a carry may have come into these, in most. There are fewer
	 * of them each time, so this ends. */
	for (unsigned i = 0; i < count; i += alike) {
		for (alike = 1; i + alike < count && words[i] >> SLOT_BITS == words[i + alike] >> SLOT_BITS;)
			alike++;
		if (alike > 1)
			sort_from(o, words + i, alike, base ? depth : depth + 7);
	}
}

/* All entries into `words`. How many. */
static unsigned put_in_order(struct order *o, const struct sph_node *leaf, size_t page)
{
	unsigned count;

	o->leaf = leaf;
	if (!sph_leaf_read_form(leaf, page, &o->f))
		return 0;
	count = collect(o, leaf, page);
	if (count > 1)
		sort_from(o, o->words, count, 0);
	return count;
}

unsigned sph_leaf_slots(const struct sph_node *leaf, size_t page, uint8_t *slots)
{
	struct order o;
	unsigned count = put_in_order(&o, leaf, page);

	for (unsigned i = 0; i < count; i++)
		slots[i] = (uint8_t)(o.words[i] & SLOT_MASK);
	return count;
}

uint64_t sph_leaf_value(const struct sph_node *leaf, size_t page, unsigned slot)
{
	struct sph_leaf_form f;

	return sph_leaf_read_form(leaf, page, &f) && slot < f.slots ? *sph_leaf_value_at(leaf, page, slot) : 0;
}

unsigned sph_leaf_order(const struct sph_node *leaf, size_t page, struct sph_entry *entries)
{
	struct order o;
	unsigned count = put_in_order(&o, leaf, page);

	for (unsigned i = 0; i < count; i++) {
		struct sph_entry *e = &entries[i];

		e->slot = (unsigned)(o.words[i] & SLOT_MASK);
		e->key = sph_leaf_suffix_at(leaf, page, &o.f, e->slot);
		e->head = sph_head8(e->key.bytes, e->key.size);
		e->value = *sph_leaf_value_at(leaf, page, e->slot);
	}
	return count;
}

/* --- for who looks at each entry once */

/* Whole keys of up to 8 bytes are made in a register and stored at once: who reads them so does not wait for the store. */
static int each_short(const struct sph_node *leaf, size_t page, const struct sph_leaf_form *f, const uint8_t *slots, unsigned count,
		      unsigned char *bytes, int (*each)(struct sph_key key, uint64_t value, void *arg), void *arg)
{
	const unsigned char *keys = (const unsigned char *)leaf + sph_leaf_keys(f->slots);
	const uint64_t prefix = sph_head8(bytes, f->prefix), mask = ~0ULL << (64 - 8 * f->width);
	int result = 0;

	for (unsigned i = 0; i < count && !result; i++) {
		uint64_t key = htobe64(prefix | (be64toh(sph_racy_u64(keys + slots[i] * f->width)) & mask) >> 8 * f->prefix);

		memcpy(bytes, &key, sizeof key);
		result = each((struct sph_key){ bytes, f->prefix + f->width }, *sph_leaf_value_at(leaf, page, slots[i]), arg);
	}
	return result;
}

/* Short ones by pieces of a size that the compiler knows, which takes the bytes behind them along. */
static inline void copy_suffix(unsigned char *to, struct sph_key suffix)
{
	if (suffix.size > 4 * SPH_EACH_SLACK) {
		memcpy(to, suffix.bytes, suffix.size);
		return;
	}
	for (size_t at = 0; at < suffix.size; at += SPH_EACH_SLACK)
		memcpy(to + at, suffix.bytes + at, SPH_EACH_SLACK);
}

int sph_leaf_each(const struct sph_node *leaf, size_t page, const uint8_t *slots, unsigned count, unsigned char *bytes,
		  int (*each)(struct sph_key key, uint64_t value, void *arg), void *arg)
{
	struct sph_leaf_form f;
	int result = 0;

	if (!sph_leaf_read_form(leaf, page, &f))
		return 0;
	memcpy(bytes, sph_node_prefix(leaf, page, f.prefix), f.prefix);
	if (is_short(&f) && f.prefix + f.width <= 8)
		return each_short(leaf, page, &f, slots, count, bytes, each, arg);
	for (unsigned i = 0; i < count && !result; i++) {
		struct sph_key suffix = sph_leaf_suffix_at(leaf, page, &f, slots[i]);

		copy_suffix(bytes + f.prefix, suffix);
		result = each((struct sph_key){ bytes, f.prefix + suffix.size }, *sph_leaf_value_at(leaf, page, slots[i]), arg);
	}
	return result;
}
