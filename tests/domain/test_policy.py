"""Settings: what is accepted is kept to, and what nothing reads yet is refused."""

from typing import Any

import pytest

from fencing.domain.policy import FIELDS, NOT_YET, PolicyError, layered, validate


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("witness", ["192.0.2.1"]),
        ("kdump_wait", 60),
        ("soft_recovery", "on"),
        ("admission", "warn"),
    ],
)
def test_a_setting_that_nothing_reads_yet_is_refused(name: str, value: Any) -> None:
    with pytest.raises(PolicyError, match="no effect in this version") as told:
        validate({name: value})
    assert told.value.args


def test_every_setting_may_be_written_as_it_is_by_default() -> None:
    whole = {name: setting.default for name, setting in FIELDS.items()}
    assert layered(whole) == layered({})
    assert set(FIELDS) > NOT_YET
