/* SPDX-License-Identifier: MIT */
/*
 * test_fuzz_inspect.c - whatever bytes a region's files hold, looking at them and joining ends well: fuzz/region.h
 * says what that means. The same of objects, with another harness behind that header: fuzz/objects.c. First the corpus, which holds what once went wrong; then inputs that are drawn.
 *
 * SAS_FUZZ_ROUNDS and SAS_FUZZ_SEED choose how many and where to begin; a failure prints what to set to see it
 * again. `make fuzz' goes on from here, led by what the inputs reach.
 */
#include <config.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "fuzz/region.h"
#include "sandbox.h"

#ifndef CORPUS
#define CORPUS "corpus"
#endif
#define MOST 4096
#define CHANGES 8
#define SECONDS 20              /* that one input may take */

static char current[300];
static uint64_t state;

static uint64_t draw(void)
{
	uint64_t z = state += 0x9E3779B97F4A7C15UL;

	z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9UL;
	z = (z ^ z >> 27) * 0x94D049BB133111EBUL;
	return z ^ z >> 31;
}

static uint64_t below(uint64_t n)
{
	return draw() % n;
}

/* Numbers that programs get wrong. */
static uint64_t pick_number(void)
{
	switch (below(6)) {
	case 0:
		return 0;
	case 1:
		return ~0UL;
	case 2:
		return 1UL << below(64);
	case 3:
		return (1UL << below(64)) - 1;
	case 4:
		return below(1 << 16);
	default:
		return draw();
	}
}

/* A number of 1, 2, 4 or 8 bytes at a multiple of its size, or, seldom, a cut. */
static size_t draw_change(uint8_t *to)
{
	unsigned place = (unsigned)below(fuzz_places);
	uint64_t value = pick_number(), size = 1UL << below(4);
	uint64_t units = fuzz_place_size(place) < 1UL << 16 ? fuzz_place_size(place) : 1UL << 16;
	uint64_t offset = below(units) & ~(size - 1);

	to[0] = (uint8_t)place;
	to[1] = (uint8_t)offset;
	to[2] = (uint8_t)(offset >> 8);
	to[3] = below(40) == 0 ? FUZZ_CUT : (uint8_t)(size - 1);
	memcpy(to + 4, &value, size);
	return to[3] == FUZZ_CUT ? 4 : 4 + size;
}

/* Every third one is joined, every third one has its locks listed. */
static void run_drawn(unsigned long seed)
{
	uint8_t input[1 + CHANGES * (4 + FUZZ_BYTES)];
	uint64_t changes;
	size_t size = 1;

	state = seed;
	changes = 1 + below(CHANGES);
	input[0] = (uint8_t)(draw() & ~(FUZZ_JOIN | FUZZ_LOCKS));
	input[0] |= (uint8_t)(seed % 3 == 0 ? FUZZ_JOIN : seed % 3 == 1 ? FUZZ_LOCKS : 0);
	while (changes-- > 0)
		size += draw_change(input + size);
	snprintf(current, sizeof current, "SAS_FUZZ_SEED=%lu", seed);
	alarm(SECONDS);
	fuzz_one(input, size);
	alarm(0);
}

static void run_file(int directory, const char *name)
{
	uint8_t input[MOST];
	int fd = openat(directory, name, O_RDONLY | O_CLOEXEC);
	ssize_t size = fd < 0 ? -1 : read(fd, input, sizeof input);

	if (size < 0) {
		perror(name);
		exit(99);
	}
	close(fd);
	snprintf(current, sizeof current, "corpus: %.255s", name);
	alarm(SECONDS);
	fuzz_one(input, (size_t)size);
	alarm(0);
}

static unsigned run_corpus(void)
{
	const char *top = getenv("top_srcdir");
	struct dirent *e;
	unsigned count = 0;
	char path[4200];
	DIR *d;

	snprintf(path, sizeof path, "%s/tests/fuzz/" CORPUS, top ? top : SOURCE);
	d = opendir(path);
	if (!d) {
		perror(path);
		exit(99);
	}
	while ((e = readdir(d)) != NULL)
		if (e->d_name[0] != '.') {
			run_file(dirfd(d), e->d_name);
			count++;
		}
	closedir(d);
	return count;
}

static void tell(void)
{
	char text[400];
	int size = snprintf(text, sizeof text, "%s: %s\n", program_invocation_short_name, current);

	if (write(STDERR_FILENO, text, (size_t)size) < 0)
		_exit(98);
}

/* A crash, or a call that does not end. */
static void die_of(int number)
{
	tell();
	signal(number, SIG_DFL);
	raise(number);
}

static unsigned long number_of(const char *name, unsigned long otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoul(text, NULL, 0) : otherwise;
}

static int run_all(int argc, char **argv)
{
	const char *size = getenv("SAS_TEST_SIZE");
	unsigned long usual = !size ? 3000 : strcmp(size, "long") == 0 ? 200000 : 300;
	unsigned long rounds = number_of("SAS_FUZZ_ROUNDS", usual), first = number_of("SAS_FUZZ_SEED", 1);
	unsigned files;

	(void)argc;
	(void)argv;
	signal(SIGALRM, die_of);
	signal(SIGSEGV, die_of);
	signal(SIGBUS, die_of);
	fuzz_failed = tell;
	fuzz_begin();
	files = run_corpus();
	for (unsigned long i = 0; i < rounds; i++)
		run_drawn(first + i);
	printf("%u inputs of the corpus, %lu drawn from seed %lu\n", files, rounds, first);
	return files == 0;
}

int main(int argc, char **argv)
{
	sandbox_prefer_memory();
	return sandbox_run(run_all, argc, argv);
}
