/* SPDX-License-Identifier: MIT */
/* leaf_order.c - leaves in the order of their keys: a leaf's slots are in none. */
#include <config.h>

#include "leaf.h"

struct place {
	uint64_t head;
	unsigned slot;
};

static inline int before(const struct sph_node *leaf, size_t page, const struct sph_leaf_form *f, struct place a, struct place b)
{
	if (a.head != b.head)
		return a.head < b.head;
	return sph_key_compare(sph_leaf_suffix_at(leaf, page, f, a.slot), sph_leaf_suffix_at(leaf, page, f, b.slot)) < 0;
}

/* The entries as they stand. */
static unsigned collect(const struct sph_node *leaf, size_t page, const struct sph_leaf_form *f, struct place *places)
{
	const uint64_t mask = f->width && f->width <= 8 && !f->padded ? ~0ULL << (64 - 8 * f->width) : 0;
	unsigned count = 0;

	for (unsigned g = 0; g * 64 < f->slots; g++)
		for (uint64_t bits = sph_leaf_bits(leaf, g); bits; bits &= bits - 1) {
			unsigned slot = g * 64 + (unsigned)__builtin_ctzll(bits);
			struct sph_key key;

			if (slot >= f->slots)
				break;
			key = sph_leaf_suffix_at(leaf, page, f, slot);
			if (!key.bytes)
				continue;
			places[count].head = mask ? be64toh(sph_racy_u64(key.bytes)) & mask : sph_head8(key.bytes, key.size);
			places[count++].slot = slot;
		}
	return count;
}

/* Roughly into order by the 8 highest bits in which they differ: a distribution count (Knuth, TAOCP 3, 5.2, algorithm
 * D). How many are alike in these at most. */
static unsigned distribute(const struct place *from, struct place *to, unsigned count)
{
	uint64_t low = ~0ULL, high = 0;
	uint16_t at[257] = { 0 };
	unsigned shift, most = 0;

	for (unsigned i = 0; i < count; i++) {
		low = from[i].head < low ? from[i].head : low;
		high = from[i].head > high ? from[i].head : high;
	}
	shift = high - low > 255 ? 56U - (unsigned)__builtin_clzll(high - low) : 0;
	for (unsigned i = 0; i < count; i++)
		at[((from[i].head - low) >> shift) + 1]++;
	for (unsigned i = 1; i < 257; i++) {
		most = at[i] > most ? at[i] : most;
		at[i] = (uint16_t)(at[i] + at[i - 1]);
	}
	for (unsigned i = 0; i < count; i++)
		to[at[(from[i].head - low) >> shift]++] = from[i];
	return most;
}

#define RUN 16U

/* Within runs of so many. */
static void sort_runs(const struct sph_node *leaf, size_t page, const struct sph_leaf_form *f, struct place *places, unsigned count, unsigned run)
{
	for (unsigned first = 0; first < count; first += run)
		for (unsigned i = first + 1; i < count && i < first + run; i++) {
			struct place p = places[i];
			unsigned j = i;

			for (; j > first && before(leaf, page, f, p, places[j - 1]); j--)
				places[j] = places[j - 1];
			places[j] = p;
		}
}

/* A merge sort, bottom up (5.2.4). The array in which the result is. */
static struct place *merge_runs(const struct sph_node *leaf, size_t page, const struct sph_leaf_form *f, struct place *from, struct place *to, unsigned count)
{
	for (unsigned run = RUN; run < count; run *= 2) {
		struct place *swap = from;

		for (unsigned low = 0; low < count; low += 2 * run) {
			unsigned middle = low + run < count ? low + run : count, high = low + 2 * run < count ? low + 2 * run : count;
			unsigned i = low, j = middle, k = low;

			while (i < middle && j < high)
				to[k++] = before(leaf, page, f, from[j], from[i]) ? from[j++] : from[i++];
			while (i < middle)
				to[k++] = from[i++];
			while (j < high)
				to[k++] = from[j++];
		}
		from = to;
		to = swap;
	}
	return from;
}

/* Keys that are spread evenly are nearly in order once they are distributed: each moves a few places at most. */
static struct place *sort(const struct sph_node *leaf, size_t page, const struct sph_leaf_form *f, struct place *from, struct place *to, unsigned count)
{
	unsigned most = distribute(from, to, count);

	sort_runs(leaf, page, f, to, count, most <= RUN ? count : RUN);
	return most <= RUN ? to : merge_runs(leaf, page, f, to, from, count);
}

static unsigned places_in_order(const struct sph_node *leaf, size_t page, const struct sph_leaf_form *f, struct place *some, struct place *other,
				struct place **sorted)
{
	unsigned count = collect(leaf, page, f, some);

	*sorted = count ? sort(leaf, page, f, some, other, count) : some;
	return count;
}

unsigned sph_leaf_slots(const struct sph_node *leaf, size_t page, uint8_t *slots)
{
	struct place some[SPH_SLOTS], other[SPH_SLOTS], *sorted;
	struct sph_leaf_form f;
	unsigned count;

	if (!sph_leaf_read_form(leaf, page, &f))
		return 0;
	count = places_in_order(leaf, page, &f, some, other, &sorted);
	for (unsigned i = 0; i < count; i++)
		slots[i] = (uint8_t)sorted[i].slot;
	return count;
}

uint64_t sph_leaf_value(const struct sph_node *leaf, size_t page, unsigned slot)
{
	struct sph_leaf_form f;

	return sph_leaf_read_form(leaf, page, &f) && slot < f.slots ? *sph_leaf_value_at(leaf, page, slot) : 0;
}

unsigned sph_leaf_order(const struct sph_node *leaf, size_t page, struct sph_entry *entries)
{
	struct place some[SPH_SLOTS], other[SPH_SLOTS], *sorted;
	struct sph_leaf_form f;
	unsigned count;

	if (!sph_leaf_read_form(leaf, page, &f))
		return 0;
	count = places_in_order(leaf, page, &f, some, other, &sorted);
	for (unsigned i = 0; i < count; i++) {
		struct sph_entry *e = &entries[i];

		e->head = sorted[i].head;
		e->slot = sorted[i].slot;
		e->key = sph_leaf_suffix_at(leaf, page, &f, e->slot);
		e->value = *sph_leaf_value_at(leaf, page, e->slot);
	}
	return count;
}

/* The same in pairs of key and value, for who looks at each of them once. */
int sph_leaf_each(const struct sph_node *leaf, size_t page, const uint8_t *slots, unsigned count, unsigned char *bytes,
		  int (*each)(struct sph_key key, uint64_t value, void *arg), void *arg)
{
	struct sph_leaf_form f;
	int result = 0;

	if (!sph_leaf_read_form(leaf, page, &f))
		return 0;
	memcpy(bytes, sph_node_prefix(leaf, page, f.prefix), f.prefix);
	for (unsigned i = 0; i < count && !result; i++) {
		struct sph_key suffix = sph_leaf_suffix_at(leaf, page, &f, slots[i]);

		if (f.width == 8)
			memcpy(bytes + f.prefix, suffix.bytes, 8);
		else
			memcpy(bytes + f.prefix, suffix.bytes, suffix.size);
		result = each((struct sph_key){ bytes, f.prefix + suffix.size }, *sph_leaf_value_at(leaf, page, slots[i]), arg);
	}
	return result;
}
