/* SPDX-License-Identifier: MIT */
/*
 * sphgettime.h - clock_gettime(2) of CLOCK_MONOTONIC by the time base. Link with -lsphgettime -lsasphere.
 *
 * Each thread keeps the clock for a millisecond, and then asks the kernel again. All calls are
 * thread-safe. Pages: sphgettime(3).
 */
#ifndef SASPHERE_SPHGETTIME_H
#define SASPHERE_SPHGETTIME_H

#include <time.h>
#include "sphtimer.h"

/* The time, as of CLOCK_MONOTONIC. 0, or -1 and EFAULT where tp is NULL; so does the last one. */
extern __C__ int sphgettime (struct timespec *tp);
/* What has to be added to a timer value now, so that it counts from the clock's beginning, in ticks. */
extern __C__ sphtimer_t sphget_gettime_conv_factor (void);
/* The time at which the timer had that value, by a factor taken about then. */
extern __C__ int sphtb2gettime_withfactor (struct timespec *tp, sphtimer_t timestamp, sphtimer_t tb2gettime_factor);

#endif
