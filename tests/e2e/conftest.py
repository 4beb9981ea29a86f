"""One box per xdist worker, healed and calm before each test, watched all the while."""

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from portal.bench.rig import Rig, RigError, running, until
from portal.demo.control import ControlError
from tests.e2e.browser import signed_in
from tests.e2e.story import Story


class Watch:
    """Looks several times a second, past the portal, for a VM that executes twice."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._stop = threading.Event()
        self.doubles: list[dict[str, list[str]]] = []
        self.looks = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(0.1):
            with suppress(ControlError, OSError):
                where = self._rig.truth()
                self.looks += 1
                twice = {name: hosts for name, hosts in where.items() if len(hosts) > 1}
                if twice:
                    self.doubles.append(twice)

    def end(self) -> None:
        """Look once more, and then no more."""
        seen = self.looks
        with suppress(RigError):
            until(lambda: self.looks > seen, 5, "one more look")
        self._stop.set()
        self._thread.join(10)


@pytest.fixture(scope="session")
def rig() -> Iterator[Rig]:
    """A running demo; one for all tests of this worker."""
    with running() as started:
        yield started


@pytest.fixture
def story(rig: Rig) -> Iterator[Story]:
    """A calm box, watched: a VM that executes on two hosts fails whatever test sees it."""
    told = Story(rig)
    told.heal()
    with watched(told):
        yield told


@contextmanager
def watched(told: Story) -> Iterator[None]:
    """Watch meanwhile that no VM executes twice."""
    watch = Watch(told.rig)
    try:
        yield
    finally:
        watch.end()
    if not told.may_split:
        _assert_single(watch)


def _assert_single(watch: Watch) -> None:
    assert watch.looks, "the watch saw nothing"
    assert not watch.doubles, f"split brain: {watch.doubles[0]}"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, headless, talking to nobody but the portal.

    For one module: while it lives, an event loop counts as running in this thread, and
    no test that starts one of its own can run beside it.
    """
    expect.set_options(timeout=30_000)  # the cores are shared with all else that is tested
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--disable-background-networking", "--disable-quic"],
        )
        yield browser
        browser.close()


@pytest.fixture
def complaints() -> Iterator[list[str]]:
    """What the browser's console has to complain about: at the end of a test, nothing."""
    heard: list[str] = []
    yield heard
    assert not heard, heard


@pytest.fixture
def page(chromium: Browser, story: Story, complaints: list[str]) -> Iterator[Page]:
    """The overview of an administrator of a calm box."""
    with signed_in(chromium, story.rig, complaints) as opened:
        yield opened
