/* SPDX-License-Identifier: MIT */
/*
 * sasutil.h - what the parts of sasutil(1) share.
 */
#ifndef SASPHERE_SASUTIL_H
#define SASPHERE_SASUTIL_H

#include "sasinspect.h"

/* sasutil_bytes.c: what blocks hold. They give the exit status. */
int sasutil_dump(SASInspect_t inspect, int count, char **ranges);
int sasutil_list(SASInspect_t inspect);

#endif
