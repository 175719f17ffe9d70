/* SPDX-License-Identifier: MIT */
/*
 * api_thread.c - sphthread.h: who we are, remembered. Layer 4; it needs nothing of regions.
 *
 * Fork: a handler looks again in fork(2)'s child. For children that are made without handlers, the process's
 * number is remembered in a word that the kernel wipes in every child, and a thread remembers of which process
 * its own number is. Where the kernel does not wipe (before Linux 4.14) those children keep their parent's.
 */
#include <config.h>

#include <errno.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "ground/atomic.h"
#include "ground/port.h"
#include "sphthread.h"

pid_t procID;
SPH_THREAD_LOCAL pid_t threadID;

static SPH_THREAD_LOCAL pid_t thread_of;        /* the process that threadID was learnt in */
static uint32_t unwiped;
static uint32_t *known = &unwiped;              /* the process's number; 0: look again */
static char *name;

static pid_t learn_process(void)
{
	pid_t pid = getpid();

	__atomic_store_n(&procID, pid, __ATOMIC_RELAXED);
	sas_m_store_relaxed_u32(known, (uint32_t)pid);
	return pid;
}

static pid_t learn_thread(pid_t pid)
{
	threadID = (pid_t)syscall(SYS_gettid);
	thread_of = pid;
	return threadID;
}

pid_t sphdeGetPID(void)
{
	pid_t pid = (pid_t)sas_m_load_relaxed_u32(known);

	return pid ? pid : learn_process();
}

pid_t sphdeGetTID(void)
{
	pid_t pid = sphdeGetPID();

	return thread_of == pid ? threadID : learn_thread(pid);
}

char *sphdeGetCmdLine(void)
{
	return name;
}

static void learn(void)
{
	learn_thread(learn_process());
}

/* Early, so that constructors of programs find the data in place. */
__attribute__((constructor(101))) static void begin(void)
{
	uint32_t *word = sas_port_wiped_word();

	if (word)
		known = word;
	name = program_invocation_name;
	learn();
	pthread_atfork(NULL, NULL, learn);
}
