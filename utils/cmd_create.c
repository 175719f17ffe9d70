/* SPDX-License-Identifier: MIT */
/*
 * cmd_create.c - sasphere create: make a new region.
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "sasregion.h"
#include "tool.h"

#define SINGLE_HOST 256         /* a long option alone */

static int usage(void)
{
	printf("\n"
	       "Usage:\n"
	       " sasphere create [options] [DIRECTORY]\n"
	       "\n"
	       "Make a new region in a directory, which is made as well if there is none.\n"
	       "\n"
	       "Options:\n"
	       " -a, --base ADDRESS       first address, a multiple of 2 MiB; by default it is chosen\n"
	       " -r, --region-size SIZE   bytes of address space; the default is 1T\n"
	       " -s, --segment-size SIZE  a power of two, 2M or more; the default is 256M\n"
	       " -m, --mode MODE          mode of the files, octal; the default is 0666 less the umask\n"
	       " -d, --durability WHAT    process (default), disk or pmem\n"
	       " -S, --sparse             blocks take file space at their first touch\n"
	       " -P, --preallocated       live in the segment files that are there at full size\n"
	       " -N, --numa POLICY        default, preferred, bind, interleave or\n"
	       "                          interleave-segments; with :NODES\n"
	       " -H, --huge PAGES         huge pages: none (default), transparent or hugetlb\n"
	       "     --single-host        one host uses it: allow NFS, CIFS, 9p and FUSE\n"
	       "\n"
	       "SIZE may end in K, M, G, T or P, of 1024 each. NODES is a list such as 0-1,3.\n");
	tool_usage_end();
	return TOOL_OK;
}

static int find_name(const char *option, const char *name, size_t length, const char *const names[])
{
	for (int i = 0; names[i]; i++)
		if (strlen(names[i]) == length && !strncmp(names[i], name, length))
			return i;
	tool_error(TOOL_USAGE, "%s: unknown: %s", option, name);
	return -1;
}

static int set_mode(SASRegionOptions *options, const char *text)
{
	char *end;
	unsigned long mode = strtoul(text, &end, 8);

	if (!*text || *end || mode > 0777 || !mode || *text == '-') {
		tool_error(TOOL_USAGE, "--mode: not a file mode: %s", text);
		return -1;
	}
	options->mode = (unsigned)mode;
	return 0;
}

static int set_durability(SASRegionOptions *options, const char *text)
{
	static const char *const names[] = { "process", "disk", "pmem", NULL };
	int found = find_name("--durability", text, strlen(text), names);

	options->durability = (sas_durability_t)found;
	return found < 0 ? -1 : 0;
}

static int set_numa(SASRegionOptions *options, const char *text)
{
	static const char *const names[] = { "default", "preferred", "bind", "interleave", "interleave-segments",
					      NULL };
	size_t length = strcspn(text, ":");
	int found = find_name("--numa", text, length, names);

	options->numaPolicy = (sas_numa_t)found;
	options->numaNodes = text[length] ? text + length + 1 : NULL;
	return found < 0 ? -1 : 0;
}

static int set_huge(SASRegionOptions *options, const char *text)
{
	static const char *const names[] = { "none", "transparent", "hugetlb", NULL };
	int found = find_name("--huge", text, strlen(text), names);

	options->hugePages = (sas_huge_t)found;
	return found < 0 ? -1 : 0;
}

static int set_option(SASRegionOptions *options, int option, const char *argument)
{
	switch (option) {
	case 'a':
		return tool_size("--base", argument, &options->base);
	case 'r':
		return tool_size("--region-size", argument, &options->regionSize);
	case 's':
		return tool_size("--segment-size", argument, &options->segmentSize);
	case 'm':
		return set_mode(options, argument);
	case 'd':
		return set_durability(options, argument);
	case 'N':
		return set_numa(options, argument);
	case 'S':
		options->flags |= SAS_JOIN_SPARSE;
		return 0;
	case 'P':
		options->flags |= SAS_JOIN_PREALLOCATED;
		return 0;
	case 'H':
		return set_huge(options, argument);
	case SINGLE_HOST:
		options->flags |= SAS_JOIN_SINGLE_HOST;
		return 0;
	default:
		return -1;
	}
}

static int create(const char *path, const SASRegionOptions *options)
{
	int made = mkdir(path, 0777) == 0;
	SASRegion_t region;

	if (!made && errno != EEXIST)
		return tool_error(TOOL_FAILED, "%s: cannot make the directory: %s", path, strerror(errno));
	region = SASRegionJoin(path, options);
	if (region && SASRegionLeave(region) == 0)
		return TOOL_OK;
	tool_library_error(TOOL_FAILED);
	if (made)
		rmdir(path);
	return TOOL_FAILED;
}

int cmd_create(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "base", required_argument, NULL, 'a' },
		{ "region-size", required_argument, NULL, 'r' },
		{ "segment-size", required_argument, NULL, 's' },
		{ "mode", required_argument, NULL, 'm' },
		{ "durability", required_argument, NULL, 'd' },
		{ "sparse", no_argument, NULL, 'S' },
		{ "preallocated", no_argument, NULL, 'P' },
		{ "numa", required_argument, NULL, 'N' },
		{ "huge", required_argument, NULL, 'H' },
		{ "single-host", no_argument, NULL, SINGLE_HOST },
		TOOL_COMMON_LONG,
		{ 0 },
	};
	SASRegionOptions options;
	const char *path;
	int c;

	SASRegionOptionsInit(&options);
	options.flags = SAS_JOIN_CREATE | SAS_JOIN_EXCLUSIVE;
	while ((c = getopt_long(argc, argv, "a:r:s:m:d:SPN:H:" TOOL_COMMON_SHORT, longs, NULL)) != -1) {
		if (tool_is_common(c))
			return tool_common(c, usage);
		if (set_option(&options, c, optarg))
			return tool_try_help();
	}
	path = tool_region(argc, argv);
	return path ? create(path, &options) : TOOL_USAGE;
}
