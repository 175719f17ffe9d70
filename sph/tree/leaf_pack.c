/* SPDX-License-Identifier: MIT */
/* leaf_pack.c - leaves out of entries in order: how much room they take, where things come to lie, and whether they do. */
#include <config.h>

#include "leaf.h"

static size_t round8(size_t size)
{
	return (size + 7) & ~(size_t)7;
}

static size_t sum_of_sizes(const struct sph_entry *entries, unsigned count, int *equal)
{
	size_t sum = 0;

	*equal = 1;
	for (unsigned i = 0; i < count; i++) {
		sum += entries[i].key.size;
		*equal &= entries[i].key.size == entries[0].key.size;
	}
	return sum;
}

static size_t body_size(size_t slots, size_t width, size_t records)
{
	if (width != SPH_VARIES)
		return SPH_LEAF_PRINTS + round8(slots) + slots * 8 + slots * width + SPH_LEAF_SLACK;
	return SPH_LEAF_PRINTS + round8(slots) + slots * 10 + records;
}

static size_t common_of(const struct sph_entry *entries, unsigned count)
{
	return count > 1 ? sph_key_common(entries[0].key, entries[count - 1].key) : 0;
}

/* Of each key. */
static size_t width_of(unsigned count, size_t common, size_t sum, int alike)
{
	return alike && count ? sum / count - common : SPH_VARIES;
}

static size_t records_of(unsigned count, size_t common, size_t sum)
{
	return sum - count * common + count * SPH_RECORD_HEAD;
}

size_t sph_leaf_bytes(unsigned count, size_t common, size_t sum, int alike)
{
	if (count > SPH_SLOTS)
		return (size_t)-1;
	return body_size(count, width_of(count, common, sum, alike), records_of(count, common, sum)) + common;
}

size_t sph_leaf_size(const struct sph_entry *entries, unsigned count)
{
	int alike;
	size_t sum = sum_of_sizes(entries, count, &alike);

	return sph_leaf_bytes(count, common_of(entries, count), sum, alike);
}

/* Where the keys are of one length, room for as many as go in; else for as many of their mean size. The entries fit. */
static void plan(const struct sph_entry *entries, unsigned count, size_t page, struct sph_leaf_form *f)
{
	size_t sum, records, mean;
	int alike;

	sum = sum_of_sizes(entries, count, &alike);
	f->prefix = common_of(entries, count);
	f->width = width_of(count, f->prefix, sum, alike);
	records = records_of(count, f->prefix, sum);
	mean = f->width != SPH_VARIES ? f->width : count ? records / count + 2 : 16;
	f->slots = (page - SPH_LEAF_PRINTS - f->prefix) / (9 + mean);
	if (f->slots > SPH_SLOTS)
		f->slots = SPH_SLOTS;
	while (f->slots > count && body_size(f->slots, f->width, records) + f->prefix > page)
		f->slots--;
	if (f->slots < count)
		f->slots = count;
	f->values = SPH_LEAF_PRINTS + round8(f->slots);
	f->keys = f->values + f->slots * 8;
}

int sph_leaf_is_sound(const struct sph_node *leaf, size_t page)
{
	struct sph_leaf_form f;

	if (!sph_leaf_read_form(leaf, page, &f) || f.prefix != leaf->n.prefix || f.values != SPH_LEAF_PRINTS + round8(f.slots) ||
	    f.keys != f.values + f.slots * 8)
		return 0;
	if (f.width != SPH_VARIES)
		return 1;
	if (leaf->n.heap < f.prefix || leaf->n.heap > page - f.keys - 2 * f.slots)
		return 0;
	for (unsigned slot = 0; slot < f.slots; slot++)
		if ((sph_leaf_bits(leaf, slot / 64) >> slot % 64 & 1) &&
		    (*sph_leaf_offset_at(leaf, &f, slot) > leaf->n.heap || *sph_leaf_offset_at(leaf, &f, slot) < f.prefix + SPH_RECORD_HEAD))
			return 0;
	return 1;
}

void sph_leaf_pack(struct sph_node *leaf, size_t page, const struct sph_entry *entries, unsigned count)
{
	struct sph_leaf_form f;

	plan(entries, count, page, &f);
	memset(&leaf->n, 0, page - offsetof(struct sph_node, n));
	leaf->n.prefix = (uint16_t)f.prefix;
	leaf->n.count = (uint16_t)f.slots;
	leaf->n.width = (uint16_t)f.width;
	leaf->n.values = (uint16_t)(f.values / 8);
	leaf->n.keys = (uint16_t)f.keys;
	leaf->n.heap = (uint16_t)f.prefix;
	if (f.prefix)
		memcpy((char *)leaf + page - f.prefix, entries[0].key.bytes, f.prefix);
	for (unsigned i = 0; i < count; i++) {
		struct sph_key suffix = { entries[i].key.bytes + f.prefix, entries[i].key.size - f.prefix };
		uint64_t hash = sph_key_hash(entries[i].key);
		unsigned slot = (unsigned)sph_leaf_free_slot(leaf, f.slots, hash);

		sph_leaf_put_entry(leaf, page, &f, slot, suffix, hash, entries[i].value);
		leaf->body.bits[slot / 64] |= 1ULL << slot % 64;
	}
}
