/* SPDX-License-Identifier: MIT */
/*
 * leaf.c - leaves: finding, adding, dropping a key; putting one in order; packing one.
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
#include "node.h"

#define RECORD_HEAD 2U                  /* bytes before a record's key: its length */
#define SLACK 8U                        /* keys of up to 8 bytes are read by 8 */

/* Numbers by Fibonacci hashing (Knuth, TAOCP 3, 6.4) of both halves, longer keys by XXH3. Part of the format. */
uint64_t sph_key_hash(struct sph_key key)
{
	uint64_t h;

	if (key.size > 8)
		return XXH3_64bits(key.bytes, key.size);
	h = (sph_head8(key.bytes, key.size) + key.size) * 0x9E3779B97F4A7C15ULL;
	return (h ^ h >> 32) * 0x9E3779B97F4A7C15ULL;
}

/* --- where things are */

struct form {
	size_t prefix, slots, values, keys, width;
};

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

/* As a reader may use it: whatever the bytes say, it lies within the page. 0: they cannot be a leaf's. */
static inline int read_form(const struct sph_node *leaf, size_t page, struct form *f)
{
	f->prefix = sph_node_prefix_size(leaf, page);
	f->slots = __atomic_load_n(&leaf->n.count, __ATOMIC_RELAXED);
	f->values = __atomic_load_n(&leaf->n.values, __ATOMIC_RELAXED) * 8UL;
	f->keys = __atomic_load_n(&leaf->n.keys, __ATOMIC_RELAXED);
	f->width = __atomic_load_n(&leaf->n.width, __ATOMIC_RELAXED);
	return f->slots <= SPH_SLOTS && f->values + f->slots * 8 <= page &&
	       f->keys + f->slots * (f->width == SPH_VARIES ? 2 : f->width) + f->prefix <= page &&
	       (f->width > 8 || f->keys + f->slots * f->width + SLACK <= page);
}

static inline uint64_t *value_at(const struct sph_node *leaf, const struct form *f, unsigned slot)
{
	return (uint64_t *)((char *)(uintptr_t)leaf + f->values) + slot;
}

static inline uint8_t *print_at(const struct sph_node *leaf, unsigned slot)
{
	return (uint8_t *)(uintptr_t)leaf + SPH_LEAF_PRINTS + slot;
}

static inline uint16_t *offset_at(const struct sph_node *leaf, const struct form *f, unsigned slot)
{
	return (uint16_t *)((char *)(uintptr_t)leaf + f->keys) + slot;
}

/* The key in a slot without the prefix; NULL bytes: what stands there is none. */
static inline struct sph_key suffix_at(const struct sph_node *leaf, size_t page, const struct form *f, unsigned slot)
{
	const unsigned char *end = (const unsigned char *)leaf + page;
	size_t offset;
	uint16_t size;

	if (f->width != SPH_VARIES)
		return (struct sph_key){ (const unsigned char *)leaf + f->keys + slot * f->width, f->width };
	offset = __atomic_load_n(offset_at(leaf, f, slot), __ATOMIC_RELAXED);
	if (offset < RECORD_HEAD || offset > page - SPH_NODE_BODY)
		return (struct sph_key){ NULL, 0 };
	sph_racy_copy(&size, end - offset, sizeof size);
	if (size > offset - RECORD_HEAD)
		return (struct sph_key){ NULL, 0 };
	return (struct sph_key){ end - offset + RECORD_HEAD, size };
}

struct sph_key sph_leaf_suffix(const struct sph_node *leaf, size_t page, unsigned slot)
{
	struct form f;

	if (!read_form(leaf, page, &f) || slot >= f.slots)
		return (struct sph_key){ NULL, 0 };
	return suffix_at(leaf, page, &f, slot);
}

static inline uint64_t bits_of(const struct sph_node *leaf, unsigned group)
{
	return __atomic_load_n(&leaf->body.bits[group], __ATOMIC_ACQUIRE);
}

unsigned sph_leaf_count(const struct sph_node *leaf)
{
	unsigned count = 0;

	for (unsigned g = 0; g < SPH_SLOTS / 64; g++)
		count += (unsigned)__builtin_popcountll(bits_of(leaf, g));
	return count;
}

