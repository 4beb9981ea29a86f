"""Rules over every record and every answer, however they fall."""

from hypothesis import given
from hypothesis import strategies as st

from portal.lib.ha.advancing import advance
from portal.lib.ha.evidence import Answer
from portal.lib.ha.provider import Capability
from portal.lib.ha.record import Finding, Record, Work
from portal.lib.ha.states import HaState
from tests.ha.records import LIMITS, NO, NOW, UNKNOWN, YES, ago, asked, record, said

S, W = HaState, Work

_RECORDS = st.builds(
    Record,
    state=st.sampled_from(HaState),
    since=st.sampled_from([ago(0), ago(100), ago(10_000)]),
    can=st.frozensets(st.sampled_from(Capability)),
    work=st.sampled_from([*Work, None]),
    due_at=st.sampled_from([None, NOW]),
    attempt=st.integers(0, 2),
    health=st.sampled_from(Answer),
    failures=st.integers(0, 5),
    rounds=st.integers(0, 5),
    idle=st.integers(0, 5),
    recoveries=st.integers(0, 5),
    fences=st.integers(0, 5000),
    declared=st.booleans(),
)
_EVIDENCE = st.sampled_from([said(answer) for answer in Answer])
_FINDINGS = st.builds(
    Finding, st.sampled_from(Work), st.integers(0, 2), _EVIDENCE, st.none() | _EVIDENCE
)


@given(_RECORDS, _FINDINGS)
def test_every_answer_in_every_state_has_an_outcome(before: Record, finding: Finding) -> None:
    step = advance(before, finding, LIMITS, NOW)
    assert step.why
    if step.late:
        assert step.record == before
        return
    new = step.record
    if new.state is S.FENCED and before.state is not S.FENCED:
        assert (finding.work, finding.evidence.answer) == (W.FENCE, YES)
    if new.state is S.FENCING and before.state is not S.FENCING:
        assert finding.evidence.answer is NO
    if new.state is S.DISABLED:
        assert new.due_at is None
    else:
        assert new.work is not None
        assert new.due_at is not None
        asks_now = new.due_at <= NOW
        assert not asks_now or (new.state, new.work) != (before.state, before.work)


_ANY_CAN = st.frozensets(st.sampled_from(Capability))


@given(_ANY_CAN, st.lists(st.sampled_from((UNKNOWN, YES)), max_size=60))
def test_unknown_alone_never_leads_to_an_act(
    can: frozenset[Capability], answers: list[Answer]
) -> None:
    now_record = record(S.AVAILABLE, can=can)
    for answer in answers:
        now_record = asked(now_record, answer).record
        assert now_record.state not in (S.RECOVERING, S.FENCING, S.FENCED)


@given(_ANY_CAN, st.lists(st.sampled_from(Answer), max_size=80))
def test_nobody_is_acted_upon_without_a_full_set_of_rounds(
    can: frozenset[Capability], answers: list[Answer]
) -> None:
    """However the answers fall: so many NOs in a row of rounds precede the first act."""
    one, noes = record(S.AVAILABLE, can=can), 0
    for answer in answers:
        before, one = one, asked(one, answer).record
        noes = 0 if one.state is S.AVAILABLE else noes + (answer is NO)
        if one.state in (S.RECOVERING, S.FENCING) and before.state is S.CHECKING:
            assert noes > LIMITS.activity_samples * LIMITS.activity_ratio
