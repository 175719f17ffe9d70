#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The media are frozen: sas/media/layout_check.c, assertions on size and offset, compiles; it asserts
# something about each structure; and doc/FORMAT.md names each structure and each of its fields.

. "$(dirname "$0")/lib.sh"

for file in sas/media/layout.h sas/media/layout_check.c doc/FORMAT.md; do
	test -f "$top_srcdir/$file" || complain "$file: there is no such file"
done
test -s "$work/complaints" && verdict

${CC:-cc} -std=gnu11 -Wall -Werror -fsyntax-only -I"$top_builddir" -I"$top_srcdir/include" \
	-iquote "$top_srcdir/sas" "$top_srcdir/sas/media/layout_check.c" 2> "$work/errors" ||
	complain "$(cat "$work/errors")"

# "structure field" for each field, "structure" alone for the structure itself.
awk '/^struct sas_m_[a-z_]+ *\{/ { structure = $2; print structure; next }
     /^\}/ { structure = "" }
     structure != "" {
	sub(/\/\*.*/, ""); if ($0 !~ /;/) next
	sub(/;.*/, ""); gsub(/\[[^]]*\]/, ""); gsub(/,/, " ")
	for (i = 2; i <= NF; i++) print structure, $i
     }' "$top_srcdir/sas/media/layout.h" > "$work/fields"
test -s "$work/fields" || complain "sas/media/layout.h: no structure found"

while read -r structure field; do
	if test -z "$field"; then
		grep -qw "$structure" "$top_srcdir/sas/media/layout_check.c" ||
			complain "sas/media/layout_check.c: asserts nothing about $structure"
		grep -qw "$structure" "$top_srcdir/doc/FORMAT.md" ||
			complain "doc/FORMAT.md: does not describe struct $structure"
	else
		# A field is described in the section of its structure.
		awk -v name="$structure" -v field="$field" '
			/^#/ { here = 0 }
			$0 ~ "(^|[^a-z_])" name "([^a-z_]|$)" { here = 1 }
			here && $0 ~ "(^|[^a-zA-Z0-9_])" field "([^a-zA-Z0-9_]|$)" { found = 1 }
			END { exit !found }' "$top_srcdir/doc/FORMAT.md" ||
			complain "doc/FORMAT.md: field $field of struct $structure is not described in its section"
	fi
done < "$work/fields"

verdict "$(wc -l < "$work/fields") structures and fields are frozen and described"
