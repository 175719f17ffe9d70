/* SPDX-License-Identifier: MIT */
/*
 * tool.c - messages, values and lists of sasphere(1) and sasutil(1).
 */
#include <config.h>

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include "sasinspect.h"
#include "sasregion.h"
#include "tool.h"

const char *tool_program = "sasphere";
const char *tool_command = "";

/* "sasphere info", or the program alone. */
static void put_name(void)
{
	fprintf(stderr, "%s%s%s", tool_program, *tool_command ? " " : "", tool_command);
}

int tool_error(int status, const char *format, ...)
{
	va_list args;

	fflush(stdout);
	put_name();
	fputs(": ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return status;
}

int tool_library_error(int status)
{
	return tool_error(status, "%s", SASLastErrorMessage());
}

int tool_try_help(void)
{
	fputs("Try '", stderr);
	put_name();
	fputs(" --help' for more information.\n", stderr);
	return TOOL_USAGE;
}

int tool_version(void)
{
	printf("%s%s%s from Sasphere %s\n", tool_program, *tool_command ? " " : "", tool_command, SASVersion());
	return TOOL_OK;
}

int tool_common(int option, int (*usage)(void))
{
	return option == 'h' ? usage() : option == 'V' ? tool_version() : tool_try_help();
}

void tool_usage_end(void)
{
	printf("\n"
	       " -h, --help               display this help\n"
	       " -V, --version            display version\n"
	       "\n"
	       "For more details see sasphere-%s(1).\n",
	       tool_command);
}

const char *tool_default_region(void)
{
	const char *path = getenv("SASSTOREPATH");

	return path && *path ? path : ".";
}

const char *tool_region(int argc, char **argv)
{
	if (argc - optind > 1) {
		tool_error(TOOL_USAGE, "unexpected argument: %s", argv[optind + 1]);
		tool_try_help();
		return NULL;
	}
	return optind < argc ? argv[optind] : tool_default_region();
}

/* --- values */

int tool_address(const char *text, uint64_t *address)
{
	char *end;

	errno = 0;
	*address = strtoull(text, &end, 0);
	return end != text && !*end && !errno && *text != '-';
}

int tool_size(const char *option, const char *text, uint64_t *size)
{
	static const char units[] = "KMGTP";
	char *end;
	const char *unit;
	unsigned long long n;
	unsigned shift = 0;

	errno = 0;
	n = strtoull(text, &end, 0);
	if (end == text || errno || !isdigit((unsigned char)*text))
		goto bad;
	unit = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
	if (unit) {
		shift = 10U * (unsigned)(unit - units + 1);
		end += strcasecmp(end + 1, "iB") == 0 ? 3 : 1;
	}
	if (*end || (n << shift) >> shift != n)
		goto bad;
	*size = n << shift;
	return 0;
bad:
	tool_error(TOOL_USAGE, "%s: not a size: %s", option, text);
	return -1;
}

char *tool_size_text(char text[TOOL_SIZE], uint64_t size, int bytes)
{
	static const char units[] = " KMGTP";
	unsigned unit = 0;

	while (unit < 5 && size >> (10 * (unit + 1)))
		unit++;
	if (bytes || !unit)
		snprintf(text, TOOL_SIZE, "%llu%s", (unsigned long long)size, bytes || !size ? "" : "B");
	else if (size & ((1ULL << (10 * unit)) - 1))
		snprintf(text, TOOL_SIZE, "%.1f%c", (double)size / (double)(1ULL << (10 * unit)),
			 units[unit]);
	else
		snprintf(text, TOOL_SIZE, "%llu%c", (unsigned long long)(size >> (10 * unit)), units[unit]);
	return text;
}

char *tool_time_text(char text[TOOL_TIME], uint64_t seconds)
{
	time_t when = (time_t)seconds;
	struct tm tm;

	text[0] = '\0';
	if (seconds && localtime_r(&when, &tm))
		strftime(text, TOOL_TIME, "%FT%T%z", &tm);
	return text;
}

char *tool_moment_text(char text[TOOL_TIME], uint64_t nanoseconds)
{
	time_t when = (time_t)(nanoseconds / 1000000000U);
	struct tm tm;
	char zone[8];

	text[0] = '\0';
	if (!nanoseconds || !localtime_r(&when, &tm) || !strftime(text, TOOL_TIME - 12, "%FT%T", &tm))
		return text;
	strftime(zone, sizeof(zone), "%z", &tm);
	sprintf(text + strlen(text), ".%03u%s", (unsigned)(nanoseconds / 1000000U % 1000U), zone);
	return text;
}

const char *tool_mode_text(unsigned mode)
{
	static const char *const names[] = { "read", "write", "intent" };

	return mode < sizeof(names) / sizeof(names[0]) ? names[mode] : "unknown";
}

const char *tool_lock_text(const SASLockInfo *lock)
{
	return lock->state == SASLock__UPDATES ? "update" : tool_mode_text(lock->mode);
}

char *tool_uuid_text(char text[37], const uint8_t uuid[16])
{
	char *p = text;

	for (int i = 0; i < 16; i++)
		p += sprintf(p, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", uuid[i]);
	return text;
}

char *tool_number_text(char text[TOOL_NUMBER_TEXT], uint64_t n)
{
	snprintf(text, TOOL_NUMBER_TEXT, "%llu", (unsigned long long)n);
	return text;
}

char *tool_address_text(char text[TOOL_NUMBER_TEXT], uint64_t address)
{
	snprintf(text, TOOL_NUMBER_TEXT, "0x%012llx", (unsigned long long)address);
	return text;
}

/* --- lists of the library */

long tool_fetch(tool_list list, void *arg, size_t size, void **buffer)
{
	size_t capacity = 0;
	long count = 0;

	*buffer = NULL;
	do {
		void *larger = realloc(*buffer, (capacity = (size_t)count + 16) * size);

		if (!larger) {
			tool_error(TOOL_FAILED, "no memory for the list");
			return -1;
		}
		*buffer = larger;
		count = list(arg, *buffer, capacity);
	} while (count > (long)capacity);
	if (count < 0)
		tool_library_error(TOOL_FAILED);
	return count;
}
