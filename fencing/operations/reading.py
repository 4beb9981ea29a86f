"""Asking the BMCs of one level, side by side, and writing down what each said."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

from fencing.domain.policy import Policy
from fencing.domain.power import PowerProblem
from fencing.models import PowerController
from fencing.power import power_for
from fencing.power.port import Bmc, PowerError, Reading, error_of
from fencing.services import power
from portal.lib import clock
from portal.lib.secrets import SecretLost


@dataclass(frozen=True, slots=True)
class Answer:
    """What one controller said, or why it said nothing; ``asked_at`` is the question's time."""

    controller: PowerController
    asked_at: datetime
    reading: Reading | None = None
    error: PowerError | None = None


def bmc_of(controller: PowerController) -> Bmc:
    """Return what a driver needs; the secret lives no longer than the call.

    Raises ``PowerError(BAD_SETTINGS)`` when no key opens the secret any more.
    """
    try:
        password = controller.password
    except SecretLost as error:
        raise PowerError(PowerProblem.BAD_SETTINGS, f"{controller}: {error}") from None
    return Bmc(
        controller_id=controller.pk,
        driver=controller.driver,
        address=controller.address,
        port=controller.port,
        username=controller.username,
        password=password,
        options=controller.options,
    )


def levels(host_id: int) -> list[list[PowerController]]:
    """Return a host's controllers, by level in order."""
    # The secret is opened when it is needed: one that cannot be must not hide the others.
    rows = PowerController.objects.defer("password").filter(host_id=host_id)
    rows = rows.select_related("host").order_by("level", "pk")
    by_level: dict[int, list[PowerController]] = {}
    for row in rows:
        by_level.setdefault(row.level, []).append(row)
    return [by_level[level] for level in sorted(by_level)]


def read_all(controllers: Sequence[PowerController], deadline_s: float) -> list[Answer]:
    """Read every controller at once and record each answer; times are the questions'."""
    asked_at = clock.now()
    if len(controllers) == 1:
        results = [_read(controllers[0], deadline_s)]
    else:
        with ThreadPoolExecutor(max_workers=max(len(controllers), 1)) as pool:
            results = list(pool.map(lambda item: _read(item, deadline_s), controllers))
    now = clock.now()
    answers = []
    for controller, result in zip(controllers, results, strict=True):
        if isinstance(result, PowerError):
            power.record_problem(
                controller, result.problem, str(result), asked_at=asked_at, now=now
            )
            answers.append(Answer(controller, asked_at, error=result))
        else:
            power.record_reading(
                controller, state=result.state, guid=result.guid, asked_at=asked_at, now=now
            )
            answers.append(Answer(controller, asked_at, reading=result))
        controller.refresh_from_db()
    return answers


def _read(controller: PowerController, deadline_s: float) -> Reading | PowerError:
    try:
        bmc = bmc_of(controller)
        reading = power_for(bmc).read(bmc, deadline=deadline_s)
    except PowerError as error:
        return error
    if reading.unheard:  # a lost answer must not make it a BMC that tells nothing
        text = f"said {reading.state}, but not in time whose it is"
        return error_of(bmc, PowerProblem.TIMED_OUT, text)
    return reading


def gap_left(answers: Sequence[Answer], policy: Policy, now: datetime) -> float:
    """Seconds until the next reading: ``off_read_gap`` counts from question to question."""
    asked_at = max((item.asked_at for item in answers), default=now)
    return max(0.0, policy.off_read_gap - (now - asked_at).total_seconds())
