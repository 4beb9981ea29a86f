"""The truth of a simulated data centre: who executes where, who has power.

Made of the same in-memory machines and BMCs that the contract tests hold
against the real ones.  The portal sees it only through ``portal.sim.wire``.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from fencing.domain.power import PowerState
from fencing.power.memory import MemoryBmc, MemoryPower
from fencing.recovery.memory import MemoryRestarter
from hosts.domain.looks import GuestReason, GuestState, SeenGuest, Stamp
from hosts.hypervisor.memory import MemoryHost
from portal.sim.storage import StorageWorld
from portal.sim.timeline import Timeline
from portal.sim.transfers import Transfers
from portal.sim.worldly import Copy, WorldVm
from vms.domain.condition import is_paused_by_storage

INSTALLATION = "simulated-installation"
BMC_PORT = 623
#: Seconds from power-on to the first answer of libvirtd.
BOOT_S = 15.0
#: Seconds that a machine needs to shut down when its power button is pressed.
STOP_S = 5.0
#: A proof may follow the lie that it rests on by this much.
LIE_MS = 30_000


@dataclass
class World:
    """All machines, by name; every change goes through a method and bumps ``version``."""

    line: Timeline
    hosts: dict[str, MemoryHost] = field(default_factory=dict)
    host_pks: dict[str, int] = field(default_factory=dict)
    vms: dict[str, WorldVm] = field(default_factory=dict)
    power: MemoryPower = field(init=False)
    bmcs: dict[str, MemoryBmc] = field(default_factory=dict)
    booted_ms: dict[str, int] = field(default_factory=dict)
    outside: set[tuple[str, str]] = field(default_factory=set)  # (vm, host) started by strangers
    misled_ms: dict[str, int] = field(default_factory=dict)  # when a person was wrong about a host
    lied_ms: dict[str, int] = field(default_factory=dict)  # when its own BMC last said off wrongly
    wired_to: dict[str, str] = field(default_factory=dict)  # BMC address: machine, where swapped
    hanging: set[tuple[str, str]] = field(default_factory=set)  # (host, uuid): a create on its way
    forgotten: dict[str, set[str]] = field(default_factory=dict)  # host: executing, out of sight
    vouched: set[str] = field(default_factory=set)  # whose watchdog the portal was told of
    swapped_ms: int = -1_000_000
    engine_cut_off: bool = False  # the engine reaches nobody: no host, BMC or witness
    own_vm: str = ""  # the VM that the portal runs in
    own_uuid: str = ""
    storage: StorageWorld = field(init=False)
    transfers: Transfers = field(init=False)
    ssh: MemoryRestarter = field(init=False)
    version: int = 0
    _boots: dict[str, int] = field(default_factory=dict)
    _known: tuple[int, list[Copy]] = (-1, [])

    def __post_init__(self) -> None:
        self.storage, self.transfers = StorageWorld(self), Transfers(self)
        self.ssh = MemoryRestarter(
            lambda name: self.restart_libvirtd(name, forget=False), self.is_reached
        )
        self.power = MemoryPower(
            now=lambda: self.line.seconds, on_power=self._relay, on_button=self._button
        )

    def add_host(
        self, pk: int, name: str, memory_mib: int, vcpus: int, *, on: bool, bmc: bool
    ) -> None:
        """Put a machine and, if it has one, its BMC into the world."""
        uuid = f"00000000-0000-4000-8000-0000000001{pk:02x}"
        host = MemoryHost(uuid, name, memory_mib, vcpus, uptime=lambda: self._uptime(name))
        self.hosts[name], self.host_pks[name] = host, pk
        self.forgotten[name] = set()
        self.transfers.watch(name, host)
        self.booted_ms[name] = -3_600_000
        host.marker = f"first-{pk}" if on else None
        host.powered = on
        if bmc:
            self.bmcs[name] = self.power.add(name, BMC_PORT, guid=uuid)
            self.bmcs[name].on = on

    def _uptime(self, name: str) -> float:
        return (self.line.ms - self.booted_ms[name]) / 1000

    def is_reached(self, name: str) -> bool:
        """Whether the machine lives and the portal's packets get there."""
        return self.hosts[name].alive and not self.hosts[name].isolated

    def place(self, vm: str, host: str, generation: int) -> None:
        """Let a stamped copy of ``vm`` run on ``host`` from the start."""
        item = self.vms[vm]
        stamp = Stamp(INSTALLATION, item.pk, generation, 0)
        self.hosts[host].guests[item.uuid] = SeenGuest(
            item.uuid,
            vm,
            GuestState.RUNNING,
            stamp=stamp,
            memory_mib=item.memory_mib,
            vcpus=item.vcpus,
            disks=(item.disk,),
            leases=(item.lease,) if item.lease else (),
        )
        self.storage.sanlock.take(host, self.hosts[host].guests[item.uuid])

    # What happens to machines

    def _relay(self, address: str, port: int, state: PowerState) -> None:
        """A BMC's relay moved: the machine it is wired to follows."""
        self.cut(address) if state is PowerState.OFF else self.press_on(address)

    def _button(self, name: str, port: int) -> None:
        """Somebody asks the machine to shut down: its kernel does, if it lives."""
        mine = self._boots.get(name, 0)

        def stop() -> None:
            if self._boots.get(name, 0) == mine and self.hosts[name].alive:
                self.power_off(name)

        self.line.after(STOP_S, stop)

    def cut(self, name: str) -> None:
        """No electricity: everything on it ends, but for the writes that it has sent off."""
        self.storage.leave_behind(name)
        self._boots[name] = self._boots.get(name, 0) + 1
        self.hosts[name].kill()
        self.version += 1

    def press_on(self, name: str) -> None:
        """Electricity; the kernel answers ``BOOT_S`` later."""
        self.version += 1
        host = self.hosts[name]
        if host.powered:
            return
        host.powered, host.kernel = True, False
        self._boot_later(name)

    def _boot_later(self, name: str) -> None:
        self._boots[name] = mine = self._boots.get(name, 0) + 1

        def boot() -> None:
            if self._boots[name] == mine and self.hosts[name].powered:
                if not self.hosts[name].asleep:
                    self.booted_ms[name] = self.line.ms
                self.hosts[name].boot()
                self.version += 1

        self.line.after(BOOT_S, boot)

    def life_of(self, name: str) -> int:
        """Return a number that is another one after each loss of power and each boot."""
        return self._boots.get(name, 0)

    def hibernate(self, name: str) -> None:
        """The machine suspends to disk and goes off; switched on again it goes on as it was."""
        if self.hosts[name].alive and not self.hosts[name].hung:
            self.hosts[name].hibernate()
            self.power_off(name)

    def power_off(self, name: str) -> None:
        """The machine goes off and its BMC, which has its own supply, knows."""
        if name in self.bmcs:
            self.bmcs[name].on, self.bmcs[name].off_at = False, None
        self.cut(name)

    def power_on(self, name: str) -> None:
        """Somebody presses the button."""
        if name in self.bmcs:
            self.bmcs[name].on, self.bmcs[name].off_at = True, None
        self.press_on(name)

    def panic(self, name: str) -> None:
        """The kernel dies, the power stays."""
        if self.hosts[name].powered:
            self.storage.leave_behind(name)
            self._boots[name] = self._boots.get(name, 0) + 1
            self.hosts[name].panic()
            self.version += 1

    def reboot(self, name: str) -> None:
        """A warm restart that the portal did not ask for."""
        if self.hosts[name].powered:
            self.panic(name)
            self._boot_later(name)

    def restart_libvirtd(self, name: str, *, forget: bool) -> None:
        """libvirtd starts anew: unread calls are gone, and with ``forget`` its running guests."""
        machine = self.hosts[name]
        if not machine.alive:
            return
        machine.restart_daemon()
        self.hanging = {item for item in self.hanging if item[0] != name}
        executing = {guest.uuid for guest in machine.guests.values() if guest.executes}
        self.forgotten[name].clear()
        if forget:
            self.forgotten[name].update(executing)
        self.version += 1

    def swap_bmcs(self, one: str, other: str) -> None:
        """Exchange the addresses of two BMCs; each still switches its own machine."""
        if one in self.bmcs and other in self.bmcs:
            self.power.swap((one, BMC_PORT), (other, BMC_PORT))
            self.swapped_ms = self.line.ms
            a, b = self.wired_to.get(one, one), self.wired_to.get(other, other)
            self.wired_to[one], self.wired_to[other] = b, a

    def finish_create(self, host: str, uuid: str) -> None:
        """Let creates of this VM hang there no longer; one that does is carried out now."""
        machine = self.hosts[host]
        if machine.asleep:  # it is carried out, or refused, when the machine goes on
            self.line.after(BOOT_S, lambda: self.finish_create(host, uuid))
            return
        if (host, uuid) in self.hanging and uuid in machine.slow_starts:
            machine.finish_start(uuid)
        machine.slow_starts.discard(uuid)
        self.hanging.discard((host, uuid))
        self.version += 1

    def lied_about(self, host: str, proof: str) -> bool:
        """Whether a proof about this host, recorded now, rests on a lie that cannot be noticed."""
        told = self.misled_ms if proof == "manual" else self.lied_ms
        bmc = self.bmcs.get(host)
        lies_now = bmc is not None and bmc.identified and bmc.lie is PowerState.OFF
        if proof == "power_off" and lies_now:
            return True
        if proof == "lease":
            return host in self.vouched & self.storage.sanlock.no_watchdog
        return proof in ("manual", "power_off") and self.line.ms - told.get(host, -LIE_MS) < LIE_MS

    # What happens to copies

    def guest(self, vm: str, host: str) -> SeenGuest | None:
        """Return the domain of ``vm`` on ``host``, running or not."""
        return self.hosts[host].guests.get(self.vms[vm].uuid)

    def is_failing(self, vm: str, host: str) -> bool:
        """Whether the copy there is stopped by its storage."""
        guest = self.guest(vm, host)
        return guest is not None and is_paused_by_storage(guest)

    def where(self, vm: str) -> list[str]:
        """Return the hosts on which copies of ``vm`` execute."""
        return [copy.host for copy in self.copies() if copy.vm == vm]

    def copies(self) -> list[Copy]:
        """Return every copy that executes, in the order of hosts."""
        if self._known[0] != self.version:
            self._known = (self.version, list(self._copies()))
        return self._known[1]

    def _copies(self) -> Iterator[Copy]:
        for name, host in self.hosts.items():
            if not host.alive:
                continue
            for guest in host.guests.values():
                if guest.executes and guest.uuid not in host.receiving:
                    writes = guest.state in (GuestState.RUNNING, GuestState.STOPPING)
                    generation = guest.stamp.generation if guest.stamp else None
                    yield Copy(guest.name, name, generation, writes, guest.disks)

    def is_forgotten(self, copy: Copy) -> bool:
        """Whether the host's own libvirtd has lost sight of this copy."""
        return self.vms[copy.vm].uuid in self.forgotten[copy.host]

    def start_outside(self, vm: str, host: str, *, bare: bool = False) -> None:
        """Somebody starts a copy on the host itself, past the portal.

        By the definition that is there, or by that of the copy elsewhere: with its leases,
        unless it is written anew (``bare``).
        """
        machine, item = self.hosts[host], self.vms[vm]
        if not machine.alive:
            return
        there = machine.guests.get(item.uuid)
        if there is None:
            there = SeenGuest(item.uuid, vm, GuestState.SHUT_OFF, disks=(item.disk,))
            if item.lease and not bare:
                there = replace(there, leases=(item.lease,))
        if there.leases and machine.locks(there):
            return
        self.outside.add((vm, host))
        machine.guests[item.uuid] = replace(
            there, state=GuestState.RUNNING, reason=GuestReason.NONE
        )
        self.forgotten[host].discard(item.uuid)
        self.version += 1
