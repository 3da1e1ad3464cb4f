#!/bin/bash
# record.sh FILE...
#
# Runs every "$" line of the golden files with the ipvsadm of this machine, which must
# be root's own with ip_vs loaded and an empty table, and writes down what it said.
# Lines that begin with "<" are the standard input of the "$" line above them.
# names.txt wants names/hosts and names/services in /etc, and no other source of names.
# Source of the files here: ipvsadm 1.31, kernel 6.1.
set -eu
out=$(mktemp) err=$(mktemp) in=$(mktemp)
answer() {
	[ -n "$line" ] || return 0
	rc=0
	eval "${line#\$ }" >"$out" 2>"$err" <"$in" || rc=$?
	sed 's/^/> /' "$out"
	sed 's/^/! /' "$err"
	echo "= $rc"
	line='' && : >"$in"
}
for file in "$@"; do
	ipvsadm -C
	ipvsadm --set 900 120 300
	line=''
	while IFS= read -r l; do
		case $l in
		'$ '*) answer; echo "$l"; line=$l ;;
		'< '* | '<') echo "$l"; printf '%s\n' "${l:2}" >>"$in" ;;
		'> '* | '>' | '! '* | '= '*) ;;
		*) answer; echo "$l" ;;
		esac
	done <"$file" >"$file.new"
	answer >>"$file.new"
	mv "$file.new" "$file"
done
rm -f "$out" "$err" "$in"
