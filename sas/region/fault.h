/* SPDX-License-Identifier: MIT */
/*
 * fault.h - the SIGSEGV and SIGBUS handler: segments are mapped at their first touch. Layer 3.
 *
 * A fault is ours when its address lies in a joined region, in a segment that the table lists. It is
 * mended by mapping the segment. A fault on a segment that is mapped already is retried once, as
 * another thread may just have mapped it; the same address and instruction again, with no mapping
 * made in between, is a real fault. What is not ours goes to the action that was installed before
 * us, with siginfo, context and the mask it asked for; for SIG_DFL that is restored and the
 * instruction run again, so that the core shows it.
 *
 * Signals: everything here but install and restore is async-signal-safe: no lock, no malloc, no stdio, under 1 KiB of stack.
 * Locks: none. A leaving thread withdraws the region from its slot, and waits until the slot's `handlers` is 0; a
 * handler counts itself in and then looks whether the region is still there (both seq_cst).
 * Fork: the child inherits handler and mappings.
 */
#ifndef SAS_FAULT_H
#define SAS_FAULT_H

/* Process lock held. */
void sas_fault_install(void);
void sas_fault_restore(void);
/* 1 when the fault was ours and is mended. */
int sas_fault_mend(void *info, void *context);

#endif
