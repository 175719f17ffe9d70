#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Each public header is complete in itself, whatever stands before it, in C and in C++, with strict
# warnings; and two files of one program can both include all of them. The orders are the
# rotations of the list: among them each header comes first, and each pair stands both ways.

. "$(dirname "$0")/lib.sh"

CC=${CC:-cc}
CXX=${CHECK_CXX-c++}
warnings='-Wall -Wextra -Werror -Wwrite-strings'

compile() {	# language file: told by its first words, -x language -std=...
	language=$1
	file=$2
	shift 2
	case $language in
	gnu*)	compiler="$CC -x c" ;;
	*)	compiler="$CXX -x c++" ;;
	esac
	$compiler -std="$language" $warnings -I"$top_srcdir/include" "$@" "$file" 2> "$work/errors"
}

headers=$(cd "$top_srcdir/include" && ls *.h)
test -n "$headers" || complain "include/: no header"
languages='gnu11 gnu17'
command -v "${CXX%% *}" > /dev/null 2>&1 && languages="$languages c++11"

for language in $languages; do
	rest=$headers
	for first in $headers; do
		rest="${rest#*"$first"} $first"
		printf '#include <%s>\n' $rest > "$work/all.c"
		compile "$language" "$work/all.c" -fsyntax-only ||
			complain "$first first, as $language: $(head -n 5 "$work/errors")"
		printf '#include <%s>\n' "$first" "$first" > "$work/one.c"
		compile "$language" "$work/one.c" -fsyntax-only ||
			complain "$first alone, as $language: $(head -n 5 "$work/errors")"
	done
done

# Two files, one program.
printf '#include <%s>\n' $headers > "$work/a.c"
{ cat "$work/a.c"; echo 'int other(void); int other(void) { return 0; }'; } > "$work/b.c"
echo 'int main(void) { return 0; }' >> "$work/a.c"
for language in $languages; do
	compile "$language" "$work/a.c" -c -o "$work/a.o" && compile "$language" "$work/b.c" -c -o "$work/b.o" &&
		$CC "$work/a.o" "$work/b.o" -o "$work/program" 2> "$work/errors" ||
		complain "two files in one program, as $language: $(head -n 5 "$work/errors")"
done

verdict "$(echo $headers | wc -w) headers hold in every order, as: $languages"
