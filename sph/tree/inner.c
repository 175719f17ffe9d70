/* SPDX-License-Identifier: MIT */
/*
 * inner.c - inner nodes: finding a child, packing one. They do not change, but for their pointers to children.
 */
#include <config.h>

#include "node.h"

struct form {
	size_t prefix, count;
	const uint32_t *heads, *seconds;
	const uint16_t *skips, *offsets;
};

/* As a reader may use it: whatever the bytes say, it lies within the page. 0: they cannot be an inner node's. */
static inline int read_form(const struct sph_node *inner, size_t page, struct form *f)
{
	f->prefix = sph_node_prefix_size(inner, page);
	f->count = __atomic_load_n(&inner->n.count, __ATOMIC_RELAXED);
	f->heads = (const uint32_t *)(const void *)((const char *)inner + sph_inner_heads(f->count));
	f->seconds = (const uint32_t *)(const void *)((const char *)inner + sph_inner_seconds(f->count));
	f->skips = (const uint16_t *)(const void *)((const char *)inner + sph_inner_skips(f->count));
	f->offsets = (const uint16_t *)(const void *)((const char *)inner + sph_inner_offsets(f->count));
	return sph_inner_texts(f->count) + sph_prefix_far(f->prefix) <= page;
}

static inline uint64_t child_at(const struct sph_node *inner, const struct form *f, size_t i)
{
	const char *children = (const char *)inner + sph_inner_children(f->count);

	return __atomic_load_n((const uint64_t *)(const void *)children + i, __ATOMIC_ACQUIRE);
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

typedef uint32_t four_heads __attribute__((vector_size(16)));

/* How many of the next 16, at most `count`, are below this one: all are compared. */
static inline size_t below16(const uint32_t *heads, size_t count, uint32_t head)
{
	const uint32_t most = count < 16 ? (uint32_t)count : 16;
	four_heads place = { 0, 1, 2, 3 }, below = { 0 };

	for (unsigned i = 0; i < 16; i += 4, place += 4) {
		four_heads h;

		sph_racy_copy(&h, heads + i, sizeof h);
		below -= (four_heads)(h < head) & (four_heads)(place < most);
	}
	return below[0] + below[1] + below[2] + below[3];
}

/* How many are below this one. What is read behind the last one lies within the page: children follow. */
static size_t below_in(const uint32_t *heads, size_t count, uint32_t head)
{
	const uint32_t *low = heads;

	while (count > 16) {
		size_t half = count / 2;

		low += __atomic_load_n(&low[half - 1], __ATOMIC_RELAXED) < head ? half : 0;
		count -= half;
	}
	return (size_t)(low - heads) + below16(low, count, head);
}

/* The same of the node's heads: by the marks first, so that few lines are touched. */
static size_t heads_below(const struct sph_node *inner, const struct form *f, uint32_t head)
{
	size_t first = f->count < 16 ? 0 : 16 * below_in(inner->body.marks, f->count / 16, head);

	return first + below16(f->heads + first, f->count - first, head);
}

static inline int racy_compare(struct sph_key a, struct sph_key b)
{
	int c = sph_racy_compare(a.bytes, b.bytes, a.size < b.size ? a.size : b.size);

	return c ? c : a.size < b.size ? -1 : a.size > b.size;
}

/* Among the separators from `low` on that have the key's head. */
static size_t find_in_run(const struct sph_node *inner, size_t page, const struct form *f, struct sph_key suffix, uint32_t head, size_t low, int below)
{
	size_t skip = __atomic_load_n(&f->skips[low], __ATOMIC_RELAXED), high = head == ~0U ? f->count : heads_below(inner, f, head + 1);
	/* Where somebody stores, the end may be before the beginning. */
	const size_t count = high > low ? high - low : 0;
	struct sph_key first = suffix_at(inner, page, f, low);
	uint32_t second;
	int c;

	if (skip > first.size)
		skip = first.size;
	c = sph_racy_compare(suffix.bytes, first.bytes, suffix.size < skip ? suffix.size : skip);
	if (c || suffix.size < skip)
		return c > 0 ? high : low;
	second = sph_head4(suffix.bytes + skip, suffix.size - skip);
	high = low + (second == ~0U ? count : below_in(f->seconds + low, count, second + 1));
	low += below_in(f->seconds + low, count, second);
	while (low < high) {
		size_t middle = (low + high) / 2;

		c = racy_compare(suffix_at(inner, page, f, middle), suffix);
		if (below ? c < 0 : c <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The child is that after all separators at or below the key, or, for what is below the key, after those below it. */
static size_t find(const struct sph_node *inner, size_t page, const struct form *f, struct sph_key key, int below)
{
	struct sph_key suffix;
	uint32_t head;
	size_t low;
	int c;

	if (f->prefix) {
		c = sph_racy_compare(key.bytes, sph_node_prefix(inner, page, f->prefix), key.size < f->prefix ? key.size : f->prefix);
		if (c || key.size < f->prefix)
			return c > 0 ? f->count : 0;
	}
	suffix = (struct sph_key){ key.bytes + f->prefix, key.size - f->prefix };
	head = sph_head4(suffix.bytes, suffix.size);
	low = heads_below(inner, f, head);
	if (low == f->count || __atomic_load_n(&f->heads[low], __ATOMIC_RELAXED) != head)
		return low;
	return find_in_run(inner, page, f, suffix, head, low, below);
}

unsigned sph_inner_find(const struct sph_node *inner, size_t page, struct sph_key key, int below, uint64_t *child)
{
	struct form f;
	size_t i;

	if (!read_form(inner, page, &f)) {
		*child = 0;
		return 0;
	}
	i = find(inner, page, &f, key, below);
	*child = child_at(inner, &f, i);
	return (unsigned)i;
}

unsigned sph_inner_last(const struct sph_node *inner, size_t page)
{
	struct form f;

	return read_form(inner, page, &f) ? (unsigned)f.count : 0;
}

uint64_t sph_inner_child(const struct sph_node *inner, size_t page, unsigned i)
{
	struct form f;

	return read_form(inner, page, &f) && i <= f.count ? child_at(inner, &f, i) : 0;
}

/* --- packing */

static size_t prefix_of(const struct sph_entry *separators, unsigned count)
{
	return count > 1 ? sph_prefix_worth(sph_key_common(separators[0].key, separators[count - 1].key), count) : 0;
}

size_t sph_inner_size(const struct sph_entry *separators, unsigned count)
{
	size_t sum = 0;

	for (unsigned i = 0; i < count; i++)
		sum += separators[i].key.size;
	return sph_inner_bytes(count, prefix_of(separators, count), sum);
}

/* Of the run of separators with the head of separator `first`: where it ends, and what all of it begins with. */
static size_t run_end(const struct form *f, size_t first)
{
	size_t end = first + 1;

	while (end < f->count && f->heads[end] == f->heads[first])
		end++;
	return end;
}

static size_t run_skip(const struct sph_node *inner, size_t page, const struct form *f, size_t first, size_t end)
{
	return sph_key_common(suffix_at(inner, page, f, first), suffix_at(inner, page, f, end - 1));
}

static uint32_t second_head(struct sph_key suffix, size_t skip)
{
	return sph_head4(suffix.bytes + skip, suffix.size - skip);
}

static void pack_runs(struct sph_node *inner, size_t page, const struct form *f)
{
	uint32_t *seconds = (uint32_t *)(uintptr_t)f->seconds;
	uint16_t *skips = (uint16_t *)(uintptr_t)f->skips;

	for (size_t i = 0, end, skip; i < f->count;) {
		end = run_end(f, i);
		skip = run_skip(inner, page, f, i, end);
		for (; i < end; i++) {
			skips[i] = (uint16_t)skip;
			seconds[i] = second_head(suffix_at(inner, page, f, i), skip);
		}
	}
}

static int runs_are_sound(const struct sph_node *inner, size_t page, const struct form *f)
{
	for (size_t i = 0, end, skip; i < f->count;) {
		end = run_end(f, i);
		skip = run_skip(inner, page, f, i, end);
		for (; i < end; i++) {
			struct sph_key suffix = suffix_at(inner, page, f, i);

			if (f->skips[i] != skip || suffix.size < skip || f->seconds[i] != second_head(suffix, skip))
				return 0;
		}
	}
	return 1;
}

void sph_inner_pack(struct sph_node *inner, size_t page, unsigned level, uint64_t leftmost, const struct sph_entry *separators, unsigned count)
{
	size_t prefix = prefix_of(separators, count), at = sph_inner_texts(count);
	uint64_t *child = (uint64_t *)(void *)((char *)inner + sph_inner_children(count));
	uint32_t *head = (uint32_t *)(void *)((char *)inner + sph_inner_heads(count));
	uint16_t *offset = (uint16_t *)(void *)((char *)inner + sph_inner_offsets(count));
	struct form f;

	memset(&inner->n, 0, page - offsetof(struct sph_node, n));
	inner->n.level = (uint8_t)level;
	inner->n.prefix = (uint16_t)prefix;
	inner->n.count = (uint16_t)count;
	if (prefix)
		memcpy((char *)(uintptr_t)sph_node_prefix(inner, page, prefix), separators[0].key.bytes, prefix);
	child[0] = leftmost;
	for (unsigned i = 0; i < count; i++) {
		struct sph_key suffix = { separators[i].key.bytes + prefix, separators[i].key.size - prefix };

		child[i + 1] = separators[i].value;
		head[i] = sph_head4(suffix.bytes, suffix.size);
		if (i % 16 == 15)
			inner->body.marks[i / 16] = head[i];
		offset[i] = (uint16_t)at;
		memcpy((char *)inner + at, suffix.bytes, suffix.size);
		at += suffix.size;
	}
	offset[count] = (uint16_t)at;
	read_form(inner, page, &f);
	pack_runs(inner, page, &f);
}

int sph_inner_is_sound(const struct sph_node *inner, size_t page)
{
	struct form f;
	size_t at;

	if (!read_form(inner, page, &f) || f.prefix != inner->n.prefix)
		return 0;
	at = sph_inner_texts(f.count);
	for (size_t i = 0; i < f.count; i++) {
		struct sph_key suffix = suffix_at(inner, page, &f, i);

		if (f.offsets[i] != at || f.heads[i] != sph_head4(suffix.bytes, suffix.size) ||
		    (i % 16 == 15 && inner->body.marks[i / 16] != f.heads[i]))
			return 0;
		at += suffix.size;
	}
	return f.offsets[f.count] == at && at + sph_prefix_far(f.prefix) <= page && runs_are_sound(inner, page, &f);
}
