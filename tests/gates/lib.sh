# SPDX-License-Identifier: MIT
#
# What the gates share. A gate judges the tree $top_srcdir and what was built from it in
# $top_builddir; it prints a line per violation and exits 1 if there is one, 77 if it cannot judge.
# selftest.sh shows each of them a tree with a planted violation.

: "${top_srcdir:=$(cd "$(dirname "$0")/../.." && pwd)}"
: "${top_builddir:=$PWD}"
export LC_ALL=C

work=$(mktemp -d "${TMPDIR:-/tmp}/sasphere-gate.XXXXXX") || exit 99
trap 'rm -rf "$work"' EXIT
trap 'exit 129' HUP INT TERM
: > "$work/complaints"

# A violation. Also from subshells and pipelines.
complain() {
	printf '%s\n' "$*" >> "$work/complaints"
}

skip() {
	printf 'skipped: %s\n' "$*"
	exit 77
}

# The verdict; the last command of a gate. $1: what holds when there was no complaint.
verdict() {
	if test -s "$work/complaints"; then
		sort -u "$work/complaints" >&2
		exit 1
	fi
	printf '%s\n' "$1"
	exit 0
}

# The names in the version map.
map_names() {
	awk '/global:/ { on = 1; next } /local:/ { on = 0 }
	     on && /;/ { gsub(/[ \t;]/, ""); print }' "$top_srcdir/sas/sasphere.map" | sort
}
