/* SPDX-License-Identifier: MIT */
/*
 * cmd_rm.c - sasphere rm: remove a region.
 */
#include <config.h>

#include "sasregion.h"
#include "tool.h"

static int usage(void)
{
	printf("\n"
	       "Usage:\n"
	       " sasphere rm [options] [DIRECTORY]\n"
	       "\n"
	       "Remove a region's files; the directory and all other files in it stay.\n"
	       "\n"
	       "Options:\n"
	       " -f, --force              also while processes have joined it\n");
	tool_usage_end();
	return TOOL_OK;
}

int cmd_rm(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "force", no_argument, NULL, 'f' },
		TOOL_COMMON_LONG,
		{ 0 },
	};
	const char *path;
	int c, force = 0;

	while ((c = getopt_long(argc, argv, "f" TOOL_COMMON_SHORT, longs, NULL)) != -1) {
		if (tool_is_common(c))
			return tool_common(c, usage);
		force = 1;
	}
	path = tool_region(argc, argv);
	if (!path)
		return TOOL_USAGE;
	if (SASRegionRemovePath(path, force))
		return tool_library_error(TOOL_FAILED);
	return TOOL_OK;
}
