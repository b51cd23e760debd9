"""A step up counts as approved only where two people, or one who may override, are proven to have said so.

The trigger refuses nothing: a step without that is recorded as from outside the application. The key that proves stands
in a table that only its owner reads; `rollout.approval_proofs` installs it after each `migrate`.
"""

from django.db import migrations, models

KEY = """
CREATE TABLE public.rollout_approval_key (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    since timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    inner_pad bytea NOT NULL,
    outer_pad bytea NOT NULL
);
REVOKE ALL ON public.rollout_approval_key FROM PUBLIC;
"""

DROP_KEY = "DROP TABLE public.rollout_approval_key;"

JUDGE = """
CREATE FUNCTION public.rollout_stage_order(stage text) RETURNS integer
LANGUAGE sql IMMUTABLE SET search_path = '' AS $$
    SELECT CASE stage WHEN 'disabled' THEN 0 WHEN 'internal' THEN 1 WHEN 'enabled' THEN 2000
        ELSE 1 + (pg_catalog.split_part(stage, ':', 2)::numeric * 10)::integer END
$$;

-- Null where no key was in use at that moment: what is older than the keys cannot be proven.
CREATE FUNCTION public.rollout_is_proven(proof text, fields text[], at timestamptz) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
    SELECT pg_catalog.split_part(proof, '.', 2) = pg_catalog.encode(pg_catalog.sha256(k.outer_pad || pg_catalog.sha256(
        k.inner_pad || pg_catalog.convert_to(
            pg_catalog.split_part(proof, '.', 1) || E'\\n' || pg_catalog.array_to_string(fields, E'\\n', ''), 'UTF8')
    )), 'hex')
    FROM public.rollout_approval_key AS k WHERE k.since <= at ORDER BY k.id DESC LIMIT 1
$$;
REVOKE ALL ON FUNCTION public.rollout_is_proven(text, text[], timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.rollout_is_proven(text, text[], timestamptz) TO carecollective_web;

CREATE FUNCTION public.rollout_staff_may(member uuid, permission text) RETURNS boolean
LANGUAGE sql STABLE SET search_path = '' AS $$
    SELECT EXISTS (
        SELECT FROM public.profiles AS person
        WHERE person.id = member AND person.is_active AND person.is_admin AND (
            person.is_superuser OR EXISTS (
                SELECT FROM public.auth_permission AS p
                JOIN public.django_content_type AS t ON t.id = p.content_type_id
                WHERE t.app_label = 'rollout' AND t.model = 'flag' AND p.codename = permission AND (
                    EXISTS (SELECT FROM public.profiles_user_permissions AS own
                            WHERE own.user_id = member AND own.permission_id = p.id)
                    OR EXISTS (SELECT FROM public.profiles_groups AS mine
                               JOIN public.auth_group_permissions AS given ON given.group_id = mine.group_id
                               WHERE mine.user_id = member AND given.permission_id = p.id)))))
$$;

-- A proposal belongs to one version of the flag, and the flag never has a version twice: none is used a second time.
CREATE FUNCTION public.rollout_approved(
    version bigint, before text, after text, actor uuid, source text, override boolean
) RETURNS boolean
LANGUAGE sql STABLE SET search_path = '' AS $$
    SELECT EXISTS (
        SELECT FROM public.rollout_proposal AS p
        WHERE p.state = 'approved' AND p.from_version = version AND p.from_stage = before
          AND p.to_stage = after AND p.override = rollout_approved.override
          AND CASE WHEN p.override THEN
            p.proposer_id IS NOT DISTINCT FROM actor
            AND public.rollout_is_proven(
                p.proof,
                ARRAY['override', p.from_stage, p.to_stage, p.from_version::text, p.proposer_id::text],
                pg_catalog.clock_timestamp())
            AND (
                (source = 'command' AND actor IS NULL)
                OR (source = 'admin' AND EXISTS (
                    SELECT FROM public.profiles AS person
                    WHERE person.id = actor AND person.is_active AND person.is_admin AND person.is_superuser)))
          ELSE
            source = 'admin' AND p.decided_by_id = actor AND p.proposer_id <> actor
            AND public.rollout_staff_may(p.proposer_id, 'propose') AND public.rollout_staff_may(actor, 'approve')
            AND public.rollout_is_proven(
                p.proof,
                ARRAY['propose', p.from_stage, p.to_stage, p.from_version::text, p.proposer_id::text],
                pg_catalog.clock_timestamp())
            AND public.rollout_is_proven(
                p.decision_proof, ARRAY['approve', p.proof, actor::text], pg_catalog.clock_timestamp())
          END)
$$;
REVOKE ALL ON FUNCTION public.rollout_staff_may(uuid, text),
    public.rollout_approved(bigint, text, text, uuid, text, boolean) FROM PUBLIC;
"""

