"""Telling: claim (transaction), send (none open), record (transaction).

A try may be made twice when a worker is killed between sending and recording: the
message keeps its id, so that the receiver can drop the double.
"""

import json
import logging

from django.conf import settings

from portal.core.models import NotificationTarget
from portal.lib import clock
from portal.lib.secrets import SecretLost
from portal.lib.told import Channel
from portal.notify import mail, webhook
from portal.notify.domain import wording
from portal.notify.selectors import told_events
from portal.notify.services import sending
from portal.notify.services.sending import Message, Undelivered

log = logging.getLogger(__name__)


def deliver(target_id: int) -> bool:
    """Try the target's next message; whether there was one."""
    message = sending.claim(target_id, clock.now())
    if message is None:
        return False
    try:
        status = _send(message)
    except Undelivered as fault:
        sending.undelivered(message, fault, clock.now())
    except Exception as error:
        log.exception("message %s could not be made", message.id)
        text = f"the portal could not send it ({type(error).__name__})"
        broken = Undelivered(text, "Read the log of the worker of the queue “default”.")
        sending.undelivered(message, broken, clock.now())
    else:
        sending.delivered(message, status, clock.now())
    return True


def _send(message: Message) -> int | None:
    """Send a claimed message; return the HTTP status, if it has one."""
    events = told_events(message.events)
    base = settings.BASE_URL
    if message.kind == Channel.EMAIL:
        subject = wording.subject(events) if events else wording.TEST_SUBJECT
        text = wording.mail_text(events, base) if events else wording.test_text(base)
        mail.send(message.address, subject, text, message.id)
        return None
    whole = wording.payload(message.id, events, base)
    body = json.dumps(whole, ensure_ascii=False).encode()
    at = int(clock.now().timestamp())
    return webhook.post(message.address, _secret_of(message.target), body, message.id, at)


def _secret_of(target_id: int) -> str:
    try:
        return NotificationTarget.objects.values_list("secret", flat=True).get(pk=target_id)
    except NotificationTarget.DoesNotExist:
        raise Undelivered("the target was removed", "Nothing to do.") from None
    except SecretLost:
        cure = "Restore the key file from your backup, or enter the target's secret again."
        raise Undelivered("no key opens the stored secret", cure) from None
