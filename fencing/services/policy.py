"""The outermost layer of the policy: what holds for every cluster unless it says otherwise."""

from datetime import datetime
from typing import Any

from django.db import transaction

from hosts.models import Cluster
from portal.core import edits
from portal.core.models import Setting
from portal.core.services import record_event
from portal.lib.live import announce_on_commit
from portal.lib.queue import wake_on_commit

NAME = "policy"
ROUND = "fencing.round"


def read() -> Setting:
    """Return the row; one that is not there yet reads as its first version, empty."""
    return Setting.objects.filter(pk=NAME).first() or Setting(name=NAME, value={}, version=1)


@transaction.atomic
def change(seen: Setting, overrides: dict[str, Any], *, actor: str, now: datetime) -> Setting:
    """Write checked overrides over the version that was seen; raises ``Stale``."""
    Setting.objects.get_or_create(name=NAME, defaults={"value": {}})
    edits.edit(seen, "setting", {"value": overrides})
    names = ", ".join(sorted(overrides)) or "nothing"
    record_event(
        "policy.edited",
        f"the policy of every cluster was changed; it now overrides {names}",
        now=now,
        actor=actor,
        evidence={"policy": overrides},
    )
    announce_on_commit("cluster", 0, "policy")
    for cluster_id in Cluster.objects.values_list("pk", flat=True):
        wake_on_commit(ROUND, cluster_id)
    return seen
