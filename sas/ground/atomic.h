/* SPDX-License-Identifier: MIT */
/*
 * atomic.h - shared words, and calls that carry their memory order in the name. Layer 0.
 *
 * A word that threads or processes share has one of these wrapper types, or is a word of the media,
 * which layout.h leaves plain; so both forms exist: sas_load_acquire_u32(&word) for wrapped words,
 * sas_m_load_acquire_u32(&media_word) for words of the media.
 */
#ifndef SAS_ATOMIC_H
#define SAS_ATOMIC_H

#include <stdint.h>

typedef struct { uint32_t word; } sas_u32_t;
typedef struct { uint64_t word; } sas_u64_t;
typedef struct { void *word; } sas_ptr_t;

#define SAS_ATOMIC_OPS(name, wrapped, plain)                                                       \
	static inline plain sas_load_relaxed_##name(const wrapped *p)                              \
	{ return __atomic_load_n(&p->word, __ATOMIC_RELAXED); }                                    \
	static inline plain sas_load_acquire_##name(const wrapped *p)                              \
	{ return __atomic_load_n(&p->word, __ATOMIC_ACQUIRE); }                                    \
	static inline plain sas_load_seq_cst_##name(const wrapped *p)                              \
	{ return __atomic_load_n(&p->word, __ATOMIC_SEQ_CST); }                                    \
	static inline void sas_store_relaxed_##name(wrapped *p, plain v)                           \
	{ __atomic_store_n(&p->word, v, __ATOMIC_RELAXED); }                                       \
	static inline void sas_store_release_##name(wrapped *p, plain v)                           \
	{ __atomic_store_n(&p->word, v, __ATOMIC_RELEASE); }                                       \
	static inline void sas_store_seq_cst_##name(wrapped *p, plain v)                           \
	{ __atomic_store_n(&p->word, v, __ATOMIC_SEQ_CST); }                                       \
	static inline int sas_cas_acq_rel_##name(wrapped *p, plain *expected, plain v)             \
	{ return __atomic_compare_exchange_n(&p->word, expected, v, 0, __ATOMIC_ACQ_REL,           \
					     __ATOMIC_ACQUIRE); }                                  \
	static inline plain sas_exchange_seq_cst_##name(wrapped *p, plain v)                       \
	{ return __atomic_exchange_n(&p->word, v, __ATOMIC_SEQ_CST); }                             \
	static inline plain sas_exchange_acq_rel_##name(wrapped *p, plain v)                       \
	{ return __atomic_exchange_n(&p->word, v, __ATOMIC_ACQ_REL); }

#define SAS_ATOMIC_ADD(name, wrapped, plain)                                                       \
	static inline plain sas_fetch_add_relaxed_##name(wrapped *p, plain v)                      \
	{ return __atomic_fetch_add(&p->word, v, __ATOMIC_RELAXED); }                              \
	static inline plain sas_fetch_add_seq_cst_##name(wrapped *p, plain v)                      \
	{ return __atomic_fetch_add(&p->word, v, __ATOMIC_SEQ_CST); }

SAS_ATOMIC_OPS(u32, sas_u32_t, uint32_t)
SAS_ATOMIC_OPS(u64, sas_u64_t, uint64_t)
SAS_ATOMIC_OPS(ptr, sas_ptr_t, void *)
SAS_ATOMIC_ADD(u32, sas_u32_t, uint32_t)
SAS_ATOMIC_ADD(u64, sas_u64_t, uint64_t)

/* Words of the media. */
static inline uint32_t sas_m_load_relaxed_u32(const uint32_t *p) { return __atomic_load_n(p, __ATOMIC_RELAXED); }
static inline uint32_t sas_m_load_acquire_u32(const uint32_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
static inline void sas_m_store_relaxed_u32(uint32_t *p, uint32_t v) { __atomic_store_n(p, v, __ATOMIC_RELAXED); }
static inline void sas_m_store_release_u32(uint32_t *p, uint32_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
static inline int sas_m_cas_acq_rel_u32(uint32_t *p, uint32_t expected, uint32_t v)
{ return __atomic_compare_exchange_n(p, &expected, v, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE); }
static inline int sas_m_cas_acq_rel_u64(uint64_t *p, uint64_t expected, uint64_t v)
{ return __atomic_compare_exchange_n(p, &expected, v, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE); }
static inline uint64_t sas_m_load_acquire_u64(const uint64_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
static inline void sas_m_store_release_u64(uint64_t *p, uint64_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
static inline void sas_m_store_relaxed_u64(uint64_t *p, uint64_t v) { __atomic_store_n(p, v, __ATOMIC_RELAXED); }
static inline uint64_t sas_m_load_relaxed_u64(const uint64_t *p) { return __atomic_load_n(p, __ATOMIC_RELAXED); }
static inline uint64_t sas_m_fetch_add_relaxed_u64(uint64_t *p, uint64_t v) { return __atomic_fetch_add(p, v, __ATOMIC_RELAXED); }
static inline uint32_t sas_m_fetch_add_relaxed_u32(uint32_t *p, uint32_t v) { return __atomic_fetch_add(p, v, __ATOMIC_RELAXED); }

static inline void sas_fence_seq_cst(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

/* What has been read was read before what is read from here on. ThreadSanitizer knows no fences but the full one. */
static inline void sas_fence_reads(void)
{
#ifdef __SANITIZE_THREAD__
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
#else
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
#endif
}

#endif
