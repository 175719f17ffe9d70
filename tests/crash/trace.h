/* SPDX-License-Identifier: MIT */
/*
 * trace.h - which instructions an operation went through, and the way back to a point of it in another process, by a debug register:
 * much faster than steps.
 */
#ifndef CRASH_TRACE_H
#define CRASH_TRACE_H

#include <stddef.h>
#include "watch.h"

struct trace {
	uintptr_t *at;          /* the instruction of each step; malloc'd */
	size_t count, room;
};

void trace_begin(struct trace *t);
/* After each event of a child that is watched from the beginning of the operation. */
void trace_note(struct trace *t, const struct watch *w);
/* To the instruction that came after so many steps, the so manieth time that it does; the iterations of a `rep` instruction are steps, but
 * it is met once. 0: beside others it goes another way, and has come to its end. */
int trace_go(const struct trace *t, struct watch *w, uint64_t step);
void trace_free(struct trace *t);

#endif
