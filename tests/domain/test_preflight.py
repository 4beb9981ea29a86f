"""What must be ready before a host is entered, by what was typed as its URI so far."""

import shlex

import pytest

from hosts.domain.preflight import Need, needs
from hosts.domain.uri import BadHostUri, Way, typed_way

WAYS = {"qemu+tls", "qemu+ssh", "qemu+tcp"}


def _needs(typed: str) -> tuple[Need, ...]:
    return needs(typed_way(typed))


def _commands(typed: str) -> str:
    return "\n".join(item.command for item in _needs(typed))


@pytest.mark.parametrize("host", ["node1.example", "db-host", "foo", "192.0.2.1", "[2001:db8::1]"])
def test_every_need_has_a_reason_and_a_command_and_names_the_host_as_typed(host: str) -> None:
    found = _needs(host)
    assert {item.scheme for item in found} == WAYS | {""}
    assert all(item.why and item.command for item in found)
    assert {item.where for item in found} == {"portal", "host"}
    whole = "\n".join(f"{item.what} {item.command}" for item in found)
    for word in ("16514", "16509", " 22", "623/udp", "443/tcp", "libvirt", "servercert.pem"):
        assert word in whole, word
    told = [item.command for item in found if item.command.startswith("nc ")]
    assert all(host.strip("[]") in shlex.split(command) for command in told)
    assert len(told) == 3


@pytest.mark.parametrize("scheme", sorted(WAYS))
def test_only_the_transport_in_the_uri_is_told_about(scheme: str) -> None:
    for typed in (f"{scheme}://node1/system", f" {scheme.upper()}://NODE1", f"{scheme}://node1/sy"):
        assert {item.scheme for item in _needs(typed)} == {scheme, ""}


def test_a_transport_that_is_none_is_answered_with_all() -> None:
    assert {item.scheme for item in _needs("xen://node1/")} == WAYS | {""}
    assert {item.scheme for item in _needs("test+tcp://node1/default")} == {"test+tcp", ""}


def test_a_given_user_and_port_stand_in_the_commands() -> None:
    told = _commands("qemu+ssh://ann@hv7:2222/system")
    for words in (
        "ssh-copy-id -p 2222 ann@hv7",
        "ssh -p 2222 ann@hv7 virsh",
        "nc -vz -w 3 hv7 2222",
    ):
        assert words in told
    assert "usermod -aG libvirt ann" in told
    assert "holdfast@" not in told
    assert "-connect hv7:16999 " in _commands("qemu+tls://hv7:16999/system")


def test_root_needs_no_group_and_a_port_of_its_own_is_no_option() -> None:
    told = _commands("qemu+ssh://root@hv7:22/system")
    assert "ssh-copy-id root@hv7" in told
    assert "usermod" not in told


def test_an_account_that_is_not_named_is_the_portals_own() -> None:
    assert "ssh-copy-id holdfast@hv7" in _commands("qemu+ssh://hv7/system")


@pytest.mark.parametrize(
    ("typed", "word"),
    [
        ("qemu:///system", "no host is named"),
        ("qemu+tls://", "no host is named"),
        ("", "no host is named"),
        ("1", "host name"),
        ("-x", "host name"),
        ("x;reboot", "host name"),
        ("n\u00f6de", "host name"),
        ("qemu+ssh://-l@node1/system", "URI user"),
        ("qemu+ssh://ann:word@node1/system", "no password"),
        ("qemu+tls://ann@node1/system", "takes none"),
        ("node1:0", "URI port"),
        ("qemu+tls://2001:db8::1:2/system", "URI port"),
    ],
)
def test_what_cannot_be_a_host_is_told_in_words(typed: str, word: str) -> None:
    with pytest.raises(BadHostUri, match=word):
        typed_way(typed)


def test_an_address_cannot_become_a_command() -> None:
    for scheme in ("", "test+tcp"):
        for item in needs(Way(scheme, "x; rm -rf $HOME", "y; rm -rf $HOME", None)):
            words = shlex.split(item.command, comments=True)
            assert "rm" not in words
