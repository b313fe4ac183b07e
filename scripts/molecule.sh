#!/bin/sh
# Test the roles: those scenarios that need processes only, those on `hosts` of their own, or those named.
# Each has a folder of its own, removed at the end. Hosts need Docker, and what makes the hosts' image.
set -eu
cd "$(dirname "$0")/.."
# Molecule writes an ansible.cfg of its own.
PATH="$PWD/.venv/bin:$PATH"
unset ANSIBLE_CONFIG
processes="supervisor app_service broker pki aws_bucket"
hosts="docker k3s app_image"
export TESTBED="${TESTBED:-$PWD/../shared/testbed}" HOST_IMAGE="${HOST_IMAGE:-facefleet-host:debian12}"

# Why there can be no hosts; nothing where there can.
missing() {
    if ! command -v docker >/dev/null; then
        echo "there is no Docker: install it (apt-get install docker.io) and start it"
    elif ! docker info >/dev/null 2>&1; then
        echo "no Docker answers: start it (systemctl start docker), and be a user who may reach it"
    elif docker image inspect "$HOST_IMAGE" >/dev/null 2>&1; then
        return
    elif [ ! -x "$TESTBED/hosts/build-image" ]; then
        echo "the image $HOST_IMAGE is not there: set TESTBED to the test bed's folder, which makes it"
    elif ! "$TESTBED/hosts/build-image" >&2; then
        echo "the test bed could not make the image $HOST_IMAGE"
    fi
}

left_out=
case "${1:-}" in
    "")
        set -- $processes
        left_out="Left out: $hosts, which take half an hour and need Docker: make molecule-hosts"
        ;;
    hosts)
        why=$(missing)
        if [ -n "$why" ]; then
            echo "These cannot run: $hosts, as $why." >&2
            exit 1
        fi
        set -- $hosts
        ;;
esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for scenario; do
    case " $processes " in
        *" $scenario "*) configs=config ;;
        *) configs="config hosts" ;;
    esac
    MOLECULE_EPHEMERAL_DIRECTORY="$work/$scenario" \
        molecule $(printf -- '--base-config .config/molecule/%s.yml ' $configs) test --scenario-name "$scenario"
done
[ -z "$left_out" ] || echo "$left_out" >&2
