"""A small data centre in memory, driven by hand: hosts, BMCs, rows, and a clock.

The portal's own operations and rounds run over the memory adapters.  Every call
into an adapter first checks that no transaction is open, and afterwards that no
VM executes twice.  ``hooks`` are called before (``"start"``) and after
(``"started"``...) each call, to kill, pause or change the world right there.
"""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial

from django.db import connection

from fencing import operations as power_operations
from fencing.domain.facts import Identity
from fencing.domain.power import PowerState
from fencing.models import FenceOperation, HaResource, PowerController
from fencing.power import install as install_power
from fencing.power.memory import MemoryBmc
from fencing.services.rounds import run_round
from hosts import hypervisor
from hosts.domain.liveness import Pace
from hosts.domain.looks import GuestState, Stamp
from hosts.hypervisor.memory import MemoryHost
from hosts.models import Cluster, ClusterMode, Host
from hosts.services import engines
from portal.core.models import OPEN_STATES, Event
from portal.core.services import broken_seal, installation_id
from portal.lib import clock, live, queue
from tests.vms.watched import BEGIN, HandClock, WatchedHypervisor, WatchedPower
from vms import operations as vm_operations
from vms.models import Run, Vm, VmOperation
from vms.operations.looking import look_at

PACE = Pace(poll_s=2, deadline_s=3, missed_polls=2)
PORT = 623

Hook = Callable[[str, str], None]


class TransactionOpen(AssertionError):
    """Hardware was called with a transaction open."""


