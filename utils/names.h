/* SPDX-License-Identifier: MIT */
/* names.h - what the contexts of a region know: for commands that have joined it. */
#ifndef SASPHERE_NAMES_H
#define SASPHERE_NAMES_H

#include "sasregion.h"
#include "sphcontext.h"

/* Join, with these flags, a region whose finder leads to a context, the root. NULL, with a message. */
SASRegion_t names_join(const char *directory, unsigned flags, SPHContext_t *root);
/* What a path leads to. NULL, with a message. */
void *names_value(SPHContext_t root, const char *path);
/* For each name, path and all, of a context and of those that it leads to, each of which is entered once: 0 to go on. What it
 * gives else, or -1 with a message of the library. */
typedef int (*names_visit)(const char *path, void *value, void *arg);
int names_walk(SPHContext_t root, int deep, names_visit visit, void *arg);
/* The path of the first name that is found for an address, malloc'd; NULL: none. */
char *names_find(SPHContext_t root, const void *value);

#endif
