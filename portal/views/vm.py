"""One VM: where it runs, its HA settings, its disks, every run with its proof; and many at once."""

from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse

from fencing.selectors import shelter_of, with_shelter
from portal.core.edits import Stale
from portal.core.models import Event, Role
from portal.core.permissions import scopes_of
from portal.core.shapes import slug_of
from portal.lib import clock
from portal.views import rendering, vms
from portal.views.access import may_see
from vms.domain.protection import why_not
from vms.domain.states import ResumeBehaviour
from vms.models import Run, Vm, VmOperation
from vms.permissions import vms_in
from vms.selectors.leases import shown
from vms.services import inventory
from vms.services.removing import removal_of_vm

HISTORY = 15
_BEHAVIOURS = {
    ResumeBehaviour.AUTO_RESUME: "resume it when its storage is back",
    ResumeBehaviour.LEAVE_PAUSED: "leave it paused for a person",
    ResumeBehaviour.KILL: "resume it within 80 s, then end it there and restart it elsewhere",
}
#: Changing more at once than a person can read through is no preview.
MOST_AT_ONCE = 200


def vm(request: HttpRequest, pk: int) -> HttpResponse:
    """Return a VM's page, or the part of it that changes."""
    scopes = may_see(request)
    rows = vms.whole_rows(scopes).prefetch_related("disks")
    found: Any = get_object_or_404(rows, pk=pk)
    vms.dress([found], request.user)
    first = Vm.objects.filter(vms_in(scopes), pk__in=found.starts_after)
    found.behaviours = [(item.value, _BEHAVIOURS[item]) for item in ResumeBehaviour]
    found.first_names = ", ".join(first.values_list("name", flat=True))
    operations = VmOperation.objects.filter(vm=found).order_by("-requested_at")[:HISTORY]
    context = {
        "vm": found,
        "runs": _runs(found),
        "leases": shown(found, found.run, clock.now()),
        "unprotected": why_not(shelter_of(with_shelter(Vm.objects.filter(pk=found.pk)).get())),
        "operations": [{"op": op, "slug": slug_of(op)} for op in operations],
        "events": Event.objects.filter(vm=found.pk).order_by("-pk")[:HISTORY],
    }
    return rendering.page(request, "vm", context)


def _runs(found: Vm) -> list[Run]:
    """Return the VM's lives, the latest first, each with the proof of its end."""
    rows = Run.objects.filter(vm=found).select_related("host", "proof")
    return list(rows.order_by("-generation")[:HISTORY])


def removal(request: HttpRequest, pk: int) -> HttpResponse:
    """Return the dialog that says what removing a VM means."""
    found: Any = get_object_or_404(vms.whole_rows(may_see(request)), pk=pk)
    vms.dress([found], request.user)
    if not found.may_edit:
        raise PermissionDenied
    context = {
        "row": found,
        "removal": removal_of_vm(found),
        "action": reverse("vm-detail", args=[found.pk]),
        "back": reverse("vms"),
    }
    return rendering.dialog(request, "removal", context, title=f"Remove {found}")


class HaForm(forms.Form):
    """What is set on many VMs; an empty field leaves each as it is."""

    ha = forms.TypedChoiceField(
        choices=[("", "leave as it is"), ("true", "on"), ("false", "off")],
        required=False,
        coerce=lambda value: value == "true",
        empty_value=None,
    )
    priority = forms.IntegerField(min_value=0, max_value=100, required=False)
    start_tier = forms.IntegerField(min_value=0, max_value=9, required=False)

    def changes(self) -> dict[str, Any]:
        """Return what is to be changed, once the form is valid."""
        return {name: value for name, value in self.cleaned_data.items() if value is not None}


def bulk(request: HttpRequest) -> HttpResponse:
    """Show what setting HA on the chosen VMs would change, and do it once that was confirmed."""
    chosen = _chosen(request)
    form = HaForm(request.POST if request.method == "POST" else None)
    valid = form.is_valid()
    changes = form.changes() if valid else {}
    rows = [_preview(row, changes) for row in chosen]
    context: dict[str, Any] = {
        "form": form,
        "rows": rows,
        "ids": ",".join(str(x.pk) for x in chosen),
    }
    if request.method != "POST" or not valid or "preview" in request.POST:
        status = 422 if request.method == "POST" and not valid else 200
        context["seen"] = valid and bool(changes)
        return _dialog(request, context, status)
    differing = [row for row in rows if row["changes"]]
    try:
        _apply(differing, actor=str(request.user))
    except Stale:
        context["failed"] = "One of them was changed meanwhile; nothing was written. Look again."
        return _dialog(request, context | {"seen": True}, 422)
    context["done"] = len(differing)
    return _dialog(request, context, 200)


def _chosen(request: HttpRequest) -> list[Vm]:
    given = (request.POST or request.GET).get("ids", "").split(",")[:MOST_AT_ONCE]
    ids = [int(text) for text in given if text.isascii() and text.isdigit() and len(text) < 19]
    may_see(request)
    edits = scopes_of(request.user, Role.ADMIN)
    if not edits:
        raise PermissionDenied
    return list(Vm.objects.filter(vms_in(edits), pk__in=ids).defer("xml").order_by("name"))


def _preview(row: Vm, changes: dict[str, Any]) -> dict[str, Any]:
    """Return what would change on one VM: name of the field, before, after."""
    differing = {
        name: (getattr(row, name), value)
        for name, value in changes.items()
        if getattr(row, name) != value
    }
    return {"vm": row, "changes": differing}


@transaction.atomic
def _apply(rows: list[dict[str, Any]], *, actor: str) -> None:
    """Write the changes of all, or of none."""
    now = clock.now()
    for row in rows:
        new = {name: after for name, (_, after) in row["changes"].items()}
        inventory.edit(row["vm"], new, actor=actor, now=now)


def _dialog(request: HttpRequest, context: dict[str, Any], status: int) -> HttpResponse:
    return rendering.dialog(request, "bulk_ha", context, title="Set HA", status=status)
