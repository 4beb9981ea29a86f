"""What the simulator's tests share."""

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture
def private_database(django_db_blocker: Any) -> Iterator[None]:
    """Allow the full depth its own database in memory; the test database is not touched."""
    with django_db_blocker.unblock():
        yield
