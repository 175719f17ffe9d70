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
	for (unsigned i = 0; i < d->file_count; i++)
		free(d->files[i].safe);
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
	*f = (struct disk_file){ .inode = inode, .safe = calloc(1, d->room) };
	if (!f->safe)
		store_give_up("no memory for", "a disk");
	return f;
}

/* The file's present bytes; holes are zero. */
static void read_now(int fd, char *bytes, uint64_t room)
{
	off_t at = 0, hole;

	memset(bytes, 0, room);
	while ((at = lseek(fd, at, SEEK_DATA)) >= 0 && (uint64_t)at < room) {
		hole = lseek(fd, at, SEEK_HOLE);
		if ((uint64_t)hole > room)
			hole = (off_t)room;
		while (at < hole) {
			ssize_t got = pread(fd, bytes + at, (size_t)(hole - at), at);

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
	read_now(fd, f->safe, d->room);
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
	char name[32], *now = malloc(d->room);
	struct stat st;
	int fd;

	snprintf(name, sizeof name, "SAS%05lX.DAT", segment);
	fd = open_name(d, name, &st);
	if (fd < 0 || !now)
		store_give_up("cannot sync", name);
	read_now(fd, now, d->room);
	memcpy(get_file(d, st.st_ino)->safe + from, now + from, to - from);
	close(fd);
	free(now);
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

static void note_fence(struct disk *d)
{
	for (size_t i = 0; i < d->pending_count; i++)
		memcpy(get_file(d, d->pending[i].inode)->safe + d->pending[i].at, d->pending[i].bytes, DISK_LINE);
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
	char *now = malloc(d->room);
	struct stat st;

	if (!now)
		store_give_up("no memory for", "a disk");
	for (unsigned i = 0; i < count; i++) {
		struct disk_file *f = find_file(d, names[i].inode);
		int fd = f ? open_name(d, names[i].name, &st) : -1;

		if (fd < 0)
			continue;
		read_now(fd, now, d->room);
		close(fd);
		for (uint64_t at = 0; at < d->room; at += grain)
			if (memcmp(f->safe + at, now + at, grain) != 0 && disk_draw(d, keep + 1) == 0)
				memcpy(f->safe + at, now + at, grain);
	}
	if (disk_draw(d, 8) == 0)
		d->name_count = read_names(d, d->names);
	free(now);
}

enum mixture { OLD, NEW, PAGES, SECTORS, MORE_SECTORS, MIXTURES };

/* now becomes what the cut leaves of the file, of which `safe` is there. */
static void mix(struct disk *d, const char *safe, char *now, enum mixture kind)
{
	uint64_t grain = d->lines ? DISK_LINE : kind >= SECTORS ? SECTOR : PAGE;

	for (uint64_t at = 0; at < d->room && kind != NEW; at += grain)
		if (memcmp(safe + at, now + at, grain) != 0 && (kind == OLD || disk_draw(d, 2)))
			memcpy(now + at, safe + at, grain);
}

/* Some of the lines that are on their way have come. */
static void land_lines(struct disk *d, uint64_t inode, char *safe)
{
	for (size_t i = 0; i < d->pending_count; i++)
		if (d->pending[i].inode == inode && disk_draw(d, 2))
			memcpy(safe + d->pending[i].at, d->pending[i].bytes, DISK_LINE);
}

static void write_image(const char *image, const char *name, const char *bytes, uint64_t size,
			uint64_t mode)
{
	char path[PATH_MAX + 80];
	int fd;

	snprintf(path, sizeof path, "%s/%s", image, name);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, (off_t)size) != 0 || fchmod(fd, (mode_t)mode) != 0)
		store_give_up("cannot write", path);
	for (uint64_t at = 0; at < size; at += PAGE) {
		uint64_t piece = size - at < PAGE ? size - at : PAGE;

		if (bytes[at] == 0 && memcmp(bytes + at, bytes + at + 1, piece - 1) == 0)
			continue;
		if (pwrite(fd, bytes + at, piece, (off_t)at) != (ssize_t)piece)
			store_give_up("cannot write", path);
	}
	close(fd);
}

static void cut_file(struct disk *d, const char *image, const struct disk_name *name, enum mixture kind)
{
	const struct disk_file *f = get_file(d, name->inode);
	char *now = malloc(d->room), *safe = malloc(d->room);
	struct stat st;
	int fd = open_name(d, name->name, &st);

	if (!now || !safe)
		store_give_up("no memory for", "a disk");
	memcpy(safe, f->safe, d->room);
	land_lines(d, name->inode, safe);
	memcpy(now, safe, d->room);
	if (fd >= 0 && st.st_ino == name->inode) {
		read_now(fd, now, d->room);
		mix(d, safe, now, kind);
	}
	if (fd >= 0)
		close(fd);
	/* A size is changed only before a file has its name, and synced with it. */
	write_image(image, name->name, now, f->size, f->mode);
	free(now);
	free(safe);
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
