"""manage.py reset-access USER: a new one-time password when nobody can sign in."""

import secrets
from typing import Any

from allauth.mfa.models import Authenticator
from axes.utils import reset
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from portal.accounts import sessions
from portal.cli import checks
from portal.core.models import ApiToken, User
from portal.core.services import record_event
from portal.lib import clock


class Command(BaseCommand):
    """Opens the door to one person, and shuts every other one of the same person."""

    help = (
        "Give a user a one-time password; lift a lock-out, switch two-factor sign-in off, "
        "end the user's sessions and revoke the user's tokens."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the user's name."""
        parser.add_argument("user")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the password once; it is kept nowhere."""
        checks.portal()
        user = User.objects.filter(username=options["user"]).first()
        if user is None:
            known = ", ".join(User.objects.values_list("username", flat=True)) or "none"
            raise CommandError(f"there is no user {options['user']}; known are {known}")
        password = secrets.token_urlsafe(12)
        with transaction.atomic():
            self._reset(user, password)
        self.stdout.write(f"{user.username} may sign in with   {password}   (choose another then)")

    @staticmethod
    def _reset(user: User, password: str) -> None:
        user.set_password(password)
        user.is_active = True
        user.must_change_password = True
        user.save()
        reset(username=user.username)
        Authenticator.objects.filter(user=user).delete()
        sessions.end(user)
        ApiToken.objects.filter(user=user).delete()
        text = (
            f"access of {user.username} was reset on the command line: one-time password, "
            "no second factor; sessions and tokens are void"
        )
        record_event("account.reset", text, now=clock.now(), actor="command line")
