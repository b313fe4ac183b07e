#!/bin/sh
# Say why this machine cannot run the hosts of the scenarios, and fail; say nothing where it can.
if ! command -v ssh >/dev/null || ! command -v ssh-keygen >/dev/null; then
    echo "The hosts are reached by ssh, which is not installed: install it (apt-get install openssh-client)."
elif ! command -v docker >/dev/null; then
    echo "Docker is not installed: install it (apt-get install docker.io) and start it."
elif ! docker info >/dev/null 2>&1; then
    echo "Docker does not answer: start it (systemctl start docker), or run this as a user who may use it."
else
    exit 0
fi
exit 1
