/* SPDX-License-Identifier: MIT */
/*
 * watch.h - a child under ptrace, one instruction at a time, and each of its stores in a range of
 * addresses seen.
 *
 * Why no store is missed: while it is watched, the child's shared writable mappings in [low, high) are
 * read-only. A store there stops the child with SIGSEGV before it happens; the pages that it needs are made
 * writable, the one instruction is stepped, and they are read-only again. Mappings that the child
 * makes meanwhile are made read-only by taking PROT_WRITE out of the arguments of its mmap(2). So the cost
 * does not depend on the size of the range, and no instruction has to be decoded but `syscall`.
 *
 * What changes files without a store is a system call: it is one step, and told with its arguments.
 * A `rep` instruction is a step per iteration, as the processor's trap flag has it.
 *
 * Limits: x86-64. The thread that asked to be watched alone is; others of its process must not store in the
 * range.
 */
#ifndef CRASH_WATCH_H
#define CRASH_WATCH_H

#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

#define WATCH_PAGES 4           /* pages that one instruction may store in */

enum watch_event {
	WATCH_STEP,             /* an instruction; nothing was stored in the range */
	WATCH_STORE,            /* one that stored there */
	WATCH_CALL,             /* a system call has returned */
	WATCH_STOPPED,          /* the child has stopped itself: what is watched begins or ends */
	WATCH_GONE              /* it has ended */
};

struct watch {
	pid_t pid;
	uintptr_t low, high;    /* low == high: stores are not looked for */
	int status;             /* of wait(2), once it has gone */
	int signal;             /* to be delivered with the next step */
	int quick;              /* only stores and system calls are told, and steps are not counted */
	uint64_t steps, stores, calls;
	uintptr_t instruction;  /* the address of the one that was stepped last */
	int changed;            /* STORE: bytes are not what they were */
	struct {
		long number;
		uint64_t argument[6];
		int64_t result;
	} call;
	struct user_regs_struct regs;
	uintptr_t page[WATCH_PAGES];
	unsigned pages;
};

/* 1: a child can be watched here; 0: *why says what is missing. */
int watch_possible(const char **why);
/* In the child: stop, so that the parent can watch from here on; and at the end of it. */
void watch_begin(void);
void watch_end(void);
/* In the parent: wait for watch_begin(). 0; -1: the child ended before it. */
int watch_attach(struct watch *w, pid_t pid);
/* Look for stores in [low, high) from now on. */
void watch_range(struct watch *w, uintptr_t low, uintptr_t high);
/* No more: all is writable as it was, so that the kernel can mark a robust mutex there when the child dies. */
void watch_no_range(struct watch *w);
enum watch_event watch_step(struct watch *w);
/* So many steps, without telling stores: WATCH_STEP, or what ended it. */
enum watch_event watch_skip(struct watch *w, uint64_t steps);
/* To where this instruction is the next one for the so manieth time, by a debug register, which is much faster than steps: WATCH_STEP, or what
 * ended it. Where there are no such registers, nothing is done and *there is 0. */
enum watch_event watch_reach(struct watch *w, uintptr_t instruction, uint64_t times, int *there);
/* SIGKILL, and wait for its end. */
void watch_kill(struct watch *w);

#endif
