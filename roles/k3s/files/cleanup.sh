#!/bin/sh
# Remove what a stopped k3s leaves: its pods, their mounts, its interfaces and rules, its files, and the folders of
# its volumes: cleanup.sh BRIDGE VOLUME...
# Says what it removed; nothing where there is nothing.
bridge=$1
shift

# Where k3s was told to keep its data; the last one counts, as for k3s.
settings() { sed -n "s/^$1: *[\"']\{0,1\}\([^\"']*\).*/\1/p" /etc/rancher/k3s/config.yaml /etc/rancher/k3s/config.yaml.d/*.yaml 2>/dev/null; }
state=$(settings data-dir | tail -n 1)
state=${state:-/var/lib/rancher/k3s}
storage=$(settings default-local-storage-path | tail -n 1)
storage=${storage:-$state/storage}
# k3s brings tools for hosts that have none of their own.
PATH=$PATH:/usr/sbin:/sbin:$state/data/current/bin:$state/data/current/bin/aux

# A pod's shim, and all below it. Docker's shims have another address.
tree() { for child in $(pgrep -P "$1"); do tree "$child"; done; echo "$1"; }
for shim in $(pgrep -f 'containerd-shim.* -address /run/k3s/'); do
    echo "process $shim"
    kill -9 $(tree "$shim") 2>/dev/null
done

# The innermost first. A disk that somebody mounted for k3s stays where it is.
for mount in $(awk -v agent="$state/agent/" '
        $5 ~ "^(/run/k3s|/var/lib/kubelet/(pods|plugins)|/run/netns/cni-)" {print $5; next}
        index($5, agent) == 1 && / - (overlay|tmpfs|nsfs|proc|shm) / {print $5}' /proc/self/mountinfo | sort -r); do
    echo "mount $mount"
    umount -f "$mount" 2>/dev/null || umount -l "$mount"
done

for namespace in $(ip netns list | awk '/^cni-/ {print $1}'); do
    echo "namespace $namespace"
    ip netns delete "$namespace"
done
for interface in $(ip -o link show | awk -F '[:@ ]+' '$0 ~ / master cni0 / {print $2}') \
    cni0 flannel.1 flannel-v6.1 flannel-wg kube-ipvs0 "$bridge"; do
    ip link delete "$interface" 2>/dev/null && echo "interface $interface"
done

# Those to the pods of the site's other nodes.
for route in $(ip route show root 10.42.0.0/16 | awk '{print $1}'); do
    ip route delete "$route" 2>/dev/null && echo "route $route"
done

ours='KUBE-|CNI-|FLANNEL|flanneld| cni0 |FACEFLEET'
for tables in iptables ip6tables; do
    rules=$("$tables-save" 2>/dev/null | grep -E "$ours") || continue
    echo "$tables: $(echo "$rules" | wc -l) rules"
    "$tables-save" | grep -vE "$ours" | "$tables-restore"
done
for set in $(ipset list -name 2>/dev/null | grep -E '^(inet6:)?(KUBE-|kube-router-)'); do
    ipset destroy "$set" && echo "ipset $set"
done

# What is in a folder, wherever it lies; the folder too, but where it is a mount or somebody's link.
empty() {
    [ -d "$1" ] || return
    found=$(find -H "$1" -xdev -mindepth 1 -print -quit)
    find -H "$1" -xdev -mindepth 1 -delete
    if [ ! -L "$1" ] && rmdir "$1" 2>/dev/null || [ -n "$found" ]; then echo "path $1"; fi
}
for volume in "$@" "$storage"/pvc-*; do empty "$volume"; done
# Beside the volumes lies what is somebody's own, where their folder is a link or was chosen.
[ -L "$storage" ] || { rmdir "$storage" 2>/dev/null && echo "path $storage"; }
# By name: a folder that was chosen for k3s may hold other things too.
for path in "$state/agent" "$state/data" "$state/server" /var/lib/rancher/k3s/data /run/k3s /run/flannel /var/lib/kubelet /var/lib/cni \
    /var/log/pods /var/log/containers; do
    empty "$path"
done
# What the role and k3s write there; a registries.yaml, say, is somebody's own.
for path in config.yaml k3s.yaml token proxy.env; do
    [ ! -e "/etc/rancher/k3s/$path" ] || { rm -f "/etc/rancher/k3s/$path" && echo "path /etc/rancher/k3s/$path"; }
done
for path in /etc/rancher/node/password /usr/local/bin/k3s /usr/local/sbin/facefleet-firewall \
    /usr/local/sbin/facefleet-resolvers /var/lib/facefleet/resolv.conf; do
    [ ! -e "$path" ] || { rm -f "$path" && echo "path $path"; }
done
[ -L "$state" ] || rmdir "$state" 2>/dev/null
rmdir /var/lib/rancher/k3s /etc/rancher/k3s /etc/rancher/node /etc/rancher /var/lib/rancher 2>/dev/null

# What kubectl remembers of this Kubernetes, for root.
cache=/root/.kube/cache
if [ -d "$cache/discovery/127.0.0.1_6443" ]; then
    rm -r "$cache/discovery/127.0.0.1_6443"
    rmdir "$cache/discovery" 2>/dev/null && rm -rf "$cache/http"
    rmdir "$cache" /root/.kube 2>/dev/null
    echo "path $cache"
fi

# What the shims wrote where Docker's write too.
rm -rf /run/containerd/runc/k8s.io
for socket in /run/containerd/s/*; do
    ss -Hxl src "$socket" | grep -q . || rm -f "$socket"
done
rmdir /run/containerd/runc /run/containerd/s /run/containerd /run/netns 2>/dev/null
exit 0
