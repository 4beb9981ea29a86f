"""One lab for a whole run.  As root nothing here may be skipped, and the run says how many ran."""

import os
from collections.abc import Generator, Iterator

import pytest

from tests.lab.hands import Hands
from tests.lab.layout import Plan, needs
from tests.lab.outside import running

_RAN = pytest.StashKey[set[str]]()


@pytest.fixture(scope="session")
def whole_lab() -> Iterator[Hands]:
    """Three hosts with libvirtd, sanlock and a BMC each, on one shared storage."""
    reason = needs()
    if reason:
        pytest.skip(reason)
    plan = Plan()
    with running(plan) as control:
        hands = Hands(control, plan)
        try:
            yield hands
        finally:
            hands.close()


@pytest.fixture
def lab(whole_lab: Hands) -> Iterator[Hands]:
    """The lab as new; after the test no disk may show two writers at once."""
    yield whole_lab
    whole_lab.tidy()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Count what ran, and let nothing be skipped as root."""
    report = yield
    if item.get_closest_marker("lab") is None:
        return report
    if report.skipped and os.geteuid() == 0:
        report.outcome = "failed"
        report.longrepr = f"as root a lab test may not be skipped: {report.longrepr}"
    if report.when == "call" and not report.skipped:
        item.config.stash[_RAN].add(item.nodeid)
    return report


def pytest_collection_finish(session: pytest.Session) -> None:
    """Begin to count where lab tests were chosen at all."""
    if any(item.get_closest_marker("lab") for item in session.items):
        session.config.stash[_RAN] = set()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Close the run with the number of lab tests that ran."""
    if _RAN in config.stash:
        terminalreporter.write_line(f"lab tests that ran: {len(config.stash[_RAN])}")
