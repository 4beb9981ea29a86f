"""What machines have, VMs ask for and admission allows, in the pure depth."""

from fencing.domain.admission import broken_by
from fencing.domain.facts import ClusterFacts
from hosts.hypervisor.machine import MemoryHost
from portal.sim.ledger import Able, Asks, Book
from portal.sim.world import WorldVm
from vms.domain.restart import VmFacts


def able_of(machine: MemoryHost) -> Able:
    """Return what a look at the machine would tell."""
    return Able(
        f"{machine.cpu_arch}/{machine.cpu_model}",
        None if machine.networks is None else frozenset(machine.networks),
        None if machine.storage is None else frozenset(machine.storage),
    )


def asks_of(vm: WorldVm) -> Asks:
    """Return what the VM's definition names."""
    return Asks(vm.cpu, frozenset(vm.networks), frozenset(vm.storage), vm.failback)


def admitted(book: Book, facts: ClusterFacts, vm: VmFacts) -> bool:
    """Whether admission control lets a person have ``vm`` so; a warning is written down."""
    if facts.policy.admission == "off" or not broken_by(facts, vm):
        return True
    if facts.policy.admission == "enforce":
        return False
    book.emit("capacity.warned", vm=vm.pk, detail="admission")
    return True
