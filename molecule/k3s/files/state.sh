#!/bin/sh
# What runs of a k3s, a line each: its process, its version, its containers: state.sh UNIT
systemctl show --property=MainPID --value "$1.service"
k3s --version | head -n 1
k3s ctr tasks ls --quiet | sort
