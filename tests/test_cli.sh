#!/bin/bash
# SPDX-License-Identifier: MIT
#
# sasphere(1): what each command prints, its exit status, that looking changes nothing, and that
# damaged files are refused with a sentence.

. "$(dirname "$0")/cli.sh"

# --- usage

run --help; expect_like 0 '^ check +check a region' 'help'
run --version; expect 0 'version' <<< "sasphere from Sasphere $("$tool" -V | sed 's/.* //')"
run; expect_like 2 '^sasphere: no command$' 'no command'
run frobnicate; expect 2 'unknown command' <<'TEXT'
sasphere: unknown command: frobnicate
Try 'sasphere --help' for more information.
TEXT
for command in create info ls index locks ps check cp rm doctor; do
	run "$command" --help; expect_like 0 "^ sasphere $command " "$command --help"
	expect_like 0 "^For more details see sasphere-$command\(1\)\.$" "$command --help"
	run "$command" --version
	expect_like 0 "^sasphere $command from Sasphere [0-9.]+$" "$command --version"
	run "$command" --nonsense; expect 2 "$command --nonsense" <<TEXT
sasphere $command: unrecognized option '--nonsense'
Try 'sasphere $command --help' for more information.
TEXT
	run "$command" a b c; expect_like 2 "^Try 'sasphere $command --help'" "$command a b c"
done

# --- create

run create "${small[@]}" --huge hugetlb --numa interleave-segments:0-1 wishes
expect_like 0 'wishes: it has not the huge pages that it was made for: the directory is not on hugetlbfs' 'create with wishes'
run info -o NUMA,NODES,HUGE,HUGEREASON wishes
expect_like 0 '^NUMA +interleave-segments$' 'info shows the policy'
expect_like 0 '^HUGEREASON +the directory is not on hugetlbfs' 'info shows why there are no huge pages'
run info -J -o NODES,HUGE wishes; expect_like 0 '"huge": "hugetlb"' 'info shows wishes as JSON'
attributes='complete|unsupported'
run info -no ATTRIBUTES wishes; expect_like 0 "^($attributes)$" 'info shows attributes'
run ls -n -k segments -o attributes wishes; expect_like 0 "^($attributes)$" 'ls shows attributes'
run rm wishes; expect 0 'rm of a region with wishes' < /dev/null

run create "${small[@]}" store; expect 0 'create' < /dev/null
run create "${small[@]}" store
expect_like 1 '^sasphere create: .*/store: holds a region already$' 'create where there is one'
run create --base 12345 new; expect_like 1 'base 0x3039.*not a multiple of 2 MiB' 'create at a bad base'
test ! -e new || complain "a create that failed left its directory"
run create --region-size 3x new; expect 2 'bad size' <<'TEXT'
sasphere create: --region-size: not a size: 3x
Try 'sasphere create --help' for more information.
TEXT
run create --mode 999 new; expect_like 2 'not a file mode: 999' 'bad mode'
run create --durability forever new; expect_like 2 'durability: unknown: forever' 'bad durability'
run create --numa near:0 new; expect_like 2 'numa: unknown: near' 'bad policy'
run create --huge tiny new; expect_like 2 'huge: unknown: tiny' 'bad pages'
run create "${small[@]}" no/such/place; expect_like 1 '^sasphere create: no/such/place' 'no parent'
run create "${small[@]}" --mode 0640 --sparse --durability disk other
expect 0 'create with options' < /dev/null
run info -n -o mode,sparse,durability,segsize,size other; expect 0 'its options' <<'TEXT'
0640
1
disk
2M
64M
TEXT
test "$(stat -c %a other/SAS00000.DAT)" = 640 || complain "mode of the anchor file"

# --- info and ls, of an empty region

