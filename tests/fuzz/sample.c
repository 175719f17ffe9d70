/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "sample.h"
#include "sas/epoch/epoch.h"
#include "sas/ground/hash.h"
#include "sas/lock/hold.h"
#include "sas/lock/lock.h"
#include "sas/ground/port.h"
#include "sas/run/run.h"
#include "sas/run/run_page.h"
#include "sas/block/tiles.h"

#define LINES (SAS_RUN_BUCKETS + 64UL)
#define PAGES 64U
#define THREADS SAMPLE_THREADS
#define INDEX (1UL << 20)       /* more than the index of so few segments takes */

struct image sample;

static void die(const char *what)
{
	perror(what);
	exit(99);
}

int sample_open(const char *name, int flags)
{
	char path[4200];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", sample.path, name);
	fd = open(path, flags | O_CLOEXEC, 0640);
	if (fd < 0)
		die(path);
	return fd;
}

static void put(int fd, const void *bytes, size_t size, uint64_t offset)
{
	if (pwrite(fd, bytes, size, (off_t)offset) != (ssize_t)size)
		die("writing the sample");
}

/* --- SAS.run */

/* The read lock is in thread 0's slot, the write lock in a page of its own. */
static void make_locks(int fd)
{
	uint32_t bucket = sas_lock_bucket(SAMPLE_LOCKED);
	struct sas_run_line line = { .next.word = SAS_RUN_BUCKETS, .latch.word = 2 }, more = { .marks = { SAS_LOCK_DIED } };
	struct sas_run_page page = { .owner.word = 1, .kind = SAS_RUN_PAGE_HOLDS };
	struct sas_run_thread *t = calloc(THREADS, sizeof(*t));
	uint32_t word = SAMPLE_PID, record = sas_hold_record(SAS_RUN_BUCKETS << 2, SAS_HOLD_WRITE);

	if (!t)
		die("sample");
	line.lock[1].key.word = SAMPLE_LOCKED;
	line.lock[1].word.word = sas_lock_word(1 | SAS_LOCK_CHANGE_WAITS, 0, 9, 0);
	line.seen_word[1].word = sas_lock_word(1, 0, 9, 0);
	line.seen_at[1].word = 5;
	more.lock[0].key.word = SAMPLE_LOCKED + 1;
	more.lock[0].word.word = sas_lock_word(SAS_LOCK_WRITE, 0, 8, 1);
	memcpy(page.bytes, &record, sizeof(record));
	for (unsigned i = 0; i < THREADS; i++)
		if (sas_run_make_lock(&t[i].life))
			die("sample");
	for (int i = 0; i < 2; i++) {
		t[i].state.word = SAS_RUN_USED;
		t[i].process = 1;
		memcpy(&t[i].life, &word, sizeof(word));
	}
	t[0].holds[3].word = sas_hold_record(bucket << 2 | 1, SAS_HOLD_READ);
	t[1].lock_wait.word = (bucket << 2 | 1U) << 4 | SAS_WAIT_OPEN | SAS_HOLD_WRITE;
	t[1].lock_wait_since.word = 6;
	t[1].lock_pending.word = sas_pending(bucket << 2 | 2, SAS_HOLD_NONE, SAS_HOLD_READ, 3);
	t[1].lock_latch.word = bucket + 1;
	t[1].lease_of[0].word = 2;
	t[1].epoch.word = 7;
	put(fd, t, THREADS * sizeof(*t), SAS_RUN_THREAD_OFFSET);
	put(fd, &page, sizeof(page), SAS_RUN_PAGE_OFFSET);
	put(fd, &line, sizeof(line), SAS_RUN_LOCK_OFFSET + bucket * SAS_RUN_LINE);
	put(fd, &more, sizeof(more), SAS_RUN_LOCK_OFFSET + SAS_RUN_BUCKETS * SAS_RUN_LINE);
	free(t);
}

