/* SPDX-License-Identifier: MIT */
/*
 * measure.h - what the measurements share: time, medians, a store to measure in.
 *
 * A failure ends the program with a sentence: there is nobody to recover.
 */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <stddef.h>
#include <stdint.h>
#include <sasregion.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RUNS 3                  /* each figure is measured so often */
#define SEGMENT (2UL << 20)
#define SEGMENTS 1000UL

uint64_t now_ns(void);
/* The value that so many of a thousand lie below. Sorts. */
uint64_t quantile(uint64_t *values, size_t count, unsigned of_thousand);
/* "name  median 1.23 us  p99 4.56 us"; gives the median in ns. */
double report(const char *name, uint64_t *values, size_t count);
void *allocate(size_t size);
void give_up(const char *what) __attribute__((noreturn));
/* Run body in a process of its own. */
void in_child(void (*body)(void *arg), void *arg);
/* Memory that children share with us. */
void *shared(size_t size);

/* The machine, in a line. */
void describe_machine(void);
/* A new directory in the first argument, or TMPDIR, or /tmp; removed at the end by store_remove(). */
const char *store_make(int argc, char **argv);
void store_remove(void);
SASRegion_t join(unsigned flags);
/* A sparse region of 2 GiB that has SEGMENTS segments, of 2 MiB each; the first page of each is in the
 * page cache. blocks[i] begins segment i + 1. */
void make_segments(char *blocks[SEGMENTS - 1]);

#ifdef __cplusplus
}
#endif

#endif
