/* SPDX-License-Identifier: MIT */
/*
 * sasutil.c - the tool sasutil(1), under the commands that programs of the older API are looked at with.
 *
 * What only looks reads the files without joining: it makes no store, and changes no byte. Text alone; sasphere(1) has JSON.
 */
#include <config.h>

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "sasutil.h"
#include "tool.h"

static const char *path;

static int usage(void)
{
	printf("\n"
	       "Usage:\n"
	       " sasutil [options] COMMAND [arguments]\n"
	       "\n"
	       "Look at a region, and do a few things to it.\n"
	       "\n"
	       "Options:\n"
	       " -p, --path DIRECTORY     the store; else SASSTOREPATH names it, else it is the working directory\n"
	       " -h, --help               display this help\n"
	       " -v, --version            display version\n"
	       "\n"
	       "Commands:\n"
	       " stat                     totals\n"
	       " detail [-l] [-s]         the same with a line per block; -l: also locks; -s: also who has seized it\n"
	       " list                     blocks of programs, and the pointers and strings in them\n"
	       " dump ADDRESS:SIZE...     bytes, in hexadecimal and as characters\n"
	       " path                     where the store is\n"
	       " map PID...               the address maps of processes\n"
	       " recover                  give back the locks of the dead, and finish what they left\n"
	       " reset [-y] [-f]          back to an empty region: asks, unless --yes; --force: also while others use it\n"
	       " remove [-f]              delete the region; --force: also while others use it\n"
	       "\n"
	       "For more details see sasutil(1).\n");
	return TOOL_OK;
}

/* --- stat and detail */

static const struct section {
	sas_block_kind_t kind;
	const char *name;
} sections[] = {
	{ SASBlock__IN_USE, "memory in use" },
	{ SASBlock__FREE, "memory free" },
	{ SASBlock__UNCOMMITTED, "memory uncommitted" },
	{ SASBlock__FREE_REGION, "region free" },
	{ SASBlock__SEGMENT, "region allocated" },
};
#define SECTIONS (sizeof(sections) / sizeof(sections[0]))

struct totals {
	SASInspect_t inspect;
	SASInspectInfo info;
	SASBlockInfo *lists[SECTIONS];
	long counts[SECTIONS];
	uint64_t bytes[SECTIONS];
};

struct source { SASInspect_t inspect; sas_block_kind_t kind; };

static long list_blocks(void *arg, void *buffer, size_t capacity)
{
	const struct source *from = arg;

	return SASInspectListBlocks(from->inspect, from->kind, buffer, capacity);
}

static int count_all(struct totals *t)
{
	t->info.structSize = sizeof(t->info);
	if (SASInspectGetInfo(t->inspect, &t->info)) {
		tool_library_error(TOOL_FAILED);
		return -1;
	}
	for (size_t i = 0; i < SECTIONS; i++) {
		struct source source = { t->inspect, sections[i].kind };
		void *list;

		if (source.kind == SASBlock__IN_USE && !t->info.linearUseList)
			source.kind = SASBlock__IN_USE_MERGED;
		t->counts[i] = tool_fetch(list_blocks, &source, sizeof(*t->lists[i]), &list);
		t->lists[i] = list;
		for (long b = 0; b < t->counts[i]; b++)
			t->bytes[i] += t->lists[i][b].size;
		if (t->counts[i] < 0)
			return -1;
	}
	return 0;
}

/* Of a balanced tree with so many nodes: SASMaxDepthUseMem(3). */
static int depth_of(long entries)
{
	int depth = 0;

	while (entries > 1) {
		entries /= 2;
		depth++;
	}
	return depth;
}

/* SASAnchorFreeSpace(3). */
static long anchor_free(long entries)
{
	long left = 1043616 + 2 * 32 - 32 * entries;

	return left > 0 ? left : 0;
}

static void print_kb(const char *what, uint64_t bytes)
{
	printf("%-20s %12" PRIu64 " KB\n", what, bytes / 1024);
}

static void print_totals(const struct totals *t)
{
	printf("%-20s %15s\n", "use list", t->info.linearUseList ? "linear" : "compact");
	print_kb("total in use", t->bytes[0]);
	printf("%-20s %15d\n", "maximum depth", depth_of(t->counts[0]));
	printf("%-20s %15ld\n", "entries", t->counts[0]);
	print_kb("total free", t->bytes[1]);
	print_kb("total uncommitted", t->bytes[2]);
	print_kb("total region free", t->bytes[3]);
	print_kb("total region used", t->bytes[4]);
	printf("%-20s %9ld bytes\n", "anchor free space", anchor_free(t->counts[0]));
}

