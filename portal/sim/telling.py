"""Each step of a simulation as a sentence for people, and the reason for it where there is one."""

from fencing.domain.alerts import CURE, AlertKind
from portal.sim.steps import Step
from portal.templatetags.look import LOOKS, rule_words, words

#: Fault word -> sentence; {host}, {vm} and {args} (all arguments) are known.
FAULTS = {
    "admin.confirm_rebooted": "A person confirms that {host} was rebooted",
    "admin.activate": "A person activates {host}",
    "admin.arm": "A person arms HA",
    "admin.maintenance": "A person sends {host} into maintenance",
    "admin.observe": "A person lets HA only observe",
    "admin.shutdown": "A person shuts {vm} down",
    "admin.start": "A person starts {vm}",
    "admin.stop": "A person stops {vm}",
    "bmc.auth_fail": "The BMC of {host} refuses the account",
    "bmc.fail": "The BMC of {host} can no longer be reached",
    "bmc.lie": "The BMC of {host} lies: {args}",
    "bmc.repair": "The BMC of {host} is repaired",
    "bmc.slow_off": "The BMC of {host} takes its time to switch off: {args}",
    "bmc.swap": "The cables of two BMCs are swapped: {args}",
    "engine.crash": "The engine dies",
    "engine.isolate": "The engine is cut off from everything",
    "engine.rejoin": "The engine is connected again",
    "engine.start": "The engine starts again",
    "host.hang": "{host} hangs: it freezes as a whole",
    "host.isolate": "{host} is cut off from the network, and goes on running",
    "host.libvirtd_restart": "libvirtd on {host} restarts",
    "host.lose_marker": "{host} loses the marker of its boot",
    "host.panic": "The kernel of {host} panics; the power stays on",
    "host.power_off": "{host} is switched off",
    "host.power_on": "{host} is switched on",
    "host.reboot": "{host} restarts, unasked",
    "host.rejoin": "{host} is connected again",
    "host.thaw": "{host} thaws: it goes on where it froze",
    "kdump.message": "{host} says over the network that its crash kernel writes a dump",
    "libvirt.external_destroy": "Somebody ends {vm} on its host, past the portal",
    "libvirt.external_start": "Somebody starts {vm} on {host}, past the portal",
    "power.cut": "{host} and its BMC lose their electricity together",
    "power.restore": "{host} and its BMC have electricity again",
    "sanlock.crash": "sanlock on {host} crashes: its heartbeat stops",
    "sanlock.release": "sanlock on {host} gives its place back: its heartbeat ends",
    "sanlock.stall": "sanlock on {host} stalls: its heartbeat stops for a while",
    "site.power_cut": "The electricity of the whole site fails",
    "site.power_restore": "The electricity of the whole site is back",
    "storage.lose": "{host} loses a storage domain: {args}",
    "storage.regain": "{host} has a storage domain again: {args}",
    "storage.stale_read": "A neighbour reads old heartbeats: {args}",
    "storage.stall": "A storage domain stalls for every host: {args}",
    "vm.crash": "{vm} crashes",
    "vm.guest_shutdown": "{vm} shuts itself down from inside",
    "vm.start_fails": "{vm} cannot be started on {host} from now on",
    "vm.start_hangs": "A start of {vm} on {host} hangs",
}

#: Kind of event -> sentence; {host}, {vm} and {detail} are known.
EVENTS = {
    "bmc.distrusted": "The BMC of {host} is not believed any more",
    "bmc.problem": "The BMC of {host} gives no usable answer: {detail}",
    "bmc.reading": "The BMC of {host} says {detail}",
    "capacity.warned": "After this start the cluster could not lose a host any more",
    "confirm.asked": "The portal takes the word of a person about {host}",
    "confirm.override": "The word of a person about {host} stands against evidence",
    "confirm.refused": "The portal refuses the word of a person about {host}",
    "database.forgetful": "{host} shows newer data than this database",
    "fence.failed": "Fencing {host} failed: {detail}",
    "fence.step": "Fencing {host}: {detail}",
    "host.answers": "{host} answers again",
    "host.compared": "The VMs on {host} have been compared with the portal's runs",
    "host.disproved": "{host} was never off: the proof about it was false",
    "host.proven_dumping": "{host} is proven dead: its crash kernel writes a dump",
    "host.proven_off": "{host} is proven off",
    "host.wanted": "A person has changed what is wanted of {host}",
    "run.proof": "The run of {vm} on {host} is proven over: it may start elsewhere",
    "storage.heartbeat": "The storage heartbeat of {host}, read through a neighbour: {detail}",
    "vm.adopted": "{vm} is found running on {host} and taken over",
    "vm.running": "{vm} runs on {host}",
    "vm.split_brain": "A second copy of {vm} is found on {host}: {vm} is quarantined",
    "vm.start_failed": "{vm} could not be started on {host}",
    "vm.starting": "{vm} is started on {host}",
    "vm.wanted_down": "{vm} is wanted down from now on",
    "vm.wanted_up": "{vm} is wanted up from now on",
}


def told(step: Step) -> str:
    """Return what happens in this step, as a sentence without its full stop."""
    if step.is_fault:
        return FAULTS.get(step.kind, f"{step.kind} {{args}}").format(
            host=step.host, vm=step.vm, args=step.detail
        )
    known = EVENTS.get(step.kind) or _by_table(step)
    return known.format(host=step.host, vm=step.vm, detail=words(step.detail))


def _by_table(step: Step) -> str:
    first, _, value = step.kind.partition(".")
    if first == "alert":
        return f"A person is told of {step.vm or step.host or 'the cluster'}: {words(value)}"
    if first in ("host", "ha") and value in LOOKS[first]:
        what = "The status of {host}" if first == "host" else "HA of {host}"
        return f"{what} is now “{LOOKS[first][value][2]}”"
    return f"{step.vm or step.host or 'the cluster'}: {words(step.kind)} {{detail}}".rstrip()


def why(step: Step) -> str:
    """Return the reason for a step: its rule or proof, or what a person is to do."""
    if step.is_fault:
        return "That person is wrong" if _is_wrong_word(step) else ""
    first, _, value = step.kind.partition(".")
    if first == "alert":
        return CURE.get(AlertKind(value), "")
    words_of_rule = rule_words(step.detail)
    return words_of_rule if words_of_rule != step.detail else ""


def _is_wrong_word(step: Step) -> bool:
    return step.kind == "admin.confirm_rebooted" and step.detail.endswith("False")
