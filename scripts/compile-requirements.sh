#!/bin/sh
# Compile the pinned dependencies from what the app and the .in files ask for.
set -eu
export UV_CUSTOM_COMPILE_COMMAND="make requirements"
compile() {
    uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-emit-find-links "$@"
}
compile app/pyproject.toml -o app/requirements.txt
compile app/pyproject.toml requirements/demo.in -c app/requirements.txt -o requirements/demo.txt
compile app/pyproject.toml requirements/demo.in requirements/test.in \
    -c requirements/demo.txt -o requirements/test.txt
