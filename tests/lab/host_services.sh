#!/bin/sh
# What runs on a host of the lab: sanlock, joined to the lockspace, and libvirtd.
#
# libvirtd starts again when it ends, and its VMs live on meanwhile.  sanlock does not:
# what dies stays dead until somebody acts, as with its systemd unit.
env LD_PRELOAD="$LAB_SHIM" sanlock daemon -D -w 0 -l 0 -U root -G root >/var/log/sanlock.out 2>&1 &
echo $! >/run/sanlock.pid
(
  until sanlock client add_lockspace -s "$LAB_LOCKSPACE" -o "$LAB_IO_TIMEOUT" >>/var/log/join.log 2>&1; do
    sleep 0.5
  done
  touch /run/joined
) &
while :; do
  libvirtd --listen >>/var/log/libvirtd.out 2>&1
  sleep 0.2
done
