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

/*
 * Where an entry is best put: so a reader has the lines of its key and value under way before it has seen the leaf. If the slot is taken,
 * one of the next, round the sixteen whose fingerprints are compared at once; else anywhere, and a bit says that of the sixteen, so
 * that who does not find his key there mostly need not go on.
 */
static inline unsigned home_of(uint64_t hash, size_t slots)
{
	return (unsigned)((hash & 0xffffffffU) * slots >> 32);
}

/* There are as many slots as find room (leaf_pack.c), so their number tells. */
static inline size_t likely_width(const struct sph_m_tree *t, uint64_t pointer, size_t slots)
{
	size_t room = t->page_size - SPH_LEAF_PRINTS - SPH_LEAF_SLACK - (pointer & SPH_POINTER_PREFIX ? SPH_PREFIX_SHORT + 8 : 0);

	if (__atomic_load_n(&t->leaf_records, __ATOMIC_RELAXED))
		return 2;
	return room / slots > 9 ? room / slots - 9 : 0;
}

void sph_leaf_prefetch(const struct sph_m_tree *t, uint64_t pointer, uint64_t hash)
{
	const size_t slots = (pointer & SPH_POINTER_SLOTS) + 1, width = likely_width(t, pointer, slots);
	const unsigned home = home_of(hash, slots), near = home & ~(SPH_NEAR - 1);
	const char *leaf = (const char *)sph_node_at(pointer), *end = leaf + t->page_size, *key = leaf + sph_leaf_keys(slots) + home * width;

	__builtin_prefetch(leaf + 64);
	__builtin_prefetch(leaf + 128);
	__builtin_prefetch(leaf + SPH_LEAF_PRINTS + near);
	__builtin_prefetch(key);
	__builtin_prefetch(key + 64);
	__builtin_prefetch(end - 8 * (near + SPH_NEAR / 2));
	__builtin_prefetch(end - 8 * (near + SPH_NEAR));
	if (pointer & SPH_POINTER_PREFIX) {
		__builtin_prefetch(end - 8 * slots - 1);
		__builtin_prefetch(end - 8 * slots - 64);
	}
}

void sph_leaf_note_form(struct sph_m_tree *t, const struct sph_node *leaf)
{
	uint64_t records = leaf->n.width == SPH_VARIES;

	if (__atomic_load_n(&t->leaf_records, __ATOMIC_RELAXED) != records)
		__atomic_store_n(&t->leaf_records, records, __ATOMIC_RELAXED);
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
	size_t ends, heap, room;
	struct sph_leaf_form f;
	unsigned full;

	if (!sph_leaf_read_form(leaf, page, &f) || !f.slots)
		return 0;
	full = (unsigned)(sph_leaf_count(leaf) * 100 / f.slots);
	if (f.width != SPH_VARIES)
		return full;
	ends = 8 * f.slots + sph_prefix_far(f.prefix);
	heap = __atomic_load_n(&leaf->n.heap, __ATOMIC_RELAXED);
	room = page - ends - sph_leaf_keys(f.slots) - 2 * f.slots;
	heap = heap > ends && room ? (heap - ends) * 100 / room : 0;
	return full > heap ? full : (unsigned)heap;
}

/* --- finding */

/* Which of 16 fingerprints are `print`: a bit for each. */
#if defined(__SSE2__) && !defined(__SANITIZE_THREAD__)
static inline uint64_t match16(const uint8_t *prints, uint8_t print)
{
	__m128i same = _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)(const void *)prints), _mm_set1_epi8((char)print));

	return (unsigned)_mm_movemask_epi8(same);
}
#else
/* A byte of x is 0 where one is (Mycroft's test, in its exact form); the product gathers the bits. */
static inline uint64_t match8(const uint8_t *prints, uint8_t print)
{
	const uint64_t low7 = 0x7f7f7f7f7f7f7f7fULL;
	uint64_t x = le64toh(sph_racy_u64(prints)) ^ print * 0x0101010101010101ULL;
	uint64_t zeros = ~(((x & low7) + low7) | x | low7) >> 7;

	return zeros * 0x0102040810204080ULL >> 56;
}
static inline uint64_t match16(const uint8_t *prints, uint8_t print)
{
	return match8(prints, print) | match8(prints + 8, print) << 8;
}
#endif
static inline uint64_t match64(const uint8_t *prints, uint8_t print)
{
	return match16(prints, print) | match16(prints + 16, print) << 16 | match16(prints + 32, print) << 32 | match16(prints + 48, print) << 48;
}

static inline int is_key(const struct sph_node *leaf, size_t page, const struct sph_leaf_form *f, unsigned slot, struct sph_key suffix)
{
	struct sph_key at = sph_leaf_suffix_at(leaf, page, f, slot);

	return at.bytes && at.size == suffix.size && sph_racy_compare(at.bytes, suffix.bytes, suffix.size) == 0;
}

