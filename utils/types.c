/* SPDX-License-Identifier: MIT */
/*
 * types.c - the types of objects by name.
 */
#include <config.h>

#include "sasobject.h"
#include "tool.h"

char *tool_type_text(char text[TOOL_TYPE_TEXT], sas_type_t type)
{
	const char *name = SASObjectTypeName(type);

	if (name)
		snprintf(text, TOOL_TYPE_TEXT, "%s", name);
	else    /* A program's own, or of a later library. */
		snprintf(text, TOOL_TYPE_TEXT, "0x%08x", type);
	return text;
}
