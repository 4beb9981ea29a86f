"""The box and the portal in one supervisor: what ``make run`` starts."""

import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from django.conf import settings

from portal.cli import prepare
from portal.cli.checks import lock, program, surroundings
from portal.cli.up import Supervisor
from portal.demo.control import Control, ControlError
from portal.demo.layout import Box
from portal.demo.seed import refuse_real_hosts, seed
from portal.lib import clock, live, queue
from portal.lib.starting import CannotStart

#: What the box is made of, and the Debian packages that bring it.
PROGRAMS = (("/usr/bin/ipmi_sim", "openipmi"), ("/usr/sbin/libvirtd", "libvirt-daemon"))


def run_demo(write: Callable[[str], object]) -> None:
    """Run until Ctrl-C; a reason not to start is raised as one sentence."""
    folder = Path(settings.DEMO_DIR)
    handle = lock(settings.VAR)
    for name, package in PROGRAMS:
        program(name, package)
    surroundings()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    write(f"Holdfast is starting a data centre in a box; the portal will be on {settings.BASE_URL}")
    prepare.tables()
    refuse_real_hosts()
    supervisor = Supervisor(settings.VAR, settings.ENGINE_NAME, settings.LISTEN, prepare.join())
    # A new demo has empty hosts: definitions of the last one would name runs
    # that this database has forgotten.
    (folder / "state.json").unlink(missing_ok=True)
    Box.read_or_create(folder, spare=True)
    supervisor.add("box", [sys.executable, "-m", "portal.demo.supervisor", str(folder)])
    supervisor.start("box")
    prepare.static_files()
    _wait_for_box(folder, supervisor)
    # Nobody listens yet: the sweep finds the rows, and no page is open.
    queue.install(queue.MemoryQueue())
    live.install(live.MemoryLive())
    box = Box.read(folder)
    for vm in box.spare_vms:
        Control(folder).do("libvirt.external_start", host=vm.host, vm=vm.name)
    seed(box, clock.now())
    queue.install(None)
    live.install(None)
    supervisor.add_portal(with_redis=settings.REDIS_URL == settings.OWN_REDIS)
    _greet(write)
    supervisor.run_forever()
    # The box does so itself, unless it was too slow and had to be killed.
    shutil.rmtree(box.run_dir, ignore_errors=True)
    handle.close()


def _wait_for_box(folder: Path, supervisor: Supervisor) -> None:
    try:
        Control(folder).wait_ready(deadline=20)
    except (ControlError, OSError) as error:
        said = supervisor.last_words("box")
        raise CannotStart(
            f"The data centre in a box did not start ({said or error}): "
            f"look at {settings.VAR / 'log' / 'box.log'}."
        ) from None


def _greet(write: Callable[[str], object]) -> None:
    password = prepare.administrator()
    write(f"\n  Open   {settings.BASE_URL}")
    if password:
        write(f"  Sign in as   admin   with the one-time password   {password}\n")
    else:
        write(
            "  Sign in as   admin   with the password that you chose (or the one-time password)\n"
            f"  (forgotten: HOLDFAST_VAR={_near(settings.VAR)} "
            ".venv/bin/python manage.py reset-access admin)\n"
        )


def _near(folder: Path) -> str:
    """Return the folder as a person in the project's folder would type it."""
    base = settings.BASE_DIR
    return shlex.quote(str(folder.relative_to(base) if folder.is_relative_to(base) else folder))
