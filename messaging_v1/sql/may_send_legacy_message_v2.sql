-- Whether the acting member may send to this recipient in this V1 conversation.
-- Asked by policies; on its owner's rights, as may_open_legacy_conversation. A conversation without a status counts as active, as
-- the legacy system's own default says. Closed since the takeover, it has a row among our closings.
CREATE OR REPLACE FUNCTION public.may_send_legacy_message(conversation uuid, recipient uuid) RETURNS boolean
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
  SELECT recipient <> public.current_member() AND EXISTS (
    SELECT FROM public.conversations c
    JOIN public.conversation_participants me ON me.conversation_id = c.id
    JOIN public.conversation_participants other ON other.conversation_id = c.id
    WHERE c.id = conversation AND coalesce(c.status::text, 'active') = 'active'
      AND NOT EXISTS (SELECT FROM public.safety_closing k WHERE k.conversation_id = c.id)
      AND me.user_id = public.current_member() AND me.left_at IS NULL
      AND other.user_id = recipient AND other.left_at IS NULL
      AND public.may_write_to(recipient, false))
$$;
