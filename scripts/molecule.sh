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

on_hosts() { case " $hosts " in *" $1 "*) ;; *) false ;; esac; }

case "${1:-all}" in
    all) scenarios="$processes $quick" ;;
    processes) scenarios=$processes ;;
    quick) scenarios=$quick ;;
    hosts)
        scenarios=$hosts
        export FLEET_LONG=true
        ;;
    *) scenarios=$* ;;
esac
left_out= why=
for scenario in $scenarios; do
    if on_hosts "$scenario"; then
        why=$(scripts/hosts.sh)
        break
    fi
done
if [ -n "$why" ]; then
    left_out="These need hosts and were left out: $hosts. $why Then: make molecule-hosts"
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
    started=$(date +%s)
    MOLECULE_EPHEMERAL_DIRECTORY="$work/$scenario" \
        molecule --base-config .config/molecule/config.yml test --scenario-name "$scenario"
    times="$times$(printf '%6d s  %s' $(($(date +%s) - started)) "$scenario")
"
done
[ -z "$times" ] || printf 'Scenarios that passed, and what each took:\n%s' "$times"
[ -z "$left_out" ] || echo "$left_out" >&2
