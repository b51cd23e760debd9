"""The one path on which texts that were sent change: into one fixed sentence, when their author leaves for good.

Three functions, each with what it needs and no more. `privacy_scrub_v2` belongs to the operations role, because V2's policies
are forced on the owner too; of V2 that role may now change the two text columns, and a trigger lets it change them into the
sentence only. `privacy_unname_in_rollout` takes a former member of staff's name out of what they did and chains it anew; what
others did, and wrote, is not theirs to change by the name that they happened to have.
`privacy_erase_member` is what the web may call, for the acting member or as staff.
"""

from django.db import migrations

SENTENCE = """
CREATE FUNCTION public.privacy_erased_text() RETURNS text LANGUAGE sql IMMUTABLE SET search_path = '' AS
$$ SELECT 'This message was removed: its author has left Care Collective.' $$;

CREATE FUNCTION public.privacy_refuse_rewording() RETURNS trigger LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    RAISE EXCEPTION 'What was sent is never reworded.' USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER conversations_v2_never_reworded BEFORE UPDATE OF initial_message ON public.conversations_v2 FOR EACH ROW
    WHEN (NEW.initial_message IS DISTINCT FROM OLD.initial_message AND NEW.initial_message <> public.privacy_erased_text())
    EXECUTE FUNCTION public.privacy_refuse_rewording();
CREATE TRIGGER messages_v2_never_reworded BEFORE UPDATE OF content ON public.messages_v2 FOR EACH ROW
    WHEN (NEW.content IS DISTINCT FROM OLD.content AND NEW.content <> public.privacy_erased_text())
    EXECUTE FUNCTION public.privacy_refuse_rewording();
"""

DROP_SENTENCE = """
DROP TRIGGER messages_v2_never_reworded ON public.messages_v2;
DROP TRIGGER conversations_v2_never_reworded ON public.conversations_v2;
DROP FUNCTION public.privacy_refuse_rewording();
DROP FUNCTION public.privacy_erased_text();
"""

SCRUB_V2 = """
GRANT UPDATE (initial_message) ON public.conversations_v2 TO carecollective_ops;
GRANT UPDATE (content, updated_at) ON public.messages_v2 TO carecollective_ops;

CREATE FUNCTION public.privacy_scrub_v2(member uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    -- The last way back from the new messaging drops its tables, and members leave then too.
    IF pg_catalog.to_regclass('public.conversations_v2') IS NULL THEN
        RETURN;
    END IF;
    -- Every conversation is held before anything in it changes, as a send does: whoever is sending finishes first.
    PERFORM FROM public.conversations_v2 AS c WHERE member IN (c.requester_id, c.helper_id) ORDER BY c.id FOR NO KEY UPDATE;
    UPDATE public.conversations_v2 SET initial_message = public.privacy_erased_text()
    WHERE helper_id = member AND initial_message <> public.privacy_erased_text();
    UPDATE public.messages_v2 SET content = public.privacy_erased_text(), updated_at = pg_catalog.clock_timestamp()
    WHERE sender_id = member AND content <> public.privacy_erased_text();
END
$$;
REVOKE ALL ON FUNCTION public.privacy_scrub_v2(uuid) FROM PUBLIC;
GRANT CREATE ON SCHEMA public TO carecollective_ops;
ALTER FUNCTION public.privacy_scrub_v2(uuid) OWNER TO carecollective_ops;
REVOKE CREATE ON SCHEMA public FROM carecollective_ops;
"""

DROP_SCRUB_V2 = """
DROP FUNCTION public.privacy_scrub_v2(uuid);
REVOKE UPDATE (content, updated_at) ON public.messages_v2 FROM carecollective_ops;
REVOKE UPDATE (initial_message) ON public.conversations_v2 FROM carecollective_ops;
"""

