# SPDX-License-Identifier: MIT
#
# The examples do what they say: join finds on its second run what the first one left, and the main
# job passes at a small size.

set -u
failed=0
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

[ "$failed" -eq 0 ] || exit 1
case ${SAS_TEST_SIZE-} in
ci)	size="--kills 10 --limit 500" ;;
long)	size="--kills 3000 --readers 4" ;;
*)	size="--kills 40 --limit 5000" ;;
esac
TMPDIR=$work "$top_srcdir/examples/packages/run" $size --seed 1 "$top_builddir" > "$work/job" 2>&1
status=$?
cat "$work/job"
[ "$status" -eq 77 ] && { echo "the main job is skipped: no package index here"; exit 77; }
[ "$status" -eq 0 ] || exit 1
expect "$work/job" "RESULT: \([0-9]*\)/\1 checks passed"
[ -z "$(find "$work" -name 'packages.*')" ] || { echo "FAIL: the main job left its work directory"; failed=1; }
"$top_srcdir/examples/packages/run" --no-such-option "$top_builddir" > "$work/usage" 2>&1
[ $? -eq 2 ] || { echo "FAIL: an unknown option is accepted"; failed=1; }
exit "$failed"
