#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What --help says of a command is what bash and zsh complete, and what its page describes: options, columns, commands. Then
# both shells are driven.

tools=$top_builddir/utils
test -x "$tools/sasphere" || { echo "the tool is not built"; exit 77; }
work=$(mktemp -d "${TMPDIR:-/tmp}/sasXXXXXX") || exit 99
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 99
export LC_ALL=C
failures=0 checks=0
complain() { echo "FAIL: $*"; failures=$((failures + 1)); }

# same WHAT: the two files hold the same words.
same()
{
	checks=$((checks + 1))
	diff -u "$2" "$3" > differs || { complain "$1"; cat differs; }
}

# --- what bash completes: COMPREPLY, sorted, a line each

compopt() { :; }
. "$top_srcdir/completions/bash/sasphere"
test ! -x "$tools/sasutil" || . "$top_srcdir/completions/bash/sasutil"
complete_bash() # FUNCTION WORD...
{
	COMP_WORDS=("${@:2}")
	COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
	COMPREPLY=()
	"$1"
	printf '%s\n' "${COMPREPLY[@]}" | sort -u
}

# --- what the help, zsh's file and the page name

options_of_help() { grep -E '^ +(-[a-zA-Z], |    )?--[a-z]' | grep -oE '(^| )--?[a-zA-Z][a-z-]*' | tr -d ' ' | sort -u; }
columns_of_help() { sed -n '/^Columns/,$p' | sed '/^Exit/,$d' | awk '/^ +[A-Z]+  / { print $1 }' | sort -u; }

# The part of zsh's file for a command.
zsh_part() { awk -v c="$1)" '$1 == c { on = 1 } on { print } / ;;$/ { on = 0 }' "$top_srcdir/completions/zsh/_sasphere"; }
options_of_zsh()
{
	local part=$(zsh_part "$1") shared=""
	case $part in *'$common'*) shared="--help --version -h -V" ;; esac
	case $part in *'$table'*) shared+=" --bytes --json --noheadings -b -J -n" ;; esac
	{ printf '%s\n' $shared; grep -oE "[{'][-][^}[]*" <<< "$part" | tr -d "{'" | tr , '\n'; } | grep . | sort -u
}
options_of_page()
{
	tr -d '\\' < "$top_srcdir/man/$1.1" | sed -n '/^.SH OPTIONS/,/^.SH [^O]/p' |
		grep -E '^\.BR? .*-[-a-zA-Z]' | grep -oE '(^|[ ,~])--?[a-zA-Z][a-z-]*' | tr -d ' ,~' | sort -u
}

commands=$("$tools/sasphere" --help | sed -n '/^Commands:/,/^$/p' | awk '/^ [a-z]/ { print $1 }')
printf '%s\n' $commands --help --version -h -V | sort -u > wanted
complete_bash _sasphere sasphere "" > said
same "bash: the commands" wanted said
printf '%s\n' $commands | sort -u > wanted
sed -n "/commands=(/,/^	)/s/^		['\"]\([a-z]*\):.*/\1/p" "$top_srcdir/completions/zsh/_sasphere" | sort -u > said
same "zsh: the commands" wanted said
for command in $commands; do
	"$tools/sasphere" "$command" --help > help
	options_of_help < help > wanted
	test -s wanted || complain "$command: no options in its help"
	complete_bash _sasphere sasphere "$command" - > said
	same "bash: options of $command" wanted said
	options_of_zsh "$command" > said
	same "zsh: options of $command" wanted said
	options_of_page "sasphere-$command" > said
	same "page: options of $command" wanted said
	columns_of_help < help > wanted
	test -s wanted || continue
	case $command in check | create) continue ;; esac
	complete_bash _sasphere sasphere "$command" -o "" > said
	same "bash: columns of $command" wanted said
	zsh_part "$command" | sed -n "s/.*_values -s , column \(.*\)'.*/\1/p" | tr ' ' '\n' | grep . | sort -u > said
	same "zsh: columns of $command" wanted said
	tr -d '\\' < "$top_srcdir/man/sasphere-$command.1" > page
	while read -r column; do
		checks=$((checks + 1))
		grep -qE "^\.BR? .*\b$column\b" page || complain "page: $command: no column $column"
	done < wanted
