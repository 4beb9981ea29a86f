"""Celery's door to the guests: each task is one call, and may run twice, late or never."""

from celery import shared_task

from vms import operations


@shared_task(name="vms.advance", ignore_result=True)
def advance(op_id: int) -> None:
    """Carry one VM operation a step on."""
    operations.advance(op_id)


@shared_task(name="vms.advance_host", ignore_result=True)
def advance_host(op_id: int) -> None:
    """Carry out work on a host that is removed."""
    operations.advance_host(op_id)
