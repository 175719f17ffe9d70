/* SPDX-License-Identifier: MIT */
/*
 * sasphere.c - the tool sasphere(1): finds the command and runs it.
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "sasregion.h"
#include "tool.h"

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;
} commands[] = {
	{ "create", cmd_create, "make a new region" },
	{ "info", cmd_info, "show a region's geometry and use" },
	{ "ls", cmd_ls, "list blocks, segments or participants" },
	{ "addr", cmd_addr, "tell what lies at an address" },
	{ "ctx", cmd_ctx, "names that contexts give to addresses" },
	{ "index", cmd_index, "show what indexes and string trees hold" },
	{ "locks", cmd_locks, "list address locks: who holds, who waits" },
	{ "ps", cmd_ps, "list processes and threads" },
	{ "check", cmd_check, "check a region's files for consistency" },
	{ "cp", cmd_cp, "copy an idle region" },
	{ "rm", cmd_rm, "remove a region" },
	{ "doctor", cmd_doctor, "look whether regions can live here, and how well" },
};

#define COUNT (sizeof(commands) / sizeof(commands[0]))

static int usage(void)
{
	printf("\n"
	       "Usage:\n"
	       " sasphere COMMAND [options] [DIRECTORY]\n"
	       "\n"
	       "Make, look at, copy and remove regions of shared address space.\n"
	       "\n"
	       "Commands:\n");
	for (size_t i = 0; i < COUNT; i++)
		printf(" %-8s %s\n", commands[i].name, commands[i].help);
	printf("\n"
	       "DIRECTORY is the region's directory; without it SASSTOREPATH names it, else it is the\n"
	       "working directory. Each command has --help and a page, such as sasphere-ls(1).\n"
	       "\n"
	       " -h, --help               display this help\n"
	       " -V, --version            display version\n"
	       "\n"
	       "For more details see sasphere(1).\n");
	return TOOL_OK;
}

/* Failures are told by the commands, the library's warnings here, unless SAS_LOG sends them elsewhere. */
static void tell_warning(sas_log_level_t level, const char *sentence, void *arg)
{
	(void)arg;
	if (level == SASLog__WARNING)
		fprintf(stderr, "sasphere %s: warning: %s\n", tool_command, sentence);
}

static int close_stdout(int status)
{
	if (fflush(stdout) || ferror(stdout)) {
		if (errno != EPIPE)
			fprintf(stderr, "sasphere: standard output: %s\n", strerror(errno));
		if (!strcmp(tool_command, "check") || !strcmp(tool_command, "doctor"))
			return TOOL_USAGE;
		return status == TOOL_OK ? TOOL_FAILED : status;
	}
	return status;
}

static int run(const struct command *command, int argc, char **argv)
{
	char name[32];

	/* What getopt_long() calls us. */
	snprintf(name, sizeof(name), "sasphere %s", command->name);
	argv[0] = name;
	tool_command = command->name;
	return close_stdout(command->run(argc, argv));
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";

	if (!strcmp(name, "-h") || !strcmp(name, "--help"))
		return close_stdout(usage());
	if (!strcmp(name, "-V") || !strcmp(name, "--version")) {
		printf("sasphere from Sasphere %s\n", SASVersion());
		return close_stdout(TOOL_OK);
	}
	if (!getenv("SAS_LOG"))
		SASSetLogSink(tell_warning, NULL, SASLog__WARNING);
	for (size_t i = 0; i < COUNT; i++)
		if (!strcmp(name, commands[i].name))
			return run(&commands[i], argc - 1, argv + 1);
	if (*name)
		fprintf(stderr, "sasphere: unknown command: %s\n", name);
	else
		fprintf(stderr, "sasphere: no command\n");
	fprintf(stderr, "Try 'sasphere --help' for more information.\n");
	return TOOL_USAGE;
}
