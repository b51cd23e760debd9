"""A step up takes two people: the database checks this, whatever the web role writes."""

from typing import Any
from uuid import UUID

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction

from carecollective.accounts.models import User
from rollout.dashboard.status import read_status
from rollout.errors import ApprovalNotAccepted, ProposalUnproven
from rollout.models import Change, Flag, Proposal, Source
from rollout.promotion import approval_proofs, audit_log, proposals
from rollout.promotion.services import change_stage, recorded_as, roll_back
from rollout.stages import INTERNAL, Stage
from tests.operators import MakeStaff
from tests.readiness import StandInReadiness

pytestmark = pytest.mark.django_db

TEN = Stage.parse("percentage:10")


def execute(sql: str, **parameters: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)


def step_up_as(actor: User | None, *, to: str = "internal", source: str = "admin", override: bool = False) -> Change:
    """Write the flag as whoever has the web role's SQL would: in the settings' words, in anybody's name."""
    context = {
        "rollout.actor_id": str(actor.pk) if actor else "",
        "rollout.actor_label": str(actor or "Command line"),
        "rollout.source": source,
        "rollout.reason": "All approved",
        "rollout.override": "true" if override else "false",
    }
    with recorded_as(context):
        execute("UPDATE rollout_flag SET stage = %(to)s", to=to)
    return Change.objects.latest("pk")


def forge_proposal(proposer: UUID | None, *, to: str = "internal", **more: Any) -> Proposal:
    flag = Flag.objects.get()
    step = {"from_stage": flag.stage, "to_stage": to, "from_version": flag.version}
    return Proposal.objects.create(
        **(step | {"reason": "Forged", "proposer_id": proposer, "proposer_label": "Ben"} | more)
    )


def forge_approval(proposal: Proposal, approver: User, **more: Any) -> None:
    Proposal.objects.filter(pk=proposal.pk).update(
        state="approved",
        decided_by_id=approver.pk,
        decided_by_label=str(approver),
        decided_at="2026-01-01T00:00:00Z",
        **more,
    )


def assert_from_outside(change: Change, *, to: str = "internal") -> None:
    assert (change.source, change.actor_id, change.override) == ("outside", None, False)
    assert change.actor_label == change.database_role
    assert change.to_stage == to == Flag.objects.get().stage
    assert change.reason.startswith("A step up without a matching approval.")


@pytest.mark.parametrize("source", ["admin", "command", "guard", "environment"])
@pytest.mark.parametrize("override", [False, True])
def test_settings_alone_make_no_approval(source: str, override: bool, amina: User) -> None:
    change = step_up_as(amina, source=source, override=override)
    assert_from_outside(change)
    assert f"called itself Amina ({source}) and said: All approved" in change.reason


def test_an_approval_in_the_name_of_two_others_is_from_outside(ben: User, amina: User) -> None:
    proposal = forge_proposal(ben.pk)
    forge_approval(proposal, amina)
    assert_from_outside(step_up_as(amina))


def test_a_made_up_proof_proves_nothing(ben: User, amina: User) -> None:
    proposal = forge_proposal(ben.pk, proof="00.00")
    forge_approval(proposal, amina, decision_proof="00.00")
    assert_from_outside(step_up_as(amina))


def test_a_true_proposal_with_a_forged_approval_is_from_outside(
    shown: StandInReadiness, ben: User, amina: User
) -> None:
    proposal = proposals.propose(actor=ben, stage=INTERNAL, reason="Ready")
    forge_approval(proposal, amina, decision_proof=proposal.proof)
    assert_from_outside(step_up_as(amina))


def test_a_forged_proposal_is_not_approved_in_the_control_room(shown: StandInReadiness, ben: User, amina: User) -> None:
    proposal = forge_proposal(ben.pk)
    recorded = Change.objects.count()
    with pytest.raises(ProposalUnproven):
        proposals.approve(actor=amina, proposal_id=proposal.pk)
    proposal.refresh_from_db()
    assert (proposal.state, Change.objects.count()) == ("pending", recorded)


