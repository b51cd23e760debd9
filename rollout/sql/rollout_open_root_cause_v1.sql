-- Trigger on the audit log: open a root cause for each rollback.
-- Several changes from outside within an hour open one form, not one each.
CREATE OR REPLACE FUNCTION public.rollout_open_root_cause() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    IF NEW.source = 'outside' AND EXISTS (
        SELECT FROM public.rollout_root_cause AS cause
        JOIN public.rollout_change AS earlier ON earlier.id = cause.change_id
        WHERE cause.filed_at IS NULL AND earlier.source = 'outside' AND earlier.at > NEW.at - interval '1 hour') THEN
        RETURN NULL;
    END IF;
    INSERT INTO public.rollout_root_cause (change_id, what, why, fix, who, filed_by_label)
        VALUES (NEW.id, '', '', '', '', '');
    RETURN NULL;
END
$$;
