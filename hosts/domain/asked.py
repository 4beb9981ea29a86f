"""What a domain asks of a host besides memory and vcpus."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Asked:
    """CPU, networks and pools that a definition names; empty: nothing in particular."""

    cpu: str = ""  # architecture/model
    networks: tuple[str, ...] = ()
    storage: tuple[str, ...] = ()  # pools