DROP_JUDGE = """
DROP FUNCTION public.rollout_approved(bigint, text, text, uuid, text, boolean);
DROP FUNCTION public.rollout_staff_may(uuid, text);
DROP FUNCTION public.rollout_is_proven(text, text[], timestamptz);
DROP FUNCTION public.rollout_stage_order(text);
"""

RECORD = """
CREATE OR REPLACE FUNCTION public.rollout_record_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    given_source text := NULLIF(pg_catalog.current_setting('rollout.source', true), '');
    given_label text := NULLIF(pg_catalog.current_setting('rollout.actor_label', true), '');
    given_reason text := NULLIF(pg_catalog.current_setting('rollout.reason', true), '');
    given_actor uuid := NULLIF(pg_catalog.current_setting('rollout.actor_id', true), '')::uuid;
    given_override boolean :=
        COALESCE(NULLIF(pg_catalog.current_setting('rollout.override', true), '')::boolean, false);
    number bigint := CASE TG_OP WHEN 'DELETE' THEN OLD.version + 1 ELSE NEW.version END;
BEGIN
    -- What a session says of itself is believed on the way down. On the way up it takes an approval.
    IF TG_OP = 'UPDATE' AND given_source IS NOT NULL
        AND public.rollout_stage_order(NEW.stage) > public.rollout_stage_order(OLD.stage)
        AND NOT public.rollout_approved(OLD.version, OLD.stage, NEW.stage, given_actor, given_source, given_override)
    THEN
        given_reason := pg_catalog.format(
            'A step up without a matching approval. The session that made it called itself %s (%s) and said: %s',
            COALESCE(given_label, 'nobody'), given_source, COALESCE(given_reason, 'nothing'));
        given_source := NULL;
        given_label := NULL;
        given_actor := NULL;
        given_override := false;
    END IF;
    INSERT INTO public.rollout_change (
        at, actor_id, actor_label, source, from_stage, to_stage, from_v1_writes, to_v1_writes,
        reason, override, database_role, flag_version
    ) VALUES (
        pg_catalog.clock_timestamp(),
        given_actor,
        COALESCE(given_label, session_user::text),
        COALESCE(given_source, 'outside'),
        CASE WHEN TG_OP <> 'INSERT' THEN OLD.stage END,
        CASE WHEN TG_OP <> 'DELETE' THEN NEW.stage END,
        CASE WHEN TG_OP <> 'INSERT' THEN OLD.v1_writes END,
        CASE WHEN TG_OP <> 'DELETE' THEN NEW.v1_writes END,
        COALESCE(given_reason, 'Changed outside the application'),
        given_override,
        session_user,
        number
    );
    PERFORM pg_catalog.pg_notify('rollout_changed', number::text);
    RETURN NULL;
END
$$;
"""

# As migration 0004 made it.
RECORD_BEFORE = """
CREATE OR REPLACE FUNCTION public.rollout_record_change() RETURNS trigger
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
"""

GRANT = "GRANT UPDATE (decision_proof) ON public.rollout_proposal TO carecollective_web;"
REVOKE = "REVOKE UPDATE (decision_proof) ON public.rollout_proposal FROM carecollective_web;"


class Migration(migrations.Migration):
    dependencies = [
        ("rollout", "0020_key_and_acknowledge_alerts"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [
        migrations.AddField("proposal", "proof", models.TextField(default="", editable=False)),
        migrations.AddField("proposal", "decision_proof", models.TextField(default="", editable=False)),
        migrations.AddConstraint(
            "proposal",
            models.UniqueConstraint(
                fields=["proof"], condition=~models.Q(proof=""), name="rollout_proposal_proof_is_used_once"
            ),
        ),
        migrations.RunSQL(GRANT, REVOKE),
        migrations.RunSQL(KEY, DROP_KEY),
        migrations.RunSQL(JUDGE, DROP_JUDGE),
        migrations.RunSQL(RECORD, RECORD_BEFORE),
    ]
