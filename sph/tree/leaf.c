/* SPDX-License-Identifier: MIT */
/*
 * leaf.c - leaves: finding, adding, dropping a key.
 *
 * Crash: an entry is written into a slot whose bit is 0, and counts from the store of its bit; dropping one is the
 * store of its bit. The heap's end is moved before the record is written: a death in between loses its bytes until
 * the leaf is packed.
 */
#include <config.h>

#define XXH_INLINE_ALL
#include <xxhash.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif
#include "leaf.h"

/* Numbers by Fibonacci hashing (Knuth, TAOCP 3, 6.4) of both halves, longer keys by XXH3. Part of the format. */
uint64_t sph_key_hash(struct sph_key key)
{
	uint64_t h;

	if (key.size > 8)
		return XXH3_64bits(key.bytes, key.size);
	h = (sph_head8(key.bytes, key.size) + key.size) * 0x9E3779B97F4A7C15ULL;
	return (h ^ h >> 32) * 0x9E3779B97F4A7C15ULL;
}

/* Where an entry is best put: so a reader has the lines of its key and value under way before it has seen the leaf.
 * It may be anywhere. */
static inline unsigned home_of(uint64_t hash, size_t slots)
{
	return (unsigned)((hash & 0xffffffffU) * slots >> 32) & ~7U;
}

void sph_leaf_prefetch(const struct sph_m_tree *t, uint64_t address, uint64_t hash)
{
	const uint64_t form = __atomic_load_n(&t->leaf_form, __ATOMIC_RELAXED);
	const char *leaf = (const char *)address;
	unsigned home = home_of(hash, form & 0xffff);

	__builtin_prefetch(leaf);
	__builtin_prefetch(leaf + 64);
	__builtin_prefetch(leaf + 128);
	__builtin_prefetch(leaf + SPH_LEAF_PRINTS + home);
	__builtin_prefetch(leaf + (form >> 16 & 0xffff) + home * 8);
	__builtin_prefetch(leaf + (form >> 16 & 0xffff) + home * 8 + 56);
	__builtin_prefetch(leaf + (form >> 32 & 0xffff) + home * (form >> 48));
	__builtin_prefetch(leaf + (form >> 32 & 0xffff) + home * (form >> 48) + 48);
}

void sph_leaf_note_form(struct sph_m_tree *t, const struct sph_node *leaf)
{
	size_t width = leaf->n.width == SPH_VARIES ? 2 : leaf->n.width;
	uint64_t form = leaf->n.count | leaf->n.values * 8ULL << 16 | (uint64_t)leaf->n.keys << 32 | (uint64_t)width << 48;

	if (__atomic_load_n(&t->leaf_form, __ATOMIC_RELAXED) != form)
		__atomic_store_n(&t->leaf_form, form, __ATOMIC_RELAXED);
}

struct sph_key sph_leaf_suffix(const struct sph_node *leaf, size_t page, unsigned slot)
{
	struct sph_leaf_form f;

	if (!sph_leaf_read_form(leaf, page, &f) || slot >= f.slots)
		return (struct sph_key){ NULL, 0 };
	return sph_leaf_suffix_at(leaf, page, &f, slot);
}

unsigned sph_leaf_count(const struct sph_node *leaf)
{
	unsigned count = 0;

	for (unsigned g = 0; g < SPH_SLOTS / 64; g++)
		count += (unsigned)__builtin_popcountll(sph_leaf_bits(leaf, g));
	return count;
}

unsigned sph_leaf_percent(const struct sph_node *leaf, size_t page)
{
	unsigned full, heap;
	struct sph_leaf_form f;

	if (!sph_leaf_read_form(leaf, page, &f) || !f.slots)
		return 0;
	full = (unsigned)(sph_leaf_count(leaf) * 100 / f.slots);
	if (f.width != SPH_VARIES || f.keys >= page)
		return full;
	heap = (unsigned)(__atomic_load_n(&leaf->n.heap, __ATOMIC_RELAXED) * 100UL / (page - f.keys));
	return full > heap ? full : heap;
}

/* --- finding */

/* Which of 8 fingerprints are `print`: a bit for each. A byte of x is 0 where one is (Mycroft's test, in its exact
 * form); the product gathers the bits. */
