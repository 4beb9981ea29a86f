"""Hosts with libvirt and KVM, described as a provider.

The rounds of a cluster judge hosts, all of them at once: who is silent beside whom,
and which VMs would gain a home.  So nothing here is driven by the tick; the answers
are those that the rounds have written down.
"""

from collections.abc import Mapping

from hosts.domain.states import ANSWERING, HostStatus
from hosts.models import Host
from portal.lib.ha.evidence import Answer, Evidence, unknown
from portal.lib.ha.provider import Ask, Capability, Subject


class LibvirtKvm:
    """Hosts, as the rounds of their cluster see them."""

    name = "libvirt-kvm"
    kinds: tuple[str, ...] = ("host",)
    capabilities = frozenset({Capability.FENCE})
    options: Mapping[str, str] = {}

    def is_eligible(self, subject: Subject, ask: Ask) -> Evidence:
        """Whether a host can be protected, as its last look says."""
        host = Host.objects.get(pk=int(subject.key))
        if host.ineligible:
            return Evidence(Answer.NO, self.name, host.ineligible, ask.asked_at)
        return Evidence(Answer.YES, self.name, "it can be protected", ask.asked_at)

    def is_healthy(self, subject: Subject, ask: Ask) -> Evidence:
        """Whether it answers; silence is UNKNOWN, only a proof is NO."""
        status = HostStatus(Host.objects.get(pk=int(subject.key)).status)
        if status is HostStatus.DOWN:
            return Evidence(Answer.NO, self.name, "it is proven off", ask.asked_at)
        if status in ANSWERING:
            return Evidence(Answer.YES, self.name, f"its status is {status}", ask.asked_at)
        return unknown(self.name, f"its status is {status}", ask.asked_at)

    def has_activity(self, subject: Subject, ask: Ask) -> Evidence:
        """The rounds look for signs of life themselves."""
        return self._rounds(ask)

    def recover(self, subject: Subject, ask: Ask) -> Evidence:
        """The rounds decide about a host."""
        return self._rounds(ask)

    def fence(self, subject: Subject, ask: Ask) -> Evidence:
        """Only the rounds and a person fence a host: a fence operation proves it."""
        return self._rounds(ask)

    def _rounds(self, ask: Ask) -> Evidence:
        return unknown(self.name, "the rounds of its cluster do this", ask.asked_at)
