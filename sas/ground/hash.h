/* SPDX-License-Identifier: MIT */
/*
 * hash.h - checksums of the media: XXH64 and XXH32. Layer 0.
 *
 * Compiled into the caller, so that nothing is resolved at run time: async-signal-safe, a few
 * hundred bytes of stack.
 */
#ifndef SAS_HASH_H
#define SAS_HASH_H

#include <stddef.h>
#include <stdint.h>

#define XXH_INLINE_ALL
/* It reads words by memcpy(). Where it thinks another way faster (gcc on ARM) it reads our structures through a type
 * of its own, and the compiler may put that before the stores to them. */
#define XXH_FORCE_MEMORY_ACCESS 0
#include <xxhash.h>

/* XXH64 with seed 0. */
static inline uint64_t sas_hash64(const void *p, size_t n)
{
	return XXH64(p, n, 0);
}

static inline uint32_t sas_hash32(const void *p, size_t n, uint32_t seed)
{
	return XXH32(p, n, seed);
}

#endif