static inline uint64_t match8(const uint8_t *prints, uint8_t print)
{
	const uint64_t low7 = 0x7f7f7f7f7f7f7f7fULL;
	uint64_t x = le64toh(sph_racy_u64(prints)) ^ print * 0x0101010101010101ULL;
	uint64_t zeros = ~(((x & low7) + low7) | x | low7) >> 7;

	return zeros * 0x0102040810204080ULL >> 56;
}

/* The same of 64. */
#if defined(__SSE2__) && !defined(__SANITIZE_THREAD__)
static inline uint64_t match16(const uint8_t *prints, __m128i wanted)
{
	return (uint64_t)(unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)(const void *)prints), wanted));
}
static inline uint64_t match(const uint8_t *prints, uint8_t print)
{
	const __m128i wanted = _mm_set1_epi8((char)print);

	return match16(prints, wanted) | match16(prints + 16, wanted) << 16 | match16(prints + 32, wanted) << 32 |
	       match16(prints + 48, wanted) << 48;
}
#else
static inline uint64_t match(const uint8_t *prints, uint8_t print)
{
	uint64_t bits = 0;

	for (unsigned i = 0; i < 8; i++)
		bits |= match8(prints + 8 * i, print) << 8 * i;
	return bits;
}
#endif

static inline int is_key(const struct sph_node *leaf, size_t page, const struct sph_leaf_form *f, unsigned slot, struct sph_key suffix)
{
	struct sph_key at = sph_leaf_suffix_at(leaf, page, f, slot);

	return at.bytes && at.size == suffix.size && sph_racy_compare(at.bytes, suffix.bytes, suffix.size) == 0;
}

/* Where all keys are as long as this one, and of 8 bytes at most: compared as numbers. */
static inline int is_short_key(const struct sph_node *leaf, const struct sph_leaf_form *f, unsigned slot, uint64_t suffix, uint64_t mask)
{
	return ((sph_racy_u64((const char *)leaf + f->keys + slot * f->width) ^ suffix) & mask) == 0;
}

/* What is looked for in a leaf. */
struct wanted {
	struct sph_key suffix;
	uint64_t word, mask;            /* of a suffix of 1 to 8 bytes: the mask; else 0 */
};

/* Among the slots of `bits`, from slot `first` on. */
static inline int find_among(const struct sph_node *leaf, size_t page, const struct sph_leaf_form *f, const struct wanted *w, unsigned first,
			     uint64_t bits, struct sph_leaf_place *place)
{
	for (; bits; bits &= bits - 1) {
		unsigned slot = first + (unsigned)__builtin_ctzll(bits);

		if (slot >= f->slots)
			return 0;
		__builtin_prefetch(sph_leaf_value_at(leaf, f, slot));
		if (w->mask ? !is_short_key(leaf, f, slot, w->word, w->mask) : !is_key(leaf, page, f, slot, w->suffix))
			continue;
		place->slot = slot;
		place->value = __atomic_load_n(sph_leaf_value_at(leaf, f, slot), __ATOMIC_RELAXED);
		return 1;
	}
	return 0;
}

int sph_leaf_find(const struct sph_node *leaf, size_t page, struct sph_key key, uint64_t hash, struct sph_leaf_place *place)
{
	struct wanted w = { .mask = 0 };
	struct sph_leaf_form f;
	unsigned home;

	if (!sph_leaf_read_form(leaf, page, &f) || key.size < f.prefix ||
	    (f.width != SPH_VARIES && key.size != f.prefix + f.width) ||
	    !sph_racy_same(key.bytes, sph_node_prefix(leaf, page, f.prefix), f.prefix))
		return 0;
	w.suffix = (struct sph_key){ key.bytes + f.prefix, key.size - f.prefix };
	if (f.width > 0 && f.width <= 8) {
		/* Its last bytes, which may be less than 8, from the end of the key where that has 8. */
		w.mask = htole64(~0ULL >> (64 - 8 * f.width));
		if (key.size >= 8)
			w.word = htole64(le64toh(sph_racy_u64(key.bytes + key.size - 8)) >> (64 - 8 * f.width));
		else
			memcpy(&w.word, w.suffix.bytes, f.width);
	}
	home = home_of(hash, f.slots);
	if (find_among(leaf, page, &f, &w, home, match8(sph_leaf_print_at(leaf, home), sph_print(hash)) & sph_leaf_bits(leaf, home / 64) >> home % 64, place))
		return 1;
	for (unsigned g = 0; g * 64 < f.slots; g++)
		if (find_among(leaf, page, &f, &w, g * 64, match(sph_leaf_print_at(leaf, g * 64), sph_print(hash)) & sph_leaf_bits(leaf, g), place))
			return 1;
	return 0;
}

