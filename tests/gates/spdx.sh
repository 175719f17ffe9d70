#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Each source file says its licence in its first three lines.

. "$(dirname "$0")/lib.sh"
cd "$top_srcdir" || exit 99

{
	ls configure.ac Makefile.am bootstrap quickstart run-tests .ci/run build-aux/setup.sh
	ls ./*.in | grep -v -e Makefile.in -e config.h.in -e '\.pc\.in$'
	find sas sph include utils man tests bench examples doc -type f ! -name '*.md' ! -name '*.txt' ! -name '*.svg' ! -name '.*' ! -path '*/corpus/*' ! -path '*/corpus-objects/*'
} 2> /dev/null | sed 's,^\./,,' | sort -u > "$work/files"

while read -r file; do
	head -n 3 "$file" | grep -q 'SPDX-License-Identifier: MIT' || complain "$file: no SPDX line"
done < "$work/files"
grep -q '^MIT License' LICENSE || complain "LICENSE: not the MIT licence"

verdict "$(wc -l < "$work/files") files say their licence"
