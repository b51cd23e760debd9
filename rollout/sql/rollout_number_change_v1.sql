-- Trigger on the flag: give each change the next version and the database's time.
CREATE OR REPLACE FUNCTION public.rollout_number_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        -- A row made anew goes on counting: a process must never take it for one it has already seen.
        NEW.version := COALESCE((SELECT max(c.flag_version) FROM public.rollout_change AS c), 0) + 1;
    ELSE
        IF NEW.salt IS DISTINCT FROM OLD.salt OR NEW.name IS DISTINCT FROM OLD.name THEN
            RAISE EXCEPTION 'The name and the salt of a flag never change: a new salt would deal all members anew.'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'rollout_flag_salt_is_set_once';
        END IF;
        NEW.version := OLD.version + 1;
    END IF;
    NEW.changed_at := pg_catalog.clock_timestamp();
    RETURN NEW;
END
$$;
