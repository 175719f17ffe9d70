/* SPDX-License-Identifier: MIT */
/*
 * index_key.c - keys of indexes as bytes that compare as SASIndexKeyCompare() does. Layer 5.
 *
 * Each word is 8 bytes, the most significant first; of a last word that is not whole, the number that its bytes are, likewise.
 */
#include <config.h>

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "face.h"

_Static_assert(sizeof(SASIndexKey_t) == 128 && offsetof(SASIndexKey_t, data) == SAS_INDEX_KEY_PREFIX, "a key's structure");

/* The bytes of a word that is not whole, the other way round where the machine stores numbers so. */
static void turn(unsigned char *to, const unsigned char *from, size_t size)
{
	for (size_t i = 0; i < size; i++)
		to[i] = from[__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? i : size - 1 - i];
}

int sph_index_encode(const SASIndexKey_t *key, unsigned char bytes[SAS_INDEX_KEY_BYTES], struct sph_key *k)
{
	size_t size, copied, i;
	uint64_t word;

	if (!key)
		return sas_service_fail(EINVAL, "the key is NULL");
	size = key->compare_size;
	copied = key->copy_size;
	if (size > SAS_INDEX_KEY_BYTES || copied < size + SAS_INDEX_KEY_PREFIX || copied > sizeof *key)
		return sas_service_fail(EINVAL, "a key of %zu bytes with a copy_size of %zu", size, copied);
	for (i = 0; i + 8 <= size; i += 8) {
		word = htobe64(key->data[i / 8]);
		memcpy(bytes + i, &word, 8);
	}
	turn(bytes + i, (const unsigned char *)key->data + i, size - i);
	*k = (struct sph_key){ bytes, size };
	return 0;
}

int sph_index_decode(struct sph_key k, SASIndexKey_t *key)
{
	uint64_t word;
	size_t i;

	if (k.size > SAS_INDEX_KEY_BYTES)
		return sas_service_fail(EUCLEAN, "an index has a key of %zu bytes", k.size);
	key->compare_size = (machine_uhalf_t)k.size;
	key->copy_size = (machine_uhalf_t)(SAS_INDEX_KEY_PREFIX + ((k.size + 7) & ~(size_t)7));
	for (i = 0; i + 8 <= k.size; i += 8) {
		memcpy(&word, k.bytes + i, 8);
		key->data[i / 8] = be64toh(word);
	}
	/* Words behind the key are nobody's: there is a call of this for each key of a scan. */
	if (i < k.size) {
		key->data[i / 8] = 0;
		turn((unsigned char *)key->data + i, k.bytes + i, k.size - i);
	}
	return 0;
}

SASIndexKey_t *sph_index_keep(int error, struct sph_key k)
{
	SASIndexKey_t *key = NULL;

	if (!error) {
		key = sph_keep_key(sizeof *key);
		error = key ? sph_index_decode(k, key) : -ENOMEM;
	}
	return sph_face_pointer(error, (uintptr_t)key);
}
