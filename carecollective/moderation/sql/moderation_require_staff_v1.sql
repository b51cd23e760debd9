-- Return the acting member of staff. Raises insufficient_privilege for everybody else.
CREATE OR REPLACE FUNCTION public.moderation_require_staff() RETURNS uuid
LANGUAGE plpgsql STABLE SET search_path = '' AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM public.profiles AS p
                   WHERE p.id = public.current_member() AND p.is_admin AND p.is_active) THEN
        RAISE EXCEPTION 'Reports are for staff.' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN public.current_member();
END
$$;
