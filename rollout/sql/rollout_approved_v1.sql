-- Whether this step up was approved: by two people, or by an override, each proven by a keyed hash.
-- A proposal belongs to one version of the flag, and the flag never has a version twice, so none is used a second time.
CREATE OR REPLACE FUNCTION public.rollout_approved(
    version bigint, before text, after text, actor uuid, source text, override boolean
) RETURNS boolean
LANGUAGE sql STABLE SET search_path = '' AS $$
    SELECT EXISTS (
        SELECT FROM public.rollout_proposal AS p
        WHERE p.state = 'approved' AND p.from_version = version AND p.from_stage = before
          AND p.to_stage = after AND p.override = rollout_approved.override
          AND CASE WHEN p.override THEN
            p.proposer_id IS NOT DISTINCT FROM actor
            AND public.rollout_is_proven(
                p.proof,
                ARRAY['override', p.from_stage, p.to_stage, p.from_version::text, p.proposer_id::text],
                pg_catalog.clock_timestamp())
            AND (
                (source = 'command' AND actor IS NULL)
                OR (source = 'admin' AND EXISTS (
                    SELECT FROM public.profiles AS person
                    WHERE person.id = actor AND person.is_active AND person.is_admin AND person.is_superuser)))
          ELSE
            source = 'admin' AND p.decided_by_id = actor AND p.proposer_id <> actor
            AND public.rollout_staff_may(p.proposer_id, 'propose') AND public.rollout_staff_may(actor, 'approve')
            AND public.rollout_is_proven(
                p.proof,
                ARRAY['propose', p.from_stage, p.to_stage, p.from_version::text, p.proposer_id::text],
                pg_catalog.clock_timestamp())
            AND public.rollout_is_proven(
                p.decision_proof, ARRAY['approve', p.proof, actor::text], pg_catalog.clock_timestamp())
          END)
$$;
