"""The lease volumes over the wire: their index and their slots."""

from portal.sim.wire import Wait, Wire


def index(wire: Wire, reader: str, domain: str, slots: int, deadline: float) -> Wait[bytes]:
    """Read the index of a lease volume, as ``reader`` sees it."""
    memory = wire.world.storage.memory
    return (
        yield from wire.through(
            reader, deadline, lambda by: memory.index(by, domain, slots, deadline=deadline)
        )
    )


def write_index(
    wire: Wire, writer: str, place: tuple[str, int], raw: bytes, deadline: float
) -> Wait[None]:
    """Write the index sector of a slot; ``place`` is its domain and its number."""
    memory = wire.world.storage.memory
    yield from wire.write(
        writer, deadline, lambda by: memory.write_index(by, *place, raw, deadline=deadline)
    )


def write_slot(
    wire: Wire, writer: str, place: tuple[str, int], raw: bytes, deadline: float
) -> Wait[None]:
    """Write a whole slot."""
    memory = wire.world.storage.memory
    yield from wire.write(
        writer, deadline, lambda by: memory.write_slot(by, *place, raw, deadline=deadline)
    )
