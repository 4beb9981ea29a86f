"""The scenario folders of this installation, read once and again only when they change."""

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from django.conf import settings

from portal.sim.picture import Picture, picture
from portal.sim.scenario import BadScenario, Scenario, load

_NAME = re.compile(r"[a-z0-9_]{1,120}\Z")  # a longer one is no file name either
_FILES = ("README.md", "scenario.yaml")
_CAPITALS = {name.lower(): name for name in ("BMC", "BMCs", "CPU", "HA", "VM", "VMs")}


class NoScenario(Exception):
    """There is no scenario of that name, or it cannot be understood; the text says which."""


@dataclass(frozen=True, slots=True)
class Told:
    """A scenario and the sentence of its README."""

    name: str
    sentence: str
    scenario: Scenario

    @property
    def title(self) -> str:
        """The folder's name as words."""
        said = " ".join(_CAPITALS.get(part, part) for part in self.name.split("_"))
        return said[:1].upper() + said[1:]

    @property
    def faults(self) -> tuple[str, ...]:
        """The fault words that are played, each once, in the order of time."""
        return tuple(dict.fromkeys(event.do for event in self.scenario.events))


@dataclass(frozen=True, slots=True)
class Shown(Told):
    """A scenario that was played: its picture, its log, and what was expected in vain."""

    picture: Picture
    log: tuple[str, ...]
    wrong: tuple[str, ...]


def scenarios() -> list[Told]:
    """Return all scenarios by name; none where the folder is missing."""
    folders = sorted(path.parent for path in settings.SCENARIOS.glob("*/scenario.yaml"))
    found = []
    for folder in folders:
        try:
            found.append(_told(folder, _changed(folder)))
        except BadScenario:
            continue  # its own page says what is wrong
    return found


def shown(name: str) -> Shown:
    """Play a scenario in the pure depth, which touches no database, or take it as played."""
    folder = settings.SCENARIOS / name
    if not _NAME.match(name) or not (folder / "scenario.yaml").is_file():
        raise NoScenario(f"There is no scenario named “{name}”: /simulator/ lists them all.")
    try:
        return _shown(folder, _changed(folder))
    except BadScenario as error:
        raise NoScenario(f"The scenario cannot be understood: {error}") from None


def _changed(folder: Path) -> tuple[int, ...]:
    """Return when its files were written last: what is kept holds for these."""
    files = [folder / name for name in _FILES]
    return tuple(path.stat().st_mtime_ns if path.is_file() else 0 for path in files)


@lru_cache(maxsize=1024)
def _told(folder: Path, changed: tuple[int, ...]) -> Told:
    readme = folder / "README.md"
    sentence = readme.read_text(encoding="utf-8").strip() if readme.is_file() else ""
    try:
        return Told(folder.name, sentence, load(folder))
    except (AttributeError, TypeError, ValueError) as error:
        raise BadScenario(" ".join(str(error).split())) from None


@lru_cache(maxsize=64)
def _shown(folder: Path, changed: tuple[int, ...]) -> Shown:
    from portal.sim.report import unmet  # noqa: PLC0415 - as below
    from portal.sim.simulation import simulate  # noqa: PLC0415 - it loads the whole engine

    told = _told(folder, changed)
    outcome = simulate(told.scenario, "pure")
    return Shown(
        told.name,
        told.sentence,
        told.scenario,
        picture(told.scenario, outcome.log, outcome.truth),
        outcome.log,
        (*outcome.violations, *unmet(outcome)),
    )
