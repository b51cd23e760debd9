"""The playbook's final acceptance (6.2): nine items that are measured or signed."""

from datetime import datetime, timedelta
from functools import partial

from django.conf import settings

from carecollective.core.database import fetch_all
from carecollective.formats.moments import moment
from rollout import formatting
from rollout.gates import criteria
from rollout.gates.criteria import Criterion
from rollout.gates.observations import collect_observation
from rollout.gates.results import Measure
from rollout.gates.stays import read_stays
from rollout.models import Alert, Flag
from rollout.promotion import automated_checks, sign_offs
from rollout.promotion.automated_checks import CheckResult, failed, insufficient, passed
from rollout.promotion.sign_offs import ENGINEERING, PRODUCT, ChecklistItem, Item
from rollout.stages import ENABLED
from rollout.targeting.state import FLAG_NAME, environment_disables

OBSERVED_DAYS = 14
NOT_ENABLED = "The rollout is not at enabled."


def judge_acceptance() -> tuple[ChecklistItem, ...]:
    """Judge the nine items as they are now. The rollout is accepted when all of them pass."""
    return sign_offs.judge_items(ITEMS, since=_enabled_since())


def check_deployed() -> CheckResult:
    """Check that everybody is in V2."""
    stage = Flag.objects.get(name=FLAG_NAME).current_stage()
    if stage != ENABLED:
        return insufficient(f"The rollout is at {stage}.")
    if environment_disables():
        return failed("MESSAGING_V2_ROLLOUT=disabled holds it off.")
    return passed("The rollout is at enabled.")


def check_gate(measure: Measure, bound: float) -> CheckResult:
    """Check what was measured at enabled against a bound of its own."""
    if _enabled_since() is None:
        return insufficient(NOT_ENABLED)
    confidence = settings.ROLLOUT_CONFIDENCE
    gate = criteria.judge(Criterion(measure, bound), collect_observation(confidence=confidence), confidence)
    return CheckResult(gate.state, gate.words)


def check_observed() -> CheckResult:
    """Check that enabled has lasted two weeks without a critical alert."""
    since = _enabled_since()
    if since is None:
        return insufficient(NOT_ENABLED)
    ((now,),) = fetch_all("SELECT clock_timestamp()")
    start = max(since, now - timedelta(days=OBSERVED_DAYS))
    critical = Alert.objects.filter(severity="critical", opened_at__gte=start).count()
    if critical:
        return failed(f"{formatting.count(critical, 'critical alert')} opened since {moment(start)}.")
    days = (now - since) / timedelta(days=1)
    if days < OBSERVED_DAYS:
        return insufficient(f"{days:.1f} of {OBSERVED_DAYS} days at enabled.")
    return passed(f"{int(days)} days at enabled, and no critical alert in the last 14.")


def _enabled_since() -> datetime | None:
    stays = read_stays()
    return stays[0].began if stays and stays[0].stage == ENABLED else None


ITEMS = (
    Item("accepted/deployed", "V2 is deployed to 100% of members", check_deployed),
    Item("accepted/success", "Over 99% of conversations begin", partial(check_gate, Measure.SUCCESS, 0.99)),
    Item("accepted/latency", "Messages are sent in under 500 ms (p95)", partial(check_gate, Measure.LATENCY, 500)),
    Item("accepted/errors", "Under 1% of operations fail", partial(check_gate, Measure.ERRORS, 0.01)),
    Item(
        "accepted/bugs",
        "No critical bugs in two weeks at enabled",
        check_observed,
        ("",),
        stage=ENABLED,
        days=OBSERVED_DAYS,
    ),
    Item("accepted/v1", "V1 conversations can still be read", automated_checks.registered("v1")),
    Item("accepted/dashboards", "The monitoring works", automated_checks.check_metrics),
    Item("accepted/alerts", "Alerts are judged by a guard and reach people", automated_checks.check_alert_rules),
    Item("accepted/deprecation", "The stakeholders approve planning the end of V1", parts=(ENGINEERING, PRODUCT)),
)
sign_offs.register(ITEMS)
