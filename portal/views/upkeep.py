"""The self-check page, and the policy that holds for every cluster."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from fencing.domain.policy import Policy
from fencing.selectors import global_policy
from fencing.services import policy as policies
from portal.core.models import Role
from portal.core.permissions import scopes_of
from portal.lib import clock
from portal.selfcheck import checks
from portal.selfcheck.words import CheckState
from portal.views import rendering
from portal.views.access import may_see
from portal.views.people import only_administrators
from portal.views.policy import editor


def policy(request: HttpRequest) -> HttpResponse:
    """Return the editor of the policy over all clusters."""
    may_see(request)
    context = {
        "groups": editor(global_policy(), Policy()),
        "version": policies.read().version,
        "editable": scopes_of(request.user, Role.ADMIN).everything,
    }
    return render(request, "policy.html", context)


def self_check(request: HttpRequest) -> HttpResponse:
    """Return every check of the portal itself, the worst first."""
    only_administrators(request)
    found = checks(clock.now(), request.get_host())
    order = [CheckState.BAD, CheckState.WARN, CheckState.OK]
    found.sort(key=lambda item: order.index(item.state))
    return rendering.page(request, "self_check", {"checks": found})
