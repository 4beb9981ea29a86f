"""The stamp in a domain's XML, and what a look reads from XML that it does not trust."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hosts.domain.looks import Stamp
from hosts.hypervisor.domain_xml import NAMESPACE, UNREADABLE, BadXml, describe, stamped

UUID = "11111111-2222-4333-8444-555555555555"
BARE = f"<domain type='qemu'><name>vm1</name><uuid>{UUID}</uuid>{{}}</domain>"
RUN = "<metadata><h:run xmlns:h='" + NAMESPACE + "' {}/></metadata>"
WHOLE = "installation='i' vm='1' generation='2' run='3'"

stamps = st.builds(
    Stamp,
    installation=st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1),
    vm=st.integers(0, 2**59),
    generation=st.integers(0, 2**59),
    run=st.integers(0, 2**59),
)


def stamp(text: str, value: Stamp) -> str:
    return stamped(text, uuid=UUID, name="vm1", stamp=value)


@given(stamps, stamps)
def test_a_stamp_is_read_back_and_replaces_the_one_before(first: Stamp, second: Stamp) -> None:
    once = stamp(BARE.format(""), first)
    assert describe(once).stamp == first
    twice = stamp(once, second)
    assert describe(twice).stamp == second
    assert twice.count(NAMESPACE) == 1


def test_the_metadata_of_others_stays() -> None:
    text = stamp(BARE.format("<metadata><a:b xmlns:a='urn:a'>x</a:b></metadata>"), UNREADABLE)
    assert "urn:a" in text
    assert ">x<" in text


def test_a_domain_without_a_stamp_has_none() -> None:
    assert describe(BARE.format("")).stamp is None
    assert describe(BARE.format("<metadata><run xmlns='urn:other'/></metadata>")).stamp is None


@pytest.mark.parametrize(
    "attributes",
    [
        "",
        "installation='i' vm='1' generation='2'",
        "installation='' vm='1' generation='2' run='3'",
        "installation='i' vm='x' generation='2' run='3'",
        "installation='i' vm='-1' generation='2' run='3'",
        "installation='i' vm='1' generation='2.0' run='3'",
        "installation='i' vm='1' generation='2' run=' 3'",
        "installation='i' vm='1' generation='٢' run='3'",
        f"installation='i' vm='1' generation='2' run='{'9' * 5000}'",
    ],
)
def test_a_stamp_that_cannot_be_read_is_foreign_not_absent(attributes: str) -> None:
    assert describe(BARE.format(RUN.format(attributes))).stamp == UNREADABLE


def test_two_stamps_are_no_stamp_that_can_be_trusted() -> None:
    run = f"<h:run xmlns:h='{NAMESPACE}' {WHOLE}/>"
    assert describe(BARE.format(f"<metadata>{run}{run}</metadata>")).stamp == UNREADABLE


def test_the_xml_of_another_vm_is_not_stamped() -> None:
    for uuid, name in ((UUID, "vm2"), (UUID.replace("1", "9"), "vm1")):
        with pytest.raises(BadXml):
            stamped(BARE.format(""), uuid=uuid, name=name, stamp=UNREADABLE)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no xml",
        "<domain>",
        "<pool/>",
        "<!DOCTYPE domain [<!ENTITY a 'aa'><!ENTITY b '&a;&a;'>]><domain><name>&b;</name></domain>",
        "<domain><memory unit='parsec'>1</memory></domain>",
        "<domain><memory>lots</memory></domain>",
        f"<domain><name>{'x' * (5 << 20)}</name></domain>",
    ],
)
def test_what_is_no_harmless_domain_is_refused(text: str) -> None:
    with pytest.raises(BadXml):
        describe(text)


@pytest.mark.parametrize(
    ("memory", "mib"),
    [("<memory>65536</memory>", 64), ("<memory unit='GiB'>2</memory>", 2048), ("", 0)],
)
def test_memory_is_told_in_mib(memory: str, mib: int) -> None:
    assert describe(BARE.format(memory)).memory_mib == mib


@pytest.mark.parametrize(
    ("disk", "found"),
    [
        ("<source file='/a'/>", ("/a",)),
        ("<source dev='/dev/b'/>", ("/dev/b",)),
        ("<source protocol='rbd' name='pool/c'><host name='m'/></source>", ("pool/c",)),
        ("<source pool='p' volume='v'/>", ("p/v",)),
        ("<source file='/a'/><mirror><source file='/copy'/></mirror>", ("/a", "/copy")),
        ("<source file='/a'/><backingStore><source file='/base'/></backingStore>", ("/a",)),
        ("<source file='/a'/><readonly/>", ()),
        ("", ()),
    ],
)
def test_writable_disks_are_told(disk: str, found: tuple[str, ...]) -> None:
    text = BARE.format(f"<devices><disk device='disk'>{disk}</disk></devices>")
    assert describe(text).disks == found


def test_a_cdrom_is_not_written_to() -> None:
    text = BARE.format("<devices><disk device='cdrom'><source file='/a'/></disk></devices>")
    assert describe(text).disks == ()
