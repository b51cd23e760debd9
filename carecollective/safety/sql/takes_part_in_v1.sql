-- Whether the acting member takes part in this conversation of either version. Asked by policies.
-- On the caller's rights: the policies of both messagings answer it. V2's tables may have been dropped.
CREATE OR REPLACE FUNCTION public.takes_part_in(conversation uuid) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = '' AS $$
BEGIN
    IF conversation IN (SELECT public.my_legacy_conversations()) THEN
        RETURN true;
    END IF;
    RETURN pg_catalog.to_regclass('public.conversations_v2') IS NOT NULL
        AND EXISTS (SELECT FROM public.conversations_v2 AS c WHERE c.id = conversation);
END
$$;
