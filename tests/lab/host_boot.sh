#!/bin/sh
# Boots one host of the lab, inside namespaces of its own: network, PID, mount, UTS, IPC.
#
#   host_boot.sh NAME ADDRESS DISK STORE SHARED LOCKSPACE HOST_ID IO_TIMEOUT SHIM
#
# DISK is what the host has on its own disk; STORE is the storage itself, which the host
# sees at SHARED through a FUSE daemon of its own: frozen, that host alone loses it.
set -eu
name=$1 address=$2 disk=$3 store=$4 shared=$5 lockspace=$6 host_id=$7 io_timeout=$8 shim=$9

mount --make-rprivate /
hostname "$name"
mount -t proc proc /proc
until ip link show eth0 >/dev/null 2>&1; do sleep 0.02; done
umount -l /sys
mount -t sysfs sysfs /sys
ip link set lo up
ip link add br0 address "52:54:00:77:00:$(printf %02x "$host_id")" type bridge
ip link set eth0 master br0
ip link set eth0 up
ip addr add "$address/24" dev br0
ip link set br0 up

mount --bind "$disk/etc" /etc
mount --bind "$disk/lib" /var/lib/libvirt
mount --bind "$disk/cache" /var/cache/libvirt
mount --bind "$disk/log" /var/log
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /srv
mkdir -p /run/libvirt /run/sanlock /run/lock "$shared"

# libvirt trusts no unknown FUSE to be shared; this one is, as GlusterFS is.
# Attributes are asked for each time, as with a network file system mounted for VMs.
bindfs -f -o subtype=glusterfs,attr_timeout=0,entry_timeout=0 "$store" "$shared" >/var/log/bindfs.log 2>&1 &
echo $! >/run/storage.pid
until mountpoint -q "$shared"; do sleep 0.02; done

export LAB_LOCKSPACE="$lockspace:$host_id:$shared/ids:0" LAB_IO_TIMEOUT="$io_timeout" LAB_SHIM="$shim"
# Without an init that reaps, libvirt waits 40 s for each zombie.
exec tini -g -- sh "$(dirname "$0")/host_services.sh"
