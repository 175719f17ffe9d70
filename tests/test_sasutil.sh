#!/bin/bash
# SPDX-License-Identifier: MIT
#
# sasutil(1): what each command prints, its exit status, and that looking makes nothing and changes nothing.

. "$(dirname "$0")/cli.sh"
maker=$tool
tool=$top_builddir/utils/sasutil
test -x "$tool" || { echo "sasutil is not built"; exit 77; }

# --- usage, and stores that are not there

run --help; expect_like 0 '^ sasutil \[options\] COMMAND' 'help'
run -v; expect_like 0 '^sasutil from Sasphere [0-9.]+$' 'version'
run; expect 2 'no command' <<'TEXT'
sasutil: no command
Try 'sasutil --help' for more information.
TEXT
run frobnicate; expect_like 2 '^sasutil: unknown command: frobnicate$' 'unknown command'
run -x; expect_like 2 "^Try 'sasutil --help'" 'unknown option'
mkdir empty
for command in stat detail list "dump 0:1" path; do
	run -p empty $command; expect 1 "$command of an empty directory" <<< 'sasutil: empty: no region: there is no SAS00000.DAT'
	run -p nowhere $command; expect 1 "$command of nothing" <<< 'sasutil: nowhere: No such file or directory'
done
for command in recover "reset --yes" remove; do
	run -p empty $command; expect_like 1 '^sasutil: .*empty' "$command of an empty directory"
done
test -z "$(ls -A empty)" || complain "a command made a store"
test ! -e nowhere || complain "a command made a directory"
run map; expect_like 2 '^sasutil: map wants process ids$' 'map of nobody'
run map x; expect_like 2 '^sasutil: not a process id: x$' 'map of no number'
run map 4194999999; expect_like 1 '/proc/4194999999/maps: No such file' 'map of no process'
run map $$; expect_like 0 "^process $$\$" 'map'
expect_like 0 '^[0-9a-f]+-[0-9a-f]+ r-xp ' 'map: a line'

# --- looking

"$maker" create "${small[@]}" store || complain "there is no store"
start store 4096 16384 w:0x41000 r:0x42000
run -p store stat; expect 0 'stat' <<'TEXT'
use list                     compact
total in use                  276 KB
maximum depth                      1
entries                            3
total free                      0 KB
total uncommitted            1772 KB
total region free           63488 KB
total region used            2048 KB
anchor free space      1043584 bytes
TEXT
SASSTOREPATH=$work/store run stat; expect_like 0 '^total region used +2048 KB$' 'SASSTOREPATH'
before=$(fingerprint store)
run -p store detail -l -s
expect_like 0 '^ +1  0x565900000000 +256 KB$' 'detail: memory in use'
expect_like 0 '^ +1  0x565900200000 +2048 KB$' 'detail: region free'
expect_like 0 "^ +1  0x565900041000 write  held by thread $holder of process $holder\$" 'detail -l'
expect_like 0 "^ +2  0x565900042000 read   held by thread $holder of process $holder\$" 'detail -l: a reader'
expect_like 0 '^seized by nobody$' 'detail -s'
run -p store detail; grep -q 'locks\|seized' said && complain "detail without -l and -s tells of them"
test "$(grep -c '^[mr]e' said)" = 5 || complain "detail: not five sections: $(cat said)"
run -p store detail -x; expect_like 2 '^sasutil: detail takes -l and -s, not -x$' 'detail -x'
run -p store stat x; expect_like 2 '^sasutil: stat takes no argument$' 'stat x'
run -p store path; expect 0 'path' <<< "$work/store"
(cd store && "$tool" path) > said 2>&1; status=$?; expect 0 'path of the working directory' <<< "$work/store"
run -p store dump 0x565900000040:16 565901ffffff:1; expect 0 'dump' <<'TEXT'
565900000040   53 41 4e 43 48 4f 52 31  01 00 00 00 04 03 02 01  |SANCHOR1........|
565901ffffff   00                                                |.|
TEXT
run -p store dump 565900000000:64K; test "$(wc -l < said)" = 4096 || complain "dump of 64 KiB: $(wc -l < said) lines"
run -p store dump 0:16; expect_like 1 'not all in the region, 0x565900000000-0x565904000000$' 'dump outside'
run -p store dump 565900000000; expect_like 2 '^sasutil: not address:size: 565900000000$' 'dump without a size'
run -p store dump; expect_like 2 '^sasutil: dump wants address:size$' 'dump of nothing'
run -p store list; expect 0 'list' <<'TEXT'
0x565900040000  4 KB
0x565900044000  16 KB
TEXT
test "$(fingerprint store)" = "$before" || complain "looking changed a file"

# --- a region in use

run -p store reset --yes; expect_like 1 '^sasutil: store: 1 process has joined it; --force' 'reset of a region in use'
run -p store remove; expect_like 1 '^sasutil: store: 1 processes have joined it$' 'remove of a region in use'
finish

# Pointers and strings, in a block that begins at its own address.
printf '\0\0\0\0\131\126\0\0short\0abc\0a longer string' | { printf '\0\0\4\0'; tail -c +5; } |
	dd of=store/SAS00000.DAT bs=1 seek=$((0x40000)) conv=notrunc status=none
printf '\0\0\4\0\131\126\0\0' | dd of=store/SAS00000.DAT bs=1 seek=$((0x44100)) conv=notrunc status=none
before=$(fingerprint store)
run -p store list; expect 0 'list of words' <<'TEXT'
0x565900040000  4 KB
  +0x0         0x565900040000
  +0x8         "short"
  +0x12        "a longer string"
0x565900044000  16 KB
  +0x100       0x565900040000
TEXT
test "$(fingerprint store)" = "$before" || complain "list changed a file"

# --- changes

start store w:0x41000
kill -9 "$holder"; { wait "$holder"; } 2> /dev/null; exec 7>&-
run -p store detail -l; expect_like 0 "held by thread $holder of process $holder, which is dead\$" 'a dead holder'
run -p store recover; expect 0 'recover' <<< 'what the dead held has been given back'
run -p store detail -l; test "$(tail -1 said)" = locks || complain "recover left locks: $(tail -1 said)"
run -p store list; expect_like 0 '^  \+0x8 +"short"$' 'data after recover'
before=$(fingerprint store)
run -p store reset; expect 1 'reset that nobody confirms' <<< 'sasutil: store: not reset; --yes says that all data may be lost'
test "$(fingerprint store)" = "$before" || complain "a reset that was refused changed a file"
run -p store reset -x; expect_like 2 '^sasutil: unknown argument: -x$' 'reset -x'
run -p store reset -y; expect 0 'reset' < /dev/null
run -p store list; expect 0 'after the reset' < /dev/null
touch store/notes
run -p store remove; expect 0 'remove' < /dev/null
test "$(ls store)" = notes || complain "remove left, or removed, the wrong files: $(ls store)"

echo "$checks checks, $failures failures"
test "$failures" = 0
