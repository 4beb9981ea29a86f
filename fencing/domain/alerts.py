"""Everything that may need a person, each with one sentence of cure."""

from enum import StrEnum


class AlertKind(StrEnum):
    """What is wrong; one open alert per kind and subject."""

    HOST_NOT_RESPONDING = "host_not_responding"
    CONFIRM_REBOOT = "confirm_reboot"  # a person's word is the only way on
    HOST_DEGRADED = "host_degraded"
    FENCE_FAILED = "fence_failed"
    FENCE_HELD = "fence_held"  # a guard stopped it
    RECOVERY_FAILED = "recovery_failed"  # libvirtd could not be restarted over SSH
    BMC_AUTH = "bmc_auth"
    BMC_FOREIGN = "bmc_foreign"  # answers with another machine's identity
    BMC_UNREACHABLE = "bmc_unreachable"
    CONTRADICTION = "contradiction"
    SPLIT_BRAIN = "split_brain"
    FORGETFUL_DATABASE = "forgetful_database"
    PROOF_DISPROVED = "proof_disproved"
    NO_ROOM = "no_room"
    ONE_HOST_ONLY = "one_host_only"  # HA is on, and no second host could run it
    AWAY_FROM_HOME = "away_from_home"  # a better host of its rule has room
    CANNOT_MOVE = "cannot_move"  # its host is to be emptied
    START_FAILED = "start_failed"
    WAITS_FOR_HOST = "waits_for_host"  # shut down with its host, to start there again
    ONLY_OBSERVING = "only_observing"  # it would be started if the cluster were armed
    VM_DESTROYED = "vm_destroyed"
    VM_HELD = "vm_held"  # locked, suspended or with bad disks: HA may not start it
    LEASE_HELD = "lease_held"  # sanlock does not let it start: its old host may hold its lease
    VM_PAUSED = "vm_paused"
    VM_OUT_OF_SIGHT = "vm_out_of_sight"  # neither running nor provably off
    BOOT_OVERDUE = "boot_overdue"
    REMOVED_VM_RUNS = "removed_vm_runs"  # started by somebody else since its removal
    STAYS_OFF = "stays_off"  # switched on as often as policy allows
    NOTIFICATION_FAILING = "notification_failing"  # somebody is not told of what happens here


CURE: dict[AlertKind, str] = {
    AlertKind.HOST_NOT_RESPONDING: "Wait: the portal is gathering evidence and will act or ask.",
    AlertKind.CONFIRM_REBOOT: (
        "Go and look at the machine. When it is certainly off or has been rebooted, "
        'confirm it with "Confirm host rebooted"; its VMs restart at once.'
    ),
    AlertKind.HOST_DEGRADED: (
        "Its VMs seem to run. Log in to the host and repair libvirtd or its network; "
        "nothing is restarted meanwhile."
    ),
    AlertKind.FENCE_FAILED: (
        "Check the BMC's address, cable and account; the portal keeps trying. "
        "If you know that the host is off, confirm it by hand."
    ),
    AlertKind.FENCE_HELD: "Read which guard holds the fence back, and remove its reason.",
    AlertKind.RECOVERY_FAILED: (
        "Do what the text says, or restart libvirtd on the host by hand; its VMs run on meanwhile."
    ),
    AlertKind.BMC_AUTH: (
        "Enter the BMC's right user and password under power controllers, or repair them on the "
        "BMC and ask it at once; it is seldom asked by itself, lest it lock the account."
    ),
    AlertKind.BMC_FOREIGN: (
        "The address leads to another machine's BMC. Correct the address, or swap the two entries."
    ),
    AlertKind.BMC_UNREACHABLE: "Check the BMC's address, cable and network.",
    AlertKind.CONTRADICTION: (
        "The BMC says off while the host answers: it is another machine's, or it lies. "
        "Correct its address and test it again; it proves nothing until then."
    ),
    AlertKind.SPLIT_BRAIN: (
        "Two copies of this VM, or two VMs on one disk, were seen. Compare them, keep one (or "
        "give each VM a disk of its own), and release the quarantine."
    ),
    AlertKind.FORGETFUL_DATABASE: (
        "A host shows newer data than this database, or another portal's. Find out which "
        "portal is the right one before anything is started."
    ),
    AlertKind.PROOF_DISPROVED: (
        "The host came back as if it had never been off. Check who confirmed it or which BMC "
        "said so; its old copies are suspended."
    ),
    AlertKind.NO_ROOM: "Make room on a host, add one, or lower what the VM needs.",
    AlertKind.ONE_HOST_ONLY: (
        "Give a second host what it needs (CPU, network, storage, a place in its rule), or "
        "switch HA off for it."
    ),
    AlertKind.AWAY_FROM_HOME: "Move it there, or switch failback off for it.",
    AlertKind.CANNOT_MOVE: (
        "Read why, and see to it; or shut the VM down. Its host is emptied once nothing runs there."
    ),
    AlertKind.WAITS_FOR_HOST: (
        "Switch its host on again, or start the VM by hand: it then goes to another host."
    ),
    AlertKind.ONLY_OBSERVING: "Arm HA in its cluster, or start it by hand.",
    AlertKind.START_FAILED: "Read the host's own error in the operation, and repair its cause.",
    AlertKind.VM_DESTROYED: "Somebody stopped it on the host itself. Start it if that was wrong.",
    AlertKind.VM_HELD: (
        "Wait until the lock is gone, or take it away; repair its disks and take their mark away; "
        "or start it by hand, if it was suspended."
    ),
    AlertKind.LEASE_HELD: (
        "Wait: sanlock grants the lease when its old host is dead by sanlock's own rules, 140 s "
        "after its last sign. If that host lives and nobody reaches it, switch it off."
    ),
    AlertKind.VM_PAUSED: (
        "Its storage failed, or it crashed and was kept for a look. Repair the cause, then "
        "resume it, or stop it and start it again."
    ),
    AlertKind.VM_OUT_OF_SIGHT: (
        "It restarts when every host of the cluster has answered without it. Repair the silent "
        "hosts, or confirm by hand those that are certainly off."
    ),
    AlertKind.BOOT_OVERDUE: "It was powered on and does not answer. Look at its console.",
    AlertKind.REMOVED_VM_RUNS: (
        "Nobody protects it, and nothing keeps a second copy away. Adopt it from that host, or "
        "stop and undefine it there."
    ),
    AlertKind.STAYS_OFF: (
        "It went off again after each power-on. Find out why, then switch it on by hand."
    ),
    AlertKind.NOTIFICATION_FAILING: (
        "Read why in the log of deliveries, repair the receiver or correct the target, then "
        "test it; what was not delivered can be sent again from the log."
    ),
}
