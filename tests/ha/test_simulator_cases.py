"""The 19 simulator cases of Apache CloudStack's ``test_hostha_simulator.py``, over REST.

Each test has its case's name.  The logs are this portal's own: a resource is checked
at once when it is suspect; it is asked once more before it is fenced; recovered but
silent, it is judged anew; and only a proof makes it fenced.  A zone is "everything".
"""

from dataclasses import dataclass
from typing import Any

import pytest
from rest_framework.test import APIClient

from fencing.models import HaResource
from fencing.services import ha_claims
from hosts.models import Engine
from hosts.services import engines
from portal.core.models import Role, RoleBinding, User
from portal.lib.ha.provider import Capability
from portal.lib.ha.record import Work
from tests.ha.conftest import QUICK, Bench

API = "/api/v1"
ENABLED = "enabled disabled→available"
SUSPECT = ["unhealthy available→suspect", "check suspect→checking"]
AGAIN = ["unhealthy recovered→suspect", "check suspect→checking"]


@dataclass
class Simulator:
    """An administrator with a client, and the bench on which time passes."""

    bench: Bench
    client: APIClient

    def post(self, path: str, status: int = 200, **body: Any) -> dict[str, Any]:
        """POST and return the JSON, having checked the status."""
        answer = self.client.post(f"{API}/{path}", body, format="json")
        assert answer.status_code == status, answer.content
        return dict(answer.json())

    def get(self, path: str, status: int = 200) -> dict[str, Any]:
        """GET and return the JSON, having checked the status."""
        answer = self.client.get(f"{API}/{path}")
        assert answer.status_code == status, answer.content
        return dict(answer.json())

    def set(self, health: bool, activity: bool, recover: bool, fence: bool, **more: Any) -> int:
        """Set the four outcomes; return the resource's id."""
        told = self.post(
            "simulator-providers/", key="sim1", cluster=self.bench.cluster.pk, health=health,
            activity=activity, recover=recover, fence=fence, **more,
        )  # fmt: skip
        return int(told["id"])

    def prepared(self, health: bool, activity: bool, recover: bool, fence: bool) -> int:
        """Enter a resource with these outcomes and CloudStack's patience, and switch it on."""
        pk = self.set(health, activity, recover, fence)
        self.post(f"ha-resources/{pk}/actions/configure/", thresholds=QUICK)
        self.post(f"ha-resources/{pk}/actions/enable/")
        return pk

    def until(self, pk: int, state: str) -> dict[str, Any]:
        """Let time pass until the resource is in that state; return it as it is read."""
        self.bench.until(pk, lambda row: row.state == state)
        return self.get(f"ha-resources/{pk}/")

    def log(self, pk: int) -> list[str]:
        """Return the transitions as the API lists them, oldest first."""
        rows = self.get(f"ha-resources/{pk}/transitions/")["results"]
        return [f"{row['event']} {row['old']}→{row['new']}" for row in reversed(rows)]


@pytest.fixture
def sim(bench: Bench, settings: Any) -> Simulator:
    """The portal as it is on the box, and an administrator of everything."""
    settings.ROOT_URLCONF = "tests.ha.demo_urls"
    user = User.objects.create_user("root")
    RoleBinding.objects.create(user=user, role=Role.ADMIN)
    client = APIClient()
    client.force_authenticate(user)
    return Simulator(bench, client)


def test_01_enable_feature_without_setting_provider(sim: Simulator) -> None:
    body = {"kind": "simulator", "key": "bare", "cluster": sim.bench.cluster.pk}
    pk = sim.post("ha-resources/", 201, **body)["id"]
    told = sim.post(f"ha-resources/{pk}/actions/enable/", 409)
    assert "has no provider" in told["detail"]
    assert sim.get(f"ha-resources/{pk}/")["state"] == "disabled"


def test_02_ha_list_providers(sim: Simulator) -> None:
    told = {row["name"]: row for row in sim.get("ha-providers/")["providers"]}
    assert told["simulator"]["kinds"] == ["simulator"]
    assert told["libvirt-kvm"]["kinds"] == ["host"]
    assert told["vm-guest"]["capabilities"] == ["recover"]
    assert all(row["usable"] for row in told.values())


def test_03_configure_invalid_provider(sim: Simulator) -> None:
    pk = sim.set(True, True, True, False)
    told = sim.post(f"ha-resources/{pk}/actions/configure/", 400, provider="nonesuch")
    assert told["field"] == "provider"
    assert "vm-guest" in told["detail"]


def test_04_configure_default_driver(sim: Simulator) -> None:
    pk = sim.set(True, True, True, False)
    told = sim.post(f"ha-resources/{pk}/actions/configure/", provider="simulator")
    assert (told["id"], told["provider"]) == (pk, "simulator")


@pytest.mark.parametrize("word", ["enable", "disable"])
def test_05_06_ha_enable_and_disable_feature_invalid(sim: Simulator, word: str) -> None:
    sim.post(f"ha-resources/999999/actions/{word}/", 404)
    sim.post(f"ha-resources/-1/actions/{word}/", 404)
    sim.post(f"clusters/999999/actions/{word}-ha/", 404)
    sim.post(f"settings/ha/actions/{word}-ha/", 400, zone=1)


def test_07_enable_feature_valid(sim: Simulator) -> None:
    pk = sim.set(True, True, True, False)
    told = sim.post(f"ha-resources/{pk}/actions/enable/")
    assert (told["enabled"], told["state"]) == (True, "available")


