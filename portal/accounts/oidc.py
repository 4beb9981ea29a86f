"""Sign-in through an OpenID provider: what django-allauth leaves open is checked here.

allauth checks state, PKCE, issuer, audience and expiry; added are the nonce, and that token
and user info speak of the same person.  No token of the provider is kept.
"""

import hashlib
import logging
from collections.abc import Callable
from typing import Any

from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.helpers import render_authentication_error
from allauth.socialaccount.providers.base import ProviderException
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.openid_connect import views as stock
from allauth.socialaccount.providers.openid_connect.provider import OpenIDConnectProvider
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.crypto import get_random_string
from requests import RequestException

from portal.accounts.events import record
from portal.core.models import Role, RoleBinding, User
from portal.core.permissions import RANK

log = logging.getLogger(__name__)
#: What a provider that is away, or that talks nonsense, ends in.
BROKEN = (OAuth2Error, RequestException, ProviderException, KeyError, TypeError, ValueError)


class Provider(OpenIDConnectProvider):  # type: ignore[misc]  # allauth ships no types
    """The provider of HOLDFAST_OIDC_URL."""

    def redirect(
        self,
        request: HttpRequest,
        process: str,
        next_url: str | None = None,
        data: Any = None,
        **kwargs: Any,
    ) -> HttpResponse:
        """Send the browser to the provider, with a nonce that its answer must repeat."""
        nonce = get_random_string(32)
        kwargs |= {"auth_params": {"nonce": nonce}, "scope": self.get_scope(), "nonce": nonce}
        answer: HttpResponse = super().redirect(request, process, next_url, data, **kwargs)
        return answer

    def extract_uid(self, data: dict[str, Any]) -> str:
        """Return who this is: a subject means nothing without its issuer, which may change."""
        token = data.get("id_token")
        if not token:
            raise OAuth2Error("the answer holds no ID token")
        return hashlib.sha256(f"{token['iss']}\n{token['sub']}".encode()).hexdigest()


class Provided(DefaultSocialAccountAdapter):  # type: ignore[misc]  # as above
    """People who come from the provider."""

    def get_provider(self, request: HttpRequest, provider: str, client_id: Any = None) -> Provider:
        """Return the provider with our additions."""
        found = super().get_provider(request, provider, client_id=client_id)
        return Provider(request, app=found.app)

    def on_authentication_error(
        self,
        request: HttpRequest,
        provider: Any,
        error: Any = None,
        exception: Exception | None = None,
        extra_context: Any = None,
    ) -> None:
        """Leave a trace for the administrator; the texts of others may hold secrets."""
        log.warning("sign-in through the provider failed: %s %s", error, type(exception).__name__)

    def pre_social_login(self, request: HttpRequest, sociallogin: Any) -> None:
        """Refuse an answer to another question, or about another person."""
        sociallogin.token = None  # of no use later, so it is not kept, not even in a session
        sociallogin.email_addresses = []  # an address proves nothing here, nor stands in the way
        told = sociallogin.account.extra_data
        token, info = told.get("id_token") or {}, told.get("userinfo") or {}
        asked = sociallogin.state.get("nonce")
        if not asked or token.get("nonce") != asked or token.get("sub") != info.get("sub"):
            provider = sociallogin.account.get_provider(request)
            raise ImmediateHttpResponse(render_authentication_error(request, provider))

    def is_open_for_signup(self, request: HttpRequest, sociallogin: Any) -> bool:
        """Whether somebody whom the portal does not know yet may come in."""
        return bool(settings.HOLDFAST_OIDC.get("sign_up"))

    @transaction.atomic
    def save_user(self, request: HttpRequest, sociallogin: Any, form: Any = None) -> User:
        """Enter a new person, with the role that the settings give to its groups."""
        user: User = super().save_user(request, sociallogin, form)
        told = sociallogin.account.extra_data
        groups = {**told["id_token"], **told["userinfo"]}.get("groups", [])
        role = role_for(groups, settings.HOLDFAST_OIDC["roles"])
        if role is not None:
            RoleBinding.objects.create(user=user, role=role, scope_type="all")
        given = f"with the role {role}" if role else "without a role"
        record("created", user, f"{{user}} came through single sign-on, {given}", request)
        return user


def role_for(groups: Any, roles: dict[str, str]) -> Role | None:
    """Return the highest role that the settings give to any of ``groups``."""
    names = [groups] if isinstance(groups, str) else groups if isinstance(groups, list) else []
    found = [Role(roles[name]) for name in ("*", *map(str, names)) if name in roles]
    return max(found, key=RANK.__getitem__, default=None)


def _guarded(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    @login_not_required
    def guarded(request: HttpRequest, provider_id: str) -> HttpResponse:
        if not settings.HOLDFAST_OIDC:
            raise Http404
        try:
            return view(request, provider_id)
        except PermissionDenied:
            raise
        except BROKEN as error:
            answer: HttpResponse = render_authentication_error(request, None, exception=error)
            return answer

    return guarded


login = _guarded(stock.login)
callback = _guarded(stock.callback)
