/* SPDX-License-Identifier: MIT */
/*
 * test_place.c - on which nodes memory is wished: policies of regions and blocks, as the kernel has them.
 *
 * One node is enough to read policies back; that memory then lies there can be seen on several nodes alone.
 */
#include <config.h>

#include <linux/mempolicy.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "fixture.h"
#include "../sas/ground/port.h"
#include "../sas/region/region.h"
#include "sandbox.h"

#define BLOCK (64 * KIB)

static int warnings;
static char said[512];

static void note(sas_log_level_t level, const char *sentence, void *arg)
{
	(void)arg;
	if (level != SASLog__WARNING)
		return;
	warnings++;
	snprintf(said, sizeof said, "%s", sentence);
}

/* Not by the library: mode and the first word of the nodes. */
static int kernel_says(const void *address, unsigned long *nodes)
{
	unsigned long mask[16] = { 0 };
	int mode = -1;

	if (syscall(SYS_get_mempolicy, &mode, mask, 1025UL, address, (unsigned long)MPOL_F_ADDR) != 0)
		mode = -errno;
	*nodes = mask[0];
	return mode;
}

#define ck_kernel(address, mode, nodes)                                            \
	do {                                                                       \
		unsigned long nodes_;                                              \
		int mode_ = kernel_says(address, &nodes_);                         \
		ck_assert_msg(mode_ == (mode) && nodes_ == (nodes),                \
			      "the kernel has mode %d and nodes %#lx", mode_, nodes_); \
	} while (0)

/* 0, with the reason: this machine or build has no policies to read back. */
static int has_numa(void)
{
	sas_numa_t policy = SASNuma__DEFAULT;
	unsigned char *block = take(BLOCK);
	char nodes[64];

	help_succeeds(SASBlockPlace(block, BLOCK, SASNuma__BIND, "0") == 0);
	help_succeeds(SASBlockPlacement(block, &policy, nodes, sizeof nodes) == 0);
	give(block, BLOCK);
	if (policy != SASNuma__BIND)
		puts("skipped: no NUMA policies here");
	return policy == SASNuma__BIND;
}

static int shares_policies(const char *directory)
{
	struct statfs fs;

	return statfs(directory, &fs) == 0 && fs.f_type == 0x01021994;
}

/* A region of its own in the store, of 4 segments. */
static SASRegion_t make(const char *where, sas_numa_t policy, const char *nodes)
{
	SASRegionOptions o;
	SASRegion_t made;

	help_options(&o, SAS_JOIN_CREATE | SAS_JOIN_EXCLUSIVE);
	o.base = HELP_BASE + GIB;
	o.numaPolicy = policy;
	o.numaNodes = nodes;
	made = SASRegionJoin(where, &o);
	help_succeeds(made != NULL);
	return made;
}

/* --- blocks */

START_TEST(place_refuses_what_is_no_block_or_policy)
{
	unsigned char *block = take(BLOCK);
	sas_numa_t policy;
	char list[8192];

	help_fails(SASBlockPlace(block, BLOCK, (sas_numa_t)4, NULL) == -1, EINVAL, "policy 4");
	help_fails(SASBlockPlace(block, BLOCK, (sas_numa_t)-1, NULL) == -1, EINVAL, "policy");
	help_fails(SASBlockPlace(block, BLOCK / 2, SASNuma__BIND, "0") == -1, EINVAL, "65536");
	help_fails(SASBlockPlace(block + 4096, BLOCK, SASNuma__BIND, "0") == -1, EINVAL);
	help_fails(SASBlockPlace((void *)help_info(region).base, HELP_SEGMENT, SASNuma__BIND, "0") == -1, EPERM, "runtime");
	help_fails(SASBlockPlace(NULL, BLOCK, SASNuma__BIND, "0") == -1, EFAULT);
	memset(list, '0', sizeof list - 1);
	list[sizeof list - 1] = '\0';
	help_fails(SASBlockPlace(block, BLOCK, SASNuma__BIND, list) == -1, ENAMETOOLONG);
	help_fails(SASRegionBlockAllocPlaced(NULL, BLOCK, SASNuma__BIND, "0") == NULL, EINVAL);
	help_fails(SASRegionBlockAllocPlaced(region, BLOCK, (sas_numa_t)4, "0") == NULL, EINVAL, "policy");
	help_fails(SASRegionBlockAllocPlaced(region, 0, SASNuma__BIND, "0") == NULL, EINVAL);
	help_fails(SASBlockPlacement(NULL, &policy, list, sizeof list) == -1, EFAULT);
	help_fails(SASBlockPlacement(block, NULL, list, sizeof list) == -1, EINVAL);
	help_fails(SASBlockPlacement(block, &policy, NULL, 1) == -1, EINVAL);
	help_fails(SASBlockPlacement((void *)(help_info(region).base + HELP_REGION - 1), &policy, NULL, 0) == -1, ENOENT);
	give(block, BLOCK);
	help_fails(SASBlockPlace(block, BLOCK, SASNuma__BIND, "0") == -1, ENOENT);
	region_leave();
	region_join(SAS_JOIN_READONLY);
	help_fails(SASBlockPlace(block, BLOCK, SASNuma__BIND, "0") == -1, EROFS);
}
END_TEST

