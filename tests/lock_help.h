/* SPDX-License-Identifier: MIT */
/*
 * lock_help.h - agents: threads and processes that take and give locks as they are told, and what of the locks
 * the test itself can see in SAS.run.
 */
#ifndef TESTS_LOCK_HELP_H
#define TESTS_LOCK_HELP_H

#include <pthread.h>
#include <sys/types.h>
#include <saslock.h>
#include "help.h"

#define READ SasUserLock__READ
#define WRITE SasUserLock__WRITE
#define INTENT SasUserLock__INTENT

/* The fixture: a store, and its region joined by the classic call. The end: no lock is held, and the check finds nothing. */
extern char *store, *base;
extern SASRegion_t region;              /* NULL: left */
void locks_begin(void);
void locks_end(void);

extern const sas_userlock_request_t all_modes[3];
/* Addresses of the region. */
static inline void *at(size_t number) { return base + 64 * number; }
#define ck_fails(call, wanted)                                                                  \
	do {                                                                                    \
		errno = 0;                                                                      \
		ck_assert_int_eq(call, -1);                                                     \
		ck_assert_int_eq(errno, wanted);                                                \
	} while (0)

#define LATE_MS (help_instrumented() ? 20000 : 2000)

/* From now on each wait in the kernel, of this process and its children, ends early: a signal every half millisecond. */
void interrupt_waits(int on);

enum order { TAKE, GIVE, CLASSIC, HELD, END };
struct request {
	long order;                     /* enum order; no bytes between the fields */
	void *address;
	sas_userlock_request_t mode;
	unsigned flags;
	long milliseconds;
};
struct answer {
	int result, error;
	uint64_t at;                    /* when the call came back: help_now() */
};

/* One order at a time. */
struct agent {
	int to[2], from[2];
	pid_t pid;                      /* of a process */
	pthread_t thread;
};

void agent_process(struct agent *a);
void agent_thread(struct agent *a);
/* Tell it what to do. */
void agent_ask(struct agent *a, struct request request);
/* Wait until it is done. */
struct answer agent_answer(struct agent *a);
/* 1: it has not answered yet. */
int agent_is_busy(struct agent *a);
/* The first of those not ended that has answered. */
struct agent *agent_next(struct agent *agents, int count);
void agent_end(struct agent *a);
/* SIGKILL; returns when it is dead. */
void agent_kill(struct agent *a);

/* Ask and wait: 0, or errno. */
int agent_take(struct agent *a, void *address, sas_userlock_request_t mode, long milliseconds);
int agent_give(struct agent *a, void *address);
int agent_held(struct agent *a, void *address);
/* Ask for a lock, and come back when it waits for it. */
void agent_wait_for(struct agent *a, SASRegion_t region, void *address, sas_userlock_request_t mode, long milliseconds);

/* The lock's word says that somebody waits for READ, or for INTENT or WRITE. */
int is_awaited(SASRegion_t region, void *address, sas_userlock_request_t mode);
/* How many threads wait for a lock of the region. */
unsigned waiters(SASRegion_t region);
/* Locks of the region that are held or waited for, and latches that are taken; the test says which. */
unsigned locks_in_use(SASRegion_t region);
/* Pages that thread slots own. */
unsigned pages_in_use(SASRegion_t region);

#endif
