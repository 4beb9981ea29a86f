"""The fields of a request to the box, checked: each error names the field and the cure."""

from typing import TYPE_CHECKING, Any

from portal.demo.bmc import Bmc
from portal.demo.layout import BoxVm
from portal.demo.machine import Machine

if TYPE_CHECKING:
    from portal.demo.supervisor import DataCentre


class BadRequest(Exception):
    """The request cannot be done; the text names the field and the cure."""

    def __init__(self, text: str, known: list[str] | None = None) -> None:
        super().__init__(text)
        self.known = known


class Fields:
    """The fields of one request, looked up in the data centre."""

    def __init__(self, centre: "DataCentre", raw: dict[str, Any]) -> None:
        self._centre = centre
        self._raw = raw

    def _named(self, field: str, known: list[str]) -> str:
        value = self._raw.get(field)
        if not isinstance(value, str) or value not in known:
            said = f"“{field}” is missing" if value is None else f"there is no {field} {value!r}"
            raise BadRequest(f"{said}: give one of {', '.join(known)}", known)
        return value

    def machine(self, field: str = "host") -> Machine:
        """Return the machine that the field names."""
        return self._centre.machines[self._named(field, list(self._centre.machines))]

    def bmc(self, field: str = "host") -> Bmc:
        """Return the BMC of the host that the field names."""
        return self._centre.bmcs[self._named(field, list(self._centre.bmcs))]

    def vm(self) -> BoxVm:
        """Return the VM that ``vm`` names."""
        box = self._centre.box
        vms = {vm.name: vm for vm in (*box.vms, *box.spare_vms)}
        return vms[self._named("vm", list(vms))]

    def seconds(self, field: str = "s") -> float:
        """Return a number of seconds, 0 or more."""
        value = self._raw.get(field)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 3600:
            raise BadRequest(f"“{field}” must be a number of seconds from 0 to 3600")
        return float(value)

    def choice(self, field: str, *options: str, default: str | None = None) -> str:
        """Return one of ``options``."""
        if default is not None and field not in self._raw:
            return default
        return self._named(field, list(options))

    def flag(self, field: str, *, default: bool) -> bool:
        """Return true or false."""
        value = self._raw.get(field, default)
        if not isinstance(value, bool):
            raise BadRequest(f"“{field}” must be true or false")
        return value

    def texts(self, field: str) -> dict[str, str]:
        """Return a map of names to texts (empty when it is not given)."""
        value = self._raw.get(field, {})
        if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
            raise BadRequest(f"“{field}” must be an object of texts")
        return value
