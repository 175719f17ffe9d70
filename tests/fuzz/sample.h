/* SPDX-License-Identifier: MIT */
/*
 * sample.h - the region that is damaged: eight segments of 2 MiB, four files, two intents that may wait for recovery,
 * and a SAS.run with a process and two threads: locks held, waited for and half taken, a latch, a lease, a free that was
 * deferred. It is remade from memory, which takes less than a millisecond.
 */
#ifndef FUZZ_SAMPLE_H
#define FUZZ_SAMPLE_H

#include <stdint.h>
#include "../image.h"

#define SAMPLE_SEGMENTS 8
#define SAMPLE_THREADS 64       /* slots; the first two are in use */
/* Thread 0 holds SAMPLE_LOCKED for reading and the next address for writing; thread 1 waits for the first. */
#define SAMPLE_LOCKED (IMAGE_BASE + 0x1234)
#define SAMPLE_PID 77

extern struct image sample;

void sample_make(void);
/* All files as sample_make() left them, and no others. */
void sample_restore(void);
/* Opened, to be closed by the caller. */
int sample_open(const char *name, int flags);

#endif
