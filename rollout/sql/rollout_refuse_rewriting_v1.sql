-- Trigger: refuse to change or delete a row that is only ever added.
CREATE OR REPLACE FUNCTION public.rollout_refuse_rewriting() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    RAISE EXCEPTION 'The record of changes is only ever added to.' USING ERRCODE = 'insufficient_privilege';
END
$$;
