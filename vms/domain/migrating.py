"""A live migration: what its two hosts show, and what may be concluded from that.

While it lasts both hosts are possible holders of the run.  libvirt hands a copy over in one
direction only: the target's copy goes on before the source's is ended, and neither runs while
the other does.  So the target is asked first and the source after it, and the pair of answers
tells where the copy is; where it does not, nothing is concluded.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from hosts.domain.looks import GuestReason, GuestState, SeenGuest
from vms.domain.proofs import OpenRun, copy_is_of_this_run, reason_proves_end
from vms.domain.states import RunState


class There(StrEnum):
    """What one host shows of the run's copy."""

    SILENT = "silent"  # no answer, or one that says nothing about this copy
    RUNS = "runs"
    SENDS = "sends"  # it is being sent, or handed over just now
    ARRIVES = "arrives"  # memory is being received; it has never run there
    BROKEN = "broken"  # a post-copy that cannot be completed: half of its memory is elsewhere
    ENDED = "ended"  # libvirt has seen it end there
    LOST = "lost"  # libvirt has lost sight of it there: it may execute
    GONE = "gone"  # not there, or migrated away


class Verdict(StrEnum):
    """What is to be done about a migration."""

    WAIT = "wait"
    MOVED = "moved"  # the source holds nothing: the run goes on at the target
    STAYS = "stays"  # the target holds nothing: the run stays where it was
    CLEAN = "clean"  # destroy and undefine what the target has received
    END_SOURCE = "end_source"  # destroy there what libvirt has lost sight of
    BROKEN = "broken"  # nothing whole is left: destroy the rest of it, which counts as a crash
    SPLIT = "split"  # both run


@dataclass(frozen=True, slots=True)
class Pair:
    """Both answers, the target's asked first; ``source_gone_before``: an earlier poll said so."""

    source: There
    target: There
    source_gone_before: bool = False


def there_of(guest: SeenGuest | None, run: OpenRun, *, sending: bool = False) -> There:
    """Return what a host's fresh list shows of the run's copy."""
    if guest is None:
        return There.GONE
    mine = copy_is_of_this_run(guest, run)
    if not guest.executes:
        return _off(guest, mine=mine)
    if not mine:
        return There.SILENT  # a stranger's copy; the host's looks deal with it
    if guest.reason is GuestReason.POSTCOPY_FAILED:
        return There.BROKEN
    if guest.reason is GuestReason.MIGRATING:
        return There.SENDS if sending else There.ARRIVES
    return There.SENDS if sending else There.RUNS


def _off(guest: SeenGuest, *, mine: bool) -> There:
    if not mine or guest.reason is GuestReason.MIGRATED:
        return There.GONE
    return There.ENDED if reason_proves_end(guest) else There.LOST


#: All other hosts are looked at meanwhile: one of them may show that it was sent there instead.
_ELSEWHERE = timedelta(seconds=15)
#: For so long a pair of answers may be the moment between two steps of libvirt's own.
_PATIENCE = {
    (There.RUNS, There.ARRIVES): (timedelta(seconds=5), Verdict.CLEAN),
    (There.GONE, There.ARRIVES): (timedelta(seconds=10), Verdict.CLEAN),
    (There.LOST, There.ARRIVES): (timedelta(seconds=10), Verdict.CLEAN),
    (There.SILENT, There.ARRIVES): (timedelta(seconds=30), Verdict.CLEAN),
    (There.BROKEN, There.RUNS): (timedelta(seconds=30), Verdict.END_SOURCE),
}
#: An unanswered call may be carried out so much later; after that it counts as one from outside.
UNANSWERED = timedelta(seconds=10)

_RESTS = (There.ENDED, There.LOST, There.BROKEN)


