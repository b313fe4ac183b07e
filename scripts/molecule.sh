#!/bin/sh
# Test the roles: all scenarios, or those named. Each has a folder of its own, removed at the end.
set -eu
cd "$(dirname "$0")/.."
# Molecule writes an ansible.cfg of its own.
PATH="$PWD/.venv/bin:$PATH"
unset ANSIBLE_CONFIG
[ $# -gt 0 ] || set -- supervisor app_service broker aws_bucket
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for scenario; do
    MOLECULE_EPHEMERAL_DIRECTORY="$work/$scenario" \
        molecule --base-config .config/molecule/config.yml test --scenario-name "$scenario"
done
