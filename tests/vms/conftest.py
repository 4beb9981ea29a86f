"""Worlds of three hosts, on SQLite and on a real PostgreSQL."""

from collections.abc import Iterator

import pytest

from tests.vms.world import World, a_world


@pytest.fixture
def world(transactional_db: None) -> Iterator[World]:
    """Three hosts that are up, in an armed cluster, on SQLite."""
    with a_world("node1", "node2", "node3") as made:
        yield made


@pytest.fixture(params=["sqlite", "postgres"])
def either(request: pytest.FixtureRequest, transactional_db: None) -> str:
    """Run the test twice: on SQLite, then with PostgreSQL as the default database.

    ``transactional_db`` stands here in both cases: pytest-django prepares only
    databases that it sees before the first test.
    """
    if request.param == "postgres":
        request.getfixturevalue("postgres_default")
    return str(request.param)


@pytest.fixture
def both(either: str) -> Iterator[World]:
    """Three hosts as above, on each of the two databases."""
    with a_world("node1", "node2", "node3") as made:
        yield made
