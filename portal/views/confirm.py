"""The red dialog: a person says that a host is off or has been rebooted."""

from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404

from fencing.services import confirmations
from hosts.models import Host
from hosts.permissions import hosts_in
from portal.core.models import Role, User
from portal.core.permissions import scopes_of
from portal.core.shapes import as_operation
from portal.lib import clock
from portal.views import rendering
from portal.views.access import covers, may_see
from vms.models import Run


class ConfirmForm(forms.Form):
    """What a person types; kept as typed when something is wrong."""

    host_name = forms.CharField(max_length=100, required=False)
    reason = forms.CharField(max_length=2000, required=False)
    override = forms.BooleanField(required=False)


def confirm_rebooted(request: HttpRequest, pk: int) -> HttpResponse:
    """Show the dialog, or take what was entered in it; 422 keeps what was typed."""
    rows = Host.objects.filter(hosts_in(may_see(request))).select_related("cluster", "ha")
    host = get_object_or_404(rows, pk=pk)
    if not covers(scopes_of(request.user, Role.OPERATOR), cluster=host.cluster_id, host=host.pk):
        raise PermissionDenied
    form = ConfirmForm(request.POST if request.method == "POST" else None)
    if request.method != "POST":
        return _dialog(request, host, form, {}, 200)
    form.is_valid()
    return _take(request, host, form)


def _take(request: HttpRequest, host: Host, form: ConfirmForm) -> HttpResponse:
    fields = form.cleaned_data
    typed, reason = fields.get("host_name", ""), fields.get("reason", "")
    override = bool(fields.get("override"))
    wrong = confirmations.wrong_with(host, typed_name=typed, reason=reason)
    if wrong is not None:
        return _dialog(request, host, form, {wrong.field: wrong.text}, 422)
    if override and not _may_override(request, host):
        text = "only an administrator may override what the BMC says"
        return _dialog(request, host, form, {"override": text}, 422)
    if not isinstance(request.user, User):
        raise PermissionDenied
    op = confirmations.request(
        host, request.user, typed_name=typed, reason=reason, override=override, now=clock.now()
    )
    op.host = host
    context = {"host": host, "op": as_operation(op), "now": clock.now()}
    return _render(request, "taken", context, 202)


def _may_override(request: HttpRequest, host: Host) -> bool:
    admin = scopes_of(request.user, Role.ADMIN)
    return covers(admin, cluster=host.cluster_id, host=host.pk)


def _dialog(
    request: HttpRequest, host: Host, form: ConfirmForm, errors: dict[str, str], status: int
) -> HttpResponse:
    open_here = Run.objects.filter(host=host, ended_at__isnull=True).select_related("vm")
    context: dict[str, Any] = {
        "host": host,
        "form": form,
        "errors": errors,
        "ways": host.controllers.defer("password").order_by("level", "pk"),
        "runs": list(open_here.order_by("vm__name")),
        "may_override": _may_override(request, host),
        "now": clock.now(),
    }
    return _render(request, "confirm", context, status)


def _render(request: HttpRequest, name: str, context: dict[str, Any], status: int) -> HttpResponse:
    """Return the inside of the dialog to a script, and a whole page to a plain browser."""
    return rendering.dialog(request, name, context, title="Confirm a reboot", status=status)
