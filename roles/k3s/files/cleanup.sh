#!/bin/sh
# Remove what a stopped k3s leaves: its pods, their mounts, its interfaces and rules, its files.
# Says what it removed; nothing where there is nothing.
state=/var/lib/rancher/k3s

# A pod's shim, and all below it. Docker's shims have another address.
tree() { for child in $(pgrep -P "$1"); do tree "$child"; done; echo "$1"; }
for shim in $(pgrep -f 'containerd-shim.* -address /run/k3s/'); do
    echo "process $shim"
    kill -9 $(tree "$shim") 2>/dev/null
done

# The innermost first.
for mount in $(awk '{print $5}' /proc/self/mountinfo | sort -r |
    grep -E "^(/run/k3s|$state|/var/lib/kubelet/(pods|plugins)|/run/netns/cni-)"); do
    echo "mount $mount"
    umount -f "$mount" 2>/dev/null || umount -l "$mount"
done

for namespace in $(ip netns list | awk '/^cni-/ {print $1}'); do
    echo "namespace $namespace"
    ip netns delete "$namespace"
done
for interface in $(ip -o link show | awk -F '[:@ ]+' '$0 ~ / master cni0 / {print $2}') \
    cni0 flannel.1 flannel-v6.1 flannel-wg kube-ipvs0 "$1"; do
    ip link delete "$interface" 2>/dev/null && echo "interface $interface"
done

# Those to the pods of the site's other nodes.
for route in $(ip route show root 10.42.0.0/16 | awk '{print $1}'); do
    ip route delete "$route" 2>/dev/null && echo "route $route"
done

for tables in iptables ip6tables; do
    rules=$("$tables-save" 2>/dev/null | grep -E 'KUBE-|CNI-|FLANNEL|flanneld| cni0 |FACEFLEET') || continue
    echo "$tables: $(echo "$rules" | wc -l) rules"
    "$tables-save" | grep -vE 'KUBE-|CNI-|FLANNEL|flanneld| cni0 |FACEFLEET' | "$tables-restore"
done

# What is in /var/lib/kubelet, and itself where it is not a mount.
for path in /etc/rancher/k3s /run/k3s /run/flannel "$state" /var/lib/kubelet /var/lib/cni /var/log/pods \
    /var/log/containers /usr/local/bin/k3s /usr/local/sbin/facefleet-firewall; do
    [ -e "$path" ] || continue
    find "$path" -xdev -depth ! -path "$path" -delete
    if ! mountpoint -q "$path"; then rm -rf "$path"; echo "path $path"; fi
done
rmdir /etc/rancher /var/lib/rancher 2>/dev/null

# What the shims wrote where Docker's write too.
rm -rf /run/containerd/runc/k8s.io
for socket in /run/containerd/s/*; do
    ss -Hxl src "$socket" | grep -q . || rm -f "$socket"
done
rmdir /run/containerd/runc /run/containerd/s /run/containerd /run/netns 2>/dev/null
exit 0
