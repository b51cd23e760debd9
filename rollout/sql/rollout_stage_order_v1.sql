-- The place of a stage on the way up: rollout/stages.py computes the same in Python.
CREATE OR REPLACE FUNCTION public.rollout_stage_order(stage text) RETURNS integer
LANGUAGE sql IMMUTABLE SET search_path = '' AS $$
    SELECT CASE stage WHEN 'disabled' THEN 0 WHEN 'internal' THEN 1 WHEN 'enabled' THEN 2000
        ELSE 1 + (pg_catalog.split_part(stage, ':', 2)::numeric * 10)::integer END
$$;
