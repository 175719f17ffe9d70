#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The examples of the tools' pages are true: each command of a page is run, in a scene made for that page, and says what
# the page says. The pages' /srv, /backup, /mnt and /tmp lie in this test's directory; UUIDs, times, process ids and
# the widths of columns may differ.

test -z "${SAS_BASE-}" || { echo "the examples' addresses are the sanitizer's or the emulator's own"; exit 77; }
. "$(dirname "$0")/cli.sh"
test "$(id -u)" = 0 || { echo "the examples are root's"; exit 77; }
work=$(pwd -P)
export PATH=$top_builddir/utils:$PATH SAS_BASE=0x480000000000 SAS_SEGMENT_SIZE= SAS_REGION_SIZE=

# --- scenes: NAME before the page, NAME_N before its Nth block of examples

create() { "$tool" create "$@" > said 2>&1 || complain "a scene: $(cat said)"; }
graph() { create "$work/srv/graph"; }

first='' second=''
begin() # one who holds, 41175 in the pages
{
	start "$@"
	first=$holder
}
wait_for() # DIRECTORY MODE:OFFSET: one who waits, 41209 in the pages
{
	mkfifo leash
	"$hold" "$@" < leash > waited 2>&1 7>&- &
	second=$!
	exec 8> leash
	rm leash
	until "$tool" locks "$1" | grep -q " waits  *$second "; do
		kill -0 "$second" 2> /dev/null || { complain "who waits: $(cat waited)"; return; }
		read -r -t 0.02 < /dev/zero 2> /dev/null || :
	done
}
end_scene()
{
	exec 7>&- 8>&-
	for pid in $first $second; do wait "$pid"; done
	first='' second=''
}

scene_sasphere_addr() { graph; begin "$work/srv/graph" 4096; }
scene_sasphere_check()
{
	create --region-size 1G --segment-size 2M "$work/srv/graph"
	begin "$work/srv/graph" 2097152 2097152 2097152
	end_scene
	"$tool" cp "$work/srv/graph" "$work/mnt/half-a-copy"
	rm "$work/mnt/half-a-copy/SAS00003.DAT"
}
scene_sasphere_check_2() { printf x | dd of="$work/srv/graph/SAS00002.DAT" bs=1 seek=2097172 conv=notrunc status=none; }
objects() { SASSTOREPATH=$1 "$top_builddir/tests/make_objects" > said 2>&1 || complain "a scene: $(cat said)"; }
scene_sasphere_check_3() { rm -r "$work/srv/graph"; graph; objects "$work/srv/graph"; }
scene_sasphere_check_4() { printf pZ | dd of="$work/srv/graph/SAS00000.DAT" bs=1 seek=1065024 conv=notrunc status=none; }
scene_sasphere_cp() { graph; begin "$work/srv/graph" 4096 4194304; end_scene; }
scene_sasphere_cp_2() { rm -r "$work/backup/graph"; begin "$work/srv/graph"; }
scene_sasphere_ctx() { create "$work/srv/images"; SASSTOREPATH=$work/srv/images "$top_builddir/examples/context" > said; }
scene_sasphere_doctor() { graph; }
scene_sasphere_index() { graph; objects "$work/srv/graph"; }
scene_sasphere_info() { graph; begin "$work/srv/graph" 4096 4194304; }
scene_sasphere_locks() { graph; begin "$work/srv/graph" 4096 w:0x100000; wait_for "$work/srv/graph" r:0x100000; }
scene_sasphere_locks_2() { kill -9 "$second"; { wait "$second"; } 2> /dev/null; kill -9 "$first"; { wait "$first"; } 2> /dev/null; }
scene_sasphere_ls() { graph; begin "$work/srv/graph" 4096; }
scene_sasphere_ps() { scene_sasphere_locks; }
scene_sasphere_rm() { graph; touch "$work/srv/graph/notes.txt"; }
scene_sasutil() { graph; begin "$work/srv/graph" 4096; end_scene; }

# --- a page

# Its blocks of examples, a line with only "@" before each, as text.
examples_of()
{
	sed -n '/^\.SH EXAMPLES/,/^\.SH SEE/p' "$1" |
		awk '/^\.EX/ { print "@"; on = 1; next } /^\.EE/ { on = 0 } on' | sed 's/\\f[BPRI]//g; s/\\-/-/g; s/\\e/\\/g'
}

# What may differ is made the same.
mask()
{
	sed -E "s,$work,,g
		s/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/UUID/g
		s/20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:.]+\+0000/TIME/g
		${first:+s/\b$first\b/41175/g}
		${second:+s/\b$second\b/41209/g}
		s/  */ /g
		s/^ //
		s/ \$//" | grep -v '^$'
}

in_here() { sed -E "s,(^|[ =\"'])(/srv|/backup|/mnt|/tmp|/no/such)\b,\1$work\2,g"; }

scene() { if declare -F "scene_$1" > /dev/null; then "scene_$1"; fi; }

# Run what stands behind "$ ", and compare what follows.
play()
{
	local name=$1 command=$2
	test -n "$command" || return
	checks=$((checks + 1))
	eval "$(in_here <<< "$command")" > said 2>&1 < /dev/null
	mask < said > has
	mask < "$work/wanted" > wants
	diff -u wants has > differs || { complain "$name: $command"; cat differs; }
}

show_page()
{
	local page=$1 name=$2 block=0 command='' line
	rm -rf "$work/srv" "$work/backup" "$work/mnt" "$work/tmp"
	mkdir "$work/srv" "$work/backup" "$work/mnt" "$work/tmp"
	unset SASSTOREPATH
	scene "$name"
	: > wanted
	while IFS= read -r line; do
		case $line in
		@)	play "$page" "$command"
			command=''
			block=$((block + 1))
			scene "${name}_$block" ;;
		'$ '*)	play "$page" "$command"
			command=${line#'$ '}
			: > wanted ;;
		*)	printf '%s\n' "$line" >> wanted ;;
		esac
	done < examples
	play "$page" "$command"
	end_scene 2> /dev/null
}

for page in "$top_srcdir"/man/*.1; do
	name=$(basename "$page" .1)
	test "$name" != sasutil || test -x "$top_builddir/utils/sasutil" || continue
	examples_of "$page" > examples
	before=$checks
	grep -q '^\$ ' examples || complain "$name: there is no example"
	show_page "$name" "${name//-/_}"
	test "$checks" -gt "$before" || complain "$name: no example was run"
done

echo "$checks examples, $failures failures"
test "$failures" = 0
