/* SPDX-License-Identifier: MIT */
/*
 * lines.h - cache lines written back to memory that survives a power cut. Layer 0.
 *
 * The best instruction that the processor has is chosen when the library is loaded; before that, in constructors
 * of others, one that every processor has. Tests put a table of their own in place, which records.
 *
 * Signals: async-signal-safe.
 */
#ifndef SAS_LINES_H
#define SAS_LINES_H

#include <stdint.h>

struct sas_lines {
	const char *name;               /* the instruction */
	void (*write_back)(uintptr_t from, uintptr_t to);       /* the lines of [from, to) are on their way */
	void (*fence)(void);            /* what this thread wrote back before is there; later stores come after it */
};

/* NULL: nothing is known for this kind of processor, and persistent memory is refused. */
extern const struct sas_lines *sas_lines;
/* By name, where this processor has it; else NULL. For tests. */
const struct sas_lines *sas_lines_named(const char *name);

#endif
