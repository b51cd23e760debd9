"""The control room at /admin/rollout/: reads the state and hands each button to `rollout.services`."""

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from carecollective.core.errors import DomainError, ValidationRefused
from rollout import selectors, services, snapshot
from rollout.cohort import explain, v1_takes_writes
from rollout.errors import PromotionRefused
from rollout.ladder import LADDER, height
from rollout.models import Change, Source
from rollout.stages import BUCKETS, DISABLED, ENABLED, INTERNAL, Stage
from rollout.state import RolloutState

TIMELINE = 50


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the stepper as the page draws it."""

    stage: Stage
    title: str
    who: str
    state: str
    allowed: bool

    @property
    def value(self) -> str:
        return str(self.stage)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def control_room(request: HttpRequest) -> HttpResponse:
    """Show the rollout to staff with `rollout.view`; a POST makes one change and returns here."""
    if not request.user.has_perm("rollout.view"):
        raise PermissionDenied
    if request.method != "POST":
        return _render(request)
    try:
        change = _apply(request)
    except DomainError as refusal:
        return _render(request, refusal)
    messages.success(request, _said(change))
    return redirect("admin:rollout_control_room")


def _apply(request: HttpRequest) -> Change:
    asked = request.POST
    common: dict[str, Any] = {"actor": request.user, "reason": asked.get("reason", ""), "source": Source.ADMIN}
    if "v1_writes" in asked:
        return services.set_v1_writes(on=asked["v1_writes"] == "on", **common)
    stage = _parse_stage(asked.get("stage", ""), asked.get("percentage", ""))
    return services.change_stage(stage=stage, override=asked.get("override") == "on", **common)


def _parse_stage(name: str, percentage: str) -> Stage:
    if name == "percentage":
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


def _render(request: HttpRequest, refusal: DomainError | None = None) -> HttpResponse:
    state = snapshot.current()
    email = request.GET.get("email", "").strip()
    found = selectors.explain_member(email) if email else None
    asked_v1 = "v1_writes" in request.POST
    context = {
        **admin.site.each_context(request),
        "title": _("Rollout of the new messaging"),
        "state": state,
        "stage_title": _title(state.stage),
        "overridden": selectors.environment_disables(),
        "v1_writes": v1_takes_writes(state=state, override=settings.MESSAGING_V2_ROLLOUT),
        "steps": _steps(request, state),
        "can_move": request.user.has_perm("rollout.propose") or request.user.has_perm("rollout.rollback"),
        "can_propose": request.user.has_perm("rollout.propose"),
        "refusal": refusal,
        "refused_fields": refusal.fields if isinstance(refusal, ValidationRefused) else {},
        "needs_override": isinstance(refusal, PromotionRefused),
        "refused_stage": request.POST.get("stage", "") if refusal else "",
        "typed": {
            "stage_reason": "" if asked_v1 else request.POST.get("reason", ""),
            "v1_reason": request.POST.get("reason", "") if asked_v1 else "",
            "percentage": request.POST.get("percentage", ""),
        },
        "asked_v1": asked_v1,
        "email": email,
        "found": found,
        "explanation": explain(found.decision.reason) if found else "",
        "buckets": BUCKETS,
        "timeline": Change.objects.all()[:TIMELINE],
    }
    return TemplateResponse(
        request, "admin/rollout/control_room.html", context, status=refusal.status if refusal else 200
    )


def _steps(request: HttpRequest, state: RolloutState) -> list[Step]:
    may_rise, may_fall = (request.user.has_perm(f"rollout.{name}") for name in ("propose", "rollback"))
    now = height(state.stage)
    steps = []
    for stage in sorted({*LADDER, state.stage}, key=height):
        relation = (height(stage) > now) - (height(stage) < now)
        steps.append(
            Step(
                stage=stage,
                title=_title(stage),
                who=_who(stage),
                state={-1: "passed", 0: "current", 1: "ahead"}[relation],
                allowed=bool(may_rise if relation > 0 else may_fall and relation < 0),
            )
        )
    return steps


def _title(stage: Stage) -> str:
    if stage.permille:
        return f"{stage.permille / 10:g}%"
    return {DISABLED: _("Disabled"), INTERNAL: _("Internal"), ENABLED: _("Enabled")}[stage]


def _who(stage: Stage) -> str:
    if stage.permille:
        return _("Staff, testers and %(share)s of members") % {"share": _title(stage)}
    return {DISABLED: _("Nobody"), INTERNAL: _("Staff and testers"), ENABLED: _("Everybody; V1 is frozen")}[stage]


def _said(change: Change) -> str:
    if change.from_stage == change.to_stage and change.from_v1_writes != change.to_v1_writes:
        return _("V1 writes are on.") if change.to_v1_writes else _("V1 writes are off.")
    return _("The rollout is now at %(stage)s.") % {"stage": change.to_stage}
