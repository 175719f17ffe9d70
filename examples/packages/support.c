/* SPDX-License-Identifier: MIT */
/*
 * support.c - small services: errors, the report, time, files, joining.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <sassim.h>
#include <sasregion.h>
#include "packages.h"

static int report_file = -1;
static const char *report_path = "";

void complain(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fputs("packages: ", stderr);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
}

void die(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fputs("packages: ", stderr);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
	exit(1);
}

/* Lines "key value" go to this file; without one, or "", to standard error. */
void report_to(const char *path)
{
	if (*path == '\0')
		return;
	report_file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	if (report_file < 0)
		die("%s: %s", path, strerror(errno));
	report_path = path;
}

/* Where the report goes; "": to standard error. */
const char *report_goes_to(void)
{
	return report_path;
}

void report(const char *key, const char *format, ...)
{
	char line[512];
	va_list arguments;
	int used = snprintf(line, sizeof(line), "%s ", key);

	va_start(arguments, format);
	used += vsnprintf(line + used, sizeof(line) - 1 - (size_t)used, format, arguments);
	va_end(arguments);
	if (used > (int)sizeof(line) - 2)
		used = (int)sizeof(line) - 2;
	line[used++] = '\n';
	if (write(report_file < 0 ? STDERR_FILENO : report_file, line, (size_t)used) != used)
		die("the report cannot be written: %s", strerror(errno));
}

uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* The finishing steps of the splitmix64 generator. */
uint64_t random_of(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

uint64_t number_argument(const char *text, uint64_t most)
{
	char *end;
	unsigned long long value;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || *text == '-' || value > most)
		die("%s: not a number from 0 to %llu", text, (unsigned long long)most);
	return value;
}

struct slice map_file(const char *path)
{
	struct slice text = { "", 0 };
	struct stat status;
	void *at;
	int file = open(path, O_RDONLY | O_CLOEXEC);

	if (file < 0 || fstat(file, &status) != 0)
		die("%s: %s", path, strerror(errno));
	if (status.st_size > 0) {
		text.length = (size_t)status.st_size;
		at = mmap(NULL, text.length, PROT_READ, MAP_PRIVATE | MAP_POPULATE, file, 0);
		if (at == MAP_FAILED)
			die("%s: %s", path, strerror(errno));
		text.at = at;
	}
	close(file);
	return text;
}

/* The graph that a store holds. NULL: it holds nothing yet. */
struct root *root_of(const char *store)
{
	struct root *root = getSASFinder();

	if (root != NULL && (root->magic != GRAPH_MAGIC || root->format != GRAPH_FORMAT))
		die("%s: its finder leads to something else", store);
	return root;
}

/* Join, say where the region lies in this process, and find the graph. */
struct joined join_store(const char *who, const char *store)
{
	struct joined joined;
	SASRegionInfo info = { .structSize = sizeof(info) };
	uint64_t start = now();
	char key[64];

	if (SASJoinRegionByName(store) != 0)
		die("%s: %s", store, SASLastErrorMessage());
	joined.root = root_of(store);
	joined.nanoseconds = now() - start;
	if (SASRegionGetInfo(SASRegionDefault(), &info) != 0)
		die("%s: %s", store, SASLastErrorMessage());
	joined.generation = info.generation;
	if (who != NULL) {
		snprintf(key, sizeof(key), "base.%s", who);
		report(key, "0x%llx", (unsigned long long)info.mappedAt);
	}
	return joined;
}
