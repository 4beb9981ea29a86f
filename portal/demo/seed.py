"""Filling the portal with what stands in the box; made anew at each start of the demo."""

from datetime import datetime

from django.db import transaction

from fencing.models import (
    Alert,
    FenceOperation,
    HaResource,
    Incident,
    ManualConfirmation,
    PowerController,
)
from hosts.models import Cluster, ClusterMode, Host, HostOperation
from portal.core.models import Setting
from portal.core.services import record_event
from portal.demo.layout import Box
from portal.lib.ha.states import HaState
from portal.lib.starting import CannotStart
from vms.models import Disk, Proof, Run, Vm, VmOperation
from vms.services import requests

DEMO_SCHEME = "test+tcp://"
CLUSTER = "demo"


class NotADemo(CannotStart):
    """The database and the mode do not belong together."""


def refuse_real_hosts() -> None:
    """Raise when the database belongs to a real portal: the demo empties it at each start."""
    real: Host | Cluster | None = Host.everything.exclude(uri__startswith=DEMO_SCHEME).first()
    if real is None and not Host.everything.exists():
        real = Cluster.everything.exclude(name=CLUSTER).first()
    if real is not None:
        kind = "host" if isinstance(real, Host) else "cluster"
        raise NotADemo(
            f"This database holds a real {kind} ({real.name}), which the demo would delete: "
            "set HOLDFAST_VAR or DATABASE_URL to another database."
        )


@transaction.atomic
def seed(box: Box, now: datetime) -> None:
    """Forget the last demo and enter the hosts, BMCs and VMs of ``box``, armed."""
    refuse_real_hosts()
    _forget()
    cluster = Cluster.objects.create(name=CLUSTER, mode=ClusterMode.ARMED)
    hosts = {}
    for item in box.hosts:
        host = Host.objects.create(
            name=item.name, cluster=cluster, uri=item.uri, status_since=now, look_due_at=now
        )
        hosts[item.name] = host
        HaResource.objects.create(host=host, state=HaState.AVAILABLE, since=now)
        PowerController.objects.create(
            host=host,
            driver="ipmi",
            address="127.0.0.1",
            port=item.bmc_port,
            username=item.bmc_user,
            password=item.bmc_password,
        )
    for guest in box.vms:
        vm = Vm.objects.create(
            name=guest.name,
            uuid=guest.uuid,
            cluster=cluster,
            memory_mib=guest.memory_mib,
            vcpus=guest.vcpus,
            xml=guest.xml,
            ha=guest.ha,
            priority=guest.priority,
            wanted_up=True,
            state_since=now,
        )
        Disk.objects.create(vm=vm, path=f"/shared/{guest.name}.qcow2")
        requests.request_start(vm.pk, hosts[guest.host].pk, why="the demo begins", now=now)
    text = f"a data centre in a box: {len(hosts)} hosts, {len(box.vms)} VMs, armed"
    record_event("demo.seeded", text, now=now, cluster=cluster.pk)


def _forget() -> None:
    """Delete the inventory of the last demo; users, tokens and events stay."""
    for model in (
        VmOperation,
        Run,
        Proof,
        Disk,
        Vm,
        FenceOperation,
        Incident,
        Alert,
        ManualConfirmation,
        HaResource,
        PowerController,
        HostOperation,
        Host,
        Cluster,
    ):
        model._base_manager.all().delete()
    for name in ("forgetful.", "newer."):
        Setting.objects.filter(name__startswith=name).delete()
