"""What a person can do when the web page is of no use."""

from typing import Any

import pytest
from django.core.management import CommandError, call_command

from fencing.services.confirmations import MAX_AGE
from portal.core.models import Role, RoleBinding
from tests.api.conftest import Centre, add_person


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
