/* SPDX-License-Identifier: MIT */
/*
 * test_repair.c - SASRegionRepair(): each kind of damage is planted, repaired, and then the region is good and its data
 * there; what cannot be proved is told and left; a repair that is killed at any of its stores is done by the next one.
 */
#include <config.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>
#include "help.h"
#include "image.h"
#include "sandbox.h"
#include "sas/media/anchor.h"
#include "sas/ground/port.h"
#include "sas/run/run.h"
#include "sas/block/tiles.h"
#include "sasinspect.h"

static int done, left;
static char sentences[4096];

static void note(const char *file, uint64_t offset, const char *sentence, int repaired, void *arg)
{
	size_t used = strlen(sentences);

	(void)arg;
	repaired ? done++ : left++;
	snprintf(sentences + used, sizeof(sentences) - used, "%s, %lu: %s\n", file, (unsigned long)offset, sentence);
}

static long repair(const char *path)
{
	done = left = 0;
	sentences[0] = '\0';
	return SASRegionRepair(path, note, NULL);
}

static long problems_of(const char *path)
{
	return SASRegionCheck(path, NULL, NULL);
}

/* Bad before; good after, and this was said. Then there is nothing to do. */
static void repaired(const char *path, const char *words)
{
	uint64_t before;
	long result;

	ck_assert_int_ne(problems_of(path), 0);
	result = repair(path);
	ck_assert_msg(result == 0 && left == 0, "%ld left: %s%s", result, sentences, SASLastErrorMessage());
	ck_assert_msg(done > 0 && strstr(sentences, words), "\"%s\" is not about \"%s\"", sentences, words);
	ck_assert_int_eq(problems_of(path), 0);
	before = image_fingerprint(path);
	ck_assert_int_eq(repair(path), 0);
	ck_assert_msg(done == 0, "again: %s", sentences);
	ck_assert_uint_eq(image_fingerprint(path), before);
}

/* Told, and not a byte changes. */
static void refused(const char *path, const char *words)
{
	uint64_t before = image_fingerprint(path);
	long result = repair(path);

	ck_assert_msg(result > 0 && done == 0 && left == result, "%ld left, %d done: %s", result, done, sentences);
	ck_assert_msg(strstr(sentences, words) != NULL, "\"%s\" is not about \"%s\"", sentences, words);
	ck_assert_uint_eq(image_fingerprint(path), before);
}

/* --- a region with data, made by the runtime */

static const char word[] = "what a program has stored";

static char *make_store(void)
{
	char *store = help_store();
	SASRegion_t region = help_create(store);
	char *small = SASRegionBlockAlloc(region, 4096), *large = SASRegionBlockAlloc(region, 2 * HELP_SEGMENT);

	ck_assert(small && large);
	strcpy(small, word);
	strcpy(large + HELP_SEGMENT + 777, word);
	SASRegionSetFinder(region, small);
	*(char **)(small + 1024) = large;
	help_leave(region);
	return store;
}

static void data_is_there(const char *store)
{
	SASRegion_t region = help_join(store, 0);
	char *small = SASRegionFinder(region);

	ck_assert_str_eq(small, word);
	ck_assert_str_eq(*(char **)(small + 1024) + HELP_SEGMENT + 777, word);
	help_leave(region);
	help_works(store);
}

static void flip(const char *store, const char *name, long offset)
{
	int fd = open(help_path(store, name), O_RDWR);
	unsigned char byte;

	if (offset < 0)
		offset += lseek(fd, 0, SEEK_END);
	ck_assert_int_eq(pread(fd, &byte, 1, offset), 1);
	byte ^= 0x5a;
	ck_assert_int_eq(pwrite(fd, &byte, 1, offset), 1);
	close(fd);
}

START_TEST(repair_of_a_good_region_changes_nothing)
{
	char *store = make_store();
	uint64_t before = image_fingerprint(store);

	ck_assert_int_eq(repair(store), 0);
	ck_assert_int_eq(done + left, 0);
	ck_assert_uint_eq(image_fingerprint(store), before);
	data_is_there(store);
}
END_TEST

