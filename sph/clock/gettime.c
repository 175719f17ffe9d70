/* SPDX-License-Identifier: MIT */
/* gettime.c - sphgettime.h: all of libsphgettime.a. */
#include <config.h>

#include <errno.h>
#include "sphgettime.h"
#include "thread_clock.h"

SPH_THREAD_CLOCK monotonic;

static int no_place(void)
{
	errno = EFAULT;
	return -1;
}

int sphgettime(struct timespec *tp)
{
	uint64_t now;

	if (!tp)
		return no_place();
	now = sph_clock_read(&monotonic, CLOCK_MONOTONIC);
	tp->tv_sec = (time_t)(now / SPH_SECOND);
	tp->tv_nsec = (long)(now % SPH_SECOND);
	return 0;
}

sphtimer_t sphget_gettime_conv_factor(void)
{
	return sph_clock_factor(CLOCK_MONOTONIC);
}

int sphtb2gettime_withfactor(struct timespec *tp, sphtimer_t timestamp, sphtimer_t tb2gettime_factor)
{
	uint64_t nanoseconds;

	if (!tp)
		return no_place();
	sph_clock_split(timestamp + tb2gettime_factor, &tp->tv_sec, &nanoseconds);
	tp->tv_nsec = (long)nanoseconds;
	return 0;
}
