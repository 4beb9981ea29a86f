"""Power drivers by name: which class talks to a BMC is a setting."""

from django.conf import settings
from django.utils.module_loading import import_string

from fencing.domain.power import PowerProblem
from fencing.power.port import Bmc, Power, PowerError

_installed: dict[str, Power] = {}
_built: dict[str, Power] = {}


def power_for(bmc: Bmc) -> Power:
    """Return the driver that ``bmc`` names; ``PowerError(BAD_SETTINGS)`` if there is none."""
    found = _installed.get(bmc.driver) or _built.get(bmc.driver)
    if found is None:
        found = _built.setdefault(bmc.driver, _build(bmc.driver))
    return found


def install(driver_name: str, power: Power | None) -> None:
    """Use ``power`` under this name from now on (None: the one of the settings)."""
    if power is None:
        _installed.pop(driver_name, None)
    else:
        _installed[driver_name] = power


def _build(name: str) -> Power:
    path = settings.POWER_DRIVERS.get(name)
    if path is None:
        known = ", ".join(sorted({*settings.POWER_DRIVERS, *_installed})) or "none"
        raise PowerError(
            PowerProblem.BAD_SETTINGS,
            f"There is no power driver “{name}”; choose one of these: {known}.",
        )
    driver: Power = import_string(path)()
    return driver
