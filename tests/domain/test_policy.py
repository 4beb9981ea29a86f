"""Settings: what is accepted is kept to, and what nothing reads yet is refused."""

from typing import Any

import pytest

from fencing.domain.policy import FIELDS, PolicyError, layered, validate


def test_every_setting_may_be_written_as_it_is_by_default() -> None:
    whole = {name: setting.default for name, setting in FIELDS.items()}
    assert layered(whole) == layered({})


@pytest.mark.parametrize("wrong", ["x", ["x;y"], ["gw.example:53"], ["192.0.2.1"], ["192.0.2.1:0"],
    ["2001:db8::1:53"], ["192.0.2.1:53"] * 6, [7], ["192.0.2.1:99999"]])  # fmt: skip
def test_a_witness_is_an_address_and_a_port(wrong: Any) -> None:
    with pytest.raises(PolicyError, match="must"):
        validate({"witness": wrong})


def test_witnesses_of_both_kinds_of_addresses_are_kept() -> None:
    given = ["192.0.2.1:53", "[2001:db8::1]:443"]
    assert layered({"witness": given}).witness == tuple(given)
