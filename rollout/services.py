"""Every change of the rollout that goes through the application: one locked row, one recorded change."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from django.db import connection, transaction
from django.utils.translation import gettext_lazy as _

from carecollective.core.errors import NotPermitted, ValidationRefused
from rollout.errors import NothingToChange, PromotionRefused
from rollout.ladder import height, skipped_between
from rollout.models import Change, Flag, Source
from rollout.stages import DISABLED, ENABLED, Stage
from rollout.state import FLAG_NAME

if TYPE_CHECKING:
    from carecollective.accounts.models import User

REASON_SHORTEST, REASON_LONGEST = 3, 500


def change_stage(
    *, actor: "User | None", stage: Stage, reason: str, source: Source, override: bool = False, actor_label: str = ""
) -> Change:
    """Move the rollout to `stage` and return the recorded change.

    Reaching `enabled` turns V1 writes off; leaving it, or reaching `disabled`, turns them on again.
    Raises PromotionRefused for a step up that skips a stage without `override`. A step down skips nothing and takes
    the permission to roll back; a step up takes the one to propose.
    """
    if stage == DISABLED:
        return roll_back(actor=actor, reason=reason, source=source, actor_label=actor_label)
    reason = clean_reason(reason)
    with transaction.atomic():
        flag = lock_flag()
        before = flag.current_stage()
        _require(actor, "rollout.propose" if height(stage) >= height(before) else "rollout.rollback")
        skipped = skipped_between(before, stage)
        if stage == before:
            raise NothingToChange(_("The rollout is already at %(stage)s.") % {"stage": stage})
        if skipped and not override:
            raise PromotionRefused(
                _("Going from %(before)s to %(stage)s would skip %(skipped)s. Take the stages one by one, or override.")
                % {"before": before, "stage": stage, "skipped": ", ".join(str(rung) for rung in skipped)}
            )
        v1_writes = stage != ENABLED and (flag.v1_writes or before == ENABLED)
        return _write(
            flag, stage=stage, v1_writes=v1_writes, actor=actor, actor_label=actor_label, source=source, reason=reason,
            override=override and bool(skipped),
        )  # fmt: skip


def roll_back(*, actor: "User | None", reason: str, source: Source, actor_label: str = "") -> Change:
    """Turn V2 off for everybody and V1 writes on, whatever the rollout was doing; always possible, always recorded."""
    _require(actor, "rollout.rollback")
    reason = clean_reason(reason)
    with transaction.atomic():
        return _write(
            lock_flag(), stage=DISABLED, v1_writes=True, actor=actor, actor_label=actor_label, source=source,
            reason=reason, override=False,
        )  # fmt: skip


def set_v1_writes(*, actor: "User | None", on: bool, reason: str, source: Source, actor_label: str = "") -> Change:
    """Let V1 take new conversations and messages, or freeze it."""
    _require(actor, "rollout.propose")
    reason = clean_reason(reason)
    with transaction.atomic():
        flag = lock_flag()
        if flag.v1_writes is on:
            raise NothingToChange(_("V1 writes are already on.") if on else _("V1 writes are already off."))
        return _write(
            flag, stage=flag.current_stage(), v1_writes=on, actor=actor, actor_label=actor_label, source=source,
            reason=reason, override=False,
        )  # fmt: skip


def lock_flag() -> Flag:
    """Hold the rollout's row still until this transaction ends. Readers are never held up."""
    return Flag.objects.select_for_update(of=("self",), no_key=True).get(name=FLAG_NAME)


def clean_reason(reason: str) -> str:
    """Return the reason trimmed. Raises ValidationRefused unless it has 3 to 500 characters."""
    cleaned = reason.replace("\r\n", "\n").strip()
    if not REASON_SHORTEST <= len(cleaned) <= REASON_LONGEST or "\0" in cleaned:
        raise ValidationRefused(fields={"reason": [_("Say why, in 3 to 500 characters.")]})
    return cleaned


def _require(actor: "User | None", permission: str) -> None:
    # Nobody behind a command or the guard; those are trusted by where they run.
    if actor is not None and not actor.has_perm(permission):
        raise NotPermitted


def _write(
    flag: Flag,
    *,
    stage: Stage,
    v1_writes: bool,
    actor: "User | None",
    actor_label: str,
    source: Source,
    reason: str,
    override: bool,
) -> Change:
    context = {
        "rollout.actor_id": str(actor.pk) if actor else "",
        "rollout.actor_label": actor_label or str(actor or source.label),
        "rollout.source": source.value,
        "rollout.reason": reason,
        "rollout.override": "true" if override else "false",
    }
    with recorded_as(context):
        flag.stage, flag.v1_writes = str(stage), v1_writes
        flag.save(update_fields=["stage", "v1_writes"])
    flag.refresh_from_db(fields=["version", "changed_at"])
    return Change.objects.get(flag_version=flag.version)


@contextmanager
def recorded_as(context: dict[str, str]) -> Iterator[None]:
    """Tell the table's trigger who changes it and why, for the statements inside and no others."""
    _set_local(context)
    yield
    # A later statement of the same transaction is not this change. After an error, the rollback forgets it.
    _set_local(dict.fromkeys(context, ""))


def _set_local(context: dict[str, str]) -> None:
    calls = ", ".join(["set_config(%s, %s, true)"] * len(context))
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {calls}", [part for item in context.items() for part in item])