class World:
    """Machines in memory, and the rows that the portal keeps about them."""

    def __init__(self, names: tuple[str, ...], *, armed: bool = True) -> None:
        self.clock = HandClock()
        self.queue = queue.MemoryQueue()
        self.live = live.MemoryLive()
        self.hosts: dict[str, MemoryHost] = {}
        self.bmcs: dict[str, MemoryBmc] = {}
        self.power = WatchedPower(self)
        self.calls: list[tuple[str, str]] = []
        self.before: list[Hook] = []
        self.after: list[Hook] = []
        clock.install(self.clock)
        queue.install(self.queue)
        live.install(self.live)
        hypervisor.install(lambda target: WatchedHypervisor(self, target))
        install_power("memory", self.power)
        engines.join("engine1", BEGIN)
        mode = ClusterMode.ARMED if armed else ClusterMode.OBSERVE
        self.cluster = Cluster.objects.create(name="main", mode=mode)
        for name in names:
            self.add_host(name)

    def close(self) -> None:
        """Put the ports back."""
        clock.install(None)
        queue.install(None)
        live.install(None)
        hypervisor.install(None)
        install_power("memory", None)

    # -- machines ---------------------------------------------------------------

    def add_host(self, name: str) -> Host:
        """Add a machine that is on, its BMC, and their rows."""
        machine_uuid = str(uuid.uuid5(uuid.NAMESPACE_DNS, name))
        host = MemoryHost(uuid=machine_uuid, name=name)
        host.uptime = partial(self.clock.since, self.clock.time)
        self.hosts[name] = host
        row = Host.objects.create(
            name=name,
            cluster=self.cluster,
            uri=f"qemu+tls://{name}/system",
            status_since=self.clock.time,
            look_due_at=self.clock.time,
        )
        HaResource.objects.create(host=row, since=self.clock.time)
        self.add_bmc(name, level=1, address=name)
        return row

    def add_bmc(self, name: str, *, level: int, address: str) -> PowerController:
        """Add a BMC with the machine's GUID and the row that leads to it."""
        self.bmcs[address] = self.power.add(address, PORT, guid=self.hosts[name].uuid)
        return PowerController.objects.create(
            host=self.host(name),
            driver="memory",
            address=address,
            port=PORT,
            username="admin",
            password="secret",
            level=level,
        )

    def power_moved(self, address: str, _port: int, state: PowerState) -> None:
        """A relay moved: the machine dies or boots."""
        machine = self.hosts.get(address)
        if machine is None:
            return
        if state is PowerState.OFF:
            machine.kill()
        else:
            machine.boot()
            machine.uptime = partial(self.clock.since, self.clock.time)

    def pull_cord(self, name: str) -> None:
        """The machine loses power; its BMC lives on and says off."""
        self.bmcs[name].on = False
        self.hosts[name].kill()

    @contextmanager
    def call(self, kind: str, where: str) -> Iterator[None]:
        """Watch one call into an adapter."""
        if connection.in_atomic_block:
            raise TransactionOpen(f"{kind} on {where} inside a transaction")
        for hook in list(self.before):
            hook(kind, where)
        self.calls.append((kind, where))
        try:
            yield
        finally:
            self.no_second_copy()
        for hook in list(self.after):
            hook(kind, where)

    def called(self, kind: str) -> list[str]:
        """Where calls of this kind went, in order."""
        return [where for made, where in self.calls if made == kind]

    def copies(self, vm: Vm) -> list[str]:
        """Names of the machines on which the VM's CPUs run."""
        return [
            name
            for name, host in self.hosts.items()
            for guest in host.guests.values()
            if guest.uuid == vm.uuid and guest.state is GuestState.RUNNING and host.alive
        ]

    def no_second_copy(self) -> None:
        """The promise of the product, checked on the machines themselves."""
        running = [
            guest.uuid
            for host in self.hosts.values()
            for guest in host.guests.values()
            if host.alive and guest.state is GuestState.RUNNING
        ]
        assert len(running) == len(set(running)), f"a second copy: {self.calls[-8:]}"

    # -- rows ----------------------------------------------------------------------

    def host(self, name: str) -> Host:
        """Return a host's row as it is now."""
        return Host.objects.select_related("cluster").get(name=name)

    def bmc(self, address: str) -> PowerController:
        """Return a controller's row as it is now."""
        return PowerController.objects.get(address=address)

    def ha(self, name: str) -> str:
        """Return a host's HA state."""
        return HaResource.objects.get(host__name=name).state

    def add_vm(self, name: str, *, ha: bool = True, wanted_up: bool = True) -> Vm:
        """Enter a VM that is down."""
        vm_uuid = str(uuid.uuid5(uuid.NAMESPACE_OID, name))
        xml = (
            f"<domain><name>{name}</name><uuid>{vm_uuid}</uuid>"
            "<memory unit='MiB'>512</memory><vcpu>1</vcpu></domain>"
        )
        return Vm.objects.create(
            name=name,
            uuid=vm_uuid,
            cluster=self.cluster,
            memory_mib=512,
            vcpus=1,
            xml=xml,
            ha=ha,
            wanted_up=wanted_up,
            state_since=self.clock.time,
        )

    def vm(self, vm: Vm) -> Vm:
        """Return a VM's row as it is now."""
        return Vm.objects.get(pk=vm.pk)

    def open_run(self, vm: Vm) -> Run | None:
        """Return the VM's open run."""
        return Run.objects.select_related("host").filter(vm=vm, ended_at__isnull=True).first()

    def runs(self, vm: Vm) -> list[tuple[int, str, str]]:
        """Return the VM's runs as (generation, host, proof kind or "open")."""
        rows = Run.objects.filter(vm=vm).select_related("host", "proof").order_by("generation")
        return [
            (run.generation, run.host.name, run.proof.kind if run.proof else "open") for run in rows
        ]

    def events(self, kind: str) -> list[Event]:
        """Return the events of a kind."""
        return list(Event.objects.filter(kind=kind))

    def stamp(self, run: Run) -> Stamp:
        """Return the stamp that the run's copy carries."""
        return Stamp(installation_id(), run.vm_id, run.generation, run.pk)

    # -- time -------------------------------------------------------------------------

    def look(self, name: str) -> None:
        """Look at a host now, due or not."""
        Host.objects.filter(name=name).update(look_due_at=self.clock.time)
        look_at(self.host(name).pk, PACE)

    def round(self) -> tuple[object, ...]:
        """Plan once."""
        return run_round(self.cluster.pk, self.clock.time)

    def work(self) -> None:
        """Do everything that is due now, once: what a sweep would wake."""
        now = self.clock.time
        for host in Host.objects.filter(look_due_at__lte=now).order_by("pk"):
            look_at(host.pk, PACE)
        kinds = (VmOperation, vm_operations.advance), (FenceOperation, power_operations.advance)
        for model, advance in kinds:
            rows = model._default_manager.filter(state__in=OPEN_STATES, due_at__lte=now)
            for pk in rows.order_by("due_at", "pk").values_list("pk"):
                advance(pk[0])
        self.round()
        self.no_second_copy()

    def run(self, seconds: float, *, every: float = 1) -> None:
        """Let time pass, working all the while."""
        for _ in range(int(seconds / every)):
            self.work()
            self.clock.forward(every)

    def until(
        self, condition: Callable[[], object], within: float = 60.0, *, every: float = 0.5
    ) -> None:
        """Let time pass until ``condition`` holds; fail when it does not in time."""
        end = self.clock.time + timedelta(seconds=within)
        while not condition():
            assert self.clock.time < end, f"not within {within:g} s: {self.story()}"
            self.work()
            self.clock.forward(every)

    def until_closed(self, vm: Vm, within: float = 150.0, *, every: float = 2.0) -> None:
        """Let time pass until the VM has no open run."""
        self.until(lambda: self.open_run(vm) is None, within, every=every)

    def started(self, name: str, **fields: bool) -> Vm:
        """Enter a VM and let the portal start it."""
        vm = self.add_vm(name)
        self.until(lambda: self.copies(vm) and self.vm(vm).state == "up")
        Vm.objects.filter(pk=vm.pk).update(**fields)
        return vm

    def story(self) -> str:
        """The latest events and what is open, for a failure's text."""
        told = list(Event.objects.order_by("-pk").values_list("text", flat=True)[:12])
        work = [*map(str, VmOperation.objects.filter(state__in=OPEN_STATES))]
        work += map(str, FenceOperation.objects.filter(state__in=OPEN_STATES))
        return "\n".join([*reversed(told), "open:", *work])

    def whole(self) -> None:
        """The chain of events is unbroken."""
        assert broken_seal() is None


@contextmanager
def a_world(*names: str, armed: bool = True) -> Iterator[World]:
    """A world whose hosts have been seen and whose BMCs have told who they are."""
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA synchronous=OFF")  # no test here cuts the power
    world = World(names, armed=armed)
    try:
        world.until(lambda: all(world.host(name).status == "up" for name in names))
        world.until(
            lambda: not PowerController.objects.exclude(identity=Identity.PROVEN).exists(), 20
        )
        yield world
    finally:
        world.close()
