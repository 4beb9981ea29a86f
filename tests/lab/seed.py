"""The portal over the lab: its database filled with the lab's hosts, BMCs and VMs, then run."""

import sys

from django.conf import settings

from fencing.models import HaResource, PowerController
from hosts.models import Cluster, ClusterMode, Host, HostStorage, StorageDomain
from portal.cli import prepare
from portal.cli.checks import lock
from portal.lib import clock, live, queue
from portal.lib.ha.states import HaState
from portal.management.commands.up import make_supervisor
from tests.lab.layout import LOCKSPACE, Plan
from tests.lab.vms import LabVm
from vms.models import Disk, Vm
from vms.services import requests


def seed(hosts: int, vms: int, *, tls: bool) -> None:
    """Enter the lab in an armed cluster, and ask for each VM's start, spread over the hosts."""
    now = clock.now()
    cluster = Cluster.objects.create(name="lab", mode=ClusterMode.ARMED)
    domain = StorageDomain.objects.create(cluster=cluster, name=LOCKSPACE)
    rows = []
    for item in Plan(hosts).machines:
        host = Host.objects.create(
            name=item.name,
            cluster=cluster,
            uri=item.tls_uri if tls else item.tcp_uri,
            status_since=now,
            look_due_at=now,
        )
        HaResource.objects.create(host=host, state=HaState.AVAILABLE, since=now)
        HostStorage.objects.create(host=host, domain=domain, slot=item.number - 1)
        PowerController.objects.create(
            host=host,
            driver="ipmi",
            address=item.bmc_address,
            port=item.bmc_port,
            username=item.bmc_user,
            password=item.bmc_password,
        )
        rows.append(host)
    for number in range(1, vms + 1):
        guest = LabVm(number)
        vm = Vm.objects.create(
            name=guest.name,
            uuid=guest.uuid,
            cluster=cluster,
            memory_mib=128,
            vcpus=1,
            xml=guest.xml,
            ha=True,
            wanted_up=True,
            state_since=now,
        )
        Disk.objects.create(vm=vm, path=guest.disk)
        requests.request_start(vm.pk, rows[number % hosts].pk, why="the lab begins", now=now)


def main(hosts: int, vms: int, *, tls: bool) -> None:
    """Run the portal until SIGTERM."""
    settings.VAR.mkdir(parents=True, exist_ok=True)
    handle = lock(settings.VAR)
    supervisor = make_supervisor()
    queue.install(queue.MemoryQueue())  # nobody listens yet: the sweep finds the rows
    live.install(live.MemoryLive())
    seed(hosts, vms, tls=tls)
    queue.install(None)
    live.install(None)
    password = prepare.administrator()
    sys.stdout.write(f"\n  Open   {settings.BASE_URL}   as admin, one-time password {password}\n")
    sys.stdout.flush()
    supervisor.run_forever()
    handle.close()
