# SPDX-License-Identifier: MIT
#
# The examples do what they say: join finds on its second run what the first one left, lock loses no turn, index and
# strings no key, and the main job passes at a small size.

set -u
failed=0
job=$top_srcdir/examples/packages/run
work=$(mktemp -d "${TMPDIR:-/tmp}/sasphere-examples.XXXXXX") || exit 99
trap 'rm -rf "$work"' EXIT
trap 'exit 99' HUP INT TERM

expect()
{
	if ! grep -q -x -e "$2" "$1"; then
		echo "FAIL: expected \"$2\", got:"
		sed 's/^/    /' "$1"
		failed=1
	fi
}

visit()
{
	SASSTOREPATH=$work/store "$top_builddir/examples/join" > "$work/$1" 2>&1 &
	visitor=$!
	wait "$visitor" || { echo "FAIL: join ended with status $?, the $1 time"; failed=1; }
}

mkdir "$work/store" || exit 99
visit first
expect "$work/first" "Nobody was here before."
expect "$work/first" "Visit 1, at 0x[0-9a-f]*."
address=$(sed -n 's/^Visit 1, at \(0x[0-9a-f]*\)\.$/\1/p' "$work/first")
first=$visitor
visit second
expect "$work/second" "Process $first was here before."
expect "$work/second" "Visit 2, at $address."

SASSTOREPATH=$work/missing "$top_builddir/examples/join" > "$work/refused" 2>&1 &&
	{ echo "FAIL: join succeeds where there is no directory"; failed=1; }
expect "$work/refused" "SASJoinRegion: No such file or directory"

# Twice one after the other, then several at once, one of them killed: no turn is lost but its own.
mkdir "$work/turns" || exit 99
take_turns() { SASSTOREPATH=$work/turns "$top_builddir/examples/lock" "$@"; }
take_turns 100 > "$work/lock" 2>&1 || { echo "FAIL: lock ended with status $?"; failed=1; }
expect "$work/lock" "Found 0 turns, left 100, the last one by process [0-9]*."
take_turns 100 > "$work/lock" 2>&1 || { echo "FAIL: lock ended with status $?, the second time"; failed=1; }
expect "$work/lock" "Found 100 turns, left 200, the last one by process [0-9]*."
SASSTOREPATH=$work/turns "$top_builddir/examples/lock" 1000000000 &
victim=$!
takers=
for i in 1 2 3; do
	take_turns 2000 > "$work/lock$i" 2>&1 &
	takers="$takers $!"
done
for taker in $takers; do
	wait "$taker" || { echo "FAIL: lock ended with status $?, beside others"; failed=1; }
	# The first one has done its turns, the others may be at work.
	kill -9 $victim 2> /dev/null && { wait $victim; } 2> /dev/null
done
take_turns 0 > "$work/lock" 2>&1
left=$(sed -n 's/^Found .* left \([0-9]*\),.*/\1/p' "$work/lock")
[ "${left:-0}" -ge 6200 ] || { echo "FAIL: turns were lost: $(cat "$work/lock")"; failed=1; }

# Objects: what the first run made, the second one finds.
for object in heap stack space near; do
	mkdir "$work/$object"
	for run in 1 2 3; do
		SASSTOREPATH=$work/$object "$top_builddir/examples/$object" "line $run" > "$work/said" 2>&1 ||
			{ echo "FAIL: $object ended with status $?, run $run"; failed=1; }
	done
	case $object in
	heap)	expect "$work/said" "A list in the heap at 0x[0-9a-f]*\."; expect "$work/said" "line 1"
		expect "$work/said" "line 3"; expect "$work/said" "[0-9]* bytes are free\." ;;
	stack)	expect "$work/said" "3 lines on the stack at 0x[0-9a-f]*\."; expect "$work/said" "line 2" ;;
	space)	expect "$work/said" "Run 3 of the table in the space at 0x[0-9a-f]*\." ;;
	near)	expect "$work/said" "Tree 3 has 7 nodes, all of them in the heap at 0x[0-9a-f]*\." ;;
	esac
done

mkdir "$work/images" || exit 99
draw() { SASSTOREPATH=$work/images "$top_builddir/examples/context" > "$work/context" 2>&1 ||
	{ echo "FAIL: context ended with status $?"; failed=1; }; }
draw
expect "$work/context" "Made the context at 0x[0-9a-f]*\."
expect "$work/context" "Image at 0x[0-9a-f]*, drawn 1 times; it is called \"my_image_buffer\"\."
image=$(sed -n 's/^Image at \(0x[0-9a-f]*\),.*/\1/p' "$work/context")
draw
expect "$work/context" "The finder leads to the context at 0x[0-9a-f]*\."
expect "$work/context" "Image at $image, drawn 2 times; it is called \"my_image_buffer\"\."

