/* SPDX-License-Identifier: MIT */
/*
 * xattr.h - extended attributes that tell what a file of a region is. Layer 0; what knows
 * the trailer is in xattr_describe.c, layer 2.
 *
 * They serve people and tools, and mirror what the files say: nothing depends on them, so a
 * file system without user attributes is no failure.
 */
#ifndef SAS_XATTR_H
#define SAS_XATTR_H

#include <stddef.h>
#include <sys/types.h>

struct sas_m_anchor;
struct sas_m_trailer;

#define SAS_XATTR_PREFIX "user.sasphere."

/* Set user.sasphere.<key>. 0; -EOPNOTSUPP without a sentence where the file system has none; -errno. */
int sas_xattr_set(int fd, const char *key, const void *value, size_t size);
/* Its bytes; how many. -ENODATA and -EOPNOTSUPP without a sentence; -ERANGE: size is too small. */
ssize_t sas_xattr_get(int fd, const char *key, void *value, size_t size);

/* The keys that segment files have, up to NULL: uuid, segment, base, format and generation say what the trailer says, numa and
 * huge what the region was made for, where that is not the default. */
extern const char *const sas_xattr_keys[];
/* Set them as text. As sas_xattr_set(). */
int sas_xattr_describe(int fd, const struct sas_m_trailer *t, const struct sas_m_anchor *a);
/* Do they say what they should? One of these, or -errno and a sentence; `said` names the first that does not, else "". */
enum { SAS_XATTR_NONE = 0, SAS_XATTR_FIT = 1, SAS_XATTR_MISSING = 2, SAS_XATTR_DIFFER = 3 }; /* NONE: the file system has none */
#define SAS_XATTR_SAID 192
int sas_xattr_compare(int fd, const struct sas_m_trailer *t, const struct sas_m_anchor *a, char said[SAS_XATTR_SAID]);

#endif
