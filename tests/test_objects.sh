#!/bin/bash
# SPDX-License-Identifier: MIT
#
# sasphere check and sasphere index on a region with objects: what they print, that looking changes nothing, what they say of damage.

. "$(dirname "$0")/cli.sh"
make_objects=$top_builddir/tests/make_objects
test -x "$make_objects" || { echo "make_objects is not built"; exit 77; }

run create "${small[@]}" store; expect 0 'create' < /dev/null
SASSTOREPATH=$work/store "$make_objects" > objects || { complain "make_objects"; exit 1; }
where() { awk -v name="$1" '$1 == name { print $2 }' objects; }
heap=$(where heap) index=$(where index) strings=$(where strings) stack=$(where stack)
before=$(fingerprint store)
same() { test "$(fingerprint store)" = "$before" || complain "$1 changed the region"; }

# --- check

run check store; expect 0 'check' <<< 'store: good'
run check -q store; expect 0 'check --quiet' < /dev/null
run check -qO store; expect 0 'check --quiet --objects' < /dev/null
run check --json store; expect 0 'check --json' <<'TEXT'
{
   "problems": []
}
TEXT
run check --objects store
expect_like 0 "^$heap simple heap +16K +0 +0 good$" 'check --objects: a heap'
expect_like 0 "^$index index +64K +3 finder +0 good$" 'check --objects: what the finder leads to'
expect_like 0 " 0x80123400 +4K +0 +0 unknown$" 'check --objects: the program'"'"'s own'
context=$(where context)
expect_like 0 "^$context context +16K +0 +0 good$" 'check --objects: a context'
expect_like 0 "^$strings string tree +32K +1 context +0 good$" 'check --objects: what a context has names of'
expect_like 0 '^store: good$' 'check --objects: the last line'
run check -OJ store; expect_like 0 '^   "objects": \[$' 'check --objects --json'
expect_like 0 '^ +"reached": "finder",$' 'check --objects --json'
grep -q good$ said && complain 'a line behind JSON'
same check

# poke_at ADDRESS OFFSET
segment=$((2 << 20))
poke_at()
{
	local offset=$(($1 + $2 - 0x565900000000))
	poke "store/SAS0000$((offset / segment)).DAT" $((offset % segment))
}
poke_at "$stack" 64
run check store
expect_like 1 "^SAS0000[0-9]+\.DAT: offset [0-9]+: simple stack $stack: a stack of 16384 bytes is filled up to 0x" 'check of damage'
expect_like 1 '^store: the region is bad$' 'the last line'
run check -q store; expect 1 'check --quiet of damage' < /dev/null
run check -J store; expect_like 1 "\"problem\": \"simple stack $stack: a stack" 'check --json of damage'
run check -O store; expect_like 1 "^$stack simple stack +16K +0 +0 bad$" 'check --objects of damage'
expect_like 1 '^store: the region is bad$' 'check --objects of damage'
poke_at "$stack" 64
poke_at "$index" 3338 # the pointer to the root
run check store; expect_like 1 "^SAS.*: index $index, at 0x[0-9a-f]+: a pointer does not lead to a node$" 'a pointer elsewhere'
run index stat -p store "$index"; expect_like 1 "^sasphere index: the index at $index is broken: 0x[0-9a-f]+: a pointer does not" 'stat of a broken one'
run index dump -p store "$index"; expect_like 1 "^sasphere index: the index at $index is broken" 'dump of a broken one'
poke_at "$index" 3338
run check store; expect 0 'mended' <<< 'store: good'

# --- index stat

before=$(fingerprint store)
run index stat -p store -o type,keys,depth,leaves,inner,page; expect 0 'index stat' <<'TEXT'
TYPE        KEYS DEPTH LEAVES INNER PAGE
index       2000     2     33     1   1K
string tree  600     2     14     1   1K
string tree   60     1      1     0   4K
index        101     1      1     0   4K
TEXT
run index stat -p store -bno keybytes,perkey,address "$strings" finder; expect 0 'index stat of two' <<TEXT
    7795     26 $strings
   16000     17 $index