START_TEST(repair_refuses_bad_arguments_and_a_region_in_use)
{
	char *store = make_store();
	SASRegion_t region;
	uint64_t before;
	char pid[16];
	int fd;

	help_fails(SASRegionRepair(NULL, NULL, NULL) == -1, EINVAL);
	help_fails(SASRegionRepair("", NULL, NULL) == -1, EINVAL);
	help_fails(SASRegionRepair(help_path(store, "no"), NULL, NULL) == -1, ENOENT);
	help_fails(SASRegionRepair(help_store(), NULL, NULL) == -1, ENOENT, "no region");
	region = help_join(store, 0);
	before = help_fingerprint(store);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	help_fails(SASRegionRepair(store, note, NULL) == -1, EBUSY, "in use", pid);
	ck_assert_uint_eq(help_fingerprint(store), before);
	help_leave(region);
	/* Somebody is joining. */
	fd = open(help_path(store, "SAS00000.DAT"), O_RDONLY);
	ck_assert_int_eq(flock(fd, LOCK_SH), 0);
	help_fails(SASRegionRepair(store, note, NULL) == -1, EBUSY, "joining");
	close(fd);
	ck_assert_int_eq(repair(store), 0);
}
END_TEST

START_TEST(repair_restores_the_anchor_by_its_checksum)
{
	static const struct { long from, to; } fields[] = {
		{ 0, 64 }, { 64, 72 }, { 80, 88 }, { 96, 152 }, { 152, 208 }, { 216, 228 },
	};
	char *store = make_store();

	for (unsigned i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		for (long at = fields[i].from; at < fields[i].to; at += help_size(23, 7, 1)) {
			flip(store, "SAS00000.DAT", at);
			repaired(store, "anchor was made again");
		}
	}
	for (long at = 0; at < 208; at++)
		if (at < 72 || at >= 80)
			flip(store, "SAS00000.DAT", at);
	repaired(store, "anchor was made again");
	data_is_there(store);
}
END_TEST

START_TEST(repair_leaves_an_anchor_that_nothing_confirms)
{
	char *store = make_store();

	flip(store, "SAS00000.DAT", offsetof(struct sas_m_anchor, checksum));
	refused(store, "checksum");
	flip(store, "SAS00000.DAT", offsetof(struct sas_m_anchor, checksum));
	flip(store, "SAS00000.DAT", offsetof(struct sas_m_anchor, created_at));
	refused(store, "checksum");
	flip(store, "SAS00000.DAT", offsetof(struct sas_m_anchor, created_at));
	/* Both copies. */
	flip(store, "SAS00000.DAT", offsetof(struct sas_m_anchor, base));
	flip(store, "SAS00000.DAT", HELP_SEGMENT + 20);
	refused(store, "checksum");
	flip(store, "SAS00000.DAT", HELP_SEGMENT + 20);
	repaired(store, "anchor was made again");
	data_is_there(store);
}
END_TEST

static void stay(void *arg)
{
	struct help_peer *peer = arg;
	SASRegion_t region = SASRegionJoin(peer->store, NULL);

	must(region != NULL);
	help_peer_turn(peer);
	must(SASRegionLeave(region) == 0);
}

START_TEST(repair_of_a_damaged_anchor_sees_who_has_joined)
{
	struct help_peer peer = { .store = make_store() };
	long at = offsetof(struct sas_m_anchor, mode);
	uint64_t before;

	help_peer_start(&peer, stay);
	flip(peer.store, "SAS00000.DAT", at);
	before = help_fingerprint(peer.store);
	help_fails(SASRegionRepair(peer.store, NULL, NULL) == -1, EBUSY, "in use");
	ck_assert_uint_eq(help_fingerprint(peer.store), before);
	flip(peer.store, "SAS00000.DAT", at);
	help_peer_end(&peer);
	data_is_there(peer.store);
}
END_TEST