run info -o base,size,segsize,segments,segmax,used,blocks,mode,durability,clean,alive,dead,intents store
expect 0 'info' <<'TEXT'
BASE        0x565900000000
SIZE        64M
SEGSIZE     2M
SEGMENTS    1
SEGMAX      32
USED        0
BLOCKS      0
MODE        0644
DURABILITY  process
CLEAN       1
ALIVE       0
DEAD        0
INTENTS     0
TEXT
run info --json --bytes -o base,size,clean store; expect 0 'info --json' <<'TEXT'
{
   "region": [
      {
         "base": "0x565900000000",
         "size": 67108864,
         "clean": true
      }
   ]
}
TEXT
run info -o uuid store
expect_like 0 '^UUID  [0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' 'uuid'
run info -o created store; expect_like 0 '^CREATED  20[0-9]{2}-[0-9]{2}-[0-9]{2}T.*\+0000$' 'created'
run info -o nonsense store; expect_like 2 '^sasphere info: --output: unknown column: nonsense$' 'bad column'
run info nowhere; expect 1 'info of nothing' <<'TEXT'
sasphere info: nowhere: No such file or directory
TEXT
mkdir empty
run info empty; expect 1 'info of an empty directory' <<'TEXT'
sasphere info: empty: no region: there is no SAS00000.DAT
TEXT
run ls store; expect 0 'ls' <<'TEXT'
ADDRESS        END            SIZE GENERATION OWNER
0x565900000000 0x56590001ffff 128K          0 runtime
0x565900020000 0x56590003ffff 128K          0 runtime
TEXT
run ls -k free store; expect 0 'ls of nothing' < /dev/null
run ls -k free -J store; expect 0 'ls of nothing as JSON' <<'TEXT'
{
   "free": []
}
TEXT
run ls -k uncommitted -no ADDRESS,SIZE store; expect 0 'uncommitted' <<'TEXT'
0x565900040000 256K
0x565900080000 512K
0x565900100000   1M
TEXT
run ls -k segments -o file,size,use,mode store; expect 0 'segments' <<'TEXT'
FILE         SIZE USE    MODE
SAS00000.DAT   2M blocks 0644
TEXT
run ls -k nonsense store; expect_like 2 'there is no such list: nonsense' 'bad kind'
SASSTOREPATH=$work/store run ls -bno size; expect 0 'SASSTOREPATH' <<'TEXT'
131072
131072
TEXT
(cd store && "$tool" check) > said 2>&1; status=$?; expect 0 'the working directory' <<< '.: good'

# --- a participant


start store 4096 16384 4194304
run ls -o size,owner store; expect 0 'ls of blocks' <<'TEXT'
SIZE OWNER
128K runtime
128K runtime
  4K program
 16K program
  4M program
TEXT
run ls -nk in-use -o address store
grep -v runtime said | tail -3 | while read -r a; do grep -q "$a" held || echo "$a"; done > unknown
test ! -s unknown || complain "ls shows addresses that the program did not get: $(cat unknown)"
run info -no blocks,used,alive store; expect 0 'info of blocks' <<'TEXT'
3
4.0M
1
TEXT
run ls -pno pid,state,readonly store; expect 0 'participants' <<< "$holder alive 0"
run check store; expect 0 'check of a region in use' <<'TEXT'
sasphere check: store: 1 process has joined: objects that are in use are not checked
store: good
TEXT
run cp store copy; expect_like 1 '^sasphere cp: store: the region is in use' 'cp of a region in use'
test ! -e copy || complain "a cp that was refused left its target"
run rm store; expect_like 1 '^sasphere rm: .*store' 'rm of a region in use'
test -e store/SAS00000.DAT || complain "rm removed a region in use"
finish
run info -no blocks,clean,alive store; expect 0 'info after the leave' <<'TEXT'
3
1
0
TEXT

# A dead one.
start store 8192
kill -9 "$holder"; { wait "$holder"; } 2> /dev/null; exec 7>&-
run ls -pno state store; expect 0 'a dead participant' <<< dead
run info -no alive,dead,clean store; expect 0 'counts of the dead' <<'TEXT'
0
1
0
TEXT
run check store; expect 0 'check after a death' <<< 'store: good'
start store; finish
run info -no alive,dead,clean,blocks store; expect 0 'after the recovery' <<'TEXT'
0
0
1
4
TEXT

# --- locks

# The same as run, with one blank between columns.
run_plain() { run "$@"; sed -i 's/  */ /g; s/^ //; s/ $//' said; }

# until_like COMMAND... PATTERN: the tool says so, soon.
until_like()
{
	local tries
	for ((tries = 0; tries < 500; tries++)); do
		run "${@:1:$#-1}"
		grep -Eq -e "${!#}" said && return
		read -r -t 0.02 < /dev/zero 2> /dev/null || :
	done
	complain "$*: never"; cat said
}