unsigned sph_leaf_percent(const struct sph_node *leaf, size_t page)
{
	unsigned full, heap;
	struct form f;

	if (!read_form(leaf, page, &f) || !f.slots)
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

static inline int is_key(const struct sph_node *leaf, size_t page, const struct form *f, unsigned slot, struct sph_key suffix)
{
	struct sph_key at = suffix_at(leaf, page, f, slot);

	return at.bytes && at.size == suffix.size && sph_racy_compare(at.bytes, suffix.bytes, suffix.size) == 0;
}

/* Where all keys are as long as this one, and of 8 bytes at most: compared as numbers. */
static inline int is_short_key(const struct sph_node *leaf, const struct form *f, unsigned slot, uint64_t suffix, uint64_t mask)
{
	return ((sph_racy_u64((const char *)leaf + f->keys + slot * f->width) ^ suffix) & mask) == 0;
}

/* What is looked for in a leaf. */
struct wanted {
	struct sph_key suffix;
	uint64_t word, mask;            /* of a suffix of 1 to 8 bytes: the mask; else 0 */
};

/* Among the slots of `bits`, from slot `first` on. */
static inline int find_among(const struct sph_node *leaf, size_t page, const struct form *f, const struct wanted *w, unsigned first,
			     uint64_t bits, struct sph_leaf_place *place)
{
	for (; bits; bits &= bits - 1) {
		unsigned slot = first + (unsigned)__builtin_ctzll(bits);

		if (slot >= f->slots)
			return 0;
		__builtin_prefetch(value_at(leaf, f, slot));
		if (w->mask ? !is_short_key(leaf, f, slot, w->word, w->mask) : !is_key(leaf, page, f, slot, w->suffix))
			continue;
		place->slot = slot;
		place->value = __atomic_load_n(value_at(leaf, f, slot), __ATOMIC_RELAXED);
		return 1;
	}
	return 0;
}

int sph_leaf_find(const struct sph_node *leaf, size_t page, struct sph_key key, uint64_t hash, struct sph_leaf_place *place)
{
	struct wanted w = { .mask = 0 };
	struct form f;
	unsigned home;

	if (!read_form(leaf, page, &f) || key.size < f.prefix ||
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
	if (find_among(leaf, page, &f, &w, home, match8(print_at(leaf, home), sph_print(hash)) & bits_of(leaf, home / 64) >> home % 64, place))
		return 1;
	for (unsigned g = 0; g * 64 < f.slots; g++)
		if (find_among(leaf, page, &f, &w, g * 64, match(print_at(leaf, g * 64), sph_print(hash)) & bits_of(leaf, g), place))
			return 1;
	return 0;
}

/* --- adding, dropping */

/* The first free slot from its home on, and around. -1: none. */
static int free_slot(const struct sph_node *leaf, size_t slots, uint64_t hash)
{
	unsigned home = home_of(hash, slots), groups = (unsigned)(slots + 63) / 64;

	for (unsigned i = 0; i <= groups; i++) {
		unsigned g = (home / 64 + i) % groups, slot;
		uint64_t empty = ~bits_of(leaf, g);

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
	struct form f;

	if (!read_form(leaf, page, &f) || !f.slots || key.size < f.prefix ||
	    !sph_racy_same(key.bytes, sph_node_prefix(leaf, page, f.prefix), f.prefix))
		return -1;
	if (f.width != SPH_VARIES ? key.size != f.prefix + f.width :
				    leaf->n.heap + key.size - f.prefix + RECORD_HEAD > page - f.keys - 2 * f.slots)
		return -1;
	return free_slot(leaf, f.slots, hash);
}

static void put_record(struct sph_node *leaf, size_t page, const struct form *f, unsigned slot, struct sph_key suffix)
{
	uint16_t size = (uint16_t)suffix.size, heap = (uint16_t)(leaf->n.heap + RECORD_HEAD + size);

	__atomic_store_n(&leaf->n.heap, heap, __ATOMIC_RELAXED);
	sph_racy_copy((char *)leaf + page - heap, &size, sizeof size);
	sph_racy_copy((char *)leaf + page - heap + RECORD_HEAD, suffix.bytes, suffix.size);
	__atomic_store_n(offset_at(leaf, f, slot), heap, __ATOMIC_RELAXED);
}

static void put_entry(struct sph_node *leaf, size_t page, const struct form *f, unsigned slot, struct sph_key suffix, uint64_t hash,
		      uint64_t value)
{
	if (f->width == SPH_VARIES)
		put_record(leaf, page, f, slot, suffix);
	else
		sph_racy_copy((char *)leaf + f->keys + slot * f->width, suffix.bytes, suffix.size);
	__atomic_store_n(print_at(leaf, slot), sph_print(hash), __ATOMIC_RELAXED);
	__atomic_store_n(value_at(leaf, f, slot), value, __ATOMIC_RELAXED);
}

void sph_leaf_add(struct sph_node *leaf, size_t page, unsigned slot, struct sph_key key, uint64_t hash, uint64_t value)
{
	uint64_t *bits = &leaf->body.bits[slot / 64];
	struct form f;

	read_form(leaf, page, &f);
	put_entry(leaf, page, &f, slot, (struct sph_key){ key.bytes + f.prefix, key.size - f.prefix }, hash, value);
	__atomic_store_n(bits, *bits | 1ULL << slot % 64, __ATOMIC_RELEASE);
}

void sph_leaf_drop(struct sph_node *leaf, unsigned slot)
{
	uint64_t *bits = &leaf->body.bits[slot / 64];

	__atomic_store_n(bits, *bits & ~(1ULL << slot % 64), __ATOMIC_RELEASE);
}

uint64_t sph_leaf_swap(struct sph_node *leaf, size_t page, unsigned slot, uint64_t value)
{
	struct form f;

	read_form(leaf, page, &f);
	return __atomic_exchange_n(value_at(leaf, &f, slot), value, __ATOMIC_RELEASE);
}

/* --- in order */

struct place {
	uint64_t head;
	unsigned slot;
};

static inline int before(const struct sph_node *leaf, size_t page, const struct form *f, struct place a, struct place b)
{
	if (a.head != b.head)
		return a.head < b.head;
	return sph_key_compare(suffix_at(leaf, page, f, a.slot), suffix_at(leaf, page, f, b.slot)) < 0;
}

/* The entries as they stand. */
static unsigned collect(const struct sph_node *leaf, size_t page, const struct form *f, struct place *places)
{
	const uint64_t mask = f->width && f->width <= 8 ? ~0ULL << (64 - 8 * f->width) : 0;
	unsigned count = 0;

	for (unsigned g = 0; g * 64 < f->slots; g++)
		for (uint64_t bits = bits_of(leaf, g); bits; bits &= bits - 1) {
			unsigned slot = g * 64 + (unsigned)__builtin_ctzll(bits);
			struct sph_key key;

			if (slot >= f->slots)
				break;
			key = suffix_at(leaf, page, f, slot);
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
static void sort_runs(const struct sph_node *leaf, size_t page, const struct form *f, struct place *places, unsigned count, unsigned run)
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
static struct place *merge_runs(const struct sph_node *leaf, size_t page, const struct form *f, struct place *from, struct place *to, unsigned count)
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
static struct place *sort(const struct sph_node *leaf, size_t page, const struct form *f, struct place *from, struct place *to, unsigned count)
{
	unsigned most = distribute(from, to, count);

	sort_runs(leaf, page, f, to, count, most <= RUN ? count : RUN);
	return most <= RUN ? to : merge_runs(leaf, page, f, to, from, count);
}

static unsigned places_in_order(const struct sph_node *leaf, size_t page, const struct form *f, struct place *some, struct place *other,
				struct place **sorted)
{
	unsigned count = collect(leaf, page, f, some);

	*sorted = count ? sort(leaf, page, f, some, other, count) : some;
	return count;
}

unsigned sph_leaf_slots(const struct sph_node *leaf, size_t page, uint8_t *slots)
{
	struct place some[SPH_SLOTS], other[SPH_SLOTS], *sorted;
	struct form f;
	unsigned count;

	if (!read_form(leaf, page, &f))
		return 0;
	count = places_in_order(leaf, page, &f, some, other, &sorted);
	for (unsigned i = 0; i < count; i++)
		slots[i] = (uint8_t)sorted[i].slot;
	return count;
}

uint64_t sph_leaf_value(const struct sph_node *leaf, size_t page, unsigned slot)
{
	struct form f;

	return read_form(leaf, page, &f) && slot < f.slots ? *value_at(leaf, &f, slot) : 0;
}

unsigned sph_leaf_order(const struct sph_node *leaf, size_t page, struct sph_entry *entries)
{
	struct place some[SPH_SLOTS], other[SPH_SLOTS], *sorted;
	struct form f;
	unsigned count;

	if (!read_form(leaf, page, &f))
		return 0;
	count = places_in_order(leaf, page, &f, some, other, &sorted);
	for (unsigned i = 0; i < count; i++) {
		struct sph_entry *e = &entries[i];

		e->head = sorted[i].head;
		e->slot = sorted[i].slot;
		e->key = suffix_at(leaf, page, &f, e->slot);
		e->value = *value_at(leaf, &f, e->slot);
	}
	return count;
}

/* The same in pairs of key and value, for who looks at each of them once. */
int sph_leaf_each(const struct sph_node *leaf, size_t page, const uint8_t *slots, unsigned count, unsigned char *bytes,
		  int (*each)(struct sph_key key, uint64_t value, void *arg), void *arg)
{
	struct form f;
	int result = 0;

	if (!read_form(leaf, page, &f))
		return 0;
	memcpy(bytes, sph_node_prefix(leaf, page, f.prefix), f.prefix);
	for (unsigned i = 0; i < count && !result; i++) {
		struct sph_key suffix = suffix_at(leaf, page, &f, slots[i]);

		if (f.width == 8)
			memcpy(bytes + f.prefix, suffix.bytes, 8);
		else
			memcpy(bytes + f.prefix, suffix.bytes, suffix.size);
		result = each((struct sph_key){ bytes, f.prefix + suffix.size }, *value_at(leaf, &f, slots[i]), arg);
	}
	return result;
}

/* --- packing */

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
		return SPH_LEAF_PRINTS + round8(slots) + slots * 8 + slots * width + SLACK;
	return SPH_LEAF_PRINTS + round8(slots) + slots * 10 + records;
}

/* Where the keys are of one length, room for as many as go in; else for as many of their mean size. The size that
 * they need. */
static size_t plan(const struct sph_entry *entries, unsigned count, size_t page, struct form *f)
{
	size_t sum, records, needed, mean;
	int equal;

	sum = sum_of_sizes(entries, count, &equal);
	f->prefix = count > 1 ? sph_key_common(entries[0].key, entries[count - 1].key) : 0;
	f->width = equal && count ? entries[0].key.size - f->prefix : SPH_VARIES;
	records = sum - count * f->prefix + count * RECORD_HEAD;
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
	struct form f;

	if (!read_form(leaf, page, &f) || f.prefix != leaf->n.prefix || f.values != SPH_LEAF_PRINTS + round8(f.slots) ||
	    f.keys != f.values + f.slots * 8)
		return 0;
	if (f.width != SPH_VARIES)
		return 1;
	if (leaf->n.heap < f.prefix || leaf->n.heap > page - f.keys - 2 * f.slots)
		return 0;
	for (unsigned slot = 0; slot < f.slots; slot++)
		if ((bits_of(leaf, slot / 64) >> slot % 64 & 1) &&
		    (*offset_at(leaf, &f, slot) > leaf->n.heap || *offset_at(leaf, &f, slot) < f.prefix + RECORD_HEAD))
			return 0;
	return 1;
}

size_t sph_leaf_size(const struct sph_entry *entries, unsigned count, size_t page)
{
	struct form f;

	return plan(entries, count, page, &f);
}

void sph_leaf_pack(struct sph_node *leaf, size_t page, const struct sph_entry *entries, unsigned count)
{
	struct form f;

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
		unsigned slot = (unsigned)free_slot(leaf, f.slots, hash);

		put_entry(leaf, page, &f, slot, suffix, hash, entries[i].value);
		leaf->body.bits[slot / 64] |= 1ULL << slot % 64;
	}
}
