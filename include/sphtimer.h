/* SPDX-License-Identifier: MIT */
/*
 * sphtimer.h - the time base: a counter that runs at one rate, and that rate.
 *
 * The counter is the processor's where that is invariant and the kernel itself keeps its clock by it, else
 * CLOCK_MONOTONIC in nanoseconds. Which one is decided when the library is loaded, never by how a program was
 * compiled, and holds as long as the process lives. Nothing has to be joined. All calls are thread-safe and
 * async-signal-safe. Pages: sphtimer(3).
 */
#ifndef SASPHERE_SPHTIMER_H
#define SASPHERE_SPHTIMER_H

#include <time.h>

#ifndef __C__
#ifdef __cplusplus
#define __C__ "C"
#else
#define __C__
#endif
#endif

typedef unsigned long long sphtimer_t;

/* The rate is there when the library has been loaded. */
#define SPH_TIMEBASEFREQ_CTOR 1

/* Ticks a second, and whether a tick is one of the processor's counter. Programs may read them, and store nothing. */
extern __C__ sphtimer_t sph_cpu_frequency;
extern __C__ int sph_time_base_counter;

/* Ticks, from a moment that is the same for all processes of this boot. */
static inline sphtimer_t sphgettimer (void)
{
	struct timespec now;

	if (__builtin_expect (sph_time_base_counter, 1)) {
#if defined (__x86_64__)
		return __builtin_ia32_rdtsc ();
#elif defined (__aarch64__)
		sphtimer_t ticks;

		__asm__ __volatile__ ("mrs %0, cntvct_el0" : "=r" (ticks));
		return ticks;
#endif
	}
	clock_gettime (CLOCK_MONOTONIC, &now);
	return (sphtimer_t) now.tv_sec * 1000000000ULL + (sphtimer_t) now.tv_nsec;
}

#define __TIME_BASE(var) ((var) = sphgettimer ())

/* Ticks a second. */
extern __C__ sphtimer_t sphgetcpufreq (void);

/* The same, as a load. */
static inline sphtimer_t sphfastcpufreq (void)
{
	return sph_cpu_frequency;
}

#endif
