"""Which controllers are believed: one that said what was not so is not, until it is tested."""

from datetime import datetime

from django.db import transaction

from fencing.models import PowerController
from hosts.services import looks
from portal.core.services import record_event
from portal.lib.live import announce_on_commit


def _row(controller_id: int) -> PowerController:
    rows = PowerController.objects.defer("password").select_related("host")
    return rows.get(pk=controller_id)


@transaction.atomic
def distrust(controller_id: int, why: str, now: datetime) -> None:
    """Stop believing a controller until it has been tested again."""
    row = _row(controller_id)
    if PowerController.objects.filter(pk=controller_id, trusted=True).update(
        trusted=False, distrust_reason=why, first_off_at=None, off_reads=0
    ):
        text = f"the BMC of {row.host.name} is distrusted until it is tested again: {why}"
        record_event("bmc.distrusted", text, now=now, host=row.host_id, rule="row 1")


@transaction.atomic
def trust(controller_id: int, actor: str, now: datetime) -> None:
    """Believe a controller again: a person had it tested, and it said what is true."""
    row = _row(controller_id)
    if PowerController.objects.filter(pk=controller_id, trusted=False).update(
        trusted=True, distrust_reason=""
    ):
        looks.forget_disproof(row.host_id)
        text = f"the BMC of {row.host.name} is believed again: tested by {actor}, it says on"
        record_event("bmc.trusted", text, now=now, host=row.host_id, actor=actor)
        announce_on_commit("host", row.host_id, "power")
