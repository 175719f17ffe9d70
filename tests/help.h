/* SPDX-License-Identifier: MIT */
/*
 * help.h - store directories, child processes, and the checks that tests of regions share. It uses public
 * calls alone. What goes wrong in here fails the test.
 */
#ifndef HELP_H
#define HELP_H

#include <check.h>
#include <errno.h>
#include <stdint.h>
#include <sys/types.h>
#include "sasregion.h"

/* A window that is free under every sanitizer and valgrind. */
#define HELP_BASE 0x565800000000UL
#define HELP_SEGMENT (2UL << 20)
#define HELP_REGION (64UL << 20)

/* Run the suite; the exit status. All stores are removed at the end, those of failed tests too. */
int help_main(Suite *suite);
/* A new empty directory of this test; valid as long as the test runs. */
char *help_store(void);
/* "<store>/<name>", valid until the eighth call after this one. */
char *help_path(const char *store, const char *name);
/* 0 when SAS_TEST_SIZE is ci, 2 when it is long, else 1. */
int help_size(void);
/* 1 under sanitizers and valgrind, where address space cannot be limited. */
int help_instrumented(void);

/* Memcheck takes the first touch of a lazily mapped segment for a fault of the program. */
int help_valgrind(void);
/* There, map these bytes; gives block. */
void *help_map(void *block, size_t size);

/* Geometry of a small region; flags are SAS_JOIN_... */
void help_options(SASRegionOptions *options, unsigned flags);
/* Join with that geometry; it must succeed. */
SASRegion_t help_join(const char *store, unsigned flags);
SASRegion_t help_create(const char *store);
void help_leave(SASRegion_t region);
/* Let classic joins use this store, and create regions of the small geometry. */
void help_classic(const char *store);
SASRegionInfo help_info(SASRegion_t region);

/* The region's files are whole: SASRegionCheck() finds nothing. */
void help_clean(const char *store);
/* The same (if there is one), and the region can be joined or made, allocate, free, and be left clean. */
void help_works(const char *store);
/* Changes with any byte, size, mode, owner or time of any file of the store, but for SAS.run. */
uint64_t help_fingerprint(const char *store);
/* A number of entries of the store whose names begin so. */
int help_files(const char *store, const char *prefix);
/* Descriptors that this process has open. */
int help_descriptors(void);

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

/* A child that runs body and ends without destructors. */
pid_t help_fork(void (*body)(void *arg), void *arg);
/* 1 as soon as the child has ended (somebody still has to wait for it), 0 when it has not by then. */
int help_ended(pid_t pid, int milliseconds);
/* Exit status, or 128 + signal. A child that is not done after so many seconds is killed: the test fails. */
int help_wait(pid_t pid, int seconds);
/* The child succeeds. */
void help_done(pid_t pid);
/* Fork, and wait for success. */
void help_in_child(void (*body)(void *arg), void *arg);

/* A pipe of single bytes. await fails the test when nothing comes for long. */
struct help_gate { int ends[2]; };
void help_gate_make(struct help_gate *gate);
void help_gate_open(struct help_gate *gate);
void help_gate_await(struct help_gate *gate);
void help_gate_drop(struct help_gate *gate);

/* Keep the processor busy for so long: to meet another process at a random point, never to wait for it. */
void help_spin(uint64_t nanoseconds);
uint64_t help_random(uint64_t *state);

#endif
