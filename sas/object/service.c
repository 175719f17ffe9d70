/* SPDX-License-Identifier: MIT */
/* service.c - errors for objects. Layer 3. */
#include <config.h>

#include <stdarg.h>
#include <stdio.h>
#include "ground/err.h"
#include "service.h"

int sas_service_fail(int error, const char *format, ...)
{
	char sentence[SAS_ERR_SENTENCE];
	va_list list;

	va_start(list, format);
	vsnprintf(sentence, sizeof sentence, format, list);
	va_end(list);
	return sas_fail(error, "%s", sentence);
}

int sas_service_errno(int error)
{
	return sas_err_edge(error);
}
