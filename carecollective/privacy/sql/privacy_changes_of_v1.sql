-- The changes of the stage that a member made, or that came of a proposal of theirs.
-- Found by id, never by a name.
CREATE OR REPLACE FUNCTION public.privacy_changes_of(member uuid) RETURNS SETOF bigint
LANGUAGE sql STABLE SET search_path = '' AS $$
    SELECT c.id FROM public.rollout_change AS c
    WHERE c.actor_id = member OR EXISTS (
        SELECT FROM public.rollout_proposal AS p WHERE p.proposer_id = member AND p.state = 'approved'
            AND p.decided_by_id = c.actor_id AND p.to_stage = c.to_stage AND c.flag_version = p.from_version + 1)
$$;
