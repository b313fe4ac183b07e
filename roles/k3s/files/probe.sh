#!/bin/sh
# What k3s needs of a host, and what there is of it, as YAML: probe.sh UNIT NODEPORT
unit=$1 nodeport=$2
modules="overlay br_netfilter nf_conntrack nf_nat veth vxlan xt_comment xt_conntrack xt_MASQUERADE xt_multiport"
list() { echo "$1: [$(tr '\n' ' ' | sed 's/ *$//; s/  */", "/g; s/.\{1,\}/"&"/')]"; }

if [ -f /sys/fs/cgroup/cgroup.controllers ]; then
    echo "cgroup: 2"
    list controllers </sys/fs/cgroup/cgroup.controllers
else
    echo "cgroup: 1"
    awk '$4 == 1 {print $1}' /proc/cgroups | list controllers
fi

# A container has no modules of its own: nothing can be said there.
[ ! -d "/lib/modules/$(uname -r)" ] || for module in $modules; do
    [ -d "/sys/module/$module" ] || modprobe --dry-run --quiet "$module" || echo "$module"
done | list missing
[ -d "/lib/modules/$(uname -r)" ] || echo "missing: []"

# Swap in compressed memory is JetPack's own, and fine.
awk 'NR > 1 && $1 !~ /zram/ {print $1}' /proc/swaps | list swap
awk '$1 == "MemTotal:" {print "memory: " $2 * 1024}' /proc/meminfo
echo "disk: $(df --output=avail -B1 /var/lib/rancher /var/lib 2>/dev/null | sed -n 2p)"

ss -Hltn "sport = :$nodeport or sport = :6443 or sport = :10250" | awk '{print $4}' | sed 's/.*://' | sort -u | list taken

echo "version: '$(/usr/local/bin/k3s --version 2>/dev/null | awk 'NR == 1 {print $3}')'"
for name in k3s k3s-agent; do
    file=/etc/systemd/system/$name.service
    [ ! -f "$file" ] || if grep -q FACEFLEET_K3S= "$file"; then echo $name; else echo "$name-foreign"; fi
done | list units
pid=$(systemctl show --property=MainPID --value "$unit.service")
echo "running: '$({ tr '\0' '\n' <"/proc/${pid:-0}/environ"; } 2>/dev/null | sed -n 's/^FACEFLEET_K3S=//p')'"
