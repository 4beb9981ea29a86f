"""Rows of a data centre that has been running for a while, written in bulk."""

import uuid
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any, TypeVar

from django.db.models import Model

from fencing.domain.alerts import AlertKind
from fencing.models import Alert, FenceOperation, HaResource, Incident, PowerController
from hosts.domain.states import HostStatus
from hosts.models import Cluster, ClusterMode, Engine, Host, HostOperation
from portal.bench.cases import Size
from portal.core.models import (
    Delivery,
    Event,
    NotificationTarget,
    OperationState,
    Role,
    RoleBinding,
    User,
)
from portal.core.services import seal_of
from vms.domain.affinity import RuleKind
from vms.domain.states import EndReason, ProofKind
from vms.models import AffinityRule, Disk, Proof, Run, Vm, VmOperation

CLUSTERS = 10
_HOUR = timedelta(hours=1)
#: As long as that of a VM with two disks and two interfaces.
_XML = f"<domain type='kvm'>{'<!-- a device -->' * 180}</domain>"
_DONE = OperationState.DONE
Row = TypeVar("Row", bound=Model)


class Filling:
    """Writes everything; ``now`` is when the newest of it happened."""

    def __init__(self, size: Size, now: datetime) -> None:
        self.size = size
        self.now = now

    def write(self) -> None:
        """Write all tables, each after what its rows lead to."""
        Engine.objects.create(name="engine1", epoch=1, started_at=self.now, beat_at=self.now)
        self.clusters = _write(
            Cluster(name=f"cluster{number:02}", mode=ClusterMode.ARMED)
            for number in range(CLUSTERS)
        )
        self.hosts = _write(self._host(number) for number in range(self.size.hosts))
        _write(HaResource(host=host, since=self.now) for host in self.hosts)
        _write(self._controller(number, host) for number, host in enumerate(self.hosts))
        self.vms = _write(self._vm(number) for number in range(self.size.vms))
        _write(disk for vm in self.vms for disk in self._disks(vm))
        self._runs()
        self._rules()
        self.incidents = _write(self._incidents())
        _write(self._alerts())
        self._operations()
        _write(self._events())
        self._people_and_messages()

    def _people_and_messages(self) -> None:
        """Write people with roles over clusters, and messages that were sent to a few targets."""
        number_of = max(2, self.size.hosts // 5)
        people = _write(User(username=f"person{number:04}") for number in range(number_of))
        _write(
            RoleBinding(
                user=user,
                role=Role.OPERATOR,
                scope_type="cluster",
                scope_id=self.clusters[number % CLUSTERS].pk,
            )
            for number, user in enumerate(people)
        )
        targets = _write(
            NotificationTarget(name=f"target{number}", kind="webhook", address="https://x.example/")
            for number in range(3)
        )
        events = Event.objects.order_by("-pk").values_list("pk", flat=True)
        _write(
            Delivery(target=target, event=event, state=_DONE, at=self.now, due_at=self.now)
            for target in targets
            for event in events[: self.size.hosts]
        )

    def ago(self, number: int, of: int) -> datetime:
        """Return when the ``number``-th of ``of`` things happened: evenly over 90 days."""
        return self.now - timedelta(days=90) * ((of - number) / of)

    def home(self, number: int) -> Host:
        """Return the host of the ``number``-th VM: VMs fill the hosts of all clusters evenly."""
        return self.hosts[number % len(self.hosts)]

    def _host(self, number: int) -> Host:
        lost = number % 50 == 7
        return Host(
            name=f"host{number:04}",
            cluster=self.clusters[number % CLUSTERS],
            uri=f"qemu+tls://host{number:04}.example/system",
            hostname=f"host{number:04}.example",
            host_uuid=_uuid(1, number),
            status=HostStatus.NON_RESPONSIVE if lost else HostStatus.UP,
            status_reason="3 looks were not answered" if lost else "",
            status_since=self.ago(number, self.size.hosts),
            last_seen=self.now - timedelta(milliseconds=number),
            look_due_at=self.now,
            memory_mib=262_144,
            vcpus=64,
            cpu_arch="x86_64",
            cpu_model="EPYC-Rome",
            boot_marker=_uuid(2, number),
            uptime_s=3600.0 * number,
        )

    def _controller(self, number: int, host: Host) -> PowerController:
        return PowerController(
            host=host,
            address=f"bmc{number:04}.example",
            username="holdfast",
            password=f"password {number}",
            state="on",
            identity="proven",
            asked_at=self.now,
            answered_at=self.now,
        )

    def _vm(self, number: int) -> Vm:
        up = number % 10 != 9
        return Vm(
            name=f"vm{number:05}",
            uuid=_uuid(3, number),
            cluster=self.home(number).cluster,
            memory_mib=8192,
            vcpus=4,
            xml=_XML,
            ha=number % 3 != 0,
            wanted_up=up,
            state="up" if up else "down",
            state_since=self.ago(number, self.size.vms),
            generation=2,
        )

    def _disks(self, vm: Vm) -> Iterator[Disk]:
        for name in ("system", "data"):
            yield Disk(vm=vm, path=f"/var/lib/libvirt/images/{vm.name}-{name}.qcow2")

    def _runs(self) -> None:
        """Write for each VM a run that a proof ended, and for most an open one."""
        ends = [self.ago(number, self.size.vms) for number in range(self.size.vms)]
        proofs = _write(self._proof(number, end) for number, end in enumerate(ends))
        _write(
            Run(
                vm=vm,
                host=proofs[number].host,
                generation=1,
                state="running",
                started_at=ends[number] - 10 * _HOUR,
                running_at=ends[number] - 10 * _HOUR,
                ended_at=ends[number],
                proof=proofs[number],
            )
            for number, vm in enumerate(self.vms)
        )
        _write(
            Run(
                vm=vm,
                host=self.home(number),
                generation=2,
                state="running",
                started_at=vm.state_since,
                running_at=vm.state_since,
            )
            for number, vm in enumerate(self.vms)
            if vm.wanted_up
        )

    def _rules(self) -> None:
        """Write a rule for every other host, which keeps three VMs of its cluster apart."""
        rules = _write(
            AffinityRule(cluster=host.cluster, name=f"apart{number:04}", kind=RuleKind.SEPARATE)
            for number, host in enumerate(self.hosts[::2])
        )
        of_cluster: dict[int, list[Vm]] = {}
        for vm in self.vms:
            of_cluster.setdefault(vm.cluster_id, []).append(vm)
        member = AffinityRule.vms.through
        _write(
            member(affinityrule=rule, vm=vm)
            for number, rule in enumerate(rules)
            for vm in of_cluster.get(rule.cluster_id, [])[number : number + 3]
        )

    def _proof(self, number: int, at: datetime) -> Proof:
        host = self.home(number + CLUSTERS)
        return Proof(
            kind=ProofKind.POWER_OFF if number % 2 else ProofKind.OBSERVED_OFF,
            reason=EndReason.HOST_LOST if number % 2 else EndReason.GUEST_SHUTDOWN,
            at=at,
            recorded_at=at,
            host=host,
            text=f"{host.name} was verified off by two readings 2 s apart",
            evidence={"reading": "off", "first_at": at.isoformat(), "bmc": host.name},
        )

    def _incidents(self) -> Iterator[Incident]:
        for number in range(self.size.incidents):
            host, at = self.home(number), self.ago(number, self.size.incidents)
            yield Incident(
                host=host,
                title=f"{host.name} does not respond",
                opened_at=at,
                closed_at=at + timedelta(seconds=40),
                outcome="recovered",
                summary=f"{host.name} was fenced; its VMs run elsewhere",
            )

    def _alerts(self) -> Iterator[Alert]:
        kinds = (AlertKind.BMC_UNREACHABLE, AlertKind.HOST_NOT_RESPONDING)
        for number, incident in enumerate(self.incidents):
            yield Alert(
                kind=kinds[number % 2],
                host=incident.host_id or 0,
                text=f"the BMC of {self.home(number).name} is unreachable",
                opened_at=incident.opened_at,
                closed_at=incident.closed_at,
            )
        for host in self.hosts:
            if host.status == HostStatus.NON_RESPONSIVE:
                text = f"{host.name} is unreachable, and its BMC as well"
                kind = AlertKind.CONFIRM_REBOOT
                yield Alert(kind=kind, host=host.pk, text=text, opened_at=self.now)

    def _operations(self) -> None:
        """Write one start of each VM, two fences and two probes of each host, some of them open."""
        _write(
            VmOperation(vm=vm, host=self.home(number), kind="start", **self._work(number))
            for number, vm in enumerate(self.vms)
        )
        for table, kinds in ((FenceOperation, ("fence", "check")), (HostOperation, ("probe",) * 2)):
            _write(
                table(host=host, kind=kind, **self._work(number * 2 + turn))
                for number, host in enumerate(self.hosts)
                for turn, kind in enumerate(kinds)
            )

    def _work(self, number: int) -> dict[str, Any]:
        at = self.ago(number % 5000, 5000) + timedelta(milliseconds=number)
        over = number % 100 != 4
        return {
            "state": _DONE if over else OperationState.WAITING,
            "steps": [{"at": at.isoformat(), "text": f"step {step}"} for step in range(4)],
            "requested_by": "portal",
            "requested_at": at,
            "due_at": at,
            "ended_at": at if over else None,
        }

    def _events(self) -> Iterator[Event]:
        before = ""
        for number in range(self.size.events):
            incident = self.incidents[number % len(self.incidents)]
            vm, host = self.vms[number % len(self.vms)], self.home(number)
            event = Event(
                at=self.ago(number, self.size.events),
                kind=("vm.started", "bmc.reading", "host.status", "run.ended")[number % 4],
                text=f"{vm.name} runs on {host.name} again, generation 2",
                evidence={"asked_at": self.now.isoformat(), "answer": "running"},
                rule="restart",
                cluster=host.cluster_id,
                host=host.pk,
                vm=vm.pk,
                incident=incident.pk,
            )
            before = event.seal = seal_of(event, before)
            yield event


def _uuid(kind: int, number: int) -> str:
    return str(uuid.UUID(int=(kind << 96) + number))


def _write(rows: Iterable[Row]) -> list[Row]:
    found = list(rows)
    return list(type(found[0])._default_manager.bulk_create(found, batch_size=500)) if found else []