START_TEST(place_of_bad_list_refuses_and_allocates_nothing)
{
	if (!has_numa())
		return;
	help_fails(SASRegionBlockAllocPlaced(region, BLOCK, SASNuma__BIND, "zero") == NULL, EINVAL, "zero");
	ck_assert_uint_eq(help_info(region).blocksInUse, 0);
}
END_TEST

START_TEST(place_is_what_the_kernel_has)
{
	static const struct { sas_numa_t policy; int mode; } policies[] = {
		{ SASNuma__PREFERRED, MPOL_PREFERRED }, { SASNuma__BIND, MPOL_BIND }, { SASNuma__INTERLEAVE, MPOL_INTERLEAVE },
	};
	unsigned char *block = take(BLOCK), *other;
	sas_numa_t found;
	char nodes[64];

	if (!has_numa())
		return;
	memset(block, 0x5a, BLOCK);
	for (size_t i = 0; i < sizeof policies / sizeof policies[0]; i++) {
		help_succeeds(SASBlockPlace(block, BLOCK, policies[i].policy, "0") == 0);
		ck_kernel(block, policies[i].mode, 1);
		ck_kernel(block + BLOCK - 1, policies[i].mode, 1);
		help_succeeds(SASBlockPlacement(block + BLOCK - 1, &found, nodes, sizeof nodes) == 0);
		ck_assert_int_eq((int)found, (int)policies[i].policy);
		ck_assert_str_eq(nodes, "0");
	}
	ck_assert_msg(block[0] == 0x5a && block[BLOCK - 1] == 0x5a, "what was in it has gone");
	other = SASRegionBlockAllocPlaced(region, BLOCK, SASNuma__INTERLEAVE, NULL);
	help_succeeds(other != NULL);
	help_succeeds(SASBlockPlacement(other, &found, nodes, sizeof nodes) == 0);
	ck_assert_int_eq((int)found, SASNuma__INTERLEAVE);
	help_succeeds(SASBlockPlace(block, BLOCK, SASNuma__DEFAULT, NULL) == 0);
	ck_kernel(block, MPOL_DEFAULT, 0);
	help_succeeds(SASBlockPlacement(block, &found, NULL, 0) == 0);
	ck_assert_int_eq((int)found, SASNuma__DEFAULT);
	give(block, BLOCK);
	give(other, BLOCK);
}
END_TEST

START_TEST(place_of_block_over_segments_holds_in_all)
{
	unsigned char *block = take(2 * HELP_SEGMENT);

	if (!has_numa())
		return;
	help_succeeds(SASBlockPlace(block, 2 * HELP_SEGMENT, SASNuma__BIND, "0") == 0);
	ck_kernel(block, MPOL_BIND, 1);
	ck_kernel(block + 2 * HELP_SEGMENT - 1, MPOL_BIND, 1);
	give(block, 2 * HELP_SEGMENT);
}
END_TEST

/* --- regions */

static void see_policies(void *arg)
{
	struct help_peer *peer = arg;
	SASRegion_t joined;
	unsigned char *block;
	unsigned long nodes;

	help_peer_turn(peer);
	joined = help_join(peer->store, 0);
	must((block = SASRegionFinder(joined)) != NULL);
	must(load_byte(block) == 1);            /* it maps the segment */
	must(kernel_says(block, &nodes) == MPOL_INTERLEAVE && nodes == 1);
	must(kernel_says(block + BLOCK, &nodes) == MPOL_BIND && nodes == 1);
	help_leave(joined);
}

/* Where the file has the policy, who maps it later keeps the block's. */
START_TEST(region_policy_leaves_that_of_a_block_to_all_who_join)
{
	struct help_peer peer = { .store = help_path(store, "other") };
	SASRegion_t made;
	unsigned char *block;

	if (!has_numa())
		return;
	if (!shares_policies(store)) {
		puts("skipped: files have no policies on this file system");
		return;
	}
	ck_assert_int_eq(mkdir(peer.store, 0700), 0);
	help_peer_start(&peer, see_policies);   /* now, so that it inherits no mapping */
	made = make(peer.store, SASNuma__BIND, "0");
	block = SASRegionBlockAllocPlaced(made, BLOCK, SASNuma__INTERLEAVE, "0");
	help_succeeds(block != NULL);
	ck_kernel(block, MPOL_INTERLEAVE, 1);
	ck_kernel(block + BLOCK, MPOL_BIND, 1);
	store_byte(block, 1);
	help_succeeds(SASRegionSetFinder(made, block) == 0);
	help_peer_end(&peer);
	/* As the region's again, also for a new mapping. */
	help_succeeds(SASBlockPlace(block, BLOCK, SASNuma__DEFAULT, NULL) == 0);
	ck_kernel(block, MPOL_BIND, 1);
	help_leave(made);
}
END_TEST

