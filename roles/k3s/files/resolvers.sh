#!/bin/sh
# Write down the resolvers of this host for its pods, in /var/lib/facefleet/resolv.conf: resolvers.sh [ROOT]
# Those of loopback are of no use in a pod. Where the host has no other, as when it boots without a network, the former
# ones stay: k3s by itself would take 8.8.8.8, and keep to it. Says what it changed.
root=${1-}
file=$root/var/lib/facefleet/resolv.conf
for source in /run/systemd/resolve/resolv.conf /etc/resolv.conf; do
    found=$(grep -E '^(nameserver|search|options) ' "$root$source" 2>/dev/null | grep -vE '^nameserver +(127\.|::1)')
    case $found in *nameserver*) break ;; esac
    found=
done
if [ -z "$found" ]; then
    [ ! -s "$file" ] || exit 0
    # CoreDNS ends without any: this one answers nothing, and the names of the cluster are resolved all the same.
    found='nameserver 192.0.2.53'
fi
[ "$found" != "$(cat "$file" 2>/dev/null)" ] || exit 0
mkdir -p "${file%/*}"
echo "$found" >"$file.new" && mv "$file.new" "$file" && echo "resolvers: $(echo "$found" | grep -c nameserver)"
