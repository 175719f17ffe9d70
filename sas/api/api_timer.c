/* SPDX-License-Identifier: MIT */
/*
 * api_timer.c - sphtimer.h: which counter is the time base, and how fast it runs. Layer 4; it needs nothing of
 * regions.
 *
 * The processor says whether its counter is invariant, but not whether the counters of all processors agree: that
 * the kernel has found out, and it keeps its clock by another source where they do not. What the processor
 * says about the rate is missing or rounded in many machines, virtual ones above all, so it is measured, for
 * MEASURED_NS against the clock that nobody steers. The error is that of two readings of the pair: mostly under
 * 0.003 %, under 0.05 % on a busy machine. Every program that is linked with us pays for it, so it is not longer.
 */
#include <config.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif
#include "ground/port.h"
#include "sphtimer.h"

#define MEASURED_NS 50000U
#define READINGS 8              /* of the pair; the tightest one counts */
#define SECOND 1000000000U

/* As long as nothing is decided: the clock. */
sphtimer_t sph_cpu_frequency = SECOND;
int sph_time_base_counter;

sphtimer_t sphgetcpufreq(void)
{
	return sph_cpu_frequency;
}

#if defined(__x86_64__) || defined(__aarch64__)

/* Whether the kernel keeps its clock by this counter, directly or by what the hypervisor tells of it. */
static int kernel_trusts_counter(void)
{
	static const char *const sources[] = {
		"tsc\n", "kvm-clock\n", "hyperv_clocksource_tsc_page\n", "arch_sys_counter\n",
	};
	char source[64];
	ssize_t length;
	int fd = sas_port->openat(AT_FDCWD, "/sys/devices/system/clocksource/clocksource0/current_clocksource",
				  O_RDONLY | O_CLOEXEC, 0);

	if (fd < 0)
		return 0;
	length = sas_port->pread(fd, source, sizeof source - 1, 0);
	sas_port->close(fd);
	if (length <= 0)
		return 0;
	source[length] = '\0';
	for (unsigned i = 0; i < sizeof sources / sizeof sources[0]; i++)
		if (strcmp(source, sources[i]) == 0)
			return 1;
	return 0;
}

#endif

#if defined(__x86_64__)

static int is_invariant(void)
{
	unsigned a, b, c, d;

	return __get_cpuid(0x80000007U, &a, &b, &c, &d) && (d & 1U << 8);
}

struct pair { sphtimer_t ticks, width; uint64_t ns; };

static uint64_t raw_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_RAW, &now);
	return (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
}

/* Clock and counter at one moment. A reading that was interrupted is a wide one. */
static struct pair read_pair(void)
{
	struct pair best = { .width = UINT64_MAX };

	for (int i = 0; i < READINGS; i++) {
		sphtimer_t before = __builtin_ia32_rdtsc();
		uint64_t ns = raw_ns();
		sphtimer_t width = __builtin_ia32_rdtsc() - before;

		if (width < best.width)
			best = (struct pair){ .ticks = before + width / 2, .width = width, .ns = ns };
	}
	return best;
}

static sphtimer_t frequency(void)
{
	struct pair from = read_pair(), to;

	do
		to = read_pair();
	while (to.ns - from.ns < MEASURED_NS);
	return (sphtimer_t)((unsigned __int128)(to.ticks - from.ticks) * SECOND / (to.ns - from.ns));
}

#elif defined(__aarch64__)

/* Of the architecture's counter both are architectural. */
static int is_invariant(void)
{
	return 1;
}

static sphtimer_t frequency(void)
{
	sphtimer_t hertz;

	__asm__ __volatile__("mrs %0, cntfrq_el0" : "=r"(hertz));
	return hertz;
}

#endif

/* Early, so that constructors of programs find it decided. The other copy of the library in a process has decided for this
 * one where both use the same data. */
__attribute__((constructor(101))) static void decide(void)
{
#if defined(__x86_64__) || defined(__aarch64__)
	const char *wanted = secure_getenv("SPH_TIMER");
	sphtimer_t hertz;

	if (sph_time_base_counter || (wanted && strcmp(wanted, "clock") == 0))
		return;
	if (!is_invariant() || !kernel_trusts_counter())
		return;
	hertz = frequency();
	if (hertz == 0)
		return;
	sph_cpu_frequency = hertz;
	sph_time_base_counter = 1;
#endif
}
