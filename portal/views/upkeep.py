"""The self-check page, and the policy that holds for every cluster."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from fencing.domain.policy import Policy
from fencing.selectors import global_policy
from fencing.services import policy as policies
from portal.core.models import Role
from portal.core.permissions import scopes_of
from portal.views.access import may_see
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
