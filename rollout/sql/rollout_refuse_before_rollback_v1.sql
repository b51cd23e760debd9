-- Trigger on the flag: refuse a change of the stage while a rollback waits to be carried over.
CREATE OR REPLACE FUNCTION public.rollout_refuse_before_rollback() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    IF EXISTS (SELECT FROM public.rollout_rollback AS r WHERE r.change_id IS NULL) THEN
        RAISE EXCEPTION 'A rollback is in force. It is carried over to the flag first, and then the stage can change.'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'rollout_flag_rollback_comes_first';
    END IF;
    RETURN NEW;
END
$$;
