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
#include "segment.h"

static struct sigaction previous_segv, previous_bus;
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
 * A program's handler that was installed over ours may call us again for what it does not know, and we
 * would call it again. Such a call has the same context, deeper in the stack; a handler that left by longjmp
 * leaves a stale entry, but the next signal's frame is not deeper.
 */
static int in_chain(const void *context, uintptr_t frame)
{
	if (chaining.context == context && frame < chaining.frame)
		return 1;
	chaining.context = context;
	chaining.frame = frame;
	return 0;
}

static void chain(int number, siginfo_t *info, void *context)
{
	struct sigaction *kept = number == SIGBUS ? &previous_bus : &previous_segv, action = *kept;

	if (!(action.sa_flags & SA_SIGINFO) && (action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN)) {
		/* Ignoring a fault is no choice the kernel gives. */
		if (action.sa_handler == SIG_DFL || info->si_code > 0)
			default_action(number, info);
		return;
	}
	if (in_chain(context, (uintptr_t)__builtin_frame_address(0))) {
		default_action(number, info);
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
	chaining.context = NULL;
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

static void install_one(int number, struct sigaction *previous)
{
	struct sigaction action, now;

	if (sigaction(number, NULL, &now) != 0 || is_ours(&now))
		return;
	*previous = now;
	memset(&action, 0, sizeof action);
	action.sa_sigaction = handle;
	action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
	/* While a segment is being mapped no other handler may run: it could touch one with SIGSEGV blocked. */
	sigfillset(&action.sa_mask);
	sigaction(number, &action, NULL);
}

static void restore_one(int number, const struct sigaction *previous)
{
	struct sigaction now;

	if (sigaction(number, NULL, &now) == 0 && is_ours(&now))
		sigaction(number, previous, NULL);
}

void sas_fault_install(void)
{
	if (installed++)
		return;
	install_one(SIGSEGV, &previous_segv);
	install_one(SIGBUS, &previous_bus);
}

void sas_fault_restore(void)
{
	if (--installed)
		return;
	restore_one(SIGSEGV, &previous_segv);
	restore_one(SIGBUS, &previous_bus);
}
