"""A small data centre in the database, people with roles, and clients that speak for them."""

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from django.core.management import call_command
from rest_framework.test import APIClient

from fencing.domain.power import PowerState
from fencing.models import HaResource, PowerController
from fencing.power import install as install_power
from fencing.power.memory import MemoryBmc, MemoryPower
from fencing.power.port import Bmc, Power, Reading
from hosts import hypervisor
from hosts.domain.states import HostStatus
from hosts.hypervisor.memory import MemoryHost, MemoryHypervisor
from hosts.models import Cluster, Host
from portal.core.models import Role, RoleBinding, User
from portal.lib import clock
from portal.lib.ha.states import HaState
from vms.models import Run, Vm

API = "/api/v1"


@dataclass
class Centre:
    """Two clusters; node1 runs db1, node2 is silent and runs web1, far1 is of the other one."""

    cluster: Cluster
    other: Cluster
    node1: Host
    node2: Host
    far1: Host
    db1: Vm
    web1: Vm
    idle1: Vm


def add_host(name: str, cluster: Cluster, status: HostStatus = HostStatus.UP) -> Host:
    """Enter a host that was seen just now."""
    now = clock.now()
    host = Host.objects.create(
        name=name,
        cluster=cluster,
        uri=f"qemu+tls://{name}/system",
        status=status,
        status_since=now,
        last_seen=now,
        look_due_at=now,
        memory_mib=16384,
        vcpus=8,
    )
    HaResource.objects.create(host=host, state=HaState.AVAILABLE, since=now)
    return host


def add_vm(name: str, cluster: Cluster, host: Host | None = None) -> Vm:
    """Enter a VM, running on ``host`` if one is given."""
    now = clock.now()
    vm = Vm.objects.create(
        name=name,
        uuid=f"00000000-0000-4000-8000-{abs(hash(name)) % 10**12:012d}",
        cluster=cluster,
        memory_mib=1024,
        vcpus=1,
        ha=True,
        wanted_up=host is not None,
        state="up" if host else "down",
        state_since=now,
        generation=1 if host else 0,
    )
    if host:
        Run.objects.create(
            vm=vm, host=host, generation=1, state="running", started_at=now, running_at=now
        )
    return vm


@dataclass
class Hardware:
    """What answers at any address: machines by the name of their entry, and one kind of BMC."""

    machines: dict[str, MemoryHost] = field(default_factory=dict)
    power: MemoryPower = field(default_factory=MemoryPower)
    bmcs: set[str] = field(default_factory=set)

    def machine(self, name: str) -> MemoryHost:
        """Return the machine of that name; it was there all the time."""
        made = MemoryHost(uuid=str(uuid.uuid5(uuid.NAMESPACE_DNS, name)), name=name)
        return self.machines.setdefault(name, made)

    def add_bmc(self, address: str) -> MemoryBmc:
        """Return a BMC that can have faults."""
        self.bmcs.add(address)
        return self.power.add(address, 623)

    def read(self, bmc: Bmc, *, deadline: float) -> Reading:
        """A BMC that nobody has added says on, and not whose it is."""
        if bmc.address not in self.bmcs:
            return Reading(PowerState.ON)
        return self.power.read(bmc, deadline=deadline)


@pytest.fixture
def hardware() -> Iterator[Hardware]:
    """Machines and BMCs in memory, in the place of the real adapters."""
    made = Hardware()
    hypervisor.install(lambda target: MemoryHypervisor(target, made.machine(target.name)))
    install_power("ipmi", cast("Power", made))
    yield made
    install_power("ipmi", None)
    hypervisor.install(None)


@pytest.fixture
def centre(db: None, hardware: Hardware) -> Centre:
    """Return the data centre."""
    cluster = Cluster.objects.create(name="main", mode="armed")
    other = Cluster.objects.create(name="far")
    node1 = add_host("node1", cluster)
    node2 = add_host("node2", cluster, HostStatus.NON_RESPONSIVE)
    PowerController.objects.create(
        host=node2, address="192.0.2.2", username="admin", password="bmc-secret"
    )
    return Centre(
        cluster,
        other,
        node1,
        node2,
        add_host("far1", other),
        add_vm("db1", cluster, node1),
        add_vm("web1", cluster, node2),
        add_vm("idle1", cluster),
    )


def add_person(name: str, role: Role | None = None, kind: str = "all", pk: int = 0) -> User:
    """Return a new person with one role."""
    user = User.objects.create_user(name, password="a long pass phrase")
    if role:
        RoleBinding.objects.create(user=user, role=role, scope_type=kind, scope_id=pk)
    return user


Speaks = Callable[..., APIClient]


@pytest.fixture
def speaks(db: None) -> Speaks:
    """Return a maker of clients: ``speaks("viewer")``, ``speaks("operator", "host", 3)``."""

    def make(role: str = "", kind: str = "all", pk: int = 0) -> APIClient:
        client = APIClient()
        if role:
            wanted = None if role == "stranger" else Role(role)
            name = f"{role}-{kind}-{pk}"
            user = User.objects.filter(username=name).first()
            client.force_authenticate(user or add_person(name, wanted, kind, pk))
        return client

    return make


@pytest.fixture(scope="session")
def schema(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The API as it describes itself: what is added to it is tried here too."""
    target = tmp_path_factory.mktemp("schema") / "schema.json"
    call_command("spectacular", "--format", "openapi-json", "--file", str(target))
    made: dict[str, Any] = json.loads(target.read_text())
    return made


@pytest.fixture
def admin(speaks: Speaks) -> APIClient:
    """Return a client of an administrator of everything."""
    return speaks("admin")


def problem(answer: Any, status: int, field: str = "") -> dict[str, Any]:
    """Return a problem's JSON, having checked its status, shape, field and cure."""
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"].startswith("application/problem+json")
    told: dict[str, Any] = answer.json()
    assert told["status"] == status
    assert told["detail"]
    assert told["cure"]
    if field:
        assert told["field"] == field, told
    return told
