/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#include "watch.h"

#if defined(__x86_64__)

#define PAGE 4096UL
#define SYSCALL_OPCODE 0x050fU

/* Where a stopped child is sent to make a system call for us; the child has the same code. */
void watch_gate(void);
__asm__(".text\n.globl watch_gate\n.hidden watch_gate\nwatch_gate:\n\tsyscall\n\tint3\n");

/* The harness cannot go on: whoever started us removes what is left. */
static void give_up(const struct watch *w, const char *what)
{
	fprintf(stderr, "watch: %s of process %d: %s\n", what, (int)w->pid, strerror(errno));
	_exit(99);
}

static void get_registers(struct watch *w, struct user_regs_struct *regs)
{
	if (ptrace(PTRACE_GETREGS, w->pid, NULL, regs) != 0)
		give_up(w, "PTRACE_GETREGS");
}

static void set_registers(struct watch *w, struct user_regs_struct *regs)
{
	if (ptrace(PTRACE_SETREGS, w->pid, NULL, regs) != 0)
		give_up(w, "PTRACE_SETREGS");
}

/* Let it go on in this way; the status that it stops or ends with. */
static int resume_as(struct watch *w, enum __ptrace_request how, int signal)
{
	int status;

	if (ptrace(how, w->pid, NULL, (void *)(long)signal) != 0)
		give_up(w, "resumption");
	while (waitpid(w->pid, &status, __WALL) < 0)
		if (errno != EINTR)
			give_up(w, "waitpid");
	return status;
}

static int resume(struct watch *w, int signal)
{
	return resume_as(w, PTRACE_SINGLESTEP, signal);
}

/* --- what we do in its place */

static void protect(struct watch *w, uintptr_t address, size_t size, int protection)
{
	struct user_regs_struct kept, call;

	get_registers(w, &kept);
	call = kept;
	call.rip = (uintptr_t)watch_gate;
	call.rax = SYS_mprotect;
	call.orig_rax = (unsigned long long)-1;
	call.rdi = address;
	call.rsi = size;
	call.rdx = (unsigned)protection;
	set_registers(w, &call);
	resume(w, 0);
	get_registers(w, &call);
	if (call.rax != 0) {
		errno = -(int)call.rax;
		give_up(w, "mprotect");
	}
	set_registers(w, &kept);
}

struct mapping {
	unsigned long from, to;
	char mode[8];
};

/* Calls see for the child's mappings in its range until it gives non-zero. */
static int each_mapping(struct watch *w, int (*see)(struct watch *, const struct mapping *, void *),
			void *arg)
{
	char name[64], line[512];
	struct mapping m;
	int result = 0;
	FILE *f;

	snprintf(name, sizeof name, "/proc/%d/maps", (int)w->pid);
	f = fopen(name, "re");
	if (!f)
		give_up(w, name);
	while (!result && fgets(line, sizeof line, f))
		if (sscanf(line, "%lx-%lx %7s", &m.from, &m.to, m.mode) == 3 && m.from >= w->low &&
		    m.to <= w->high)
			result = see(w, &m, arg);
	fclose(f);
	return result;
}

static int protect_writable(struct watch *w, const struct mapping *m, void *arg)
{
	(void)arg;
	if (strncmp(m->mode, "rw-s", 4) == 0)
		protect(w, m->from, m->to - m->from, PROT_READ);
	return 0;
}

void watch_range(struct watch *w, uintptr_t low, uintptr_t high)
{
	w->low = low;
	w->high = high;
	if (low < high)
		each_mapping(w, protect_writable, NULL);
}

static int make_writable(struct watch *w, const struct mapping *m, void *arg)
{
	(void)arg;
	if (strncmp(m->mode, "r--s", 4) == 0)
		protect(w, m->from, m->to - m->from, PROT_READ | PROT_WRITE);
	return 0;
}

void watch_no_range(struct watch *w)
{
	w->pages = 0;
	each_mapping(w, make_writable, NULL);
	w->low = w->high;
}

static int holds(struct watch *w, const struct mapping *m, void *arg)
{
	uintptr_t address = *(const uintptr_t *)arg;

	(void)w;
	return address >= m->from && address < m->to && strncmp(m->mode, "r--s", 4) == 0;
}

/* --- one step */

static int is_call(struct watch *w, uintptr_t address)
{
	static struct { uintptr_t address; int is_call; } seen[4096];
	size_t slot = address % 4096;
	long text;

	if (seen[slot].address != address) {
		errno = 0;
		text = ptrace(PTRACE_PEEKTEXT, w->pid, (void *)address, NULL);
		seen[slot].is_call = errno == 0 && (text & 0xffff) == SYSCALL_OPCODE;
		seen[slot].address = address;
	}
	return seen[slot].is_call;
}

