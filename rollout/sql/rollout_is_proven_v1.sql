-- Whether `proof` is the keyed hash of `fields`, by the key in use at that time.
-- NULL where no key was in use then: what is older than the keys cannot be proven.
CREATE OR REPLACE FUNCTION public.rollout_is_proven(proof text, fields text[], at timestamptz) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
    SELECT pg_catalog.split_part(proof, '.', 2) = pg_catalog.encode(pg_catalog.sha256(k.outer_pad || pg_catalog.sha256(
        k.inner_pad || pg_catalog.convert_to(
            pg_catalog.split_part(proof, '.', 1) || E'\n' || pg_catalog.array_to_string(fields, E'\n', ''), 'UTF8')
    )), 'hex')
    FROM public.rollout_approval_key AS k WHERE k.since <= at ORDER BY k.id DESC LIMIT 1
$$;