START_TEST(repair_restores_trailers_that_were_right)
{
	char *store = make_store();

	for (long at = 0; at < 80; at += help_size(13, 5, 1)) {
		flip(store, "SAS00000.DAT", (long)HELP_SEGMENT + at);
		repaired(store, "trailer was made again");
		flip(store, "SAS00002.DAT", (long)HELP_SEGMENT + at);
		repaired(store, "trailer was made again");
	}
	data_is_there(store);
}
END_TEST

static int has_attributes(const char *store)
{
	return getxattr(help_path(store, "SAS00002.DAT"), "user.sasphere.uuid", NULL, 0) > 0;
}

START_TEST(repair_believes_attributes_where_the_trailer_is_lost)
{
	char *store = make_store();
	char *file = help_path(store, "SAS00002.DAT");

	if (!has_attributes(store))
		return;                 /* this file system has none */
	ck_assert_int_eq(truncate(file, HELP_SEGMENT), 0);
	repaired(store, "trailer was made again");
	data_is_there(store);
	ck_assert_int_eq(truncate(file, HELP_SEGMENT), 0);
	ck_assert_int_eq(setxattr(file, "user.sasphere.segment", "3", 1, 0), 0);
	refused(store, "bytes");
	ck_assert_int_eq(setxattr(file, "user.sasphere.segment", "2", 1, 0), 0);
	repaired(store, "trailer was made again");
	/* More is missing than the trailer. */
	ck_assert_int_eq(truncate(file, HELP_SEGMENT - 1), 0);
	refused(store, "bytes");
}
END_TEST

START_TEST(repair_leaves_files_of_others)
{
	char *one = make_store(), *two = make_store();
	char path[4200];

	snprintf(path, sizeof(path), "%s/kept", one);
	ck_assert_int_eq(rename(help_path(one, "SAS00002.DAT"), path), 0);
	refused(one, "missing");
	ck_assert_int_eq(link(help_path(two, "SAS00002.DAT"), help_path(one, "SAS00002.DAT")), 0);
	refused(one, "another region");
	unlink(help_path(one, "SAS00002.DAT"));
	ck_assert_int_eq(link(help_path(one, "SAS00003.DAT"), help_path(one, "SAS00002.DAT")), 0);
	refused(one, "segment");
	unlink(help_path(one, "SAS00002.DAT"));
	ck_assert_int_eq(rename(path, help_path(one, "SAS00002.DAT")), 0);
	ck_assert_int_eq(chmod(help_path(one, "SAS00002.DAT"), 0600), 0);
	refused(one, "mode 0600");
}
END_TEST

START_TEST(repair_sets_attributes_again)
{
	char *store = make_store();
	char *file = help_path(store, "SAS00002.DAT");
	char value[64] = "";

	if (!has_attributes(store))
		return;
	ck_assert_int_eq(removexattr(file, "user.sasphere.uuid"), 0);
	ck_assert_int_eq(setxattr(file, "user.sasphere.segment", "77", 2, 0), 0);
	ck_assert_int_eq(repair(store), 0);
	ck_assert_int_eq(done, 1);
	ck_assert_ptr_ne(strstr(sentences, "SAS00002.DAT, 0: the extended attributes"), NULL);
	ck_assert_int_eq(getxattr(file, "user.sasphere.segment", value, sizeof(value)), 1);
	ck_assert_str_eq(value, "2");
	ck_assert(has_attributes(store));
	ck_assert_int_eq(repair(store), 0);
	ck_assert_int_eq(done, 0);
}
END_TEST

static void die_inside(void *arg)
{
	SASRegion_t region = SASRegionJoin(arg, NULL);

	must(region && SASRegionBlockAlloc(region, 8192));
	raise(SIGKILL);
}

