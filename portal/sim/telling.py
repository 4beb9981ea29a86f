"""Each step of a simulation as a sentence for people, and the reason for it where there is one."""

from fencing.domain.alerts import CURE, AlertKind
from portal.sim.steps import Step
from portal.templatetags.look import LOOKS, rule_words, words

#: Fault word -> sentence; {host}, {vm} and {args} (all arguments) are known.
FAULTS = {
    "admin.accept_database": "A person accepts the database as it is now",
    "admin.activate": "A person activates {host}",
    "admin.add_vm": "A person enters a VM: {args}",
    "admin.arm": "A person arms HA",
    "admin.confirm_rebooted": "A person confirms that {host} was rebooted",
    "admin.maintenance": "A person sends {host} into maintenance",
    "admin.ha": "A person changes whether and how HA protects {vm}: {args}",
    "admin.mark_disks": "A person marks the disks of {vm} as unusable",
    "admin.migrate": "A person has a running VM moved to another host: {args}",
    "admin.observe": "A person lets HA only observe",
    "admin.power_on": "Somebody presses the power button of {host}",
    "admin.reboot_host": "A person has {host} rebooted",
    "admin.remove_vm": "A person removes {vm} from the portal",
    "admin.resume": "A person resumes {vm}",
    "admin.set_policy": "A person changes the policy: {args}",
    "admin.shutdown": "A person shuts {vm} down",
    "admin.shutdown_host": "A person has {host} shut down",
    "admin.start": "A person starts {vm}",
    "admin.start_host": "A person has {host} switched on",
    "admin.stop": "A person stops {vm}",
    "admin.suspend": "A person suspends {vm}",
    "bmc.auth_fail": "The BMC of {host} refuses the account",
    "bmc.fail": "The BMC of {host} can no longer be reached",
    "bmc.lie": "The BMC of {host} lies: {args}",
    "bmc.repair": "The BMC of {host} is repaired",
    "bmc.slow_off": "The BMC of {host} takes its time to switch off: {args}",
    "bmc.swap": "The cables of two BMCs are swapped: {args}",
    "db.lose": "The database cannot be used for this many seconds: {args}",
    "db.restore_old": "The database is put back from a backup, this many seconds old: {args}",
    "engine.clock_skew": "The clock of the engine's machine is wrong: {args}",
    "engine.crash": "The engine dies",
    "engine.isolate": "The engine is cut off from everything",
    "engine.pause": "The engine is stopped, and goes on later with what it knew: {args}",
    "engine.rejoin": "The engine is connected again",
    "engine.start": "The engine starts again",
    "host.autostart": "{host} starts a guest by itself when it boots: {args}",
    "host.clock_skew": "The clock of {host} is wrong: {args}",
    "host.hibernate": "{host} suspends to disk and goes off",
    "host.hang": "libvirtd on {host} hangs; its VMs run on",
    "host.isolate": "{host} is cut off from the network, and goes on running",
    "host.libvirtd_restart": "libvirtd on {host} restarts",
    "host.lose_marker": "{host} loses the marker of its boot",
    "host.panic": "The kernel of {host} panics; the power stays on",
    "host.power_off": "{host} is switched off",
    "host.power_on": "{host} is switched on",
    "host.reboot": "{host} restarts, unasked",
    "host.rejoin": "{host} is connected again",
    "host.shutdown": "{host} shuts itself and its guests down: {args}",
    "host.thaw": "{host} thaws: it goes on where it froze",
    "host.unkillable": "Processes on {host} cannot be ended",
    "kdump.message": "{host} says over the network that its crash kernel writes a dump",
    "libvirt.external_destroy": "Somebody ends {vm} on its host, past the portal",
    "libvirt.external_migrate": "Somebody migrates a running VM past the portal: {args}",
    "libvirt.external_start": "Somebody starts {vm} on {host}, past the portal",
    "lease.add": "A person gives a VM a lease: {args}",
    "lease.move": "A person moves a lease of a VM: {args}",
    "lease.remove": "A person takes a lease from a VM: {args}",
    "link.cut": "A network link is cut: {args}",
    "link.heal": "A network link is whole again: {args}",
    "power.cut": "{host} and its BMC lose their electricity together",
    "power.restore": "{host} and its BMC have electricity again",
    "redis.lose": "No message arrives for this many seconds: {args}",
    "sanlock.crash": "sanlock on {host} crashes: its heartbeat stops",
    "sanlock.no_watchdog": "The watchdog of {host} does not work, and nobody knows",
    "sanlock.release": "sanlock on {host} gives its place back: its heartbeat ends",
    "sanlock.stall": "sanlock on {host} stalls: its heartbeat stops for a while",
    "site.power_cut": "The electricity of the whole site fails",
    "site.power_restore": "The electricity of the whole site is back",
    "ssh.fail": "A restart of libvirtd over SSH will not work: {args}",
    "ssh.repair": "SSH to {host} works again",
    "storage.delay_write": "What a machine writes at its end reaches its disks late: {args}",
    "storage.lose": "{host} loses a storage domain: {args}",
    "storage.regain": "{host} has a storage domain again: {args}",
    "storage.stale_read": "A neighbour reads old heartbeats: {args}",
    "storage.stall": "A storage domain stalls for every host: {args}",
    "task.delay": "All messages between the portal's processes are late: {args}",
    "task.duplicate": "Messages between the portal's processes come twice: {args}",
    "vm.crash": "{vm} crashes",
    "vm.deaf": "{vm} does not react to its power button",
    "vm.guest_shutdown": "{vm} shuts itself down from inside",
    "vm.io_error_pause": "{vm} is paused on a storage error",
    "vm.lock": "{vm} is locked",
    "vm.same_disk": "Somebody lets a VM write to the disk of another one: {args}",
    "vm.migration_fails": "The next migrations of {vm} fail: {args}",
    "vm.post_copy_fails": "The migration of {vm} breaks with half of its memory on each host",
    "vm.start_fails": "{vm} cannot be started on {host} from now on",
    "vm.start_hangs": "A start of {vm} on {host} hangs",
    "vm.unlock": "{vm} is unlocked",
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
    "database.accepted": "The database is believed again",
    "database.forgetful": "{host} shows newer data than this database",
    "database.restored": "The database is older than what this engine remembers",
    "depart.asked": "A person has asked {host} to go: {detail}",
    "depart.failed": "{host} did not go: {detail}",
    "depart.step": "{host} goes: {detail}",
    "fence.failed": "Fencing {host} failed: {detail}",
    "fence.step": "Fencing {host}: {detail}",
    "host.answers": "{host} answers again",
    "host.compared": "The VMs on {host} have been compared with the portal's runs",
    "host.disproved": "{host} goes on as if it had never been off: the proof does not hold",
    "host.proven_dumping": "{host} is proven dead: its crash kernel writes a dump",
    "host.proven_off": "{host} is proven off",
    "host.rebooted": "{host} has rebooted, as a person asked",
    "host.shut_down": "{host} is shut down, as a person asked",
    "host.wanted": "A person has changed what is wanted of {host}",
    "lease.freed": "{host} is marked free, so that sanlock gives its leases at once",
    "lease.not_freed": "{host} could not be marked free: its leases wait for sanlock",
    "power.on_asked": "A person has {host} switched on",
    "recovery.asked": "libvirtd on {host} is to be restarted over SSH",
    "recovery.tried": "Restarting libvirtd on {host} over SSH: {detail}",
    "run.proof": "The run of {vm} on {host} is proven over: it may start elsewhere",
    "storage.heartbeat": "The storage heartbeat of {host}, read through a neighbour: {detail}",
    "vm.adopted": "{vm} is found running on {host} and taken over",
    "vm.added": "A person has entered {vm}",
    "vm.disk_clash": "{vm} shares a disk with another VM, as seen on {host}: it is quarantined",
    "vm.edited": "A person has changed {vm}",
    "vm.goes_on": "{vm} goes on: its storage is back",
    "vm.io_error": "{vm} was paused on {host} by a storage error",
    "vm.lease_held": "{host} may not start {vm}: sanlock does not give it the lease",
    "vm.locked": "{vm} is locked: {detail}",
    "vm.removed": "A person has removed {vm} from the portal",
    "vm.migrating": "{vm} is being moved to {host} while it runs",
    "vm.migration_failed": "{vm} was not moved to {host}",
    "vm.moved": "The run of {vm} goes on at {host}",
    "vm.stamped": "The copy of {vm} on {host} carries the mark of its new run",
    "vm.running": "{vm} runs on {host}",
    "vm.seen_after_removal": "{vm}, which was removed, runs on {host}: it is left alone",
    "vm.split_brain": "A second copy of {vm} is found on {host}: {vm} is quarantined",
    "vm.start_failed": "{vm} could not be started on {host}",
    "vm.starting": "{vm} is started on {host}",
    "vm.take_over_refused": "{host} does not get {vm}",
    "vm.taken_over": "Sanlock has granted {vm} to {host}: its run goes on there",
    "vm.taking_over": "{host} asks sanlock for {vm}, whose host is dead by sanlock's rules",
    "vm.unlocked": "{vm} is unlocked",
    "vm.wanted_down": "{vm} is wanted down from now on",
    "vm.wanted_up": "{vm} is wanted up from now on",
}


def told(step: Step) -> str:
    """Return what happens in this step, as a sentence without its full stop."""
    if step.is_fault:
        return FAULTS.get(step.kind, f"{step.kind} {{args}}").format(
            host=step.host, vm=step.vm, args=words(step.detail)
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
