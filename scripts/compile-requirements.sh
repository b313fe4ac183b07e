#!/bin/sh
# Compile the pinned dependencies from what the app and the .in files ask for.
set -eu
export UV_CUSTOM_COMPILE_COMMAND="make requirements"
compile() {
    uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-emit-find-links "$@"
}
compile app/pyproject.toml --all-extras -o app/requirements.txt

# What each layer of the images installs: what all need, and what an extra adds to that.
layer() {
    name=$1
    shift
    compile -c app/requirements.txt -o "app/locks/$name.txt" "$@"
}
layer common app/pyproject.toml
layer build --group app/pyproject.toml:build
common=$(sed -n 's/^\([a-z0-9.-]*\)==.*/--no-emit-package \1/p' app/locks/common.txt)
for extra in device-plugin gallery store vision; do
    # shellcheck disable=SC2086  # one option a name
    layer "$extra" app/pyproject.toml --extra "$extra" $common
done

compile app/pyproject.toml --all-extras requirements/demo.in \
    -c app/requirements.txt -o requirements/demo.txt
compile app/pyproject.toml --all-extras requirements/demo.in requirements/test.in \
    -c requirements/demo.txt -o requirements/test.txt

compile requirements/audit.in -c requirements/test.txt -o requirements/audit.txt
