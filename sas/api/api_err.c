/* SPDX-License-Identifier: MIT */
/* api_err.c - the public edge of messages, and the version. Layer 4. */
#include <config.h>

#include "ground/err.h"
#include "sasregion.h"

_Static_assert((int)SASLog__ERROR == SAS_ERR_ERROR && (int)SASLog__DEBUG == SAS_ERR_DEBUG, "one set of levels");

const char *SASLastErrorMessage(void)
{
	return sas_err_last();
}

void SASSetLogSink(SASLogSink sink, void *arg, sas_log_level_t upTo)
{
	/* The types differ in the level's alone: an enum whose values are the same. */
	sas_err_set_sink((sas_err_sink)(void *)sink, arg, (int)upTo);
}

const char *SASVersion(void)
{
	return PACKAGE_VERSION;
}
