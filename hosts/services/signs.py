"""Signs of life from below libvirt that come on other ways than a look."""

from datetime import datetime

from django.db.models import Q

from hosts.models import Host


def note_kernel(host_id: int, asked_at: datetime) -> None:
    """Write down that the kernel of a silent host answered a question that was sent then."""
    later = Q(last_seen__isnull=True) | Q(last_seen__lt=asked_at)
    older = Q(kernel_seen__isnull=True) | Q(kernel_seen__lt=asked_at)
    Host.objects.filter(later & older, pk=host_id, missed__gt=0).update(kernel_seen=asked_at)
