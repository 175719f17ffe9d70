/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "image.h"
#include "sandbox.h"
#include "sas/media/anchor.h"
#include "sas/ground/hash.h"
#include "sas/block/tiles.h"

static void die(const char *what)
{
	perror(what);
	exit(99);
}

void image_name(char name[32], uint64_t n)
{
	snprintf(name, 32, "SAS%05lX.DAT", (unsigned long)n);
}

static int open_file(const struct image *m, const char *name, int flags)
{
	char path[4200];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", m->path, name);
	fd = open(path, flags | O_CLOEXEC, 0600);
	if (fd < 0)
		die(path);
	return fd;
}

void image_write(const struct image *m, const char *name, uint64_t offset, const void *bytes, size_t size)
{
	int fd = open_file(m, name, O_RDWR);

	if (pwrite(fd, bytes, size, (off_t)offset) != (ssize_t)size)
		die(name);
	close(fd);
}

void image_read(const struct image *m, const char *name, uint64_t offset, void *bytes, size_t size)
{
	int fd = open_file(m, name, O_RDONLY);

	if (pread(fd, bytes, size, (off_t)offset) != (ssize_t)size)
		die(name);
	close(fd);
}

void image_write_segment(const struct image *m, uint64_t n, uint64_t offset, const void *bytes, size_t size)
{
	char name[32];

	image_name(name, n);
	image_write(m, name, offset, bytes, size);
}

void image_read_segment(const struct image *m, uint64_t n, uint64_t offset, void *bytes, size_t size)
{
	char name[32];

	image_name(name, n);
	image_read(m, name, offset, bytes, size);
}

uint64_t image_map(const struct image *m, uint64_t n, uint64_t *offset)
{
	uint64_t at = sas_map_of(&m->anchor, n);

	*offset = at % m->anchor.segment_size;
	return at / m->anchor.segment_size;
}

void image_entry(struct image *m, uint64_t n, uint64_t unit, uint32_t state, uint32_t order,
		 uint32_t generation)
{
	uint32_t entry = sas_entry(state, order, generation);
	uint64_t at, where = image_map(m, n, &at);

	image_write_segment(m, where, at + unit * sizeof(entry), &entry, sizeof(entry));
}

void image_fill(struct image *m, uint64_t n, uint64_t from, uint64_t to, uint32_t state)
{
	while (from < to) {
		uint32_t order = from ? (uint32_t)__builtin_ctzll(from) : 63;

		while (order > 40 || from + (1UL << order) > to)
			order--;
		image_entry(m, n, from, state, order, 0);
		from += 1UL << order;
	}
}

void image_trailer(struct image *m, uint64_t n)
{
	const struct sas_m_anchor *a = &m->anchor;
	struct sas_m_trailer t = {
		.magic = SAS_M_MAGIC_TRAILER,
		.format = SAS_M_FORMAT,
		.header_size = sizeof(t),
		.number = n,
		.base = a->base,
		.region_size = a->region_size,
		.segment_size = a->segment_size,
		.generation = a->generation,
	};

	memcpy(t.uuid, a->uuid, sizeof(t.uuid));
	t.checksum = sas_trailer_checksum(&t);
	image_write_segment(m, n, a->segment_size, &t, sizeof(t));
}

static void make_file(struct image *m, uint64_t n)
{
	char name[32];
	int fd;

	image_name(name, n);
	fd = open_file(m, name, O_RDWR | O_CREAT | O_EXCL);
	if (fchmod(fd, m->anchor.mode) || ftruncate(fd, (off_t)(m->anchor.segment_size + SAS_M_PAGE)))
		die(name);
	close(fd);
	image_trailer(m, n);
	m->table[n].file = SAS_M_SEGMENT_PRESENT;
}

void image_store(struct image *m)
{
	m->anchor.checksum = sas_anchor_checksum(&m->anchor);
	image_write_segment(m, 0, 0, m->page, sizeof(m->page));
	image_write_segment(m, 0, SAS_M_PAGE, &m->state, sizeof(m->state));
	image_write_segment(m, 0, m->anchor.table_offset, m->table, m->segments * sizeof(*m->table));
}

static uint32_t order_of(uint64_t bytes)
{
	return (uint32_t)__builtin_ctzll(bytes / SAS_M_UNIT);
}