/* Thread 1 has deferred the free of a block. */
static void make_limbo(int fd)
{
	struct sas_run_limbo page = { .owner.word = 2, .kind = SAS_RUN_PAGE_LIMBO };

	page.entries[0].block.word = (IMAGE_SEGMENT + 2 * SAS_M_UNIT) | 1;
	page.entries[0].epoch.word = 6;
	put(fd, &page, sizeof(page), SAS_RUN_PAGE_OFFSET + sizeof(page));
}

/* The header names the file that it is in. */
static void make_run_header(int fd)
{
	struct sas_run_header *h = calloc(1, sizeof(*h));
	struct stat st;

	if (!h || fstat(fd, &st))
		die("SAS.run");
	h->device = st.st_dev;
	h->inode = st.st_ino;
	h->magic = SAS_RUN_MAGIC;
	h->layout = sas_run_layout();
	sas_port_boot_id(h->boot_id);
	memcpy(h->uuid, sample.anchor.uuid, sizeof(h->uuid));
	h->generation = sample.anchor.generation;
	if (sas_run_make_lock(&h->table_lock) || sas_run_make_lock(&h->block_lock) || sas_run_make_lock(&h->grow_lock) ||
	    sas_run_make_lock(&h->sync_lock))
		die("SAS.run");
	h->index_epoch.word = 1;
	h->epoch.word = 8;
	h->epoch_safe.word = 6;
	h->epoch_begun.word = 1;
	h->process_top.word = h->thread_top.word = THREADS;
	h->page_top.word = PAGES;
	h->line_space.word = h->line_top.word = LINES;
	put(fd, h, sizeof(*h), 0);
	free(h);
}

static void make_run_file(void)
{
	struct sas_run_process p = { .state.word = SAS_RUN_USED, .pid = SAMPLE_PID };
	int fd = sample_open("SAS.run", O_CREAT | O_RDWR);

	make_run_header(fd);
	put(fd, &p, sizeof(p), SAS_RUN_PROCESS_OFFSET);
	make_locks(fd);
	make_limbo(fd);
	if (ftruncate(fd, (off_t)(SAS_RUN_INDEX_OFFSET + INDEX)))
		die("SAS.run");
	close(fd);
}

/* --- the media */

#define MOST 64         /* bytes of a record */

/* The record is whole, and the log counts it. */
static void add_record(struct sas_m_log *log, uint32_t type, uint64_t where, const void *bytes, uint32_t length)
{
	struct { struct sas_m_record head; uint8_t bytes[MOST]; } r = {
		.head = { .type = type, .length = length, .where = where, .sequence = log->sequence },
	};
	uint32_t size = (uint32_t)sizeof(r.head) + ((length + 7) & ~7U);

	memcpy(r.bytes, bytes, length);
	r.head.check = sas_hash32(r.bytes, length, sas_hash32(&r.head, sizeof(r.head), 0));
	memcpy((char *)(log + 1) + log->used, &r, size);
	log->used += size;
}

/* For log 0 to be undone and log 1 to be redone, once they are made active: both store what is there. */
static void make_logs(void)
{
	union { struct sas_m_log log; uint8_t bytes[SAS_M_LOG_SIZE]; } u;
	uint32_t block = sas_entry(SAS_M_USED, 1, 8), order = 3;
	uint64_t table = sample.anchor.table_offset + 2 * sizeof(struct sas_m_segment);

	memset(&u, 0, sizeof(u));
	u.log = (struct sas_m_log){ .magic = SAS_M_MAGIC_LOG, .sequence = 1 };
	add_record(&u.log, SAS_M_RECORD_REINDEX, IMAGE_SEGMENT, "", 0);
	add_record(&u.log, SAS_M_RECORD_ALLOC, IMAGE_SEGMENT + 8 * SAS_M_UNIT, &order, sizeof(order));
	add_record(&u.log, SAS_M_RECORD_UNDO, table + 4, &block, sizeof(block));
	image_write_segment(&sample, 0, sample.anchor.log_offset, &u, sizeof(u));
	memset(&u, 0, sizeof(u));
	u.log = (struct sas_m_log){ .magic = SAS_M_MAGIC_LOG, .sequence = 7 };
	add_record(&u.log, SAS_M_RECORD_REDO, IMAGE_SEGMENT + 2 * SAS_M_UNIT, "a block's first bytes...", 24);
	image_write_segment(&sample, 0, sample.anchor.log_offset + SAS_M_LOG_SIZE, &u, sizeof(u));
}