START_TEST(region_over_segments_prefers_a_node_for_each)
{
	SASRegion_t made;
	unsigned char *block;

	if (!has_numa())
		return;
	made = make(help_store(), SASNuma__INTERLEAVE_SEGMENTS, NULL);
	block = SASRegionBlockAlloc(made, 4 * HELP_SEGMENT);
	help_succeeds(block != NULL);
	for (unsigned i = 0; i < 4; i++) {
		unsigned long nodes;

		store_byte(block + i * HELP_SEGMENT, 1);
		ck_assert_int_eq(kernel_says(block + i * HELP_SEGMENT, &nodes), MPOL_PREFERRED);
		ck_assert_msg(nodes && !(nodes & (nodes - 1)), "a segment has nodes %#lx", nodes);
	}
	help_leave(made);
}
END_TEST

/* Which of two nodes a segment is asked to lie on, whatever nodes there are. */
static unsigned long asked[8];
static unsigned asked_count;

static int note_nodes(void *address, size_t size, int mode, const unsigned long *nodes, unsigned long bits, unsigned flags)
{
	if (nodes && asked_count < 8 && mode == MPOL_PREFERRED)
		asked[asked_count++] = nodes[0];
	return sas_port_linux.mbind(address, size, mode, nodes, bits, flags);
}

START_TEST(region_keeps_its_list_through_reset_and_on_other_machines)
{
	struct sas_port port = sas_port_linux;
	char *other = help_store();
	SASRegion_t made;

	if (!has_numa())
		return;
	SASSetLogSink(note, NULL, SASLog__WARNING);
	port.mbind = note_nodes;
	sas_port = &port;
	made = make(other, SASNuma__INTERLEAVE_SEGMENTS, "0,1000");
	ck_assert_uint_ge(asked_count, 1);
	ck_assert_uint_eq(asked[0], 1);
	/* Segment 1 would lie on a node that is not here. */
	help_succeeds(SASRegionBlockAlloc(made, HELP_SEGMENT) != NULL);
	help_succeeds(SASRegionReset(made) == 0);
	ck_assert_uint_eq(help_inspect(other).numaPolicy, SASNuma__INTERLEAVE_SEGMENTS);
	ck_assert_uint_eq(made->anchor.numa_nodes[0], 1);
	ck_assert_uint_eq(made->anchor.numa_nodes[15], 1UL << 40);
	help_leave(made);
	sas_port = &sas_port_linux;
}
END_TEST

static int refuse(void *address, size_t size, int mode, const unsigned long *nodes, unsigned long bits, unsigned flags)
{
	(void)address;
	(void)size;
	(void)mode;
	(void)nodes;
	(void)bits;
	(void)flags;
	return -EPERM;
}

START_TEST(placement_without_permission_is_told_once_and_fails_nothing)
{
	struct sas_port port = sas_port_linux;
	unsigned char *block = take(BLOCK);
	SASRegion_t made;

	if (!has_numa())
		return;
	SASSetLogSink(note, NULL, SASLog__WARNING);
	port.mbind = refuse;
	sas_port = &port;
	help_succeeds(SASBlockPlace(block, BLOCK, SASNuma__BIND, "0") == 0);
	help_succeeds(SASRegionBlockAllocPlaced(region, BLOCK, SASNuma__BIND, "0") != NULL);
	made = make(help_store(), SASNuma__BIND, "0");
	help_leave(made);
	ck_assert_int_eq(warnings, 1);
	ck_assert_ptr_nonnull(strstr(said, "NUMA"));
	ck_assert_ptr_nonnull(strstr(said, "not permitted"));
	sas_port = &sas_port_linux;
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("place");
	TCase *tests = help_case(suite, "place");

	sandbox_prefer_memory();
	tcase_add_checked_fixture(tests, region_begin, region_end);
	tcase_add_test(tests, place_refuses_what_is_no_block_or_policy);
	tcase_add_test(tests, place_of_bad_list_refuses_and_allocates_nothing);
	tcase_add_test(tests, place_is_what_the_kernel_has);
	tcase_add_test(tests, place_of_block_over_segments_holds_in_all);
	tcase_add_test(tests, region_policy_leaves_that_of_a_block_to_all_who_join);
	tcase_add_test(tests, region_over_segments_prefers_a_node_for_each);
	tcase_add_test(tests, region_keeps_its_list_through_reset_and_on_other_machines);
	tcase_add_test(tests, placement_without_permission_is_told_once_and_fails_nothing);
	return help_main(suite);
}
