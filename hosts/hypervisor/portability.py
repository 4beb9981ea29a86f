"""What in a domain's XML ties it to one host: reasons why HA could not protect it.  Pure.

Nothing here knows what the other hosts have.  So a reason says what is needed
there, and a local path is called local only where nothing else is likely.
"""

import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator

from hosts.hypervisor.domain_xml import parse_safely

#: Folders that are on a host's own disk unless somebody has mounted something over them.
_LOCAL = ("/var/lib/libvirt/", "/var/tmp/", "/tmp/", "/home/", "/dev/shm/")  # noqa: S108 - named, never written to
#: Sources that are reached over a network, by whatever host.
_SHARED = frozenset({"network", "vhostuser", "vhostvdpa"})
_MOVES = "other hosts start it only if they have the same one"


def ties(text: str) -> tuple[str, ...]:
    """Return why a domain may not start on another host, in words; BadXml if it is none."""
    root = parse_safely(text)
    return tuple(dict.fromkeys(reason for find in _FINDERS for reason in find(root)))


def _disks(root: ET.Element) -> Iterator[str]:
    for disk in root.findall("devices/disk"):
        source = disk.find("source")
        kind = disk.get("type", "file")
        if source is None or kind in _SHARED:
            continue
        yield from _disk(disk.get("device", "disk"), kind, source)


def _disk(device: str, kind: str, source: ET.Element) -> Iterator[str]:
    path = source.get("file") or source.get("dev") or source.get("dir") or ""
    if kind == "volume":
        pool = source.get("pool", "?")
        yield (
            f"{device} in storage pool {pool}: whether the other hosts have that pool, with the "
            "same data, is not known here"
        )
    elif kind == "nvme":
        yield f"{device} on an NVMe device of this host: no other host can reach it"
    elif path.startswith(_LOCAL):
        yield f"{device} {path}: that folder is on the host's own disk, unless it is a mount"
    elif path:
        yield f"{device} {path}: whether the other hosts see the same data there is not known here"


def _firmware(root: ET.Element) -> Iterator[str]:
    nvram = root.find("os/nvram")
    if nvram is not None:
        path = nvram.text or "of its own"
        yield f"UEFI variables {path}: a start elsewhere begins with fresh ones, unless shared"
    for name in ("loader", "kernel", "initrd"):
        path = (root.findtext(f"os/{name}") or "").strip()
        if path:
            yield f"{name} {path}: {_MOVES}"


def _tpm(root: ET.Element) -> Iterator[str]:
    if root.find("devices/tpm") is not None:
        yield "a TPM, whose state is on this host: elsewhere it would be another, empty one"


def _devices(root: ET.Element) -> Iterator[str]:
    for kind in ("hostdev", "redirdev", "shmem", "filesystem"):
        count = len(root.findall(f"devices/{kind}"))
        if count:
            yield f"{kind} ({count}): a device or folder of this host, {_MOVES}"


def _networks(root: ET.Element) -> Iterator[str]:
    for interface in root.findall("devices/interface"):
        kind = interface.get("type", "")
        source = interface.find("source")
        if kind in ("direct", "hostdev", "vdpa"):
            yield f"a network card of this host is passed through ({kind}): {_MOVES}"
        elif source is not None and (source.get("bridge") or source.get("network")):
            name = source.get("bridge") or source.get("network")
            yield f"{kind} {name}: whether the other hosts have it is not known here"


def _processor(root: ET.Element) -> Iterator[str]:
    cpu = root.find("cpu")
    if cpu is not None and cpu.get("mode") in ("host-passthrough", "maximum"):
        yield f"CPU mode {cpu.get('mode')}: on another model of processor its software may fail"


_FINDERS: tuple[Callable[[ET.Element], Iterator[str]], ...] = (
    _disks,
    _firmware,
    _tpm,
    _devices,
    _networks,
    _processor,
)