def test_a_true_proposal_is_not_copied(shown: StandInReadiness, ben: User, amina: User) -> None:
    proposal = proposals.propose(actor=ben, stage=INTERNAL, reason="Ready")
    proposals.withdraw(actor=ben, proposal_id=proposal.pk)
    with pytest.raises(IntegrityError, match="rollout_proposal_proof_is_used_once"), transaction.atomic():
        forge_proposal(ben.pk, proof=proposal.proof)


def approved(shown: StandInReadiness, ben: User, amina: User) -> Proposal:
    proposal = proposals.propose(actor=ben, stage=INTERNAL, reason="Ready")
    change = proposals.approve(actor=amina, proposal_id=proposal.pk)
    assert (change.source, change.actor_id) == ("admin", amina.pk)
    return Proposal.objects.get(pk=proposal.pk)


def test_an_approval_is_used_once(shown: StandInReadiness, ben: User, amina: User) -> None:
    approved(shown, ben, amina)
    roll_back(actor=amina, reason="Errors", source=Source.ADMIN)
    assert_from_outside(step_up_as(amina))


def test_an_approval_of_another_stage_does_not_count(shown: StandInReadiness, ben: User, amina: User) -> None:
    approved(shown, ben, amina)
    assert_from_outside(step_up_as(amina, to="percentage:10"), to="percentage:10")


def test_an_approval_of_another_version_does_not_count(shown: StandInReadiness, ben: User, amina: User) -> None:
    flag = Flag.objects.get()
    step = {"from_stage": "disabled", "to_stage": "internal", "from_version": flag.version + 7, "proposer_id": ben.pk}
    proposal = forge_proposal(ben.pk, from_version=flag.version + 7, proof=proof_of(**step))
    forge_approval(proposal, amina, decision_proof=proof_of_approval(proposal, amina))
    assert_from_outside(step_up_as(amina))


def proof_of(**step: Any) -> str:
    return approval_proofs.prove(*approval_proofs.step_fields(Proposal(**step)))


def proof_of_approval(proposal: Proposal, approver: User) -> str:
    return approval_proofs.prove(*approval_proofs.approval_fields(proposal, approver.pk))


def proven_pair(proposer: User, approver: User) -> None:
    """Both proofs are genuine: what is missing is the right of one of the two at this moment."""
    flag = Flag.objects.get()
    step = {
        "from_stage": flag.stage,
        "to_stage": "internal",
        "from_version": flag.version,
        "proposer_id": proposer.pk,
    }
    proposal = forge_proposal(proposer.pk, proof=proof_of(**step))
    forge_approval(proposal, approver, decision_proof=proof_of_approval(proposal, approver))


def test_two_people_with_proofs_are_accepted(ben: User, amina: User) -> None:
    proven_pair(ben, amina)
    assert step_up_as(amina).source == "admin"


@pytest.mark.parametrize("who", ["ben", "amina"])
@pytest.mark.parametrize("lost", ["is_active", "is_staff", "groups"])
def test_former_staff_and_those_without_permission_approve_nothing(who: str, lost: str, ben: User, amina: User) -> None:
    proven_pair(ben, amina)
    person = {"ben": ben, "amina": amina}[who]
    if lost == "groups":
        person.groups.clear()
    else:
        User.objects.filter(pk=person.pk).update(**{lost: False})
    assert_from_outside(step_up_as(amina))


def test_an_own_permission_counts_like_a_groups(operators: MakeStaff) -> None:
    proposer, approver = operators("view", "propose"), operators("view", "approve")
    proven_pair(proposer, approver)
    assert step_up_as(approver).source == "admin"


def test_the_permission_to_propose_is_none_to_approve(operators: MakeStaff) -> None:
    proposer, other = operators("view", "propose"), operators("view", "propose")
    proven_pair(proposer, other)
    assert_from_outside(step_up_as(other))


