"""Reasons to withhold a power command; none of them withholds the use of a proof.

Missing data fails closed: what cannot be judged is not fenced, and said so.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from fencing.domain.evidence import disk_writes, heartbeat_advances, kernel_lives
from fencing.domain.facts import ClusterFacts, HostFacts
from fencing.domain.homes import floor, need, protected_on
from fencing.domain.policy import Policy
from hosts.domain.activity import Writes
from hosts.domain.heartbeat import lost_by_all
from hosts.domain.states import ANSWERING, HostStatus

Guard = Callable[[ClusterFacts, HostFacts, Policy, datetime], str]


def only_observing(cluster: ClusterFacts, host: HostFacts, policy: Policy, now: datetime) -> str:
    """The cluster is not armed."""
    return "" if cluster.armed else "the cluster is in observe mode: it plans and does nothing"


def database_is_forgetful(
    cluster: ClusterFacts, host: HostFacts, policy: Policy, now: datetime
) -> str:
    """The database is old, or not alone."""
    return cluster.distrust


def it_is_this_portal(cluster: ClusterFacts, host: HostFacts, policy: Policy, now: datetime) -> str:
    """The portal itself runs on that host."""
    return "this portal runs on it" if host.is_self else ""


def too_many_are_silent(
    cluster: ClusterFacts, host: HostFacts, policy: Policy, now: datetime
) -> str:
    """So many hosts are silent that the engine's own network is the likelier culprit."""
    watched = [item for item in cluster.hosts if item.status is not HostStatus.PENDING]
    silent = [item for item in watched if item.silent]
    if len(watched) < 3:
        return ""
    share = 100 * len(silent) / len(watched)
    if share < policy.max_unreachable_pct:
        return ""
    names = ", ".join(sorted(item.name for item in silent))
    return (
        f"{share:.0f} % of the cluster is silent ({names}), limit {policy.max_unreachable_pct:g} %"
    )


def everybody_is_silent(
    cluster: ClusterFacts, host: HostFacts, policy: Policy, now: datetime
) -> str:
    """All hosts are silent at once: a black start, or this engine's own network."""
    watched = [item for item in cluster.hosts if item.status is not HostStatus.PENDING]
    if len(watched) < 2 or any(not item.silent for item in watched):
        return ""
    if policy.witness:
        return "all hosts are silent at once: they are taken back as they answer"
    return (
        "all hosts are silent at once, and no witness address is set that would tell "
        "whether it is this engine's own network"
    )


def the_site_has_just_booted(
    cluster: ClusterFacts, host: HostFacts, policy: Policy, now: datetime
) -> str:
    """Every other host has booted since it fell silent: after a black start it may boot still."""
    others = [item for item in cluster.hosts if item.pk != host.pk and item.status in ANSWERING]
    boots = [item.booted_at for item in others]
    if not others or host.last_seen is None:
        return ""
    since = [at for at in boots if at is not None and at > host.last_seen]
    if len(since) < len(others) or now - max(since) >= timedelta(seconds=policy.boot_wait):
        return ""
    return (
        "every host that answers has booted since this one fell silent: the power of the whole "
        f"site failed, and it has {policy.boot_wait:g} s (boot_wait) to boot as well"
    )


def engine_is_cut_off(cluster: ClusterFacts, host: HostFacts, policy: Policy, now: datetime) -> str:
    """The engine cannot reach its witness addresses either."""
    return "" if cluster.witness_seen else "this engine cannot reach its witness addresses"


def an_engine_has_not_asked(
    cluster: ClusterFacts, host: HostFacts, policy: Policy, now: datetime
) -> str:
    """Another live engine may reach it yet."""
    return f"it is not known whether {host.unasked} can reach it" if host.unasked else ""


def engine_is_new(cluster: ClusterFacts, host: HostFacts, policy: Policy, now: datetime) -> str:
    """The engine has just started and has not seen the host itself."""
    quiet = timedelta(seconds=policy.start_quiet)
    if host.seen_by_engine or now - cluster.engine_since >= quiet:
        return ""
    return f"this engine started less than {policy.start_quiet:g} s ago and has not seen the host"


