/* SPDX-License-Identifier: MIT */
/*
 * racy.h - reading what others may be changing, and changing what others may be reading.
 *
 * Who reads so believes nothing before a version has told that nothing was changed meanwhile (a sequence lock:
 * Boehm, MSPC 2012). The loads and stores may be torn anywhere. For ThreadSanitizer, which knows no such thing, they
 * are atomic ones, byte by byte, so that it still sees the order that the versions make.
 */
#ifndef SPH_RACY_H
#define SPH_RACY_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __SANITIZE_THREAD__
static inline void sph_racy_copy(void *to, const void *from, size_t size)
{
	for (size_t i = 0; i < size; i++)
		__atomic_store_n((unsigned char *)to + i, __atomic_load_n((const unsigned char *)from + i, __ATOMIC_RELAXED), __ATOMIC_RELAXED);
}
static inline int sph_racy_compare(const void *a, const void *b, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		int difference = __atomic_load_n((const unsigned char *)a + i, __ATOMIC_RELAXED) -
				 __atomic_load_n((const unsigned char *)b + i, __ATOMIC_RELAXED);

		if (difference)
			return difference;
	}
	return 0;
}
#else
static inline void sph_racy_copy(void *to, const void *from, size_t size)
{
	memcpy(to, from, size);
}
static inline int sph_racy_compare(const void *a, const void *b, size_t size)
{
	return memcmp(a, b, size);
}
#endif

/* After racy reads, before the version is looked at again. */
static inline void sph_racy_end(void)
{
#ifndef __SANITIZE_THREAD__             /* which knows no fences, and needs none, as all these loads are atomic for it */
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
#endif
}

/* After a word has been taken, before racy stores: who reads what these store sees the word as well. A
 * compare-and-swap alone is none for what follows it, where processors order weakly. */
static inline void sph_racy_begin(void)
{
#ifndef __SANITIZE_THREAD__
	__atomic_thread_fence(__ATOMIC_RELEASE);
#endif
}

/* Few bytes, mostly, or none. */
static inline int sph_racy_same(const unsigned char *a, const unsigned char *b, size_t size)
{
	if (size > 8)
		return sph_racy_compare(a, b, size) == 0;
	for (size_t i = 0; i < size; i++)
		if (a[i] != __atomic_load_n(&b[i], __ATOMIC_RELAXED))
			return 0;
	return 1;
}

static inline uint64_t sph_racy_u64(const void *from)
{
	uint64_t v;

	sph_racy_copy(&v, from, sizeof v);
	return v;
}

#endif
