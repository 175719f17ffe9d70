#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The public headers, the version map and the shared library have the same names.

. "$(dirname "$0")/lib.sh"

library=${SASPHERE_LIBRARY:-$top_builddir/.libs/libsasphere.so}
test -f "$library" || skip "$library is not built"
command -v nm > /dev/null || skip "there is no nm"

map_names > "$work/map"
nm -D --defined-only "$library" |
	awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort > "$work/library"

# "extern __C__ type Name (" and, of data, "extern __C__ type name;", also where a declaration takes several lines.
declared() {	# headers...
	cat "$@" | tr '\n' ' ' | sed 's,/\*[^*]*\*\**\([^/*][^*]*\*\**\)*/,,g' |
		grep -o 'extern __C__ [^;{(]*[(;]' | sed 's/ *[(;]$//; s/.*[ *]//' | sort
}
archives='sphgettime sphgtod'
declared $(ls "$top_srcdir"/include/*.h | grep -v -e /sphgettime.h -e /sphgtod.h) > "$work/headers"

compare() {
	comm -23 "$work/$1" "$work/$2" | while read -r name; do
		complain "$name: in the $1, not in the $2"
	done
}
compare map library
compare library map
compare map headers
compare headers map
test -s "$work/map" || complain "the map is empty"

# The static libraries define what their headers declare, and nothing else.
for name in $archives; do
	archive=$top_builddir/lib$name.a
	test -f "$archive" || continue
	declared "$top_srcdir/include/$name.h" > "$work/$name.h"
	nm --defined-only -g "$archive" | awk 'NF == 3 { print $3 }' | sort > "$work/lib$name.a"
	compare "$name.h" "lib$name.a"
	compare "lib$name.a" "$name.h"
done

nm -D --defined-only "$library" | awk '$2 != "A" && $3 !~ /@@SASPHERE_[0-9]/ { print $3 }' |
	while read -r name; do complain "$name: exported without a version"; done

verdict "$(wc -l < "$work/map") names are the same in headers, map and library"
