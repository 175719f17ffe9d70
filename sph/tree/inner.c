/* SPDX-License-Identifier: MIT */
/*
 * inner.c - inner nodes: finding a child, packing one. They do not change, but for their pointers to children.
 */
#include <config.h>

#include "node.h"

struct form {
	size_t prefix, count;
	const uint32_t *heads;
	const uint16_t *offsets;
};

/* As a reader may use it: whatever the bytes say, it lies within the page. 0: they cannot be an inner node's. */
static inline int read_form(const struct sph_node *inner, size_t page, struct form *f)
{
	f->prefix = sph_node_prefix_size(inner, page);
	f->count = __atomic_load_n(&inner->n.count, __ATOMIC_RELAXED);
	f->heads = (const uint32_t *)(const void *)&inner->body.child[f->count + 1];
	f->offsets = (const uint16_t *)(const void *)&f->heads[f->count];
	return SPH_NODE_BODY + f->count * 14 + 10 + f->prefix <= page;
}

static inline struct sph_key suffix_at(const struct sph_node *inner, size_t page, const struct form *f, size_t i)
{
	size_t from = __atomic_load_n(&f->offsets[i], __ATOMIC_RELAXED), to = __atomic_load_n(&f->offsets[i + 1], __ATOMIC_RELAXED);

	if (to > page || from > to)
		from = to = 0;
	return (struct sph_key){ (const unsigned char *)inner + from, to - from };
}

struct sph_key sph_inner_suffix(const struct sph_node *inner, size_t page, unsigned i)
{
	struct form f;

	if (!read_form(inner, page, &f) || i >= f.count)
		return (struct sph_key){ NULL, 0 };
	return suffix_at(inner, page, &f, i);
}

/* How many heads are below, or (`too`) not above, this one. Without a branch that depends on them. */
static inline size_t heads_below(const struct form *f, uint32_t head, int too)
{
	const uint32_t *low = f->heads;
	size_t count = f->count;

	if (!count)
		return 0;
	while (count > 1) {
		size_t half = count / 2;
		uint32_t at = __atomic_load_n(&low[half - 1], __ATOMIC_RELAXED);

		low += (too ? at <= head : at < head) ? half : 0;
		count -= half;
	}
	return (size_t)(low - f->heads) + (too ? __atomic_load_n(low, __ATOMIC_RELAXED) <= head : __atomic_load_n(low, __ATOMIC_RELAXED) < head);
}

static inline int racy_compare(struct sph_key a, struct sph_key b)
{
	int c = sph_racy_compare(a.bytes, b.bytes, a.size < b.size ? a.size : b.size);

	return c ? c : a.size < b.size ? -1 : a.size > b.size;
}

/* The child is that after all separators at or below the key, or, for what is below the key, after those below it. */
unsigned sph_inner_find(const struct sph_node *inner, size_t page, struct sph_key key, int below)
{
	struct sph_key suffix;
	struct form f;
	uint32_t head;
	size_t low, high;
	int c;

	if (!read_form(inner, page, &f))
		return 0;
	if (f.prefix) {
		c = sph_racy_compare(key.bytes, sph_node_prefix(inner, page, f.prefix), key.size < f.prefix ? key.size : f.prefix);
		if (c || key.size < f.prefix)
			return c > 0 ? (unsigned)f.count : 0;
	}
	suffix = (struct sph_key){ key.bytes + f.prefix, key.size - f.prefix };
	head = sph_head4(suffix.bytes, suffix.size);
	low = heads_below(&f, head, 0);
	if (low == f.count || __atomic_load_n(&f.heads[low], __ATOMIC_RELAXED) != head)
		return (unsigned)low;
	for (high = heads_below(&f, head, 1); low < high;) {
		size_t middle = (low + high) / 2;

		c = racy_compare(suffix_at(inner, page, &f, middle), suffix);
		if (below ? c < 0 : c <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return (unsigned)low;
}

unsigned sph_inner_last(const struct sph_node *inner, size_t page)
{
	struct form f;

	return read_form(inner, page, &f) ? (unsigned)f.count : 0;
}

int sph_inner_is_sound(const struct sph_node *inner, size_t page)
{
	struct form f;
	size_t at;

	if (!read_form(inner, page, &f) || f.prefix != inner->n.prefix)
		return 0;
	at = SPH_NODE_BODY + f.count * 14 + 10;
	for (size_t i = 0; i < f.count; i++) {
		struct sph_key suffix = suffix_at(inner, page, &f, i);

		if (f.offsets[i] != at || f.heads[i] != sph_head4(suffix.bytes, suffix.size))
			return 0;
		at += suffix.size;
	}
	return f.offsets[f.count] == at && at + f.prefix <= page;
}

/* --- packing */

static size_t prefix_of(const struct sph_entry *separators, unsigned count)
{
	return count > 1 ? sph_key_common(separators[0].key, separators[count - 1].key) : 0;
}

size_t sph_inner_size(const struct sph_entry *separators, unsigned count)
{
	size_t sum = 0;

	for (unsigned i = 0; i < count; i++)
		sum += separators[i].key.size;
	return sph_inner_bytes(count, prefix_of(separators, count), sum);
}

void sph_inner_pack(struct sph_node *inner, size_t page, unsigned level, uint64_t leftmost, const struct sph_entry *separators, unsigned count)
{
	size_t prefix = prefix_of(separators, count), at = SPH_NODE_BODY + count * 14UL + 10;
	uint64_t *child = inner->body.child;
	uint32_t *head = (uint32_t *)(void *)(child + count + 1);
	uint16_t *offset = (uint16_t *)(void *)(head + count);

	memset(&inner->n, 0, page - offsetof(struct sph_node, n));
	inner->n.level = (uint8_t)level;
	inner->n.prefix = (uint16_t)prefix;
	inner->n.count = (uint16_t)count;
	if (prefix)
		memcpy((char *)inner + page - prefix, separators[0].key.bytes, prefix);
	child[0] = leftmost;
	for (unsigned i = 0; i < count; i++) {
		struct sph_key suffix = { separators[i].key.bytes + prefix, separators[i].key.size - prefix };

		child[i + 1] = separators[i].value;
		head[i] = sph_head4(suffix.bytes, suffix.size);
		offset[i] = (uint16_t)at;
		memcpy((char *)inner + at, suffix.bytes, suffix.size);
		at += suffix.size;
	}
	offset[count] = (uint16_t)at;
}
