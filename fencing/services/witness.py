"""When an engine last saw one of a cluster's witness addresses."""

from datetime import datetime

from fencing.selectors import witness_name
from portal.core.models import Setting


def record_seen(engine: str, cluster_id: int, asked_at: datetime) -> None:
    """Write down that a witness answered a question sent at ``asked_at``."""
    Setting.objects.update_or_create(
        name=witness_name(engine, cluster_id), defaults={"value": asked_at.isoformat()}
    )
