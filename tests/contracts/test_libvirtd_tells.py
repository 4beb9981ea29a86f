"""A look at a real libvirtd tells active networks and lasting pools, and no boot marker."""

from hosts.hypervisor.libvirtd import Libvirtd
from hosts.hypervisor.port import Target
from tests.contracts.hypervisor_rigs import DEADLINE
from tests.contracts.libvirtd_server import LibvirtdServer


def test_networks_and_pools_are_told_and_the_marker_is_none_of_them() -> None:
    with LibvirtdServer() as server:
        adapter = Libvirtd(Target(1, "node1", server.test_uri))
        adapter.place_marker("abc", deadline=DEADLINE)
        try:
            look = adapter.look(deadline=DEADLINE)
            assert look.boot_marker == "abc"
            assert look.networks == ("default",)
            assert look.storage == ("default-pool",)
            for network in server.keep(server.test_uri).listAllNetworks():
                network.destroy()
            assert adapter.look(deadline=DEADLINE).networks == ()
        finally:
            adapter.remove_marker("abc", deadline=DEADLINE)
            adapter.close()
