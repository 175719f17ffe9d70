#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Pictures of what bench/results/*.txt say, which `make bench-record` has written: bars of the medians of the runs, by gnuplot.
# Usage: draw.sh RESULTS-DIRECTORY PLOTS-DIRECTORY

set -e
results=$1
plots=$2
work=$(mktemp -d "${TMPDIR:-/tmp}/sasphere-plots.XXXXXX")
trap 'rm -rf "$work"' EXIT
command -v gnuplot > /dev/null || { echo "gnuplot (Debian: gnuplot-nox) is needed" >&2; exit 1; }

# Lines "label<TAB>value", a label for each run: one line each, with the median, in the order of their first appearance.
medians() {
	awk -F '\t' '
		!($1 in count) { label[++labels] = $1 }
		{ value[$1, ++count[$1]] = $2 }
		END {
			for (i = 1; i <= labels; i++) {
				n = count[label[i]]
				for (j = 1; j <= n; j++)
					for (k = j + 1; k <= n; k++)
						if (value[label[i], k] + 0 < value[label[i], j] + 0) {
							t = value[label[i], j]; value[label[i], j] = value[label[i], k]; value[label[i], k] = t
						}
				printf "%s\t%s\n", label[i], value[label[i], int((n + 1) / 2)]
			}
		}'
}

# bars NAME TITLE UNIT [linear|log]: medians of what comes in.
bars() {
	local name=$1 title=$2 unit=$3 scale=${4:-linear} count
	medians > "$work/$name"
	count=$(wc -l < "$work/$name")
	test "$count" -gt 0 || { echo "draw.sh: nothing for $name" >&2; exit 1; }
	gnuplot << PLOT
set terminal svg size 860, $((70 + 26 * count)) font "sans,12" background "white"
set output "$plots/$name.svg"
set datafile separator "\t"
set title "$title" noenhanced
set xlabel "$unit" noenhanced
set ytics noenhanced
set yrange [$count - 0.4 : -0.6]
set grid xtics lc rgb "#dddddd"
set border 3
set tics nomirror
set key off
set lmargin 48
set rmargin 9
set style fill solid 0.9 noborder
$(test "$scale" = log && echo 'set logscale x; set xrange [1:*]; from = 1.0' || echo 'set xrange [0:*]; from = 0.0')
plot "$work/$name" using (from):0:(from):2:(\$0 - 0.36):(\$0 + 0.36):ytic(1) with boxxyerror lc rgb "#3b6ea5", \
     "" using 2:0:2 with labels left offset char 0.5, 0 noenhanced
PLOT
}

# Columns of the programs' tables begin after two or more blanks.
awk -F '  +' '/^  .* +[0-9.]+ +[0-9.]+ +[0-9.]+ +[0-9.]+$/ { print $2 "\t" $3 }' "$results/lock.txt" |
	bars locks "Locks: taking and giving back, nobody else there" "ns"
sed -nE 's/^  (.*[^ ]) +pair +([0-9]+) ns .*/\1\t\2/p' "$results/block.txt" |
	bars blocks "Blocks: allocation, clearing of the first page, and free" "ns" log
sed -nE 's/^(section.*[^ ]|alloc and.*[^ ]) {2,}([0-9.]+) ns.*/\1\t\2/p' "$results/epoch.txt" |
	bars epochs "Epochs: a critical section, a deferred free" "ns" log
sed -nE 's/^  (.*[^ ]) +median +([0-9.]+) us.*/\1\t\2/p' "$results/join.txt" "$results/fault.txt" |
	bars joins "Joining a region of 1,000 segments, leaving, first touch of a segment" "microseconds" log
awk '/^bench_sync,/ { n = $2 } match($0, /median +[0-9.]+/) {
		split(substr($0, RSTART, RLENGTH), f, / +/); sub(/^ +/, ""); sub(/  +median.*/, "")
		print n " segments: " $0 "\t" f[2] }' "$results/sync.txt" |
	bars syncs "Syncs of one dirty page" "microseconds" log
sed -nE 's/^  (.*[^ ]) +([0-9.]+) ns +[0-9.]+ times.*/\1\t\2/p' "$results/clock.txt" |
	bars clocks "Clocks" "ns"
sed -nE 's/^  ([^ ]+( [^ ]+)*) +allocate .*random read +([0-9.]+) ns.*/\1: random read\t\3/p' "$results/huge.txt" |
	bars huge "Huge pages: random reads in 1 GiB" "ns"
# It needs C++. After the name come pairs: the figure, and how many times ours it is; look-ups are the second one.
test ! -f "$results/index.txt" ||
	awk '/: ns an operation/ { sub(/, .*/, ""); set = $0; next } /^[^ ]/ { set = "" }
	set && /^  [^ ]/ { name = $1; for (i = 2; i < NF && $i !~ /^[0-9]/; i++) name = name " " $i; print set ": " name "\t" $(i + 2) }' "$results/index.txt" |
	bars indexes "Ordered maps: lookups of keys that are there, in random order" "ns"