TEXT
SASSTOREPATH=$work/store run index stat -J -o keys,fill finder; expect 0 'index stat --json' <<'TEXT'
{
   "trees": [
      {
         "keys": 2000,
         "fill": 78
      }
   ]
}
TEXT

# --- index dump

run index dump -p store finder --limit 2; expect 0 'index dump' <<'TEXT'
KEY                VALUE
0x000000000000000a 0x000000000002
0x0000000000000014 0x000000000003
TEXT
run index dump -p store -n "$index" -f 24985; expect 0 'index dump --from' <<'TEXT'
0x000000000000619e 0x0000000009c4
TEXT
run index dump -p store -no key "$index" -f 0x61 -l 1; expect 0 'index dump --from 0x61' <<< 0x000000000000006e
run index dump -p store -no key "$index" -f 0x000000000000006e000000000000000000 -l 1
expect 0 'index dump --from a longer key' <<< 0x0000000000000078
run index dump -p store -n "$index" -f 99999; expect 0 'index dump from behind the last' < /dev/null
run index dump -p store -J "$strings" -f 'key 000598'; expect 0 'index dump --json' <<'TEXT'
{
   "keys": [
      {
         "key": "key 000598...",
         "value": "0x000000000257"
      },{
         "key": "key 000599....",
         "value": "0x000000000258"
      }
   ]
}
TEXT
run index dump -p store -no key "$strings" -f 'key\x20000001' -l 1; expect 0 'an escaped key' <<< 'key 000001.'
run index dump -p store "$index"; lines=$(wc -l < said)
test "$lines" = 2001 || complain "dump shows $lines lines"
same index

# --- what they refuse

run index; expect_like 2 'no subcommand: stat or dump' 'index'
run index frob; expect_like 2 'no such subcommand: frob' 'index frob'
run index dump -p store; expect_like 2 'dump shows one tree' 'dump of nothing'
run index dump -p store finder finder; expect_like 2 'dump shows one tree' 'dump of two'
run index stat -p store -l 3; expect_like 2 'are for dump' 'stat --limit'
run index dump -p store -l 0 finder; expect_like 2 'limit: not a number of keys: 0' '--limit 0'
run index dump -p store -f frob finder; expect_like 2 'from: no key of this tree: frob' 'a key that is none'
run index stat -p store frob; expect 1 'a path without a context' <<< 'sasphere index: store: the finder leads to no context'
run index stat -p store "$heap"; expect 1 'stat of a heap' <<TEXT
sasphere index: store: no index or string tree begins at $heap
TEXT
run index stat -p store 0; expect_like 1 'no index or string tree begins at 0' 'stat of nothing'
run index stat -p nowhere; expect_like 1 'nowhere: No such file' 'stat of no region'

# --- paths

run create "${small[@]}" named; expect 0 'create' < /dev/null
SASSTOREPATH=$work/named "$make_objects" context > objects || complain "make_objects context"
run index stat -p named -no address "name 0" "$(where index)"; expect 0 'stat of a path' < <(printf '%s\n' "$(where strings)" "$(where index)")
run index dump -p named -no key "name 0" -l 1; expect 0 'dump of a path' <<< 'key 000000'
run index dump -p named frob; expect 1 'a path to nowhere' <<< 'sasphere index: frob: no such name'
run index stat -p named plain; expect 1 'a path to no tree' <<< 'sasphere index: named: no index or string tree begins at plain'
run index dump -p named finder; expect 1 'a finder that leads to no tree' <<< 'sasphere index: named: no index or string tree begins at finder'

# --- in use

start store
run index stat -p store -no keys; expect 0 'stat of a tree in use' <<'TEXT'
2000
 600
  60
 101
TEXT
run check store; expect_like 0 '1 process has joined: objects that are in use are not checked' 'check of a region in use'
run check -q store; expect 0 'check --quiet of a region in use' < /dev/null
finish

echo "$checks checks, $failures failures"
test "$failures" = 0
