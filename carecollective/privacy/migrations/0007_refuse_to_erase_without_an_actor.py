from django.db import migrations

# What was `privacy_erase_member` does the work; the web may call only what asks first who acts.
FORWARDS = """
ALTER FUNCTION public.privacy_erase_member(uuid) RENAME TO privacy_scrub_member;
REVOKE EXECUTE ON FUNCTION public.privacy_scrub_member(uuid) FROM carecollective_web;

CREATE FUNCTION public.privacy_erase_member(member uuid) RETURNS void
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
REVOKE ALL ON FUNCTION public.privacy_erase_member(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.privacy_erase_member(uuid) TO carecollective_web;
"""

BACKWARDS = """
DROP FUNCTION public.privacy_erase_member(uuid);
ALTER FUNCTION public.privacy_scrub_member(uuid) RENAME TO privacy_erase_member;
GRANT EXECUTE ON FUNCTION public.privacy_erase_member(uuid) TO carecollective_web;
"""


class Migration(migrations.Migration):
    """An erasure has an actor; members of staff are erased by themselves or by an administrator, as the service says."""

    dependencies = [("privacy", "0006_hold_exports_to_their_members")]

    operations = [migrations.RunSQL(FORWARDS, BACKWARDS)]
