/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>
#include "fault.h"
#include "region.h"
#include "media/segment.h"

/*
 * What was there before us. Whoever was installed over us stays there when the last region is left, and may go on
 * calling us (`buried`). The next join puts us over that one: what it was installed over is then below both.
 */
static struct kept {
	struct sigaction previous, below;
	int buried;
} kept_segv, kept_bus;
static int installed;

/* The last fault of this thread on a segment that was mapped already. Small: it lies in static TLS. */
static __thread struct {
	uintptr_t address, instruction;
	uint32_t maps;
} last __attribute__((tls_model("initial-exec")));

/* The call of a previous handler that is running in this thread. */
static __thread struct {
	const void *context;
	uintptr_t frame;
	int level;
} chaining __attribute__((tls_model("initial-exec")));

static uintptr_t instruction_of(const ucontext_t *context)
{
#if defined(__x86_64__)
	return (uintptr_t)context->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
	return (uintptr_t)context->uc_mcontext.pc;
#else
	(void)context;
	return 0;
#endif
}

/* Mapped already: 1 the first time. */
static int retry(struct sas_region *r, uintptr_t address, uintptr_t instruction)
{
	uint32_t maps = sas_load_acquire_u32(&r->maps);

	if (last.address == address && last.instruction == instruction && last.maps == maps)
		return 0;
	last.address = address;
	last.instruction = instruction;
	last.maps = maps;
	return 1;
}

/* Not inlined: its registers need not be saved on the deepest path of the handler, which has 1 KiB of stack. */
static __attribute__((noinline)) void count_fault(struct sas_region *r)
{
	struct sas_run_thread *slot = sas_own_slot(r);

	sas_fetch_add_relaxed_u64(&r->faults, 1);
	if (slot)
		sas_run_count(&slot->counters.faults);
}

static int mend_in(struct sas_region *r, uintptr_t address, uintptr_t instruction)
{
	uint64_t n = (address - r->memory) >> r->segment_shift;
	int error;

	if (sas_segment_mapped(r, n))
		return retry(r, address, instruction);
	if (!sas_segment_present(r, n))
		return 0;
	error = sas_segment_map_quiet(r, n);
	if (error == -EADDRINUSE)       /* without a reservation: another thread may be mapping it */
		return retry(r, address, instruction);
	if (error) {
		sas_store_relaxed_u32(&r->fault_errno, (uint32_t)-error);
		return 0;
	}
	count_fault(r);
	return 1;
}

/* The slot's region, if the address is mapped to it: it stays until count_out(). */
static struct sas_region *count_in(struct sas_region_slot *slot, uintptr_t address)
{
	struct sas_region *r = sas_load_acquire_ptr(&slot->region);

	if (!r || address - sas_load_relaxed_u64(&slot->memory) >= sas_load_relaxed_u64(&slot->size))
		return NULL;
	sas_fetch_add_seq_cst_u32(&slot->handlers, 1);
	/* Pairs with withdraw(): it stores NULL and then waits for handlers to be 0; one of us sees the other. */
	if (sas_load_seq_cst_ptr(&slot->region) == r)
		return r;
	sas_fetch_add_seq_cst_u32(&slot->handlers, (uint32_t)-1);
	return NULL;
}

static void count_out(struct sas_region_slot *slot)
{
	sas_fetch_add_seq_cst_u32(&slot->handlers, (uint32_t)-1);
}

int sas_fault_mend(void *signal_info, void *context)
{
	const siginfo_t *info = signal_info;
	uintptr_t address = (uintptr_t)info->si_addr;
	int mended = 0;

	if (info->si_signo != SIGSEGV || (info->si_code != SEGV_MAPERR && info->si_code != SEGV_ACCERR))
		return 0;
	for (unsigned i = 0; i < SAS_REGIONS_MAX && !mended; i++) {
		struct sas_region *r = count_in(&sas_regions[i], address);

		if (!r)
			continue;
		mended = mend_in(r, address, instruction_of(context));
		count_out(&sas_regions[i]);
	}
	return mended;
}

/* SIGBUS in a region: a file was truncated, or a sparse region met a full disk. */
static void record_bus(const siginfo_t *info)
{
	uintptr_t address = (uintptr_t)info->si_addr;

	for (unsigned i = 0; i < SAS_REGIONS_MAX; i++) {
		struct sas_region *r = count_in(&sas_regions[i], address);

		if (!r)
			continue;
		sas_store_relaxed_u64(&r->bus_address, address);
		sas_fetch_add_relaxed_u64(&r->bus_errors, 1);
		count_out(&sas_regions[i]);
	}
}

