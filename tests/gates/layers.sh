#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Who may include whom. The table names each module of sas/ once, lowest layer first (region.h, what a
# region is, lies lower than region.c, which joins it); a module may include its own layer and the
# ones below. Layers 2 and 3 also see the public headers of $values: options, sizes, flags and what
# inspection tells have one set of values, not a second one that is copied field by field. Above
# them, sph/ sees the public headers, sas/service.h and itself; tools, examples and benches see the
# public headers and their own directory; a public header sees other public headers. Headers include
# each other without a circle.

. "$(dirname "$0")/lib.sh"
cd "$top_srcdir" || exit 99

cat > "$work/table" <<'TABLE'
0 port atomic err hash lines numa pause rank uuid xattr
1 layout layout_check
2 region.h anchor buddy epoch fault file hold index lock_table log persist place run run_check run_lease run_page segment tiles xattr_describe
3 runtime block block_free block_list block_lock block_word check check_map copy epoch_* inspect lease lock look lock_circle lock_held lock_list lock_newest lock_wait log_grow owner participant recover repair repair_map
3 region region_create region_open region_remove service space update use
4 api_*
TABLE
values='^include/sas(conf|inspect|region)[.]h$'

find sas sph include utils examples bench -name '*.[ch]' -o -name '*.[ch]pp' 2> /dev/null | sort > "$work/files"

# "file line < or quote, name" for each inclusion.
while read -r file; do
	awk -v file="$file" '/^[ \t]*#[ \t]*include[ \t]*[<"]/ {
		kind = index($0, "<") ? "<" : "\""
		split($0, part, /[<">]/)
		print file, FNR, kind, part[2]
	}' "$file"
done < "$work/files" > "$work/inclusions"

awk -v values="$values" -v files="$work/files" -v table="$work/table" -v edges="$work/edges" '
function module_layer(file,    i, stem) {
	sub(/^.*\//, "", file); stem = file; sub(/\.[ch]$/, "", stem)
	for (i = 1; i <= patterns; i++)
		if (file ~ pattern[i] || stem ~ pattern[i]) return layer_of[i]
	return -1
}
function folder(file) { sub(/\/.*/, "", file); return file }

# Which of our files an inclusion means; "" for a header of the system.
function resolve(from, kind, name,    beside) {
	beside = from
	sub(/[^\/]*$/, name, beside)
	if (kind == "\"" && beside in ours) return beside
	if (name in ours) return name
	if (("include/" name) in ours) return "include/" name
	if (("sas/" name) in ours) return "sas/" name
	return ""
}
function refuse(why) { print $1 ":" $2 ": includes " $4 ": " why }

BEGIN {
	while ((getline line < table) > 0) {
		count = split(line, word, " ")
		for (i = 2; i <= count; i++) {
			sub(/\*$/, ".*", word[i])
			pattern[++patterns] = "^" word[i] "$"
			layer_of[patterns] = word[1]
		}
	}
	while ((getline line < files) > 0) {
		ours[line] = 1
		if (folder(line) == "sas" && module_layer(line) < 0)
			print line ": in no layer; add it to the table in tests/gates/layers.sh"
	}
}
{
	from = folder($1); target = resolve($1, $3, $4); to = folder(target)
	if (target ~ /\.h$/ && $1 ~ /\.h$/) print $1, target > edges
	if ($4 == "config.h") {
		if (from == "include") refuse("a public header knows nothing of the build")
		next
	}
	if (from == "sas") {
		own = module_layer($1)
		if (own < 0) next
		if (target == "") {
			if ($3 == "\"") refuse("no such file in the tree")
			if (own == 1 && $4 !~ /^std(int|def)\.h$/) refuse("layout is bytes alone")
		} else if (to == "include") {
			if (own < 4 && !(own > 1 && target ~ values))
				refuse("layer " own " does not see public headers")
		} else if (to != "sas")
			refuse("sas/ sees nothing of " to "/")
		else if ((theirs = module_layer(target)) > own)
			refuse("layer " own " does not see layer " theirs)
		else if (own == 1 && theirs == 0 && target != "sas/ground/atomic.h")
			refuse("layout sees nothing but atomic types")
	} else if (target == "") {
		if ($3 == "\"") refuse("no such file in the tree")
	} else if (from == "include") {
		if (to != "include") refuse("a public header sees only public headers")
	} else if (from == "sph") {
		if (to != "include" && to != "sph" && target != "sas/service.h")
			refuse("sph/ sees public headers, sas/service.h and sph/")
	} else if (to != "include" && to != from)
		refuse(from "/ sees public headers and its own files")
}' "$work/inclusions" > "$work/refused"
while read -r line; do complain "$line"; done < "$work/refused"

test -f "$work/edges" || : > "$work/edges"
tsort "$work/edges" > /dev/null 2> "$work/cycle" ||
	complain "headers include each other in a circle: $(tr '\n' ' ' < "$work/cycle")"

verdict "$(wc -l < "$work/inclusions") inclusions in $(wc -l < "$work/files") files keep to the layers"
