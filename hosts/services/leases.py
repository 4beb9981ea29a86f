"""Named rights that one process holds for a few seconds, by the database's clock."""

from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import F, Q

from hosts.models import EngineLease


def take(name: str, holder: str, *, ttl_s: float, now: datetime) -> bool:
    """Take or renew the lease; False while somebody else holds it."""
    until = now + timedelta(seconds=ttl_s)
    free_or_mine = Q(holder=holder) | Q(expires_at__lt=now)
    if EngineLease.objects.filter(free_or_mine, name=name).update(
        holder=holder, expires_at=until, epoch=F("epoch") + 1
    ):
        return True
    try:
        with transaction.atomic():
            EngineLease.objects.create(name=name, holder=holder, expires_at=until)
    except IntegrityError:
        return False
    return True
