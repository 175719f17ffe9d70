/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include "err.h"
#include "persist.h"
#include "port.h"
#include "sasregion.h"
#include "segment.h"

static int poison(struct sas_region *r, int error, const char *what)
{
	if (r->run)
		sas_store_release_u32(&r->run->header->poisoned, 1);
	return sas_fail(EIO, "%s: %s could not be synced (%s); what was stored since the last sync may not be "
			"safe; all must leave the region and join it again", r->path, what, strerror(-error));
}

static int refuse_sync(struct sas_region *r)
{
	if (r->run && sas_load_acquire_u32(&r->run->header->poisoned))
		return sas_fail(EIO, "%s: an earlier sync failed; all must leave the region and join it again", r->path);
	return 0;
}

int sas_refuse_poisoned(struct sas_region *r)
{
	if (r->anchor.durability == SASDurability__PROCESS)
		return 0;
	return refuse_sync(r);
}

#if defined(__x86_64__)
static void write_back(uintptr_t from, uintptr_t to)
{
	for (uintptr_t line = from & ~63UL; line < to; line += 64)
		__builtin_ia32_clflush((void *)line);
}
void sas_fence(struct sas_region *r)
{
	(void)r;
	if (r->anchor.durability == SASDurability__PMEM)
		__builtin_ia32_sfence();
}
#else
static void write_back(uintptr_t from, uintptr_t to)
{
	__builtin___clear_cache((char *)from, (char *)to);
}
void sas_fence(struct sas_region *r)
{
	if (r->anchor.durability == SASDurability__PMEM)
		sas_fence_seq_cst();
}
#endif

int sas_persist(struct sas_region *r, const void *address, size_t size)
{
	uintptr_t from = (uintptr_t)address, to = from + size;
	int error;

	if (r->anchor.durability == SASDurability__PROCESS)
		return 0;
	error = sas_refuse_poisoned(r);
	if (error)
		return error;
	if (r->anchor.durability == SASDurability__PMEM) {
		write_back(from, to);
		return 0;
	}
	error = sas_port_write_back(address, size);
	return error ? poison(r, error, "a change of its metadata") : 0;
}

/* fsync writes what any process stored, mapped here or not: the page cache is one. */
int sas_sync(struct sas_region *r)
{
	char name[SAS_SEGMENT_NAME];
	int dir, error = refuse_sync(r);

	if (error)
		return error;
	for (uint64_t n = 0; n < r->segments; n++) {
		int fd;

		if (!sas_segment_present(r, n))
			continue;
		error = sas_segment_open(r, n, &fd);
		if (error)
			return sas_fail(-error, "%s/%s: cannot be opened to be synced: %s", r->path,
					sas_segment_name(name, n), strerror(-error));
		error = sas_port->fsync(fd);
		sas_port->close(fd);
		if (error)
			return poison(r, error, sas_segment_name(name, n));
	}
	dir = sas_region_dir(r);
	error = dir < 0 ? dir : sas_port->fsync(dir);
	return error ? poison(r, error, "the directory") : 0;
}

int sas_pmem_probe(int dir)
{
	int fd = sas_port->openat(dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	void *p;
	int error;

	if (fd < 0)
		return fd;
	error = sas_port->ftruncate(fd, SAS_M_MIN_SEGMENT);
	if (!error) {
		p = sas_port->mmap(NULL, SAS_M_MIN_SEGMENT, PROT_READ | PROT_WRITE, MAP_SHARED_VALIDATE | MAP_SYNC, fd, 0);
		error = SAS_MAP_FAILED(p) ? (int)(intptr_t)p : sas_port->munmap(p, SAS_M_MIN_SEGMENT);
	}
	sas_port->close(fd);
	return error;
}
