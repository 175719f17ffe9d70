/* SPDX-License-Identifier: MIT */
/*
 * sandbox.h - a test program that leaves nothing behind: no directory and no process, however it ends.
 *
 * The test runs in a child; whatever it starts and loses becomes a child of ours. When it has ended, or when
 * SIGINT, SIGTERM or SIGHUP ends us, all of them are killed, and then the one directory that holds all the
 * files of the run is removed. SIGKILL of this process is the exception: it leaves the directory.
 *
 * It knows nothing of Check. A debugger has to follow the child.
 */
#ifndef SANDBOX_H
#define SANDBOX_H

#include <limits.h>

/* Runs the test; its exit status. */
int sandbox_run(int (*test)(int argc, char **argv), int argc, char **argv);
/* The directory of the run: under TMPDIR, else under /tmp. */
const char *sandbox_root(void);
/* A new empty directory in it. 0, or -1 with errno. */
int sandbox_directory(char path[PATH_MAX]);
/* A directory, and all that is in it. */
void sandbox_remove(const char *path);
/* Before sandbox_run(), for who makes thousands of files: /dev/shm, if nobody says where and it has room. */
void sandbox_prefer_memory(void);

#endif
