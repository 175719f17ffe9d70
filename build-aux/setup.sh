# SPDX-License-Identifier: MIT
#
# What quickstart, run-tests, .ci/run and the tests/run-* scripts share: packages, bootstrap, configure,
# make, totals. Sourced by POSIX shells with $top set to the checkout.

jobs=$(nproc 2> /dev/null || echo 2)

say() {
	printf '== %s\n' "$*"
}

die() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

# A row for each thing that the build or the tests use: how to see that it is there (a command, a header,
# or a module of pkg-config), the Debian package, and what it is for: "build" cannot go on without it.
needs_rows() {
	cat <<'ROWS'
command make make build
command cc gcc build
header stdlib.h libc6-dev build
command autoreconf autoconf build
command automake automake build
command libtoolize libtool build
command pkg-config pkg-config build
header xxhash.h libxxhash-dev build
header numa.h libnuma-dev option
header attr/libattr.h libattr1-dev option
header uuid/uuid.h uuid-dev option
header libsmartcols/libsmartcols.h libsmartcols-dev build
ROWS
	test "$1" = tests && cat <<'ROWS'
header check.h check option
command c++ g++ option
command groff groff option
command getfattr attr option
ROWS
	test "$1" = ci && cat <<'ROWS'
header check.h check option
command c++ g++ option
command groff groff option
command getfattr attr option
command mandoc mandoc option
command valgrind valgrind option
header valgrind/memcheck.h valgrind option
command cmake cmake option
command clang clang option
command xz xz-utils build
ROWS
	test "$1" = bench && cat <<'ROWS'
command c++ g++ option
module lmdb liblmdb-dev option
module libpmemobj libpmemobj-dev option
module absl_btree libabsl-dev option
module glib-2.0 libglib2.0-dev option
command gnuplot gnuplot-nox option
ROWS
	test "$1" = aarch64 && cat <<'ROWS'
command aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu option
command qemu-aarch64 qemu-user option
ROWS
	:
}

is_there() {	# command|header|module name
	case $1 in
	command) command -v "$2" > /dev/null 2>&1 ;;
	header)	printf '#include <%s>\n' "$2" | cc -E -x c - > /dev/null 2>&1 ||
		printf '#include <sys/types.h>\n#include <%s>\n' "$2" | cc -E -x c - > /dev/null 2>&1 ;;
	module)	pkg-config --exists "$2" 2> /dev/null ;;
	esac
}

# The Debian packages that are missing, of all rows or of those that the build cannot do without.
missing_packages() {	# purpose [build]
	needs_rows "$1" | while read -r kind name package importance; do
		test -n "$2" && test "$importance" != "$2" && continue
		is_there "$kind" "$name" || printf '%s ' "$package"
	done
}

as_root() {
	if test "$(id -u)" = 0; then
		"$@"
	elif command -v sudo > /dev/null 2>&1; then
		sudo "$@"
	else
		die "neither root nor sudo: please run as root: $*"
	fi
}

apt_install() {
	say "installing: $*"
	set -- env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"
	as_root "$@" < /dev/null || { as_root apt-get -q update < /dev/null && as_root "$@" < /dev/null; }
}

# Install what is missing; elsewhere than on Debian and its kin, tell.
ensure_packages() {	# build|tests|ci|aarch64|bench
	missing=$(missing_packages "$1")
	test -n "$missing" || return 0
	if command -v apt-get > /dev/null 2>&1; then
		# shellcheck disable=SC2086
		apt_install $missing || die "apt-get could not install: $missing"
	else
		say "missing here (names of Debian packages): $missing"
	fi
	missing=$(missing_packages "$1" build)
	test -z "$missing" || die "cannot build without: $missing"
}

# ./configure, made anew only when it is missing; later changes are noticed by make.
ensure_bootstrap() {
	test ! -f "$top/config.status" ||
		die "this checkout is configured in place: run \`make distclean' first"
	test -x "$top/configure" && test -f "$top/Makefile.in" && return 0
	say "bootstrapping"
	(cd "$top" && ./bootstrap > bootstrap.log 2>&1) || { cat "$top/bootstrap.log" >&2; die "bootstrap failed"; }
	rm -f "$top/bootstrap.log"
}

# Configure into a directory, unless that was done with the same arguments, and build there.
ensure_build() {	# directory [configure arguments]
	build=$1
	shift
	ensure_bootstrap
	mkdir -p "$build" || exit 1
	if test ! -f "$build/Makefile" || test "$(cat "$build/arguments" 2> /dev/null)" != "$*"; then
		say "configuring in $build${*:+ with $*}"
		(cd "$build" && "$top/configure" -q "$@") || die "configure failed; see $build/config.log"
		echo "$*" > "$build/arguments"
	fi
	say "building"
	make -C "$build" -s -j"$jobs" || die "the build failed"
}

passed=0
failed=0
skipped=0

count() {	# passed failed skipped
	passed=$((passed + $1))
	failed=$((failed + $2))
	skipped=$((skipped + $3))
}

# The tests that took longest, where the file system knows when their logs were begun.
say_slowest() {	# directory
	find "$1/tests" -name '*.trs' | while read -r trs; do
		log=${trs%.trs}.log
		began=$(stat -c %W "$log" 2> /dev/null) && test "$began" -gt 0 &&
			printf '%d %s\n' "$(($(stat -c %Y "$trs") - began))" "${log##*/}"
	done | sort -rn | head -n 8 | sed 's/\([0-9]*\) \(.*\)\.log/\2 \1 s,/' | tr '\n' ' ' | sed 's/^/== slowest: /; s/, $/\n/'
}

# make check in a directory, and add its totals. Arguments go to make.
check_build() {	# directory [make arguments]
	build=$1
	shift
	rm -f "$build/test-suite.log"
	make -C "$build" -j"$jobs" check "$@"
	status=$?
	if test ! -f "$build/test-suite.log"; then
		say "the tests could not be run in $build"
		count 0 1 0
		return 1
	fi
	total() { sed -n "s/^# $1: *//p" "$build/test-suite.log" | head -n 1; }
	say_slowest "$build"
	bad=$(($(total FAIL) + $(total XPASS) + $(total ERROR)))
	test "$status" = 0 || test "$bad" != 0 || bad=1
	count $(($(total PASS) + $(total XFAIL))) "$bad" "$(total SKIP)"
	test "$bad" = 0 || { cat "$build/test-suite.log"; return 1; }
}

print_totals() {
	printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
	test "$failed" = 0
}

# Where a script builds: $where, the directory that the caller names, which is kept, or a temporary one, which is removed.
# Tests take the size for CI there.
own_build() {	# name directory
	where=$2
	if test -z "$where"; then
		where=$(mktemp -d "${TMPDIR:-/tmp}/sasphere-$1.XXXXXX") || exit 1
		trap 'rm -rf "$where"' EXIT
		trap 'exit 129' HUP INT TERM
	fi
	SAS_TEST_SIZE=${SAS_TEST_SIZE-ci}
	export SAS_TEST_SIZE
	mkdir -p "$where" && where=$(cd "$where" && pwd) || exit 1
}

# What the sanitizer scripts share: a build of its own, with all that is compiled run at a CI size.
sanitizer_run() {	# name directory "configure arguments" [make arguments]
	own_build "$1" "$2"
	arguments=$3
	shift 3
	# shellcheck disable=SC2086
	if (ensure_build "$where" $arguments); then
		check_build "$where" gates= "$@"
	else
		count 0 1 0
	fi
	print_totals
}
