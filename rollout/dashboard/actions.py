"""The control room's buttons: one form for each, which reads what was sent and calls the service behind it."""

from collections.abc import Mapping

from django import forms
from django.http import QueryDict

from carecollective.accounts.models import User
from carecollective.core.errors import DomainError, InvalidInput, NotPermitted, ValidationRefused
from carecollective.web.pages import RawForm
from rollout.alerts import lifecycle, notifications
from rollout.dashboard.rollback_report import read_report
from rollout.errors import AlertNotFound, NothingToChange, ProposalNotFound, RootCauseNotFound
from rollout.models import Change, Source
from rollout.promotion import drain, proposals, root_causes, services, sign_offs
from rollout.stages import DISABLED, Stage
from rollout.targeting import snapshot

ANOTHER = "another"
# The reason that is recorded when somebody rolls back first; the root cause asks for the real one.
NO_REASON_YET = "No reason given yet: the root cause will say why."


class ActionForm(RawForm):
    """One button and its fields. This one is for a button that the page does not have."""

    def run(self, actor: User) -> str:
        """Do what the button says and return the sentence that tells so. Raises DomainError."""
        raise InvalidInput("This page has no such button. Nothing was changed.")

    @property
    def first_refused(self) -> str:
        """The id of the first field that was refused, or nothing."""
        name = next((name for name in self.errors if name in self.fields), "")
        return str(self[name].id_for_label) if name else ""

    def read_number(self, name: str, missing: type[DomainError]) -> int:
        """Return the id in a hidden field. Raises `missing` for anything else."""
        text = self.raw(name)
        if not (text.isascii() and text.isdigit() and len(text) <= 18):
            raise missing
        return int(text)

    def require_unchanged(self) -> None:
        """Refuse a step from a page that shows an earlier state: its reader decided on that one."""
        seen = self.raw("version")
        if seen and seen != str(snapshot.read_now().version):
            raise NothingToChange("The rollout has changed since this page was shown. Look at it again.")


class ReasonForm(ActionForm):
    reason = forms.Field()


class StageForm(ReasonForm):
    stage = forms.Field()
    percentage = forms.Field(required=False)

    @property
    def first_refused(self) -> str:
        return f"{self['stage'].id_for_label}-another" if "stage" in self.errors else super().first_refused

    def read_stage(self) -> Stage:
        """Return the stage that was chosen on a page that shows the present state."""
        stage = parse_stage(self.raw("stage"), self.raw("percentage"))
        self.require_unchanged()
        return stage


class ProposeForm(StageForm):
    def run(self, actor: User) -> str:
        stage = self.read_stage()
        proposals.propose(actor=actor, stage=stage, reason=self.raw("reason"))
        return f"{stage.title} is proposed. Another staff member has to approve it."


class ApproveForm(ActionForm):
    def run(self, actor: User) -> str:
        number = self.read_number("proposal", ProposalNotFound)
        return _describe_move(proposals.approve(actor=actor, proposal_id=number))


class RefuseForm(ReasonForm):
    def run(self, actor: User) -> str:
        number = self.read_number("proposal", ProposalNotFound)
        proposals.refuse(actor=actor, proposal_id=number, reason=self.raw("reason"))
        return "The proposal was refused."


class WithdrawForm(ActionForm):
    def run(self, actor: User) -> str:
        proposals.withdraw(actor=actor, proposal_id=self.read_number("proposal", ProposalNotFound))
        return "The proposal was withdrawn."


class StepDownForm(StageForm):
    override = False

    def run(self, actor: User) -> str:
        change = services.change_stage(
            actor=actor,
            stage=self.read_stage(),
            reason=self.raw("reason"),
            source=Source.ADMIN,
            override=self.override,
        )
        return _describe_move(change)


class OverrideForm(StepDownForm):
    override = True


class RollBackForm(ReasonForm):
    def run(self, actor: User) -> str:
        reason = self.raw("reason").strip()
        is_live = snapshot.read_now().stage != DISABLED
        reason_follows = is_live and not reason
        change = services.roll_back(
            actor=actor, reason=NO_REASON_YET if reason_follows else reason, source=Source.ADMIN
        )
        said = ["Rolled back: V2 is off for everybody, and V1 writes are on."]
        said += [words for _heading, words in read_report(change).lines]
        if reason_follows:
            said.append("Say why below, under the root cause to file, when there is time.")
        return " ".join(said)


