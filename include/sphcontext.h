/* SPDX-License-Identifier: MIT */
/*
 * sphcontext.h - contexts: directories of names and addresses, in both directions, and project contexts at the finder.
 *
 * A context is a block (SPHContextCreate()), its handle the block's address, which may be stored in the region. It has a string
 * tree from names to addresses, an index from addresses to names, and a heap for the names in the block itself; the trees
 * grow in blocks of their own. A name is a string of 1 to SPH_CONTEXT_NAME_MAX bytes, and names one address. An address has
 * any number of names; the first one is the one that SPHContextFindByAddr() gives. An address is any pointer but NULL;
 * what it points to is left alone. A "/" in a name is a character like any other, but in the calls on paths.
 *
 * Calls that change take the address lock of the context, WRITE (saslock.h). Readers take no lock: who holds it for WRITE
 * keeps them out. A death at any instruction leaves each call done or not done, in both directions: who comes next
 * finishes what was begun. Calls that fail change nothing, set errno and leave a sentence, except ENOENT and EEXIST of a
 * name. EINVAL: a bad argument, or no context; EUCLEAN: it was written into; and errors of SASLockTake(3). Thread-safe, not
 * async-signal-safe. Pages: SPHContextCreate(3), SPHContextFindPath(3), SPHSetupProjectContext(3).
 */
#ifndef SASPHERE_SPHCONTEXT_H
#define SASPHERE_SPHCONTEXT_H

#include <stddef.h>
#include <stdint.h>
#include "sasalloc.h"
#include "sasstringbtreeenum.h"

typedef void *SPHContext_t;

#define SPH_CONTEXT_NAME_MAX 1016U      /* bytes, without the NUL */

/* Make heap_block, of heap_size bytes (144 and more), an empty context of this type, which is SAS_RUNTIME_CONTEXT, or has
 * its type and subtype. Its trees are made with the first name. NULL: EINVAL. Outside of regions it can hold no names. */
extern __C__ SPHContext_t SPHContextInit (void *heap_block, sas_type_t sasType, block_size_t heap_size);
/* In a new block of the default region of this size, with its trees: two blocks of a quarter of that, 16 KiB to 1 MiB.
 * NULL: errno of SASBlockAlloc(). */
extern __C__ SPHContext_t SPHContextCreate (block_size_t heap_size);
/* Give all its blocks back; what it names stays. 0, or -1. */
extern __C__ int SPHContextDestroy (SPHContext_t contxt);
/* 1: a context begins at this address, in a joined region; 0. */
extern __C__ int SPHContextIs (const void *value);

/* 1; 0: EEXIST: the name exists, or the address has a name already; ENOSPC: the heap is full, or ENOMEM: the region; ENAMETOOLONG; EINVAL. */
extern __C__ int SPHContextAddName (SPHContext_t contxt, const char *name, void *value);
/* The same for a further name, or a first one: EEXIST is about the name alone. */
extern __C__ int SPHContextAddAlias (SPHContext_t contxt, const char *name, void *value);
/* Of the address value. 1; 0: ENOENT: oldname is no name of value; EEXIST: newname exists. The first name stays the first. */
extern __C__ int SPHContextRename (SPHContext_t contxt, const char *oldname, const char *newname, void *value);
/* 0; -3 and ENOENT; -1. Where it was the first name of its address, the lowest of the others (strcmp(3)) becomes that. */
extern __C__ int SPHContextRemoveByName (SPHContext_t contxt, const char *name);
/* All names of the address. 0; -3 and ENOENT; -1. */
extern __C__ int SPHContextRemoveByAddr (SPHContext_t contxt, const void *value);

/* The address; NULL: ENOENT. */
extern __C__ void *SPHContextFindByName (SPHContext_t contxt, const char *name);
/* The first name, a const char * into the context: valid until that name is removed. NULL: ENOENT. */
extern __C__ void *SPHContextFindByAddr (SPHContext_t contxt, const void *value);
/* How many names. -1. */
extern __C__ long SPHContextGetCount (SPHContext_t contxt);

