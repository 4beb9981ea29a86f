"""One fresh box per test: it starts in a quarter of a second."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.demo.helpers import Running, running


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Running]:
    """A box with its VMs running."""
    with running(tmp_path / "demo") as centre:
        centre.do("box.populate")
        yield centre