def test_an_approval_in_the_name_of_a_third_is_from_outside(ben: User, amina: User, operators: MakeStaff) -> None:
    proven_pair(ben, amina)
    assert_from_outside(step_up_as(operators(name="Chidi")))


def test_an_override_takes_a_superuser_with_a_proof(shown: StandInReadiness, operators: MakeStaff) -> None:
    boss = operators(name="Boss", is_superuser=True)
    change = change_stage(actor=boss, stage=TEN, reason="Now", source=Source.ADMIN, override=True)
    assert (change.source, change.override, change.actor_id) == ("admin", True, boss.pk)


def test_an_override_from_the_command_line_is_recorded_as_such(shown: StandInReadiness, db: None) -> None:
    call_command("rollout", "stage", "internal", "--override", "--reason", "At night", verbosity=0)
    change = Change.objects.latest("pk")
    assert (change.source, change.override, change.actor_id) == ("command", True, None)


def test_a_forged_override_is_from_outside(shown: StandInReadiness, operators: MakeStaff) -> None:
    boss = operators(name="Boss", is_superuser=True)
    for actor, source in ((boss, "admin"), (None, "command")):
        forge_proposal(actor.pk if actor else None, state="approved", override=True, decided_at="2026-01-01T00:00:00Z")
        assert_from_outside(step_up_as(actor, source=source, override=True))
        roll_back(actor=None, reason="Again", source=Source.COMMAND)


def test_an_override_by_who_is_no_superuser_by_now_is_from_outside(operators: MakeStaff) -> None:
    boss, flag = operators(name="Boss", is_superuser=True), Flag.objects.get()
    step: dict[str, Any] = {"from_stage": "disabled", "to_stage": "internal", "from_version": flag.version}
    proof = proof_of(**step, proposer_id=boss.pk, override=True)
    forge_proposal(boss.pk, state="approved", override=True, decided_at="2026-01-01T00:00:00Z", proof=proof)
    User.objects.filter(pk=boss.pk).update(is_superuser=False)
    assert_from_outside(step_up_as(boss, override=True))


def test_a_step_down_and_v1_writes_need_no_approval(stage: Any, amina: User) -> None:
    stage("percentage:50")
    change = change_stage(actor=amina, stage=TEN, reason="Slower", source=Source.ADMIN)
    assert (change.source, change.actor_id) == ("admin", amina.pk)


def test_with_another_secret_key_nothing_is_moved(
    shown: StandInReadiness, ben: User, amina: User, settings: Any
) -> None:
    settings.SECRET_KEY = "another key than the database was given"
    proposal = proposals.propose(actor=ben, stage=INTERNAL, reason="Ready")
    recorded = Change.objects.count()
    with pytest.raises(ApprovalNotAccepted):
        proposals.approve(actor=amina, proposal_id=proposal.pk)
    proposal.refresh_from_db()
    assert (proposal.state, Flag.objects.get().stage, Change.objects.count()) == ("pending", "disabled", recorded)


def test_a_new_secret_key_leaves_earlier_approvals_proven(
    shown: StandInReadiness, ben: User, amina: User, settings: Any, beyond_policies: Any
) -> None:
    approved(shown, ben, amina)
    settings.SECRET_KEY = "another key that migrate brings to the database"
    with beyond_policies():
        approval_proofs.install_key()
        approval_proofs.install_key()
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM rollout_approval_key")
            assert cursor.fetchone() == (2,)
    proposal = proposals.propose(actor=ben, stage=TEN, reason="Go on")
    assert proposals.approve(actor=amina, proposal_id=proposal.pk).source == "admin"
    assert audit_log.verify().intact


@pytest.mark.parametrize("role", ["web", "guard"])
def test_no_role_of_the_site_reads_or_writes_the_key(role: str, connect_as: Any) -> None:
    for statement in (
        "SELECT * FROM rollout_approval_key",
        "INSERT INTO rollout_approval_key (inner_pad, outer_pad) VALUES ('', '')",
        "DELETE FROM rollout_approval_key",
        "SELECT rollout_approved(1, 'disabled', 'internal', NULL, 'admin', false)",
    ):
        with pytest.raises(Exception, match="permission denied"):
            connect_as(role, autocommit=True).execute(statement)


