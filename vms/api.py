"""VMs, runs and proofs over REST (fencing adds ``start``, which needs placement)."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, ClassVar

from django.db.models import Prefetch, QuerySet
from rest_framework import mixins
from rest_framework.request import Request
from rest_framework.response import Response

from portal.core.models import Role
from portal.core.problems import Problem
from portal.core.rest import Creatable, Editable, Resource, accepted, caller, require, verb
from portal.lib import clock
from vms.filters import ProofFilter, RunFilter, VmFilter
from vms.models import Proof, Run, Vm
from vms.permissions import proofs_in, runs_in, vms_in
from vms.selectors.leases import with_leases
from vms.serializers import (
    ProofSerializer,
    RunSerializer,
    VmEditSerializer,
    VmSerializer,
)
from vms.serializers.leases import LeaseMoveSerializer, VmLeaseSerializer
from vms.serializers.locks import LockSerializer
from vms.services import inventory, leasing, locks


@contextmanager
def _now() -> Iterator[None]:
    """Turn a refusal into a problem: 409 or 422, and nothing was changed."""
    try:
        yield
    except inventory.NotNow as error:
        raise Problem(409, "not_now", str(error), cure=error.cure) from None
    except leasing.BadLease as error:
        cure, field = error.cure, error.field
        raise Problem(422, "bad_lease", str(error), cure=cure, field=field) from None


def with_runs() -> QuerySet[Vm]:
    """Return VMs with what their JSON shows, loaded in a fixed number of queries."""
    open_now = Run.objects.filter(ended_at__isnull=True).select_related("host")
    open_now = open_now.prefetch_related("leases")
    return with_leases(
        Vm.objects.defer("xml")  # long, and shown nowhere
        .prefetch_related("lock", "disks", Prefetch("runs", queryset=open_now, to_attr="open_runs"))
        .order_by("name", "pk")
    )


class VmViewSet(mixins.ListModelMixin, Creatable, Editable):
    """VMs: what is wanted of them, and where they run."""

    queryset = with_runs()
    serializer_class = VmSerializer
    filterset_class = VmFilter
    search_fields = ("name", "^uuid")  # by its beginning: “db” is in many
    ordering_fields = ("name", "state", "state_since", "priority", "start_tier", "memory_mib")
    rows: ClassVar[Any] = vms_in
    live_kind = "vm"

    def get_serializer_class(self) -> type[Any]:
        """Return the narrower form where a living VM is changed."""
        return VmEditSerializer if self.action == "partial_update" else VmSerializer

    def get_serializer_context(self) -> dict[str, Any]:
        """Let a list ask the clock once: it may be the database's."""
        return {**super().get_serializer_context(), "now": cache(clock.now)}

    def perform_create(self, serializer: Any) -> None:
        """Enter a VM in a cluster that the caller administrates."""
        fields = serializer.validated_data
        require(self.request, Role.ADMIN, cluster=fields["cluster"].pk)
        actor = str(caller(self.request))
        with _now():
            serializer.instance = inventory.add_vm(fields, actor=actor, now=clock.now())

    def write(self, row: Vm, changes: dict[str, Any]) -> None:
        """Write checked changes and say who made them."""
        inventory.edit(row, changes, actor=str(caller(self.request)), now=clock.now())

    def _act(self, vm: Vm, kind: str, request: Request) -> Response:
        with _now():
            op = inventory.act(vm, kind, actor=str(caller(request)), now=clock.now())
        return accepted(op, request)

    @verb("shutdown")
    def shutdown(self, vm: Vm, fields: dict[str, Any], request: Request) -> Response:
        """Ask the guest to power itself down, and want it down."""
        return self._act(vm, "shutdown", request)

    @verb("stop")
    def stop(self, vm: Vm, fields: dict[str, Any], request: Request) -> Response:
        """Pull the VM's plug, and want it down."""
        return self._act(vm, "stop", request)

    @verb("suspend")
    def suspend(self, vm: Vm, fields: dict[str, Any], request: Request) -> Response:
        """Freeze the VM; automation leaves it alone until it is resumed."""
        return self._act(vm, "suspend", request)

    @verb("resume")
    def resume(self, vm: Vm, fields: dict[str, Any], request: Request) -> Response:
        """Let a frozen or paused VM go on."""
        return self._act(vm, "resume", request)

    @verb("lock", takes=LockSerializer, answers_itself=True)
    def lock(self, vm: Vm, fields: dict[str, Any], request: Request) -> Response:
        """Keep the VM from being started while somebody works on it; again: for longer.

        HA waits for it, and burns no try.  Whoever may die meanwhile gives a time.
        """
        with _now():
            why, for_s = fields["reason"], fields.get("for_s")
            locks.lock(vm, why=why, for_s=for_s, actor=str(caller(request)), now=clock.now())
        return self._as_it_is(vm)

    @verb("unlock", answers_itself=True)
    def unlock(self, vm: Vm, fields: dict[str, Any], request: Request) -> Response:
        """Take the VM's lock away, whoever has it."""
        with _now():
            locks.unlock(vm, actor=str(caller(request)), now=clock.now())
        return self._as_it_is(vm)

    def _as_it_is(self, vm: Vm) -> Response:
        return Response(self.get_serializer(self.get_queryset().get(pk=vm.pk)).data)

    @verb("lease-add", takes=VmLeaseSerializer, role=Role.ADMIN)
    def lease_add(self, vm: Vm, fields: dict[str, Any], request: Request) -> Response:
        """Give the VM a lease in a storage domain: its next start takes it, and each after."""
        actor = str(caller(request))
        with _now():
            op = leasing.request_add(vm, fields["domain"], actor=actor, now=clock.now())
        return accepted(op, request)

    @verb("lease-remove", takes=VmLeaseSerializer, role=Role.ADMIN)
    def lease_remove(self, vm: Vm, fields: dict[str, Any], request: Request) -> Response:
        """Take a lease away; its slot is free once no copy can hold it."""
        actor = str(caller(request))
        with _now():
            op = leasing.request_remove(vm, fields["domain"], actor=actor, now=clock.now())
        return accepted(op, request)

    @verb("lease-move", takes=LeaseMoveSerializer, role=Role.ADMIN)
    def lease_move(self, vm: Vm, fields: dict[str, Any], request: Request) -> Response:
        """Move a lease to another storage domain; until nobody can hold the old slot it is kept."""
        actor, to = str(caller(request)), fields["domain"]
        with _now():
            op = leasing.request_move(vm, to, fields["from_domain"], actor=actor, now=clock.now())
        return accepted(op, request)

    @verb("release-quarantine", role=Role.ADMIN, answers_itself=True)
    def release_quarantine(self, vm: Vm, fields: dict[str, Any], request: Request) -> Response:
        """Say that only one copy of this VM is left.  Over at once: answers 200."""
        with _now():
            inventory.release(vm, actor=str(caller(request)), now=clock.now())
        return self._as_it_is(vm)


class RunViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, Resource):
    """Runs: every life of every copy, for ever."""

    queryset = Run.objects.select_related("vm", "host").defer("vm__xml").order_by("-pk")
    serializer_class = RunSerializer
    filterset_class = RunFilter
    search_fields = ("vm__name", "host__name")
    ordering_fields = ("started_at", "ended_at", "generation")
    rows: ClassVar[Any] = runs_in


class ProofViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, Resource):
    """Proofs: why a run is certainly over, with the evidence verbatim."""

    queryset = Proof.objects.select_related("host", "run").order_by("-pk")
    serializer_class = ProofSerializer
    filterset_class = ProofFilter
    search_fields = ("text", "host__name")
    ordering_fields = ("at", "recorded_at")
    rows: ClassVar[Any] = proofs_in
