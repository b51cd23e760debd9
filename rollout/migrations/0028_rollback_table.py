"""A rollback is a row of its own, which every reader honours at once; the flag's row follows when nobody holds it.

Nothing that another session can hold makes the insert wait: the key comes from a sequence that nobody may choose from, no
row is referenced, and no trigger runs. The notification is sent after the commit, by itself.
"""

from django.db import migrations, models

import carecollective.core.database

DEFAULTS = """
ALTER TABLE public.rollout_rollback ALTER COLUMN database_role SET DEFAULT session_user;
-- The first row of a table needs room on the disk. Later ones find it, also when the disk is full by then.
INSERT INTO public.rollout_rollback (actor_label, source, reason) VALUES ('', 'environment', '');
UPDATE public.rollout_rollback SET change_id = 0;
"""

# What the record needs to know is in the rollback's row, whoever carries it over. Its words then stand in the record alone.
# The name sorts before rollout_change_chain, which hashes the line.
SETTLE = """
CREATE FUNCTION public.rollout_adopt_rollback() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    waiting public.rollout_rollback;
BEGIN
    SELECT * INTO waiting FROM public.rollout_rollback AS r
        WHERE r.id = NULLIF(pg_catalog.current_setting('rollout.rollback_id', true), '')::bigint
        AND r.change_id IS NULL;
    IF FOUND THEN
        NEW.actor_id := waiting.actor_id;
        NEW.actor_label := waiting.actor_label;
        NEW.source := waiting.source;
        NEW.reason := waiting.reason;
        NEW.override := false;
        NEW.database_role := waiting.database_role;
        UPDATE public.rollout_rollback SET change_id = NEW.id, actor_id = NULL, actor_label = '', reason = ''
            WHERE id = waiting.id;
    END IF;
    RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION public.rollout_adopt_rollback() FROM PUBLIC;
CREATE TRIGGER rollout_change_adopt_rollback BEFORE INSERT ON public.rollout_change
    FOR EACH ROW WHEN (NEW.to_stage = 'disabled' AND NEW.to_v1_writes)
    EXECUTE FUNCTION public.rollout_adopt_rollback();

CREATE TRIGGER rollout_rollback_settle_once BEFORE UPDATE ON public.rollout_rollback
    FOR EACH ROW WHEN (OLD.change_id IS NOT NULL) EXECUTE FUNCTION public.rollout_refuse_settling_again();
CREATE TRIGGER rollout_rollback_refuse_rewriting BEFORE DELETE ON public.rollout_rollback
    FOR EACH ROW EXECUTE FUNCTION public.rollout_refuse_rewriting();
CREATE TRIGGER rollout_rollback_refuse_emptying BEFORE TRUNCATE ON public.rollout_rollback
    FOR EACH STATEMENT EXECUTE FUNCTION public.rollout_refuse_rewriting();
"""

UNSETTLE = """
DROP TRIGGER rollout_change_adopt_rollback ON public.rollout_change;
DROP FUNCTION public.rollout_adopt_rollback();
"""

REFUSE = """
CREATE FUNCTION public.rollout_refuse_before_rollback() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    IF EXISTS (SELECT FROM public.rollout_rollback AS r WHERE r.change_id IS NULL) THEN
        RAISE EXCEPTION 'A rollback is in force. It is carried over to the flag first, and then the stage can change.'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'rollout_flag_rollback_comes_first';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER rollout_flag_refuse_before_rollback BEFORE INSERT OR UPDATE ON public.rollout_flag
    FOR EACH ROW WHEN (NEW.name = 'messaging_v2' AND NEW.stage <> 'disabled')
    EXECUTE FUNCTION public.rollout_refuse_before_rollback();
"""

ALLOW = """
DROP TRIGGER rollout_flag_refuse_before_rollback ON public.rollout_flag;
DROP FUNCTION public.rollout_refuse_before_rollback();
"""

# Each rollback that waits will raise the version by one, so the sum never goes down and never names two states.
STATE = """
CREATE VIEW public.rollout_state AS
SELECT CASE WHEN waiting.rollbacks > 0 THEN 'disabled' ELSE flag.stage END AS stage,
    flag.v1_writes OR waiting.rollbacks > 0 AS v1_writes,
    flag.salt,
    flag.version + waiting.rollbacks AS version,
    waiting.since AS waiting_since
FROM public.rollout_flag AS flag, (
    SELECT count(*) AS rollbacks, min(r.at) AS since FROM public.rollout_rollback AS r WHERE r.change_id IS NULL
) AS waiting
WHERE flag.name = 'messaging_v2';
"""

GRANT = """
GRANT SELECT, INSERT (actor_id, actor_label, source, reason) ON public.rollout_rollback
    TO carecollective_web, carecollective_guard;
GRANT SELECT ON public.rollout_state TO carecollective_web, carecollective_guard;
-- Who may change a whole table may also lock it against its readers; who may change columns may lock its rows.
REVOKE UPDATE ON public.rollout_flag FROM carecollective_web, carecollective_guard;
GRANT UPDATE (stage, v1_writes) ON public.rollout_flag TO carecollective_web, carecollective_guard;
"""

REVOKE = """
REVOKE UPDATE (stage, v1_writes) ON public.rollout_flag FROM carecollective_web, carecollective_guard;
GRANT UPDATE ON public.rollout_flag TO carecollective_web, carecollective_guard;
REVOKE ALL ON public.rollout_rollback, public.rollout_state FROM carecollective_web, carecollective_guard;
"""

SOURCES = [
    ("admin", "Control room"),
    ("command", "Command line"),
    ("guard", "Guard"),
    ("environment", "Environment"),
    ("outside", "Outside the application"),
]


class Migration(migrations.Migration):
    dependencies = [("rollout", "0027_add_roles_and_releases_to_sign_offs")]

    operations = [
        migrations.CreateModel(
            name="Rollback",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField(db_default=carecollective.core.database.ClockTimestamp())),
                ("actor_id", models.UUIDField(null=True)),
                ("actor_label", models.TextField()),
                ("source", models.TextField(choices=SOURCES)),
                ("reason", models.TextField()),
                ("database_role", models.TextField(editable=False)),
                ("change_id", models.BigIntegerField(editable=False, null=True)),
            ],
            options={
                "db_table": "rollout_rollback",
                "ordering": ["-id"],
                "default_permissions": (),
            },
        ),
        migrations.RunSQL(DEFAULTS, migrations.RunSQL.noop),
        migrations.RunSQL(SETTLE, UNSETTLE),
        migrations.RunSQL(REFUSE, ALLOW),
        migrations.RunSQL(STATE, "DROP VIEW public.rollout_state;"),
        migrations.RunSQL(GRANT, REVOKE),
    ]
