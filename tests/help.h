/* SPDX-License-Identifier: MIT */
/*
 * help.h - what tests share: store directories, regions, checks, child processes, time, random numbers. It uses
 * public calls alone. What goes wrong in here fails the test.
 *
 * What has no help_ before it is a word that tests are made of.
 */
#ifndef HELP_H
#define HELP_H

#include <check.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/types.h>
#include "sasinspect.h"
#include "sasregion.h"

#define KIB 1024UL
#define MIB (1024UL * KIB)
#define GIB (1024UL * MIB)

/* A window that is free under every sanitizer and valgrind. */
#define HELP_BASE 0x565800000000UL
#define HELP_SEGMENT (2 * MIB)  /* the smallest */
#define HELP_REGION (64 * MIB)

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HELP_SANITIZED 1
#else
#define HELP_SANITIZED 0
#endif

/* Run the suite in a sandbox, which holds all stores; the exit status. */
int help_main(Suite *suite);
/* A test case of the suite, for tests that take up to two minutes. */
TCase *help_case(Suite *suite, const char *name);

/* The size of a test by SAS_TEST_SIZE: ci, unset, long. */
long help_size(long ci, long normal, long full);
/* 1 under sanitizers, valgrind and emulators (run-aarch64), where address space cannot be limited. */
int help_instrumented(void);
/* Another processor is emulated: what /proc tells of threads is about the emulator, and threads are slow. */
int help_emulated(void);
/* The kernel marks the robust mutexes of the dead: qemu-user does not tell it of them, so there no death is noticed at once. */
int help_marks_deaths(void);
/* A test of what the living do for the dead, left out where nobody knows of them. */
#define help_add_death(c, test) do { if (help_marks_deaths()) tcase_add_test(c, test); } while (0)
/* For tests that run themselves as a program again, or ask the kernel for what the emulator does not pass on. */
#define help_add_native(c, test) do { if (!help_emulated()) tcase_add_test(c, test); } while (0)
int help_valgrind(void);

/* --- stores */

/* A new empty directory of this test; valid as long as the test runs. */
char *help_store(void);
/* "<store>/<name>", valid until the eighth call after this one. */
char *help_path(const char *store, const char *name);
/* The region's files are whole: SASRegionCheck() finds nothing. */
void help_clean(const char *store);
/* For SASRegionCheck(); arg: what to print before it, or NULL. */
void help_print_problem(const char *file, uint64_t offset, const char *sentence, void *arg);
/* It is whole (if there is one), and the region can be joined or made, allocate, free, and be left clean. */
void help_works(const char *store);
/* Changes with any byte, size, mode, owner or time of any file of the store, but for SAS.run. */
uint64_t help_fingerprint(const char *store);
/* A number of entries of the store whose names begin so. */
int help_files(const char *store, const char *prefix);
/* Descriptors that this process has open. */
int help_descriptors(void);

/* --- regions */

/* Geometry of a small region; flags are SAS_JOIN_... */
void help_options(SASRegionOptions *options, unsigned flags);
/* Join with that geometry; it must succeed. */
SASRegion_t help_join(const char *store, unsigned flags);
SASRegion_t help_create(const char *store);
void help_leave(SASRegion_t region);
/* Let classic joins use this store, and create regions of the small geometry. */
void help_classic(const char *store);
SASRegionInfo help_info(SASRegion_t region);
/* From the files. */
SASInspectInfo help_inspect(const char *store);
/* malloc'd, all of the list. */
SASBlockInfo *help_list(SASRegion_t region, sas_block_kind_t kind, size_t *count);
uint64_t help_sum(SASRegion_t region, sas_block_kind_t kind);

/* --- what holds */

