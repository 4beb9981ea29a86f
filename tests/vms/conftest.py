"""Worlds of three hosts, on SQLite and on a real PostgreSQL."""

from collections.abc import Iterator

import pytest

from tests.vms.world import World, a_world


@pytest.fixture
def world(transactional_db: None) -> Iterator[World]:
    """Three hosts that are up, in an armed cluster, on SQLite."""
    with a_world("node1", "node2", "node3") as made:
        yield made


@pytest.fixture(params=["transactional_db", "postgres_default"], ids=["sqlite", "postgres"])
def both(request: pytest.FixtureRequest) -> Iterator[World]:
    """The same on SQLite and on PostgreSQL."""
    request.getfixturevalue(request.param)
    with a_world("node1", "node2", "node3") as made:
        yield made