void image_make(struct image *m, uint64_t segments)
{
	struct sas_m_anchor *a = &m->anchor;
	uint64_t units;

	memset(m, 0, sizeof(*m));
	if (sandbox_directory(m->path))
		die("image");
	m->segments = segments;
	m->table = calloc(segments, sizeof(*m->table));
	if (!m->table)
		die("image");
	*a = (struct sas_m_anchor){
		.magic = SAS_M_MAGIC_ANCHOR,
		.format = SAS_M_FORMAT,
		.endian = SAS_M_ENDIAN,
		.header_size = sizeof(*a),
		.page_size = SAS_M_PAGE,
		.mode = 0640,
		.uuid = "fifteen letters",
		.base = IMAGE_BASE,
		.region_size = segments * IMAGE_SEGMENT,
		.segment_size = IMAGE_SEGMENT,
		.created_at = 1700000000,
		.generation = 3,
	};
	sas_anchor_compute(a);
	sas_anchor_set_header(a);
	m->state = (struct sas_m_state){ .life = SAS_M_LIFE_ACTIVE, .clean = 1, .generation = 9 };
	make_file(m, 0);
	m->table[0].block = sas_entry(SAS_M_USED, SAS_M_ORDER_CARVED, 0);
	units = a->segment_size / SAS_M_UNIT;
	image_entry(m, 0, 0, SAS_M_USED, order_of(a->anchor_size), 0);
	image_fill(m, 0, a->anchor_size / SAS_M_UNIT, a->map_offset / SAS_M_UNIT, SAS_M_NEVER);
	image_entry(m, 0, a->map_offset / SAS_M_UNIT, SAS_M_USED, order_of(a->map_size), 0);
	image_fill(m, 0, (a->map_offset + a->map_size) / SAS_M_UNIT, units, SAS_M_NEVER);
	image_store(m);
}

void image_carve(struct image *m, uint64_t n)
{
	uint64_t units = m->anchor.segment_size / SAS_M_UNIT, first = 0;

	make_file(m, n);
	m->table[n].block = sas_entry(SAS_M_USED, SAS_M_ORDER_CARVED, 0);
	if (n >= m->anchor.maps) {
		image_entry(m, n, 0, SAS_M_USED, order_of(sas_map_bytes(m->anchor.segment_size)), 0);
		first = sas_map_bytes(m->anchor.segment_size) / SAS_M_UNIT;
	}
	image_fill(m, n, first, units, SAS_M_NEVER);
	image_store(m);
}

void image_large_block(struct image *m, uint64_t n, uint32_t order, uint32_t generation)
{
	for (uint64_t i = n; i < n + (1UL << order); i++)
		make_file(m, i);
	m->table[n].block = sas_entry(SAS_M_USED, order, generation);
	image_store(m);
}

void image_sample(struct image *m)
{
	image_make(m, 8);
	image_carve(m, 1);
	image_entry(m, 1, 0, SAS_M_USED, 0, 5);
	image_entry(m, 1, 1, SAS_M_FREED, 0, 0);
	image_entry(m, 1, 2, SAS_M_DIRTY, 1, 0);
	image_entry(m, 1, 4, SAS_M_USED, 2, 6);
	image_entry(m, 1, 8, SAS_M_USED, 2, 6);
	image_entry(m, 1, 12, SAS_M_USED, 2, 7);
	image_fill(m, 1, 16, 512, SAS_M_NEVER);
	image_large_block(m, 2, 1, 8);
}

void image_destroy(struct image *m)
{
	sandbox_remove(m->path);
	free(m->table);
	m->table = NULL;
}

#define PIECE 4096

/* Zeros count for nothing: what is read ahead in space that was never written is data to SEEK_DATA for as long as it is cached. */
static uint64_t hash_piece(const uint8_t *bytes, size_t size, uint64_t at)
{
	static const uint8_t zeros[PIECE];

	return memcmp(bytes, zeros, size) == 0 ? 0 : sas_hash64(bytes, size) + at * 0x9E3779B97F4A7C15UL;
}

/* Of the bytes that the file has; how many blocks it takes changes when the kernel likes. */
static uint64_t hash_file(int fd, const struct stat *st)
{
	static uint8_t buffer[1UL << 20];
	uint64_t sum[4] = { (uint64_t)st->st_size, st->st_mode, (uint64_t)st->st_mtim.tv_sec,
			    (uint64_t)st->st_mtim.tv_nsec };
	uint64_t hash = sas_hash64(sum, sizeof(sum));
	off_t at = 0;

	while ((at = lseek(fd, at, SEEK_DATA)) >= 0) {
		off_t size = lseek(fd, at, SEEK_HOLE) - at;
		ssize_t got = pread(fd, buffer, size < (off_t)sizeof(buffer) ? (size_t)size : sizeof(buffer), at);

		if (got <= 0)
			die("reading");
		for (ssize_t i = 0; i < got; i += PIECE)
			hash ^= hash_piece(buffer + i, got - i < PIECE ? (size_t)(got - i) : PIECE, (uint64_t)(at + i));
		at += got;
	}
	return hash;
}

uint64_t image_fingerprint(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;
	uint64_t sum = 0;

	if (!d)
		die(path);
	while ((e = readdir(d)) != NULL) {
		struct stat st;
		int fd;

		if (fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW))
			die(e->d_name);
		if (!S_ISREG(st.st_mode))
			continue;
		fd = openat(dirfd(d), e->d_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			die(e->d_name);
		sum += hash_file(fd, &st) ^ sas_hash64(e->d_name, strlen(e->d_name));
		close(fd);
	}
	closedir(d);
	return sum;
}
