"""What services refuse, as the errors that callers are told."""

from collections.abc import Iterator
from contextlib import contextmanager

from fencing.services.inventory import NotAllowed
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


@contextmanager
def allowed() -> Iterator[None]:
    """Turn :class:`NotAllowed` into a problem: 409, nothing was changed."""
    try:
        yield
    except NotAllowed as error:
        raise Problem(409, "not_allowed", str(error), cure=error.cure) from None