UNNAME = r"""
-- Whole words only: leaving must not cut an Ann out of every Annabel.
CREATE FUNCTION public.privacy_unname(words text, old_name text, old_email text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = '' AS $$
    SELECT CASE WHEN pg_catalog.btrim(COALESCE(old_name, '')) = '' THEN without.words
        ELSE pg_catalog.regexp_replace(
            without.words, '(?<!\w)' || pg_catalog.regexp_replace(old_name, '([^\w\s])', '\\\1', 'g') || '(?!\w)',
            'Former member', 'g') END
    FROM (SELECT CASE WHEN old_email IS NULL THEN words ELSE pg_catalog.regexp_replace(
        words, '(?<![\w.+-])' || pg_catalog.regexp_replace(old_email, '([^\w\s])', '\\\1', 'g') || '(?![\w-])',
        'former member', 'gi') END AS words) AS without
$$;

CREATE FUNCTION public.privacy_blank_columns(place regclass, kept text[]) RETURNS text
LANGUAGE sql STABLE SET search_path = '' AS $$
    SELECT pg_catalog.string_agg(pg_catalog.format('%I = %s', a.attname, CASE
        WHEN NOT a.attnotnull THEN 'NULL' WHEN t.typname IN ('json', 'jsonb') THEN '''{}''' ELSE '''''' END), ', ')
    FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
    WHERE a.attrelid = place AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND a.attidentity = ''
      AND a.attname <> ALL (kept)
      AND (t.typcategory IN ('S', 'A', 'I') OR t.typname IN ('json', 'jsonb', 'bytea', 'xml'))
$$;

-- The changes that a member made, or that came of a proposal in which they had a part: by id, and never by a name.
CREATE FUNCTION public.privacy_changes_of(member uuid) RETURNS SETOF bigint
LANGUAGE sql STABLE SET search_path = '' AS $$
    SELECT c.id FROM public.rollout_change AS c
    WHERE c.actor_id = member OR EXISTS (
        SELECT FROM public.rollout_proposal AS p WHERE p.proposer_id = member AND p.state = 'approved'
            AND p.decided_by_id = c.actor_id AND p.to_stage = c.to_stage AND c.flag_version = p.from_version + 1)
$$;

-- The record of the rollout says who did what. The deeds stay, in the same order; the chain of hashes is made anew from them,
-- and its head before and after is kept with the erasure, so that a head noted down earlier can still be explained.
CREATE FUNCTION public.privacy_unname_in_rollout(member uuid, old_name text, old_email text,
                                                 OUT head_before text, OUT head_after text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    line public.rollout_change;
BEGIN
    head_before := '';
    head_after := '';
    PERFORM pg_catalog.pg_advisory_xact_lock(7262011);
    IF EXISTS (SELECT FROM public.privacy_changes_of(member)) THEN
        SELECT c.hash INTO head_before FROM public.rollout_change AS c ORDER BY c.id DESC LIMIT 1;
        ALTER TABLE public.rollout_change DISABLE TRIGGER rollout_change_refuse_rewriting;
        UPDATE public.rollout_change SET
            actor_label = CASE WHEN actor_id = member THEN 'Former member' ELSE actor_label END,
            reason = public.privacy_unname(reason, old_name, old_email)
        WHERE id IN (SELECT public.privacy_changes_of(member));
        FOR line IN SELECT * FROM public.rollout_change ORDER BY id LOOP
            head_after := public.rollout_change_hash(line, head_after);
            UPDATE public.rollout_change SET hash = head_after WHERE id = line.id;
        END LOOP;
        ALTER TABLE public.rollout_change ENABLE TRIGGER rollout_change_refuse_rewriting;
    END IF;

    ALTER TABLE public.rollout_proposal DISABLE TRIGGER rollout_proposal_settle_once;
    UPDATE public.rollout_proposal SET
        proposer_label = CASE WHEN proposer_id = member THEN 'Former member' ELSE proposer_label END,
        decided_by_label = CASE WHEN decided_by_id = member THEN 'Former member' ELSE decided_by_label END,
        reason = public.privacy_unname(reason, old_name, old_email),
        decision_reason = public.privacy_unname(decision_reason, old_name, old_email)
    WHERE member IN (proposer_id, decided_by_id);
    ALTER TABLE public.rollout_proposal ENABLE TRIGGER rollout_proposal_settle_once;

    ALTER TABLE public.rollout_sign_off DISABLE TRIGGER rollout_sign_off_refuse_rewriting;
    UPDATE public.rollout_sign_off SET signer_label = 'Former member' WHERE signer_id = member;
    ALTER TABLE public.rollout_sign_off ENABLE TRIGGER rollout_sign_off_refuse_rewriting;

    ALTER TABLE public.rollout_root_cause DISABLE TRIGGER rollout_root_cause_settle_once;
    UPDATE public.rollout_root_cause SET filed_by_label = 'Former member',
        who = public.privacy_unname(who, old_name, old_email), what = public.privacy_unname(what, old_name, old_email),
        why = public.privacy_unname(why, old_name, old_email), fix = public.privacy_unname(fix, old_name, old_email)
    WHERE filed_by_id = member;
    ALTER TABLE public.rollout_root_cause ENABLE TRIGGER rollout_root_cause_settle_once;
END
$$;
REVOKE ALL ON FUNCTION public.privacy_unname_in_rollout(uuid, text, text), public.privacy_changes_of(uuid) FROM PUBLIC;
"""

