/* SPDX-License-Identifier: MIT */
/*
 * store.h - directories of a crash test, and its process.
 *
 * They lie in a sandbox under TMPDIR, else in /dev/shm where that has room: thousands of images are written.
 */
#ifndef CRASH_STORE_H
#define CRASH_STORE_H

#include <limits.h>
#include <stddef.h>

/* Runs the test in a sandbox, on one processor; its exit status. */
int store_run_test(int (*test)(int argc, char **argv), int argc, char **argv);
/* The path of a directory of this test. Made when it is not there, else emptied. */
void store_make(char path[PATH_MAX], const char *name);
void store_empty(const char *path);

#define STORE_MEDIA 0           /* all but SAS.run */
#define STORE_ALL 1
/* The files of a directory into another one, which is made or emptied before; holes stay holes. */
void store_copy(const char *from, const char *to, int what);
/* How many files are there, SAS.run not counted. */
size_t store_count(const char *path);

/* Ends the test: the harness itself failed. */
void store_give_up(const char *what, const char *path) __attribute__((noreturn));

#endif
