"""Fault words about SSH: how a restart of libvirtd ends there instead."""

from collections.abc import Mapping

from fencing.domain.recovery import RecoveryOutcome
from portal.sim.scene import Scene, Word


def _fail(scene: Scene, host: str, outcome: str) -> None:
    scene.world.ssh.fails[host] = RecoveryOutcome(outcome)


def _repair(scene: Scene, host: str) -> None:
    scene.world.ssh.fails.pop(host, None)


SSH_WORDS: Mapping[str, Word] = {
    "ssh.fail": Word(_fail, ("host", "outcome")),
    "ssh.repair": Word(_repair, ("host",)),
}
