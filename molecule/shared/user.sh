#!/bin/sh
# Let an ordinary user in by ssh, who may use sudo, as on a host that somebody hardened: user.sh NAME PUBLIC_KEY
# Says the host's key.
set -eu
useradd --create-home --shell /bin/bash "$1"
install -d -m 700 "/home/$1/.ssh"
echo "$2" >"/home/$1/.ssh/authorized_keys"
chown -R "$1:$1" "/home/$1/.ssh"
# What root makes is root's alone, where a task does not say otherwise.
cat >/etc/sudoers.d/facefleet <<EOF
Defaults use_pty, umask_override, umask=0077
$1 ALL=(ALL) NOPASSWD: ALL
EOF
printf 'PasswordAuthentication no\nPermitRootLogin no\n' >/etc/ssh/sshd_config.d/facefleet.conf
ssh-keygen -A >/dev/null # the image has no keys
systemctl --quiet enable --now ssh.service
cat /etc/ssh/ssh_host_ed25519_key.pub
