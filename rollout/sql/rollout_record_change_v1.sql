-- Trigger on the flag: write each change into the audit log, and notify every process of it.
-- Who and why come from settings of the transaction. A change without them came from outside the application.
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
