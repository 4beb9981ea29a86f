"""What all tests share: a database of their own, hypothesis, servers, grouping."""

from pathlib import Path

import pytest
from django.conf import settings
from django.db import connections
from hypothesis import settings as hypothesis_settings

from tests import environment
from tests.postgres import on_postgres, postgres, postgres_default, postgres_server

__all__ = ["on_postgres", "postgres", "postgres_default", "postgres_server"]

# Slow on purpose in production; here it is most of what signing in takes.
settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

# The same examples on every run and every machine; `--hypothesis-profile explore` looks further.
hypothesis_settings.register_profile("steady", deadline=None, derandomize=True, database=None)
hypothesis_settings.register_profile("explore", deadline=None, max_examples=2000, database=None)
hypothesis_settings.load_profile("steady")


def pytest_report_header() -> str:
    """Say so when the tests run on the folder of a real portal."""
    if Path(settings.VAR) == environment.VAR:
        return f"holdfast: {environment.VAR}"
    return f"holdfast: WRITES TO {settings.VAR}; `make test`, or -p tests.environment, does not"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests that share a whole box in one xdist worker, one after the other."""
    for item in items:
        if item.get_closest_marker("e2e") and not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group("e2e"))


@pytest.fixture(scope="session")
def django_db_modify_db_settings() -> None:
    """Put the test database in a file: threads and processes can share it, as in production."""
    default = connections.settings["default"]
    if default["ENGINE"].endswith("sqlite3"):
        default["TEST"]["NAME"] = str(environment.VAR / "tests.sqlite3")
