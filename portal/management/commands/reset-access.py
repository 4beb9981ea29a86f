"""manage.py reset-access USER: a new one-time password when nobody can sign in."""

import secrets
from typing import Any

from axes.utils import reset
from django.core.management.base import BaseCommand, CommandError, CommandParser

from portal.cli import checks
from portal.core.models import ApiToken, User
from portal.core.services import record_event
from portal.lib import clock


class Command(BaseCommand):
    """Sets a new password, opens the door again, and takes the old tokens away."""

    help = "Give a user a new one-time password, lift a lock-out, and revoke the user's tokens."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the user's name."""
        parser.add_argument("user")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the password once; it is kept nowhere."""
        checks.database()
        user = User.objects.filter(username=options["user"]).first()
        if user is None:
            known = ", ".join(User.objects.values_list("username", flat=True)) or "none"
            raise CommandError(f"there is no user {options['user']}; known are {known}")
        password = secrets.token_urlsafe(12)
        user.set_password(password)
        user.is_active = True
        user.must_change_password = True
        user.save()
        reset(username=user.username)
        ApiToken.objects.filter(user=user).delete()
        text = f"access of {user.username} was reset on the command line; its tokens are void"
        record_event("user.reset", text, now=clock.now(), actor="command line")
        self.stdout.write(f"{user.username} may sign in with   {password}   (choose another then)")