static void note_call(struct watch *w, unsigned long long number)
{
	const struct user_regs_struct *r = &w->regs;
	uint64_t argument[6] = { r->rdi, r->rsi, r->rdx, r->r10, r->r8, r->r9 };

	w->call.number = (long)number;
	memcpy(w->call.argument, argument, sizeof argument);
	if (number == SYS_mmap && r->rdi >= w->low && r->rdi < w->high && (r->rdx & PROT_WRITE)) {
		w->regs.rdx &= ~(unsigned long long)PROT_WRITE;
		set_registers(w, &w->regs);
	}
}

static enum watch_event end_call(struct watch *w)
{
	w->calls++;
	get_registers(w, &w->regs);
	w->call.result = (int64_t)w->regs.rax;
	return WATCH_CALL;
}

static void close_pages(struct watch *w)
{
	for (unsigned i = 0; i < w->pages; i++)
		protect(w, w->page[i], PAGE, PROT_READ);
	w->pages = 0;
}

/* A store was refused: did we forbid it? Then its page is made writable. */
static int allow_store(struct watch *w)
{
	siginfo_t info;
	uintptr_t address;

	if (w->low >= w->high)
		return 0;
	if (ptrace(PTRACE_GETSIGINFO, w->pid, NULL, &info) != 0)
		give_up(w, "PTRACE_GETSIGINFO");
	address = (uintptr_t)info.si_addr;
	if (info.si_code != SEGV_ACCERR || address < w->low || address >= w->high ||
	    !each_mapping(w, holds, &address))
		return 0;
	if (w->pages == WATCH_PAGES)
		close_pages(w);
	w->page[w->pages] = address & ~(PAGE - 1);
	protect(w, w->page[w->pages++], PAGE, PROT_READ | PROT_WRITE);
	return 1;
}

static void read_page(struct watch *w, uintptr_t page, void *bytes)
{
	struct iovec to = { bytes, PAGE }, from = { (void *)page, PAGE };

	if (process_vm_readv(w->pid, &to, 1, &from, 1, 0) != (ssize_t)PAGE)
		give_up(w, "process_vm_readv");
}

static char before[WATCH_PAGES][PAGE];

/* Bytes of the open pages are not what they were; what they are now is kept. */
static int look(struct watch *w)
{
	char after[PAGE];
	int changed = 0;

	for (unsigned i = 0; i < w->pages; i++) {
		read_page(w, w->page[i], after);
		if (memcmp(before[i], after, PAGE) != 0) {
			memcpy(before[i], after, PAGE);
			changed = 1;
		}
	}
	return changed;
}

static void end_store(struct watch *w)
{
	w->changed = look(w);
	w->stores++;
	get_registers(w, &w->regs);
	if (w->regs.rip != w->instruction)
		close_pages(w);
}

/* It stopped for another reason than the end of a step. */
static enum watch_event other_stop(struct watch *w, int status)
{
	if (!WIFSTOPPED(status)) {
		w->status = status;
		return WATCH_GONE;
	}
	if (WSTOPSIG(status) == SIGSTOP)
		return WATCH_STOPPED;
	w->signal = WSTOPSIG(status);
	return WATCH_STEP;
}

/* A signal's stop: it may be a store that we refused, which is made now. *status is what follows. */
static int make_store(struct watch *w, int *status)
{
	while (WIFSTOPPED(*status) && WSTOPSIG(*status) == SIGSEGV && allow_store(w)) {
		read_page(w, w->page[w->pages - 1], before[w->pages - 1]);
		*status = resume(w, 0);
	}
	return w->pages != 0;
}

static enum watch_event end_step(struct watch *w, int status, int call)
{
	int stored = make_store(w, &status);

	if (stored && WIFSTOPPED(status))
		end_store(w);
	if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP)
		return other_stop(w, status);
	w->steps++;
	if (stored)
		return WATCH_STORE;
	return call ? end_call(w) : WATCH_STEP;
}

/* To the next store or call. */
static enum watch_event go_on(struct watch *w, int signal)
{
	int status = resume_as(w, PTRACE_SYSCALL, signal);

	if (!WIFSTOPPED(status))
		return other_stop(w, status);
	get_registers(w, &w->regs);
	w->instruction = w->regs.rip;
	if (WSTOPSIG(status) != (SIGTRAP | 0x80))
		return end_step(w, status, 0);
	note_call(w, w->regs.orig_rax);
	status = resume_as(w, PTRACE_SYSCALL, 0);
	if (!WIFSTOPPED(status) || WSTOPSIG(status) != (SIGTRAP | 0x80))
		return other_stop(w, status);
	return end_call(w);
}

