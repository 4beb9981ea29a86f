"""A whole demo in a folder of its own, driven from outside through REST.

Used by the bench and by the end-to-end tests: what it knows, it knows from the
API, from the box's supervisor, or from its own libvirt connections.
"""

import logging
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import httpx

from portal.demo.control import Control
from portal.demo.layout import Box, BoxHost

T = TypeVar("T")
# One line per request would bury what a failing test has to say.
logging.getLogger("httpx").setLevel(logging.WARNING)

ROOT = Path(__file__).resolve().parent.parent.parent


MANAGE = str(ROOT / "manage.py")
SETPRIV = "/usr/bin/setpriv"


class RigError(Exception):
    """The demo did not do what a rig needs; the text ends with its last words."""


def until(condition: Callable[[], T], deadline: float, what: str, *, every: float = 0.02) -> T:
    """Return the first truthy value of ``condition``; raise after ``deadline`` seconds."""
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise RigError(f"waited {deadline:g} s for {what}; last value: {value!r}")
        time.sleep(every)


def free_port() -> int:
    """Return a loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Api:
    """A REST client with a bearer token; paths are relative to ``/api/v1/``."""

    def __init__(self, base_url: str, token: str) -> None:
        self.http = httpx.Client(
            base_url=f"{base_url}/api/v1/",
            headers={"Authorization": f"Bearer {token}"},
            timeout=10,
            # Well before the server closes an idle one: a request would meet its end.
            limits=httpx.Limits(keepalive_expiry=2),
        )

    def get(self, path: str, **params: Any) -> Any:
        """Return the JSON of a GET; the list itself where the answer is a page of one."""
        answer = self.http.get(path, params={"page_size": 200, **params})
        answer.raise_for_status()
        body = answer.json()
        return body["results"] if isinstance(body, dict) and "results" in body else body

    def post(self, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        """Send a POST with a fresh idempotency key."""
        headers = {"Idempotency-Key": secrets.token_hex(8)}
        return self.http.post(path, json=body or {}, headers=headers)

    def named(self, path: str, name: str) -> Any:
        """Return the one row of a list with this name."""
        return next(row for row in self.get(path) if row["name"] == name)


class Rig:
    """One running demo."""

    def __init__(self, folder: Path, **env: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.env = {
            **{key: value for key, value in os.environ.items() if not key.startswith("HOLDFAST_")},
            "HOLDFAST_VAR": str(folder),
            "HOLDFAST_BASE_URL": self.url,
            **env,
        }
        self.env.pop("DATABASE_URL", None)
        self.process: subprocess.Popen[bytes] | None = None
        self.password = ""
        self.control = Control(folder / "box")
        self._api: Api | None = None

    @property
    def output(self) -> str:
        """Everything that the demo has printed."""
        path = self.folder / "demo.out"
        return path.read_text(errors="replace") if path.is_file() else ""

    @property
    def box(self) -> Box:
        """What stands in the box."""
        return Box.read(self.folder / "box")

    def machine(self, name: str) -> BoxHost:
        """Return what the box knows of a host."""
        return next(host for host in self.box.machines if host.name == name)

    def start(self, *, deadline: float = 90.0) -> None:
        """Start the demo and wait until ``/readyz`` is content."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "demo.out").open("ab") as out:
            self.process = subprocess.Popen(
                # Whatever ends this process, the demo is told to stop.
                [SETPRIV, "--pdeathsig", "TERM", "--", sys.executable, MANAGE, "demo"],
                env=self.env, cwd=ROOT, stdout=out, stderr=out, start_new_session=True,
            )  # fmt: skip
        until(self.ready, deadline, "the portal to be ready")
        found = re.findall(r"one-time password\s+(\S+)", self.output)
        self.password = self.password or (found[-1] if found else "")

    def ready(self) -> bool:
        """Whether ``/readyz`` answers 200; raise when the demo has ended."""
        if self.process is not None and self.process.poll() is not None:
            raise RigError(f"the demo ended: {self.output[-2000:]}")
        with suppress(httpx.HTTPError):
            return httpx.get(f"{self.url}/readyz", timeout=2).status_code == 200
        return False

    def stop(self, number: int = signal.SIGINT) -> None:
        """Send the demo a signal and wait for its end."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(20)
        with suppress(OSError):  # whoever was killed could not tidy up
            shutil.rmtree(self.box.run_dir, ignore_errors=True)

    @property
    def api(self) -> Api:
        """The API as the administrator, with a token of its own."""
        if self._api is None:
            self._api = Api(self.url, self._token())
        return self._api

    def _token(self) -> str:
        """Do as a person does: sign in, choose a password, and make a token for the programs."""
        with httpx.Client(base_url=self.url, timeout=10, follow_redirects=True) as web:
            form = {"login": "admin", "password": self.password}
            asked = self.fill_in(web, "/sign-in/", form)
            if asked.url.path == "/password/":
                own = secrets.token_urlsafe(12)
                form = {"old_password": self.password, "new_password1": own, "new_password2": own}
                self.fill_in(web, "/password/", form)
                self.password = own
            answer = web.post(
                "/api/v1/tokens/",
                json={"name": "rig", "scope": "admin"},
                headers={"X-CSRFToken": web.cookies["csrftoken"], "Referer": self.url},
            )
            if answer.status_code != 201:
                raise RigError(f"no token: {answer.status_code} {answer.text[:500]}")
            return str(answer.json()["token"])

    def fill_in(self, web: httpx.Client, path: str, form: dict[str, str]) -> httpx.Response:
        """Fill in the form of a page; return the page that follows."""
        page = web.get(path)
        mark = re.findall(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)[0]
        return web.post(
            path, data=form | {"csrfmiddlewaretoken": mark}, headers={"Referer": self.url}
        )

    def pids(self) -> dict[str, int]:
        """Return the supervised processes by name."""
        lines = (self.folder / "run" / "pids").read_text().splitlines()
        return {name: int(pid) for name, pid in (line.split() for line in lines)}

    @contextmanager
    def held_down(self, name: str) -> Iterator[None]:
        """Kill a supervised process with SIGKILL and keep it down meanwhile."""
        hold = self.folder / "run" / f"hold.{name}"
        hold.touch()
        os.kill(self.pids()[name], signal.SIGKILL)
        try:
            yield
        finally:
            hold.unlink()

    def stay_down(self, seconds: float) -> None:
        """Let an outage last."""
        time.sleep(seconds)

    def truth(self) -> dict[str, list[str]]:
        """Return, for each VM that executes anywhere, its hosts, by libvirt's own word."""
        where: dict[str, list[str]] = {}
        for host, facts in self.control.status().items():
            for name in facts["running"]:
                where.setdefault(name, []).append(host)
        return where

    def up(self) -> dict[str, str]:
        """Return the host of each VM that the API calls up."""
        rows = self.api.get("vms/", state="up")
        return {row["name"]: row["run"]["host_name"] for row in rows if row["run"]}

    def switch_on(self) -> None:
        """Switch on, as a person would, every host that automation may not switch on again."""
        for row in self.api.get("hosts/", status="down"):
            if self.api.get("alerts/", open="true", kind="stays_off", host=row["id"]):
                self.api.post(f"hosts/{row['id']}/actions/fence/", {"action": "on"})

    def describe(self) -> str:
        """Return everything unusual in a few lines, for the text of a failure."""
        lines = [
            f"{row['name']}: {row['status']}, HA {row['ha']['state']} ({row['status_reason']})"
            for row in self.api.get("hosts/")
        ]
        for row in self.api.get("vms/"):
            home = row["run"]["host_name"] if row["run"] else "no run"
            lines.append(
                f"{row['name']}: {row['state']}, {home}, {row['state_reason']} {row['waiting_for']}"
            )
        lines += [
            f"alert {row['kind']}: {row['text']}" for row in self.api.get("alerts/", open="true")
        ]
        for row in self.api.get("operations/"):
            if row["state"] in ("requested", "acting", "waiting"):
                lines.append(
                    f"operation {row['kind']} {row['target']} {row['state']} {row['steps']}"
                )
        return "\n".join([*lines, f"in truth: {self.truth()}"])

    def calm(self) -> bool:
        """Whether all hosts are up and available and every VM runs where the API says."""
        self.switch_on()
        hosts = self.api.get("hosts/")
        if any(row["status"] != "up" or row["ha"]["state"] != "available" for row in hosts):
            return False
        names = {vm.name for vm in self.box.vms}  # those of the spare host are nobody's yet
        vms = {name: [host] for name, host in self.up().items() if name in names}
        truth = {name: hosts for name, hosts in self.truth().items() if name in names}
        return vms == truth and len(vms) == len(names)


@contextmanager
def running(**env: str) -> Iterator[Rig]:
    """Yield a started, calm rig in a temporary folder, and leave nothing behind."""
    with tempfile.TemporaryDirectory(prefix="holdfast-rig-") as folder:
        rig = Rig(Path(folder), **env)
        try:
            rig.start()
            until(rig.calm, 60, "six VMs to run on three hosts", every=0.2)
            yield rig
        finally:
            rig.stop()
