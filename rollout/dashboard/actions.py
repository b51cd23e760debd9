"""The control room's buttons: each form names its `action`, which is handed to the one service that does it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.http import HttpRequest, QueryDict
from django.utils.translation import gettext as _

from carecollective.core.errors import DomainError, InvalidInput, NotPermitted, ValidationRefused
from rollout.alerts import lifecycle, notifications
from rollout.dashboard.rollback_report import read_report
from rollout.dashboard.timeline import describe_drain
from rollout.dashboard.view_models import title_of
from rollout.errors import AlertNotFound, NothingToChange, ProposalNotFound, RootCauseNotFound
from rollout.models import Change, Source
from rollout.promotion import checklist, drain, proposals, root_causes, services
from rollout.stages import DISABLED, Stage
from rollout.targeting import snapshot

if TYPE_CHECKING:
    from carecollective.accounts.models import User

ANOTHER = "another"
# What the record keeps where somebody rolled back first: the root cause, which a rollback opens, asks for the reason.
NO_REASON_YET = "No reason given yet: the root cause will say why."


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a form as the page draws it: with what was typed, and why it was refused."""

    id: str
    name: str
    value: str
    error: str


@dataclass(frozen=True, slots=True)
class Form:
    """A form after it was refused, or an empty one."""

    action: str
    typed: Mapping[str, str]
    errors: Mapping[str, str]

    @property
    def refused(self) -> bool:
        return bool(self.typed)

    @property
    def fields(self) -> "Fields":
        return Fields(self)


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of a form by their names."""

    form: Form

    def __getitem__(self, name: str) -> Field:
        typed, errors = self.form.typed, self.form.errors
        return Field(f"{self.form.action}-{name}", name, typed.get(name, ""), errors.get(name, ""))


class Forms:
    """All forms of the page by their actions: `forms.propose.fields.reason`. At most one of them was refused."""

    def __init__(self, *, refusal: DomainError | None = None, posted: Mapping[str, str] | None = None) -> None:
        self.posted = dict(posted or {}) if refusal else {}
        fields = refusal.fields if isinstance(refusal, ValidationRefused) else {}
        self.errors = {name: " ".join(str(line) for line in lines) for name, lines in fields.items()}
        self.refused = _key(self.posted)

    @property
    def first_refused(self) -> str:
        """The id of the first field that was refused, or nothing."""
        name = next(iter(self.errors), "")
        return f"{self.refused}-{'stage-another' if name == 'stage' else name}" if name and self.refused else ""

    def __getitem__(self, key: str) -> Form:
        # Templates look here before they look at the attributes.
        if key == "first_refused":
            raise KeyError(key)
        if key and key == self.refused:
            return Form(key, self.posted, self.errors)
        return Form(key, {}, {})


def act(request: HttpRequest) -> str:
    """Do what the button says and return the sentence that tells of it. Raises DomainError."""
    asked, actor = request.POST, request.user
    action = ACTIONS.get(asked.get("action", ""))
    if action is None or not actor.is_authenticated:
        raise InvalidInput(_("This page has no such button. Nothing was changed."))
    return action(actor, asked)


def parse_stage(name: str, percentage: str = "") -> Stage:
    """Read the stage that was chosen, or the percentage that was typed instead. Raises ValidationRefused."""
    if name == ANOTHER:
        cleaned = percentage.strip().removesuffix("%").strip().replace(",", ".")
        try:
            return Stage.parse(f"percentage:{cleaned}")
        except ValueError:
            refusal = _("Type a percentage from 0.1 to 100, with one decimal at most.")
            raise ValidationRefused(fields={"percentage": [refusal]}) from None
    try:
        return Stage.parse(name)
    except ValueError:
        raise ValidationRefused(fields={"stage": [_("Choose one of the stages.")]}) from None


def _key(posted: Mapping[str, str]) -> str:
    action, number = posted.get("action", ""), posted.get("root_cause", "") or posted.get("proposal", "")
    return f"{action}-{number}" if number else action


def _propose(actor: "User", asked: QueryDict) -> str:
    stage = _chosen(asked)
    proposals.propose(actor=actor, stage=stage, reason=asked.get("reason", ""))
    return _("%(stage)s is proposed. Another staff member has to approve it.") % {"stage": title_of(stage)}


def _approve(actor: "User", asked: QueryDict) -> str:
    return _moved(proposals.approve(actor=actor, proposal_id=_number(asked, "proposal", ProposalNotFound)))


def _refuse(actor: "User", asked: QueryDict) -> str:
    number = _number(asked, "proposal", ProposalNotFound)
    proposals.refuse(actor=actor, proposal_id=number, reason=asked.get("reason", ""))
    return _("The proposal was refused.")


def _withdraw(actor: "User", asked: QueryDict) -> str:
    proposals.withdraw(actor=actor, proposal_id=_number(asked, "proposal", ProposalNotFound))
    return _("The proposal was withdrawn.")


def _override(actor: "User", asked: QueryDict) -> str:
    return _moved(_change(actor, asked, override=True))


def _step_down(actor: "User", asked: QueryDict) -> str:
    return _moved(_change(actor, asked, override=False))


def _roll_back(actor: "User", asked: QueryDict) -> str:
    reason = asked.get("reason", "").strip()
    is_live = snapshot.read_now().stage != DISABLED
    reason_follows = is_live and not reason
    change = services.roll_back(actor=actor, reason=NO_REASON_YET if reason_follows else reason, source=Source.ADMIN)
    said = [_("Rolled back: V2 is off for everybody, and V1 writes are on.")]
    said += [words for _heading, words in read_report(change).lines]
    if reason_follows:
        said.append(_("Say why below, under the root cause to file, when there is time."))
    return " ".join(said)


def _certify(actor: "User", asked: QueryDict) -> str:
    if not actor.has_perm("rollout.rollback"):
        raise NotPermitted
    return describe_drain(drain.certify(flag_version=snapshot.read_now().version))


def _set_v1_writes(actor: "User", asked: QueryDict) -> str:
    _require_unchanged(asked)
    on = asked.get("on") == "yes"
    services.set_v1_writes(actor=actor, on=on, reason=asked.get("reason", ""), source=Source.ADMIN)
    return _("V1 writes are on.") if on else _("V1 writes are off.")


def _sign(actor: "User", asked: QueryDict) -> str:
    _require_unchanged(asked)
    checklist.sign(actor=actor, item=asked.get("item", ""), part=asked.get("part", ""))
    return _("Signed in your name.")


def _unsign(actor: "User", asked: QueryDict) -> str:
    _require_unchanged(asked)
    checklist.withdraw(
        actor=actor, item=asked.get("item", ""), part=asked.get("part", ""), signer=asked.get("signer", "")
    )
    return _("The signature was taken back.")


def _test_alert(actor: "User", asked: QueryDict) -> str:
    sent = notifications.send_test_message(channel=asked.get("channel", ""), actor=actor)
    if sent.delivered_at is None:
        return _("The test message did not arrive: %(why)s.") % {"why": sent.error}
    return _("The test message was taken. See that it arrived where people look.")


def _file_root_cause(actor: "User", asked: QueryDict) -> str:
    root_causes.file_root_cause(
        actor=actor,
        root_cause_id=_number(asked, "root_cause", RootCauseNotFound),
        what=asked.get("what", ""),
        why=asked.get("why", ""),
        fix=asked.get("fix", ""),
        who=asked.get("who", ""),
        due=asked.get("due", ""),
    )
    return _("The root cause was filed.")


def _acknowledge(actor: "User", asked: QueryDict) -> str:
    alert = lifecycle.acknowledge(actor=actor, alert_id=_number(asked, "alert", AlertNotFound))
    return _("%(who)s has got this: %(title)s.") % {"who": alert.acknowledged_by, "title": alert.title}


ACTIONS: Mapping[str, Callable[["User", QueryDict], str]] = {
    "propose": _propose,
    "approve": _approve,
    "refuse": _refuse,
    "withdraw": _withdraw,
    "override": _override,
    "step_down": _step_down,
    "roll_back": _roll_back,
    "certify": _certify,
    "v1_writes": _set_v1_writes,
    "acknowledge": _acknowledge,
    "sign": _sign,
    "unsign": _unsign,
    "file_root_cause": _file_root_cause,
    "test_alert": _test_alert,
}


def _change(actor: "User", asked: QueryDict, *, override: bool) -> Change:
    stage = _chosen(asked)
    reason = asked.get("reason", "")
    return services.change_stage(actor=actor, stage=stage, reason=reason, source=Source.ADMIN, override=override)


def _chosen(asked: QueryDict) -> Stage:
    stage = parse_stage(asked.get("stage", ""), asked.get("percentage", ""))
    _require_unchanged(asked)
    return stage


def _require_unchanged(asked: QueryDict) -> None:
    """Refuse a step from a page that shows an earlier state: its reader decided on what is no longer so."""
    seen = asked.get("version", "")
    if seen and seen != str(snapshot.read_now().version):
        raise NothingToChange(_("The rollout has changed since this page was shown. Look at it again."))


def _number(asked: QueryDict, name: str, missing: type[DomainError]) -> int:
    text = asked.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise missing
    return int(text)


def _moved(change: Change) -> str:
    said = _("The rollout is now at %(stage)s.") % {"stage": title_of(Stage.parse(change.to_stage or ""))}
    if change.to_v1_writes == change.from_v1_writes:
        return said
    return f"{said} {_('V1 writes were turned on with it.') if change.to_v1_writes else _('V1 writes were turned off with it.')}"
