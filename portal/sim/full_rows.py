"""The rows with which a simulation in the full depth begins."""

from contextlib import suppress
from datetime import datetime
from typing import Any

from fencing.models import HaResource, PowerController
from hosts.domain.states import HostStatus
from hosts.models import Cluster, ClusterMode, Host, HostStorage, StorageDomain
from hosts.services import engines
from portal.core.models import Setting, User
from portal.lib.ha.states import HaState
from portal.sim.portal import Start
from portal.sim.storage_rows import LEASE_SLOTS
from portal.sim.world import BMC_PORT, INSTALLATION, World
from portal.sim.worldly import WorldVm
from vms.domain.states import RunState, VmState
from vms.models import AffinityRule, Disk, Lease, Run, RunLease, Vm
from vms.services import inventory
from vms.services.inventory import NotNow


def fill(world: World, start: Start, now: datetime) -> None:
    """Write down what the portal knows when the world begins."""
    Setting.objects.create(name="installation", value=INSTALLATION)
    for name in start.engines:
        engines.join(name, now)
    User.objects.create(username="alice")
    mode = ClusterMode.ARMED if start.armed else ClusterMode.OBSERVE
    cluster = Cluster.objects.create(name="cluster", mode=mode, policy=dict(start.policy))
    for name, pk in world.host_pks.items():
        _host(world, cluster, name, pk, now)
    Host.objects.filter(name=start.homes.get(world.own_vm, "")).update(is_self=True)
    _storage(world, cluster)
    for vm in world.vms.values():
        if vm.name not in start.absent:
            _vm(world, start, cluster, vm, now)
    _rules(cluster, start)


def add(vm: WorldVm, now: datetime) -> None:
    """Enter a VM as a person does; not one that is looked after, or whose removal is under way."""
    if Vm.objects.filter(pk=vm.pk).exists():
        return
    fields = _told(vm) | {"cluster": Cluster.objects.get(), "disks": {vm.disk: False}}
    with suppress(NotNow):
        inventory.add_vm(fields, actor="alice", now=now)


def _told(vm: WorldVm) -> dict[str, Any]:
    """Return what its row says of a VM from the beginning."""
    return {
        "pk": vm.pk,
        "name": vm.name,
        "uuid": vm.uuid,
        "xml": vm.xml,
        "memory_mib": vm.memory_mib,
        "vcpus": vm.vcpus,
        "ha": vm.ha,
        "priority": vm.priority,
        "start_tier": vm.start_tier,
        "starts_after": list(vm.starts_after),
        "start_delay_s": vm.start_delay_s,
        **_asked(vm),
    }


def _vm(world: World, start: Start, cluster: Cluster, vm: WorldVm, now: datetime) -> None:
    home = start.homes.get(vm.name)
    row = Vm.objects.create(
        cluster=cluster,
        wanted_up=start.wanted_up(vm.name),
        state=VmState.UP if home else VmState.DOWN,
        state_since=now,
        generation=int(home is not None),
        **_told(vm),
    )
    Disk.objects.create(vm=row, path=vm.disk)
    domain = StorageDomain.objects.filter(name=vm.lease).first()
    if domain is not None:
        Lease.objects.create(vm=row, domain=domain, slot=vm.pk)
    if home is not None:
        run = Run.objects.create(
            vm=row,
            host_id=world.host_pks[home],
            generation=1,
            state=RunState.RUNNING,
            started_at=now,
            running_at=now,
            uncached=domain is not None,
        )
        if domain is not None:
            RunLease.objects.create(run=run, domain=domain, slot=vm.pk)


def _asked(vm: WorldVm) -> dict[str, Any]:
    asked = {"cpu": vm.cpu, "networks": list(vm.networks), "storage": list(vm.storage)}
    wishes = {"failback": vm.failback, "resume_behaviour": vm.resume_behaviour}
    return asked | wishes | {"disks_illegal": vm.disks_illegal}


def _rules(cluster: Cluster, start: Start) -> None:
    for rule in start.rules:
        row = AffinityRule.objects.create(
            pk=rule.pk, cluster=cluster, name=rule.name, kind=rule.kind, hard=rule.hard
        )
        row.vms.set(rule.vms)
        for host, priority in rule.hosts.items():
            row.hosts.create(host_id=host, priority=priority)


def _storage(world: World, cluster: Cluster) -> None:
    """The domains, and the slot of each host in them."""
    for pk, name in enumerate(sorted(world.storage.memory.domains), 1):
        needs = world.storage.needs.get(name, 0)
        domain = StorageDomain.objects.create(
            pk=pk, cluster=cluster, name=name, needs_hosts=needs, lease_slots=LEASE_SLOTS
        )
        for (host, where), slot in world.storage.slots.items():
            if where == name:
                HostStorage.objects.create(host_id=world.host_pks[host], domain=domain, slot=slot)


def _host(world: World, cluster: Cluster, name: str, pk: int, now: datetime) -> None:
    machine = world.hosts[name]
    row = Host.objects.create(
        pk=pk,
        name=name,
        cluster=cluster,
        uri=f"memory:///{name}",
        status=HostStatus.UP if machine.powered else HostStatus.DOWN,
        status_since=now,
        host_uuid=machine.uuid,
        memory_mib=machine.memory_mib,
        vcpus=machine.vcpus,
        boot_marker=machine.marker or "",
        uptime_s=machine.uptime() if machine.powered else None,
        last_seen=now if machine.powered else None,
        look_due_at=now,
        cpu_arch=machine.cpu_arch,
        cpu_model=machine.cpu_model,
        networks=machine.networks,
        storage=machine.storage,
        watchdog=name in world.vouched,
    )
    state = HaState.AVAILABLE if machine.powered else HaState.INELIGIBLE
    HaResource.objects.create(host=row, state=state, since=now)
    if name in world.bmcs:
        PowerController.objects.create(
            host=row, driver="memory", address=name, port=BMC_PORT, username="admin",
            password="secret",  # noqa: S106 - the password of a BMC that exists in memory only
        )  # fmt: skip
