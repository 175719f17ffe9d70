/* SPDX-License-Identifier: MIT */
/*
 * cmd_doctor.c - sasphere doctor: can regions live here, and how well? Its checks change nothing.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "doctor.h"
#include "sasinspect.h"
#include "tool.h"

enum { CHECK, STATE, DETAIL, ADVICE };
static const struct tool_column columns[] = {
	[CHECK] = { "CHECK", TOOL_TEXT, "what was looked at" },
	[STATE] = { "STATE", TOOL_TEXT, "ok, degraded (it works, with less), or bad" },
	[DETAIL] = { "DETAIL", TOOL_TEXT, "what was found" },
	[ADVICE] = { "ADVICE", TOOL_TEXT, "what to do about it" },
};

#define COLUMNS (sizeof(columns) / sizeof(columns[0]))

struct doctor {
	struct tool_table table;
	int bad, failed;
};

struct finding {
	const char *check, *detail, *advice;
	enum doctor_state state;
};

static int usage(void)
{
	printf("\n"
	       "Usage:\n"
	       " sasphere doctor [options] [DIRECTORY]\n"
	       "\n"
	       "Look whether regions can live in a directory, and how well. Changes nothing.\n"
	       "\n"
	       "Options:\n"
	       " -J, --json               use JSON output format\n"
	       " -n, --noheadings         don't print headings\n"
	       " -o, --output LIST        the columns to print, separated by commas\n"
	       "\n"
	       "Columns:\n");
	tool_columns_usage(columns, COLUMNS);
	printf("\n"
	       "Exit status:\n"
	       " 0  nothing is bad\n"
	       " 1  something is\n"
	       " 2  wrong usage, or the directory cannot be opened\n");
	tool_usage_end();
	return TOOL_OK;
}

static void cell(size_t column, char text[TOOL_CELL], const struct tool_table *t, const void *row)
{
	static const char *const states[] = { "ok", "degraded", "bad" };
	const struct finding *f = row;

	(void)t;
	switch (column) {
	case CHECK: strcpy(text, f->check); break;
	case STATE: strcpy(text, states[f->state]); break;
	case DETAIL: snprintf(text, TOOL_CELL, "%s", f->detail); break;
	case ADVICE: snprintf(text, TOOL_CELL, "%s", f->advice ? f->advice : ""); break;
	}
}

void doctor_say(struct doctor *d, const char *check, enum doctor_state state, const char *advice, const char *detail, ...)
{
	char text[1024];
	struct finding f = { check, text, state == DOCTOR_OK ? NULL : advice, state };
	va_list args;

	va_start(args, detail);
	vsnprintf(text, sizeof(text), detail, args);
	va_end(args);
	d->bad |= state == DOCTOR_BAD;
	if (!d->failed)
		d->failed = tool_table_row(&d->table, cell, &f);
}

void doctor_read(const char *path, char text[256])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t size = fd < 0 ? -1 : read(fd, text, 255);

	text[size < 0 ? 0 : size] = '\0';
	text[strcspn(text, "\n")] = '\0';
	if (fd >= 0)
		close(fd);
}

/* The line of /proc/self/maps that lies in the range; "" if there is none. */
static void find_occupant(uint64_t base, uint64_t size, char text[512])
{
	FILE *maps = fopen("/proc/self/maps", "re");
	uint64_t from, to;

	text[0] = '\0';
	while (maps && fgets(text, 512, maps)) {
		text[strcspn(text, "\n")] = '\0';
		if (sscanf(text, "%" SCNx64 "-%" SCNx64, &from, &to) == 2 && from < base + size && to > base)
			break;
		text[0] = '\0';
	}
	if (maps)
		fclose(maps);
}

