/* SPDX-License-Identifier: MIT */
/*
 * block_help.h - what the tests of faults, blocks, logs and storms share: stores, children, deadlines,
 * random numbers.
 *
 * Each test has a store directory of its own, which store_end() checks. run_suite() makes the directory
 * that holds them all, and removes it, whatever happened to the tests.
 */
#ifndef TESTS_BLOCK_HELP_H
#define TESTS_BLOCK_HELP_H

#include <check.h>
#include <signal.h>
#include <stdint.h>
#include <sys/types.h>

#include <sasregion.h>

#define KIB 1024UL
#define MIB (1024UL * KIB)
#define GIB (1024UL * MIB)
#define SEGMENT (2 * MIB)       /* the smallest */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

extern char store[256];         /* the directory of this test */

/* For a checked fixture. end: the region's full check finds nothing. */
void store_begin(void);
void store_end(void);
/* The full check finds nothing; problems are printed. */
void store_is_clean(const char *directory);
/* A new region here, with the flags beside SAS_JOIN_CREATE. */
SASRegion_t store_create(uint64_t region_size, uint64_t segment_size, unsigned flags);
SASRegion_t store_join(unsigned flags);
SASRegionInfo info_of(SASRegion_t region);
/* malloc'd, all of the list. */
SASBlockInfo *list_of(SASRegion_t region, sas_block_kind_t kind, size_t *count);
uint64_t sum_of(SASRegion_t region, sas_block_kind_t kind);

/* The size of a test by SAS_TEST_SIZE: ci, unset, long. */
long size_of_test(long ci, long normal, long full);
int under_valgrind(void);

/* A library call in a child: what ck_assert() is in the test itself. */
#define must(condition) ((condition) ? (void)0 : must_failed(__FILE__, __LINE__, #condition))
_Noreturn void must_failed(const char *file, int line, const char *condition);

typedef void (*child_body)(void *arg);
/* A child that runs body and exits with status 0; it dies with its parent. */
pid_t child_start(child_body body, void *arg);
/* Its wait status. The test fails when it does not end. */
int child_wait(pid_t pid);
void child_passes(child_body body, void *arg);
void child_dies(child_body body, void *arg, int by_signal);

/* Give up the processor until the condition holds: 1; 0 after so many seconds. */
#define until(condition, seconds)                                                              \
	({                                                                                     \
		uint64_t until_end_ = now_ns() + (uint64_t)(seconds) * 1000000000U;            \
		int until_held_;                                                               \
		while (!(until_held_ = (condition) ? 1 : 0) && now_ns() < until_end_)          \
			let_others_run();                                                      \
		until_held_;                                                                   \
	})
uint64_t now_ns(void);
void let_others_run(void);
/* How long a thing that must not hang may take. */
#define PATIENCE 30

/* The seed is printed, and SAS_TEST_SEED sets it. */
uint64_t random_seed(const char *what);
uint64_t random_next(uint64_t *state);
static inline uint64_t random_below(uint64_t *state, uint64_t n) { return random_next(state) % n; }

/* One load and one store that no compiler and no sanitizer looks at. */
unsigned char load_byte(const void *address);
void store_byte(void *address, unsigned char value);
int all_zero(const void *bytes, size_t size);

typedef void (*signal_action)(int number, siginfo_t *info, void *context);
void handle_signal(int number, signal_action action, int flags);

/* Sorted copy's value at per_mille of the way. */
uint64_t percentile(const uint64_t *values, size_t count, unsigned per_mille);

/* Run a program's suite; its exit status. */
int run_suite(Suite *suite);

#endif
