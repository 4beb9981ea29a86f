"""Guests of the lab: their XML, their page, and what they wrote on their disk."""

import http.client
import uuid
from dataclasses import dataclass
from itertools import groupby

from hosts.hypervisor.port import LeaseSpec
from tests.lab.layout import LOCKSPACE, SHARED, SLOT_BYTES, store

_XML = """\
<domain type='qemu'>
  <name>{name}</name><uuid>{uuid}</uuid>
  <memory unit='MiB'>128</memory><vcpu>1</vcpu>
  <cpu mode='custom' match='exact'><model fallback='forbid'>qemu64</model></cpu>
  <os>
    <type arch='x86_64' machine='pc'>hvm</type>
    <kernel>{shared}/boot/vmlinuz</kernel><initrd>{shared}/boot/initramfs.gz</initrd>
    <cmdline>console=ttyS0 quiet panic=1 lab.address={address}</cmdline>
  </os>
  <on_reboot>restart</on_reboot><on_crash>destroy</on_crash>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw' cache='none'/>
      <source file='{disk}'/><target dev='vda' bus='virtio'/>
    </disk>
    <interface type='bridge'>
      <mac address='{mac}'/><source bridge='br0'/><model type='virtio'/>
    </interface>
    <serial type='file'><source path='/var/log/{name}.console'/></serial>
    <memballoon model='none'/>
  </devices>
</domain>"""
_DISK_BYTES = 8 << 20
_SECTOR = 512


@dataclass(frozen=True, slots=True)
class LabVm:
    """One guest; ``slot`` is its lease's place in the volume, 0: it has none."""

    number: int  # from 1
    slot: int = 0

    @property
    def name(self) -> str:
        """Its name in libvirt."""
        return f"vm{self.number}"

    @property
    def uuid(self) -> str:
        """Its UUID in libvirt, which is the key of its lease as well."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"holdfast-lab:{self.name}"))

    @property
    def address(self) -> str:
        """Where its page is."""
        return f"10.77.0.{100 + self.number}"

    @property
    def disk(self) -> str:
        """Its disk, as every host sees it."""
        return f"{SHARED}/disks/{self.name}.img"

    @property
    def xml(self) -> str:
        """Its definition; the product puts the lease into it."""
        return _XML.format(
            name=self.name,
            uuid=self.uuid,
            address=self.address,
            shared=SHARED,
            disk=self.disk,
            mac=f"52:54:00:77:01:{self.number:02x}",
        )

    @property
    def leases(self) -> tuple[LeaseSpec, ...]:
        """The slot that its host must take, if it has one."""
        slot = LeaseSpec(LOCKSPACE, self.uuid, f"{SHARED}/leases", self.slot * SLOT_BYTES)
        return (slot,) if self.slot else ()

    def make_disk(self) -> None:
        """Give it an empty disk."""
        with (store() / "disks" / f"{self.name}.img").open("wb") as file:
            file.truncate(_DISK_BYTES)

    def get(self, path: str = "/", *, deadline: float = 2.0) -> str:
        """Return one of its pages; "" while it does not answer."""
        line = http.client.HTTPConnection(self.address, 80, timeout=deadline)
        try:
            line.request("GET", path)
            answer = line.getresponse()
            return answer.read().decode("ascii", "replace") if answer.status == 200 else ""
        except (OSError, http.client.HTTPException):
            return ""
        finally:
            line.close()

    def count(self) -> tuple[str, int] | None:
        """Return the id of its boot and how far it has counted; None while it is silent."""
        words = self.get().split()
        return (words[0], int(words[1])) if len(words) == 2 else None

    def records(self) -> list[tuple[str, int]]:
        """Return everything that was ever appended to its disk, in order."""
        raw = (store() / "disks" / f"{self.name}.img").read_bytes()
        found = []
        for start in range(0, len(raw), _SECTOR):
            words = raw[start : start + _SECTOR].rstrip(b"\0").decode("ascii", "replace").split()
            if not words:
                break
            found.append((words[0], int(words[1])))
        return found


def double_writers(records: list[tuple[str, int]]) -> list[str]:
    """Return the boots whose records are not one block that counts up: two wrote at once."""
    blocks = [(boot, [count for _, count in block]) for boot, block in groupby(records, _boot)]
    boots = [boot for boot, _ in blocks]
    return sorted(
        {boot for boot, counts in blocks if boots.count(boot) > 1 or counts != sorted(set(counts))}
    )


def _boot(record: tuple[str, int]) -> str:
    return record[0]
