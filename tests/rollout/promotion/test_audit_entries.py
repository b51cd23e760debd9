"""Who proposed, approved, signed and was told cannot be edited later without being found."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from carecollective.accounts.models import User
from carecollective.privacy import erasure
from rollout.models import Alert, AuditEntry, Change, Delivery, Proposal, Source
from rollout.promotion import audit_log, proposals, sign_offs
from rollout.promotion.root_causes import file_root_cause, list_due
from rollout.promotion.services import change_stage, recorded_as, roll_back
from rollout.stages import INTERNAL, Stage
from tests.operators import MakeStaff
from tests.readiness import StandInReadiness
from tests.roles import as_role

pytestmark = pytest.mark.django_db


@pytest.fixture
def history(shown: StandInReadiness, ben: User, amina: User, operators: MakeStaff) -> None:
    """A refusal, an approval, an override, a rollback with its root cause, a signature, and a message that arrived."""
    first = proposals.propose(actor=ben, stage=INTERNAL, reason="Ready")
    proposals.refuse(actor=amina, proposal_id=first.pk, reason="Not yet")
    second = proposals.propose(actor=ben, stage=INTERNAL, reason="Ready now")
    proposals.approve(actor=amina, proposal_id=second.pk)
    boss = operators(name="Boss", is_superuser=True)
    change_stage(actor=boss, stage=Stage.parse("percentage:10"), reason="Now", source=Source.ADMIN, override=True)
    roll_back(actor=amina, reason="Errors", source=Source.ADMIN)
    answers = {"what": "Offers failed", "why": "An index", "fix": "Add it", "who": "Ben", "due": "2099-12-01"}
    file_root_cause(actor=ben, root_cause_id=list_due()[0].id, **answers)
    sign_offs.sign(actor=ben, item="unit_tests")
    with as_role("guard"):
        alert = Alert.objects.create(kind="slow_call", severity="critical", words="Slow", stage="internal")
    delivery = Delivery.objects.create(alert=alert, channel="email", what="opened")
    Delivery.objects.filter(pk=delivery.pk).update(attempts=1, error="refused")
    Delivery.objects.filter(pk=delivery.pk).update(delivered_at="2026-11-28T10:00:00Z", attempts=2, error="")


def verify(*arguments: str) -> str:
    out = StringIO()
    call_command("rollout", "audit", "--verify", *arguments, stdout=out)
    return out.getvalue()


def test_what_the_application_wrote_is_whole(history: None) -> None:
    found = audit_log.verify()
    assert (found.problems, found.from_outside) == ((), ())
    assert found.entries == AuditEntry.objects.count() == 8
    assert found.entries_head == AuditEntry.objects.latest("pk").hash
    assert "8 entries, none altered" in verify()
    assert audit_log.verify(expected_head=found.entries_head).intact


@pytest.mark.parametrize(
    ("tampering", "problem"),
    [
        ("UPDATE rollout_proposal SET decided_by_label = 'Somebody' WHERE state = 'approved'", "was altered"),
        ("UPDATE rollout_proposal SET state = 'approved' WHERE state = 'refused'", "was altered"),
        ("UPDATE rollout_proposal SET evidence = '{\"gates\": []}'", "was altered"),
        ("DELETE FROM rollout_proposal WHERE state = 'refused'", "was removed"),
        ("UPDATE rollout_sign_off SET signer_label = 'Somebody'", "Signature"),
        ("UPDATE rollout_sign_off SET withdrawn = true", "was altered"),
        (
            "INSERT INTO rollout_sign_off (item, part, signer_id, signer_label, withdrawn) VALUES"
            " ('e2e_tests', '', gen_random_uuid(), 'Nobody', false)",
            "was added past",
        ),
        ("UPDATE rollout_root_cause SET why = 'No reason'", "Root cause"),
        ("UPDATE rollout_delivery SET delivered_at = delivered_at - interval '1 hour'", "Delivered message"),
        ("UPDATE rollout_delivery SET channel = 'slack'", "was altered"),
        ("DELETE FROM rollout_delivery", "was removed"),
        ("UPDATE rollout_audit_entry SET digest = repeat('0', 64) WHERE table_name = 'rollout_sign_off'", "not follow"),
        ("DELETE FROM rollout_audit_entry WHERE id = (SELECT min(id) FROM rollout_audit_entry)", "not follow"),
        ("UPDATE rollout_proposal SET proposer_id = gen_random_uuid() WHERE state = 'approved'", "passes for approved"),
        ("UPDATE rollout_proposal SET override = false WHERE override", "passes for approved"),
        ("UPDATE rollout_proposal SET proof = '' WHERE override", "passes for approved"),
        ("UPDATE rollout_proposal SET decision_proof = proof WHERE NOT override", "passes for approved"),
    ],
)
def test_what_was_edited_past_the_triggers_is_found(
    tampering: str, problem: str, history: None, past_the_triggers: Any
) -> None:
    with past_the_triggers() as cursor:
        # The constraint that two people are needed is the least of what a superuser steps past.
        cursor.execute("ALTER TABLE rollout_proposal DROP CONSTRAINT rollout_proposal_takes_two_people")
        cursor.execute(tampering)
    found = audit_log.verify()
    assert any(problem in one for one in found.problems), found.problems
    with pytest.raises(CommandError, match="not what was written"):
        verify()


def test_an_edit_of_a_settled_row_with_triggers_on_is_found(
    history: None, beyond_policies: Callable[[], AbstractContextManager[Any]]
) -> None:
    with beyond_policies() as cursor:
        cursor.execute("ALTER TABLE rollout_sign_off DISABLE TRIGGER rollout_sign_off_refuse_rewriting")
        cursor.execute("UPDATE rollout_sign_off SET signer_label = 'Somebody'")
        cursor.execute("ALTER TABLE rollout_sign_off ENABLE TRIGGER rollout_sign_off_refuse_rewriting")
    assert any("written again after it was settled" in one for one in audit_log.verify().problems)


def test_a_delivered_message_that_the_web_role_edits_is_found(history: None) -> None:
    Delivery.objects.update(delivered_at="2026-11-28T09:00:00Z")
    assert any("Delivered message" in one and "written again" in one for one in audit_log.verify().problems)


def test_an_approval_edited_out_of_history_is_found(history: None, past_the_triggers: Any) -> None:
    """A promotion in the record to which nothing corresponds."""
    with past_the_triggers() as cursor:
        cursor.execute("DELETE FROM rollout_proposal WHERE state = 'approved'")
    assert len([one for one in audit_log.verify().problems if "passes for approved" in one]) == 2


def test_an_approval_older_than_the_proofs_must_fit_its_proposal(history: None, past_the_triggers: Any) -> None:
    with past_the_triggers() as cursor:
        cursor.execute("UPDATE rollout_approval_key SET since = clock_timestamp() + interval '1 hour'")
    assert audit_log.verify().intact


def test_a_step_up_from_outside_is_named_and_the_record_is_right(stage: Callable[..., None]) -> None:
    stage("internal")
    with recorded_as({"rollout.source": "admin", "rollout.actor_label": "Amina"}):
        stage("percentage:10")
    found = audit_log.verify()
    assert found.intact
    assert len(found.from_outside) == 2
    assert "approved by nobody" in verify()


def test_an_entry_holds_no_word_of_the_row(history: None) -> None:
    for entry in AuditEntry.objects.all():
        assert set(entry.digest + entry.hash) <= set("0123456789abcdef")
        assert "Ben" not in entry.columns


@pytest.mark.parametrize("role", ["web", "guard"])
def test_no_role_of_the_site_writes_an_entry(role: str, connect_as: Any) -> None:
    session = connect_as(role, autocommit=True)
    for statement in (
        "INSERT INTO rollout_audit_entry (table_name, row_id, columns, digest, hash) VALUES ('x', 1, '', '', '')",
        "UPDATE rollout_audit_entry SET digest = ''",
        "DELETE FROM rollout_audit_entry",
        "TRUNCATE rollout_audit_entry",
    ):
        with pytest.raises(Exception, match="permission denied"):
            session.execute(statement)


def test_an_erasure_leaves_the_entries_whole(history: None, ben: User, staff: Callable[..., User]) -> None:
    root = staff(name="Root")
    assert Change.objects.exists()
    erasure.erase_for_member(actor=root, member_id=ben.pk)
    assert Proposal.objects.filter(proposer_label="Former member").exists()
    assert audit_log.verify().problems == ()