START_TEST(repair_recovers_what_the_dead_left)
{
	char *store = make_store();

	help_dies(die_inside, store, SIGKILL);
	ck_assert_uint_eq(help_inspect(store).clean, 0);
	ck_assert_int_eq(problems_of(store), 0);
	ck_assert_int_eq(repair(store), 0);
	ck_assert_ptr_ne(strstr(sentences, "has been recovered"), NULL);
	ck_assert_uint_eq(help_inspect(store).clean, 1);
	ck_assert_uint_eq(help_inspect(store).participantsDead, 0);
	data_is_there(store);
}
END_TEST

START_TEST(repair_deletes_what_stands_in_the_way_of_a_join)
{
	char *store = make_store();
	uint32_t owner = 1;
	int fd;

	/* A lock of SAS.run that nobody will give back. */
	fd = open(help_path(store, "SAS.run"), O_RDWR);
	ck_assert_int_eq(pwrite(fd, &owner, 4, offsetof(struct sas_run_header, table_lock)), 4);
	close(fd);
	help_fails(SASRegionJoin(store, NULL) == NULL, EBUSY, "is locked");
	ck_assert_int_eq(repair(store), 0);
	ck_assert_ptr_ne(strstr(sentences, "SAS.run, 0: was deleted"), NULL);
	data_is_there(store);
	ck_assert_int_eq(chmod(help_path(store, "SAS.run"), 0600), 0);
	help_fails(SASRegionJoin(store, NULL) == NULL, EPERM, "SAS.run");
	ck_assert_int_eq(repair(store), 0);
	ck_assert_int_eq(done, 1);
	data_is_there(store);
	/* A creation's file goes when its maker has gone. */
	fd = open(help_path(store, "SAS.tmp.0123456789abcdef"), O_RDWR | O_CREAT, 0600);
	ck_assert_int_eq(flock(fd, LOCK_EX), 0);
	ck_assert_int_eq(repair(store), 0);
	ck_assert_int_eq(done, 0);
	close(fd);
	ck_assert_int_eq(repair(store), 0);
	ck_assert_ptr_ne(strstr(sentences, "SAS.tmp.0123456789abcdef, 0: the file of a creation"), NULL);
	ck_assert_int_eq(help_files(store, "SAS.tmp."), 0);
	data_is_there(store);
}
END_TEST

START_TEST(repair_of_words_of_the_state)
{
	char *store = make_store();

	flip(store, "SAS00000.DAT", SAS_M_PAGE + offsetof(struct sas_m_state, clean));
	repaired(store, "not left cleanly");
	data_is_there(store);
	flip(store, "SAS00000.DAT", SAS_M_PAGE + offsetof(struct sas_m_state, list_mode));
	repaired(store, "compact");
	flip(store, "SAS00000.DAT", SAS_M_PAGE + offsetof(struct sas_m_state, reserved));
	refused(store, "reserved");
	flip(store, "SAS00000.DAT", SAS_M_PAGE + offsetof(struct sas_m_state, reserved));
	flip(store, "SAS00000.DAT", SAS_M_PAGE + offsetof(struct sas_m_state, life));
	refused(store, "life word");
}
END_TEST

/* --- maps of any age, in files made by hand */

/* The entry of unit `unit` of segment n. */
static uint32_t entry_of(const struct image *m, uint64_t n, uint64_t unit)
{
	uint64_t at, where = image_map(m, n, &at);
	uint32_t entry;

	image_read_segment(m, where, at + unit * sizeof(entry), &entry, sizeof(entry));
	return entry;
}

