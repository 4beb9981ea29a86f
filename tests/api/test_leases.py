"""Leases over REST: asked for, refused by the field, shown with holder and age."""

from datetime import timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from hosts.models import HostStorage, StorageDomain
from portal.lib import clock
from tests.api.conftest import API, Centre
from vms.models import Lease, Run, RunLease


@pytest.fixture
def domain(centre: Centre) -> StorageDomain:
    return StorageDomain.objects.create(cluster=centre.cluster, name="ceph1", lease_slots=1)


def ask(client: APIClient, centre: Centre, word: str, **fields: Any) -> Any:
    where = f"{API}/vms/{centre.db1.pk}/actions/lease-{word}/"
    return client.post(where, fields, format="json")


def test_a_lease_is_asked_for_and_shown_as_new(
    centre: Centre, admin: APIClient, domain: StorageDomain
) -> None:
    answer = ask(admin, centre, "add", domain="ceph1")
    assert answer.status_code == 202, answer.content
    assert answer["Location"]
    (shown,) = admin.get(f"{API}/vms/{centre.db1.pk}/").json()["leases"]
    assert (shown["domain"], shown["slot"], shown["state"]) == ("ceph1", 1, "new")
    assert shown["carried"] is shown["guarded"] is False
    events = admin.get(f"{API}/events/?kind=lease.asked").json()["results"]
    assert [event["actor"][:5] for event in events] == ["admin"]


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        (("add", {"domain": "nowhere"}), ("domain", "no storage domain 'nowhere'")),
        (("add", {"domain": "bare"}), ("domain", "has no lease volume")),
        (("add", {"domain": "full"}), ("domain", "all 1 lease slots of full are given")),
        (("add", {"domain": "ceph1"}), ("domain", "has a lease in ceph1 already")),
        (("remove", {"domain": "full"}), ("domain", "has no lease in 'full'")),
        (
            ("move", {"domain": "full", "from_domain": "bare"}),
            ("from_domain", "no lease in 'bare'"),
        ),
    ],
)
def test_a_refusal_names_the_field_and_changes_nothing(
    centre: Centre, admin: APIClient, asked: tuple[str, dict[str, str]], named: tuple[str, str]
) -> None:
    (word, fields), (field, told) = asked, named
    domain = StorageDomain.objects.create(cluster=centre.cluster, name="ceph1", lease_slots=1)
    StorageDomain.objects.create(cluster=centre.cluster, name="bare")
    full = StorageDomain.objects.create(cluster=centre.cluster, name="full", lease_slots=1)
    Lease.objects.create(vm=centre.db1, domain=domain, slot=1)
    other = type(centre.db1).objects.exclude(pk=centre.db1.pk).first()
    assert other is not None
    Lease.objects.create(vm=other, domain=full, slot=1)
    before = list(Lease.objects.values())
    answer = ask(admin, centre, word, **fields)
    assert answer.status_code == 422, answer.content
    assert answer.json()["code"] == "bad_lease"
    assert told in answer.content.decode()
    assert field in answer.content.decode()
    assert answer.json()["cure"]
    assert list(Lease.objects.values()) == before


def test_a_lease_is_shown_with_its_holder_generation_and_age(
    centre: Centre, admin: APIClient, domain: StorageDomain
) -> None:
    run = Run.objects.get(vm=centre.db1, ended_at__isnull=True)
    HostStorage.objects.create(host=run.host, domain=domain, slot=4)
    Lease.objects.create(vm=centre.db1, domain=domain, slot=1)
    at = clock.now() - timedelta(seconds=7)
    RunLease.objects.create(
        run=run, domain=domain, slot=1, guarded_at=at, read_at=at, holder=5, holder_generation=3
    )
    (shown,) = admin.get(f"{API}/vms/{centre.db1.pk}/").json()["leases"]
    assert (shown["holder"], shown["holder_generation"]) == (run.host.name, 3)
    assert shown["guarded"] is shown["carried"] is True
    assert 7 <= shown["age_s"] < 60
    assert shown["read_at"]
