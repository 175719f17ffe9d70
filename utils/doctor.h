/* SPDX-License-Identifier: MIT */
/*
 * doctor.h - what the parts of sasphere doctor(1) share: findings, and who makes them.
 */
#ifndef SASPHERE_DOCTOR_H
#define SASPHERE_DOCTOR_H

#include <stdint.h>

enum doctor_state { DOCTOR_OK, DOCTOR_DEGRADED, DOCTOR_BAD };

struct doctor;

/* One line of the table. Advice is NULL where there is none. */
void doctor_say(struct doctor *d, const char *check, enum doctor_state state, const char *advice, const char *detail, ...)
	__attribute__((format(printf, 5, 6)));
/* The first line of a small file, such as those of /proc and /sys; "" where it cannot be read. */
void doctor_read(const char *path, char text[256]);
/* Is [base, base + size) free in this program? Says so. */
void doctor_addresses(struct doctor *d, const char *check, uint64_t base, uint64_t size, const char *advice);

/* --- doctor_system.c: this program and the kernel; doctor_files.c: a directory, open as dir */
void doctor_system(struct doctor *d);
void doctor_files(struct doctor *d, int dir);

#endif