def test_08_disable_feature_valid(sim: Simulator) -> None:
    pk = sim.prepared(True, True, True, False)
    told = sim.post(f"ha-resources/{pk}/actions/disable/")
    assert (told["enabled"], told["state"], told["due_at"]) == (False, "disabled", None)


def test_09_configure_enabledisable_across_clusterzones(sim: Simulator) -> None:
    pk, cluster = sim.prepared(True, True, True, False), sim.bench.cluster.pk
    switches = (f"ha-resources/{pk}/actions/{{}}/", f"clusters/{cluster}/actions/{{}}-ha/",
                "settings/ha/actions/{}-ha/")  # fmt: skip
    for switch in switches:
        sim.post(switch.format("disable"))
        assert sim.get(f"ha-resources/{pk}/")["state"] == "disabled"
    HaResource.objects.update(state="available")
    sim.bench.tick()
    assert sim.get(f"ha-resources/{pk}/")["state"] == "disabled"
    states = []
    for switch in reversed(switches):
        sim.post(switch.format("enable"))
        states.append(sim.get(f"ha-resources/{pk}/")["state"])
    assert states == ["disabled", "disabled", "available"]


def test_10_multiple_mgmt_server_ownership(sim: Simulator) -> None:
    pk = sim.prepared(True, True, True, False)
    ghost = engines.join("ghost", sim.bench.clock.time)
    able = frozenset(Capability)
    now = sim.bench.clock.time
    assert ha_claims.claim(pk, Work.HEALTH, can=able, tag=ghost, now=now) is not None
    sim.bench.tick()
    assert sim.get(f"ha-resources/{pk}/")["owner"] == "ghost"
    Engine.objects.filter(name="ghost").delete()
    sim.bench.pass_time(14)
    told = sim.get(f"ha-resources/{pk}/")
    assert (told["owner"], told["state"]) == ("engine1", "available")


def test_11_verify_fsm_available(sim: Simulator) -> None:
    pk = sim.prepared(True, True, True, False)
    sim.bench.pass_time(5)
    told = sim.get(f"ha-resources/{pk}/")
    assert sim.log(pk) == [ENABLED]
    assert (told["rounds"], told["recoveries"], told["fences"]) == (0, 0, 0)


def test_12_verify_fsm_degraded(sim: Simulator) -> None:
    pk = sim.prepared(False, True, True, False)
    told = sim.until(pk, "degraded")
    assert sim.log(pk) == [ENABLED, *SUSPECT, "alive checking→degraded"]
    assert (told["rounds"], told["idle"]) == (3, 0)


def test_13_verify_fsm_recovering(sim: Simulator) -> None:
    pk = sim.prepared(False, False, True, False)
    told = sim.until(pk, "fencing")
    recovered = ["recover checking→recovering", "recovery_done recovering→recovered"]
    assert sim.log(pk) == [
        ENABLED, *SUSPECT, *recovered, *AGAIN, *recovered, *AGAIN, "fence checking→fencing",
    ]  # fmt: skip
    assert told["recoveries"] == 2


def test_14_verify_fsm_fenced(sim: Simulator) -> None:
    pk = sim.prepared(False, False, False, True)
    told = sim.until(pk, "fenced")
    fenced = [
        ENABLED, *SUSPECT, "recover checking→recovering", "fence recovering→fencing",
        "proven_off fencing→fenced",
    ]  # fmt: skip
    assert sim.log(pk) == fenced
    assert (told["recoveries"], told["fences"]) == (0, 0)
    sim.bench.pass_time(3)
    assert sim.log(pk) == fenced, "it stays fenced while it is not healthy"
    sim.set(True, True, True, False, eligible=False)  # on, and in maintenance
    sim.until(pk, "ineligible")
    sim.set(True, True, True, False, eligible=True)
    sim.until(pk, "available")
    assert sim.log(pk) == [
        *fenced, "healthy fenced→recovered", "ineligible recovered→ineligible",
        "eligible ineligible→available",
    ]  # fmt: skip


def test_15_configure_ha_provider_invalid(sim: Simulator) -> None:
    pk = sim.set(True, True, True, False)
    told = sim.post(f"ha-resources/{pk}/actions/configure/", 400, provider="libvirt-kvm")
    assert "it is for host, not for simulator" in told["detail"]


def test_16_configure_ha_provider_valid(sim: Simulator) -> None:
    body = {"kind": "simulator", "key": "bare", "cluster": sim.bench.cluster.pk}
    pk = sim.post("ha-resources/", 201, **body)["id"]
    sim.post(f"ha-resources/{pk}/actions/configure/", provider="simulator")
    assert sim.post(f"ha-resources/{pk}/actions/enable/")["state"] == "available"


def test_17_list_ha_for_host(sim: Simulator) -> None:
    for key in ("a", "b", "c"):
        sim.bench.add(key)
    assert sim.get("ha-resources/")["count"] == HaResource.objects.count() == 3


def test_18_list_for_one_host_echoes_its_id(sim: Simulator) -> None:
    sim.bench.add("other")
    pk = sim.bench.add("mine").pk
    assert sim.get(f"ha-resources/{pk}/")["id"] == pk
    found = sim.get("ha-resources/?search=mine")["results"]
    assert [row["id"] for row in found] == [pk]


def test_19_list_with_invalid_host_id(sim: Simulator) -> None:
    for wrong in ("-1", "nobody", "999999"):
        sim.get(f"ha-resources/?host={wrong}", 400)
    sim.get("ha-resources/?hostid=1", 400)
