"""Pages see the same small data centre as the API."""

import pytest
from django.test import Client

from portal.core.models import Role
from tests.api.conftest import Centre, Speaks, add_person, centre, hardware, speaks

__all__ = ["Centre", "Speaks", "centre", "hardware", "speaks"]


@pytest.fixture
def viewer(centre: Centre) -> Client:
    """Return the browser of somebody who may look at everything."""
    client = Client()
    client.force_login(add_person("vera", Role.VIEWER), "django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def operator(centre: Centre) -> Client:
    """Return the browser of an operator of everything."""
    client = Client()
    user = add_person("otto", Role.OPERATOR)
    client.force_login(user, "django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def admin_page(centre: Centre) -> Client:
    """Return the browser of an administrator of everything."""
    client = Client()
    user = add_person("ada", Role.ADMIN)
    client.force_login(user, "django.contrib.auth.backends.ModelBackend")
    return client
