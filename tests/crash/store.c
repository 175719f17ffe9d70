/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "store.h"
#include "tests/sandbox.h"

void store_give_up(const char *what, const char *path)
{
	fprintf(stderr, "%s %s: %s\n", what, path, strerror(errno));
	exit(99);
}

/* --- the test's own process */

static int (*own_test)(int argc, char **argv);

/* Who steps and who is stepped take turns: on one processor that needs no wake-up across. */
static void stay_here(void)
{
	int here = sched_getcpu();
	cpu_set_t set;

	CPU_ZERO(&set);
	if (here >= 0) {
		CPU_SET((unsigned)here, &set);
		sched_setaffinity(0, sizeof set, &set);
	}
}

static int run_here(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	stay_here();
	return own_test(argc, argv);
}

int store_run_test(int (*test)(int argc, char **argv), int argc, char **argv)
{
	own_test = test;
	sandbox_prefer_memory();
	return sandbox_run(run_here, argc, argv);
}

/* --- directories */

static void each_file(const char *path, void (*see)(const char *from, const char *name, void *arg), void *arg)
{
	DIR *d = opendir(path);
	struct dirent *e;

	if (!d)
		store_give_up("cannot read", path);
	while ((e = readdir(d)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			see(path, e->d_name, arg);
	closedir(d);
}

static void remove_file(const char *from, const char *name, void *arg)
{
	char path[2 * PATH_MAX];

	(void)arg;
	snprintf(path, sizeof path, "%s/%s", from, name);
	if (unlink(path) != 0 && (errno == EISDIR || errno == EPERM))
		sandbox_remove(path);
}

void store_empty(const char *path)
{
	each_file(path, remove_file, NULL);
}

void store_make(char path[PATH_MAX], const char *name)
{
	snprintf(path, PATH_MAX, "%s/%s", sandbox_root(), name);
	if (mkdir(path, 0700) == 0)
		return;
	if (errno != EEXIST)
		store_give_up("cannot make", path);
	store_empty(path);
}

/* --- copies */

struct copy {
	const char *to;
	int what;
};

static void copy_range(int from, int to, off_t at, off_t end)
{
	static char buffer[1 << 16];

	while (at < end) {
		size_t size = end - at < (off_t)sizeof buffer ? (size_t)(end - at) : sizeof buffer;
		ssize_t got = pread(from, buffer, size, at);

		if (got <= 0 || pwrite(to, buffer, (size_t)got, at) != got)
			store_give_up("cannot copy", "a file");
		at += got;
	}
}

static void copy_data(int from, int to, off_t size)
{
	off_t at = 0;

	while (at < size) {
		off_t data = lseek(from, at, SEEK_DATA), hole;

		if (data < 0)
			return;
		hole = lseek(from, data, SEEK_HOLE);
		copy_range(from, to, data, hole);
		at = hole;
	}
}

static void copy_file(const char *from, const char *name, void *arg)
{
	const struct copy *c = arg;
	char path[2 * PATH_MAX];
	struct stat st;
	int in, out;

	if (c->what == STORE_MEDIA && strcmp(name, "SAS.run") == 0)
		return;
	snprintf(path, sizeof path, "%s/%s", from, name);
	in = open(path, O_RDONLY | O_CLOEXEC);
	if (in < 0 || fstat(in, &st) != 0)
		store_give_up("cannot read", path);
	snprintf(path, sizeof path, "%s/%s", c->to, name);
	out = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (out < 0 || ftruncate(out, st.st_size) != 0 || fchmod(out, st.st_mode & 07777) != 0)
		store_give_up("cannot write", path);
	copy_data(in, out, st.st_size);
	close(in);
	close(out);
}

void store_copy(const char *from, const char *to, int what)
{
	struct copy c = { to, what };

	if (mkdir(to, 0700) != 0) {
		if (errno != EEXIST)
			store_give_up("cannot make", to);
		store_empty(to);
	}
	each_file(from, copy_file, &c);
}

static void count_file(const char *from, const char *name, void *arg)
{
	(void)from;
	if (strcmp(name, "SAS.run") != 0)
		++*(size_t *)arg;
}

size_t store_count(const char *path)
{
	size_t count = 0;

	each_file(path, count_file, &count);
	return count;
}