static void print_blocks(const struct totals *t)
{
	for (size_t i = 0; i < SECTIONS; i++) {
		printf("\n%s\n", sections[i].name);
		for (long b = 0; b < t->counts[i]; b++)
			printf("%8ld  0x%012" PRIx64 " %12" PRIu64 " KB\n", b + 1, (uint64_t)t->lists[i][b].address,
			       t->lists[i][b].size / 1024);
	}
}

static long list_locks(void *arg, void *buffer, size_t capacity)
{
	return SASInspectListLocks(arg, buffer, capacity);
}

static int print_locks(SASInspect_t inspect)
{
	void *entries;
	long count = tool_fetch(list_locks, inspect, sizeof(SASLockInfo), &entries);
	const SASLockInfo *locks = entries;

	printf("\nlocks\n");
	for (long i = 0; i < count; i++)
		printf("%8ld  0x%012" PRIx64 " %-6s %s by thread %u of process %u%s\n", i + 1, (uint64_t)locks[i].address,
		       tool_lock_text(&locks[i]), locks[i].state == SASLock__WAITS ? "wanted" : "held",
		       locks[i].tid, locks[i].pid, locks[i].alive ? "" : ", which is dead");
	free(entries);
	return count < 0 ? TOOL_FAILED : TOOL_OK;
}

static void print_seize(const SASInspectInfo *info)
{
	if (info->seizedBy)
		printf("\nseized by thread %u\n", info->seizedBy);
	else
		printf("\nseized by nobody\n");
}

static int show_totals(SASInspect_t inspect, int detail, int locks, int seize)
{
	struct totals t = { .inspect = inspect };
	int status = count_all(&t) ? TOOL_FAILED : TOOL_OK;

	if (status == TOOL_OK) {
		print_totals(&t);
		if (detail)
			print_blocks(&t);
		if (locks)
			status = print_locks(inspect);
		if (seize)
			print_seize(&t.info);
	}
	for (size_t i = 0; i < SECTIONS; i++)
		free(t.lists[i]);
	return status;
}

/* --- commands that look. Their operands begin at argv[0]. */

static int stat_command(SASInspect_t inspect, int argc, char **argv)
{
	(void)argv;
	return argc ? tool_error(TOOL_USAGE, "stat takes no argument") : show_totals(inspect, 0, 0, 0);
}

static int detail_command(SASInspect_t inspect, int argc, char **argv)
{
	int locks = 0, seize = 0;

	for (int i = 0; i < argc; i++) {
		locks |= !strcmp(argv[i], "-l") || !strcmp(argv[i], "-ls") || !strcmp(argv[i], "-sl");
		seize |= !strcmp(argv[i], "-s") || !strcmp(argv[i], "-ls") || !strcmp(argv[i], "-sl");
		if (argv[i][0] != '-' || strspn(argv[i] + 1, "ls") != strlen(argv[i]) - 1 || !argv[i][1])
			return tool_error(TOOL_USAGE, "detail takes -l and -s, not %s", argv[i]);
	}
	return show_totals(inspect, 1, locks, seize);
}

static int list_command(SASInspect_t inspect, int argc, char **argv)
{
	(void)argv;
	return argc ? tool_error(TOOL_USAGE, "list takes no argument") : sasutil_list(inspect);
}

static int dump_command(SASInspect_t inspect, int argc, char **argv)
{
	return argc ? sasutil_dump(inspect, argc, argv) : tool_error(TOOL_USAGE, "dump wants address:size");
}

static int path_command(SASInspect_t inspect, int argc, char **argv)
{
	char *full = realpath(path, NULL);

	(void)inspect;
	(void)argv;
	if (argc)
		tool_error(TOOL_USAGE, "path takes no argument");
	else
		printf("%s\n", full ? full : path);
	free(full);
	return argc ? TOOL_USAGE : TOOL_OK;
}

/* --- commands that need no region, or change it */

static int map_process(const char *pid)
{
	char name[64], line[4600];
	FILE *maps;

	if (!*pid || strspn(pid, "0123456789") != strlen(pid) || strlen(pid) > 10)
		return tool_error(TOOL_USAGE, "not a process id: %s", pid);
	snprintf(name, sizeof(name), "/proc/%s/maps", pid);
	maps = fopen(name, "re");
	if (!maps)
		return tool_error(TOOL_FAILED, "%s: %s", name, strerror(errno));
	printf("process %s\n", pid);
	while (fgets(line, sizeof(line), maps))
		fputs(line, stdout);
	fclose(maps);
	return TOOL_OK;
}

static int map_command(int argc, char **argv)
{
	int status = argc ? TOOL_OK : tool_error(TOOL_USAGE, "map wants process ids");

	for (int i = 0; i < argc; i++) {
		int one = map_process(argv[i]);

		status = one > status ? one : status;
	}
	return status;
}

