/* SPDX-License-Identifier: MIT */
/*
 * graph.c - what all programs do with the graph: find a name, tell whether a version counts, sum it
 * up, link and unlink the edges of a reverse list.
 *
 * Who links and unlinks holds the lock of the list (link.c), or nobody else sees the graph yet
 * (build.c). A reader that stands on an edge while it is unlinked goes on along its `next`, which stays
 * as it was until the block is given back (G5).
 */
#include <string.h>
#include "packages.h"

#define MULTIPLIER 0x9fb21c651e98df25u

/* A running 64-bit sum, eight bytes at a step. */
uint64_t mix(uint64_t sum, const void *bytes, size_t length)
{
	const unsigned char *at = bytes;
	uint64_t word;

	sum ^= length * MULTIPLIER;
	while (length > 0) {
		size_t step = length < sizeof(word) ? length : sizeof(word);

		word = 0;
		memcpy(&word, at, step);
		sum = (sum ^ word) * MULTIPLIER;
		sum ^= sum >> 29;
		at += step;
		length -= step;
	}
	return sum;
}

static uint64_t mix_text(uint64_t sum, const char *text)
{
	return mix(sum, text, strlen(text));
}

static uint64_t mix_number(uint64_t sum, uint64_t number)
{
	return mix(sum, &number, sizeof(number));
}

struct package_word *package_bucket(const struct root *root, const char *name, size_t length)
{
	return &root->buckets[mix(0, name, length) & (root->bucket_count - 1)];
}

/* The package of that name, or NULL. */
struct package *package_find(const struct root *root, const char *name, size_t length)
{
	struct package *package = follow(package_bucket(root, name, length));

	while (package != NULL &&
	       (strncmp(package->name, name, length) != 0 || package->name[length] != '\0'))
		package = package->next;
	return package;
}

void extra_name(char *name, size_t size, uint64_t extra)
{
	snprintf(name, size, "sasphere-example-%03llu", (unsigned long long)extra);
}

/* The package of that number; NULL: one of the extra names, not added yet. */
struct package *package_of_number(const struct root *root, uint64_t number)
{
	char name[64];

	if (number < root->name_count)
		return root->names[number];
	extra_name(name, sizeof(name), number - root->name_count);
	return package_find(root, name, strlen(name));
}

/* One of the numbers that updaters work on: a tenth extra names, else spread over the input. */
uint64_t busy_number(const struct root *root, uint64_t random)
{
	uint64_t busy = root->name_count < BUSY_NAMES ? root->name_count : BUSY_NAMES;

	if (random % 10 == 0)
		return root->name_count + random / 10 % EXTRA_NAMES;
	return random / 10 % busy * (root->name_count / busy);
}

/* The package that a draw chooses. */
uint64_t drawn_number(const struct root *root, uint64_t seed, uint64_t draw)
{
	return busy_number(root, random_of(seed ^ draw));
}

int version_is_listed(const struct version *version)
{
	const struct version *listed = follow(&version->package->versions);

	while (listed != NULL && listed != version)
		listed = listed->older;
	return listed != NULL;
}

/* The block of a version that an update made. */
struct version_block *version_block_of(struct version *version)
{
	return (struct version_block *)((char *)version - offsetof(struct version_block, version));
}

/* Over all that a version says; not over addresses. */
uint64_t version_checksum(const struct version *version)
{
	uint64_t sum = mix_text(0, version->package->name);

	sum = mix_text(sum, version->version);
	sum = mix_text(sum, version->architecture);
	sum = mix_text(sum, version->section);
	sum = mix_text(sum, version->summary);
	sum = mix_number(sum, version->installed_size);
	sum = mix_number(sum, version->size);
	sum = mix_number(sum, version->sequence);
	for (uint64_t d = 0; d < version->dependency_count; d++) {
		const struct dependency *dependency = &version->dependencies[d];

		sum = mix_number(sum, dependency->kind);
		for (uint64_t e = 0; e < dependency->edge_count; e++) {
			sum = mix_text(sum, dependency->edges[e].to->name);
			sum = mix_text(sum, dependency->edges[e].qualifier);
			sum = mix_text(sum, dependency->edges[e].constraint);
		}
	}
	return mix(sum, version->notes, version->notes_size);
}

/* Publish: the edge is complete; a reader that finds it here asks whether its version counts (G3). */
void edge_link(struct edge *edge)
{
	publish(&edge->next, follow(&edge->to->reverse));
	publish(&edge->to->reverse, edge);
}

/* One store takes it out; an edge that is not in the list is left alone, so this can be repeated. */
void edge_unlink(struct edge *edge)
{
	struct edge_word *link = &edge->to->reverse;
	struct edge *at;

	while ((at = follow(link)) != NULL && at != edge)
		link = &at->next;
	if (at != NULL)
		publish(link, follow(&edge->next));
}