/* The mask that the kernel would have given the previous handler. */
static void set_mask(int number, const struct sigaction *action, const ucontext_t *context)
{
	sigset_t mask = context->uc_sigmask;

	for (int s = 1; s < NSIG; s++)
		if (sigismember(&action->sa_mask, s) == 1)
			sigaddset(&mask, s);
	if (!(action->sa_flags & SA_NODEFER))
		sigaddset(&mask, number);
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
}

static void default_action(int number, siginfo_t *info)
{
	struct sigaction action;

	memset(&action, 0, sizeof action);
	action.sa_handler = SIG_DFL;
	sigaction(number, &action, NULL);
	/* A fault happens again on return; a signal that somebody sent does not. */
	if (info->si_code <= 0)
		syscall(SYS_rt_tgsigqueueinfo, getpid(), syscall(SYS_gettid), number, info);
}

/*
 * A program's handler, or another copy of this library, that was installed over ours may call us again for what it
 * does not know, and we would call it again. Such a call has the same context, deeper in the stack; a handler that
 * left by longjmp leaves a stale entry, but the next signal's frame is not deeper. How many calls we are in.
 */
static int enter_chain(const void *context, uintptr_t frame)
{
	if (chaining.context == context && frame < chaining.frame)
		return ++chaining.level;
	chaining.context = context;
	chaining.frame = frame;
	return chaining.level = 0;
}

static void leave_chain(int level)
{
	chaining.level = level - 1;
	if (level == 0)
		chaining.context = NULL;
}

/* The first time to who was there before; when that one calls us again, to who was below it; then to nobody. */
static void chain(int number, siginfo_t *info, void *context)
{
	struct kept *k = number == SIGBUS ? &kept_bus : &kept_segv;
	int level = enter_chain(context, (uintptr_t)__builtin_frame_address(0));
	struct sigaction *kept = level == 0 ? &k->previous : &k->below, action = *kept;

	if (level > 1 || (!(action.sa_flags & SA_SIGINFO) &&
			  (action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN))) {
		/* Ignoring a fault is no choice the kernel gives. */
		if (level > 1 || action.sa_handler == SIG_DFL || info->si_code > 0)
			default_action(number, info);
		leave_chain(level);
		return;
	}
	if (action.sa_flags & (int)SA_RESETHAND) {
		kept->sa_handler = SIG_DFL;
		kept->sa_flags = 0;
	}
	set_mask(number, &action, context);
	if (action.sa_flags & SA_SIGINFO)
		action.sa_sigaction(number, info, context);
	else
		action.sa_handler(number);
	leave_chain(level);
}

static void handle(int number, siginfo_t *info, void *context)
{
	int kept = errno;

	if (number == SIGBUS && info->si_code > 0)
		record_bus(info);
	if (number != SIGSEGV || !sas_fault_mend(info, context)) {
		errno = kept;
		chain(number, info, context);
	}
	errno = kept;
}

static int is_ours(const struct sigaction *action)
{
	return (action->sa_flags & SA_SIGINFO) && action->sa_sigaction == handle;
}

static void install_one(int number, struct kept *kept)
{
	struct sigaction action, now;

	if (sigaction(number, NULL, &now) != 0 || is_ours(&now))
		return;
	if (kept->buried == 1) {
		kept->below = kept->previous;
		kept->buried = 2;       /* what is below stays that */
	}
	kept->previous = now;
	memset(&action, 0, sizeof action);
	action.sa_sigaction = handle;
	action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
	/* While a segment is being mapped no other handler may run: it could touch one with SIGSEGV blocked. */
	sigfillset(&action.sa_mask);
	sigaction(number, &action, NULL);
}

static void restore_one(int number, struct kept *kept)
{
	struct sigaction now;

	if (sigaction(number, NULL, &now) != 0)
		return;
	if (is_ours(&now))
		sigaction(number, &kept->previous, NULL);
	else if (!kept->buried)
		kept->buried = 1;
}

void sas_fault_install(void)
{
	if (installed++)
		return;
	install_one(SIGSEGV, &kept_segv);
	install_one(SIGBUS, &kept_bus);
}

void sas_fault_restore(void)
{
	if (--installed)
		return;
	restore_one(SIGSEGV, &kept_segv);
	restore_one(SIGBUS, &kept_bus);
}
