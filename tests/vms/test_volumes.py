"""A lease volume as a whole: taken into use, compared with the rows, and the rows from it."""

from collections.abc import Iterator
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from hosts import storage
from hosts.domain.slots import taken_by
from hosts.models import StorageDomain
from tests.vms.volume import Volume, both_domains, leased, rows
from tests.vms.world import World
from vms.models import Lease


@pytest.fixture
def volume(world: World) -> Iterator[Volume]:
    adapter = both_domains(world)
    storage.install(adapter)
    yield adapter
    storage.install(None)


def say(*words: object) -> str:
    out = StringIO()
    call_command("leases", *map(str, words), stdout=out)
    return out.getvalue()


def test_what_agrees_is_not_told_and_what_differs_is(world: World, volume: Volume) -> None:
    vm = leased(world)
    assert say("check", "ceph1") == "ceph1: 4 slots compared\n"
    volume.tell(3, taken_by("stranger"))
    Lease.objects.filter(vm=vm).update(slot=2)
    told = say("check", "ceph1")
    assert f"slot 1: row none, index taken {vm.uuid}, record {vm.uuid}" in told
    assert f"slot 2: row {vm.uuid}, index free, record none" in told
    assert "slot 3: row none, index taken stranger, record none" in told


def test_lost_rows_come_back_from_the_index_and_nothing_is_written(
    world: World, volume: Volume
) -> None:
    first, second = leased(world, "web1"), leased(world, "web2")
    del volume.domains["ceph1"].made[2]
    Lease.objects.all().delete()
    volume.written_slots.clear()
    assert say("rebuild", "ceph1").split() == ["web1", "web2"]
    assert rows(first) == [("ceph1", 1, "ready")]
    assert rows(second) == [("ceph1", 2, "new")]
    assert volume.written_slots == []
    assert say("rebuild", "ceph1") == "no row was missing\n"


def test_a_volume_is_as_long_as_its_last_slot_can_be_read(world: World, volume: Volume) -> None:
    assert say("prepare", "ceph1", 9) == "ceph1 has 9 lease slots\n"
    assert StorageDomain.objects.get(name="ceph1").lease_slots == 9
    with pytest.raises(CommandError, match="slots: must be 1 to 2047"):
        say("prepare", "ceph1", 2048)
    volume.lease = lambda domain, slot: b""
    with pytest.raises(CommandError, match="ends before slot 12"):
        say("prepare", "ceph1", 12)


def test_an_unknown_domain_and_storage_that_is_away_are_named(world: World, volume: Volume) -> None:
    with pytest.raises(CommandError, match="0 are named 'nowhere'"):
        say("check", "nowhere")
    volume.domains["ceph1"].stalled = True
    with pytest.raises(CommandError, match="cannot read ceph1"):
        say("check", "ceph1")
