#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Each public call has a page in section 3, each page names what it is the page of, and groff (and
# mandoc, where it is installed) finds nothing to say about any page.

. "$(dirname "$0")/lib.sh"
cd "$top_srcdir/man" || exit 99
command -v groff > /dev/null || skip "there is no groff"

map_names > "$work/names"
while read -r name; do
	test -f "$name.3" || complain "$name: no page man/$name.3"
done < "$work/names"

for page in *.[1-8]; do
	test -f "$page" || continue
	name=${page%.*}
	target=$(sed -n 's/^\.so man[1-8]\///p' "$page")
	if test -n "$target"; then
		if test ! -f "$target"; then
			complain "man/$page: leads to $target, which is not there"
		elif ! sed -n '/^\.SH NAME/,/^\.SH SYN/p' "$target" | tr -d '\\' | grep -qw -e "$name"; then
			complain "man/$page: leads to $target, whose NAME section does not name it"
		fi
		continue
	fi
	groff -man -Tutf8 -ww -z "$page" > "$work/said" 2>&1
	sed "s,^,groff: ," "$work/said" | while read -r line; do complain "$line"; done
	if command -v mandoc > /dev/null; then
		mandoc -T lint -W warning "$page" > "$work/said" 2>&1
		sed "s,^mandoc: ,mandoc: man/," "$work/said" | while read -r line; do complain "$line"; done
	fi
	# A call's page says what it returns and which errors it gives.
	case $page in
	*.3)	grep -q '^\.SH "*RETURN VALUE' "$page" || complain "man/$page: no section RETURN VALUE" ;;
	esac
	tr -d '\\' < "$page" | sed -n '/^\.SH NAME/,/^\.SH SYN/p' | grep -qw -e "$name" ||
		complain "man/$page: its NAME section does not name $name"
done

verdict "$(wc -l < "$work/names") calls have pages; $(ls *.[1-8] | wc -l) pages are silent"
