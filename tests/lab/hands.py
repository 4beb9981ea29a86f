"""What a test has in its hands: the product's own adapters, and the lab's truth beside them."""

from dataclasses import replace
from functools import partial
from typing import Any

from fencing.power.ipmi import Ipmi
from fencing.power.port import Bmc, Reading
from hosts.domain.looks import Look, Stamp
from hosts.hypervisor.libvirtd import Libvirtd
from hosts.hypervisor.port import GuestSpec, Target
from tests.lab import parts
from tests.lab.layout import LOCKSPACE, SLOT_BYTES, LabHost, Plan, store
from tests.lab.outside import LabControl
from tests.lab.vms import LabVm, double_writers
from tests.waiting import wait_for

DEADLINE = 30.0


class Hands:
    """One lab, shared by the tests of a run; :meth:`tidy` makes it as new after each."""

    def __init__(self, control: LabControl, plan: Plan) -> None:
        self.control = control
        self.plan = plan
        self.hosts = {host.name: host for host in plan.machines}
        self._adapters: dict[str, Libvirtd] = {}
        self._vms: list[LabVm] = []

    def do(self, word: str, **fields: Any) -> dict[str, Any]:
        """Let a fault happen; see ``tests.lab.words``."""
        return self.control.do(word, deadline=90.0, **fields)

    def truth(self, host: str) -> dict[str, Any]:
        """What is so, whatever the product knows."""
        seen: dict[str, Any] = self.control.status()[host]
        return seen

    def run(self, host: str, *argv: str) -> str:
        """Run a program on a host; it must succeed."""
        code, out = self.control.on(host, *argv)
        assert code == 0, f"{host}: {' '.join(argv)}: {out}"
        return out

    def target(self, host: str) -> Target:
        """How the product calls a host."""
        item = self.hosts[host]
        return Target(item.number, item.name, item.tcp_uri)

    def adapter(self, host: str) -> Libvirtd:
        """The product's adapter for a host."""
        if host not in self._adapters:
            self._adapters[host] = Libvirtd(self.target(host))
        return self._adapters[host]

    def look(self, host: str, *, deadline: float = DEADLINE) -> Look:
        """What the product sees there."""
        return self.adapter(host).look(deadline=deadline)

    def bmc(self, host: str) -> Bmc:
        """How the product reaches a host's BMC."""
        item: LabHost = self.hosts[host]
        where = (item.bmc_address, item.bmc_port, item.bmc_user, item.bmc_password)
        return Bmc(item.number, "ipmi", *where)

    def power(self, host: str) -> Reading:
        """What the BMC says to the product."""
        return Ipmi().read(self.bmc(host), deadline=8)

    def vm(self, number: int, *, leased: bool = False) -> LabVm:
        """Return a guest with an empty disk and, if it is to be leased, a free slot."""
        vm = LabVm(number, slot=number if leased else 0)
        vm.make_disk()
        if leased:
            init_slot(vm)
        self._vms.append(vm)
        return vm

    def start(self, vm: LabVm, host: str, *, generation: int = 1) -> None:
        """Let the product start it."""
        stamp = replace(Stamp("lab", vm.number, 1, 1), generation=generation)
        spec = GuestSpec(vm.uuid, vm.name, vm.xml, stamp, vm.leases)
        self.adapter(host).start(spec, deadline=DEADLINE)

    def until_joined(self, *names: str, deadline: float = 120.0) -> None:
        """Wait until hosts (all, where none is named) are in the lockspace."""
        for name in names or tuple(self.hosts):
            wait_for(partial(self._joined, name), deadline, f"{name} has joined")

    def _joined(self, name: str) -> bool:
        return bool(self.truth(name)["joined"])

    def tidy(self) -> None:
        """Heal everything, remove every guest, and look at what was written to the disks."""
        vms, self._vms = self._vms, []
        split = {vm.name: double_writers(vm.records()) for vm in vms}
        self.do("lab.heal")
        script = (
            "for vm in $(virsh list --name); do virsh destroy $vm; done;"
            "for vm in $(virsh list --all --name); do virsh undefine $vm; done"
        )
        for name in self.hosts:
            self.run(name, "sh", "-c", script)
        assert not any(split.values()), f"two copies wrote to one disk: {split}"

    def close(self) -> None:
        """Give the connections up."""
        for adapter in self._adapters.values():
            adapter.close()


def wait_counting(vm: LabVm, above: int = 0, *, deadline: float = 30.0) -> tuple[str, int]:
    """Return what its page says once it has counted beyond ``above``."""

    def counted() -> tuple[str, int] | None:
        seen = vm.count()
        return seen if seen is not None and seen[1] > above else None

    found = wait_for(counted, deadline, f"{vm.name} counts beyond {above}")
    assert found is not None
    return found


def init_slot(vm: LabVm) -> None:
    """Make its lease free; only ever before its first run."""
    offset = vm.slot * SLOT_BYTES
    parts.run(
        *("sanlock", "direct", "init", "-r", f"{LOCKSPACE}:{vm.uuid}:{store() / 'leases'}:{offset}")
    )
