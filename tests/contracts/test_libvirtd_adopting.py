"""What only a real libvirtd can show of adoption: transient domains, passwords, other metadata."""

from collections.abc import Iterator
from typing import Any

import libvirt
import pytest

from hosts.hypervisor.libvirtd import Libvirtd
from hosts.hypervisor.port import Refused, Target
from tests.contracts.hypervisor_rigs import DEADLINE, STAMP, clear
from tests.contracts.libvirtd_server import LibvirtdServer

UUID = "0d4a7c0e-5d3c-4e57-9b7b-0c5f7a1d2e3f"
XML = f"""\
<domain type='test'><name>found</name><uuid>{UUID}</uuid>
<metadata><app:note xmlns:app='urn:other'>kept</app:note></metadata>
<memory unit='MiB'>64</memory><os><type arch='i686'>hvm</type></os>
<devices><graphics type='vnc' port='-1' passwd='pa55-canary'/></devices></domain>"""


@pytest.fixture(scope="module")
def place() -> Iterator[tuple[Libvirtd, Any]]:
    with LibvirtdServer() as server:
        keeper = server.keep(server.test_uri)
        clear(keeper)
        adapter = Libvirtd(Target(1, "node1", server.test_uri))
        yield adapter, keeper
        adapter.close()
        clear(keeper)


def test_a_transient_domain_is_not_adopted(place: tuple[Libvirtd, Any]) -> None:
    adapter, keeper = place
    domain = keeper.createXML(XML)
    try:
        assert not adapter.definition(UUID, deadline=DEADLINE).persistent
        with pytest.raises(Refused, match="transient"):
            adapter.adopt(UUID, STAMP, deadline=DEADLINE)
    finally:
        domain.destroy()


def test_a_consoles_password_is_left_out_and_told_of(place: tuple[Libvirtd, Any]) -> None:
    adapter, keeper = place
    keeper.defineXML(XML)
    found = adapter.definition(UUID, deadline=DEADLINE)
    assert found.has_password
    assert "pa55-canary" not in found.xml
    assert "<graphics" in found.xml


def test_the_metadata_of_others_stays(place: tuple[Libvirtd, Any]) -> None:
    adapter, keeper = place
    domain = keeper.defineXML(XML)
    domain.create()
    adapter.adopt(UUID, STAMP, deadline=DEADLINE)
    for flags in (0, libvirt.VIR_DOMAIN_XML_INACTIVE):
        assert "kept" in domain.XMLDesc(flags)
        assert f'generation="{STAMP.generation}"' in domain.XMLDesc(flags).replace("'", '"')


def test_the_host_tells_the_version_of_its_libvirt(place: tuple[Libvirtd, Any]) -> None:
    adapter, _ = place
    assert adapter.look(deadline=DEADLINE).libvirt.count(".") == 2
