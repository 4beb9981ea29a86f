"""What lists of hosts can be filtered by."""

from typing import ClassVar

from hosts.models import Cluster, Host
from portal.core.filtering import Filters


class ClusterFilter(Filters):
    """``?mode=armed``."""

    class Meta:
        model = Cluster
        fields: ClassVar = {"name": ["exact"], "mode": ["exact"]}


class HostFilter(Filters):
    """``?cluster=1&status=up``; ``status__in=up,down``."""

    class Meta:
        model = Host
        fields: ClassVar = {
            "name": ["exact"],
            "cluster": ["exact"],
            "status": ["exact", "in"],
            "wanted": ["exact"],
        }
