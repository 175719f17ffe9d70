/* SPDX-License-Identifier: MIT */
/*
 * sasatom.h - atomic changes of words that threads and processes share, and locks of one word.
 *
 * All of it is inline, on the compiler's __atomic builtins, which are the C11 memory model in C and in C++
 * alike: nothing is linked. A word must be aligned to its size, in any memory. All calls are thread-safe and
 * async-signal-safe, but those that wait for a lock: a handler that interrupts the holder waits for ever.
 *
 * A lock here has no owner: who dies with it leaves it locked. saslock(3) has locks that survive their
 * holders. Pages: sasatom(3).
 */
#ifndef SASPHERE_SASATOM_H
#define SASPHERE_SASATOM_H

#include <sched.h>
#include <stddef.h>

#ifndef __C__
#ifdef __cplusplus
#define __C__ "C"
#else
#define __C__
#endif
#endif

#ifndef GCC_VERSION
#define GCC_VERSION (__GNUC__ * 10000 + __GNUC_MINOR__ * 100 + __GNUC_PATCHLEVEL__)
#endif

/* 0 free, 1 held. */
typedef unsigned int sas_spin_lock_t;
/* A pointer to what is aligned to 2 at least; bit 0 set: held. */
typedef void *sas_lock_ptr_t;

/* Fences. read: loads before it come before all after it; write: all before it comes before stores after it; full:
 * both, and stores come before loads; code: the compiler alone is held. */
#define sas_read_barrier() __atomic_thread_fence (__ATOMIC_ACQUIRE)
#define sas_write_barrier() __atomic_thread_fence (__ATOMIC_RELEASE)
#define sas_full_barrier() __atomic_thread_fence (__ATOMIC_SEQ_CST)
#define sas_code_barrier() __atomic_signal_fence (__ATOMIC_SEQ_CST)

/* A pointer's bits as a number, for calculations with it. */
typedef unsigned long __attribute__ ((__may_alias__)) sas_atom_bits_t;

/* Tells the processor, not the kernel, that the thread waits. */
static inline void sas_atom_pause (void)
{
#if defined (__x86_64__) || defined (__i386__)
	__builtin_ia32_pause ();
#elif defined (__aarch64__)
	__asm__ __volatile__ ("yield" : : : "memory");
#else
	sas_code_barrier ();
#endif
}

/* Before the next try: three short waits, then the processor is given up each time. */
static inline void sas_atom_yield (unsigned int tries)
{
	if (tries < 4)
		sas_atom_pause ();
	else
		sched_yield ();
}

/* --- changes that give the old value */

/* Adds bytes to a pointer. Relaxed. */
static inline void *sas_fetch_and_add_ptr (void **pointer, long int delta)
{
	return (void *) __atomic_fetch_add ((sas_atom_bits_t *) pointer, (sas_atom_bits_t) delta, __ATOMIC_RELAXED);
}

/* Relaxed. */
static inline long int sas_fetch_and_add (long *pointer, long int delta)
{
	return __atomic_fetch_add (pointer, delta, __ATOMIC_RELAXED);
}

/* Acquire and release, these four. */
static inline long int sas_fetch_and_and (unsigned int *pointer, int delta)
{
	return (long int) __atomic_fetch_and (pointer, (unsigned int) delta, __ATOMIC_ACQ_REL);
}

static inline long int sas_fetch_and_and_long (unsigned long *pointer, long int delta)
{
	return (long int) __atomic_fetch_and (pointer, (unsigned long) delta, __ATOMIC_ACQ_REL);
}

static inline long int sas_fetch_and_or (unsigned int *pointer, int delta)
{
	return (long int) __atomic_fetch_or (pointer, (unsigned int) delta, __ATOMIC_ACQ_REL);
}

static inline long int sas_fetch_and_or_long (unsigned long *pointer, long int delta)
{
	return (long int) __atomic_fetch_or (pointer, (unsigned long) delta, __ATOMIC_ACQ_REL);
}

