/* SPDX-License-Identifier: MIT */
/*
 * sphgtod.h - gettimeofday(2) by the time base. Link with -lsphgtod -lsasphere.
 *
 * Each thread keeps the clock for a millisecond, and then asks the kernel again, so that it follows
 * a clock that is set. All calls are thread-safe. Pages: sphgtod(3).
 */
#ifndef SASPHERE_SPHGTOD_H
#define SASPHERE_SPHGTOD_H

#include <sys/time.h>
#include "sphtimer.h"

/* The time of day. tz is not looked at. 0, or -1 and EFAULT where tv is NULL; so does the last one. */
extern __C__ int sphgtod (struct timeval *tv, struct timezone *tz);
/* What has to be added to a timer value now, so that it counts from 1970, in ticks. */
extern __C__ sphtimer_t sphget_gtod_conv_factor (void);
/* The time of day at which the timer had that value, by a factor taken about then. */
extern __C__ int sphtb2gtod_withfactor (struct timeval *tv, sphtimer_t timestamp, sphtimer_t tb2gtod_factor);

#endif
