"""Mails, handed to a real mail server on loopback."""

from typing import Any

import pytest

from portal.core.models import Delivery
from portal.notify import mail
from portal.notify.services import targets
from portal.notify.services.sending import Undelivered
from tests.notify.conftest import T0, Enter, HandClock
from tests.notify.receivers import PostOffice
from tests.notify.test_collecting import happen
from tests.notify.test_sending import settle

TO = "ops@firm.example"


def test_a_mail_says_what_happened_what_was_done_and_what_to_do(
    enter: Enter, office: PostOffice, hands: HandClock, settings: Any
) -> None:
    enter(TO)
    happen("alert.confirm_reboot", incident=3)
    settle(hands)
    (post,) = office.posts
    assert (post.sender, post.receivers) == ("holdfast@portal.example", [TO])
    assert post.mail["Subject"] == "[Holdfast] needs you: node1: alert.confirm_reboot"
    assert post.mail["To"] == TO
    assert post.mail["X-Holdfast-Delivery"] == Delivery.objects.get().message
    assert post.mail["Message-ID"] == f"<{Delivery.objects.get().message}@portal.example>"
    assert post.mail["Auto-Submitted"] == "auto-generated"
    text = post.mail.get_content()
    assert "What happened:" in text
    assert "starts none of its VMs elsewhere" in text
    assert f"{settings.BASE_URL}/incidents/3/" in text
    assert Delivery.objects.get().state == "done"


def test_a_digest_is_one_mail(enter: Enter, office: PostOffice, hands: HandClock) -> None:
    enter(TO)
    for _ in range(50):
        happen("fence.failed")
    settle(hands)
    assert office.posts == []
    settle(hands, 31)
    assert [post.mail["Subject"] for post in office.posts] == ["[Holdfast] 50 events"]


def test_a_test_arrives_as_such(enter: Enter, office: PostOffice, hands: HandClock) -> None:
    targets.ask_test(enter(TO), actor="ann", now=T0)
    settle(hands)
    assert office.posts[0].mail["Subject"] == "[Holdfast] test"


def send(subject: str = "hello", to: str = TO) -> None:
    """Hand in one mail."""
    mail.send(to, subject, "text\n.\nmore", "message-1")


def test_a_line_end_in_a_header_sends_nothing(office: PostOffice, hands: HandClock) -> None:
    with pytest.raises(ValueError, match="newline"):
        send(subject="a\r\nBcc: x@evil.example")
    with pytest.raises(ValueError, match="Invalid address"):
        send(to="a@b.example\nBcc: x@evil.example")
    assert office.posts == []


def test_a_dot_on_a_line_does_not_end_the_mail(office: PostOffice, hands: HandClock) -> None:
    send()
    assert office.posts[0].mail.get_content().split() == ["text", ".", "more"]


def refusal() -> Undelivered:
    """Return why a mail was not taken."""
    with pytest.raises(Undelivered) as told:
        send()
    assert told.value.cure
    return told.value


def test_a_refused_receiver_says_what_the_server_said(office: PostOffice, hands: HandClock) -> None:
    office.on_receiver = "550 no such mailbox"
    assert "550): no such mailbox" in refusal().text
    assert office.posts == []


def test_a_refused_account_tells_no_password(
    office: PostOffice, hands: HandClock, settings: Any
) -> None:
    settings.MAIL_SERVER = office.server | {"username": "holdfast", "password": "hunter2"}
    office.on_login = "535 wrong: hunter2"
    told = refusal()
    assert "refused the account (535)" in told.text
    assert "HOLDFAST_SMTP_URL" in told.cure
    assert "hunter2" not in told.text + told.cure


def test_a_server_that_is_away_or_not_configured_says_which_setting(
    office: PostOffice, hands: HandClock, settings: Any
) -> None:
    settings.MAIL_SERVER = office.server | {"use_tls": True}  # which this one does not speak
    assert "HOLDFAST_SMTP_URL" in refusal().cure
    settings.MAIL_SERVER = office.server | {"port": 9}
    assert "HOLDFAST_SMTP_URL" in refusal().cure
    settings.MAIL_SERVER = None
    assert "HOLDFAST_SMTP_URL" in refusal().cure
