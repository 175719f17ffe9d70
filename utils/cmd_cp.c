/* SPDX-License-Identifier: MIT */
/*
 * cmd_cp.c - sasphere cp: copy an idle region.
 */
#include <config.h>

#include "sasinspect.h"
#include "tool.h"

static int usage(void)
{
	printf("\n"
	       "Usage:\n"
	       " sasphere cp [options] FROM TO\n"
	       "\n"
	       "Copy the region in the directory FROM, which nobody has joined, into the new or empty\n"
	       "directory TO. Holes, modes, owners and extended attributes are kept.\n"
	       "\n"
	       "Options:");
	tool_usage_end();
	return TOOL_OK;
}

int cmd_cp(int argc, char **argv)
{
	static const struct option longs[] = {
		TOOL_COMMON_LONG,
		{ 0 },
	};
	int c = getopt_long(argc, argv, TOOL_COMMON_SHORT, longs, NULL);

	if (c != -1)
		return tool_common(c, usage);
	if (argc - optind != 2) {
		tool_error(TOOL_USAGE,
			   argc - optind < 2 ? "two directories are needed" : "too many arguments");
		return tool_try_help();
	}
	if (SASRegionCopy(argv[optind], argv[optind + 1]))
		return tool_library_error(TOOL_FAILED);
	return TOOL_OK;
}
