/* SPDX-License-Identifier: MIT */
/*
 * thread_clock.h - a clock of the kernel, continued by the time base: what libsphgtod.a and libsphgettime.a share.
 *
 * What the kernel's own clock_gettime() costs is mostly the reading of the counter in order with all around it, and
 * then finding its data unchanged. Here each thread has data of its own, a line through one reading of clock and
 * counter, which it trusts for SPAN; so neither is needed. The price: two threads may differ by what the clock is
 * steered within SPAN, and by the counter's disorder.
 *
 * What was given is never more than the line's end. That is the floor under the next line: where the clock turns out
 * to be slower than the line the thread's time stands still until the clock has caught up, and does not go back. A
 * clock that is further behind than a line is long has been set, and is followed.
 *
 * Signals: a handler that interrupts the making of a line makes one of its own, as `span` is 0 meanwhile; ours is then
 * dropped. Between the two the time may differ as between two threads.
 * Fork, threads: thread-local, nothing is shared.
 */
#ifndef SPH_THREAD_CLOCK_H
#define SPH_THREAD_CLOCK_H

#include <stdint.h>
#include <time.h>
#include "sphtimer.h"

#define SPH_SECOND 1000000000ULL
#define SPH_SPAN 1000000ULL             /* ns that a line is trusted for */
#define SPH_TIGHT 1000000ULL            /* a reading of both takes less than this part of a second, or is not used */

struct sph_thread_clock {
	sphtimer_t start, span;         /* of the line, in ticks; span 0: there is none */
	uint64_t base;                  /* at its start, ns */
	uint64_t rate;                  /* ns a tick, times 2^32 */
	uint64_t floor;                 /* ns */
	unsigned turn;                  /* counts lines: a handler may begin one inside of ours */
};
#define SPH_THREAD_CLOCK static __thread __attribute__((tls_model("initial-exec"))) struct sph_thread_clock

static inline uint64_t sph_clock_ns(clockid_t id)
{
	struct timespec now;

	clock_gettime(id, &now);
	return (uint64_t)now.tv_sec * SPH_SECOND + (uint64_t)now.tv_nsec;
}

/* past < span: the product has 52 bits at most. */
static inline uint64_t sph_clock_on_line(const struct sph_thread_clock *c, sphtimer_t past)
{
	return c->base + (past * c->rate >> 32);
}

/* Begin another line, and give the time. */
static __attribute__((noinline)) uint64_t sph_clock_renew(struct sph_thread_clock *c, clockid_t id)
{
	uint64_t floor = c->floor, end = c->span ? sph_clock_on_line(c, c->span) : 0, now;
	sphtimer_t before, width, hertz = sphfastcpufreq();
	unsigned turn = ++c->turn;

	c->span = 0;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (floor < end)
		floor = end;
	before = sphgettimer();
	now = sph_clock_ns(id);
	width = sphgettimer() - before;
	c->floor = floor <= now + SPH_SPAN ? floor : now;
	c->start = before + width / 2;
	c->base = now;
	c->rate = (SPH_SECOND << 32) / hertz;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	now = c->floor > now ? c->floor : now;
	/* Interrupted: nobody knows when in between the clock was read, or a handler has stored beside us. */
	if (width < hertz / SPH_TIGHT && c->turn == turn) {
		c->span = hertz / (SPH_SECOND / SPH_SPAN);
	} else {
		c->span = 0;
		c->floor = now;
	}
	return now;
}

static inline uint64_t sph_clock_read(struct sph_thread_clock *c, clockid_t id)
{
	sphtimer_t past;
	uint64_t now;

	if (!sph_time_base_counter)
		return sph_clock_ns(id);
	past = sphgettimer() - c->start;
	if (past >= c->span)
		return sph_clock_renew(c, id);
	now = sph_clock_on_line(c, past);
	return now < c->floor ? c->floor : now;
}

/* --- the same by hand: timer values that are converted later */

/* Modulo 2^64, as timer values are added to it. */
static inline sphtimer_t sph_clock_factor(clockid_t id)
{
	sphtimer_t hertz = sphfastcpufreq(), tightest = (sphtimer_t)-1, factor = 0;

	for (int i = 0; i < 8; i++) {
		sphtimer_t before = sphgettimer(), width;
		uint64_t now = sph_clock_ns(id);

		width = sphgettimer() - before;
		if (width >= tightest)
			continue;
		tightest = width;
		factor = now / SPH_SECOND * hertz + now % SPH_SECOND * hertz / SPH_SECOND - (before + width / 2);
	}
	return factor;
}

static inline void sph_clock_split(sphtimer_t ticks, time_t *seconds, uint64_t *nanoseconds)
{
	sphtimer_t hertz = sphfastcpufreq();

	*seconds = (time_t)(ticks / hertz);
	*nanoseconds = ticks % hertz * SPH_SECOND / hertz;
}

#endif
