"""What a person can do when the web page is of no use."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from fencing.services.confirmations import MAX_AGE
from portal.core.models import Role, RoleBinding
from tests.api.conftest import Centre, add_person

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_a_host_is_confirmed_on_the_command_line(centre: Centre, capsys: Any) -> None:
    boss = add_person("boss", Role.ADMIN)
    RoleBinding.objects.filter(user=boss).update(role=Role.ADMIN)
    words = {"reason": "I looked", "user": "boss"}
    with pytest.raises(CommandError, match="host_name"):
        call_command("confirm-rebooted", "node2", typed="node1", **words)
    assert MAX_AGE.total_seconds() == 10
    centre.node2.controllers.all().delete()
    call_command("confirm-rebooted", "node2", typed="node2", **words)
    said = capsys.readouterr().out
    assert "web1 may start elsewhere" in said
    assert centre.node2.fences.get().kind == "confirm"


def test_whoever_may_only_look_confirms_nothing_on_the_command_line(centre: Centre) -> None:
    add_person("vera", Role.VIEWER)
    with pytest.raises(CommandError, match="vera lacks the role operator"):
        call_command(
            "confirm-rebooted", "node2", "--typed", "node2", "--reason", "seen", "--user", "vera"
        )


@pytest.mark.parametrize(
    ("asked_at", "problem", "told"),
    [
        (None, "", "its BMC was not asked yet"),
        (AT, "", "its BMC said off at 03:04:05 UTC"),
        (AT, "unreachable", "gave no usable answer at 03:04:05 UTC (it is silent); before that"),
    ],
)
def test_what_a_bmc_says_now_is_told_from_what_it_said(
    centre: Centre, capsys: Any, asked_at: datetime | None, problem: str, told: str
) -> None:
    centre.node2.controllers.update(
        state="off", asked_at=asked_at, problem=problem, problem_text="it is silent"
    )
    add_person("boss", Role.ADMIN)
    with pytest.raises(CommandError):
        call_command("confirm-rebooted", "node2", typed="node1", reason="seen", user="boss")
    assert told in capsys.readouterr().out
