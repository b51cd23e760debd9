-- The reports that the acting member made in the legacy system, for their export.
CREATE OR REPLACE FUNCTION public.privacy_own_legacy_reports()
RETURNS TABLE (
    id uuid, message_id uuid, reason text, words text, status text, created_at timestamptz
)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    IF pg_catalog.to_regclass('public.message_reports') IS NULL THEN
        RETURN;
    END IF;
    RETURN QUERY EXECUTE
        'SELECT r.id, r.message_id, r.reason, r.description, r.status, r.created_at FROM public.message_reports AS r'
        ' WHERE r.reported_by = public.current_member() ORDER BY r.created_at, r.id';
END
$$;
