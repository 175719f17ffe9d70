/* SPDX-License-Identifier: MIT */
/*
 * board.c - map the board, and ask it how far the readers are.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "board.h"
#include "packages.h"

struct board *board_open(const char *path, int create)
{
	int file = open(path, O_RDWR | O_CLOEXEC | (create ? O_CREAT | O_TRUNC : 0), 0666);
	void *at;

	if (file < 0 || (create && ftruncate(file, sizeof(struct board)) != 0))
		die("%s: %s", path, strerror(errno));
	at = mmap(NULL, sizeof(struct board), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	if (at == MAP_FAILED)
		die("%s: %s", path, strerror(errno));
	close(file);
	return at;
}

/* One change in 8 stays for 0.2 ms in one of its gaps, so that kills fall into all of them. */
void board_linger(struct board *board, int gap)
{
	uint64_t random = random_of(~atomic_load_explicit(&board->sequence, memory_order_relaxed));
	uint64_t until;

	if (random % 8 != 0 || random / 8 % GAPS != (uint64_t)gap)
		return;
	until = now() + 200000;
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
