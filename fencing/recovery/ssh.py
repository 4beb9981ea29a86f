"""Restarting libvirtd by OpenSSH's own client: one short-lived process, killed at its deadline.

It is the portal user's ssh: its key, its ``known_hosts`` and its ``config``, where a host may
get a user, a port or a jump host.  Nothing is asked, no unknown key is taken, and what runs
over there is always the same script, given on stdin.
"""

import re
from pathlib import Path

from fencing.domain.recovery import RecoveryOutcome
from fencing.power.child import Said, ask_child
from fencing.recovery.port import Tried
from hosts.domain.uri import BadHostUri, Way, typed_way
from hosts.hypervisor.port import Target

_SSH = "/usr/bin/ssh"
#: Ends a client whose portal has died; while it lives, the deadline comes first.
_TIMEOUT = "/usr/bin/timeout"
_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
_SCRIPT = Path(__file__).with_name("restart-libvirt.sh")
#: Whoever is not root there must be let in by sudo without a password.
_COMMAND = """sh -c 'if [ "$(id -u)" = 0 ]; then exec sh -s; fi; exec sudo -n sh -s'"""
_OPTIONS = (
    "BatchMode=yes",
    "StrictHostKeyChecking=yes",
    "UpdateHostKeys=no",
    "ConnectionAttempts=1",
    "ServerAliveInterval=2",
    "ServerAliveCountMax=2",
    "ControlMaster=no",
    "ControlPath=none",
    "ClearAllForwardings=yes",
    "ForwardAgent=no",
    "ForwardX11=no",
    "PermitLocalCommand=no",
    "RequestTTY=no",
    "LogLevel=ERROR",
)
#: Of the deadline: for the connection.
_SHARE = 1 / 3
_OWN_FAILURE = 255
_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")
#: Part of what ssh says of its own failure, in lower case -> what it means; the first that fits.
_TEXTS: tuple[tuple[str, RecoveryOutcome, str], ...] = (
    (
        "host identification has changed",
        RecoveryOutcome.UNKNOWN_HOST_KEY,
        "another key than the one in known_hosts answers there",
    ),
    (
        "host key verification failed",
        RecoveryOutcome.UNKNOWN_HOST_KEY,
        "its key is not in known_hosts of the portal's user",
    ),
    ("permission denied", RecoveryOutcome.REFUSED_AUTH, "it does not let the portal's key in"),
    (
        "too many authentication failures",
        RecoveryOutcome.REFUSED_AUTH,
        "it does not let any of the portal's keys in",
    ),
)


class Ssh:
    """The OpenSSH client; ``config`` stands for the portal user's own, where one is given."""

    def __init__(self, config: Path | None = None) -> None:
        self._config = config

    def restart(self, target: Target, *, deadline: float) -> Tried:
        """Have the script run on the host; see the port."""
        try:
            way = typed_way(target.uri)
        except BadHostUri as error:
            return Tried(RecoveryOutcome.FAILED, str(error))
        if not target.uri.startswith("qemu+"):
            return Tried(RecoveryOutcome.FAILED, f"{target.uri} leads to no libvirtd of systemd's")
        command = self._command(way, deadline)
        try:
            said = ask_child(
                command, _SCRIPT.read_bytes(), deadline=deadline, environment=_ENVIRONMENT
            )
        except OSError as error:
            text = f"this server cannot run ssh ({error.strerror}); install openssh-client"
            return Tried(RecoveryOutcome.FAILED, text)
        return _meant(said, deadline)

    def _command(self, way: Way, deadline: float) -> list[str]:
        patience = max(1, int(deadline * _SHARE))
        command = [_TIMEOUT, "--signal=KILL", f"{max(deadline, 0) + 1:.1f}", _SSH, "-T"]
        if self._config is not None:
            command += ["-F", str(self._config)]
        for option in (*_OPTIONS, f"ConnectTimeout={patience}"):
            command += ["-o", option]
        if way.scheme == "qemu+ssh" and way.user:
            command += ["-l", way.user]
        if way.scheme == "qemu+ssh" and way.port:
            command += ["-p", str(way.port)]
        return [*command, "--", way.host, _COMMAND]


def _meant(said: Said, deadline: float) -> Tried:
    if said.late:
        return Tried(RecoveryOutcome.TIMED_OUT, f"not done within {deadline:g} s")
    if said.code == 0:
        return Tried(RecoveryOutcome.RESTARTED, "libvirtd was restarted over SSH")
    words = said.err.decode(errors="replace")
    last = _last_line(words)
    if said.code != _OWN_FAILURE:
        return Tried(RecoveryOutcome.FAILED, last or f"the restart ended with code {said.code}")
    for part, outcome, sentence in _TEXTS:
        if part in words.lower():
            return Tried(outcome, sentence)
    return Tried(RecoveryOutcome.UNREACHABLE, last or "ssh could not connect")


def _last_line(words: str) -> str:
    """Return the last line of what was said over there, fit to be shown."""
    lines = [_CONTROL.sub(" ", line).strip() for line in words.splitlines()]
    return next((line for line in reversed(lines) if line), "")[:200]
