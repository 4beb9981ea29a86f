"""A machine or BMC that cannot be entered, as an error of the field that leads to it."""

from collections.abc import Iterator
from contextlib import contextmanager

from portal.core.problems import Problem
from vms.operations.entering import Unfit


@contextmanager
def refused(under: str = "") -> Iterator[None]:
    """Turn :class:`Unfit` into a problem: 400, nothing was changed.

    ``under`` is the field whose parts are told about.
    """
    try:
        yield
    except Unfit as error:
        cure = f"{error.cure} Try: {error.command}" if error.command else error.cure
        field = ".".join(filter(None, (under, error.field)))
        raise Problem(400, "unfit", str(error), cure=cure, field=field) from None
