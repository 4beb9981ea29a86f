"""What admission allows a person, in the pure depth."""

from fencing.domain.admission import broken_by
from fencing.domain.facts import ClusterFacts
from portal.sim.ledger import Book
from vms.domain.restart import VmFacts


def admitted(book: Book, facts: ClusterFacts, vm: VmFacts) -> bool:
    """Whether admission control lets a person have ``vm`` so; a warning is written down."""
    if facts.policy.admission == "off" or not broken_by(facts, vm):
        return True
    if facts.policy.admission == "enforce":
        return False
    book.emit("capacity.warned", vm=vm.pk, detail="admission")
    return True
