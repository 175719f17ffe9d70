/* SPDX-License-Identifier: MIT */
/* check.h - what the files of `sasphere check` share. */
#ifndef SASPHERE_CHECK_H
#define SASPHERE_CHECK_H

#include "sasinspect.h"
#include "tool.h"

/* The objects of a region, listed where there are options for a table. How many problems, each told; 0 with a message unless `quiet`, if
 * somebody has joined; -1: the library says why; -2: told already. */
long check_objects(const char *path, const struct tool_table_options *options, int quiet, SASProblem problem, void *arg);
void check_objects_usage(void);

#endif
