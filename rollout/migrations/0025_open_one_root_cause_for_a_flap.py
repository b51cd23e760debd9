"""Somebody who turns the flag off and on at the database's prompt leaves one form to file, not one for each time."""

from django.db import migrations

OPEN_ONE = """
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
"""

# As migration 0014 made it.
OPEN_EACH = """
CREATE OR REPLACE FUNCTION public.rollout_open_root_cause() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    INSERT INTO public.rollout_root_cause (change_id, what, why, fix, who, filed_by_label)
        VALUES (NEW.id, '', '', '', '', '');
    RETURN NULL;
END
$$;
"""


class Migration(migrations.Migration):
    dependencies = [("rollout", "0024_add_process_connection_and_brake")]

    operations = [migrations.RunSQL(OPEN_ONE, OPEN_EACH)]