static void make_files(void)
{
	image_make(&sample, SAMPLE_SEGMENTS);
	image_carve(&sample, 1);
	image_entry(&sample, 1, 0, SAS_M_USED, 0, 5);
	image_entry(&sample, 1, 1, SAS_M_FREED, 0, 0);
	image_entry(&sample, 1, 2, SAS_M_USED, 1, SAS_M_GENERATION_RETIRED);
	image_entry(&sample, 1, 4, SAS_M_DIRTY, 2, 0);
	image_entry(&sample, 1, 8, SAS_M_USED, 3, 6);
	image_entry(&sample, 1, 32, SAS_M_USED, 5, 0);
	image_large_block(&sample, 2, 1, 8);
	sample.state.log_chunk[0] = IMAGE_SEGMENT + 32 * SAS_M_UNIT;
	sas_port_boot_id(sample.state.boot_id);
	image_store(&sample);
	make_logs();
	make_run_file();
}

/* --- the same in memory */

#define FILES 5
#define PIECES 64

static struct { char name[16]; off_t size; mode_t mode; } files[FILES];
static struct { unsigned file; off_t at; size_t size; void *bytes; } pieces[PIECES];
static unsigned file_count, piece_count;

static void remember_piece(int fd, unsigned file, off_t at, off_t end)
{
	size_t size = (size_t)(end - at);
	void *bytes = malloc(size);

	if (!bytes || piece_count == PIECES || pread(fd, bytes, size, at) != (ssize_t)size)
		die("remembering the sample");
	pieces[piece_count].file = file;
	pieces[piece_count].at = at;
	pieces[piece_count].size = size;
	pieces[piece_count++].bytes = bytes;
}

static void remember_file(const char *name)
{
	int fd = sample_open(name, O_RDONLY);
	unsigned file = file_count;
	struct stat st;
	off_t at = 0;

	if (file == FILES || fstat(fd, &st))
		die(name);
	snprintf(files[file].name, sizeof(files[file].name), "%.15s", name);
	files[file].size = st.st_size;
	files[file].mode = st.st_mode & 07777;
	file_count++;
	while ((at = lseek(fd, at, SEEK_DATA)) >= 0) {
		off_t end = lseek(fd, at, SEEK_HOLE);

		remember_piece(fd, file, at, end);
		at = end;
	}
	close(fd);
}

static void each_file(void (*visit)(const char *name))
{
	DIR *d = opendir(sample.path);
	struct dirent *e;

	if (!d)
		die(sample.path);
	while ((e = readdir(d)) != NULL)
		if (e->d_name[0] != '.')
			visit(e->d_name);
	closedir(d);
}

static void restore_file(unsigned file)
{
	int fd = sample_open(files[file].name, O_CREAT | O_RDWR);

	if (ftruncate(fd, 0) || ftruncate(fd, files[file].size) || fchmod(fd, files[file].mode))
		die(files[file].name);
	for (unsigned i = 0; i < piece_count; i++)
		if (pieces[i].file == file)
			put(fd, pieces[i].bytes, pieces[i].size, (uint64_t)pieces[i].at);
	if (strcmp(files[file].name, "SAS.run") == 0)
		make_run_header(fd);
	close(fd);
}

static void remove_stranger(const char *name)
{
	char path[4200];

	for (unsigned i = 0; i < file_count; i++)
		if (strcmp(files[i].name, name) == 0)
			return;
	snprintf(path, sizeof(path), "%s/%s", sample.path, name);
	if (unlink(path))
		die(path);
}

void sample_restore(void)
{
	each_file(remove_stranger);
	for (unsigned i = 0; i < file_count; i++)
		restore_file(i);
}

void sample_make(void)
{
	make_files();
	each_file(remember_file);
}
