/* SPDX-License-Identifier: MIT */
/*
 * numa.c - placement by libnuma. Layer 0.
 *
 * On tmpfs and hugetlbfs the policy of a shared mapping belongs to the file, and holds for all
 * who map it; elsewhere the kernel places a page by the policy of the thread that touches it first.
 * Locks: none. Fork: nothing to do.
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "atomic.h"
#include "err.h"
#include "numa.h"

/* Warn at the first time only. */
static void warn_once(const char *reason)
{
	static sas_u32_t warned;

	if (sas_exchange_acq_rel_u32(&warned, 1) == 0)
		sas_note(SAS_ERR_WARNING, "memory is placed without regard to NUMA nodes: %s", reason);
}

#ifdef HAVE_LIBNUMA
#include <numa.h>
#include <numaif.h>

#ifndef LIBNUMA_API_VERSION
#error "sas/numa.h hides libnuma's header: sas/ may be in the path by -iquote, not by -I"
#endif

#ifndef MPOL_PREFERRED_MANY
#define MPOL_PREFERRED_MANY 5
#endif

#define MASK_BITS (64U * SAS_NUMA_WORDS)

static int is_node(unsigned long node, int relative)
{
	const struct bitmask *all = numa_all_nodes_ptr;

	if (relative)
		return node < numa_bitmask_weight(all);     /* counted among those that it may use */
	return node < MASK_BITS && numa_bitmask_isbitset(all, (unsigned)node) != 0;
}

/* The number at *text, which then points behind it; ULONG_MAX where there is none. */
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

/* libnuma complains about bad lists on stderr, so it gets to see good ones only. */
static int is_list(const char *text)
{
	int relative = 0;

	if (*text == '!')
		text++;
	if (*text == '+') {
		relative = 1;
		text++;
	}
	if (strcmp(text, "all") == 0 || strcmp(text, "same") == 0)
		return 1;
	for (;;) {
		unsigned long first = parse_node(&text), last = first;

		if (*text == '-') {
			text++;
			last = parse_node(&text);
		}
		if (first > last || !is_node(first, relative) || !is_node(last, relative))
			return 0;
		for (unsigned long node = first; node <= last; node++)
			if (!is_node(node, relative))
				return 0;
		if (*text == '\0')
			return 1;
		if (*text++ != ',')
			return 0;
	}
}

int sas_numa_parse(const char *nodes, uint64_t mask[SAS_NUMA_WORDS])
{
	struct bitmask *parsed;

	memset(mask, 0, sizeof(uint64_t) * SAS_NUMA_WORDS);
	if (nodes == NULL)
		return 0;
	if (numa_available() < 0) {
		warn_once("the kernel has no NUMA support");
		return 0;
	}
	parsed = is_list(nodes) ? numa_parse_nodestring(nodes) : NULL;
	if (parsed == NULL)
		return sas_fail(EINVAL, "\"%s\" is not a list of NUMA nodes that this process may use",
				nodes);
	for (unsigned node = 0; node < MASK_BITS && node < parsed->size; node++)
		if (numa_bitmask_isbitset(parsed, node))
			mask[node / 64] |= 1UL << node % 64;
	numa_bitmask_free(parsed);
	return 0;
}

/* Nodes of the mask; all that the process may use if it is empty. Gives how many. */
static unsigned copy_nodes(unsigned long nodes[SAS_NUMA_WORDS], const uint64_t mask[SAS_NUMA_WORDS])
{
	unsigned count = 0;

	for (unsigned i = 0; i < SAS_NUMA_WORDS; i++) {
		nodes[i] = mask[i];
		count += (unsigned)__builtin_popcountl(nodes[i]);
	}
	if (count > 0)
		return count;
	for (unsigned node = 0; node < MASK_BITS; node++) {
		if (numa_bitmask_isbitset(numa_all_nodes_ptr, node)) {
			nodes[node / 64] |= 1UL << node % 64;
			count++;
		}
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

static long bind_range(void *addr, size_t size, int mode, const unsigned long *nodes)
{
	/* The kernel takes one bit less than it is told. */
	return mbind(addr, size, mode, nodes, MASK_BITS + 1, 0);
}

static long bind_preferred(void *addr, size_t size, unsigned long *nodes, unsigned count)
{
	if (count > 1) {
		long result = bind_range(addr, size, MPOL_PREFERRED_MANY, nodes);

		if (result == 0 || errno != EINVAL)
			return result;
	}
	/* Kernels before 5.15 prefer one node only. */
	keep_lowest(nodes);
	return bind_range(addr, size, MPOL_PREFERRED, nodes);
}

int sas_numa_place(void *addr, size_t size, unsigned policy, const uint64_t mask[SAS_NUMA_WORDS])
{
	unsigned long nodes[SAS_NUMA_WORDS];
	unsigned count;
	long result;

	if (policy == SAS_NUMA_DEFAULT)
		return 0;
	if (policy > SAS_NUMA_INTERLEAVE)
		return -EINVAL;
	count = copy_nodes(nodes, mask);
	if (policy == SAS_NUMA_PREFERRED)
		result = bind_preferred(addr, size, nodes, count);
	else
		result = bind_range(addr, size, policy == SAS_NUMA_BIND ? MPOL_BIND : MPOL_INTERLEAVE, nodes);
	return result == 0 ? 0 : -errno;
}
#else
int sas_numa_parse(const char *nodes, uint64_t mask[SAS_NUMA_WORDS])
{
	memset(mask, 0, sizeof(uint64_t) * SAS_NUMA_WORDS);
	if (nodes != NULL)
		warn_once("this library was built without libnuma");
	return 0;
}

int sas_numa_place(void *addr, size_t size, unsigned policy, const uint64_t mask[SAS_NUMA_WORDS])
{
	(void)addr;
	(void)size;
	(void)mask;
	return policy == SAS_NUMA_DEFAULT ? 0 : -ENOSYS;
}
#endif

void sas_numa_apply(void *addr, size_t size, unsigned policy, const uint64_t mask[SAS_NUMA_WORDS])
{
	int error = sas_numa_place(addr, size, policy, mask);

	if (error)
		warn_once(error == -ENOSYS ? "there is no NUMA support here" : strerror(-error));
}
