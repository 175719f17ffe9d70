/* SPDX-License-Identifier: MIT */
/*
 * arena.c - many small things in a few large blocks, packed one after the other.
 *
 * Nothing in an arena is given back alone: the loaded graph is one image. Its blocks are a list, so
 * that a leak scan reaches them from the root.
 */
#include <string.h>
#include "packages.h"

#define ARENA_BLOCK (4u << 20)

static void arena_grow(struct arena *arena, size_t size)
{
	size_t want = ARENA_BLOCK;
	struct block_head *head;

	while (want - sizeof(*head) < size)
		want *= 2;
	head = arena->more(want);
	head->kind = BLOCK_ARENA;
	head->size = want;
	head->next = arena->blocks;
	atomic_store_explicit(&head->filled, GRAPH_MAGIC, memory_order_release);
	arena->blocks = head;
	arena->next = (char *)(head + 1);
	arena->end = (char *)head + want;
	arena->bytes += want;
	arena->count++;
}

static char *arena_carve(struct arena *arena, size_t size, size_t alignment)
{
	size_t gap = -(size_t)(uintptr_t)arena->next & (alignment - 1);
	char *taken;

	if (arena->next == NULL || size + gap > (size_t)(arena->end - arena->next)) {
		arena_grow(arena, size);
		gap = 0;
	}
	taken = arena->next + gap;
	arena->next = taken + size;
	return taken;
}

void *arena_take(struct arena *arena, size_t size)
{
	return memset(arena_carve(arena, size, sizeof(void *)), 0, size);
}

/* A copy that ends in a NUL. An empty one too has its byte: a literal would lie in this program. */
const char *arena_text(struct arena *arena, struct slice text)
{
	char *copy = arena_carve(arena, text.length + 1, 1);

	memcpy(copy, text.at, text.length);
	copy[text.length] = '\0';
	return copy;
}