DROP_UNNAME = """
DROP FUNCTION public.privacy_unname_in_rollout(uuid, text, text);
DROP FUNCTION public.privacy_changes_of(uuid);
DROP FUNCTION public.privacy_blank_columns(regclass, text[]);
DROP FUNCTION public.privacy_unname(text, text, text);
"""

ERASE = """
CREATE FUNCTION public.privacy_erase_member(member uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    acting uuid := public.current_member();
    person public.profiles;
    heads record;
BEGIN
    IF acting IS DISTINCT FROM member AND NOT EXISTS (
        SELECT FROM public.profiles AS p WHERE p.id = acting AND p.is_admin AND p.is_active) THEN
        RAISE EXCEPTION 'Only the member, or staff for them, may erase a member.' USING ERRCODE = 'insufficient_privilege';
    END IF;
    SELECT * INTO person FROM public.profiles AS p WHERE p.id = member;

    -- The locks, in the order in which everything takes them: requests, conversations of both versions, the member last.
    PERFORM FROM public.help_requests AS r WHERE r.user_id = member ORDER BY r.id FOR NO KEY UPDATE;
    PERFORM public.privacy_scrub_v2(member);
    PERFORM FROM public.conversations AS c
    WHERE c.id IN (SELECT p.conversation_id FROM public.conversation_participants AS p WHERE p.user_id = member)
    ORDER BY c.id FOR NO KEY UPDATE;

    UPDATE public.messages SET content = public.privacy_erased_text(), flagged_reason = NULL,
        updated_at = pg_catalog.clock_timestamp()
    WHERE sender_id = member AND content <> public.privacy_erased_text();
    -- What the legacy system itself wrote about them, in nobody's words.
    UPDATE public.messages SET content = public.privacy_unname(content, person.name, person.email)
    WHERE recipient_id = member AND message_type <> 'text'
      AND content <> public.privacy_unname(content, person.name, person.email);
    UPDATE public.conversations SET title = NULL WHERE title IS NOT NULL AND (created_by = member
        OR help_request_id IN (SELECT r.id FROM public.help_requests AS r WHERE r.user_id = member));
    IF pg_catalog.to_regclass('public.message_reports') IS NOT NULL THEN
        EXECUTE 'UPDATE public.message_reports SET description = NULL WHERE reported_by = $1' USING member;
    END IF;
    UPDATE public.moderation_report SET words = '' WHERE reporter_id = member;

    EXECUTE pg_catalog.format(
        'UPDATE public.help_requests SET title = ''A removed request'', %s, updated_at = pg_catalog.clock_timestamp(),'
        ' cancelled_at = CASE WHEN status IN (''open'', ''in_progress'') THEN pg_catalog.clock_timestamp() ELSE cancelled_at END,'
        ' status = CASE WHEN status IN (''open'', ''in_progress'') THEN ''cancelled'' ELSE status END WHERE user_id = $1',
        public.privacy_blank_columns('public.help_requests',
            ARRAY['title', 'category', 'urgency', 'status', 'location_privacy'])) USING member;

    UPDATE public.messaging_preferences SET email_notifications = false, quiet_hours_start = NULL, quiet_hours_end = NULL
    WHERE user_id = member;
    DELETE FROM public.privacy_exportfile WHERE member_id = member;
    DELETE FROM public.privacy_export WHERE member_id = member;
    DELETE FROM public.knox_authtoken WHERE user_id = member;
    DELETE FROM public.profiles_groups WHERE user_id = member;
    DELETE FROM public.profiles_user_permissions WHERE user_id = member;

    DELETE FROM public.axes_accessattempt WHERE pg_catalog.lower(username) = person.email;
    DELETE FROM public.axes_accesslog WHERE pg_catalog.lower(username) = person.email;
    DELETE FROM public.axes_accessfailurelog WHERE pg_catalog.lower(username) = person.email;
    -- What staff did stays on record, whatever words the name of who left was made of; only an address cannot be such words.
    UPDATE public.django_admin_log SET
        object_repr = CASE WHEN object_id = member::text THEN 'Former member' ELSE 'A removed request' END,
        change_message = public.privacy_unname(change_message, NULL, person.email)
    WHERE object_id = member::text OR object_id IN (SELECT r.id::text FROM public.help_requests AS r WHERE r.user_id = member);
    SELECT '' AS head_before, '' AS head_after INTO heads;
    IF person.name <> 'Former member' AND EXISTS (SELECT FROM public.privacy_rollout_traces(member)) THEN
        SELECT * INTO heads FROM public.privacy_unname_in_rollout(member, person.name, person.email);
    END IF;

    IF pg_catalog.to_regclass('auth.users') IS NOT NULL THEN
        EXECUTE pg_catalog.format('UPDATE auth.users SET %s WHERE id = $1',
            public.privacy_blank_columns('auth.users', ARRAY['id'])) USING member;
    END IF;
    EXECUTE pg_catalog.format(
        'UPDATE public.profiles SET %s, name = ''Former member'', email = NULL, password = ''!'', last_login = NULL,'
        ' is_active = false, is_admin = false, is_superuser = false, is_beta_tester = false,'
        ' verification_status = ''rejected'', email_confirmed = false WHERE id = $1',
        public.privacy_blank_columns('public.profiles',
            ARRAY['id', 'name', 'email', 'password', 'terms_version'])) USING member;

    INSERT INTO public.privacy_erasure (member_id, erased_by_id, record_head_before, record_head_after)
    VALUES (member, acting, heads.head_before, heads.head_after)
    ON CONFLICT (member_id) DO NOTHING;
END
$$;

-- Whether they ever acted on the rollout: where not, its tables are left alone, and nobody's rollback waits for this.
CREATE FUNCTION public.privacy_rollout_traces(member uuid) RETURNS SETOF integer
LANGUAGE sql STABLE SET search_path = '' AS $$
    SELECT 1 WHERE EXISTS (SELECT FROM public.rollout_change AS c WHERE c.actor_id = member)
        OR EXISTS (SELECT FROM public.rollout_proposal AS p WHERE member IN (p.proposer_id, p.decided_by_id))
        OR EXISTS (SELECT FROM public.rollout_sign_off AS s WHERE s.signer_id = member)
        OR EXISTS (SELECT FROM public.rollout_root_cause AS r WHERE r.filed_by_id = member)
$$;

REVOKE ALL ON FUNCTION public.privacy_erase_member(uuid), public.privacy_rollout_traces(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.privacy_erase_member(uuid) TO carecollective_web;
"""

DROP_ERASE = """
DROP FUNCTION public.privacy_rollout_traces(uuid);
DROP FUNCTION public.privacy_erase_member(uuid);
"""


class Migration(migrations.Migration):
    dependencies = [
        ("privacy", "0002_show_an_export_to_its_member_alone"),
        ("accounts", "0002_grant_the_web_its_libraries_tables"),
        ("help_requests", "0001_take_over_help_requests"),
        ("messaging_v1", "0003_shut_the_legacy_gateways_door"),
        ("messaging_v2", "0003_let_members_act_for_themselves_only"),
        ("moderation", "0001_keep_reports_and_looks"),
        ("rollout", "0018_keep_alerts_and_their_deliveries"),
    ]

    operations = [
        migrations.RunSQL(SENTENCE, DROP_SENTENCE),
        migrations.RunSQL(SCRUB_V2, DROP_SCRUB_V2),
        migrations.RunSQL(UNNAME, DROP_UNNAME),
        migrations.RunSQL(ERASE, DROP_ERASE),
    ]
