"""What a fault word may touch, and what a word is."""

from collections.abc import Callable
from dataclasses import dataclass, field

from portal.sim.portal import Portal
from portal.sim.world import World


@dataclass
class Scene:
    """What a fault may touch."""

    world: World
    portal: Portal
    on_purpose: dict[str, int]  # VMs that somebody shut down, and when (ms)
    armed: bool = True
    observed: int = 0  # how often somebody has changed that
    departing: set[str] = field(default_factory=set)  # hosts that a person is sending off
    departed: set[str] = field(default_factory=set)  # ... or has ever
    brought_back: set[str] = field(default_factory=set)  # of these, at the end of all faults
    ha: set[str] = field(default_factory=set)  # VMs that HA protects


@dataclass(frozen=True, slots=True)
class Word:
    """One fault word."""

    act: Callable[..., None]
    needs: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()
