"""All talk with one host: at most one ``open()``, every call with a deadline.

A frozen libvirtd accepts connections and never answers; libvirt waits for it
without end.  So nothing here runs in the caller's thread but the waiting.
"""

import threading
from collections.abc import Callable
from time import monotonic
from typing import Any, TypeVar

import libvirt

from hosts.domain.looks import KernelSign
from hosts.domain.uri import endpoint
from hosts.hypervisor.libvirtd.door import Door, Knock
from hosts.hypervisor.libvirtd.jobs import GivenUp, Job, Lane, Patience
from hosts.hypervisor.libvirtd.link import Link
from hosts.hypervisor.libvirtd.seen import OURS
from hosts.hypervisor.port import HypervisorError, LeaseHeld, NoLease, NoSuchGuest, Refused

T = TypeVar("T")
#: What runs inside a connection; the second argument is called between two steps.
Work = Callable[[Link, Callable[[], None]], T]

#: An open() that is stuck for longer is broken off, in seconds: its machine may be
#: another boot by now, which knows nothing of the connection and never answers it.
HANG_UP_S = 30.0


class NotHeard(Exception):
    """No answer.  ``sent``: the question may have left; ``sign``: the kernel's, if it was asked."""

    def __init__(self, text: str, sign: KernelSign, *, sent: bool) -> None:
        super().__init__(text)
        self.sign = sign
        self.sent = sent


class Wire:
    """The connection to one host, opened when it is needed."""

    def __init__(
        self,
        uri: str,
        name: str,
        *,
        facts_of: Callable[[Any], Any],
        on_event: Callable[[], None],
        hang_up_s: float = HANG_UP_S,
    ) -> None:
        self.door = Door(endpoint(uri))
        # ssh must fail rather than ask a question that nobody sees.
        self._uri = f"{uri}?no_tty=1" if uri.startswith("qemu+ssh:") else uri
        self._name = name
        self._facts_of = facts_of
        self._on_event = on_event
        self._hang_up_s = hang_up_s
        self._lock = threading.Lock()
        self._link: Link | None = None
        self._opener: Job[Link] | None = None
        self._opener_started = 0.0
        self._epoch = 0
        self._opening = Lane(1)

    def call(self, work: Work[T], patience: Patience, lane: Lane) -> T:
        """Run ``work`` in an open connection and return what it returns.

        Raises :class:`NotHeard` at the caller's deadline at the latest, and
        :class:`Refused` when the host answered with an error.
        """
        if not lane.enter(patience.left()):
            patience.refresh_sign()
            raise NotHeard("an earlier call is still unanswered", patience.sign, sent=False)
        try:
            link = self._connected(patience)

            def inside(job: Job[T]) -> T:
                return self._inside(link, work, job)

            job = Job(inside, lane, f"libvirt-{self._name}", patience)
        except BaseException:
            lane.leave()
            raise
        if not patience.wait(job.done) and job.give_up():
            link.retire()
            text = f"libvirtd gave no answer within {patience.seconds:g} s"
            raise NotHeard(text, patience.sign, sent=True)
        try:
            answer = job.result()
        except NotHeard as lost:
            link.retire()
            patience.refresh_sign()
            raise NotHeard(str(lost), patience.sign, sent=lost.sent) from None
        self.door.answered()
        return answer

    def close(self) -> None:
        """Give up the connection, also one that is being opened; the next call opens anew."""
        with self._lock:
            self._epoch += 1
            link, self._link = self._link, None
        if link is not None:
            link.retire()

    def _connected(self, patience: Patience) -> Link:
        with self._lock:
            if self._link is not None and self._link.usable:
                return self._link
            job = self._opener
            if job is None or job.done.is_set():
                job = self._start_opening(patience.left())
        if job.stuck:
            if monotonic() - self._opener_started > self._hang_up_s:
                self.door.hang_up()
            patience.refresh_sign()
            text = f"an earlier connection to {self.door} is still waiting for libvirtd"
            raise NotHeard(text, patience.sign, sent=False)
        if not patience.wait(job.done) and job.give_up():
            text = f"no connection to libvirtd at {self.door} within {patience.seconds:g} s"
            raise NotHeard(text, patience.sign, sent=False)
        return job.result()

    def _start_opening(self, seconds: float) -> Job[Link]:
        self._opening.enter(0)
        epoch = self._epoch
        self._opener_started = monotonic()
        self._opener = Job(
            lambda _job: self._open(epoch, seconds), self._opening, f"libvirt-open-{self._name}"
        )
        return self._opener

    def _open(self, epoch: int, seconds: float) -> Link:
        """Resolve, knock, open and adopt, however long it takes; in the opener's thread."""
        end = monotonic() + seconds
        if not self.door.resolve():
            text = f"{self.door.endpoint.host} has no address"
            raise NotHeard(text, KernelSign.UNKNOWN, sent=False)
        knock = self.door.knock(max(0.05, end - monotonic() - 0.05))
        if knock is not Knock.ACCEPTED:
            how = "refuses connections" if knock is Knock.REFUSED else "does not answer"
            raise NotHeard(f"{self.door} {how}", knock.sign, sent=False)
        failure = ""
        try:
            link = Link.open(self._uri, self._facts_of, self._on_event)
        except libvirt.libvirtError as error:
            failure = error.get_error_message() or str(error)
        if failure:
            text = f"libvirtd at {self.door} lets nobody in: {failure}"
            raise NotHeard(text, KernelSign.ALIVE, sent=False)
        with self._lock:
            wanted = epoch == self._epoch
            if wanted:
                self._link = link
        self.door.answered()
        if not wanted:
            link.retire()
            raise NotHeard("the connection was given up meanwhile", KernelSign.ALIVE, sent=False)
        return link

    def _inside(self, link: Link, work: Work[T], job: Job[T]) -> T:
        if not link.enter():
            raise NotHeard("the connection has just broken", KernelSign.UNKNOWN, sent=False)
        failure: Exception
        try:
            return work(link, job.go_on)
        except GivenUp:
            text = "its deadline passed between two steps"
            failure = NotHeard(text, KernelSign.UNKNOWN, sent=True)
        except libvirt.libvirtError as error:
            failure = _translated(error)  # raised below: by then the frames are free
        finally:
            link.leave()
        raise failure


def _translated(error: libvirt.libvirtError) -> HypervisorError | NotHeard:
    text = error.get_error_message() or str(error)
    if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
        return NoSuchGuest(text)
    if error.get_error_domain() in OURS:  # the host may have done it all the same
        return NotHeard(f"the connection broke: {text}", KernelSign.UNKNOWN, sent=True)
    if error.get_error_domain() == libvirt.VIR_FROM_LOCKING:
        return LeaseHeld(text) if "held by another host" in text else NoLease(text)
    return Refused(text)
