#!/bin/sh
# Remove hosts with their volumes and their network, as far as they are there: remove.sh NETWORK NAME...
network=$1
shift
ids=$(docker container inspect --format '{{.Id}}' "$@" 2>/dev/null)
volumes=$(for name; do echo "$name-docker $name-kubelet $name-rancher"; done)
# Errors are told, and what is not there is none.
set -e
[ -z "$ids" ] || docker container rm --force $ids
# The hosts' kubelets made control groups of their pods, and Docker leaves them.
for id in $ids; do
    find /sys/fs/cgroup -depth -type d -path "*docker*$id*" -exec rmdir {} + 2>/dev/null || true
done
docker volume rm --force $volumes
! docker network inspect "$network" >/dev/null 2>&1 || docker network rm "$network"