START_TEST(repair_keeps_what_may_be_in_use)
{
	struct image m;

	/* Segment 1: unit 0 4K used, 1 freed, 2-3 dirty, 4-7, 8-11, 12-15 used, the rest never used. */
	image_sample(&m);
	image_entry(&m, 1, 5, SAS_M_USED, 0, 4);        /* stale, inside the block at 4 */
	repaired(m.path, "tiles inside of others");
	ck_assert_uint_eq(entry_of(&m, 1, 4), sas_entry(SAS_M_USED, 2, sas_entry_generation(entry_of(&m, 1, 4))));
	ck_assert_uint_ne(sas_entry_state(entry_of(&m, 1, 5)), SAS_M_USED);
	/* A free tile of 16 units over blocks at 21 and 24-27. */
	image_entry(&m, 1, 16, SAS_M_DIRTY, 4, 0);
	image_entry(&m, 1, 21, SAS_M_USED, 0, 4);
	image_entry(&m, 1, 24, SAS_M_USED, 2, 6);
	image_entry(&m, 1, 25, SAS_M_USED, 0, 5);
	repaired(m.path, "tiles inside of others");
	ck_assert_uint_eq(entry_of(&m, 1, 16), sas_entry(SAS_M_DIRTY, 2, 0));
	ck_assert_uint_eq(entry_of(&m, 1, 20), sas_entry(SAS_M_DIRTY, 0, 0));
	ck_assert_uint_eq(entry_of(&m, 1, 21), sas_entry(SAS_M_USED, 0, 4));
	ck_assert_uint_eq(entry_of(&m, 1, 22), sas_entry(SAS_M_DIRTY, 1, 0));
	ck_assert_uint_eq(entry_of(&m, 1, 24), sas_entry(SAS_M_USED, 2, 6));
	ck_assert_uint_eq(entry_of(&m, 1, 28), sas_entry(SAS_M_DIRTY, 2, 0));
	/* The same among segments: a free pair over a block. */
	m.table[2].block = sas_entry(SAS_M_DIRTY, 1, 0);
	m.table[3].block = sas_entry(SAS_M_USED, 0, 9);
	image_store(&m);
	repaired(m.path, "the segment table");
	image_read_segment(&m, 0, m.anchor.table_offset, m.table, 8 * sizeof(*m.table));
	ck_assert_uint_eq(m.table[2].block, sas_entry(SAS_M_DIRTY, 0, 0));
	ck_assert_uint_eq(m.table[3].block, sas_entry(SAS_M_USED, 0, 9));
	image_destroy(&m);
}
END_TEST

START_TEST(repair_lists_a_segment_whose_file_is_there)
{
	struct image m;

	image_sample(&m);
	m.table[3].file = 0;            /* the second of a block of two */
	image_store(&m);
	repaired(m.path, "lists segment 3 again");
	image_read_segment(&m, 0, m.anchor.table_offset, m.table, 8 * sizeof(*m.table));
	ck_assert_uint_eq(m.table[3].file, SAS_M_SEGMENT_PRESENT);
	image_destroy(&m);
}
END_TEST

START_TEST(repair_takes_no_free_space_for_zeros_that_it_is_not)
{
	struct image m;

	image_sample(&m);
	image_write_segment(&m, 1, 1 * 4096 + 7, "x", 1);       /* FREED */
	image_write_segment(&m, 1, 100 * 4096 + 7, "x", 1);     /* NEVER */
	repaired(m.path, "no longer taken for zeros");
	ck_assert_uint_eq(sas_entry_state(entry_of(&m, 1, 1)), SAS_M_DIRTY);
	ck_assert_uint_eq(sas_entry_state(entry_of(&m, 1, 64)), SAS_M_DIRTY);
	ck_assert_uint_eq(sas_entry_state(entry_of(&m, 1, 0)), SAS_M_USED);
	ck_assert_uint_eq(sas_entry_state(entry_of(&m, 1, 12)), SAS_M_USED);
	image_destroy(&m);
}
END_TEST

