"""The record can be read by anybody who may look, and altered by nobody unnoticed."""

import hashlib
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from io import StringIO
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import DatabaseError, transaction

from carecollective.accounts.models import User
from rollout.models import Change, DrainCertificate, Source
from rollout.promotion import audit_log, proposals, sign_offs
from rollout.promotion.root_causes import file_root_cause, list_due
from rollout.promotion.services import roll_back
from rollout.stages import INTERNAL
from tests import databases
from tests.readiness import StandInReadiness

pytestmark = pytest.mark.django_db


@pytest.fixture
def history(stage: Callable[..., None]) -> list[Change]:
    for name in ("internal", "percentage:10", "disabled", "internal"):
        stage(name)
    return list(Change.objects.order_by("pk"))


def verify_command(*arguments: str) -> str:
    out = StringIO()
    call_command("rollout", "audit", "--verify", *arguments, stdout=out)
    return out.getvalue()


def test_an_untouched_record_is_whole(history: list[Change]) -> None:
    found = audit_log.verify()
    assert (found.problems, found.lines, found.head) == ((), len(history), history[-1].hash)
    assert "The record is whole" in verify_command()
    facts = json.loads(verify_command("--json"))
    assert (facts["intact"], facts["lines"], facts["head"]) == (True, len(history), found.head)


def test_the_hash_can_be_worked_out_by_hand(history: list[Change]) -> None:
    first, second = history[:2]
    text = audit_log.canonical_text(second)
    assert text.split(",")[0] == f"{len(str(second.pk))}:{second.pk}"
    assert second.hash == hashlib.sha256(f"{first.hash}\n{text}".encode()).hexdigest()


@pytest.mark.parametrize("reason", ["", "a,1:b", "Zoë 🧡\nsecond line", "3:abc,-"])
def test_python_and_the_database_write_a_line_the_same_way(reason: str, stage: Callable[..., None]) -> None:
    from rollout.promotion.services import recorded_as

    with recorded_as({"rollout.reason": reason, "rollout.actor_label": "Zoë, 5:Admin", "rollout.source": "command"}):
        stage("internal")
    assert audit_log.verify().intact


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE rollout_change SET reason = 'nothing to see' WHERE id = %(middle)s",
        "UPDATE rollout_change SET actor_label = 'somebody else' WHERE id = %(middle)s",
        "UPDATE rollout_change SET at = at - interval '1 microsecond' WHERE id = %(middle)s",
        "UPDATE rollout_change SET override = true WHERE id = %(middle)s",
        "UPDATE rollout_change SET actor_id = gen_random_uuid() WHERE id = %(middle)s",
        "UPDATE rollout_change SET from_stage = NULL WHERE id = %(middle)s",
        "DELETE FROM rollout_change WHERE id = %(middle)s",
        "DELETE FROM rollout_change WHERE id = %(first)s",
        "UPDATE rollout_change SET reason = '', hash = repeat('0', 64) WHERE id = %(middle)s",
    ],
)
def test_what_a_superuser_altered_or_removed_is_found(
    tampering: str, history: list[Change], past_the_triggers: Any
) -> None:
    with past_the_triggers() as cursor:
        cursor.execute(tampering, {"first": history[0].pk, "middle": history[2].pk})
    found = audit_log.verify()
    assert len(found.problems) in (1, 2)
    assert "does not follow from what stands before it" in found.problems[0]
    out = StringIO()
    with pytest.raises(CommandError, match="not what was written"):
        call_command("rollout", "audit", "--verify", "--json", stdout=out)
    assert json.loads(out.getvalue())["problems"] == list(found.problems)


def test_a_line_taken_off_the_end_is_found_by_the_flags_own_version(
    history: list[Change], past_the_triggers: Any
) -> None:
    with past_the_triggers() as cursor:
        cursor.execute("DELETE FROM rollout_change WHERE id = %s", [history[-1].pk])
    assert "lines were removed from the end" in audit_log.verify().problems[0]


def test_a_line_slipped_in_is_found(history: list[Change], past_the_triggers: Any) -> None:
    with past_the_triggers() as cursor:
        cursor.execute(
            "INSERT INTO rollout_change (at, actor_label, source, from_stage, to_stage, reason, override, database_role,"
            " flag_version, hash) SELECT at, actor_label, source, from_stage, to_stage, reason, override, database_role,"
            " flag_version, hash FROM rollout_change WHERE id = %s",
            [history[-1].pk],
        )
    assert "altered or added" in audit_log.verify().problems[0]


