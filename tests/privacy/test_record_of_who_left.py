"""What the audit log keeps of an erased member: what they did, without the name, and all that others wrote."""

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.utils.timezone import now

from carecollective.accounts.models import User
from carecollective.privacy import erasure
from carecollective.privacy.models import Erasure
from rollout.models import Change, Proposal, RootCause, SignOff, Source
from rollout.promotion import audit_log, proposals
from rollout.promotion.services import set_v1_writes
from rollout.stages import INTERNAL
from tests.privacy.leaving import PASSWORD, TRACES, erase


def test_erased_staff_lose_their_name_in_an_intact_audit_log(zerlina, staff, signed_in, find_everywhere):
    staff()
    User.objects.filter(pk=zerlina.pk).update(is_staff=True, is_superuser=True)
    zerlina.refresh_from_db()
    set_v1_writes(actor=zerlina, on=False, reason="Zerlina Quastenflosser tries it out", source=Source.ADMIN)
    set_v1_writes(actor=None, on=True, reason="And back", source=Source.COMMAND)
    head = audit_log.verify().head
    erase(zerlina, signed_in)
    assert find_everywhere(*TRACES) == []
    found = audit_log.verify()
    assert found.intact
    assert found.head != head
    recorded = Erasure.objects.get()
    assert (recorded.record_head_before, recorded.record_head_after) == (head, found.head)


@pytest.fixture
def record(db, member, staff, beyond_policies):
    """What an Amina and an Annabel did on the rollout and in the admin."""
    amina, annabel = staff(name="Amina Haddad"), staff(name="Annabel")
    set_v1_writes(
        actor=amina, on=False, reason="Amina Haddad tries it out, amina@example.org knows", source=Source.ADMIN
    )
    Proposal.objects.create(
        from_stage="disabled", to_stage="internal", from_version=1, reason="Approved by Ann", proposer_id=amina.pk,
        proposer_label="Amina Haddad", state="refused", decided_by_id=annabel.pk, decided_by_label="Annabel",
        decided_at=now(), decision_reason="Ann says no",
    )  # fmt: skip
    with beyond_policies() as cursor:
        cursor.execute(
            "INSERT INTO rollout_root_cause (change_id, what, why, fix, who, due, filed_by_id, filed_by_label, filed_at)"
            " VALUES (0, 'Ann saw it', 'Amina Haddad', 'rollback', 'Amina Haddad', '2026-12-01', %s, 'Annabel', now())",
            [annabel.pk],
        )
    for message in ("Ann asked Annabel: Approved", '[{"changed": {"fields": ["Name"]}}]'):
        LogEntry.objects.create(
            user=annabel,
            content_type=ContentType.objects.get_for_model(User),
            object_id=str(annabel.pk),
            object_repr="Amina Haddad",
            action_flag=CHANGE,
            change_message=message,
        )

    def read():
        rows = [
            list(model.objects.order_by("pk").values()) for model in (Change, Proposal, SignOff, RootCause, LogEntry)
        ]
        return rows, audit_log.verify().head

    return read


@pytest.mark.parametrize(
    "name", ["Amina Haddad", "Ann", "Annabel", "Approved", "changed", "fields", "rollback", "a", "Former member"]
)
def test_an_erasure_under_any_name_keeps_what_others_did(record, member, signed_in, name):
    leaver = member(name=name, email="mina@example.org", set_password=PASSWORD)
    before = record()
    erase(leaver, signed_in)
    assert User.objects.get(pk=leaver.pk).email is None
    assert record() == before
    assert audit_log.verify().intact


@pytest.mark.parametrize("name", ["Not", "Not approved", "approved", "Erased"])
def test_an_erasure_under_any_name_keeps_what_staff_noted(db, member, staff, signed_in, name):
    leaver = member(name=name, email="mina@example.org", set_password=PASSWORD)
    entry = LogEntry.objects.create(
        user=staff(), content_type=ContentType.objects.get_for_model(User), object_id=str(leaver.pk),
        object_repr=name, action_flag=CHANGE, change_message="Not approved",
    )  # fmt: skip
    erase(leaver, signed_in)
    entry.refresh_from_db()
    assert (entry.object_repr, entry.change_message) == ("Former member", "Not approved")


def test_an_erasure_of_staff_removes_only_their_name(record, staff, signed_in):
    staff()
    leaver = staff(name="Ann", email="ann@example.org", set_password=PASSWORD)
    set_v1_writes(
        actor=leaver, on=True, reason="Ann and Annabel, ann@example.org, joann@example.org", source=Source.ADMIN
    )
    before, _head = record()
    erase(leaver, signed_in)
    after, _head = record()
    (own,) = Change.objects.filter(actor_id=leaver.pk)
    assert (own.actor_label, own.reason) == (
        "Former member", "Former member and Annabel, former member, joann@example.org",
    )  # fmt: skip
    others = [[row for row in rows if row.get("actor_id") != leaver.pk] for rows in (before[0], after[0])]
    for rows in others:
        for row in rows:
            row.pop("hash")
    assert others[0] == others[1]
    assert before[1:] == after[1:]
    assert audit_log.verify().intact


def test_an_erased_proposer_leaves_the_reason_of_the_step(db, staff, signed_in, shown):
    staff()
    leaver, other = staff(name="Zerlina Quastenflosser", set_password=PASSWORD), staff(name="Amina")
    proposal = proposals.propose(actor=leaver, stage=INTERNAL, reason="It is time")
    change = proposals.approve(actor=other, proposal_id=proposal.pk)
    assert "Proposed by Zerlina Quastenflosser" in change.reason
    erase(leaver, signed_in)
    change.refresh_from_db()
    assert change.reason == "It is time\nProposed by Former member, approved by Amina."
    assert (change.actor_label, audit_log.verify().intact) == ("Amina", True)


@pytest.mark.parametrize("name", ["not", "Ben", "Ann", "approved"])
def test_an_erased_proposer_changes_no_decision_of_others(db, staff, signed_in, shown, name):
    leaver, ben = staff(name=name, set_password=PASSWORD), staff(name="Ben Ann Smith")
    root = staff(name="Root")
    refused = proposals.propose(actor=leaver, stage=INTERNAL, reason="Because it is so")
    proposals.refuse(actor=ben, proposal_id=refused.pk, reason=f"I do not believe the figures, {name}")
    step = proposals.propose(actor=leaver, stage=INTERNAL, reason=f"Because {name} says so")
    change = proposals.approve(actor=ben, proposal_id=step.pk)
    erasure.erase_for_member(actor=root, member_id=leaver.pk)
    refused.refresh_from_db()
    assert refused.decision_reason == f"I do not believe the figures, {name}"
    assert (refused.proposer_label, refused.decided_by_label) == ("Former member", "Ben Ann Smith")
    change.refresh_from_db()
    wanted = "Because Former member says so\nProposed by Former member, approved by Ben Ann Smith."
    assert change.reason == wanted
    assert audit_log.verify().intact
