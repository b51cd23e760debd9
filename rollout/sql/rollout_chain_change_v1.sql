-- Trigger: give a new line of the audit log its hash.
CREATE OR REPLACE FUNCTION public.rollout_chain_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    -- One line after the other. Whoever waited sees the line that was written meanwhile: the next statement looks anew.
    PERFORM pg_catalog.pg_advisory_xact_lock(7262011);
    NEW.hash := public.rollout_change_hash(
        NEW, COALESCE((SELECT c.hash FROM public.rollout_change AS c ORDER BY c.id DESC LIMIT 1), '')
    );
    RETURN NEW;
END
$$;
