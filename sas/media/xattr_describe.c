/* SPDX-License-Identifier: MIT */
/*
 * xattr_describe.c - what a segment file is, as attributes that people can read. Layer 2.
 *
 * Crash: see xattr.c. The trailer and the anchor decide; the attributes only repeat them.
 */
#include <config.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "anchor.h"
#include "layout.h"
#include "ground/numa.h"
#include "ground/uuid.h"
#include "ground/xattr.h"

const char *const sas_xattr_keys[] = { "uuid", "segment", "base", "format", "generation", "numa", "huge", NULL };
enum { KEY_UUID, KEY_SEGMENT, KEY_BASE, KEY_FORMAT, KEY_GENERATION, KEY_NUMA, KEY_HUGE };

#define VALUE_SIZE 512

static void numa_text(const struct sas_m_anchor *a, char text[VALUE_SIZE])
{
	static const char *const names[] = { "default", "preferred", "bind", "interleave", "interleave-segments" };
	char nodes[VALUE_SIZE - 32];

	sas_numa_text(a->numa_nodes, nodes, sizeof nodes);
	snprintf(text, VALUE_SIZE, "%s%s%s", names[sas_anchor_numa(a)], nodes[0] ? ":" : "", nodes);
}

/* What an attribute has to say; 0: the file does not have it. */
static int value_of(int key, const struct sas_m_trailer *t, const struct sas_m_anchor *a, char text[VALUE_SIZE])
{
	switch (key) {
	case KEY_UUID: sas_uuid_text(t->uuid, text); return 1;
	case KEY_SEGMENT: snprintf(text, VALUE_SIZE, "%" PRIu64, t->number); return 1;
	case KEY_BASE: snprintf(text, VALUE_SIZE, "0x%" PRIx64, t->base); return 1;
	case KEY_FORMAT: snprintf(text, VALUE_SIZE, "%" PRIu32, t->format); return 1;
	case KEY_GENERATION: snprintf(text, VALUE_SIZE, "%" PRIu32, t->generation); return 1;
	case KEY_NUMA:
		numa_text(a, text);
		return a->numa_policy != SAS_NUMA_DEFAULT;
	default:
		snprintf(text, VALUE_SIZE, "%s", a->huge == SAS_M_HUGE_TRANSPARENT ? "transparent" : "hugetlb");
		return a->huge != 0;
	}
}

int sas_xattr_describe(int fd, const struct sas_m_trailer *t, const struct sas_m_anchor *a)
{
	char text[VALUE_SIZE];
	int error = 0;

	for (int key = 0; sas_xattr_keys[key] && !error; key++)
		if (value_of(key, t, a, text))
			error = sas_xattr_set(fd, sas_xattr_keys[key], text, strlen(text));
	return error;
}

int sas_xattr_compare(int fd, const struct sas_m_trailer *t, const struct sas_m_anchor *a, char said[SAS_XATTR_SAID])
{
	char text[VALUE_SIZE], has[VALUE_SIZE + 1];
	int result = SAS_XATTR_FIT;

	said[0] = '\0';
	for (int key = 0; sas_xattr_keys[key] && result != SAS_XATTR_DIFFER; key++) {
		ssize_t size;

		if (!value_of(key, t, a, text))
			continue;
		size = sas_xattr_get(fd, sas_xattr_keys[key], has, VALUE_SIZE);
		if (size == -EOPNOTSUPP)
			return SAS_XATTR_NONE;
		if (size < 0 && size != -ENODATA && size != -ERANGE)
			return (int)size;
		if (size == -ENODATA) {
			if (result == SAS_XATTR_FIT)
				snprintf(said, SAS_XATTR_SAID, SAS_XATTR_PREFIX "%s is missing", sas_xattr_keys[key]);
			result = SAS_XATTR_MISSING;
			continue;
		}
		has[size < 0 ? 0 : size] = '\0';
		if (size < 0 || strcmp(has, text) != 0) {
			snprintf(said, SAS_XATTR_SAID, SAS_XATTR_PREFIX "%s is \"%.60s\", not \"%.60s\"",
				 sas_xattr_keys[key], size < 0 ? "..." : has, text);
			result = SAS_XATTR_DIFFER;
		}
	}
	return result;
}
