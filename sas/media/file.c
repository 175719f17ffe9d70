/* SPDX-License-Identifier: MIT */
/*
 * file.c - making a file of the region whole before it has its name; the anchor file's lock.
 *
 * O_TMPFILE and linkat(2) where they work: a death leaves nothing. Else a temporary name, under a file
 * lock as long as its maker lives; sas_file_sweep() deletes those whose lock is free.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include "ground/err.h"
#include "ground/port.h"
#include "segment.h"

#define NAME_SIZE 64

struct made {
	int dir, fd;
	char temporary[NAME_SIZE];      /* "": it has no name */
};

static int open_named(struct made *m, unsigned mode)
{
	uint64_t random;
	int error = sas_port_random(&random, sizeof random);

	if (error)
		return error;
	snprintf(m->temporary, sizeof m->temporary, SAS_TEMPORARY_PREFIX "%016llx", (unsigned long long)random);
	m->fd = sas_port->openat(m->dir, m->temporary, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	if (m->fd < 0)
		return m->fd;
	return sas_port->flock(m->fd, LOCK_EX | LOCK_NB);
}

static int open_made(struct made *m, unsigned mode, int named)
{
	m->temporary[0] = 0;
	m->fd = named ? -EOPNOTSUPP : sas_port->openat(m->dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, mode);
	if (m->fd == -EOPNOTSUPP || m->fd == -EISDIR || m->fd == -EINVAL || m->fd == -ENOENT)
		return open_named(m, mode);
	return m->fd < 0 ? m->fd : 0;
}

static int set_owner(int fd, unsigned mode, uid_t uid, gid_t gid)
{
	struct stat st;
	int error = mode ? sas_port->fchmod(fd, mode) : 0;

	if (!error)
		error = sas_port->fstat(fd, &st);
	if (error || uid == (uid_t)-1)
		return error;
	/* A region that its group writes has files of several owners. */
	if (st.st_gid != gid || (st.st_uid != uid && !(mode & 0020))) {
		error = sas_port->fchown(fd, mode & 0020 ? (uid_t)-1 : uid, gid);
		if (!error)     /* a change of owner clears bits of the mode */
			error = sas_port->fchmod(fd, mode);
	}
	return error;
}

static int put_in_place(struct made *m, const char *name)
{
	char link[32];

	if (m->temporary[0])
		return sas_port->linkat(m->dir, m->temporary, m->dir, name, 0);
	snprintf(link, sizeof link, "/proc/self/fd/%d", m->fd);
	return sas_port->linkat(AT_FDCWD, link, m->dir, name, AT_SYMLINK_FOLLOW);
}

static void finish(struct made *m)
{
	if (m->temporary[0])
		sas_port->unlinkat(m->dir, m->temporary, 0);
	if (m->fd >= 0)
		sas_port->close(m->fd);
}

struct request {
	const char *name;
	unsigned mode;
	uid_t uid;
	gid_t gid;
	int (*fill)(int fd, void *arg);
	void *arg;
};

static int make_once(int dir, const struct request *q, int named)
{
	struct made m = { .dir = dir, .fd = -1 };
	int error = open_made(&m, q->mode ? q->mode : 0666, named);

	if (!error)
		error = set_owner(m.fd, q->mode, q->uid, q->gid);
	if (!error)
		error = q->fill(m.fd, q->arg);
	if (!error)
		error = sas_port->fsync(m.fd);
	if (!error)
		error = put_in_place(&m, q->name);
	finish(&m);
	return error;
}

int sas_file_publish(int dir, const char *path, const char *name, unsigned mode, uid_t uid, gid_t gid,
		     int (*fill)(int fd, void *arg), void *arg)
{
	struct request q = { name, mode, uid, gid, fill, arg };
	int error = make_once(dir, &q, 0);

	if (error == -ENOENT)           /* no /proc to link a nameless file by */
		error = make_once(dir, &q, 1);
	if (error && error != -EEXIST)
		return sas_fail(-error, "%s/%s: cannot be created: %s", path, name, strerror(-error));
	return error;
}

struct entry { uint64_t inode; int64_t next; unsigned short length; unsigned char type; char name[]; };

int sas_directory_each(int dir, int (*see)(int dir, const char *name, void *arg), void *arg)
{
	char buffer[32768] __attribute__((aligned(8)));
	ssize_t got;
	int error = 0, fd = sas_port->openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);

	if (fd < 0)
		return fd;
	while (!error && (got = sas_port->getdents64(fd, buffer, sizeof buffer)) != 0) {
		if (got < 0)
			error = (int)got;
		for (ssize_t at = 0; at < got && !error; at += ((struct entry *)(buffer + at))->length)
			error = see(dir, ((struct entry *)(buffer + at))->name, arg);
	}
	sas_port->close(fd);
	return error;
}

struct sweep { void (*told)(const char *name, void *arg); void *arg; };

static int sweep_one(int dir, const char *name, void *arg)
{
	const struct sweep *sweep = arg;
	int fd;

	if (strncmp(name, SAS_TEMPORARY_PREFIX, sizeof SAS_TEMPORARY_PREFIX - 1) != 0)
		return 0;
	fd = sas_port->openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0);
	if (fd < 0)
		return 0;
	if (sas_port->flock(fd, LOCK_EX | LOCK_NB) == 0 && sas_port->unlinkat(dir, name, 0) == 0 && sweep->told)
		sweep->told(name, sweep->arg);
	sas_port->close(fd);
	return 0;
}

int sas_file_sweep(int dir, void (*told)(const char *name, void *arg), void *arg)
{
	struct sweep sweep = { told, arg };

	return sas_directory_each(dir, sweep_one, &sweep);
}

int sas_file_lock_anchor(const char *path, int fd, int how)
{
	uint64_t until = sas_port->now_ns() + 10000000000ULL;
	int error;

	while ((error = sas_port->flock(fd, how | LOCK_NB)) == -EAGAIN) {
		if (sas_port->now_ns() > until)
			return sas_fail(EBUSY, "%s: somebody is joining, copying, resetting or removing it", path);
		sched_yield();
	}
	return error ? sas_fail(-error, "%s/" SAS_ANCHOR_NAME ": cannot be locked: %s", path, strerror(-error)) : 0;
}
