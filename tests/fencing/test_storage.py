"""Storage evidence in rows: who is asked, what is kept, what it decides, what a person is told."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import pytest
from django.db import connection

from fencing.models import FenceOperation
from fencing.services import kdump
from hosts import storage
from hosts.domain.lockspace import Sector
from hosts.hypervisor.port import Target
from hosts.models import Cluster, DiskActivity, Host, HostStorage, StorageDomain
from hosts.storage.memory import MemoryDomain, MemoryStorage
from portal.core.models import Event
from tests.fencing.test_confirmations import confirm
from tests.vms.world import World
from vms.models import Disk, Proof

PHASE = {"node1": 7, "node2": 14, "node3": 1}


class Beating(MemoryStorage):
    """A domain in which every machine that lives renews its heartbeat each 20 s."""

    def __init__(self, world: World) -> None:
        super().__init__({"shared1": MemoryDomain()})
        self.world = world
        self.readers: list[str] = []
        self.start = world.clock.time
        self.stopped: set[str] = set()

    def sectors(
        self, reader: Target, domain: str, slots: Sequence[int], *, deadline: float
    ) -> tuple[bytes, ...]:
        assert not connection.in_atomic_block
        self.readers.append(reader.name)
        for slot, name in enumerate(PHASE):
            if self.world.hosts[name].alive and name not in self.stopped:
                self._renew(slot, name)
        return super().sectors(reader, domain, slots, deadline=deadline)

    def _renew(self, slot: int, name: str) -> None:
        up_s = int((self.world.clock.time - self.start).total_seconds()) + 1000
        renewed = up_s - (up_s + PHASE[name]) % 20
        there = self.domains["shared1"].sectors
        before = there.get(slot, Sector(1, f"uuid.{name}", 0, 10))
        there[slot] = replace(before, timestamp=renewed)

    def written(
        self, reader: Target, disks: Sequence[str], *, deadline: float
    ) -> Mapping[str, float]:
        assert not connection.in_atomic_block
        return super().written(reader, disks, deadline=deadline)


@pytest.fixture
def beating(both: World) -> Iterator[Beating]:
    """All three hosts share a domain, and their sectors have been recorded."""
    domain = StorageDomain.objects.create(cluster=both.cluster, name="shared1")
    for slot, name in enumerate(PHASE):
        HostStorage.objects.create(host=both.host(name), domain=domain, slot=slot)
    adapter = Beating(both)
    storage.install(adapter)
    both.run(15)
    assert set(HostStorage.objects.values_list("generation", flat=True)) == {1}
    yield adapter
    storage.install(None)


def _silent(world: World, name: str) -> None:
    world.until(lambda: world.host(name).status == "non_responsive", 30)


def _fences() -> list[str]:
    return list(FenceOperation.objects.filter(kind="fence").values_list("state", flat=True))


def test_a_host_that_its_storage_shows_alive_is_left_alone(both: World, beating: Beating) -> None:
    vm = both.started("web1")
    there = both.copies(vm)[0]
    both.hosts[there].isolated = True
    _silent(both, there)
    both.run(90)
    assert _fences() == []
    assert both.copies(vm) == [there]
    told = Event.objects.filter(kind="storage.heartbeat").latest("pk")
    assert "heartbeat advances in shared1" in told.text
    assert told.incident
    assert there not in beating.readers[-5:]


def test_a_hung_host_is_fenced_once_its_heartbeat_has_stood_still(
    both: World, beating: Beating
) -> None:
    vm = both.started("web1")
    there = both.copies(vm)[0]
    both.hosts[there].panic()
    _silent(both, there)
    both.run(10)
    assert _fences() == []
    both.until(lambda: both.runs(vm)[0][2] == "power_off", 40)
    assert Proof.objects.get(kind="power_off").evidence["rule"] == "row 5"
    both.whole()


def test_a_person_is_refused_while_the_heartbeat_advances(both: World, beating: Beating) -> None:
    vm = both.started("web1")
    there = both.copies(vm)[0]
    both.bmcs[there].reachable = False
    both.hosts[there].isolated = True
    _silent(both, there)
    both.run(40)
    op = confirm(both, there)
    assert op.state == "refused"
    assert "heartbeat advances" in op.error_text
    assert both.runs(vm) == [(1, there, "open")]
    assert confirm(both, there, override=True).state == "done"


def test_disks_are_watched_while_a_host_is_silent(both: World, beating: Beating) -> None:
    HostStorage.objects.all().delete()
    policy = {"activity_check": "on", "activity_samples": 3, "activity_interval": 5}
    Cluster.objects.update(policy=policy)
    vm = both.started("web1")
    there = both.copies(vm)[0]
    path = "/images/web1.qcow2"
    Disk.objects.create(vm=vm, path=path)
    beating.disks = lambda: {path: both.clock.time.timestamp()}
    both.hosts[there].isolated = True
    _silent(both, there)
    both.run(40)
    assert _fences() == []
    assert DiskActivity.objects.get().samples == [True, True, True]
    beating.disks = lambda: {path: 1.0}
    both.until(lambda: _fences() != [], 40)


def test_a_crash_dump_is_not_disturbed_and_its_vms_start_elsewhere(
    both: World, beating: Beating
) -> None:
    Cluster.objects.update(policy={"kdump_wait": 300})
    vm = both.started("web1")
    there = both.copies(vm)[0]
    both.hosts[there].panic()
    _silent(both, there)
    pk = both.host(there).pk
    assert not kdump.heard(pk, own_address=False, now=both.clock.time)
    assert kdump.heard(pk, own_address=True, now=both.clock.time)
    both.until(lambda: both.runs(vm)[0] == (1, there, "kdump"), 60)
    assert both.host(there).status == "kdumping"
    assert _fences() == []
    both.until(lambda: both.copies(vm), 20)
    assert Host.objects.get(pk=pk).first_contact
    both.whole()