/* Where all keys are as long as this one, and of 8 bytes at most: compared as numbers. */
static inline int is_short_key(const struct sph_node *leaf, const struct sph_leaf_form *f, unsigned slot, uint64_t suffix, uint64_t mask)
{
	return ((sph_racy_u64((const char *)leaf + sph_leaf_keys(f->slots) + slot * f->width) ^ suffix) & mask) == 0;
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
		__builtin_prefetch(sph_leaf_value_at(leaf, page, slot));
		if (w->mask ? !is_short_key(leaf, f, slot, w->word, w->mask) : !is_key(leaf, page, f, slot, w->suffix))
			continue;
		place->slot = slot;
		place->value = __atomic_load_n(sph_leaf_value_at(leaf, page, slot), __ATOMIC_RELAXED);
		return 1;
	}
	return 0;
}

int sph_leaf_find(const struct sph_node *leaf, size_t page, struct sph_key key, uint64_t hash, struct sph_leaf_place *place)
{
	struct wanted w = { .mask = 0 };
	const uint8_t print = sph_print(hash);
	struct sph_leaf_form f;
	uint64_t alike;
	unsigned near;

	if (!sph_leaf_read_form(leaf, page, &f) || !sph_leaf_takes(&f, key.size) ||
	    !sph_racy_same(key.bytes, sph_node_prefix(leaf, page, f.prefix), f.prefix))
		return 0;
	w.suffix = (struct sph_key){ key.bytes + f.prefix, key.size - f.prefix };
	if (f.width > 0 && f.width <= 8 && !f.padded) {
		/* Its last bytes, which may be less than 8, from the end of the key where that has 8. */
		w.mask = htole64(~0ULL >> (64 - 8 * f.width));
		if (key.size >= 8)
			w.word = htole64(le64toh(sph_racy_u64(key.bytes + key.size - 8)) >> (64 - 8 * f.width));
		else
			memcpy(&w.word, w.suffix.bytes, f.width);
	}
	near = home_of(hash, f.slots) & ~(SPH_NEAR - 1);
	alike = match16(sph_leaf_print_at(leaf, near), print) & sph_leaf_bits(leaf, near / 64) >> near % 64;
	if (find_among(leaf, page, &f, &w, near, alike, place))
		return 1;
	if (!(__atomic_load_n(&leaf->n.spilled, __ATOMIC_RELAXED) >> near / SPH_NEAR & 1))
		return 0;
	for (unsigned g = 0; g * 64 < f.slots; g++)
		if (find_among(leaf, page, &f, &w, g * 64, match64(sph_leaf_print_at(leaf, g * 64), print) & sph_leaf_bits(leaf, g), place))
			return 1;
	return 0;
}

/* --- adding, dropping */

static inline uint64_t free_in(const struct sph_node *leaf, size_t slots, unsigned g)
{
	uint64_t empty = ~sph_leaf_bits(leaf, g);

	return slots - g * 64 >= 64 ? empty : empty & ((1ULL << slots % 64) - 1);
}

int sph_leaf_free_slot(const struct sph_node *leaf, size_t slots, uint64_t hash)
{
	unsigned home = home_of(hash, slots), near = home & ~(SPH_NEAR - 1), groups = (unsigned)(slots + 63) / 64, g = home / 64;
	uint64_t empty = free_in(leaf, slots, g) >> near % 64 & 0xffff;

	if (empty) {
		empty = (empty | empty << SPH_NEAR) >> home % SPH_NEAR;
		return (int)(near + (home + (unsigned)__builtin_ctzll(empty)) % SPH_NEAR);
	}
	for (unsigned i = 0; i < groups; i++) {
		empty = free_in(leaf, slots, (g + i) % groups);
		if (empty)
			return (int)((g + i) % groups * 64 + (unsigned)__builtin_ctzll(empty));
	}
	return -1;
}

int sph_leaf_room(const struct sph_node *leaf, size_t page, struct sph_key key, uint64_t hash)
{
	struct sph_leaf_form f;
	size_t heap;

	if (!sph_leaf_read_form(leaf, page, &f) || !f.slots || !sph_leaf_takes(&f, key.size) ||
	    !sph_racy_same(key.bytes, sph_node_prefix(leaf, page, f.prefix), f.prefix))
		return -1;
	heap = __atomic_load_n(&leaf->n.heap, __ATOMIC_RELAXED);
	if (f.width == SPH_VARIES && heap + key.size - f.prefix + SPH_RECORD_HEAD > page - sph_leaf_keys(f.slots) - 2 * f.slots)
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
	unsigned char *at = (unsigned char *)leaf + sph_leaf_keys(f->slots) + slot * f->width;
	const unsigned near = home_of(hash, f->slots) / SPH_NEAR;

	if (near != slot / SPH_NEAR)
		__atomic_store_n(&leaf->n.spilled, (uint16_t)(leaf->n.spilled | 1U << near), __ATOMIC_RELAXED);
	if (f->width == SPH_VARIES) {
		put_record(leaf, page, f, slot, suffix);
	} else {
		if (f->padded)
			__atomic_store_n(at++, (unsigned char)suffix.size, __ATOMIC_RELAXED);
		sph_racy_copy(at, suffix.bytes, suffix.size);
	}
	__atomic_store_n(sph_leaf_print_at(leaf, slot), sph_print(hash), __ATOMIC_RELAXED);
	__atomic_store_n(sph_leaf_value_at(leaf, page, slot), value, __ATOMIC_RELAXED);
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
	return __atomic_exchange_n(sph_leaf_value_at(leaf, page, slot), value, __ATOMIC_RELEASE);
}
