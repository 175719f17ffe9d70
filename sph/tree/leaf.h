/* SPDX-License-Identifier: MIT */
/*
 * leaf.h - where things are in a leaf: what leaf.c (finding, adding, dropping), leaf_order.c (in order) and leaf_pack.c (packing)
 * share. node.h has the picture, and what others call.
 */
#ifndef SPH_LEAF_H
#define SPH_LEAF_H

#include "node.h"

#define SPH_RECORD_HEAD 2U              /* bytes before a record's key: its length */
#define SPH_LEAF_SLACK 8U               /* keys of up to 8 bytes are read by 8 */

struct sph_leaf_form {
	size_t prefix, slots, width;
	int padded;
};

static inline size_t sph_leaf_keys(size_t slots)
{
	return SPH_LEAF_PRINTS + ((slots + 7) & ~(size_t)7);
}
/* What so many slots take, and at most so many bytes of a record each. */
static inline size_t sph_leaf_bytes(size_t slots, size_t width, size_t records)
{
	return sph_leaf_keys(slots) + slots * 8 + (width == SPH_VARIES ? slots * 2 + records : slots * width + SPH_LEAF_SLACK);
}

/* As a reader may use it: whatever the bytes say, it lies within the page. 0: they cannot be a leaf's. */
static inline int sph_leaf_read_form(const struct sph_node *leaf, size_t page, struct sph_leaf_form *f)
{
	f->prefix = sph_node_prefix_size(leaf, page);
	f->slots = __atomic_load_n(&leaf->n.count, __ATOMIC_RELAXED);
	f->width = __atomic_load_n(&leaf->n.width, __ATOMIC_RELAXED);
	f->padded = __atomic_load_n(&leaf->n.padded, __ATOMIC_RELAXED);
	return f->slots <= SPH_SLOTS && sph_leaf_bytes(f->slots, f->width, 0) + sph_prefix_far(f->prefix) <= page &&
	       (f->width == SPH_VARIES || f->prefix + f->width <= page / 4 + 1);
}

static inline uint64_t *sph_leaf_value_at(const struct sph_node *leaf, size_t page, unsigned slot)
{
	return (uint64_t *)(void *)((char *)(uintptr_t)leaf + page) - 1 - slot;
}

static inline uint8_t *sph_leaf_print_at(const struct sph_node *leaf, unsigned slot)
{
	return (uint8_t *)(uintptr_t)leaf + SPH_LEAF_PRINTS + slot;
}

static inline uint16_t *sph_leaf_offset_at(const struct sph_node *leaf, const struct sph_leaf_form *f, unsigned slot)
{
	return (uint16_t *)(void *)((char *)(uintptr_t)leaf + sph_leaf_keys(f->slots)) + slot;
}

/* Whether a key of this length has room in each slot. */
static inline int sph_leaf_takes(const struct sph_leaf_form *f, size_t size)
{
	if (f->width == SPH_VARIES)
		return size >= f->prefix;
	return f->padded ? size >= f->prefix && size - f->prefix < f->width : size == f->prefix + f->width;
}

/* The key in a slot without the prefix; NULL bytes: what stands there is none. */
static inline struct sph_key sph_leaf_suffix_at(const struct sph_node *leaf, size_t page, const struct sph_leaf_form *f, unsigned slot)
{
	const unsigned char *end = (const unsigned char *)leaf + page;
	size_t offset;
	uint16_t size;

	if (f->width != SPH_VARIES) {
		const unsigned char *at = (const unsigned char *)leaf + sph_leaf_keys(f->slots) + slot * f->width;

		if (!f->padded)
			return (struct sph_key){ at, f->width };
		size = __atomic_load_n(at, __ATOMIC_RELAXED);
		return size < f->width ? (struct sph_key){ at + 1, size } : (struct sph_key){ NULL, 0 };
	}
	offset = __atomic_load_n(sph_leaf_offset_at(leaf, f, slot), __ATOMIC_RELAXED);
	if (offset < SPH_RECORD_HEAD || offset > page - SPH_NODE_BODY)
		return (struct sph_key){ NULL, 0 };
	sph_racy_copy(&size, end - offset, sizeof size);
	if (size > offset - SPH_RECORD_HEAD || f->prefix + size > page / 4)
		return (struct sph_key){ NULL, 0 };
	return (struct sph_key){ end - offset + SPH_RECORD_HEAD, size };
}

static inline uint64_t sph_leaf_bits(const struct sph_node *leaf, unsigned group)
{
	return __atomic_load_n(&leaf->body.bits[group], __ATOMIC_ACQUIRE);
}

/* A free slot, near its home if it can be. -1: none. */
int sph_leaf_free_slot(const struct sph_node *leaf, size_t slots, uint64_t hash);
/* Into a slot that does not count. */
void sph_leaf_put_entry(struct sph_node *leaf, size_t page, const struct sph_leaf_form *f, unsigned slot, struct sph_key suffix, uint64_t hash,
			uint64_t value);

#endif