def judge(pair: Pair, shown_for: timedelta) -> Verdict:
    """Return what follows from two answers that have been the same for ``shown_for``."""
    if (pair.source, pair.target) in _PATIENCE:
        patience, then = _PATIENCE[pair.source, pair.target]
        return then if shown_for >= patience else Verdict.WAIT
    verdict = _JUDGES[pair.source](pair)
    guessed = pair.target is There.SILENT and verdict is Verdict.MOVED
    return Verdict.WAIT if guessed and shown_for < _ELSEWHERE else verdict


def _sends(pair: Pair) -> Verdict:
    return Verdict.WAIT


def _silent(pair: Pair) -> Verdict:
    if pair.target is There.GONE:
        return Verdict.STAYS
    return Verdict.CLEAN if pair.target is There.BROKEN else Verdict.WAIT


def _runs(pair: Pair) -> Verdict:
    if pair.target is There.RUNS:
        return Verdict.SPLIT
    if pair.target is There.GONE:
        return Verdict.STAYS
    return Verdict.CLEAN if pair.target in _RESTS else Verdict.WAIT


def _ended(pair: Pair) -> Verdict:
    if pair.target is There.RUNS:
        return Verdict.MOVED
    if pair.target is There.GONE:
        return Verdict.STAYS
    return Verdict.WAIT if pair.target is There.SILENT else Verdict.CLEAN


def _lost(pair: Pair) -> Verdict:
    if pair.target is There.GONE:
        return Verdict.STAYS
    if pair.target is There.SILENT:
        return Verdict.WAIT
    return Verdict.CLEAN if pair.target is There.BROKEN else Verdict.END_SOURCE


def _gone(pair: Pair) -> Verdict:
    if pair.target is There.GONE:
        # The target was asked first: it may have begun to run in between.
        return Verdict.STAYS if pair.source_gone_before else Verdict.WAIT
    return Verdict.CLEAN if pair.target is There.BROKEN else Verdict.MOVED


def _broken(pair: Pair) -> Verdict:
    if pair.target is There.GONE:
        return Verdict.BROKEN
    return Verdict.WAIT if pair.target is There.SILENT else Verdict.CLEAN


_JUDGES = {
    There.SENDS: _sends,
    There.SILENT: _silent,
    There.RUNS: _runs,
    There.ENDED: _ended,
    There.LOST: _lost,
    There.GONE: _gone,
    There.ARRIVES: _silent,
    There.BROKEN: _broken,
}


def never_ran_there(target: There, *, source_is_off: bool) -> bool:
    """Whether a target that alone may hold a run has no whole copy of it, beyond doubt.

    What arrives has never run, and half of a post-copy cannot.  A target without any copy had
    none when its source was proven off; had the source's own list told that it was gone, it
    might have been sent on from the target.
    """
    if target is There.GONE:
        return source_is_off
    return target in (There.ARRIVES, There.BROKEN)


def only_arrives(guest: SeenGuest) -> bool:
    """Whether a copy has never run where it is seen: it has no time of its own to lose."""
    return guest.state is GuestState.PAUSED and guest.reason is GuestReason.MIGRATING


def is_carried_on_elsewhere(guest: SeenGuest, run: OpenRun | None, host: int) -> bool:
    """Whether this copy, on a host that does not hold the run, is of its present generation.

    Nobody but a migration past the portal makes one: every start of ours has a generation of
    its own.  Such a copy is not suspended at once; both hosts tell what has become of it.
    """
    return (
        run is not None
        and run.state is RunState.RUNNING
        and not run.outstanding
        and run.contender is None
        and host not in run.holders
        and guest.executes
        and guest.stamp is not None
        and guest.stamp.generation == run.generation
    )


def may_have_left(guest: SeenGuest | None) -> bool:
    """Whether a copy that vanished may have been migrated away, and not only out of sight."""
    return guest is None or guest.reason is GuestReason.MIGRATED


def began_before(run: OpenRun, asked_at: datetime) -> bool:
    """Whether a proof about the target, asked for at that time, knew of the migration."""
    return run.migrating_since is not None and run.migrating_since <= asked_at
