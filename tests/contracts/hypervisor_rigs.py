"""The three worlds that the hypervisor contract is run against."""

import uuid as uuids
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import libvirt

from hosts.domain.looks import GuestReason, GuestState, Look, SeenGuest, Stamp
from hosts.hypervisor.libvirtd import Libvirtd
from hosts.hypervisor.memory import MemoryHost, MemoryHypervisor
from hosts.hypervisor.port import GuestSpec, Hypervisor, Target

#: Seconds; QEMU's first capabilities take four on this kind of machine.
DEADLINE = 20.0
STAMP = Stamp("one-portal", 7, 3, 41)
OTHER_STAMPS = (
    replace(STAMP, installation="another"),
    replace(STAMP, vm=8),
    replace(STAMP, generation=4),
    replace(STAMP, run=42),
)

#: Of these only the first is written to.
DISKS = """\
<disk type='file' device='disk'><source file='{folder}/a.img'/><target dev='vda'/></disk>
<disk type='file' device='disk'><source file='{folder}/b.img'/><target dev='vdb'/><readonly/></disk>
<disk type='file' device='cdrom'><target dev='hdc' bus='ide'/></disk>"""

_XML = """\
<domain type='{kind}'>
  <name>{name}</name><uuid>{uuid}</uuid>
  <metadata><app:note xmlns:app='urn:other'>kept</app:note></metadata>
  <memory unit='MiB'>64</memory><vcpu>1</vcpu>
  <os><type arch='{arch}'>hvm</type></os>
  <devices>{devices}</devices>
</domain>"""


@dataclass
class Expected:
    """Where the three may differ."""

    identified: bool = True  # the host tells a UUID
    after_shutdown: tuple[GuestState, GuestReason] = (GuestState.SHUT_OFF, GuestReason.SHUTDOWN)


@dataclass
class Rig:
    """One world: the adapter, and hands that reach past it."""

    hypervisor: Hypervisor
    expected: Expected
    kind: str
    arch: str
    arm: Callable[[str], None]  # switch autostart on for a domain that is off
    save: Callable[[str], None]  # give a running domain a managed save, which ends it
    drop_marker: Callable[[], None]
    run_by_hand: Callable[[str], None]  # define and start XML as it is, past the adapter
    folder: str = "/nowhere"  # where the guests' disk images are

    def spec(
        self, name: str = "vm7", stamp: Stamp = STAMP, *, devices: str = "", uuid: str = ""
    ) -> GuestSpec:
        uuid = uuid or str(uuids.uuid5(uuids.NAMESPACE_URL, name))
        xml = _XML.format(kind=self.kind, arch=self.arch, name=name, uuid=uuid, devices=devices)
        return GuestSpec(uuid, name, xml, stamp)

    def start(self, spec: GuestSpec | None = None) -> str:
        spec = spec or self.spec()
        self.hypervisor.start(spec, deadline=DEADLINE)
        return spec.uuid

    def look(self) -> Look:
        return self.hypervisor.look(deadline=DEADLINE)

    def seen(self, uuid: str) -> SeenGuest:
        guest = self.look().guest(uuid)
        assert guest is not None
        return guest


@contextmanager
def memory_rig() -> Iterator[Rig]:
    host = MemoryHost("5f1c7e3a-0000-4000-8000-000000000001", "node1", uptime=lambda: 60.0)

    def arm(uuid: str) -> None:
        host.guests[uuid] = replace(host.guests[uuid], autostart=True)

    def save(uuid: str) -> None:
        host.set_guest(uuid, GuestState.SHUT_OFF, GuestReason.SAVED)
        host.guests[uuid] = replace(host.guests[uuid], managed_save=True)

    def drop_marker() -> None:
        host.marker = None

    def run_by_hand(xml: str) -> None:
        uuid = xml.partition("<uuid>")[2].partition("</uuid>")[0]
        name = xml.partition("<name>")[2].partition("</name>")[0]
        host.guests[uuid] = SeenGuest(uuid, name, GuestState.RUNNING)

    hypervisor = MemoryHypervisor(Target(1, "node1", "memory"), host)
    yield Rig(hypervisor, Expected(), "test", "i686", arm, save, drop_marker, run_by_hand)


@contextmanager
def libvirtd_rig(uri: str, keeper: Any = None, folder: str = "") -> Iterator[Rig]:
    """Yield the real adapter on ``uri``; ``keeper`` is the hand that reaches past it."""
    qemu = uri.startswith("qemu")
    expected = Expected()
    if qemu:  # no operating system hears the power button
        expected.after_shutdown = (GuestState.RUNNING, GuestReason.NONE)
    else:
        expected.identified = False
    hypervisor = Libvirtd(Target(1, "node1", uri))
    rig = Rig(
        hypervisor,
        expected,
        "qemu" if qemu else "test",
        "x86_64" if qemu else "i686",
        arm=lambda uuid: keeper.lookupByUUIDString(uuid).setAutostart(1),
        save=lambda uuid: keeper.lookupByUUIDString(uuid).managedSave(0),
        drop_marker=lambda: clear_pools(keeper),
        run_by_hand=lambda xml: keeper.defineXML(xml).create(),
        folder=folder,
    )
    try:
        yield rig
    finally:
        hypervisor.close()
        if keeper is not None:
            clear(keeper)


def clear(keeper: Any) -> None:
    """Remove every domain and marker."""
    for domain in keeper.listAllDomains():
        if domain.isActive():
            domain.destroy()
        domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE)
    clear_pools(keeper)


def clear_pools(keeper: Any) -> None:
    for pool in keeper.listAllStoragePools():
        if pool.name().startswith("holdfast-boot-"):
            pool.destroy()