def test_whatever_the_web_role_forges_is_recorded_as_outside(
    committed_db: None, connect_as: Any, ben: User, amina: User
) -> None:
    web = connect_as("web", autocommit=True)
    web.execute(
        "INSERT INTO rollout_proposal (from_stage, to_stage, from_version, reason, proposer_id, proposer_label, state,"
        " decided_by_id, decided_by_label, decided_at, decision_reason, override, missing, evidence, proof,"
        " decision_proof) SELECT stage, 'enabled', version, 'x', %s, 'Ben', 'approved', %s, 'Amina', now(), '', false,"
        " '[]', '{}', 'a.b', 'c.d' FROM rollout_flag",
        [ben.pk, amina.pk],
    )
    with web.transaction():
        web.execute(
            "SELECT set_config('rollout.source', 'admin', true), set_config('rollout.actor_label', 'Amina', true),"
            " set_config('rollout.actor_id', %s, true), set_config('rollout.override', 'false', true)",
            [str(amina.pk)],
        )
        web.execute("UPDATE rollout_flag SET stage = 'enabled', v1_writes = false")
    row = web.execute(
        "SELECT source, actor_id, actor_label, database_role FROM rollout_change ORDER BY id DESC LIMIT 1"
    ).fetchone()
    assert row == ("outside", None, "carecollective_web", "carecollective_web")


def test_the_database_orders_the_stages_as_the_program_does(db: None) -> None:
    from rollout.stages import order_key

    names = ["disabled", "internal", "percentage:0.1", "percentage:10", "percentage:10.5", "percentage:100", "enabled"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT rollout_stage_order(s) FROM unnest(%s::text[]) WITH ORDINALITY AS t (s, n)", [names])
        found = [row[0] for row in cursor.fetchall()]
    assert found == sorted(set(found))
    assert [order_key(Stage.parse(name)) for name in names] == sorted(order_key(Stage.parse(name)) for name in names)


def test_a_forged_proposal_is_shown_as_what_it_is(
    shown: StandInReadiness, ben: User, amina: User, signed_in: Any
) -> None:
    forge_proposal(ben.pk)
    assert "This was not proposed in the control room" in signed_in(amina).get("/admin/rollout/").content.decode()


def test_a_true_proposal_is_not_called_forged(shown: StandInReadiness, ben: User, amina: User, signed_in: Any) -> None:
    proposals.propose(actor=ben, stage=INTERNAL, reason="Ready")
    assert "This was not proposed in the control room" not in signed_in(amina).get("/admin/rollout/").content.decode()


def test_a_rollback_by_command_does_not_pass_for_the_guards(
    committed_db: None, ben: User, signed_in: Any, connect_as: Any
) -> None:
    guard = connect_as("guard", autocommit=True)
    with guard.transaction():
        guard.execute("SELECT set_config('rollout.source', 'command', true)")
        guard.execute("UPDATE rollout_flag SET v1_writes = false")
    change = Change.objects.latest("pk")
    assert (change.source, change.database_role) == ("command", "carecollective_guard")
    shown = signed_in(ben).get(f"/admin/rollout/change/{change.pk}/change/").content.decode()
    assert "carecollective_guard (used by the command for a rollback; not the guard)" in shown


def test_the_timeline_says_of_a_forged_approval_what_it_is(shown: StandInReadiness, ben: User, amina: User) -> None:
    approved(shown, ben, amina)
    forged = forge_proposal(ben.pk, to="enabled", proposed_at="2020-01-01T00:00:00Z")
    forge_approval(forged, amina)
    events = [event for event in read_status().timeline if event.kind == "proposal"]
    assert [event.title for event in events] == [
        "Approved: internal",
        "Proposed: internal",
        "A proposal for enabled was written past the application",
    ]
    assert (events[2].badges, events[2].who) == (("outside",), "")
    assert "It names Ben, Amina." in events[2].words
