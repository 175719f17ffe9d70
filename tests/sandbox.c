/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <dirent.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>
#include "sandbox.h"

#define ROOM (256UL << 20)      /* that memory should have */
#define TROUBLE 99              /* what the harness of automake takes for an error of the test itself */

static char root[PATH_MAX - 64];

static void give_up(const char *what)
{
	perror(what);
	exit(TROUBLE);
}

/* --- directories */

const char *sandbox_root(void)
{
	return root;
}

int sandbox_directory(char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s/XXXXXX", root);
	return mkdtemp(path) ? 0 : -1;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)type;
	(void)where;
	if (remove(path) != 0 && S_ISDIR(st->st_mode))
		chmod(path, 0700);
	return 0;
}

/* The first pass opens the directories that keep others out, the second one removes them. */
void sandbox_remove(const char *path)
{
	for (int pass = 0; pass < 2; pass++)
		nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

static int has_room(const char *path)
{
	struct statvfs fs;

	return statvfs(path, &fs) == 0 && (unsigned long)fs.f_bavail * fs.f_frsize >= ROOM &&
	       access(path, W_OK) == 0;
}

void sandbox_prefer_memory(void)
{
	const char *parent = getenv("TMPDIR");

	if ((!parent || !*parent) && has_room("/dev/shm"))
		setenv("TMPDIR", "/dev/shm", 1);
}

/* Other users have to reach their stores. */
static void make_root(void)
{
	const char *parent = getenv("TMPDIR");

	snprintf(root, sizeof root, "%.*s/sastest.XXXXXX", (int)sizeof root - 32, parent && *parent ? parent : "/tmp");
	if (!mkdtemp(root) || chmod(root, 0755) != 0)
		give_up(root);
}

/* --- processes */

/* The parent of a process, as /proc/PID/stat says it behind the name, which may hold anything; 0: it is gone. */
static pid_t parent_of(const char *pid)
{
	char name[300], text[512];
	const char *behind;
	size_t size;
	int parent;
	FILE *file;

	snprintf(name, sizeof name, "/proc/%s/stat", pid);
	file = fopen(name, "re");
	if (!file)
		return 0;
	size = fread(text, 1, sizeof text - 1, file);
	fclose(file);
	text[size] = 0;
	behind = strrchr(text, ')');
	return behind && sscanf(behind, ") %*c %d", &parent) == 1 ? parent : 0;
}

static void kill_children(void)
{
	DIR *directory = opendir("/proc");
	struct dirent *entry;

	while (directory && (entry = readdir(directory)) != NULL)
		if (parent_of(entry->d_name) == getpid())
			kill(atoi(entry->d_name), SIGKILL);
	if (directory)
		closedir(directory);
}

/* Those of who dies become ours: in the end there are none. */
static void end_all(void)
{
	do
		kill_children();
	while (waitpid(-1, NULL, 0) > 0);
}

/* Those that shall end us, and SIGCHLD. nohup(1) and shells tell by SIG_IGN which of them shall not. */
static void block_signals(sigset_t *set, sigset_t *before)
{
	static const int ends[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction action;

	signal(SIGCHLD, SIG_DFL);
	sigemptyset(set);
	sigaddset(set, SIGCHLD);
	for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
		if (sigaction(ends[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
			sigaddset(set, ends[i]);
	sigprocmask(SIG_BLOCK, set, before);
}

/* Until the test has ended: 0, and its status; or the signal that ends us. */
static int await_end(pid_t test, const sigset_t *set, int *status)
{
	for (;;) {
		int number = sigwaitinfo(set, NULL);
		pid_t pid;

		if (number > 0 && number != SIGCHLD)
			return number;
		while ((pid = waitpid(-1, status, WNOHANG)) > 0)
			if (pid == test)
				return 0;
	}
}

static int result_of(int status)
{
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	fprintf(stderr, "the test was ended by signal %d\n", WTERMSIG(status));
	return TROUBLE;
}

int sandbox_run(int (*test)(int argc, char **argv), int argc, char **argv)
{
	sigset_t set, before;
	int status = 0, told;
	pid_t pid;

	block_signals(&set, &before);
	make_root();
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	fflush(NULL);
	pid = fork();
	if (pid < 0) {
		sandbox_remove(root);
		give_up("fork");
	}
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		sigprocmask(SIG_SETMASK, &before, NULL);
		exit(test(argc, argv));
	}
	told = await_end(pid, &set, &status);
	end_all();
	sandbox_remove(root);
	if (told) {
		signal(told, SIG_DFL);
		raise(told);
		sigprocmask(SIG_SETMASK, &before, NULL);
	}
	return result_of(status);
}
