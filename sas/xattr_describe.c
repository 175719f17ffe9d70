/* SPDX-License-Identifier: MIT */
/*
 * xattr_describe.c - a segment file's trailer as attributes that people can read. Layer 2.
 *
 * Crash: see xattr.c. The trailer decides; the attributes only repeat it.
 */
#include <config.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "layout.h"
#include "uuid.h"
#include "xattr.h"

static int set_number(int fd, const char *key, const char *format, uint64_t value)
	__attribute__((format(printf, 3, 0)));

static int set_number(int fd, const char *key, const char *format, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof text, format, value);
	return sas_xattr_set(fd, key, text, strlen(text));
}

int sas_xattr_describe(int fd, const struct sas_m_trailer *t)
{
	char text[SAS_UUID_TEXT];
	int error;

	sas_uuid_text(t->uuid, text);
	error = sas_xattr_set(fd, "uuid", text, strlen(text));
	if (error == 0)
		error = set_number(fd, "segment", "%" PRIu64, t->number);
	if (error == 0)
		error = set_number(fd, "base", "0x%" PRIx64, t->base);
	if (error == 0)
		error = set_number(fd, "format", "%" PRIu64, t->format);
	if (error == 0)
		error = set_number(fd, "generation", "%" PRIu64, t->generation);
	return error;
}
