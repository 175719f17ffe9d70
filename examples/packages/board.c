/* SPDX-License-Identifier: MIT */
/*
 * board.c - map the board; who on it lives; keeping times; lingering where a kill shall fall.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "board.h"
#include "packages.h"

/* A new board; *file is for the children. */
struct board *board_create(int *file)
{
	void *at;

	*file = memfd_create("board", 0);
	if (*file < 0 || ftruncate(*file, sizeof(struct board)) != 0)
		die("the board: %s", strerror(errno));
	at = mmap(NULL, sizeof(struct board), PROT_READ | PROT_WRITE, MAP_SHARED, *file, 0);
	if (at == MAP_FAILED)
		die("the board: %s", strerror(errno));
	return at;
}

/* The board that a child was given. */
struct board *board_open(const char *file_number)
{
	int file = (int)number_argument(file_number, INT_MAX);
	struct stat status;
	void *at;

	if (fstat(file, &status) != 0 || status.st_size != sizeof(struct board))
		die("descriptor %d is no board: storm starts this command", file);
	at = mmap(NULL, sizeof(struct board), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	if (at == MAP_FAILED)
		die("the board: %s", strerror(errno));
	close(file);
	return at;
}

/*
 * Whether a generation is that of a process at work. The killer takes it off the board when the process is
 * dead, so one that is not there will never allocate, free or change anything again.
 */
int board_is_living(const struct board *board, uint32_t generation)
{
	for (int i = 0; i < BOARD_UPDATERS; i++)
		if (atomic_load_explicit(&board->updaters[i].generation, memory_order_acquire) == generation)
			return 1;
	for (int i = 0; i < BOARD_READERS; i++)
		if (atomic_load_explicit(&board->readers[i].generation, memory_order_acquire) == generation)
			return 1;
	return 0;
}

/* A time of this process's own slot. */
void keep_longest(_Atomic uint64_t *longest, uint64_t start)
{
	uint64_t elapsed = now() - start;

	if (elapsed > atomic_load_explicit(longest, memory_order_relaxed))
		atomic_store_explicit(longest, elapsed, memory_order_relaxed);
}

/* One change in 16 stays for 0.1 ms in one of its gaps, so that kills fall into all of them. */
void linger(uint64_t sequence, int gap)
{
	uint64_t random = random_of(~sequence);
	uint64_t until;

	if (random % 16 != 0 || random / 16 % GAPS != (uint64_t)gap)
		return;
	until = now() + 100000;
	while (now() < until)
		;
}
