"""What a new installation still lacks before it protects anything, each with its way there."""

from dataclasses import dataclass

from django.urls import reverse

from fencing.domain.facts import Identity
from fencing.models import PowerController
from hosts.models import Cluster, ClusterMode, Host
from portal.core.models import User
from vms.models import Vm


@dataclass(frozen=True, slots=True)
class Step:
    """One step: whether it is done, in words, why it matters, where it is taken."""

    done: bool
    words: str
    why: str
    url: str
    action: str


def first_steps(user: User) -> list[Step]:
    """Return the steps from an empty portal to an armed cluster; [] once all are done."""
    steps = [
        Step(
            not user.must_change_password,
            "Choose your own password",
            "The first one was printed on a terminal.",
            reverse("password"),
            "Choose it",
        ),
        Step(
            Host.objects.exists(),
            "Add your first host",
            "To look around first, run the data centre in a box: make run.",
            reverse("host-add"),
            "Add a host",
        ),
        Step(
            PowerController.objects.filter(identity=Identity.PROVEN, trusted=True).exists(),
            "Give it a power controller that is proven its own",
            "Only a BMC can prove a dead host off. Without one a person is asked each time.",
            reverse("hosts"),
            "Open its page",
        ),
        Step(
            Vm.objects.filter(ha=True).exists(),
            "Put VMs under HA",
            "Only those are restarted elsewhere.",
            reverse("vms"),
            "Choose VMs",
        ),
        Step(
            Cluster.objects.filter(mode=ClusterMode.ARMED).exists(),
            "Arm the cluster",
            "Until then HA only says what it would do. Watch it for a while, then arm it.",
            reverse("clusters"),
            "Open the clusters",
        ),
    ]
    return [] if all(step.done for step in steps) else steps
