"""Words of power: what a BMC can say, and how a fence can end."""

from enum import StrEnum


class PowerState(StrEnum):
    """Chassis power as a BMC reads it back."""

    ON = "on"
    OFF = "off"
    TURNING_OFF = "turning_off"  # some BMCs say so between the wish and the relay
    UNKNOWN = "unknown"


class PowerProblem(StrEnum):
    """Why a BMC gave no usable answer."""

    REFUSED_AUTH = "refused_auth"  # fatal until the settings change
    UNREACHABLE = "unreachable"
    TIMED_OUT = "timed_out"
    BAD_SETTINGS = "bad_settings"  # fatal until the settings change


FATAL = frozenset({PowerProblem.REFUSED_AUTH, PowerProblem.BAD_SETTINGS})


class FenceOutcome(StrEnum):
    """How a fence ended; only ``confirmed_off`` is a proof."""

    CONFIRMED_OFF = "confirmed_off"
    REFUSED_AUTH = "refused_auth"
    UNREACHABLE = "unreachable"
    CONTRADICTION = "contradiction"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
