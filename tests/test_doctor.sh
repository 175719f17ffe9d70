#!/bin/bash
# SPDX-License-Identifier: MIT
#
# sasphere doctor: what it says of a region, of directories that are good for none, and of limits; that it leaves nothing behind.

test -z "${SAS_BASE-}" || { echo "the addresses that it looks for are the sanitizer's or the emulator's own"; exit 77; }
. "$(dirname "$0")/cli.sh"

mkdir store empty
run create --base 0x565900000000 -r 64M -s 2M store; expect 0 'create' < /dev/null

state_of() { run doctor -no check,state "$1"; sed -n "s/^$2  *//p" said; }
run doctor store; expect_like 0 '^CHECK +STATE +DETAIL +ADVICE' 'doctor'
expect_like 0 '^region +ok +[0-9a-f-]{36}, format 1 *$' 'doctor: the region'
expect_like 0 '^region-addresses +ok +0x565900000000-0x565904000000 is free *$' 'doctor: its addresses'
expect_like 0 '^file-system +(ok|degraded) ' 'doctor: the file system'
expect_like 0 '^robust-locks +ok ' 'doctor: robust locks'
run doctor -J -o check,state empty; expect_like 0 '^ +"check": "region",$' 'doctor --json'
run doctor -o check,state empty; expect_like 0 '^shared-mapping +ok$' 'doctor: mappings'
test -z "$(ls -A empty)" || complain "doctor left a file"
run doctor nowhere; expect 2 'doctor of nothing' <<< 'sasphere doctor: nowhere: No such file or directory'
run doctor -o nonsense empty; expect_like 2 '^sasphere doctor: --output: unknown column: nonsense$' 'doctor: bad column'
run doctor /proc; expect_like 1 '^space +bad +0 free' 'doctor where nothing can be written'
expect_like 1 '^nameless-files +degraded ' 'doctor without nameless files'
expect_like 1 '^holes +degraded .* not tried ' 'doctor: not tried'
poke store/SAS00000.DAT 130
test "$(state_of store region)" = bad || complain "doctor takes a broken anchor for good"
poke store/SAS00000.DAT 130
# Sanitizers need more address space than that before they begin.
(ulimit -v 4000000; run doctor -o check,state empty; grep -q Sanitizer said ||
	{ grep -q '^addresses  *degraded$' said && grep -q '^address-limit  *degraded$' said; }) ||
	complain "doctor under ulimit -v: $(head -5 said)"
start store
kill -9 "$holder"; { wait "$holder"; } 2> /dev/null; exec 7>&-
test "$(state_of store region-state)" = degraded || complain "doctor does not see the dead"
start store; finish
test "$(state_of store region-state)" = ok || complain "doctor sees dead who have been recovered"

echo "$checks checks, $failures failures"
test "$failures" = 0
