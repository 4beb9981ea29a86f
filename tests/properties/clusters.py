"""Drawn clusters: hosts, VMs and rules, also foolish ones."""

from dataclasses import replace

from hypothesis import strategies as st

from fencing.domain.facts import ClusterFacts, HostFacts
from fencing.domain.policy import Policy
from hosts.domain.states import HostStatus
from tests.domain.facts import cluster, host, run, vm
from vms.domain.affinity import Rule, RuleKind
from vms.domain.restart import VmFacts

CPUS = ("", "x86_64/Haswell", "x86_64/Skylake-Client", "x86_64/EPYC", "aarch64/")
NAMES = st.sets(st.sampled_from(["a", "b"])).map(frozenset)


@st.composite
def hosts(draw: st.DrawFn, pk: int) -> HostFacts:
    """Draw a host, mostly up."""
    return host(
        pk,
        status=draw(st.sampled_from([HostStatus.UP] * 5 + [HostStatus.DOWN])),
        memory_mib=draw(st.sampled_from([2000, 5000, 8192])),
        vcpus=draw(st.sampled_from([1, 2, 8])),
        cpu=draw(st.sampled_from(CPUS)),
        networks=draw(st.none() | NAMES),
        storage=draw(st.none() | NAMES),
    )


@st.composite
def vms(draw: st.DrawFn, pk: int, count: int) -> VmFacts:
    """Draw a VM that waits, or runs somewhere."""
    home = draw(st.none() | st.integers(1, count))
    return vm(
        pk,
        memory_mib=draw(st.sampled_from([300, 1000, 2600])),
        vcpus=draw(st.sampled_from([1, 2, 6])),
        priority=draw(st.sampled_from([50, 80])),
        refused_by=draw(st.sampled_from([None, None, 1, 2])),
        cpu=draw(st.sampled_from(["", "", "", *CPUS])),
        networks=draw(st.sampled_from([frozenset(), frozenset(), frozenset({"a"})])),
        storage=draw(st.sampled_from([frozenset(), frozenset(), frozenset({"b"})])),
        failback=draw(st.booleans()),
        run=None if home is None else run(pk, on=home),
    )


@st.composite
def rules(draw: st.DrawFn, pk: int, count: int, guests: int) -> Rule:
    """Draw a rule, which may well contradict another."""
    kind = draw(st.sampled_from(RuleKind))
    named = st.dictionaries(st.integers(1, count + 1), st.integers(0, 3), max_size=3)
    return Rule(
        pk,
        f"rule{pk}",
        kind,
        draw(st.booleans()),
        frozenset(draw(st.sets(st.integers(1, guests + 1), max_size=4))),
        draw(named) if kind is RuleKind.HOSTS else {},
    )


@st.composite
def clusters(draw: st.DrawFn) -> ClusterFacts:
    """Draw a whole cluster."""
    count, guests = draw(st.integers(1, 6)), draw(st.integers(1, 9))
    facts = cluster(
        *(draw(hosts(pk)) for pk in range(1, count + 1)),
        vms=tuple(draw(vms(pk, count)) for pk in range(1, guests + 1)),
        rules=tuple(draw(rules(pk, count, guests)) for pk in range(1, draw(st.integers(1, 5)))),
    )
    return replace(facts, policy=Policy(start_parallel=draw(st.sampled_from([1, 2, 4]))))
