/* SPDX-License-Identifier: MIT */
/* word.h - words that threads and processes share in objects: the memory order is in the call's name. */
#ifndef SPH_WORD_H
#define SPH_WORD_H

#include <stdint.h>

static inline uint64_t sph_load_relaxed(const uint64_t *p) { return __atomic_load_n(p, __ATOMIC_RELAXED); }
static inline uint64_t sph_load_acquire(const uint64_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
static inline void sph_store_relaxed(uint64_t *p, uint64_t v) { __atomic_store_n(p, v, __ATOMIC_RELAXED); }
static inline void sph_store_release(uint64_t *p, uint64_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
static inline int sph_cas_acq_rel(uint64_t *p, uint64_t expected, uint64_t v)
{ return __atomic_compare_exchange_n(p, &expected, v, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE); }
static inline uint64_t sph_fetch_or_acq_rel(uint64_t *p, uint64_t v) { return __atomic_fetch_or(p, v, __ATOMIC_ACQ_REL); }
static inline uint64_t sph_fetch_and_acq_rel(uint64_t *p, uint64_t v) { return __atomic_fetch_and(p, v, __ATOMIC_ACQ_REL); }

#endif
