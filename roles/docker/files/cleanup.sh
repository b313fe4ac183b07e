#!/bin/sh
# Remove what a removed Docker leaves: its interface, its rules, and what is in the paths that are named.
ip link delete docker0 2>/dev/null
rules='[: ]DOCKER([ -]|$)| docker0( |$)'
for tables in iptables ip6tables; do
    "$tables-save" 2>/dev/null | grep -qE "$rules" || continue
    "$tables-save" | grep -vE "$rules" | "$tables-restore"
done
# A mount stays, emptied.
for path; do
    [ -e "$path" ] || continue
    find "$path" -xdev -depth ! -path "$path" -delete
    mountpoint -q "$path" || rm -rf "$path"
done
exit 0
