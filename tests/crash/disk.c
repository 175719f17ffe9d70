/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "disk.h"
#include "store.h"

#define PAGE 4096UL
#define SECTOR 512UL

unsigned disk_draw(struct disk *d, unsigned below)
{
	d->random = d->random * 1103515245U + 12345U;
	return (d->random >> 8) % below;
}

void disk_init(struct disk *d, const char *path, uintptr_t base, uint64_t segment_size, unsigned seed,
	       int lines)
{
	struct stat st;

	memset(d, 0, sizeof *d);
	snprintf(d->path, sizeof d->path, "%s", path);
	if (stat(path, &st) != 0)
		store_give_up("cannot look at", path);
	d->inode = st.st_ino;
	d->base = base;
	d->segment_size = segment_size;
	d->room = segment_size + PAGE;
	d->random = seed;
	d->lines = lines;
}

void disk_free(struct disk *d)
{
	for (unsigned i = 0; i < d->file_count; i++) {
		free(d->files[i].safe);
		free(d->files[i].now);
		free(d->files[i].cut);
		free(d->files[i].seen);
	}
	d->file_count = 0;
	free(d->pending);
	d->pending = NULL;
}

/* --- files */

static struct disk_file *find_file(struct disk *d, uint64_t inode)
{
	for (unsigned i = 0; i < d->file_count; i++)
		if (d->files[i].inode == inode)
			return &d->files[i];
	return NULL;
}

/* A file that was never synced: nothing of it is safe. */
static struct disk_file *get_file(struct disk *d, uint64_t inode)
{
	struct disk_file *f = find_file(d, inode);

	if (f)
		return f;
	if (d->file_count == DISK_FILES)
		store_give_up("too many files in", d->path);
	f = &d->files[d->file_count++];
	*f = (struct disk_file){ .inode = inode, .safe = calloc(1, d->room), .now = calloc(1, d->room), .cut = malloc(d->room),
				 .seen = calloc(1, d->room / PAGE) };
	if (!f->safe || !f->now || !f->cut || !f->seen)
		store_give_up("no memory for", "a disk");
	return f;
}

/* The next page that may hold anything, from this one on; room: none. */
static uint64_t next_page(const struct disk *d, const struct disk_file *f, uint64_t at)
{
	while (at < d->room && !f->seen[at / PAGE])
		at += PAGE;
	return at;
}

#define each_page(d, f, at) (uint64_t at = next_page(d, f, 0); at < (d)->room; at = next_page(d, f, at + PAGE))

/* The file's present bytes; holes are zero. */
static void read_now(const struct disk *d, struct disk_file *f, int fd)
{
	off_t at = 0, hole, room = (off_t)d->room;

	for each_page(d, f, page)
		memset(f->now + page, 0, PAGE);
	while ((at = lseek(fd, at, SEEK_DATA)) >= 0 && at < room) {
		hole = lseek(fd, at, SEEK_HOLE);
		if (hole > room)
			hole = room;
		memset(f->seen + at / (off_t)PAGE, 1, (size_t)((hole - 1) / (off_t)PAGE - at / (off_t)PAGE + 1));
		while (at < hole) {
			ssize_t got = pread(fd, f->now + at, (size_t)(hole - at), at);

			if (got <= 0)
				store_give_up("cannot read", "a file");
			at += got;
		}
	}
}

static int open_name(const struct disk *d, const char *name, struct stat *st)
{
	char path[PATH_MAX + 80];
	int fd;

	snprintf(path, sizeof path, "%s/%s", d->path, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && fstat(fd, st) != 0)
		store_give_up("cannot look at", path);
	return fd;
}

/* All of a file is safe. */
static void sync_file(struct disk *d, int fd, const struct stat *st)
{
	struct disk_file *f = get_file(d, st->st_ino);

	if ((uint64_t)st->st_size > d->room)
		return;         /* SAS.run */
	read_now(d, f, fd);
	for each_page(d, f, at)
		memcpy(f->safe + at, f->now + at, PAGE);
	f->size = (uint64_t)st->st_size;
	f->mode = st->st_mode & 07777;
}

/* --- names */

static int is_ours(const char *name)
{
	return name[0] != '.' && strcmp(name, "SAS.run") != 0;
}

static unsigned read_names(const struct disk *d, struct disk_name names[DISK_FILES])
{
	DIR *dir = opendir(d->path);
	struct dirent *e;
	unsigned count = 0;

	if (!dir)
		store_give_up("cannot read", d->path);
	while ((e = readdir(dir)))
		if (is_ours(e->d_name) && count < DISK_FILES) {
			snprintf(names[count].name, sizeof names[count].name, "%.63s", e->d_name);
			names[count++].inode = e->d_ino;
		}
	closedir(dir);
	return count;
}

