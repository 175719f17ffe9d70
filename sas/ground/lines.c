/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <stddef.h>
#include <string.h>
#include "lines.h"

#if defined(__x86_64__)
#include <cpuid.h>

#define LINE 64UL

/* clwb keeps the line in the cache, clflushopt drops it; clflush also waits for each line. */
#define WRITE_BACK(instruction)                                                                    \
	static void write_back_##instruction(uintptr_t from, uintptr_t to)                         \
	{                                                                                          \
		for (uintptr_t line = from & ~(LINE - 1); line < to; line += LINE)                 \
			__asm__ volatile(#instruction " %0" : "+m"(*(volatile char *)line));       \
	}
WRITE_BACK(clwb)
WRITE_BACK(clflushopt)
WRITE_BACK(clflush)

static void fence(void)
{
	__asm__ volatile("sfence" : : : "memory");
}

/* The best one first. */
static const struct sas_lines known[] = {
	{ "clwb", write_back_clwb, fence },
	{ "clflushopt", write_back_clflushopt, fence },
	{ "clflush", write_back_clflush, fence },
};

static int has(const struct sas_lines *lines)
{
	unsigned a, b, c, d;

	if (lines->write_back == write_back_clflush)    /* all 64-bit ones */
		return 1;
	if (!__get_cpuid_count(7, 0, &a, &b, &c, &d))
		return 0;
	return (int)(b >> (lines->write_back == write_back_clwb ? 24 : 23) & 1);
}

#elif defined(__aarch64__)
#include <sys/auxv.h>

#define HAS_DCPOP (1UL << 16)   /* HWCAP_DCPOP */

static uintptr_t line_size(void)
{
	uint64_t type;

	__asm__("mrs %0, ctr_el0" : "=r"(type));
	return 4UL << (type >> 16 & 15);
}

/* To the point of persistence (cvap), or, where that is not told apart, to that of coherency (cvac). cvap by its encoding,
 * as assemblers want to be asked for it. */
static void write_back_cvap(uintptr_t from, uintptr_t to)
{
	for (uintptr_t size = line_size(), line = from & ~(size - 1); line < to; line += size)
		__asm__ volatile("sys #3, c7, c12, #1, %0" : : "r"(line) : "memory");
}

static void write_back_cvac(uintptr_t from, uintptr_t to)
{
	for (uintptr_t size = line_size(), line = from & ~(size - 1); line < to; line += size)
		__asm__ volatile("dc cvac, %0" : : "r"(line) : "memory");
}

static void fence(void)
{
	__asm__ volatile("dsb sy" : : : "memory");
}

static const struct sas_lines known[] = {
	{ "dc cvap", write_back_cvap, fence },
	{ "dc cvac", write_back_cvac, fence },
};

static int has(const struct sas_lines *lines)
{
	return lines->write_back == write_back_cvac || (getauxval(AT_HWCAP) & HAS_DCPOP);
}
#endif

#if defined(__x86_64__) || defined(__aarch64__)
#define COUNT (sizeof known / sizeof known[0])

const struct sas_lines *sas_lines = &known[COUNT - 1];

const struct sas_lines *sas_lines_named(const char *name)
{
	for (size_t i = 0; i < COUNT; i++)
		if (strcmp(known[i].name, name) == 0 && has(&known[i]))
			return &known[i];
	return NULL;
}

__attribute__((constructor)) static void choose(void)
{
	size_t i = 0;

	while (!has(&known[i]))
		i++;
	sas_lines = &known[i];
}
#else
const struct sas_lines *sas_lines;

const struct sas_lines *sas_lines_named(const char *name)
{
	(void)name;
	return NULL;
}
#endif
