/* SPDX-License-Identifier: MIT */
/* gtod.c - sphgtod.h: all of libsphgtod.a. */
#include <config.h>

#include <errno.h>
#include "sphgtod.h"
#include "thread_clock.h"

SPH_THREAD_CLOCK realtime;

static int no_place(void)
{
	errno = EFAULT;
	return -1;
}

int sphgtod(struct timeval *tv, struct timezone *tz)
{
	uint64_t now;

	(void)tz;
	if (!tv)
		return no_place();
	now = sph_clock_read(&realtime, CLOCK_REALTIME);
	tv->tv_sec = (time_t)(now / SPH_SECOND);
	tv->tv_usec = (suseconds_t)(now % SPH_SECOND / 1000);
	return 0;
}

sphtimer_t sphget_gtod_conv_factor(void)
{
	return sph_clock_factor(CLOCK_REALTIME);
}

int sphtb2gtod_withfactor(struct timeval *tv, sphtimer_t timestamp, sphtimer_t tb2gtod_factor)
{
	uint64_t nanoseconds;

	if (!tv)
		return no_place();
	sph_clock_split(timestamp + tb2gtod_factor, &tv->tv_sec, &nanoseconds);
	tv->tv_usec = (suseconds_t)(nanoseconds / 1000);
	return 0;
}
