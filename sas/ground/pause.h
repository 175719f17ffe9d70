/* SPDX-License-Identifier: MIT */
/*
 * pause.h - what who waits in a loop does between two looks. Layer 0.
 */
#ifndef SAS_PAUSE_H
#define SAS_PAUSE_H

/* Between two looks at a word that another processor will change: some tens of cycles. On ARM `yield` is no pause at all on
 * most processors; `isb` takes about as long as x86's `pause`. */
static inline void sas_pause(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ __volatile__("isb" : : : "memory");
#else
	__asm__ __volatile__("" : : : "memory");
#endif
}

#endif
