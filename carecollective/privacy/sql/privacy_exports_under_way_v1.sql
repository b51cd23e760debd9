-- The exports that the worker still has to make, oldest first.
CREATE OR REPLACE FUNCTION public.privacy_exports_under_way() RETURNS TABLE (id uuid, member_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
    SELECT e.id, e.member_id FROM public.privacy_export AS e
    WHERE e.state IN ('waiting', 'working') ORDER BY e.requested_at, e.id
$$;
