"""Receivers, targets, and a clock that a test moves."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from portal.core.models import NotificationTarget
from portal.lib import clock, live, queue
from portal.lib.told import Channel, Told
from portal.notify.services import targets
from tests.notify.receivers import SECRET, PostOffice, Receiver, mail_receiver, web_receiver
from tests.vms.conftest import either

__all__ = ["either"]

T0 = datetime(2026, 1, 1, 12, tzinfo=UTC)


class HandClock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.at = T0

    def now(self) -> datetime:
        return self.at

    def on(self, seconds: float) -> datetime:
        """Move the hands; return the new time."""
        self.at += timedelta(seconds=seconds)
        return self.at


@pytest.fixture
def hands() -> Iterator[HandClock]:
    """The clock of the test; queue and live channel are in memory."""
    made = HandClock()
    clock.install(made)
    queue.install(queue.MemoryQueue())
    live.install(live.MemoryLive())
    yield made
    live.install(None)
    queue.install(None)
    clock.install(None)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A web server that waits for webhooks."""
    with web_receiver() as made:
        yield made


@pytest.fixture
def office(settings: Any) -> Iterator[PostOffice]:
    """A mail server that the portal hands its mails to."""
    with mail_receiver() as made:
        settings.MAIL_SERVER = made.server
        settings.MAIL_FROM = "holdfast@portal.example"
        yield made


Enter = Callable[..., NotificationTarget]


@pytest.fixture
def enter(either: str, hands: HandClock) -> Enter:
    """Return a maker of targets, on each database; webhooks unless an address has an @."""

    def make(address: str, what: Told = Told.FENCES, name: str = "ops", **more: Any) -> Any:
        is_mail = "@" in address
        fields = {
            "name": name,
            "kind": Channel.EMAIL if is_mail else Channel.WEBHOOK,
            "address": address,
            "secret": "" if is_mail else SECRET,
            "what": what,
        }
        return targets.add(fields | more, actor="ann", now=hands.now())

    return make