run locks store; expect 0 'locks of nobody' < /dev/null
run ps store; expect 0 'ps of nobody' < /dev/null
run locks -J store; expect 0 'locks of nobody as JSON' <<'TEXT'
{
   "locks": []
}
TEXT
start store 4096 w:0x40000 r:0x80000 i:0x80000 r:0x41000
run_plain locks -no address,mode,state,pid,thread,ownerdied store; expect 0 'a holder' <<TEXT
0x565900040000 write holds $holder alive 0
0x565900041000 read holds $holder alive 0
0x565900080000 intent holds $holder alive 0
TEXT
run_plain ps -no pid,tid,state,held,holds store; expect 0 'ps of a holder' <<TEXT
$holder $holder alive 3 w:0x565900040000 r:0x565900041000 i:0x565900080000
TEXT
before=$(fingerprint store)
run locks store
run ps store
test "$(fingerprint store)" = "$before" || complain "looking at locks changed a file"
mkfifo leash
"$hold" store r:0x40000 < leash > waited 2>&1 &
waiter=$!
exec 8> leash
rm leash
until_like locks store "read +waits +$waiter"
run_plain locks -no address,mode,state,pid store; expect_like 0 "^0x565900040000 write holds $holder\$" 'a holder who is waited for'
expect_like 0 "^0x565900040000 read waits $waiter\$" 'a waiter'
run_plain locks -no state,since store; expect_like 0 '^holds 20.{8}T.{8}\.[0-9]{3}\+0000$' 'held since'
expect_like 0 '^waits 20.{8}T.{8}\.[0-9]{3}\+0000$' 'waits since'
run_plain ps -no pid,waits,mode store; expect_like 0 "^$waiter 0x565900040000 read\$" 'ps of a waiter'
run ps -Jo pid,held,waits store; expect_like 0 '"waits": "0x565900040000"' 'ps --json'
run ps -o nonsense store; expect_like 2 '^sasphere ps: --output: unknown column: nonsense$' 'ps: bad column'
run info -no lockwaits store; expect 0 'lock waits' <<< 1
# The waiter gets what the dead one held, and is the one who has recovered it.
kill -9 "$holder"; { wait "$holder"; } 2> /dev/null; exec 7>&-
while kill -0 "$waiter" && ! grep -q ready waited; do read -r -t 0.02 < /dev/zero 2> /dev/null || :; done
run_plain locks -no address,mode,state,pid,ownerdied store; expect 0 'after the death' <<< "0x565900040000 read holds $waiter 1"
run info -no recoveries store; expect_like 0 '^[1-9]' 'recoveries'
run_plain ps -no pid,state,held,lockwaits,recoveries store; expect 0 'the survivor' <<TEXT
$holder dead
$waiter alive 1 1 1
TEXT
exec 8>&-; wait "$waiter" || complain "the waiter ended with $?"
# Nobody waits: the dead one is shown until somebody comes.
start store w:0x40000
kill -9 "$holder"; { wait "$holder"; } 2> /dev/null; exec 7>&-
run_plain locks -no address,state,pid,thread store; expect 0 'a dead holder' <<< "0x565900040000 holds $holder dead"
run_plain ps -no pid,state,held,holds store; expect 0 'ps of a dead holder' <<< "$holder dead 1 w:0x565900040000"
start store; finish
run locks store; expect 0 'locks after the recovery' < /dev/null
# Who changes an object holds no lock; who takes the lock of its address waits for that.
start store r:0x40000 u:0x80000
run_plain locks -no address,mode,state,pid,thread store; expect 0 'an update' <<TEXT
0x565900040000 read holds $holder alive
0x565900080000 update holds $holder alive
TEXT
run_plain ps -no pid,held,holds store; expect 0 'ps of an update' <<< "$holder 1 r:0x565900040000 u:0x565900080000"
finish
run locks store; expect 0 'locks after the update' < /dev/null
run locks nowhere; expect 1 'locks of nothing' <<'TEXT'
sasphere locks: nowhere: No such file or directory
TEXT
run ps empty; expect 1 'ps of an empty directory' <<'TEXT'
sasphere ps: empty: no region: there is no SAS00000.DAT
TEXT

# --- addresses: objects as an example leaves them

