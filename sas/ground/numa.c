/* SPDX-License-Identifier: MIT */
/*
 * numa.c - placement: lists of nodes by libnuma, policies of ranges by the kernel. Layer 0.
 *
 * On tmpfs and hugetlbfs the policy of a shared mapping belongs to the file, and holds for all
 * who map it; elsewhere the kernel places a page by the policy of the thread that touches it first.
 * Locks: none. Fork: nothing to do.
 */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "atomic.h"
#include "err.h"
#include "numa.h"
#include "port.h"

/* Warn at the first time only. */
static void warn_once(const char *reason)
{
	static sas_u32_t warned;

	if (sas_exchange_acq_rel_u32(&warned, 1) == 0)
		sas_note(SAS_ERR_WARNING, "memory is placed without regard to NUMA nodes: %s", reason);
}

#define MASK_BITS (64U * SAS_NUMA_WORDS)

static int has(const uint64_t mask[SAS_NUMA_WORDS], unsigned node)
{
	return (int)(mask[node / 64] >> node % 64 & 1);
}

#ifdef HAVE_LIBNUMA
#include <numa.h>
#include <numaif.h>

#ifndef LIBNUMA_API_VERSION
#error "sas/ground/numa.h hides libnuma's header: sas/ may be in the path by -iquote, not by -I"
#endif

#ifndef MPOL_PREFERRED_MANY
#define MPOL_PREFERRED_MANY 5
#endif

/* Word i of the nodes that this process may use. */
static uint64_t usable(unsigned i)
{
	return 64 * i < numa_all_nodes_ptr->size ? numa_all_nodes_ptr->maskp[i] : 0;
}

/* The number at *text, which then points behind it; ~0UL where there is none. */
static unsigned long parse_node(const char **text)
{
	char *end;
	unsigned long node;

	if (**text < '0' || **text > '9')
		return ~0UL;
	node = strtoul(*text, &end, 10);
	*text = end;
	return node;
}

/* "0-1,3" of nodes below the limit, into the mask; 0: it is something else. */
static int parse_list(const char *text, unsigned long limit, uint64_t mask[SAS_NUMA_WORDS])
{
	for (;;) {
		unsigned long first = parse_node(&text), last = first;

		if (*text == '-') {
			text++;
			last = parse_node(&text);
		}
		if (first > last || last >= limit)
			return 0;
		for (unsigned long node = first; node <= last; node++)
			mask[node / 64] |= 1UL << node % 64;
		if (*text == '\0')
			return 1;
		if (*text++ != ',')
			return 0;
	}
}

/* Words and signs that only libnuma knows. It complains about bad ones on stderr, so it gets to see good ones only. */
static int parse_relative(const char *text, uint64_t mask[SAS_NUMA_WORDS])
{
	const char *list = *text == '!' ? text + 1 : text;
	uint64_t nodes[SAS_NUMA_WORDS] = { 0 };
	struct bitmask *parsed;
	unsigned node = 0;

	if (strcmp(list, "all") != 0 && strcmp(list, "same") != 0) {
		/* Behind '+' they are counted among those that it may use. */
		int counted = *list == '+';

		if (!parse_list(list + counted, counted ? numa_bitmask_weight(numa_all_nodes_ptr) : MASK_BITS, nodes))
			return 0;
		while (!counted && node < MASK_BITS && (!has(nodes, node) || (usable(node / 64) >> node % 64 & 1)))
			node++;
		if (!counted && node < MASK_BITS)
			return 0;
	}
	parsed = numa_parse_nodestring(text);
	if (parsed == NULL)
		return 0;
	for (node = 0; node < MASK_BITS && node < parsed->size; node++)
		if (numa_bitmask_isbitset(parsed, node))
			mask[node / 64] |= 1UL << node % 64;
	numa_bitmask_free(parsed);
	return 1;
}

int sas_numa_parse(const char *nodes, uint64_t mask[SAS_NUMA_WORDS])
{
	int plain;

	memset(mask, 0, sizeof(uint64_t) * SAS_NUMA_WORDS);
	if (nodes == NULL)
		return 0;
	if (numa_available() < 0) {
		warn_once("the kernel has no NUMA support");
		return 0;
	}
	plain = *nodes >= '0' && *nodes <= '9';
	if (plain ? !parse_list(nodes, MASK_BITS, mask) : !parse_relative(nodes, mask)) {
		memset(mask, 0, sizeof(uint64_t) * SAS_NUMA_WORDS);
		return sas_fail(EINVAL, "\"%s\" is not a list of NUMA nodes", nodes);
	}
	return 0;
}

void sas_numa_all(uint64_t mask[SAS_NUMA_WORDS])
{
	for (unsigned i = 0; i < SAS_NUMA_WORDS; i++)
		mask[i] = usable(i);
}

/* Those of the mask that the process may use; all of these where it is empty. How many. */
static unsigned copy_nodes(unsigned long nodes[SAS_NUMA_WORDS], const uint64_t mask[SAS_NUMA_WORDS])
{
	uint64_t any = 0;
	unsigned count = 0;

	for (unsigned i = 0; i < SAS_NUMA_WORDS; i++)
		any |= mask[i];
	for (unsigned i = 0; i < SAS_NUMA_WORDS; i++) {
		nodes[i] = any ? mask[i] & usable(i) : usable(i);
		count += (unsigned)__builtin_popcountl(nodes[i]);
	}
	return count;
}

