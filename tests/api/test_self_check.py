"""The portal's look at itself: who may ask, and that each fault is seen."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from rest_framework.test import APIClient

from fencing.domain.facts import Identity
from fencing.models import FenceOperation, HaResource, PowerController
from fencing.services import capacity
from hosts.models import Cluster, Engine, EngineLease, Host
from portal.core.models import Event, User
from portal.core.services import record_event
from portal.lib import clock
from portal.selfcheck import checks, machine
from tests.api.conftest import API, Centre, Speaks, add_person, problem
from vms.models import VmOperation

PATH = f"{API}/self-check/"
LATE = timedelta(minutes=2)


@pytest.fixture
def healthy(centre: Centre, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Centre:
    """A portal with which nothing is wrong."""
    now = clock.now()
    settings.BASE_URL = "http://testserver"
    Engine.objects.create(name="engine1", epoch=1, started_at=now, beat_at=now)
    EngineLease.objects.create(name="beat", holder="me", expires_at=now + timedelta(minutes=5))
    Cluster.objects.update(mode="armed")
    for host in Host.objects.filter(controllers__isnull=True):
        PowerController.objects.create(host=host, address=f"bmc-{host.name}", username="a")
    PowerController.objects.update(identity=Identity.PROVEN)
    for cluster in Cluster.objects.all():
        capacity.check(cluster.pk, now)
    record_event("test", "something happened", now=now)
    monkeypatch.setattr(machine, "redis_answers", lambda: True)
    return centre


def states() -> dict[str, str]:
    """Return the state of every check."""
    found = checks(clock.now(), "testserver")
    for item in found:
        assert item.text
        assert bool(item.cure) is (item.state != "ok"), item
    return {item.name: str(item.state) for item in found}


def test_a_healthy_portal_says_so(healthy: Centre, admin: APIClient) -> None:
    answer = admin.get(PATH)
    assert answer.status_code == 200, answer.content
    told = answer.json()
    assert [item for item in told["checks"] if item["state"] != "ok"] == []
    assert told["state"] == "ok"


def test_only_an_administrator_of_everything_may_ask(centre: Centre, speaks: Speaks) -> None:
    problem(speaks().get(PATH), 401)
    for role in ("stranger", "viewer", "operator"):
        problem(speaks(role).get(PATH), 403)
    problem(speaks("admin", "cluster", centre.cluster.pk).get(PATH), 403)
    problem(speaks("admin").get(f"{PATH}?wrong=1"), 400)


def _old_engine(centre: Centre) -> None:
    Engine.objects.update(beat_at=clock.now() - LATE)


def _no_beat(centre: Centre) -> None:
    EngineLease.objects.update(expires_at=clock.now() - LATE)


def _not_looked(centre: Centre) -> None:
    Host.objects.filter(pk=centre.node1.pk).update(look_due_at=clock.now() - LATE)


def _late_fence(centre: Centre) -> None:
    at = clock.now() - LATE
    FenceOperation.objects.create(kind="check", host=centre.node1, requested_at=at, due_at=at)


def _late_start(centre: Centre) -> None:
    at = clock.now() - LATE
    VmOperation.objects.create(
        kind="start", vm=centre.db1, host=centre.node1, requested_at=at, due_at=at
    )


def _old_capacity(centre: Centre) -> None:
    centre.cluster.capacity.delete()


def _forged(centre: Centre) -> None:
    Event.objects.update(text="nothing happened")


def _of_the_future(centre: Centre) -> None:
    record_event("test", "it is tomorrow", now=clock.now() + timedelta(days=1))


def _distrusted(centre: Centre) -> None:
    PowerController.objects.filter(host=centre.node2).update(trusted=False)


def _unproven(centre: Centre) -> None:
    PowerController.objects.filter(host=centre.node2).update(identity=Identity.UNPROVEN)


def _silent_bmc(centre: Centre) -> None:
    PowerController.objects.filter(host=centre.node2).update(problem="unreachable")


def _no_bmc(centre: Centre) -> None:
    PowerController.objects.filter(host=centre.node1).delete()


def _unprotected(centre: Centre) -> None:
    HaResource.objects.filter(host=centre.node1).update(state="disabled")


def _observes(centre: Centre) -> None:
    Cluster.objects.filter(pk=centre.cluster.pk).update(mode="observe")


def _other_guest(centre: Centre) -> None:
    guest = {"uuid": "00000000-0000-4000-8000-0000000000f9", "name": "git1", "state": "running"}
    Host.objects.filter(pk=centre.node1.pk).update(others=[guest])


def _empty_observes(centre: Centre) -> None:
    Cluster.objects.create(name="new")


def _one_time(centre: Centre) -> None:
    User.objects.create_superuser("boss", password="once")
    User.objects.update(must_change_password=True)


@pytest.mark.parametrize(
    ("spoil", "name", "state"),
    [
        (_old_engine, "engines", "bad"),
        (_no_beat, "beat", "bad"),
        (_not_looked, "poll_worker", "bad"),
        (_late_fence, "fence_worker", "bad"),
        (_late_start, "ha_worker", "bad"),
        (_old_capacity, "default_worker", "warn"),
        (_forged, "events", "bad"),
        (_of_the_future, "events", "bad"),
        (_distrusted, "bmcs", "warn"),
        (_unproven, "bmcs", "warn"),
        (_no_bmc, "bmcs", "warn"),
        (_silent_bmc, "bmcs", "warn"),
        (_unprotected, "ha_vms", "warn"),
        (_observes, "observing", "warn"),
        (_empty_observes, "observing", "warn"),
        (_one_time, "passwords", "warn"),
        (_other_guest, "others", "warn"),
    ],
)
def test_each_fault_of_the_rows_is_seen_and_no_other(
    healthy: Centre, spoil: Callable[[Centre], None], name: str, state: str
) -> None:
    spoil(healthy)
    assert {key: value for key, value in states().items() if value != "ok"} == {name: state}


def test_a_portal_without_clusters_and_hosts_claims_nothing_of_them(db: None) -> None:
    said = {item.name: item.text for item in checks(clock.now(), "testserver")}
    assert said["observing"] == "no cluster yet"
    assert said["bmcs"] == "no host yet that shall run VMs"


def test_a_silent_engine_beside_one_that_works_is_only_worth_a_word(healthy: Centre) -> None:
    old = clock.now() - LATE
    Engine.objects.create(name="engine2", epoch=1, started_at=old, beat_at=old)
    assert states()["engines"] == "warn"


def test_an_engine_that_hears_no_host_is_worth_a_word(healthy: Centre) -> None:
    Engine.objects.update(deaf_since=clock.now() - timedelta(seconds=9))
    assert states()["engines"] == "warn"


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_a_key_file_that_others_may_read_is_seen(
    healthy: Centre, settings: Any, tmp_path: Path, mode: int
) -> None:
    settings.KEY_FILE = tmp_path / "vault.keys"
    settings.KEY_FILE.write_text("a key")
    settings.KEY_FILE.chmod(0o600)
    assert states()["key_files"] == "ok"
    settings.KEY_FILE.chmod(mode)
    found = machine.key_files(clock.now())
    assert (found.state, found.cure) == ("bad", "chmod 600 vault.keys")


@pytest.mark.parametrize(("free", "state"), [(10**8, "bad"), (5 * 10**8, "warn"), (10**11, "ok")])
def test_a_disk_that_is_full_or_nearly_so_is_seen(
    free: int, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=free))
    assert machine.disk(clock.now()).state == state


class _Ahead:
    """A database clock that is not this machine's."""

    def __init__(self, seconds: float) -> None:
        self.real = clock.now()
        self.seconds = seconds

    def now(self) -> Any:
        return self.real + timedelta(seconds=self.seconds)


