-- What erasure removes. Safe to repeat: a restored backup does it again.
-- It calls privacy_scrub_v2 for V2's texts, privacy_unname_in_rollout for the audit log, privacy_unname to take a name or
-- address out of other texts, and privacy_blank_columns to empty every text column of a row that is not named as kept.
-- Waiting mail, sessions and files are removed by carecollective/privacy/erasure.py.
CREATE OR REPLACE FUNCTION public.privacy_scrub_member(member uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
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
    DELETE FROM public.contact_contactmessage WHERE member_id = member OR pg_catalog.lower(email) = person.email;
    UPDATE public.moderation_act SET reason = '', words = '', undone_reason = '' WHERE member_id = member;

    EXECUTE pg_catalog.format(
        'UPDATE public.help_requests SET title = ''A removed request'', %s, updated_at = pg_catalog.clock_timestamp(),'
        ' cancelled_at = CASE WHEN status IN (''open'', ''in_progress'') THEN pg_catalog.clock_timestamp() ELSE cancelled_at END,'
        ' status = CASE WHEN status IN (''open'', ''in_progress'') THEN ''cancelled'' ELSE status END WHERE user_id = $1',
        public.privacy_blank_columns('public.help_requests',
            ARRAY['title', 'category', 'urgency', 'status', 'location_privacy'])) USING member;

    UPDATE public.messaging_preferences SET email_notifications = false, quiet_hours_start = NULL, quiet_hours_end = NULL
    WHERE user_id = member;
    DELETE FROM public.safety_block WHERE member IN (blocker_id, blocked_id);
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
    IF EXISTS (SELECT FROM public.privacy_rollout_traces(member)) THEN
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
    ON CONFLICT (member_id) DO UPDATE SET record_head_after = excluded.record_head_after, record_head_before =
        COALESCE(NULLIF(privacy_erasure.record_head_before, ''), excluded.record_head_before)
    WHERE excluded.record_head_after <> '';
END
$$;
