"""Asking a provider: it is somebody else's code, so it may raise, hang or return nonsense.

Each question has a thread of its own.  Who has not answered by the deadline is left
behind: the answer is UNKNOWN, and so is every further one of that kind until the
thread ends, so that a provider that hangs costs one thread for each resource and kind.
"""

from collections.abc import Callable
from threading import Lock, Thread

from django.db import connections

from fencing.services.ha_claims import Claim
from portal.lib.ha.evidence import Answer, Evidence, taken, unknown
from portal.lib.ha.provider import Ask, HaProvider, Subject
from portal.lib.ha.record import Finding, Work
from portal.lib.ha.states import HaState

_left_behind: dict[tuple[int, Work], Thread] = {}
_lock = Lock()
#: In these, eligibility decides nothing: whether it is well again still does.
_PAST_ELIGIBLE = (HaState.FENCING, HaState.FENCED)


def subject_of(claimed: Claim) -> Subject:
    """Return what a provider is told about a resource."""
    row, since = claimed.row, claimed.record.since
    return Subject(row.kind, row.key, row.name, row.options, since)


def ask(claimed: Claim, provider: HaProvider) -> Finding:
    """Return what a provider says to the claimed question; never raises, never hangs."""
    asked = Ask(claimed.asked_at, claimed.deadline)
    subject, work = subject_of(claimed), claimed.work
    if work is not Work.HEALTH:
        question = {
            Work.ACTIVITY: provider.has_activity,
            Work.RECOVERY: provider.recover,
            Work.FENCE: provider.fence,
        }[work]
        [given] = _answers(claimed, provider, lambda: (question(subject, asked),))
        return Finding(work, claimed.record.attempt, given)
    state = claimed.record.state

    def health() -> tuple[object, ...]:
        eligible = provider.is_eligible(subject, asked)
        if state is HaState.INELIGIBLE or (_says_no(eligible) and state not in _PAST_ELIGIBLE):
            return eligible, unknown(provider.name, "it was not asked how it is", asked.asked_at)
        return eligible, provider.is_healthy(subject, asked)

    answers = _answers(claimed, provider, health)
    return Finding(work, claimed.record.attempt, answers[-1], answers[0])


def _says_no(given: object) -> bool:
    return isinstance(given, Evidence) and given.answer is Answer.NO


def _answers(
    claimed: Claim, provider: HaProvider, question: Callable[[], tuple[object, ...]]
) -> list[Evidence]:
    """Return what comes back within the deadline, each checked."""
    key, at = (claimed.row.pk, claimed.work), claimed.asked_at
    found: list[tuple[object, ...] | BaseException] = []
    thread = Thread(target=_run, args=(question, found), name=f"ask-{key}", daemon=True)
    with _lock:
        before = _left_behind.get(key)
        if before is not None and before.is_alive():
            text = "an earlier question still hangs: it is not asked again meanwhile"
            return [unknown(provider.name, text, at)]
        _left_behind.pop(key, None)
        _left_behind[key] = thread
        thread.start()
    thread.join(claimed.deadline)
    if not found:
        return [unknown(provider.name, f"no answer within {claimed.deadline:g} s", at)]
    with _lock:
        _left_behind.pop(key, None)
    given = found[0]
    if isinstance(given, BaseException):
        return [unknown(provider.name, f"{type(given).__name__}: {given}"[:500], at)]
    return [taken(item, source=provider.name, asked_at=at) for item in given]


def _run(
    question: Callable[[], tuple[object, ...]], found: list[tuple[object, ...] | BaseException]
) -> None:
    try:
        found.append(question())
    except BaseException as error:  # noqa: BLE001 - SystemExit of a stranger's code ends nothing here
        found.append(error)
    finally:
        connections.close_all()
