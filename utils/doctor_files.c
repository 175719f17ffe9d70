/* SPDX-License-Identifier: MIT */
/*
 * doctor_files.c - what the file system of a directory can do, tried with a file that has no name: it is gone when it is closed.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>
#include "doctor.h"
#include "sasconf.h"
#include "tool.h"

#define PROBE_SIZE (4UL << 20)

/* --- its kind */

static const struct kind {
	unsigned long type;
	const char *name;
	enum doctor_state state;
} kinds[] = {
	{ 0x6969, "NFS", DOCTOR_BAD },          { 0xff534d42, "CIFS", DOCTOR_BAD },
	{ 0xfe534d42, "SMB", DOCTOR_BAD },      { 0x517b, "SMB", DOCTOR_BAD },
	{ 0x01021997, "9p", DOCTOR_BAD },       { 0x65735546, "FUSE", DOCTOR_BAD },
	{ 0x01021994, "tmpfs", DOCTOR_OK },     { 0xef53, "ext4", DOCTOR_OK },
	{ 0x58465342, "XFS", DOCTOR_OK },       { 0x9123683e, "Btrfs", DOCTOR_OK },
	{ 0x2fc12fc1, "ZFS", DOCTOR_OK },       { 0x794c7630, "overlayfs", DOCTOR_OK },
	{ 0xf2f52010, "F2FS", DOCTOR_OK },      { 0x958458f6, "hugetlbfs", DOCTOR_OK },
};

static void look_at_kind(struct doctor *d, int dir)
{
	static const char advice[] = "mappings there are not coherent between hosts: use a local directory, or promise that "
				     "one host uses it (sasphere create --single-host)";
	struct statfs fs;

	if (fstatfs(dir, &fs)) {
		doctor_say(d, "file-system", DOCTOR_DEGRADED, NULL, "it is not told: %s", strerror(errno));
		return;
	}
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if ((unsigned long)fs.f_type == kinds[i].type) {
			doctor_say(d, "file-system", kinds[i].state, advice, "%s", kinds[i].name);
			return;
		}
	}
	doctor_say(d, "file-system", DOCTOR_DEGRADED, "it is not known here; the lines below tell what it can do",
		   "of type 0x%lx", (unsigned long)fs.f_type);
}

static void look_at_permission(struct doctor *d, int dir)
{
	int allowed = faccessat(dir, ".", R_OK | W_OK | X_OK, AT_EACCESS) == 0;

	doctor_say(d, "permission", allowed ? DOCTOR_OK : DOCTOR_BAD,
		   "a new region needs a directory that can be written; one that is there may be joined for reading",
		   allowed ? "the directory can be written" : "the directory cannot be written: %s", strerror(errno));
}

static void look_at_space(struct doctor *d, int dir)
{
	struct statvfs fs;
	uint64_t bytes;
	char text[TOOL_SIZE];

	if (fstatvfs(dir, &fs)) {
		doctor_say(d, "space", DOCTOR_DEGRADED, NULL, "it is not told: %s", strerror(errno));
		return;
	}
	bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	doctor_say(d, "space", bytes >= SegmentSize ? DOCTOR_OK : bytes ? DOCTOR_DEGRADED : DOCTOR_BAD,
		   "make room: blocks are backed by file space before they are handed out", "%s free",
		   tool_size_text(text, bytes, 0));
}

/* --- what can be done with a file */

struct probe {
	const char *check;
	int (*works)(int fd);           /* errno tells why not */
	enum doctor_state otherwise;
	const char *what, *advice;
};

static int can_allocate(int fd)
{
	return fallocate(fd, 0, 0, PROBE_SIZE) == 0;
}

static int can_punch(int fd)
{
	return ftruncate(fd, PROBE_SIZE) == 0 &&
	       fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PROBE_SIZE / 2) == 0;
}

static int can_seek_data(int fd)
{
	if (ftruncate(fd, 0) || ftruncate(fd, PROBE_SIZE) || pwrite(fd, "x", 1, PROBE_SIZE / 2) != 1)
		return 0;
	errno = 0;
	return lseek(fd, 0, SEEK_DATA) > 0;
}

static int can_lock(int fd)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1 };

	return fcntl(fd, F_OFD_SETLK, &lock) == 0 && flock(fd, LOCK_EX | LOCK_NB) == 0;
}

static int can_set_attributes(int fd)
{
	return fsetxattr(fd, "user.sasphere.probe", "1", 1, 0) == 0;
}

/* A store through a mapping is read from the file. */
static int can_share(int fd)
{
	char byte = 0, *p;

	if (ftruncate(fd, PROBE_SIZE))
		return 0;
	p = mmap(NULL, PROBE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return 0;
	p[4711] = 42;
	errno = EIO;
	if (pread(fd, &byte, 1, 4711) != 1)
		byte = 0;
	munmap(p, PROBE_SIZE);
	return byte == 42;
}

static int can_sync_stores(int fd)
{
	void *p = mmap(NULL, PROBE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED_VALIDATE | MAP_SYNC, fd, 0);

	if (p == MAP_FAILED)
		return 0;
	munmap(p, PROBE_SIZE);
	return 1;
}

static const struct probe probes[] = {
	{ "shared-mapping", can_share, DOCTOR_BAD, "stores of one process are seen by the others",
	  "use another file system" },
	{ "file-locks", can_lock, DOCTOR_BAD, "flock(2) and open file description locks", "use another file system" },
	{ "allocation", can_allocate, DOCTOR_DEGRADED, "fallocate(2)",
	  "a full disk may show as SIGBUS at a store, not as ENOSPC; keep room" },
	{ "holes", can_punch, DOCTOR_DEGRADED, "holes are punched", "freed space does not go back to the file system" },
	{ "seek-data", can_seek_data, DOCTOR_DEGRADED, "lseek(2) finds data between holes",
	  "check and cp read holes as well" },
	{ "attributes", can_set_attributes, DOCTOR_DEGRADED, "user.* extended attributes",
	  "segment files are known by their content alone" },
	{ "pmem", can_sync_stores, DOCTOR_DEGRADED, "MAP_SYNC: persistent memory",
	  "durability pmem needs a file system mounted with dax on persistent memory; disk works everywhere" },
};

void doctor_files(struct doctor *d, int dir)
{
	int fd = openat(dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600), error = errno;

	look_at_kind(d, dir);
	look_at_permission(d, dir);
	look_at_space(d, dir);
	doctor_say(d, "nameless-files", fd >= 0 ? DOCTOR_OK : DOCTOR_DEGRADED,
		   "new files get a temporary name first; a creation that is killed leaves it until the next join",
		   fd >= 0 ? "O_TMPFILE" : "O_TMPFILE: %s", strerror(error));
	for (size_t i = 0; i < sizeof(probes) / sizeof(probes[0]); i++) {
		const struct probe *p = &probes[i];

		if (fd < 0)
			doctor_say(d, p->check, DOCTOR_DEGRADED, "nothing is left behind by looking: this was not tried",
				   "%s: not tried without a nameless file", p->what);
		else if (p->works(fd))
			doctor_say(d, p->check, DOCTOR_OK, NULL, "%s", p->what);
		else
			doctor_say(d, p->check, p->otherwise, p->advice, "%s: %s", p->what,
				   errno ? strerror(errno) : "not here");
	}
	if (fd >= 0)
		close(fd);
}
