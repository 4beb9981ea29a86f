"""A machine or BMC that cannot be entered, as an error of the field that leads to it."""

from collections.abc import Iterator
from contextlib import contextmanager

from portal.core.problems import Problem
from vms.operations.entering import Unfit


@contextmanager
def refused() -> Iterator[None]:
    """Turn :class:`Unfit` into a problem: 400, nothing was changed."""
    try:
        yield
    except Unfit as error:
        raise Problem(400, "unfit", str(error), cure=error.cure, field=error.field) from None