START_TEST(repair_leaves_maps_that_no_power_cut_leaves)
{
	struct image m;

	image_sample(&m);
	ck_assert_int_eq(repair(m.path), 0);            /* it has no attributes */
	image_entry(&m, 1, 1, SAS_M_FREED, 3, 0);       /* M1 */
	refused(m.path, "no tile can begin so");
	image_entry(&m, 1, 1, SAS_M_FREED, 0, 0);
	image_entry(&m, 1, 5, SAS_M_USED, 3, 4);        /* not even stale */
	refused(m.path, "inside of another tile");
	image_entry(&m, 1, 5, SAS_M_DIRTY, 0, 0);
	m.table[3].block = sas_entry(SAS_M_USED, SAS_M_ORDER_CARVED, 0);        /* blocks, or part of one? */
	image_store(&m);
	refused(m.path, "inside of another tile");
	m.table[3].block = 0;
	m.state.life = SAS_M_LIFE_DEAD;
	image_store(&m);
	refused(m.path, "cut short");
	image_destroy(&m);
}
END_TEST

/* --- killed in the middle */

static struct sas_port port;
static long stores_left;

static void count_store(void)
{
	if (stores_left-- == 0)
		raise(SIGKILL);
}

static ssize_t dying_pwrite(int fd, const void *buffer, size_t size, uint64_t offset)
{
	count_store();
	return sas_port_linux.pwrite(fd, buffer, size, offset);
}

static int dying_unlinkat(int dir, const char *name, int flags)
{
	count_store();
	return sas_port_linux.unlinkat(dir, name, flags);
}

static int dying_fsetxattr(int fd, const char *name, const void *value, size_t size)
{
	count_store();
	return sas_port_linux.fsetxattr(fd, name, value, size);
}

static int dying_ftruncate(int fd, uint64_t size)
{
	count_store();
	return sas_port_linux.ftruncate(fd, size);
}

static void repair_and_die(void *arg)
{
	port = sas_port_linux;
	port.pwrite = dying_pwrite;
	port.unlinkat = dying_unlinkat;
	port.fsetxattr = dying_fsetxattr;
	port.ftruncate = dying_ftruncate;
	sas_port = &port;
	must(SASRegionRepair(arg, NULL, NULL) == 0);
}

/* Much of the above at once. */
static void damage(struct image *m)
{
	image_sample(m);
	m->state.clean = 0x5a;
	m->table[3].file = 0;
	image_store(m);
	image_entry(m, 1, 5, SAS_M_USED, 0, 4);
	image_entry(m, 1, 16, SAS_M_DIRTY, 4, 0);
	image_entry(m, 1, 21, SAS_M_USED, 0, 4);
	image_entry(m, 1, 24, SAS_M_USED, 2, 6);
	image_write_segment(m, 1, 100 * 4096 + 7, "x", 1);
	image_write_segment(m, 1, 24 * 4096, word, sizeof(word));
	image_write_segment(m, 2, IMAGE_SEGMENT + 24, "x", 1);
	image_write_segment(m, 0, offsetof(struct sas_m_anchor, base) + 5, "x", 1);
	close(open(help_path(m->path, "SAS.tmp.0"), O_CREAT | O_WRONLY, 0600));
}

START_TEST(repair_lets_a_region_be_joined_again)
{
	struct image m;
	SASRegion_t region;
	char *block;

	damage(&m);
	repaired(m.path, "has been recovered");
	/* Of another boot, and clean: a join looks, as nobody knows what reached the disk. */
	m.state.boot_id[3] = 7;
	image_write_segment(&m, 0, SAS_M_PAGE, &m.state, 4);
	image_write_segment(&m, 0, SAS_M_PAGE + offsetof(struct sas_m_state, boot_id), m.state.boot_id, 16);
	image_entry(&m, 1, 25, SAS_M_USED, 0, 5);
	help_fails(SASRegionJoin(m.path, NULL) == NULL, EUCLEAN, "--repair");
	repaired(m.path, "tiles inside of others");
	region = SASRegionJoin(m.path, NULL);
	help_succeeds(region != NULL);
	block = (char *)IMAGE_BASE + IMAGE_SEGMENT + 24 * 4096;
	ck_assert_str_eq(block, word);
	help_succeeds(SASBlockFree(block, 4 * 4096) == 0);
	help_leave(region);
	ck_assert_int_eq(problems_of(m.path), 0);
	image_destroy(&m);
}
END_TEST

