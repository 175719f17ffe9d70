/* SPDX-License-Identifier: MIT */
/*
 * sphthread.h - the numbers of this process and of this thread without a system call, and the program's name.
 *
 * The numbers are those of getpid(2) and gettid(2). Nothing has to be joined. All calls are thread-safe and
 * async-signal-safe. Pages: sphthread(3).
 */
#ifndef SASPHERE_SPHTHREAD_H
#define SASPHERE_SPHTHREAD_H

#include <sys/types.h>
#include <unistd.h>

#ifndef __C__
#ifdef __cplusplus
#define __C__ "C"
#else
#define __C__
#endif
#endif

/* procID is there when the library has been loaded; so is threadID, of the thread that loads it. */
#define SPH_PROCINIT_CTOR 1
#define SPH_THREADINIT_CTOR 1
#define SPH_THREAD_LOCAL __thread __attribute__ ((__tls_model__ ("initial-exec")))

/* Right after fork(2) too. Programs may read them, and store nothing. threadID is 0 in a thread until it has called
 * sphFastGetTID(), sphdeGetTID() or SASThreadSetUp(). */
extern __C__ pid_t procID;
extern __C__ SPH_THREAD_LOCAL pid_t threadID;

/* Right also in a child that was made by clone(2) or _Fork(3), where the data above is the parent's until then. */
extern __C__ pid_t sphdeGetPID (void);
extern __C__ pid_t sphdeGetTID (void);
/* argv[0], as it was when the library was loaded. Not the caller's to free or to change. */
extern __C__ char *sphdeGetCmdLine (void);

/* A load each. */
static inline int sphFastGetPID (void)
{
	pid_t pid = __atomic_load_n (&procID, __ATOMIC_RELAXED);

	return pid ? pid : sphdeGetPID ();
}

static inline int sphFastGetTID (void)
{
	return threadID ? threadID : sphdeGetTID ();
}

#endif
