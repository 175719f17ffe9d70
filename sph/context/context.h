/* SPDX-License-Identifier: MIT */
/*
 * context.h - what the files of contexts share. sphcontext.h says what a context is.
 *
 *   block:   SASBlockHeader; 64: struct sph_m_context; 128: the heap, of 16-byte units: the names as strings, each once
 *   names:       a string tree in a block of its own: name -> address
 *   addresses:   a tree of type index in another: address, name -> the string in the heap; address -> the string of its first name
 *
 * An address in a key is 8 bytes, the most significant first. A key of 8 bytes alone tells the first name, a longer one has the
 * name behind it; every name has such a one. So names of one address are found, counted and removed without a list, and a
 * first name that goes is replaced by the next key.
 *
 * Locks: changes, the address lock of the context, WRITE, once for both trees; the trees' own locks are not heeded. Readers look.
 *
 * Crash: `state` says what a call is at, and whoever comes next under the lock finishes it (context_note.c). Each call has
 * one store of it that publishes; what comes before is undone, what comes after is done:
 *   adding      UNDO -> IDLE        the name is in both trees, from the heap on
 *   renaming    UNDO -> REMOVE      the new name is; the old one goes
 *   removing    IDLE -> REMOVE      the name goes
 *   clearing    IDLE -> CLEAR       all names of an address go
 *   destroying  IDLE -> DEAD
 * Readers that find a state that no living call is at finish it first; where they cannot (a region joined read-only), they
 * leave out what it leaves out (context_find.c).
 */
#ifndef SPH_CONTEXT_H
#define SPH_CONTEXT_H

#include "sph/heap/object.h"
#include "sasregion.h"
#include "sphcontext.h"
#include "sph/tree/tree.h"
#include "sph/word.h"

enum sph_context_state {
	SPH_CONTEXT_IDLE = 0,
	SPH_CONTEXT_MAKING = 1,         /* the trees: those that are there are to go */
	SPH_CONTEXT_RANGE = 2,          /* `string`, `size` bytes of the heap: taken or not, it is to be free */
	SPH_CONTEXT_UNDO = 3,           /* `string` may be in the trees as a name of `value`: it is to be in none */
	SPH_CONTEXT_REMOVE = 4,         /* `old`, a name of `value`, is to go; the first name then is `string`, or (0) the next */
	SPH_CONTEXT_CLEAR = 5,          /* all names of `value` are to go; `string`, `size` bytes, or 0: the one that is just going */
	SPH_CONTEXT_DEAD = 6,           /* the trees are to go */
};

/* Bytes 64-127. */
struct sph_m_context {
	uint64_t names, addresses;      /* the trees' main blocks; 0: not made yet */
	uint64_t state;
	uint64_t value, string, size, old;
	uint64_t reserved;
};

#define SPH_CONTEXT_KEY 8U              /* bytes of an address in a key */
#define SPH_CONTEXT_KEYS (SPH_CONTEXT_KEY + SPH_CONTEXT_NAME_MAX)

/* A call on a context: what it found there. */
struct sph_context {
	SASBlockHeader *header;
	struct sph_m_context *m;
	SASBlockHeader *names, *addresses;      /* NULL, both: not made yet */
	struct sas_look look;
	struct sas_use use;                     /* of changes */
	struct sph_cursor *cursor;              /* of changes: of the addresses */
	const char *hidden;                     /* of readers: a name that does not count, or NULL */
	uint64_t cleared;                       /* an address whose names do not, or 0 */
};

extern const struct sph_kind sph_context_kind;

/* --- context.c */
/* The header, and the trees: -EINVAL, -EUCLEAN. */
int sph_context_open(struct sph_context *c, const void *context);
/* One of the trees, whether the other one is there or not. */
int sph_context_open_tree(struct sph_context *c, uint64_t address, sas_type_t type, SASBlockHeader **tree);
/* A change: the lock, and nothing left over from the dead. A call that does not begin is not ended. */
int sph_context_begin(struct sph_context *c, void *context);
/* And the trees, made if there are none. */
int sph_context_begin_names(struct sph_context *c, void *context);
int sph_context_end(struct sph_context *c, int error);
/* A string in the heap, NULL: there can be none at this address. */
const char *sph_context_string(const struct sph_context *c, uint64_t address);
/* Bytes of the trees' blocks. */
size_t sph_context_tree_size(const SASBlockHeader *header);
/* Ask about a context as it is between two changes: question() is called until its answer counts. */
int sph_context_ask(const void *context, int (*question)(struct sph_context *c, void *arg), void *arg);
/* In a region, with its trees. NULL: errno is set. */
SPHContext_t sph_context_make(SASRegion_t region, size_t size);

/* --- keys */
static inline struct sph_key sph_context_name_key(const char *name, size_t size)
{
	return (struct sph_key){ (const unsigned char *)name, size };
}
/* Of an address, and a name, if it is not NULL. */
struct sph_key sph_context_key(unsigned char bytes[SPH_CONTEXT_KEYS], uint64_t address, const char *name);
uint64_t sph_context_key_address(struct sph_key key);
/* 1: a name of this address. */
int sph_context_is_name_of(struct sph_key key, uint64_t address);
/* -EINVAL, -ENAMETOOLONG; *size: its length. */
int sph_context_check_name(const char *name, size_t *size);

/* --- context_note.c */
void sph_context_set_state(struct sph_context *c, enum sph_context_state state);
/* Finish what the state says. */
int sph_context_settle(struct sph_context *c);
/* Make the trees, or none; give them back. */
int sph_context_plant(struct sph_context *c);
int sph_context_fell(struct sph_context *c);

#endif