static int has_name(const struct disk_name *names, unsigned count, const struct disk_name *name)
{
	for (unsigned i = 0; i < count; i++)
		if (names[i].inode == name->inode && strcmp(names[i].name, name->name) == 0)
			return 1;
	return 0;
}

static int is_taken(const struct disk_name *names, unsigned count, const char *name)
{
	for (unsigned i = 0; i < count; i++)
		if (strcmp(names[i].name, name) == 0)
			return 1;
	return 0;
}

/* --- syncs */

static void note_fsync(struct disk *d, const struct watch *w, int number)
{
	char path[64];
	struct stat st;
	int fd;

	snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)w->pid, number);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0)
		store_give_up("cannot open", path);
	if (S_ISDIR(st.st_mode)) {
		if (st.st_ino == d->inode)
			d->name_count = read_names(d, d->names);
	} else {
		sync_file(d, fd, &st);
	}
	close(fd);
}

static void sync_pages(struct disk *d, uint64_t segment, uint64_t from, uint64_t to)
{
	struct disk_file *f;
	char name[32];
	struct stat st;
	int fd;

	snprintf(name, sizeof name, "SAS%05lX.DAT", segment);
	fd = open_name(d, name, &st);
	if (fd < 0)
		store_give_up("cannot sync", name);
	f = get_file(d, st.st_ino);
	read_now(d, f, fd);
	for (uint64_t at = next_page(d, f, from); at < to; at = next_page(d, f, at + PAGE))
		memcpy(f->safe + at, f->now + at, PAGE);
	close(fd);
}

static void note_msync(struct disk *d, uintptr_t address, uint64_t size)
{
	uint64_t at = address - d->base, end = at + ((size + PAGE - 1) & ~(PAGE - 1));

	while (at < end) {
		uint64_t n = at / d->segment_size, stop = (n + 1) * d->segment_size;

		sync_pages(d, n, at - n * d->segment_size, (end < stop ? end : stop) - n * d->segment_size);
		at = stop;
	}
}

/* --- lines */

static void add_pending(struct disk *d, const struct disk_line *line)
{
	if (d->pending_count == d->pending_room) {
		d->pending_room = d->pending_room ? 2 * d->pending_room : 64;
		d->pending = realloc(d->pending, d->pending_room * sizeof *d->pending);
		if (!d->pending)
			store_give_up("no memory for", "lines");
	}
	d->pending[d->pending_count++] = *line;
}

static void note_lines(struct disk *d, uintptr_t from, uint64_t size)
{
	for (uint64_t at = (from & ~(DISK_LINE - 1)) - d->base; at < from + size - d->base; at += DISK_LINE) {
		struct disk_line line = { .at = at % d->segment_size };
		char name[32];
		struct stat st;
		int fd;

		snprintf(name, sizeof name, "SAS%05lX.DAT", at / d->segment_size);
		fd = open_name(d, name, &st);
		if (fd < 0 || pread(fd, line.bytes, DISK_LINE, (off_t)line.at) != (ssize_t)DISK_LINE)
			store_give_up("cannot write back lines of", name);
		close(fd);
		line.inode = st.st_ino;
		add_pending(d, &line);
	}
}

static void land(struct disk_file *f, char *bytes, const struct disk_line *line)
{
	memcpy(bytes + line->at, line->bytes, DISK_LINE);
	f->seen[line->at / PAGE] = 1;
}

static void note_fence(struct disk *d)
{
	for (size_t i = 0; i < d->pending_count; i++) {
		struct disk_file *f = get_file(d, d->pending[i].inode);

		land(f, f->safe, &d->pending[i]);
	}
	d->pending_count = 0;
}

static int note_memory(struct disk *d, const struct watch *w)
{
	if (w->call.number != SYS_msync)
		return 0;
	if (w->call.argument[2] == DISK_LINES)
		note_lines(d, w->call.argument[0], w->call.argument[1]);
	else if (w->call.argument[2] == DISK_FENCE)
		note_fence(d);
	else
		return 0;
	return 1;
}

int disk_note_call(struct disk *d, const struct watch *w)
{
	if (d->lines && note_memory(d, w))
		return 1;
	if (w->call.result != 0)
		return 0;
	switch (w->call.number) {
	case SYS_fsync:
	case SYS_fdatasync:
		note_fsync(d, w, (int)w->call.argument[0]);
		break;
	case SYS_msync:
		if (!(w->call.argument[2] & MS_SYNC) || w->call.argument[0] < w->low ||
		    w->call.argument[0] >= w->high)
			return 0;
		note_msync(d, w->call.argument[0], w->call.argument[1]);
		break;
	default:
		return 0;
	}
	d->syncs++;
	return 1;
}

