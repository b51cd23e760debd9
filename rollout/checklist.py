"""The playbook's ten items before a promotion: a program judges what it can, and people sign for the rest."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import Max
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from carecollective.accounts.models import User
from carecollective.core.errors import NotPermitted
from rollout import evidence
from rollout.errors import ItemUnknown, NothingToChange, SamePerson
from rollout.evidence import Finding
from rollout.models import Change, SignOff
from rollout.stages import DISABLED
from rollout.status_tree import ChecklistItem, Signature

SIGNING = 7262013  # the advisory lock's number
ENGINEERING, PRODUCT = "engineering_lead", "product_owner"
PART_TITLES = {"": "", ENGINEERING: gettext_noop("Engineering lead"), PRODUCT: gettext_noop("Product owner")}


@dataclass(frozen=True, slots=True)
class Item:
    """What is asked for: by `judge`, a program; by `parts`, as many signatures; or by both."""

    name: str
    title: str
    judge: Callable[[], Finding] | None = None
    parts: tuple[str, ...] = ()


ITEMS = (
    Item("schema", gettext_noop("The new messaging's tables, constraints and indexes exist"), evidence.find_schema),
    Item("policies", gettext_noop("Row-level security and its policies hold the site"), evidence.find_policies),
    Item("backup", gettext_noop("A backup younger than 24 hours was restored to try it"), evidence.find_backup),
    Item("unit_tests", gettext_noop("The tests pass, with at least 80% coverage"), parts=("",)),
    Item("e2e_tests", gettext_noop("The end-to-end tests pass, in all scenarios"), parts=("",)),
    Item("flag", gettext_noop("The flag is set up, and disabled before the first promotion"), evidence.find_flag),
    Item("metrics", gettext_noop("Metrics are flowing"), evidence.find_metrics),
    Item("alerts", gettext_noop("Alert rules are loaded, and a guard evaluates them"), evidence.find_alert_rules),
    Item("rollback_plan", gettext_noop("The rollback plan is documented and understood"), evidence.find_plan, ("",)),
    Item("stakeholders", gettext_noop("The stakeholders approve"), parts=(ENGINEERING, PRODUCT)),
)
_BY_NAME = {item.name: item for item in ITEMS}


def judge_checklist() -> tuple[ChecklistItem, ...]:
    """Judge the ten items as they stand now."""
    signed, counts = _signatures(), _what_counts()
    return tuple(
        _judge(
            number, item, {part: signed[item.name, part] for part in item.parts if (item.name, part) in signed}, counts
        )
        for number, item in enumerate(ITEMS, start=1)
    )


def sign(*, actor: User, item: str, part: str = "") -> SignOff:
    """Vouch for an item in one's own name. The two stakeholders are two people.

    Raises NotPermitted without `rollout.approve`; ItemUnknown; SamePerson.
    """
    _require(actor, item, part)
    with transaction.atomic():
        # One signature after another, so that nobody signs both parts at the same moment.
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [SIGNING])
        standing = _signatures()
        others = [found for (name, other), found in standing.items() if name == item and other != part]
        counts = _what_counts()
        if any(other.signer_id == actor.pk and counts(other) for other in others):
            raise SamePerson
        return SignOff.objects.create(item=item, part=part, signer_id=actor.pk, signer_label=str(actor))


def withdraw(*, actor: User, item: str, part: str = "", signer: str = "") -> SignOff:
    """Take a signature back, whoever gave it, or the one by `signer` alone.

    Raises NotPermitted without `rollout.approve`; ItemUnknown; NothingToChange when another has signed by now.
    """
    _require(actor, item, part)
    standing = _signatures().get((item, part))
    if signer and (standing is None or standing.signer_label != signer):
        raise NothingToChange(_("Another signature stands there by now. Look at it again."))
    return SignOff.objects.create(item=item, part=part, signer_id=actor.pk, signer_label=str(actor), withdrawn=True)


def _require(actor: User, item: str, part: str) -> None:
    if not actor.has_perm("rollout.approve"):
        raise NotPermitted
    if item not in _BY_NAME or part not in _BY_NAME[item].parts:
        raise ItemUnknown


def _judge(number: int, item: Item, signed: Mapping[str, SignOff], counts: Callable[[SignOff], bool]) -> ChecklistItem:
    found = item.judge() if item.judge else None
    signatures = tuple(
        Signature(part, _(PART_TITLES[part]) if part else "", by.signer_label, by.signed_at, not counts(by))
        for part, by in signed.items()
    )
    valid = {signature.part for signature in signatures if not signature.lapsed}
    unsigned = tuple(part for part in item.parts if part not in valid)
    judged = ChecklistItem(
        number=number,
        name=item.name,
        title=_(item.title),
        judged_by="both" if item.judge and item.parts else "program" if item.judge else "people",
        state="pass",
        words="",
        signatures=signatures,
        parts=unsigned,
    )
    if found and found.state != "pass":
        return replace(judged, state=found.state, words=found.words)
    if unsigned:
        return replace(judged, state="insufficient", words=_sign_here(unsigned, signatures))
    return replace(judged, words=" ".join(filter(None, [found.words if found else "", *map(_signed, signatures)])))


def _sign_here(unsigned: tuple[str, ...], signatures: tuple[Signature, ...]) -> str:
    who = _(" and ").join(_(PART_TITLES[part]).lower() for part in unsigned if part)
    words = _("Still to be signed by the %(who)s.") % {"who": who} if who else _("Still to be signed.")
    if any(signature.lapsed for signature in signatures):
        words += " " + _("Sign again: a signature ends with a rollback, and when its signer leaves the staff.")
    return words


def _signed(signature: Signature) -> str:
    by = f"{signature.signer} ({signature.part_title.lower()})" if signature.part else signature.signer
    return _("Signed by %(who)s on %(when)s.") % {"who": by, "when": f"{signature.signed_at:%Y-%m-%d}"}


def _signatures() -> dict[tuple[str, str], SignOff]:
    latest: dict[tuple[str, str], SignOff] = {}
    for found in SignOff.objects.order_by("item", "part", "-pk").distinct("item", "part"):
        if not found.withdrawn:
            latest[found.item, found.part] = found
    return latest


def _last_rollback() -> datetime | None:
    """Return when V2 was last taken from members: what was vouched for before that has been shown to be wrong."""
    back = Change.objects.filter(to_stage=str(DISABLED)).exclude(from_stage=str(DISABLED)).exclude(from_stage=None)
    found: dict[str, Any] = back.aggregate(at=Max("at"))
    at: datetime | None = found["at"]
    return at


def _what_counts() -> Callable[[SignOff], bool]:
    lapse = _last_rollback()
    staff = set(User.objects.filter(is_active=True, is_staff=True).values_list("pk", flat=True))
    return lambda signature: signature.signer_id in staff and (lapse is None or signature.signed_at >= lapse)
