"""Addresses without their last slash: people are led on, programs are told.

Django leads every address on with a 301, whose client then sends GET and no
body: a POST that was taken for a look would seem to have worked.
"""

from django.http import HttpRequest
from django.middleware.common import CommonMiddleware
from django.urls import is_valid_path

_LOOKS = ("GET", "HEAD", "OPTIONS")


def _is_call(request: HttpRequest) -> bool:
    return request.path.startswith("/api/") and request.method not in _LOOKS


class Slashes(CommonMiddleware):
    """Django's own, but for calls of the API that would lose their body."""

    def should_redirect_with_slash(self, request: HttpRequest) -> bool:
        """Whether to lead on to the same address with a slash."""
        return not _is_call(request) and super().should_redirect_with_slash(request)


def cure_of(request: HttpRequest) -> str:
    """Return what to do about an address that only lacks its slash, or the empty text."""
    whole = f"{request.path_info}/"
    if _is_call(request) and not request.path_info.endswith("/") and is_valid_path(whole):
        return f"Send it to {whole}, with the slash at the end."
    return ""
