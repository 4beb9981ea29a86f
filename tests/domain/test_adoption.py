"""What may be adopted, what HA could do for it, and what ties a domain to its host."""

from dataclasses import replace

import pytest

from hosts.domain.looks import GuestState, SeenGuest, Stamp
from hosts.hypervisor.domain_xml import BadXml, stamp_element, without_passwords
from hosts.hypervisor.portability import ties
from vms.domain.adoption import Candidate, unprotected, why_not

OWN = "this-portal"
GUEST = SeenGuest("0d4a7c0e-5d3c-4e57-9b7b-0c5f7a1d2e3f", "web1", GuestState.RUNNING)
GOOD = Candidate(GUEST, OWN)


def _with(**changes: object) -> Candidate:
    own = {name: value for name, value in changes.items() if name in Candidate.__slots__}
    of_guest = {name: value for name, value in changes.items() if name not in own}
    return replace(replace(GOOD, guest=replace(GUEST, **of_guest)), **own)  # type: ignore[arg-type]  # a test's table


def test_a_plain_running_or_stopped_domain_may_be_adopted() -> None:
    assert why_not(GOOD) == ()
    assert why_not(_with(state=GuestState.SHUT_OFF)) == ()
    assert why_not(_with(state=GuestState.PAUSED)) == ()


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"known": "it is looked after already"}, "already"),
        ({"elsewhere": ("node2",)}, "node2"),
        ({"state": GuestState.CRASHED}, "crashed"),
        ({"state": GuestState.STOPPING}, "shutting down"),
        ({"state": GuestState.UNKNOWN}, "does not know"),
        ({"persistent": False}, "transient"),
        ({"managed_save": True, "state": GuestState.SHUT_OFF}, "saved"),
        ({"has_password": True}, "password"),
        ({"name_fault": "its name"}, "its name"),
        ({"xml_fault": "its definition"}, "its definition"),
        ({"disk_fault": "is written to by db1"}, "db1"),
        ({"stamp": Stamp("another", 1, 1, 1)}, "another installation"),
        ({"stamp": Stamp(OWN, 1, 1, 1)}, "knows nothing"),
        ({"stamp": Stamp(OWN, 1, 3, 1), "generation": 2}, "knows nothing"),
    ],
)
def test_whatever_leaves_a_doubt_forbids_adoption(changes: dict[str, object], word: str) -> None:
    reasons = why_not(_with(**changes))
    assert len(reasons) == 1
    assert word in reasons[0]


def test_a_copy_of_a_removed_vm_may_be_adopted_again() -> None:
    assert why_not(_with(stamp=Stamp(OWN, 1, 2, 1), generation=2)) == ()


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"ties": ("a TPM",)}, "TPM"),
        ({"snapshots": 2}, "2 snapshots"),
        ({"autostart": True}, "autostart"),
        ({"disks": ("/a", "/b"), "defined_disks": ("/a",)}, "/b"),
    ],
)
def test_what_stands_between_a_vm_and_its_restart_is_told_and_forbids_nothing(
    changes: dict[str, object], word: str
) -> None:
    found = _with(**changes)
    assert why_not(found) == ()
    (doubt,) = unprotected(found)
    assert word in doubt


def test_a_vm_without_ties_has_no_doubts() -> None:
    assert unprotected(_with(disks=("/a",), defined_disks=("/a",))) == ()


def _domain(devices: str = "", more: str = "") -> str:
    return f"<domain><name>a</name>{more}<devices>{devices}</devices></domain>"


@pytest.mark.parametrize(
    ("xml", "words"),
    [
        ("<disk type='file'><source file='/var/lib/libvirt/images/a'/></disk>", "own disk"),
        ("<disk type='file'><source file='/srv/nfs/a'/></disk>", "not known here"),
        ("<disk type='block'><source dev='/dev/vg/a'/></disk>", "not known here"),
        ("<disk type='volume'><source pool='p' volume='v'/></disk>", "storage pool p"),
        ("<disk type='nvme'><source/></disk>", "NVMe"),
        ("<hostdev/>", "hostdev (1)"),
        ("<tpm/>", "TPM"),
        ("<interface type='direct'><source dev='eth0'/></interface>", "passed through"),
        ("<interface type='bridge'><source bridge='br0'/></interface>", "bridge br0"),
    ],
)
def test_what_ties_a_domain_to_its_host_is_named(xml: str, words: str) -> None:
    (reason,) = ties(_domain(xml))
    assert words in reason


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("<os><nvram>/var/lib/libvirt/qemu/nvram/a.fd</nvram></os>", "UEFI"),
        ("<os><kernel>/boot/vmlinuz</kernel></os>", "/boot/vmlinuz"),
        ("<cpu mode='host-passthrough'/>", "host-passthrough"),
    ],
)
def test_firmware_and_processor_tie_too(more: str, words: str) -> None:
    (reason,) = ties(_domain(more=more))
    assert words in reason


def test_a_network_disk_and_an_empty_drive_tie_nobody() -> None:
    network = "<disk type='network'><source protocol='rbd' name='p/a'/></disk>"
    assert ties(_domain(network + "<disk type='file' device='cdrom'/>")) == ()


def test_xml_with_a_document_type_is_refused() -> None:
    with pytest.raises(BadXml):
        ties("<!DOCTYPE d><domain/>")


def test_passwords_of_consoles_are_left_out() -> None:
    xml, had = without_passwords(_domain("<graphics type='vnc' passwd='s3cret' port='-1'/>"))
    assert had
    assert "s3cret" not in xml
    assert 'port="-1"' in xml
    assert without_passwords(_domain("<graphics type='vnc'/>"))[1] is False


def test_a_stamp_cannot_break_out_of_its_element() -> None:
    told = stamp_element(Stamp("a'\"/><x", 1, 2, 3))
    assert "<x" not in told
    assert "generation='2'" in told.replace('"', "'")