# Measurements of several at once, and of runs before.
mkdir "$work/measured" || exit 99
measure() { SASSTOREPATH=$work/measured "$top_builddir/examples/index" "$@"; }
measure 100 > "$work/index" 2>&1 || { echo "FAIL: index ended with status $?"; failed=1; }
expect "$work/index" "100 measurements."
expect "$work/index" "Number 98 of process [0-9]* at [0-9]*\.[0-9]*\."
takers=
for i in 1 2 3; do
	measure 2000 > "$work/index$i" 2>&1 &
	takers="$takers $!"
done
for taker in $takers; do
	wait "$taker" || { echo "FAIL: index ended with status $?, beside others"; failed=1; }
done
measure 0 > "$work/index" 2>&1
expect "$work/index" "6100 measurements."

mkdir "$work/words" || exit 99
count_words() { SASSTOREPATH=$work/words "$top_builddir/examples/strings" "$@"; }
printf 'one two two\nthree three three twofold\n' | count_words > "$work/strings" 2>&1
expect "$work/strings" "4 different words."
echo two tw twp | count_words > "$work/strings" 2>&1
expect "$work/strings" "6 different words."
count_words tw > "$work/strings" 2>&1
[ "$(cat "$work/strings")" = "$(printf 'tw 1\ntwo 3\ntwofold 1\ntwp 1')" ] ||
	{ echo "FAIL: strings counts:"; cat "$work/strings"; failed=1; }

# An index with all that the format allows must be read as the awk script reads it, and survive too.
awk 'BEGIN {
	for (i = 1; i <= 60; i++) {
		print "Package: odd-" i % 55
		print "Depends: odd-" i + 1 ":any (>= 1) | virtual [amd64] ,, a |, libx++\t|b ,"
		print "Description: Depends, in a text | and\n Depends: nothing\n .\n end"
		print "Version: 1:" i "~a-1"
		print "Pre-Depends:odd-1,\n odd-2 <!nocheck> | c:amd64(= 2),\n\todd-2"
		print "Installed-Size: " i "\nTag: x"
		if (i != 60)
			print ""
	}
}' > "$work/odd"
TMPDIR=$work "$job" --kills 5 --input "$work/odd" "$top_builddir" > "$work/log" 2>&1 ||
	{ echo "FAIL: an odd index:"; cat "$work/log"; failed=1; }
expect "$work/log" "  dependencies, their alternatives  *360, 540"
expect "$work/log" "RESULT: \([0-9]*\)/\1 checks passed"

# The main job says so when a check fails: here the region is called bad.
mkdir -p "$work/build/examples/packages" "$work/build/utils"
ln -s "$top_builddir/examples/packages/packages" "$work/build/examples/packages/packages"
printf '#!/bin/sh\ntest "$1" != check && exec "%s" "$@"\nexit 1\n' "$top_builddir/utils/sasphere" \
	> "$work/build/utils/sasphere"
chmod +x "$work/build/utils/sasphere"
TMPDIR=$work "$job" --kills 2 --input "$work/odd" "$work/build" > "$work/log" 2>&1 &&
	{ echo "FAIL: a failed check ends with status 0"; failed=1; }
expect "$work/log" "RESULT: [0-9]*/[0-9]* checks passed; failed: sasphere check: the region is clean; .*"

[ "$failed" -eq 0 ] || exit 1
case ${SAS_TEST_SIZE-} in
ci)	size="--kills 10 --limit 500" ;;
long)	size="--kills 3000 --readers 4 --updaters 6" ;;
*)	size="--kills 40 --limit 5000" ;;
esac
TMPDIR=$work "$job" $size --seed 1 "$top_builddir" > "$work/log" 2>&1
status=$?
cat "$work/log"
[ "$status" -eq 77 ] && { echo "the main job is skipped: no package index here"; exit 77; }
[ "$status" -eq 0 ] || exit 1
expect "$work/log" "RESULT: \([0-9]*\)/\1 checks passed"
expect "$work/log" "  updaters  *[36], each killed at random while the others go on"
expect "$work/log" "  kills while holding a lock  *[0-9,]*"
expect "$work/log" "  longest stall of an updater: lock, change  *[0-9.]* ms, [0-9.]* ms"
expect "$work/log" "  leaked blocks: freed by generation, lost  *[0-9,]*, 0"
expect "$work/log" "  locks left held after all have ended  *0"
[ -z "$(find "$work" -name 'packages.*')" ] ||
	{ echo "FAIL: the main job left its work directory"; failed=1; }
"$job" --no-such-option "$top_builddir" > "$work/usage" 2>&1
[ $? -eq 2 ] || { echo "FAIL: an unknown option is accepted"; failed=1; }
"$job" --updaters 9 "$top_builddir" > "$work/usage" 2>&1
[ $? -eq 2 ] || { echo "FAIL: more updaters than the board has slots are accepted"; failed=1; }
exit "$failed"
