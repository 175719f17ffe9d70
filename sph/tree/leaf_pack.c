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

/* Where the keys are of one length, room for as many as go in; else for as many of their mean size. The size that
 * they need. */
static size_t plan(const struct sph_entry *entries, unsigned count, size_t page, struct sph_leaf_form *f)
{
	size_t sum, records, needed, mean;
	int equal;

	sum = sum_of_sizes(entries, count, &equal);
	f->prefix = count > 1 ? sph_key_common(entries[0].key, entries[count - 1].key) : 0;
	f->width = equal && count ? entries[0].key.size - f->prefix : SPH_VARIES;
	records = sum - count * f->prefix + count * SPH_RECORD_HEAD;
	needed = body_size(count, f->width, records) + f->prefix;
	mean = f->width != SPH_VARIES ? f->width : count ? records / count + 2 : 16;
	f->slots = needed > page ? count : (page - SPH_LEAF_PRINTS - f->prefix) / (9 + mean);
	if (f->slots > SPH_SLOTS)
		f->slots = SPH_SLOTS;
	while (f->slots > count && body_size(f->slots, f->width, records) + f->prefix > page)
		f->slots--;
	if (f->slots < count)
		f->slots = count;
	f->values = SPH_LEAF_PRINTS + round8(f->slots);
	f->keys = f->values + f->slots * 8;
	return count > SPH_SLOTS ? (size_t)-1 : needed;
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

size_t sph_leaf_size(const struct sph_entry *entries, unsigned count, size_t page)
{
	struct sph_leaf_form f;

	return plan(entries, count, page, &f);
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
