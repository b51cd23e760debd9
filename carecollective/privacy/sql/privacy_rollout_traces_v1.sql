-- Return a row if the rollout's tables still name a former member of staff.
-- Where none does, erasing leaves these tables alone, and no rollback waits for it.
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