class CertifyForm(ActionForm):
    def run(self, actor: User) -> str:
        if not actor.has_perm("rollout.rollback"):
            raise NotPermitted
        return drain.certify(flag_version=snapshot.read_now().version).words


class V1WritesForm(ReasonForm):
    def run(self, actor: User) -> str:
        self.require_unchanged()
        on = self.raw("on") == "yes"
        services.set_v1_writes(actor=actor, on=on, reason=self.raw("reason"), source=Source.ADMIN)
        return "V1 writes are on." if on else "V1 writes are off."


class SignForm(ActionForm):
    def run(self, actor: User) -> str:
        self.require_unchanged()
        sign_offs.sign(actor=actor, item=self.raw("item"), part=self.raw("part"))
        return "Signed in your name."


class UnsignForm(ActionForm):
    def run(self, actor: User) -> str:
        self.require_unchanged()
        sign_offs.withdraw(actor=actor, item=self.raw("item"), part=self.raw("part"), signer=self.raw("signer"))
        return "The signature was taken back."


class ChannelTestForm(ActionForm):
    def run(self, actor: User) -> str:
        sent = notifications.send_test_message(channel=self.raw("channel"), actor=actor)
        if sent.delivered_at is None:
            return f"The test message did not arrive: {sent.error}."
        return "The test message was taken. See that it arrived where people look."


class RootCauseForm(ActionForm):
    what = forms.Field()
    why = forms.Field()
    fix = forms.Field()
    who = forms.Field()
    due = forms.Field()

    def run(self, actor: User) -> str:
        number = self.read_number("root_cause", RootCauseNotFound)
        answers = {name: self.raw(name) for name in self.fields}
        root_causes.file_root_cause(actor=actor, root_cause_id=number, **answers)
        return "The root cause was filed."


class AcknowledgeForm(ActionForm):
    def run(self, actor: User) -> str:
        alert = lifecycle.acknowledge(actor=actor, alert_id=self.read_number("alert", AlertNotFound))
        return f"{alert.acknowledged_by} has got this: {alert.title}."


ACTIONS: Mapping[str, type[ActionForm]] = {
    "propose": ProposeForm,
    "approve": ApproveForm,
    "refuse": RefuseForm,
    "withdraw": WithdrawForm,
    "override": OverrideForm,
    "step_down": StepDownForm,
    "roll_back": RollBackForm,
    "certify": CertifyForm,
    "v1_writes": V1WritesForm,
    "acknowledge": AcknowledgeForm,
    "sign": SignForm,
    "unsign": UnsignForm,
    "file_root_cause": RootCauseForm,
    "test_alert": ChannelTestForm,
}


class Forms(dict[str, ActionForm]):
    """All forms of the page by their keys, `propose` or `refuse-3`. Each is empty, except for the one that was sent."""

    def __missing__(self, key: str) -> ActionForm:
        return ACTIONS[key.partition("-")[0]](auto_id=f"{key}-%s")

    def bind(self, sent: QueryDict) -> ActionForm:
        """Return the form that was sent, with what was typed into it."""
        action, number = sent.get("action", ""), sent.get("root_cause") or sent.get("proposal")
        key = f"{action}-{number}" if number else action
        self[key] = ACTIONS.get(action, ActionForm)(sent, auto_id=f"{key}-%s")
        return self[key]


def parse_stage(name: str, percentage: str = "") -> Stage:
    """Read the stage that was chosen, or the percentage that was typed instead. Raises ValidationRefused."""
    if name == ANOTHER:
        cleaned = percentage.strip().removesuffix("%").strip().replace(",", ".")
        try:
            return Stage.parse(f"percentage:{cleaned}")
        except ValueError:
            refusal = "Type a percentage from 0.1 to 100, with one decimal at most."
            raise ValidationRefused(fields={"percentage": [refusal]}) from None
    try:
        return Stage.parse(name)
    except ValueError:
        raise ValidationRefused(fields={"stage": ["Choose one of the stages."]}) from None


def _describe_move(change: Change) -> str:
    said = f"The rollout is now at {Stage.parse(change.to_stage or '').title}."
    if change.to_v1_writes == change.from_v1_writes:
        return said
    return f"{said} V1 writes were turned {'on' if change.to_v1_writes else 'off'} with it."
