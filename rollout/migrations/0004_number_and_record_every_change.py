"""Each change of the flag gets the next version and the database's time, a line in the record, and a notification,
whoever makes it and however. The application says who and why in settings of the transaction; a change without
them came from outside."""

from django.db import migrations

NUMBER = """
CREATE FUNCTION public.rollout_number_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        -- A row made anew goes on counting: a process must never take it for one it has already seen.
        NEW.version := COALESCE((SELECT max(c.flag_version) FROM public.rollout_change AS c), 0) + 1;
    ELSE
        IF NEW.salt IS DISTINCT FROM OLD.salt OR NEW.name IS DISTINCT FROM OLD.name THEN
            RAISE EXCEPTION 'The name and the salt of a flag never change: a new salt would deal all members anew.'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'rollout_flag_salt_is_set_once';
        END IF;
        NEW.version := OLD.version + 1;
    END IF;
    NEW.changed_at := pg_catalog.clock_timestamp();
    RETURN NEW;
END
$$;
CREATE TRIGGER rollout_flag_number_change BEFORE INSERT OR UPDATE ON public.rollout_flag
    FOR EACH ROW EXECUTE FUNCTION public.rollout_number_change();
"""

RECORD = """
CREATE FUNCTION public.rollout_record_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    given_source text := NULLIF(pg_catalog.current_setting('rollout.source', true), '');
    number bigint := CASE TG_OP WHEN 'DELETE' THEN OLD.version + 1 ELSE NEW.version END;
BEGIN
    INSERT INTO public.rollout_change (
        at, actor_id, actor_label, source, from_stage, to_stage, from_v1_writes, to_v1_writes,
        reason, override, database_role, flag_version
    ) VALUES (
        pg_catalog.clock_timestamp(),
        NULLIF(pg_catalog.current_setting('rollout.actor_id', true), '')::uuid,
        COALESCE(NULLIF(pg_catalog.current_setting('rollout.actor_label', true), ''), session_user::text),
        COALESCE(given_source, 'outside'),
        CASE WHEN TG_OP <> 'INSERT' THEN OLD.stage END,
        CASE WHEN TG_OP <> 'DELETE' THEN NEW.stage END,
        CASE WHEN TG_OP <> 'INSERT' THEN OLD.v1_writes END,
        CASE WHEN TG_OP <> 'DELETE' THEN NEW.v1_writes END,
        COALESCE(NULLIF(pg_catalog.current_setting('rollout.reason', true), ''), 'Changed outside the application'),
        COALESCE(NULLIF(pg_catalog.current_setting('rollout.override', true), '')::boolean, false),
        session_user,
        number
    );
    PERFORM pg_catalog.pg_notify('rollout_changed', number::text);
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION public.rollout_record_change() FROM PUBLIC;
CREATE TRIGGER rollout_flag_record_change AFTER INSERT OR UPDATE OR DELETE ON public.rollout_flag
    FOR EACH ROW EXECUTE FUNCTION public.rollout_record_change();
"""


class Migration(migrations.Migration):
    dependencies = [("rollout", "0003_drop_waffles_own_flag_tables")]

    operations = [
        migrations.RunSQL(
            NUMBER,
            "DROP TRIGGER rollout_flag_number_change ON public.rollout_flag;"
            "DROP FUNCTION public.rollout_number_change();",
        ),
        migrations.RunSQL(
            RECORD,
            "DROP TRIGGER rollout_flag_record_change ON public.rollout_flag;"
            "DROP FUNCTION public.rollout_record_change();",
        ),
    ]
