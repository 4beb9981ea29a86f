"""Live migration: what every adapter must do, and what hosts in memory do besides."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from hosts.domain.looks import GuestReason, GuestState, SeenGuest
from hosts.hypervisor.libvirtd.seen import reason_of
from hosts.hypervisor.memory import MemoryHost, MemoryHypervisor
from hosts.hypervisor.memory_migrating import fail_post_copy, finish, give_up
from hosts.hypervisor.port import (
    HypervisorError,
    NoAnswer,
    NoSuchGuest,
    Progress,
    Refused,
    Target,
    Transfer,
)
from tests.contracts.hypervisor_rigs import (
    DEADLINE,
    STAMP,
    Rig,
    clear,
    libvirtd_rig,
    memory_rig,
)
from tests.contracts.libvirtd_server import LibvirtdServer

ABSENT = "00000000-1111-4222-8333-444444444444"
#: Nobody listens at port 9 of this machine.
NOBODY = Transfer(Target(2, "node2", "qemu+tcp://127.0.0.1:9/system"))


@pytest.fixture(scope="module")
def server() -> Iterator[LibvirtdServer]:
    with LibvirtdServer() as running:
        yield running


@pytest.fixture(scope="module")
def keepers(server: LibvirtdServer) -> dict[str, Any]:
    found = {"test": server.keep(server.test_uri), "qemu": server.keep(server.qemu_uri)}
    clear(found["test"])  # the fake driver ships a domain of its own
    return found


@pytest.fixture(params=["memory", "test", "qemu"])
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    with ExitStack() as stack:
        if request.param == "memory":
            yield stack.enter_context(memory_rig())
            return
        server = request.getfixturevalue("server")
        keeper = request.getfixturevalue("keepers")[request.param]
        uri = server.test_uri if request.param == "test" else server.qemu_uri
        yield stack.enter_context(libvirtd_rig(uri, keeper, server.images))


# --- every adapter ----------------------------------------------------------------------------


def test_a_copy_that_is_not_being_sent_has_no_progress_and_nothing_to_cancel(rig: Rig) -> None:
    uuid = rig.start()
    assert rig.hypervisor.progress(uuid, deadline=DEADLINE) is None
    rig.hypervisor.cancel_migration(uuid, deadline=DEADLINE)
    assert rig.seen(uuid).state is GuestState.RUNNING


def test_a_guest_that_is_not_there_has_no_progress_and_is_not_sent(rig: Rig) -> None:
    assert rig.hypervisor.progress(ABSENT, deadline=DEADLINE) is None
    with pytest.raises(NoSuchGuest):
        rig.hypervisor.migrate(ABSENT, NOBODY, deadline=DEADLINE)


def test_a_copy_that_cannot_be_sent_runs_on_and_the_refusal_is_typed(rig: Rig) -> None:
    uuid = rig.start()
    with pytest.raises(HypervisorError):
        rig.hypervisor.migrate(uuid, NOBODY, deadline=DEADLINE)
    assert rig.hypervisor.progress(uuid, deadline=DEADLINE) is None
    assert rig.seen(uuid).state is GuestState.RUNNING


def test_libvirts_fake_driver_refuses_to_migrate(
    server: LibvirtdServer, keepers: dict[str, Any]
) -> None:
    with libvirtd_rig(server.test_uri, keepers["test"]) as rig:
        uuid = rig.start()
        with pytest.raises(Refused):
            rig.hypervisor.migrate(uuid, NOBODY, deadline=DEADLINE)


def test_post_copy_is_refused_where_nothing_is_being_sent(rig: Rig) -> None:
    uuid = rig.start()
    with pytest.raises(Refused):
        rig.hypervisor.hurry_migration(uuid, deadline=DEADLINE)


def test_libvirts_words_for_a_migration_are_told_from_other_pauses() -> None:
    import libvirt  # noqa: PLC0415 - only here: the constants are libvirt's own

    paused, running = libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_RUNNING
    failed = GuestReason.POSTCOPY_FAILED
    assert reason_of(paused, libvirt.VIR_DOMAIN_PAUSED_STARTING_UP) is GuestReason.STARTING
    assert reason_of(paused, libvirt.VIR_DOMAIN_PAUSED_MIGRATION) is GuestReason.MIGRATING
    assert reason_of(paused, libvirt.VIR_DOMAIN_PAUSED_POSTCOPY) is GuestReason.MIGRATING
    assert reason_of(paused, libvirt.VIR_DOMAIN_PAUSED_POSTCOPY_FAILED) is failed
    assert reason_of(running, libvirt.VIR_DOMAIN_RUNNING_POSTCOPY_FAILED) is failed
    assert reason_of(running, libvirt.VIR_DOMAIN_RUNNING_MIGRATED) is GuestReason.NONE


# --- hosts in memory --------------------------------------------------------------------------

UUID = "11111111-2222-4333-8444-555555555555"


class Two:
    """Two hosts; vm1 runs on the first."""

    def __init__(self) -> None:
        self.one, self.two = MemoryHost("uuid-1", "node1"), MemoryHost("uuid-2", "node2")
        by_name = {"node1": self.one, "node2": self.two}
        self.hypervisor = MemoryHypervisor(
            Target(1, "node1", "memory"), self.one, None, lambda peer: by_name.get(peer.name)
        )
        self.one.guests[UUID] = SeenGuest(UUID, "vm1", GuestState.RUNNING, stamp=STAMP)

    def migrate(self, *, post_copy: bool = False) -> None:
        peer = Target(2, "node2", "memory")
        self.hypervisor.migrate(UUID, Transfer(peer, post_copy=post_copy), deadline=1)

    def progress(self) -> Progress | None:
        return self.hypervisor.progress(UUID, deadline=1)

    def shown(self) -> tuple[GuestReason | None, GuestReason | None]:
        """Return why the copy is as it is on either host; None where there is none."""
        found = [host.guests.get(UUID) for host in (self.one, self.two)]
        return (
            found[0].reason if found[0] else None,
            found[1].reason if found[1] else None,
        )


@pytest.fixture
def two() -> Two:
    return Two()


def test_a_copy_arrives_paused_and_runs_at_the_peer_once_it_is_handed_over(two: Two) -> None:
    two.migrate()
    two.migrate()  # asked twice is asked once
    assert two.progress() == Progress(percent=0)
    assert two.shown() == (GuestReason.NONE, GuestReason.MIGRATING)
    finish(two.one.sending[UUID], UUID)
    assert two.progress() is None
    assert UUID not in two.one.guests
    assert two.two.guests[UUID].state is GuestState.RUNNING
    assert two.two.guests[UUID].stamp == STAMP


def test_a_cancelled_migration_leaves_the_copy_where_it_was(two: Two) -> None:
    two.migrate()
    two.hypervisor.cancel_migration(UUID, deadline=1)
    assert two.shown() == (GuestReason.NONE, None)
    assert not two.one.sending


def test_what_a_peer_had_under_that_name_is_there_again_after_a_failure(two: Two) -> None:
    two.two.guests[UUID] = old = SeenGuest(UUID, "vm1", GuestState.SHUT_OFF)
    two.migrate()
    give_up(two.one.sending[UUID], UUID)
    assert two.two.guests[UUID] == old


def test_destroying_what_arrives_forgets_it(two: Two) -> None:
    two.migrate()
    MemoryHypervisor(Target(2, "node2", "memory"), two.two).destroy(UUID, deadline=1)
    assert UUID not in two.two.guests
    finish(two.one.sending[UUID], UUID)
    assert two.one.guests[UUID].state is GuestState.RUNNING


def test_a_libvirtd_that_restarts_keeps_nothing_of_a_migration(two: Two) -> None:
    two.migrate()
    two.two.restart_daemon()
    assert UUID not in two.two.guests
    two.one.restart_daemon()
    assert two.progress() is None
    assert two.one.guests[UUID].state is GuestState.RUNNING


def test_a_migration_sent_to_a_frozen_host_begins_when_it_thaws(two: Two) -> None:
    two.one.freeze()
    with pytest.raises(NoAnswer):
        two.migrate()
    assert two.shown() == (GuestReason.NONE, None)
    two.one.thaw()
    assert two.shown() == (GuestReason.NONE, GuestReason.MIGRATING)


@pytest.mark.parametrize("fault", ["kill", "panic", "freeze"])
def test_a_peer_that_is_not_there_is_refused(two: Two, fault: str) -> None:
    getattr(two.two, fault)()
    with pytest.raises(Refused, match="cannot reach"):
        two.migrate()


def test_post_copy_runs_at_the_peer_at_once_where_it_was_allowed(two: Two) -> None:
    two.migrate()
    with pytest.raises(Refused):
        two.hypervisor.hurry_migration(UUID, deadline=1)
    two.hypervisor.cancel_migration(UUID, deadline=1)
    two.migrate(post_copy=True)
    two.hypervisor.hurry_migration(UUID, deadline=1)
    assert two.two.guests[UUID].state is GuestState.RUNNING


def test_a_post_copy_that_breaks_leaves_no_whole_copy(two: Two) -> None:
    two.migrate(post_copy=True)
    fail_post_copy(two.one.sending[UUID], UUID)
    assert two.shown() == (GuestReason.POSTCOPY_FAILED, GuestReason.POSTCOPY_FAILED)
