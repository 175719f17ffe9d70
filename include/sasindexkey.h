/* SPDX-License-Identifier: MIT */
/*
 * sasindexkey.h - keys of an index: up to 120 bytes, in 15 words.
 *
 * compare_size is the key's size in bytes; copy_size is that and the 8 bytes before the data, or more, up to the end of
 * the structure. Keys of one word are made by the Init calls. Longer ones are made by hand: fill data[], set
 * compare_size = 8 * n and copy_size = 8 * n + 8.
 *
 * Order: word by word, as unsigned numbers; where one key ends, the shorter one is first. A last word that is not whole
 * (compare_size % 8 bytes, the first ones in memory) counts as the number that these bytes are, and is compared with as many
 * of the most significant bytes of the other's word.
 *
 * Numbers keep their order: signed ones by their sign bit flipped. Of doubles, -0.0 is the same key as 0.0, and every
 * NaN is one key, above all numbers.
 */
#ifndef SASPHERE_SASINDEXKEY_H
#define SASPHERE_SASINDEXKEY_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "sasconf.h"

typedef unsigned long machine_uint_t;
typedef unsigned int machine_uhalf_t;

#define SAS_INDEX_KEY_WORDS 15
#define SAS_INDEX_KEY_BYTES 120
#define SAS_INDEX_KEY_PREFIX 8U         /* before the data */

typedef struct SASIndexKey_t {
	machine_uhalf_t copy_size;
	machine_uhalf_t compare_size;
	machine_uint_t data[SAS_INDEX_KEY_WORDS];
} SASIndexKey_t;

typedef union {
	machine_uint_t key_element;
	unsigned long long uint64_key;
	long long int64_key;
	double double_key;
} sasindexkeymap_t;

#define machine_sign_mask 0x8000000000000000UL
#define double_exp_mask 0x7ff0000000000000UL
#define double_mask 0xffffffffffffffffUL

/* The first `bytes` (1 to 8) bytes of a word as a number. */
static inline machine_uint_t SASIndexKeyWordPart (machine_uint_t word, machine_uhalf_t bytes)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	return word >> (8 * (8 - bytes));
#else
	return word & (double_mask >> (8 * (8 - bytes)));
#endif
}

/* Below, at or above 0, as op_a comes before op_b, is the same key, or comes after it. No more than 120 bytes count. */
static inline int SASIndexKeyCompare (const SASIndexKey_t *op_a, const SASIndexKey_t *op_b)
{
	machine_uhalf_t size_a = op_a->compare_size, size_b = op_b->compare_size, a, b, both, i;
	machine_uint_t word_a, word_b;

	for (i = 0; i < SAS_INDEX_KEY_WORDS && 8 * i < size_a && 8 * i < size_b; i++) {
		a = size_a - 8 * i < 8 ? size_a - 8 * i : 8;
		b = size_b - 8 * i < 8 ? size_b - 8 * i : 8;
		both = a < b ? a : b;
		word_a = SASIndexKeyWordPart (op_a->data[i], a) >> (8 * (a - both));
		word_b = SASIndexKeyWordPart (op_b->data[i], b) >> (8 * (b - both));
		if (word_a != word_b)
			return word_a < word_b ? -1 : 1;
	}
	return size_a < size_b ? -1 : size_a > size_b;
}

/* copy_size bytes, and no more than a key has. */
static inline void SASIndexKeyCopy (SASIndexKey_t *dest, const SASIndexKey_t *src)
{
	memcpy (dest, src, src->copy_size < sizeof *src ? src->copy_size : sizeof *src);
}

static inline size_t SASIndexKeySize (const SASIndexKey_t *key)
{
	return key->copy_size;
}

static inline void SASIndexKeyInitUInt64 (SASIndexKey_t *dest, unsigned long long value)
{
	dest->compare_size = 8;
	dest->copy_size = 8 + SAS_INDEX_KEY_PREFIX;
	dest->data[0] = (machine_uint_t)value;
}

static inline unsigned long long SASIndexKeyReturn1stUInt64 (const SASIndexKey_t *dest)
{
	return dest->data[0];
}

static inline void SASIndexKeyInitRef (SASIndexKey_t *dest, const void *value)
{
	SASIndexKeyInitUInt64 (dest, (uintptr_t)value);
}

static inline void SASIndexKeyInitInt64 (SASIndexKey_t *dest, signed long long value)
{
	SASIndexKeyInitUInt64 (dest, (unsigned long long)value ^ machine_sign_mask);
}

static inline long long SASIndexKeyReturn1stInt64 (const SASIndexKey_t *dest)
{
	return (long long)(dest->data[0] ^ machine_sign_mask);
}

static inline void SASIndexKeyInitDouble (SASIndexKey_t *dest, double value)
{
	unsigned long long bits;

	memcpy (&bits, &value, sizeof bits);
	if ((bits & ~machine_sign_mask) > double_exp_mask)
		bits = double_exp_mask | double_exp_mask >> 1;  /* NaN: the quiet one */
	else if (bits == machine_sign_mask)
		bits = 0;
	SASIndexKeyInitUInt64 (dest, bits & machine_sign_mask ? ~bits : bits | machine_sign_mask);
}

static inline double SASIndexKeyReturn1stDouble (const SASIndexKey_t *dest)
{
	unsigned long long bits = dest->data[0];
	double value;

	bits = bits & machine_sign_mask ? bits ^ machine_sign_mask : ~bits;
	memcpy (&value, &bits, sizeof value);
	return value;
}

#endif
