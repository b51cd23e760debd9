-- Trigger: refuse to change what was decided or filed.
CREATE OR REPLACE FUNCTION public.rollout_refuse_settling_again() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    RAISE EXCEPTION 'This has been settled, and stays as it is.' USING ERRCODE = 'insufficient_privilege';
END
$$;
