"""A domain's XML: the portal's stamp in it, and what a look takes from it.  Pure.

The XML of a look comes from hosts that are trusted only half: a document type
(the one way to declare entities, and so to blow up a parser) is refused.
"""

import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import quoteattr

from hosts.domain.asked import Asked
from hosts.domain.looks import Stamp
from hosts.hypervisor.port import LeaseSpec

NAMESPACE = "https://holdfast.example/ns/run/1"
PREFIX = "holdfast"
_RUN = f"{{{NAMESPACE}}}run"
#: A stamp is there and cannot be read: it belongs to nobody known, so it is foreign.
UNREADABLE = Stamp(installation="unreadable", vm=0, generation=0, run=0)
_MAX_CHARS = 4 * 1024 * 1024
#: MiB times this is bytes; libvirt's unit names (libvirt.org, "Memory Allocation").
_UNITS = {
    "b": 1, "bytes": 1, "KB": 10**3, "k": 2**10, "KiB": 2**10, "MB": 10**6, "M": 2**20,
    "MiB": 2**20, "GB": 10**9, "G": 2**30, "GiB": 2**30, "TB": 10**12, "T": 2**40, "TiB": 2**40,
}  # fmt: skip

#: Cache modes that open a disk with O_DIRECT (libvirt.org, "Hard drives, floppy disks").
_UNCACHED = ("none", "directsync")

ET.register_namespace(PREFIX, NAMESPACE)
ET.register_namespace("qemu", "http://libvirt.org/schemas/domain/qemu/1.0")


class BadXml(ValueError):
    """Not the XML of a domain; the text says why."""


@dataclass(frozen=True, slots=True)
class Described:
    """What a look takes from a domain's XML."""

    stamp: Stamp | None
    memory_mib: int
    vcpus: int
    disks: tuple[str, ...]
    leases: tuple[str, ...] = ()


#: What is known of a domain whose XML cannot be read: foreign, and nothing else.
UNDESCRIBED = Described(UNREADABLE, 0, 0, ())


def describe(text: str) -> Described:
    """Return what ``text`` says; :class:`BadXml` when it is not a domain's XML."""
    root = _parse(text)
    try:
        memory, vcpus = _memory_mib(root), int(root.findtext("vcpu") or 1)
    except (ValueError, KeyError) as error:
        raise BadXml(f"the domain's memory or vcpu is no number: {error}") from None
    locks = tuple(sorted(_lockspaces(root)))
    return Described(read_stamp(root), memory, vcpus, tuple(_writable(root)), locks)


def stamped(
    text: str, *, uuid: str, name: str, stamp: Stamp, leases: Sequence[LeaseSpec] = ()
) -> str:
    """Return ``text`` with ``stamp`` as the only stamp in its metadata, and with ``leases``.

    The rest of the metadata stays.  :class:`BadXml` when it is not the XML of the
    domain with that ``uuid`` and ``name``: what is started must be what was asked.
    """
    root = _parse(text)
    for field, wanted in (("uuid", uuid), ("name", name)):
        said = (root.findtext(field) or "").strip()
        if said != wanted:
            raise BadXml(f"the XML is of the domain with {field} {said!r}, not {wanted!r}")
    metadata = root.find("metadata")
    if metadata is None:
        metadata = ET.SubElement(root, "metadata")
    for old in metadata.findall(_RUN):
        metadata.remove(old)
    ET.SubElement(metadata, _RUN, _values(stamp))
    _guard(root, uuid, leases)
    return ET.tostring(root, encoding="unicode")


def stamp_element(stamp: Stamp) -> str:
    """Return the stamp as the one element that libvirt keeps for the portal's namespace."""
    values = " ".join(f"{name}={quoteattr(value)}" for name, value in _values(stamp).items())
    return f"<run {values}/>"


def _values(stamp: Stamp) -> dict[str, str]:
    return {
        "installation": stamp.installation,
        "vm": str(stamp.vm),
        "generation": str(stamp.generation),
        "run": str(stamp.run),
    }


def without_passwords(text: str) -> tuple[str, bool]:
    """Return the domain's XML without its consoles' passwords, and whether there were any."""
    root, found = _parse(text), False
    for console in root.findall("devices/graphics"):
        found = found or bool(console.get("passwd"))
        for name in ("passwd", "passwdValidTo"):
            console.attrib.pop(name, None)
    return ET.tostring(root, encoding="unicode"), found


def read_stamp(root: ET.Element) -> Stamp | None:
    """Return the stamp in a parsed domain; None without one, UNREADABLE when it is no stamp."""
    found = root.findall(f"metadata/{_RUN}")
    if not found:
        return None
    values = [found[0].get(key, "") for key in ("vm", "generation", "run")]
    installation = found[0].get("installation", "")
    whole = all(value.isascii() and value.isdigit() and len(value) < 19 for value in values)
    if len(found) > 1 or not installation or not whole:
        return UNREADABLE
    vm, generation, run = map(int, values)
    return Stamp(installation, vm, generation, run)


