"""What lists of hosts can be filtered by."""

from typing import ClassVar

from django_filters import rest_framework as filters

from hosts.models import Cluster, Host


class ClusterFilter(filters.FilterSet):  # type: ignore[misc]  # django-filter ships no types
    """``?mode=armed``."""

    class Meta:
        model = Cluster
        fields: ClassVar = {"name": ["exact"], "mode": ["exact"]}


class HostFilter(filters.FilterSet):  # type: ignore[misc]  # as above
    """``?cluster=1&status=up``; ``status__in=up,down``."""

    class Meta:
        model = Host
        fields: ClassVar = {
            "name": ["exact"],
            "cluster": ["exact"],
            "status": ["exact", "in"],
            "wanted": ["exact"],
        }