START_TEST(repair_killed_at_any_store_is_done_by_the_next)
{
	long at = 0, step = help_size(29, 9, 1);
	char text[sizeof(word)];
	struct image m;
	int status;

	do {
		damage(&m);
		stores_left = at;
		status = help_wait(help_fork(repair_and_die, m.path), PATIENCE);
		ck_assert(status == 0 || status == 128 + SIGKILL);
		ck_assert_msg(repair(m.path) == 0, "killed at store %ld: %s", at, sentences);
		ck_assert_int_eq(problems_of(m.path), 0);
		ck_assert_uint_eq(entry_of(&m, 1, 24), sas_entry(SAS_M_USED, 2, 6));
		ck_assert_uint_eq(entry_of(&m, 1, 21), sas_entry(SAS_M_USED, 0, 4));
		ck_assert_uint_eq(sas_entry_state(entry_of(&m, 1, 12)), SAS_M_USED);
		image_read_segment(&m, 1, 24 * 4096, text, sizeof(text));
		ck_assert_str_eq(text, word);
		image_destroy(&m);
		at += at < 12 ? 1 : step;
	} while (status != 0);
	ck_assert_int_gt(at, 24);
}
END_TEST

/* Each store fails: a sentence, and the next repair does it. */
static int failing_pwrite_left;

static ssize_t failing_pwrite(int fd, const void *buffer, size_t size, uint64_t offset)
{
	if (failing_pwrite_left-- == 0)
		return -EIO;
	return sas_port_linux.pwrite(fd, buffer, size, offset);
}

START_TEST(repair_that_cannot_write_says_so)
{
	struct image m;

	damage(&m);
	port = sas_port_linux;
	port.pwrite = failing_pwrite;
	for (int i = 0; i < 12; i++) {
		failing_pwrite_left = 0;
		sas_port = &port;
		help_fails(SASRegionRepair(m.path, NULL, NULL) == -1, EIO, "cannot be written");
		sas_port = &sas_port_linux;
		failing_pwrite_left = i;
	}
	ck_assert_int_eq(repair(m.path), 0);
	image_destroy(&m);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("repair");
	TCase *tc = help_case(s, "regions");

	tcase_add_test(tc, repair_of_a_good_region_changes_nothing);
	tcase_add_test(tc, repair_refuses_bad_arguments_and_a_region_in_use);
	tcase_add_test(tc, repair_restores_the_anchor_by_its_checksum);
	tcase_add_test(tc, repair_leaves_an_anchor_that_nothing_confirms);
	tcase_add_test(tc, repair_of_a_damaged_anchor_sees_who_has_joined);
	tcase_add_test(tc, repair_restores_trailers_that_were_right);
	tcase_add_test(tc, repair_believes_attributes_where_the_trailer_is_lost);
	tcase_add_test(tc, repair_leaves_files_of_others);
	tcase_add_test(tc, repair_sets_attributes_again);
	help_add_death(tc, repair_recovers_what_the_dead_left);
	tcase_add_test(tc, repair_deletes_what_stands_in_the_way_of_a_join);
	tcase_add_test(tc, repair_of_words_of_the_state);
	tc = help_case(s, "maps");
	tcase_add_test(tc, repair_keeps_what_may_be_in_use);
	tcase_add_test(tc, repair_lists_a_segment_whose_file_is_there);
	tcase_add_test(tc, repair_takes_no_free_space_for_zeros_that_it_is_not);
	tcase_add_test(tc, repair_leaves_maps_that_no_power_cut_leaves);
	tcase_add_test(tc, repair_lets_a_region_be_joined_again);
	tcase_add_test(tc, repair_killed_at_any_store_is_done_by_the_next);
	tcase_add_test(tc, repair_that_cannot_write_says_so);
	return help_main(s);
}