/* --- adding, dropping */

/* The first free slot from its home on, and around. -1: none. */
int sph_leaf_free_slot(const struct sph_node *leaf, size_t slots, uint64_t hash)
{
	unsigned home = home_of(hash, slots), groups = (unsigned)(slots + 63) / 64;

	for (unsigned i = 0; i <= groups; i++) {
		unsigned g = (home / 64 + i) % groups, slot;
		uint64_t empty = ~sph_leaf_bits(leaf, g);

		if (i == 0)
			empty &= ~0ULL << home % 64;
		if (!empty)
			continue;
		slot = g * 64 + (unsigned)__builtin_ctzll(empty);
		if (slot < slots)
			return (int)slot;
	}
	return -1;
}

int sph_leaf_room(const struct sph_node *leaf, size_t page, struct sph_key key, uint64_t hash)
{
	struct sph_leaf_form f;

	if (!sph_leaf_read_form(leaf, page, &f) || !f.slots || key.size < f.prefix ||
	    !sph_racy_same(key.bytes, sph_node_prefix(leaf, page, f.prefix), f.prefix))
		return -1;
	if (f.width != SPH_VARIES ? key.size != f.prefix + f.width :
				    leaf->n.heap + key.size - f.prefix + SPH_RECORD_HEAD > page - f.keys - 2 * f.slots)
		return -1;
	return sph_leaf_free_slot(leaf, f.slots, hash);
}

static void put_record(struct sph_node *leaf, size_t page, const struct sph_leaf_form *f, unsigned slot, struct sph_key suffix)
{
	uint16_t size = (uint16_t)suffix.size, heap = (uint16_t)(leaf->n.heap + SPH_RECORD_HEAD + size);

	__atomic_store_n(&leaf->n.heap, heap, __ATOMIC_RELAXED);
	sph_racy_copy((char *)leaf + page - heap, &size, sizeof size);
	sph_racy_copy((char *)leaf + page - heap + SPH_RECORD_HEAD, suffix.bytes, suffix.size);
	__atomic_store_n(sph_leaf_offset_at(leaf, f, slot), heap, __ATOMIC_RELAXED);
}

void sph_leaf_put_entry(struct sph_node *leaf, size_t page, const struct sph_leaf_form *f, unsigned slot, struct sph_key suffix, uint64_t hash,
		      uint64_t value)
{
	if (f->width == SPH_VARIES)
		put_record(leaf, page, f, slot, suffix);
	else
		sph_racy_copy((char *)leaf + f->keys + slot * f->width, suffix.bytes, suffix.size);
	__atomic_store_n(sph_leaf_print_at(leaf, slot), sph_print(hash), __ATOMIC_RELAXED);
	__atomic_store_n(sph_leaf_value_at(leaf, f, slot), value, __ATOMIC_RELAXED);
}

void sph_leaf_add(struct sph_node *leaf, size_t page, unsigned slot, struct sph_key key, uint64_t hash, uint64_t value)
{
	uint64_t *bits = &leaf->body.bits[slot / 64];
	struct sph_leaf_form f;

	sph_leaf_read_form(leaf, page, &f);
	sph_leaf_put_entry(leaf, page, &f, slot, (struct sph_key){ key.bytes + f.prefix, key.size - f.prefix }, hash, value);
	__atomic_store_n(bits, *bits | 1ULL << slot % 64, __ATOMIC_RELEASE);
}

void sph_leaf_drop(struct sph_node *leaf, unsigned slot)
{
	uint64_t *bits = &leaf->body.bits[slot / 64];

	__atomic_store_n(bits, *bits & ~(1ULL << slot % 64), __ATOMIC_RELEASE);
}

uint64_t sph_leaf_swap(struct sph_node *leaf, size_t page, unsigned slot, uint64_t value)
{
	struct sph_leaf_form f;

	sph_leaf_read_form(leaf, page, &f);
	return __atomic_exchange_n(sph_leaf_value_at(leaf, &f, slot), value, __ATOMIC_RELEASE);
}
