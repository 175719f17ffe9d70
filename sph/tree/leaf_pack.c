/* SPDX-License-Identifier: MIT */
/* leaf_pack.c - leaves out of entries in order: how much room they take, where things come to lie, and whether they do. */
#include <config.h>

#include "leaf.h"

#define PADDING 108     /* percent: so much may keys of the longest one's room take of what they would take as records */

struct sizes {
	size_t sum, least, most;
};

static struct sizes sizes_of(const struct sph_entry *entries, unsigned count)
{
	struct sizes s = { .least = (size_t)-1 };

	for (unsigned i = 0; i < count; i++) {
		size_t size = entries[i].key.size;

		s.sum += size;
		s.least = size < s.least ? size : s.least;
		s.most = size > s.most ? size : s.most;
	}
	return s;
}

/* Where the keys are of one length, or nearly so, room for as many as go in; else for as many of their mean size. The
 * size that they need. */
static size_t plan(const struct sph_entry *entries, unsigned count, size_t page, struct sph_leaf_form *f)
{
	const struct sizes s = sizes_of(entries, count);
	size_t records, needed, mean, far, room;

	f->prefix = count > 1 ? sph_prefix_worth(sph_key_common(entries[0].key, entries[count - 1].key), count) : 0;
	far = sph_prefix_far(f->prefix);
	records = s.sum - count * f->prefix + count * SPH_RECORD_HEAD;
	room = s.most - f->prefix + 1;
	f->padded = s.least < s.most && room <= 255 && count * room * 100 <= (records + 2 * count) * PADDING &&
		    sph_leaf_bytes(count, room, 0) + far <= page - 8;
	f->width = !count ? SPH_VARIES : s.least == s.most ? s.most - f->prefix : f->padded ? room : SPH_VARIES;
	needed = sph_leaf_bytes(count, f->width, records) + far;
	mean = f->width != SPH_VARIES ? f->width : count ? records / count + 2 : 16;
	f->slots = needed > page ? count : (page - SPH_LEAF_PRINTS - far) / (9 + mean);
	if (f->slots > SPH_SLOTS)
		f->slots = SPH_SLOTS;
	while (f->slots > count && sph_leaf_bytes(f->slots, f->width, records) + far > page)
		f->slots--;
	if (f->slots < count)
		f->slots = count;
	return count > SPH_SLOTS ? (size_t)-1 : needed;
}

int sph_leaf_is_sound(const struct sph_node *leaf, size_t page)
{
	struct sph_leaf_form f;
	size_t ends;

	if (!sph_leaf_read_form(leaf, page, &f) || !f.slots || f.prefix != leaf->n.prefix)
		return 0;
	if (f.padded > 1 || (f.padded && (f.width == SPH_VARIES || !f.width)))
		return 0;
	if (f.width != SPH_VARIES)
		return 1;
	ends = 8 * f.slots + sph_prefix_far(f.prefix);
	if (leaf->n.heap < ends || leaf->n.heap > page - sph_leaf_keys(f.slots) - 2 * f.slots)
		return 0;
	for (unsigned slot = 0; slot < f.slots; slot++)
		if ((sph_leaf_bits(leaf, slot / 64) >> slot % 64 & 1) &&
		    (*sph_leaf_offset_at(leaf, &f, slot) > leaf->n.heap || *sph_leaf_offset_at(leaf, &f, slot) < ends + SPH_RECORD_HEAD))
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
	leaf->n.padded = (uint8_t)f.padded;
	leaf->n.heap = (uint16_t)(8 * f.slots + sph_prefix_far(f.prefix));
	if (f.prefix)
		memcpy((char *)(uintptr_t)sph_node_prefix(leaf, page, f.prefix), entries[0].key.bytes, f.prefix);
	for (unsigned i = 0; i < count; i++) {
		struct sph_key suffix = { entries[i].key.bytes + f.prefix, entries[i].key.size - f.prefix };
		uint64_t hash = sph_key_hash(entries[i].key);
		unsigned slot = (unsigned)sph_leaf_free_slot(leaf, f.slots, hash);

		sph_leaf_put_entry(leaf, page, &f, slot, suffix, hash, entries[i].value);
		leaf->body.bits[slot / 64] |= 1ULL << slot % 64;
	}
}