def test_a_rewritten_chain_is_found_by_a_hash_that_was_noted_down(
    history: list[Change], past_the_triggers: Any
) -> None:
    noted = history[-1].hash
    with past_the_triggers() as cursor:
        cursor.execute("UPDATE rollout_change SET reason = 'x' WHERE id = %s", [history[0].pk])
        previous = ""
        for line in Change.objects.order_by("pk"):
            previous = audit_log.chained_hash(line, previous)
            cursor.execute("UPDATE rollout_change SET hash = %s WHERE id = %s", [previous, line.pk])
    assert audit_log.verify().intact
    assert audit_log.verify(expected_head=noted).problems == (
        "No line has the hash that was expected: the record was rewritten or cut off.",
    )
    with pytest.raises(CommandError, match="expected"):
        verify_command("--head", noted)


def test_a_hash_noted_down_earlier_is_found_in_a_longer_record(history: list[Change]) -> None:
    assert audit_log.verify(expected_head=history[1].hash).intact


def test_a_flag_changed_with_its_trigger_off_is_found(history: list[Change], past_the_triggers: Any) -> None:
    with past_the_triggers() as cursor:
        cursor.execute("UPDATE rollout_flag SET stage = 'enabled'")
    assert "changed past its trigger" in audit_log.verify().problems[0]


def test_the_audit_lists_the_latest_changes(history: list[Change]) -> None:
    out = StringIO()
    call_command("rollout", "audit", "--last", "2", "--json", stdout=out)
    assert [change["version"] for change in json.loads(out.getvalue())["changes"]] == [
        history[-1].flag_version,
        history[-2].flag_version,
    ]


def test_a_record_from_before_the_chain_is_chained_by_the_migration(
    committed_db: None, connect_as: Callable[..., "psycopg.Connection[Any]"]
) -> None:
    database = settings.DATABASES["default"]["NAME"]
    web = connect_as("web", autocommit=True)
    databases.migrate(settings.DATA_DIR, database, "rollout", "0012")
    for stage in ("internal", "disabled"):
        web.execute("UPDATE rollout_flag SET stage = %s", [stage])
    databases.migrate(settings.DATA_DIR, database)
    web.execute("UPDATE rollout_flag SET stage = 'internal'")
    answer = databases.manage(settings.DATA_DIR, database, "rollout", "audit", "--verify", "--json", role="web")
    assert json.loads(answer.stdout)["lines"] == 4


@pytest.fixture
def settled(stage: Callable[..., None], shown: StandInReadiness, ben: User, amina: User) -> None:
    """Something was proposed and refused, certified, signed for, and explained."""
    proposal = proposals.propose(actor=ben, stage=INTERNAL, reason="Ready")
    proposals.refuse(actor=amina, proposal_id=proposal.pk, reason="Not yet")
    stage("internal")
    change = roll_back(actor=ben, reason="Errors", source=Source.ADMIN)
    DrainCertificate.objects.create(flag_version=change.flag_version, waited_ms=3)
    sign_offs.sign(actor=ben, item="unit_tests")
    answers = {"what": "Offers failed", "why": "An index", "fix": "Add it", "who": "Ben", "due": "2099-12-01"}
    file_root_cause(actor=ben, root_cause_id=list_due()[0].id, **answers)


@pytest.mark.parametrize(
    ("table", "update", "refusal"),
    [
        ("rollout_proposal", "SET decision_reason = 'x'", "has been settled"),
        ("rollout_root_cause", "SET why = 'x'", "has been settled"),
        ("rollout_sign_off", "SET signer_label = 'x'", "only ever added to"),
        ("rollout_drain_certificate", "SET issued_at = clock_timestamp()", "only ever added to"),
    ],
)
def test_not_even_the_tables_owner_rewrites_what_was_settled(
    table: str, update: str, refusal: str, settled: None, beyond_policies: Callable[[], AbstractContextManager[Any]]
) -> None:
    statements = {
        f"UPDATE {table} {update}": refusal,
        f"DELETE FROM {table}": "only ever added to",
        f"TRUNCATE {table}": "only ever added to",
    }
    with beyond_policies() as cursor:
        cursor.execute("SET ROLE carecollective_owner")
        for statement, words in statements.items():
            with pytest.raises(DatabaseError, match=words), transaction.atomic():
                cursor.execute(statement)
