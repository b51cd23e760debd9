-- Keep who closed a V2 conversation, and let nobody else open it again.
-- Only for an acting member: a restore and operations write without one. A conversation that was closed before this was kept
-- may be opened by either side.
CREATE OR REPLACE FUNCTION public.note_closing() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    me uuid := public.current_member();
BEGIN
    IF me IS NULL OR NEW.status = OLD.status THEN
        RETURN NEW;
    END IF;
    IF NEW.status = 'closed' THEN
        INSERT INTO public.safety_closing (conversation_id, version, closed_by_id) VALUES (NEW.id, 'v2', me)
        ON CONFLICT (conversation_id) DO UPDATE SET closed_by_id = excluded.closed_by_id, closed_at = DEFAULT;
        RETURN NEW;
    END IF;
    DELETE FROM public.safety_closing WHERE conversation_id = NEW.id AND closed_by_id = me;
    IF EXISTS (SELECT FROM public.safety_closing WHERE conversation_id = NEW.id) THEN
        RAISE EXCEPTION 'Only who closed a conversation opens it again.' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END
$$;
