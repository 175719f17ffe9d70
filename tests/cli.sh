# SPDX-License-Identifier: MIT
#
# What the tests of the tools share: a directory of their own, runs of a tool, what is expected of them, a participant.

tool=$top_builddir/utils/sasphere
hold=$top_builddir/tests/hold
test -x "$tool" || { echo "the tool is not built"; exit 77; }

work=$(mktemp -d "${TMPDIR:-/tmp}/sasXXXXXX") || exit 99
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 99
umask 022
export TZ=UTC LC_ALL=C
unset SASSTOREPATH SAS_BASE SAS_REGION_SIZE SAS_SEGMENT_SIZE SAS_LOG

failures=0 checks=0
complain() { echo "FAIL: $*"; failures=$((failures + 1)); }

# run COMMAND...: its output, both streams, goes to "said", its status to $status.
run() { "$tool" "$@" > said 2>&1 < /dev/null; status=$?; }

# expect STATUS NAME: what was said is what standard input holds.
expect()
{
	checks=$((checks + 1))
	cat > wanted
	test "$status" = "$1" || complain "$2: status $status instead of $1: $(head -3 said)"
	diff -u wanted said > differs || { complain "$2: the text differs"; cat differs; }
}

# expect_like STATUS PATTERN NAME
expect_like()
{
	checks=$((checks + 1))
	test "$status" = "$1" || complain "$3: status $status instead of $1: $(head -3 said)"
	grep -Eq -e "$2" said || { complain "$3: nothing like \"$2\" in:"; cat said; }
}

# poke FILE OFFSET: turn over the bits of one byte
poke()
{
	local byte=$(od -An -tu1 -j "$2" -N 1 "$1")
	printf "\\x$(printf %02x $((byte ^ 0x5a)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# Bytes, sizes, space, modes and times of all files, and of the directory.
fingerprint() { (cd "$1" && stat -c '%n %s %b %a %u %g %y %z' -- . * && sha256sum -- *) | sha256sum; }

small=(--base 0x565900000000 --region-size 64M --segment-size 2M)

start() # DIRECTORY [SIZE...]: a participant, its addresses in "held"
{
	rm -f held              # of an earlier one, which was ready
	mkfifo leash
	"$hold" "$@" < leash > held 2>&1 &
	holder=$!
	exec 7> leash
	rm leash
	until grep -q ready held 2> /dev/null; do
		kill -0 "$holder" 2> /dev/null || { complain "the participant: $(cat held)"; return; }
		read -r -t 0.02 < /dev/zero 2> /dev/null || :
	done
}
finish() { exec 7>&-; wait "$holder" || complain "the participant ended with $?"; }