/* --- what was not synced */

void disk_write_back(struct disk *d)
{
	struct disk_name names[DISK_FILES];
	unsigned count = read_names(d, names), keep = 1 + disk_draw(d, 4);
	uint64_t grain = d->lines ? DISK_LINE : PAGE;
	struct stat st;

	for (unsigned i = 0; i < count; i++) {
		struct disk_file *f = find_file(d, names[i].inode);
		int fd = f ? open_name(d, names[i].name, &st) : -1;

		if (fd < 0)
			continue;
		read_now(d, f, fd);
		close(fd);
		for each_page(d, f, page)
			for (uint64_t at = page; at < page + PAGE; at += grain)
				if (memcmp(f->safe + at, f->now + at, grain) != 0 && disk_draw(d, keep + 1) == 0)
					memcpy(f->safe + at, f->now + at, grain);
	}
	if (disk_draw(d, 8) == 0)
		d->name_count = read_names(d, d->names);
}

enum mixture { OLD, NEW, PAGES, SECTORS, MORE_SECTORS, MIXTURES };

/* The present bytes of which the cut leaves something, in f->cut, where what is safe is there. */
static void mix(struct disk *d, struct disk_file *f, enum mixture kind)
{
	uint64_t grain = d->lines ? DISK_LINE : kind >= SECTORS ? SECTOR : PAGE;

	for each_page(d, f, page)
		for (uint64_t at = page; at < page + PAGE; at += grain)
			if (memcmp(f->cut + at, f->now + at, grain) != 0 && (kind == NEW || (kind != OLD && !disk_draw(d, 2))))
				memcpy(f->cut + at, f->now + at, grain);
}

/* Some of the lines that are on their way have come. */
static void land_lines(struct disk *d, struct disk_file *f)
{
	for (size_t i = 0; i < d->pending_count; i++)
		if (d->pending[i].inode == f->inode && disk_draw(d, 2))
			land(f, f->cut, &d->pending[i]);
}

static int is_zero(const char *page)
{
	return page[0] == 0 && memcmp(page, page + 1, PAGE - 1) == 0;
}

static void write_image(const struct disk *d, const struct disk_file *f, const char *image, const char *name)
{
	char path[PATH_MAX + 80];
	int fd;

	snprintf(path, sizeof path, "%s/%s", image, name);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, (off_t)f->size) != 0 || fchmod(fd, (mode_t)f->mode) != 0)
		store_give_up("cannot write", path);
	for each_page(d, f, at) {
		uint64_t piece = at >= f->size ? 0 : f->size - at < PAGE ? f->size - at : PAGE;

		if (piece && !is_zero(f->cut + at) && pwrite(fd, f->cut + at, piece, (off_t)at) != (ssize_t)piece)
			store_give_up("cannot write", path);
	}
	close(fd);
}

static void cut_file(struct disk *d, const char *image, const struct disk_name *name, enum mixture kind)
{
	struct disk_file *f = get_file(d, name->inode);
	struct stat st;
	int fd = open_name(d, name->name, &st), is_there = fd >= 0 && st.st_ino == name->inode;

	if (is_there)
		read_now(d, f, fd);
	if (fd >= 0)
		close(fd);
	for (size_t i = 0; i < d->pending_count; i++)
		f->seen[d->pending[i].at / PAGE] |= d->pending[i].inode == f->inode;
	for each_page(d, f, at)
		memcpy(f->cut + at, f->safe + at, PAGE);
	land_lines(d, f);
	if (is_there)
		mix(d, f, kind);
	/* A size is changed only before a file has its name, and synced with it. */
	write_image(d, f, image, name->name);
}

void disk_cut(struct disk *d, const char *image)
{
	struct disk_name now[DISK_FILES], made[DISK_FILES];
	unsigned count = read_names(d, now), makes = 0;
	enum mixture kind = disk_draw(d, MIXTURES);

	for (unsigned i = 0; i < count; i++)
		if (has_name(d->names, d->name_count, &now[i]) ||
		    (kind != OLD && (kind == NEW || disk_draw(d, 2)))) {
			cut_file(d, image, &now[i], kind);
			made[makes++] = now[i];
		}
	/* Names that are deleted, or another file's, but not for good. */
	for (unsigned i = 0; i < d->name_count; i++)
		if (!has_name(now, count, &d->names[i]) && !is_taken(made, makes, d->names[i].name) &&
		    (kind == OLD || (kind != NEW && disk_draw(d, 2))))
			cut_file(d, image, &d->names[i], kind);
}