def parse_safely(text: str) -> ET.Element:
    """Parse XML of a host; :class:`BadXml` when it is none, too long, or declares a type."""
    if len(text) > _MAX_CHARS:
        raise BadXml("the XML is longer than any domain's")
    if "<!DOCTYPE" in text:
        raise BadXml("the XML carries a document type")
    try:
        return ET.fromstring(text)  # noqa: S314 - without a document type there are no entities
    except ET.ParseError as error:
        raise BadXml(f"the XML cannot be read: {error}") from None


def _parse(text: str) -> ET.Element:
    root = parse_safely(text)
    if root.tag != "domain":
        raise BadXml(f"the XML describes a {root.tag!r}, not a domain")
    return root


def _memory_mib(root: ET.Element) -> int:
    memory = root.find("memory")
    if memory is None:
        return 0
    return int((memory.text or "0").strip()) * _UNITS[memory.get("unit", "KiB")] // 2**20


def disks_of(text: str) -> dict[str, bool]:
    """Return what the domain's disks write to, and whether each is meant to be shared."""
    return dict(_written(_parse(text)))


def asked_by(text: str) -> Asked:
    """Return which CPU, networks and pools the domain needs, as far as it names them.

    Bridges, devices and files are not named on every host alike: they constrain nothing here.
    """
    root = _parse(text)
    lans = {one.get("network") for one in root.findall("devices/interface/source")}
    disks = [one for one in root.findall("devices/disk") if one.get("device") != "cdrom"]
    pools = {one.get("pool") for disk in disks for one in disk.findall("source")}
    return Asked(_cpu(root), _named(lans), _named(pools))


def _named(found: set[str | None]) -> tuple[str, ...]:
    return tuple(sorted(name for name in found if name))


def _cpu(root: ET.Element) -> str:
    """Return what an accelerated guest is tied to; an emulated one runs on any CPU."""
    kind, cpu = root.find("os/type"), root.find("cpu")
    if root.get("type") != "kvm" or kind is None or not kind.get("arch"):
        return ""
    fixed = cpu is not None and cpu.get("mode", "custom") == "custom"
    model = (cpu.findtext("model") or "").strip() if cpu is not None and fixed else ""
    return f"{kind.get('arch')}/{model}"


def _guard(root: ET.Element, uuid: str, leases: Sequence[LeaseSpec]) -> None:
    """Let ``leases`` be the only ones of the portal: their key is the VM's UUID.

    A copy whose host loses them is ended, whatever else the definition asked for.
    """
    devices = root.find("devices")
    if devices is None:
        devices = ET.SubElement(root, "devices")
    for old in _ours(root, uuid):
        devices.remove(old)
    for lease in leases:
        one = ET.SubElement(devices, "lease")
        ET.SubElement(one, "lockspace").text = lease.lockspace
        ET.SubElement(one, "key").text = lease.key
        ET.SubElement(one, "target", {"path": lease.path, "offset": str(lease.offset)})
    if leases:
        for action in root.findall("on_lockfailure"):
            root.remove(action)
        ET.SubElement(root, "on_lockfailure").text = "poweroff"


def _ours(root: ET.Element, uuid: str) -> list[ET.Element]:
    found = root.findall("devices/lease")
    return [one for one in found if (one.findtext("key") or "").strip() == uuid]


def _lockspaces(root: ET.Element) -> Iterator[str]:
    for one in _ours(root, (root.findtext("uuid") or "").strip()):
        yield (one.findtext("lockspace") or "").strip()


def is_uncached(text: str) -> bool:
    """Whether every disk is written past the host's memory: what it wrote is on the storage."""
    disks = _parse(text).findall("devices/disk")
    mine = [one for one in disks if one.get("device") != "cdrom" and one.find("readonly") is None]
    modes = [one.find("driver") for one in mine]
    return all(mode is not None and mode.get("cache") in _UNCACHED for mode in modes)


def _writable(root: ET.Element) -> Iterator[str]:
    for path, _ in _written(root):
        yield path


def _written(root: ET.Element) -> Iterator[tuple[str, bool]]:
    """Yield what is written to; a block copy's destination is written too."""
    for disk in root.findall("devices/disk"):
        if disk.get("device") == "cdrom" or disk.find("readonly") is not None:
            continue
        for source in (*disk.findall("source"), *disk.findall("mirror/source")):
            path = _place(source)
            if path:
                yield path, disk.find("shareable") is not None


def _place(source: ET.Element) -> str | None:
    if source.get("volume"):
        return f"{source.get('pool')}/{source.get('volume')}"
    return source.get("file") or source.get("dev") or source.get("name") or source.get("dir")