run addr; expect_like 2 '^sasphere addr: no address$' 'addr of nothing'
run addr -p store 0x1 zz; expect_like 2 '^sasphere addr: not an address: zz$' 'addr of a word'
run addr -p nowhere 1; expect_like 1 'nowhere: No such file or directory' 'addr in nothing'
run addr -p store -no ADDRESS,STATE 0 0x565900000000; expect 1 'addr outside' <<'TEXT'
0x000000000000 outside
0x565900000000 runtime
TEXT
mkdir objects
objects() { SASSTOREPATH=objects SAS_BASE=0x565900000000 SAS_REGION_SIZE=64M SAS_SEGMENT_SIZE=2M "$@"; }
for kind in heap:128 stack:4096 space:4096; do
	first=${kind#*:} kind=${kind%:*}
	rm -rf objects/*
	objects "$top_builddir/examples/$kind" > made 2>&1 || complain "examples/$kind: $(cat made)"
	object=$(sed -n 's/.* at \(0x[0-9a-f]*\)\.$/\1/p' made | head -1)
	addr() { "$tool" addr -p objects -n "$@" > said 2>&1; status=$?; sed -i 's/  */ /g; s/^ //; s/ $//' said; }
	addr -o object,type,use "$((object))"; expect 0 "addr of a $kind" <<< "$object simple $kind header"
	addr -o object,type,use "$((object + first))"; expect 0 "addr in a $kind" <<< "$object simple $kind used"
	addr -o object,type,use "$((object + 65535))"; expect 0 "addr at the end of a $kind" <<< "$object simple $kind free"
	addr -o state,block,size,generation,file,offset "$((object + 9))"
	expect 0 "addr: the block of a $kind" <<< "program $object 64K 1 SAS00000.DAT 0x$(printf %x $(((object + 9) % 2097152)))"
	addr --json -o pid,page "$((object))"; expect_like 0 '"pid": null' 'addr as JSON'
done
poke objects/SAS00000.DAT $(((object + 64 + 7) % 2097152))
addr -o use "$((object + 5000))"; expect 0 'addr in a broken space' <<< broken
rm -rf objects made

# --- names: an image, as an example leaves it

mkdir images
SASSTOREPATH=images SAS_BASE=0x565900000000 SAS_REGION_SIZE=64M SAS_SEGMENT_SIZE=8M "$top_builddir/examples/context" > made ||
	complain "examples/context: $(cat made)"
image=$(sed -n 's/^Image at \(0x[0-9a-f]*\),.*/\1/p' made)
root=$(sed -n 's/^Made the context at \(0x[0-9a-f]*\)\.$/\1/p' made)
ctx() { "$tool" ctx -p images "$@" > said 2>&1; status=$?; sed -i 's/  */ /g; s/ $//' said; }
segments_of() { (cd "$1" && stat -c '%n %s %b %a %u %g %y %z' -- SAS*.DAT && sha256sum -- SAS*.DAT) | sha256sum; }
before=$(segments_of images)
ctx ls; expect 0 'ctx ls' <<TEXT
NAME ADDRESS TYPE SIZE
my_image_buffer $image block 4M
newest $image block 4M
TEXT
ctx -no NAME get "$image"; expect 0 'ctx get of an address' < <(printf '%s\n' my_image_buffer newest)
ctx -no ADDRESS get newest; expect 0 'ctx get of a name' <<< "$image"
ctx get oldest; expect 1 'ctx get of nothing' <<< 'sasphere ctx: oldest: no such name'
ctx get 0x4242; expect 1 'ctx get of an unnamed address' <<< 'sasphere ctx: 0x4242: has no name'
ctx ls newest; expect 1 'ctx ls of a block' <<< 'sasphere ctx: newest: is no context'
run addr -p images -no NAME,TYPE "$image"; expect_like 0 '^my_image_buffer' 'addr: a name'
test "$(segments_of images)" = "$before" || complain "looking at names changed a segment"
ctx add a/b/c "$image"; expect 0 'ctx add' < /dev/null
ctx add a/up "$root"; expect 0 'ctx add of a circle' < /dev/null
ctx add a/b/c 1; expect 1 'ctx add twice' <<< 'sasphere ctx: a/b/c: exists'
ctx add a/b/c/d 1; expect_like 1 'names no context' 'ctx add below a block'
ctx add a/d zz; expect_like 2 '^sasphere ctx: not an address: zz$' 'ctx add of a word'
ctx -no NAME,TYPE tree; expect 0 'ctx tree' <<TEXT
a context
a/b context
a/b/c block
a/up context
my_image_buffer block
newest block
TEXT
ctx -no NAME ls a/up/a/b; expect 0 'ctx ls through a circle' <<< c
ctx -Jo NAME,SIZE -b ls a/b; expect_like 0 '"size": 4194304' 'ctx as JSON'
run addr -p images -no NAME "$root"; expect 0 'addr: a name in a nested context' <<< a/up
ctx rm a; expect_like 1 'with --force its name goes' 'ctx rm of a context with names'
ctx rm a/b/c; expect 0 'ctx rm' < /dev/null
ctx rm a/b/c; expect 1 'ctx rm twice' <<< 'sasphere ctx: a/b/c: no such name'
ctx -f rm a; expect 0 'ctx rm --force' < /dev/null
ctx -no NAME tree; expect 0 'ctx tree at the end' < <(printf '%s\n' my_image_buffer newest)
ctx; expect_like 2 '^sasphere ctx: no operation$' 'ctx without an operation'
ctx what; expect_like 2 'there is no such operation: what' 'ctx of a wrong operation'
ctx get; expect_like 2 'get: too few operands' 'ctx with too few operands'
run ctx -p store ls; expect_like 1 'the finder leads to no context$' 'ctx where there is none'
run check images; expect 0 'check of named things' <<< 'images: good'
rm -rf images made

# --- looking changes nothing

before=$(fingerprint store)
run info store
run locks store
run ps store
run addr -p store 0x565900000000
for kind in in-use merged free uncommitted free-region segments participants; do run ls -k "$kind" store; done
run check store
run doctor store
test "$(fingerprint store)" = "$before" || complain "looking changed a file"
chmod 0555 store
run check store; expect 0 'a read-only directory' <<< 'store: good'
chmod 0755 store

before=$(fingerprint store)

# --- cp

run cp store copy; expect 0 'cp' < /dev/null
test "$(fingerprint store)" = "$before" || complain "cp changed its source"
test ! -e copy/SAS.run || complain "cp copied SAS.run"
for file in store/*.DAT; do
	cmp "$file" "copy/${file#store/}" || complain "cp: $file"
	test "$(stat -c '%a %u %g' "$file")" = "$(stat -c '%a %u %g' "copy/${file#store/}")" ||
		complain "cp: $file: mode or owner"
done
run check copy; expect 0 'check of a copy' <<< 'copy: good'
run cp store copy; expect 1 'cp over a copy' <<'TEXT'
sasphere cp: copy: the directory is not empty
TEXT
run cp store; expect_like 2 'two directories are needed' 'cp with one operand'
run cp nowhere new; expect_like 1 'nowhere: No such file' 'cp of nothing'
test ! -e new || complain "a cp that failed left its target"
if getfattr --version > /dev/null 2>&1 && setfattr -n user.test -v kept store/SAS00000.DAT 2> /dev/null; then
	run cp store third
	test "$(getfattr --only-values -n user.test third/SAS00000.DAT)" = kept ||
		complain "cp lost an attribute"
	setfattr -x user.test store/SAS00000.DAT
fi
mkdir half; cp store/SAS00002.DAT half
run info half; expect_like 1 'a copy that was cut short' 'half a copy'
run check half; expect_like 1 '^SAS00000.DAT: offset 0: the anchor is missing' 'check of half a copy'

# --- check of damaged files

segment=2097152
poked=0
map=131072
run check copy; expect 0 'before the damage' <<< 'copy: good'
# Each byte, or one in so many, from where the seed says; tests/test_check damages them all, without a process for each.
case $SAS_TEST_SIZE in ci) step=7 ;; *) step=1 ;; esac
seed=${SAS_TEST_SEED-$RANDOM}
echo "bytes to damage: SAS_TEST_SEED=$seed"
damage() # FILE FROM TO WHAT: the check must miss each byte there
{
	local at=$(($2 + seed % step))
	test "$at" -lt "$3" || at=$2
	for ((; at < $3; at += step)); do
		poke "copy/$1" "$at"
		run check copy
		checks=$((checks + 1))
		case $status in
		1)	grep -q "^SAS0000[0-9A-F]\.DAT: offset [0-9]*: ." said ||
				complain "$4: byte $at: no sentence: $(head -1 said)" ;;
		2)	grep -q '^sasphere check: copy/SAS' said ||
				complain "$4: byte $at: no sentence: $(head -1 said)" ;;
		*)	complain "$4: byte $at: status $status" ;;
		esac
		poked=$((poked + 1))
		test $((poked % 4)) = 0 || { poke "copy/$1" "$at"; continue; }
		run info copy; test "$status" -le 1 || complain "$4: byte $at: info ends with $status"
		run ls copy; test "$status" -le 1 || complain "$4: byte $at: ls ends with $status"
		poke "copy/$1" "$at"
	done
}
damage SAS00000.DAT 64 368 'anchor'
damage SAS00000.DAT 4096 4104 'state: life and clean'
damage SAS00000.DAT 4136 4160 'state: log chunks'
damage SAS00000.DAT 8192 8260 'segment table: segments 0 and 1, and the file of 2'
damage SAS00000.DAT 8260 8261 'segment table: order and state of 2'
damage SAS00000.DAT 8264 8292 'segment table: from the reserved words of 2 to the file of 3'
damage SAS00000.DAT 8320 8352 'segment table: one without a file'
damage SAS00000.DAT "$map" $((map + 4)) 'entry of the anchor block'
damage SAS00000.DAT "$segment" $((segment + 80)) 'trailer of the anchor'
damage SAS00002.DAT "$segment" $((segment + 80)) 'trailer of segment 2'
run check copy; expect 0 'after the damage' <<< 'copy: good'
poke copy/SAS00000.DAT "$map"
run check copy; expect_like 1 '^copy: the region is bad$' 'the last line of check'
run check -q copy; expect 1 'check --quiet' < /dev/null
run check --json copy; expect_like 1 '^ +"file": "SAS00000.DAT",$' 'check --json'
poke copy/SAS00000.DAT "$map"
run check --json copy; expect 0 'check --json of a good one' <<'TEXT'
{
   "problems": []
}
TEXT
# --- check --repair

poke copy/SAS00000.DAT 100
poke copy/SAS00002.DAT "$segment"
run check copy; expect_like 1 '^SAS00000.DAT: offset [0-9]+: ' 'check before the repair'
run check --repair copy; expect 0 'check --repair' <<TEXT
SAS00000.DAT: offset 360: repaired: the anchor was made again from the trailer; its checksum fits
SAS00002.DAT: offset $segment: repaired: the trailer was made again from the anchor
copy: good
TEXT
run check -r copy; expect 0 'nothing to repair' <<< 'copy: good'
touch copy/SAS.tmp.1
run check -r --json copy; expect 0 'check --repair --json' <<'TEXT'
{
   "problems": [
      {
         "file": "SAS.tmp.1",
         "offset": 0,
         "problem": "the file of a creation that was cut short was deleted",
         "repaired": true
      }
   ]
}
TEXT
mv copy/SAS00003.DAT kept
run check -r copy; expect 1 'what cannot be repaired' <<'TEXT'
SAS00003.DAT: offset 0: the file is missing: the segment table lists it
copy: the region is bad
TEXT
run check -rq copy; expect 1 'check --repair --quiet' < /dev/null
mv kept copy/SAS00003.DAT
start copy
run check --repair copy
expect_like 2 "^sasphere check: copy: the region is in use: 1 process has joined it: $holder\$" 'repair of a region in use'
finish
run check copy; expect 0 'after the repairs' <<< 'copy: good'
poke copy/SAS00000.DAT 72
run check copy
expect_like 2 '^sasphere check: copy/SAS00000.DAT: offset 72: format [0-9]+, this library knows format 1$' 'a newer format'
poke copy/SAS00000.DAT 72
run check nowhere; expect_like 2 'nowhere: No such file' 'check of nothing'
run check empty; expect_like 2 'empty: no region' 'check of an empty directory'

# --- rm

touch copy/notes copy/SAS0.DAT
run rm copy; expect 0 'rm' < /dev/null
test "$(ls copy)" = "$(printf 'SAS0.DAT\nnotes')" || complain "rm left, or removed, the wrong files: $(ls copy)"
run rm copy; expect_like 1 '^sasphere rm: copy' 'rm of nothing'
start store
run rm --force store; expect 0 'rm --force' < /dev/null
test ! -e store/SAS00000.DAT || complain "rm --force left the anchor"
exec 7>&-; wait "$holder"

echo "$checks checks, $failures failures"
test "$failures" = 0
