"""Settings of sign-in: who may come in, how often they may try, and what else they must show.

``portal.settings`` takes all names from here, once it has read the environment file.
What a person sees and does is told in ``docs/sign-in.md``.
"""

from datetime import timedelta
from typing import Any

from portal.lib import starting
from portal.lib.starting import CannotStart, given, setting

__all__ = [
    "ACCOUNT_ADAPTER",
    "ACCOUNT_EMAIL_VERIFICATION",
    "ACCOUNT_LOGIN_METHODS",
    "ACCOUNT_RATE_LIMITS",
    "ACCOUNT_SESSION_REMEMBER",
    "ACCOUNT_SIGNUP_FIELDS",
    "AUTHENTICATION_BACKENDS",
    "AUTH_PASSWORD_VALIDATORS",
    "AUTH_USER_MODEL",
    "AXES_COOLOFF_TIME",
    "AXES_FAILURE_LIMIT",
    "AXES_LOCKOUT_PARAMETERS",
    "AXES_LOCKOUT_TEMPLATE",
    "AXES_SENSITIVE_PARAMETERS",
    "CACHES",
    "CSRF_FAILURE_VIEW",
    "HOLDFAST_OIDC",
    "HOLDFAST_REQUIRE_2FA",
    "LOGIN_REDIRECT_URL",
    "LOGIN_URL",
    "LOGOUT_REDIRECT_URL",
    "MFA_ADAPTER",
    "MFA_FORMS",
    "MFA_SUPPORTED_TYPES",
    "MFA_TOTP_TOLERANCE",
    "SIGN_IN_APPS",
    "SOCIALACCOUNT_ADAPTER",
    "SOCIALACCOUNT_LOGIN_ON_GET",
    "SOCIALACCOUNT_PROVIDERS",
    "SOCIALACCOUNT_REAUTHENTICATION_REQUIRED",
]

SIGN_IN_APPS = [
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "axes",
]

AUTH_USER_MODEL = "portal.User"
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "overview"
LOGOUT_REDIRECT_URL = "sign-in"
CSRF_FAILURE_VIEW = "portal.views.pages.forged"

#: Wrong passwords: by name and address, so that a stranger shuts nobody else's door.
AXES_FAILURE_LIMIT = 8
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_LOCKOUT_TEMPLATE = "locked.html"
#: A password typed into the field of the name stays out of logs and of the kept form.
AXES_SENSITIVE_PARAMETERS = ["username", "login", "ip_address", "csrfmiddlewaretoken"]

#: Counts of tries and used codes, shared by all processes and engines.  In the database, not
#: in Redis: without Redis people must still come in, and a code must still work only once.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "portal_cached",
        "OPTIONS": {"MAX_ENTRIES": 10_000},
    }
}

ACCOUNT_ADAPTER = "portal.accounts.adapters.Accounts"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_RATE_LIMITS = {
    "login": "30/m/ip",
    "login_failed": "5/5m/key",  # wrong codes of one person; wrong passwords are counted by axes
    "reauthenticate": "10/m/user",
    "change_password": "10/m/user",
}

MFA_ADAPTER = "portal.accounts.adapters.TwoFactor"
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
#: Steps of 30 s before and after; each code works once all the same (portal.accounts.forms).
MFA_TOTP_TOLERANCE = 1
MFA_FORMS = {
    "authenticate": "portal.accounts.forms.CodeForm",
    "reauthenticate": "portal.accounts.forms.CodeAgainForm",
    "activate_totp": "portal.accounts.forms.ActivateForm",
}
#: Whether everybody needs a second factor; who has none is led to the page that sets it up.
HOLDFAST_REQUIRE_2FA = setting("HOLDFAST_REQUIRE_2FA", starting.flag, default=False)


def _oidc() -> dict[str, Any]:
    """Return what is set of the OpenID provider; empty when there is none."""
    url = setting("HOLDFAST_OIDC_URL", starting.issuer, "")
    names = ("HOLDFAST_OIDC_CLIENT", "HOLDFAST_OIDC_SECRET")
    if not url:
        return {}
    missing = [name for name in names if not given(name)]
    if missing:
        raise CannotStart(
            f"HOLDFAST_OIDC_URL is set and {' and '.join(missing)} is not: set what the provider "
            "gave you for this portal, or leave all of HOLDFAST_OIDC_* out."
        )
    return {
        "url": url,
        "name": given("HOLDFAST_OIDC_NAME") or "single sign-on",
        "sign_up": setting("HOLDFAST_OIDC_SIGN_UP", starting.flag, default=False),
        "roles": setting("HOLDFAST_OIDC_ROLES", starting.roles, dict[str, str]()),
        "client": given(names[0]),
        "secret": given(names[1]),
    }


#: The OpenID provider; empty: none, and its pages do not exist.
HOLDFAST_OIDC = _oidc()
SOCIALACCOUNT_ADAPTER = "portal.accounts.oidc.Provided"
#: A link, not a form: browsers apply form-action to every redirect that follows a form.
SOCIALACCOUNT_LOGIN_ON_GET = True
SOCIALACCOUNT_REAUTHENTICATION_REQUIRED = True
SOCIALACCOUNT_PROVIDERS = {
    "openid_connect": {
        "OAUTH_PKCE_ENABLED": True,
        "APPS": [
            {
                "provider_id": "oidc",
                "name": HOLDFAST_OIDC["name"],
                "client_id": HOLDFAST_OIDC["client"],
                "secret": HOLDFAST_OIDC["secret"],
                "settings": {"server_url": HOLDFAST_OIDC["url"]},
            }
        ]
        if HOLDFAST_OIDC
        else [],
    }
}
