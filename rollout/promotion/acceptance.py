"""The playbook's final acceptance (6.2), line by line: what is measured, and what people sign for."""

from datetime import datetime, timedelta

from django.db import connection
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, ngettext

from carecollective.core.moments import moment
from rollout.gates import criteria
from rollout.gates.criteria import Criterion
from rollout.gates.observations import collect_observation
from rollout.gates.results import Measure
from rollout.gates.stays import read_stays
from rollout.models import Alert, Flag
from rollout.promotion import automated_checks, sign_offs
from rollout.promotion.automated_checks import CheckResult, failed, insufficient, passed
from rollout.promotion.readiness import confidence
from rollout.promotion.sign_offs import ENGINEERING, PRODUCT, ChecklistItem, Item
from rollout.stages import ENABLED
from rollout.targeting.state import FLAG_NAME, environment_disables

OBSERVED_DAYS = 14
NOT_ENABLED = gettext_noop("The rollout is not at enabled.")


def judge_acceptance() -> tuple[ChecklistItem, ...]:
    """Judge the nine lines as they stand now. The rollout is accepted when all of them pass."""
    return sign_offs.judge_items(ITEMS, since=_enabled_since())


def check_deployed() -> CheckResult:
    """Look whether everybody is in V2."""
    stage = Flag.objects.get(name=FLAG_NAME).current_stage()
    if stage != ENABLED:
        return insufficient(_("The rollout is at %(stage)s.") % {"stage": stage})
    if environment_disables():
        return failed(_("MESSAGING_V2_ROLLOUT=disabled holds it off."))
    return passed(_("The rollout is at enabled."))


def check_success() -> CheckResult:
    """Hold the starts at enabled against 99%."""
    return _check_by_gate(Criterion(Measure.SUCCESS, 0.99))


def check_latency() -> CheckResult:
    """Hold the sends at enabled against 500 ms."""
    return _check_by_gate(Criterion(Measure.LATENCY, 500))


def check_errors() -> CheckResult:
    """Hold the failures at enabled against 1%."""
    return _check_by_gate(Criterion(Measure.ERRORS, 0.01))


def check_observed() -> CheckResult:
    """Look whether the stage lasted two weeks, and whether a critical alert opened in them."""
    since = _enabled_since()
    if since is None:
        return insufficient(_(NOT_ENABLED))
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (now,) = cursor.fetchone()
    start = max(since, now - timedelta(days=OBSERVED_DAYS))
    critical = Alert.objects.filter(severity="critical", opened_at__gte=start).count()
    if critical:
        words = ngettext(
            "%(count)d critical alert opened since %(since)s.",
            "%(count)d critical alerts opened since %(since)s.",
            critical,
        )
        return failed(words % {"count": critical, "since": moment(start)})
    days = (now - since) / timedelta(days=1)
    if days < OBSERVED_DAYS:
        return insufficient(_("%(days).1f of %(asked)d days at enabled.") % {"days": days, "asked": OBSERVED_DAYS})
    return passed(_("%(days)d days at enabled, and no critical alert in the last 14.") % {"days": days})


def _enabled_since() -> datetime | None:
    stays = read_stays()
    return stays[0].began if stays and stays[0].stage == ENABLED else None


def _observed_at() -> datetime | None:
    since = _enabled_since()
    return since + timedelta(days=OBSERVED_DAYS) if since else None


ITEMS = (
    Item("accepted/deployed", gettext_noop("V2 is deployed to 100% of members"), check_deployed),
    Item("accepted/success", gettext_noop("Over 99% of conversations begin"), check_success),
    Item("accepted/latency", gettext_noop("Messages are sent in under 500 ms (p95)"), check_latency),
    Item("accepted/errors", gettext_noop("Under 1% of operations fail"), check_errors),
    Item(
        "accepted/bugs",
        gettext_noop("No critical bugs in two weeks at enabled"),
        check_observed,
        ("",),
        is_open=lambda: _enabled_since() is not None,
        opens_at=_observed_at,
    ),
    Item("accepted/v1", gettext_noop("V1 conversations can still be read"), automated_checks.registered("v1")),
    Item("accepted/dashboards", gettext_noop("The monitoring works"), automated_checks.check_metrics),
    Item(
        "accepted/alerts",
        gettext_noop("Alerts are judged by a guard and reach people"),
        automated_checks.check_alert_rules,
    ),
    Item(
        "accepted/deprecation",
        gettext_noop("The stakeholders approve planning the end of V1"),
        parts=(ENGINEERING, PRODUCT),
    ),
)
sign_offs.register(ITEMS)


def _check_by_gate(criterion: Criterion) -> CheckResult:
    if _enabled_since() is None:
        return insufficient(_(NOT_ENABLED))
    sure = confidence()
    gate = criteria.judge(criterion, collect_observation(confidence=sure), sure)
    return CheckResult(gate.state, gate.words)
