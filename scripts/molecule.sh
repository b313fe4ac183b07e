#!/bin/sh
# Test the roles: all but the long scenarios, or of these the `processes` or the `quick` ones; all on `hosts` of their
# own; or those named.
# Each has a folder of its own, removed at the end. Hosts need root, Docker, and what makes the hosts' image.
set -eu
cd "$(dirname "$0")/.."
# Molecule writes an ansible.cfg of its own.
PATH="$PWD/.venv/bin:$PATH"
unset ANSIBLE_CONFIG
processes="supervisor app_service broker pki"
quick="fleet"
# By make molecule-hosts alone: make test would take too long with them.
long="docker k3s app_image"
hosts="$quick $long"
export TESTBED="${TESTBED:-$PWD/../shared/testbed}" HOST_IMAGE="${HOST_IMAGE:-facefleet-host:debian12}"

on_hosts() { case " $hosts " in *" $1 "*) ;; *) false ;; esac; }

# Why there can be no hosts; nothing where there can.
missing() {
    if [ "$(id -u)" != 0 ]; then
        echo "they make and boot machines: run this as root"
    elif ! command -v docker >/dev/null; then
        echo "there is no Docker: install it (apt-get install docker.io) and start it"
    elif ! docker info >/dev/null 2>&1; then
        echo "no Docker answers: start it (systemctl start docker)"
    elif [ -x "$TESTBED/hosts/build-image" ]; then # quick where the image is there and right
        "$TESTBED/hosts/build-image" >&2 || echo "the test bed could not make the image $HOST_IMAGE"
    elif ! docker image inspect "$HOST_IMAGE" >/dev/null 2>&1; then
        echo "the image $HOST_IMAGE is not there: set TESTBED to the test bed's folder, which makes it"
    elif [ -z "${K3S_VERSION:-}" ]; then
        echo "there is no test bed in $TESTBED: set TESTBED to its folder, or use the real k3s (CONTRIBUTING.md)"
    fi
}

case "${1:-all}" in
    all) scenarios="$processes $quick" ;;
    processes) scenarios=$processes ;;
    quick) scenarios=$quick ;;
    hosts) scenarios=$hosts ;;
    *) scenarios=$* ;;
esac
left_out= why=
for scenario in $scenarios; do
    if on_hosts "$scenario"; then
        why=$(missing)
        break
    fi
done
if [ -n "$why" ]; then
    left_out="These need hosts and were left out: $hosts. $why; then: make molecule-hosts"
    # Not in silence where they are asked for.
    case "${1:-all}${CI:-}" in
        all) scenarios=$processes ;;
        quick) scenarios= ;;
        *)
            echo "$left_out" >&2
            exit 1
            ;;
    esac
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
times=
for scenario in $scenarios; do
    configs=config
    if on_hosts "$scenario"; then configs="config hosts"; fi
    started=$(date +%s)
    MOLECULE_EPHEMERAL_DIRECTORY="$work/$scenario" \
        molecule $(printf -- '--base-config .config/molecule/%s.yml ' $configs) test --scenario-name "$scenario"
    times="$times$(printf '%6d s  %s' $(($(date +%s) - started)) "$scenario")
"
done
[ -z "$times" ] || printf 'Scenarios that passed, and what each took:\n%s' "$times"
[ -z "$left_out" ] || echo "$left_out" >&2
