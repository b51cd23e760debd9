-- Erase a member: asks who acts, then calls privacy_scrub_member. This is what the web role may call.
-- A member erases themselves; staff erase members; only an administrator erases a member of staff.
CREATE OR REPLACE FUNCTION public.privacy_erase_member(member uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    acting public.profiles;
BEGIN
    SELECT p.* INTO acting FROM public.profiles AS p WHERE p.id = public.current_member();
    IF acting.id IS NULL OR member IS NULL THEN
        RAISE EXCEPTION 'Nobody is erased without an acting member.' USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF acting.id <> member AND NOT public.acts_as_staff() THEN
        RAISE EXCEPTION 'Only the member, or staff for them, may erase a member.' USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF acting.id <> member AND NOT acting.is_superuser AND EXISTS (
        SELECT FROM public.profiles AS p WHERE p.id = member AND (p.is_admin OR p.is_superuser)) THEN
        RAISE EXCEPTION 'Only an administrator may erase a member of staff.' USING ERRCODE = 'insufficient_privilege';
    END IF;
    PERFORM public.privacy_scrub_member(member);
END
$$;
