"""Who leaves takes their name out of what they wrote, and of the line that says who proposed and who approved.

The words of whoever decided with them are not theirs, even where a name in them looks alike; and an Ann who leaves is no
Ann Smith.
"""

from django.db import migrations

# As it was made in 0003, but for the reasons of changes and proposals. Replaced, it keeps its owner and its grants.
FUNCTION = """
CREATE OR REPLACE FUNCTION public.privacy_unname_in_rollout(member uuid, old_name text, old_email text,
                                                            OUT head_before text, OUT head_after text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    line public.rollout_change;
BEGIN
    head_before := '';
    head_after := '';
    PERFORM pg_catalog.pg_advisory_xact_lock(7262011);
    IF EXISTS (SELECT FROM public.privacy_changes_of(member)) THEN
        SELECT c.hash INTO head_before FROM public.rollout_change AS c ORDER BY c.id DESC LIMIT 1;
        ALTER TABLE public.rollout_change DISABLE TRIGGER rollout_change_refuse_rewriting;
        {changes}
        FOR line IN SELECT * FROM public.rollout_change ORDER BY id LOOP
            head_after := public.rollout_change_hash(line, head_after);
            UPDATE public.rollout_change SET hash = head_after WHERE id = line.id;
        END LOOP;
        ALTER TABLE public.rollout_change ENABLE TRIGGER rollout_change_refuse_rewriting;
    END IF;

    ALTER TABLE public.rollout_proposal DISABLE TRIGGER rollout_proposal_settle_once;
    UPDATE public.rollout_proposal SET
        proposer_label = CASE WHEN proposer_id = member THEN 'Former member' ELSE proposer_label END,
        decided_by_label = CASE WHEN decided_by_id = member THEN 'Former member' ELSE decided_by_label END,
        {reasons}
    WHERE member IN (proposer_id, decided_by_id);
    ALTER TABLE public.rollout_proposal ENABLE TRIGGER rollout_proposal_settle_once;

    ALTER TABLE public.rollout_sign_off DISABLE TRIGGER rollout_sign_off_refuse_rewriting;
    UPDATE public.rollout_sign_off SET signer_label = 'Former member' WHERE signer_id = member;
    ALTER TABLE public.rollout_sign_off ENABLE TRIGGER rollout_sign_off_refuse_rewriting;

    ALTER TABLE public.rollout_root_cause DISABLE TRIGGER rollout_root_cause_settle_once;
    UPDATE public.rollout_root_cause SET filed_by_label = 'Former member',
        who = public.privacy_unname(who, old_name, old_email), what = public.privacy_unname(what, old_name, old_email),
        why = public.privacy_unname(why, old_name, old_email), fix = public.privacy_unname(fix, old_name, old_email)
    WHERE filed_by_id = member;
    ALTER TABLE public.rollout_root_cause ENABLE TRIGGER rollout_root_cause_settle_once;
END
$$;
"""

CHANGES_BEFORE = """UPDATE public.rollout_change SET
            actor_label = CASE WHEN actor_id = member THEN 'Former member' ELSE actor_label END,
            reason = public.privacy_unname(reason, old_name, old_email)
        WHERE id IN (SELECT public.privacy_changes_of(member));"""
REASONS_BEFORE = """reason = public.privacy_unname(reason, old_name, old_email),
        decision_reason = public.privacy_unname(decision_reason, old_name, old_email)"""

# What came of a proposal is the proposer's reason and a line of two names, and is put together anew from the proposal.
CHANGES = r"""UPDATE public.rollout_change AS c SET
            actor_label = CASE WHEN c.actor_id = member THEN 'Former member' ELSE c.actor_label END,
            reason = coalesce(
                (SELECT CASE WHEN p.proposer_id = member THEN public.privacy_unname(p.reason, old_name, old_email)
                            ELSE p.reason END
                    || E'\nProposed by ' || CASE WHEN p.proposer_id = member THEN 'Former member' ELSE p.proposer_label END
                    || ', approved by ' || CASE WHEN p.decided_by_id = member THEN 'Former member'
                            ELSE p.decided_by_label END || '.'
                 FROM public.rollout_proposal AS p
                 WHERE p.state = 'approved' AND p.decided_by_id = c.actor_id AND p.to_stage = c.to_stage
                    AND c.flag_version = p.from_version + 1
                    AND c.reason = p.reason || E'\nProposed by ' || p.proposer_label || ', approved by '
                        || p.decided_by_label || '.'),
                public.privacy_unname(c.reason, old_name, old_email))
        WHERE c.id IN (SELECT public.privacy_changes_of(member));"""
REASONS = """reason = CASE WHEN proposer_id = member THEN public.privacy_unname(reason, old_name, old_email)
            ELSE reason END,
        decision_reason = CASE WHEN decided_by_id = member
            THEN public.privacy_unname(decision_reason, old_name, old_email) ELSE decision_reason END"""


class Migration(migrations.Migration):
    dependencies = [("privacy", "0004_count_no_legacy_system_message_as_a_members_own")]

    operations = [
        migrations.RunSQL(
            FUNCTION.format(changes=CHANGES, reasons=REASONS),
            FUNCTION.format(changes=CHANGES_BEFORE, reasons=REASONS_BEFORE),
        )
    ]
