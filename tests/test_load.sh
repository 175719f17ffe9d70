# SPDX-License-Identifier: MIT
#
# The ways into a process: linked in its kinds, loaded by dlopen from C and from Python, and twice. What a build
# cannot do is left out with a word.

set -u
export LC_ALL=C
library=$top_builddir/.libs/libsasphere.so
archive=$top_builddir/.libs/libsasphere.a
test -f "$library" || { echo "skipped: there is no shared library"; exit 77; }
if nm -D "$library" | grep -q -e __asan_init -e __tsan_init -e __ubsan_handle; then
	echo "skipped: a sanitizer has to be in the program"
	exit 77
fi
work=$(mktemp -d "${TMPDIR:-/tmp}/sasphere-load.XXXXXX") || exit 99
trap 'rm -rf "$work"' EXIT
trap 'exit 129' HUP INT TERM
unset SASSTOREPATH SAS_BASE SAS_REGION_SIZE SAS_SEGMENT_SIZE SPH_TIMER
failed=0

# A named step; it gets two empty stores.
step() {	# name command...
	local name=$1
	shift
	rm -rf "$work/stores"
	mkdir -p "$work/stores/1" "$work/stores/2"
	if "$@" > "$work/said" 2>&1; then
		echo "ok: $name"
	else
		echo "FAIL: $name: status $?"
		sed 's/^/    /' "$work/said"
		failed=1
	fi
}

left_out() { echo "left out: $*"; }

compile() {	# output flags...
	local output=$1
	shift
	$CC -O2 -I"$top_srcdir/include" -o "$work/$output" "$@"
}

run() {	# program mode libraries...
	local program=$1 mode=$2
	shift 2
	"$program" "$mode" "$work/stores/1" "$work/stores/2" "$@"
}

# --- thread-local data: a library that dlopen loads gets what the C library has spare, some 1,600 bytes for all of them
small_tls() {
	local bytes
	bytes=$((0x$(readelf -lW "$library" | awk '$1 == "TLS" { sub(/^0x/, "", $6); print $6 }')))
	echo "$bytes bytes of thread-local data"
	test "$bytes" -gt 0 && test "$bytes" -le 384
}
if command -v readelf > /dev/null; then step "thread-local data is small" small_tls; else left_out "readelf"; fi

# --- linked; data that the linker copies into programs, and data that it does not
cat > "$work/data.c" << 'TEXT'
#include <sphthread.h>
#include <sphtimer.h>
#include <sys/wait.h>
static pid_t *where = &procID;
int main(void)
{
	int status;

	if (*where != getpid() || sphFastGetPID() != getpid() || threadID != getpid() || sphFastGetTID() != getpid())
		return 1;
	if (fork() == 0)
		_exit(procID != getpid() || threadID != getpid());
	if (wait(&status) < 0 || status != 0)
		return 2;
	return sph_cpu_frequency == sphgetcpufreq() && sphfastcpufreq() == sphgetcpufreq() && sphgettimer() ? 0 : 3;
}
TEXT
for flags in "-fPIE -pie" "-fno-pie -no-pie"; do
	# shellcheck disable=SC2086
	step "linked, $flags" compile data $flags "$work/data.c" "$library" -Wl,-rpath,"$top_builddir/.libs"
	step "data of a program, $flags" "$work/data"
done

# --- two copies: the second one is another file
cp -L "$library" "$work/copy.so"
step "program that loads copies" compile load "$top_srcdir/tests/load.c" -pthread -ldl
for mode in local global space; do
	step "two copies by dlopen, $mode" run "$work/load" $mode "$library" "$work/copy.so"
done

# --- static
if test -f "$archive"; then
	# shellcheck disable=SC2046
	libraries=$(sed -n "s/^dependency_libs='\(.*\)'/\1/p" "$top_builddir/libsasphere.la")
	# shellcheck disable=SC2086
	step "static copy" compile linked -DLINKED "$top_srcdir/tests/load.c" "$archive" $libraries -pthread -ldl
	for mode in local global space; do
		step "static copy and one by dlopen, $mode" run "$work/linked" $mode "$library"
	done
	# Its names are there for the other copy to find.
	# shellcheck disable=SC2086
	step "static copy, -rdynamic" compile exported -rdynamic -DLINKED "$top_srcdir/tests/load.c" "$archive" $libraries \
		-pthread -ldl
	step "exported static copy and one by dlopen" run "$work/exported" global "$library"
	# shellcheck disable=SC2086
	if compile alone -static -DLINKED -DALONE "$top_srcdir/tests/load.c" "$archive" $libraries -pthread 2> "$work/said"; then
		step "wholly static program" run "$work/alone" local
	else
		left_out "wholly static: $(tail -n 1 "$work/said")"
	fi
else
	left_out "there is no $archive"
fi

# --- Python
cat > "$work/load.py" << 'TEXT'
import ctypes, gc, os, sys, threading, _ctypes
os.environ["SAS_BASE"] = "0x300000000000"
path, store, mode = sys.argv[1], sys.argv[2].encode(), getattr(ctypes, sys.argv[3])
library = ctypes.CDLL(path, mode=mode, use_errno=True)
library.SASBlockAlloc.restype = library.getSASFinder.restype = ctypes.c_void_p
library.SASBlockAlloc.argtypes = [ctypes.c_ulong]
library.setSASFinder.argtypes = [ctypes.c_void_p]
library.SASLastErrorMessage.restype = ctypes.c_char_p
library.sphgetcpufreq.restype = ctypes.c_ulonglong

def pid():
    return ctypes.c_int.in_dll(library, "procID").value

assert pid() == os.getpid() == library.sphdeGetPID()
assert ctypes.c_ulonglong.in_dll(library, "sph_cpu_frequency").value == library.sphgetcpufreq() > 0
assert library.SASJoinRegionByName(store + b"/missing") != 0 and b"missing" in library.SASLastErrorMessage()
assert library.SASJoinRegionByName(store) == 0, library.SASLastErrorMessage()
block = library.SASBlockAlloc(4096)
assert block, library.SASLastErrorMessage()
ctypes.memmove(block, b"written by Python", 18)
library.setSASFinder(block)
assert ctypes.string_at(library.getSASFinder()) == b"written by Python"

# Threads that begin and end, and a child.
made = []
threads = [threading.Thread(target=lambda: made.append(library.SASBlockAlloc(8192))) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert len(set(made)) == 8 and all(made)
child = os.fork()
if child == 0:
    os._exit(0 if pid() == os.getpid() and library.SASBlockAlloc(4096) else 1)
assert os.waitpid(child, 0)[1] == 0

# The library stays: its handler, and what threads do at their end, lead into it.
handle = library._handle
_ctypes.dlclose(handle)
gc.collect()
assert ctypes.string_at(block) == b"written by Python"
again = ctypes.CDLL(path, mode=mode)
again.getSASFinder.restype = ctypes.c_void_p
assert again.getSASFinder() == block
again.SASCleanUp()
assert again.SASRegionCheck(store, None, None) == 0
TEXT
python=$(command -v python3)
if test -n "$python" && "$python" -c 'import ctypes' 2> /dev/null; then
	for mode in RTLD_LOCAL RTLD_GLOBAL; do
		step "Python's ctypes, $mode" "$python" "$work/load.py" "$library" "$work/stores/1" $mode
	done
else
	left_out "there is no Python with ctypes"
fi

exit $failed
