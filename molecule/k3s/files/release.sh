#!/bin/sh
# Lay out a release in a folder, for k3s_airgap_dir. Its images: one, of a host's busybox.
# release.sh FOLDER CONTAINER K3S
set -e
mkdir -p "$1"
cd "$1"
docker exec "$2" cat "$3" >k3s
docker exec "$2" tar -C / -c bin/busybox >busybox.tar
docker import busybox.tar try:1
docker save try:1 >k3s-airgap-images-amd64.tar
docker rmi try:1
rm busybox.tar
sha256sum k3s k3s-airgap-images-amd64.tar >sha256sum-amd64.txt
# The same, cut short.
cp -r "$1" "$1-cut"
truncate --size=-1 "$1-cut/k3s"