done

# --- driven: bash

mkdir -p stores/one stores/two
touch stores/file
drive() { local name=$1; shift; checks=$((checks + 1)); cat > wanted; complete_bash "$@" > said; same "$name" wanted said; }
drive "bash: a command" _sasphere sasphere l < <(printf '%s\n' locks ls)
drive "bash: directories" _sasphere sasphere check stores/ < <(printf '%s\n' stores/one stores/two)
drive "bash: a second column" _sasphere sasphere info --output "BASE,SEG" \
	< <(printf '%s\n' BASE,SEGMAX BASE,SEGMENTS BASE,SEGSIZE)
drive "bash: a kind" _sasphere sasphere ls --kind f < <(printf '%s\n' free free-region)
drive "bash: sizes" _sasphere sasphere create --segment-size 2 < <(printf '%s\n' 256G 256M 2M)
drive "bash: an option of create" _sasphere sasphere create --s < <(printf '%s\n' --segment-size --single-host --sparse)

if test -x "$tools/sasutil"; then
	"$tools/sasutil" --help > help
	commands=$(sed -n '/^Commands:/,/^$/p' help | awk '/^ [a-z]/ { print $1 }')
	printf '%s\n' $commands --path --help --version -p -h -v | sort -u > wanted
	complete_bash _sasutil sasutil "" > said
	same "bash: commands of sasutil" wanted said
	sed -n "/commands=(/,/^	)/s/^		'\([a-z]*\):.*/\1/p" "$top_srcdir/completions/zsh/_sasutil" | sort -u > said
	printf '%s\n' $commands | sort -u > wanted
	same "zsh: commands of sasutil" wanted said
	tr -d '\\' < "$top_srcdir/man/sasutil.1" > page
	for command in $commands; do
		checks=$((checks + 1))
		grep -qE "^\.(B|BR|BI|RB) \"?$command\b" page || complain "page: sasutil: no command $command"
		# Short options stand in brackets behind the command.
		awk -v c="$command" '$1 == c' help | grep -oE '\[-[a-z]\]' | tr -d '[]' | sort -u > wanted
		complete_bash _sasutil sasutil -p stores/one "$command" - | grep -E '^-[a-z]$' > said
		same "bash: options of sasutil $command" wanted said
	done
	drive "bash: the store of sasutil" _sasutil sasutil -p stores/t <<< stores/two
	drive "bash: a command after the store" _sasutil sasutil -p stores/one re < <(printf '%s\n' recover remove reset)
fi

# --- driven: zsh, in a terminal of its own

if command -v zsh > /dev/null; then
	# The completed line is run: a function of the tool's name prints what it was given.
	cat > driver.zsh <<-'ZSH'
		zmodload zsh/zpty || exit 77
		setopt extended_glob
		zpty shell zsh -f -i
		zpty -w shell "PS1='' fpath=($1/completions/zsh \$fpath); autoload -U compinit; compinit -u -d $PWD/dump
			sasphere() { print -r -- \"<\$*>\" }; sasutil() { sasphere \$* }; echo rea''dy"
		zpty -m -r shell answer '*ready*'
		for line in 'cre:create' 'check --rep:check --repair' 'ls --kind free-r:ls --kind free-region' \
			'info -o UUI:info -o UUID' 'create -d pm:create -d pmem' 'cp stores/o:cp stores/one'; do
			zpty -w shell "sasphere ${line%:*}"$'\t'
			zpty -m -r shell answer "*<${line#*:}(|/)>*" && print "completed"
		done
		zpty -w shell $'sasutil rec\t'
		zpty -m -r shell answer '*<recover>*' && print "completed"
		zpty -d shell
	ZSH
	timeout 60 zsh -f driver.zsh "$top_srcdir" > said 2>&1
	status=$?
	checks=$((checks + 7))
	test $status = 77 || test "$(grep -c '^completed$' said)" = 7 || { complain "zsh, driven: status $status"; cat -v said; }
else
	echo "there is no zsh: its file is compared, not driven"
fi

echo "$checks checks, $failures failures"
test "$failures" = 0