static void keep_lowest(unsigned long nodes[SAS_NUMA_WORDS])
{
	unsigned i = 0;

	while (i < SAS_NUMA_WORDS - 1 && nodes[i] == 0)
		i++;
	nodes[i] &= -nodes[i];
	while (++i < SAS_NUMA_WORDS)
		nodes[i] = 0;
}

static int bind_range(void *addr, size_t size, int mode, const unsigned long *nodes, int move)
{
	/* The kernel takes one bit less than it is told. */
	return sas_port->mbind(addr, size, mode, nodes, nodes ? MASK_BITS + 1 : 0, move ? MPOL_MF_MOVE : 0);
}

static int bind_preferred(void *addr, size_t size, unsigned long *nodes, unsigned count, int move)
{
	if (count > 1) {
		int error = bind_range(addr, size, MPOL_PREFERRED_MANY, nodes, move);

		if (error != -EINVAL)
			return error;
	}
	/* Kernels before 5.15 prefer one node only. */
	keep_lowest(nodes);
	return bind_range(addr, size, MPOL_PREFERRED, nodes, move);
}

int sas_numa_place(void *addr, size_t size, unsigned policy, const uint64_t mask[SAS_NUMA_WORDS], int move)
{
	unsigned long nodes[SAS_NUMA_WORDS];
	unsigned count;

	if (policy == SAS_NUMA_DEFAULT)
		return bind_range(addr, size, MPOL_DEFAULT, NULL, move);
	if (policy > SAS_NUMA_INTERLEAVE)
		return -EINVAL;
	count = copy_nodes(nodes, mask);
	if (count == 0)
		return -ENODEV;
	if (policy == SAS_NUMA_PREFERRED)
		return bind_preferred(addr, size, nodes, count, move);
	return bind_range(addr, size, policy == SAS_NUMA_BIND ? MPOL_BIND : MPOL_INTERLEAVE, nodes, move);
}

int sas_numa_placement(const void *addr, unsigned *policy, uint64_t mask[SAS_NUMA_WORDS])
{
	unsigned long nodes[SAS_NUMA_WORDS] = { 0 };
	int mode, error = sas_port->get_mempolicy(&mode, nodes, MASK_BITS + 1, addr, MPOL_F_ADDR);

	*policy = SAS_NUMA_DEFAULT;
	for (unsigned i = 0; i < SAS_NUMA_WORDS; i++)
		mask[i] = error ? 0 : nodes[i];
	if (error)
		return error;
	switch (mode & 0xff) {                  /* above are flags */
	case MPOL_PREFERRED:
	case MPOL_PREFERRED_MANY: *policy = SAS_NUMA_PREFERRED; break;
	case MPOL_BIND: *policy = SAS_NUMA_BIND; break;
	case MPOL_INTERLEAVE: *policy = SAS_NUMA_INTERLEAVE; break;
	default: break;
	}
	return 0;
}
#else
int sas_numa_parse(const char *nodes, uint64_t mask[SAS_NUMA_WORDS])
{
	memset(mask, 0, sizeof(uint64_t) * SAS_NUMA_WORDS);
	if (nodes != NULL)
		warn_once("this library was built without libnuma");
	return 0;
}

int sas_numa_place(void *addr, size_t size, unsigned policy, const uint64_t mask[SAS_NUMA_WORDS], int move)
{
	(void)addr;
	(void)size;
	(void)mask;
	(void)move;
	return policy == SAS_NUMA_DEFAULT ? 0 : -ENOSYS;
}

void sas_numa_all(uint64_t mask[SAS_NUMA_WORDS])
{
	memset(mask, 0, sizeof(uint64_t) * SAS_NUMA_WORDS);
}

int sas_numa_placement(const void *addr, unsigned *policy, uint64_t mask[SAS_NUMA_WORDS])
{
	(void)addr;
	*policy = SAS_NUMA_DEFAULT;
	memset(mask, 0, sizeof(uint64_t) * SAS_NUMA_WORDS);
	return 0;
}
#endif

void sas_numa_warn(int error)
{
	if (error)
		warn_once(error == -ENOSYS ? "there is no NUMA support here" :
			  error == -ENODEV ? "this process may use none of the nodes that are named" : strerror(-error));
}

char *sas_numa_text(const uint64_t mask[SAS_NUMA_WORDS], char *text, size_t size)
{
	size_t used = 0;

	text[0] = '\0';
	for (unsigned node = 0; node < MASK_BITS && used + 12 < size; node++) {
		unsigned first = node;

		if (!has(mask, node))
			continue;
		while (node + 1 < MASK_BITS && has(mask, node + 1))
			node++;
		used += (size_t)snprintf(text + used, size - used, used ? ",%u" : "%u", first);
		if (node > first)
			used += (size_t)snprintf(text + used, size - used, "-%u", node);
	}
	return text;
}

void sas_numa_nth(const uint64_t mask[SAS_NUMA_WORDS], uint64_t n, uint64_t one[SAS_NUMA_WORDS])
{
	uint64_t count = 0, skip;

	memset(one, 0, sizeof(uint64_t) * SAS_NUMA_WORDS);
	for (unsigned i = 0; i < SAS_NUMA_WORDS; i++)
		count += (uint64_t)__builtin_popcountl(mask[i]);
	skip = count ? n % count : 0;
	for (unsigned node = 0; count && node < MASK_BITS; node++) {
		if (has(mask, node) && skip-- == 0) {
			one[node / 64] = 1UL << node % 64;
			return;
		}
	}
}
