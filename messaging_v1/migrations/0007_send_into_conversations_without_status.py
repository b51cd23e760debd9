from django.db import migrations

FUNCTION = """
CREATE OR REPLACE FUNCTION public.may_send_legacy_message(conversation uuid, recipient uuid) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
  SELECT recipient <> public.current_member() AND EXISTS (
    SELECT FROM public.conversations c
    JOIN public.conversation_participants me ON me.conversation_id = c.id
    JOIN public.conversation_participants other ON other.conversation_id = c.id
    WHERE c.id = conversation AND {is_active}
      AND me.user_id = public.current_member() AND me.left_at IS NULL
      AND other.user_id = recipient AND other.left_at IS NULL)
$$;
"""


class Migration(migrations.Migration):
    """A legacy conversation without a status is active, as the legacy system's own default says."""

    dependencies = [("messaging_v1", "0006_leave_all_limits_to_the_gate")]

    operations = [
        migrations.RunSQL(
            FUNCTION.format(is_active="coalesce(c.status::text, 'active') = 'active'"),
            FUNCTION.format(is_active="c.status = 'active'"),
        )
    ]
