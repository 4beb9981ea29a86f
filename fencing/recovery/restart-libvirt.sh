#!/bin/sh
# Restarts the libvirt daemon of this host, whichever it has; its VMs run on.  As root.
# The portal sends this text over SSH.  Installed here as a forced command it is all that
# the portal's key may do (docs/soft-recovery.md).
units=
for unit in libvirtd virtqemud virtproxyd; do
  for kind in service socket; do
    case $(systemctl is-active "$unit.$kind") in
      active | activating | deactivating | reloading | failed)
        units="$units $unit.service"
        break
        ;;
    esac
  done
done
if [ -z "$units" ]; then
  echo "neither libvirtd nor virtqemud is in use here" >&2
  exit 69
fi
# One that hangs does not hear the first word. Only its main process is killed: QEMU may be
# of the same unit.
timeout 4 systemctl restart $units && exit 0
systemctl kill --kill-who=main --signal=KILL $units
timeout 5 systemctl restart $units