/* Not 0: *p was oldval, and is newval now. Sequentially consistent. */
static inline int sas_compare_and_swap (volatile long int *p, long int oldval, long int newval)
{
	return __atomic_compare_exchange_n (p, &oldval, newval, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

/* Sequentially consistent. */
static inline long int sas_atomic_swap (long int *p, long int replace)
{
	return __atomic_exchange_n (p, replace, __ATOMIC_SEQ_CST);
}

/* All 64 bits. Sequentially consistent. */
static inline void sas_atomic_inc (long int *p)
{
	(void) __atomic_fetch_add (p, 1, __ATOMIC_SEQ_CST);
}

static inline void sas_atomic_dec (long int *p)
{
	(void) __atomic_fetch_sub (p, 1, __ATOMIC_SEQ_CST);
}

/* Give the value before. Acquire. */
static inline long sas_atomic_inc_long (volatile long *value)
{
	return __atomic_fetch_add (value, 1, __ATOMIC_ACQUIRE);
}

static inline long sas_atomic_dec_long (volatile long *value)
{
	return __atomic_fetch_sub (value, 1, __ATOMIC_ACQUIRE);
}

/* --- a lock: taking it acquires, giving it back releases */

static inline void sas_spin_lock_init (volatile sas_spin_lock_t *lock)
{
	__atomic_store_n (lock, 0U, __ATOMIC_RELEASE);
}

/* 0: the lock is ours. 1: it was held. */
static inline int sas_spin_trylock (volatile sas_spin_lock_t *lock)
{
	return __atomic_exchange_n (lock, 1U, __ATOMIC_ACQUIRE) != 0;
}

/* Waits by looking alone, so that the holder keeps the line to itself. */
static inline void sas_spin_lock (volatile sas_spin_lock_t *lock)
{
	while (sas_spin_trylock (lock))
		while (__atomic_load_n (lock, __ATOMIC_RELAXED))
			sas_atom_pause ();
}

static inline void sas_spin_lock_with_yield (volatile sas_spin_lock_t *lock)
{
	unsigned int tries = 0;

	while (sas_spin_trylock (lock))
		sas_atom_yield (++tries);
}

static inline void sas_spin_unlock (volatile sas_spin_lock_t *lock)
{
	__atomic_store_n (lock, 0U, __ATOMIC_RELEASE);
}

/* --- a lock in bit 0 of a pointer */

static inline void sas_lock_ptr_init (volatile sas_lock_ptr_t *lock)
{
	__atomic_store_n (lock, (void *) 0, __ATOMIC_RELEASE);
}

/* 0: the lock is ours. 1: it was held. */
static inline int sas_trylock_ptr (volatile sas_lock_ptr_t *lock)
{
	return (int) (__atomic_fetch_or ((volatile sas_atom_bits_t *) lock, 1UL, __ATOMIC_ACQUIRE) & 1UL);
}

/* Whether it is held, at this moment. */
static inline int sas_atom_ptr_is_locked (volatile sas_lock_ptr_t *lock)
{
	return (int) (__atomic_load_n ((volatile sas_atom_bits_t *) lock, __ATOMIC_RELAXED) & 1UL);
}

/* The pointer without the lock's bit. */
static inline void *sas_atom_ptr (volatile sas_lock_ptr_t *lock)
{
	return (void *) (__atomic_load_n ((volatile sas_atom_bits_t *) lock, __ATOMIC_RELAXED) & ~1UL);
}

/* Gives the pointer. */
static inline void *sas_lock_ptr (volatile sas_lock_ptr_t *lock)
{
	while (sas_trylock_ptr (lock))
		while (sas_atom_ptr_is_locked (lock))
			sas_atom_pause ();
	return sas_atom_ptr (lock);
}

static inline void sas_lock_ptr_with_yield (volatile sas_lock_ptr_t *lock)
{
	unsigned int tries = 0;

	while (sas_trylock_ptr (lock))
		sas_atom_yield (++tries);
}

/* Take the lock, and store another pointer. */
static inline void sas_set_unlocked_ptr (volatile sas_lock_ptr_t *lock, sas_lock_ptr_t newptr)
{
	(void) sas_lock_ptr (lock);
	__atomic_store_n ((volatile sas_atom_bits_t *) lock, (sas_atom_bits_t) newptr | 1UL, __ATOMIC_RELEASE);
}

/* The holder stores another pointer, and keeps the lock. Waits while nobody holds it. */
static inline void sas_set_locked_ptr (volatile sas_lock_ptr_t *lock, sas_lock_ptr_t newptr)
{
	while (!sas_atom_ptr_is_locked (lock))
		sas_atom_pause ();
	__atomic_store_n ((volatile sas_atom_bits_t *) lock, (sas_atom_bits_t) newptr | 1UL, __ATOMIC_RELEASE);
}

/* The pointer stays. Nothing happens to a lock that is free. */
static inline void sas_unlock_ptr (volatile sas_lock_ptr_t *lock)
{
	(void) __atomic_fetch_and ((volatile sas_atom_bits_t *) lock, ~1UL, __ATOMIC_RELEASE);
}

#endif
