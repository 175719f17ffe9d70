/* SPDX-License-Identifier: MIT */
/* api_stname.c - the public edge of sasstname.h. Layer 4. */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include "ground/err.h"
#include "ground/port.h"
#include "region/runtime.h"
#include "sasstname.h"
#include "media/segment.h"

char *SASSegNameIndexed(char *name, sasseg_t segnum)
{
	struct sas_region *r = sas_region_default();
	char file[SAS_SEGMENT_NAME];

	sas_segment_name(file, segnum);
	/* A path that is too long is cut; no file has such a name. */
	if (snprintf(name, STORE_NAME_SIZE, "%s%s%s", r ? r->path : "", r ? "/" : "", file) >= STORE_NAME_SIZE)
		name[STORE_NAME_SIZE - 1] = 0;
	return name;
}

int SASSegNameExists(char *name)
{
	struct stat st;

	return name && sas_port->fstatat(AT_FDCWD, name, &st, 0) == 0;
}

int SASSegIndexExists(sasseg_t segnum)
{
	char name[STORE_NAME_SIZE];

	return SASSegNameExists(SASSegNameIndexed(name, segnum));
}

int SASSegStoreCreateByName(char *name)
{
	int fd, error;

	if (!name)
		return sas_err_edge(sas_fail(EINVAL, "the name is NULL"));
	fd = sas_port->openat(AT_FDCWD, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
	if (fd < 0)
		return sas_err_edge(sas_fail(-fd, "%s: cannot be created: %s", name, strerror(-fd)));
	error = sas_port->ftruncate(fd, SegmentSize);
	if (error) {
		sas_port->unlinkat(AT_FDCWD, name, 0);
		sas_fail(-error, "%s: cannot be made %ld bytes long: %s", name, SegmentSize, strerror(-error));
	}
	sas_port->close(fd);
	return sas_err_edge(error);
}

int SASSegStoreCreate(sasseg_t segnum)
{
	char name[STORE_NAME_SIZE];

	return SASSegStoreCreateByName(SASSegNameIndexed(name, segnum));
}

/* Is it the file of a segment that the default region uses? */
static int in_use(const char *name)
{
	struct sas_region *r = sas_region_default();
	const char *file = strrchr(name, '/');
	struct stat st, own;
	char path[SAS_SEGMENT_NAME];
	int64_t n = sas_segment_number(file ? file + 1 : name);

	return r && n >= 0 && sas_segment_present(r, (uint64_t)n) && sas_port->fstatat(AT_FDCWD, name, &st, 0) == 0 &&
	       sas_port->fstatat(sas_region_dir(r), sas_segment_name(path, (uint64_t)n), &own, 0) == 0 &&
	       st.st_ino == own.st_ino && st.st_dev == own.st_dev;
}

int SASSegStoreRemoveByName(char *name)
{
	int error;

	if (!name)
		return sas_err_edge(sas_fail(EINVAL, "the name is NULL"));
	if (in_use(name))
		return sas_err_edge(sas_fail(EBUSY, "%s: is a segment of the region that is joined", name));
	error = sas_port->unlinkat(AT_FDCWD, name, 0);
	return error ? sas_err_edge(sas_fail(-error, "%s: cannot be deleted: %s", name, strerror(-error))) : 0;
}

int SASSegStoreRemove(sasseg_t segnum)
{
	char name[STORE_NAME_SIZE];

	return SASSegStoreRemoveByName(SASSegNameIndexed(name, segnum));
}
