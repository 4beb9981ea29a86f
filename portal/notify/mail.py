"""Mails: handed to the mail server of the settings, plain text, one receiver each."""

import smtplib
from email.utils import format_datetime

from django.conf import settings
from django.core.mail import EmailMessage, get_connection

from portal.lib import clock
from portal.notify.domain import pace
from portal.notify.domain.wording import one_line
from portal.notify.services.sending import Undelivered

BACKEND = "django.core.mail.backends.smtp.EmailBackend"
NO_SERVER = "this portal has no mail server"
NO_SERVER_CURE = (
    "Set HOLDFAST_SMTP_URL, such as smtp+tls://USER:PASSWORD@mail.example.org:587, and restart "
    "the portal; or choose a webhook."
)


def send(address: str, subject: str, text: str, message: str) -> None:
    """Hand in one mail; raises :class:`Undelivered`.

    Django refuses a header with a line end, and the subject is one line already, so no
    event can add a header or a receiver.
    """
    if settings.MAIL_SERVER is None:
        raise Undelivered(NO_SERVER, NO_SERVER_CURE)
    host = settings.MAIL_FROM.rpartition("@")[2]
    headers = {
        # The same for every try: mail systems drop the double.
        "Message-ID": f"<{message}@{host}>",
        "Date": format_datetime(clock.now()),
        "X-Holdfast-Delivery": message,
        "Auto-Submitted": "auto-generated",
    }
    server = get_connection(BACKEND, timeout=pace.DEADLINE_S, **settings.MAIL_SERVER)
    mail = EmailMessage(subject, text, settings.MAIL_FROM, [address], headers=headers)
    mail.connection = server
    try:
        mail.send()
    except smtplib.SMTPAuthenticationError as error:
        text = f"the mail server refused the account ({error.smtp_code})"
        raise Undelivered(text, "Correct user and password in HOLDFAST_SMTP_URL.") from None
    except smtplib.SMTPRecipientsRefused as error:
        code, said = next(iter(error.recipients.values()))
        raise _refused("the receiver", code, said) from None
    except smtplib.SMTPResponseException as error:
        raise _refused("the mail", error.smtp_code, error.smtp_error) from None
    except (OSError, smtplib.SMTPException) as error:
        text = f"the mail server gives no good answer: {type(error).__name__}"
        cure = "Check host, port and TLS in HOLDFAST_SMTP_URL, and that the server runs."
        raise Undelivered(text, cure) from None


def _refused(what: str, code: int, said: bytes | str) -> Undelivered:
    words = said.decode(errors="replace") if isinstance(said, bytes) else said
    text = one_line(f"the mail server refused {what} ({code}): {words}", 300)
    return Undelivered(text, "Correct the address or the sender (HOLDFAST_MAIL_FROM).")
