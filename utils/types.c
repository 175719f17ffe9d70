/* SPDX-License-Identifier: MIT */
/*
 * types.c - the types of objects by name.
 */
#include <config.h>

#include "tool.h"

static const struct { sas_type_t type; const char *name; } types[] = {
	{ SAS_RUNTIME_ANCHOR, "anchor" },
	{ SAS_RUNTIME_SIMPLEHEAP, "simple heap" },
	{ SAS_RUNTIME_COMPOUNDHEAP, "compound heap" },
	{ SAS_RUNTIME_SIMPLESTACK, "simple stack" },
	{ SAS_RUNTIME_SIMPLESPACE, "simple space" },
	{ SAS_RUNTIME_LOCKFREEHEAP, "lock-free heap" },
	{ SAS_RUNTIME_LOCKFREELOGGER, "logger" },
	{ SAS_RUNTIME_LOGPORTAL, "log portal" },
	{ SAS_RUNTIME_PCQUEUE, "queue" },
	{ SAS_RUNTIME_PCQUEUE_TM, "transactional queue" },
	{ SAS_RUNTIME_STRINGBTREENODE, "string tree node" },
	{ SAS_RUNTIME_STRINGBTREE, "string tree" },
	{ SAS_RUNTIME_INDEXNODE, "index node" },
	{ SAS_RUNTIME_INDEX, "index" },
	{ SAS_RUNTIME_CONTEXT, "context" },
	{ SAS_RUNTIME_LOCKTABLE, "lock table" },
};

char *tool_type_text(char text[TOOL_TYPE_TEXT], sas_type_t type)
{
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if ((type & (sas_type_t)SAS_SUBTYPE_CHECK_MASK) == types[i].type) {
			snprintf(text, TOOL_TYPE_TEXT, "%s", types[i].name);
			return text;
		}
	/* A program's own, or of a later library. */
	snprintf(text, TOOL_TYPE_TEXT, "0x%08x", type);
	return text;
}
