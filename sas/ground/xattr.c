/* SPDX-License-Identifier: MIT */
/*
 * xattr.c - set and get user.sasphere.* attributes. Layer 0.
 *
 * Crash: each attribute is set by one system call; a file that has only some of them is whole.
 */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "err.h"
#include "port.h"
#include "xattr.h"

#define NAME_SIZE 64

static int make_name(char name[NAME_SIZE], const char *key)
{
	int length = snprintf(name, NAME_SIZE, "%s%s", SAS_XATTR_PREFIX, key);

	if (length < 0 || length >= NAME_SIZE || *key == '\0')
		return sas_fail(EINVAL, "\"%s\" cannot be the name of an attribute", key);
	return 0;
}

int sas_xattr_set(int fd, const char *key, const void *value, size_t size)
{
	char name[NAME_SIZE];
	int error = make_name(name, key);

	if (error < 0)
		return error;
	error = sas_port->fsetxattr(fd, name, value, size);
	if (error == -ENOSYS || error == -EOPNOTSUPP)
		return -EOPNOTSUPP;
	if (error < 0)
		return sas_fail(-error, "cannot set the attribute %s: %s", name, strerror(-error));
	return 0;
}

ssize_t sas_xattr_get(int fd, const char *key, void *value, size_t size)
{
	char name[NAME_SIZE];
	ssize_t n = make_name(name, key);

	if (n < 0)
		return n;
	n = sas_port->fgetxattr(fd, name, value, size);
	if (n == -ENOSYS || n == -EOPNOTSUPP)
		return -EOPNOTSUPP;
	if (n < 0 && n != -ENODATA)
		return sas_fail((int)-n, "cannot read the attribute %s: %s", name, strerror((int)-n));
	return n;
}
