"""Options of power drivers: what is known, what is missing, and where a controller listens."""

import pytest

from fencing.domain.drivers import (
    AGENTS,
    DRIVERS,
    BadOption,
    checked_options,
    default_port,
    driver_of,
    machine_at,
)

APC = {"agent": "fence_apc", "plug": "3"}


def fault(name: str, options: dict[str, object]) -> BadOption:
    with pytest.raises(BadOption) as caught:
        checked_options(name, options)
    return caught.value


def test_a_driver_is_found_by_its_name_and_an_agent_by_its_option() -> None:
    assert driver_of("redfish", {}) is DRIVERS["redfish"]
    assert driver_of("fence-agent", APC) is AGENTS["fence_apc"]
    assert driver_of("redfish", {"agent": "fence_apc"}) is DRIVERS["redfish"]
    assert not driver_of("somebody-elses", {}).options


@pytest.mark.parametrize("agent", [None, 7, "fence_nobody", ["fence_apc"]])
def test_an_agent_that_is_not_known_is_refused_with_those_that_are(agent: object) -> None:
    found = fault("fence-agent", {"agent": agent} if agent is not None else {})
    assert (found.name, "fence_apc" in str(found)) == ("agent", True)


def test_good_options_pass_as_they_are() -> None:
    assert checked_options("fence-agent", APC) == APC
    assert checked_options("redfish", {"verify": "off"}) == {"verify": "off"}


def test_an_option_that_is_not_known_is_refused_with_those_that_are() -> None:
    assert "guid_order" in str(fault("ipmi", {"speed": "1"}))
    assert "there are none" in str(fault("somebody-elses", {"speed": "1"}))
    assert "no such option" in str(fault("ipmi", {"agent": "fence_apc"}))


@pytest.mark.parametrize("value", [1, None, "offf", ""])
def test_a_value_that_does_not_fit_is_refused(value: object) -> None:
    assert "fingerprint" in str(fault("redfish", {"verify": value}))


def test_a_needed_option_that_is_missing_is_named() -> None:
    assert fault("fence-agent", {"agent": "fence_apc"}).name == "plug"


def test_an_apc_without_ssh_listens_on_telnet() -> None:
    assert default_port("fence-agent", {**APC, "ssh": "0"}) == 23
    assert default_port("fence-agent", {**APC, "ssh": "1"}) == AGENTS["fence_apc"].port != 23
    assert default_port("ipmi", {"ssh": "0"}) == 623
    assert default_port("redfish", {}) == 443


def test_which_machine_is_meant_behind_one_address() -> None:
    assert machine_at({"plug": "3", "system": "x"}) == "3"
    assert machine_at({"system": "x"}) == "x"
    assert machine_at({}) == ""