void doctor_addresses(struct doctor *d, const char *check, uint64_t base, uint64_t size, const char *advice)
{
	void *p = mmap((void *)base, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE,
		       -1, 0);
	int error = errno;
	char occupant[512];

	if (p != MAP_FAILED)
		munmap(p, size);
	if (p == (void *)base) {
		doctor_say(d, check, DOCTOR_OK, NULL, "0x%012" PRIx64 "-0x%012" PRIx64 " is free", base, base + size);
	} else if (p != MAP_FAILED || error == EEXIST) {
		find_occupant(base, size, occupant);
		doctor_say(d, check, DOCTOR_BAD, advice, "0x%012" PRIx64 "-0x%012" PRIx64 " is taken: %s", base, base + size,
			   occupant[0] ? occupant : "nobody says by whom");
	} else {
		doctor_say(d, check, DOCTOR_DEGRADED, "raise ulimit -v; without it segments are mapped one by one",
			   "0x%012" PRIx64 "-0x%012" PRIx64 " cannot be reserved: %s", base, base + size, strerror(error));
	}
}

/* --- the region, if there is one */

static void say_state(struct doctor *d, const SASInspectInfo *info)
{
	if (info->participantsDead)
		doctor_say(d, "region-state", DOCTOR_DEGRADED, "the next join or call recovers them",
			   "%u dead processes have not been recovered", info->participantsDead);
	else if (!info->clean && !info->participantsAlive)
		doctor_say(d, "region-state", DOCTOR_DEGRADED, "the next join recovers it; sasphere check --repair does",
			   "it was not left cleanly");
	else
		doctor_say(d, "region-state", DOCTOR_OK, NULL, "%u processes have joined it", info->participantsAlive);
}

static void look_at_region(struct doctor *d, const char *path, int dir)
{
	SASInspectInfo info = { .structSize = sizeof(info) };
	SASInspect_t inspect;
	char uuid[37];

	if (faccessat(dir, "SAS00000.DAT", F_OK, AT_SYMLINK_NOFOLLOW)) {
		doctor_say(d, "region", DOCTOR_OK, NULL, "there is none in this directory");
		return;
	}
	inspect = SASInspectOpen(path);
	if (!inspect || SASInspectGetInfo(inspect, &info)) {
		doctor_say(d, "region", DOCTOR_BAD, errno == EPROTONOSUPPORT ? "use the library that made it" :
			   "sasphere check says what is wrong, --repair what can be done", "%s", SASLastErrorMessage());
	} else {
		doctor_say(d, "region", DOCTOR_OK, NULL, "%s, format %u", tool_uuid_text(uuid, info.uuid),
			   info.formatVersion);
		doctor_addresses(d, "region-addresses", info.base, info.regionSize,
				 "join it with SAS_JOIN_RELOCATED to read it, or from another program");
		say_state(d, &info);
	}
	SASInspectClose(inspect);
}

static int examine(const char *path, const struct tool_table_options *options)
{
	struct doctor d = { .bad = 0 };
	int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0)
		return tool_error(TOOL_USAGE, "%s: %s", path, strerror(errno));
	if (tool_table_begin(&d.table, "checks", columns, COLUMNS, options)) {
		close(dir);
		return TOOL_USAGE;
	}
	doctor_system(&d);
	doctor_files(&d, dir);
	look_at_region(&d, path, dir);
	close(dir);
	if (d.failed) {
		tool_table_drop(&d.table);
		return TOOL_USAGE;
	}
	if (tool_table_end(&d.table) != TOOL_OK)
		return TOOL_USAGE;
	return d.bad ? TOOL_FAILED : TOOL_OK;
}

int cmd_doctor(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "json", no_argument, NULL, 'J' },
		{ "noheadings", no_argument, NULL, 'n' },
		{ "output", required_argument, NULL, 'o' },
		TOOL_COMMON_LONG,
		{ 0 },
	};
	struct tool_table_options options = { 0 };
	const char *path;
	int c;

	while ((c = getopt_long(argc, argv, "Jno:" TOOL_COMMON_SHORT, longs, NULL)) != -1) {
		if (tool_is_common(c))
			return tool_common(c, usage);
		if (!tool_table_option(&options, c, optarg))
			return tool_try_help();
	}
	path = tool_region(argc, argv);
	return path ? examine(path, &options) : TOOL_USAGE;
}
