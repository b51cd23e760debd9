"""The pages at /admin/rollout/: the control room with its buttons, and the final acceptance."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from carecollective.accounts.authentication import member_of
from carecollective.accounts.models import User
from carecollective.core import retention
from carecollective.core.errors import ValidationRefused
from carecollective.web.pages import CatchRefusals, render_page
from rollout.dashboard.actions import Forms, parse_stage
from rollout.dashboard.charts import draw_trend
from rollout.dashboard.schema import RolloutStatus
from rollout.dashboard.status import read_status
from rollout.errors import PromotionRefused
from rollout.promotion import root_causes
from rollout.promotion.acceptance import judge_acceptance
from rollout.releases import current_release
from rollout.stages import BUCKETS, DISABLED, STAGES, Stage, order_key
from rollout.targeting import preview, snapshot

LATEST = 5


can_view = permission_required("rollout.view", raise_exception=True)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@can_view
def control_room(request: HttpRequest) -> HttpResponse:
    """Show the rollout to staff with `rollout.view`; a POST does one thing and returns here."""
    forms, refusal, first_refused = Forms(), None, ""
    if request.method == "POST":
        form = forms.bind(request.POST)
        with CatchRefusals(form) as attempt:
            messages.success(request, form.run(member_of(request)))
            return redirect(reverse("admin:rollout_control_room") + _anchor_after(request))
        refusal, first_refused = attempt.error, form.first_refused
    context = {
        **admin.site.each_context(request),
        "retention": retention.read(),
        **_control_room_context(request, read_status(), forms),
        **_member_context(request),
        **_preview_context(request),
        "refusal": refusal,
        "first_refused": first_refused,
        "missing": refusal.missing if isinstance(refusal, PromotionRefused) else (),
    }
    return render_page(request, "admin/rollout/control_room.html", context, refusal=refusal)


@never_cache
@require_safe
@can_view
def live(request: HttpRequest) -> HttpResponse:
    """Return the parts of the page that the script refreshes."""
    return render(request, "admin/rollout/live.html", _control_room_context(request, read_status(), Forms()))


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@can_view
def acceptance(request: HttpRequest) -> HttpResponse:
    """Show the lines of the final acceptance; a POST signs one or takes a signature back."""
    refusal = None
    if request.method == "POST":
        form = Forms().bind(request.POST)
        with CatchRefusals(form) as attempt:
            messages.success(request, form.run(member_of(request)))
            return redirect("admin:rollout_acceptance")
        refusal = attempt.error
    items = judge_acceptance()
    context = {
        **admin.site.each_context(request),
        "title": "Final acceptance",
        "items": items,
        "open_count": sum(not item.passed for item in items),
        "release": current_release(),
        "can": _permissions(member_of(request)),
        "status": snapshot.read_now(),
        "post_to": reverse("admin:rollout_acceptance"),
        "refusal": refusal,
    }
    return render_page(request, "admin/rollout/acceptance.html", context, refusal=refusal)


def _permissions(member: User) -> dict[str, bool]:
    """Tell which buttons to draw for a member. The services check the permissions again."""
    names = ("propose", "approve", "rollback")
    return {name: member.has_perm(f"rollout.{name}") for name in names} | {"override": member.is_superuser}


def _anchor_after(request: HttpRequest) -> str:
    """Return the part of the page to show next: after one signature comes the next item."""
    if request.POST.get("action") not in ("sign", "unsign"):
        return ""
    return "#stage-sign-offs" if "/" in request.POST.get("item", "") else "?checklist=open#checklist"


def _control_room_context(request: HttpRequest, status: RolloutStatus, forms: Forms) -> dict[str, Any]:
    member, now = member_of(request), order_key(status.stage)
    figures, charts = status.figures.figures, draw_trend(status.figures.trend, stage=status.stage)
    open_items = [item for item in status.checklist if not item.passed]
    return {
        "status": status,
        "can": _permissions(member),
        "forms": forms,
        "title": f"{status.health.label}: {status.stage.title}",
        "is_live": status.stage != DISABLED,
        "steps": steps_of(status),
        "can_be_set_up": not all(channel.configured for channel in status.channels),
        "checklist_is_open": "checklist" in request.GET or _only_checklist_is_left(status),
        "checklist_done": len(status.checklist) - len(open_items),
        "blocking_gates": [gate for gate in status.gates if gate.blocks],
        "open_items": open_items,
        "next_choice": _stages_to_propose(status),
        "higher": [stage for stage in STAGES if order_key(stage) > now],
        "lower": [stage for stage in STAGES if stage != DISABLED and order_key(stage) < now],
        "proposals": [
            (proposal, proposal.proposer_id == member.pk, forms[f"refuse-{proposal.id}"])
            for proposal in status.proposals
        ],
        "is_pending": any(not proposal.stale for proposal in status.proposals),
        "charted": [(figure, charts[figure.name]) for figure in figures if figure.name in charts],
        "counted": [figure for figure in figures if figure.name not in charts],
        "codes": [(found, found.code.split("_")) for found in status.figures.errors_by_code],
        "root_causes": [
            (cause, Stage.parse(cause.from_stage).title, forms[f"file_root_cause-{cause.id}"])
            for cause in status.root_causes
        ],
        "first_due": root_causes.first_due(status.read_at),
        "latest": status.timeline[:LATEST],
        "earlier": status.timeline[LATEST:],
    }


def steps_of(status: RolloutStatus) -> list[tuple[Stage, str]]:
    """List the stages in order, each passed, skipped, current or ahead; a current one between two is among them."""
    now, steps = order_key(status.stage), []
    for stage in sorted({*STAGES, status.stage}, key=order_key):
        place = order_key(stage)
        passed = "skipped" if stage in status.skipped else "passed"
        steps.append((stage, "ahead" if place > now else "current" if place == now else passed))
    return steps


def _only_checklist_is_left(status: RolloutStatus) -> bool:
    """Whether only the checklist is in the way, and no root cause is to be filed."""
    blockers = status.next_step.blockers if status.next_step else ()
    return bool(blockers) and not status.root_causes and all(blocker.kind == "checklist" for blocker in blockers)


def _stages_to_propose(status: RolloutStatus) -> list[Stage]:
    """List the stages that can be proposed: the one that a rollback left, and the next one."""
    resume = [status.resume.stage] if status.resume and status.resume.ready else []
    return [*resume, *([status.next_step.stage] if status.next_step else [])]


def _member_context(request: HttpRequest) -> dict[str, Any]:
    email = request.GET.get("email", "").replace("\0", "").strip()
    return {"email": email, "found": preview.explain_member(email) if email else None, "buckets": BUCKETS}


def _preview_context(request: HttpRequest) -> dict[str, Any]:
    asked, percentage = request.GET.get("preview", ""), request.GET.get("percentage", "")
    if not asked:
        return {}
    chosen: dict[str, Any] = {"preview_stage": asked, "preview_percentage": percentage}
    try:
        stage: Stage = parse_stage(asked, percentage)
    except ValidationRefused as refusal:
        return chosen | {"preview_error": refusal.message}
    return chosen | {
        "preview": preview.preview(stage),
        "pairs": preview.preview_pairs(stage),
    }
