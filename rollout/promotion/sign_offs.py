"""Signatures: what people vouch for in their own name, for a release, and in a role where one is needed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection, transaction

from carecollective.accounts.models import User
from carecollective.core.database import fetch_all
from carecollective.core.errors import NotPermitted
from carecollective.formats.moments import moment
from carecollective.postgres import advisory_locks
from rollout.errors import ItemUnknown, NothingToChange, RoleMissing, SamePerson, SignedTooEarly
from rollout.gates.criteria import bake_days
from rollout.gates.results import CheckState
from rollout.gates.stays import Stay, find_resumed, read_last_rollback, read_stays
from rollout.models import SignOff
from rollout.promotion.automated_checks import Check
from rollout.releases import current_release
from rollout.stages import Stage, standard_stage

ENGINEERING, PRODUCT = "engineering_lead", "product_owner"
# A role is a group of the admin's with this name; staff who may edit members give it.
ROLES = {ENGINEERING: "Engineering lead", PRODUCT: "Product owner"}
STAFF_ROLE = "Staff"


@dataclass(frozen=True, slots=True)
class Signature:
    """Who signed an item, in what role, when and for which release. A later rollback makes it lapse."""

    part: str  # "", engineering_lead or product_owner
    part_title: str
    signer: str
    signed_at: datetime
    role: str
    release: str
    lapsed: bool


@dataclass(frozen=True, slots=True)
class ChecklistItem:
    """An item as it was judged. `parts` are those still to be signed: ("",), or the two stakeholders."""

    number: int
    name: str
    title: str
    judged_by: str  # program, people, both
    state: CheckState
    words: str
    signatures: tuple[Signature, ...]
    parts: tuple[str, ...]

    @property
    def passed(self) -> bool:
        return self.state is CheckState.PASS


@dataclass(frozen=True, slots=True)
class Item:
    """What is needed: the automated `check`, a signature for each of `parts`, or both.

    A part is a role, or empty for anybody who may approve. An item about a stay at a `stage` can be signed once that
    stay has lasted for `days`, by default as long as the stage must last.
    """

    name: str
    title: str
    check: Check | None = None
    parts: tuple[str, ...] = ()
    stage: Stage | None = None
    days: float | None = None


_items: dict[str, Item] = {}


def register(items: tuple[Item, ...]) -> None:
    """Make items known, so that they can be signed."""
    _items.update({item.name: item for item in items})


def title_of_item(name: str) -> str:
    """Return the title of an item; its name where an earlier release had it."""
    return _items[name].title if name in _items else name


@dataclass(frozen=True, slots=True)
class SignOffFacts:
    """What signatures are judged by, read once."""

    now: datetime
    signatures: Mapping[tuple[str, str], SignOff]
    staff: frozenset[UUID]
    holders: Mapping[str, int]
    rolled_back_at: datetime | None
    stay: Stay | None
    is_resumed: bool

    def is_open(self, item: Item) -> bool:
        """Whether the present stage has the item."""
        stage = self.stay.stage if self.stay else None
        return item.stage is None or (stage is not None and standard_stage(stage) == item.stage)

    def opens_at(self, item: Item) -> datetime | None:
        """Return when the stay that the item is about has lasted long enough; None for an item about no stay."""
        if item.stage is None or self.stay is None:
            return None
        days = bake_days(item.stage, is_resumed=self.is_resumed) if item.days is None else item.days
        return self.stay.began + timedelta(days=days)

    def counts(self, signature: SignOff, *, since: datetime | None = None) -> bool:
        """Whether a signature still counts: its signer is staff, and no rollback came after it."""
        starts = [at for at in (self.rolled_back_at, since) if at]
        return signature.signer_id in self.staff and all(signature.signed_at >= at for at in starts)


def read_sign_off_facts() -> SignOffFacts:
    """Read the latest signatures, the staff, the roles, the last rollback and the present stay."""
    latest = {
        (found.item, found.part): found
        for found in SignOff.objects.order_by("item", "part", "-pk").distinct("item", "part")
        if not found.withdrawn
    }
    staff = list(User.objects.filter(is_active=True, is_staff=True).values_list("pk", "groups__name"))
    groups = [group for _member, group in staff]
    ((now,),) = fetch_all("SELECT clock_timestamp()")
    stays, rollback = read_stays(), read_last_rollback()
    return SignOffFacts(
        now=now,
        signatures=latest,
        staff=frozenset(member for member, _group in staff),
        holders={role: groups.count(group) for role, group in ROLES.items()},
        rolled_back_at=rollback.at if rollback else None,
        stay=stays[0] if stays else None,
        is_resumed=find_resumed(stays) is not None,
    )


def judge_items(
    items: tuple[Item, ...], *, facts: SignOffFacts | None = None, since: datetime | None = None
) -> tuple[ChecklistItem, ...]:
    """Judge the items as they are now. Signatures from before `since` do not count."""
    facts = facts or read_sign_off_facts()
    return tuple(_judge(number, item, facts, since) for number, item in enumerate(items, start=1))


def sign(*, actor: User, item: str, part: str = "") -> SignOff:
    """Sign an item in one's own name, for the running release. Two roles take two people.

    Raises NotPermitted without `rollout.approve`; RoleMissing without the role that the part asks for; ItemUnknown;
    SignedTooEarly; SamePerson.
    """
    with transaction.atomic():
        # One signature after another, so that nobody signs both parts at the same moment.
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [advisory_locks.SIGN_OFFS])
        facts = read_sign_off_facts()
        _require(actor, item, part, facts)
        roles = [role for role, group in ROLES.items() if actor.groups.filter(name=group).exists()]
        if part and part not in roles:
            raise RoleMissing(f"Only the {ROLES[part].lower()} signs this.")
        opens_at = facts.opens_at(_items[item])
        if opens_at and facts.now < opens_at:
            raise SignedTooEarly(_can_be_signed(opens_at))
        others = [found for (name, other), found in facts.signatures.items() if name == item and other != part]
        if any(other.signer_id == actor.pk and facts.counts(other) for other in others):
            raise SamePerson
        held = part or next(iter(roles), "")
        return SignOff.objects.create(
            item=item, part=part, signer_id=actor.pk, signer_label=str(actor), role=held, release=current_release()
        )


def withdraw(*, actor: User, item: str, part: str = "", signer: str = "") -> SignOff:
    """Take a signature back, whoever gave it. With `signer`, only if it is theirs.

    Raises NotPermitted without `rollout.approve`; ItemUnknown; NothingToChange when another has signed by now.
    """
    facts = read_sign_off_facts()
    _require(actor, item, part, facts)
    signature = facts.signatures.get((item, part))
    if signer and (signature is None or signature.signer_label != signer):
        raise NothingToChange("Another signature stands there by now. Look at it again.")
    return SignOff.objects.create(
        item=item, part=part, signer_id=actor.pk, signer_label=str(actor), withdrawn=True, release=current_release()
    )


def _require(actor: User, item: str, part: str, facts: SignOffFacts) -> None:
    if not actor.has_perm("rollout.approve"):
        raise NotPermitted
    if item not in _items or part not in _items[item].parts or not facts.is_open(_items[item]):
        raise ItemUnknown


def _judge(number: int, item: Item, facts: SignOffFacts, since: datetime | None) -> ChecklistItem:
    found = item.check() if item.check else None
    signed = {part: by for part in item.parts if (by := facts.signatures.get((item.name, part)))}
    opens_at = facts.opens_at(item)
    counts_from = max((at for at in (since, opens_at) if at), default=None)
    signatures = tuple(
        Signature(
            part=part,
            part_title=ROLES[part] if part else "",
            signer=by.signer_label,
            signed_at=by.signed_at,
            role=ROLES.get(by.role, STAFF_ROLE),
            release=by.release,
            lapsed=not facts.counts(by, since=counts_from),
        )
        for part, by in signed.items()
    )
    valid = {signature.part for signature in signatures if not signature.lapsed}
    unsigned = tuple(part for part in item.parts if part not in valid)
    is_early = opens_at is not None and facts.now < opens_at
    judged = ChecklistItem(
        number=number,
        name=item.name,
        title=item.title,
        judged_by="both" if item.check and item.parts else "program" if item.check else "people",
        state=CheckState.PASS,
        words="",
        signatures=signatures,
        parts=unsigned if facts.is_open(item) and not is_early else (),
    )
    later = [_can_be_signed(opens_at)] if opens_at and is_early else []
    if found and found.state is not CheckState.PASS:
        return replace(judged, state=found.state, words=" ".join([found.words, *later]))
    if unsigned:
        said = later or list(_sign_again(signatures, opens_at))
        words = " ".join([_sign_here(unsigned, facts.holders), *said])
        return replace(judged, state=CheckState.INSUFFICIENT, words=words)
    return replace(judged, words=" ".join(filter(None, [found.words if found else "", *map(_signed, signatures)])))


def _can_be_signed(opens_at: datetime) -> str:
    return f"It can be signed from {moment(opens_at, up=True)}."


def _sign_again(signatures: tuple[Signature, ...], opens_at: datetime | None) -> Iterator[str]:
    """Say why a signature no longer counts."""
    lapsed = [signature for signature in signatures if signature.lapsed]
    if any(opens_at and signature.signed_at < opens_at for signature in lapsed):
        yield "Sign again: it was signed too early."
    elif lapsed:
        yield "Sign again: a signature ends with a rollback, and when its signer leaves the staff."


def _sign_here(unsigned: tuple[str, ...], holders: Mapping[str, int]) -> str:
    who = " and ".join(ROLES[part].lower() for part in unsigned if part)
    words = f"Still to be signed by the {who}." if who else "Still to be signed."
    for part in unsigned:
        if part and not holders.get(part):
            words += f" Nobody is {ROLES[part].lower()} yet: put a staff member into the group “{ROLES[part]}”."
    return words


def _signed(signature: Signature) -> str:
    said = f"Signed by {signature.signer} ({signature.role.lower()}) at {moment(signature.signed_at)}"
    return said + (f" for release {signature.release}." if signature.release else ".")
