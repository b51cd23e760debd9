-- Take a former member of staff's name out of the audit log, proposals, sign-offs, root causes and alerts.
-- What was done, and its order, stays. The hashes are computed again; the last hash before and after is kept with the
-- erasure, so that a hash that somebody noted down earlier can still be explained.
-- A rollback that another session is just carrying over is skipped: the next erasure sweep finds it in the audit log.
CREATE OR REPLACE FUNCTION public.privacy_unname_in_rollout(
    member uuid, old_name text, old_email text, OUT head_before text, OUT head_after text
)
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
        UPDATE public.rollout_change AS c SET
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
        WHERE c.id IN (SELECT public.privacy_changes_of(member));
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
        reason = CASE WHEN proposer_id = member THEN public.privacy_unname(reason, old_name, old_email)
            ELSE reason END,
        decision_reason = CASE WHEN decided_by_id = member
            THEN public.privacy_unname(decision_reason, old_name, old_email) ELSE decision_reason END
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
