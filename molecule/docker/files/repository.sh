#!/bin/sh
# An apt repository laid out and signed as Docker's, with an engine that does nothing, below FOLDER/debian:
# repository.sh FOLDER
set -eu
umask 022 # sudo may have another one
mkdir -p "$1/debian/dists/bookworm/stable/binary-amd64" "$1/debian/pool"
cd "$1/debian"

index=dists/bookworm/stable/binary-amd64/Packages
for package in docker-ce=5:28.5.2-1 docker-ce=5:28.5.1-1 docker-ce-cli=5:28.5.2-1 docker-ce-cli=5:28.5.1-1 \
    containerd.io=1.7.28-1 docker-buildx-plugin=0.29.1-1; do
    name=${package%%=*} version=${package#*=}~debian.12~bookworm
    rm -rf tree
    mkdir -p tree/DEBIAN tree/usr/lib/systemd/system "tree/usr/share/doc/$name"
    echo test >"tree/usr/share/doc/$name/copyright" # dpkg may forget a package that has no file
    printf 'Package: %s\nVersion: %s\nArchitecture: amd64\nMaintainer: test\nDescription: test\n' \
        "$name" "$version" >tree/DEBIAN/control
    [ "$name" != docker-ce ] ||
        printf '[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n' \
            >tree/usr/lib/systemd/system/docker.service
    file=pool/$name-${package##*:}.deb
    dpkg-deb --build tree "$file" >/dev/null
    dpkg-deb --field "$file"
    printf 'Filename: %s\nSize: %s\nSHA256: %s\n\n' \
        "$file" "$(stat --format=%s "$file")" "$(sha256sum "$file" | cut -d ' ' -f 1)"
done >"$index"
rm -r tree

cd dists/bookworm
printf 'Origin: Docker\nSuite: bookworm\nCodename: bookworm\nArchitectures: amd64\nComponents: stable\nSHA256:\n' >Release
printf ' %s %s stable/binary-amd64/Packages\n' \
    "$(sha256sum stable/binary-amd64/Packages | cut -d ' ' -f 1)" \
    "$(stat --format=%s stable/binary-amd64/Packages)" >>Release
GNUPGHOME=$(mktemp -d)
export GNUPGHOME
gpg --batch --quiet --passphrase '' --quick-generate-key test ed25519 sign never
gpg --batch --quiet --clearsign --output InRelease Release
gpg --armor --export >../../gpg
gpg --with-colons --list-keys | awk -F : '$1 == "fpr" {print $10}' >../../fingerprint
rm -r "$GNUPGHOME"
