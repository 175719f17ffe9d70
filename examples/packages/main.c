/* SPDX-License-Identifier: MIT */
/*
 * main.c - packages [-r REPORT] COMMAND ARGUMENTS...: a package index in a region, a process per role.
 * The script `run` beside it plays the whole piece.
 */
#include <string.h>
#include "packages.h"

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *usage;
} commands[] = {
	{ "load", command_load, "STORE INPUT [die]: build the graph of a package index in a region" },
	{ "answer", command_answer, "STORE NAMES: count reverse dependencies and closures" },
	{ "measure", command_measure, "STORE INPUT: time joining, parsing again, looking up" },
	{ "storm", command_storm, "STORE INPUT KILLS READERS UPDATERS SEED: kill updaters, then verify" },
	{ "update", command_update, "STORE BOARD SLOT [finish]: change entries (started by storm)" },
	{ "read", command_read, "STORE BOARD SLOT: ask and check (started by storm)" },
	{ "walk", command_walk, "STORE NAME: follow every pointer and sum up" },
};
#define COMMANDS (sizeof(commands) / sizeof(*commands))

static int usage(FILE *to, int status)
{
	fputs("Usage: packages [-r REPORT] COMMAND ARGUMENTS...\n\n"
	      "STORE is a directory that holds a region, or will. Figures go to the file REPORT, else to\n"
	      "standard error, a line \"key value\" each.\n\n", to);
	for (size_t i = 0; i < COMMANDS; i++)
		fprintf(to, "  %-8s %s\n", commands[i].name, commands[i].usage);
	return status;
}

int main(int argc, char **argv)
{
	if (argc > 1 && (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0))
		return usage(stdout, 0);
	if (argc > 2 && strcmp(argv[1], "-r") == 0) {
		report_to(argv[2]);
		argc -= 2;
		argv += 2;
	}
	for (size_t i = 0; i < COMMANDS && argc > 1; i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	return usage(stderr, 2);
}
