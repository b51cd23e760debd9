-- Trigger on the audit log: a change that carries over a rollback takes who, why and how from the rollback's row.
-- Its trigger's name sorts before rollout_change_chain, which hashes the line.
CREATE OR REPLACE FUNCTION public.rollout_adopt_rollback() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    waiting public.rollout_rollback;
BEGIN
    SELECT * INTO waiting FROM public.rollout_rollback AS r
        WHERE r.id = NULLIF(pg_catalog.current_setting('rollout.rollback_id', true), '')::bigint
        AND r.change_id IS NULL;
    IF FOUND THEN
        NEW.actor_id := waiting.actor_id;
        NEW.actor_label := waiting.actor_label;
        NEW.source := waiting.source;
        NEW.reason := waiting.reason;
        NEW.override := false;
        NEW.database_role := waiting.database_role;
        UPDATE public.rollout_rollback SET change_id = NEW.id, actor_id = NULL, actor_label = '', reason = ''
            WHERE id = waiting.id;
    END IF;
    RETURN NEW;
END
$$;