def enough_fences_under_way(
    cluster: ClusterFacts, host: HostFacts, policy: Policy, now: datetime
) -> str:
    """Only so many power commands at once in a cluster."""
    under_way = [item.name for item in cluster.hosts if item.fence_open and item.pk != host.pk]
    if len(under_way) < policy.max_fences_at_once:
        return ""
    return f"a fence is under way already ({', '.join(under_way)})"


def its_kernel_lives(cluster: ClusterFacts, host: HostFacts, policy: Policy, now: datetime) -> str:
    """Row 4 holds since the fence was asked for; only ``degraded_action`` overrules it."""
    if policy.degraded_action == "fence" or not kernel_lives(host, policy, now):
        return ""
    return "its kernel answers on the network: its VMs run"


def storage_shows_life(
    cluster: ClusterFacts, host: HostFacts, policy: Policy, now: datetime
) -> str:
    """Row 3, or the disks' half of row 4, holds since the fence was asked for."""
    if policy.degraded_action == "fence":
        return ""
    if heartbeat_advances(host, policy, now):
        return "its storage heartbeat advances: it is alive"
    if disk_writes(host, policy, now) is Writes.WRITTEN:
        return "its VMs' disks are written: it is alive"
    return ""


def its_domain_is_lost(
    cluster: ClusterFacts, host: HostFacts, policy: Policy, now: datetime
) -> str:
    """No host can use a storage domain of its: the fault is the domain's, not the host's."""
    lost = [track.name for track in host.heartbeats if lost_by_all(track)]
    if not lost:
        return ""
    return f"no other host can use {', '.join(lost)} either: its silence may be the storage's doing"


def a_domain_needs_it(cluster: ClusterFacts, host: HostFacts, policy: Policy, now: datetime) -> str:
    """A storage domain would be left with fewer live hosts than it declares it needs."""
    mine = {track.domain for track in host.heartbeats}
    for domain in cluster.domains:
        if domain.pk not in mine or not domain.needs_hosts:
            continue
        left = [item for item in cluster.hosts if item.pk != host.pk and _serves(item, domain.pk)]
        if len(left) < domain.needs_hosts:
            return f"{domain.name} needs {domain.needs_hosts} live hosts, and {len(left)} are left"
    return ""


def _serves(host: HostFacts, domain: int) -> bool:
    return host.status in ANSWERING and any(track.domain == domain for track in host.heartbeats)


def nobody_gains(cluster: ClusterFacts, host: HostFacts, policy: Policy, now: datetime) -> str:
    """No HA VM of that host would find a home elsewhere."""
    if policy.fence_alone == "on":
        return ""
    mine = protected_on(cluster, host.pk)
    if not mine:
        return "no HA VM runs on it, so nobody would gain"
    spare = floor(cluster, policy.start_parallel).without({host.pk})
    if any(spare.choose(need(vm)).host is not None for vm in mine):
        return ""
    return "none of its HA VMs would find room on another host"


GUARDS: tuple[Guard, ...] = (
    only_observing,
    database_is_forgetful,
    it_is_this_portal,
    too_many_are_silent,
    everybody_is_silent,
    the_site_has_just_booted,
    engine_is_cut_off,
    an_engine_has_not_asked,
    engine_is_new,
    enough_fences_under_way,
    its_kernel_lives,
    storage_shows_life,
    its_domain_is_lost,
    a_domain_needs_it,
    nobody_gains,
)


#: What may have changed since the plan, and stops a command even at the last moment.
#: Going to observe is not among them: it waits for what is under way.
LAST_MOMENT: tuple[Guard, ...] = (
    database_is_forgetful,
    it_is_this_portal,
    too_many_are_silent,
    everybody_is_silent,
    the_site_has_just_booted,
    engine_is_cut_off,
    an_engine_has_not_asked,
    its_kernel_lives,
    storage_shows_life,
    its_domain_is_lost,
    a_domain_needs_it,
    nobody_gains,
)


def withheld(
    cluster: ClusterFacts,
    host: HostFacts,
    policy: Policy,
    now: datetime,
    *,
    guards: Sequence[Guard] = (),
) -> str:
    """Return the first guard's reason to withhold a fence of ``host``, or the empty text."""
    for guard in guards or GUARDS:
        why = guard(cluster, host, policy, now)
        if why:
            return why
    return ""
