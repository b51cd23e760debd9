-- Replace every text that a member wrote in V2.
-- It belongs to the operations role, because V2's policies hold for the tables' owner too.
CREATE OR REPLACE FUNCTION public.privacy_scrub_v2(member uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    -- The last way back from the new messaging drops its tables, and members leave then too.
    IF pg_catalog.to_regclass('public.conversations_v2') IS NULL THEN
        RETURN;
    END IF;
    -- Every conversation is held before anything in it changes, as a send does: whoever is sending finishes first.
    PERFORM FROM public.conversations_v2 AS c WHERE member IN (c.requester_id, c.helper_id) ORDER BY c.id FOR NO KEY UPDATE;
    UPDATE public.conversations_v2 SET initial_message = public.privacy_erased_text()
    WHERE helper_id = member AND initial_message <> public.privacy_erased_text();
    UPDATE public.messages_v2 SET content = public.privacy_erased_text(), updated_at = pg_catalog.clock_timestamp()
    WHERE sender_id = member AND content <> public.privacy_erased_text();
END
$$;
