"""What a removal means, in words; and why a host could not be reached."""

import shlex
from dataclasses import replace

import pytest

from hosts.domain.causes import Cause, advice, cause_of
from hosts.domain.removal import Hindrance, Remains, of_host, of_vm, wrong_status
from hosts.domain.states import HostStatus

REMAINS = Remains(
    name="node1",
    uri="qemu+tls://node1/system",
    status=HostStatus.MAINTENANCE,
    answers=True,
    marker="t0k3n",
    vms=("web1",),
    accounts=("admin at bmc1",),
    off_by_word=False,
)


def test_a_host_that_answers_is_cleaned_and_the_rest_is_named() -> None:
    found = of_host(REMAINS, [])
    assert found.allowed
    assert any("holdfast-boot-t0k3n" in line for line in found.cleaned)
    assert any("web1" in line for line in found.cleaned)
    told = "\n".join(found.stays_behind)
    for word in ("disks", "certificate", "admin at bmc1"):
        assert word in told


def test_a_silent_host_keeps_everything() -> None:
    found = of_host(replace(REMAINS, answers=False), [])
    assert found.cleaned == ()
    told = "\n".join(found.stays_behind)
    assert "holdfast-boot-t0k3n" in told
    assert "definitions of web1" in told


def test_a_host_off_by_a_persons_word_is_told_apart() -> None:
    down = replace(REMAINS, status=HostStatus.DOWN, answers=False)
    assert "nobody switches it on again" in "\n".join(of_host(down, []).stays_behind)
    word = of_host(replace(down, off_by_word=True), [])
    assert "a person's word" in "\n".join(word.stays_behind)


@pytest.mark.parametrize(
    ("uri", "word"),
    [("qemu+ssh://ann@node1/system", "of ann"), ("qemu+tcp://node1/system", "open libvirt port")],
)
def test_every_way_in_is_told(uri: str, word: str) -> None:
    assert word in "\n".join(of_host(replace(REMAINS, uri=uri), []).stays_behind)


def test_only_an_idle_host_may_go() -> None:
    idle = {HostStatus.MAINTENANCE, HostStatus.DOWN, HostStatus.PENDING}
    for status in HostStatus:
        assert bool(wrong_status("node1", status)) is (status not in idle)


def test_a_vm_leaves_its_disks_and_its_history() -> None:
    why = Hindrance("it runs", "Stop it.")
    found = of_vm(["node1"], ["node2"], ["/a.img"], [why])
    assert not found.allowed
    assert "node1" in found.cleaned[0]
    told = "\n".join(found.stays_behind)
    for word in ("node2", "/a.img", "history"):
        assert word in told


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        ("nohost has no address", Cause.NAME),
        ("node1 port 16514 refuses connections", Cause.REFUSED),
        ("lets nobody in: Unable to verify TLS peer: No certificate was found.", Cause.CERTIFICATE),
        ("lets nobody in: Cannot read CA certificate '/etc/pki/CA/cacert.pem'", Cause.CERTIFICATE),
        ("lets nobody in: Host key verification failed", Cause.HOST_KEY),
        ("lets nobody in: authentication failed: access denied by policy", Cause.ACCOUNT),
        ("lets nobody in: Permission denied (publickey)", Cause.ACCOUNT),
        ("node1 port 16514 does not answer", Cause.TIME_OUT),
        ("something else", Cause.UNKNOWN),
    ],
)
def test_the_likely_cause_of_an_error_is_found(error: str, cause: Cause) -> None:
    assert cause_of(error) is cause
    told = advice(error, "qemu+ssh://[::1]:2222/system")
    assert told.cause is cause
    assert told.text
    assert told.cure
    assert shlex.split(told.command, comments=True)


@pytest.mark.parametrize(
    ("uri", "unit"),
    [
        ("qemu+ssh://hv7/system", "ssh"),
        ("qemu+tcp://hv7/system", "libvirtd-tcp.socket"),
        ("qemu+tls://hv7/system", "libvirtd-tls.socket"),
    ],
)
def test_where_nothing_listens_the_unit_of_that_very_way_is_started(uri: str, unit: str) -> None:
    told = advice("hv7 refuses connections", uri)
    assert told.command == f"systemctl enable --now {unit}"
