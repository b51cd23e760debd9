from typing import Any, ClassVar

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.http import HttpRequest
from waffle.models import AbstractUserFlag

from carecollective.core.database import ClockTimestamp
from rollout.models.change import Source
from rollout.stages import Stage
from rollout.targeting.cohort import decision_for
from rollout.targeting.state import FLAG_NAME
from rollout.versions import MessagingVersion

USE_ROLLOUT = (
    "Nothing was changed: this site does not read waffle's settings. "
    "Move the rollout in the control room or with `manage.py rollout`."
)
# One spelling for each stage, the one that `str(stage)` gives.
STAGE_SPELLING = r"^(disabled|internal|enabled|percentage:(100|0\.[1-9]|[1-9][0-9]?(\.[1-9])?))$"


class Flag(AbstractUserFlag):
    """The rollout's one row, `messaging_v2`, in the shape that waffle expects.

    waffle's own columns (everyone, percent, superusers, users, groups and the rest), cookies, query parameters and headers
    are never read: `rollout.targeting.cohort.decide` decides. Change the row through `rollout.promotion.services`; the
    database counts `version`, sets `changed_at` and records each change.
    """

    stage = models.TextField(default="disabled")
    v1_writes = models.BooleanField(default=True)
    salt = models.TextField(editable=False)
    version = models.BigIntegerField(default=1, editable=False)
    changed_at = models.DateTimeField(db_default=ClockTimestamp(), editable=False)

    objects: ClassVar[models.Manager["Flag"]] = models.Manager()  # type: ignore[assignment]

    class Meta(AbstractUserFlag.Meta):
        abstract = False
        default_permissions = ()
        permissions = [
            ("view", "Can see the rollout's control room"),
            ("propose", "Can move the rollout up and freeze V1"),
            ("approve", "Can approve a promotion"),
            ("rollback", "Can roll back"),
        ]
        constraints = [
            models.CheckConstraint(condition=models.Q(stage__regex=STAGE_SPELLING), name="rollout_flag_stage_is_known")
        ]

    def save(self, *args: Any, **options: Any) -> None:
        """Write a new flag, or only its stage and V1 writes. Raises TypeError for waffle's columns, which nothing reads."""
        columns = options.get("update_fields")
        if not self._state.adding and (columns is None or not {"stage", "v1_writes"}.issuperset(columns)):
            raise TypeError(USE_ROLLOUT)
        super().save(*args, **options)

    @classmethod
    def get(cls, name: str) -> "Flag":
        """Return a flag by name without a query: the decision needs only the name, and waffle's cache would be out of date."""
        return cls(name=name)

    def is_active(self, request: HttpRequest, read_only: bool = False) -> bool:
        """Tell whether the request's member starts conversations in V2; sets no cookie."""
        return self.is_active_for_user(getattr(request, "user", None) or AnonymousUser())

    def is_active_for_user(self, user: Any) -> bool:
        """Tell whether this member starts conversations in V2."""
        if self.name != FLAG_NAME or not user.is_authenticated:
            return False
        return decision_for(user).version is MessagingVersion.V2

    def current_stage(self) -> Stage:
        return Stage.parse(self.stage)


class Rollback(models.Model):
    """An order to turn V2 off. It is in force from its commit, even while a session locks the flag's row.

    The flag's row is changed as soon as it is free: a trigger then sets `change_id`, once, and copies the reason to the
    audit log. `rollout.promotion.rollbacks` writes and settles these rows; the view `rollout_state` is the flag with them.
    """

    at = models.DateTimeField(db_default=ClockTimestamp())
    actor_id = models.UUIDField(null=True)
    actor_label = models.TextField()
    source = models.TextField(choices=Source.choices)
    reason = models.TextField()
    database_role = models.TextField(editable=False)  # the session's own, by the table's default
    change_id = models.BigIntegerField(null=True, editable=False)

    class Meta:
        default_permissions = ()
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} UTC, {'waiting' if self.change_id is None else 'recorded'}"
