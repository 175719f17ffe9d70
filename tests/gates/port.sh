#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Files and mappings are touched through the port table alone: no object but port.o refers to the
# C library's functions for them. (SAS_LOG's file is opened in err.o, with stdio.)

. "$(dirname "$0")/lib.sh"

archive=$top_builddir/.libs/libsas_internal.a
test -f "$archive" || skip "$archive is not built"
command -v nm > /dev/null || skip "there is no nm"

calls='access|chmod|chown|close|creat|fallocate|fchmod|fchmodat|fchown|fcntl|fdatasync|fgetxattr|flock|fopen
fsetxattr|fstat|fstatat|fstatfs|fsync|ftruncate|get_mempolicy|getdents|getrandom|link|linkat|lseek|lstat|madvise|mbind|mkdir
mkdirat|mmap|mprotect|mremap|msync|munlock|munmap|open|openat|opendir|posix_fallocate|pread|preadv|pwrite|pwritev|read
readdir|rename|renameat|rmdir|stat|statfs|statvfs|sync_file_range|truncate|unlink|unlinkat|write'
calls=$(printf '%s' "$calls" | tr '\n' '|')

nm -A -u "$archive" 2> /dev/null |
	awk -v calls="^($calls)(64)?(@.*)?$" '{
		object = $1; sub(/:$/, "", object); sub(/^.*[:\/]/, "", object); sub(/^libsas_internal_la-/, "", object)
		if ($NF !~ calls || object == "port.o" || object == "err.o") next
		print object ": calls " $NF "() instead of sas_port->..."
	}' > "$work/found"
while read -r line; do complain "$line"; done < "$work/found"

verdict "only port.o makes system calls on files and mappings"
