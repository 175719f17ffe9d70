/* SPDX-License-Identifier: MIT */
/*
 * graph.h - a package index as a graph of plain C pointers in a region.
 *
 *     finder -> root -> buckets[] -> package <-------------------------------+
 *                                     | | versions, newest first             |
 *                                     | +-> version -> dependencies[] -> edges[]: `to` a package
 *                                     |       ^                           ^
 *                                     |       +------------ from ---------+
 *                                     +---- reverse: the edges of others that name it, linked by `next`
 *
 * Any number of updaters change the graph while any number of readers walk it without a lock, and each of
 * them may be killed between any two instructions. That works because of these rules:
 *
 * G1  A package is a name. Once in its bucket it stays there, at its address: edges may point at it, and
 *     that address is a lock. A package without versions is no entry: nothing has it, dependencies may
 *     still name it.
 * G2  A version never changes once its block is marked as filled, but for the links of its edges.
 * G3  The version lists are the truth. A reverse list is an index that may hold more: an edge counts
 *     only while its version is in the list of its package (version_is_listed). So the one store to
 *     package->versions makes an entry and all its reverse dependencies appear or disappear at once.
 * G4  Each block of the program starts with a block_head. It is zero until the block is filled; a block
 *     of a dead process that nothing leads to is a leak (leaks.c).
 * G5  A block is given back by SASEpochFree() when no list leads to it any more; readers walk between
 *     SASEpochEnter() and SASEpochExit(), so what they stand on stays (retire.c).
 * G6  Who changes a list holds the lock that is its address: a bucket; a package, for its versions; the
 *     head of a reverse list. Readers take none. Each store leaves the list whole, so a lock whose holder
 *     was killed needs no repair. Locks are taken in this order, so that no circle can be:
 *         root, for cleaning up      WRITE                   (leaks.c)
 *         a bucket                   WRITE; none is taken under it  (update.c)
 *         a package                  INTENT, then WRITE; one at a time (update.c, leaks.c)
 *         a reverse list             WRITE; one at a time, and nothing is taken under it (link.c)
 */
#ifndef PACKAGES_GRAPH_H
#define PACKAGES_GRAPH_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define GRAPH_MAGIC 0x6870617267676b70u         /* "pkggraph" */
#define GRAPH_FORMAT 2
#define EXTRA_NAMES 256                         /* names that updaters add; numbered after the input's */
#define BUSY_NAMES 2048                         /* of the input, that updaters change */
#define VERSIONS_MOST 3                         /* of a name, that updaters add up to */

/* Words that one process changes while others read them. follow() pairs with publish(). */
struct edge_word { _Atomic(struct edge *) at; };
struct package_word { _Atomic(struct package *) at; };
struct version_word { _Atomic(struct version *) at; };
#define follow(word) atomic_load_explicit(&(word)->at, memory_order_acquire)
#define publish(word, value) atomic_store_explicit(&(word)->at, (value), memory_order_release)

enum block_kind { BLOCK_ARENA = 1, BLOCK_NAME = 2, BLOCK_VERSION = 3 };

struct block_head {
	_Atomic uint64_t filled;                /* 0, then GRAPH_MAGIC when the block is complete */
	uint64_t kind;                          /* enum block_kind */
	uint64_t size;                          /* as it was asked for */
	struct block_head *next;                /* arena blocks: the one before */
};

struct package {
	struct package *next;                   /* in its bucket */
	const char *name;
	uint64_t number;                        /* 0 and up, in the order of their first mention */
	struct version_word versions;
	struct edge_word reverse;
};

struct version {
	struct package *package;
	struct version *older;
	const char *version, *architecture, *section, *summary;
	uint64_t installed_size, size;
	uint64_t sequence;                      /* the update that made it; 0: the input */
	uint64_t dependency_count;
	struct dependency *dependencies;
	uint64_t notes_size;
	const unsigned char *notes;             /* ballast, so that entries differ in size */
	uint64_t checksum;                      /* version_checksum() */
};

enum dependency_kind { DEPENDS = 1, PRE_DEPENDS = 2 };

struct dependency {
	uint64_t kind;
	uint64_t edge_count;
	struct edge *edges;                     /* its alternatives: a | b | c */
};

struct edge {
	struct package *to;
	struct version *from;
	struct edge_word next;                  /* in the reverse list of `to` */
	const char *qualifier;                  /* "any" of "python3:any", or "" */
	const char *constraint;                 /* ">= 3.9", or "" */
};

/* A package that an updater added, and a version that it made: a block each. */
struct name_block {
	struct block_head head;
	struct package package;
	char name[64];
};

struct version_block {
	struct block_head head;
	struct version version;
};

struct root {
	uint64_t magic, format;
	struct block_head *arenas;              /* the blocks of the loaded graph */
	struct package_word *buckets;
	uint64_t bucket_count;                   /* a power of two */
	struct package **names;                 /* by number, those of the input */
	uint64_t name_count, package_count, version_count, dependency_count, edge_count;
};

#endif