/* All names in the order of strcmp(3), their addresses as values; SASStringBTreeEnumDestroy() ends it. A name that is being
 * added or removed may be met before that counts. NULL. */
extern __C__ SASStringBTreeEnum_t SPHContextGetNameEnum (SPHContext_t contxt);
/* The names of one address, or, where value is NULL, of all in ascending order of addresses; of one address in the order of
 * strcmp(3). Memory of this process, for one thread at a time. The context may change meanwhile: names that are there from
 * beginning to end are met once. NULL: ENOMEM. */
typedef struct SPHContextEnum *SPHContextEnum_t;
extern __C__ SPHContextEnum_t SPHContextEnumCreate (SPHContext_t contxt, const void *value);
/* The next name, a copy that lasts until the next call; its address goes to *value, unless that is NULL. NULL: ENOENT: there are no more. */
extern __C__ const char *SPHContextEnumNext (SPHContextEnum_t names, void **value);
extern __C__ void SPHContextEnumDestroy (SPHContextEnum_t names);

/* Bytes that are free in the heap; it is of heap_size - 128 bytes, and each name takes its length and 1, rounded up to 16.
 * 0 and errno. */
extern __C__ block_size_t SPHContextFreeSpace (SPHContext_t contxt);
/* The heap is the program's as well: as SASSimpleHeapAlloc() and SASSimpleHeapFree(). */
extern __C__ void *SPHContextAlloc (SPHContext_t contxt, block_size_t alloc_size);
extern __C__ int SPHContextFree (SPHContext_t contxt, void *free_block, block_size_t alloc_size);

/* Both directions, and both trees, against each other. How many problems, each told to problem (NULL: nobody), which must not
 * call the library; -1 and errno. */
typedef void (*SPHContextProblem_t) (const char *what, void *arg);
extern __C__ long SPHContextCheck (SPHContext_t contxt, SPHContextProblem_t problem, void *arg);

/* --- paths: names with "/" between them, that lead through contexts in contexts. Several "/" count as one, and those at the
 * ends not at all; "." and ".." are names. ENOTDIR: a name on the way is none of a context. */
/* What the path leads to; NULL: ENOENT, ENOTDIR. */
extern __C__ void *SPHContextFindPath (SPHContext_t contxt, const char *path);
/* 1: the path leads to value now, and contexts of 64 KiB that were missing on the way have been made, all in one moment. 0:
 * EEXIST, ENOTDIR, ENOSPC, ENAMETOOLONG. */
extern __C__ int SPHContextAddPath (SPHContext_t contxt, const char *path, void *value);
/* SPHContextRemoveByName() of the last name in the context that the others lead to. Destroys nothing. */
extern __C__ int SPHContextRemovePath (SPHContext_t contxt, const char *path);

/* --- project contexts: named in the root context, which the finder of the default region names. They take the address
 * lock of the region's first address, WRITE. EEXIST: the finder names something else. */
/* Find the project, or make it, a context of 1 MiB (and the root, 64 KiB), and make it the current one of this process. NULL. */
extern __C__ SPHContext_t SPHSetupProjectContext (const char *project_name);
/* The same, and the current one stays. */
extern __C__ SPHContext_t SPHSetupAltProjectContext (const char *project_name);
/* Take the name out of the root: the context, which is the caller's. NULL: ENOENT. If it was the current one there is none now. */
extern __C__ SPHContext_t SPHRemoveProjectContext (const char *project_name);
/* The same, and destroy it. 0; 1 and ENOENT: no root, or no such project; -1. */
extern __C__ int SPHDestroyProjectContext (const char *project_name);
/* NULL: ENOENT. */
extern __C__ SPHContext_t getProjectContextByName (const char *project_name);
/* NULL: none. */
extern __C__ SPHContext_t getCurrentProjectContext (void);

#endif
