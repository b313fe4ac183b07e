#!/bin/sh
# Say why this machine cannot have the hosts of the scenarios; nothing where it can. It makes their image.
set -eu
cd "$(dirname "$0")/.."
testbed="${TESTBED:-$PWD/../shared/testbed}" image="${HOST_IMAGE:-facefleet-host:debian12}"

if [ "$(id -u)" != 0 ]; then
    echo "They make and boot machines: run this as root."
elif ! command -v ssh >/dev/null || ! command -v ssh-keygen >/dev/null; then
    echo "They are reached by ssh, and there is none: install it (apt-get install openssh-client)."
elif ! command -v docker >/dev/null; then
    echo "There is no Docker: install it (apt-get install docker.io) and start it."
elif ! docker info >/dev/null 2>&1; then
    echo "No Docker answers: start it (systemctl start docker)."
elif [ -x "$testbed/hosts/build-image" ]; then # quick where the image is there and right
    "$testbed/hosts/build-image" >&2 || echo "The test bed could not make the image $image."
elif ! docker image inspect "$image" >/dev/null 2>&1; then
    echo "The image $image is not there: set TESTBED to the folder of the test bed, which makes it."
elif [ -z "${K3S_VERSION:-}" ]; then
    echo "There is no test bed in $testbed: set TESTBED to its folder, or use the real k3s (CONTRIBUTING.md)."
fi