enum watch_event watch_step(struct watch *w)
{
	int call, signal = w->signal;

	w->signal = 0;
	get_registers(w, &w->regs);
	/* The pages of a `rep` instruction stay open until it is through. */
	if (w->pages && w->regs.rip != w->instruction)
		close_pages(w);
	if (w->quick && !w->pages)
		return go_on(w, signal);
	w->instruction = w->regs.rip;
	call = signal == 0 && is_call(w, w->instruction);
	if (call)
		note_call(w, w->regs.rax);
	return end_step(w, resume(w, signal), call);
}

enum watch_event watch_skip(struct watch *w, uint64_t steps)
{
	enum watch_event event = WATCH_STEP;

	while (steps-- > 0 && event == WATCH_STEP) {
		int status, signal = w->signal;

		w->signal = 0;
		status = resume(w, signal);
		if (WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP)
			w->steps++;
		else
			event = other_stop(w, status);
	}
	return event;
}

static int set_debug(struct watch *w, unsigned number, uintptr_t value)
{
	return ptrace(PTRACE_POKEUSER, w->pid, (void *)(offsetof(struct user, u_debugreg) + number * sizeof(long)), (void *)value) == 0;
}

enum watch_event watch_reach(struct watch *w, uintptr_t instruction, uint64_t times, int *there)
{
	enum watch_event event = WATCH_STEP;

	*there = set_debug(w, 0, instruction) && set_debug(w, 7, 1);
	while (*there && times > 0 && event == WATCH_STEP) {
		int status, signal = w->signal;

		w->signal = 0;
		status = resume_as(w, PTRACE_CONT, signal);
		if (WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP)
			times--;
		else
			event = other_stop(w, status);
	}
	if (*there && event == WATCH_STEP)
		set_debug(w, 7, 0);
	return event;
}

/* --- begin and end */

void watch_begin(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
		_exit(98);
	raise(SIGSTOP);
}

void watch_end(void)
{
	raise(SIGSTOP);
}

int watch_attach(struct watch *w, pid_t pid)
{
	int status;

	memset(w, 0, sizeof *w);
	w->pid = pid;
	while (waitpid(pid, &status, __WALL) < 0)
		if (errno != EINTR)
			give_up(w, "waitpid");
	if (!WIFSTOPPED(status)) {
		w->status = status;
		return -1;
	}
	if (ptrace(PTRACE_SETOPTIONS, pid, NULL, (void *)(long)(PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD)) !=
	    0)
		give_up(w, "PTRACE_SETOPTIONS");
	return 0;
}

void watch_kill(struct watch *w)
{
	int status = 0;

	kill(w->pid, SIGKILL);
	do {
		while (waitpid(w->pid, &status, __WALL) < 0)
			if (errno != EINTR)
				return;
	} while (WIFSTOPPED(status));
	w->status = status;
}

int watch_possible(const char **why)
{
	const char *preloaded = getenv("LD_PRELOAD");
	struct watch w;
	pid_t pid;

#if defined(__SANITIZE_THREAD__)
	*why = "of one thread, one instruction at a time, ThreadSanitizer has nothing to tell";
	return 0;
#endif
	*why = "under valgrind it is valgrind that would be stepped";
	if (preloaded && strstr(preloaded, "vgpreload"))
		return 0;
	*why = "ptrace(2) is refused here";
	pid = fork();
	if (pid == 0) {
		watch_begin();
		watch_end();
		_exit(0);
	}
	if (pid < 0 || watch_attach(&w, pid) != 0)
		return 0;
	watch_kill(&w);
	return 1;
}

#else

int watch_possible(const char **why)
{
	*why = "single steps are known for x86-64 alone";
	return 0;
}

void watch_begin(void) { }
void watch_end(void) { }
int watch_attach(struct watch *w, pid_t pid) { (void)w; (void)pid; return -1; }
void watch_range(struct watch *w, uintptr_t low, uintptr_t high) { (void)w; (void)low; (void)high; }
void watch_no_range(struct watch *w) { (void)w; }
enum watch_event watch_step(struct watch *w) { (void)w; return WATCH_GONE; }
enum watch_event watch_skip(struct watch *w, uint64_t steps) { (void)w; (void)steps; return WATCH_GONE; }
enum watch_event watch_reach(struct watch *w, uintptr_t instruction, uint64_t times, int *there)
{ (void)w; (void)instruction; (void)times; *there = 0; return WATCH_GONE; }
void watch_kill(struct watch *w) { (void)w; }

#endif
