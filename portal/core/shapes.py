"""The JSON shape of an operation, whichever of the three tables holds it."""

from datetime import datetime
from typing import Any

from rest_framework import serializers

from portal.core.models import Operation


class TargetSerializer(serializers.Serializer[Any]):
    """What an operation is about."""

    type = serializers.ChoiceField(choices=["host", "vm"])
    id = serializers.IntegerField()
    name = serializers.CharField()


class StepSerializer(serializers.Serializer[Any]):
    """One step that an operation has made."""

    at = serializers.DateTimeField()
    text = serializers.CharField()


class FaultSerializer(serializers.Serializer[Any]):
    """Why an operation did not succeed, and what to do."""

    code = serializers.CharField()
    text = serializers.CharField()
    cure = serializers.CharField()


class OperationSerializer(serializers.Serializer[Any]):
    """One piece of work: asked for, carried out in steps, ended."""

    id = serializers.CharField()
    kind = serializers.CharField()
    target = TargetSerializer()
    state = serializers.CharField()
    step = serializers.CharField()
    steps = StepSerializer(many=True)
    attempt = serializers.IntegerField()
    owner = serializers.CharField()
    epoch = serializers.IntegerField()
    requested_by = serializers.CharField()
    at = serializers.DateTimeField()
    due_at = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)
    outcome = serializers.CharField(allow_blank=True)
    error = FaultSerializer(allow_null=True)


def slug_of(op: Operation) -> str:
    """Return the id of an operation in the API: its table and its number."""
    return f"{type(op).__name__.removesuffix('Operation').lower()}-{op.pk}"


def as_operation(op: Operation) -> dict[str, Any]:
    """Return the JSON of an operation (its host or VM loaded)."""
    kind = "vm" if hasattr(op, "vm") else "host"
    target = getattr(op, kind)
    failed = bool(op.error_code or op.error_text)
    fault = {"code": op.error_code, "text": op.error_text, "cure": op.error_cure}
    whole = {
        "id": slug_of(op),
        "kind": op.kind,
        "target": {"type": kind, "id": target.pk, "name": target.name},
        "state": op.state,
        "step": op.step,
        "steps": [step | {"at": datetime.fromisoformat(step["at"])} for step in op.steps],
        "attempt": op.attempt,
        "owner": op.owner,
        "epoch": op.epoch,
        "requested_by": op.requested_by,
        "at": op.requested_at,
        "due_at": op.due_at if op.is_open else None,
        "ended_at": op.ended_at,
        "outcome": getattr(op, "outcome", ""),
        "error": fault if failed else None,
    }
    return dict(OperationSerializer(whole).data)
