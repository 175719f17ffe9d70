# SPDX-License-Identifier: MIT
#
# What `packages answer` says, counted from the text itself by other means: names are keys of tables,
# closures walk lists of names. First file: the names whose closures are wanted; second: the index.

function blank(text)
{
	gsub(/[ \t\r\n]+/, "", text)
	return text
}

# Cut "a (>= 1) | b:any, c" into names; count its dependencies and alternatives.
function take(list,    groups, names, i, j, n, m, name, any)
{
	gsub(/\([^)]*\)/, "", list)
	gsub(/\[[^]]*\]/, "", list)
	gsub(/<[^>]*>/, "", list)
	n = split(list, groups, ",")
	for (i = 1; i <= n; i++) {
		any = 0
		m = split(groups[i], names, "|")
		for (j = 1; j <= m; j++) {
			name = blank(names[j])
			if (name == "")
				continue
			sub(/:.*/, "", name)
			known[name] = any = 1
			alternatives++
			if ((package, name) in needs)
				continue
			needs[package, name] = 1
			direct[name]++
			forward[package] = forward[package] " " name
			backward[name] = backward[name] " " package
		}
		dependencies += any
	}
}

function finish_field()
{
	if (field == "Depends" || field == "Pre-Depends")
		take(value)
	field = ""
}

# How many names a list of names leads to, its start not counted.
function closure(start, kind,    seen, todo, top, name, next_names, i, n, count)
{
	top = 1
	todo[1] = start
	seen[start] = 1
	while (top > 0) {
		name = todo[top--]
		n = split(kind == "closure" ? forward[name] : backward[name], next_names, " ")
		for (i = 1; i <= n; i++)
			if (!(next_names[i] in seen)) {
				seen[next_names[i]] = 1
				todo[++top] = next_names[i]
				count++
			}
	}
	return count + 0
}

FILENAME == ARGV[1] {
	wanted[++wants] = $1
	next
}

/^[ \t]/ {
	value = value " " $0
	next
}

{
	finish_field()
}

/^Package:/ {
	package = $2
	known[package] = 1
	if (!(package in packages))
		count_of_packages++
	packages[package] = 1
	versions++
}

/^(Pre-)?Depends:/ {
	field = substr($0, 1, index($0, ":") - 1)
	value = substr($0, index($0, ":") + 1)
}

END {
	finish_field()
	print "packages", count_of_packages + 0
	print "versions", versions + 0
	print "dependencies", dependencies + 0
	print "alternatives", alternatives + 0
	for (name in known) {
		names++
		print "rdepends", name, direct[name] + 0
	}
	print "names", names + 0
	for (i = 1; i <= wants; i++)
		if (wanted[i] in known)
			for (kind = 1; kind <= 2; kind++) {
				word = kind == 1 ? "closure" : "rclosure"
				print word, wanted[i], closure(wanted[i], word)
			}
		else
			print "unknown", wanted[i]
}
