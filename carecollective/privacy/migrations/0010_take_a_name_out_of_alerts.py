"""Who leaves takes their name out of the alerts too: what was told of their changes, what they acknowledged and asked for.

Told by the id beside the name, as everywhere. A sweep does it again for what was still on its way.
"""

import importlib

from django.db import migrations

ERASE = importlib.import_module("carecollective.privacy.migrations.0003_let_a_member_be_erased_in_place").ERASE
UNNAME = importlib.import_module("carecollective.privacy.migrations.0005_take_out_a_name_where_it_is_ones_own")

# A rollback that waits for the record is locked by whoever carries it over: then the sweep finds it in the record.
ALERTS = r"""
    -- An override is decided by its proposer alone, and has no second id.
    ALTER TABLE public.rollout_proposal DISABLE TRIGGER rollout_proposal_settle_once;
    UPDATE public.rollout_proposal SET decided_by_label = 'Former member'
    WHERE override AND decided_by_id IS NULL AND proposer_id = member;
    ALTER TABLE public.rollout_proposal ENABLE TRIGGER rollout_proposal_settle_once;
    UPDATE public.rollout_rollback SET actor_label = 'Former member',
        reason = public.privacy_unname(reason, old_name, old_email)
    WHERE id IN (SELECT r.id FROM public.rollout_rollback AS r
                 WHERE r.actor_id = member AND r.change_id IS NULL FOR UPDATE SKIP LOCKED);
    -- Worded as rollout.change_alerts does: what changed, by whom, and why. Only people are named there.
    UPDATE public.rollout_alert AS a SET
        words = pg_catalog.split_part(a.words, ', by ', 1) || ', by ' || told.label || '. Reason: '
            || pg_catalog.btrim(pg_catalog.regexp_replace(told.reason, '\s+', ' ', 'g')),
        figures = pg_catalog.jsonb_set(a.figures, '{by}', pg_catalog.to_jsonb(told.label))
    FROM (
        SELECT c.id::text AS key, c.actor_label AS label, c.reason FROM public.rollout_change AS c
        WHERE c.id IN (SELECT public.privacy_changes_of(member))
        UNION ALL
        SELECT 'rollback:' || r.id, COALESCE(c.actor_label, r.actor_label), COALESCE(c.reason, r.reason)
        FROM public.rollout_rollback AS r LEFT JOIN public.rollout_change AS c ON c.id = r.change_id WHERE r.actor_id = member
    ) AS told
    WHERE a.kind = 'stage_changed' AND a.key = told.key;
    UPDATE public.rollout_alert SET acknowledged_by_label = 'Former member' WHERE acknowledged_by_id = member;
    UPDATE public.rollout_delivery SET requested_by_label = 'Former member' WHERE requested_by_id = member;
END
$$;
"""

TRACES_BEFORE = """
CREATE OR REPLACE FUNCTION public.privacy_rollout_traces(member uuid) RETURNS SETOF integer
LANGUAGE sql STABLE SET search_path = '' AS $$
    SELECT 1 WHERE EXISTS (SELECT FROM public.rollout_change AS c WHERE c.actor_id = member)
        OR EXISTS (SELECT FROM public.rollout_proposal AS p WHERE member IN (p.proposer_id, p.decided_by_id))
        OR EXISTS (SELECT FROM public.rollout_sign_off AS s WHERE s.signer_id = member)
        OR EXISTS (SELECT FROM public.rollout_root_cause AS r WHERE r.filed_by_id = member)
$$;
"""
TRACES = """
CREATE OR REPLACE FUNCTION public.privacy_rollout_traces(member uuid) RETURNS SETOF integer
LANGUAGE sql STABLE SET search_path = '' AS $$
    SELECT 1 FROM (
        SELECT c.actor_label FROM public.rollout_change AS c WHERE c.actor_id = member
        UNION ALL SELECT r.actor_label FROM public.rollout_rollback AS r WHERE r.actor_id = member AND r.change_id IS NULL
        UNION ALL SELECT p.proposer_label FROM public.rollout_proposal AS p WHERE p.proposer_id = member
        UNION ALL SELECT p.decided_by_label FROM public.rollout_proposal AS p
            WHERE p.decided_by_id = member OR (p.override AND p.decided_by_id IS NULL AND p.proposer_id = member)
        UNION ALL SELECT s.signer_label FROM public.rollout_sign_off AS s WHERE s.signer_id = member
        UNION ALL SELECT r.filed_by_label FROM public.rollout_root_cause AS r WHERE r.filed_by_id = member
        UNION ALL SELECT a.acknowledged_by_label FROM public.rollout_alert AS a WHERE a.acknowledged_by_id = member
        UNION ALL SELECT d.requested_by_label FROM public.rollout_delivery AS d WHERE d.requested_by_id = member
    ) AS kept (label) WHERE label <> 'Former member'
$$;
"""


def unname(*, alerts: bool) -> str:
    function: str = UNNAME.FUNCTION.format(changes=UNNAME.CHANGES, reasons=UNNAME.REASONS)
    return function.replace("END\n$$;\n", ALERTS) if alerts else function


def scrub(*, again: bool) -> str:
    """Return `privacy_scrub_member` as 0003, 0007 and 0008 have left it, or one that does the rollout's record again."""
    body = (
        ERASE.partition("$$;")[0]
        .replace(
            "CREATE FUNCTION public.privacy_erase_member", "CREATE OR REPLACE FUNCTION public.privacy_scrub_member"
        )
        .replace("SET search_path = ''", "SET search_path = pg_catalog, public, pg_temp", 1)
    )
    if again:
        body = body.replace(
            "person.name <> 'Former member' AND EXISTS (SELECT FROM public.privacy",
            "EXISTS (SELECT FROM public.privacy",
        )
        body = body.replace(
            "ON CONFLICT (member_id) DO NOTHING",
            "ON CONFLICT (member_id) DO UPDATE SET record_head_after = excluded.record_head_after, record_head_before ="
            "\n        COALESCE(NULLIF(privacy_erasure.record_head_before, ''), excluded.record_head_before)"
            "\n    WHERE excluded.record_head_after <> ''",
        )
    return f"{body}$$;"


class Migration(migrations.Migration):
    dependencies = [
        ("privacy", "0009_set_a_membership_of_any_type_once"),
        ("rollout", "0031_add_delivery_requested_by_id"),
    ]

    operations = [
        migrations.RunSQL(unname(alerts=True), unname(alerts=False)),
        migrations.RunSQL(TRACES, TRACES_BEFORE),
        migrations.RunSQL(scrub(again=True), scrub(again=False)),
    ]
