"""One answer for each Idempotency-Key: a request that was sent twice acts once.

An answer that shows a secret is not kept: the database would hold it in clear.
"""

import json
from collections.abc import Callable
from datetime import timedelta

from django.db import IntegrityError, models, transaction
from django.utils.crypto import salted_hmac
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from portal.core.models import IdempotencyKey, User
from portal.core.problems import Problem
from portal.lib import clock

#: How long an answer is kept.
KEPT = timedelta(hours=24)


def once(
    request: Request,
    user: User,
    work: Callable[[], Response],
    *,
    before: Callable[[], None] = lambda: None,
    secret: bool = False,
) -> Response:
    """Do ``work``, or repeat its answer when the same Idempotency-Key did it before.

    ``before`` is done first, outside the transaction, unless the answer is there already.
    ``secret``: the answer shows what is shown once only; a repeat is a 409.
    """
    key = request.headers.get("Idempotency-Key", "")
    if not key:
        before()
        with transaction.atomic():
            return work()
    mine, fingerprint = _key_of(request, user, key)
    kept = clock.now() - KEPT
    if not mine.filter(at__gte=kept).exists():
        before()
    with transaction.atomic():
        mine.filter(at__lt=kept).delete()
        try:
            with transaction.atomic():
                row = IdempotencyKey.objects.create(
                    user=user, key=key, fingerprint=fingerprint, answer={}, at=clock.now()
                )
        except IntegrityError:
            return _repeated(mine.get(), fingerprint)
        answer = work()
        if answer.status_code >= status.HTTP_400_BAD_REQUEST:
            row.delete()  # what did not happen may be asked for again
            return answer
        row.answer = {} if secret else {"status": answer.status_code, "body": answer.data}
        row.location = answer.headers.get("Location", "")
        row.save()
        return answer


def _key_of(request: Request, user: User, key: str) -> tuple[models.QuerySet[IdempotencyKey], str]:
    """Return where the caller's key is kept, and what tells this request from others."""
    if len(key) > 200 or not (key.isascii() and key.isprintable()):
        cure = "Send a random ASCII text of at most 200 characters, such as a UUID."
        text = "Idempotency-Key: too long, or more than plain characters"
        raise Problem(422, "bad_key", text, cure=cure, field="Idempotency-Key")
    whole = json.dumps([request.method, request.path, request.data], sort_keys=True, default=str)
    # A body may hold a password: without the server's key nobody tries guesses on this.
    fingerprint = salted_hmac("idempotency", whole, algorithm="sha256").hexdigest()
    return IdempotencyKey.objects.filter(user=user, key=key), fingerprint


def _repeated(row: IdempotencyKey, fingerprint: str) -> Response:
    if row.fingerprint != fingerprint:
        text = "this Idempotency-Key was used for another request; nothing was done"
        cure = "Take a new key for a new request."
        raise Problem(422, "key_reused", text, cure=cure, field="Idempotency-Key")
    if not row.answer:
        text = "this was done already under this Idempotency-Key, and its secret shown then"
        cure = "If you never saw it, remove what was made and make another under a new key."
        raise Problem(409, "already_done", text, cure=cure, field="Idempotency-Key")
    headers = {"Idempotency-Replayed": "true"}
    if row.location:
        headers["Location"] = row.location
    return Response(row.answer["body"], status=row.answer["status"], headers=headers)
