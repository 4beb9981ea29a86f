"""What the lab needs and no package brings: a guest that boots in two seconds, and a shim.

Made once and kept in the lab's cache.  The kernel is Debian's own for clouds, unpacked,
never installed.
"""

import gzip
import shutil
import subprocess
from pathlib import Path

from tests.lab.layout import CACHE

HERE = Path(__file__).parent
_PACKAGE = "linux-image-cloud-amd64"
_MODULES = (
    *("virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci"),
    *("failover", "net_failover", "virtio_net", "virtio_blk"),
)


class NoParts(Exception):
    """A part could not be made; the text says which and why."""


def run(*argv: str | Path, cwd: Path | None = None, data: bytes | None = None) -> bytes:
    """Run a program and return what it printed; NoParts says what went wrong."""
    done = subprocess.run(
        [str(word) for word in argv], cwd=cwd, input=data, capture_output=True, check=False
    )
    if done.returncode:
        said = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()
        raise NoParts(f"{argv[0]}: {said[-1] if said else f'ended with {done.returncode}'}")
    return done.stdout


def kernel() -> Path:
    """Return the guests' kernel."""
    return CACHE / "vmlinuz"


def initramfs() -> Path:
    """Return the guests' whole system."""
    return CACHE / "initramfs.gz"


def shim() -> Path:
    """Return the library that takes a refused setrlimit for success."""
    return CACHE / "shim.so"


def make() -> None:
    """Make what is missing or older than what it is made of."""
    CACHE.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not kernel().exists() or not (CACHE / "modules").is_dir():
        _unpack_kernel()
    if _stale(initramfs(), HERE / "guest_init.sh"):
        _make_initramfs()
    if _stale(shim(), HERE / "shim.c"):
        draft = CACHE / "shim.new"
        run("gcc", "-shared", "-fPIC", "-O2", "-o", draft, HERE / "shim.c", "-ldl")
        draft.replace(shim())


def _stale(made: Path, source: Path) -> bool:
    return not made.exists() or made.stat().st_mtime < source.stat().st_mtime


def _unpack_kernel() -> None:
    """Fetch Debian's kernel for clouds through apt and keep what a guest needs of it."""
    work = CACHE / "kernel"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    depends = run("apt-cache", "depends", "--important", _PACKAGE).decode()
    names = [line.split()[1] for line in depends.splitlines() if "Depends: linux-image" in line]
    if not names:
        raise NoParts(f"apt knows no {_PACKAGE}: run 'apt-get update', then this again")
    run("apt-get", "download", "-q", names[0], cwd=work)
    run("dpkg", "-x", next(work.glob("*.deb")), work / "root")
    modules = CACHE / "modules"
    shutil.rmtree(modules, ignore_errors=True)
    modules.mkdir()
    for name in _MODULES:
        found = next((work / "root" / "lib" / "modules").rglob(f"{name}.ko"), None)
        if found is None:
            raise NoParts(f"{names[0]} has no module {name}")
        shutil.copy(found, modules)
    shutil.copy(next((work / "root" / "boot").glob("vmlinuz-*")), kernel())
    shutil.rmtree(work)


def _make_initramfs() -> None:
    root = CACHE / "initramfs"
    shutil.rmtree(root, ignore_errors=True)
    for name in ("bin", "proc", "sys", "dev", "modules"):
        (root / name).mkdir(parents=True)
    shutil.copy("/usr/bin/busybox", root / "bin" / "busybox")
    shutil.copytree(CACHE / "modules", root / "modules", dirs_exist_ok=True)
    shutil.copy(HERE / "guest_init.sh", root / "init")
    (root / "init").chmod(0o755)
    names = "\n".join(str(path.relative_to(root)) for path in sorted(root.rglob("*")))
    packed = run("cpio", "--quiet", "-o", "-H", "newc", cwd=root, data=names.encode())
    initramfs().write_bytes(gzip.compress(packed, 6))
    shutil.rmtree(root)
