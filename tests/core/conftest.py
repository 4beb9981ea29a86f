"""The worlds of tests/vms, here too."""

from tests.vms.conftest import both, either, world

__all__ = ["both", "either", "world"]
