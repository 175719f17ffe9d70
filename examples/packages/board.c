/* SPDX-License-Identifier: MIT */
/*
 * board.c - map the board, and ask it how far the readers are.
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

/* One change in 16 stays for 0.1 ms in one of its gaps, so that kills fall into all of them. */
void board_linger(struct board *board, int gap)
{
	uint64_t random = random_of(~atomic_load_explicit(&board->sequence, memory_order_relaxed));
	uint64_t until;

	if (random % 16 != 0 || random / 16 % GAPS != (uint64_t)gap)
		return;
	until = now() + 100000;
	while (now() < until)
		;
}

/*
 * The oldest era in which a reader's query began; UINT64_MAX when none is in a query. What was
 * retired in an earlier era is out of every reader's sight. Pairs with the fence in read.c: either
 * we see the reader's era, or it sees what we had unlinked before.
 */
uint64_t board_oldest_era(struct board *board)
{
	uint64_t oldest = UINT64_MAX;

	atomic_thread_fence(memory_order_seq_cst);
	for (int i = 0; i < BOARD_READERS; i++) {
		uint64_t era = atomic_load_explicit(&board->readers[i].era, memory_order_acquire);

		if (era != 0 && era < oldest)
			oldest = era;
	}
	return oldest;
}
