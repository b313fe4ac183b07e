#!/bin/bash
# Build every image for arm64 on this amd64 machine, by emulation, and start each service in it.
# ARM64_BASE names the base to build from (with internet: debian:12-slim); without it, Debian's packages
# make one, as this machine's facefleet-base:debian12 (the test bed's) is configured.
set -euo pipefail
cd "$(dirname "$0")/.."
binfmt=/proc/sys/fs/binfmt_misc
rules=/usr/lib/binfmt.d/qemu-aarch64.conf
base=${ARM64_BASE:-facefleet-base:arm64}
# Docker's old builder calls what it makes amd64, whatever is in it, and then does not take it for arm64.
platform=""
if docker buildx version >/dev/null 2>&1; then platform=--platform=linux/arm64; fi
targets=$(sed -n 's/^  image: //p' roles/facefleet/templates/services/*.j2)
work=$(mktemp -d)

say() {
    echo "test-arm64: $*" >&2
    exit 1
}

tidy() {
    for name in $targets; do
        docker rm --force "facefleet-arm64-$name" || true
        docker image rm "facefleet-$name:arm64-test" || true
    done >/dev/null 2>&1
    [ ! -e "$work/registered" ] || echo -1 >$binfmt/qemu-aarch64
    [ ! -e "$work/mounted" ] || umount $binfmt
    rm -rf "$work"
}

# Let the kernel start arm64 programs, in containers too.
emulate() {
    [ -e $rules ] || say "there is no emulator: apt-get install qemu-user-static"
    [ -e $binfmt/register ] || { mount -t binfmt_misc binfmt_misc $binfmt && touch "$work/mounted"; }
    [ -e $binfmt/qemu-aarch64 ] || { cat $rules >$binfmt/register && touch "$work/registered"; }
}

make_base() {
    command -v mmdebstrap arch-test >/dev/null || say "there is nothing to make a base with: apt-get install mmdebstrap arch-test"
    like=$(docker create facefleet-base:debian12) || say "there is no base: set ARM64_BASE, as in ARM64_BASE=debian:12-slim"
    mkdir "$work/root"
    docker export "$like" | tar x -C "$work/root" etc/apt etc/pip.conf etc/ssl/certs usr/local/share/ca-certificates
    docker rm "$like" >/dev/null
    # shellcheck disable=SC2016  # $1 is the hook's own
    mmdebstrap --quiet --architectures=arm64 --variant=apt --include=ca-certificates,python3 \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
        --customize-hook="tar c -C '$work/root' . | tar x --no-same-owner -C \"\$1\"" \
        bookworm "$work/base.tar" "$work"/root/etc/apt/sources.list.d/*.list
    docker import --platform linux/arm64 -c 'CMD ["/bin/bash"]' "$work/base.tar" "$base" >/dev/null
    rm -r "$work/base.tar" "$work/root"
}

# Its target and settings; all share the broker's network, and answer on a port each.
start() {
    name=$1
    shift
    docker run --detach --name "facefleet-arm64-$name" --read-only --cap-drop ALL \
        --security-opt no-new-privileges "$@" >/dev/null
}

# Emulated, a service takes its time to start.
wait_for() {
    what=$1
    shift
    for _ in $(seq 120); do
        if "$@" >/dev/null 2>&1; then
            echo "arm64: $what"
            return
        fi
        sleep 1
    done
    for name in $targets; do docker logs "facefleet-arm64-$name" 2>&1 | tail -n 5; done
    say "not within two minutes: $what"
}

[ "$(id -u)" = 0 ] || say "emulation is set up by root: run this as root"
trap tidy EXIT
emulate
[ -n "${ARM64_BASE:-}" ] || docker image inspect "$base" >/dev/null 2>&1 || make_base
for target in $targets; do
    # shellcheck disable=SC2086  # none or one
    docker build $platform --target "$target" --build-arg "BASE=$base" --tag "facefleet-$target:arm64-test" app \
        >"$work/build" 2>&1 || { tail -n 20 "$work/build" >&2; say "$target cannot be built: see above"; }
    machine=$(docker run --rm --entrypoint /bin/uname "facefleet-$target:arm64-test" -m)
    docker image inspect --format "arm64: $target is for $machine, {{.Size}} bytes" "facefleet-$target:arm64-test"
    [ "$machine" = aarch64 ] || say "$target is not for arm64"
done

broker=(-e FACEFLEET_BROKER=mqtt://127.0.0.1:1883)
device=(-e FACEFLEET_DEVICE=emulated)
bucket=(-e FACEFLEET_BUCKET=nowhere -e AWS_REGION=eu-central-1 -e AWS_ENDPOINT_URL=http://127.0.0.1:9
    -e AWS_ACCESS_KEY_ID=testing -e AWS_SECRET_ACCESS_KEY=testing)
near=(--network container:facefleet-arm64-broker)
start broker facefleet-broker:arm64-test -p 1883
start forwarder "${near[@]}" "${device[@]}" -e FACEFLEET_HTTP=0.0.0.0:8101 \
    -e FACEFLEET_EDGE_BROKER=mqtt://127.0.0.1:1883 -e FACEFLEET_CLOUD_BROKER=mqtt://127.0.0.1:9 \
    facefleet-forwarder:arm64-test
start logger "${near[@]}" "${device[@]}" "${broker[@]}" -e FACEFLEET_HTTP=0.0.0.0:8102 facefleet-logger:arm64-test
start detector "${near[@]}" "${device[@]}" "${broker[@]}" -e FACEFLEET_HTTP=0.0.0.0:8103 \
    -e FACEFLEET_CAMERA=front -e FACEFLEET_SOURCE=sample:astronaut -e FACEFLEET_FPS=1 \
    -e FACEFLEET_OUTBOX=/outbox/front.sqlite --tmpfs /outbox:mode=0777 facefleet-detector:arm64-test
start device-plugin "${near[@]}" -e FACEFLEET_HTTP=0.0.0.0:8106 -e 'FACEFLEET_RESOURCES={"detector-front": "/dev/video0"}' \
    facefleet-device-plugin:arm64-test
start processor "${near[@]}" "${broker[@]}" "${bucket[@]}" -e FACEFLEET_HTTP=0.0.0.0:8104 facefleet-processor:arm64-test
start gallery "${near[@]}" "${bucket[@]}" -e FACEFLEET_HTTP=0.0.0.0:8105 facefleet-gallery:arm64-test

address=$(docker inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' facefleet-arm64-broker)
ask() { python3 -c 'import sys, urllib.request as r; r.build_opener(r.ProxyHandler({})).open(sys.argv[1], timeout=5)' "http://$address:$1"; }
saw_a_face() { docker logs facefleet-arm64-logger 2>&1 | grep -q '"camera": *"front"'; }
# The forwarder has no cloud here, processor and gallery no bucket, and the device plugin no kubelet.
wait_for "forwarder runs" ask 8101/healthz
wait_for "logger is ready" ask 8102/readyz
wait_for "detector is ready" ask 8103/readyz
wait_for "processor runs" ask 8104/healthz
wait_for "gallery runs" ask 8105/healthz
wait_for "device-plugin runs" ask 8106/healthz
wait_for "a face has gone from the detector to the logger" saw_a_face