@pytest.mark.parametrize(("seconds", "state"), [(-30, "bad"), (30, "bad"), (0, "ok")])
def test_a_clock_that_differs_from_the_database_s_is_seen(
    db: None, seconds: float, state: str
) -> None:
    other = _Ahead(seconds)
    clock.install(other)
    try:
        assert machine.clocks(other.now()).state == state
    finally:
        clock.install(None)


def test_debug_and_a_wrong_address_are_seen(healthy: Centre, settings: Any) -> None:
    settings.DEBUG = True
    settings.BASE_URL = "https://portal.example.org"
    found = states()
    assert (found["debug"], found["base_url"]) == ("bad", "warn")
    assert machine.base_url("Portal.Example.org").state == "ok"


def test_a_redis_that_gives_no_answer_is_seen(db: None, settings: Any, tmp_path: Path) -> None:
    settings.REDIS_URL = f"unix://{tmp_path}/none.sock"
    assert machine.broker(clock.now()).state == "bad"


def test_the_database_is_named_with_what_makes_it_durable(db: None) -> None:
    assert "SQLite" in machine.database(clock.now()).text


@pytest.mark.usefixtures("transactional_db", "postgres_default")
def test_a_postgresql_without_fsync_is_seen() -> None:
    found = machine.database(clock.now())  # the server of the tests does not sync
    assert found.state == "bad"
    assert "fsync" in found.text


def test_the_command_reads_every_seal(db: None, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(3):
        record_event("test", f"thing {number}", now=clock.now())
    call_command("verify-events")
    assert "3 events" in capsys.readouterr().out
    second = Event.objects.order_by("pk")[1]
    Event.objects.filter(pk=second.pk).update(text="another thing")
    with pytest.raises(CommandError, match=str(second.pk)):
        call_command("verify-events")


def test_a_one_time_password_of_somebody_without_rights_is_no_matter(healthy: Centre) -> None:
    add_person("ann")
    User.objects.update(must_change_password=True)
    assert states()["passwords"] == "ok"