static int recover_command(int argc, char **argv)
{
	SASRegion_t region;
	int count;

	(void)argv;
	if (argc)
		return tool_error(TOOL_USAGE, "recover takes no argument");
	region = SASRegionJoin(path, NULL);
	if (!region)
		return tool_library_error(TOOL_FAILED);
	/* The join may have done it: that counts. */
	count = SASRegionRecover(region);
	if (count < 0 || SASRegionLeave(region))
		return tool_library_error(TOOL_FAILED);
	printf("what the dead held has been given back\n");
	return TOOL_OK;
}

/* -y and -f, and their long names. -1: something else. */
static int take_flags(int argc, char **argv, int *yes, int *force)
{
	for (int i = 0; i < argc; i++) {
		if (yes && (!strcmp(argv[i], "-y") || !strcmp(argv[i], "--yes")))
			*yes = 1;
		else if (!strcmp(argv[i], "-f") || !strcmp(argv[i], "--force"))
			*force = 1;
		else
			return tool_error(-1, "unknown argument: %s", argv[i]);
	}
	return 0;
}

static int is_sure(void)
{
	char answer[16] = "";

	if (!isatty(STDIN_FILENO))
		return 0;
	fprintf(stderr, "sasutil: all that is in %s will be lost. Reset it? [y/N] ", path);
	return fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

/* Others who have joined, or -1 with a message. */
static long others(void)
{
	SASInspectInfo info = { .structSize = sizeof(info) };
	SASInspect_t inspect = SASInspectOpen(path);
	int failed = !inspect || SASInspectGetInfo(inspect, &info);

	if (failed)
		tool_library_error(TOOL_FAILED);
	SASInspectClose(inspect);
	return failed ? -1 : (long)info.participantsAlive;
}

static int reset_command(int argc, char **argv)
{
	int yes = 0, force = 0;
	SASRegion_t region;
	long alive;

	if (take_flags(argc, argv, &yes, &force))
		return TOOL_USAGE;
	alive = others();
	if (alive < 0)
		return TOOL_FAILED;
	if (alive && !force)
		return tool_error(TOOL_FAILED, "%s: %ld process%s joined it; --force resets it nevertheless", path, alive,
				  alive == 1 ? " has" : "es have");
	if (!yes && !is_sure())
		return tool_error(TOOL_FAILED, "%s: not reset; --yes says that all data may be lost", path);
	region = SASRegionJoin(path, NULL);
	if (!region || SASRegionReset(region) || SASRegionLeave(region))
		return tool_library_error(TOOL_FAILED);
	return TOOL_OK;
}

static int remove_command(int argc, char **argv)
{
	int force = 0;

	if (take_flags(argc, argv, NULL, &force))
		return TOOL_USAGE;
	return SASRegionRemovePath(path, force) ? tool_library_error(TOOL_FAILED) : TOOL_OK;
}

/* --- all */

static const struct command {
	const char *name;
	int (*look)(SASInspect_t inspect, int argc, char **argv);
	int (*run)(int argc, char **argv);
} commands[] = {
	{ "stat", stat_command, NULL },   { "detail", detail_command, NULL },   { "list", list_command, NULL },
	{ "dump", dump_command, NULL },   { "path", path_command, NULL },       { "map", NULL, map_command },
	{ "reset", NULL, reset_command }, { "recover", NULL, recover_command }, { "remove", NULL, remove_command },
};

static int run(const struct command *command, int argc, char **argv)
{
	SASInspect_t inspect;
	int status;

	if (command->run)
		return command->run(argc, argv);
	inspect = SASInspectOpen(path);
	if (!inspect)
		return tool_library_error(TOOL_FAILED);
	status = command->look(inspect, argc, argv);
	SASInspectClose(inspect);
	return status;
}

static int find_and_run(int argc, char **argv)
{
	if (!argc) {
		tool_error(TOOL_USAGE, "no command");
		return tool_try_help();
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (!strcmp(commands[i].name, argv[0])) {
			int status = run(&commands[i], argc - 1, argv + 1);

			if ((fflush(stdout) || ferror(stdout)) && status == TOOL_OK)
				return errno == EPIPE ? TOOL_FAILED : tool_error(TOOL_FAILED, "standard output: %s",
										 strerror(errno));
			return status == TOOL_USAGE ? tool_try_help() : status;
		}
	}
	tool_error(TOOL_USAGE, "unknown command: %s", argv[0]);
	return tool_try_help();
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "path", required_argument, NULL, 'p' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'v' },
		{ 0 },
	};
	const char *store = getenv("SASSTOREPATH");
	int c;

	tool_program = "sasutil";
	path = store && *store ? store : ".";
	while ((c = getopt_long(argc, argv, "+p:hv", longs, NULL)) != -1) {
		switch (c) {
		case 'p':
			path = optarg;
			break;
		case 'h':
			return usage();
		case 'v':
			return tool_version();
		default:
			return tool_try_help();
		}
	}
	return find_and_run(argc - optind, argv + optind);
}
