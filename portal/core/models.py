"""Tables that every app may use: users, tokens, roles, events, settings, operations."""

from typing import ClassVar

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models.functions import Lower
from knox.models import AbstractAuthToken

from portal.lib.db import SecretField
from portal.lib.told import Channel, Told


class User(AbstractUser):
    """A person or a program that may sign in."""

    must_change_password = models.BooleanField(default=False)
    version = models.IntegerField(default=1)


class ApiToken(AbstractAuthToken):  # type: ignore[misc]  # knox ships no types
    """A bearer token; only its hash is kept."""

    user = models.ForeignKey(User, models.CASCADE, related_name="auth_token_set")

    name = models.CharField(max_length=100, blank=True)
    scope = models.CharField(max_length=10, default="admin")
    last_used = models.DateTimeField(null=True)


class Role(models.TextChoices):
    """What a binding allows; each includes the one before."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


class RoleBinding(models.Model):
    """A role for a user over everything, a cluster, a host or a VM (no FK on purpose)."""

    user = models.ForeignKey(User, models.CASCADE, related_name="roles")
    role = models.CharField(max_length=10, choices=Role.choices)
    scope_type = models.CharField(max_length=10, default="all")
    scope_id = models.BigIntegerField(default=0)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["user", "scope_type", "scope_id"], name="one_role_per_user_and_scope"
            )
        ]

    def __str__(self) -> str:
        return f"{self.user} is {self.role} of {self.scope_type} {self.scope_id or ''}".strip()


class Event(models.Model):
    """One thing that happened, for ever: append-only, each row seals the one before.

    Subjects are plain numbers, so that an event outlives what it tells about.
    """

    at = models.DateTimeField(db_index=True)
    kind = models.CharField(max_length=60)
    text = models.TextField()
    evidence = models.JSONField(default=dict)
    rule = models.CharField(max_length=60, blank=True)
    actor = models.CharField(max_length=150, blank=True)
    cluster = models.BigIntegerField(default=0, db_index=True)
    host = models.BigIntegerField(default=0, db_index=True)
    vm = models.BigIntegerField(default=0, db_index=True)
    incident = models.BigIntegerField(default=0, db_index=True)
    seal = models.CharField(max_length=64)

    class Meta:
        ordering = ("pk",)

    def __str__(self) -> str:
        return f"{self.at:%H:%M:%S} {self.text}"


class Setting(models.Model):
    """A named value that all engines share."""

    name = models.CharField(max_length=60, primary_key=True)
    value = models.JSONField()
    version = models.IntegerField(default=1)

    def __str__(self) -> str:
        return self.name


class OperationState(models.TextChoices):
    """Life of a piece of work."""

    REQUESTED = "requested"
    ACTING = "acting"  # an engine has claimed it and may be talking to hardware
    WAITING = "waiting"  # until due_at, or for somebody else's answer
    DONE = "done"
    FAILED = "failed"
    REFUSED = "refused"
    CANCELLED = "cancelled"


OPEN_STATES = (OperationState.REQUESTED, OperationState.ACTING, OperationState.WAITING)


class Operation(models.Model):
    """Work asked for, as a row: the row *is* the queue.

    ``version`` is raised by every claim and every record; a result is written
    only over the version that its claim made, so a late one changes nothing.
    While ``acting``, ``due_at`` is when the claim counts as lost.
    """

    kind = models.CharField(max_length=30)
    state = models.CharField(
        max_length=10, choices=OperationState.choices, default=OperationState.REQUESTED
    )
    step = models.CharField(max_length=30, blank=True)
    steps = models.JSONField(default=list)
    data = models.JSONField(default=dict)
    attempt = models.IntegerField(default=0)
    version = models.IntegerField(default=0)
    owner = models.CharField(max_length=60, blank=True)
    epoch = models.IntegerField(default=0)
    requested_by = models.CharField(max_length=150, blank=True)
    requested_at = models.DateTimeField()
    due_at = models.DateTimeField(db_index=True)
    ended_at = models.DateTimeField(null=True)
    error_code = models.CharField(max_length=40, blank=True)
    error_text = models.TextField(blank=True)
    error_cure = models.TextField(blank=True)

    class Meta:
        abstract = True

    @property
    def is_open(self) -> bool:
        """Whether there is still something to do."""
        return self.state in OPEN_STATES


class IdempotencyKey(models.Model):
    """A key that a client sent with an action, and what came of it; kept 24 h."""

    user = models.ForeignKey(User, models.CASCADE)
    key = models.CharField(max_length=200)
    fingerprint = models.CharField(max_length=64)
    answer = models.JSONField()
    location = models.CharField(max_length=200, blank=True)
    at = models.DateTimeField(db_index=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["user", "key"], name="one_answer_per_user_and_key")
        ]

    def __str__(self) -> str:
        return self.key


class Cached(models.Model):
    """A row of Django's database cache: counts of tries and used codes, never a truth.

    Django reads and writes it by its own statements and names the columns.
    """

    cache_key = models.CharField(max_length=255, primary_key=True)
    value = models.TextField()
    expires = models.DateTimeField(db_index=True)

    class Meta:
        db_table = "portal_cached"

    def __str__(self) -> str:
        return self.cache_key


class NotificationTarget(models.Model):
    """Somebody, or a program, that is told of events; nothing older than the row is told.

    ``version`` covers what people edit.  ``seen_event`` moves in the transaction that
    enters the deliveries, so no event is lost or told twice.
    """

    name = models.CharField(max_length=100)
    kind = models.CharField(max_length=10, choices=[(kind, kind) for kind in Channel])
    address = models.CharField(max_length=500)
    secret = SecretField(blank=True)
    enabled = models.BooleanField(default=True)
    what = models.CharField(
        max_length=12, choices=[(what, what) for what in Told], default=Told.FENCES
    )
    cluster = models.BigIntegerField(default=0)
    version = models.IntegerField(default=1)

    seen_event = models.BigIntegerField(default=0)
    failures = models.IntegerField(default=0)
    resting_until = models.DateTimeField(null=True)
    tried_at = models.DateTimeField(null=True)
    delivered_at = models.DateTimeField(null=True)
    error_text = models.TextField(blank=True)
    error_cure = models.TextField(blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(Lower("name"), name="one_notification_target_per_name")
        ]

    def __str__(self) -> str:
        return self.name


class Delivery(models.Model):
    """One event for one target (event 0: a test), and what came of it.

    The first claim puts what is due into one ``message``, which is then tried, doubled
    and given up as a whole under the same id.  While ``acting``, ``due_at`` is when the
    claim counts as lost.
    """

    target = models.ForeignKey(NotificationTarget, models.CASCADE, related_name="deliveries")
    event = models.BigIntegerField(default=0)
    urgent = models.BooleanField(default=False)
    message = models.CharField(max_length=36, blank=True, db_index=True)
    state = models.CharField(
        max_length=10, choices=OperationState.choices, default=OperationState.REQUESTED
    )
    version = models.IntegerField(default=0)
    attempts = models.IntegerField(default=0)
    at = models.DateTimeField()
    due_at = models.DateTimeField()
    tried_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    http_status = models.IntegerField(null=True)
    error_text = models.TextField(blank=True)
    error_cure = models.TextField(blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["target", "event"],
                condition=models.Q(event__gt=0),
                name="one_delivery_per_target_and_event",
            )
        ]
        indexes: ClassVar = [
            models.Index(fields=["state", "due_at"], name="deliveries_by_due"),
            models.Index(fields=["target", "tried_at"], name="deliveries_by_try"),
        ]

    def __str__(self) -> str:
        return f"event {self.event} to {self.target_id} ({self.state})"
