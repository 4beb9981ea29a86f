"""manage.py confirm-rebooted HOST: a person's word when the web is down."""

import getpass
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from fencing.models import PowerController
from fencing.operations import advance
from fencing.services import confirmations
from hosts.models import Host
from portal.cli import checks
from portal.core.models import Role, User
from portal.core.permissions import scopes_of
from portal.core.shapes import slug_of
from portal.lib import clock
from portal.lib.starting import CannotStart
from vms.models import Run


def _ask(question: str) -> str:
    """Return what the person types; nothing is confirmed when nobody does."""
    try:
        return input(question)
    except (EOFError, RuntimeError):  # RuntimeError: no standard input at all
        raise CannotStart(
            "\nNobody answers at this terminal, and nothing was confirmed: "
            "give --typed HOST and --reason TEXT."
        ) from None
    except KeyboardInterrupt:
        raise KeyboardInterrupt("Stopped: nothing was confirmed.") from None


class Command(BaseCommand):
    """Says what is known, asks for the host's name again, and takes the word down."""

    help = "Confirm that a host is off or was rebooted, so that its VMs may start elsewhere."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the host, who says so, and why."""
        parser.add_argument("host", help="name of the host")
        parser.add_argument("--reason", default="", help="how you know; asked for when missing")
        parser.add_argument("--typed", default="", help="the host's name again, instead of asking")
        parser.add_argument("--user", default="", help="the portal's user that you are")
        parser.add_argument(
            "--override", action="store_true", help="although the BMC says on (is recorded)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Refuse with one sentence, or leave an operation and carry it out if nobody else does."""
        checks.portal()
        host = Host.objects.select_related("cluster").filter(name=options["host"]).first()
        if host is None:
            known = ", ".join(Host.objects.values_list("name", flat=True)) or "none"
            raise CommandError(f"there is no host {options['host']}; known are {known}")
        self._refuse(confirmations.wrong_with(host, typed_name=host.name, reason="not asked yet"))
        user = self._user(options["user"])
        self._require(user, Role.ADMIN if options["override"] else Role.OPERATOR, host)
        self._tell(host)
        typed = options["typed"] or _ask(f"Type {host.name} to confirm that it is off: ")
        reason = options["reason"] or _ask("How do you know? ")
        self._refuse(confirmations.wrong_with(host, typed_name=typed, reason=reason))
        now = clock.now()
        op = confirmations.request(
            host,
            user,
            typed_name=typed,
            reason=f"{reason} (on the command line, as {getpass.getuser()})",
            override=options["override"],
            now=now,
        )
        try:
            advance(op.pk)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"Operation {slug_of(op)} is written down: the portal carries it out when it runs."
            ) from None
        op.refresh_from_db()
        told = op.error_text or (op.steps[-1]["text"] if op.steps else "a worker has it")
        self.stdout.write(f"operation {slug_of(op)}: {op.state}: {told} {op.error_cure}".rstrip())

    def _refuse(self, wrong: confirmations.Wrong | None) -> None:
        if wrong is not None:
            raise CommandError(f"{wrong.field}: {wrong.text}")

    def _user(self, name: str) -> User:
        found = User.objects.filter(is_active=True)
        user = found.filter(username=name) if name else found.filter(is_superuser=True)
        first = user.order_by("pk").first()
        if first is None:
            raise CommandError("there is no such user: give --user NAME of one that is there")
        return first

    def _require(self, user: User, role: Role, host: Host) -> None:
        scopes = scopes_of(user, role)
        covered = host.cluster_id in scopes.clusters or host.pk in scopes.hosts
        if not (scopes.everything or covered):
            raise CommandError(
                f"{user} lacks the role {role} over {host.name}: give another --user"
            )

    def _tell(self, host: Host) -> None:
        seen = f"{host.last_seen:%Y-%m-%d %H:%M:%S} UTC" if host.last_seen else "never"
        kernel = (
            f"its kernel answered at {host.kernel_seen:%H:%M:%S} UTC" if host.kernel_seen else ""
        )
        told = [f"{host.name}: {host.status}", f"last answer {seen}", kernel]
        self.stdout.write(", ".join(filter(None, told)))
        # Without the password: a damaged key file must not silence a person.
        for way in PowerController.objects.defer("password").filter(host=host):
            self.stdout.write(f"  its BMC {_said(way)}")
        for run in Run.objects.filter(host=host, ended_at__isnull=True).select_related("vm"):
            self.stdout.write(f"  {run.vm.name} may start elsewhere at once")
        self.stdout.write("If it still runs, its VMs will run twice and destroy their data.")


def _said(way: PowerController) -> str:
    """Return what a BMC says now, or said before it fell silent."""
    at = f"{way.asked_at:%H:%M:%S} UTC" if way.asked_at else ""
    if not way.asked_at:
        return "was not asked yet"
    if not way.problem:
        return f"said {way.state} at {at}"
    return f"gave no usable answer at {at} ({way.problem_text}); before that it said {way.state}"
