"""What is on disk before anything boots: each host's own, and the shared storage."""

import shutil
import time
from pathlib import Path

from tests.lab import parts
from tests.lab.certificates import Authority
from tests.lab.layout import (
    CACHE,
    LOCKSPACE,
    RUN,
    SHARED,
    SLOT_BYTES,
    SLOTS,
    LabHost,
    Plan,
    store,
)

_LIBVIRTD = """\
listen_tls = 1
listen_tcp = 1
listen_addr = "{address}"
auth_tcp = "none"
auth_unix_ro = "none"
auth_unix_rw = "none"
host_uuid = "{uuid}"
"""
# No cgroups, no namespaces, no other user: the host itself is already inside all of them.
_QEMU = """\
user = "root"
group = "root"
security_driver = "none"
cgroup_controllers = []
namespaces = []
remember_owner = 0
stdio_handler = "file"
lock_manager = "sanlock"
"""
_SANLOCK = """\
auto_disk_leases = 0
host_id = {number}
require_lease_for_disks = 0
user = "root"
group = "root"
"""

_POOL = """\
<pool type='dir'><name>{name}</name><target><path>{path}</path></target></pool>
"""


def lay_out(plan: Plan) -> None:
    """Make the run folder afresh: every host installed and off, the storage formatted."""
    clear()
    RUN.mkdir(parents=True)
    RUN.chmod(0o711)  # the BMCs' user passes through, and sees no names
    authority = Authority()
    _copy_readable(Path("/etc"), engine_etc())
    authority.equip_client(engine_etc() / "pki")
    names = "127.0.0.1 localhost\n" + "".join(
        f"{host.address} {host.name}\n" for host in plan.machines
    )
    for host in plan.machines:
        _install(host, names, authority)
    _format(plan)


def clear() -> None:
    """Remove the run folder, though processes of a killed lab may write to it while they die."""
    give_up = time.monotonic() + 10
    while RUN.exists() and time.monotonic() < give_up:
        shutil.rmtree(RUN, ignore_errors=True)


def engine_etc() -> Path:
    """Where a copy of this machine's /etc is that holds the engine's certificate."""
    return RUN / "engine-etc"


def _install(host: LabHost, names: str, authority: Authority) -> None:
    for name in ("lib", "cache", "log"):
        (host.disk / name).mkdir(parents=True)
    host.disk.chmod(0o700)
    etc = host.disk / "etc"
    _copy_readable(Path("/etc"), etc)
    (etc / "hosts").write_text(names, encoding="ascii")
    (etc / "hostname").write_text(f"{host.name}\n", encoding="ascii")
    facts = {"address": host.address, "uuid": host.uuid, "number": host.number}
    libvirt = etc / "libvirt"
    shutil.rmtree(libvirt / "qemu", ignore_errors=True)  # domains and networks of this machine
    (libvirt / "libvirtd.conf").write_text(_LIBVIRTD.format(**facts), encoding="ascii")
    (libvirt / "qemu.conf").write_text(_QEMU, encoding="ascii")
    (libvirt / "qemu-sanlock.conf").write_text(_SANLOCK.format(**facts), encoding="ascii")
    # Pools are named as what the product calls a domain; disks lie in one of their own.
    for name, path in ((LOCKSPACE, SHARED), ("disks", f"{SHARED}/disks")):
        pool = libvirt / "storage" / f"{name}.xml"
        (pool.parent / "autostart").mkdir(parents=True, exist_ok=True)
        pool.write_text(_POOL.format(name=name, path=path), encoding="ascii")
        link = pool.parent / "autostart" / pool.name
        link.symlink_to(f"/etc/libvirt/storage/{pool.name}")
    authority.equip(etc, host)
    known = CACHE / "capabilities"  # what QEMU can do takes libvirt seconds to find out
    if known.is_dir():
        shutil.copytree(known, host.disk / "cache" / "qemu" / "capabilities")


def _copy_readable(source: Path, target: Path) -> None:
    """Copy what everybody may read: no key and no password of this machine goes along."""
    target.mkdir()
    for path in source.iterdir():
        if path.is_symlink():
            (target / path.name).symlink_to(path.readlink())
        elif path.stat().st_mode & 0o004:
            if path.is_dir():
                _copy_readable(path, target / path.name)
            elif path.is_file():
                shutil.copy2(path, target / path.name)


def _format(plan: Plan) -> None:
    """Make the storage: lockspace, free lease slots, disks' folder, what guests boot from."""
    base = store()
    for name in ("disks", "boot"):
        (base / name).mkdir(parents=True)
    for path in (parts.kernel(), parts.initramfs()):
        shutil.copy(path, base / "boot" / path.name)
    with (base / "ids").open("wb") as ids:
        ids.truncate(SLOT_BYTES)
    timeout = str(plan.io_timeout_s)
    space = f"{LOCKSPACE}:0:{base / 'ids'}:0"
    parts.run("sanlock", "direct", "init", "-s", space, "-o", timeout)
    with (base / "leases").open("wb") as leases:
        leases.truncate(SLOTS * SLOT_BYTES)


def keep_capabilities(host: LabHost) -> None:
    """Remember for the next lab what libvirt found out about QEMU."""
    found = host.disk / "cache" / "qemu" / "capabilities"
    if found.is_dir() and any(found.iterdir()):
        shutil.rmtree(CACHE / "capabilities", ignore_errors=True)
        shutil.copytree(found, CACHE / "capabilities")
