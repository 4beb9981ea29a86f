"""Pages see the same small data centre as the API."""

import pytest
from django.test import Client

from portal.core.models import Role
from tests.api.conftest import Centre, Speaks, add_person, centre, hardware, speaks

__all__ = ["Centre", "Speaks", "centre", "hardware", "speaks"]


def _browser(name: str, role: Role) -> Client:
    """Return the browser of a person who has a role over everything, signed in."""
    client = Client()
    client.force_login(add_person(name, role), "django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def viewer(centre: Centre) -> Client:
    """Return the browser of somebody who may look at everything."""
    return _browser("vera", Role.VIEWER)


@pytest.fixture
def operator(centre: Centre) -> Client:
    """Return the browser of an operator of everything."""
    return _browser("otto", Role.OPERATOR)


@pytest.fixture
def admin_page(centre: Centre) -> Client:
    """Return the browser of an administrator of everything."""
    return _browser("ada", Role.ADMIN)