/* The condition (a call that fails) holds, errno is `error`, and the sentence holds each of the texts. */
#define help_fails(condition, error, ...)                                                          \
	do {                                                                                       \
		int holds_, errno_;                                                                \
		errno = 0;                                                                         \
		holds_ = (condition);                                                              \
		errno_ = errno;                                                                    \
		help_failed(__FILE__, __LINE__, #condition, holds_, errno_, error, ##__VA_ARGS__, NULL); \
	} while (0)
void help_failed(const char *file, int line, const char *what, int holds, int found, int wanted, ...)
	__attribute__((sentinel));
#define help_succeeds(condition) ck_assert_msg(condition, #condition ": %s", SASLastErrorMessage())

/* In a child, whose status tells: what ck_assert() is in the test itself. */
#define must(condition) ((condition) ? (void)0 : must_failed(__FILE__, __LINE__, #condition))
_Noreturn void must_failed(const char *file, int line, const char *condition);

/* --- children */

typedef void (*help_body)(void *arg);
/* A child that runs body and ends without destructors; it dies with its parent. */
pid_t help_fork(help_body body, void *arg);
/* 1 as soon as the child has ended (somebody still has to wait for it), 0 when it has not by then. */
int help_ended(pid_t pid, int milliseconds);
/* Exit status, or 128 + signal. A child that is not done after so many seconds is killed: the test fails. */
int help_wait(pid_t pid, int seconds);
/* The child succeeds. */
void help_done(pid_t pid);
/* Fork, and wait for success, or for a death by this signal. */
void help_in_child(help_body body, void *arg);
void help_dies(help_body body, void *arg, int by_signal);

/* The body of a child that runs the whole program again, with the environment variable `arg`, "NAME=VALUE". */
void help_again(void *arg);

/* A pipe of single bytes. await fails the test when nothing comes for long. */
struct help_gate { int ends[2]; };
void help_gate_make(struct help_gate *gate);
void help_gate_open(struct help_gate *gate);
void help_gate_await(struct help_gate *gate);
void help_gate_drop(struct help_gate *gate);

/* A child that takes turns with the test. */
struct help_peer { char *store; struct help_gate there, back; pid_t pid; };
/* The test lets it begin, and go on, until it gives the turn back; and end, with success. */
void help_peer_start(struct help_peer *peer, help_body body);
void help_peer_go_on(struct help_peer *peer);
void help_peer_end(struct help_peer *peer);
/* The child, whose arg it is, gives the turn to the test until it comes back. */
void help_peer_turn(struct help_peer *peer);

typedef void (*help_handler)(int number, siginfo_t *info, void *context);
void help_handle(int number, help_handler handler, int flags);

/* --- time, random numbers */

/* How many seconds a thing that must not hang may take. */
#define PATIENCE 30
/* Give up the processor until the condition holds: 1; 0 after so many seconds. */
#define until(condition, seconds)                                                              \
	({                                                                                     \
		uint64_t until_end_ = help_deadline(seconds);                                  \
		int until_held_;                                                               \
		while (!(until_held_ = (condition) ? 1 : 0) && help_now() < until_end_)        \
			sched_yield();                                                         \
		until_held_;                                                                   \
	})
/* Nanoseconds. A deadline is later by CK_TIMEOUT_MULTIPLIER. */
uint64_t help_now(void);
uint64_t help_deadline(int seconds);
/* Keep the processor busy for so long: to meet another process at a random point, never to wait for it. */
void help_spin(uint64_t nanoseconds);

/* The seed is printed, and SAS_TEST_SEED sets it. */
uint64_t help_seed(const char *what);
uint64_t help_random(uint64_t *state);
/* Of the sorted values, the one at per_mille of the way. */
uint64_t help_percentile(const uint64_t *values, size_t count, unsigned per_mille);
static inline uint64_t help_below(uint64_t *state, uint64_t n) { return help_random(state) % n; }

/* --- memory */

/* One load and one store that no compiler and no sanitizer looks at. */
unsigned char load_byte(const void *address);
void store_byte(void *address, unsigned char value);
int all_zero(const void *bytes, size_t size);

#endif
