"""The Redfish driver's choices and its sessions, on a small service that counts them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fencing.domain.power import PowerProblem, PowerState
from fencing.power.port import Bmc, Reading
from fencing.power.redfish import Redfish
from tests.contracts.ipmi_sim import DEADLINE, GUID, PASSWORD, failure
from tests.contracts.redfish_server import (
    INFO,
    RESET,
    ROOT,
    SESSIONS,
    SYSTEM,
    SYSTEMS,
    FaultyBmc,
    certificate,
)


@pytest.fixture
def bmc(tmp_path: Path) -> Iterator[FaultyBmc]:
    with FaultyBmc(certificate(tmp_path)) as running:
        yield running


def read(bmc: FaultyBmc, **options: str) -> Reading:
    return Redfish().read(bmc.at(**options), deadline=DEADLINE)


def off(bmc: FaultyBmc) -> None:
    Redfish().turn_off(bmc.at(), deadline=DEADLINE)


def on(bmc: FaultyBmc) -> None:
    Redfish().turn_on(bmc.at(), deadline=DEADLINE)


def refused(bmc: Bmc) -> tuple[PowerProblem, str, str]:
    error, _ = failure(lambda: Redfish().read(bmc, deadline=DEADLINE))
    assert PASSWORD not in str(error)
    return error.problem, str(error), error.field


# --- sessions ---------------------------------------------------------------------------------


def test_every_question_has_a_session_of_its_own_and_ends_it(bmc: FaultyBmc) -> None:
    assert read(bmc) == Reading(PowerState.ON, GUID)
    off(bmc)
    on(bmc)
    assert len(bmc.opened) == 3
    assert bmc.deleted == bmc.opened
    assert set(bmc.credentials) == {"token-of-this-session"}, "no Basic where there are sessions"


def test_a_service_that_cannot_open_sessions_is_asked_with_basic(bmc: FaultyBmc) -> None:
    bmc.faults["POST", SESSIONS] = lambda asked: asked.answer(405)
    assert read(bmc).state is PowerState.ON
    assert all(item.startswith("Basic ") for item in bmc.credentials)


def test_a_goodbye_that_is_not_answered_costs_no_answer(bmc: FaultyBmc) -> None:
    bmc.faults["DELETE", f"{SESSIONS}/0"] = lambda asked: asked.hang()
    assert Redfish().read(bmc.at(), deadline=2) == Reading(PowerState.ON, GUID)


@pytest.mark.parametrize(
    ("status", "body", "problem"),
    [
        (400, {"error": {"code": "iLO.0.10.ExtendedInfo"}}, PowerProblem.REFUSED_AUTH),
        (403, None, PowerProblem.REFUSED_AUTH),
        (400, {"error": {"code": "Base.1.8.SessionLimitExceeded"}}, PowerProblem.UNREACHABLE),
        (503, None, PowerProblem.UNREACHABLE),
    ],
)
def test_a_login_that_is_not_taken_says_why(
    bmc: FaultyBmc, status: int, body: object, problem: PowerProblem
) -> None:
    bmc.faults["POST", SESSIONS] = lambda asked: asked.answer(status, body)
    assert refused(bmc.at())[0] is problem


# --- what is read -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "state"),
    [
        ("Off", PowerState.OFF),
        ("PoweringOff", PowerState.TURNING_OFF),
        ("PoweringOn", PowerState.ON),
        ("Paused", PowerState.ON),
        ("off", PowerState.UNKNOWN),
        ("", PowerState.UNKNOWN),
        (None, PowerState.UNKNOWN),
        (False, PowerState.UNKNOWN),
        (["Off"], PowerState.UNKNOWN),
    ],
)
def test_only_off_reads_off_and_what_cannot_tell_is_unknown(
    bmc: FaultyBmc, told: object, state: PowerState
) -> None:
    bmc.system["PowerState"] = told
    assert read(bmc).state is state


@pytest.mark.parametrize("told", [None, "", "no uuid", "0" * 32, "f" * 32, 7, ["x"]])
def test_a_uuid_that_identifies_nothing_is_none(bmc: FaultyBmc, told: object) -> None:
    bmc.system["UUID"] = told
    assert read(bmc).guid is None


def test_a_uuid_is_told_in_lower_case(bmc: FaultyBmc) -> None:
    bmc.system["UUID"] = GUID.upper()
    assert read(bmc).guid == GUID


def test_of_several_systems_the_named_one_is_asked_and_none_is_guessed(bmc: FaultyBmc) -> None:
    bmc.systems = ["0", "1", f"x{PASSWORD}"]
    problem, text, field = refused(bmc.at())
    assert (problem, field) == (PowerProblem.BAD_SETTINGS, "options.system")
    assert "several systems; name one of these in option system: 0, 1" in text
    assert "no system “7”" in refused(bmc.at(system="7"))[1]
    assert read(bmc, system="1").guid == GUID
    assert bmc.leaked == set()


def test_a_bmc_without_systems_is_asked_again_later(bmc: FaultyBmc) -> None:
    bmc.systems = []
    assert refused(bmc.at())[0] is PowerProblem.UNREACHABLE


# --- how it is switched -----------------------------------------------------------------------


@pytest.mark.parametrize("kinds", [["On", "ForceOff", "GracefulShutdown"], ["ForceOff"], None])
def test_a_fence_is_a_forced_off(bmc: FaultyBmc, kinds: list[str] | None) -> None:
    bmc.kinds = kinds
    off(bmc)
    assert (bmc.resets, bmc.power) == (["ForceOff"], "Off")


def test_a_graceful_shutdown_is_never_sent_for_a_fence(bmc: FaultyBmc) -> None:
    bmc.kinds = ["On", "GracefulShutdown", "PushPowerButton"]
    error, _ = failure(lambda: off(bmc))
    assert error.problem is PowerProblem.BAD_SETTINGS
    assert "ForceOff" in str(error)
    assert bmc.resets == []


def test_what_is_allowed_is_read_from_the_action_info_too(bmc: FaultyBmc) -> None:
    bmc.kinds, bmc.reset["@Redfish.ActionInfo"] = None, INFO
    off(bmc)
    assert ("GET", INFO) in bmc.asked
    assert bmc.resets == ["ForceOff"]


def test_an_on_takes_what_there_is(bmc: FaultyBmc) -> None:
    bmc.power, bmc.kinds = "Off", ["ForceOn", "ForceOff"]
    on(bmc)
    assert bmc.resets == ["ForceOn"]


def test_an_off_that_is_refused_because_it_is_off_already_is_a_success(bmc: FaultyBmc) -> None:
    bmc.faults["POST", RESET] = lambda asked: asked.answer(409, {"error": {}})
    for power in ("Off", "PoweringOff"):
        bmc.power = power
        off(bmc)
    bmc.kinds = ["On"]
    off(bmc)
    bmc.kinds, bmc.power = ["On", "ForceOff"], "On"
    error, _ = failure(lambda: off(bmc))
    assert error.problem is PowerProblem.UNREACHABLE
    on(bmc)
    assert bmc.leaked == set()


def test_a_user_who_may_only_look_is_told_so(bmc: FaultyBmc) -> None:
    bmc.faults["POST", RESET] = lambda asked: asked.answer(403)
    error, _ = failure(lambda: off(bmc))
    assert error.problem is PowerProblem.REFUSED_AUTH
    assert "rights" in str(error)


# --- whose certificate ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["pin", "pin with colons", "CA file", "off"])
def test_a_certificate_that_is_trusted_is_taken(bmc: FaultyBmc, name: str) -> None:
    digits = bmc.certificate.pin.removeprefix("sha256:").upper()
    colons = ":".join(digits[at : at + 2] for at in range(0, 64, 2))
    verify = {
        "pin": bmc.certificate.pin,
        "pin with colons": f"sha256:{colons}",
        "CA file": str(bmc.certificate.cert),
        "off": "off",
    }
    assert read(bmc, verify=verify[name]).state is PowerState.ON


@pytest.mark.parametrize("name", ["pin", "CA file", "the system's CAs"])
def test_another_certificate_ends_it_before_anything_is_sent(
    bmc: FaultyBmc, tmp_path: Path, name: str
) -> None:
    other = certificate(tmp_path, "other")
    found = bmc.at()
    del found.options["verify"]
    if name == "pin":
        found.options["verify"] = other.pin
    elif name == "CA file":
        found.options["verify"] = str(other.cert)
    problem, text, field = refused(found)
    assert (problem, field) == (PowerProblem.BAD_SETTINGS, "options.verify")
    assert "certificate" in text
    assert (bmc.certificate.pin in text) is (name == "pin")
    assert bmc.asked == []


@pytest.mark.parametrize("path", ["/nowhere/ca.pem", "/dev/zero", "/etc", "/etc/hostname"])
def test_a_ca_file_that_cannot_be_one_is_a_wrong_setting(bmc: FaultyBmc, path: str) -> None:
    problem, _, field = refused(bmc.at(verify=path))
    assert (problem, field) == (PowerProblem.BAD_SETTINGS, "options.verify")


def test_a_proxy_of_the_environment_is_not_asked(
    bmc: FaultyBmc, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert read(bmc).state is PowerState.ON


@pytest.mark.parametrize("name", ["verfy", "agent", "guid_order"])
def test_an_option_that_it_does_not_have_is_a_wrong_setting(bmc: FaultyBmc, name: str) -> None:
    problem, _, field = refused(bmc.at(**{name: "x"}))
    assert (problem, field) == (PowerProblem.BAD_SETTINGS, f"options.{name}")
    assert bmc.asked == []


Talk = Callable[[FaultyBmc], object]


@pytest.mark.parametrize("where", [ROOT, SYSTEMS, SYSTEM])
@pytest.mark.parametrize("talk", [read, off])
def test_what_is_not_there_is_told(bmc: FaultyBmc, where: str, talk: Talk) -> None:
    bmc.faults["GET", where] = lambda asked: asked.answer(404)
    error, _ = failure(lambda: talk(bmc))
    assert error.problem is PowerProblem.UNREACHABLE
    assert "404" in str(error)
    assert bmc.leaked == set()
